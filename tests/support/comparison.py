"""The comparison of results by their bits, and what tests are run over."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import vecrecall as vr

Metric = Literal["ip", "l2", "cosine"]
METRICS: tuple[Metric, ...] = ("ip", "l2", "cosine")
ISAS = tuple(vr.available_isas())


@contextmanager
def forced_isa(name: str) -> Iterator[None]:
    """Run on one instruction set, and say so if another one runs."""
    before = vr.isa()
    vr.set_isa(name)
    try:
        assert vr.isa() == name
        yield
        assert vr.isa() == name
    finally:
        vr.set_isa(before)


def assert_same_float32(found: Any, expected: npt.NDArray[np.float32]) -> None:
    """Equal float32 arrays, bit for bit."""
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


FIELDS: dict[type, tuple[str, ...]] = {
    vr.SearchResult: ("ids", "scores", "counts"),
    vr.GroupResult: ("ids", "scores", "counts", "n_rows", "best_row"),
    vr.MergeResult: (
        *("ids", "scores", "counts", "channels", "ranks", "channel_scores", "unfilled"),
    ),
}


def arrays(result: Any) -> tuple[Any, Any, Any]:
    """The arrays that results of every kind have."""
    return result.ids, result.scores, result.counts


def replaced(result: Any, **fields: Any) -> Any:
    """A copy of a result with other arrays."""
    other = copy.copy(result)
    for name, value in fields.items():
        assert hasattr(result, name)
        setattr(other, name, value)
    return other


def assert_same_bits(result: Any, ids: Any, scores: Any, counts: Any) -> None:
    """A result has these ids and counts, and scores that are equal bit for bit."""
    assert result.ids.dtype == np.int64
    assert result.counts.dtype == np.int32
    assert result.ids.shape == ids.shape
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_array_equal(result.ids, ids)
    assert_same_float32(result.scores, scores)
