"""Arithmetic on ragged rows without a loop over them."""

from collections.abc import Iterator

import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._typing import I64

# The elements that NumPy processes between two looks at signals: a few hundredths of a second.
BLOCK_VALUES = 1 << 22


def offsets_of(lengths: I64) -> I64:
    """Turn lengths into offsets."""
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Cut the rows of a matrix into blocks of a few million values."""
    step = max(1, BLOCK_VALUES // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def segments(starts: I64, offsets: I64) -> I64:
    """List the places of segments, one after the other; `offsets` are those of the result."""
    if starts.size == 1:
        return np.arange(starts[0], starts[0] + offsets[1])
    lengths = offsets[1:] - offsets[:-1]
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


def row_of_each(rows: Ragged) -> I64:
    """Tell for each value the row that it is in."""
    return np.repeat(np.arange(len(rows)), rows.lengths)


def take_rows(rows: Ragged, numbers: I64) -> Ragged:
    """Take rows by their numbers, in that order, also repeatedly."""
    starts = rows.offsets[numbers]
    offsets = offsets_of(rows.offsets[numbers + 1] - starts)
    return Ragged._of(rows.values[segments(starts, offsets)], offsets)


def repeat_rows(rows: Ragged, times: I64) -> Ragged:
    """Repeat each row so many times in place."""
    return take_rows(rows, np.repeat(np.arange(len(rows)), times))


def truncate(rows: Ragged, most: int) -> tuple[I64, I64]:
    """Find the places of the first `most` values of each row, and the offsets they then have."""
    offsets = offsets_of(np.minimum(rows.lengths, most))
    return segments(rows.offsets[:-1], offsets), offsets


def concat_rows(left: Ragged, right: Ragged) -> Ragged:
    """Join two raggeds row by row."""
    offsets = left.offsets + right.offsets
    if offsets.size == 2:
        return Ragged._of(np.concatenate([left.values, right.values]), offsets)
    values = np.empty(offsets[-1], left.values.dtype)
    values[segments(offsets[:-1], left.offsets)] = left.values
    values[segments(offsets[:-1] + left.lengths, right.offsets)] = right.values
    return Ragged._of(values, offsets)
