"""`search_above`: every item that reaches a score, in the order and with the bits of `search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_float32, forced_isa
from datasets import HARD

import vecrecall as vr

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
NQ = 5


def assert_rows(found: vr.AboveResult, ids: Sequence[I64], scores: Sequence[F32]) -> None:
    """The same rows, bit for bit."""
    offsets = np.cumsum([0, *(len(row) for row in ids)])
    assert found.ids.values.dtype == np.int64
    np.testing.assert_array_equal(found.ids.offsets, offsets)
    np.testing.assert_array_equal(found.scores.offsets, offsets)
    np.testing.assert_array_equal(found.ids.values, np.concatenate([*ids, np.empty(0, np.int64)]))
    assert_same_float32(found.scores.values, np.concatenate([*scores, np.empty(0, np.float32)]))


def assert_above(
    found: vr.AboveResult,
    matrix: F32,
    ids: I64,
    floors: float | F64,
    limit: int | None = None,
    keep: Bool | None = None,
) -> None:
    """The lists of a score matrix; `keep` (nq, n) are the items that a query may get."""
    reached = matrix.astype(np.float64) >= np.broadcast_to(floors, len(matrix))[:, None]
    if keep is not None:
        reached &= keep
    most = len(ids) if limit is None else limit
    places = [
        reference.best(row, ids, mine, most) for row, mine in zip(matrix, reached, strict=True)
    ]
    assert_rows(
        found,
        [ids[at] for at in places],
        [row[at] for row, at in zip(matrix, places, strict=True)],
    )


def floors_of(matrix: F32) -> list[float]:
    """Scores that items have, their neighbors on both sides, between floats, and beyond all."""
    flat = np.sort(matrix, axis=None)
    some = {float(flat[int(share * (len(flat) - 1))]) for share in (0, 0.5, 0.99, 1)}
    floors = {-np.inf, -1e39, 0.0, 1e39, np.inf, *some}  # 1e39 is no float32
    for value in some:
        floors |= {float(np.nextafter(value, side)) for side in (-np.inf, np.inf)}
        floors.add(float(np.nextafter(np.float32(value), np.float32(np.inf))))
    return sorted(floors)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", HARD)
def test_hard_data(kind: str, metric: Metric, rng: np.random.Generator, isa: str) -> None:
    """Ties at the score itself, one unit next to it, infinities, values beyond all bounds."""
    n = 2300
    queries, items = HARD[kind](rng, NQ, n, 12)
    ids = rng.permutation(3 * n)[:n].astype(np.int64)
    matrix = reference.scores(queries, items, metric)
    index = vr.FlatIndex(items, ids, metric=metric)
    for floor in floors_of(matrix):
        for limit in (None, 1, 40):
            found = index.search_above(queries, floor, limit=limit, threads=2)
            assert_above(found, matrix, ids, floor, limit)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["gaussian", "grid", "equal_rows", "rising_norms"])
def test_many_blocks(
    kind: str, metric: Metric, rng: np.random.Generator, isa: str, threads: int
) -> None:
    """Lists of no item to all of them, over blocks that several threads share."""
    n = 7 * 2048 + 100
    queries, items = HARD[kind](rng, NQ, n, 8)
    bias = rng.standard_normal(n).astype(np.float32)
    ids = rng.permutation(n).astype(np.int64)
    matrix = reference.scores(queries, items, metric, bias)
    index = vr.FlatIndex(items, ids, metric=metric, bias=bias)
    floors = np.sort(matrix, axis=1)[range(NQ), [0, n // 2, n - 9, n - 1, n - 1]].astype(np.float64)
    floors[4] = np.nextafter(floors[4], np.inf)
    for limit in (None, 1, 3, 100, 5000, n, 2**63):
        found = index.search_above(queries, floors, limit=limit, threads=threads)
        assert_above(found, matrix, ids, floors, limit)
    assert len(index.search_above(queries, -np.inf).ids.values) == NQ * n


def test_many_queries(rng: np.random.Generator, threads: int) -> None:
    """Several tiles of queries over few blocks and over many; each answer is that of one alone."""
    for n, floor in ((50, 1.0), (40_000, 9.0)):
        items = rng.standard_normal((n, 4), dtype=np.float32)
        queries = rng.standard_normal((1100, 4), dtype=np.float32)
        index = vr.FlatIndex(items)
        found = index.search_above(queries, floor, threads=threads)
        lists = index.search(queries, 5000, min_score=floor)
        assert 0 < lists.counts.max() < 5000
        rows = [slice(0, count) for count in lists.counts]
        assert_rows(
            found,
            [row[part] for row, part in zip(lists.ids, rows, strict=True)],
            [row[part] for row, part in zip(lists.scores, rows, strict=True)],
        )


def test_more_than_is_held_at_once(rng: np.random.Generator, threads: int) -> None:
    """Waves of queries end earlier where 2^21 entries would be exceeded, also by a single list.

    The first query alone has more than that; most others have a third of it, some nothing.
    """
    n = 2**21 + 5000
    items = rng.standard_normal((n, 1), dtype=np.float32)
    queries = np.ones((12, 1), np.float32)
    row = np.sort(items[:, 0])
    floors = np.full(12, row[-n // 3], np.float64)
    floors[0], floors[3], floors[7] = -np.inf, np.inf, row[-2]
    index = vr.FlatIndex(items)
    found = index.search_above(queries, floors, threads=threads)
    order = np.lexsort((np.arange(n), -items[:, 0]))
    lengths = (items[:, 0].astype(np.float64) >= floors[:, None]).sum(axis=1)
    np.testing.assert_array_equal(found.ids.lengths, lengths)
    for ids, scores, length in zip(found.ids, found.scores, lengths, strict=True):
        np.testing.assert_array_equal(ids, order[:length])
        assert_same_float32(scores, items[order[:length], 0] + np.float32(0))


@pytest.mark.parametrize("kind", ["gaussian", "grid"])
@pytest.mark.parametrize("metric", METRICS)
def test_filters(
    metric: Metric, kind: str, rng: np.random.Generator, isa: str, threads: int
) -> None:
    n = 5000
    queries, items = HARD[kind](rng, NQ, n, 6)
    ids = rng.permutation(2 * n)[:n].astype(np.int64)
    index = vr.FlatIndex(items, ids, metric=metric)
    matrix = reference.scores(queries, items, metric)
    floor = float(np.median(matrix))
    exclude = [[*rng.choice(ids, 50 * i).tolist(), 3 * n] for i in range(NQ)]
    allowed = [rng.choice(ids, size, replace=False) for size in (0, 1, 20, 2500, n)]
    unseen = np.array([~np.isin(ids, row) for row in exclude])
    may = np.array([np.isin(ids, row) for row in allowed])
    masks = [index.mask(row) for row in allowed]
    for limit in (None, 7):
        common: dict[str, Any] = {"limit": limit, "threads": threads}
        found = index.search_above(queries, floor, exclude=exclude, **common)
        assert_above(found, matrix, ids, floor, limit, unseen)
        found = index.search_above(queries, floor, allow=masks, exclude=exclude, **common)
        assert_above(found, matrix, ids, floor, limit, may & unseen)
        found = index.search_above(queries, floor, allow=allowed[3], **common)
        assert_above(found, matrix, ids, floor, limit, np.tile(may[3], (NQ, 1)))
        found = index.search_above(queries, floor, allow=~masks[3], **common)
        assert_above(found, matrix, ids, floor, limit, np.tile(~may[3], (NQ, 1)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("copy", [True, False])
def test_updates_and_saved_ones(
    metric: Metric, copy: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Items that were added, replaced and removed; what is loaded, mapped or not."""
    n = 4000
    queries, items = HARD["lognormal_norms"](rng, NQ, n, 6)
    _, more = HARD["gaussian"](rng, NQ, 3000, 6)
    index = vr.FlatIndex(items, metric=metric, copy=copy)
    before = index.search_above(queries, -np.inf)
    index.add(more[:1500], np.arange(n, n + 1500), bias=np.ones(1500))
    index.update(more[1500:], np.arange(0, 3000, 2))
    index.remove(np.arange(1, 2001, 10))
    assert_above(before, reference.scores(queries, items, metric), np.arange(n), -np.inf)
    now = np.concatenate([items, more[:1500]])
    now[0:3000:2] = more[1500:]
    bias = np.repeat([0, 1], [n, 1500]).astype(np.float32)
    live = ~np.isin(np.arange(len(now)), np.arange(1, 2001, 10))
    matrix = reference.scores(queries, now[live], metric, bias[live])
    ids = np.flatnonzero(live)
    floor = float(np.quantile(matrix, 0.9))
    assert_above(index.search_above(queries, floor), matrix, ids, floor)
    assert_above(index.search_above(queries, -np.inf, limit=9), matrix, ids, -np.inf, 9)
    index.save(tmp_path / "index")
    for mmap in (True, False):
        loaded = vr.FlatIndex.load(tmp_path / "index", mmap=mmap)
        assert_above(loaded.search_above(queries, floor), matrix, ids, floor)
    with vr.ReloadingIndex(tmp_path / "index") as served:
        assert_above(served.search_above(queries, floor, limit=3), matrix, ids, floor, 3)


