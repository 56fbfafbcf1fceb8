"""Threads that each search by themselves: two do twice the work of one, where two processors are.

Read the medians as ratios: the same searches, by one caller, by two and by four.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vecrecall as vr

N, DIM, K, SEARCHES = 100_000, 64, 100, 96


@pytest.mark.parametrize("callers", [1, 2, 4])
@pytest.mark.parametrize("batch", [1, 16])
def test_callers(benchmark, batch: int, callers: int) -> None:
    benchmark.group = f"{SEARCHES} searches with threads=1, batch {batch}"
    rng = np.random.default_rng(1)
    index = vr.FlatIndex(rng.standard_normal((N, DIM), dtype=np.float32))
    queries = rng.standard_normal((SEARCHES, batch, DIM), dtype=np.float32)
    expected = index.search(queries.reshape(-1, DIM), K)

    def search(q) -> vr.SearchResult:
        return index.search(q, K, threads=1)

    with ThreadPoolExecutor(callers) as executor:
        found = benchmark(lambda: list(executor.map(search, queries)))
    np.testing.assert_array_equal(np.concatenate([r.ids for r in found]), expected.ids)
    np.testing.assert_array_equal(np.concatenate([r.scores for r in found]), expected.scores)
