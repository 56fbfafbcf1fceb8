"""`vr.recall_at_k` against its definition by sets."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

import vecrecall as vr


def by_sets(found: list[list[int]], truth: list[list[int]]) -> float:
    """The mean over the queries that have true ids, in fractions."""
    shares = [
        Fraction(len({*f} & {*t} - {-1}), len({*t} - {-1}))
        for f, t in zip(found, truth, strict=True)
        if {*t} - {-1}
    ]
    return float(sum(shares, Fraction(0)) / len(shares))


@pytest.mark.parametrize("top", [4, 12, 2**62])
def test_the_definition(rng: np.random.Generator, top: int) -> None:
    for _ in range(60):
        rows = int(rng.integers(1, 8))
        ids = rng.integers(-1, 6, (2, rows, 9)) * (top // 4)
        ids[ids < 0] = -1
        found, truth = ids[0, :, : rng.integers(1, 10)], ids[1, :, : rng.integers(1, 10)]
        if (truth < 0).all():
            continue
        assert vr.recall_at_k(found, truth) == by_sets(found.tolist(), truth.tolist())


def test_ragged_rows(rng: np.random.Generator) -> None:
    found = [rng.integers(-1, 9, rng.integers(0, 6)).tolist() for _ in range(30)]
    truth = [rng.integers(-1, 9, rng.integers(0, 6)).tolist() for _ in range(30)]
    expected = by_sets(found, truth)
    assert vr.recall_at_k(found, truth) == expected
    assert vr.recall_at_k(vr.Ragged.from_lists(found), vr.Ragged.from_lists(truth)) == expected


class Lists(NamedTuple):
    ids: Any
    other: int


def test_what_holds_lists(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(rng.standard_normal((50, 4), dtype=np.float32))
    truth = index.search(rng.standard_normal((6, 4), dtype=np.float32), 5)
    found = truth.ids[:, ::-1].copy()
    found[0, 0] = -1
    for lists in (found, (found, None), Lists(found, 0), found.tolist()):
        assert (
            vr.recall_at_k(lists, truth) == by_sets(found.tolist(), truth.ids.tolist()) == 29 / 30
        )


def test_a_wider_list_may_hold_all() -> None:
    assert vr.recall_at_k([[9, 8, 1, 2]], [[2, 1]]) == 1
    assert vr.recall_at_k([[2, 1]], [[9, 8, 1, 2]]) == 0.5


def test_queries_without_true_ids_are_left_out() -> None:
    assert vr.recall_at_k([[1], [5]], [[1], [-1]]) == 1
    with pytest.raises(ValueError, match=r"^truth: expected ids, got none in 2 rows"):
        vr.recall_at_k([[1], [5]], [[-1], [-1]])
    with pytest.raises(ValueError, match=r"^truth: expected ids, got none in 0 rows"):
        vr.recall_at_k([], [])


@pytest.mark.parametrize("k", [3, 7, 10, 49])
def test_the_mean_is_rounded_once(k: int) -> None:
    """A sum of rounded shares would be off: 19 of 20 have to reach 0.95."""
    truth = np.arange(20 * k).reshape(20, k)
    found = truth.copy()
    found.ravel()[::20] = -1
    assert vr.recall_at_k(found, truth) == 0.95


def test_bad_input() -> None:
    for found, truth, message in (
        ([[1], [2]], [[1]], "found: expected 1 row, as truth has, got 2"),
        ((), [[1]], "found: expected ids first, got an empty tuple"),
    ):
        with pytest.raises(ValueError, match="^" + re.escape(message)):
            vr.recall_at_k(found, truth)
    with pytest.raises(TypeError, match=r"^truth: expected integers, got dtype float64"):
        vr.recall_at_k([[1]], np.ones((1, 1)))
    with pytest.raises(TypeError, match=r"^found: expected a Ragged or a sequence of rows"):
        vr.recall_at_k(np.arange(3), [[1]])
