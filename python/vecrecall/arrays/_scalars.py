"""Checks of one value: a number, a time, a flag, a choice, a path.

A message names the argument, says what was expected and what came.
"""

import errno
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import vecrecall._core as _core
from vecrecall.arrays import _times
from vecrecall.arrays._conversion import INT64

E = TypeVar("E")


def type_name(x: object) -> str:
    """Name a type for a message; of a sequence also those of its members."""
    if isinstance(x, (list, tuple)) and x:
        return f"{type(x).__name__} of {', '.join(sorted({type(v).__name__ for v in x}))}"
    return f"class {x.__name__}" if isinstance(x, type) else type(x).__name__


def check_callable(x: object, name: str) -> Callable[..., Any] | None:
    """Pass a callable, or None for none."""
    if x is not None and not callable(x):
        raise TypeError(f"{name}: expected a callable, got {type(x).__name__}")
    return x


def counted(n: int, one: str, many: str | None = None) -> str:
    """Name how many there are of something for a message; `many` is `one` with an s by default."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def check_timestamp(x: object, name: str) -> float:
    """Coerce a number, or a point in time as seconds since 1970, to a finite float."""
    try:
        value = check_float(_times.seconds_since_1970(x) if _times.is_moment(x) else x, name)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected a finite time, got {error}") from None
    if not np.isfinite(value):
        raise ValueError(f"{name}: expected a finite time, got {value}")
    return value


def check_duration(x: object, name: str) -> float:
    """Coerce a number, or a duration as seconds, to a finite float > 0."""
    try:
        value = check_float(_times.seconds(x) if _times.is_duration(x) else x, name)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected a finite number > 0, got {error}") from None
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a finite number > 0, got {value}")
    return value


def check_int(x: object, name: str, low: int, alternative: str = "") -> int:
    """Coerce to an int of at least `low`; messages name an `alternative` to it, as " or None"."""
    if isinstance(x, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a whole number >= {low}{alternative}, got {x!r}")
    if isinstance(x, (float, np.floating)) and not np.isfinite(x):
        raise ValueError(f"{name}: expected a whole number >= {low}{alternative}, got {x}")
    try:
        n = operator.index(x)  # type: ignore[arg-type]  # the except clause is for what is not
    except Exception as error:  # an `__index__` of a caller's class may raise anything
        own = "" if isinstance(error, TypeError) else f" that raises: {error}"
        raise TypeError(
            f"{name}: expected a whole number >= {low}{alternative}, got {type(x).__name__}{own}"
        ) from error
    if n < low:
        raise ValueError(f"{name}: expected a whole number >= {low}{alternative}, got {n}")
    return n


def check_positive_int(x: object, name: str, alternative: str = "") -> int:
    """Coerce to an int of at least 1."""
    return check_int(x, name, 1, alternative)


def check_int_between(x: object, name: str, low: int, high: int) -> int:
    """Coerce to an int from `low` to `high`."""
    n = check_int(x, name, low)
    if n > high:
        raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {n}")
    return n


def check_place(x: object, n: int, name: str, alternative: str = "") -> int:
    """Check a place among `n`, and count it from the front."""
    try:
        i = operator.index(x)  # type: ignore[arg-type]  # the except clause is for what is not
    except TypeError:
        raise TypeError(
            f"{name}: expected a whole number{alternative}, got {type(x).__name__}"
        ) from None
    if not -n <= i < n:
        raise IndexError(f"{name}: expected {-n} to {n - 1}, got {i}")
    return i % n


def check_list_length(x: object, rows: int, width: int = 1) -> int:
    """Coerce `k`, for lists of `rows` rows and `width` values per place that memory can address."""
    most = int(INT64.max) // 16 // (max(rows, 1) * width)
    if type(x) is int and 0 < x <= most:
        return x
    k = check_positive_int(x, "k")
    if k > most:
        size = 12 * k * rows * width  # an id and a score
        raise ValueError(f"k: {k} is too large ({rows} rows would need {size} bytes)")
    return k


def check_thread_count(x: object) -> int:
    """Coerce to a number of threads."""
    n = check_positive_int(x, "threads")
    if n > _core.MAX_THREADS:
        raise ValueError(f"threads: expected at most {_core.MAX_THREADS}, got {n}")
    return n


def check_threads(x: object) -> int:
    """Coerce the `threads` argument: None is the library's default."""
    return _core.num_threads() if x is None else check_thread_count(x)


def check_bool(x: object, name: str) -> bool:
    """Coerce to a bool; anything that only looks like one is an error."""
    if not isinstance(x, (bool, np.bool_)):
        shown = repr(x) if isinstance(x, (int, float, str, bytes)) else type(x).__name__
        raise TypeError(f"{name}: expected True or False, got {shown}")
    return bool(x)


def check_path(x: object, name: str) -> Path:
    """Coerce what names a file or folder, a str or what stands for one; bytes do not.

    Made absolute at once, since the process may change its folder while the path is in use.
    Symbolic links stay, and ``..`` with them: who follows one finds what it leads to then.
    """
    try:
        text = os.fspath(x) if isinstance(x, os.PathLike) else x
    except Exception as error:  # a `__fspath__` of a caller's class may raise anything
        raise TypeError(
            f"{name}: expected a str or a path, got {type(x).__name__} that raises: {error}"
        ) from error
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a str or a path, got {type(x).__name__}")
    if "\0" in text:
        raise ValueError(f"{name}: expected no null character, got {text!r}")
    try:
        return Path(text).absolute()
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            f"{name}: expected an absolute path, since the process's folder is gone, got",
            text,
        ) from None


def check_choice(x: object, name: str, choices: dict[str, E], alternative: str = "") -> E:
    """Look up a word among the valid ones; messages name an `alternative` to them."""
    valid = ", ".join(repr(c) for c in choices) + alternative
    if not isinstance(x, str):
        raise TypeError(f"{name}: expected one of {valid}, got {type(x).__name__}")
    if x not in choices:
        raise ValueError(f"{name}: expected one of {valid}, got {x!r}")
    return choices[x]


def check_float(x: object, name: str) -> float:
    """Coerce to a float that is not NaN."""
    if isinstance(x, (bool, str, np.timedelta64)) or not isinstance(
        x, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name}: expected a number, got {type(x).__name__}")
    if x != x:
        raise ValueError(f"{name}: expected a number, got NaN")
    try:
        return float(x)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that fits float64, got a larger one") from None


def check_nonnegative(x: object, name: str) -> float:
    """Coerce to a finite float of at least 0."""
    value = check_float(x, name)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name}: expected a finite number >= 0, got {value}")
    return value
