"""python -m benchmarks.compare.studies.indexes: indexes of all libraries at equal recall.

Each library builds and tunes its index in a process of its own. Then all are timed in interleaved
rounds, at the settings that `vr.tune` has found for each recall target.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.data import make
from benchmarks.options import add_common
from vecrecall.adapters.faiss import train_ivf
from vecrecall.cli.bench import machine
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.storage._atomic import write_report

F32 = npt.NDArray[np.float32]
K = 10
BATCHES = (1, 256)
SINGLE = 64  # queries, one after the other, per timing of batch 1
ENOUGH = 0.2  # seconds per timing; idle OpenMP threads of the process before spin for part of it


class SearchProblem(NamedTuple):
    """The first rows of a data set."""

    data: str
    items: int

    def title(self) -> str:
        return f"{self.data}, {self.items:,} items"

    def load(self, seed: int) -> tuple[F32, F32]:
        return make(self.data, self.items, seed)


PROBLEMS = {
    "10k": SearchProblem("clustered-64", 10_000),
    "100k": SearchProblem("clustered-64", 100_000),
    "1m": SearchProblem("clustered-64", 1_000_000),
    "glove": SearchProblem("glove-50", 399_488),  # all rows but the queries
}


def faiss_ivf(items: F32, threads: int) -> Any:
    return train_ivf(items, int(4 * len(items) ** 0.5), threads=threads)


def faiss_hnsw(items: F32, threads: int) -> Any:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(items.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(items)
    return index


def hnswlib_graph(items: F32, threads: int) -> Any:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=16, ef_construction=200)
    index.add_items(items, num_threads=threads)
    return index


def usearch_graph(items: F32, threads: int) -> Any:
    from usearch.index import Index

    index = Index(ndim=items.shape[1], metric="ip", dtype="f32", expansion_add=200)
    index.add(np.arange(len(items)), items, threads=threads)
    return index


def scann_tree(items: F32, threads: int) -> Any:
    from scann import scann_ops_pybind

    leaves = int(len(items) ** 0.5)
    builder = scann_ops_pybind.builder(items, K, "dot_product").set_n_training_threads(threads)
    builder = builder.tree(leaves, leaves // 10, training_sample_size=len(items))
    return builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(10 * K).build()


Build = Callable[[F32, int], Any]
EXACT = "vecrecall"
APPROXIMATE: dict[str, tuple[str, Build]] = {
    "faiss-ivf": ("faiss-cpu", faiss_ivf),
    "faiss-hnsw": ("faiss-cpu", faiss_hnsw),
    "hnswlib": ("hnswlib", hnswlib_graph),
    "usearch": ("usearch", usearch_graph),
    "scann": ("scann", scann_tree),
}
BUILD_LIMIT = 3600.0  # seconds: graphs are built, then tuned to each target


class TunedIndexes(NamedTuple):
    """The result of building and tuning in a process."""

    build: float
    tune: list[float]
    settings: list[dict[str, int]]
    recalls: list[float]
    reached: list[bool]


def prepare(name: str, items: F32, queries: F32, targets: list[float], threads: int) -> Any:
    """Build and tune; return the indexes for each target, and the cost."""
    start = time.perf_counter()
    if name == EXACT:
        exact = vr.FlatIndex(items, copy=False)
        seconds = time.perf_counter() - start
        n = len(targets)
        return [exact] * n, TunedIndexes(seconds, [0.0] * n, [{}] * n, [1.0] * n, [True] * n)
    index = vr.wrap(APPROXIMATE[name][1](items, threads))
    built = time.perf_counter() - start
    tuned = []
    seconds_each = []
    for target in targets:
        start = time.perf_counter()
        tuned.append(vr.tune(index, queries, K, target, vectors=items))
        seconds_each.append(time.perf_counter() - start)
    ready = TunedIndexes(
        built,
        seconds_each,
        [t.setting for t in tuned],
        [t.recall for t in tuned],
        [t.reached for t in tuned],
    )
    return [t.index for t in tuned], ready


def worker(
    name: str,
    problem: SearchProblem,
    targets: list[float],
    seed: int,
    threads: int,
    pipe: Connection,
) -> None:
    """Build and tune, then time a target and batch for every task, in seconds per query."""
    vr.set_num_threads(threads)
    items, queries = problem.load(seed)
    indexes, ready = prepare(name, items, queries, targets, threads)
    pipe.send(ready)
    while task := pipe.recv():
        place, batch = task
        rows = queries[: SINGLE if batch == 1 else batch]
        indexes[place].search(rows[:batch], K)
        searched = 0
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < ENOUGH:
            for first in range(0, len(rows), batch):
                indexes[place].search(rows[first : first + batch], K)
            searched += len(rows)
        pipe.send((seconds / searched, None))


class Run:
    """The indexes of one problem, and the times at each target and batch."""

    def __init__(self, problem: SearchProblem, names: list[str], args: argparse.Namespace) -> None:
        self.targets: list[float] = args.target
        packages = {n: APPROXIMATE[n][0] if n != EXACT else "vecrecall" for n in names}
        given = (problem, self.targets, args.seed, args.threads)
        with InterleavedRunner(
            worker, packages, given, threads=args.threads, limit=BUILD_LIMIT
        ) as runner:
            self.ready: dict[str, TunedIndexes] = dict(runner.ready)
            tasks = {
                (name, place, batch): (name, (place, batch))
                for place in range(len(self.targets))
                for batch in BATCHES
                for name in self.ready
            }
            runner.run({str(key): task for key, task in tasks.items()}, args.repeats)
            self.times = {key: runner.times[str(key)] for key in tasks if str(key) in runner.times}
            self.absent = dict(runner.absent)

    def rows(self) -> list[dict[str, Any]]:
        """Return the results, one row for each index and target."""
        rows = []
        for name, ready in self.ready.items():
            if name in self.absent:
                continue
            for place, target in enumerate(self.targets if name != EXACT else [1.0]):
                times = {
                    b: [seconds * 1e3 for seconds in self.times[name, place, b]] for b in BATCHES
                }
                rows.append(
                    {
                        "index": name,
                        "target": target,
                        "reached": ready.reached[place],
                        "recall": ready.recalls[place],
                        "setting": ready.settings[place],
                        "build": ready.build,
                        "tune": ready.tune[place],
                        "ms": {str(b): t for b, t in times.items()},
                    }
                )
        return rows


def table(problem: SearchProblem, rows: list[dict[str, Any]], absent: dict[str, str]) -> str:
    """Make a table with a row for each index and target."""
    lines = [
        f"\ntop-{K} of {problem.title()}\n",
        "| index | target | recall | setting | build, s | tune, s | ms per query, batch 1 "
        "| batch 256 |\n|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        setting = ", ".join(f"{name} {value}" for name, value in row["setting"].items())
        missed = "" if row["reached"] else " (missed)"
        one, many = (float(np.median(row["ms"][str(batch)])) for batch in BATCHES)
        lines.append(
            f"| {row['index']} | {row['target']}{missed} | {row['recall']:.4f} | {setting} "
            f"| {row['build']:.2f} | {row['tune']:.1f} | {one:.3f} | {many:.4f} |"
        )
    lines += [f"| {name} | | {reason} | | | | | |" for name, reason in absent.items()]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.studies.indexes", description=__doc__
    )
    names = [EXACT, *APPROXIMATE]
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument(
        "--only", nargs="+", default=names, choices=names, help="only these indexes"
    )
    parser.add_argument("--target", nargs="+", type=float, default=[0.9, 0.95, 0.99])
    add_common(parser, repeats=5)
    parser.add_argument("--quick", action="store_true", help="10,000 items each, 2 repeats")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Print a table for each problem."""
    args = parse()
    measured = machine.measure(args.threads)
    print(measured.describe())
    problems = []
    for name in args.problem:
        problem = PROBLEMS[name]._replace(items=10_000) if args.quick else PROBLEMS[name]
        run = Run(problem, args.only, args)
        rows = run.rows()
        print(table(problem, rows, run.absent), flush=True)
        problems.append({**problem._asdict(), "k": K, "rows": rows, "absent": run.absent})
    if args.json:
        found = {"machine": measured.as_json(), "problems": problems}
        write_report(args.json, json.dumps(found, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
