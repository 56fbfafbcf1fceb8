"""Assignment and k-means: labels are compared one by one, centers by their inertia."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.compare import works
from benchmarks.compare.workloads import cluster_truth
from benchmarks.compare.workloads.cluster_peers import F32, PEERS, Case, Fitted, Labels
from benchmarks.compare.works import chosen, complain, middle, needed
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS
from vecrecall.cli.bench.report import figure, table
from vecrecall.cli.bench.turns import Turns

ASSIGNMENTS = [Case(500_000, 64, 500), Case(200_000, 64, 4096), Case(200_000, 384, 1000)]
FITS = [Case(1_000_000, 64, 500, 20)]


def work(name: str, case: Case, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time one call whenever asked; the answer goes with the time."""
    points, centroids = case.data(seed)
    peer = PEERS[name]

    def call(some: F32) -> Fitted | Labels:
        if case.rounds:
            return peer.fit(some, case, threads)
        assert peer.assign is not None
        return peer.assign(some, centroids, threads)

    # Some peers want many points a cluster. A whole fit more would take a minute.
    call(points[: 50 * case.clusters] if case.rounds else points)
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        answer = call(points)
        pipe.send((time.perf_counter() - start, answer))


def assignments(args: argparse.Namespace, machine: Machine) -> Iterator[works.Case]:
    """Print a table for each assignment."""
    names = [name for name, peer in PEERS.items() if peer.assign is not None]
    for case in sized(ASSIGNMENTS, args):
        yield measured("assign", case, names, args, machine)


def fits(args: argparse.Namespace, machine: Machine) -> Iterator[works.Case]:
    """Print a table for k-means."""
    wanted = args.only or ()
    names = [name for name, peer in PEERS.items() if args.quick or not peer.slow or name in wanted]
    for case in sized(FITS, args):
        yield measured("kmeans", case, names, args, machine)


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
    found: works.Case = {"work": work_name, **case._asdict(), "absent": turns.absent}
    found["peers"] = {name: {"seconds": seconds} for name, seconds in turns.times.items()}
    needed(found, OURS)
    measure = "inertia" if case.rounds else "same labels"
    quality, problems = judge(case, turns.answers, args.seed)
    for name, value in quality.items():
        found["peers"][name][measure] = value
    print(tables(case, found, measure, machine), flush=True)
    complain(problems)
    return found


def judge(case: Case, answers: dict[str, Any], seed: int) -> tuple[dict[str, float], list[str]]:
    """The share of labels that are ours, or the inertia of the centers; and what is wrong."""
    points, centroids = case.data(seed)
    if not case.rounds:
        shares = cluster_truth.same_labels(answers)
        return shares, cluster_truth.wrong_labels(points, centroids, answers, seed)
    inertias = cluster_truth.inertias(points, answers, case.clusters)
    return inertias, cluster_truth.wrong_fits(points, answers, inertias, seed)


def tables(case: Case, found: works.Case, measure: str, machine: Machine) -> str:
    """Every peer's line; a Lloyd counts as if it had measured every distance."""
    head = ["peer", "version", "seconds", "spread", "times ours", "G products/s"]
    head += ["of float32 limit", "of int8 limit", measure]
    ours, best = middle(found, OURS), found["peers"][OURS][measure]
    assert ours is not None
    rows = []
    for name, entry in found["peers"].items():
        peer, times, good = PEERS[name], entry["seconds"], entry[measure]
        seconds = float(np.median(times))
        rows.append(
            [
                name if peer.exact else f"{name} (approximate)",
                version(peer.package) or "",
                figure(seconds),
                f"{figure(min(times))} to {figure(max(times))}",
                figure(seconds / ours),
                *(shares(case, seconds, machine) if peer.exact else [""] * 3),
                f"{good:.8g} ({good / best:.5f} of ours)" if case.rounds else f"{good:.6f}",
            ]
        )
    rows += [[name, "", why, *[""] * 6] for name, why in found["absent"].items()]
    return f"\n{case.title()}\n\n{table(head, rows)}"


def shares(case: Case, seconds: float, machine: Machine) -> list[str]:
    """Products a second, and the shares of the limits."""
    rate = case.points * case.dim * case.clusters * max(1, case.rounds) / seconds / 1e9
    return [f"{rate:.0f}", *(f"{rate / limit:.2f}" for limit in machine.limits[:2])]
