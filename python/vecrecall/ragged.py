"""Rows of different lengths in two flat arrays."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt


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
        v = np.ascontiguousarray(_regular(values, "values"))
        o = _regular(offsets, "offsets")
        if v.ndim != 1 or np.ndim(values) != 1:
            raise ValueError(f"values: expected one dimension, got shape {np.shape(values)}")
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
        self.values = v

    @classmethod
    def _of(cls, values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> "Ragged":
        """Wrap arrays that the package itself has made, without a look at them."""
        rows = object.__new__(cls)
        rows.values, rows.offsets = values, offsets
        return rows

    @classmethod
    def from_lists(cls, lists: Sequence[npt.ArrayLike]) -> "Ragged":
        """Build from a sequence of rows.

        Parameters
        ----------
        lists : sequence of array_like
            One row each; an empty sequence gives no rows.

        Returns
        -------
        Ragged
            Its values have the dtype that NumPy gives the rows together, int64 when all are empty.
        """
        if isinstance(lists, (str, bytes)) or not isinstance(lists, (Sequence, np.ndarray)):
            raise TypeError(f"lists: expected a sequence of rows, got {type(lists).__name__}")
        rows = [_regular(row, f"lists, row {i}") for i, row in enumerate(lists)]
        for i, row in enumerate(rows):
            if row.ndim != 1:
                raise ValueError(f"lists: expected rows of numbers, got shape {row.shape} at {i}")
        full = [row for row in rows if row.size]
        values = np.concatenate(full) if full else np.empty(0, np.int64)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([row.size for row in rows], out=offsets[1:])
        return cls(values, offsets)

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


RaggedLike = Ragged | Sequence[npt.ArrayLike] | npt.NDArray[Any]
"""What an argument marked *ragged* takes."""


def _regular(x: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        a = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected one dimension, got ragged rows") from error
    if a.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {a.dtype}")
    return a