def test_one_answer_everywhere(rng: np.random.Generator) -> None:
    """Instruction sets, threads, batches and limits give the same rows."""
    queries, items = HARD["common_offset"](rng, 70, 9000, 16)
    index = vr.FlatIndex(items, metric="l2")
    floor = float(np.median(index.search(queries, 500).scores[:, -1]))
    wanted = index.search_above(queries, floor)
    assert wanted.ids.lengths.min() == 0 or wanted.ids.lengths.max() > 500
    for name in vr.available_isas():
        with forced_isa(name):
            for count in (1, 3):
                found = index.search_above(queries, floor, threads=count)
                assert_rows(found, list(wanted.ids), list(wanted.scores))
    alone = [index.search_above(queries[i : i + 1], floor) for i in range(70)]
    assert_rows(
        wanted,
        [one.ids.values for one in alone],
        [one.scores.values for one in alone],
    )
    best = index.search_above(queries, floor, limit=20)
    assert_rows(best, [row[:20] for row in wanted.ids], [row[:20] for row in wanted.scores])


def test_nothing_to_find() -> None:
    some = np.eye(3, dtype=np.float32)
    index = vr.FlatIndex(some)
    empty = vr.FlatIndex(np.empty((0, 3), np.float32))
    assert empty.search_above(some, -np.inf).ids.offsets.tolist() == [0] * 4
    none = index.search_above(some[:0], 0.5)
    assert none.ids.offsets.tolist() == none.scores.offsets.tolist() == [0]
    assert index.search_above(some[:0], np.empty(0)).ids.values.size == 0
    assert index.search_above(some, 1.5).scores.values.dtype == np.float32
    index.remove([0, 1, 2])
    assert index.search_above(some, -np.inf).ids.values.size == 0


