"""The feed against plain Python dictionaries (what comes in) and NumPy (what comes out)."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

CLUSTERS, ITEMS, USERS, CLICKS = 500, 100_000, 200_000, 300_000
CAPACITY, HISTORY, HALF_LIFE, K = 1000, 20, 3600.0, 100
I64 = npt.NDArray[np.int64]


class Clicks(NamedTuple):
    clusters: I64
    items: I64
    times: npt.NDArray[np.float64]
    users: I64

    def batches(self, size: int, most: int) -> list[Clicks]:
        return [Clicks(*(a[s : s + size] for a in self)) for s in range(0, most, size)]


@cache
def clicks() -> Clicks:
    """Every user in a cluster of their own, items by Zipf's law, a hundred clicks a second."""
    rng = np.random.default_rng(1)
    users = rng.integers(0, USERS, CLICKS)
    odds = 1 / np.arange(1, ITEMS + 1)
    ranks = np.searchsorted(np.cumsum(odds) / odds.sum(), rng.random(CLICKS))
    return Clicks(
        rng.integers(0, CLUSTERS, USERS)[users],
        rng.permutation(ITEMS)[np.minimum(ranks, ITEMS - 1)],
        1.7e9 + np.arange(CLICKS) * 0.01,
        users,
    )


class DictFeed:
    """The same counts and histories in dictionaries, without bounds but for the histories."""

    def __init__(self) -> None:
        self.counts: list[dict[int, list[float]]] = [{} for _ in range(CLUSTERS)]
        self.histories: dict[tuple[int, int], OrderedDict[int, float]] = {}

    def observe(self, batch: Clicks, users: bool) -> None:
        who = batch.users.tolist() if users else repeat(-1)
        columns = batch.clusters.tolist(), batch.items.tolist(), batch.times.tolist()
        for c, item, time, user in zip(*columns, who, strict=False):
            count = self.counts[c].get(item)
            if count is None:
                self.counts[c][item] = [1.0, time]
            else:
                count[0] = count[0] * 2 ** ((count[1] - time) / HALF_LIFE) + 1
                count[1] = time
            if users:
                seen = self.histories.setdefault((c, user), OrderedDict())
                seen[item] = time
                seen.move_to_end(item)
                if len(seen) > HISTORY:
                    seen.popitem(last=False)

    def arrays(self, cluster: int) -> tuple[I64, npt.NDArray[np.float64]]:
        counts = self.counts[cluster]
        return np.array(list(counts), np.int64), np.array(list(counts.values()))

    def related(self, cluster: int, item: int, now: float) -> dict[int, float]:
        scores: dict[int, float] = {}
        for (c, _), seen in self.histories.items():
            if c != cluster or item not in seen:
                continue
            for other, time in seen.items():
                if other != item:
                    gain = 2 ** ((max(time, seen[item]) - now) / HALF_LIFE)
                    scores[other] = scores.get(other, 0.0) + gain
        return scores


def fed(users: bool, capacity: int = CAPACITY) -> vr.ClusterFeed:
    feed = vr.ClusterFeed(CLUSTERS, half_life=HALF_LIFE, capacity=capacity, history=HISTORY)
    c = clicks()
    feed.observe(c.clusters, c.items, c.times, c.users if users else None)
    return feed


@cache
def reference() -> DictFeed:
    feed = DictFeed()
    feed.observe(clicks(), users=True)
    return feed


def top_with_numpy(arrays: list[tuple[I64, npt.NDArray[np.float64]]], now: float) -> I64:
    """One list a cluster, none shorter than K."""
    rows = []
    for ids, counts in arrays:
        scores = (counts[:, 0] * np.exp2((counts[:, 1] - now) / HALF_LIFE)).astype(np.float32)
        # The K-th score, and all that tie with it.
        best = np.flatnonzero(scores >= np.partition(scores, -K)[-K])
        order = best[np.lexsort((ids[best], -scores[best]))]
        rows.append(ids[order[:K]])
    return np.stack(rows)


def assert_close_lists(found: I64, expected: I64) -> None:
    """Equal, but for the few neighbors that the last bit of a float32 may exchange."""
    assert (found != expected).mean() < 1e-3
    same = [len(set(a) & set(b)) for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
    assert np.mean(same) > K - 0.1


@pytest.mark.parametrize("users", [False, True], ids=["plain", "users"])
@pytest.mark.parametrize("size", [1, 10, 100, 10_000])
@pytest.mark.parametrize("engine", ["vecrecall", "dict"])
def test_observe(benchmark, engine: str, size: int, users: bool) -> None:
    most = min(CLICKS, 3000 * size)
    benchmark.group = f"{most} clicks in batches of {size}, {'with' if users else 'no'} users"
    batches = clicks().batches(size, most)
    assert_same_counts()

    def into_ours(feed: vr.ClusterFeed) -> None:
        for b in batches:
            feed.observe(b.clusters, b.items, b.times, b.users if users else None)

    def into_dicts(feed: DictFeed) -> None:
        for b in batches:
            feed.observe(b, users)

    def warm() -> tuple[tuple[vr.ClusterFeed] | tuple[DictFeed], dict[str, object]]:
        if engine == "vecrecall":
            return (fed(users),), {}
        feed = DictFeed()
        feed.observe(clicks(), users)
        return (feed,), {}

    run = into_ours if engine == "vecrecall" else into_dicts
    benchmark.pedantic(run, setup=warm, rounds=3)


@cache
def assert_same_counts() -> None:
    """The counts of both engines, in a feed that need not drop any."""
    now = float(clicks().times[-1])
    found = fed(False, ITEMS).top(range(CLUSTERS), K, now)
    expected = top_with_numpy([reference().arrays(c) for c in range(CLUSTERS)], now)
    assert_close_lists(found.ids, expected)


@pytest.mark.parametrize("engine", ["vecrecall", "numpy"])
def test_top(benchmark, engine: str) -> None:
    benchmark.group = f"top {K} of each of {CLUSTERS} clusters, one thread"
    feed = fed(False)
    now = float(clicks().times[-1]) + 100
    arrays = [reference().arrays(c) for c in range(CLUSTERS)]
    assert max(len(ids) for ids, _ in arrays) <= CAPACITY
    everything = np.arange(CLUSTERS)
    assert_close_lists(feed.top(everything, K, now).ids, top_with_numpy(arrays, now))
    if engine == "vecrecall":
        benchmark(feed.top, everything, K, now, threads=1)
    else:
        benchmark(top_with_numpy, arrays, now)


@pytest.mark.parametrize("engine", ["vecrecall", "dict"])
def test_related(benchmark, engine: str) -> None:
    benchmark.group = f"what is related to the first item of a cluster, {USERS} users in all"
    feed = fed(True)
    now = float(clicks().times[-1])
    item = int(feed.top([0], 1, now).ids[0, 0])
    ids, scores, counts = (a[0] for a in feed.related([0], [item], K, now))
    expected = reference().related(0, item, now)
    assert counts == min(K, len(expected))
    best = sorted(expected.values(), reverse=True)[:counts]
    assert np.allclose(scores[:counts], best, rtol=1e-6)
    of_ids = [expected[i] for i in ids[:counts].tolist()]
    assert np.allclose(scores[:counts], of_ids, rtol=1e-6)
    if engine == "vecrecall":
        benchmark(feed.related, [0], [item], K, now, threads=1)
    else:
        benchmark(reference().related, 0, item, now)
