"""Adding to an index and removing from it, against a NumPy array with spare rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import F32, I64, assert_same_lists, exact_search

N, DIM, K = 100_000, 64, 100
CHANGES = [1, 100, 5000]


class GrowingRows:
    """Rows and their ids, with spare rows; `place` maps every id to its row.

    It is changed in place: unlike an index, no thread may search it meanwhile.
    """

    def __init__(self, items: F32) -> None:
        self.n = len(items)
        self.rows = np.empty((2 * self.n, DIM), np.float32)
        self.rows[: self.n] = items
        self.ids = np.full(2 * self.n, -1)
        self.ids[: self.n] = np.arange(self.n)
        self.place = self.ids.copy()

    def add(self, rows: F32, ids: I64) -> None:
        if (self.place[ids] >= 0).any() or not np.isfinite(rows).all():
            raise ValueError("ids or rows")
        end = self.n + len(ids)
        self.rows[self.n : end] = rows
        self.ids[self.n : end] = ids
        self.place[ids] = np.arange(self.n, end)
        self.n = end

    def remove(self, ids: I64) -> None:
        """Move the last rows into the holes."""
        holes = self.place[ids]
        if (holes < 0).any():
            raise KeyError("ids")
        left = self.n - len(ids)
        self.place[ids] = -1
        tail = np.arange(left, self.n)
        movers = tail[self.place[self.ids[tail]] >= 0]
        holes = holes[holes < left]
        self.rows[holes] = self.rows[movers]
        self.ids[holes] = self.ids[movers]
        self.place[self.ids[holes]] = holes
        self.n = left


@pytest.fixture(scope="module")
def items() -> F32:
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


def assert_same_items(index: vr.FlatIndex, table: GrowingRows) -> None:
    ids, order = np.sort(index.ids), np.argsort(table.ids[: table.n])
    np.testing.assert_array_equal(ids, table.ids[order])
    np.testing.assert_array_equal(index.vectors(ids), table.rows[order])
    queries = np.random.default_rng(3).standard_normal((4, DIM), dtype=np.float32)
    expected = exact_search(queries, table.rows[order], K)
    found = index.search(queries, K)
    assert_same_lists(found, expected._replace(ids=ids[expected.ids]))


@pytest.mark.parametrize("change", CHANGES, ids="{}rows".format)
def test_add(compare_engines: Any, items: F32, change: int) -> None:
    rows = np.random.default_rng(2).standard_normal((change, DIM), dtype=np.float32)
    ids = np.arange(N, N + change)
    compare_updates(compare_engines, items, change, lambda target: target.add(rows, ids))


@pytest.mark.parametrize("change", CHANGES, ids="{}rows".format)
def test_remove(compare_engines: Any, items: F32, change: int) -> None:
    ids = np.random.default_rng(2).choice(N, change, replace=False)
    compare_updates(compare_engines, items, change, lambda target: target.remove(ids))


def compare_updates(compare_engines: Any, items: F32, change: int, update: Any) -> None:
    def check() -> None:
        index, table = vr.FlatIndex(items, copy=False), GrowingRows(items)
        update(index)
        update(table)
        assert_same_items(index, table)

    compare_engines(
        {"vecrecall": update, "numpy": update},
        check,
        fresh={
            "vecrecall": lambda: vr.FlatIndex(items, copy=False),
            "numpy": lambda: GrowingRows(items),
        },
        items=N,
        dims=DIM,
        rows=change,
    )
