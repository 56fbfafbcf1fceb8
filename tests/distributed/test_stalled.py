"""Actors that hang, which Ray does not start again: the others answer in the time that is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import same

import vecrecall as vr
from vecrecall.distributed import MissingShardsError, ShardedIndex, build_shards, connect

CPUS = 0.05
Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def built(ray: Any, tmp_path_factory: pytest.TempPathFactory, npy: tuple[Path, Path]) -> Path:
    path = tmp_path_factory.mktemp("built") / "s"
    build_shards(npy[0], path, n_shards=3, ids=npy[1], index="ivf", n_lists=16, probes=1)
    return path


def one_index(path: Path, items: Items) -> vr.IVFIndex:
    first = vr.IVFIndex.load(path / "shard-00000" / f"base-{0:020d}")
    return vr.IVFIndex(*items, centers=first.centers, spreads=first.spreads, probes=1)


@contextmanager
def stalled(ray: Any, index: ShardedIndex, shard: int) -> Iterator[None]:
    """Stop the first replica of a shard."""
    replica = index._view.fleet._replica(shard, 0)
    pid = ray.get(replica.open.remote(index._view.place(shard))).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_partial_results_of_several_rounds(
    ray: Any, built: Path, npy: tuple[Path, Path], items: Items
) -> None:
    x, ids = items
    q = x[:3]
    with connect(built, num_cpus=CPUS, on_missing="partial") as index:
        own = index._view.manifest.routing.shards(ids) != 1
        rest = one_index(built, (x[own], ids[own]))
        index.timeout = 4
        with stalled(ray, index, 1):
            for k, options in (
                (600, lambda of: {}),  # widens
                (400, lambda of: {"exclude": [ids[:900]] * 3}),
                (5, lambda of: {"allow": ids[:500]}),  # asks how far it reaches first
                (5, lambda of: {"allow": [of.mask(ids[:n]) for n in (9, 2000, 4)]}),
            ):
                start = time.monotonic()
                found = index.search(q, k, **options(index))
                assert time.monotonic() - start < 5
                assert list(found.stats.missing) == [1]
                same(found, rest.search(q, k, **options(rest)))
        assert index.search(q, 600).stats.missing == {}


def test_a_partial_search_waits_for_the_first_answer(ray: Any, built: Path, items: Items) -> None:
    q = items[0][:3]
    with connect(built, num_cpus=CPUS, on_missing="partial") as index, ExitStack() as stack:
        index.search(q, 5)
        index.timeout = 10
        for shard in range(3):
            stack.enter_context(stalled(ray, index, shard))
        waking = threading.Timer(6, stack.close)  # later than half of the time
        waking.start()
        found = index.search(q, 600)  # several rounds
        waking.join()
        assert found.counts.min() > 0
        index.timeout = 1
        for shard in range(3):
            stack.enter_context(stalled(ray, index, shard))
        start = time.monotonic()
        with pytest.raises(MissingShardsError, match="none of \\[0, 1, 2\\]; shard 0: no answer"):
            index.search(q, 600)
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("turn", [0, 1])
def test_a_late_replica_is_not_met_in_every_round(
    ray: Any, built: Path, items: Items, turn: int
) -> None:
    q = items[0][:3]
    one = one_index(built, items)
    with connect(built, num_cpus=CPUS, replicas=2) as index:
        index.timeout = 4
        fleet = index._view.fleet
        fleet._turn = turn  # whose turn it is first
        with stalled(ray, index, 1):
            same(index.search(q, 600), one.search(q, 600))  # several rounds
            start = time.monotonic()
            for k in (5, 600, 5, 5):
                same(index.search(q, k), one.search(q, k))
            assert time.monotonic() - start < 2, "less than once more"
            assert not fleet._is_up(1, 0)
        deadline = time.monotonic() + 20
        while not fleet._is_up(1, 0) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert fleet._is_up(1, 0), "as it has answered"
        with stalled(ray, index, 1):
            index.timeout = 1
            fleet._down[1, 1] = time.monotonic() + 60
            fleet._owed.pop((1, 1), None)
            found = index.search(q, 5)  # the other one is asked where there is none better
            same(found, one.search(q, 5))


def test_without_a_replica_a_search_fails_in_time(ray: Any, built: Path, items: Items) -> None:
    with connect(built, num_cpus=CPUS) as index:
        index.timeout = 1
        with stalled(ray, index, 2):
            start = time.monotonic()
            with pytest.raises(MissingShardsError, match="shard 2: no answer within 1 s"):
                index.search(items[0][:2], 600)
            assert time.monotonic() - start < 2
