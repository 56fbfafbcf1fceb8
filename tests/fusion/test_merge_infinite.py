"""Scores that are infinite, negative or whole: what a search or a job gives, a merge takes."""

from __future__ import annotations

import warnings
from collections import deque
from typing import Any

import merge_cases
import numpy as np
import pytest
from comparison import replaced
from merge_cases import Case, channel, oracle
from merge_reference import Policy

import vecrecall as vr
from vecrecall.channels import ItemToItem, LiveNeighbors, Precomputed
from vecrecall.policies import (
    RRF,
    AbsentWarning,
    Interleave,
    Maximum,
    Priority,
    Quota,
    WeightedSum,
)

INF = np.inf
LARGEST = float(np.finfo(np.float32).max)
FORMS = pytest.mark.parametrize("form", merge_cases.FORMS)
A = [[(1, INF), (2, 0.5), (3, -INF)], [(1, 0.75), (2, 0.5)]]
B = [[(3, 4.0), (4, 3.0)], [(2, 4.0), (4, 3.0)]]


@FORMS
@pytest.mark.parametrize(
    "policy",
    [RRF(), Interleave(), Priority({"a": 2, "b": 2}), Quota({"a": 1, "b": 1})],
    ids=lambda p: type(p).__name__,
)
def test_rank_policies_ignore_the_size(form: str, policy: Any) -> None:
    finite = [[(1, 9.0), (2, 0.5), (3, -9.0)], A[1]]
    found = vr.merge({"a": channel(A, form), "b": channel(B, form)}, 4, policy)
    expected = vr.merge({"a": channel(finite, form), "b": channel(B, form)}, 4, policy)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.channel_scores is not None
    assert INF in found.channel_scores  # as they were given


@FORMS
@pytest.mark.parametrize("normalize", merge_cases.NORMALIZE)
@pytest.mark.parametrize("policy", ["WeightedSum", "Maximum"])
def test_an_infinite_score_is_one_spread_beyond(form: str, normalize: str, policy: str) -> None:
    case = Case({"a": A, "b": B}, 4, Policy(policy, {"normalize": normalize}))
    finite = [[(1, 1.5), (2, 0.5), (3, -0.5)], A[1]]  # of one finite score the spread is 1
    for rows in (A, finite):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = merge_cases.vecrecall(Case({"a": rows, "b": B}, 4, case.policy), [form])
        np.testing.assert_array_equal(found.ids, oracle(case).ids)
        np.testing.assert_array_equal(found.scores, oracle(case).scores)
        assert not np.isnan(found.scores).any()


def test_the_others_get_what_they_got() -> None:
    """An infinite score changes nothing for another user."""
    for policy in (RRF(), WeightedSum(normalize="zscore"), Maximum(normalize="l2")):
        both = vr.merge({"a": channel(A, "result"), "b": channel(B, "result")}, 4, policy)
        alone = vr.merge({"a": channel(A[1:], "result"), "b": channel(B[1:], "result")}, 4, policy)
        np.testing.assert_array_equal(both.ids[1:], alone.ids)
        np.testing.assert_array_equal(both.scores[1:], alone.scores)


def test_the_others_of_the_list_stay_apart() -> None:
    """One huge score must not flatten what a normalization makes of the others."""
    lists = {"a": ([[9, 1, 2, 3, 4]], [[INF, -1.0, -2.0, -5.0, -INF]])}
    found = vr.merge(lists, 5, WeightedSum(normalize="minmax"))
    assert found.ids.tolist() == [[9, 1, 2, 3, 4]]
    assert found.scores.tolist() == [[1.0, *np.float32([8 / 12, 7 / 12, 4 / 12]).tolist(), 0.0]]


def test_only_infinite_scores_are_one_from_zero() -> None:
    found = vr.merge({"a": ([[7, 5, 6]], [[INF, INF, -INF]])}, 3, WeightedSum())
    assert found.ids.tolist() == [[5, 7, 6]]
    assert found.scores.tolist() == [[1.0, 1.0, -1.0]]


def test_sums_beyond_float32_are_infinite_and_in_order() -> None:
    lists = {name: ([[7, 5, 6]], [[INF, LARGEST, -LARGEST]]) for name in "ab"}
    found = vr.merge(lists, 3, WeightedSum(absent="min"))
    assert found.ids.tolist() == [[5, 7, 6]]
    assert found.scores.tolist() == [[INF, INF, -INF]]
    opposite = {"a": ([[1]], [[INF]]), "b": ([[1]], [[-INF]])}
    assert vr.merge(opposite, 1, WeightedSum()).scores.tolist() == [[0.0]]
    assert vr.merge(opposite, 1, WeightedSum({"a": 0, "b": 0})).scores.tolist() == [[0.0]]


