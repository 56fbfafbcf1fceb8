"""The self-join, every item's nearest others, against pure NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

import vecrecall as vr
from benchmarks.micro.numpy_lists import (
    F32,
    I64,
    Floats,
    Lists,
    NumpyIndex,
    assert_near_lists,
    assert_same_lists,
    exact_best,
    quick_best,
)

N, DIM, K = 8000, 64, 50
BLOCK = 128  # rows of scores, which stay in the cache


def numpy_neighbors(vectors: Floats, exact: bool = False) -> Lists:
    """Multiply blocks of rows by all rows, without the diagonal."""
    unit = NumpyIndex(vectors, "cosine").items
    ids, found = np.empty((N, K), np.int64), np.empty((N, K), np.float32)
    for start in range(0, N, BLOCK):
        part = slice(start, start + BLOCK)
        scores = unit[part] @ unit.T
        own: I64 = np.arange(start, start + len(scores))
        scores[own - start, own] = -np.inf
        ids[part], found[part] = (exact_best if exact else quick_best)(scores, K)
    return Lists(ids, found)


def test_neighbors(compare_engines: Any) -> None:
    vectors: F32 = np.random.default_rng(3).standard_normal((N, DIM), dtype=np.float32)
    index = vr.FlatIndex(vectors, metric="cosine")

    def check() -> None:
        ids, scores = index.neighbors(K)
        found = Lists(ids.values.reshape(N, K), scores.values.reshape(N, K))
        expected = numpy_neighbors(vectors.astype(np.float64), exact=True)
        assert_same_lists(found, expected)
        assert_near_lists(numpy_neighbors(vectors), expected, vectors, vectors, "cosine")

    compare_engines(
        {"vecrecall": lambda: index.neighbors(K), "numpy": lambda: numpy_neighbors(vectors)},
        check,
        items=N,
        dims=DIM,
        k=K,
        products=N * N * DIM,
    )
