"""Checks of ids, labels and other integers."""

from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._conversion import as_array, beyond_int64, contiguous, described
from vecrecall.arrays._row_input import ascending
from vecrecall.arrays._typing import I64

LARGEST_ID = int(np.iinfo(np.int64).max)


def integer_array(x: object, name: str) -> npt.NDArray[Any]:
    a = as_array(x, name, "integers")
    if a.dtype.kind != "i" and a.size:
        big = beyond_int64(x, a)
        if big:
            raise ValueError(f"{name}: expected integers that fit int64, got {big[0]} at {big[1]}")
        if a.dtype.kind != "u":
            hint = " (string keys: see vecrecall.Vocabulary)" if a.dtype.kind in "US" else ""
            raise TypeError(f"{name}: expected integers, got {described(x, a)}{hint}")
    return a


def check_integers(x: object, name: str) -> I64:
    """Coerce to a row of int64."""
    a = integer_array(x, name)
    if a.ndim != 1:
        raise ValueError(f"{name}: expected a row of integers, got shape {a.shape}")
    return contiguous(a, np.int64)


def check_id_set(x: object, name: str) -> I64:
    """Coerce a set of ids, or ids in a row, to int64; the order means nothing."""
    members = ascending(x, name, "integers")
    return check_integers(x if members is None else members, name)


def is_id(x: object) -> TypeGuard[int]:
    """Tell whether something can be an id at all."""
    if isinstance(x, (bool, np.bool_, np.timedelta64)) or not isinstance(x, (int, np.integer)):
        return False
    return bool(0 <= x <= LARGEST_ID)


def check_ids(x: object, name: str, n: int) -> I64:
    """Coerce to one id per row; the core checks that they are unique and not negative."""
    a = check_integers(x, name)
    if a.shape != (n,):
        raise ValueError(f"{name}: expected {n} ids, one per row, got {a.shape[0]}")
    return a


def check_labels(x: object, name: str, n: int, k: int) -> I64:
    """Coerce to one label from 0 to k - 1 a row, -1 for none; a matrix of one column will do."""
    a = integer_array(x, name)
    if a.shape not in ((n,), (n, 1)):
        raise ValueError(f"{name}: expected {n} labels, one per row, got shape {a.shape}")
    flat: I64 = a.reshape(n).astype(np.int64, copy=False)
    bad = np.flatnonzero((flat < -1) | (flat >= k))
    if bad.size:
        raise ValueError(
            f"{name}: expected labels from 0 to {k - 1}, or -1 for none, "
            f"got {flat[bad[0]]} in row {bad[0]}"
        )
    return flat
