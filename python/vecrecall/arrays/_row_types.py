"""The types that an index keeps its rows in: float32, or half precision.

NumPy has no bfloat16: in arrays of the core and in files its bits are those of uint16.
"""

from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays._conversion import converted, is_ready
from vecrecall.arrays._typing import F32, Array
from vecrecall.arrays._validation import check_query_matrix, check_real_rows, to_float32

RowType = Literal["float32", "float16", "bfloat16"]

# As arrays have them.
STORED: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,
}


class Rounding(NamedTuple):
    """The loss of rows that were rounded to half precision.

    Attributes
    ----------
    max_relative_error : float
        The largest ``abs(rounded - x) / abs(x)`` of all finite values but zeros: 1 where one is too
        small, and has become 0.
    mean_relative_error : float
        Their mean.
    """

    max_relative_error: float
    mean_relative_error: float


class Rows(NamedTuple):
    """Rows as the core takes them, and what was lost on the way; None where nothing was rounded."""

    values: Array
    rounding: Rounding | None


def check_row_type(x: object, name: str) -> RowType | None:
    """Coerce the name of a type, or the type itself of whatever library; None stays None."""
    if x is None:
        return None
    of = x if isinstance(x, str) else getattr(x, "name", getattr(x, "__name__", str(x)))
    known = isinstance(of, str) and of.removeprefix("torch.") in STORED
    if not known and not isinstance(x, str) and not isinstance(x, (type, np.dtype)):
        raise TypeError(f"{name}: expected one of {list(STORED)}, got {type(x).__name__}")
    if not known:
        raise ValueError(f"{name}: expected one of {list(STORED)}, got {of!r}")
    return cast(RowType, of.removeprefix("torch."))


def check_rows(
    x: object,
    name: str,
    dim: int | None = None,
    dtype: RowType | None = None,
    shape: str | None = None,
) -> Rows:
    """Coerce to rows of this type, C-contiguous, of the given width; values are not looked at.

    Without a type half precision stays, and everything else becomes float32. Messages say `shape`,
    by default that of a matrix.
    """
    a, is_bfloat16 = check_real_rows(x, name, dim, shape)
    given = "bfloat16" if is_bfloat16 else a.dtype.name
    kept = given if given in STORED else "float32"
    wanted = dtype or kept
    if wanted == "float32":
        return Rows(to_float32(a.astype(np.float32) if a.dtype.kind == "V" else a, name), None)
    if wanted != given:
        return _rounded(a, name, wanted)
    if wanted == "float16":
        return Rows(converted(a, np.float16), None)
    if a.dtype.kind == "V":
        return Rows(np.require(a, requirements=["C", "A"]).view(np.uint16), None)
    return Rows(_rounded(a, name, wanted).values, None)  # of a tensor: nothing is lost


def check_finite_rows(x: object, name: str, dim: int | None = None) -> Array:
    """Coerce to finite rows, C-contiguous: half precision stays, everything else is float32."""
    a = check_rows(x, name, dim).values
    row = _core.first_nonfinite_row(a)
    if row >= 0:
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in row {row}")
    return a


def check_point_rows(x: object, name: str, dim: int) -> Array:
    """Coerce as `check_query_matrix` does, but for a matrix of half precision, which stays."""
    if getattr(x, "ndim", None) != 2 or is_ready(x, np.float32):
        return check_query_matrix(x, name, dim)
    return check_rows(x, name, dim, shape=f"(n, {dim}) or ({dim},)").values


def widened(rows: Array) -> F32:
    """Widen rows as the core takes them, exactly."""
    if rows.dtype == np.uint16:
        return (rows.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return converted(rows, np.float32)


def _rounded(a: Array, name: str, wanted: str) -> Rows:
    """Round rows to the nearest, in one step where float64 holds them."""
    values, row, largest, mean = _core.round_rows(
        _wide(a, name), _core.RowType[wanted], _core.num_threads()
    )
    if row >= 0:
        raise ValueError(f"{name}: expected values that fit {wanted}, got an overflow in row {row}")
    return Rows(values, Rounding(largest, mean))


def _wide(a: Array, name: str) -> npt.NDArray[Any]:
    if a.dtype.kind == "V":
        return a.astype(np.float32)
    if a.dtype.kind == "f" and a.dtype.itemsize != 8:
        return to_float32(a, name)
    return converted(a, np.float64)
