"""A workload: something that is measured for vecrecall and its peers."""

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vecrecall.cli.bench.machine import Machine

Answer = TypeVar("Answer")

Measurement = dict[str, Any]
"""The measurement of a workload at one size, as in the JSON file: `workload` and the values that
distinguish it from others, `peers` with the results of each (`seconds` is a list with an entry per
call), and `absent` with the reasons of missing peers."""

Run = Callable[[argparse.Namespace, Machine], Iterable[Measurement]]


class WorkloadError(Exception):
    """A measurement is meaningless, for the reason in the message. Other workloads can continue."""


class Workload(NamedTuple):
    """`run` takes the options, prints tables and yields measurements as soon as they are done."""

    about: str
    run: Run
    peers: Sequence[str]


def is_missing(workload: str, modules: Iterable[str]) -> bool:
    """Return whether a module that a workload needs is missing; say which."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        print(f"\n{workload}: not installed ({', '.join(absent)})")
    return bool(absent)


def median_seconds(measurement: Measurement, name: str) -> float | None:
    """Return the median of a peer's seconds, if it has any."""
    entry = measurement["peers"].get(name)
    return float(np.median(entry["seconds"])) if entry and entry["seconds"] else None


def time_repeatedly(call: Callable[[], Answer], seconds: float = 0.2) -> tuple[float, Answer]:
    """Time calls for `seconds`, at least one; return their median and the last answer.

    After the timings of other peers the first call finds cold caches and a slow clock, which would
    dominate the time of a short call.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while True:
        start = time.perf_counter()
        answer = call()
        end = time.perf_counter()
        times.append(end - start)
        if end - begin >= seconds:
            return float(np.median(times)), answer


def select_peers(names: Sequence[str], only: Sequence[str] | None) -> list[str]:
    """Return the selected names, ours first."""
    ours, *others = names
    return [ours, *[name for name in others if not only or name in only]]


def require_times(measurement: Measurement, name: str) -> None:
    """Raise if there is no time to compare with."""
    if median_seconds(measurement, name) is None:
        raise WorkloadError(
            f"{name}: expected times, {measurement['absent'].get(name, 'got none')}"
        )


def raise_if_wrong(problems: Sequence[str]) -> None:
    """Raise if answers are wrong, since their times are meaningless."""
    if problems:
        raise WorkloadError("\n".join(problems))
