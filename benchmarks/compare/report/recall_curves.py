"""Plots of the work `ivf`: recall against time, one file per data set."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.compare.workload import Measurement, median_seconds
from benchmarks.compare.workloads.ivf_peers import FLAT, PEERS
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS

PANEL = (4.5, 3.6)  # inches


def draw(measurements: list[Measurement], machine: Machine, folder: Path) -> None:
    """Write a PNG file per data set, with a row of panels per k and filter, one for each batch."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    for data, group in groupby(curves(measurements), key=lambda found: found["data"]):
        some = list(group)
        figure = panels(some)
        size = f"{some[0]['items']:,} x {some[0]['dim']} ({data})"
        figure.suptitle(f"{size}\n{machine.model}, {machine.isa}, {machine.threads} threads")
        figure.savefig(folder / f"recall-time-{data}.png", dpi=60, bbox_inches="tight")


def curves(measurements: list[Measurement]) -> list[Measurement]:
    """Return the measurements at a recall; those of builds have none."""
    return [found for found in measurements if found["workload"] == "ivf" and "recall" in found]


def panels(measurements: list[Measurement]) -> Any:
    """Plot the curves of one data set."""
    import matplotlib.pyplot as plt

    rows = list(dict.fromkeys((found["k"], found["filter"]) for found in measurements))
    batches = list(dict.fromkeys(found["batch"] for found in measurements))
    size = (PANEL[0] * len(batches), PANEL[1] * len(rows))
    figure, axes = plt.subplots(
        len(rows), len(batches), figsize=size, squeeze=False, layout="constrained"
    )
    for line, (k, kind) in zip(axes, rows, strict=True):
        for panel, batch in zip(line, batches, strict=True):
            some = [
                m for m in measurements if (m["k"], m["filter"], m["batch"]) == (k, kind, batch)
            ]
            for peer, points in points_of(some).items():
                ours = peer == OURS
                panel.plot(
                    *zip(*points, strict=True), label=peer, color=color(peer),
                    marker="*" if ours else "s" if peer == FLAT else "o",
                    markersize=11 if ours else 5, zorder=3 if ours else 2,
                )  # fmt: skip
            filtered = "" if kind == "none" else f", {kind}"
            panel.set(xlabel="recall", yscale="log", title=f"top-{k}{filtered}, batch {batch}")
            panel.grid(alpha=0.3)
        line[0].set_ylabel("milliseconds per query")
    named = [panel.get_legend_handles_labels() for panel in axes.flat]
    shown = {label: line for lines in named for line, label in zip(*lines, strict=True)}
    axes[0][-1].legend(
        shown.values(), shown.keys(), bbox_to_anchor=(1, 1), loc="upper left"
    )  # also of a peer that is in some panels only
    return figure


def points_of(measurements: list[Measurement]) -> dict[str, list[tuple[float, float]]]:
    """Return the recall and the milliseconds per query of each peer, by recall."""
    found: dict[str, set[tuple[float, float]]] = {}
    for measurement in measurements:
        for name, entry in measurement["peers"].items():
            if (seconds := median_seconds(measurement, name)) is not None:
                ms = seconds / measurement["batch"] * 1e3
                found.setdefault(name, set()).add((entry["recall"], ms))
    return {name: sorted(points) for name, points in found.items()}


def color(peer: str) -> Any:
    """Return the color of a peer."""
    import matplotlib as mpl

    others = [name for name in PEERS if name != OURS]
    return "black" if peer == OURS else mpl.colormaps["tab10"](others.index(peer))
