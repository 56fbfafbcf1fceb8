"""From what callers pass to what the core takes: every conversion, and every message about it.

A message names the argument, says what was expected and what came.
"""

import errno
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from vecrecall import _core
from vecrecall.arrays import _times
from vecrecall.arrays._conversion import as_array, beyond_int64, described
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._row_input import ascending, flattened, is_flat

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
LARGEST_ID = int(np.iinfo(np.int64).max)
E = TypeVar("E")
V = TypeVar("V")


def type_name(x: object) -> str:
    """Name a type for a message; of a sequence also those of its members."""
    if isinstance(x, (list, tuple)) and x:
        return f"{type(x).__name__} of {', '.join(sorted({type(v).__name__ for v in x}))}"
    return f"class {x.__name__}" if isinstance(x, type) else type(x).__name__


def _converted(a: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Convert without flushing denormals, whatever another library has set in this thread."""
    if _is_ready(a, dtype):
        return a
    with _core.FpEnvironment():
        return np.require(a, dtype, ["C", "A"])


def _contiguous(a: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return a if _is_ready(a, dtype) else np.require(a, dtype, ["C", "A"])


def _is_ready(a: Any, dtype: npt.DTypeLike) -> bool:
    """Tell whether `numpy.require` would change nothing; it takes 2 microseconds to find out."""
    if type(a) is not np.ndarray or a.dtype != dtype:
        return False
    flags = a.flags
    return bool(flags.c_contiguous and flags.aligned)


def _real_array(x: object, name: str, ndim: int, shape: str, kinds: str) -> npt.NDArray[Any]:
    expected = f"real numbers of shape {shape}"
    a = as_array(x, name, expected)
    if a.dtype.kind not in kinds:
        raise TypeError(f"{name}: expected {expected}, got {described(x, a)}")
    if a.ndim != ndim:
        raise ValueError(f"{name}: expected {expected}, got shape {a.shape}")
    return a


def _to_float32(a: npt.NDArray[Any], name: str) -> F32:
    """Round a matrix to float32; a finite value that does not fit is an error."""
    if a.dtype.kind != "f" or a.dtype.itemsize <= 4:
        return _converted(a, np.float32)
    if a.dtype.itemsize == 8:
        narrow, row = _core.narrow(_converted(a, np.float64))
    else:
        with np.errstate(over="ignore"):
            narrow = _converted(a, np.float32)
        bad = np.flatnonzero((np.isinf(narrow) & np.isfinite(a)).any(axis=1))
        row = int(bad[0]) if bad.size else -1
    if row >= 0:
        raise ValueError(f"{name}: expected values that fit float32, got an overflow in row {row}")
    return narrow


def matrix(x: object, name: str, dim: int | None = None) -> F32:
    """Coerce to float32, C-contiguous, of the given width; values are not looked at."""
    width = "d" if dim is None else str(dim)
    a = _real_array(x, name, 2, f"(n, {width})", "fiub")
    if dim is not None and a.shape[1] != dim:
        raise ValueError(f"{name}: expected shape (n, {dim}), got {a.shape}")
    if a.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one column, got shape {a.shape}")
    return _to_float32(a, name)


def query_matrix(x: object, name: str, dim: int | None = None) -> F32:
    """Coerce as `matrix` does; numbers in a row are one query."""
    if _is_ready(x, np.float32) and x.ndim == 2 and x.shape[1] == dim:  # type: ignore[attr-defined]
        return x  # type: ignore[return-value]  # the usual query, within half a microsecond
    if type(x) is not np.ndarray or x.ndim == 1:
        a = as_array(x, name, f"real numbers of shape (n, {dim or 'd'}) or ({dim or 'd'},)")
        if a.ndim == 1 and a.size and a.dtype.kind in "fiub":
            if dim not in (None, a.size):
                raise ValueError(f"{name}: expected shape (n, {dim}) or ({dim},), got {a.shape}")
            x = a[None]
    return matrix(x, name, dim)


def queries(x: object, name: str, dim: int) -> F32:
    """Coerce as `vectors` does; numbers in a row are one query."""
    return vectors(query_matrix(x, name, dim), name, dim)


def vectors(x: object, name: str, dim: int | None = None) -> F32:
    """Coerce to float32, C-contiguous, finite."""
    a = matrix(x, name, dim)
    row = _core.first_nonfinite_row(a)
    if row >= 0:
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in row {row}")
    return a


def directions(a: F32, name: str) -> None:
    """Refuse zero rows, which have no cosine."""
    row = _core.first_zero_row(a)
    if row >= 0:
        raise ValueError(
            f"{name}: expected rows with a direction (metric 'cosine'), got zeros in row {row}"
        )


def float_vector(x: object, name: str, n: int) -> F64:
    """Coerce to float64 of length n; values are not looked at."""
    a = _real_array(x, name, 1, f"({n},)", "fiu")
    if a.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {a.shape}")
    with np.errstate(over="ignore"):  # an infinity, which the caller then reports
        return _converted(a, np.float64)


def numbers(x: object, name: str, n: int) -> F64:
    """Coerce real numbers (floats or integers) to float64 of length n; values are not looked at."""
    a = as_array(x, name, f"{n} numbers")
    if a.dtype.kind not in "fiu" and a.size:
        raise TypeError(f"{name}: expected {n} real numbers, got {described(x, a)}")
    if a.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {a.shape}")
    with np.errstate(over="ignore"):  # an infinity, which the caller then reports
        return _converted(a, np.float64)


def weights(x: object, name: str, n: int) -> F64:
    """Coerce real numbers (floats or integers) to finite float64 of length n."""
    return _finite(numbers(x, name, n), name)


def sample_weight(x: object, name: str, n: int) -> F64 | None:
    """Coerce to float64 of length n, finite and >= 0; a number stands for n of them."""
    if x is None:
        return None
    given = as_array(x, name, f"{n} numbers")
    a = np.full(n, real(x, name)) if given.ndim == 0 else weights(given, name, n)
    bad = np.flatnonzero(~((a >= 0) & (a <= np.finfo(np.float32).max)))
    if bad.size:
        raise ValueError(
            f"{name}: expected numbers >= 0 that fit float32, got {a[bad[0]]} in row {bad[0]}"
        )
    return a


def times(x: object, name: str, n: int) -> F64:
    """Coerce numbers, or points in time as seconds since 1970, to float64 of length n.

    Values are not looked at, but for NaT, which becomes NaN.
    """
    if _is_ready(x, np.float64) and x.shape == (n,):  # type: ignore[attr-defined]  # an array then
        return x  # type: ignore[return-value]
    try:
        return numbers(_times_as_numbers(x, name, n), name, n)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected {n} times, got {error}") from None


def _times_as_numbers(x: object, name: str, n: int) -> object:
    a = as_array(x, name, f"{n} times")
    if a.dtype.kind == "M":
        return _times.column(a)
    found = _times.objects(a) if a.dtype.kind == "O" and a.ndim == 1 else None
    return x if found is None else found


def moment(x: object, name: str) -> float:
    """Coerce a number, or a point in time as seconds since 1970, to a finite float."""
    try:
        value = real(_times.seconds_since_1970(x) if _times.is_moment(x) else x, name)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected a finite time, got {error}") from None
    if not np.isfinite(value):
        raise ValueError(f"{name}: expected a finite time, got {value}")
    return value


def duration(x: object, name: str) -> float:
    """Coerce a number, or a duration as seconds, to a finite float > 0."""
    try:
        value = real(_times.seconds(x) if _times.is_duration(x) else x, name)
    except _times.NotATimeError as error:
        raise ValueError(f"{name}: expected a finite number > 0, got {error}") from None
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a finite number > 0, got {value}")
    return value


def _finite(a: F64, name: str) -> F64:
    bad = np.flatnonzero(~np.isfinite(a))
    if bad.size:
        raise ValueError(f"{name}: expected finite numbers, got {a[bad[0]]} at place {bad[0]}")
    return a


def _int_array(x: object, name: str) -> npt.NDArray[Any]:
    a = as_array(x, name, "integers")
    if a.dtype.kind != "i" and a.size:
        big = beyond_int64(x, a)
        if big:
            raise ValueError(f"{name}: expected integers that fit int64, got {big[0]} at {big[1]}")
        if a.dtype.kind != "u":
            raise TypeError(f"{name}: expected integers, got {described(x, a)}")
    return a


def integers(x: object, name: str) -> I64:
    """Coerce to a row of int64."""
    a = _int_array(x, name)
    if a.ndim != 1:
        raise ValueError(f"{name}: expected a row of integers, got shape {a.shape}")
    return _contiguous(a, np.int64)


def id_set(x: object, name: str) -> I64:
    """Coerce a set of ids, or ids in a row, to int64; the order means nothing."""
    members = ascending(x, name, "integers")
    return integers(x if members is None else members, name)


def is_id(x: object) -> TypeGuard[int]:
    """Tell whether something can be an id at all."""
    if isinstance(x, (bool, np.bool_, np.timedelta64)) or not isinstance(x, (int, np.integer)):
        return False
    return bool(0 <= x <= LARGEST_ID)


def ids(x: object, name: str, n: int) -> I64:
    """Coerce to one id a row; the core checks that they are unique and not negative."""
    a = integers(x, name)
    if a.shape != (n,):
        raise ValueError(f"{name}: expected {n} ids, one a row, got {a.shape[0]}")
    return a


def labels(x: object, name: str, n: int, k: int) -> I64:
    """Coerce to one label from 0 to k - 1 a row, -1 for none; a matrix of one column will do."""
    a = _int_array(x, name)
    if a.shape not in ((n,), (n, 1)):
        raise ValueError(f"{name}: expected {n} labels, one a row, got shape {a.shape}")
    flat: I64 = a.reshape(n).astype(np.int64, copy=False)
    bad = np.flatnonzero((flat < -1) | (flat >= k))
    if bad.size:
        raise ValueError(
            f"{name}: expected labels from 0 to {k - 1}, or -1 for none, "
            f"got {flat[bad[0]]} in row {bad[0]}"
        )
    return flat


def ragged(x: object, name: str, rows: int | None = None) -> Ragged:
    """Coerce to ragged int64 rows: a `Ragged` or a sequence of sequences."""
    if type(x) is Ragged and _core.are_id_rows(x.values, x.offsets) and rows in (None, len(x)):
        return x
    if isinstance(x, Ragged):
        x = _sound(x, name)
        found = Ragged._of(_contiguous(_int_array(x.values, name), np.int64), x.offsets)
    else:
        expected = "a Ragged or a sequence of rows of integers"
        found = Ragged._of(*flattened(x, name, expected, integers))
    if rows is not None and len(found) != rows:
        raise ValueError(f"{name}: expected {rows} rows, got {len(found)}")
    return found


def _sound(x: Ragged, name: str) -> Ragged:
    """Check a Ragged anew: somebody may have replaced its arrays."""
    try:
        return Ragged(x.values, x.offsets)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected a sound Ragged, got one with {error}") from error


def entry_weights(x: object, name: str, rows: Ragged, rows_name: str) -> F64:
    """Coerce to one finite float64 for each value of `rows`: flat, or in rows as long as those."""
    return _finite(entry_numbers(x, name, rows, rows_name), name)


def entry_numbers(x: object, name: str, rows: Ragged, rows_name: str) -> F64:
    """Coerce to one float64 for each value of `rows`; values are not looked at."""
    if isinstance(x, Ragged):
        if not np.array_equal(x.offsets, rows.offsets):
            raise ValueError(
                f"{name}: expected rows as long as those of {rows_name}, got other lengths"
            )
        x = x.values
    elif not is_flat(x):
        x = _number_rows(x, name, rows, rows_name)
    return numbers(x, name, rows.values.size)


def _number_rows(x: object, name: str, rows: Ragged, rows_name: str) -> npt.NDArray[Any]:
    """Put rows of numbers, as long as those of `rows`, one after the other."""
    expected = f"one number for each value of {rows_name}"
    values, offsets = flattened(x, name, expected, _number_row, sets=False)
    if len(offsets) != len(rows.offsets):
        raise ValueError(f"{name}: expected {len(rows)} rows, got {len(offsets) - 1}")
    lengths = offsets[1:] - offsets[:-1]
    bad = np.flatnonzero(lengths != rows.lengths)
    if bad.size:
        raise ValueError(
            f"{name}, row {bad[0]}: expected shape ({rows.lengths[bad[0]]},), "
            f"got ({lengths[bad[0]]},)"
        )
    return values


def _number_row(x: object, name: str) -> F64:
    a = as_array(x, name, "a row of numbers")
    if a.ndim != 1:
        raise ValueError(f"{name}: expected a row of numbers, got shape {a.shape}")
    return numbers(a if a.dtype.kind in "fiu" else x, name, a.size)


def lists(result: Any, name: str) -> tuple[I64, F32, npt.NDArray[np.int32]]:
    """Check a SearchResult, whose arrays callers may have made themselves."""
    if not isinstance(result, tuple) or len(result) != 3:
        raise TypeError(f"{name}: expected a SearchResult, got {type(result).__name__}")
    if _core.are_lists(*result) and not np.isnan(result[1]).any():
        return result
    item_ids = _int_array(result[0], f"{name}.ids")
    scores = _scores(result[1], f"{name}.scores")
    counts = _int_array(result[2], f"{name}.counts")
    if item_ids.ndim != 2 or scores.shape != item_ids.shape or counts.shape != item_ids.shape[:1]:
        raise ValueError(
            f"{name}: expected ids and scores of shape (nq, k) and counts of shape (nq,), "
            f"got {item_ids.shape}, {scores.shape} and {counts.shape}"
        )
    if ((counts < 0) | (counts > item_ids.shape[1])).any():
        raise ValueError(f"{name}.counts: expected counts from 0 to {item_ids.shape[1]}")
    bad = np.flatnonzero((np.isnan(scores) & (item_ids >= 0)).any(axis=1))
    if bad.size:
        raise ValueError(f"{name}.scores: expected numbers, got NaN in row {bad[0]}")
    return (
        _contiguous(item_ids, np.int64),
        _to_float32(scores, f"{name}.scores"),
        _contiguous(counts, np.int32),
    )


def _scores(x: object, name: str) -> npt.NDArray[Any]:
    scores = as_array(x, name, "floats or whole numbers")
    if scores.dtype.kind in "iu":
        return scores.astype(np.float32)  # all fit; those that are not float32 are rounded
    if scores.dtype.kind != "f" and scores.size:
        raise TypeError(f"{name}: expected floats or whole numbers, got {described(x, scores)}")
    return scores


def _padded_channel(x: "tuple[Any, ...]", name: str) -> tuple[I64, F32, None, I32 | None]:
    if len(x) == 3 and _core.are_lists(*x):
        return x[0], x[1], None, x[2]
    item_ids = _int_array(x[0], f"{name}.ids")
    scores = _scores(x[1], f"{name}.scores")
    if item_ids.ndim != 2 or scores.shape != item_ids.shape:
        raise ValueError(
            f"{name}: expected ids and scores of one shape (nq, k), "
            f"got {item_ids.shape} and {scores.shape}"
        )
    counts = None if len(x) == 2 else _list_counts(x[2], f"{name}.counts", item_ids.shape)
    return (
        _contiguous(item_ids, np.int64),
        _to_float32(scores, f"{name}.scores"),
        None,
        counts,
    )


def _list_counts(x: object, name: str, shape: tuple[int, ...]) -> I32:
    counts = _int_array(x, name)
    if counts.shape != shape[:1]:
        raise ValueError(f"{name}: expected shape ({shape[0]},), got {counts.shape}")
    if ((counts < 0) | (counts > shape[1])).any():
        raise ValueError(f"{name}: expected counts from 0 to {shape[1]}")
    return _contiguous(counts, np.int32)


def _ragged_channel(item_ids: object, scores: object, name: str) -> tuple[I64, F32, I64, None]:
    if not isinstance(item_ids, Ragged) or not isinstance(scores, Ragged):
        other = scores if isinstance(item_ids, Ragged) else item_ids
        raise TypeError(f"{name}: expected two Ragged, got one and {type(other).__name__}")
    if not np.array_equal(item_ids.offsets, scores.offsets):
        raise ValueError(
            f"{name}: expected ids and scores with rows of the same lengths, got "
            f"{len(item_ids)} rows of {item_ids.values.size} ids in all and "
            f"{len(scores)} rows of {scores.values.size} scores in all"
        )
    rows = ragged(item_ids, f"{name}.ids")
    values = _to_float32(_scores(scores.values, f"{name}.scores")[:, None], f"{name}.scores")
    return rows.values, values.ravel(), rows.offsets, None


def channel_names(x: object) -> list[str]:
    """Check that channels, of whatever kind, have names and are not too many."""
    if not isinstance(x, Mapping):
        raise TypeError(
            f"channels: expected a mapping of names to channels, got {type(x).__name__}"
        )
    if not 1 <= len(x) <= _core.MAX_CHANNELS:
        raise ValueError(f"channels: expected 1 to {_core.MAX_CHANNELS}, got {len(x)}")
    for name in x:
        if not isinstance(name, str):
            raise TypeError(f"channels: expected names of type str, got {name!r}")
    return list(x)


def channels(x: Mapping[str, object]) -> tuple[list[Any], int]:
    """Coerce the channels of a merge to what the core takes, and the number of their rows."""
    converted: list[Any] = []
    rows = 0
    for key, value in x.items():
        name = f"channels[{key!r}]"
        parts = _channel(value, name)
        n = len(parts[0]) if parts[2] is None else len(parts[2]) - 1
        if converted and n != rows:
            first = next(iter(x))
            raise ValueError(f"{name}: expected {rows} rows, as channels[{first!r}], got {n}")
        rows = n
        converted.append((key, *parts))
    return converted, rows


def _channel(x: object, name: str) -> tuple[I64, F32, I64 | None, I32 | None]:
    expected = "a SearchResult or a pair (ids, scores)"
    if not isinstance(x, (tuple, list)):
        raise TypeError(f"{name}: expected {expected}, got {type(x).__name__}")
    fields = getattr(x, "_fields", ("ids", "scores", "counts")[: len(x)])
    if len(x) < 2 or fields[:3] not in (("ids", "scores"), ("ids", "scores", "counts")):
        raise TypeError(f"{name}: expected {expected}, got a {type(x).__name__} of {len(x)}")
    if len(x) == 2 and (isinstance(x[0], Ragged) or isinstance(x[1], Ragged)):
        return _ragged_channel(x[0], x[1], name)
    return _padded_channel(tuple(x[:3]), name)


def whole(x: object, name: str, low: int) -> int:
    """Coerce to an int of at least `low`."""
    if isinstance(x, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a whole number >= {low}, got {x!r}")
    if isinstance(x, (float, np.floating)) and not np.isfinite(x):
        raise ValueError(f"{name}: expected a whole number >= {low}, got {x}")
    try:
        n = operator.index(x)  # type: ignore[arg-type]  # the except clause is for what is not
    except Exception as error:  # an `__index__` of somebody's own may raise anything
        own = "" if isinstance(error, TypeError) else f" that raises: {error}"
        raise TypeError(
            f"{name}: expected a whole number >= {low}, got {type(x).__name__}{own}"
        ) from error
    if n < low:
        raise ValueError(f"{name}: expected a whole number >= {low}, got {n}")
    return n


def positive_int(x: object, name: str) -> int:
    """Coerce to an int of at least 1."""
    return whole(x, name, 1)


def at_most(x: object, name: str, low: int, high: int) -> int:
    """Coerce to an int from `low` to `high`."""
    n = whole(x, name, low)
    if n > high:
        raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {n}")
    return n


def list_length(x: object, rows: int, width: int = 1) -> int:
    """Coerce `k`, for lists of `rows` rows and `width` values a place that memory can address."""
    most = LARGEST_ID // 16 // (max(rows, 1) * width)
    if type(x) is int and 0 < x <= most:
        return x
    k = positive_int(x, "k")
    if k > most:
        raise ValueError(f"k: expected lists that memory can hold, got {k} for {rows} rows")
    return k


def thread_count(x: object) -> int:
    """Coerce to a number of threads."""
    n = positive_int(x, "threads")
    if n > _core.MAX_THREADS:
        raise ValueError(f"threads: expected at most {_core.MAX_THREADS}, got {n}")
    return n


def threads(x: object) -> int:
    """Coerce the `threads` argument: None is the library's default."""
    return _core.num_threads() if x is None else thread_count(x)


def flag(x: object, name: str) -> bool:
    """Coerce to a bool; anything that only looks like one is an error."""
    if not isinstance(x, (bool, np.bool_)):
        shown = repr(x) if isinstance(x, (int, float, str, bytes)) else type(x).__name__
        raise TypeError(f"{name}: expected True or False, got {shown}")
    return bool(x)


def path(x: object, name: str) -> Path:
    """Coerce what names a file or folder, a str or what stands for one; bytes do not.

    Made absolute at once, since the process may change its folder while the path is in use.
    Symbolic links stay, and ``..`` with them: who follows one finds what it leads to then.
    """
    try:
        text = os.fspath(x) if isinstance(x, os.PathLike) else x
    except Exception as error:  # a `__fspath__` of somebody's own may raise anything
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


def choice(x: object, name: str, choices: dict[str, E]) -> E:
    """Look up a word among the valid ones."""
    valid = ", ".join(repr(c) for c in choices)
    if not isinstance(x, str):
        raise TypeError(f"{name}: expected one of {valid}, got {type(x).__name__}")
    if x not in choices:
        raise ValueError(f"{name}: expected one of {valid}, got {x!r}")
    return choices[x]


def real(x: object, name: str) -> float:
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


def nonnegative(x: object, name: str) -> float:
    """Coerce to a finite float of at least 0."""
    value = real(x, name)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name}: expected a finite number >= 0, got {value}")
    return value


def named(x: object, name: str, value: Callable[[object, str], V]) -> dict[str, V]:
    """Coerce to a dict from channel names to values, each of which `value` coerces."""
    if not isinstance(x, Mapping):
        raise TypeError(f"{name}: expected a mapping from channel names, got {type(x).__name__}")
    for key in x:
        if not isinstance(key, str):
            raise TypeError(f"{name}: expected channel names of type str, got {key!r}")
    return {key: value(v, f"{name}[{key!r}]") for key, v in x.items()}


def known_channels(values: Mapping[str, object], name: str, channels: Sequence[str]) -> None:
    """Refuse a name that is not a channel."""
    for key in values:
        if key not in channels:
            known = ", ".join(repr(c) for c in channels)
            raise ValueError(f"{name}: expected names among the channels {known}, got {key!r}")


def by_channel(values: Mapping[str, V], name: str, channels: Sequence[str]) -> list[V]:
    """Put named values into the channels' order; a name too many or too few is an error."""
    known_channels(values, name, channels)
    for channel in channels:
        if channel not in values:
            raise ValueError(
                f"{name}: expected a value for every channel, got none for {channel!r}"
            )
    return [values[channel] for channel in channels]
