"""The search that all channels over an index do."""

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _validation
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import take_rows
from vecrecall.arrays._results import SearchResult, scatter
from vecrecall.arrays._scalars import type_name
from vecrecall.arrays._typing import F32
from vecrecall.search._protocol import SearchableIndex


def checked(index: SearchableIndex) -> SearchableIndex:
    """Refuse now what could not be searched later."""
    if isinstance(index, type) or not callable(getattr(index, "search", None)):
        raise TypeError(f"index: expected an index with a search method, got {type_name(index)}")
    return index


def checked_queries(index: SearchableIndex, x: object, name: str) -> F32:
    """Check vectors that an index will be searched with, if it says how wide they must be."""
    queries = _validation.check_vectors(x, name)
    dim = getattr(checked(index), "dim", queries.shape[1])
    if queries.shape[1] != dim:
        raise ValueError(f"{name}: expected {dim} columns, as the index, got {queries.shape[1]}")
    return queries


def search(
    index: SearchableIndex, queries: npt.NDArray[np.float32], k: int, exclude: Ragged | None
) -> SearchResult:
    """Search; a query of zeros says nothing about its user, so its list is empty."""
    if _core.first_zero_row(queries) < 0:
        return index.search(queries, k, exclude=exclude)
    rows = np.flatnonzero(_core.zero_rows(queries) == 0)
    exclude = None if exclude is None else take_rows(exclude, rows)
    return scatter(index.search(queries[rows], k, exclude=exclude), rows, len(queries))
