"""Checks of rows of different lengths, and of what comes with each of their values."""

from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _validation
from vecrecall.arrays._conversion import as_array, contiguous
from vecrecall.arrays._list_columns import is_csr
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._row_input import flattened, is_flat
from vecrecall.arrays._scalars import counted
from vecrecall.arrays._typing import F64


def check_ragged(x: object, name: str, rows: int | None = None) -> Ragged:
    """Coerce to ragged int64 rows; of a CSR matrix its columns."""
    if type(x) is Ragged and _core.are_id_rows(x.values, x.offsets) and rows in (None, len(x)):
        return x
    if isinstance(x, Ragged):
        x = _check_unchanged(x, name)
        found = Ragged._of(contiguous(_ids.integer_array(x.values, name), np.int64), x.offsets)
    else:
        expected = "a Ragged or a sequence of rows of integers, such as [[1, 2]]"
        found = Ragged._of(*flattened(x, name, expected, _ids.check_integers, sparse="indices"))
    if rows is not None and len(found) != rows:
        raise ValueError(f"{name}: expected {counted(rows, 'row')}, got {len(found)}")
    found.offsets.flags.writeable = False  # which spares the next check of them a look
    return found


def _check_unchanged(x: Ragged, name: str) -> Ragged:
    """Check a Ragged again: its arrays may have been replaced."""
    try:
        return Ragged(x.values, x.offsets)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a sound Ragged, got one with {error}") from error


def check_entry_weights(x: object, name: str, rows: Ragged, rows_name: str) -> F64:
    """Coerce to one finite float64 for each value of `rows`: flat, or in rows as long as those."""
    return _validation.check_finite(check_entry_numbers(x, name, rows, rows_name), name)


def check_entry_numbers(x: object, name: str, rows: Ragged, rows_name: str) -> F64:
    """Coerce to one float64 for each value of `rows`; values are not looked at."""
    if isinstance(x, Ragged):
        if not np.array_equal(x.offsets, rows.offsets):
            raise ValueError(
                f"{name}: expected rows as long as those of {rows_name}, got other lengths"
            )
        x = x.values
    elif not is_flat(x):
        x = _number_rows(x, name, rows, rows_name)
    return _validation.check_numbers(x, name, rows.values.size)


def _number_rows(x: Any, name: str, rows: Ragged, rows_name: str) -> npt.NDArray[Any]:
    """Put rows of numbers, as long as those of `rows`, one after the other."""
    expected = f"one number for each value of {rows_name}"
    values, offsets = flattened(x, name, expected, _number_row, sets=False, sparse="data")
    if len(offsets) != len(rows.offsets):
        raise ValueError(f"{name}: expected {counted(len(rows), 'row')}, got {len(offsets) - 1}")
    lengths = offsets[1:] - offsets[:-1]
    bad = np.flatnonzero(lengths != rows.lengths)
    if bad.size:
        raise ValueError(
            f"{name}, row {bad[0]}: expected shape ({rows.lengths[bad[0]]},), "
            f"got ({lengths[bad[0]]},)"
        )
    if is_csr(x) and not np.array_equal(x.indices[: rows.values.size], rows.values):
        raise ValueError(f"{name}: expected a CSR matrix with the columns of {rows_name}")
    return values


def _number_row(x: object, name: str) -> F64:
    a = as_array(x, name, "a row of numbers")
    if a.ndim != 1:
        raise ValueError(f"{name}: expected a row of numbers, got shape {a.shape}")
    return _validation.check_numbers(a if a.dtype.kind in "fiu" else x, name, a.size)
