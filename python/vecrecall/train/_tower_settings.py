"""Checks of the hyper-parameters of two towers."""

from __future__ import annotations

import math

from vecrecall.arrays import _scalars


def check_positive(x: object, name: str) -> float:
    """Return a finite number above 0."""
    value = _scalars.check_float(x, name)
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a finite number > 0, got {value}")
    return value


def check_share(x: object, name: str) -> float:
    """Return a number from 0 to 1, without 1."""
    value = _scalars.check_float(x, name)
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number >= 0 and < 1, got {value}")
    return value
