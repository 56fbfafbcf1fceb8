"""Data on which int8 codes do not select: a search costs little more than one without codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.micro.numpy_lists import (
    F32,
    Lists,
    NumpyIndex,
    assert_near_lists,
    assert_same_lists,
    exact_search,
)
from vecrecall import _core
from vecrecall._runtime import get_num_threads

N, DIM, K, BATCH = 50_000, 64, 100, 64


def tiny_spread(rng: np.random.Generator) -> F32:
    """Make rows that differ only in their last bits."""
    return (1 + 1e-6 * rng.standard_normal((N, DIM))).astype(np.float32)


def one_huge_dimension(rng: np.random.Generator) -> F32:
    """Make a dimension so large that the codes of all others become zero."""
    items = rng.standard_normal((N, DIM), dtype=np.float32)
    items[:, 3] *= 10_000
    return items


def equal_rows(rng: np.random.Generator) -> F32:
    """Make equal rows, so that all items tie."""
    return np.repeat(rng.standard_normal((1, DIM), dtype=np.float32), N, axis=0)


@pytest.mark.parametrize("compare_engines", ["vecrecall", "float32", "numpy"], indirect=True)
@pytest.mark.parametrize("make", [tiny_spread, one_huge_dimension, equal_rows])
def test_fallback(compare_engines: Any, make: Callable[[np.random.Generator], F32]) -> None:
    rng = np.random.default_rng(1)
    items = make(rng)
    queries = rng.standard_normal((BATCH, DIM), dtype=np.float32)
    threads = get_num_threads()

    def search(codes: bool) -> Callable[[], Lists]:
        index = _core.FlatIndex(items, None, _core.Metric.ip, None, False, codes, threads)
        now = index.snapshot()
        return lambda: Lists(*now.search(queries, K, None, None, -np.inf, 0, threads)[:2])

    with_codes, without, theirs = search(True), search(False), NumpyIndex(items)

    def check() -> None:
        expected = exact_search(queries, items, K)
        for found in (with_codes(), without()):
            assert_same_lists(found, expected)
        assert_near_lists(theirs.search(queries, K), expected, queries, items)

    compare_engines(
        {
            "vecrecall": with_codes,
            "float32": without,
            "numpy": lambda: theirs.search(queries, K),
        },
        check,
        items=N,
        dims=DIM,
        k=K,
        queries=BATCH,
        products=BATCH * N * DIM,
    )
