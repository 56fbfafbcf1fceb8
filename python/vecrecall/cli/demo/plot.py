"""Plots of the channels' contributions to the merge, and of their overlap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.evaluation import CUTOFFS
from vecrecall.cli.demo.report import Report
from vecrecall.storage._figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DARK = 0.6  # above this value of the color map white text is easier to read


def save(report: Report, path: Path) -> None:
    """Write the plot as PNG.

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

    elbows = report["groups"].get("elbows", {})
    figure = Figure(figsize=(20 if elbows else 15, 7), layout="constrained")
    left, right, *third = figure.subplots(1, 3 if elbows else 2)
    for axes in third:
        _elbows(axes, elbows)
    _contribution(left, report)
    draw_overlap(right, report["overlap"])
    figure.suptitle(report["data"]["source"])
    try:
        save_figure(figure, path, "png")
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}") from error


def _elbows(axes: Axes, elbows: Report) -> None:
    for name, found in elbows.items():
        (line,) = axes.plot(found["candidates"], found["inertias"], "o-", label=name)
        axes.axvline(found["chosen"], color=line.get_color(), linestyle="--")
    axes.set_xlabel("groups of users")
    axes.set_ylabel("inertia")
    axes.set_title("The elbow (dashed: the chosen number)")
    axes.legend(frameon=False)


def _contribution(axes: Axes, report: Report) -> None:
    shares = report["contribution"]
    places = np.arange(len(shares))
    alone = np.array([share["alone"] for share in shares.values()])
    held = np.array([share["held"] for share in shares.values()])
    found = [share["found"] for share in shares.values()]
    axes.barh(places, alone, color="#1b6ca8", label="items that no other channel held")
    axes.barh(places, held - alone, left=alone, color="#a9cce3", label="items also held by others")
    axes.plot(found, places, "D", color="#c0392b", label="held-out items among them")
    axes.set_yticks(places, list(shares))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the first {max(CUTOFFS)}")
    axes.set_title(f"Share of the best merge ({report['best_merge']}) that each channel held")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=8)


def draw_overlap(axes: Axes, overlap: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the shares of lists that are also in other lists.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    overlap : mapping
        By row and column.
    """
    names = list(overlap)
    shares = np.array([[overlap[a][b] for b in names] for a in names])
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{share:.2f}",
            ha="center",
            va="center",
            color="white" if share > _DARK else "black",
        )
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_title(f"Share of a row's first {max(CUTOFFS)} that are also in the column's")
