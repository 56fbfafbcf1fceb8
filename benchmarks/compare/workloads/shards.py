"""Four shards in actors of Ray on this machine next to one index: what a call costs more."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.compare.workload import Measurement, is_missing
from benchmarks.ray import overhead
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine

DIM, SHARDS = 64, 4
ITEMS, QUICK_ITEMS = 10_000_000, 20_000
SECONDS, QUICK_SECONDS = 60.0, 1.0  # of timing, all batches
ONE, MANY, EMPTY = "one index", "shards", "calls of actors that do nothing"


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table, with a row per batch; calls of both sides alternate."""
    if is_missing("shards", ["ray", "pyarrow"]):
        return
    items = args.items or (QUICK_ITEMS if args.quick else ITEMS)
    seconds = QUICK_SECONDS if args.quick else SECONDS
    rows = []
    with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as name:
        folder = Path(name)
        overhead.build(folder, items, DIM, SHARDS)
        for batch, times in overhead.search(folder, seconds, args.batch):
            found = {ONE: times["one"], MANY: times["shards"], EMPTY: times["empty"]}
            peers = {name: {"seconds": taken} for name, taken in found.items()}
            measurement: Measurement = {"workload": "shards", "items": items, "dim": DIM}
            measurement |= {"shards": SHARDS, "batch": batch, "absent": {}, "peers": peers}
            one, many, empty = (float(np.median(taken)) * 1e3 for taken in found.values())
            measurement["added"] = many - one  # ms
            rows.append([str(batch), *map(format_number, (one, many, many / one, empty))])
            yield measurement
    head = ["batch", f"{ONE}, ms", f"{SHARDS} {MANY}, ms", "times", f"{EMPTY}, ms"]
    print(f"\n{items:,} x {DIM}, top-{overhead.K}\n\n{markdown_table(head, rows)}", flush=True)
