"""Building, saving and loading an index, compared with other libraries.

A loaded index must find the same items as before. Files that were just written are in memory, so
that the times do not include a disk.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.compare.workload import (
    Measurement,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
)
from benchmarks.compare.workloads.build_peers import F32, PEERS, K
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS
from vecrecall.cli.bench.truth import Truth, inexact_peers

QUERIES = 16
STEPS = ("build", "save", "load", "load, then a search")


class ItemSet(NamedTuple):
    """Gaussian items."""

    items: int
    dim: int

    def quick(self) -> ItemSet:
        return self._replace(items=self.items // 50)

    def data(self, seed: int) -> tuple[F32, F32]:
        """Make items and queries, identical in every process."""
        rng = np.random.default_rng(seed)
        items = rng.standard_normal((self.items, self.dim), dtype=np.float32)
        return items, rng.standard_normal((QUERIES, self.dim), dtype=np.float32)


SIZES = {"gaussian-64": ItemSet(1_000_000, 64), "gaussian-128": ItemSet(1_000_000, 128)}


def worker(
    name: str, step: str, problem: ItemSet, seed: int, threads: int, pipe: Connection
) -> None:
    """Time a step for every task; send the time and the results of a search."""
    calls = PEERS[name].calls(threads)
    items, queries = problem.data(seed)
    calls.search(calls.build(items[:1000]), queries)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index = None if step == "build" else calls.build(items)
        if step.startswith("load"):
            calls.save(index, path)
            calls.load(path, problem.dim)
        pipe.send(None)
        while pipe.recv():
            if step != "save":
                index = None  # otherwise the next timing would include the release of its memory
            start = time.perf_counter()
            if step == "build":
                index = calls.build(items)
            elif step == "save":
                calls.save(index, path)
            else:
                index = calls.load(path, problem.dim)
                if step != "load":
                    calls.search(index, queries[:1])
            seconds = time.perf_counter() - start
            found = np.asarray(calls.search(index, queries), np.int64)
            if found.shape != (QUERIES, K):
                raise ValueError(f"expected ids of shape {QUERIES, K}, got {found.shape}")
            pipe.send((seconds, found))
            if step == "save":
                remove(path)


def remove(path: Path) -> None:
    """Remove a saved index, a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each size; yield a measurement for each of its steps."""
    for name, size in SIZES.items():
        problem = size.quick() if args.quick else size
        truth = Truth(*problem.data(args.seed), K, "ip")
        steps = [measured(name, problem, truth, step, args) for step in STEPS]
        print(f"\n{steps[0]['items']:,} x {size.dim}, milliseconds (times ours)\n")
        print(lines(steps), flush=True)
        yield from steps


def measured(
    name: str, size: ItemSet, truth: Truth, step: str, args: argparse.Namespace
) -> Measurement:
    """Time the peers interleaved, and compare their results."""
    packages = {peer: PEERS[peer].package for peer in select_peers(list(PEERS), args.only)}
    worker_args = (step, size, args.seed, args.threads)
    with InterleavedRunner(
        worker, packages, worker_args, threads=args.threads, limit=args.limit
    ) as runner:
        runner.measure(args.repeats)
    measurement: Measurement = {"workload": "build", "data": name, "step": step, **size._asdict()}
    measurement["peers"] = {peer: {"seconds": seconds} for peer, seconds in runner.times.items()}
    measurement["absent"] = runner.absent
    require_times(measurement, OURS)
    raise_if_wrong(
        inexact_peers({peer: truth.recall(ids, K) for peer, ids in runner.answers.items()})
    )
    return measurement


def lines(steps: list[Measurement]) -> str:
    """Make a table with a row per peer and a column per step."""
    absent = {name: why for measurement in steps for name, why in measurement["absent"].items()}
    rows = []
    for name in dict.fromkeys(name for measurement in steps for name in measurement["peers"]):
        row = [name, version(PEERS[name].package) or ""]
        for measurement in steps:
            seconds, ours = median_seconds(measurement, name), median_seconds(measurement, OURS)
            if seconds is None or ours is None:
                row.append("")
            else:
                row.append(f"{format_number(seconds * 1e3)} ({format_number(seconds / ours)})")
        rows.append(row)
    rows += [[name, "", why, *[""] * (len(steps) - 1)] for name, why in absent.items()]
    return markdown_table(
        ["peer", "version", *(measurement["step"] for measurement in steps)], rows
    )
