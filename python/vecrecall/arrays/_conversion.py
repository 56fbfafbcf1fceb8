"""Convert what other libraries call arrays to NumPy arrays, or say why not.

Other libraries are told by what their objects can do; none is imported.
"""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.ma  # NumPy would import it at first use: a child forked meanwhile would wait forever
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays._list_columns import ListColumn, ListColumnError, is_sparse, list_column
from vecrecall.arrays._typing import Array

INT64 = np.iinfo(np.int64)
TEXT = (str, bytes, bytearray)  # NumPy would read a bytearray as numbers


def as_array(x: object, name: str, expected: str) -> Array:
    """Convert to an array; what NumPy cannot convert is an error that says why.

    The array may be of any dtype; of objects, too.
    """
    return _widened(_any_array(x, name, expected))


def as_rows(x: object, name: str, expected: str) -> tuple[Array, bool]:
    """Convert as `as_array` does, and tell whether the values are of bfloat16.

    These come as an array of `ml_dtypes`, or widened.
    """
    a = _any_array(x, name, expected)
    if a.dtype.kind == "V" and a.dtype.name == "bfloat16":
        return a, True
    return _widened(a), _is_bfloat16(x)


def _any_array(x: object, name: str, expected: str) -> Array:
    if type(x) is np.ndarray:
        return x
    _refuse_what_loses(x, name, expected)
    try:
        return _numpy_array(x)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object's own `__array__` or `__len__` raises
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: expected {expected}, got {_reason(x, error)}") from error


def members(x: object) -> list[Any] | None:
    """List the members of a sequence or an array; None for anything else, text too."""
    if isinstance(x, np.ndarray):
        return list(x) if x.ndim else None
    return list(x) if isinstance(x, Sequence) and not isinstance(x, TEXT) else None


def described(x: object, a: Array) -> str:
    """Say for a message what came: `a` is what NumPy made of `x`."""
    if isinstance(x, TEXT):
        return type(x).__name__
    if a.dtype.kind == "O":
        return type(x).__name__ if a.ndim == 0 else _objects(x, a)
    got = f"dtype {a.dtype}"
    if a.dtype.kind == "f" and _has_missing(x) and np.isnan(a).any():
        got += f" (a missing value at {_place(a, int(np.isnan(a).argmax()))})"
    return got


def beyond_int64(x: object, a: Array) -> tuple[int, str] | None:
    """Find the first integer that does not fit int64, and its place; `a` is made of `x`."""
    if a.dtype.kind == "u":
        if int(a.max(initial=0)) <= INT64.max:
            return None
        first = int(np.argmax(a > INT64.max))
        return int(a.flat[first]), _place(a, first)
    if a.dtype.kind == "f" and isinstance(x, (list, tuple)):  # of integers of both signs, perhaps
        a = np.asarray(x, object)
    if a.dtype.kind == "O":
        for at, value in enumerate(a.flat):
            if _is_whole(value) and not INT64.min <= int(value) <= INT64.max:
                return int(value), _place(a, at)
    return None


