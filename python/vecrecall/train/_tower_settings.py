"""Checks of the hyper-parameters of networks."""

from __future__ import annotations

import math

from vecrecall.arrays import _scalars

HIGHEST_RATE = 3e37  # Adam's first step is ten times as large, still below 3.4e38


def check_positive(x: object, name: str) -> float:
    """Return a finite number above 0."""
    value = _scalars.check_float(x, name)
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a finite number > 0, got {value}")
    return value


def check_rate(x: object, name: str, *, allow_zero: bool = False) -> float:
    """Return a learning rate above 0, or 0 where allowed, with which a step fits float32."""
    value = _scalars.check_nonnegative(x, name) if allow_zero else check_positive(x, name)
    if value > HIGHEST_RATE:
        raise ValueError(f"{name}: expected a number of at most {HIGHEST_RATE}, got {value}")
    return value


def check_share(x: object, name: str) -> float:
    """Return a number from 0 to 1, without 1."""
    value = _scalars.check_float(x, name)
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number >= 0 and < 1, got {value}")
    return value
