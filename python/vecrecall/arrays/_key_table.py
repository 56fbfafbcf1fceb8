"""Keys found by their hash, many at a time, each compared with the key itself."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vecrecall.arrays._keys import PADDING, KeyColumn
from vecrecall.arrays._ragged_ops import offsets_of, segments
from vecrecall.arrays._typing import I64, U8, U64

STEP = 1 << 18  # keys at a time, so that temporary arrays stay small
_COPIED_BYTES = 1 << 20
_WORD = 8
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(_WORD + 1)], np.uint64)  # of n bytes in a word
_PRIMES = np.array([0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_SHIFTS = np.array([33, 29, 32], np.uint64)


class HashedKeys(NamedTuple):
    """Some keys of a text, with their hashes."""

    text: U8
    starts: I64
    lengths: I64
    hashes: U64

    @classmethod
    def of(cls, column: KeyColumn) -> "HashedKeys":
        """Hash the keys of a column."""
        starts, lengths = column.offsets[:-1], np.diff(column.offsets)
        hashes = np.empty(lengths.size, np.uint64)
        for part in _steps(lengths.size):
            hashes[part] = hash_keys(column.text, starts[part], lengths[part])
        return cls(column.text, starts, lengths, hashes)

    def take(self, which: "I64 | slice") -> "HashedKeys":
        """Take some of the keys."""
        return HashedKeys(self.text, self.starts[which], self.lengths[which], self.hashes[which])

    def column(self, kind: str | None) -> KeyColumn:
        """Copy these keys, one behind the other."""
        return KeyColumn(kind, *copied(self.text, self.starts, self.lengths))


class KeyTable(NamedTuple):
    """Keys with numbers from 0 on, found by their hash."""

    text: U8
    offsets: I64
    hashes: U64  # ascending
    order: I64  # whose hashes they are; of equal ones in the order of the keys

    @classmethod
    def of(cls, text: U8, offsets: I64, hashes: U64) -> "KeyTable":
        """Make the table of keys whose hashes are known."""
        order = np.argsort(hashes, kind="stable")
        return cls(text, offsets, hashes[order], order)

    def __len__(self) -> int:
        return int(self.order.size)

    def find(self, keys: HashedKeys) -> I64:
        """Find the numbers of keys, -1 for unknown ones; of equal keys it is the lowest."""
        found = np.empty(keys.hashes.size, np.int64)
        for part in _steps(found.size):
            found[part] = self._find(keys.take(part))
        return found

    def _find(self, keys: HashedKeys) -> I64:
        found = np.full(keys.hashes.size, -1, np.int64)
        # In their order: neighbors are then looked for in the same part of the table.
        rows = np.argsort(keys.hashes)
        at = self.hashes.searchsorted(keys.hashes[rows])
        while True:
            near = np.minimum(at, len(self) - 1)
            same = (at < len(self)) & (self.hashes[near] == keys.hashes[rows])
            rows, at = rows[same], at[same]
            if not rows.size:
                return found
            number = self.order[at]
            starts = self.offsets[number]
            equal = self.offsets[number + 1] - starts == keys.lengths[rows]
            equal[equal] = _equal(self.text, starts[equal], keys.take(rows[equal]))
            found[rows[equal]] = number[equal]
            rows, at = rows[~equal], at[~equal] + 1  # other keys of the same hash

    def first_of_each(self) -> I64 | None:
        """Find for each key the first that equals it; None where all are different."""
        if not (self.hashes[1:] == self.hashes[:-1]).any():
            return None
        hashes = np.empty_like(self.hashes)
        hashes[self.order] = self.hashes
        found = self.find(HashedKeys(self.text, self.offsets[:-1], np.diff(self.offsets), hashes))
        return None if (found == np.arange(len(self))).all() else found


def joined(tables: "list[KeyTable] | tuple[KeyTable, ...]") -> KeyTable:
    """Make one table of several, the numbers of each behind those of the one before."""
    if len(tables) == 1:
        return tables[0]
    texts = [table.text[: int(table.offsets[-1])] for table in tables]
    offsets = offsets_of(np.concatenate([np.diff(table.offsets) for table in tables]))
    hashes = np.empty(offsets.size - 1, np.uint64)
    first = 0
    for table in tables:
        hashes[first + table.order] = table.hashes
        first += len(table)
    return KeyTable.of(np.concatenate([*texts, np.zeros(PADDING, np.uint8)]), offsets, hashes)


def copied(text: U8, starts: I64, lengths: I64) -> tuple[U8, I64]:
    """Copy keys out of a text, one behind the other: the new text and its offsets."""
    offsets = offsets_of(lengths)
    out = np.zeros(int(offsets[-1]) + PADDING, np.uint8)
    row = 0
    while row < lengths.size:
        end = max(row + 1, int(offsets.searchsorted(offsets[row] + _COPIED_BYTES)) - 1)
        part = offsets[row : end + 1]
        if end == row + 1:  # perhaps one that is very long
            out[part[0] : part[1]] = text[starts[row] : starts[row] + lengths[row]]
        else:
            out[part[0] : part[-1]] = text[segments(starts[row:end], part - part[0])]
        row = end
    return out, offsets


def hash_keys(text: U8, starts: I64, lengths: I64) -> U64:
    """Hash keys to 64 bits; saved tables rely on its values."""
    words = _words(text)
    hashes: U64 = lengths.astype(np.uint64) * _PRIMES[0]
    for rows, at, mask in _in_words(starts, lengths):
        h = hashes[rows] ^ ((words[at] & mask) * _PRIMES[1])
        hashes[rows] = ((h << _SHIFTS[2]) | (h >> _SHIFTS[2])) * _PRIMES[0] + _PRIMES[2]
    hashes ^= hashes >> _SHIFTS[0]
    hashes *= _PRIMES[1]
    hashes ^= hashes >> _SHIFTS[1]
    hashes *= _PRIMES[2]
    hashes ^= hashes >> _SHIFTS[2]
    return hashes


def _equal(text: U8, starts: I64, keys: HashedKeys) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Tell which keys equal those of the same lengths in a text."""
    equal = np.ones(starts.size, bool)
    words, others = _words(text), _words(keys.text)
    behind = keys.starts - starts
    for rows, at, mask in _in_words(starts, keys.lengths):
        equal[rows[((words[at] ^ others[at + behind[rows]]) & mask) != 0]] = False
    return equal


def _words(text: U8) -> U64:
    """View a text as the words that begin at each of its bytes."""
    shape = (text.size - PADDING + 1,)
    return np.ndarray(shape, "<u8", np.ascontiguousarray(text), strides=(1,))


def _in_words(starts: I64, lengths: I64) -> Iterator[tuple[I64, I64, U64]]:
    """Go through keys a word at a time: which still have one, where it is, which bytes count."""
    rows = np.flatnonzero(lengths)
    at, left = starts[rows], lengths[rows]
    while rows.size:
        yield rows, at, _MASKS[np.minimum(left, _WORD)]
        more = left > _WORD
        rows, at, left = rows[more], at[more] + _WORD, left[more] - _WORD


def _steps(n: int) -> Iterator[slice]:
    return (slice(start, min(n, start + STEP)) for start in range(0, n, STEP))
