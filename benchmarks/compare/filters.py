"""python -m benchmarks.compare.filters: what a filter adds to a search.

Searches with and without are timed alternately in one process, on the same queries. The lists of
excluded ids are those that hurt most, each query's own best; the mask allows a random tenth. What
else a user could do, search for as many items more as are excluded, is timed beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import report
from benchmarks.compare.alternate import F64, alternately, middle
from benchmarks.compare.data import DATA

F32 = npt.NDArray[np.float32]
Search = Callable[[int], vr.SearchResult]
EXCLUDED, SHARE = 500, 0.1
BATCHES = (1, 16, 256)


class Data(NamedTuple):
    """An index, queries, and the answers that filtered searches must give."""

    index: vr.FlatIndex
    queries: F32
    mask: vr.Mask
    best: vr.SearchResult  # EXCLUDED + k
    allowed: vr.SearchResult


def prepare(name: str, k: int, items: int | None, seed: int) -> Data:
    make, most, dim = DATA[name]
    rng = np.random.default_rng(seed)
    vectors, queries = make(min(most, items or most), dim, rng)
    index = vr.FlatIndex(vectors)
    some = np.sort(rng.permutation(len(vectors))[: int(SHARE * len(vectors))])
    allowed = vr.FlatIndex(vectors[some], ids=some).search(queries, k)
    best = index.search(queries, EXCLUDED + k)
    return Data(index, queries, index.mask(some), best, allowed)


def searches(data: Data, batch: int, k: int, threads: int) -> dict[str, Search]:
    """Give the ways to search, each with the queries of a turn."""
    parts = [slice(i, i + batch) for i in range(0, len(data.queries) - batch + 1, batch)]
    queries = [data.queries[part] for part in parts]
    offsets = np.arange(batch + 1) * EXCLUDED
    seen = [vr.Ragged(data.best.ids[part, :EXCLUDED].ravel(), offsets) for part in parts]
    search, n = data.index.search, len(parts)
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
    """Each way must find what is left of the best; bits, since scores are the same."""
    for turn in range(2 if len(data.queries) >= 2 * batch else 1):
        rows = slice(turn * batch, (turn + 1) * batch)
        expected = {
            "none": data.best.ids[rows, :k],
            "exclude": data.best.ids[rows, EXCLUDED:],
            "allow": data.allowed.ids[rows],
            "more": data.best.ids[rows],
        }
        for name, ids in expected.items():
            if not np.array_equal(ways[name](turn).ids, ids):
                raise SystemExit(f"{TITLES[name]}: expected the best of what is left, got others")


def table(title: str, batch: int, times: dict[str, F64]) -> str:
    lines = [
        f"\n{title}, batch {batch}, {len(times['none'])} rounds\n",
        "| filter | ms a query | fastest | times without, in the same round (95 %) |",
        "|---|---|---|---|",
    ]
    for name, seconds in times.items():
        each = seconds / batch * 1e3
        lines.append(
            f"| {TITLES[name]} | {np.median(each):.4f} | {each.min():.4f} "
            f"| {middle(seconds / times['none']).told(3)} |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.filters", description=__doc__
    )
    parser.add_argument(
        "--data", nargs="+", default=["glove-50", "gaussian-64"], choices=sorted(DATA)
    )
    parser.add_argument("--batch", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="of timing, for each table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="20,000 gaussian items, half a second a table"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.data, args.seconds = ["gaussian-64"], min(args.seconds, 0.5)
    return args


def main() -> int:
    """Print a table for each data set and batch."""
    args = parse()
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    cases: list[dict[str, Any]] = []
    for name in args.data:
        data = prepare(name, args.k, 20_000 if args.quick else None, args.seed)
        title = f"top-{args.k} of {len(data.index):,} x {data.index.dim} ({name})"
        for batch in args.batch:
            ways = searches(data, batch, args.k, args.threads)
            check(data, ways, batch, args.k)
            times = alternately(ways, args.seconds)
            print(table(title, batch, times), flush=True)
            ratios = {n: middle(t / times["none"])._asdict() for n, t in times.items()}
            seconds = {n: float(np.median(t)) for n, t in times.items()}
            cases.append(
                {"data": name, "k": args.k, "batch": batch, "seconds": seconds, "ratio": ratios}
            )
    if args.json:
        found = {"limits": limits, "threads": args.threads, "cases": cases}
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
