"""`recall_at_k(k=)`, `hit_rate_at_k` and `ndcg_at_k` against loops and scikit-learn."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

Lists = list[list[int]]


def hit_rate(found: Lists, relevant: Lists, k: int | None) -> float:
    pairs = [(f[:k], {*r} - {-1}) for f, r in zip(found, relevant, strict=True) if {*r} - {-1}]
    return float(Fraction(sum(bool({*f} & r) for f, r in pairs), len(pairs)))


def recall(found: Lists, relevant: Lists, k: int | None) -> float:
    shares = [
        Fraction(len({*f[:k]} & {*r} - {-1}), len({*r} - {-1}))
        for f, r in zip(found, relevant, strict=True)
        if {*r} - {-1}
    ]
    return float(sum(shares, Fraction(0)) / len(shares))


def ndcg(found: Lists, gains: list[dict[int, float]], k: int | None) -> float:
    """The definition, a term at a time."""
    values = []
    for row, worth in zip(found, gains, strict=True):
        best = 0.0
        for place, gain in enumerate(sorted(worth.values(), reverse=True)[:k]):
            best += gain / math.log2(place + 2)
        if best == 0:
            continue
        total, seen = 0.0, set()
        for place, item in enumerate(row[:k]):
            if item not in seen:
                total += worth.get(item, 0.0) / math.log2(place + 2)
            seen.add(item)
        values.append(total / best)
    return sum(values) / len(values)


def close(value: float, n: int) -> Any:
    """Near a number from 0 to 1 that takes some `n` roundings: sums, quotients and a mean."""
    return pytest.approx(value, rel=0, abs=4 * n * 2.0**-53)


def draw(rng: np.random.Generator) -> tuple[Lists, Lists]:
    """Found lists with repeats and padding, and sets of relevant items, some of them empty."""
    rows = int(rng.integers(1, 9))
    found = [rng.integers(-1, 12, rng.integers(0, 10)).tolist() for _ in range(rows)]
    relevant = [rng.permutation(12)[: rng.integers(0, 7)].tolist() for _ in range(rows)]
    relevant[0] = relevant[0] or [3]
    return found, relevant


@pytest.mark.parametrize("k", [None, 1, 2, 5, 9, 10, 50, 2**70])
def test_the_definitions(rng: np.random.Generator, k: int | None) -> None:
    for _ in range(50):
        found, relevant = draw(rng)
        graded = [rng.integers(0, 4, len(row)).astype(float).tolist() for row in relevant]
        graded[0][0] = 1.5
        worth = [dict(zip(*row, strict=True)) for row in zip(relevant, graded, strict=True)]
        plain = [dict.fromkeys(row, 1.0) for row in relevant]
        assert vr.recall_at_k(found, relevant, k) == recall(found, relevant, k)
        assert vr.hit_rate_at_k(found, relevant, k) == hit_rate(found, relevant, k)
        assert vr.ndcg_at_k(found, relevant, k) == close(ndcg(found, plain, k), 30)
        expected = close(ndcg(found, worth, k), 30)
        assert vr.ndcg_at_k(found, relevant, k, gains=graded) == expected
        flat = np.concatenate([np.array(g, np.float32) for g in graded])
        assert vr.ndcg_at_k(found, vr.Ragged.from_lists(relevant), k, gains=flat) == expected


@pytest.mark.parametrize("k", [None, 1, 3, 10, 40])
def test_scikit_learn(rng: np.random.Generator, k: int | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the oracle")
    rows, items = 20, 40
    truth = rng.integers(0, 5, (rows, items)).astype(float)
    order = np.array([rng.permutation(items) for _ in range(rows)])
    scores = np.empty((rows, items))
    np.put_along_axis(scores, order, -np.arange(items, dtype=float)[None].repeat(rows, 0), 1)
    expected = metrics.ndcg_score(truth, scores, k=k)
    relevant = [np.flatnonzero(row) for row in truth]
    gains = [row[at] for row, at in zip(truth, relevant, strict=True)]
    assert vr.ndcg_at_k(order, relevant, k, gains=gains) == close(expected, 2 * items)
    binary = metrics.ndcg_score(truth > 0, scores, k=k)
    assert vr.ndcg_at_k(order, relevant, k) == close(binary, 2 * items)


def test_perfect_lists_have_the_value_one(rng: np.random.Generator) -> None:
    """Exactly, whatever gains there are and in whichever order equal ones come."""
    for _ in range(50):
        ids = rng.permutation(100)[:30]
        gains = np.sort(rng.choice(rng.random(8), 30))[::-1]
        shuffled = rng.permutation(30)
        for k in (None, 1, 7, 30):
            value = vr.ndcg_at_k([ids], [ids[shuffled]], k, gains=[gains[shuffled]])
            assert value == 1.0


@pytest.mark.parametrize("k", [1, 3, 8])
def test_results_are_cut(rng: np.random.Generator, k: int) -> None:
    items = rng.standard_normal((60, 4), dtype=np.float32)
    queries = rng.standard_normal((9, 4), dtype=np.float32)
    index = vr.FlatIndex(items)
    found, truth = index.search(queries, 8), index.search(queries + np.float32(0.3), 12)
    expected = vr.recall_at_k(found.ids[:, :k], truth.ids[:, :k])
    assert 0 < expected < 1
    merged = vr.merge({"a": found}, 8, vr.policies.RRF())
    above = index.search_above(queries, -np.inf, limit=8)
    for lists in (found, merged, above, found.ids, (found.ids, found.scores)):
        assert vr.recall_at_k(lists, truth, k=k) == expected
        assert vr.recall_at_k(lists, truth.ids, k=k) == expected
        whole = [*truth.ids]
        assert vr.recall_at_k(lists, whole, k=k) == recall(found.ids.tolist(), whole, k)
        assert vr.recall_at_k(lists, vr.Ragged.from_lists(whole), k) == recall(
            found.ids.tolist(), whole, k
        )
        one = truth.ids[:, :1]
        assert vr.hit_rate_at_k(lists, one, k) == hit_rate(found.ids.tolist(), one.tolist(), k)
        gains = [dict.fromkeys(row, 1.0) for row in truth.ids.tolist()]
        assert vr.ndcg_at_k(lists, truth, k) == close(ndcg(found.ids.tolist(), gains, k), 40)


def test_padding_keeps_its_place_and_is_never_relevant() -> None:
    assert vr.hit_rate_at_k([[-1, 1], [-1, 2]], [[-1], [2, -1]], k=2) == 1.0
    assert vr.hit_rate_at_k([[-1, 2]], [[2]], k=1) == 0.0
    assert vr.ndcg_at_k([[-1, 2]], [[2, -1]], gains=[[1, 7]]) == close(1 / math.log2(3), 3)


def test_repeats_count_once() -> None:
    assert vr.ndcg_at_k([[4, 4, 4]], [[4, 4, 5]]) == close(1 / (1 + 1 / math.log2(3)), 4)
    assert vr.recall_at_k([[4, 4, 5]], [[4, 5, 4]], k=2) == 0.5


def test_ids_of_any_size() -> None:
    top = np.iinfo(np.int64).max
    assert vr.ndcg_at_k([[top, 0]], [[0, top]]) == 1.0
    assert vr.hit_rate_at_k([[top]], [[top - 1]]) == 0.0


METRICS: dict[str, tuple[Any, str]] = {
    "recall": (vr.recall_at_k, "truth"),
    "hits": (vr.hit_rate_at_k, "relevant"),
    "ndcg": (vr.ndcg_at_k, "relevant"),
}


@pytest.mark.parametrize("metric", METRICS)
def test_queries_without_relevant_items_are_left_out(metric: str) -> None:
    value, name = METRICS[metric]
    assert value([[1], [5], [2]], [[1], [-1], []]) == 1.0
    for found, relevant in (([[1], [5]], [[-1], []]), ([], [])):
        message = f"{name}: expected ids, got none in {len(found)} rows"
        with pytest.raises(ValueError, match="^" + message):
            value(found, relevant)
    assert value([[]], [[3]]) == 0.0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, "k: expected a whole number >= 1, got 0"),
        (-3, ValueError, "k: expected a whole number >= 1, got -3"),
        (2.5, TypeError, "k: expected a whole number"),
        ("3", TypeError, "k: expected a whole number"),
        (True, TypeError, "k: expected a whole number"),
    ],
)
def test_bad_k(metric: str, k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + message):
        METRICS[metric][0]([[1]], [[1]], k=k)


@pytest.mark.parametrize("metric", METRICS)
def test_bad_lists(metric: str) -> None:
    value, name = METRICS[metric]
    with pytest.raises(ValueError, match=f"^found: expected 1 row, as {name} has, got 2"):
        value([[1], [2]], [[1]])
    with pytest.raises(TypeError, match=f"^{name}: expected integers"):
        value([[1]], np.ones((1, 1)))
    with pytest.raises(TypeError, match=r"^found: expected "):
        value(3, [[1]])
    with pytest.raises(ValueError, match=r"^found: expected ids first, got an empty tuple"):
        value((), [[1]])


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ([[1, -2], [1]], "gains: expected numbers >= 0, got -2.0 at place 1"),
        ([[1, np.nan], [1]], "gains: expected finite numbers, got nan at place 1"),
        ([[1, 2, 3], [1]], "gains, row 0: expected shape (2,), got (3,)"),
        ([[1, 2]], "gains: expected 2 rows, got 1"),
        ([1, 2], "gains: expected shape (3,), got (2,)"),
        ([[0, 0], [0]], "gains: expected a relevant item with a gain above 0, got none"),
        ([[1.7e308, 1.7e308], [1]], "gains: expected numbers whose sums fit float64, got an"),
    ],
)
def test_bad_gains(gains: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        vr.ndcg_at_k([[1, 2], [3]], [[1, 2], [3]], gains=gains)


def test_two_gains_of_one_item() -> None:
    relevant: Sequence[Any] = [[1], [2, 7, 2]]
    with pytest.raises(ValueError, match=r"^relevant: expected each id .* got 2 again in row 1"):
        vr.ndcg_at_k([[1], [2]], relevant, gains=[[1], [1, 1, 1]])


def test_a_row_of_no_gain_is_left_out() -> None:
    assert vr.ndcg_at_k([[1], [2]], [[1], [3]], gains=[[1], [0]]) == 1.0


def test_lists_of_every_container_are_cut() -> None:
    """Results, tables of neighbors, matrices and frames have an order; rows of a ragged do not."""
    pl = pytest.importorskip("polars")
    pd = pytest.importorskip("pandas")
    index = vr.FlatIndex(np.random.default_rng(3).standard_normal((20, 4), dtype=np.float32))
    found = index.search(index.vectors(index.ids), 5)
    for lists in (found, found.ids, pl.DataFrame(found.ids), pd.DataFrame(found.ids)):
        assert vr.recall_at_k(lists, lists, k=2) == 1.0
    assert vr.recall_at_k(index.neighbors(3), index.neighbors(3), k=2) == 1.0
    assert vr.recall_at_k(list(found.ids), list(found.ids), k=2) == 0.4
