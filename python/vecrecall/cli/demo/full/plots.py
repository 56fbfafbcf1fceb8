"""Plots of the full demo: recall by channel, overlap of channels, training curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecrecall.cli.demo import DemoError, plot
from vecrecall.cli.demo.full.report import LAST
from vecrecall.cli.demo.report import Report
from vecrecall.storage._figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save(report: Report, path: Path) -> None:
    """Write the plots as one PNG.

    Parameters
    ----------
    report : dict
        With the keys of `keys.KEYS`.
    path : Path

    Raises
    ------
    DemoError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure  # not pyplot, which has windows and global state

    figure = Figure(figsize=(26, 18), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(2, 3), height_ratios=(3, 1))
    _recall(figure.add_subplot(grid[0, 0]), report)
    plot.draw_overlap(figure.add_subplot(grid[0, 1]), report["overlap"])
    _curves(figure.add_subplot(grid[1, 0]), report, "losses", "loss, relative to the first epoch's")
    _curves(figure.add_subplot(grid[1, 1]), report, "validations", "validation (larger is better)")
    figure.suptitle(report["data"]["source"])
    try:
        save_figure(figure, path, "png")
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}") from error


def _recall(axes: Axes, report: Report) -> None:
    best = report["best_merge"]
    rows = {**report["channels"], f"{best} of all": report["merges"][best]}
    names = sorted(rows, key=lambda name: rows[name]["recall"][LAST])
    places = np.arange(len(names))
    values = [rows[name]["recall"][LAST] for name in names]
    errors = [rows[name]["recall_se"][LAST] for name in names]
    axes.barh(places, values, xerr=errors, color="#a9cce3", ecolor="#1b6ca8", capsize=2)
    axes.axvline(report["channels"]["popularity"]["recall"][LAST], color="#c0392b", linestyle="--")
    axes.set_yticks(places, names)
    axes.set_xlabel(f"recall@{LAST} ± standard error over users (dashed: popularity)")
    axes.set_title("Recall by channel")


def _curves(axes: Axes, report: Report, key: str, label: str) -> None:
    for name, family in report["families"].items():
        values = np.array(family[key], np.float64)
        if values.size > 1:
            shown = values / values[0] if key == "losses" and values[0] else values
            axes.plot(np.arange(1, values.size + 1), shown, "o-", markersize=3, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_title("Training")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, ncols=2, fontsize=8)
