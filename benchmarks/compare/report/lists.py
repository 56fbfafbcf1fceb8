"""The table of docs/how-to/choose-an-index.md: indexes of lists and graphs at equal recall."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from benchmarks.compare.report.tables import targets
from benchmarks.compare.workload import Measurement, median_seconds
from benchmarks.compare.workloads.ivf_peers import FLAT, PEERS
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS

NAMES = {
    "faiss-ivf": "FAISS IVF",
    "faiss-fast-scan": "FAISS fast scan",
    "faiss-hnsw": "FAISS HNSW",
    "hnswlib": "hnswlib",
    "usearch": "usearch",
    "scann": "ScaNN",
    FLAT: "exact scan",
}


def sections(found: dict[str, Any]) -> Iterator[str]:
    """Yield a table for each data set, and how they were measured."""
    some = [m for m in found["measurements"] if m["workload"] == "ivf"]
    for (data, items, dim), group in groupby(some, lambda m: (m["data"], m["items"], m["dim"])):
        measurements = list(group)
        peers = [n for n in NAMES if any(n in m["peers"] for m in measurements if "recall" in m)]
        yield f"{items:,} x {dim} ({data}); {costs(measurements)}:"
        head = ["top", "filter", "recall", "ours, ms", *(NAMES[name] for name in peers)]
        yield markdown_table(head, list(rows(measurements, peers)))
        missing = {n: why for m in measurements for n, why in m["absent"].items() if n in NAMES}
        rest = [f"{NAMES[n]} {why}" for n, why in missing.items() if n not in peers]
        if rest:
            yield f"Missing: {'; '.join(rest)}."
    if some:
        versions = {PEERS[name].package for name in NAMES} - {"", "vecrecall"}
        named = [f"{name} {found['versions'][name]}" for name in sorted(versions)]
        yield (
            f"{Machine.from_json(found['machine']).describe()} Medians of {found['repeats']} "
            f"interleaved rounds, each index in a process of its own. With {', '.join(named)}."
        )
    yield from targets(row for row in found["targets"] if row["measurement"].startswith("ivf:"))


def costs(measurements: list[Measurement]) -> str:
    """Say how long the builds took."""
    (build,) = (m for m in measurements if m.get("part") == "build")
    names = {OURS: "ours", **NAMES}
    shown = [
        f"{names[name]} {format_number(seconds)}"
        for name in build["peers"]
        if name in names and (seconds := median_seconds(build, name)) is not None
    ]
    return f"builds in seconds: {', '.join(shown)}"


def rows(measurements: list[Measurement], peers: list[str]) -> Iterator[list[str]]:
    """Yield a row for each k, filter and recall, with a number for each batch."""
    searches = [m for m in measurements if "recall" in m]

    def key(m: Measurement) -> tuple[Any, ...]:
        return m["k"], m["filter"], m["recall"]

    for (k, kind, recall), group in groupby(sorted(searches, key=key), key):
        at = sorted(group, key=lambda m: m["batch"])
        ours = [(median_seconds(m, OURS) or float("nan")) / m["batch"] * 1e3 for m in at]
        shown = " / ".join(map(format_number, ours))
        yield [str(k), kind, f"{recall}", shown, *(ratios(at, name) for name in peers)]


def ratios(measurements: list[Measurement], name: str) -> str:
    """Return the time of a peer divided by ours, for each batch; - where it has none."""
    found = []
    for measurement in measurements:
        seconds, ours = median_seconds(measurement, name), median_seconds(measurement, OURS)
        found.append(format_number(seconds / ours) if seconds and ours else "-")
    return " / ".join(found)
