"""The waits of small requests: ``python -m benchmarks.serve.load``.

Small requests come at random times, at 70 % of what the service can do: by themselves, and while
others send large requests and updates, publish other artifacts, leave before they are answered, or
stall. A shared machine changes its speed, so what the service can do is measured before each round
and after it. Where these differ by more than 15 %, the load was not the wanted one: the round does
not count, nor does one whose publication did not end in it, and another is measured, at most as
many again. The exit code is 1 if, by the median of the rounds that count, the 99th percentile is
more than three times as long, if no large request is answered in one of them, if less than half of
all rounds count, if `/healthz` takes 100 ms or more in any round, or if an answer is not right;
with ``--quick``, for that alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.serve import disturb
from benchmarks.serve.clients import (
    Answered,
    closed_loop,
    get,
    open_loop,
    percentiles,
    running,
    small_requests,
    write_service,
)

T = TypeVar("T")
SHARE = 0.7
QUICK_SHARE = 0.2  # on a machine that others use
SAME = 0.85  # of what the service can do at the other end of a round that counts, at least
MOST_RATIO = 3.0
MOST_HEALTH = 0.1
QUICK = {"items": 2000, "seconds": 2.0, "rounds": 1}
PAUSE = 2.5  # seconds until stalled clients are cut off
MOST_SECONDS = 5.0  # until nothing waits
OTHERS = 2  # processes of clients that disturb, and that probe
BEGIN_SECONDS = 1.0  # so long that both begin
BURSTS, BURST_SECONDS = 3, 0.7  # that measure what the service can do


def main() -> int:
    """Measure, and say whether it is as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve.load",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=100, help="of small requests")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="few items; only answers count, no times"
    )
    options = parser.parse_args()
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_service(folder, options.items, options.dim)
        other = folder / "other"
        other.mkdir()
        write_service(other, options.items, options.dim, seed=9)
        answers = Answers([folder / "index", other / "index"], options)
        command = ["-m", "vecrecall", "serve", "--config", str(config)]
        with (
            running(command, "/readyz") as port,
            ProcessPoolExecutor(OTHERS, get_context("spawn")) as others,
        ):
            # They begin now, and not while anything is measured.
            list(others.map(time.sleep, [BEGIN_SECONDS] * OTHERS))
            gc.collect()
            gc.freeze()
            gc.disable()  # a pause would count as one of the service
            load = Load(port, other / "service.toml", options, answers, others)
            planned = 2 * options.rounds * (2 * options.seconds + BURSTS * BURST_SECONDS + PAUSE)
            try:
                asyncio.run(asyncio.wait_for(load.measure(), 120 + 3 * planned))
                _check_the_end(port)
            except disturb.LoadError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
    return load.report()


@dataclass(frozen=True)
class Round:
    """The figures of a round.

    Attributes
    ----------
    before, after : float
        Requests per second that there can be.
    counts : bool
        Whether the load was the wanted one.
    quiet, disturbed : (float, float)
        The median and the 99th percentile of the waits, in milliseconds.
    done : dict of str to int
        Counts of what disturbed.
    """

    before: float
    after: float
    counts: bool
    quiet: tuple[float, float]
    disturbed: tuple[float, float]
    done: dict[str, int]

    @property
    def ratio(self) -> float:
        """How many times as long small requests wait next to others."""
        return self.disturbed[1] / self.quiet[1]

    def __str__(self) -> str:
        some = ", ".join(f"{count} {name}" for name, count in self.done.items())
        return (
            f"of {self.before:.0f} req/s, then {self.after:.0f}, p99 {self.quiet[1]:.1f} ms, next "
            f"to others {self.disturbed[1]:.1f} ms: {self.ratio:.2f} times ({some})"
            + ("" if self.counts else "; does not count")
        )


