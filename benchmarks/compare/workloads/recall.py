"""Recall: what a whole one adds to its channels' searches.

A recall of eight channels and the searches that these channels make, call by call with the same
arguments, are timed alternately in one process. What counts is the time outside the searches, by a
clock around each of them, less what the bare calls spend there (that clock, a loop): pooling,
looking up vectors and lists, joining a channel's lists, merging. A scan of a million items leaves
cold caches behind in both, and itself varies by more than all else takes together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.alternating import F64, median_interval, time_alternately
from benchmarks.compare.workload import Measurement, WorkloadError
from vecrecall.cli._tables import markdown_table
from vecrecall.cli.bench.machine import Machine

F32 = npt.NDArray[np.float32]
DIM, TAGS, HISTORY, SEEN = 64, 5_000, 50, 200
ITEMS, QUICK_ITEMS, LENGTH = 1_000_000, 20_000, 200
LEAST_ITEMS = 10  # a tenth of them is in a table, and clicked
SECONDS, QUICK_SECONDS = 10.0, 0.5  # of timing, for each line
TOWERS = [f"tower {number}" for number in range(1, 9)]


class Noted:
    """An index that keeps what it is asked, for the searches alone."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self.index = index
        self.asked: list[tuple[F32, int, vr.Ragged | None]] = []

    def search(self, queries: F32, k: int, *, exclude: vr.Ragged | None = None) -> vr.SearchResult:
        self.asked.append((queries, k, exclude))
        return self.index.search(queries, k, exclude=exclude)


