"""Other numbers of shards, and other builds behind an index that is searched."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import same

import vecrecall as vr
from vecrecall.distributed import DistributedError, build_shards, connect, reshard
from vecrecall.distributed._manifest import read
from vecrecall.distributed._shard import Shard

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_reshard(ray: Any, tmp_path: Path, npy: Any, items: Items, kind: Any) -> None:
    x, ids = items
    lists = {"n_lists": 25} if kind == "ivf" else {}
    build_shards(npy[0], tmp_path / "a", n_shards=2, ids=npy[1], index=kind, **lists)
    new = np.full((4, 12), 5, np.float32)
    bias = np.arange(4.0)
    few: dict[int, Any] = {}
    with connect(tmp_path / "a", num_cpus=0.1) as index:
        index.add(new, [90_000, 90_001, 90_002, 90_003], bias=bias)
        index.remove(ids[:50])
        expected = index.search(x[:9], 20, probes="exact") if lists else index.search(x[:9], 20)
    one = vr.FlatIndex(x[50:], ids[50:])
    one.add(new, [90_000, 90_001, 90_002, 90_003], bias=bias)
    same(expected, one.search(x[:9], 20))
    for n, by in ((1, None), (3, "range")):
        reshard(tmp_path / "a", tmp_path / str(n), n, by=by)  # type: ignore[arg-type]
        with connect(tmp_path / str(n), num_cpus=0.1) as index:
            assert len(index) == len(one)
            probes: Any = {"probes": "exact"} if lists else {}
            same(index.search(x[:9], 20, **probes), one.search(x[:9], 20))
            if lists:
                few[n] = index.search(x[:9], 20, probes=3)
    if lists:
        same(few[1], few[3])
        folders = [tmp_path / name for name in ("a", "1", "3")]
        kept: list[Any] = [Shard(folder, read(folder), 0).index for folder in folders]
        for of in kept[1:]:
            np.testing.assert_array_equal(of.centers, kept[0].centers)
            np.testing.assert_array_equal(of.spreads, kept[0].spreads)
        assert kept[0].spreads.any()
    reshard(tmp_path / "a", tmp_path / "1", 1)  # nothing is left to do
    with pytest.raises(ValueError, match="another build"):
        reshard(tmp_path / "a", tmp_path / "1", 2)
    with pytest.raises(FileNotFoundError):
        reshard(tmp_path / "none", tmp_path / "x", 2)


def test_swap_without_a_search_that_fails(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    x, ids = items
    np.save(tmp_path / "other.npy", -x)
    build_shards(npy[0], tmp_path / "a", n_shards=2, ids=npy[1])
    build_shards(tmp_path / "other.npy", tmp_path / "b", n_shards=2, ids=npy[1])
    build_shards(tmp_path / "other.npy", tmp_path / "c", n_shards=3, ids=npy[1])
    np.save(tmp_path / "narrow.npy", x[:, :5])
    build_shards(tmp_path / "narrow.npy", tmp_path / "narrow", n_shards=2)
    first, second = (vr.FlatIndex(y, ids).search(x[:5], 9) for y in (x, -x))
    wrong: list[str] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            try:
                found = index.search(x[:5], 9)
            except Exception as error:
                wrong.append(repr(error))
            else:
                if found not in (first, second):
                    wrong.append("of two versions")

    with connect(tmp_path / "a", num_cpus=0.1) as index:
        threads = [threading.Thread(target=search, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for name in ("b", "a", "c", "b"):
            index.swap(tmp_path / name)
            same(index.search(x[:5], 9), first if name == "a" else second)
            index.update(x[:1] * 0, ids[-1:])  # by the writer of this version
        with pytest.raises(ValueError, match="dim 12 as before, got 5"):
            index.swap(tmp_path / "narrow")
        with pytest.raises(FileNotFoundError):
            index.swap(tmp_path / "none")
        (tmp_path / "a" / "shard-00001").rename(tmp_path / "gone")
        with pytest.raises(DistributedError, match="shard 1"):
            index.swap(tmp_path / "a")
        assert index.path == tmp_path / "b"
        stop.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []
