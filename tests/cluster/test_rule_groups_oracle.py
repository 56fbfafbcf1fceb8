"""`vr.rule_groups` against plain Python."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cluster_reference as oracle
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import vecrecall as vr

Interests = list[list[int]]


def check(interests: Interests, depth: int, min_size: int, form: Any = None) -> vr.RuleGroups:
    found = vr.rule_groups(interests if form is None else form, depth=depth, min_size=min_size)
    labels, known = oracle.rule_groups(interests, depth, min_size)
    assert isinstance(found, vr.RuleGroups)
    assert isinstance(found.interests, vr.Ragged)
    assert found.labels.dtype == np.int32
    assert found.labels.tolist() == labels
    assert [row.tolist() for row in found.interests] == known
    return found


def test_by_hand() -> None:
    interests = [[4, 1, 9], [4, 1], [4, 1, 7], [4, 2, 1], [5, 6], [], [4, 1, 9], [4], [5]]
    # [4, 1] keeps two users and the one of [4, 1, 7]; [5, 6] backs off to [5], which has two then
    found = check(interests, 3, 2)
    assert [row.tolist() for row in found.interests] == [[], [4], [4, 1], [4, 1, 9], [5]]
    assert found.labels.tolist() == [3, 2, 2, 1, 4, 0, 3, 1, 4]
    found = check(interests, 3, 3)
    assert [row.tolist() for row in found.interests] == [[], [4, 1]]
    found = check(interests, 1, 1)
    assert [row.tolist() for row in found.interests] == [[], [4], [5]]


def test_a_small_group_does_not_take_its_parent_along() -> None:
    """Users who leave count at the shorter label, those of large groups do not."""
    interests = [[1, 2]] * 5 + [[1, 3]] + [[1]] * 2
    found = check(interests, 2, 4)
    assert [row.tolist() for row in found.interests] == [[], [1, 2]]
    assert found.labels.tolist() == [1] * 5 + [0] * 3


def test_repeated_interests_keep_their_first_place() -> None:
    """And take no place of the depth."""
    found = check([[3, 3, 1, 3, 2], [3, 1, 2], [3, 1, 1, 1]], 3, 1)
    assert [row.tolist() for row in found.interests] == [[3, 1], [3, 1, 2]]


def test_labels_are_in_lexicographic_order() -> None:
    interests = [[10], [9], [2, 30], [2, 4, 1], [2], [2, 4], [100]]
    found = check(interests, 3, 1)
    assert [row.tolist() for row in found.interests] == [
        [2],
        [2, 4],
        [2, 4, 1],
        [2, 30],
        [9],
        [10],
        [100],
    ]


def test_users_without_interests_have_a_label_however_few() -> None:
    found = check([[1]] * 9 + [[]], 2, 5)
    assert found.labels.tolist() == [1] * 9 + [0]
    assert [row.tolist() for row in found.interests] == [[], [1]]
    assert check([[], []], 2, 5).labels.tolist() == [0, 0]
    assert check([[1], [2]], 2, 5).labels.tolist() == [0, 0]


def test_no_users() -> None:
    found = check([], 2, 5)
    assert found.labels.shape == (0,)
    assert len(found.interests) == 0


few = st.lists(st.integers(0, 4), max_size=5)
many = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 3), max_size=7)


@given(
    interests=st.lists(few, max_size=60) | st.lists(many, max_size=20),
    depth=st.integers(1, 6),
    min_size=st.integers(1, 8),
)
@example(interests=[[2**63 - 1, 0], [2**63 - 1], [2**62]], depth=2, min_size=1)
@settings(max_examples=300)
def test_any_interests(interests: Interests, depth: int, min_size: int) -> None:
    found = check(interests, depth, min_size)
    sizes = Counter(found.labels.tolist())
    assert set(sizes) == set(range(len(found.interests)))
    for label, size in sizes.items():
        assert size >= min_size or len(found.interests[label]) == 0
    for row, label in zip(interests, found.labels.tolist(), strict=True):
        kept = found.interests[label].tolist()
        assert kept == list(dict.fromkeys(row))[: len(kept)]
        assert len(kept) <= depth


@given(interests=st.lists(few, max_size=30), seed=st.integers(0, 99))
def test_the_order_of_the_users_does_not_matter(interests: Interests, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(interests))
    found = vr.rule_groups(interests, depth=3, min_size=3)
    other = vr.rule_groups([interests[i] for i in order], depth=3, min_size=3)
    np.testing.assert_array_equal(other.labels, found.labels[order])
    np.testing.assert_array_equal(other.interests.values, found.interests.values)


@given(interests=st.lists(few, max_size=30))
def test_forms(interests: Interests) -> None:
    check(interests, 2, 2, vr.Ragged.from_lists(interests) if interests else interests)
    check(interests, 2, 2, [tuple(row) for row in interests])
    check(interests, 2, 2, [np.array(row, np.int64) for row in interests])


def test_many_users() -> None:
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 9, 20_000)
    interests = [(rng.zipf(1.5, n) % 1000).tolist() for n in lengths]
    for depth, min_size in ((1, 50), (3, 20), (8, 2), (10**9, 10**9)):
        check(interests, depth, min_size)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("depth", 0),
        ("depth", -1),
        ("depth", 1.5),
        ("depth", None),
        ("min_size", 0),
        ("min_size", -3),
        ("min_size", "2"),
        ("interests", [[1, -1]]),
        ("interests", [[0], [-(2**63)]]),
        ("interests", [[1.5]]),
        ("interests", [1, 2]),
        ("interests", ["ab"]),
        ("interests", [[[1]]]),
        ("interests", "text"),
        ("interests", None),
        ("interests", [[2**63]]),
    ],
)
def test_bad_input(argument: str, value: Any) -> None:
    given: dict[str, Any] = {"interests": [[1, 2], [1]], "depth": 2, "min_size": 1}
    with pytest.raises((TypeError, ValueError), match=argument):
        vr.rule_groups(**given | {argument: value})
