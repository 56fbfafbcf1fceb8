"""`_core.rank_candidates`, what wrapped searches are made of, against a plain model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

from vecrecall import _core

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Sets = list[tuple[I64, bool]]
LOW = -np.inf
SCORES = (np.inf, 3.0, 1.5, 0.0, -0.0, -1.5, 1e-45, -3e38, LOW, np.nan)


def ranked(
    ids: I64, scores: F32, k: int, exclude: list[list[int]] | None, allow: Sets
) -> tuple[I64, F32, npt.NDArray[np.int32]]:
    """The contract of the header, row by row."""
    rows = len(ids)
    out_ids = np.full((rows, k), -1, np.int64)
    out_scores = np.full((rows, k), LOW, np.float32)
    counts = np.zeros(rows, np.int32)
    for row in range(rows):
        held: dict[int, float] = {}
        for id, score in zip(ids[row].tolist(), scores[row].tolist(), strict=True):
            if id < 0 or (exclude is not None and id in exclude[row]):
                continue
            if allow:
                members, complement = allow[0 if len(allow) == 1 else row]
                if (id in members.tolist()) == complement:
                    continue
            value = LOW if np.isnan(score) else score + 0.0
            held[id] = value
        order = sorted(held, key=lambda id: (-held[id], id))[:k]
        counts[row] = len(order)
        out_ids[row, : len(order)] = order
        out_scores[row, : len(order)] = [held[id] for id in order]
    return out_ids, out_scores, counts


def core(ids: I64, scores: F32, k: int, exclude: Any, allow: Sets, threads: int) -> Any:
    pair = None
    if exclude is not None:
        offsets = np.cumsum([0, *map(len, exclude)])
        pair = (np.array([i for row in exclude for i in row], np.int64), offsets)
    return _core.rank_candidates(ids, scores, k, pair, allow, threads)


def candidates(rng: np.random.Generator, rows: int, width: int) -> tuple[I64, F32]:
    pool = 10 ** rng.integers(0, 15, 2 * width + 2) + np.arange(2 * width + 2)
    pool = np.unique(pool)
    ids = np.array([rng.permutation(pool)[:width] for _ in range(rows)]).reshape(rows, width)
    ids = np.where(rng.random((rows, width)) < 0.2, rng.choice([-1, -7]), ids)
    scores = rng.choice(np.array(SCORES, np.float32), (rows, width))
    return ids.astype(np.int64), scores


@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(0, 6),
    width=st.integers(0, 40),
    k=st.integers(1, 50),
    ordered=st.booleans(),
    any_exclude=st.booleans(),
    sets=st.sampled_from(["none", "one", "each"]),
    threads=st.sampled_from([1, 2, 7]),
)
def test_against_the_model(
    seed: int, rows: int, width: int, k: int, ordered: bool,
    any_exclude: bool, sets: str, threads: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    ids, scores = candidates(rng, rows, width)
    if ordered:
        order = np.argsort(-scores, axis=1, kind="stable")
        ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
    known = np.unique(ids)

    def some() -> I64:
        return np.unique(rng.choice([*known, 5, -1], rng.integers(0, width + 1))).astype(np.int64)

    exclude = [rng.permutation(some()).tolist() for _ in range(rows)] if any_exclude else None
    count = {"none": 0, "one": 1, "each": rows}[sets]
    allow = [(some(), bool(rng.integers(2))) for _ in range(count)]
    found = core(ids, scores, k, exclude, allow, threads)
    expected = ranked(ids, scores, k, exclude, allow)
    assert_same_bits(_Lists(*found[:3]), *expected)
    assert found[3] == (int(expected[2].min()) if rows else 0)


class _Lists:
    def __init__(self, ids: I64, scores: F32, counts: npt.NDArray[np.int32]) -> None:
        self.ids, self.scores, self.counts = ids, scores, counts


@pytest.mark.parametrize("threads", [1, 2, 33])
def test_many_rows(threads: int, rng: np.random.Generator) -> None:
    ids, scores = candidates(rng, 700, 90)
    exclude = [row[:5].tolist() for row in ids]
    found = core(ids, scores, 20, exclude, [], threads)
    assert_same_bits(_Lists(*found[:3]), *ranked(ids, scores, 20, exclude, []))


def test_zeros_are_one_score() -> None:
    ids = np.array([[9, 3, 7, 1]], np.int64)
    scores = np.array([[0.0, -0.0, 0.0, -0.0]], np.float32)
    found = core(ids, scores, 4, None, [], 1)
    assert found[0].tolist() == [[1, 3, 7, 9]]
    assert not np.signbit(found[1]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.zeros((2, 4), np.float32)}, "one shape"),
        ({"scores": np.zeros(6, np.float32)}, "one shape"),
        ({"exclude": [[1]]}, "one row per list"),
        ({"allow": [(np.array([1]), False)] * 3}, "one set of ids, or one per list"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "ids": np.zeros((2, 3), np.int64),
        "scores": np.zeros((2, 3), np.float32),
        "exclude": None,
        "allow": [],
    }
    with pytest.raises(ValueError, match=message):
        core(**{**arguments, **change}, k=2, threads=1)
