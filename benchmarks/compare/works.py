"""What a work is: something that is measured beside peers."""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vecrecall.cli.bench.machine import Machine

Answer = TypeVar("Answer")

Case = dict[str, Any]
"""What was measured at one size. `work` and what else tells it from others, `peers` with what is
known of each (`seconds`: a list, a call each), and `absent` with the reasons of those that are
missing. This is what the JSON file and the targets hold."""

Run = Callable[[argparse.Namespace, Machine], Iterable[Case]]


class WorkError(Exception):
    """What was measured says nothing: the message is why. Other works can go on."""


class Work(NamedTuple):
    """`run` takes the options, prints its tables and gives its cases, one as soon as it is done."""

    about: str
    run: Run
    peers: Sequence[str]


def middle(case: Case, name: str) -> float | None:
    """The median of a peer's seconds, if it has any."""
    entry = case["peers"].get(name)
    return float(np.median(entry["seconds"])) if entry and entry["seconds"] else None


def steady(call: Callable[[], Answer], seconds: float = 0.2) -> tuple[float, Answer]:
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


def chosen(names: Sequence[str], only: Sequence[str] | None) -> list[str]:
    """Those that were asked for, ours first."""
    ours, *others = names
    return [ours, *[name for name in others if not only or name in only]]


def needed(case: Case, name: str) -> None:
    """Without our own time there is nothing to compare with."""
    if middle(case, name) is None:
        raise WorkError(f"{name}: expected times, {case['absent'].get(name, 'got none')}")


def complain(problems: Sequence[str]) -> None:
    """Times of wrong answers say nothing."""
    if problems:
        raise WorkError("\n".join(problems))
