"""`vr.merge_shards` and `vr.merge_groups` against their oracles."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import reference
from comparison import assert_same_bits
from datasets import HARD
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr

How = Literal["max", "sum"]
HOWS: tuple[How, ...] = ("max", "sum")


def random_lists(
    rng: np.random.Generator, nq: int, width: int, pool: int, infinite: bool = False
) -> reference.Lists:
    """Valid lists: distinct ids per row, in order, any count up to `width`, few distinct scores."""
    lists = reference.padded(nq, width)
    for i in range(nq):
        count = int(rng.integers(0, min(width, pool) + 1))
        ids = rng.permutation(pool)[:count].astype(np.int64) * (2**40)
        scores = (rng.integers(-4, 5, count) / 3).astype(np.float32)
        if infinite:
            scores[rng.random(count) < 0.2] = -np.inf
        scores[scores == 0] = 0.0
        order = np.lexsort((ids, -scores))
        lists.ids[i, :count], lists.scores[i, :count] = ids[order], scores[order]
        lists.counts[i] = count
    return lists


def check_groups(found: Any, expected: reference.Groups) -> None:
    assert type(found) is vr.GroupResult
    assert_same_bits(found, expected.ids, expected.scores, expected.counts)
    assert found.n_rows.dtype.kind == "i"
    assert found.best_row.dtype.kind == "i"
    np.testing.assert_array_equal(found.n_rows, expected.n_rows)
    np.testing.assert_array_equal(found.best_row, expected.best_row)


@given(
    seed=st.integers(0, 2**32),
    nq=st.integers(0, 6),
    widths=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    k=st.integers(1, 40),
)
def test_merge_shards(seed: int, nq: int, widths: list[int], k: int) -> None:
    rng = np.random.default_rng(seed)
    shards = [random_lists(rng, nq, width, 30, infinite=True) for width in widths]
    for number, shard in enumerate(shards):
        shard.ids[shard.ids >= 0] += number  # disjoint
    expected = reference.merge_shards(shards, k)
    results = [vr.SearchResult(*shard) for shard in shards]
    assert_same_bits(vr.merge_shards(results, k), *expected)
    assert_same_bits(vr.merge_shards(tuple(results), k), *expected)


def test_repeats_below_what_is_taken_are_found() -> None:
    """The id that two lists hold is the last of both, far below the best."""
    best = np.arange(40, dtype=np.int64).reshape(4, 1, 10)
    best[1, 0, -1] = best[3, 0, -1]
    scores = np.broadcast_to(np.arange(10, 0, -1, dtype=np.float32), (1, 10))
    results = [vr.SearchResult(ids, scores, np.array([10], np.int32)) for ids in best]
    with pytest.raises(ValueError, match="id 39 twice in row 0"):
        vr.merge_shards(results, 2)


@pytest.mark.parametrize("k", [1, 7, 8, 9, 40, 200])
def test_the_best_in_one_shard(k: int) -> None:
    """All of the list may come from one shard, and lists need not be in order."""
    rng = np.random.default_rng(5)
    shards = [random_lists(rng, 6, 30, 30) for _ in range(5)]
    for number, shard in enumerate(shards):
        shard.ids[shard.ids >= 0] += number
        shard.scores[:] += np.float32(10 * (number == 3))
        for i, count in enumerate(shard.counts):
            turned = rng.permutation(count)
            shard.ids[i, :count] = shard.ids[i, turned]
            shard.scores[i, :count] = shard.scores[i, turned]
    found = vr.merge_shards([vr.SearchResult(*shard) for shard in shards], k)
    assert_same_bits(found, *reference.merge_shards(shards, k))


def test_items_of_minus_infinity_are_not_padding() -> None:
    queries = np.array([[-1e30], [1e30]], np.float32)
    items = np.array([[1e30], [2e30], [3e30], [-1e30]], np.float32)
    parts = [vr.FlatIndex(items[:2], [0, 1]), vr.FlatIndex(items[2:], [2, 3])]
    found = vr.merge_shards([part.search(queries, 5) for part in parts], 5)
    assert found.ids.tolist() == [[3, 0, 1, 2, -1], [0, 1, 2, 3, -1]]
    assert found.scores[0].tolist() == [math.inf] + [-math.inf] * 4
    assert found.counts.tolist() == [4, 4]


def test_shards_of_an_index(isa: str, threads: int, rng: np.random.Generator) -> None:
    queries, items = HARD["duplicate_blocks"](rng, 9, 5000, 10)
    ids = np.arange(5000)
    results = []
    for part in (slice(0, 17), slice(17, 17), slice(17, 4000), slice(4000, None)):
        shard = vr.FlatIndex(items[part], ids[part])
        results.append(shard.search(queries, 300, threads=threads))
    for k in (1, 300):
        expected = reference.search(queries, items, k)
        assert_same_bits(vr.merge_shards(results, k), *expected)


@pytest.mark.parametrize("how", HOWS)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 5), max_size=6),
    width=st.integers(0, 12),
    k=st.integers(1, 30),
)
def test_merge_groups(how: How, seed: int, sizes: list[int], width: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *sizes])
    lists = random_lists(rng, int(offsets[-1]), width, 15, infinite=True)
    expected = reference.merge_groups(lists, offsets.tolist(), k, how)
    check_groups(vr.merge_groups(vr.SearchResult(*lists), offsets, k, aggregate=how), expected)
    check_groups(
        vr.merge_groups(vr.SearchResult(*lists), offsets.tolist(), k, aggregate=how), expected
    )


@pytest.mark.parametrize("how", HOWS)
def test_groups_of_a_search(how: How, isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["grid"](rng, 40, 3000, 7)
    offsets = [0, 0, 1, 6, 6, 20, 39, 40, 40]
    index = vr.FlatIndex(items)
    result = index.search(queries, 60)
    expected = reference.merge_groups(reference.search(queries, items, 60), offsets, 80, how)
    check_groups(vr.merge_groups(result, offsets, 80, aggregate=how), expected)


def test_max_is_the_default(rng: np.random.Generator) -> None:
    lists = random_lists(rng, 8, 6, 10)
    expected = reference.merge_groups(lists, [0, 3, 8], 6, "max")
    check_groups(vr.merge_groups(vr.SearchResult(*lists), [0, 3, 8], 6), expected)


def one_item_rows(scores: list[float]) -> vr.SearchResult:
    """One row per score, all of the item 7."""
    n = len(scores)
    return vr.SearchResult(
        np.full((n, 1), 7), np.array(scores, np.float32)[:, None], np.ones(n, np.int32)
    )


def test_the_sum_is_float64_in_row_order() -> None:
    big = 2.0**60
    result = one_item_rows([1.0, big, -big, big, -big, 0.5])
    # row order: 1 is lost in big, 0.5 is not
    found = vr.merge_groups(result, [0, 6], 1, aggregate="sum")
    assert found.scores.tolist() == [[0.5]]
    # float32 sums would lose every second term
    found = vr.merge_groups(
        one_item_rows([1.0, 2.0**-24, 2.0**-24, 2.0**-24]), [0, 4], 1, aggregate="sum"
    )
    assert found.scores.tolist() == [[1 + 2.0**-22]]


def test_the_sum_is_rounded_once_and_may_overflow() -> None:
    largest = float(np.finfo(np.float32).max)
    found = vr.merge_groups(one_item_rows([largest, largest, -largest]), [0, 3], 1, aggregate="sum")
    assert found.scores.tolist() == [[largest]]
    found = vr.merge_groups(one_item_rows([largest, largest]), [0, 2], 1, aggregate="sum")
    assert found.scores.tolist() == [[math.inf]]
    assert found.counts.tolist() == [1]
    found = vr.merge_groups(one_item_rows([-0.0, -0.0]), [0, 2], 1, aggregate="sum")
    assert found.scores.view(np.uint32).tolist() == [[0]]


def test_the_best_row_is_global_and_the_lowest_on_a_tie() -> None:
    result = one_item_rows([5.0, 1.0, 3.0, 3.0, 2.0])
    for how in HOWS:
        found = vr.merge_groups(result, [0, 1, 5], 2, aggregate=how)
        assert found.best_row.tolist() == [[0, -1], [2, -1]]
        assert found.n_rows.tolist() == [[1, 0], [4, 0]]


@pytest.mark.parametrize("how", HOWS)
def test_no_groups_and_empty_groups(how: How) -> None:
    none = vr.SearchResult(*reference.padded(0, 3))
    check_groups(
        vr.merge_groups(none, [0], 4, aggregate=how),
        reference.merge_groups(reference.padded(0, 3), [0], 4, how),
    )
    check_groups(
        vr.merge_groups(none, [0, 0, 0], 4, aggregate=how),
        reference.merge_groups(reference.padded(0, 3), [0, 0, 0], 4, how),
    )


def test_the_order_of_a_row_does_not_matter(rng: np.random.Generator) -> None:
    lists = random_lists(rng, 6, 10, 12)
    ids, scores = lists.ids.copy(), lists.scores.copy()
    for i, count in enumerate(lists.counts):
        order = rng.permutation(count)
        ids[i, :count], scores[i, :count] = ids[i, order], scores[i, order]
    shuffled = vr.SearchResult(ids, scores, lists.counts)
    expected = reference.merge_groups(lists, [0, 4, 6], 10, "sum")
    check_groups(vr.merge_groups(shuffled, [0, 4, 6], 10, aggregate="sum"), expected)