def test_a_row_of_3e38_harms_no_other() -> None:
    """Neither in a merge behind the search, nor in an item's list, nor in a table."""
    x = np.array([[1, 0], [0.5, 0.5], [3e38, 3e38], [0, 1]], np.float32)
    index = vr.FlatIndex(x)
    queries = np.array([[2, 2], [1, 0]], np.float32)
    found = index.search(queries, 4)
    assert found.scores[0, 0] == INF
    users = vr.RequestBatch(user_ids=[0, 1], history=[[0], [2]])
    recaller = vr.Recaller(
        {
            "made": Precomputed([0, 1], found.ids, found.scores),
            "live": ItemToItem(LiveNeighbors(index), decay=0.5),
            "table": ItemToItem(vr.NeighborTable.build(index, 3)),
        },
        RRF(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        merged = recaller.recall(users, 4)
    assert merged.counts.tolist() == [4, 4]
    assert merged.ids[0, 0] == 2


def test_a_weight_of_zero_times_an_infinite_score_is_zero() -> None:
    table = vr.NeighborTable([1, 2], [[5, 6], [6, 7]], [[INF, 1.0], [2.0, -INF]])
    batch = vr.RequestBatch(history=[[1, 2], [1, 2]], history_weights=[[0.0, 1.0], [1.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ItemToItem(table).recall(batch, 3)
    assert found.ids.tolist() == [[6, 5, 7], [5, 6, 7]]
    assert found.scores.tolist() == [[2.0, 0.0, -INF], [INF, 1.0, 0.0]]


def test_groups_and_shards_order_infinities() -> None:
    r = vr.SearchResult(
        np.array([[1, 2], [2, 3]]),
        np.array([[INF, -INF], [INF, 1]], np.float32),
        np.array([2, 2], np.int32),
    )
    assert vr.merge_groups(r, [0, 2], 3, aggregate="max").ids.tolist() == [[1, 2, 3]]
    total = vr.merge_groups(r, [0, 2], 3, aggregate="sum")
    assert total.ids.tolist() == [[1, 3, 2]]  # infinities of both signs: last
    assert total.scores.tolist() == [[INF, 1.0, -INF]]
    other = replaced(r, ids=r.ids + 10)
    for shards in ([r, other], deque([r, other])):
        assert vr.merge_shards(shards, 3).ids.tolist() == [[1, 11, 2], [2, 12, 3]]


# --- absent


L2 = {"a": ([[1, 2, 4]], [[-3.0, -4.0, -9.0]]), "b": ([[1, 3]], [[-1.0, -2.0]])}


@pytest.mark.parametrize("normalize", merge_cases.NORMALIZE)
@pytest.mark.parametrize("policy", [WeightedSum, Maximum])
def test_first_in_both_lists_is_first(policy: Any, normalize: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vr.merge(L2, 4, policy(normalize=normalize)).ids[0, 0] == 1


def test_absent_counts_the_lowest() -> None:
    found = vr.merge(L2, 4, WeightedSum({"a": 1, "b": 2}))
    assert found.ids.tolist() == [[1, 2, 3, 4]]
    assert found.scores.tolist() == [[-5.0, -8.0, -13.0, -13.0]]
    lowest = vr.merge(L2, 4, Maximum(absent="min"))
    assert lowest.scores.tolist() == [[-1.0, -2.0, -2.0, -2.0]]
    found = vr.merge(L2, 4, Maximum())  # of the lists that hold the item, as CombMAX has it
    assert found.ids.tolist() == [[1, 3, 2, 4]]
    assert found.scores.tolist() == [[-1.0, -2.0, -4.0, -9.0]]


@pytest.mark.parametrize(("score", "end"), [(2e7, INF), (-3e7, INF), (1e30, INF), (5.0, INF)])
@pytest.mark.parametrize("normalize", ["none", "minmax", "zscore"])
def test_an_infinite_score_is_before_a_large_one(score: float, end: float, normalize: Any) -> None:
    above = {"a": ([[1, 2]], [[score, end]])}
    assert vr.merge(above, 2, WeightedSum(normalize=normalize)).ids.tolist() == [[2, 1]]
    below = {"a": ([[2, 1]], [[score, -end]])}
    assert vr.merge(below, 2, WeightedSum(normalize=normalize)).ids.tolist() == [[2, 1]]


def test_one_users_enormous_weights_leave_the_others_their_channel() -> None:
    table = np.eye(4, dtype=np.float32) * 1.5
    tags = {"tags": [[0, 1], [0, 1], []], "tag_weights": [[1, 2], [1e308, 1.5e308], []]}
    found = vr.pool(table, tags["tags"], tags["tag_weights"], normalize=True)
    one = vr.pool(table, [[0, 1]], [[1, 1.5]], normalize=True)
    assert found[1].tobytes() == one[0].tobytes()
    assert found[0].tobytes() == vr.pool(table, [[0, 1]], [[1, 2]], normalize=True)[0].tobytes()


def test_each_list_decides_for_itself() -> None:
    """For one user `a` is negative, for another `b`; an empty list counts nothing."""
    lists = {
        "a": ([[1, 2], [1, 2], [-1, -1]], [[-1.0, -2.0], [1.0, 2.0], [0.0, 0.0]]),
        "b": ([[3], [3], [3]], [[1.0], [-3.0], [-1.0]]),
    }
    found = vr.merge(lists, 3, WeightedSum())
    by_id = [dict(zip(i, s, strict=True)) for i, s in zip(found.ids, found.scores, strict=True)]
    assert by_id[0] == {1: -1.0, 2: -2.0, 3: -1.0}
    assert by_id[1] == {1: -2.0, 2: -1.0, 3: -3.0}
    assert found.ids[2].tolist() == [3, -1, -1]
    lowest = vr.merge(lists, 3, WeightedSum(absent="min"))
    assert dict(zip(lowest.ids[0], lowest.scores[0], strict=True)) == {1: 0.0, 2: -1.0, 3: -1.0}


def test_zero_over_negative_scores_warns_once() -> None:
    for policy in (WeightedSum, Maximum):
        with pytest.warns(AbsentWarning, match=r"^channels\['a'\], channels\['b'\]: neg") as caught:
            found = vr.merge(L2, 4, policy(absent="zero"))
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert found.ids[0, 0] != 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", AbsentWarning)
        with pytest.raises(AbsentWarning):
            vr.merge(L2, 4, WeightedSum(absent="zero"))
        vr.merge(L2, 4, WeightedSum(absent="zero", normalize="minmax"))
        above = {"a": ([[1, -1]], [[0.0, -5.0]]), "b": ([[1]], [[-0.0]])}
        vr.merge(above, 4, WeightedSum(absent="zero"))


def test_the_recaller_warns_where_it_is_called() -> None:
    channels = {"a": Precomputed.for_all([1, 2], [-1.0, -2.0])}
    recaller = vr.Recaller(channels, WeightedSum(absent="zero"))
    with pytest.warns(AbsentWarning) as caught:
        recaller.recall(vr.RequestBatch(user_ids=[1]), 2)
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("value", ["max", 0, True])
def test_other_values_of_absent(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^absent: expected"):
        WeightedSum(absent=value)


# --- whole numbers


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_whole_numbers_are_scores(dtype: Any) -> None:
    ids = np.array([[1, 2, 3]])
    scores = np.array([[100, 7, 0]], dtype)
    expected = vr.merge({"a": (ids, scores.astype(np.float32))}, 3, WeightedSum())
    ragged = tuple(vr.Ragged(x.ravel(), [0, 3]) for x in (ids, scores))
    result = vr.SearchResult(ids, scores, np.array([3], np.int32))  # type: ignore[arg-type]
    for form in ((ids, scores), (ids.tolist(), scores.tolist()), ragged, result):
        found = vr.merge({"a": form}, 3, WeightedSum())  # type: ignore[dict-item]
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert vr.merge_shards([result], 3).scores.tolist() == expected.scores.tolist()


def test_whole_numbers_beyond_float32_are_rounded() -> None:
    found = vr.merge({"a": ([[1, 2]], np.array([[2**63 - 1, 2**24 + 1]]))}, 2, WeightedSum())
    assert found.scores.tolist() == [[2.0**63, 2.0**24]]


# --- the channel that one click of the future silenced


def test_a_click_ahead_leaves_every_user_a_full_list() -> None:
    now = 1_000_000.0
    feed = vr.ClusterFeed(2, half_life=3600.0, capacity=10)
    feed.observe([0, 0], [1, 2], [now - 60, now - 90])
    feed.observe([1], [3], [now - 30])
    feed.observe([0], [9], [now + 7 * 86_400])
    hot = feed.top([0, 1], 3, now)
    popular = vr.Ragged.from_lists([[7, 8], [7, 8]])
    ranks = vr.Ragged.from_lists([[1.0, 0.5], [1.0, 0.5]])
    merged = vr.merge({"hot": hot, "popular": (popular, ranks)}, 3, RRF())
    assert merged.ids.tolist() == [[7, 9, 1], [3, 7, 8]]
