"""Plots of searches: throughput by batch, shares of the limits, time by recall."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.compare.workload import Measurement, median_seconds
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS, PEERS

SIZE = (9, 6)
LIMITS = ("int8", "float32", "read")


def draw(measurements: list[Measurement], machine: Machine, folder: Path) -> None:
    """Write the PNG files of every data set and k."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    searches = [measurement for measurement in measurements if measurement["workload"] == "search"]
    for (data, k), group in groupby(
        searches, key=lambda measurement: (measurement["data"], measurement["k"])
    ):
        some = list(group)
        title = f"top-{k} of {some[0]['items']:,} x {some[0]['dim']} ({data})"
        for kind, make in (("batch", by_batch), ("limits", limits), ("recall", recall)):
            figure = make(some, machine)
            figure.suptitle(f"{title}\n{machine.model}, {machine.isa}, {machine.threads} threads")
            figure.savefig(folder / f"{data}-k{k}-{kind}.png", dpi=120, bbox_inches="tight")


def entries(
    measurement: Measurement, *, defaults: bool
) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Yield the labels with times, of approximate peers optionally only the default setting."""
    for label, entry in measurement["peers"].items():
        first = next(iter(PEERS[entry["peer"]].settings), None)
        seconds = median_seconds(measurement, label)
        if seconds is not None and (not defaults or entry["setting"] == first):
            yield label, entry, seconds


def by_batch(measurements: list[Measurement], machine: Machine) -> Any:
    """Plot queries per second."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=SIZE)
    lines: dict[str, list[tuple[int, float]]] = {}
    for measurement in measurements:
        for label, _, seconds in entries(measurement, defaults=True):
            lines.setdefault(label, []).append(
                (measurement["batch"], measurement["batch"] / seconds)
            )
    for label, points in sorted(lines.items(), key=lambda line: -line[1][-1][1]):
        peer = label.split(",")[0]
        axes.plot(
            *zip(*points, strict=True), marker="o", label=label, color=color(peer),
            linestyle="-" if PEERS[peer].exact else ":", linewidth=3 if label == OURS else 1.2,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="queries per call", ylabel="queries per second")
    axes.set_xticks(
        batches := [measurement["batch"] for measurement in measurements], [str(b) for b in batches]
    )
    axes.grid(alpha=0.3)
    axes.legend(title="dotted: approximate", bbox_to_anchor=(1, 1), loc="upper left")
    return figure


def limits(measurements: list[Measurement], machine: Machine) -> Any:
    """Plot the shares of the machine's limits, of the peers that read all items."""
    import matplotlib.pyplot as plt

    figure, parts = plt.subplots(
        1, len(measurements), figsize=(5 * len(measurements), 6), sharey=True, squeeze=False
    )
    fastest = sorted(entries(measurements[-1], defaults=True), key=lambda entry: -entry[2])
    order = [label for label, entry, _ in fastest if PEERS[entry["peer"]].width]
    for measurement, axes in zip(measurements, parts[0], strict=True):
        found = {label: (entry, time) for label, entry, time in entries(measurement, defaults=True)}
        for place, limit in enumerate(LIMITS):
            shares = [
                share(measurement, *found[label], limit, machine) if label in found else 0
                for label in order
            ]
            rows = [row + 0.27 * (1 - place) for row in range(len(order))]
            axes.barh(rows, shares, height=0.25, label=limit)
        axes.set_yticks(range(len(order)), order)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set(xlabel="share of the limit", title=f"batch {measurement['batch']}")
    parts[0][-1].legend(bbox_to_anchor=(1, 1), loc="upper left")
    return figure


def share(
    measurement: Measurement, entry: dict[str, Any], seconds: float, limit: str, machine: Machine
) -> float:
    """Return the share of a limit: of products, or of bytes, each read once per call."""
    numbers = measurement["items"] * measurement["dim"] / seconds / 1e9
    amount = PEERS[entry["peer"]].width if limit == "read" else measurement["batch"]
    return float(numbers * amount / getattr(machine.limits, limit))


def recall(measurements: list[Measurement], machine: Machine) -> Any:
    """Plot time by recall: approximate peers at their settings, exact ones at recall 1."""
    import matplotlib.pyplot as plt

    figure, parts = plt.subplots(
        1, len(measurements), figsize=(5 * len(measurements), 6), squeeze=False
    )
    for measurement, axes in zip(measurements, parts[0], strict=True):
        curves: dict[str, list[tuple[float, float]]] = {}
        for _, entry, seconds in entries(measurement, defaults=False):
            ms = seconds / measurement["batch"] * 1e3
            curves.setdefault(entry["peer"], []).append((entry["recall"], ms))
        for peer, points in curves.items():
            axes.plot(
                *zip(*sorted(points), strict=True), marker="*" if peer == OURS else "o",
                label=peer, markersize=14 if peer == OURS else 5, zorder=3 if peer == OURS else 2,
                color=color(peer),
            )  # fmt: skip
        axes.set(yscale="log", xlabel="recall", title=f"batch {measurement['batch']}")
        axes.grid(alpha=0.3)
    parts[0][0].set_ylabel("milliseconds per query")
    axes.legend(bbox_to_anchor=(1, 1), loc="upper left")
    return figure


def color(peer: str) -> Any:
    """Return the color of a peer."""
    import matplotlib as mpl

    names = [name for name in PEERS if name != OURS]
    return "black" if peer == OURS else mpl.colormaps["tab20"](names.index(peer) % 20)
