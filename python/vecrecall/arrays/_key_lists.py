"""Lists of keys, one per user, as one column of keys and its offsets."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from vecrecall.arrays._conversion import TEXT
from vecrecall.arrays._keys import KeyColumn, key_column
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import I64


def flat_keys(lists: Any, name: str) -> tuple[KeyColumn, I64]:
    """Put the keys of all rows one after the other."""
    if isinstance(lists, (*TEXT, Mapping, set, frozenset)) or not isinstance(lists, Iterable):
        raise TypeError(f"{name}: expected a sequence of rows of keys, got {type(lists).__name__}")
    if hasattr(lists, "to_arrow"):
        lists = lists.to_arrow()
    if hasattr(lists, "combine_chunks"):
        lists = lists.combine_chunks()
    if hasattr(lists, "value_lengths") and not lists.null_count:
        lengths = np.asarray(lists.value_lengths(), np.int64)
        return key_column(lists.flatten(), name), offsets_of(lengths)
    rows = [_row(row, i, name) for i, row in enumerate(lists)]
    column = key_column(list(chain.from_iterable(rows)), name)
    return column, offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))


def _row(row: Any, i: int, name: str) -> "list[Any] | tuple[Any, ...]":
    if isinstance(row, (list, tuple)):
        return row
    if hasattr(row, "as_py"):
        row = row.as_py()
    if isinstance(row, (*TEXT, Mapping)) or not isinstance(row, Iterable):
        raise TypeError(f"{name}: expected rows of keys, got {type(row).__name__} as row {i}")
    return row.tolist() if hasattr(row, "tolist") else list(row)
