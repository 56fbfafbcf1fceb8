"""Recall by many channels, beside their searches alone; the self-join, beside a batch search."""

from typing import Any

import numpy as np
import pytest

import vecrecall as vr

ITEMS, DIM, K, CHANNELS = 200_000, 64, 200, 8


@pytest.fixture(scope="module")
def index() -> vr.FlatIndex:
    vectors = np.random.default_rng(1).standard_normal((ITEMS, DIM), dtype=np.float32)
    return vr.FlatIndex(vectors, metric="cosine")


@pytest.mark.parametrize("part", ["searches alone", "recall"])
@pytest.mark.parametrize("users", [1, 64])
def test_recall(benchmark: Any, index: vr.FlatIndex, users: int, part: str) -> None:
    benchmark.group = f"{CHANNELS} channels over {ITEMS} x {DIM}, {users} users"
    rng = np.random.default_rng(2)
    names = [f"tower {c}" for c in range(CHANNELS)]
    vectors = {name: rng.standard_normal((users, DIM), dtype=np.float32) for name in names}
    seen = vr.Ragged(rng.integers(0, ITEMS, users * 200), np.arange(users + 1) * 200)
    batch = vr.RequestBatch(vectors=vectors, seen=seen)
    channels = {name: vr.channels.UserToItem(index, vector=name) for name in names}
    recaller = vr.Recaller(channels, vr.policies.RRF())

    def searches() -> dict[str, vr.SearchResult]:
        return {name: index.search(vectors[name], K, exclude=seen) for name in names}

    expected = vr.merge(searches(), K, vr.policies.RRF())
    assert np.array_equal(recaller.recall(batch, K).ids, expected.ids)
    if part == "recall":
        benchmark(recaller.recall, batch, K)
    else:
        benchmark(searches)


@pytest.mark.parametrize("part", ["batch search", "self-join"])
def test_neighbors(benchmark: Any, part: str) -> None:
    n, k = 40_000, 100
    benchmark.group = f"each of {n} x {DIM} against all, k = {k}"
    vectors = np.random.default_rng(3).standard_normal((n, DIM), dtype=np.float32)
    index = vr.FlatIndex(vectors, metric="cosine")
    own = vr.Ragged(np.arange(n), np.arange(n + 1))
    expected = index.search(vectors, k, exclude=own)
    assert np.array_equal(index.neighbors(k).ids.values, expected.ids.ravel())
    if part == "self-join":
        benchmark.pedantic(index.neighbors, (k,), rounds=5)
    else:
        benchmark.pedantic(index.search, (vectors, k), rounds=5)