class Clocked:
    """An index that tells how long its searches take."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self.index = index
        self.seconds = 0.0

    def search(self, queries: F32, k: int, *, exclude: vr.Ragged | None = None) -> vr.SearchResult:
        start = time.perf_counter()
        found = self.index.search(queries, k, exclude=exclude)
        self.seconds += time.perf_counter() - start
        return found

    def outside(self, call: Callable[[], object]) -> float:
        """Seconds of a call without its searches."""
        self.seconds = 0.0
        start = time.perf_counter()
        call()
        return time.perf_counter() - start - self.seconds


def eight_towers(index: Any, vectors: F32, rng: np.random.Generator) -> dict[str, Any]:
    """Every channel a search with a vector of the user."""
    return {name: vr.channels.UserToItem(index, vector=name) for name in TOWERS}


def mixed(index: Any, vectors: F32, rng: np.random.Generator) -> dict[str, Any]:
    """Channels of each kind, six of which search."""
    tags = rng.standard_normal((TAGS, DIM), dtype=np.float32)
    keys = np.arange(len(vectors) // 10)
    similar = rng.integers(0, len(vectors), (len(keys), 50))
    degrees = -np.sort(-rng.random(similar.shape, dtype=np.float32))
    ends = np.arange(len(keys) + 1) * 50
    neighbors = vr.NeighborTable(
        keys, vr.Ragged(similar.ravel(), ends), vr.Ragged(degrees.ravel(), ends)
    )
    live = vr.channels.LiveNeighbors(index, vectors=vectors)
    return {
        **{name: vr.channels.UserToItem(index, vector=name) for name in TOWERS[:3]},
        "tags": vr.channels.UserToItem(index, tag_table=tags),
        "tags by category": vr.channels.CrossTag(index, tags),
        "similar, live": vr.channels.ItemToItem(live, history_length=3),
        "similar, table": vr.channels.ItemToItem(neighbors),
        "hot": vr.channels.Precomputed.for_all(rng.permutation(len(vectors))[:1000]),
    }


CHANNEL_SETS = {"eight towers": eight_towers, "mixed": mixed}


def users(n: int, items: int, rng: np.random.Generator) -> vr.RequestBatch:
    """Users with vectors, tags, clicks and seen items."""

    def each(high: int, length: int) -> vr.Ragged:
        return vr.Ragged(rng.integers(0, high, n * length), np.arange(n + 1) * length)

    return vr.RequestBatch(
        vectors={name: rng.standard_normal((n, DIM), dtype=np.float32) for name in TOWERS},
        tags=each(TAGS, 12),
        tag_groups=each(4, 12),
        history=each(items // 10, HISTORY),
        seen=each(items, SEEN),
    )


def measure(
    index: vr.FlatIndex, vectors: F32, channel_set: str, batch: int, seconds: float
) -> tuple[dict[str, F64], int]:
    """Seconds of both and of the rest in each round, and how many queries the searches have."""
    noted, clocked = Noted(index), Clocked(index)
    make = CHANNEL_SETS[channel_set]
    recallers = [
        vr.Recaller(make(i, vectors, np.random.default_rng(1)), vr.policies.RRF())
        for i in (noted, clocked)
    ]
    rng = np.random.default_rng(2)
    batches = [users(batch, len(vectors), rng) for _ in range(max(2, 64 // batch))]
    asked = []
    for some in batches:
        noted.asked = []
        expected = recallers[0].recall(some, LENGTH)
        asked.append(noted.asked)
        if not np.array_equal(recallers[1].recall(some, LENGTH).ids, expected.ids):
            raise WorkloadError(
                f"{channel_set}: expected the same lists from both recallers, got others"
            )

    def search_all(turn: int) -> None:
        for queries, k, exclude in asked[turn % len(asked)]:
            clocked.search(queries, k, exclude=exclude)

    outside: dict[str, list[float]] = {"searches": [], "recall": []}

    def searches(turn: int) -> None:
        outside["searches"].append(clocked.outside(lambda: search_all(turn)))

    def recall(turn: int) -> None:
        some = batches[turn % len(batches)]
        outside["recall"].append(clocked.outside(lambda: recallers[1].recall(some, LENGTH)))

    times = time_alternately({"searches": searches, "recall": recall}, seconds)
    times["beyond"] = np.subtract(outside["recall"], outside["searches"])
    return times, sum(len(queries) for queries, _, _ in asked[0])


def run(args: argparse.Namespace, machine: Machine) -> list[Measurement]:
    """Print a table with a line for each measurement and batch."""
    items = args.items or (QUICK_ITEMS if args.quick else ITEMS)
    if items < LEAST_ITEMS:
        raise WorkloadError(f"--items: expected at least {LEAST_ITEMS}, got {items}")
    rng = np.random.default_rng(args.seed)
    vectors = rng.standard_normal((items, DIM), dtype=np.float32)
    index = vr.FlatIndex(vectors, metric="cosine", threads=args.threads)
    before = vr.get_num_threads()
    vr.set_num_threads(args.threads)
    try:
        measurements = [
            measured(index, vectors, n, b, args) for n in CHANNEL_SETS for b in args.batch
        ]
    finally:
        vr.set_num_threads(before)
    print(
        f"\n8 channels over {items:,} x {DIM}, {LENGTH} items each, merged to {LENGTH}; "
        f"microseconds a user\n\n{lines(measurements)}",
        flush=True,
    )
    return measurements


def measured(
    index: vr.FlatIndex, vectors: F32, name: str, batch: int, args: argparse.Namespace
) -> Measurement:
    seconds = QUICK_SECONDS if args.quick else SECONDS
    times, queries = measure(index, vectors, name, batch, seconds)
    measurement: Measurement = {
        "workload": "recall",
        "channels": name,
        "items": len(vectors),
        "batch": batch,
    }
    peers = {way: {"seconds": each.tolist()} for way, each in times.items()}
    return {**measurement, "queries": queries, "peers": peers, "absent": {}}


def lines(measurements: list[Measurement]) -> str:
    head = [
        *("channels", "batch", "queries a user", "searches", "recall"),
        *("beyond the searches (95 %)", "as a ratio", "rounds"),
    ]
    rows = []
    for measurement in measurements:
        searches, recall, beyond = (np.array(e["seconds"]) for e in measurement["peers"].values())
        batch = measurement["batch"]
        each = (np.median(way) / batch * 1e6 for way in (searches, recall))
        more = median_interval(beyond / batch * 1e6).format(0)
        row = [measurement["channels"], str(batch), f"{measurement['queries'] / batch:.0f}"]
        row += [f"{time:.0f}" for time in each]
        rows.append(
            [*row, more, median_interval(recall / (recall - beyond)).format(3), str(len(recall))]
        )
    return markdown_table(head, rows)
