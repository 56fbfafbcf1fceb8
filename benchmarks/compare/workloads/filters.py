"""Filters: the cost that they add to a search.

Searches with and without filters are timed alternately in one process, on the same queries. The
excluded ids are the worst case, the best items of each query; the mask allows a random tenth. The
alternative without a filter, to search for as many more items as are excluded, is timed as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.alternating import median_interval, time_alternately
from benchmarks.compare.data import requested_data
from benchmarks.compare.workload import Measurement, WorkloadError
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine

F32 = npt.NDArray[np.float32]
Search = Callable[[int], vr.SearchResult]
EXCLUDED, SHARE = 500, 0.1
SECONDS, QUICK_SECONDS = 8.0, 0.5  # of timing per table


class Data(NamedTuple):
    """An index, queries, and the expected answers of filtered searches."""

    catalog: vr.FlatIndex
    queries: F32
    mask: vr.Mask
    best: vr.SearchResult  # EXCLUDED + k
    allowed: vr.SearchResult


def prepare(vectors: F32, queries: F32, k: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    index = vr.FlatIndex(vectors)
    some = np.sort(rng.permutation(len(vectors))[: int(SHARE * len(vectors))])
    allowed = vr.FlatIndex(vectors[some], ids=some).search(queries, k)
    best = index.search(queries, EXCLUDED + k)
    return Data(index, queries, index.mask(some), best, allowed)


def searches(data: Data, batch: int, k: int, threads: int) -> dict[str, Search]:
    """Return the kinds of search, each a function of the number of a round."""
    parts = [slice(i, i + batch) for i in range(0, len(data.queries) - batch + 1, batch)]
    queries = [data.queries[part] for part in parts]
    offsets = np.arange(batch + 1) * EXCLUDED
    seen = [vr.Ragged(data.best.ids[part, :EXCLUDED].ravel(), offsets) for part in parts]
    search, n = data.catalog.search, len(parts)
    return {
        "none": lambda i: search(queries[i % n], k, threads=threads),
        "exclude": lambda i: search(queries[i % n], k, exclude=seen[i % n], threads=threads),
        "allow": lambda i: search(queries[i % n], k, allow=data.mask, threads=threads),
        "more": lambda i: search(queries[i % n], k + EXCLUDED, threads=threads),
    }


TITLES = {
    "none": "none",
    "exclude": f"exclude, each query's {EXCLUDED} best",
    "allow": f"allow, a mask of {SHARE:.0%}",
    "more": f"none, k + {EXCLUDED} items",
}


def check(data: Data, ways: dict[str, Search], batch: int, k: int) -> None:
    """Check that each kind finds the best remaining items, with bit-identical scores."""
    for round_number in range(len(data.queries) // batch):
        rows = slice(round_number * batch, (round_number + 1) * batch)
        best: list[npt.NDArray[Any]] = [data.best.ids[rows], data.best.scores[rows]]
        allowed: list[npt.NDArray[Any]] = [data.allowed.ids[rows], data.allowed.scores[rows]]
        expected = {
            "none": [each[:, :k] for each in best],
            "exclude": [each[:, EXCLUDED:] for each in best],
            "allow": allowed,
            "more": best,
        }
        for name, (ids, scores) in expected.items():
            found = ways[name](round_number)
            if not (np.array_equal(found.ids, ids) and np.array_equal(found.scores, scores)):
                raise WorkloadError(
                    f"{TITLES[name]}: expected the best remaining items, got others"
                )


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each data set, k and batch."""
    for name, vectors, queries in requested_data(args):
        most = min(
            len(vectors) - EXCLUDED, int(SHARE * len(vectors))
        )  # items that the filters leave
        if most < 1:
            raise WorkloadError(f"--items: expected more than {EXCLUDED}, got {len(vectors)}")
        if max(args.k) > most:
            raise WorkloadError(f"-k: expected at most {most:,} of the items, got {max(args.k):,}")
        for k in args.k:
            data = prepare(vectors, queries, k, args.seed)
            for batch in args.batch:
                yield measured(name, data, batch, k, args)


def measured(name: str, data: Data, batch: int, k: int, args: argparse.Namespace) -> Measurement:
    """Time searches with and without filters alternately, and print their table."""
    ways = searches(data, batch, k, args.threads)
    check(data, ways, batch, k)
    times = time_alternately(ways, QUICK_SECONDS if args.quick else SECONDS)
    measurement: Measurement = {
        "workload": "filters",
        "data": name,
        "items": len(data.catalog),
        "k": k,
        "batch": batch,
    }
    measurement["absent"] = {}
    measurement["peers"] = {
        way: {
            "seconds": seconds.tolist(),
            "of none": median_interval(seconds / times["none"])._asdict(),
        }
        for way, seconds in times.items()
    }
    head = ["filter", "ms per query", "fastest", "times without, in the same round (95 %)"]
    rows = []
    for way, seconds in times.items():
        each = seconds / batch * 1e3
        ratio = median_interval(seconds / times["none"]).format(3)
        rows.append(
            [TITLES[way], format_number(float(np.median(each))), format_number(each.min()), ratio]
        )
    size = f"top-{k} of {len(data.catalog):,} x {data.catalog.dim} ({name}), batch {batch}"
    print(f"\n{size}, {len(times['none'])} rounds\n\n{markdown_table(head, rows)}", flush=True)
    return measurement
