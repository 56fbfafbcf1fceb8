"""The checks of float32 baselines in the benchmarks against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.micro import bench_kmeans, numpy_clusters
from benchmarks.micro.bench_search import numpy_above
from benchmarks.micro.numpy_lists import (
    Lists,
    NumpyIndex,
    assert_near_above,
    assert_near_lists,
    exact_search,
)

RNG = np.random.default_rng(0)
ITEMS = RNG.standard_normal((500, 13), dtype=np.float32)
QUERIES = RNG.standard_normal((20, 13), dtype=np.float32)
K = 10


def search(metric: str) -> Lists:
    return NumpyIndex(ITEMS, metric).search(QUERIES, K)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_right_lists(metric: str) -> None:
    expected = exact_search(QUERIES, ITEMS, K, metric)
    assert_near_lists(search(metric), expected, QUERIES, ITEMS, metric)


def other_item(lists: Lists) -> None:
    lists.ids[-1, -1] = next(i for i in range(500) if i not in lists.ids[-1])


def item_twice(lists: Lists) -> None:
    lists.ids[-1, -1] = lists.ids[-1, 0]


def other_score(lists: Lists) -> None:
    lists.scores[-1, -1] *= np.float32(0.999)


def no_score(lists: Lists) -> None:
    lists.scores[-1, -1] = np.nan


def worse_items(lists: Lists) -> None:
    lists.ids[:, :-1], lists.scores[:, :-1] = lists.ids[:, 1:], lists.scores[:, 1:]
    lists.ids[:, -1] = 0
    lists.scores[:, -1] = -1


def exchanged(lists: Lists) -> None:
    lists.ids[-1, :2] = lists.ids[-1, 1::-1]


WRONG = [other_item, item_twice, other_score, no_score, worse_items, exchanged]


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("damage", WRONG)
def test_wrong_lists(metric: str, damage: Callable[[Lists], None]) -> None:
    found = search(metric)
    damage(found)
    with pytest.raises(AssertionError):
        assert_near_lists(found, exact_search(QUERIES, ITEMS, K, metric), QUERIES, ITEMS, metric)


def test_an_item_twice_among_equal_rows() -> None:
    rows = np.repeat(ITEMS[:1], 50, axis=0)
    found, expected = NumpyIndex(rows).search(QUERIES, K), exact_search(QUERIES, rows, K)
    found.ids[:] = np.arange(20, 20 + K)  # any of them, in any order
    assert_near_lists(found, expected, QUERIES, rows)
    found.ids[3, 1] = 20
    with pytest.raises(AssertionError):
        assert_near_lists(found, expected, QUERIES, rows)


def above(floor: float, dtype: type) -> Lists:
    return numpy_above(NumpyIndex(ITEMS.astype(dtype)), QUERIES.astype(dtype), floor)


FLOOR = 5.0


def test_lists_that_end_at_a_floor() -> None:
    expected = above(FLOOR, np.float64)
    assert (expected.ids < 0).any()
    assert_near_above(above(FLOOR, np.float32), expected, QUERIES, ITEMS, FLOOR)
    # An item as near to the floor as float32 can tell may be missing, no other one.
    last = int((expected.ids[0] >= 0).sum()) - 1
    shorter = Lists(expected.ids.copy(), expected.scores.copy())
    shorter.ids[0, last], shorter.scores[0, last] = -1, -np.inf
    near = float(expected.scores[0, last])
    with pytest.raises(AssertionError):
        assert_near_above(shorter, expected, QUERIES, ITEMS, FLOOR)
    ends = Lists(expected.ids[:1], expected.scores[:1])
    assert_near_above(Lists(shorter.ids[:1], shorter.scores[:1]), ends, QUERIES[:1], ITEMS, near)


@pytest.mark.parametrize("damage", [other_item, item_twice, other_score, no_score, exchanged])
def test_wrong_lists_above_a_floor(damage: Callable[[Lists], None]) -> None:
    some = int(np.argmax((above(FLOOR, np.float64).ids >= 0).sum(axis=1)))
    wide, found = (
        Lists(lists.ids[some : some + 1, :8].copy(), lists.scores[some : some + 1, :8].copy())
        for lists in (above(FLOOR, np.float64), above(FLOOR, np.float32))
    )
    assert (found.ids >= 0).all()
    damage(found)
    with pytest.raises(AssertionError):
        assert_near_above(found, wide, QUERIES[some : some + 1], ITEMS, FLOOR)


CENTROIDS = ITEMS[:30]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("m", [1, 3])
def test_labels(metric: str, m: int) -> None:
    expected = numpy_clusters.assign(
        numpy_clusters.wide(ITEMS), numpy_clusters.wide(CENTROIDS), m, metric
    )

    def check(labels: np.ndarray) -> None:
        numpy_clusters.assert_nearest(labels, expected, ITEMS, CENTROIDS, metric)

    check(numpy_clusters.assign(ITEMS, CENTROIDS, m, metric))
    for change in (1, -1, 100, -100):  # another label, no label
        wrong = expected.copy()
        wrong[-1, -1] += change
        with pytest.raises(AssertionError):
            check(wrong)
    if m > 1:
        for wrong in (np.flip(expected, axis=1), np.repeat(expected[:, :1], m, axis=1)):
            with pytest.raises(AssertionError):
                check(wrong)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_means(metric: str) -> None:
    points = numpy_clusters.unit(ITEMS) if metric == "cosine" else ITEMS
    labels = np.arange(len(points)) % 7
    found = numpy_clusters.means(points, labels, 7, metric)
    bench_kmeans.assert_means(found, points, labels, metric)
    found[-1, -1] += np.float32(0.01)
    with pytest.raises(AssertionError):
        bench_kmeans.assert_means(found, points, labels, metric)
