"""Merging of the lists of shards, and of several vectors of a user, against vectorized NumPy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro import numpy_merge
from benchmarks.micro.numpy_lists import assert_same_lists

ROWS, WIDTH, K = 1024, 200, 200
SHARDS, GROUP = 8, 4


def result(rng: np.random.Generator, low: int, high: int) -> vr.SearchResult:
    """Make full lists of random scores, with distinct ids per list."""
    ids = np.stack([rng.choice(high - low, WIDTH, replace=False) for _ in range(ROWS)]) + low
    scores = -np.sort(-rng.standard_normal((ROWS, WIDTH), dtype=np.float32))
    return vr.SearchResult(ids, scores, np.full(ROWS, WIDTH, np.int32))


def test_shards(compare_engines: Any) -> None:
    rng = np.random.default_rng(1)
    results = [result(rng, 10_000 * s, 10_000 * (s + 1)) for s in range(SHARDS)]
    compare_engines(
        {
            "vecrecall": lambda: vr.merge_shards(results, K),
            "numpy": lambda: numpy_merge.shards(results, K),
        },
        lambda: assert_same_lists(vr.merge_shards(results, K), numpy_merge.shards(results, K)),
        rows=ROWS,
        shards=SHARDS,
        width=WIDTH,
        k=K,
    )


@pytest.mark.parametrize("aggregate", ["max", "sum"])
def test_groups(compare_engines: Any, aggregate: Literal["max", "sum"]) -> None:
    """Groups of equal size, so that NumPy needs no padding; half the items are in two rows."""
    rows = result(np.random.default_rng(2), 0, 500)
    offsets = np.arange(0, ROWS + 1, GROUP)

    def check() -> None:
        found = vr.merge_groups(rows, offsets, K, aggregate=aggregate)
        expected = numpy_merge.groups(rows, GROUP, K, aggregate)
        assert_same_lists(found, expected)
        np.testing.assert_array_equal(found.n_rows, expected.n_rows)
        np.testing.assert_array_equal(found.best_row, expected.best_row)

    compare_engines(
        {
            "vecrecall": lambda: vr.merge_groups(rows, offsets, K, aggregate=aggregate),
            "numpy": lambda: numpy_merge.groups(rows, GROUP, K, aggregate),
        },
        check,
        rows=ROWS,
        group=GROUP,
        width=WIDTH,
        k=K,
    )
