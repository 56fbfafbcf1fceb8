"""The oracle against scalar loops, exact fractions and values worked out by hand."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import reference
from datasets import HARD

F32 = npt.NDArray[np.float32]
METRICS = ["ip", "l2", "cosine"]
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64, 70]


def lane_sum(terms: Sequence[float]) -> float:
    """The promised order, one Python float at a time."""
    a = [0.0] * 8
    for j, term in enumerate(terms):
        a[j % 8] += term
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))


def naive_score(query: F32, item: F32, metric: str, bias: float) -> float:
    """One score by scalar code; C's conversion to float does the rounding."""
    q = [float(v) for v in query]
    x = [float(v) for v in item]
    if metric == "l2":
        score = 0.0 - lane_sum([(a - b) * (a - b) for a, b in zip(q, x, strict=True)])
    else:
        score = lane_sum([a * b for a, b in zip(q, x, strict=True)])
    if metric == "cosine":
        score /= math.sqrt(lane_sum([a * a for a in q])) * math.sqrt(lane_sum([b * b for b in x]))
    return ctypes.c_float(score + bias).value + 0.0


def wide_range(rng: np.random.Generator, n: int, d: int) -> F32:
    """Values from denormal to nearly the largest, so that every order of sums differs."""
    powers = rng.uniform(-148, 126, (n, d))
    return (rng.standard_normal((n, d)) * np.exp2(powers)).clip(-3e38, 3e38).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", WIDTHS)
def test_scores_equal_scalar_loops(d: int, metric: str) -> None:
    rng = np.random.default_rng(d)
    plain = rng.standard_normal((4, d)).astype(np.float32)
    wide = wide_range(rng, 4, d)
    wide[:, 0] = 1.0  # no zero rows: they have no cosine
    queries = np.concatenate([plain, wide])
    items = np.concatenate([wide[::-1], plain[::-1], plain + plain])
    bias = rng.standard_normal(len(items)).astype(np.float32)
    for weights in (None, bias):
        got = reference.scores(queries, items, metric, weights)
        added = np.zeros(len(items)) if weights is None else weights
        expected = [
            [naive_score(q, x, metric, float(b)) for x, b in zip(items, added, strict=True)]
            for q in queries
        ]
        expected32 = np.array(expected).astype(np.float32)
        np.testing.assert_array_equal(got.view(np.uint32), expected32.view(np.uint32))


def test_chunks_of_items_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    n = reference.STEP + 3
    items = rng.standard_normal((n, 3)).astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    for metric in METRICS:
        whole = reference.scores(items[:1], items, metric, bias)
        tail = reference.scores(items[:1], items[-5:], metric, bias[-5:])
        np.testing.assert_array_equal(whole[:, -5:].view(np.uint32), tail.view(np.uint32))


def test_the_fold_is_the_promised_one() -> None:
    big = 2.0**53  # big + 1 is big: who is added to whom shows
    columns = np.array([[big], [1.0], [1.0], [1.0], [-big], [1.0], [1.0], [1.0]])
    ones = np.ones(8)
    # (big - big) + (1 + 1) + (1 + 1) + (1 + 1): nothing is lost only in this order
    assert reference.products(ones, columns)[0] == 6.0
    columns = np.array([[big], [1.0], [-big], [1.0], [1.0], [1.0], [1.0], [1.0]])
    # (big + 1) + (-big + 1) = big + -(big - 1) = 1, and 4 more
    assert reference.products(ones, columns)[0] == 5.0


def test_lanes_repeat_every_eight() -> None:
    big = 2.0**53
    columns = np.zeros((17, 1))
    columns[0], columns[8], columns[16] = big, 1.0, -big  # one lane: the 1 is lost
    assert reference.products(np.ones(17), columns)[0] == 0.0
    columns[8], columns[9] = 0.0, 1.0  # another lane: it is not
    assert reference.products(np.ones(17), columns)[0] == 1.0


def test_products_of_float32_are_exact_in_float64() -> None:
    rng = np.random.default_rng(2)
    values = [float(v) for v in wide_range(rng, 1, 60)[0]]
    for a in values:
        for b in values:
            assert Fraction(a * b) == Fraction(a) * Fraction(b)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (-0.0, 0),
        (-1e-60, 0),
        (1e-60, 0),
        (1e-45, 1),
        (-1e-45, 0x80000001),
        (1e39, 0x7F800000),
        (-1e39, 0xFF800000),
        (1 + 2.0**-24, 0x3F800000),
        (1 + 3 * 2.0**-24, 0x3F800002),
        (1 + 2.0**-24 + 2.0**-50, 0x3F800001),
    ],
)
def test_rounding(value: float, bits: int) -> None:
    assert reference.to_float32(np.array([value])).view(np.uint32)[0] == bits


def test_order_is_score_then_id() -> None:
    rng = np.random.default_rng(3)
    row = rng.integers(-3, 4, 200).astype(np.float32)
    row[::17], row[::19] = np.inf, -np.inf
    ids = rng.permutation(1000)[:200].astype(np.int64)
    found = reference.select(row[None, :], ids, 250)
    expected = sorted(zip((-row).tolist(), ids.tolist(), strict=True))
    assert found.ids[0, :200].tolist() == [item for _, item in expected]
    assert found.scores[0, :200].tolist() == [-minus for minus, _ in expected]
    assert found.ids[0, 200:].tolist() == [-1] * 50
    assert found.scores[0, 200:].tolist() == [-math.inf] * 50
    assert found.counts.tolist() == [200]


