"""Peers in processes of their own, timed in turn."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# What they size their pools by; set before the processes start, which inherit them.
THREADS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
LONG = 30.0  # seconds: one timing of what takes so long says enough


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


class Turns:
    """The peers' processes, their times and answers.

    `work(name, *args, pipe)` runs in each process: it sends None when it is ready and then, for
    every True that it receives, a pair of seconds and an answer. `packages` gives, for each name,
    the package without which there is nothing to start.
    """

    def __init__(
        self, work: Callable[..., None], packages: dict[str, str], args: tuple[Any, ...]
    ) -> None:
        self.times: dict[str, list[float]] = {}
        self.answers: dict[str, Any] = {}
        self.absent: dict[str, str] = {}
        self.pipes: dict[str, Connection] = {}
        context = multiprocessing.get_context("spawn")
        for name, package in packages.items():
            if version(package) is None:
                self.absent[name] = "not installed"
                continue
            here, there = context.Pipe()
            context.Process(target=work, args=(name, *args, there), daemon=True).start()
            there.close()  # so that the end of the process is the end of the pipe
            self.pipes[name] = here
            self.ask(name, here.recv)

    def ask(self, name: str, answer: Callable[[], Any]) -> Any:
        """Wait for a peer, which may have ended."""
        try:
            return answer()
        except (EOFError, OSError):
            self.absent[name] = "failed"
            del self.pipes[name]
            return None

    def time(self, name: str) -> None:
        """One more timing, of a peer that is still there."""

        def once() -> tuple[float, Any]:
            self.pipes[name].send(True)
            timed: tuple[float, Any] = self.pipes[name].recv()
            return timed

        timed = self.ask(name, once)
        if timed is not None:
            self.times.setdefault(name, []).append(timed[0])
            self.answers[name] = timed[1]

    def measure(self, repeats: int, long: float = LONG) -> None:
        """Seconds a call, all peers in turn; once only for those that take longer than `long`."""
        for _ in range(repeats):
            for name in list(self.pipes):
                if max(self.times.get(name, [0.0])) < long:
                    self.time(name)
        for pipe in self.pipes.values():
            pipe.send(False)
