"""Columns of lists, of Arrow, pandas, polars or awkward, and SciPy's CSR: values and offsets.

Other libraries are told by what their objects can do; none is imported.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from vecrecall.arrays._typing import I64


class ListColumn(NamedTuple):
    """The values of all lists, one list after the other, and where each list begins."""

    values: Any  # an array of the library that they came from, or of NumPy
    offsets: I64
    width: int = 0  # of lists of a fixed size

    @property
    def lengths(self) -> I64:
        """The length of each list."""
        return self.offsets[1:] - self.offsets[:-1]


class ListColumnError(ValueError):
    """A column of lists that cannot be used; the message names the row."""


def list_column(x: Any) -> ListColumn | None:
    """Take a column of lists apart without a loop over its rows; None for anything else.

    Raises
    ------
    ListColumnError
        If a list is missing.
    """
    library = type(x).__module__.partition(".")[0]
    if library == "polars":
        return _polars(x)
    if library == "awkward":
        return _awkward(x)
    return _arrow(x)


def _arrow(x: Any) -> ListColumn | None:
    held = getattr(x, "array", None)  # of pandas
    if held is not None and hasattr(held, "__arrow_array__") and "list" in str(held.dtype):
        x = held.__arrow_array__()
    if hasattr(x, "combine_chunks"):
        x = x.combine_chunks()
    if not hasattr(x, "value_lengths"):
        return None
    if x.null_count:
        raise _missing(x.is_null())
    width = getattr(x.type, "list_size", 0)
    return ListColumn(x.flatten(), _offsets(x.value_lengths()), width)


def _polars(x: Any) -> ListColumn | None:
    kind = str(getattr(x, "dtype", ""))
    if not kind.startswith(("List", "Array")):
        return None
    if x.null_count():
        raise _missing(x.is_null())
    lists = x.arr.to_list() if kind.startswith("Array") else x
    lengths = lists.list.len()
    # An empty list would come out as a missing value.
    width = getattr(x.dtype, "size", 0) or 0
    return ListColumn(lists.filter(lengths > 0).explode(), _offsets(lengths), width)


def _awkward(x: Any) -> ListColumn | None:
    awkward = sys.modules.get("awkward")
    if awkward is None or getattr(x, "ndim", 1) != 2 or "string" in str(awkward.type(x)):
        return None
    missing = awkward.is_none(x)
    if awkward.any(missing):
        raise _missing(missing)
    return ListColumn(awkward.flatten(x), _offsets(awkward.num(x)))


def _missing(which: Any) -> ListColumnError:
    return ListColumnError(f"a missing row as row {int(np.flatnonzero(np.asarray(which))[0])}")


def _offsets(lengths: Any) -> I64:
    counts = np.asarray(lengths, np.int64)
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def is_sparse(x: object) -> bool:
    """Tell a sparse matrix, of which NumPy would make one object."""
    return hasattr(x, "toarray") and hasattr(x, "nnz")


def is_csr(x: Any) -> bool:
    """Tell a sparse matrix whose rows lie one after the other."""
    return is_sparse(x) and getattr(x, "format", "") == "csr" and x.ndim == 2
