"""`vr.rule_groups`: what the rule says about small cases, and what it promises about any."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr

Rows = list[list[int]]


def grouped(rows: Any, depth: int, min_size: int) -> tuple[list[int], Rows]:
    """Labels, and what they stand for, as lists."""
    groups = vr.rule_groups(rows, depth=depth, min_size=min_size)
    assert groups.labels.dtype == np.int32
    assert groups.interests.values.dtype == np.int64
    return groups.labels.tolist(), [row.tolist() for row in groups.interests]


def test_small_groups_back_off_and_count_where_they_arrive() -> None:
    rows = [[1, 2, 3], [1, 2, 4], [1, 2], [1, 5], [1, 6], [1], [9]]
    # [1, 2, 3] and [1, 2, 4] make [1, 2] three; [1, 5] and [1, 6] make [1] three; 9 is alone.
    expected = ([2, 2, 2, 1, 1, 1, 0], [[], [1], [1, 2]])
    assert grouped(rows, depth=3, min_size=3) == expected


def test_large_groups_below_a_small_one_keep_their_users() -> None:
    rows = [[1, 2], [1, 2], [1], [1, 3], [3]]
    assert grouped(rows, depth=2, min_size=2) == ([2, 2, 1, 1, 0], [[], [1], [1, 2]])
    # Without [1, 3] no user joins [1], and its one user has no interest left.
    assert grouped(rows[:3], depth=2, min_size=2) == ([1, 1, 0], [[], [1, 2]])


def test_users_without_interests_have_a_label_however_few() -> None:
    assert grouped([[], [4], [4]], depth=3, min_size=2) == ([0, 1, 1], [[], [4]])
    assert grouped([[4], [4]], depth=3, min_size=2) == ([0, 0], [[4]])


def test_labels_are_in_lexicographic_order() -> None:
    rows = [[2], [10], [2, 1], [], [2, 0, 5], [2, 0], [10, 3]]
    labels, interests = grouped(rows, depth=3, min_size=1)
    assert interests == sorted(rows)
    assert [interests[label] for label in labels] == rows


def test_of_repeats_the_first_counts() -> None:
    rows = [[7, 7, 3, 7, 3, 1], [7, 3, 1], [5, 5], [5]]
    assert grouped(rows, depth=3, min_size=1) == ([1, 1, 0, 0], [[5], [7, 3, 1]])


def test_ids_may_be_as_large_as_int64_holds() -> None:
    big = 2**63 - 1
    rows = [[big, 0], [big, big - 1], [big, big - 1, 5], [0]]
    assert grouped(rows, depth=3, min_size=1)[1] == sorted(rows)


def test_no_users() -> None:
    assert grouped([], depth=2, min_size=2) == ([], [])
    assert grouped([[]], depth=2, min_size=2) == ([0], [[]])


def test_ragged_and_lists_are_the_same() -> None:
    rows = [[1, 2], [], [1, 3], [1, 2]]
    assert grouped(vr.Ragged.from_lists(rows), 2, 2) == grouped(rows, 2, 2)
    assert grouped(np.array([[1, 2], [1, 2]]), 2, 2) == ([0, 0], [[1, 2]])


@given(
    rows=st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=30),
    depth=st.integers(1, 5),
    min_size=st.integers(1, 6),
)
def test_groups_are_large_enough_and_labels_are_prefixes(
    rows: Rows, depth: int, min_size: int
) -> None:
    labels, interests = grouped(rows, depth, min_size)
    sizes = Counter(labels)
    assert set(sizes) == set(range(len(interests)))
    assert all(sizes[i] >= min_size for i, names in enumerate(interests) if names)
    for row, label in zip(rows, labels, strict=True):
        prefix = interests[label]
        assert list(dict.fromkeys(row))[:depth][: len(prefix)] == prefix


def test_the_order_of_users_does_not_matter(rng: np.random.Generator) -> None:
    rows = [rng.integers(0, 6, rng.integers(0, 5)).tolist() for _ in range(300)]
    labels, interests = grouped(rows, 3, 5)
    order = rng.permutation(300)
    shuffled, same = grouped([rows[i] for i in order], 3, 5)
    assert same == interests
    assert shuffled == [labels[i] for i in order]


@pytest.mark.parametrize(
    ("rows", "changes", "error", "message"),
    [
        ([[1], [2, -1]], {}, ValueError, "interests: expected ids >= 0, got -1 in row 1"),
        ([[], [], [-7]], {}, ValueError, "interests: expected ids >= 0, got -7 in row 2"),
        ([[1.5]], {}, TypeError, "interests, row 0: expected integers"),
        (5, {}, TypeError, "interests: expected a Ragged or a sequence"),
        ([[1]], {"depth": 0}, ValueError, "depth: expected a whole number >= 1, got 0"),
        ([[1]], {"depth": 1.5}, TypeError, "depth: expected a whole number"),
        ([[1]], {"min_size": 0}, ValueError, "min_size: expected a whole number >= 1, got 0"),
    ],
)
def test_bad_input(rows: Any, changes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        vr.rule_groups(rows, **{"depth": 2, "min_size": 2, **changes})
