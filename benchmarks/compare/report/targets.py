"""What the library has to reach, as data, and what a run found of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.compare.workload import Measurement, median_seconds
from benchmarks.compare.workloads.merge import WITH_PROVENANCE
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import FORCED, OURS

Measure = Callable[[Measurement, Machine], float | None]

PACKAGES = (
    *("vecrecall", "faiss-cpu", "hnswlib", "usearch", "scann", "torch", "scikit-learn"),
    *("superkmeans", "polars", "ranx"),
)
SAME_INERTIA = 1.001  # runs end in other local optima, whose inertia differs by that


class Target(NamedTuple):
    """A row: where a measurement has all of `where`, `measure` gives at least `bound`."""

    where: dict[str, Any]
    what: str
    measure: Measure
    bound: float
    least: bool = True


class TargetResult(NamedTuple):
    """What a run found. `measured` is None where a peer or a setting that it takes is missing."""

    measurement: str
    what: str
    measured: float | None
    target: str
    met: bool | None


# What is measured: of a measurement, on a machine


def times(*peers: str, ours: str = OURS) -> Measure:
    """The fastest of these peers beside us; all of them must be there."""

    def measure(measurement: Measurement, machine: Machine) -> float | None:
        found = [median_seconds(measurement, name) for name in peers]
        own = median_seconds(measurement, ours)
        if own is None or any(seconds is None for seconds in found):
            return None
        return min(seconds for seconds in found if seconds is not None) / own

    return measure


def fastest(measurement: Measurement, names: Iterable[str], ours: str = OURS) -> float | None:
    """The fastest of those that are there beside us."""
    found = [
        seconds for name in names if (seconds := median_seconds(measurement, name)) is not None
    ]
    own = median_seconds(measurement, ours)
    return min(found) / own if found and own is not None else None


def best_exact(measurement: Measurement, machine: Machine) -> float | None:
    """The best of the exact peers that are there beside us."""
    others = [
        name
        for name, entry in measurement["peers"].items()
        if entry["exact"] and name != OURS and name not in FORCED
    ]
    return fastest(measurement, others)


def best_peer(measurement: Measurement, machine: Machine) -> float | None:
    """The best of the peers that are there beside us."""
    return fastest(measurement, [name for name in measurement["peers"] if name != OURS])


def share(limit: str) -> Measure:
    """Our products a second beside those that the machine can do at most."""

    def measure(measurement: Measurement, machine: Machine) -> float | None:
        seconds = median_seconds(measurement, OURS)
        if seconds is None:
            return None
        products: float = (
            measurement["items"] * measurement["dim"] * measurement["batch"] / seconds / 1e9
        )
        return products / float(getattr(machine.limits, limit))

    return measure


def read_rate(measurement: Measurement, machine: Machine) -> float | None:
    """The rate at which we go through the codes, a byte each, beside the machine's."""
    seconds = median_seconds(measurement, OURS)
    if seconds is None:
        return None
    rate: float = measurement["items"] * measurement["dim"] / seconds / 1e9
    return rate / machine.limits.read


def at_recall(peer: str, recall: float) -> Measure:
    """A peer at that recall beside us, between the settings that are next to it."""

    def measure(measurement: Measurement, machine: Machine) -> float | None:
        points = sorted(
            (entry["recall"], seconds)
            for label, entry in measurement["peers"].items()
            if entry["peer"] == peer and (seconds := median_seconds(measurement, label)) is not None
        )
        own = median_seconds(measurement, OURS)
        if own is None or not points or not points[0][0] <= recall <= points[-1][0]:
            return None
        recalls, seconds_each = zip(*points, strict=True)
        return float(np.interp(recall, recalls, seconds_each)) / own

    return measure


def scaled(entry: str, count: str, unit: float) -> Measure:
    """An entry's time a thing that the measurement counts, in that part of a second."""

    def measure(measurement: Measurement, machine: Machine) -> float | None:
        seconds = median_seconds(measurement, entry)
        return None if seconds is None else seconds / (measurement[count] if count else 1) * unit

    return measure


def counted(name: str) -> Measure:
    """What the measurement itself says."""
    return lambda measurement, machine: float(measurement[name])


def inertia(measurement: Measurement, machine: Machine) -> float | None:
    """Ours beside the least."""
    found = {name: entry["inertia"] for name, entry in measurement["peers"].items()}
    others = [value for name, value in found.items() if name != OURS]
    return found[OURS] / min(others) if others and OURS in found else None


def added(measurement: Measurement, machine: Machine) -> float | None:
    """Microseconds that a recall takes beyond its searches."""
    beyond = median_seconds(measurement, "beyond")
    return None if beyond is None else beyond * 1e6


# The targets: 2 threads, AVX-512 VNNI


def gaussian(batch: int, k: int = 100) -> dict[str, Any]:
    return {"workload": "search", "data": "gaussian-64", "items": 1_000_000, "k": k, "batch": batch}


def glove(batch: int) -> dict[str, Any]:
    return {"workload": "search", "data": "glove-50", "k": 100, "batch": batch, "items": 399_488}


def assign(points: int, dim: int, clusters: int) -> dict[str, Any]:
    return {"workload": "assign", "points": points, "dim": dim, "clusters": clusters}


