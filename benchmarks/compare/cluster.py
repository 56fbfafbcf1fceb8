"""python -m benchmarks.compare.cluster: assignment and k-means beside the peers, in one run.

Each peer has a process of its own; they are timed in turn, several times over, and their answers
compared with ours: labels one by one, centres by the inertia that the same exact code finds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import report
from benchmarks.compare.turns import THREADS, Turns, version

F32 = npt.NDArray[np.float32]
Answer = npt.NDArray[Any]
BLOCK = 16_384  # points a product in torch, which would keep all distances
SAME = 0.99  # float32 distances err at near ties, not more often than that


class Case(NamedTuple):
    """A row of the targets; `rounds` is 0 for an assignment."""

    points: int
    dim: int
    clusters: int
    rounds: int = 0

    def title(self) -> str:
        size = f"{self.points:,} x {self.dim}"
        if not self.rounds:
            return f"assign {size} to {self.clusters} centroids"
        return f"k-means of {size}, {self.clusters} clusters, {self.rounds} iterations"

    def quick(self) -> Case:
        return Case(self.points // 25, self.dim, self.clusters // 10, min(self.rounds, 5))

    def data(self, seed: int) -> tuple[F32, F32]:
        """Gaussian points, and some of them as centroids; the same in every process."""
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((self.points, self.dim), dtype=np.float32)
        return points, points[rng.choice(self.points, self.clusters, replace=False)]


CASES = {
    "assign-500": Case(500_000, 64, 500),
    "assign-4096": Case(200_000, 64, 4096),
    "assign-384": Case(200_000, 384, 1000),
    "kmeans": Case(1_000_000, 64, 500, 20),
}


# Assignment: points, centroids, threads to labels


def assign(points: F32, centroids: F32, threads: int) -> Answer:
    return vr.assign(points, centroids, threads=threads).labels[:, 0]


def superkmeans_assign(points: F32, centroids: F32, threads: int) -> Answer:
    from superkmeans import SuperKMeans

    return SuperKMeans(*centroids.shape, n_threads=threads).assign(points, centroids)


def faiss_assign(points: F32, centroids: F32, threads: int) -> Answer:
    import faiss

    faiss.omp_set_num_threads(threads)
    return faiss.knn(points, centroids, 1)[1][:, 0]


def torch_assign(points: F32, centroids: F32, threads: int) -> Answer:
    import torch

    torch.set_num_threads(threads)
    c = torch.from_numpy(centroids)
    lengths = (c * c).sum(1)
    parts = [
        torch.addmm(lengths, part, c.T, alpha=-2).argmin(1)
        for part in torch.from_numpy(points).split(BLOCK)
    ]
    return torch.cat(parts).numpy()


def sklearn_assign(points: F32, centroids: F32, threads: int) -> Answer:
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(points, centroids)


# k-means: points, the case, threads to centres


def fit(points: F32, case: Case, threads: int) -> Answer:
    model = vr.KMeans(case.clusters, max_iter=case.rounds, tol=0, threads=threads)
    return model.fit(points).cluster_centers_


def superkmeans_fit(points: F32, case: Case, threads: int) -> Answer:
    from superkmeans import SuperKMeans

    model = SuperKMeans(
        case.clusters,
        case.dim,
        hierarchical=False,
        iters=case.rounds,
        sampling_fraction=1.0,
        max_points_per_cluster=len(points),
        early_termination=False,
        n_threads=threads,
    )
    return model.train(points)


def faiss_fit(points: F32, case: Case, threads: int) -> Answer:
    import faiss

    faiss.omp_set_num_threads(threads)
    model = faiss.Kmeans(
        case.dim, case.clusters, niter=case.rounds, max_points_per_centroid=len(points)
    )
    model.train(points)
    return model.centroids


def sklearn_fit(points: F32, case: Case, threads: int) -> Answer:
    from sklearn.cluster import KMeans

    model = KMeans(case.clusters, n_init=1, max_iter=case.rounds, tol=0, random_state=0)
    return model.fit(points).cluster_centers_


class Peer(NamedTuple):
    """What a package is called, and how it assigns and fits, if it does."""

    package: str
    assign: Callable[[F32, F32, int], Answer]
    fit: Callable[[F32, Case, int], Answer] | None
    slow: bool = False  # a fit takes minutes

    def does(self, case: Case, slow: bool) -> bool:
        return not case.rounds or (self.fit is not None and (slow or not self.slow))


PEERS = {
    "vecrecall": Peer("vecrecall", assign, fit),
    "superkmeans": Peer("superkmeans", superkmeans_assign, superkmeans_fit),
    "faiss": Peer("faiss-cpu", faiss_assign, faiss_fit),
    "torch": Peer("torch", torch_assign, None),
    "scikit-learn": Peer("scikit-learn", sklearn_assign, sklearn_fit, slow=True),
}


def work(name: str, case: Case, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time one call whenever asked; the answer goes with the time."""
    os.dup2(2, 1)  # what libraries print is not part of the tables
    points, centroids = case.data(seed)
    assign, fit = PEERS[name].assign, PEERS[name].fit

    def call(some: F32) -> Answer:
        if case.rounds:
            assert fit is not None
            return fit(some, case, threads)
        return assign(some, centroids, threads)

    # Some peers want many points a cluster. A whole fit more would take a minute.
    call(points[: 50 * case.clusters] if case.rounds else points)
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        answer = call(points)
        pipe.send((time.perf_counter() - start, np.asarray(answer)))