@dataclass
class Load:
    """Small requests by themselves, and next to others.

    Attributes
    ----------
    port : int
    other : Path
        The configuration that is published.
    options : Namespace
    answers : Answers
    others : ProcessPoolExecutor
    rounds : list of Round
    health : list of float
        Seconds that `/healthz` took.
    """

    port: int
    other: Path
    options: argparse.Namespace
    answers: Answers
    others: ProcessPoolExecutor
    rounds: list[Round] = field(default_factory=list)
    health: list[float] = field(default_factory=list)

    async def measure(self) -> None:
        """Measure in turns."""
        options = self.options
        capacity = await self._capacity(await self._burst(1))  # the first one of a new service
        while len(self._counted) < options.rounds and len(self.rounds) < 2 * options.rounds:
            before = capacity
            n = len(self.rounds)
            rate = (QUICK_SHARE if options.quick else SHARE) * before
            quiet = await self._small(rate, n)
            disturbing = self._elsewhere(disturb.run, self.other, options.dim, options.seconds)
            probing = self._elsewhere(disturb.probe, options.seconds)
            disturbed = await self._small(rate, n)
            done = await disturbing
            self.answers.check_large(done.large)
            self.health += await probing
            await asyncio.sleep(PAUSE)
            capacity = await self._capacity(before)
            same = SAME <= capacity / before <= 1 / SAME
            counts = options.quick or (same and bool(done.counts["published"]))
            self.rounds.append(Round(before, capacity, counts, quiet, disturbed, done.counts))
            print(f"round {n + 1}: {self.rounds[-1]}", flush=True)
            if not done.counts["updates"]:
                raise disturb.LoadError("no update was acknowledged")

    def _elsewhere(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.others, partial(work, self.port, *arguments))

    @property
    def _counted(self) -> list[Round]:
        return [one for one in self.rounds if one.counts]

    async def _small(self, rate: float, seed: int) -> tuple[float, float]:
        """Send small requests; returns the median and the 99th percentile of their waits."""
        bodies, seconds = self.answers.bodies, self.options.seconds
        waits, kept = await open_loop(self.port, disturb.PATH, bodies, rate, seconds, seed)
        self.answers.check(kept)
        return percentiles(waits)

    async def _capacity(self, before: float) -> float:
        """Measure how many requests per second there can be; about as many as before."""
        times = max(1, round(BURST_SECONDS * before / len(self.answers.bodies)))
        return median([await self._burst(times) for _ in range(BURSTS)])

    async def _burst(self, times: int) -> float:
        bodies = self.answers.bodies * times
        _, _, seconds = await closed_loop(self.port, disturb.PATH, bodies, 64)
        return len(bodies) / seconds

    def report(self) -> int:
        """Print the figures; returns the exit code."""
        options, counted = self.options, self._counted
        slowest = max(self.health)
        print(f"top-{options.k} of {options.items:,} x {options.dim}, medians of the rounds")
        if len(counted) < len(self.rounds):
            of_all = median([one.ratio for one in self.rounds])
            print(f"{len(counted)} of {len(self.rounds)} rounds count; of all, {of_all:.2f} times")
        print(f"/healthz        max {1e3 * slowest:7.1f} ms of {len(self.health)}")
        if 2 * len(counted) < len(self.rounds):
            print("error: the speed of the machine, or of the service, changes", file=sys.stderr)
            return 1
        ratio = median([one.ratio for one in counted])
        for name, of in (
            ("by themselves ", [one.quiet for one in counted]),
            ("next to others", [one.disturbed for one in counted]),
        ):
            p50, p99 = (median(column) for column in zip(*of, strict=True))
            print(f"{name}  p50 {p50:7.1f} ms   p99 {p99:7.1f} ms")
        print(f"p99 {ratio:.2f} times")
        starved = not all(one.done["large"] for one in counted)
        bad = ratio > MOST_RATIO or slowest >= MOST_HEALTH or starved
        return int(bool(bad) and not options.quick)


class Answers:
    """The requests, and what right answers to them are: of the first artifacts, or the others.

    Items that were added may be among those of an answer.
    """

    def __init__(self, folders: Sequence[Path], options: argparse.Namespace) -> None:
        self.bodies = small_requests(500, options.dim, options.k, "recall")
        small = [json.loads(body) for body in self.bodies]
        vectors = np.array([body["vectors"]["user"][0] for body in small], np.float32)
        seen = [body["seen"][0] for body in small]
        large = np.array(disturb.large_vectors(options.dim), np.float32)
        indexes = [vr.FlatIndex.load(folder) for folder in folders]
        self._small = [index.search(vectors, options.k, exclude=seen).ids for index in indexes]
        self._large = [index.search(large, disturb.LARGE_K).ids for index in indexes]

    def check(self, kept: Sequence[Answered]) -> None:
        """Check answers to small requests."""
        for place, reply in kept:
            _check(json.loads(reply)["items"], [ids[place : place + 1] for ids in self._small])

    def check_large(self, replies: Sequence[bytes]) -> None:
        """Check answers to large requests."""
        for reply in replies:
            _check(json.loads(reply)["items"], self._large)


def _check(items: list[list[int]], right: Sequence[npt.NDArray[np.int64]]) -> None:
    """Compare lists with those of the artifacts that they may be of."""

    def fit(lists: npt.NDArray[np.int64]) -> bool:
        for row, own in zip(items, lists.tolist(), strict=True):
            known = [item for item in row if item < disturb.NEW]
            if len(set(row)) != len(own) or known != own[: len(known)]:
                return False
        return True

    if not any(map(fit, right)):
        raise disturb.LoadError(f"an answer is not right: {items}")


def _check_the_end(port: int) -> None:
    """Check that nothing waits any more, and that no request has failed."""
    late = time.monotonic() + MOST_SECONDS
    while True:
        _, text = get(port, "/metrics", MOST_SECONDS)
        counted = re.findall(r'^vecrecall_requests_total\{.*status="5..".*', text, re.MULTILINE)
        failed = [line for line in counted if "/readyz" not in line]  # before the service was
        if failed:
            raise disturb.LoadError(f"requests have failed: {failed}")
        if re.search(r"^vecrecall_queue_requests 0\.0$", text, re.MULTILINE):
            return
        if time.monotonic() > late:
            raise disturb.LoadError("requests wait after their clients have gone")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
