"""Assignment and k-means: labels are compared one by one, centres by the inertia that the same
exact code finds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import works
from benchmarks.compare.works import chosen, complain, middle, needed
from vecrecall.bench.machine import Machine, version
from vecrecall.bench.peers import OURS
from vecrecall.bench.report import figure, table
from vecrecall.bench.turns import Turns

F32 = npt.NDArray[np.float32]
Answer = npt.NDArray[Any]
BLOCK = 16_384  # points a product in torch, which would keep all distances
SAME = 0.99  # float32 distances err at near ties, not more often than that


class Case(NamedTuple):
    """What is measured; `rounds` is 0 for an assignment."""

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


ASSIGNMENTS = [Case(500_000, 64, 500), Case(200_000, 64, 4096), Case(200_000, 384, 1000)]
FITS = [Case(1_000_000, 64, 500, 20)]


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
    slow: bool = False  # a fit takes minutes: only where it is asked for by name, or quick


PEERS = {
    "vecrecall": Peer("vecrecall", assign, fit),
    "superkmeans": Peer("superkmeans", superkmeans_assign, superkmeans_fit),
    "faiss": Peer("faiss-cpu", faiss_assign, faiss_fit),
    "torch": Peer("torch", torch_assign, None),
    "scikit-learn": Peer("scikit-learn", sklearn_assign, sklearn_fit, slow=True),
}


def work(name: str, case: Case, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time one call whenever asked; the answer goes with the time."""
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


def assignments(args: argparse.Namespace, machine: Machine) -> list[works.Case]:
    """Print a table for each assignment."""
    return [
        measured("assign", case, list(PEERS), args, machine) for case in sized(ASSIGNMENTS, args)
    ]


def fits(args: argparse.Namespace, machine: Machine) -> list[works.Case]:
    """Print a table for k-means."""
    wanted = args.only or ()
    names = [
        name
        for name, peer in PEERS.items()
        if peer.fit is not None and (args.quick or not peer.slow or name in wanted)
    ]
    return [measured("kmeans", case, names, args, machine) for case in sized(FITS, args)]


def sized(cases: list[Case], args: argparse.Namespace) -> list[Case]:
    return [case.quick() if args.quick else case for case in cases]


def measured(
    work_name: str, case: Case, names: list[str], args: argparse.Namespace, machine: Machine
) -> works.Case:
    """Time the peers in turn, compare their answers, print a table."""
    packages = {name: PEERS[name].package for name in chosen(names, args.only)}
    given = (case, args.seed, args.threads)
    with Turns(work, packages, given, threads=args.threads, limit=args.limit) as turns:
        turns.measure(args.repeats)
        quality = judge(case, turns, args)
    found = {"work": work_name, **case._asdict(), "absent": turns.absent}
    measure = "inertia" if case.rounds else "same labels"
    found["peers"] = {n: {"seconds": t, measure: quality[n]} for n, t in turns.times.items()}
    needed(found, OURS)
    print(tables(case, found, measure, machine), flush=True)
    complain(problems(case, quality))
    return found


def judge(case: Case, turns: Turns, args: argparse.Namespace) -> dict[str, float]:
    """The share of labels that are ours, or the inertia of the centres."""
    if not case.rounds:
        ours = turns.answers.get(OURS)
        return {n: float(np.mean(labels == ours)) for n, labels in turns.answers.items()}
    points = case.data(args.seed)[0]
    return {
        name: -float(vr.assign(points, centers, threads=args.threads).scores.sum(dtype=np.float64))
        for name, centers in turns.answers.items()
    }


def problems(case: Case, quality: dict[str, float]) -> list[str]:
    """Assignments that are not ours."""
    return [
        f"{name}: expected the same labels, {same:.1%} of them are"
        for name, same in quality.items()
        if not case.rounds and same < SAME
    ]


def tables(case: Case, found: works.Case, measure: str, machine: Machine) -> str:
    """Every peer's line; a k-means counts as if it had measured every distance."""
    head = ["peer", "version", "seconds", "spread", "times ours", "G products/s"]
    head += ["of float32 limit", "of int8 limit", measure]
    ours, best = middle(found, OURS), found["peers"][OURS][measure]
    assert ours is not None
    rows = []
    for name, entry in found["peers"].items():
        times, good = entry["seconds"], entry[measure]
        seconds = float(np.median(times))
        rate = case.points * case.dim * case.clusters * max(1, case.rounds) / seconds / 1e9
        rows.append(
            [
                name,
                version(PEERS[name].package) or "",
                figure(seconds),
                f"{figure(min(times))} to {figure(max(times))}",
                figure(seconds / ours),
                f"{rate:.0f}",
                f"{rate / machine.limits.float32:.2f}",
                f"{rate / machine.limits.int8:.2f}",
                f"{good:.8g} ({good / best:.5f} of ours)" if case.rounds else f"{good:.6f}",
            ]
        )
    rows += [[name, "", why, *[""] * 6] for name, why in found["absent"].items()]
    return f"\n{case.title()}\n\n{table(head, rows)}"
