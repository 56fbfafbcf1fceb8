"""Shards from files: what is in them, and builds that were interrupted."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.distributed import PlacementError, build_shards
from vecrecall.distributed import _manifest as manifests
from vecrecall.distributed._shard import Shard

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def shards_of(path: Path) -> list[Shard]:
    manifest = manifests.read(path)
    return [Shard(path, manifest, n, verify=True) for n in range(manifest.n_shards)]


def check_items(path: Path, x: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]) -> list[int]:
    """Every item is in one shard, as it was given."""
    shards = shards_of(path)
    found = np.concatenate([shard.index.ids for shard in shards])
    assert sorted(found) == sorted(ids)
    rows = dict(zip(ids.tolist(), x, strict=True))
    for shard in shards:
        own = shard.index.ids
        np.testing.assert_array_equal(
            shard.index.vectors(own), np.array([rows[i] for i in own.tolist()]).reshape(-1, 12)
        )
    assert not (path / "building").exists()
    return [len(shard.index) for shard in shards]


@pytest.mark.parametrize("by", ["hash", "range"])
def test_npy(ray: Any, tmp_path: Path, npy: tuple[Path, Path], items: Items, by: Any) -> None:
    steps: list[tuple[int, int]] = []
    build_shards(
        npy[0], tmp_path / "s", n_shards=4, by=by, ids=npy[1], progress=lambda *s: steps.append(s)
    )
    sizes = check_items(tmp_path / "s", *items)
    assert min(sizes) > 600
    assert steps[-1][0] == steps[-1][1]
    if by == "range":
        ends = [(s.index.ids.min(), s.index.ids.max()) for s in shards_of(tmp_path / "s")]
        assert all(a[1] < b[0] for a, b in itertools.pairwise(ends))


def test_parquet_and_datasets(ray: Any, tmp_path: Path, items: Items) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ds = pytest.importorskip("pyarrow.dataset")
    x, ids = items
    table = pa.table({"item": ids, "emb": list(x), "other": ids})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    names = {"id_column": "item", "vector_column": "emb"}
    build_shards(tmp_path / "a.parquet", tmp_path / "p", n_shards=2, **names)
    check_items(tmp_path / "p", x, ids)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 12)
    ds.write_dataset(pa.table({"item": ids, "emb": fixed}), tmp_path / "d", format="feather")
    build_shards(ds.dataset(tmp_path / "d", format="feather"), tmp_path / "f", n_shards=2, **names)
    check_items(tmp_path / "f", x, ids)


def test_a_structured_array_and_several_files(ray: Any, tmp_path: Path, items: Items) -> None:
    x, ids = items
    both = np.empty(len(ids), [("id", "<i8"), ("vector", "<f4", 12)])
    both["id"], both["vector"] = ids, x
    np.save(tmp_path / "both.npy", both)
    build_shards(tmp_path / "both.npy", tmp_path / "s", n_shards=2)
    check_items(tmp_path / "s", x, ids)
    (tmp_path / "parts").mkdir()
    np.save(tmp_path / "parts" / "0.npy", x[:1000])
    np.save(tmp_path / "parts" / "1.npy", x[1000:])
    build_shards(tmp_path / "parts", tmp_path / "t", n_shards=2)
    check_items(tmp_path / "t", x, np.arange(len(x)))


def test_lists_are_the_same_in_all_shards(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    _x, _ids = items
    for n in (1, 3):
        build_shards(npy[0], tmp_path / str(n), n_shards=n, ids=npy[1], index="ivf", n_lists=20)
    one, *_ = shards_of(tmp_path / "1")
    assert isinstance(one.index, vr.IVFIndex)
    assert (one.index.spreads > 0).any()
    total = np.zeros(one.index.n_lists, np.int64)
    for shard in shards_of(tmp_path / "3"):
        assert isinstance(shard.index, vr.IVFIndex)
        np.testing.assert_array_equal(shard.index.centers, one.index.centers)
        np.testing.assert_array_equal(shard.index.spreads, one.index.spreads)
        assert shard.index.probes == one.index.probes
        total += shard.index.stats.list_sizes
    np.testing.assert_array_equal(total, one.index.stats.list_sizes)


def test_an_interrupted_build_goes_on(
    ray: Any, tmp_path: Path, npy: tuple[Path, Path], items: Items
) -> None:
    path = tmp_path / "s"

    class StopError(Exception):
        pass

    done: list[int] = []

    def stop(n: int, total: int) -> None:
        done.append(n)
        if n == total - 1:
            raise StopError

    with pytest.raises(StopError):
        build_shards(npy[0], path, n_shards=4, ids=npy[1], progress=stop)
    assert not (path / "manifest.json").exists()
    with pytest.raises(FileNotFoundError):
        manifests.read(path)
    with pytest.raises(ValueError, match="same arguments"):
        build_shards(npy[0], path, n_shards=3, ids=npy[1])
    whole = {f: f.stat().st_mtime_ns for f in path.glob("shard-*/shard.json")}
    build_shards(npy[0], path, n_shards=4, ids=npy[1])
    check_items(path, *items)
    assert all(f.stat().st_mtime_ns == t for f, t in whole.items()), "what was whole was kept"
    build_shards(npy[0], path, n_shards=4, ids=npy[1])  # nothing is left to do
    with pytest.raises(ValueError, match="another build"):
        build_shards(npy[0], path, n_shards=2, ids=npy[1])


def test_rows_are_of_the_type_of_the_source(ray: Any, tmp_path: Path, items: Items) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    half = items[0].astype(np.float16)
    np.save(tmp_path / "half.npy", half)
    np.save(tmp_path / "wide.npy", items[0])
    flat = pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), 12)
    pq.write_table(pa.table({"id": items[1], "vector": flat}), tmp_path / "half.parquet")
    both = np.empty(len(half), [("id", "<i8"), ("vector", "<f2", 12)])
    both["id"], both["vector"] = items[1], half
    np.save(tmp_path / "both.npy", both)
    for name, source in enumerate(["half.npy", "half.parquet", "both.npy"]):
        build_shards(tmp_path / source, tmp_path / str(name), n_shards=1, num_cpus=0.5)
        (shard,) = shards_of(tmp_path / str(name))
        assert shard.index.dtype == "float16"
        np.testing.assert_array_equal(shard.index.vectors(shard.index.ids), half)
    files = [tmp_path / "half.npy", tmp_path / "wide.npy"]
    build_shards(files, tmp_path / "mixed", n_shards=1)
    (shard,) = shards_of(tmp_path / "mixed")
    assert shard.index.dtype == "float32"
    with pytest.raises(ValueError, match="dtype"):
        build_shards(files, tmp_path / "x", n_shards=1, dtype="float64")
    np.save(tmp_path / "large.npy", items[0] * 1e6)
    with pytest.raises(ValueError, match="fit float16, got an overflow"):
        build_shards(tmp_path / "large.npy", tmp_path / "x", n_shards=1, dtype="float16")


def test_bad_sources(ray: Any, tmp_path: Path, npy: tuple[Path, Path], items: Items) -> None:
    x, _ = items
    with pytest.raises(FileNotFoundError):
        build_shards(tmp_path / "none.npy", tmp_path / "a", n_shards=1)
    with pytest.raises(TypeError, match="source"):
        build_shards(x, tmp_path / "a", n_shards=1)
    for wrong in (0, 4097, 1.5):
        with pytest.raises((TypeError, ValueError), match="n_shards"):
            build_shards(npy[0], tmp_path / "a", n_shards=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by"):
        build_shards(npy[0], tmp_path / "a", n_shards=1, by="day")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_lists"):
        build_shards(npy[0], tmp_path / "a", n_shards=1, n_lists=3)
    twice = np.zeros(len(x), np.int64)
    np.save(tmp_path / "twice.npy", twice)
    with pytest.raises(ValueError, match="ids"):
        build_shards(npy[0], tmp_path / "b", n_shards=2, ids=tmp_path / "twice.npy")
    bad = x.copy()
    bad[5, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(ValueError, match="NaN"):
        build_shards(tmp_path / "bad.npy", tmp_path / "c", n_shards=2)
    build_shards(tmp_path / "bad.npy", tmp_path / "d", n_shards=2, invalid="skip")
    skipped = np.concatenate([s.index.skipped for s in shards_of(tmp_path / "d")])
    assert skipped.tolist() == [5]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ValueError, match="new folder"):
        build_shards(npy[0], tmp_path / "full", n_shards=1)
    with pytest.raises(PlacementError, match="'num_cpus': 64"):
        build_shards(npy[0], tmp_path / "e", n_shards=1, num_cpus=64)


def test_lists_of_the_rows_that_can_be_used(ray: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((256, 3)).astype(np.float32)
    x[::4] = np.nan  # all that would be taken for one list
    np.save(tmp_path / "x.npy", x)
    options: dict[str, Any] = {"index": "ivf", "invalid": "skip", "n_lists": 1}
    build_shards(tmp_path / "x.npy", tmp_path / "a", n_shards=2, **options)
    shards = shards_of(tmp_path / "a")
    assert sum(len(shard.index) for shard in shards) == 192
    assert sum(len(shard.index.skipped) for shard in shards) == 64
    np.save(tmp_path / "none.npy", np.repeat(x[::4], 100, axis=0))
    np.save(tmp_path / "last.npy", x[:4])  # in which no row would be sampled
    files = [tmp_path / "none.npy", tmp_path / "last.npy"]
    build_shards(files, tmp_path / "b", n_shards=2, **options)
    assert sum(len(shard.index) for shard in shards_of(tmp_path / "b")) == 3
    build_shards(tmp_path / "none.npy", tmp_path / "c", n_shards=2, **options)
    shards = shards_of(tmp_path / "c")
    assert sum(len(shard.index) for shard in shards) == 0
    shards[0].index.add(x[1:4], [1, 2, 3])
    assert len(shards[0].index.search(x[1:2], 3, probes=1).to_list()[0]) == 3


def test_errors_name_rows_of_the_source(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x, ids = items[0].copy(), items[1].copy()
    x[777] = np.inf
    np.save(tmp_path / "x.npy", x)
    ids[2900] = ids[5]
    np.save(tmp_path / "ids.npy", ids)
    for kind in ("flat", "ivf"):
        with pytest.raises(ValueError, match=r"vectors: .*infinity in row 777 of .*/x\.npy"):
            build_shards(tmp_path / "x.npy", tmp_path / kind, n_shards=4, index=kind)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=rf"ids: .*, got {ids[5]} in row 5 of .* and row 2900 of .*/vectors\.npy"
    ):
        build_shards(npy[0], tmp_path / "i", n_shards=4, ids=tmp_path / "ids.npy")
    table = pa.table({"id": ids, "vector": list(items[0] * (np.arange(3000) != 1500)[:, None])})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000)
    with pytest.raises(ValueError, match=r"zeros alone.* in row 500 of row group 1 of .*\.parquet"):
        build_shards(tmp_path / "x.parquet", tmp_path / "p", n_shards=2, metric="cosine")
    with pytest.raises(ValueError, match=rf"ids: .*, got {ids[5]} in two pieces of the source"):
        build_shards(tmp_path / "x.parquet", tmp_path / "q", n_shards=2)


def test_a_damaged_manifest(ray: Any, tmp_path: Path, npy: tuple[Path, Path]) -> None:
    build_shards(npy[0], tmp_path / "s", n_shards=2)
    file = tmp_path / "s" / "manifest.json"
    about = json.loads(file.read_text())
    for change in ({"n_shards": 3}, {"format": 2}, {"kind": "FlatIndex"}, {"checksum": "0"}):
        file.write_text(json.dumps({**about, **change}))
        with pytest.raises(ValueError, match="path: expected"):
            manifests.read(tmp_path / "s")
    file.write_text(json.dumps(about)[:-20])
    with pytest.raises(ValueError, match="JSON"):
        manifests.read(tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(FileNotFoundError, match="/s"):
        manifests.read(tmp_path / "s")
