"""`exclude`, `allow`, `min_score` and `invalid`: lists are filtered, never shortened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_bits
from datasets import HARD

import vecrecall as vr

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
N, NQ = 4200, 7


@dataclass(frozen=True)
class Case:
    index: vr.FlatIndex
    queries: F32
    items: F32
    ids: I64
    metric: Metric

    def expected(self, k: int, **filters: Any) -> reference.Lists:
        return reference.search(
            self.queries, self.items, k, ids=self.ids, metric=self.metric, **filters
        )


@pytest.fixture(params=["gaussian", "grid", "duplicate_blocks"])
def case(request: pytest.FixtureRequest, rng: np.random.Generator, isa: str) -> Case:
    queries, items = HARD[request.param](rng, NQ, N, 6)
    ids = rng.permutation(3 * N)[:N].astype(np.int64)
    return Case(vr.FlatIndex(items, ids), queries, items, ids, "ip")


def best_ids(case: Case, count: int) -> I64:
    """The ids that would be found first, so that leaving them out matters."""
    found: I64 = case.index.search(case.queries, count).ids
    return found


def test_exclude_leaves_lists_full(case: Case, threads: int) -> None:
    exclude = best_ids(case, 60)[:, ::2].tolist()
    expected = case.expected(50, exclude=exclude)
    assert expected.counts.tolist() == [50] * NQ
    assert_same_bits(
        case.index.search(case.queries, 50, exclude=exclude, threads=threads), *expected
    )


def test_exclude_in_every_form(case: Case, rng: np.random.Generator) -> None:
    best = best_ids(case, 40)
    lists = [best[i, : 6 * i].tolist() for i in range(NQ)]
    expected = case.expected(20, exclude=lists)
    flat = np.array([item for row in lists for item in row], np.int64)
    forms: list[Any] = [
        lists,
        tuple(tuple(row) for row in lists),
        [np.array(row, np.int64) for row in lists],
        [np.array(row, np.int32) for row in lists],
        vr.Ragged.from_lists(lists),
        vr.Ragged(flat, np.cumsum([0] + [len(row) for row in lists])),
        [rng.permutation(row * 3) if row else [] for row in lists],
        [[*row, -1, 3 * N, 2**63 - 1, -(2**63)] for row in lists],
    ]
    for form in forms:
        assert_same_bits(case.index.search(case.queries, 20, exclude=form), *expected)


def test_exclude_nothing(case: Case) -> None:
    expected = case.expected(20)
    nothing: list[list[int]] = [[] for _ in range(NQ)]
    assert_same_bits(case.index.search(case.queries, 20, exclude=nothing), *expected)
    unknown = [[3 * N + 5]] * NQ
    assert_same_bits(case.index.search(case.queries, 20, exclude=unknown), *expected)


def test_exclude_everything_or_all_but_one(case: Case) -> None:
    everything = case.ids.tolist()
    exclude = [everything, everything[1:], [], everything, [], everything[:-1], everything]
    expected = case.expected(5, exclude=exclude)
    assert expected.counts.tolist() == [0, 1, 5, 0, 5, 1, 0]
    assert_same_bits(case.index.search(case.queries, 5, exclude=exclude), *expected)


def test_exclude_more_than_a_buffer_holds(case: Case) -> None:
    exclude = best_ids(case, N - 10)
    expected = case.expected(N, exclude=list(exclude))
    assert expected.counts.tolist() == [10] * NQ
    assert_same_bits(case.index.search(case.queries, N, exclude=list(exclude)), *expected)


def test_exclude_the_item_itself(isa: str, rng: np.random.Generator) -> None:
    items = HARD["gaussian"](rng, 0, 300, 8)[1]
    own = [[i] for i in range(300)]
    found = vr.FlatIndex(items, metric="cosine").search(items, 9, exclude=own)
    assert_same_bits(found, *reference.search(items, items, 9, metric="cosine", exclude=own))


@pytest.mark.parametrize("size", [0, 1, 17, N // 2, N])
def test_allow_ids_or_mask(size: int, case: Case, threads: int, rng: np.random.Generator) -> None:
    allowed = rng.permutation(case.ids)[:size]
    expected = case.expected(30, allow=[allowed.tolist()] * NQ)
    noisy = np.concatenate([allowed, allowed[:5], [3 * N, 2**62]])
    for form in (allowed, noisy, case.index.mask(allowed), case.index.mask(noisy)):
        found = case.index.search(case.queries, 30, allow=form, threads=threads)
        assert_same_bits(found, *expected)


def test_allow_one_mask_a_query(case: Case, threads: int, rng: np.random.Generator) -> None:
    sets = [rng.permutation(case.ids)[: size * size] for size in range(0, 10 * NQ, 10)]
    expected = case.expected(30, allow=[s.tolist() for s in sets])
    masks = [case.index.mask(s) for s in sets]
    objects = np.empty(len(masks), object)
    objects[:] = masks
    for form in (masks, tuple(masks), deque(masks), objects):
        found = case.index.search(case.queries, 30, allow=form, threads=threads)
        assert_same_bits(found, *expected)


def test_mask_of_lists(case: Case) -> None:
    some = case.ids[:40].tolist()
    expected = case.expected(50, allow=[some] * NQ)
    assert_same_bits(case.index.search(case.queries, 50, allow=case.index.mask(some)), *expected)
    none = case.index.search(case.queries, 5, allow=case.index.mask([]))
    assert_same_bits(none, *reference.padded(NQ, 5))


Combine = Callable[[Any, Any, Any], Any]
COMBINATIONS: dict[str, Combine] = {
    "and": lambda a, b, every: a & b,
    "or": lambda a, b, every: a | b,
    "not": lambda a, b, every: every - a if isinstance(a, set) else ~a,
    "and not": lambda a, b, every: a - b if isinstance(a, set) else a & ~b,
    "neither": lambda a, b, every: every - (a | b) if isinstance(a, set) else ~(a | b),
    "either": lambda a, b, every: a ^ b if isinstance(a, set) else (a | b) & ~(a & b),
    "twice not": lambda a, b, every: a if isinstance(a, set) else ~~a,
    "nothing": lambda a, b, every: a - a if isinstance(a, set) else a & ~a,
    "everything": lambda a, b, every: every if isinstance(a, set) else b | ~b,
}


@pytest.mark.parametrize("combine", COMBINATIONS.values(), ids=COMBINATIONS)
def test_masks_combine(combine: Combine, case: Case, rng: np.random.Generator) -> None:
    a = set(rng.permutation(case.ids)[: N // 2].tolist())
    b = set(rng.permutation(case.ids)[: N // 3].tolist())
    every = set(case.ids.tolist())
    outside = [3 * N, 3 * N + 1]  # unknown ids stay out of every combination
    mask_a = case.index.mask([*a, *outside])
    mask_b = case.index.mask([*b, *outside])
    expected = case.expected(N, allow=[combine(a, b, every)] * NQ)
    found = case.index.search(case.queries, N, allow=combine(mask_a, mask_b, None))
    assert_same_bits(found, *expected)


def test_combining_leaves_the_parts_alone(case: Case) -> None:
    a, b = case.index.mask(case.ids[:100]), case.index.mask(case.ids[50:200])
    for combination in (a & b, a | b, ~a):
        case.index.search(case.queries, 5, allow=combination)
    expected = case.expected(200, allow=[case.ids[:100].tolist()] * NQ)
    assert_same_bits(case.index.search(case.queries, 200, allow=a), *expected)


def test_masks_of_two_indexes_do_not_mix() -> None:
    items = np.eye(4, dtype=np.float32)
    index, other = vr.FlatIndex(items), vr.FlatIndex(items)
    mine, foreign = index.mask([0, 1]), other.mask([0, 1])
    with pytest.raises(ValueError, match=r"index|mask"):
        mine & foreign
    with pytest.raises(ValueError, match=r"index|mask"):
        mine | foreign
    with pytest.raises(ValueError, match="allow"):
        index.search(items, 2, allow=foreign)
    with pytest.raises(ValueError, match="allow"):
        index.search(items, 2, allow=[mine, mine, foreign, mine])


@pytest.mark.parametrize("rows", [[[1], [2]], ([1], [2, 3]), [{1}, {2}], [np.array([1])] * 2])
def test_rows_of_ids_are_not_allowed(rows: Any) -> None:
    index = vr.FlatIndex(np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match=r"^allow: .* a sequence of masks, one per query .* rows"):
        index.search(np.eye(4, dtype=np.float32)[:2], 1, allow=rows)


def test_ids_that_are_a_row_or_text() -> None:
    index, queries = vr.FlatIndex(np.eye(4, dtype=np.float32)), np.eye(4, dtype=np.float32)[:2]
    with pytest.raises(TypeError, match=r"^exclude: .*, such as \[\[1, 2\]\], got int as row 0$"):
        index.search(queries, 1, exclude=[1, 2])
    with pytest.raises(TypeError, match=r"^ids: .* \(string keys: see vecrecall.Vocabulary\)$"):
        vr.FlatIndex(queries, ids=["a", "b"])


def test_a_mask_outlives_its_index() -> None:
    mask = vr.FlatIndex(np.eye(4, dtype=np.float32)).mask([0, 1])
    other = vr.FlatIndex(np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match="allow"):
        other.search(np.eye(4, dtype=np.float32), 2, allow=~mask)
    with pytest.raises(
        ValueError, match=r"^mask: expected masks of an index that is there, got of"
    ):
        _ = mask & mask


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "grid", "canceling", "overflowing", "vanishing"])
def test_min_score_at_the_boundary(
    name: str, metric: Metric, isa: str, rng: np.random.Generator
) -> None:
    queries, items = HARD[name](rng, 3, 2100, 9)
    matrix = reference.scores(queries, items, metric)
    index = vr.FlatIndex(items, metric=metric)
    ids = np.arange(len(items))
    for place in (0, 1, 20, 1000, 2099):
        score = float(np.sort(matrix[0])[::-1][place])
        above, below = np.nextafter(score, np.inf), np.nextafter(score, -np.inf)
        for limit in (score, above, below):
            keep = matrix.astype(np.float64) >= limit
            for k in (10, 2100):
                found = index.search(queries, k, min_score=float(limit))
                assert_same_bits(found, *reference.select(matrix, ids, k, keep))


@pytest.mark.parametrize(
    "limit", [-np.inf, np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 0, 1]
)
def test_min_score_of_every_size(limit: float, isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["overflowing"](rng, 3, 2100, 9)
    items[::5] = 0.0
    expected = reference.search(queries, items, 600, min_score=limit)
    found = vr.FlatIndex(items).search(queries, 600, min_score=limit)
    assert_same_bits(found, *expected)


def test_min_score_takes_numpy_scalars(case: Case) -> None:
    expected = case.expected(30, min_score=0.5)
    limits: list[Any] = [np.float32(0.5), np.float64(0.5), np.float16(0.5)]
    for limit in limits:
        assert_same_bits(case.index.search(case.queries, 30, min_score=limit), *expected)


@pytest.mark.parametrize("metric", METRICS)
def test_all_filters_together(
    metric: Metric, isa: str, threads: int, rng: np.random.Generator
) -> None:
    queries, items = HARD["lognormal_norms"](rng, NQ, N, 6)
    ids = rng.permutation(2 * N)[:N].astype(np.int64)
    bias = rng.standard_normal(N).astype(np.float32)
    case = Case(vr.FlatIndex(items, ids, metric=metric, bias=bias), queries, items, ids, metric)
    limit = float(np.median(case.expected(1000, bias=bias).scores))
    exclude = [rng.permutation(ids)[: 300 * i].tolist() for i in range(NQ)]
    sets = [rng.permutation(ids)[: N // 2].tolist() for _ in range(NQ)]
    for k in (1, 100, N):
        expected = case.expected(k, bias=bias, exclude=exclude, allow=sets, min_score=limit)
        found = case.index.search(
            queries,
            k,
            exclude=exclude,
            allow=[~~case.index.mask(s) for s in sets],
            min_score=limit,
            threads=threads,
        )
        assert_same_bits(found, *expected)


@pytest.mark.parametrize("metric", METRICS)
def test_invalid_queries_get_an_empty_list(
    metric: Metric, isa: str, rng: np.random.Generator
) -> None:
    queries, items = HARD["gaussian"](rng, 14, 2100, 9)
    queries[0, 0], queries[5, 8], queries[6, 3], queries[13, 4] = np.nan, np.inf, -np.inf, np.nan
    index = vr.FlatIndex(items, metric=metric)
    expected = reference.search(queries, items, 20, metric=metric)
    assert expected.counts.tolist() == [0, 20, 20, 20, 20, 0, 0, 20, 20, 20, 20, 20, 20, 0]
    wide = queries.astype(np.float64)
    for given in (queries, wide, queries.astype(">f4")):
        assert_same_bits(index.search(given, 20, invalid="empty"), *expected)


def test_zero_queries_have_no_cosine(isa: str, threads: int, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 9, 2100, 9)
    queries[::4] = 0.0
    queries[4] = -0.0
    queries[1] = 1e-45  # tiny, but it has a direction
    index = vr.FlatIndex(items, metric="cosine")
    expected = reference.search(queries, items, 20, metric="cosine")
    assert expected.counts.tolist() == [0, 20, 20, 20, 0, 20, 20, 20, 0]
    assert_same_bits(index.search(queries, 20, threads=threads), *expected)


@pytest.mark.parametrize("metric", METRICS)
def test_invalid_items_are_left_out(metric: Metric, isa: str, rng: np.random.Generator) -> None:
    rows = [0, 7, 64, 65, 2099] if metric == "cosine" else [0, 7, 2099]
    queries, items = HARD["gaussian"](rng, 5, 2100, 9)
    items[0, 3], items[7, 0], items[2099] = np.nan, np.inf, -np.inf
    items[64], items[65] = 0.0, -0.0
    bias = rng.standard_normal(2100).astype(np.float32)
    index = vr.FlatIndex(items, metric=metric, bias=bias, invalid="skip")
    assert sorted(np.asarray(index.skipped).tolist()) == rows
    assert len(index) == 2100 - len(rows)
    assert not any(row in index for row in rows)
    assert sorted(index.ids.tolist()) == sorted(set(range(2100)) - set(rows))
    expected = reference.search(queries, items, 2100, metric=metric, bias=bias)
    assert_same_bits(index.search(queries, 2100), *expected)


def test_invalid_items_keep_ids_and_rows_together(isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 5, 300, 9)
    items[::7, 2] = np.nan
    ids = rng.permutation(1000)[:300].astype(np.int64)
    index = vr.FlatIndex(items, ids, invalid="skip")
    expected = reference.search(queries, items, 300, ids=ids)
    assert_same_bits(index.search(queries, 300), *expected)
    kept = np.isfinite(items).all(axis=1)
    np.testing.assert_array_equal(index.vectors(ids[kept]), items[kept])


def test_all_items_invalid(isa: str) -> None:
    index = vr.FlatIndex(np.full((3, 2), np.nan), invalid="skip")
    assert len(index) == 0
    found = index.search(np.ones((2, 2)), 3)
    assert_same_bits(found, *reference.padded(2, 3))


def test_invalid_items_raise_by_default() -> None:
    items = np.ones((5, 3), np.float32)
    items[3] = 0.0
    with pytest.raises(ValueError, match=r"vectors.*\b3\b"):
        vr.FlatIndex(items, metric="cosine")
    assert len(vr.FlatIndex(items, metric="ip")) == 5
