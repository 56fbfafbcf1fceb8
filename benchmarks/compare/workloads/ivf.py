"""Indexes of lists and graphs at equal recall: `IVFIndex`, and approximate indexes of others.

Each index is in a process of its own, and is swept there over its own search parameters to each
recall, by queries that are not items. The settings that reach it at the least time are then timed
in interleaved rounds. A setting that does not fill every list counts half. Recall is by the
lists of `FlatIndex`, some of which are compared with those of NumPy first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import vecrecall as vr
from benchmarks.compare.data import requested_data, write
from benchmarks.compare.workload import (
    Measurement,
    WorkloadError,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
)
from benchmarks.compare.workloads.ivf_peers import (
    EXACT,
    EXCLUDED,
    F32,
    FLAT,
    I64,
    PEERS,
    SHARE,
)
from benchmarks.compare.workloads.ivf_sweep import (
    ALLOWED,
    ENOUGH,
    EXCLUDED_IDS,
    QUICK_ENOUGH,
    Sweep,
    Task,
    recall_of,
    worker,
)
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import LONG, PAUSE, InterleavedRunner
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS
from vecrecall.cli.bench.truth import Truth, inexact_peers

RECALLS = (0.9, 0.95, 0.99)
QUICK_RECALLS = (0.95,)
FILTERS = {
    "none": "",
    "allow": f", {SHARE:.0%} allowed",
    "exclude": f", the best {EXCLUDED} of each query excluded",
}
CHECKED = 32  # queries whose lists NumPy computes too


class Problem(NamedTuple):
    """Where the items and queries are, and the exact lists of all queries, by k and filter."""

    about: dict[str, Any]
    folder: Path
    truth: dict[tuple[int, str], I64]

    def title(self, k: int, kind: str) -> str:
        return (
            f"top-{k} of {self.about['items']:,} x {self.about['dim']} ({self.about['data']})"
            f"{FILTERS[kind]}, milliseconds per query (times ours)"
        )


def prepare(about: dict[str, Any], items: F32, queries: F32, folder: Path, args: Any) -> Problem:
    """Write items, queries and filters, and compute the exact lists."""
    most = max(args.k)
    if most > min(int(SHARE * len(items) / 2), len(items) - EXCLUDED):
        raise WorkloadError(f"-k: expected fewer for {len(items):,} items, got {most:,}")
    write(items, queries, folder)
    vr.set_num_threads(args.threads)
    index = vr.FlatIndex(items)
    best = index.search(queries, EXCLUDED + most).ids
    checked = Truth(items, queries[:CHECKED], most, "ip")
    raise_if_wrong(inexact_peers({FLAT: checked.recall(best[:, :most], most)}))
    allowed = np.random.default_rng(args.seed).random(len(items)) < SHARE
    among = index.search(queries, most, allow=np.flatnonzero(allowed)).ids
    np.save(folder / ALLOWED, allowed)
    np.save(folder / EXCLUDED_IDS, best[:, :EXCLUDED])
    truth = {}
    for k in args.k:
        truth[k, "none"], truth[k, "allow"] = best[:, :k], among[:, :k]
        truth[k, "exclude"] = best[:, EXCLUDED : EXCLUDED + k]
    return Problem(about, folder, truth)


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each data set, k and filter; yield a measurement per batch and recall."""
    for data, items, queries in requested_data(args):
        about = {"data": data, "items": len(items), "dim": items.shape[1]}
        with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as folder:
            problem = prepare(about, items, queries, Path(folder), args)
            del items, queries
            yield from over(problem, args)


def over(problem: Problem, args: argparse.Namespace) -> Iterator[Measurement]:
    """Measure over one data set, with the same processes for all sizes and filters."""
    names = dict.fromkeys([*select_peers(list(PEERS), args.only), FLAT])
    packages = {name: PEERS[name].package for name in names}
    enough, pause = (QUICK_ENOUGH, 0.0) if args.quick else (ENOUGH, PAUSE)
    given = (problem.folder, args.threads, enough)
    with InterleavedRunner(
        worker, packages, given, threads=args.threads, limit=args.limit, pause=pause
    ) as runner:
        yield builds(problem, runner)
        sweep = Sweep(runner, problem.about["items"], problem.truth)
        for k in args.k:
            yield from proved(problem, runner, k, args)
            for kind in FILTERS:
                yield from at_recalls(problem, runner, sweep, k, kind, args)


