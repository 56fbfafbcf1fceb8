"""Churn: an index after updates, compared with a new one of the same items.

The updates are those of a news recommender: every minute a hundredth of the items is replaced, in
batches. Searches of both indexes are timed alternately in one process and must find the same
lists; the memory is that of the process.
"""

from __future__ import annotations

import argparse
import gc

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.alternating import median_interval, time_alternately
from benchmarks.compare.data import requested_data
from benchmarks.compare.workload import Measurement, WorkloadError
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine, resident

F32 = npt.NDArray[np.float32]
MINUTES, BATCHES = 10, 10
SECONDS, QUICK_SECONDS = 6.0, 0.3  # of timing per row


def held() -> int:
    """Return the memory of the process, after a garbage collection."""
    gc.collect()
    return resident() or 0


def churned(vectors: F32, fresh: F32, threads: int) -> tuple[vr.FlatIndex, float]:
    """Make an index and update it; return it with its growth relative to its first size."""
    before = held()
    index = vr.FlatIndex(vectors, threads=threads)
    at_first = held()
    each = len(fresh) // (MINUTES * BATCHES)
    for batch in range(MINUTES * BATCHES):
        old = np.arange(batch * each, (batch + 1) * each)
        index.remove(old)
        index.add(fresh[old], old + len(vectors))
    return index, (held() - before) / max(1, at_first - before)


def run(args: argparse.Namespace, machine: Machine) -> list[Measurement]:
    """Print a table with a row for each data set, k and batch."""
    measurements = [
        measurement for data in requested_data(args) for measurement in over(*data, args)
    ]
    head = [
        *("data", "k", "batch", "fresh, ms per query", "after updates"),
        *("times fresh, in the same round (95 %)", "memory, times at first"),
    ]
    rows = []
    for measurement in measurements:
        fresh, updated = (np.array(entry["seconds"]) for entry in measurement["peers"].values())
        each = [
            format_number(float(np.median(way)) / measurement["batch"] * 1e3)
            for way in (fresh, updated)
        ]
        size = [measurement["data"], str(measurement["k"]), str(measurement["batch"])]
        memory = f"{measurement['memory']:.2f}"
        rows.append([*size, *each, median_interval(updated / fresh).format(3), memory])
    share = f"a hundredth of the items replaced {MINUTES} times, in {BATCHES} batches each"
    print(f"\n{share}\n\n{markdown_table(head, rows)}", flush=True)
    return measurements


def over(name: str, vectors: F32, queries: F32, args: argparse.Namespace) -> list[Measurement]:
    """Time both indexes over one data set."""
    if max(args.k) > len(vectors):
        raise WorkloadError(f"-k: expected at most {len(vectors):,} items, got {max(args.k):,}")
    rng = np.random.default_rng(args.seed)
    gone = len(vectors) // (100 * BATCHES) * MINUTES * BATCHES
    new = vectors[rng.permutation(len(vectors))[:gone]] * np.float32(1.01)
    index, memory = churned(vectors, new, args.threads)
    ids = np.arange(gone, len(vectors) + gone)
    fresh = vr.FlatIndex(np.concatenate([vectors[gone:], new]), ids=ids, threads=args.threads)
    about = {"workload": "churn", "data": name, "items": len(ids), "memory": memory, "absent": {}}
    measurements = []
    for k in args.k:
        for batch in args.batch:
            times = searched(fresh, index, queries, k, batch, args)
            peers = {way: {"seconds": seconds} for way, seconds in times.items()}
            measurements.append({**about, "k": k, "batch": batch, "peers": peers})
    return measurements


def searched(
    fresh: vr.FlatIndex,
    updated: vr.FlatIndex,
    queries: F32,
    k: int,
    batch: int,
    args: argparse.Namespace,
) -> dict[str, list[float]]:
    """Time both indexes in each round, with the same queries."""
    parts = [queries[i : i + batch] for i in range(0, len(queries) - batch + 1, batch)]
    for part in parts:
        a, b = (index.search(part, k, threads=args.threads) for index in (fresh, updated))
        if not (np.array_equal(a.ids, b.ids) and np.array_equal(a.scores, b.scores)):
            raise WorkloadError("updates: expected the lists of a fresh index, got others")

    def search(index: vr.FlatIndex, round_number: int) -> None:
        index.search(parts[round_number % len(parts)], k, threads=args.threads)

    times = time_alternately(
        {"fresh": lambda t: search(fresh, t), "updated": lambda t: search(updated, t)},
        QUICK_SECONDS if args.quick else SECONDS,
    )
    return {way: seconds.tolist() for way, seconds in times.items()}
