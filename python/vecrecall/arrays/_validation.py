"""Checks of vectors, weights and times: arrays of real numbers.

A message names the argument, says what was expected and what came.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _scalars, _times
from vecrecall.arrays._conversion import as_array, as_rows, converted, described, is_ready
from vecrecall.arrays._typing import F32, F64


def _real_array(x: object, name: str, ndim: int, shape: str, kinds: str) -> npt.NDArray[Any]:
    expected = f"real numbers of shape {shape}"
    a = as_array(x, name, expected)
    if a.dtype.kind not in kinds:
        raise TypeError(f"{name}: expected {expected}, got {described(x, a)}")
    _check_axes(a, name, ndim, shape)
    return a


def _check_axes(a: npt.NDArray[Any], name: str, ndim: int, shape: str) -> None:
    if a.ndim != ndim:
        raise ValueError(f"{name}: expected real numbers of shape {shape}, got shape {a.shape}")


def _check_width(a: npt.NDArray[Any], name: str, dim: int | None, shape: str) -> None:
    if dim is not None and a.shape[1] != dim:
        raise ValueError(f"{name}: expected shape {shape}, got {a.shape}")
    if a.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one column, got shape {a.shape}")


def to_float32(a: npt.NDArray[Any], name: str) -> F32:
    """Round a matrix to float32; a finite value that does not fit is an error."""
    if a.dtype.kind != "f" or a.dtype.itemsize <= 4:
        return converted(a, np.float32)
    if a.dtype.itemsize == 8:
        narrow, row = _core.narrow(converted(a, np.float64))
    else:
        with np.errstate(over="ignore"):
            narrow = converted(a, np.float32)
        bad = np.flatnonzero((np.isinf(narrow) & np.isfinite(a)).any(axis=1))
        row = int(bad[0]) if bad.size else -1
    if row >= 0:
        raise ValueError(f"{name}: expected values that fit float32, got an overflow in row {row}")
    return narrow


def check_matrix(x: object, name: str, dim: int | None = None, shape: str | None = None) -> F32:
    """Coerce to float32, C-contiguous, of the given width; values are not looked at.

    Messages say `shape`, by default that of a matrix.
    """
    shape = shape or f"(n, {dim or 'd'})"
    a = _real_array(x, name, 2, shape, "fiub")
    _check_width(a, name, dim, shape)
    return to_float32(a, name)


def check_real_rows(
    x: object, name: str, dim: int | None, shape: str | None = None
) -> tuple[npt.NDArray[Any], bool]:
    """Coerce to a matrix of whatever real type, and tell whether its values are of bfloat16.

    These may come as an array of `ml_dtypes`. Messages say `shape`, by default that of a matrix.
    """
    shape = shape or f"(n, {dim or 'd'})"
    expected = f"real numbers of shape {shape}"
    a, is_bfloat16 = as_rows(x, name, expected)
    if not is_bfloat16 and a.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected {expected}, got {described(x, a)}")
    _check_axes(a, name, 2, shape)
    _check_width(a, name, dim, shape)
    return a, is_bfloat16


def check_query_matrix(x: object, name: str, dim: int | None = None) -> F32:
    """Coerce as `matrix` does; numbers in a row are one query."""
    if is_ready(x, np.float32) and x.ndim == 2 and x.shape[1] == dim:  # type: ignore[attr-defined]
        return x  # type: ignore[return-value]  # the usual query, within half a microsecond
    width = dim or "d"
    shape = f"(n, {width}) or ({width},)"
    if type(x) is not np.ndarray or x.ndim == 1:
        a = as_array(x, name, f"real numbers of shape {shape}")
        if a.ndim == 1 and a.size and a.dtype.kind in "fiub":
            if dim not in (None, a.size):
                raise ValueError(f"{name}: expected shape {shape}, got {a.shape}")
            x = a[None]
    return check_matrix(x, name, dim, shape)


def check_queries(x: object, name: str, dim: int) -> F32:
    """Coerce as `vectors` does; numbers in a row are one query."""
    return check_vectors(check_query_matrix(x, name, dim), name, dim)


def check_vectors(x: object, name: str, dim: int | None = None) -> F32:
    """Coerce to float32, C-contiguous, finite."""
    a = check_matrix(x, name, dim)
    row = _core.first_nonfinite_row(a)
    if row >= 0:
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in row {row}")
    return a


def check_directions(a: F32, name: str) -> None:
    """Refuse zero rows, which have no cosine."""
    row = _core.first_zero_row(a)
    if row >= 0:
        raise ValueError(f"{name}: row {row} is all zeros, which has no cosine similarity")


def check_float_vector(x: object, name: str, n: int) -> F64:
    """Coerce to float64 of length n; values are not looked at."""
    a = _real_array(x, name, 1, f"({n},)", "fiu")
    if a.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {a.shape}")
    with np.errstate(over="ignore"):  # an infinity, which the caller then reports
        return converted(a, np.float64)


def check_numbers(x: object, name: str, n: int) -> F64:
    """Coerce real numbers (floats or integers) to float64 of length n; values are not looked at."""
    a = as_array(x, name, f"{n} numbers")
    if a.dtype.kind not in "fiu" and a.size:
        raise TypeError(f"{name}: expected {n} real numbers, got {described(x, a)}")
    if a.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {a.shape}")
    with np.errstate(over="ignore"):  # an infinity, which the caller then reports
        return converted(a, np.float64)


def check_weights(x: object, name: str, n: int) -> F64:
    """Coerce real numbers (floats or integers) to finite float64 of length n."""
    return check_finite(check_numbers(x, name, n), name)


def check_sample_weight(x: object, name: str, n: int) -> F64 | None:
    """Coerce to float64 of length n, finite and >= 0; a number stands for n of them."""
    if x is None:
        return None
    given = as_array(x, name, f"{n} numbers")
    a = (
        np.full(n, _scalars.check_float(x, name))
        if given.ndim == 0
        else check_weights(given, name, n)
    )
    bad = np.flatnonzero(~((a >= 0) & (a <= np.finfo(np.float32).max)))
    if bad.size:
        raise ValueError(
            f"{name}: expected numbers >= 0 that fit float32, got {a[bad[0]]} in row {bad[0]}"
        )
    return a


def check_times(x: object, name: str, n: int) -> F64:
    """Coerce numbers, or points in time as seconds since 1970, to float64 of length n.

    Values are not looked at, but for NaT, which becomes NaN.
    """
    if is_ready(x, np.float64) and x.shape == (n,):  # type: ignore[attr-defined]  # an array then
        return x  # type: ignore[return-value]
    try:
        return check_numbers(_times_as_numbers(x, name, n), name, n)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected {n} times, got {error}") from None


def _times_as_numbers(x: object, name: str, n: int) -> object:
    a = as_array(x, name, f"{n} times")
    if a.dtype.kind == "M":
        return _times.column(a)
    found = _times.objects(a) if a.dtype.kind == "O" and a.ndim == 1 else None
    return x if found is None else found


def check_finite(a: F64, name: str) -> F64:
    bad = np.flatnonzero(~np.isfinite(a))
    if bad.size:
        raise ValueError(f"{name}: expected finite numbers, got {a[bad[0]]} at place {bad[0]}")
    return a