class Run(Turns):
    """One case: the peers' processes, their times and answers."""

    def __init__(self, case: Case, names: list[str], seed: int, threads: int) -> None:
        super().__init__(work, {n: PEERS[n].package for n in names}, (case, seed, threads))
        self.case = case

    def judge(self, seed: int, threads: int) -> dict[str, float]:
        """The share of labels that are ours, or the inertia of the centres."""
        ours = self.answers["vecrecall"]
        if not self.case.rounds:
            return {n: float(np.mean(labels == ours)) for n, labels in self.answers.items()}
        points = self.case.data(seed)[0]
        return {
            name: -float(vr.assign(points, centers, threads=threads).scores.sum(dtype=np.float64))
            for name, centers in self.answers.items()
        }


def table(run: Run, quality: dict[str, float], limits: dict[str, float]) -> str:
    """Every peer's line; a k-means counts as if it had measured every distance."""
    case = run.case
    lines = [
        f"\n{case.title()}\n",
        "| peer | version | seconds | spread | times ours | G products/s | of float32 limit "
        f"| of int8 limit | {'inertia (times ours)' if case.rounds else 'same labels'} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ours = float(np.median(run.times["vecrecall"]))
    for name, times in run.times.items():
        middle = float(np.median(times))
        rate = case.points * case.dim * case.clusters * max(1, case.rounds) / middle / 1e9
        good = f"{quality[name]:.6f}"
        if case.rounds:
            good = f"{quality[name]:.8g} ({quality[name] / quality['vecrecall']:.5f})"
        lines.append(
            f"| {name} | {version(PEERS[name].package)} | {middle:.4f} "
            f"| {min(times):.4f} to {max(times):.4f} | {middle / ours:.2f} | {rate:.0f} "
            f"| {rate / limits['float32']:.2f} | {rate / limits['int8']:.2f} | {good} |"
        )
    lines += [f"| {name} | | {why} | | | | | | |" for name, why in run.absent.items()]
    return "\n".join(lines)


def check(run: Run, quality: dict[str, float]) -> None:
    """Times of other answers than ours would say nothing."""
    if run.case.rounds:
        return
    for name, same in quality.items():
        if same < SAME:
            raise SystemExit(f"{name}: expected the same labels, {same:.1%} of them are")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.cluster", description=__doc__
    )
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), help="these peers")
    parser.add_argument("--slow", action="store_true", help="scikit-learn's KMeans, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small sizes, 2 repeats")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Print a table for each case."""
    args = parse()
    for variable in THREADS:  # before the peers' processes start, which inherit them
        os.environ[variable] = str(args.threads)
    names = ["vecrecall", *[n for n in args.only or PEERS if n != "vecrecall"]]
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    cases = []
    for case in [CASES[name].quick() if args.quick else CASES[name] for name in args.case]:
        who = [n for n in names if PEERS[n].does(case, args.slow or args.quick)]
        run = Run(case, who, args.seed, args.threads)
        run.measure(args.repeats)
        if "vecrecall" in run.absent:
            raise SystemExit("vecrecall: expected times, its process ended")
        quality = run.judge(args.seed, args.threads)
        check(run, quality)
        print(table(run, quality, limits), flush=True)
        measure = "inertia" if case.rounds else "same labels"
        cases.append(
            {**case._asdict(), "seconds": run.times, measure: quality, "absent": run.absent}
        )
    if args.json:
        found = {"limits": limits, "threads": args.threads, "cases": cases}
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
