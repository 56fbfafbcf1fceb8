"""The tables of docs/explanation/benchmarks.md, from the results of a run."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from benchmarks.compare.workload import Measurement, median_seconds
from benchmarks.compare.workloads import cluster_peers, half, merge, pool, shards, towers
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS, PEERS

Found = dict[str, Any]
BEST = 3  # peers per row
PACKAGES = {
    **{name: peer.package for name, peer in cluster_peers.PEERS.items()},
    **{name: peer.package for name, peer in merge.PEERS.items()},
    **{name: peer.package for name, peer in pool.PEERS.items()},
    **{towers.TORCH: "torch", half.TORCH: "torch"},
}


def sections(found: Found) -> Iterator[str]:
    """Yield the tables of searches and of other workloads, the method, and the targets."""
    searches = [
        measurement for measurement in found["measurements"] if measurement["workload"] == "search"
    ]
    for _, group in groupby(
        searches, key=lambda measurement: (measurement["data"], measurement["k"])
    ):
        yield from search(list(group), found["versions"])
    rows = [line for measurement in found["measurements"] for line in others(measurement)]
    if rows:
        yield "Other workloads, with the fastest peers (times vecrecall's):"
        yield markdown_table(["", "vecrecall", *[""] * BEST], rows)
        yield from missing(
            measurement for measurement in found["measurements"] if list(others(measurement))
        )
    if searches or rows:
        yield f"{Machine.from_json(found['machine']).describe()} {method_note(found)}"
    yield from targets(row for row in found["targets"] if not row["measurement"].startswith("ivf:"))


def search(measurements: list[Measurement], versions: dict[str, str]) -> Iterator[str]:
    """Yield a table with all peers and batches, approximate peers at their default setting."""
    last = measurements[-1]
    yield (
        f"Top-{last['k']} of {last['items']:,} x {last['dim']} ({last['data']}) by inner product, "
        "milliseconds per query (times vecrecall's):"
    )
    labels = [label for label in last["peers"] if is_default(last["peers"][label])]
    labels.sort(key=lambda label: median_seconds(last, label) or 0)
    rows = [[name_of(label, last, versions), *cells(label, measurements)] for label in labels]
    yield markdown_table(
        ["", *(f"batch {measurement['batch']}" for measurement in measurements), "recall"], rows
    )
    better = [text for measurement in measurements for text in faster(measurement)]
    yield f"Faster than vecrecall here: {'; '.join(better) or 'none'}."
    yield from missing(measurements)


def missing(measurements: Iterable[Measurement]) -> Iterator[str]:
    """Yield the peers without all of their times, with reasons."""
    reasons = {
        name: why for measurement in measurements for name, why in measurement["absent"].items()
    }
    if reasons:
        yield f"Missing: {'; '.join(f'{name} {why}' for name, why in reasons.items())}."


def is_default(entry: Found) -> bool:
    return bool(entry["setting"] == next(iter(PEERS[entry["peer"]].settings), None))


def name_of(label: str, measurement: Measurement, versions: dict[str, str]) -> str:
    peer = PEERS[measurement["peers"][label]["peer"]]
    return f"**{label}**" if label == OURS else f"{label} ({versions[peer.package]})"


def cells(label: str, measurements: list[Measurement]) -> list[str]:
    found = []
    for measurement in measurements:
        seconds, ours = median_seconds(measurement, label), median_seconds(measurement, OURS)
        if seconds is None or ours is None:
            found.append("failed")
            continue
        ratio = "" if label == OURS else f" ({format_number(seconds / ours)}x)"
        found.append(f"{format_number(seconds / measurement['batch'] * 1e3)}{ratio}")
    return [*found, f"{measurements[-1]['peers'][label]['recall']:.3f}"]


def faster(measurement: Measurement) -> Iterator[str]:
    """Yield the peers that are faster than ours at any setting, with their recall."""
    ours = median_seconds(measurement, OURS)
    for label, entry in measurement["peers"].items():
        seconds = median_seconds(measurement, label)
        if ours and seconds and seconds < ours:
            ratio, recall = format_number(seconds / ours), entry["recall"]
            yield f"{label} at batch {measurement['batch']} ({ratio}x, recall {recall:.3f})"


def others(measurement: Measurement) -> Iterator[list[str]]:
    """Yield the rows of a measurement of another workload, if the page shows it."""
    if measurement["workload"] in ("assign", "kmeans"):
        title = cluster_peers.ClusteringProblem(
            *(measurement[name] for name in cluster_peers.ClusteringProblem._fields)
        ).title()
        yield line(f"{title}, seconds", measurement, 1)
    if measurement["workload"] == "pool":
        yield line(f"{pool.title(measurement)}, ms", measurement, 1e3)
    if measurement["workload"] == "half" and measurement["part"] == "pool":
        title = f"the same kind of sums from a table in {half.SHOWN}, ms"
        yield line(title, measurement, 1e3, half.SHOWN)
    if measurement["workload"] == "towers":
        title = f"a user's vector ({measurement['encoder']}), batch {measurement['batch']}"
        yield line(f"{title}, microseconds", measurement, 1e6 / measurement["batch"])
    if measurement["workload"] == "service":
        size = f"top-{measurement['k']} of {measurement['items']:,} x {measurement['dim']}"
        clients = f"{measurement['clients']} clients"
        yield line(f"{size} by HTTP, {clients}, ms between answers", measurement, 1e3)
    if measurement["workload"] == "shards":
        size = f"{measurement['items']:,} x {measurement['dim']}, batch {measurement['batch']}"
        yield line(f"{measurement['shards']} shards of {size}, ms", measurement, 1e3, shards.MANY)
    if measurement["workload"] == "merge":
        title = f"RRF of {measurement['channels']} x {measurement['width']} to {measurement['k']}"
        unit = 1e6 / measurement["users"]
        yield line(f"{title}, microseconds per user, one thread", measurement, unit)
        if median_seconds(measurement, merge.WITH_PROVENANCE) is not None:
            yield line("the same with provenance", measurement, unit, merge.WITH_PROVENANCE)


def line(title: str, measurement: Measurement, unit: float, ours: str = OURS) -> list[str]:
    """Make a row with our time and the best of the others."""
    own = median_seconds(measurement, ours) or float("nan")
    peers = {
        name: median_seconds(measurement, name)
        for name in measurement["peers"]
        if name != ours and not name.startswith(OURS)
    }
    best = sorted((seconds, name) for name, seconds in peers.items() if seconds)[:BEST]
    shown = [
        f"{name} {format_number(seconds * unit)} "
        f"({format_number(seconds / own)}x{worse(measurement, name)})"
        for seconds, name in best
    ]
    return [title, f"**{format_number(own * unit)}**", *shown, *[""] * (BEST - len(shown))]


def worse(measurement: Measurement, name: str) -> str:
    """Return the relative inertia of a fit that does not use all points in every iteration."""
    if measurement["workload"] != "kmeans" or cluster_peers.PEERS[name].exact:
        return ""
    inertias = (measurement["peers"][label]["inertia"] for label in (name, OURS))
    return f", inertia {format_number(operator.truediv(*inertias))}x"


def method_note(found: Found) -> str:
    """Describe the method, and the versions of packages that the searches do not name."""
    shown = {
        name
        for measurement in found["measurements"]
        if list(others(measurement))
        for name in measurement["peers"]
    }
    packages = {PACKAGES.get(name, "") for name in shown} - {"", "vecrecall"}
    versions = [f"{name} {found['versions'][name]}" for name in sorted(packages)]
    suffix = f" With {', '.join(versions)}." if versions else ""
    return (
        f"Medians of {found['repeats']} interleaved rounds, each peer in a process of its own."
        f"{suffix}"
    )


def targets(results: Iterable[Found]) -> Iterator[str]:
    """Yield a table of targets, the missed ones first; none where nothing was measured."""
    measured = sorted(
        (row for row in results if row["met"] is not None), key=lambda row: row["met"]
    )
    if measured:
        rows = [
            [
                row["measurement"],
                row["quantity"],
                format_number(row["measured"]),
                row["target"],
                "met" if row["met"] else "**missed**",
            ]
            for row in measured
        ]
        yield markdown_table(["measurement", "target", "measured", "bound", ""], rows)