def test_queries_without_an_answer() -> None:
    """Zero queries under cosine, and those that are not finite where that is asked for."""
    items = np.eye(3, dtype=np.float32)
    queries = np.array([[1, 0, 0], [0, 0, 0], [np.nan, 0, 0], [0, 1, 0]], np.float32)
    index = vr.FlatIndex(items, metric="cosine")
    with pytest.raises(ValueError, match=r"queries: .* row 2"):
        index.search_above(queries, 0.5)
    found = index.search_above(
        queries,
        [0.5, -1.0, -1.0, 0.0],
        exclude=[[], [], [], [2]],
        allow=[index.mask([0, 1, 2])] * 3 + [index.mask([1, 2])],
        invalid="empty",
    )
    assert [row.tolist() for row in found.ids] == [[0], [], [], [1]]
    assert [row.tolist() for row in found.scores] == [[1.0], [], [], [1.0]]


def test_results_are_arrays_of_their_own() -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    found = index.search_above(np.ones((2, 3), np.float32), 0.0)
    del index
    found.scores.values[0] = 7.0
    assert found.scores.values.tolist() == [7.0, 1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        found.ids.offsets[0] = 1


def test_one_query() -> None:
    index = vr.FlatIndex(np.eye(4, dtype=np.float32))
    found = index.search_above(np.ones(4, np.float32), 1.0, limit=2)
    assert [row.tolist() for row in found.ids] == [[0, 1]]
