"""What is printed: a table of the points of each axis, and how time and memory grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scaling.points import AXES, Point

Record = dict[str, Any]  # axis, value, name, point, seconds, memory, limits
WORSE, CLIFF = 0.1, 0.4  # exponents beyond what is expected: over all points, over one step


class Growth(NamedTuple):
    """Exponents: a straight line through the logarithms, its upper half, the steepest step."""

    whole: float
    upper: float
    steepest: float
    step: tuple[int, int]


def growth(values: Sequence[int], figures: Sequence[float]) -> Growth:
    x, y = np.log(values), np.log(figures)
    half = len(x) // 2 if len(x) > 2 else 0
    steps = np.diff(y) / np.diff(x)
    place = int(steps.argmax())
    return Growth(
        float(np.polyfit(x, y, 1)[0]),
        float(np.polyfit(x[half:], y[half:], 1)[0]),
        float(steps[place]),
        (values[place], values[place + 1]),
    )


def of_axis(records: list[Record], axis: str, name: str = "vecrecall") -> list[Record]:
    """Give the records of one axis, in order."""
    found = [r for r in records if r["axis"] == axis and r["name"] == name]
    return sorted(found, key=lambda record: record["value"])


def median(record: Record) -> float:
    return float(np.median(record["seconds"]))


def share(record: Record) -> float:
    """The least time that the limits allow, divided by the time taken."""
    return Point(**record["point"]).limit_seconds(record["limits"]) / median(record)


def normalized_seconds(record: Record) -> float:
    """The time if a thread's int8 rate were 500 billion a second.

    It is measured beside each point. A shared machine's speed changes between points, which is no
    growth.
    """
    return median(record) * record["limits"]["int8"] / record["point"]["threads"] / 500


def points_table(records: list[Record], axis: str) -> str:
    found = of_axis(records, axis)
    base = Point(**found[0]["point"])._asdict()
    field = AXES[axis].field
    others = ", ".join(f"{f} {v}" for f, v in base.items() if f not in ("workload", field) and v)
    lines = [
        f"\n{base['workload']}, by {field}: {others}\n",
        f"| {field} | milliseconds | spread | of the limit | memory beyond the data, MB "
        "| times the data | NumPy, times ours |",
        "|---|---|---|---|---|---|---|",
    ]
    beside = {r["value"]: median(r) for r in of_axis(records, axis, "numpy")}
    for record in found:
        point, seconds = Point(**record["point"]), record["seconds"]
        binds = point.binds(record["limits"])
        numpy = beside.get(record["value"])
        lines.append(
            f"| {record['value']:,} | {median(record) * 1e3:.3f} "
            f"| {min(seconds) * 1e3:.3f} to {max(seconds) * 1e3:.3f} "
            f"| {f'{share(record):.2f} ({binds})' if binds else ''} "
            f"| {record['memory'] / 1e6:.1f} | {record['memory'] / point.data_bytes():.2f} "
            f"| {'' if numpy is None else f'{numpy / median(record):.1f}'} |"
        )
    return "\n".join(lines)


def worse(grown: Growth, expected: float) -> set[str]:
    """Name what grows faster than expected."""
    found = set()
    if max(grown.whole, grown.upper) > expected + WORSE:
        found.add("exponent")
    if grown.steepest > expected + CLIFF:
        found.add("step")
    return found


def growth_table(records: list[Record]) -> str:
    """Exponents of each axis.

    Told as worse is what is so in time as taken and at the machine's speed measured beside it:
    either alone may be the machine's.
    """
    lines = [
        "\nTime grows as a power of the axis:\n",
        "| axis | expected at most | exponent | upper half | steepest step "
        "| exponent at constant speed | worse than expected |",
        "|---|---|---|---|---|---|---|",
    ]
    for axis, about in AXES.items():
        found = of_axis(records, axis)
        if len(found) < 2:
            continue
        values = [r["value"] for r in found]
        taken = growth(values, [median(r) for r in found])
        scaled = growth(values, [normalized_seconds(r) for r in found])
        reported = worse(taken, about.exponent) & worse(scaled, about.exponent)
        lines.append(
            f"| {axis} | {about.exponent:g} | {taken.whole:.2f} | {taken.upper:.2f} "
            f"| {taken.steepest:.2f} ({taken.step[0]:,} to {taken.step[1]:,}) "
            f"| {scaled.whole:.2f} | {', '.join(sorted(reported))} |"
        )
    return "\n".join(lines)
