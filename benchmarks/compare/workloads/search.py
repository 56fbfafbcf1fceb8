"""Top-K: the exact peers, and approximate ones at several settings."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare.data import asked_for, write
from benchmarks.compare.works import Case, WorkError, chosen, complain, middle, needed
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS, PEERS
from vecrecall.cli.bench.report import figure, table
from vecrecall.cli.bench.search import Regime, Searches, disagreements, truth_of
from vecrecall.cli.bench.turns import LONG

HEAD = (
    *("peer", "version", "ms a query", "spread", "times ours", "G products/s"),
    *("of float32 limit", "of int8 limit", "of read rate", "recall"),
)


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Case]:
    """Print a table for each data set, k and batch."""
    for data, items, queries in asked_for(args):
        if max(args.k) > len(items):
            raise WorkError(f"-k: expected at most {len(items):,} items, got {max(args.k):,}")
        about = {"data": data, "items": len(items), "dim": items.shape[1]}
        with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as folder:
            write(items, queries, Path(folder))
            del items, queries
            yield from over(about, Path(folder), args, machine)


def over(
    about: dict[str, Any], folder: Path, args: argparse.Namespace, machine: Machine
) -> Iterator[Case]:
    """Measure over one data set; the peers stay where they are meanwhile."""
    names = chosen([n for n in PEERS if PEERS[n].exact or not args.exact], args.only)
    truth = truth_of(folder, max(args.k), "ip")
    searches = Searches(names, folder, truth, args.threads, limit=args.limit)
    with searches.turns:
        for regime in [Regime(batch, k) for k in args.k for batch in args.batch]:
            found = searches.measure(regime, args.repeats, settings=not args.quick, long=LONG)
            case = {"work": "search", **about, **regime._asdict(), "peers": found}
            case["absent"] = dict(searches.turns.absent)
            needed(case, OURS)
            print(tables(case, machine), flush=True)
            complain(disagreements(found))
            yield case
    built = {"work": "build", **about, "peers": searches.built(), "absent": {}}
    print(builds(built), flush=True)
    yield built


def tables(case: Case, machine: Machine) -> str:
    """Every peer's line at one batch and k."""
    rows = [row(case, label, machine) for label in case["peers"]]
    rows += [[n, "", reason, *[""] * (len(HEAD) - 3)] for n, reason in case["absent"].items()]
    return (
        f"\ntop-{case['k']} of {case['items']:,} x {case['dim']} ({case['data']}), "
        f"batch {case['batch']}\n\n{table(HEAD, rows)}"
    )


def row(case: Case, label: str, machine: Machine) -> list[str]:
    """What one peer did, and what share of the machine that is, if it looks at all items."""
    entry = case["peers"][label]
    peer = PEERS[entry["peer"]]
    seconds, ours = middle(case, label), middle(case, OURS)
    assert seconds is not None
    assert ours is not None
    ms = [time / case["batch"] * 1e3 for time in entry["seconds"]]
    return [
        label,
        version(peer.package) or "",
        figure(seconds / case["batch"] * 1e3),
        f"{figure(min(ms))} to {figure(max(ms))}",
        figure(seconds / ours),
        *shares(case, seconds, peer.width, machine),
        f"{entry['recall']:.4f}",
    ]


def shares(case: Case, seconds: float, width: int, machine: Machine) -> list[str]:
    """Products a second, and the shares of the limits; every byte is read once a call."""
    if not width:
        return [""] * 4
    products = case["items"] * case["dim"] * case["batch"] / seconds / 1e9
    read = case["items"] * case["dim"] * width / seconds / 1e9
    limits = machine.limits
    parts = (products / limits.float32, products / limits.int8, read / limits.read)
    return [f"{products:.0f}", *(f"{share:.2f}" for share in parts)]


def builds(case: Case) -> str:
    """What the indexes took."""
    rows = [
        [name, figure(entry["seconds"][0]), f"{entry['megabytes'] or 0:.0f}"]
        for name, entry in case["peers"].items()
    ]
    return "\n" + table(["index", "build, s", "MB"], rows)
