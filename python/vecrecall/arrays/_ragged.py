"""Rows of different lengths in two flat arrays."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays._conversion import as_array, contiguous, described
from vecrecall.arrays._list_columns import ListColumnError, is_csr, is_sparse, list_column
from vecrecall.arrays._row_input import check_no_decrease, csr_rows, flattened
from vecrecall.arrays._scalars import check_place, counted


class Ragged:
    """Rows of different lengths (CSR): row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    values : array_like, shape (n_values,)
        The rows' values, one row after the other.
    offsets : array_like of int, shape (n_rows + 1,)
        Where each row begins and the last one ends: 0 first, non-decreasing,
        ``len(values)`` last.

    Raises
    ------
    TypeError, ValueError
        If either is not as described.

    Examples
    --------
    >>> import vecrecall as vr
    >>> rows = vr.Ragged.from_lists([[3, 1], [], [7]])
    >>> len(rows), rows.lengths.tolist(), rows[0].tolist()
    (3, [2, 0, 1], [3, 1])
    """

    __slots__ = ("offsets", "values")

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def __init__(self, values: npt.ArrayLike, offsets: npt.ArrayLike) -> None:
        v = _regular(values, "values")
        o = _regular(offsets, "offsets")
        if v.ndim != 1:
            raise ValueError(f"values: expected one dimension, got shape {v.shape}")
        if o.dtype.kind not in "iu":
            raise TypeError(f"offsets: expected integers, got dtype {o.dtype}")
        if o.ndim != 1 or o.size == 0:
            raise ValueError(
                f"offsets: expected shape (rows + 1,), at least one value, got {o.shape}"
            )
        if o[0] != 0 or o[-1] != v.size:
            raise ValueError(
                f"offsets: expected 0 first and {v.size}, the number of values, last, "
                f"got {o[0]} and {o[-1]}"
            )
        check_no_decrease(o, "offsets: expected values")
        # A copy of its own: the core trusts the offsets.
        self.offsets = o.astype(np.int64, copy=True)
        self.offsets.flags.writeable = False
        self.values = contiguous(v, v.dtype)

    @classmethod
    def _of(cls, values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> "Ragged":
        """Wrap arrays that the package itself has made, without a look at them."""
        rows = object.__new__(cls)
        rows.values, rows.offsets = values, offsets
        return rows

    @classmethod
    def from_lists(cls, lists: "RaggedLike") -> "Ragged":
        """Build from a sequence of rows.

        Parameters
        ----------
        lists : sequence of array_like
            One row each, or what else `RaggedLike` lists but a CSR matrix, of which `from_csr`
            takes the columns; an empty sequence gives no rows. A set comes ascending.

        Returns
        -------
        Ragged
            Its values have the dtype that NumPy gives the rows together, int64 when all are empty.
        """
        return cls(*flattened(lists, "lists", "a sequence of rows of numbers", _number_row))

    @classmethod
    def from_arrow(cls, lists: Any) -> "Ragged":
        """Build from a column of lists, without a copy of the values where their type allows.

        Parameters
        ----------
        lists : pyarrow.Array or pyarrow.ChunkedArray of lists
            Lists of numbers (of variable, large or fixed size), or a pandas, polars or awkward
            column of such, or any object with the Arrow PyCapsule interface.

        Returns
        -------
        Ragged
            One row per list, with the values' dtype.

        Raises
        ------
        TypeError
            If `lists` is not a column of lists of real numbers.
        ValueError
            If a list or a value is missing.

        Examples
        --------
        >>> import pyarrow as pa, vecrecall as vr
        >>> vr.Ragged.from_arrow(pa.array([[3, 1], [], [7]]))
        Ragged(3 rows, 3 values, dtype int64)
        """
        try:
            column = list_column(lists)
            if column is None and hasattr(lists, "__arrow_c_stream__"):
                column = list_column(_pyarrow().chunked_array(lists))
            elif column is None and hasattr(lists, "__arrow_c_array__"):
                column = list_column(_pyarrow().array(lists))
        except ListColumnError as error:
            raise ValueError(f"lists: expected a column of lists, got {error}") from None
        if column is None:
            raise TypeError(f"lists: expected a column of lists, got {type(lists).__name__}")
        nulls = getattr(column.values, "null_count", 0)  # of Arrow a number, of polars a method
        if nulls() if callable(nulls) else nulls:
            at = int(np.flatnonzero(np.asarray(column.values.is_null()))[0])
            row = int(np.searchsorted(column.offsets, at, "right")) - 1
            raise ValueError(f"lists: expected numbers, got a missing value in row {row}")
        empty = not len(column.values)  # and of no type, perhaps
        values = np.empty(0, np.int64) if empty else _regular(column.values, "lists")
        return cls(values, column.offsets)

    def to_arrow(self) -> Any:
        """Return the rows as an Arrow array of lists, which shares the values' memory.

        Returns
        -------
        pyarrow.LargeListArray

        Raises
        ------
        ImportError
            If pyarrow is not installed.

        Examples
        --------
        >>> import vecrecall as vr
        >>> vr.Ragged.from_lists([[3, 1], [], [7]]).to_arrow().to_pylist()
        [[3, 1], [], [7]]
        """
        pa = _pyarrow()
        return pa.LargeListArray.from_arrays(pa.array(self.offsets), pa.array(self.values))

    @classmethod
    def from_csr(cls, matrix: Any) -> "Ragged":
        """Build from the stored entries of a CSR matrix: each row's columns, as they are stored.

        Parameters
        ----------
        matrix : scipy.sparse.csr_array or csr_matrix, shape (n_rows, n_columns)
            For example interactions: users' rows, items' columns. Explicit zeros are entries; call
            ``matrix.eliminate_zeros()`` first if they should not be.

        Returns
        -------
        Ragged of int64
            One row per row of the matrix. ``Ragged(matrix.data, matrix.indptr)`` has the values.

        Raises
        ------
        TypeError
            If `matrix` is not sparse or of another format.
        ValueError
            If its arrays do not fit each other.

        Examples
        --------
        >>> import scipy.sparse, vecrecall as vr
        >>> seen = scipy.sparse.csr_array([[0, 5, 1], [0, 0, 0], [2, 0, 0]])
        >>> [row.tolist() for row in vr.Ragged.from_csr(seen)]
        [[1, 2], [], [0]]
        """
        if not is_csr(matrix):
            kind = type(matrix).__name__
            hint = " (its tocsr() makes one)" if is_sparse(matrix) else ""
            raise TypeError(f"matrix: expected a SciPy CSR matrix, got {kind}{hint}")
        columns = csr_rows(matrix, "matrix", "indices")
        return cls(columns.values.astype(np.int64), columns.offsets)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each row, shape (n_rows,)."""
        return self.offsets[1:] - self.offsets[:-1]

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, row: SupportsIndex) -> npt.NDArray[Any]:
        i = check_place(row, len(self), "row")
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[i] for i in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies by the constructor, which trusts no offsets; it does not copy the values."""
        return type(self), (self.values, self.offsets)

    def __repr__(self) -> str:
        rows, values = counted(len(self), "row"), counted(self.values.size, "value")
        return f"Ragged({rows}, {values}, dtype {self.values.dtype})"


RaggedLike = Ragged | Sequence[npt.ArrayLike | AbstractSet[int]] | npt.ArrayLike
"""Types that an argument marked *ragged* takes.

A `Ragged`, a matrix, rows in a sequence, a column of lists (of Arrow, pandas, polars, awkward), or
a SciPy CSR matrix, of which ids are the columns and weights the values stored. A row is whatever
NumPy makes an array of (a list, a range, a Series, a tensor), a view of a dict, or a set, whose
values come ascending. Not what can be read only once, a mapping, or text.
"""


def _regular(x: object, name: str) -> npt.NDArray[Any]:
    a = as_array(x, name, "real numbers in one dimension")
    if a.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got {described(x, a)}")
    return a


def _number_row(x: object, name: str) -> npt.NDArray[Any]:
    row = _regular(x, name)
    if row.ndim != 1:
        raise ValueError(f"{name}: expected a row of numbers, got shape {row.shape}")
    return row


def _pyarrow() -> Any:
    return needed("pyarrow", "arrow", "conversion from and to Arrow")