def builds(problem: Problem, runner: InterleavedRunner) -> Measurement:
    """Print the cost of building."""
    measurement: Measurement = {"workload": "ivf", "part": "build", **problem.about}
    measurement["absent"] = dict(runner.absent)
    measurement["peers"] = {
        name: {
            "seconds": [cost.seconds],
            "megabytes": None if cost.bytes is None else cost.bytes / 1e6,
        }
        for name, cost in runner.ready.items()
    }
    require_times(measurement, OURS)
    rows = [
        [
            name,
            version(PEERS[name].package) or "",
            format_number(entry["seconds"][0]),
            "" if entry["megabytes"] is None else f"{entry['megabytes']:.0f}",
        ]
        for name, entry in measurement["peers"].items()
    ]
    rows += [[name, "", why, ""] for name, why in runner.absent.items()]
    size = f"{problem.about['items']:,} x {problem.about['dim']} ({problem.about['data']})"
    print(f"\n{size}\n\n{markdown_table(['index', 'version', 'build, s', 'MB'], rows)}", flush=True)
    return measurement


def proved(
    problem: Problem, runner: InterleavedRunner, k: int, args: argparse.Namespace
) -> Iterator[Measurement]:
    """Compare the time to probe until the answer is proved with that of the scan of all items."""
    settings = {OURS: EXACT, FLAT: {}}
    rows = []
    for batch in args.batch:
        tasks = {name: (name, Task(batch, k, "none", each)) for name, each in settings.items()}
        measurement = measured(problem, runner, tasks, args)
        measurement["recall"] = 1.0
        raise_if_wrong([
            f"{name}: expected the exact lists, got others"
            for name, found in runner.answers.items()
            if not np.array_equal(found, problem.truth[k, "none"][: len(found)])
        ])  # fmt: skip
        rows.append([str(batch), *(cell(measurement, name) for name in settings)])
        yield measurement
    title = problem.title(k, "none")
    print(f"\n{title}\n\n{markdown_table(['batch', 'probes exact', FLAT], rows)}", flush=True)


def at_recalls(
    problem: Problem,
    runner: InterleavedRunner,
    sweep: Sweep,
    k: int,
    kind: str,
    args: argparse.Namespace,
) -> Iterator[Measurement]:
    """Sweep the indexes to each recall, then time all of them at each batch."""
    rows: dict[tuple[str, float], list[str]] = {}
    for recall in QUICK_RECALLS if args.quick else RECALLS:
        cheapest = {name: sweep.cheapest(name, k, kind, recall) for name in runner.pipes}
        found = {name: point for name, point in cheapest.items() if point}
        for batch in args.batch:
            tasks = {
                name: (name, Task(batch, k, kind, point.setting)) for name, point in found.items()
            }
            measurement = measured(problem, runner, tasks, args)
            measurement["recall"] = recall
            measurement["absent"] |= {
                name: f"recall {recall} not reached" for name in cheapest if name not in found
            }
            for name, entry in measurement["peers"].items():
                entry["recall"] = found[name].recall  # of all queries
                setting = ", ".join(f"{n} {v}" for n, v in entry["setting"].items())
                row = rows.setdefault((name, recall), [f"{entry['recall']:.4f}", setting])
                row.append(cell(measurement, name))
            require_times(measurement, OURS)
            yield measurement
        rows |= {(name, recall): [why, "", *[""] * len(args.batch)]
                 for name, why in measurement["absent"].items()}  # fmt: skip
    table = [[f"{recall}", name, *row] for (name, recall), row in rows.items()]
    head = ["target", "index", "recall", "setting", *(f"batch {batch}" for batch in args.batch)]
    print(f"\n{problem.title(k, kind)}\n\n{markdown_table(head, table)}", flush=True)


def measured(
    problem: Problem,
    runner: InterleavedRunner,
    tasks: dict[str, tuple[str, Task]],
    args: argparse.Namespace,
) -> Measurement:
    """Time one task of each index in interleaved rounds."""
    runner.run(tasks, args.repeats, long=LONG)
    (_, task), *_ = tasks.values()
    measurement: Measurement = {"workload": "ivf", **problem.about, "k": task.k}
    measurement |= {"batch": task.batch, "filter": task.filter, "absent": dict(runner.absent)}
    measurement["peers"] = {
        name: {
            "peer": name,
            "setting": dict(tasks[name][1].setting),
            "exact": name == FLAT,
            "seconds": times,
            "recall": recall_of(runner.answers[name], problem.truth[task.k, task.filter]),
        }
        for name, times in runner.times.items()
    }
    return measurement


def cell(measurement: Measurement, name: str) -> str:
    """Return a peer's milliseconds per query, and their ratio to ours."""
    seconds, ours = median_seconds(measurement, name), median_seconds(measurement, OURS)
    if seconds is None or ours is None:
        return ""
    ms = format_number(seconds / measurement["batch"] * 1e3)
    return ms if name == OURS else f"{ms} ({format_number(seconds / ours)})"
