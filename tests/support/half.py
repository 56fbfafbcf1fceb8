"""Half precision as the oracle has it: rounding in float64, by the definition of the formats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


class Format(NamedTuple):
    digits: int  # of the significand, in bits
    lowest: int  # exponent of the smallest denormal
    largest: float


FORMATS = {
    "float16": Format(11, -24, 65504.0),
    "bfloat16": Format(8, -133, (2.0 - 2.0**-7) * 2.0**127),
}
HALVES = tuple(FORMATS)
TYPES = ("float32", *HALVES)


def nearest(values: npt.ArrayLike, name: str) -> F64:
    """The nearest numbers of a format, ties to even; beyond the largest an infinity."""
    wide = np.asarray(values, np.float64)
    if name == "float32":
        return wide.astype(np.float32).astype(np.float64)
    form = FORMATS[name]
    _, exponents = np.frexp(wide)
    with np.errstate(invalid="ignore"):
        # Powers of two: the quotient and the product are exact, and rint rounds ties to even.
        steps = np.ldexp(1.0, np.maximum(exponents - form.digits, form.lowest))
        rounded = np.rint(wide / steps) * steps
    rounded = np.where(np.isfinite(wide), rounded, wide)
    return np.where(np.abs(rounded) > form.largest, np.copysign(np.inf, rounded), rounded)


def widened(values: npt.ArrayLike, name: str) -> F32:
    """The same in float32, which has all of them."""
    return nearest(values, name).astype(np.float32)


def fitting(values: F32, name: str) -> F32:
    """The values cut to what the format has."""
    largest = FORMATS[name].largest if name in FORMATS else np.inf
    return values.clip(-largest, largest)


def of_type(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """An array of a library's own type; the values are such numbers already."""
    wide = np.asarray(values, np.float32)
    if name != "bfloat16":
        return wide.astype(name)
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    return (wide.view(np.uint32) >> 16).astype(np.uint16).view(ml_dtypes.bfloat16)


def of_bits(bits: npt.NDArray[np.uint16], name: str) -> F32:
    """The numbers that bits stand for, by the definition: a sign, an exponent and a fraction."""
    form = FORMATS[name]
    n_fraction = form.digits - 1
    fraction = (bits & ((1 << n_fraction) - 1)).astype(np.int64)
    exponent = (bits >> n_fraction & ((1 << (15 - n_fraction)) - 1)).astype(np.int64)
    hidden = np.where(exponent > 0, 1 << n_fraction, 0)
    size = np.ldexp(
        (fraction + hidden).astype(np.float64), np.maximum(exponent, 1) - 1 + form.lowest
    )
    size[size > form.largest] = np.inf
    size[(exponent == (1 << (15 - n_fraction)) - 1) & (fraction > 0)] = np.nan
    return np.copysign(size, np.where(bits >> 15, -1.0, 1.0)).astype(np.float32)
