"""From what stands for rows of different lengths to one flat array and its offsets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, Sized
from typing import Any, Literal

import numpy as np

from vecrecall.arrays._conversion import TEXT, as_array
from vecrecall.arrays._list_columns import (
    ListColumn,
    ListColumnError,
    is_csr,
    is_sparse,
    list_column,
)
from vecrecall.arrays._typing import I64, Array

Convert = Callable[[object, str], Array]


def flattened(
    x: object,
    name: str,
    expected: str,
    convert: Convert,
    *,
    sets: bool = True,
    sparse: Literal["indices", "data"] | None = None,
) -> tuple[Array, I64]:
    """Convert rows, each by `convert`, to their values one after the other, and the offsets.

    Rows may be whatever NumPy makes an array of, views of a dict and, unless `sets` is false, sets,
    which come out ascending. Of a CSR matrix `sparse` are the rows, if anything.
    """
    lists = _lists_at_once(x, name, expected, sparse)
    if lists is not None:
        return convert(lists.values, name), lists.offsets
    if _is_ranked(x):
        x = [one.ids for one in x]  # type: ignore[attr-defined]
    rows = x if isinstance(x, (list, tuple)) else _rows(x, name, expected)
    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "biuf":
        return convert(rows.ravel(), name), np.arange(len(rows) + 1) * rows.shape[1]
    parts = [
        convert(_row(row, i, name, expected, sets), f"{name}, row {i}")
        for i, row in enumerate(rows)
    ]
    full = [part for part in parts if part.size]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([part.size for part in parts], out=offsets[1:])
    return np.concatenate(full) if full else np.empty(0, np.int64), offsets


def is_flat(x: Any) -> bool:
    """Tell one value per place from one row per place; what is neither counts as rows."""
    if isinstance(x, (*TEXT, Mapping, Set)) or not _is_sized(x):
        return False
    if not isinstance(x, (list, tuple)):
        try:
            a = as_array(x, "", "")
        except (TypeError, ValueError):
            return False
        if a.ndim != 1 or a.dtype.kind != "O":
            return a.ndim == 1
        x = a.tolist()
    return not any(_is_sized(v) and getattr(v, "ndim", 1) and not isinstance(v, TEXT) for v in x)


def ascending(x: object, name: str, expected: str) -> Array | None:
    """Put the members of a set into an array; None for what is no set."""
    if not isinstance(x, (set, frozenset)):
        return None
    return np.sort(_comparable(as_array(list(x), name, expected)))


def check_no_decrease(offsets: Array, expected: str) -> None:
    """Compare each offset with the one before; unsigned ones too, so that none is subtracted."""
    bad = np.flatnonzero(offsets[1:] < offsets[:-1])
    if bad.size:
        at = int(bad[0])
        raise ValueError(
            f"{expected} that do not decrease, got {offsets[at + 1]} after {offsets[at]} "
            f"at place {at + 1}"
        )


def _comparable(a: Array) -> Array:
    """Leave out of the sorting what the caller then refuses."""
    return a if a.dtype.kind in "biuf" else a.ravel()[:1]


def _is_sized(x: object) -> bool:
    return isinstance(x, Sized) and (isinstance(x, Iterable) or hasattr(x, "__getitem__"))


def _came(x: object) -> str:
    once = isinstance(x, Iterator)
    return type(x).__name__ + (" (which can be read only once: list() keeps it)" if once else "")


def _rows(x: Any, name: str, expected: str) -> "Sequence[Any] | Array":
    """Split what is no list into rows; sets are refused, since they have no order."""
    if is_sparse(x):
        raise TypeError(
            f"{name}: expected {expected}, got a sparse {type(x).__name__} "
            f"({'' if is_csr(x) else 'its tocsr() makes it CSR, of which '}"
            "Ragged.from_csr takes the columns)"
        )
    if isinstance(x, (*TEXT, Mapping, Set)) or not _is_sized(x):
        raise TypeError(f"{name}: expected {expected}, got {_came(x)}")
    if hasattr(x, "__array__"):
        try:
            a = as_array(x, name, expected)
        except ValueError:  # no array, since the rows differ in length
            return _listed(x, f"{name}: expected {expected}, got")
        if a.ndim == 0:
            raise ValueError(f"{name}: expected {expected}, got shape ()")
        return a
    return _listed(x, f"{name}: expected {expected}, got")


def _listed(x: Any, begin: str) -> list[Any]:
    """List what an object of whatever class gives when iterated."""
    try:
        return list(x)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(f"{begin} {type(x).__name__} that cannot be iterated: {error}") from error


def _is_ranked(x: object) -> bool:
    """Tell a result, or one query's list in it, of which rows are the ids."""
    return hasattr(x, "ids") and hasattr(x, "scores")


def _row(x: Any, i: int, name: str, expected: str, sets: bool) -> object:
    if isinstance(x, (list, tuple, range)) or type(x) is np.ndarray:
        return x
    if isinstance(x, (*TEXT, Mapping, np.generic)) or not _is_sized(x):
        raise TypeError(f"{name}: expected {expected}, got {_came(x)} as row {i}")
    if sets and _is_ranked(x):
        return x.ids
    if isinstance(x, Set) and not sets:
        raise TypeError(f"{name}: expected {expected}, got {type(x).__name__} as row {i}")
    if hasattr(x, "as_py"):  # a row of a column of Arrow, None where it is missing
        x = x.values if x.is_valid else None
        return _row(x, i, name, expected, sets)
    members = ascending(x, f"{name}, row {i}", expected)
    if members is not None:
        return members
    if isinstance(x, Sequence) or hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return x
    return _listed(x, f"{name}: expected {expected}, got in row {i}")


def _lists_at_once(
    x: Any, name: str, expected: str, sparse: Literal["indices", "data"] | None
) -> ListColumn | None:
    """Take apart what needs no loop over its rows."""
    if sparse is not None and is_csr(x):
        return csr_rows(x, name, sparse)
    try:
        return list_column(x)
    except ListColumnError as error:
        raise ValueError(f"{name}: expected {expected}, got {error}") from None


def csr_rows(x: Any, name: str, part: str) -> ListColumn:
    """Take the stored entries of a CSR matrix, whose arrays anybody may have changed."""
    offsets = np.array(x.indptr, np.int64)
    values = np.asarray(getattr(x, part))
    ordered = offsets.size and offsets[0] == 0 and not (offsets[1:] < offsets[:-1]).any()
    if not ordered or offsets[-1] > values.size or values.ndim != 1:
        raise ValueError(f"{name}: expected a sound CSR matrix, got one with a damaged indptr")
    return ListColumn(values[: offsets[-1]], offsets)
