"""`vr.RequestBatch`: what it takes, what it becomes, and what it says about bad input."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall import _core


def test_nothing_is_needed() -> None:
    batch = vr.RequestBatch()
    assert len(batch) == 0
    assert batch.user_ids is None
    assert batch.seen is None
    assert dict(batch.vectors) == {}


def test_lists_become_flat_arrays() -> None:
    batch = vr.RequestBatch(
        user_ids=[5, 6],
        history=[[1, 2], []],
        history_weights=[[0.5, 2], []],
        tags=[[3], [4, -1]],
        tag_weights=[1, 2, 3],
        tag_groups=[[0], [1, 1]],
        vectors={"a": np.ones((2, 3)), "b": [[1.0], [2.0]]},
        clusters=[4, -1],
        seen=[[9], [8, 7]],
    )
    assert len(batch) == 2
    assert batch.user_ids is not None
    assert batch.user_ids.dtype == np.int64
    for ragged, values, lengths in (
        (batch.history, [1, 2], [2, 0]),
        (batch.history_weights, [0.5, 2.0], [2, 0]),
        (batch.tags, [3, 4, -1], [1, 2]),
        (batch.tag_weights, [1.0, 2.0, 3.0], [1, 2]),
        (batch.tag_groups, [0, 1, 1], [1, 2]),
        (batch.clusters, [4, -1], [1, 1]),
        (batch.seen, [9, 8, 7], [1, 2]),
    ):
        assert isinstance(ragged, vr.Ragged)
        assert ragged.values.tolist() == values
        assert ragged.lengths.tolist() == lengths
    assert batch.vectors["a"].dtype == np.float32
    assert batch.vectors["b"].shape == (2, 1)
    assert repr(batch).startswith("RequestBatch(2 users, with user_ids, history, tags, ")


@pytest.mark.parametrize(
    "seen", [[[1, 2], []], [{5}, [7]], np.array([[1], [2]]), vr.Ragged([1, 2], [0, 1, 2])]
)
def test_rows_are_checked_once(seen: Any) -> None:
    """Rows that a batch holds need no further check by each of its channels."""
    held = vr.RequestBatch(seen=seen).seen
    assert held is not None
    assert _core.are_id_rows(held.values, held.offsets)


def test_ragged_and_matrices_are_taken() -> None:
    rows = vr.Ragged(np.array([4, 5, 6]), np.array([0, 1, 3]))
    batch = vr.RequestBatch(
        history=rows,
        history_weights=vr.Ragged(np.array([1.0, 2, 3]), np.array([0, 1, 3])),
        tags=np.array([[1, 2], [3, 4]]),
        tag_groups=[0, 1, 0, 1],
        clusters=[[1], [2, 3]],
        seen=(np.array([1]), [2, 3]),
    )
    assert batch.history is not None
    assert batch.history[1].tolist() == [5, 6]
    assert batch.tags is not None
    assert batch.tags[1].tolist() == [3, 4]
    assert batch.clusters is not None
    assert batch.clusters.lengths.tolist() == [1, 2]


def test_float32_vectors_are_not_copied() -> None:
    vectors = np.ones((2, 4), np.float32)
    assert np.shares_memory(vr.RequestBatch(vectors={"x": vectors}).vectors["x"], vectors)


def test_a_batch_does_not_change() -> None:
    batch = vr.RequestBatch(user_ids=[1], vectors={"x": np.ones((1, 1))})
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.user_ids = None  # type: ignore[misc]
    with pytest.raises(TypeError):
        batch.vectors["y"] = np.ones((1, 1), np.float32)  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"user_ids": [1, 2], "seen": [[1]]}, "seen: expected 2 rows, as user_ids, got 1"),
        ({"seen": [[1]], "history": [[], []]}, "seen: expected 2 rows, as history, got 1"),
        ({"tags": [[1]], "clusters": [1, 2]}, "clusters: expected 1 row, as tags, got 2"),
        (
            {"user_ids": [1], "vectors": {"dssm": np.ones((3, 2))}},
            "vectors['dssm']: expected 1 row, as user_ids, got 3",
        ),
        (
            {"history": [[1, 2]], "history_weights": [[1.0]]},
            "history_weights, row 0: expected shape (2,), got (1,)",
        ),
        (
            {"history": [[1, 2]], "history_weights": [1.0, float("nan")]},
            "history_weights: expected finite numbers, got nan at place 1",
        ),
        ({"history_weights": [[1.0]]}, "history_weights: expected history with it, got none"),
        ({"tag_weights": [[1.0]]}, "tag_weights: expected tags with it, got none"),
        ({"tag_groups": [[1]]}, "tag_groups: expected tags with it, got none"),
        (
            {"tags": [[1], [2]], "tag_groups": [[1, 1], []]},
            "tag_groups: expected rows as long as those of tags, got other lengths",
        ),
        (
            {"tags": [[1, 2]], "tag_groups": [1]},
            "tag_groups: expected 2 values, one a tag, got 1",
        ),
        (
            {"vectors": {"u": [[1.0], [float("inf")]]}},
            "vectors['u']: expected finite values, got NaN or infinity in row 1",
        ),
    ],
)
def test_values_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        vr.RequestBatch(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"user_ids": ["a"]}, "user_ids: expected integers"),
        ({"user_ids": [1.5]}, "user_ids: expected integers, got dtype float64"),
        ({"history": [1, 2]}, "history: expected a Ragged or a sequence of rows of integers"),
        ({"seen": "abc"}, "seen: expected a Ragged or a sequence of rows"),
        ({"seen": [[1.5]]}, "seen, row 0: expected integers"),
        ({"vectors": np.ones((1, 1))}, "vectors: expected a mapping of names to arrays, got nda"),
        ({"vectors": {3: np.ones((1, 1))}}, "vectors: expected names of type str, got 3"),
        ({"vectors": {"u": [["1", "2"]]}}, r"vectors\['u'\]: expected real numbers"),
        ({"tags": [[1]], "tag_weights": [["a"]]}, "tag_weights, row 0: expected 1 real numbers"),
    ],
)
def test_values_of_the_wrong_type(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        vr.RequestBatch(**fields)


def test_what_a_channel_misses() -> None:
    class MyChannel:
        pass

    batch = vr.RequestBatch(seen=[[1]], vectors={"a": np.ones((1, 2)), "b": np.ones((1, 2))})
    assert batch.need("seen", MyChannel()).values.tolist() == [1]
    assert batch.need_vectors("a", MyChannel()) is batch.vectors["a"]
    with pytest.raises(ValueError, match=r"^MyChannel: expected a batch with history, got none$"):
        batch.need("history", MyChannel())
    message = "^MyChannel: expected a batch with vectors 'c', got 'a', 'b'$"
    with pytest.raises(ValueError, match=message):
        batch.need_vectors("c", MyChannel())
