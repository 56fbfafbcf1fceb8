"""An index in shards gives the bits of one index."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import processes, same

import vecrecall as vr
from vecrecall.distributed import (
    ClosedError,
    PlacementError,
    ShardedIndex,
    ShardError,
    build_shards,
    connect,
    reshard,
)
from vecrecall.distributed import _manifest as manifests
from vecrecall.distributed._shard import Shard
from vecrecall.distributed._shard import bases as bases_of

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
CPUS = 0.1


@pytest.fixture(scope="module")
def built(
    ray: Any, tmp_path_factory: pytest.TempPathFactory, npy: tuple[Path, Path]
) -> dict[tuple[str, int], Path]:
    folder = tmp_path_factory.mktemp("built")
    paths = {}
    for kind in ("flat", "ivf"):
        for n in (1, 2, 4):
            paths[kind, n] = folder / f"{kind}{n}"
            build_shards(
                npy[0], paths[kind, n], n_shards=n, ids=npy[1], index=kind, metric="l2",
                by="range" if n == 2 else "hash", n_lists=30 if kind == "ivf" else None,
            )  # fmt: skip
    return paths


@pytest.fixture(scope="module")
def served(built: dict[tuple[str, int], Path]) -> Iterator[dict[int, ShardedIndex]]:
    """Actors are processes, which take a second to start: builds take turns in them."""
    found = {n: connect(built["flat", n], num_cpus=CPUS) for n in (1, 2, 4)}
    yield found
    for index in found.values():
        index.close()


def one_index(path: Path, items: Items, kind: str) -> vr.FlatIndex:
    x, ids = items
    if kind == "flat":
        return vr.FlatIndex(x, ids, metric="l2")
    first = vr.IVFIndex.load(path / "shard-00000" / f"base-{0:020d}")
    return vr.IVFIndex(x, ids, metric="l2", centers=first.centers, probes=first.probes)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_bits(built: Any, served: Any, items: Items, kind: str, n: int) -> None:
    x, ids = items
    index = served[n]
    index.swap(built[kind, n])
    one = one_index(built[kind, n], items, kind)
    rng = np.random.default_rng(n)
    q = np.concatenate([x[:20], rng.standard_normal((13, 12)).astype(np.float32)])
    few, many = ids[:7], ids[::2]
    exclude = [ids[i : i + 40] for i in range(len(q))]
    assert len(index) == 3000
    assert sorted(index.ids) == sorted(ids)
    assert sum(len(page) for page in index.id_pages(999)) == 3000
    for k in (1, 10, 200, 4000):
        same(index.search(q, k), one.search(q, k))
    for options in (
        {"exclude": exclude}, {"allow": few}, {"allow": many}, {"min_score": -12.0},
        {"exclude": exclude, "allow": many, "min_score": -15.0}, {"allow": []},
        {"exclude": [ids] * len(q)},
    ):  # fmt: skip
        same(index.search(q, 30, **options), one.search(q, 30, **options))
    masks = [index.mask(few), ~index.mask(many), index.mask(many)]
    own = [one.mask(few), ~one.mask(many), one.mask(many)]
    for _ in range(2):
        same(
            index.search(q, 9, allow=[masks[i % 3] for i in range(len(q))]),
            one.search(q, 9, allow=[own[i % 3] for i in range(len(q))]),
        )
    bad = q.copy()
    bad[3, 0] = np.nan
    same(index.search(bad, 5, invalid="empty"), one.search(bad, 5, invalid="empty"))
    same(index.search(q[:0], 5), one.search(q[:0], 5))
    same(index.search(q[0], 5), one.search(q[0], 5))
    if kind == "ivf":
        for probes in (1, 3, 1000, "exact"):
            same(index.search(q, 20, probes=probes), one.search(q, 20, probes=probes))
        table = vr.NeighborTable.build(index, 3, probes=2)
        wanted = one.neighbors(3, probes=2)
        places = {i: n for n, i in enumerate(one.ids.tolist())}
        for row, i in enumerate(table.items.tolist()):
            np.testing.assert_array_equal(table.ids[row], wanted.ids[places[i]])
        counts = index.search(q, 5, probes=2, stats=True).stats
        assert counts.lists_probed == 2 * len(q) * n
    candidates = [np.append(ids[i : i + 9], 99_999) for i in range(len(q))]
    got, expected = index.score(q, candidates), one.score(q, candidates)
    np.testing.assert_array_equal(got.values, expected.values)
    above, wanted = index.search_above(q, -9.0, limit=50), one.search_above(q, -9.0, limit=50)
    for a, b in zip(above, wanted, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.offsets, b.offsets)
    np.testing.assert_array_equal(index.vectors(ids[:50]), one.vectors(ids[:50]))
    assert index.contains([ids[0], 99_999]).tolist() == [True, False]
    assert int(ids[3]) in index
    assert index.contains([]).tolist() == []
    assert index.vectors([]).shape == (0, 12)
    for queries, none in ((q, [[]] * len(q)), (q[:0], [])):
        got, expected = index.score(queries, none), one.score(queries, none)
        assert got.values.dtype == expected.values.dtype
        np.testing.assert_array_equal(got.offsets, expected.offsets)
    with pytest.raises(KeyError, match="99999"):
        index.vectors([ids[0], 99_999])


def test_shards_are_mapped(built: Any, served: Any) -> None:
    served[2].swap(built["flat", 2])
    files = {str(file) for file in built["flat", 2].rglob("rows-*.npy")}
    assert len(files) == 2
    for pid in processes("Replica"):
        maps = Path(f"/proc/{pid}/maps").read_text()
        files -= {file for file in files if file in maps}
    assert not files


def test_channels(built: Any, served: Any, items: Items) -> None:
    x, ids = items
    one = vr.FlatIndex(x, ids, metric="l2")
    index = served[4]
    index.swap(built["flat", 4])
    assert isinstance(index, vr.SearchableIndex)
    batch = vr.RequestBatch(
        history=[ids[:5], ids[9:11], []], vectors={"u": x[:3]}, seen=[ids[:5], [], []]

    )  # fmt: skip
    for make in (
        lambda of: vr.channels.UserToItem(of, vector="u"),
        lambda of: vr.channels.ItemToItem(vr.channels.LiveNeighbors(of, n_neighbors=20)),
    ):
        same(make(index).recall(batch, 15), make(one).recall(batch, 15))
    both = [
        vr.Recaller({"u": vr.channels.UserToItem(of, vector="u")}, vr.policies.RRF())
        for of in (index, one)
    ]
    got, expected = (recaller.recall(batch, 12) for recaller in both)
    assert got.to_list() == expected.to_list()
    got, expected = index.neighbors(3), one.neighbors(3)
    places = {i: n for n, i in enumerate(ids.tolist())}
    for row, i in enumerate(index.ids.tolist()):
        np.testing.assert_array_equal(got.ids[row], expected.ids[places[i]])


@pytest.fixture
def changing(ray: Any, tmp_path: Path, npy: tuple[Path, Path]) -> Iterator[ShardedIndex]:
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1])
    with connect(tmp_path / "s", num_cpus=CPUS, replicas=2) as index:
        yield index


def test_changes(changing: ShardedIndex, items: Items) -> None:
    x, ids = items
    one = vr.FlatIndex(x, ids)
    q = x[:9]
    new = np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32) * 3
    numbers = np.arange(20_000, 20_050)
    for of in (changing, one):
        of.add(new, numbers, threads=2)
    same(changing.search(q, 30), one.search(q, 30))
    for of in (changing, one):
        of.update(new[::-1], numbers, bias=np.linspace(0, 4, 50), threads=2)
    same(changing.search(q, 30), one.search(q, 30))
    for of in (changing, one):
        of.remove(np.append(numbers[:20], ids[:100]))
        of.remove([ids[0], 5], missing="ignore", threads=2)
    same(changing.search(q, 30), one.search(q, 30))
    assert len(changing) == len(one)
    np.testing.assert_array_equal(changing.add(new[:2]), one.add(new[:2]))
    same(changing.search(q, 30), one.search(q, 30))
    with pytest.raises(ValueError, match="ids: expected ids that the index does not have"):
        changing.add(new[:3], [90_001, 90_002, numbers[30]])
    with pytest.raises(KeyError, match="expected ids of the index"):
        changing.remove([numbers[30], 90_001])
    with pytest.raises(ValueError, match="ids"):
        changing.update(new[:2], [7, 7])
    assert len(changing) == len(one), "nothing was done"


def test_acknowledged_changes_are_on_the_disk(changing: ShardedIndex, items: Items) -> None:
    x, ids = items
    one = vr.FlatIndex(x, ids)
    new = np.full((5, 12), 9, np.float32)
    for of in (changing, one):
        of.add(new, np.arange(50_000, 50_005))
        of.remove(ids[:5])
    changing.close()
    with connect(changing.path, num_cpus=CPUS, timeout=30) as again:
        same(again.search(x[:5], 20), one.search(x[:5], 20))
        copy = pickle.loads(pickle.dumps(again))
        same(copy.search(x[:5], 20), one.search(x[:5], 20))
        copy.update(new[:1], [1])
        one.update(new[:1], [1])
        same(copy.search(x[:5], 20), one.search(x[:5], 20))
        copy.close()
        assert len(again) == len(one)


def test_half_precision(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    """The bits of one index of the type, also where float32 on the way would round twice."""
    x, ids = items[0].astype(np.float64), items[1]
    x[1::5] = 1 + 2.0**-11 + 2.0**-40  # just above the middle of two numbers of float16
    x[2::5] = 1 + 2.0**-8 + 2.0**-40  # and of bfloat16
    np.save(tmp_path / "x.npy", x)
    for dtype, kind in (("float16", "flat"), ("bfloat16", "ivf")):
        build_shards(
            tmp_path / "x.npy", tmp_path / dtype, n_shards=2, ids=npy[1], dtype=dtype,
            index=kind,
        )  # type: ignore[call-overload]  # fmt: skip
    options: dict[str, Any] = {}
    with connect(tmp_path / "float16", num_cpus=CPUS) as index:
        for dtype in ("float16", "bfloat16"):
            if dtype == "bfloat16":
                index.swap(tmp_path / dtype)
                options = {"probes": "exact"}
            one = vr.FlatIndex(x, ids, dtype=dtype)
            assert (index.dtype, one.dtype) == (dtype, dtype)
            same(index.search(x[:9], 40, **options), one.search(x[:9], 40))
            np.testing.assert_array_equal(index.vectors(ids[:50]), one.vectors(ids[:50]))
            for of in (index, one):
                of.add(x[:5] * 3, np.arange(20_000, 20_005))
                of.update(x[5:9] * -2, ids[:4])
            same(index.search(x[:9], 40, **options), one.search(x[:9], 40))
            with pytest.raises(ValueError, match="overflow"):
                index.add(x[:1] * 1e300, [30_000])
    reshard(tmp_path / "bfloat16", tmp_path / "joined", 1)
    joined = Shard(tmp_path / "joined", manifests.read(tmp_path / "joined"), 0).index
    assert joined.dtype == "bfloat16"
    np.testing.assert_array_equal(joined.vectors(one.ids), one.vectors(one.ids))


def test_the_log_becomes_a_base(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    x, ids = items
    one = vr.FlatIndex(x, ids)
    build_shards(npy[0], tmp_path / "s", n_shards=1, ids=npy[1])
    with connect(tmp_path / "s", num_cpus=CPUS, fold_bytes=4000) as index:
        for n in range(60):
            for of in (index, one):
                of.update(x[n : n + 20] + n, ids[n : n + 20])
            if n % 10 == 0:
                same(index.search(x[:3], 20), one.search(x[:3], 20))
    bases = sorted((tmp_path / "s" / "shard-00000").glob("base-*"))
    assert 1 <= len(bases) <= 3
    assert bases[-1].name != f"base-{0:020d}"
    with connect(tmp_path / "s", num_cpus=CPUS) as index:
        same(index.search(x[:3], 20), one.search(x[:3], 20))
    shard = Shard(tmp_path / "s", manifests.read(tmp_path / "s"), 0)
    last, first = shard.advance(), bases_of(shard.folder)[0]
    for position in (first, last):
        shard.rewind(position)
        assert shard.position == position
    same(shard.index.search(x[:3], 20), one.search(x[:3], 20))
    with pytest.raises(ShardError, match="shard 0: expected a saved index with no change after"):
        shard.rewind(first - 1)
    shard.advance()
    with pytest.raises(ShardError, match=f"shard 0: expected change {last + 1} as the last, got"):
        shard.rewind(last + 1)


def test_an_empty_shard(ray: Any, tmp_path: Path) -> None:
    x = np.eye(6, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    build_shards(tmp_path / "x.npy", tmp_path / "flat", n_shards=2, by="range")
    build_shards(tmp_path / "x.npy", tmp_path / "ivf", n_shards=2, by="range", index="ivf")
    index = connect(tmp_path / "flat", num_cpus=CPUS)
    for kind in ("flat", "ivf"):
        index.swap(tmp_path / kind)
        index.remove([0, 1, 2])
        one = vr.FlatIndex(x[3:], np.arange(3, 6))
        same(index.search(x, 5), one.search(x, 5))
        index.add(x[:2], [0, 1])
        one.add(x[:2], [0, 1])
        same(index.search(x, 9), one.search(x, 9))
    index.remove([3, 4, 5])
    reshard(tmp_path / "ivf", tmp_path / "one", 1)  # one of the two has no items
    index.swap(tmp_path / "one")
    same(index.search(x, 9), vr.FlatIndex(x[:2]).search(x, 9))
    index.close()


def test_shards_that_are_not_there(ray: Any, tmp_path: Path, npy: tuple[Path, Path]) -> None:
    for name in ("a", "b"):
        build_shards(npy[0], tmp_path / name, n_shards=2, ids=npy[1])
    shard = tmp_path / "a" / "shard-00001"
    kept = tmp_path / "kept"
    shard.rename(kept)
    with pytest.raises(ShardError, match="shard 1: expected the folder"):
        connect(tmp_path / "a", num_cpus=CPUS)
    manifest = manifests.read(tmp_path / "a")  # what actors do is done here
    shutil.copytree(tmp_path / "b" / "shard-00001", shard)
    with pytest.raises(ShardError, match="shard 1: expected shard 1 of build"):
        Shard(tmp_path / "a", manifest, 1)
    shutil.rmtree(shard)
    shutil.copytree(kept, shard)
    (rows,) = shard.glob("base-*/rows-*.npy")
    data = rows.read_bytes()
    rows.write_bytes(data[:-8])
    with pytest.raises(ShardError, match=r"shard 1: .*bytes"):
        Shard(tmp_path / "a", manifest, 1)
    rows.write_bytes(data[:-2] + b"\0\1")
    with pytest.raises(ShardError, match=r"shard 1: .*checksum"):
        Shard(tmp_path / "a", manifest, 1, verify=True)
    shutil.rmtree(shard)
    base = f"base-{0:020d}"
    shutil.copytree(kept, shard)
    shutil.rmtree(shard / base)
    shutil.copytree(tmp_path / "a" / "shard-00000" / base, shard / base)
    with pytest.raises(ShardError, match="shard 1: expected the index of build"):
        Shard(tmp_path / "a", manifest, 1)
    index = vr.FlatIndex.load(kept / base)
    other = vr.FlatIndex.load(tmp_path / "a" / "shard-00000" / base)
    index.add(other.vectors(other.ids[:1]), other.ids[:1])
    shutil.rmtree(shard)
    shutil.copytree(kept, shard)
    index.save(shard / f"base-{1:020d}")
    with pytest.raises(ShardError, match=f"got id {other.ids[0]}, which belongs to shard 0"):
        Shard(tmp_path / "a", manifest, 1)


def test_no_room(ray: Any, built: dict[tuple[str, int], Path]) -> None:
    path = built["flat", 2]
    with pytest.raises(PlacementError, match=r"shard 0: .*'CPU': 64\.0.*of 2 shards.*'CPU': 2\.0"):
        connect(path, num_cpus=64, timeout=1)
    with pytest.raises(PlacementError, match=r"'memory': 1000000000000000"):
        connect(path, memory=10**15, timeout=1)
    with connect(path) as index:
        assert len(index) == 3000


def test_wrong_calls(built: Any, items: Items, tmp_path: Path) -> None:
    x, _ids = items
    with pytest.raises(FileNotFoundError):
        connect(tmp_path / "none")
    vr.FlatIndex(x).save(tmp_path / "flat")
    with pytest.raises(ValueError, match="expected a saved ShardedIndex"):
        connect(tmp_path / "flat")
    for wrong in (
        {"replicas": 0}, {"threads": 0}, {"num_cpus": -1}, {"memory": 0}, {"timeout": 0},
        {"on_missing": "skip"}, {"verify": 1}, {"replicas": 1.5},
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            connect(built["flat", 1], **wrong)
    with connect(built["flat", 1], num_cpus=CPUS) as index:
        for call, name in (
            (lambda: index.search(x[:, :5], 3), "queries"),
            (lambda: index.search(x, 0), "k"),
            (lambda: index.search(x[:2], 3, exclude=[[1]]), "exclude"),
            (lambda: index.search(x[:2], 3, probes=3), "probes"),
            (lambda: index.search(x[:2] * np.nan, 3), "queries"),
            (lambda: index.search(x[:2], 3, allow=vr.FlatIndex(x).mask([1])), "allow"),
            (lambda: index.add(x[:1], [1, 2]), "ids"),
            (lambda: index.add(x[:1, :4], [1]), "vectors"),
            (lambda: index.update(x[:1] * np.inf, [1]), "vectors"),
            (lambda: index.remove([1.5]), "ids"),
            (lambda: index.id_pages(0).__next__(), "size"),
            (lambda: index.neighbors(3, probes=2), "probes"),
            (lambda: vr.NeighborTable.build(index, 3, probes=2), "probes: .*got a ShardedIndex"),
            (lambda: index.add(x[:1], [90_000], threads=0), "threads"),
            (lambda: index.update(x[:1], [90_000], threads=1.5), "threads"),
            (lambda: index.remove([1], threads=-1), "threads"),
        ):
            with pytest.raises((TypeError, ValueError), match=name):
                call()
    with pytest.raises(ClosedError, match="closed"):
        index.search(x[:1], 3)
    with pytest.raises(ClosedError):
        len(index)
    index.close()


def test_read_only_arrays(built: Any, served: Any, items: Items, ray: Any) -> None:
    x, ids = items
    lent = ray.get(ray.put(x))
    assert not lent.flags.writeable
    one = vr.FlatIndex(lent, ids, copy=False)
    same(one.search(lent[:9], 5), vr.FlatIndex(x, ids).search(x[:9], 5))
    index = served[2]  # by the object store, too
    index.swap(built["flat", 2])
    whole = vr.FlatIndex(x, ids, metric="l2")
    options = {"exclude": [ids[:9]] * len(x), "allow": ids[5:2000]}
    same(index.search(lent, 5, **options), whole.search(x, 5, **options))
