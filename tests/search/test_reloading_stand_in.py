"""`ReloadingIndex` in the place of a `FlatIndex`, before and after another version is there."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, assert_same_bits, assert_same_float32

import vecrecall as vr

F32 = npt.NDArray[np.float32]
N, DIM, K = 60, 6, 7


def version(number: int, metric: Metric = "ip") -> vr.FlatIndex:
    """Most items are those of the version before; all vectors are new."""
    vectors = np.random.default_rng(number).standard_normal((N, DIM), dtype=np.float32)
    return vr.FlatIndex(vectors, number * N // 6 + np.arange(N), metric=metric)


def version_in_lists(number: int, metric: Metric = "ip") -> vr.IVFIndex:
    """The same in lists, all of which are probed: those of the default hold all items."""
    flat = version(number, metric)
    index = vr.IVFIndex(flat.vectors(flat.ids), flat.ids, metric=metric, n_lists=7)
    assert index.tuned_for(QUERIES, 1.0, k=N) == index.n_lists > 1
    return index


VERSIONS = {"FlatIndex": version, "IVFIndex": version_in_lists}


QUERIES = np.random.default_rng(99).standard_normal((4, DIM), dtype=np.float32)
SEEN = [[31, 32], [], [45], [1, 80]]
BATCH = vr.RequestBatch(
    vectors={"user": QUERIES},
    history=[[40, 1], [59], [], [33, 34, 89]],
    tags=[[0], [1, 2], [], [0, 2]],
    tag_groups=[[0], [0, 1], [], [0, 0]],
    seen=SEEN,
)
TAGS = np.eye(3, DIM, dtype=np.float32)
channels = vr.channels


def lists(found: vr.SearchResult | vr.MergeResult) -> list[Any]:
    return [found.ids.tolist(), found.scores.tolist(), found.counts.tolist()]


def ragged(found: Any) -> list[Any]:
    return [row.tolist() for rows in (found.ids, found.scores) for row in rows]


def assert_same(found: Any, expected: vr.SearchResult) -> None:
    assert_same_bits(found, expected.ids, expected.scores, expected.counts)


READS: dict[str, Callable[[Any], Any]] = {
    "search": lambda x: lists(x.search(QUERIES, K, exclude=SEEN, min_score=-1.0, threads=1)),
    "one query": lambda x: lists(x.search(QUERIES[0], K)),
    "invalid": lambda x: lists(x.search(np.full((1, DIM), np.nan), K, invalid="empty")),
    "allow": lambda x: lists(x.search(QUERIES, K, allow=[40, 50, 59])),
    "mask": lambda x: lists(x.search(QUERIES, K, allow=~x.mask({40, 50, 59}))),
    "masks": lambda x: lists(x.search(QUERIES, K, allow=[x.mask([i, 50]) for i in range(32, 36)])),
    "search_above": lambda x: ragged(
        x.search_above(QUERIES, -0.5, limit=9, exclude=SEEN, allow=x.mask(range(40)))
    ),
    "above, invalid": lambda x: ragged(
        x.search_above(np.full((1, DIM), np.nan), 0.0, invalid="empty", threads=2)
    ),
    "score": lambda x: x.score(QUERIES, [[40, 5], [], [59], [89]], threads=1).values.tolist(),
    "vectors": lambda x: x.vectors([40, 59]).tolist(),
    "contains": lambda x: x.contains([0, 40, 80, -3]).tolist(),
    "in": lambda x: [0 in x, 40 in x, 89 in x, "a" in x],
    "ids": lambda x: x.ids.tolist(),
    "skipped": lambda x: x.skipped.tolist(),
    "about": lambda x: [x.dim, x.metric, len(x), bool(x)],
    "neighbors": lambda x: ragged(x.neighbors(3, min_score=-2.0)),
    "NeighborTable": lambda x: [
        ragged(table := vr.NeighborTable.build(x, 3)), table.items.tolist()
    ],
    "UserToItem": lambda x: lists(channels.UserToItem(x, vector="user").recall(BATCH, K)),
    "user2vec": lambda x: lists(channels.UserToItem(x, tag_table=TAGS).recall(BATCH, K)),
    "CrossTag": lambda x: lists(channels.CrossTag(x, TAGS).recall(BATCH, K)),
    "LiveNeighbors": lambda x: lists(
        channels.ItemToItem(channels.LiveNeighbors(x, n_neighbors=5)).recall(BATCH, K)
    ),
    "LiveNeighbors of a table": lambda x: lists(
        channels.ItemToItem(
            channels.LiveNeighbors(x, vectors=QUERIES, ids=[40, 1, 33, 89])
        ).recall(BATCH, K)
    ),
    "ItemToItem": lambda x: lists(
        channels.ItemToItem(vr.NeighborTable.build(x, 4)).recall(BATCH, K)
    ),
    "ClusterCandidates": lambda x: lists(
        channels.ClusterCandidates(x, QUERIES).recall(vr.RequestBatch(clusters=[[0, 2], [-1]]), K)
    ),
    "Recaller": lambda x: lists(
        vr.Recaller({"a": channels.UserToItem(x, vector="user")}, vr.policies.RRF()).recall(
            BATCH, K
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", list(VERSIONS))
def test_reads_are_those_of_the_version(tmp_path: Path, metric: Metric, kind: str) -> None:
    VERSIONS[kind](0, metric).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    for number in range(3):
        VERSIONS[kind](number, metric).save(tmp_path)
        assert served.refresh()
        assert type(served.index).__name__ == kind
        for name, read in READS.items():
            assert read(served) == read(version(number, metric)), name


@pytest.mark.parametrize("metric", METRICS)
def test_lists_stand_in_for_a_flat_index(metric: Metric) -> None:
    """In channels, a `Recaller` and tables of neighbors, without a `ReloadingIndex` between."""
    for name, read in READS.items():
        assert read(version_in_lists(1, metric)) == read(version(1, metric)), name


def test_lists_take_the_place_of_a_flat_index(tmp_path: Path) -> None:
    """Where the folder of the other kind was removed first; masks hold all the same."""
    version(0).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    mask = served.mask(range(20, 50))
    for number, make in enumerate([version_in_lists, version, version_in_lists]):
        shutil.rmtree(tmp_path)
        make(number).save(tmp_path)
        assert served.refresh()
        expected = version(number).search(QUERIES, K, allow=np.arange(20, 50))
        assert_same(served.search(QUERIES, K, allow=mask), expected)


def test_channels_follow(tmp_path: Path) -> None:
    """Channels that keep the index, and do not only read it when made, have the new version."""
    version(0).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    made = {
        "user": lambda x: channels.UserToItem(x, vector="user"),
        "tags": lambda x: channels.CrossTag(x, TAGS),
        "live": lambda x: channels.ItemToItem(channels.LiveNeighbors(x)),
    }
    kept = {name: make(served) for name, make in made.items()}
    for number in range(3):
        flat = version(number)
        flat.save(tmp_path)
        served.refresh()
        for name, channel in kept.items():
            assert lists(channel.recall(BATCH, K)) == lists(made[name](flat).recall(BATCH, K))


def test_masks_hold_in_every_version(tmp_path: Path) -> None:
    version(0).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    first = served.index
    wanted = np.arange(20, 70)
    masks = [served.mask(wanted), first.mask(wanted)]
    queries = QUERIES[:1]
    for number in range(4):
        flat = version(number)
        flat.save(tmp_path)
        served.refresh()
        masks.append(served.mask(wanted))
        odd = served.mask([41, 43])
        for mask in masks:
            expected = flat.search(queries, N, allow=wanted)
            assert_same(served.search(queries, N, allow=mask), expected)
            assert_same(served.index.search(queries, N, allow=mask), expected)
            above = served.search_above(queries, -np.inf, allow=[mask])
            assert above.ids[0].tolist() == expected.ids[0, : expected.counts[0]].tolist()
            # And in combination with those of other versions, also in the first one.
            both = served.search(queries, N, allow=mask & ~odd)
            assert_same(both, flat.search(queries, N, allow=np.setdiff1d(wanted, [41, 43])))
            before = first.search(queries, N, allow=mask)
            assert_same(before, version(0).search(queries, N, allow=wanted))


def test_masks_of_others_are_refused(tmp_path: Path) -> None:
    version(0).save(tmp_path)
    one, other = vr.ReloadingIndex(tmp_path), vr.ReloadingIndex(tmp_path)
    for mask in (other.mask([1]), version(0).mask([1]), vr.FlatIndex.load(tmp_path).mask([1])):
        with pytest.raises(ValueError, match=r"^allow: expected a mask of this index"):
            one.search(QUERIES, K, allow=mask)
        with pytest.raises(ValueError, match=r"^mask: expected two masks of one index"):
            one.mask([1]) & mask
    with pytest.raises(ValueError, match=r"^allow: expected a mask of this index"):
        version(0).search(QUERIES, K, allow=one.mask([1]))


def test_what_a_loader_returns_keeps_its_own_masks(tmp_path: Path) -> None:
    flat = version(0)
    flat.save(tmp_path)
    own = flat.mask([1])
    served = vr.ReloadingIndex(tmp_path, load=lambda path, **options: flat)
    assert flat.search(QUERIES, K, allow=own).counts.tolist() == [1] * 4
    assert served.search(QUERIES, K, allow=served.mask([1])).counts.tolist() == [1] * 4
    flat.add(QUERIES[:1])  # what it serves is this index
    assert N in served


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("add", (QUERIES,)), ("add", (QUERIES, [1, 2, 3, 4])), ("update", (QUERIES, [1, 2, 3, 4])),
        ("remove", ([1],)), ("compact", ()), ("save", ("elsewhere",)), ("add", ()),
    ],
)  # fmt: skip
def test_it_is_read_only(tmp_path: Path, method: str, arguments: Any) -> None:
    version(0).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    with pytest.raises(TypeError) as caught:
        getattr(served, method)(*arguments)
    message = str(caught.value)
    assert message.startswith(f"{method}: expected ")
    for part in ("read-only", "FlatIndex", "save(", str(tmp_path), "refresh"):
        assert part in message
    assert lists(served.search(QUERIES, K)) == lists(version(0).search(QUERIES, K))


def test_vectors_of_a_wrapped_index(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss", reason="needs an index to wrap")
    flat = version(0, "l2")
    flat.save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    library = faiss.index_factory(DIM, "IDMap,HNSW8")
    library.add_with_ids(flat.vectors(flat.ids), flat.ids)
    wrapped = vr.wrap(library, vectors=served)
    before = wrapped.search(QUERIES, K)
    assert_same(before, vr.wrap(library, vectors=flat).search(QUERIES, K))
    tuned = vr.tune(library, QUERIES, K, 0.9, vectors=served)
    assert tuned.setting == vr.tune(library, QUERIES, K, 0.9, vectors=flat).setting
    version(1, "l2").save(tmp_path)
    assert served.refresh()
    assert_same(wrapped.search(QUERIES, K), before)  # it is taken as it was
    with pytest.raises(ValueError, match=r"^vectors: expected an index of the same ids"):
        vr.wrap(library, vectors=served)


def test_indexes_of_other_libraries_are_made_of_it(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="makes its index")
    from vecrecall.adapters import faiss as adapter

    flat = version(0, "l2")
    flat.save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    made, expected = adapter.to_faiss(served), adapter.to_faiss(flat)
    np.testing.assert_array_equal(made.search(QUERIES, K)[1], expected.search(QUERIES, K)[1])
    with pytest.raises(TypeError, match=r"^index: expected a FlatIndex, got list"):
        adapter.to_faiss([1])  # type: ignore[arg-type]


def test_each_call_reads_one_version(tmp_path: Path) -> None:
    """Versions have other ids and vectors of other scales; no answer may mix them."""
    unit = np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)

    def scaled(number: int) -> vr.FlatIndex:
        return vr.FlatIndex(unit * np.float32(2.0**number), np.arange(N), metric="l2")

    last = 25
    versions = [scaled(number) for number in range(last + 1)]
    tables = [ragged(index.neighbors(3)) for index in versions]
    live = [
        lists(channels.ItemToItem(channels.LiveNeighbors(index, n_neighbors=4)).recall(BATCH, K))
        for index in versions
    ]
    versions[0].save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    channel = channels.ItemToItem(channels.LiveNeighbors(served, n_neighbors=4))
    stop = threading.Event()

    def read() -> int:
        rounds = 0
        while not stop.is_set():
            table = vr.NeighborTable.build(served, 3)
            assert ragged(table) in tables
            assert lists(channel.recall(BATCH, K)) in live
            rows = served.vectors(np.arange(N))
            assert any(np.array_equal(rows, unit * np.float32(2.0**n)) for n in range(last + 1))
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for index in versions[1:]:
                index.save(tmp_path)
                assert served.refresh()
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert_same_float32(served.vectors([3]), versions[last].vectors([3]))
