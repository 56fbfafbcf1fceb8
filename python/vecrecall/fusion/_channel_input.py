"""Checks of channels: their names, their lists, and what is given by name for each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _validation
from vecrecall.arrays._conversion import contiguous
from vecrecall.arrays._list_columns import list_column
from vecrecall.arrays._padded_lists import check_padded, check_scores
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._results import RankedResult, SearchResult
from vecrecall.arrays._scalars import counted
from vecrecall.arrays._typing import F32, I32, I64

V = TypeVar("V")


def check_lists(result: Any, name: str) -> tuple[I64, F32, I32]:
    """Check a SearchResult, whose arrays callers may have made themselves, or a triple of them."""
    if isinstance(result, SearchResult):
        return check_padded(result.ids, result.scores, result.counts, name)
    if not isinstance(result, tuple) or len(result) != 3:
        raise TypeError(f"{name}: expected a SearchResult, got {type(result).__name__}")
    return check_padded(*result, name)


def _padded_channel(x: "tuple[Any, ...]", name: str) -> tuple[I64, F32, None, I32 | None]:
    if len(x) == 3 and _core.are_lists(*x):
        return x[0], x[1], None, x[2]
    item_ids = _ids.integer_array(x[0], f"{name}.ids")
    scores = check_scores(x[1], f"{name}.scores")
    if item_ids.ndim != 2 or scores.shape != item_ids.shape:
        raise ValueError(
            f"{name}: expected ids and scores of one shape (nq, k), "
            f"got {item_ids.shape} and {scores.shape}"
        )
    counts = None if len(x) == 2 else _list_counts(x[2], f"{name}.counts", item_ids.shape)
    return (
        contiguous(item_ids, np.int64),
        _validation.to_float32(scores, f"{name}.scores"),
        None,
        counts,
    )


def _list_counts(x: object, name: str, shape: tuple[int, ...]) -> I32:
    counts = _ids.integer_array(x, name)
    if counts.shape != shape[:1]:
        raise ValueError(f"{name}: expected shape ({shape[0]},), got {counts.shape}")
    if ((counts < 0) | (counts > shape[1])).any():
        raise ValueError(f"{name}: expected counts from 0 to {shape[1]}")
    return contiguous(counts, np.int32)


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
    rows = _ragged_checks.check_ragged(item_ids, f"{name}.ids")
    values = _validation.to_float32(
        check_scores(scores.values, f"{name}.scores")[:, None], f"{name}.scores"
    )
    return rows.values, values.ravel(), rows.offsets, None


def _rows(x: Any, name: str) -> object:
    """Make a Ragged of a column of lists; anything else stays."""
    if isinstance(x, (Ragged, np.ndarray, list, tuple)):
        return x
    try:
        if list_column(x) is not None:
            return Ragged.from_arrow(x)
        return Ragged.from_lists(x) if hasattr(x, "iloc") and x.ndim == 1 else x  # of pandas
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error


def check_channel_names(x: object) -> list[str]:
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


def check_channels(x: Mapping[str, object]) -> tuple[list[Any], int]:
    """Coerce the channels of a merge to what the core takes, and the number of their rows."""
    converted: list[Any] = []
    rows = 0
    for key, value in x.items():
        name = f"channels[{key!r}]"
        parts = _channel(value, name)
        n = len(parts[0]) if parts[2] is None else len(parts[2]) - 1
        if converted and n != rows:
            first = next(iter(x))
            raise ValueError(
                f"{name}: expected {counted(rows, 'row')}, as channels[{first!r}], got {n}"
            )
        rows = n
        converted.append((key, *parts))
    return converted, rows


def _channel(x: object, name: str) -> tuple[I64, F32, I64 | None, I32 | None]:
    expected = "a SearchResult or a pair (ids, scores)"
    if isinstance(x, RankedResult):
        return _padded_channel((x.ids, x.scores, x.counts), name)
    if not isinstance(x, (tuple, list)):
        raise TypeError(f"{name}: expected {expected}, got {type(x).__name__}")
    fields = getattr(x, "_fields", ("ids", "scores", "counts")[: len(x)])
    if len(x) < 2 or fields[:3] not in (("ids", "scores"), ("ids", "scores", "counts")):
        raise TypeError(f"{name}: expected {expected}, got a {type(x).__name__} of {len(x)}")
    if len(x) == 2:
        item_ids, scores = _rows(x[0], f"{name}.ids"), _rows(x[1], f"{name}.scores")
        if isinstance(item_ids, Ragged) or isinstance(scores, Ragged):
            return _ragged_channel(item_ids, scores, name)
    return _padded_channel(tuple(x[:3]), name)


def check_mapping(x: object, name: str, value: Callable[[object, str], V]) -> dict[str, V]:
    """Coerce to a dict from channel names to values, each of which `value` coerces."""
    if not isinstance(x, Mapping):
        raise TypeError(f"{name}: expected a mapping from channel names, got {type(x).__name__}")
    for key in x:
        if not isinstance(key, str):
            raise TypeError(f"{name}: expected channel names of type str, got {key!r}")
    return {key: value(v, f"{name}[{key!r}]") for key, v in x.items()}


def check_known_channels(values: Mapping[str, object], name: str, channels: Sequence[str]) -> None:
    """Refuse a name that is not a channel."""
    for key in values:
        if key not in channels:
            known = ", ".join(repr(c) for c in channels)
            raise ValueError(f"{name}: expected names among the channels {known}, got {key!r}")


def by_channel(values: Mapping[str, V], name: str, channels: Sequence[str]) -> list[V]:
    """Put named values into the channels' order; a name too many or too few is an error."""
    check_known_channels(values, name, channels)
    for channel in channels:
        if channel not in values:
            raise ValueError(
                f"{name}: expected a value for every channel, got none for {channel!r}"
            )
    return [values[channel] for channel in channels]
