"""README's chart: how many times as long exact searches of others take."""

from __future__ import annotations

from pathlib import Path

from benchmarks.compare.workload import Measurement, median_seconds
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import FORCED, OURS, PEERS

SHOWN = {"workload": "search", "data": "gaussian-64", "k": 100, "batch": 256}
COLORS = {True: "#2b6cb0", False: "#a0aec0"}


def draw(measurements: list[Measurement], machine: Machine, path: Path) -> bool:
    """Write the chart; return whether there is something to show."""
    some = [m for m in measurements if all(m.get(name) == value for name, value in SHOWN.items())]
    own = median_seconds(some[-1], OURS) if some else None
    if own is None:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    last = some[-1]
    times = {
        label: seconds / own
        for label, entry in last["peers"].items()
        if PEERS[entry["peer"]].exact and entry["peer"] not in FORCED
        if (seconds := median_seconds(last, label)) is not None
    }
    labels = sorted(times, key=lambda label: -times[label])
    figure, axes = plt.subplots(figsize=(8, 0.3 * len(labels) + 0.6))
    bars = axes.barh(
        labels,
        [times[label] for label in labels],
        color=[COLORS[label == OURS] for label in labels],
    )
    axes.bar_label(bars, [f"{times[label]:.3g}x" for label in labels], padding=3)
    size = f"top-{last['k']} of {last['items']:,} x {last['dim']}, batch {last['batch']}"
    axes.set(xscale="log", xlim=(0.8, 1.8 * max(times.values())))
    axes.set_xlabel(f"times the time of vecrecall, {size} (log scale)\n{machine.model}, "
                    f"{machine.isa}, {machine.threads} threads")  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)
    return True
