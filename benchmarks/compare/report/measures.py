"""The figures that targets are set for: each of a measurement, on a machine.

A measure returns None where a peer or a setting that it needs is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks.compare.workload import Measurement, median_seconds
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import FORCED, OURS, RESTRICTED


def speedup(
    measurement: Measurement, machine: Machine, *, peers: Sequence[str], ours: str = OURS
) -> float | None:
    """Return the time of the fastest of these peers divided by ours; all must be there."""
    found = [median_seconds(measurement, name) for name in peers]
    unrestricted = RESTRICTED.get(ours) == machine.isa
    own = median_seconds(measurement, OURS if unrestricted else ours)
    if own is None or any(seconds is None for seconds in found):
        return None
    return min(seconds for seconds in found if seconds is not None) / own


def _over_fastest(measurement: Measurement, names: Iterable[str]) -> float | None:
    """Return the time of the fastest peer that was measured divided by ours."""
    times = (median_seconds(measurement, name) for name in names)
    found = [seconds for seconds in times if seconds is not None]
    own = median_seconds(measurement, OURS)
    return min(found) / own if found and own is not None else None


def speedup_over_exact(measurement: Measurement, machine: Machine) -> float | None:
    """Return the time of the fastest exact peer divided by ours."""
    others = [
        name
        for name, entry in measurement["peers"].items()
        if entry["exact"] and name != OURS and name not in FORCED
    ]
    return _over_fastest(measurement, others)


def speedup_over_approximate(measurement: Measurement, machine: Machine) -> float | None:
    """Return the time of the fastest approximate peer divided by ours."""
    others = [
        name for name, entry in measurement["peers"].items() if not entry["exact"] and name != OURS
    ]
    return _over_fastest(measurement, others)


def speedup_over_all(measurement: Measurement, machine: Machine) -> float | None:
    """Return the time of the fastest peer divided by ours."""
    others = [name for name in measurement["peers"] if name != OURS and name not in FORCED]
    return _over_fastest(measurement, others)


def speedup_at_recall(
    measurement: Measurement, machine: Machine, *, peer: str, recall: float
) -> float | None:
    """Return a peer's time at this recall divided by ours, interpolated between settings."""
    points = sorted(
        (entry["recall"], seconds)
        for label, entry in measurement["peers"].items()
        if entry["peer"] == peer and (seconds := median_seconds(measurement, label)) is not None
    )
    own = median_seconds(measurement, OURS)
    if own is None or not points or not points[0][0] <= recall <= points[-1][0]:
        return None
    recalls, times = zip(*points, strict=True)
    return float(np.interp(recall, recalls, times)) / own


def share_of_limit(measurement: Measurement, machine: Machine, *, limit: str) -> float | None:
    """Return our products per second divided by the most that the machine can compute."""
    seconds = median_seconds(measurement, OURS)
    if seconds is None:
        return None
    size: float = measurement["items"] * measurement["dim"] * measurement["batch"]
    return size / seconds / 1e9 / float(getattr(machine.limits, limit))


def share_of_read_rate(measurement: Measurement, machine: Machine) -> float | None:
    """Return the rate at which we read the codes, a byte each, divided by the machine's."""
    seconds = median_seconds(measurement, OURS)
    if seconds is None:
        return None
    size: float = measurement["items"] * measurement["dim"]
    return size / seconds / 1e9 / machine.limits.read


def time(
    measurement: Measurement,
    machine: Machine,
    *,
    entry: str = OURS,
    per: str = "",
    unit: float = 1.0,
) -> float | None:
    """Return a time times `unit`, divided by the value that `per` names, if it names one."""
    seconds = median_seconds(measurement, entry)
    return None if seconds is None else seconds / (measurement[per] if per else 1) * unit


def value(measurement: Measurement, machine: Machine, *, name: str) -> float | None:
    """Return a value of the measurement itself."""
    return float(measurement[name])


def relative_inertia(measurement: Measurement, machine: Machine) -> float | None:
    """Return our inertia divided by the least of the others."""
    found = {name: entry["inertia"] for name, entry in measurement["peers"].items()}
    others = [inertia for name, inertia in found.items() if name != OURS]
    return float(found[OURS] / min(others)) if others and OURS in found else None


MEASURES: dict[str, Callable[..., float | None]] = {
    measure.__name__: measure
    for measure in (
        *(
            speedup,
            speedup_over_exact,
            speedup_over_approximate,
            speedup_over_all,
            speedup_at_recall,
        ),
        *(share_of_limit, share_of_read_rate, time, value, relative_inertia),
    )
}
