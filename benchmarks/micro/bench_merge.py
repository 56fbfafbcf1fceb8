"""Merging the lists of channels against vectorized NumPy, by every policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro import numpy_merge
from benchmarks.micro.numpy_lists import Lists, assert_same_lists
from vecrecall.policies import RRF, Interleave, Maximum, Policy, Priority, Quota, WeightedSum

ITEMS, USERS, CHANNELS = 1_000_000, 256, 8
WIDTH, K = 200, 200
AUTHORS, LIMIT = 2000, 2
NAMES = [f"c{c}" for c in range(CHANNELS)]
NORMALIZE = ["none", "minmax", "zscore", "max", "l2"]
Channels = dict[str, vr.SearchResult]


def channel_lists(width: int) -> Channels:
    """Make lists of which half comes from items common to all channels, half from all items."""
    rng = np.random.default_rng(1)
    common = rng.integers(0, ITEMS, (USERS, 2 * width))
    lists = {}
    for name in NAMES:
        # More ids than needed, since repeated ones are dropped.
        shared = rng.permuted(common, axis=1)[:, : width // 2]
        own = rng.integers(0, ITEMS, (USERS, 2 * width))
        ids = np.empty((USERS, width), np.int64)
        for u in range(USERS):
            distinct = list(dict.fromkeys([*shared[u].tolist(), *own[u].tolist()]))
            ids[u] = rng.permutation(distinct[:width])
        scores = -np.sort(-rng.random((USERS, width), np.float32))  # as cosines: none is negative
        lists[name] = vr.SearchResult(ids, scores, np.full(USERS, width, np.int32))
    return lists


@pytest.fixture(scope="module")
def lists() -> Channels:
    return channel_lists(WIDTH)


def size(width: int = WIDTH, k: int = K) -> dict[str, int]:
    return {"users": USERS, "channels": CHANNELS, "width": width, "k": k}


def compare_policy(compare_engines: Any, lists: Channels, policy: Policy, with_numpy: Any) -> None:
    def ours() -> vr.MergeResult:
        return vr.merge(lists, K, policy, provenance=False)

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        lambda: assert_same_lists(ours(), with_numpy()),
        policy=repr(policy),
        **size(),
    )


@pytest.mark.parametrize("width", [200, 500], ids="{0}to{0}".format)
def test_rrf(compare_engines: Any, width: int) -> None:
    lists = channel_lists(width)

    def ours() -> vr.MergeResult:
        return vr.merge(lists, width, RRF(), provenance=False)

    def with_numpy() -> Lists:
        return numpy_merge.rrf(lists, width)

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        lambda: assert_same_lists(ours(), with_numpy()),
        **size(width, width),
    )


def test_provenance(compare_engines: Any, lists: Channels) -> None:
    """RRF, with each item's ranks and scores in all channels."""

    def check() -> None:
        found = vr.merge(lists, K, RRF())
        expected = numpy_merge.rrf_with_provenance(lists, K)
        assert_same_lists(found, expected)
        np.testing.assert_array_equal(found.channels, expected.channels)
        np.testing.assert_array_equal(found.ranks, expected.ranks)
        np.testing.assert_array_equal(found.channel_scores, expected.channel_scores)

    compare_engines(
        {
            "vecrecall": lambda: vr.merge(lists, K, RRF()),
            "numpy": lambda: numpy_merge.rrf_with_provenance(lists, K),
        },
        check,
        **size(),
    )


def test_caps(compare_engines: Any, lists: Channels) -> None:
    """RRF with at most two items per author."""
    authors = np.random.default_rng(2).integers(0, AUTHORS, ITEMS)
    caps = vr.Caps(np.arange(ITEMS), authors, LIMIT)

    def ours() -> vr.MergeResult:
        return vr.merge(lists, K, RRF(), caps=caps, provenance=False)

    def with_numpy() -> Lists:
        return numpy_merge.rrf_with_caps(lists, K, authors, LIMIT)

    def check() -> None:
        found = ours()
        assert (found.ids != numpy_merge.rrf(lists, K).ids).any()  # some item is over its cap
        assert_same_lists(found, with_numpy())

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy}, check, authors=AUTHORS, limit=LIMIT, **size()
    )


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_weighted_sum(compare_engines: Any, lists: Channels, normalize: Any) -> None:
    policy = WeightedSum(normalize=normalize)
    compare_policy(
        compare_engines, lists, policy, lambda: numpy_merge.by_score(lists, K, normalize)
    )


def test_maximum(compare_engines: Any, lists: Channels) -> None:
    policy = Maximum(normalize="max")
    compare_policy(
        compare_engines, lists, policy, lambda: numpy_merge.by_score(lists, K, "max", largest=True)
    )


def test_interleave(compare_engines: Any, lists: Channels) -> None:
    compare_policy(compare_engines, lists, Interleave(), lambda: numpy_merge.interleave(lists, K))


def test_priority(compare_engines: Any, lists: Channels) -> None:
    policy = Priority(dict.fromkeys(NAMES, 20))
    compare_policy(compare_engines, lists, policy, lambda: numpy_merge.priority(lists, K, 20))


def test_quota(compare_engines: Any, lists: Channels) -> None:
    compare_policy(compare_engines, lists, Quota(None), lambda: numpy_merge.quota(lists, K))
