"""How the lists of several channels become one."""

from vecrecall._public import stamp as _stamp
from vecrecall.fusion._policies import (
    RRF,
    AbsentWarning,
    Interleave,
    Maximum,
    Policy,
    Priority,
    Quota,
    WeightedSum,
)

__all__ = [
    "RRF",
    "AbsentWarning",
    "Interleave",
    "Maximum",
    "Policy",
    "Priority",
    "Quota",
    "WeightedSum",
]

_stamp(globals())
