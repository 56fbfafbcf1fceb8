"""Recall: the cost that it adds to the searches of its channels.

A recall of eight channels and the searches of these channels alone, with the same arguments, are
timed alternately in one process. The cost is the time outside the searches, measured by a clock
around each of them, less the time that the bare searches spend there (the clock and a loop). It
includes pooling, lookups of vectors and lists, joining the lists of a channel, and merging. A scan
of a million items leaves cold caches behind in both, and varies by more than this cost.
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
LEAST_ITEMS = 10  # a tenth of them is in a table and has clicks
SECONDS, QUICK_SECONDS = 10.0, 0.5  # of timing per row
TOWERS = [f"tower {number}" for number in range(1, 9)]


class Recorder:
    """An index that records its calls, to repeat the searches alone."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self.index = index
        self.calls: list[tuple[F32, int, vr.Ragged | None]] = []

    def search(self, queries: F32, k: int, *, exclude: vr.Ragged | None = None) -> vr.SearchResult:
        self.calls.append((queries, k, exclude))
        return self.index.search(queries, k, exclude=exclude)


class Stopwatch:
    """An index that times its searches."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self.index = index
        self.seconds = 0.0

    def search(self, queries: F32, k: int, *, exclude: vr.Ragged | None = None) -> vr.SearchResult:
        start = time.perf_counter()
        found = self.index.search(queries, k, exclude=exclude)
        self.seconds += time.perf_counter() - start
        return found

    def outside(self, call: Callable[[], object]) -> float:
        """Return the seconds of a call without its searches."""
        self.seconds = 0.0
        start = time.perf_counter()
        call()
        return time.perf_counter() - start - self.seconds


def eight_towers(index: Any, vectors: F32, rng: np.random.Generator) -> dict[str, Any]:
    """Make channels of one search each, with a vector of the user."""
    return {name: vr.channels.UserToItem(index, vector=name) for name in TOWERS}


def mixed(index: Any, vectors: F32, rng: np.random.Generator) -> dict[str, Any]:
    """Make channels of each kind, six of which search."""
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
    """Make a request of users with vectors, tags, clicks and seen items."""

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
    """Time the searches, the recall and its own cost in each round; count the queries."""
    recorder, stopwatch = Recorder(index), Stopwatch(index)
    make = CHANNEL_SETS[channel_set]
    recallers = [
        vr.Recaller(make(i, vectors, np.random.default_rng(1)), vr.policies.RRF())
        for i in (recorder, stopwatch)
    ]
    rng = np.random.default_rng(2)
    batches = [users(batch, len(vectors), rng) for _ in range(max(2, 64 // batch))]
    calls = []
    for some in batches:
        recorder.calls = []
        expected = recallers[0].recall(some, LENGTH)
        calls.append(recorder.calls)
        if not np.array_equal(recallers[1].recall(some, LENGTH).ids, expected.ids):
            raise WorkloadError(
                f"{channel_set}: expected the same lists from both recallers, got others"
            )

    def search_all(round_number: int) -> None:
        for queries, k, exclude in calls[round_number % len(calls)]:
            stopwatch.search(queries, k, exclude=exclude)

    outside: dict[str, list[float]] = {"searches": [], "recall": []}

    def searches(round_number: int) -> None:
        outside["searches"].append(stopwatch.outside(lambda: search_all(round_number)))

    def recall(round_number: int) -> None:
        some = batches[round_number % len(batches)]
        outside["recall"].append(stopwatch.outside(lambda: recallers[1].recall(some, LENGTH)))

    times = time_alternately({"searches": searches, "recall": recall}, seconds)
    times["beyond"] = np.subtract(outside["recall"], outside["searches"])
    return times, sum(len(queries) for queries, _, _ in calls[0])


def run(args: argparse.Namespace, machine: Machine) -> list[Measurement]:
    """Print a table with a row for each set of channels and batch."""
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
        f"microseconds per user\n\n{lines(measurements)}",
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
        *("channels", "batch", "queries per user", "searches", "recall"),
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
