"""Assignment and k-means: labels are compared one by one, centers by their inertia."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.compare.workload import (
    Measurement,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
)
from benchmarks.compare.workloads import cluster_truth
from benchmarks.compare.workloads.cluster_peers import F32, PEERS, ClusteringProblem, Fitted, Labels
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS, same_as_ours

ASSIGNMENTS = [
    ClusteringProblem(500_000, 64, 500),
    ClusteringProblem(200_000, 64, 4096),
    ClusteringProblem(200_000, 384, 1000),
]
FITS = [ClusteringProblem(1_000_000, 64, 500, 20)]


def worker(
    name: str, problem: ClusteringProblem, seed: int, threads: int, pipe: Connection
) -> None:
    """Warm up, then time a call for every task; send the time and the answer."""
    points, centroids = problem.data(seed)
    peer = PEERS[name]

    def call(some: F32) -> Fitted | Labels:
        if problem.rounds:
            assert peer.fit is not None
            return peer.fit(some, problem, threads)
        assert peer.assign is not None
        return peer.assign(some, centroids, threads)

    # Some peers need many points per cluster. Another whole fit would take a minute.
    call(points[: 50 * problem.clusters] if problem.rounds else points)
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        answer = call(points)
        pipe.send((time.perf_counter() - start, answer))


def assignments(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each assignment."""
    same = same_as_ours()
    names = [name for name, peer in PEERS.items() if peer.assign and name not in same]
    for problem in sized(ASSIGNMENTS, args):
        yield measured("assign", problem, names, args, machine)


def fits(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for k-means."""
    wanted = args.only or ()
    names = [
        name
        for name, peer in PEERS.items()
        if peer.fit and (args.quick or not peer.slow or name in wanted)
    ]
    for problem in sized(FITS, args):
        yield measured("kmeans", problem, names, args, machine)


def sized(problems: list[ClusteringProblem], args: argparse.Namespace) -> list[ClusteringProblem]:
    return [problem.quick() if args.quick else problem for problem in problems]


def measured(
    workload: str,
    problem: ClusteringProblem,
    names: list[str],
    args: argparse.Namespace,
    machine: Machine,
) -> Measurement:
    """Time the peers interleaved, compare their answers, print a table."""
    packages = {name: PEERS[name].package for name in select_peers(names, args.only)}
    given = (problem, args.seed, args.threads)
    with InterleavedRunner(
        worker, packages, given, threads=args.threads, limit=args.limit
    ) as runner:
        runner.measure(args.repeats)
    found: Measurement = {"workload": workload, **problem._asdict(), "absent": runner.absent}
    found["peers"] = {name: {"seconds": seconds} for name, seconds in runner.times.items()}
    require_times(found, OURS)
    measure = "inertia" if problem.rounds else "same labels"
    quality, problems = evaluate(problem, runner.answers, args.seed)
    for name, value in quality.items():
        found["peers"][name][measure] = value
    print(tables(problem, found, measure, machine), flush=True)
    raise_if_wrong(problems)
    return found


def evaluate(
    problem: ClusteringProblem, answers: dict[str, Any], seed: int
) -> tuple[dict[str, float], list[str]]:
    """Return the share of labels equal to ours, or the inertia of the centers, and the errors."""
    points, centroids = problem.data(seed)
    if not problem.rounds:
        shares = cluster_truth.same_labels(answers)
        return shares, cluster_truth.wrong_labels(points, centroids, answers, seed)
    inertias = cluster_truth.inertias(points, answers, problem.clusters)
    return inertias, cluster_truth.wrong_fits(points, answers, inertias, seed)


def tables(problem: ClusteringProblem, found: Measurement, measure: str, machine: Machine) -> str:
    """Make a table with a row per peer; Lloyd's algorithm counts as computing every distance."""
    head = ["peer", "version", "seconds", "spread", "times ours", "G products/s"]
    head += ["of float32 limit", "of int8 limit", measure]
    ours, best = median_seconds(found, OURS), found["peers"][OURS][measure]
    assert ours is not None
    rows = []
    for name, entry in found["peers"].items():
        peer, times, good = PEERS[name], entry["seconds"], entry[measure]
        seconds = float(np.median(times))
        rows.append(
            [
                name if peer.exact else f"{name} (approximate)",
                version(peer.package) or "",
                format_number(seconds),
                f"{format_number(min(times))} to {format_number(max(times))}",
                format_number(seconds / ours),
                *(shares(problem, seconds, machine) if peer.exact else [""] * 3),
                f"{good:.8g} ({good / best:.5f} of ours)" if problem.rounds else f"{good:.6f}",
            ]
        )
    rows += [[name, "", why, *[""] * 6] for name, why in found["absent"].items()]
    return f"\n{problem.title()}\n\n{markdown_table(head, rows)}"


def shares(problem: ClusteringProblem, seconds: float, machine: Machine) -> list[str]:
    """Return products per second, and the shares of the limits."""
    rate = problem.points * problem.dim * problem.clusters * max(1, problem.rounds) / seconds / 1e9
    return [f"{rate:.0f}", *(f"{rate / limit:.2f}" for limit in machine.limits[:2])]
