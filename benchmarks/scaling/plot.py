"""Plots with a column per axis, and rows for time, share of the limit, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.scaling.points import AXES, Point
from benchmarks.scaling.report import Record, growth, median, of_axis, share


def plot(records: list[Record], folder: Path) -> list[Path]:
    """Write a figure of searches, and one of all other workloads."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    searches = [axis for axis, about in AXES.items() if about.base.workload == "search"]
    figures = {"search": searches, "others": [axis for axis in AXES if axis not in searches]}
    written = []
    for name, axes in figures.items():
        there = [axis for axis in axes if len(of_axis(records, axis)) > 1]
        if there:
            written.append(folder / f"scaling-{name}.png")
            figure(records, there, written[-1])
    return written


def figure(records: list[Record], axes: list[str], path: Path) -> None:
    import matplotlib.pyplot as plt

    fig, panels = plt.subplots(
        3, len(axes), figsize=(3.2 * len(axes), 8), squeeze=False, layout="constrained"
    )
    for column, axis in enumerate(axes):
        found = of_axis(records, axis)
        time_panel(panels[0][column], records, axis)
        values = [r["value"] for r in found]
        point = Point(**found[0]["point"])
        shares, memory = panels[1][column], panels[2][column]
        if point.binds(found[0]["limits"]):
            shares.plot(values, [share(r) for r in found], marker="o", markersize=3)
            shares.set_ylim(bottom=0)
        else:
            shares.text(0.5, 0.5, "no limit applies", ha="center", transform=shares.transAxes)
        megabytes = [r["memory"] / 1e6 for r in found]
        memory.plot(values, megabytes, marker="o", markersize=3)
        scale_y(memory, megabytes)
        for panel in panels[:, column]:
            scale_x(panel, values)
            panel.grid(visible=True, alpha=0.3)
        memory.set_xlabel(label_of(axis))
    for row, label in enumerate(("milliseconds", "share of the limit", "MB beyond the data")):
        panels[row][0].set_ylabel(label)
    fig.savefig(path, dpi=80)
    plt.close(fig)


def time_panel(panel: Any, records: list[Record], axis: str) -> None:
    """Plot times, with the least that the limits allow and those of NumPy."""
    found = of_axis(records, axis)
    values, times = [r["value"] for r in found], [median(r) for r in found]
    panel.plot(values, [t * 1e3 for t in times], marker="o", markersize=3, label="vecrecall")
    least = [Point(**r["point"]).limit_seconds(r["limits"]) * 1e3 for r in found]
    if all(least):
        panel.plot(values, least, linestyle=":", color="gray", label="limit")
    of_numpy = of_axis(records, axis, "numpy")
    if of_numpy:
        x = [r["value"] for r in of_numpy]
        panel.plot(x, [median(r) * 1e3 for r in of_numpy], marker=".", alpha=0.6, label="NumPy")
    scale_y(panel, times)
    slope = growth(values, times).whole
    panel.set_title(
        f"{AXES[axis].base.workload}, by {label_of(axis)}: exponent {slope:.2f}", fontsize=9
    )
    panel.legend(fontsize=7)


def label_of(axis: str) -> str:
    about = AXES[axis]
    return about.field + (", batch 1" if about.base.batch == 1 else "")


def scale_x(panel: Any, values: Sequence[float]) -> None:
    """Scale logarithmically, with ticks at powers of two over a short range."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    if max(values) >= 50 * min(values):
        panel.set_xscale("log")
        return
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def scale_y(panel: Any, values: Sequence[float]) -> None:
    """Scale logarithmically over decades, otherwise linearly from zero."""
    if max(values) < 8 * min(values):
        panel.set_ylim(bottom=0)
    else:
        panel.set_yscale("log")