KMEANS = {"workload": "kmeans", "points": 1_000_000, "dim": 64, "clusters": 500, "rounds": 20}
MERGE = {"workload": "merge", "channels": 8, "width": 200, "k": 200, "users": 1024}
LONG_MERGE = {"workload": "merge", "channels": 8, "width": 500, "k": 500, "users": 1024}
POOL = {"workload": "pool", "rows": 1_000_000, "dim": 64, "bags": 100_000, "length": 20}
BUILD = {"workload": "build", "data": "gaussian-64", "items": 1_000_000, "step": "build"}
RECALL = {"workload": "recall", "channels": "eight towers", "batch": 1, "items": 1_000_000}

TARGETS = [
    Target(gaussian(256), "times FAISS flat", times("faiss-flat"), 22),
    Target(gaussian(256), "times the best exact peer", best_exact, 7),
    Target(gaussian(256), "times NumPy", times("numpy"), 50),
    Target(gaussian(256), "of the float32 limit", share("float32"), 1.8),
    Target(gaussian(256), "of the int8 limit", share("int8"), 0.55),
    Target(gaussian(16), "times FAISS flat", times("faiss-flat"), 15),
    Target(gaussian(16), "times the best exact peer", best_exact, 5.5),
    Target(gaussian(1), "times FAISS flat", times("faiss-flat"), 10),
    Target(gaussian(1), "times the best exact peer", best_exact, 3.8),
    Target(gaussian(1), "of the read rate, over the codes", read_rate, 0.8),
    Target(gaussian(256, 1000), "times FAISS flat", times("faiss-flat"), 12),
    Target(gaussian(256, 1000), "times the best exact peer", best_exact, 4.5),
    Target(glove(256), "times FAISS flat", times("faiss-flat"), 10),
    Target(glove(256), "times the best exact peer", best_exact, 4),
    Target(glove(256), "times hnswlib at recall 0.97", at_recall("hnswlib-graph", 0.97), 2),
    Target(glove(1), "times the best exact peer", best_exact, 2.5),
    Target(
        gaussian(256), "AVX2: times FAISS flat with AVX2",
        times("faiss-flat-avx2", ours="vecrecall-avx2"), 10,
    ),
    Target(BUILD, "seconds to build", scaled(OURS, "", 1), 0.35, False),
    *(
        Target(assign(*size), "times the best peer", best_peer, 3)
        for size in ((500_000, 64, 500), (200_000, 64, 4096), (200_000, 384, 1000))
    ),
    Target(KMEANS, "times faiss.Kmeans", times("faiss"), 12),
    Target(KMEANS, "times superkmeans", times("superkmeans"), 2.5),
    Target(KMEANS, "inertia, of the least of the others", inertia, SAME_INERTIA, False),
    Target(MERGE, "microseconds a user, with provenance",
           scaled(WITH_PROVENANCE, "users", 1e6), 20, False),
    Target(MERGE, "microseconds a user, without", scaled(OURS, "users", 1e6), 12, False),
    Target(LONG_MERGE, "microseconds a user, with provenance",
           scaled(WITH_PROVENANCE, "users", 1e6), 45, False),
    # Those that say no provenance are held against us with it.
    *(
        Target(MERGE, f"times {peer}", times(peer, ours=WITH_PROVENANCE), bound)
        for peer, bound in (("numpy", 8), ("polars", 18), ("dict", 35), ("ranx", 100))
    ),
    *(
        Target({**glove(batch), "workload": "filters"}, f"of the time without: {filtered}",
               times(filtered, ours="none"), 1.15, False)
        for batch in (1, 16, 256) for filtered in ("exclude", "allow")
    ),
    *(
        Target({**gaussian(batch), "workload": "churn"}, what, measure, bound, False)
        for batch in (1, 16, 256)
        for what, measure, bound in (
            ("after updates, of a fresh index's time", times("updated", ours="fresh"), 1.1),
            ("memory after updates, of that before", counted("memory"), 1.25),
        )
    ),
    Target(POOL, "times NumPy", times("NumPy take, add.reduceat"), 10),
    Target(POOL, "times torch EmbeddingBag", times("torch EmbeddingBag"), 1.3),
    Target(RECALL, "microseconds beyond the searches", added, 150, False),
]  # fmt: skip


def evaluate(measurements: list[Measurement], machine: Machine) -> list[TargetResult]:
    """Hold a run against the targets that it covers."""
    results = []
    for target in TARGETS:
        for measurement in measurements:
            if any(measurement.get(name) != value for name, value in target.where.items()):
                continue
            measured = target.measure(measurement, machine)
            met = None
            if measured is not None:
                met = measured >= target.bound if target.least else measured <= target.bound
            wanted = f"at {'least' if target.least else 'most'} {target.bound:g}"
            results.append(TargetResult(title(target.where), target.what, measured, wanted, met))
    return results


def title(where: dict[str, Any]) -> str:
    """Name a measurement by what tells it from others."""
    others = [
        f"{name} {value:,}" if isinstance(value, int) else f"{value}"
        for name, value in where.items()
        if name != "workload"
    ]
    return f"{where['workload']}: {', '.join(others)}"


def table(results: list[TargetResult]) -> str:
    """What was measured, what had to be, and whether it was."""
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [
        [
            row.measurement,
            row.what,
            "" if row.measured is None else format_number(row.measured),
            row.target,
            words[row.met],
        ]
        for row in results
    ]
    head = ["targets (2 threads, AVX-512 VNNI)", "what", "measured", "target", ""]
    return "\n" + markdown_table(head, rows)
