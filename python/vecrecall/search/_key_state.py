"""The keys of a vocabulary at one moment: tables that are found in, and arrays of a file."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vecrecall.arrays._key_table import HashedKeys, KeyTable, copied, joined
from vecrecall.arrays._keys import PADDING, WIDTHS, KeyColumn, keys_of
from vecrecall.arrays._typing import I64, Array

_ARRAYS = {
    "text": np.dtype(np.uint8),
    "offsets": np.dtype(np.int64),
    "hashes": np.dtype(np.uint64),
    "order": np.dtype(np.int64),
}
_EMPTY = KeyTable.of(np.zeros(PADDING, np.uint8), np.zeros(1, np.int64), np.empty(0, np.uint64))


class KeyState(NamedTuple):
    """The keys of one moment; replaced as one."""

    kind: str | None
    tables: tuple[KeyTable, ...]  # each at least twice as large as the next

    @property
    def size(self) -> int:
        return sum(map(len, self.tables))

    def find(self, keys: HashedKeys) -> I64:
        """Find the ids of keys, -1 for unknown ones."""
        if not self.tables:
            return np.full(keys.hashes.size, -1, np.int64)
        found = self.tables[0].find(keys)
        first = len(self.tables[0])
        for table in self.tables[1:]:
            rows = np.flatnonzero(found < 0)
            ids = table.find(keys.take(rows))
            found[rows] = np.where(ids < 0, -1, ids + first)
            first += len(table)
        return found

    def whole(self) -> KeyTable:
        """Return all keys in one table."""
        return joined(self.tables) if self.tables else _EMPTY

    def extended(self, kind: str | None, table: KeyTable) -> "KeyState":
        """Return these keys with more behind them; tables are joined so that they stay few."""
        tables = [*self.tables, table]
        while len(tables) > 1 and len(tables[-2]) < 2 * len(tables[-1]):
            tables[-2:] = [joined(tables[-2:])]
        return KeyState(kind, tuple(tables))

    def keys(self, ids: I64) -> list[Any]:
        """List the keys of known ids."""
        if len(self.tables) == 1:
            return self._keys_of(self.tables[0], ids)
        out = np.empty(ids.size, object)
        first = 0
        for table in self.tables:
            own = (ids >= first) & (ids < first + len(table))
            out[own] = self._keys_of(table, ids[own] - first)
            first += len(table)
        return out.tolist()

    def _keys_of(self, table: KeyTable, ids: I64) -> list[Any]:
        starts = table.offsets[ids]
        text = copied(table.text, starts, table.offsets[ids + 1] - starts)
        return keys_of(KeyColumn(self.kind, *text))


def numbered(keys: HashedKeys) -> tuple[I64, KeyTable]:
    """Give keys numbers in the order in which each comes first, and make their table."""
    text, offsets = copied(keys.text, keys.starts, keys.lengths)
    table = KeyTable.of(text, offsets, keys.hashes)
    first = table.first_of_each()
    if first is None:
        return np.arange(len(table)), table
    is_first = first == np.arange(first.size)
    numbers: I64 = (is_first.cumsum() - 1)[first]
    kept = keys.take(np.flatnonzero(is_first))
    return numbers, KeyTable.of(*copied(kept.text, kept.starts, kept.lengths), kept.hashes)


def state_of(kind: Any, arrays: Mapping[str, Array], verify: bool = False) -> KeyState:
    """Take arrays that may be anything."""
    if kind is not None and (not isinstance(kind, str) or kind not in WIDTHS):
        raise ValueError(f"keys: expected one of {list(WIDTHS)}, got {kind!r}")
    if arrays.keys() != _ARRAYS.keys():
        raise ValueError(f"arrays: expected {sorted(_ARRAYS)}, got {sorted(arrays)}")
    for name, dtype in _ARRAYS.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
            raise ValueError(
                f"{name}: expected a row of {dtype}, "
                f"got {getattr(array, 'dtype', None)} of shape {np.shape(array)}"
            )
    table = KeyTable(**{name: np.ascontiguousarray(array) for name, array in arrays.items()})
    _check_table(kind, table)
    state = KeyState(kind, (table,) if len(table) else ())
    if verify and len(table):
        _check_lookups(state)
    return state


def _check_table(kind: str | None, table: KeyTable) -> None:
    """Refuse what would lead out of the arrays."""
    n, offsets = len(table), table.offsets
    if offsets.size != n + 1 or table.hashes.size != n:
        raise ValueError(
            f"offsets: expected {n + 1} and as many hashes as in order, {n}, "
            f"got {offsets.size} and {table.hashes.size}"
        )
    if offsets[0] != 0 or offsets[-1] != table.text.size - PADDING:
        raise ValueError(
            f"offsets: expected 0 first and {table.text.size - PADDING} last, "
            f"got {offsets[0]} and {offsets[-1]}"
        )
    descends = (offsets[1:] < offsets[:-1]).any()  # of differences some might wrap around
    width = None if kind is None else WIDTHS[kind]
    if descends or (width is not None and (np.diff(offsets) != width).any()):
        raise ValueError(f"offsets: expected those of {kind} keys, got others")
    if n and (kind is None or table.order.min() < 0 or table.order.max() >= n):
        raise ValueError(f"order: expected numbers below {n} of keys of a kind, got others")


def _check_lookups(state: KeyState) -> None:
    """Look up every key."""
    table = state.tables[0]
    found = table.find(HashedKeys.of(KeyColumn(state.kind, table.text, table.offsets)))
    wrong = np.flatnonzero(found != np.arange(found.size))
    if wrong.size:
        raise ValueError(f"hashes: expected to find every key by them, got none for id {wrong[0]}")
