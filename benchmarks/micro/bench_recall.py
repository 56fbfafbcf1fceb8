"""Recall by many channels against pure NumPy: searches without seen items, then a merge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro import numpy_merge
from benchmarks.micro.numpy_lists import (
    F32,
    Lists,
    NumpyIndex,
    assert_near_lists,
    assert_same_lists,
)

ITEMS, DIM, K, CHANNELS, SEEN = 50_000, 64, 200, 8, 200


@pytest.fixture(scope="module")
def items() -> F32:
    return np.random.default_rng(1).standard_normal((ITEMS, DIM), dtype=np.float32)


@pytest.mark.parametrize("users", [1, 64], ids="users{}".format)
def test_recall(compare_engines: Any, items: F32, users: int) -> None:
    rng = np.random.default_rng(2)
    names = [f"tower {c}" for c in range(CHANNELS)]
    vectors = {name: rng.standard_normal((users, DIM), dtype=np.float32) for name in names}
    seen = rng.integers(0, ITEMS, (users, SEEN))
    batch = vr.RequestBatch(
        vectors=vectors, seen=vr.Ragged(seen.ravel(), np.arange(users + 1) * SEEN)
    )
    index = vr.FlatIndex(items, metric="cosine")
    channels = {name: vr.channels.UserToItem(index, vector=name) for name in names}
    recaller = vr.Recaller(channels, vr.policies.RRF())
    theirs = NumpyIndex(items, "cosine")
    exactly = NumpyIndex(items.astype(np.float64), "cosine")

    def searched(index: NumpyIndex, exact: bool = False) -> dict[str, Lists]:
        return {
            name: index.search(queries.astype(index.items.dtype, copy=False), K, seen, exact=exact)
            for name, queries in vectors.items()
        }

    def with_numpy() -> Lists:
        return numpy_merge.rrf(searched(theirs), K)

    def check() -> None:
        expected = searched(exactly, exact=True)
        assert_same_lists(recaller.recall(batch, K), numpy_merge.rrf(expected, K))
        # Near ties change ranks, and ranks change sums, so NumPy's merge is checked separately.
        lists = searched(theirs)
        for name, queries in vectors.items():
            assert_near_lists(lists[name], expected[name], queries, items, "cosine")
            assert not (lists[name].ids[:, :, None] == seen[:, None]).any()
        merged = vr.merge(lists, K, vr.policies.RRF(), provenance=False)
        assert_same_lists(with_numpy(), merged)

    compare_engines(
        {"vecrecall": lambda: recaller.recall(batch, K), "numpy": with_numpy},
        check,
        items=ITEMS,
        dims=DIM,
        users=users,
        channels=CHANNELS,
        k=K,
        products=CHANNELS * users * ITEMS * DIM,
    )
