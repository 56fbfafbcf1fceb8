"""Points in time and durations, of whatever library, as seconds.

Those of pandas are known by what they can do, so that pandas is not imported: its `Timestamp` is a
`datetime`, its `Timedelta` a `timedelta`, and both have `to_numpy`, which keeps nanoseconds.
"""

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._typing import F64

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_SECOND = datetime.timedelta(seconds=1)
_MOST_MONTHS = 1 << 56


class NotATimeError(ValueError):
    """Says what came, for the message."""


def is_moment(x: object) -> bool:
    """Tell whether something is a point in time, and no number."""
    return isinstance(x, (np.datetime64, datetime.date)) or _is_nat(x)


def is_duration(x: object) -> bool:
    """Tell whether something is a duration, and no number."""
    return isinstance(x, (np.timedelta64, datetime.timedelta)) or _is_nat(x)


def seconds_since_1970(x: Any) -> float:
    """Convert one point in time; without a zone it is UTC, a date its midnight."""
    if _is_nat(x):
        raise NotATimeError("NaT")
    if isinstance(x, np.datetime64):
        return float(column(np.asarray(x)))
    if hasattr(x, "to_numpy"):  # a Timestamp of pandas, with a zone in UTC
        return float(column(np.asarray(x.to_numpy())))
    if not isinstance(x, datetime.datetime):
        x = datetime.datetime(x.year, x.month, x.day)
    if x.utcoffset() is None:
        x = x.replace(tzinfo=datetime.timezone.utc)
    since = x - _EPOCH
    return float((since.days * 86400 + since.seconds) + since.microseconds / 1e6)


def seconds(x: Any) -> float:
    """Convert one duration."""
    if _is_nat(x):
        raise NotATimeError("NaT")
    if not isinstance(x, np.timedelta64) and hasattr(x, "to_numpy"):  # a Timedelta of pandas
        x = x.to_numpy()
    if isinstance(x, datetime.timedelta):
        return x / _SECOND
    unit = np.datetime_data(x.dtype)[0]
    if unit in ("M", "Y"):
        raise NotATimeError(
            f"a timedelta64 of {'months' if unit == 'M' else 'years'}, of no length"
        )
    if unit == "generic":
        raise NotATimeError("a timedelta64 without a unit")
    return float(_exact(x.astype(np.int64), x.dtype))


def column(a: npt.NDArray[Any]) -> F64:
    """Convert datetime64 of any unit; NaT becomes NaN."""
    unit, step = np.datetime_data(a.dtype)
    if unit == "generic":
        raise NotATimeError("datetime64 without a unit")
    missing = np.isnat(a)
    counts = np.where(missing, 0, a.astype(np.int64))
    if unit in ("M", "Y"):
        found = _by_calendar(counts, step * (1 if unit == "M" else 12))
    else:
        found = _exact(counts, a.dtype)
    return np.where(missing, np.nan, found)


def objects(x: npt.NDArray[Any]) -> F64 | None:
    """Convert a row of objects that are points in time; None if none of them is."""
    values = x.tolist()
    if not any(is_moment(v) for v in values):
        return None
    found = np.empty(len(values))
    for i, value in enumerate(values):
        if _is_nat(value):
            found[i] = np.nan
        elif is_moment(value):
            found[i] = seconds_since_1970(value)
        else:
            raise NotATimeError(f"{type(value).__name__} among points in time at place {i}")
    return found


def _by_calendar(counts: npt.NDArray[np.int64], months: int) -> F64:
    """Convert multiples of months since 1970; beyond what days can count, of a mean month each."""
    mean = 86400 * 146097 / 4800  # a calendar of 400 years has so many days
    near = np.abs(counts) < _MOST_MONTHS // months
    days = np.where(near, counts * months, 0).astype("M8[M]").astype("M8[D]").astype(np.int64)
    return np.where(near, days * 86400.0, counts.astype(np.float64) * months * mean)


def _exact(counts: Any, dtype: "np.dtype[Any]") -> Any:
    """Scale whole numbers of a unit to seconds, rounded once or twice; none of them overflows."""
    unit, step = np.datetime_data(dtype)
    longer = {"s": 1, "m": 60, "h": 3600, "D": 86400, "W": 604800}
    if unit in longer:
        return counts.astype(np.float64) * (longer[unit] * step)
    parts = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}[unit]
    whole, rest = np.divmod(counts, parts)  # each of them fits, times the step
    return whole.astype(np.float64) * step + rest.astype(np.float64) * step / parts


def _is_nat(x: object) -> bool:
    """Tell a NaT of NumPy or of pandas, which is neither a number nor equal to itself."""
    if isinstance(x, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(x))
    return type(x).__name__ in ("NaTType", "NAType")
