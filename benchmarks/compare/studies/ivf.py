"""python -m benchmarks.compare.studies.ivf: an IVF index, trained by vecrecall and by FAISS.

Each trains in a process of its own, in interleaved rounds. The results of both indexes are compared
with the exact lists, at the same number of visited lists per query.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.data import make
from benchmarks.options import add_common
from vecrecall.adapters.faiss import train_ivf
from vecrecall.cli.bench import machine
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import version
from vecrecall.storage._atomic import write_report

F32 = npt.NDArray[np.float32]
PACKAGES = {"vecrecall": "vecrecall", "faiss": "faiss-cpu"}
NPROBE = (8, 32, 128)
K = 100


class IvfProblem(NamedTuple):
    """A data set of `benchmarks.compare.data`, a metric, and a number of lists."""

    data: str
    metric: Literal["ip", "l2"]
    items: int = 1_000_000
    lists: int = 4096

    def quick(self) -> IvfProblem:
        return self._replace(items=self.items // 25, lists=self.lists // 16)

    def rows(self, seed: int) -> tuple[F32, F32]:
        """Make items and queries, identical in every process."""
        return make(self.data, self.items, seed)

    def title(self) -> str:
        return f"IVF{self.lists},Flat over {self.items:,} items ({self.data}), {self.metric}"


PROBLEMS = {
    f"{problem.data.removesuffix('-64')}-{problem.metric}": problem
    for problem in (
        IvfProblem("gaussian-64", "ip"),
        IvfProblem("gaussian-64", "l2"),
        IvfProblem("clustered-64", "ip"),
        IvfProblem("clustered-64", "l2"),
        IvfProblem("lognormal-64", "ip"),
    )
}


def build(name: str, items: F32, problem: IvfProblem, lists: int, threads: int) -> Any:
    """Train and fill an index, with the defaults of the library that trains."""
    if name == "vecrecall":
        return train_ivf(items, lists, metric=problem.metric, threads=threads)
    import faiss

    faiss.omp_set_num_threads(threads)
    code = faiss.METRIC_L2 if problem.metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", code)
    index.train(items)
    index.add(items)
    return index


def worker(name: str, problem: IvfProblem, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time a build for every task; send the time and the results of searches."""
    items, queries = problem.rows(seed)
    build(name, items[:10_000], problem, 64, threads)
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        index = build(name, items, problem, problem.lists, threads)
        seconds = time.perf_counter() - start
        pipe.send((seconds, [found(index, queries, nprobe) for nprobe in NPROBE]))


def found(index: Any, queries: F32, nprobe: int) -> tuple[npt.NDArray[np.int64], float]:
    """Return the ids, and the number of items compared per query."""
    import faiss

    index.nprobe = nprobe
    faiss.cvar.indexIVF_stats.reset()
    ids = index.search(queries, K)[1]
    return ids, faiss.cvar.indexIVF_stats.ndis / len(queries)


def table(
    problem: IvfProblem, runner: InterleavedRunner, seed: int
) -> tuple[str, dict[str, list[float]]]:
    """Make a table with a row per library; return it with the recalls."""
    items, queries = problem.rows(seed)
    truth = vr.topk(queries, items, K, metric=problem.metric)
    lines = [
        f"\n{problem.title()}\n",
        "| by | version | seconds | spread | times ours "
        + "".join(f"| recall@{K}, nprobe {n} (items compared) " for n in NPROBE)
        + "|",
        "|---" * (5 + len(NPROBE)) + "|",
    ]
    ours = float(np.median(runner.times["vecrecall"]))
    recalls = {}
    for name, times in runner.times.items():
        median = float(np.median(times))
        recalls[name] = [recall(ids, truth.ids) for ids, _ in runner.answers[name]]
        cells = [
            f"| {share:.4f} ({compared:,.0f}) "
            for share, (_, compared) in zip(recalls[name], runner.answers[name], strict=True)
        ]
        lines.append(
            f"| {name} | {version(PACKAGES[name])} | {median:.2f} "
            f"| {min(times):.2f} to {max(times):.2f} | {median / ours:.2f} {''.join(cells)}|"
        )
    lines += [
        f"| {name} | | {why} | | {'| ' * len(NPROBE)}|" for name, why in runner.absent.items()
    ]
    return "\n".join(lines), recalls


def recall(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / K for a, b in pairs]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.studies.ivf", description=__doc__
    )
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    add_common(parser, repeats=2)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    return parser.parse_args()


def main() -> int:
    """Print a table for each problem."""
    args = parse()
    print(machine.measure(args.threads).describe())
    problems = []
    for problem in [
        PROBLEMS[name].quick() if args.quick else PROBLEMS[name] for name in args.problem
    ]:
        given = (problem, args.seed, args.threads)
        with InterleavedRunner(worker, PACKAGES, given, threads=args.threads) as runner:
            runner.measure(args.repeats, long=np.inf)
        if "vecrecall" not in runner.times:
            raise SystemExit("vecrecall: expected times, its process ended")
        text, recalls = table(problem, runner, args.seed)
        print(text, flush=True)
        problems.append({**problem._asdict(), "seconds": runner.times, "recall": recalls})
    if args.json:
        about = {"threads": args.threads, "problems": problems}
        write_report(args.json, json.dumps(about, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
