"""Rows of different lengths in two flat arrays."""

import operator
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._conversion import as_array, described
from vecrecall.arrays._row_input import flattened


class Ragged:
    """Rows of different lengths (CSR): row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    values : array_like, shape (n_values,)
        The rows' values, one row after the other.
    offsets : array_like of int, shape (n_rows + 1,)
        Where each row begins and the last one ends: 0 first, never descending,
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
        bad = np.flatnonzero(o[1:] < o[:-1])
        if bad.size:
            raise ValueError(f"offsets: expected never to descend, got a descent at row {bad[0]}")
        # A copy of its own: the core trusts the offsets.
        self.offsets = o.astype(np.int64, copy=True)
        self.offsets.flags.writeable = False
        self.values = np.ascontiguousarray(v)

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
            One row each, or what else `RaggedLike` lists; an empty sequence gives no rows. A set
            comes ascending.

        Returns
        -------
        Ragged
            Its values have the dtype that NumPy gives the rows together, int64 when all are empty.
        """
        return cls(*flattened(lists, "lists", "a sequence of rows of numbers", _number_row))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each row, shape (n_rows,)."""
        return self.offsets[1:] - self.offsets[:-1]

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, row: SupportsIndex) -> npt.NDArray[Any]:
        i = operator.index(row)
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"row: expected {-n} to {n - 1}, got {i}")
        i %= n
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {self.values.size} values, dtype {self.values.dtype})"


RaggedLike = Ragged | Sequence[npt.ArrayLike | AbstractSet[int]] | npt.ArrayLike
"""Types that an argument marked *ragged* takes.

A `Ragged`, a matrix, or rows in a sequence, an array or column of objects (of pandas, polars), or
an Arrow column of lists. A row is whatever NumPy makes an array of (a list, a range, a Series, a
tensor), a view of a dict, or a set, whose values come ascending. Not what can be read only once, a
mapping, or text.
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
