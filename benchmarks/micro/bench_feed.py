"""The feed against pure NumPy: a table of decayed counts, and a log of clicks by user."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import F32, I64, Lists, assert_same_lists, packed, unpacked

CLUSTERS, ITEMS, USERS, CLICKS = 200, 20_000, 50_000, 100_000
CAPACITY, HALF_LIFE, K = 1000, 3600.0, 100
START = 1.7e9
F64 = npt.NDArray[np.float64]


class Clicks(NamedTuple):
    clusters: I64
    items: I64
    times: F64
    users: I64

    def batches(self, size: int, most: int) -> list[Clicks]:
        return [self.part(slice(start, start + size)) for start in range(0, most, size)]

    def part(self, some: slice) -> Clicks:
        return Clicks(self.clusters[some], self.items[some], self.times[some], self.users[some])


@cache
def clicks() -> Clicks:
    """Every user in a cluster of their own, items by Zipf's law, a hundred clicks per second."""
    rng = np.random.default_rng(1)
    users = rng.integers(0, USERS, CLICKS)
    odds = 1 / np.arange(1, ITEMS + 1)
    ranks = np.searchsorted(np.cumsum(odds) / odds.sum(), rng.random(CLICKS))
    return Clicks(
        rng.integers(0, CLUSTERS, USERS)[users],
        rng.permutation(ITEMS)[np.minimum(ranks, ITEMS - 1)],
        START + np.arange(CLICKS, dtype=np.float64) * 0.01,
        users,
    )


class TableFeed:
    """Counts in a table of every cluster by every item, kept as of the start: nothing decays.

    A click weighs 2 ** (its time since the start / half-life) there, so it is added without a look
    at what was there before; `top` divides by the weight of its moment. Clicks of known users also
    go to the end of a log, which has room for all. There is no bound on memory, and no reader may
    look while a batch comes in.
    """

    def __init__(self) -> None:
        self.table = np.zeros((CLUSTERS, ITEMS))
        columns: list[Any] = [np.empty(4 * CLICKS, a.dtype) for a in clicks()]
        self.log = Clicks(*columns)
        self.logged = 0

    def observe(self, batch: Clicks, users: bool) -> None:
        weights = np.exp2((batch.times - START) / HALF_LIFE)
        np.add.at(self.table.ravel(), batch.clusters * ITEMS + batch.items, weights)
        if users:
            end = self.logged + len(batch.users)
            for column, new in zip(self.log, batch, strict=True):
                column[self.logged : end] = new
            self.logged = end

    def top(self, clusters: I64, k: int, now: float) -> Lists:
        """Return one list per cluster, none shorter than k.

        Most of a cluster's row is empty: a loop that looks at the rest is five times as fast as a
        selection from the whole table.
        """
        ids, scores = (
            np.empty((len(clusters), k), np.int64),
            np.empty((len(clusters), k), np.float32),
        )
        decay = 2 ** ((START - now) / HALF_LIFE)
        for i, row in enumerate(self.table[clusters]):
            items = np.flatnonzero(row)
            keys = packed((row[items] * decay).astype(np.float32), items)
            ids[i], scores[i] = unpacked(np.sort(keys)[:k])
        return Lists(ids, scores)

    def related(self, cluster: int, item: int, k: int, now: float) -> tuple[I64, F32]:
        """Items of the users who clicked this one, by the later click of the two.

        Each user clicked each item once or more: the latest counts. No user has more items than a
        feed remembers.
        """
        own = np.flatnonzero(self.log.clusters[: self.logged] == cluster)
        items, times, users = self.log.items[own], self.log.times[own], self.log.users[own]
        here = items == item
        seen = np.full(USERS, -np.inf)
        np.maximum.at(seen, users[here], times[here])
        with_it = ~here & (seen[users] > 0)
        items, times, users = items[with_it], times[with_it], users[with_it]
        pair, which = np.unique(users * ITEMS + items, return_inverse=True)
        latest = np.zeros(len(pair))
        np.maximum.at(latest, which, times)
        gains = np.exp2((np.maximum(latest, seen[pair // ITEMS]) - now) / HALF_LIFE)
        totals = np.bincount(pair % ITEMS, gains, minlength=ITEMS)
        found = np.flatnonzero(totals)
        return unpacked(np.sort(packed(totals[found].astype(np.float32), found))[:k])


def feed_with(users: bool) -> vr.ClusterFeed:
    feed = vr.ClusterFeed(CLUSTERS, half_life=HALF_LIFE, capacity=CAPACITY)
    c = clicks()
    feed.observe(c.clusters, c.items, c.times, c.users if users else None)
    return feed


def table_with(users: bool) -> TableFeed:
    feed = TableFeed()
    feed.observe(clicks(), users)
    return feed


def assert_same_feeds(feed: vr.ClusterFeed, table: TableFeed, now: float) -> None:
    """The same lists: counts tie only where they are equal in both, at small whole numbers.

    Powers of two of times are good to some units of float64; float32 hides that but for a unit.
    """
    everything = np.arange(CLUSTERS)
    assert (np.count_nonzero(table.table, axis=1) <= CAPACITY).all()
    assert_same_lists(feed.top(everything, K, now), table.top(everything, K, now))


@pytest.mark.parametrize("users", [False, True], ids=["counts", "users"])
@pytest.mark.parametrize("size", [1, 100, 10_000], ids="batch{}".format)
def test_observe(compare_engines: Any, size: int, users: bool) -> None:
    """Clicks observed by a feed that has observed as many before."""
    most = min(CLICKS, 1000 * size)
    later = clicks()._replace(times=clicks().times + CLICKS * 0.01)
    batches = later.batches(size, most)

    def ours(feed: vr.ClusterFeed) -> None:
        for b in batches:
            feed.observe(b.clusters, b.items, b.times, b.users if users else None)

    def with_numpy(table: TableFeed) -> None:
        for b in batches:
            table.observe(b, users)

    def check() -> None:
        feed, table = feed_with(users), table_with(users)
        ours(feed)
        with_numpy(table)
        assert_same_feeds(feed, table, float(later.times[-1]))

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        check,
        fresh={"vecrecall": lambda: feed_with(users), "numpy": lambda: table_with(users)},
        clicks=most,
        batch=size,
        clusters=CLUSTERS,
    )


def test_top(compare_engines: Any) -> None:
    """The best of every cluster."""
    feed, table = feed_with(False), table_with(False)
    now = float(clicks().times[-1]) + 100
    everything = np.arange(CLUSTERS)
    compare_engines(
        {
            "vecrecall": lambda: feed.top(everything, K, now),
            "numpy": lambda: table.top(everything, K, now),
        },
        lambda: assert_same_feeds(feed, table, now),
        clusters=CLUSTERS,
        k=K,
    )


def test_related(compare_engines: Any) -> None:
    """Items related to the first item of a cluster."""
    feed, table = feed_with(True), table_with(True)
    now = float(clicks().times[-1])
    item = int(feed.top([0], 1, now).ids[0, 0])

    def check() -> None:
        found = feed.related([0], [item], K, now)
        ids, scores = table.related(0, item, K, now)
        count = int(found.counts[0])
        assert count == len(ids)
        assert_same_lists(Lists(found.ids[0, :count], found.scores[0, :count]), Lists(ids, scores))

    compare_engines(
        {
            "vecrecall": lambda: feed.related([0], [item], K, now),
            "numpy": lambda: table.related(0, item, K, now),
        },
        check,
        clicks=CLICKS,
        clusters=CLUSTERS,
        k=K,
    )
