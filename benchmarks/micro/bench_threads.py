"""Threads that call search in parallel: two do twice the work of one on two processors.

Compare the medians as ratios: the same searches by one, two and four callers. The products of NumPy
use the threads of its BLAS in every case.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import (
    Lists,
    NumpyIndex,
    assert_near_lists,
    assert_same_lists,
    exact_search,
)

N, DIM, K, SEARCHES = 50_000, 64, 100, 32


@pytest.fixture(params=[1, 2, 4], ids="callers{}".format)
def executor(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(request.param) as executor:
        yield executor


@pytest.mark.parametrize("batch", [1, 16], ids="batch{}".format)
def test_callers(compare_engines: Any, batch: int, executor: ThreadPoolExecutor) -> None:
    rng = np.random.default_rng(1)
    items = rng.standard_normal((N, DIM), dtype=np.float32)
    index, theirs = vr.FlatIndex(items, copy=False), NumpyIndex(items)
    queries = rng.standard_normal((SEARCHES, batch, DIM), dtype=np.float32)

    def ours() -> list[vr.SearchResult]:
        return list(executor.map(lambda q: index.search(q, K, threads=1), queries))

    def with_numpy() -> list[Lists]:
        return list(executor.map(lambda q: theirs.search(q, K), queries))

    def check() -> None:
        for found, other, some in zip(ours(), with_numpy(), queries, strict=True):
            expected = exact_search(some, items, K)
            assert_same_lists(found, expected)
            assert_near_lists(other, expected, some, items)

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        check,
        items=N,
        dims=DIM,
        searches=SEARCHES,
        batch=batch,
        products=SEARCHES * batch * N * DIM,
    )
