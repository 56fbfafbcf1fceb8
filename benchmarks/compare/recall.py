"""python -m benchmarks.compare.recall: what a whole recall adds to its channels' searches.

A recall of eight channels and the searches that these channels make, call by call with the same
arguments, are timed alternately in one process. The difference is all else: pooling, looking up
vectors and lists, joining a channel's lists, merging.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import report
from benchmarks.compare.alternate import F64, alternately, middle

F32 = npt.NDArray[np.float32]
DIM, TAGS, HISTORY, SEEN = 64, 5_000, 50, 200
BATCHES = (1, 16, 256)
TOWERS = [f"tower {number}" for number in range(1, 9)]


class Noted:
    """An index that keeps what it is asked, for the searches alone."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self.index = index
        self.asked: list[tuple[F32, int, vr.Ragged | None]] = []

    def search(self, queries: F32, k: int, *, exclude: vr.Ragged | None = None) -> vr.SearchResult:
        self.asked.append((queries, k, exclude))
        return self.index.search(queries, k, exclude=exclude)


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


CASES = {"eight towers": eight_towers, "mixed": mixed}


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
    index: vr.FlatIndex, vectors: F32, case: str, batch: int, args: argparse.Namespace
) -> tuple[dict[str, F64], int]:
    """Seconds of both in each round, and how many queries the searches have."""
    noted = Noted(index)
    recallers = [
        vr.Recaller(CASES[case](i, vectors, np.random.default_rng(1)), vr.policies.RRF())
        for i in (noted, index)
    ]
    rng = np.random.default_rng(2)
    batches = [users(batch, len(vectors), rng) for _ in range(max(2, 64 // batch))]
    asked = []
    for some in batches:
        noted.asked = []
        expected = recallers[0].recall(some, args.k)
        asked.append(noted.asked)
        if not np.array_equal(recallers[1].recall(some, args.k).ids, expected.ids):
            raise SystemExit(f"{case}: expected the same lists from both recallers, got others")

    def searches(turn: int) -> None:
        for queries, k, exclude in asked[turn % len(asked)]:
            index.search(queries, k, exclude=exclude)

    def recall(turn: int) -> None:
        recallers[1].recall(batches[turn % len(batches)], args.k)

    times = alternately({"searches": searches, "recall": recall}, args.seconds)
    return times, sum(len(queries) for queries, _, _ in asked[0])


def row(case: str, batch: int, queries: int, times: dict[str, F64]) -> str:
    more = (times["recall"] - times["searches"]) / batch * 1e6
    ratio = middle(times["recall"] / times["searches"])
    alone, whole = (np.median(t) / batch * 1e6 for t in times.values())
    return (
        f"| {case} | {batch} | {queries / batch:.0f} | {alone:.0f} | {whole:.0f} "
        f"| {middle(more).told(0)} | {ratio.told(3)} | {len(more)} |"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.recall", description=__doc__
    )
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("-k", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing, for each line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20,000 items, half a second a line")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.items, args.seconds = min(args.items, 20_000), min(args.seconds, 0.5)
    return args


def main() -> int:
    """Print a line for each case and batch."""
    args = parse()
    vr.set_num_threads(args.threads)
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    rng = np.random.default_rng(args.seed)
    vectors = rng.standard_normal((args.items, DIM), dtype=np.float32)
    index = vr.FlatIndex(vectors, metric="cosine")
    print(
        f"\n8 channels over {args.items:,} x {DIM}, {args.k} items each, merged to {args.k}; "
        "microseconds a user\n\n"
        "| channels | batch | queries a user | searches | recall "
        "| recall minus searches, in the same round (95 %) | as a ratio | rounds |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    cases = []
    for case in args.case:
        for batch in args.batch:
            times, queries = measure(index, vectors, case, batch, args)
            print(row(case, batch, queries, times), flush=True)
            more = middle((times["recall"] - times["searches"]) / batch * 1e6)
            seconds = {name: float(np.median(t)) for name, t in times.items()}
            cases.append(
                {"case": case, "batch": batch, "seconds": seconds, "microseconds": more._asdict()}
            )
    if args.json:
        found = {"limits": limits, "threads": args.threads, "cases": cases}
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
