"""`vr.Ragged`: rows of different lengths in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr


def test_rows() -> None:
    ragged = vr.Ragged(np.array([5, 6, 7]), np.array([0, 2, 2, 3]))
    assert len(ragged) == 3
    assert ragged[0].tolist() == [5, 6]
    assert ragged[1].tolist() == []
    assert ragged[2].tolist() == [7]
    assert ragged[-1].tolist() == [7]
    assert ragged[np.int64(0)].tolist() == [5, 6]
    assert ragged.lengths.tolist() == [2, 0, 1]
    assert ragged.values.tolist() == [5, 6, 7]
    assert ragged.offsets.tolist() == [0, 2, 2, 3]
    assert ragged.offsets.dtype == np.int64
    assert [row.tolist() for row in ragged] == [[5, 6], [], [7]]


@pytest.mark.parametrize("place", [3, -4, 2**40])
def test_index_out_of_range(place: int) -> None:
    ragged = vr.Ragged(np.array([5, 6, 7]), np.array([0, 2, 2, 3]))
    with pytest.raises(IndexError, match=f"^row: expected -3 to 2, got {place}$"):
        ragged[place]


@pytest.mark.parametrize(("place", "name"), [("a", "str"), (1.5, "float"), (slice(2), "slice")])
def test_what_is_no_index(place: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"^row: expected a whole number, got {name}$"):
        vr.Ragged([1], [0, 1])[place]


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), max_size=8))
def test_from_lists_round_trip(lists: list[list[int]]) -> None:
    ragged = vr.Ragged.from_lists(lists)
    assert len(ragged) == len(lists)
    assert [row.tolist() for row in ragged] == lists
    assert ragged.lengths.tolist() == [len(row) for row in lists]
    assert ragged.values.dtype == np.int64


def test_from_lists_of_floats_and_arrays() -> None:
    ragged = vr.Ragged.from_lists([[0.5, 2.0], [], (1.25,)])
    assert ragged.values.dtype.kind == "f"
    assert [row.tolist() for row in ragged] == [[0.5, 2.0], [], [1.25]]
    ragged = vr.Ragged.from_lists([np.array([3, 4]), np.array([], np.int64), range(2)])
    assert [row.tolist() for row in ragged] == [[3, 4], [], [0, 1]]


def test_no_rows() -> None:
    ragged = vr.Ragged(np.array([], np.int64), np.array([0]))
    assert len(ragged) == 0
    assert ragged.lengths.tolist() == []
    assert list(ragged) == []


BAD_OFFSETS: dict[str, Any] = {
    "empty": np.array([], np.int64),
    "not from zero": [1, 2, 3],
    "falling": [0, 2, 1, 3],
    "negative": [0, -1, 3],
    "past the end": [0, 2, 4],
    "huge": [0, 2**62, 3],
    "short of the end": [0, 2],
    "float": [0.0, 3.0],
    "bool": [False, True],
    "text": ["0", "3"],
    "none": None,
    "number": 3,
    "two dimensions": [[0, 3]],
    "beyond int64": np.array([0, 2**64 - 1, 3], np.uint64),
}


@pytest.mark.parametrize("offsets", BAD_OFFSETS.values(), ids=BAD_OFFSETS)
def test_malformed_offsets(offsets: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="offsets"):
        vr.Ragged(np.array([5, 6, 7]), offsets)


@pytest.mark.parametrize(
    "values",
    [np.ones((3, 1)), np.array(["a", "b", "c"]), np.array([None] * 3), np.ones(3, complex)],
)
def test_malformed_values(values: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="values"):
        vr.Ragged(values, np.array([0, 3]))


@pytest.mark.parametrize("lists", [5, "abc", [1, 2], [[1], 2], [["a"]], [[None]], [[[1]]], None])
def test_malformed_lists(lists: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="lists"):
        vr.Ragged.from_lists(lists)


def test_offsets_changed_afterwards_never_reach_outside() -> None:
    offsets = np.array([0, 2, 3])
    ragged = vr.Ragged(np.array([5, 6, 7]), offsets)
    offsets[1] = 2**40
    if ragged.offsets.flags.writeable:
        ragged.offsets[1] = 2**40
    table = np.ones((10, 2), np.float32)
    try:
        pooled = vr.pool(table, ragged)
    except (TypeError, ValueError, IndexError):
        return
    assert pooled.tolist() == [[2, 2], [1, 1]]
