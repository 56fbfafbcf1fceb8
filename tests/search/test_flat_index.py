"""The attributes of an index, `score`, and the shapes of answers at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32
from datasets import HARD, normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]


@pytest.mark.parametrize("metric", METRICS)
def test_attributes(metric: Metric, rng: np.random.Generator) -> None:
    items = normal(rng, 40, 6)
    ids = rng.permutation(10**6)[:40].astype(np.int64)
    index = vr.FlatIndex(items, ids, metric=metric)
    assert len(index) == 40
    assert index.dim == 6
    assert index.metric == metric
    assert index.ids.dtype == np.int64
    assert sorted(index.ids.tolist()) == sorted(ids.tolist())
    assert len(index.skipped) == 0


def test_default_ids_are_row_numbers(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(normal(rng, 30, 4))
    assert sorted(index.ids.tolist()) == list(range(30))


def test_membership(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(normal(rng, 3, 4), [7, 2**63 - 1, 0])
    assert 7 in index
    assert np.int64(0) in index
    assert 2**63 - 1 in index
    assert 1 not in index
    assert -1 not in index


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_are_the_original_rows(metric: Metric, rng: np.random.Generator) -> None:
    items = HARD["all_exponents"](rng, 0, 50, 7)[1]
    ids = rng.permutation(1000)[:50].astype(np.int64)
    index = vr.FlatIndex(items, ids, metric=metric)
    assert_same_float32(index.vectors(ids), items)
    places = [3, 49, 3, 0]
    assert_same_float32(index.vectors(ids[places]), items[places])
    assert index.vectors(np.empty(0, np.int64)).shape == (0, 7)
    with pytest.raises(KeyError):
        index.vectors([int(ids[0]), 1000])


@pytest.mark.parametrize("copy", [True, False])
def test_what_an_index_hands_out_does_not_change_it(copy: bool, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 4, 100, 5)
    ids = np.arange(100, 200)
    index = vr.FlatIndex(items, ids, copy=copy)
    first = index.search(queries, 10)
    expected = [part.copy() for part in arrays(first)]
    for array in (*arrays(first), index.ids, index.vectors([101])):
        if array.flags.writeable:
            array[...] = 99
    assert_same_bits(index.search(queries, 10), *expected)


def test_a_copy_does_not_follow_the_callers_arrays(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 4, 100, 5)
    ids, bias = np.arange(100), normal(rng, 1, 100)[0]
    index = vr.FlatIndex(items, ids, bias=bias)
    expected = [part.copy() for part in arrays(index.search(queries, 10))]
    items[:], ids[:], bias[:] = 7, 7, 7
    assert_same_bits(index.search(queries, 10), *expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "denormals", "overflowing", "infinite_terms"])
def test_score(name: str, metric: Metric, isa: str, threads: int, rng: np.random.Generator) -> None:
    queries, items = HARD[name](rng, 9, 300, 13)
    ids = rng.permutation(10**5)[:300].astype(np.int64)
    bias = normal(rng, 1, 300)[0]
    index = vr.FlatIndex(items, ids, metric=metric, bias=bias, threads=threads)
    matrix = reference.scores(queries, items, metric, bias)
    places = [rng.integers(0, 300, rng.integers(0, 50)) for _ in range(8)]
    places.append(np.empty(0, np.int64))
    scored = index.score(queries, [ids[p] for p in places])
    assert isinstance(scored, vr.Ragged)
    assert len(scored) == 9
    for i, p in enumerate(places):
        assert_same_float32(np.asarray(scored[i]), matrix[i, p])


def test_score_of_an_unknown_id(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(np.ones((2, 3), np.float32), [5, 6])
    scored = index.score(np.ones((2, 3), np.float32), [[6, 7, -1], [5]])
    assert scored[0].tolist() == [3, -np.inf, -np.inf]
    assert scored[1].tolist() == [3]


def test_score_takes_a_ragged(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 2, 50, 5)
    candidates = vr.Ragged(np.array([4, 8, 1]), np.array([0, 1, 3]))
    scored = vr.FlatIndex(items).score(queries, candidates)
    matrix = reference.scores(queries, items)
    assert scored.offsets.tolist() == [0, 1, 3]
    assert_same_float32(scored.values, matrix[[0, 1, 1], [4, 8, 1]])


def test_scores_of_a_search_are_those_of_score(isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["canceling"](rng, 5, 2500, 12)
    index = vr.FlatIndex(items)
    found = index.search(queries, 80)
    scored = index.score(queries, list(found.ids))
    assert_same_float32(scored.values, found.scores.ravel())


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_index(metric: Metric, isa: str, rng: np.random.Generator) -> None:
    index = vr.FlatIndex(np.empty((0, 5), np.float32), metric=metric)
    assert len(index) == 0
    assert index.ids.shape == (0,)
    assert 0 not in index
    queries = normal(rng, 3, 5)
    assert_same_bits(index.search(queries, 4), *reference.padded(3, 4))
    assert_same_bits(vr.topk(queries, items=np.empty((0, 5)), k=4), *reference.padded(3, 4))
    scored = index.score(queries, [[1], [], [2]])
    assert scored.values.tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("metric", METRICS)
def test_no_queries(metric: Metric, isa: str, threads: int, rng: np.random.Generator) -> None:
    items = normal(rng, 70, 5)
    index = vr.FlatIndex(items, metric=metric)
    none = np.empty((0, 5), np.float32)
    assert_same_bits(index.search(none, 4, threads=threads), *reference.padded(0, 4))
    assert_same_bits(index.search(none, 4, exclude=[]), *reference.padded(0, 4))
    assert_same_bits(vr.topk(none, items, 4, metric=metric), *reference.padded(0, 4))
    assert len(index.score(none, [])) == 0


def test_what_a_search_returns(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 3, 20, 4)
    result = vr.FlatIndex(items).search(queries, 5)
    assert type(result) is vr.SearchResult
    assert not isinstance(result, tuple)
    assert [part.shape for part in arrays(result)] == [(3, 5), (3, 5), (3,)]
    assert (len(result), result.metric, result.stats) == (3, "ip", None)


def test_stats_do_not_change_the_answer(isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 3, 3000, 4)
    index = vr.FlatIndex(items)
    result = index.search(queries, 5, stats=True)
    assert type(result) is vr.SearchResult
    assert isinstance(result.stats, vr.SearchStats)
    assert_same_bits(result, *arrays(index.search(queries, 5)))
    assert_same_bits(result, *reference.search(queries, items, 5))


def test_the_largest_ids(isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["grid"](rng, 3, 200, 3)
    ids = (2**63 - 1) - rng.permutation(200).astype(np.int64)
    index = vr.FlatIndex(items, ids)
    assert_same_bits(index.search(queries, 90), *reference.search(queries, items, 90, ids=ids))


def test_numpy_integers_and_lists_are_fine(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 3, 20, 4)
    ids = np.arange(100, 120)
    expected = reference.search(queries, items, 5, ids=ids)
    counts: list[Any] = [np.int32(5), np.uint8(5), np.uint64(5)]
    for k in counts:
        found = vr.FlatIndex(items.tolist(), ids.tolist()).search(queries.tolist(), k)
        assert_same_bits(found, *expected)
        found = vr.FlatIndex(items, ids.astype(np.uint16)).search(queries, k)
        assert_same_bits(found, *expected)


def test_contains(rng: np.random.Generator) -> None:
    """Against a set, as the index changes."""
    ids = rng.permutation(5000)[:2000].astype(np.int64)
    index = vr.FlatIndex(np.ones((2000, 2), np.float32), ids)
    asked = np.concatenate([rng.integers(-3, 6000, 4000), [2**62, -1, int(ids[0]), int(ids[0])]])

    def check(expected: set[int]) -> None:
        found = index.contains(asked)
        assert found.dtype == np.bool_
        assert found.tolist() == [i in expected for i in asked.tolist()]
        assert found.tolist() == [i in index for i in asked.tolist()]

    check(set(ids.tolist()))
    index.remove(ids[:700])
    index.add(np.ones((2, 2), np.float32), [5500, 5501])
    check({*ids[700:].tolist(), 5500, 5501})
    assert index.contains([]).shape == (0,)
    for wrong in ([[1]], 3, ["a"], [1.5]):
        with pytest.raises((TypeError, ValueError), match=r"^ids: expected (a row of )?integers"):
            index.contains(wrong)
