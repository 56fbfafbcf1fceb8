"""Top-k search: exact peers, and approximate ones at several settings."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare.data import requested_data, write
from benchmarks.compare.workload import (
    Measurement,
    WorkloadError,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
)
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import LONG
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS, PEERS, same_as_ours
from vecrecall.cli.bench.search import CallSize, SearchRunner, truth_of, wrong_lists

HEAD = (
    *("peer", "version", "ms per query", "spread", "times ours", "G products/s"),
    *("of float32 limit", "of int8 limit", "of read rate", "recall"),
)


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each data set, k and batch."""
    for data, items, queries in requested_data(args):
        if max(args.k) > len(items):
            raise WorkloadError(f"-k: expected at most {len(items):,} items, got {max(args.k):,}")
        about = {"data": data, "items": len(items), "dim": items.shape[1]}
        with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as folder:
            write(items, queries, Path(folder))
            del items, queries
            yield from over(about, Path(folder), args, machine)


def over(
    about: dict[str, Any], folder: Path, args: argparse.Namespace, machine: Machine
) -> Iterator[Measurement]:
    """Measure over one data set, with the same processes for all sizes."""
    same = same_as_ours()
    asked = [n for n in PEERS if n not in same and (PEERS[n].exact or not args.exact)]
    names = select_peers(asked, args.only)
    truth = truth_of(folder, max(args.k), "ip")
    searches = SearchRunner(names, folder, truth, args.threads, limit=args.limit)
    with searches.runner:
        for size in [CallSize(batch, k) for k in args.k for batch in args.batch]:
            found = searches.measure(size, args.repeats, settings=not args.quick, long=LONG)
            measurement = {"workload": "search", **about, **size._asdict(), "peers": found}
            measurement["absent"] = dict(searches.runner.absent)
            require_times(measurement, OURS)
            print(tables(measurement, machine), flush=True)
            raise_if_wrong(wrong_lists(found))
            yield measurement
    built = {"workload": "build", **about, "peers": searches.build_costs(), "absent": {}}
    print(builds(built), flush=True)
    yield built


def tables(measurement: Measurement, machine: Machine) -> str:
    """Make a table with a row per peer, for one batch and k."""
    rows = [row(measurement, label, machine) for label in measurement["peers"]]
    rows += [
        [n, "", reason, *[""] * (len(HEAD) - 3)] for n, reason in measurement["absent"].items()
    ]
    return (
        f"\ntop-{measurement['k']} of {measurement['items']:,} x {measurement['dim']} "
        f"({measurement['data']}), "
        f"batch {measurement['batch']}\n\n{markdown_table(HEAD, rows)}"
    )


def row(measurement: Measurement, label: str, machine: Machine) -> list[str]:
    """Make the row of a peer, with its share of the machine's limits if it reads all items."""
    entry = measurement["peers"][label]
    peer = PEERS[entry["peer"]]
    seconds, ours = median_seconds(measurement, label), median_seconds(measurement, OURS)
    assert seconds is not None
    assert ours is not None
    ms = [time / measurement["batch"] * 1e3 for time in entry["seconds"]]
    return [
        label,
        version(peer.package) or "",
        format_number(seconds / measurement["batch"] * 1e3),
        f"{format_number(min(ms))} to {format_number(max(ms))}",
        format_number(seconds / ours),
        *shares(measurement, seconds, peer.width, machine),
        f"{entry['recall']:.4f}",
    ]


def shares(measurement: Measurement, seconds: float, width: int, machine: Machine) -> list[str]:
    """Return products per second and shares of the limits; a call reads every byte once."""
    if not width:
        return [""] * 4
    products = measurement["items"] * measurement["dim"] * measurement["batch"] / seconds / 1e9
    read = measurement["items"] * measurement["dim"] * width / seconds / 1e9
    limits = machine.limits
    parts = (products / limits.float32, products / limits.int8, read / limits.read)
    return [f"{products:.0f}", *(f"{share:.2f}" for share in parts)]


def builds(measurement: Measurement) -> str:
    """Make a table of the cost of building."""
    rows = [
        [name, format_number(entry["seconds"][0]), f"{entry['megabytes'] or 0:.0f}"]
        for name, entry in measurement["peers"].items()
    ]
    return "\n" + markdown_table(["index", "build, s", "MB"], rows)
