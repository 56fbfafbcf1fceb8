"""The printed report: a table of the points of each axis, and the exponents of growth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scaling.points import AXES, Point

Record = dict[str, Any]  # axis, value, name, point, seconds, memory, limits
WORSE, CLIFF = 0.1, 0.4  # excess over the expected exponent: over all points, over one step


class Growth(NamedTuple):
    """Exponents: of all points, by a line through the logarithms, of the upper half, of a step."""

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
    """Return the records of one axis, in order."""
    found = [r for r in records if r["axis"] == axis and r["name"] == name]
    return sorted(found, key=lambda record: record["value"])


def median(record: Record) -> float:
    return float(np.median(record["seconds"]))


def share(record: Record) -> float:
    """Return the least time that the limits allow, divided by the measured time."""
    return Point(**record["point"]).limit_seconds(record["limits"]) / median(record)


def normalized_seconds(record: Record) -> float:
    """Return the time scaled to an int8 limit of 500 billion per second and thread.

    The limit is measured at each point, since the speed of a shared machine changes between points.
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
    numpy_medians = {r["value"]: median(r) for r in of_axis(records, axis, "numpy")}
    for record in found:
        point, seconds = Point(**record["point"]), record["seconds"]
        binds = point.binds(record["limits"])
        numpy = numpy_medians.get(record["value"])
        lines.append(
            f"| {record['value']:,} | {median(record) * 1e3:.3f} "
            f"| {min(seconds) * 1e3:.3f} to {max(seconds) * 1e3:.3f} "
            f"| {f'{share(record):.2f} ({binds})' if binds else ''} "
            f"| {record['memory'] / 1e6:.1f} | {record['memory'] / point.data_bytes():.2f} "
            f"| {'' if numpy is None else f'{numpy / median(record):.1f}'} |"
        )
    return "\n".join(lines)


def worse(grown: Growth, expected: float) -> set[str]:
    """Return which of the exponents are larger than expected."""
    found = set()
    if max(grown.whole, grown.upper) > expected + WORSE:
        found.add("exponent")
    if grown.steepest > expected + CLIFF:
        found.add("step")
    return found


def growth_table(records: list[Record]) -> str:
    """Make a table of the exponents of each axis.

    An exponent is reported as worse only if both the measured and the scaled time grow faster than
    expected, since a change of the machine's speed affects one of them.
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