def test_filters_by_hand() -> None:
    items = np.array([[4], [3], [2], [2], [0], [np.nan]], np.float32)
    queries = np.array([[1], [1], [np.inf]], np.float32)
    ids = np.array([50, 40, 30, 20, 10, 0], np.int64)
    found = reference.search(
        queries, items, 3, ids=ids, exclude=[[50, 999], [], []], allow=[[10, 20, 30, 50], ids, ids]
    )
    assert found.ids.tolist() == [[20, 30, 10], [50, 40, 20], [-1, -1, -1]]
    assert found.scores[0].tolist() == [2, 2, 0]
    assert found.counts.tolist() == [3, 3, 0]
    found = reference.search(queries[:1], items, 5, ids=ids, min_score=2.0)
    assert found.ids.tolist() == [[50, 40, 20, 30, -1]]
    found = reference.search(queries[:1], items, 5, ids=ids, min_score=2.0000000001)
    assert found.ids.tolist() == [[50, 40, -1, -1, -1]]
    found = reference.search(queries[:1] * 0, items, 5, ids=ids, metric="cosine")
    assert found.counts.tolist() == [0]
    found = reference.search(queries[:1], items, 6, ids=ids, metric="cosine")
    assert found.ids.tolist() == [[20, 30, 40, 50, -1, -1]]


def test_pool_by_hand() -> None:
    table = np.array([[1, -2], [3, 4], [0.5, 8]], np.float32)
    rows = [[0, -1, 1, 2], [], [-1], [2]]
    assert reference.pool(table, rows).tolist() == [[4.5, 10], [0, 0], [0, 0], [0.5, 8]]
    assert reference.pool(table, rows, first=2)[0].tolist() == [4, 2]
    assert reference.pool(table, rows, mode="max")[0].tolist() == [3, 8]
    weights = [[2.0, 9.0, -1.0, 3.0], [], [1.0], [0.0]]
    assert reference.pool(table, rows, weights)[0].tolist() == [0.5, 16]
    mean = reference.pool(table, rows, weights, mode="mean")
    assert mean.tolist() == [[0.125, 4], [0, 0], [0, 0], [0, 0]]
    assert reference.pool(table, [[1], []], normalize=True)[0] == pytest.approx([0.6, 0.8])


def test_merges_by_hand() -> None:
    inf = math.inf
    left = reference.Lists(
        np.array([[7, 1, -1]]),
        np.array([[2, -inf, -inf]], np.float32),
        np.array([2], np.int32),
    )
    right = reference.Lists(
        np.array([[3, 9]]), np.array([[2, 1]], np.float32), np.array([2], np.int32)
    )
    found = reference.merge_shards([left, right], 5)
    assert found.ids.tolist() == [[3, 7, 9, 1, -1]]
    assert found.counts.tolist() == [4]

    rows = reference.Lists(
        np.array([[5, 6], [6, 5], [8, -1]]),
        np.array([[3, 1], [4, 3], [5, -inf]], np.float32),
        np.array([2, 2, 1], np.int32),
    )
    top = reference.merge_groups(rows, [0, 2, 2, 3], 3, "max")
    assert top.ids.tolist() == [[6, 5, -1], [-1, -1, -1], [8, -1, -1]]
    assert top.scores[0].tolist() == [4, 3, -inf]
    assert top.counts.tolist() == [2, 0, 1]
    assert top.n_rows.tolist() == [[2, 2, 0], [0, 0, 0], [1, 0, 0]]
    assert top.best_row.tolist() == [[1, 0, -1], [-1, -1, -1], [2, -1, -1]]
    total = reference.merge_groups(rows, [0, 2, 2, 3], 1, "sum")
    assert total.ids.tolist() == [[5], [-1], [8]]
    assert total.scores[:, 0].tolist() == [6, -inf, 5]
    assert total.best_row[0].tolist() == [0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "name", ["gaussian", "lognormal_norms", "grid", "one_ulp", "common_offset"]
)
def test_search_many_equals_search(name: str, metric: str) -> None:
    rng = np.random.default_rng(8)
    queries, items = HARD[name](rng, 5, 3000, 11)
    bias = rng.integers(-2, 3, 3000).astype(np.float32)
    keep = rng.random((5, 3000)) < 0.4
    keep[1, 20:] = False  # fewer than k
    allow = [np.flatnonzero(row).tolist() for row in keep]
    for weights in (None, bias):
        for k in (1, 40, 3000):
            expected = reference.search(queries, items, k, metric=metric, bias=weights, allow=allow)
            limit = float(expected.scores[0, min(k, 7) - 1])
            found = reference.search_many(queries, items, k, metric=metric, bias=weights, keep=keep)
            np.testing.assert_equal(found, expected)
            expected = reference.search(
                queries, items, k, metric=metric, bias=weights, allow=allow, min_score=limit
            )
            found = reference.search_many(
                queries, items, k, metric=metric, bias=weights, keep=keep, min_score=limit
            )
            np.testing.assert_equal(found, expected)
