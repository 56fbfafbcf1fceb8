"""Padded lists: with nothing in them, and some in their places among such."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._results import SearchResult


def empty_lists(rows: int, k: int) -> SearchResult:
    """Make lists with nothing in them."""
    return SearchResult(
        np.full((rows, k), -1, np.int64),
        np.full((rows, k), -np.inf, np.float32),
        np.zeros(rows, np.int32),
    )


def scatter(found: SearchResult, places: npt.NDArray[Any], rows: int) -> SearchResult:
    """Put lists in their places (numbers or a mask) among `rows`; the others are empty."""
    full = empty_lists(rows, found.ids.shape[1])
    full.ids[places], full.scores[places], full.counts[places] = found
    return full