def _refuse_what_loses(x: object, name: str, expected: str) -> None:
    """Refuse what NumPy would convert, but not to what it means."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected {expected}, got a masked array (fill or drop its mask)")
    if isinstance(x, (list, tuple)):
        for i, row in enumerate(x if x and not isinstance(x[0], (int, float)) else ()):
            if isinstance(row, np.ma.MaskedArray):
                raise TypeError(
                    f"{name}: expected {expected}, got a masked array as row {i} "
                    "(fill or drop its mask)"
                )
    elif is_sparse(x):
        raise TypeError(
            f"{name}: expected {expected}, got a sparse {type(x).__name__} "
            "(its toarray() makes an array of it)"
        )
    elif isinstance(x, bytearray):
        raise TypeError(f"{name}: expected {expected}, got bytearray")


def _numpy_array(x: Any) -> Array:
    if isinstance(x, (list, tuple)):
        if x and _is_narrow_float(x[0]):
            x = [row.float() if _is_narrow_float(row) else row for row in x]
        return np.asarray(x)
    lists = list_column(x)
    if lists is not None:
        return _rows_of_one_length(lists)
    if hasattr(x, "combine_chunks"):  # of Arrow
        x = x.combine_chunks()
    if hasattr(x, "to_numpy_ndarray"):  # Arrow's tensors of one shape
        return np.asarray(x.to_numpy_ndarray())
    if _is_narrow_float(x):
        x = x.float()  # NumPy has no bfloat16; every value of a narrow float is one of float32
    a = np.asarray(x)
    if a.dtype.kind == "O" and a.ndim == 0 and hasattr(x, "__dlpack__"):
        return np.from_dlpack(x)
    if a.dtype.kind == "O" and hasattr(x, "iloc"):
        return _nullable_frame(x) if a.ndim == 2 else _lists_of_objects(x, a)
    return a


def _rows_of_one_length(lists: ListColumn) -> Array:
    """Make a matrix of lists that are equally long."""
    lengths = lists.lengths
    if not lengths.size:
        return np.empty((0, lists.width), np.float32)
    odd = np.flatnonzero(lengths != lengths[0])
    if odd.size:
        raise ListColumnError(
            f"lists of different lengths ({lengths[0]} in row 0, {lengths[odd[0]]} in row {odd[0]})"
        )
    values = _numpy_array(lists.values)
    return values.reshape(len(lengths), lengths[0], *values.shape[1:])


def _lists_of_objects(x: Any, a: Array) -> Array:
    """Make a matrix of a column of pandas that holds a list or an array a row."""
    if a.size and all(isinstance(row, (list, tuple, np.ndarray)) for row in a):
        rows = np.asarray(a.tolist())
        return rows if rows.ndim == 2 else a
    return a


def _nullable_frame(x: Any) -> Array:
    """Make numbers of a frame whose columns pandas has as objects together: Int64, boolean."""
    kinds = {getattr(dtype, "kind", "O") for dtype in x.dtypes}
    if not kinds <= {"b", "i", "u", "f"}:
        return np.asarray(x)
    dtype = np.float64 if "f" in kinds or _has_missing(x) else np.int64
    return np.asarray(
        x.to_numpy(dtype, na_value=np.nan) if dtype is np.float64 else x.to_numpy(dtype)
    )


def _widened(a: Array) -> Array:
    """Widen the narrow floats of `ml_dtypes`, exactly; NumPy has them as of no kind."""
    narrow = a.dtype.kind == "V" and a.dtype.name.startswith(("bfloat16", "float8"))
    return a.astype(np.float32) if narrow else a


def _is_bfloat16(x: object) -> bool:
    """Tell tensors of bfloat16, which NumPy does not have, and lists of them."""
    if isinstance(x, (list, tuple)):
        return bool(x) and all(_is_bfloat16(row) for row in x)
    return _is_narrow_float(x) and str(x.dtype).endswith("bfloat16")  # type: ignore[attr-defined]


def _is_narrow_float(x: object) -> bool:
    """Tell tensors of narrow floats that NumPy does not have."""
    dtype: Any = getattr(x, "dtype", None)
    return (
        getattr(dtype, "is_floating_point", False) is True
        and getattr(dtype, "itemsize", 4) < 4
        and not str(dtype).endswith(".float16")
        and callable(getattr(x, "float", None))
    )


def _reason(x: object, error: Exception) -> str:
    """Say what is wrong with something that raises when it is converted."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ListColumnError):
        return text
    if isinstance(x, (list, tuple)) and "inhomogeneous" in text:
        return f"ragged or mixed rows{_odd_row(x)}"
    return f"{type(x).__name__} that NumPy cannot convert: {text}"


def _odd_row(rows: "list[Any] | tuple[Any, ...]") -> str:
    """Find the first row of another shape than row 0."""
    shapes: list[tuple[int, ...]] = []
    for i, row in enumerate(rows):
        try:
            shapes.append(np.shape(row))
        except ValueError:
            return f" (row {i} is itself ragged)"
        if shapes[-1] != shapes[0]:
            return f" (row 0 has shape {shapes[0]}, row {i} has shape {shapes[-1]})"
    return ""


def _objects(x: object, a: Array) -> str:
    """Name what an array of objects is made of, by the first that is no number."""
    typed = hasattr(x, "dtype") or hasattr(x, "dtypes")
    what = "dtype object" if typed else type(x).__name__
    for at, value in enumerate(a.flat):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            what += f" ({type(value).__name__} at {_place(a, at)})"
            break
    else:
        big = beyond_int64(x, a)
        if big:
            return f"{what} ({big[0]} at {big[1]} fits no integer type of 64 bits)"
    hint = "np.stack makes one array of equal rows, astype one of numbers"
    return f"{what}; {hint}" if typed else what


def _has_missing(x: Any) -> bool:
    """Tell whether a column has missing values, which NumPy has as NaN."""
    if hasattr(x, "isna"):  # of pandas
        return bool(np.any(x.isna()))
    nulls = getattr(x, "null_count", 0)  # of Arrow a number, of polars a method
    return bool(nulls() if callable(nulls) else nulls)


def _is_whole(x: object) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


def _place(a: Array, at: int) -> str:
    """Name a place of an array by its number in `a.flat`."""
    where = np.unravel_index(at, a.shape)
    return f"place {int(where[0])}" if len(where) == 1 else f"place {tuple(map(int, where))}"


def converted(a: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Convert without flushing denormals, whatever another library has set in this thread."""
    if is_ready(a, dtype):
        return a
    with _core.FpEnvironment():
        return np.require(a, dtype, ["C", "A"])


def contiguous(a: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return a if is_ready(a, dtype) else np.require(a, dtype, ["C", "A"])


def aligned(a: Any) -> Any:
    """Copy an array whose memory is not aligned for its type; others stay as they are."""
    return np.array(a) if isinstance(a, np.ndarray) and not a.flags.aligned else a


def is_ready(a: Any, dtype: npt.DTypeLike) -> bool:
    """Tell whether `numpy.require` would change nothing; it takes 2 microseconds to find out."""
    if type(a) is not np.ndarray or a.dtype != dtype:
        return False
    flags = a.flags
    return bool(flags.c_contiguous and flags.aligned)
