"""What a work is: something that is measured beside peers."""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vecrecall.cli.bench.machine import Machine

Answer = TypeVar("Answer")

Measurement = dict[str, Any]
"""What was measured at one size. `work` and what else tells it from others, `peers` with what is
known of each (`seconds`: a list, a call each), and `absent` with the reasons of those that are
missing. This is what the JSON file and the targets hold."""

Run = Callable[[argparse.Namespace, Machine], Iterable[Measurement]]


class WorkloadError(Exception):
    """What was measured says nothing: the message is why. Other works can go on."""


class Workload(NamedTuple):
    """`run` takes the options, prints tables and yields measurements as soon as they are done."""

    about: str
    run: Run
    peers: Sequence[str]


def median_seconds(measurement: Measurement, name: str) -> float | None:
    """The median of a peer's seconds, if it has any."""
    entry = measurement["peers"].get(name)
    return float(np.median(entry["seconds"])) if entry and entry["seconds"] else None


def time_repeatedly(call: Callable[[], Answer], seconds: float = 0.2) -> tuple[float, Answer]:
    """Time calls for so long, one at least, and give their median and the last answer.

    After the turns of others the first call finds cold caches and a slow clock, which short calls
    would be made of.
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
    """Those that were asked for, ours first."""
    ours, *others = names
    return [ours, *[name for name in others if not only or name in only]]


def require_times(measurement: Measurement, name: str) -> None:
    """Without our own time there is nothing to compare with."""
    if median_seconds(measurement, name) is None:
        raise WorkloadError(
            f"{name}: expected times, {measurement['absent'].get(name, 'got none')}"
        )


def raise_if_wrong(problems: Sequence[str]) -> None:
    """Times of wrong answers say nothing."""
    if problems:
        raise WorkloadError("\n".join(problems))
