"""Actors are killed at random: no answer is wrong, and nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import IMPORTED_FROM, ROOT, processes, same
from shard_builder import build
from waiting import until

import vecrecall as vr
from vecrecall.distributed import (
    DistributedError,
    MissingShardsError,
    ShardedIndex,
    build_shards,
    connect,
)

KILLS = int(os.environ.get("VECRECALL_SOAK_KILLS", "6"))
BUILDS = max(1, KILLS // 5)  # that are killed
STEPS = 12  # of about 13 that such a build has
Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def kill(rng: np.random.Generator) -> None:
    actors = processes("Replica") + processes("Writer")
    if actors:
        try:
            os.kill(int(rng.choice(actors)), signal.SIGKILL)
        except ProcessLookupError:
            return


def searches(index: ShardedIndex, one: vr.FlatIndex, q: Any, stop: threading.Event) -> list[str]:
    """Search while others kill; return what was wrong. The items asked for do not change."""
    wrong = []
    expected = one.search(q, 20)
    fixed = index.mask(np.arange(10_000))
    while not stop.is_set():
        try:
            same(index.search(q, 20, allow=fixed), expected)
        except DistributedError:
            continue  # a named error
        except Exception as error:
            wrong.append(repr(error))
    return wrong


def test_kills_during_searches_and_changes(
    ray: Any, tmp_path: Path, npy: tuple[Path, Path], items: Items
) -> None:
    x, ids = items
    rng = np.random.default_rng(int(os.environ.get("VECRECALL_SOAK_SEED", "1")))
    one, fixed = vr.FlatIndex(x, ids), vr.FlatIndex(x, ids)
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1])
    stop = threading.Event()
    wrong: list[str] = []
    with connect(tmp_path / "s", num_cpus=0.1, replicas=2, timeout=60, fold_bytes=20_000) as index:
        thread = threading.Thread(
            target=lambda: wrong.extend(searches(index, fixed, x[:3], stop)), daemon=True
        )
        thread.start()
        try:
            for n in range(KILLS):
                timer = threading.Timer(rng.random() * 0.3, kill, (rng,))
                timer.start()
                for step in range(3):
                    new = rng.standard_normal((9, 12)).astype(np.float32)
                    numbers = 20_000 + 100 * n + np.arange(9) + 20 * step
                    for of in (index, one):
                        of.update(new, numbers)
                        if step:
                            of.remove(numbers[:3])
                    same(index.search(new, 15), one.search(new, 15))  # what this client wrote
                timer.join()
        finally:
            stop.set()
            thread.join(120)
        assert wrong == []
        assert sorted(index.ids) == sorted(one.ids)
    with connect(tmp_path / "s", num_cpus=0.1) as again:
        same(again.search(x[:5], 50), one.search(x[:5], 50))


def test_a_shard_that_is_gone_for_good(
    ray: Any, tmp_path: Path, npy: tuple[Path, Path], items: Items
) -> None:
    """Its folder is missing when the actor comes back: a named error, or what others have."""
    x, ids = items
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1], by="range")
    with connect(tmp_path / "s", num_cpus=0.1, on_missing="partial") as index:
        index.timeout = 4
        whole = index.search(x[:4], 9)
        assert whole.stats.missing == {}
        running = len(processes("Replica"))
        ray.kill(index._view.fleet._replicas[0, 0])  # for good; the process ends a while later
        until(lambda: len(processes("Replica")) < running)
        start = time.monotonic()
        part = index.search(x[:4], 9)
        assert time.monotonic() - start < 8
        assert list(part.stats.missing) == [0]
        bound = index._view.manifest.routing.bounds[0]
        rest = vr.FlatIndex(x[ids >= bound], ids[ids >= bound])
        np.testing.assert_array_equal(part.ids, rest.search(x[:4], 9).ids)
        with pytest.raises(MissingShardsError, match=r"score.*shard 0") as caught:
            index.score(x[:1], [ids])
        assert list(caught.value.missing) == [0]


def contents(path: Path) -> dict[str, object]:
    """Read all files of shards, but for the words by which one build differs from another."""
    found: dict[str, object] = {}
    for file in path.rglob("*"):
        name = re.sub(r"-[0-9a-f]{12}\.npy$", ".npy", str(file.relative_to(path)))
        if file.suffix == ".json":
            text = re.sub(r"-[0-9a-f]{12}\.npy", ".npy", file.read_text("ascii"))
            about = json.loads(text)
            found[name] = {k: v for k, v in about.items() if k not in ("build", "base", "checksum")}
        elif file.is_file():
            found[name] = file.read_bytes()
    return found


def test_a_build_that_was_killed_goes_on(ray: Any, tmp_path: Path, npy: tuple[Path, Path]) -> None:
    """By SIGKILL, a random while after a random step."""
    rng = np.random.default_rng(int(os.environ.get("VECRECALL_SOAK_SEED", "1")))
    source = [str(file) for file in npy]
    build(*source, str(tmp_path / "whole"))
    expected = contents(tmp_path / "whole")
    command = [
        sys.executable, str(ROOT / "tests" / "support" / "shard_builder.py"),
        ray.get_runtime_context().gcs_address, *source,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([IMPORTED_FROM, str(ROOT)])}
    interrupted = 0
    for n in range(BUILDS):
        path = tmp_path / str(n)
        with subprocess.Popen(
            [*command, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        ) as builder:
            assert builder.stdout is not None
            assert builder.stdout.readline() == "begun\n"
            for _ in range(rng.integers(STEPS)):
                builder.stdout.readline()
            time.sleep(rng.random() * 0.1)
            builder.kill()
        interrupted += not (path / "manifest.json").exists()
        parts = [*path.glob("shard-*/shard.json"), *path.glob("building/rows-??????")]
        kept = {file: file.stat().st_ino for file in parts}
        shards = [file for file in kept if file.name == "shard.json"]
        build(*source, str(path))
        assert contents(path) == expected
        assert all(file.stat().st_ino == kept[file] for file in shards), "whole shards stay"
    assert interrupted
