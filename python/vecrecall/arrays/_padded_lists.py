"""Checks of padded lists, whose arrays callers may have made themselves."""

from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _validation
from vecrecall.arrays._conversion import as_array, contiguous, described
from vecrecall.arrays._typing import F32, I32, I64


def check_padded(ids: Any, scores: Any, counts: Any, name: str) -> tuple[I64, F32, I32]:
    """Coerce the ids, scores and counts of a result; NaN is an error where an item is."""
    if _core.are_lists(ids, scores, counts) and not np.isnan(scores).any():
        return ids, scores, counts
    item_ids = _ids.integer_array(ids, f"{name}.ids")
    values = check_scores(scores, f"{name}.scores")
    lengths = _ids.integer_array(counts, f"{name}.counts")
    if item_ids.ndim != 2 or values.shape != item_ids.shape or lengths.shape != item_ids.shape[:1]:
        raise ValueError(
            f"{name}: expected ids and scores of shape (nq, k) and counts of shape (nq,), "
            f"got {item_ids.shape}, {values.shape} and {lengths.shape}"
        )
    if ((lengths < 0) | (lengths > item_ids.shape[1])).any():
        raise ValueError(f"{name}.counts: expected counts from 0 to {item_ids.shape[1]}")
    bad = np.flatnonzero((np.isnan(values) & (item_ids >= 0)).any(axis=1))
    if bad.size:
        raise ValueError(f"{name}.scores: expected numbers, got NaN in row {bad[0]}")
    return (
        contiguous(item_ids, np.int64),
        _validation.to_float32(values, f"{name}.scores"),
        contiguous(lengths, np.int32),
    )


def check_scores(x: object, name: str) -> npt.NDArray[Any]:
    """Coerce scores to floats; those that are not float32 are still to be rounded."""
    scores = as_array(x, name, "floats or whole numbers")
    if scores.dtype.kind in "iu":
        return scores.astype(np.float32)  # all fit; those that are not float32 are rounded
    if scores.dtype.kind != "f" and scores.size:
        raise TypeError(f"{name}: expected floats or whole numbers, got {described(x, scores)}")
    return scores
