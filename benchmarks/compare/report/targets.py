"""Targets of the library, read from targets.toml, and the results of a run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.compare.report.measures import MEASURES
from benchmarks.compare.workload import Measurement
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_suffix(".toml")
PACKAGES = (
    *("vecrecall", "faiss-cpu", "hnswlib", "usearch", "scann", "torch", "scikit-learn"),
    *("superkmeans", "polars", "ranx"),
)


class Target(NamedTuple):
    """A bound for a measure of the measurements that have all values of `where`."""

    where: dict[str, Any]
    quantity: str
    measure: str
    arguments: dict[str, Any]
    bound: float
    least: bool

    def measured(self, measurement: Measurement, machine: Machine) -> float | None:
        return MEASURES[self.measure](measurement, machine, **self.arguments)


class TargetResult(NamedTuple):
    """The result of a run. `measured` is None where a peer or a setting is missing."""

    measurement: str
    quantity: str
    measured: float | None
    target: str
    met: bool | None


def load(path: Path = FILE) -> list[Target]:
    """Read the targets; raise if an entry is incomplete or names no known measure."""
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["measurement"]
    return [read(group["where"], entry) for group in groups for entry in group["targets"]]


def read(where: dict[str, Any], entry: dict[str, Any]) -> Target:
    """Make a target of an entry of the file."""
    arguments = dict(entry)
    quantity, measure = arguments.pop("quantity"), arguments.pop("measure")
    bounds = {name: arguments.pop(name) for name in ("at_least", "at_most") if name in arguments}
    if len(bounds) != 1:
        raise ValueError(f"{quantity}: expected one of at_least and at_most, got {list(bounds)}")
    if measure not in MEASURES:
        raise ValueError(
            f"{quantity}: expected one of {', '.join(MEASURES)}, got measure {measure}"
        )
    try:
        inspect.signature(MEASURES[measure]).bind({}, None, **arguments)
    except TypeError as error:
        raise ValueError(f"{quantity}: expected the arguments of {measure}: {error}") from None
    ((kind, bound),) = bounds.items()
    return Target(where, quantity, measure, arguments, float(bound), kind == "at_least")


TARGETS = load()


def evaluate(measurements: list[Measurement], machine: Machine) -> list[TargetResult]:
    """Compare a run with the targets that it covers."""
    return [
        result(target, measurement, machine)
        for target in TARGETS
        for measurement in matching(measurements, target.where)
    ]


def matching(measurements: list[Measurement], where: dict[str, Any]) -> Iterator[Measurement]:
    for measurement in measurements:
        if all(measurement.get(name) == value for name, value in where.items()):
            yield measurement


def result(target: Target, measurement: Measurement, machine: Machine) -> TargetResult:
    measured = target.measured(measurement, machine)
    met = None
    if measured is not None:
        met = measured >= target.bound if target.least else measured <= target.bound
    bound = f"at {'least' if target.least else 'most'} {target.bound:g}"
    return TargetResult(title(target.where), target.quantity, measured, bound, met)


def title(where: dict[str, Any]) -> str:
    """Name a measurement by the values that distinguish it from others."""
    others = [
        f"{name} {value:,}" if isinstance(value, int) else f"{value}"
        for name, value in where.items()
        if name != "workload"
    ]
    return f"{where['workload']}: {', '.join(others)}"


def table(results: list[TargetResult]) -> str:
    """Return a table with the measured value, the target, and whether it was met."""
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [
        [
            row.measurement,
            row.quantity,
            "" if row.measured is None else format_number(row.measured),
            row.target,
            words[row.met],
        ]
        for row in results
    ]
    header = ["targets (2 threads, AVX-512 VNNI)", "quantity", "measured", "target", ""]
    return "\n" + markdown_table(header, rows)
