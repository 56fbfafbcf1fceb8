"""Columns as users have them: NumPy, Arrow, pandas, polars and lists, into Python lists or arrays.

Other libraries are told by what their objects can do; none is imported.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars, _times
from vecrecall.arrays._ragged import Ragged

Column: TypeAlias = Any
"""A column: a sequence, a NumPy array, or a column of Arrow, pandas or polars."""

Numbers: TypeAlias = npt.NDArray[np.float32]

_PLAIN = frozenset({str, int, float, bool, bytes, tuple, NoneType})
_SURE = frozenset({str, int, bool, bytes})  # never missing, always hashable
_NO_COLUMNS = (str, bytes, Mapping, set, frozenset)


def values_of(column: Column, name: str) -> list[Any]:
    """Return the values of a column as Python objects; a missing one is None."""
    if isinstance(column, _NO_COLUMNS) or not isinstance(column, Iterable):
        raise TypeError(f"{name}: expected a column, got {type(column).__name__}")
    if isinstance(column, Ragged):
        return [row.tolist() for row in column]
    if hasattr(column, "columns") or getattr(column, "ndim", 1) != 1:
        raise TypeError(f"{name}: expected one column, got {_described(column)}")
    return _listed(column)


def check_keys(column: Column, name: str, length: int | None = None) -> list[Hashable]:
    """Return keys: hashable values, none of them missing."""
    values = values_of(column, name)
    check_length(values, name, length)
    for row, value in enumerate(values):
        if is_missing(value):
            raise ValueError(f"{name}: expected a key in each row, got {value!r} in row {row}")
        _check_hashable(value, name, row)
    return values


def check_optional_keys(column: Column, name: str, length: int | None = None) -> list[Any]:
    """Return keys, None for a missing one."""
    values = values_of(column, name)
    check_length(values, name, length)
    for row, value in enumerate(values):
        _check_hashable(value, name, row)
    return [None if is_missing(value) else value for value in values]


def check_texts(column: Column, name: str, length: int | None = None) -> list[str]:
    """Return texts; a missing one is an error, an empty one is not."""
    values = values_of(column, name)
    check_length(values, name, length)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected texts, got {type(value).__name__} in row {row}")
    return values


def check_numbers(column: Column, name: str, length: int | None = None) -> Numbers:
    """Return finite numbers as float32."""
    return _finite(column, name, length).astype(np.float32)


def check_exact_numbers(
    column: Column, name: str, length: int | None = None
) -> npt.NDArray[np.float64]:
    """Return finite numbers, not rounded: a time in milliseconds needs more than float32."""
    return _finite(column, name, length)


def check_counts(column: Column, name: str, length: int | None = None) -> npt.NDArray[np.float64]:
    """Return finite numbers >= 0, not rounded."""
    found = _finite(column, name, length)
    if (found < 0).any():
        row = int((found < 0).argmax())
        raise ValueError(f"{name}: expected a number >= 0, got {found[row]:g} in row {row}")
    return found


def check_times(column: Column, name: str, length: int | None = None) -> npt.NDArray[np.float64]:
    """Return times as numbers; dates become seconds since 1970."""
    if getattr(getattr(column, "dtype", None), "kind", None) == "M":
        dates = np.asarray(column, "datetime64[us]")
        if dates.ndim != 1:
            raise TypeError(f"{name}: expected one column, got {_described(dates)}")
        found = _times.column(dates)
        if isinstance(column, np.ma.MaskedArray):
            found[np.ma.getmaskarray(column)] = np.nan
    elif _are_numbers(column):
        return _finite(column, name, length)
    else:
        values = values_of(column, name)
        if not any(_times.is_moment(value) for value in values):
            return _finite(values, name, length, "numbers, or dates such as datetime64")
        found = np.array([_seconds(value, name, row) for row, value in enumerate(values)])
    check_length(found, name, length)
    missing = np.isnan(found)
    if missing.any():
        raise ValueError(f"{name}: expected a time, got NaT in row {int(missing.argmax())}")
    return found


def check_lists(column: Column, name: str, length: int | None = None) -> list[list[Hashable]]:
    """Return lists of keys, possibly empty; a missing list is empty."""
    values = values_of(column, name)
    check_length(values, name, length)
    return [_keys_in(value, name, row) for row, value in enumerate(values)]


def check_length(values: Sequence[Any] | npt.NDArray[Any], name: str, length: int | None) -> None:
    """Compare the number of rows with what another column has."""
    if length is not None and len(values) != length:
        raise ValueError(f"{name}: expected {_scalars.counted(length, 'row')}, got {len(values)}")


def check_unique(keys: Sequence[Hashable], name: str) -> None:
    """Let no key stand twice."""
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if first.setdefault(key, row) != row:
            raise ValueError(f"{name}: duplicate key {key!r} in rows {first[key]} and {row}")


def number(keys: Sequence[Hashable], of: Mapping[Hashable, int]) -> npt.NDArray[np.int64]:
    """Return the numbers of keys, -1 for unknown ones."""
    return np.fromiter((of.get(key, -1) for key in keys), np.int64, len(keys))


def numbering(keys: Iterable[Hashable]) -> dict[Hashable, int]:
    """Give keys numbers in the order in which they first come."""
    found: dict[Hashable, int] = {}
    for key in keys:
        found.setdefault(key, len(found))
    return found


def is_missing(value: object) -> bool:
    """Tell None, NaN and their like of pandas."""
    if type(value) in _SURE:
        return False
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in ("NAType", "NaTType")


def _finite(
    column: Column, name: str, length: int | None, expected: str = "numbers"
) -> npt.NDArray[np.float64]:
    array = column
    if not _are_numbers(column):
        values = values_of(column, name)
        for row, value in enumerate(values):
            if is_missing(value):
                raise ValueError(f"{name}: expected a finite number, got {value!r} in row {row}")
            if not isinstance(value, numbers.Real):
                raise TypeError(
                    f"{name}: expected {expected}, got {type(value).__name__} in row {row}"
                )
        array = np.array([_float(value) for value in values], np.float64)
    check_length(array, name, length)
    if array.ndim != 1:
        raise TypeError(f"{name}: expected one column, got {_described(array)}")
    found: npt.NDArray[np.float64] = array.astype(np.float64)
    wrong = ~np.isfinite(found) | (np.abs(found) > np.finfo(np.float32).max)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name}: expected a finite number, got {found[row]} in row {row}")
    return found


def _are_numbers(column: Column) -> bool:
    if isinstance(column, np.ma.MaskedArray):  # its masked numbers are missing
        return False
    return isinstance(column, np.ndarray) and column.dtype.kind in "biuf"


def _float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def _seconds(value: Any, name: str, row: int) -> float:
    if is_missing(value):
        return math.nan
    if not _times.is_moment(value):
        raise TypeError(f"{name}: expected dates, got {type(value).__name__} in row {row}")
    return _times.seconds_since_1970(value)


def _keys_in(value: Any, name: str, row: int) -> list[Hashable]:
    if is_missing(value):
        return []
    if isinstance(value, _NO_COLUMNS) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected lists, got {type(value).__name__} in row {row}")
    keys = _listed(value)
    for place, key in enumerate(keys):
        if is_missing(key):
            raise ValueError(f"{name}: expected a key, got {key!r} in row {row}, place {place}")
        _check_hashable(key, name, row, f", place {place}")
    return keys


def _check_hashable(value: Any, name: str, row: int, place: str = "") -> None:
    if type(value) in _SURE:
        return
    try:
        hash(value)
    except TypeError as error:  # a tuple has a hash only if all in it have one
        raise TypeError(
            f"{name}: expected hashable keys, got {type(value).__name__} in row {row}{place}"
        ) from error


def _listed(column: Any) -> list[Any]:
    """Return the values of one column as Python objects."""
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            return [_python(value) for value in getattr(column, method)()]
    return [_python(value) for value in column]


def _python(value: Any) -> Any:
    """Return the Python object of a scalar; those of Arrow and tensors may not equal their like."""
    if type(value) in _PLAIN:
        return value
    if hasattr(value, "as_py"):
        return value.as_py()
    if getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    found = value.item()
    # Dates finer than microseconds come as numbers.
    is_date = isinstance(value, np.datetime64) and isinstance(found, int)
    return value if is_date else found


def _described(column: Any) -> str:
    shape = getattr(column, "shape", None)
    return f"shape {tuple(shape)}" if shape is not None else type(column).__name__
