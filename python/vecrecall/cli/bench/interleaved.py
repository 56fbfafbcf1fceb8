"""Peers in processes of their own, timed in turn.

In one process the thread pools of BLAS, OpenMP and torch disturb each other; one after the other,
a machine that changes its clock meanwhile would favor some.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from vecrecall.cli._progress import Progress
from vecrecall.cli.bench.machine import version

# What libraries size their pools by, when they are loaded.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("POLARS_MAX_THREADS", "VECRECALL_NUM_THREADS"),
)
LONG = 30.0  # seconds: one timing of what takes so long says enough
LIMIT = 600.0  # seconds that a peer has for one answer
PAUSE = 0.1  # seconds before a timing: threads of OpenBLAS spin for 0.07 s after a call
NOT_INSTALLED = "not installed"


class _Failed(NamedTuple):
    """What a process sends instead of an answer."""

    reason: str


class InterleavedRunner:
    """The peers' processes, their times and answers.

    Parameters
    ----------
    worker : callable
        ``worker(name, *args, pipe)`` runs in each process. It sends what it likes once it is ready
        and then, for every task that it receives, a pair of seconds and an answer, until it
        receives False. What it raises is the reason why the peer failed.
    packages : dict
        For each name the package without which there is nothing to start; "" for none.
    args : tuple
    threads : int, optional
        How many the libraries' pools have from their start.
    environment : dict, optional
        Environment variables of a name's process.
    limit : float, default: 600
        Seconds that a peer has to get ready, and for an answer; then its process is ended.
    progress : Progress, optional

    Attributes
    ----------
    ready : dict
        What each peer sent when it was ready.
    times : dict
        Lists of seconds, of the last tasks.
    answers : dict
        The last ones.
    absent : dict
        Why a peer is missing.
    pipes : dict
        To the processes that are still there.
    limit : float
    """

    def __init__(
        self,
        worker: Callable[..., None],
        packages: Mapping[str, str],
        args: tuple[Any, ...],
        *,
        threads: int | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        limit: float = LIMIT,
        progress: Progress | None = None,
    ) -> None:
        self.ready: dict[str, Any] = {}
        self.times: dict[str, list[float]] = {}
        self.answers: dict[str, Any] = {}
        self.absent: dict[str, str] = {}
        self.pipes: dict[str, Connection] = {}
        self._processes: dict[str, SpawnProcess] = {}
        self.limit = limit
        self._progress = progress or Progress()
        self._folder = tempfile.TemporaryDirectory(prefix="vecrecall-bench-")
        for place, (name, package) in enumerate(packages.items(), 1):
            if version(package) is None:
                self.absent[name] = NOT_INSTALLED
                continue
            variables = dict.fromkeys(THREADS, str(threads)) if threads else {}
            variables.update((environment or {}).get(name, {}))
            with self._progress.step(f"building {name} ({place} of {len(packages)})"):
                self._start(worker, name, args, variables)

    def _start(
        self,
        worker: Callable[..., None],
        name: str,
        args: tuple[Any, ...],
        variables: dict[str, str],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(
            target=_serve, args=(worker, name, args, self._log(name), there), daemon=True
        )
        with _environment(variables):
            process.start()
        there.close()  # so that the end of the process is the end of the pipe
        self.pipes[name], self._processes[name] = here, process
        answer = self._receive(name, "getting ready")
        if name in self.pipes:
            self.ready[name] = answer

    def __enter__(self) -> InterleavedRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def run(
        self,
        tasks: Mapping[str, tuple[str, Any]],
        repeats: int,
        *,
        long: float = LONG,
        title: str = "",
    ) -> None:
        """Time tasks in turn; their times and answers take the place of those before.

        Parameters
        ----------
        tasks : dict
            By label: the name of the peer that has to do it, and what it is sent.
        repeats : int
            How many turns there are.
        long : float, default: 30
            What takes longer, in seconds, is timed once only.
        title : str, default: ""
            For the progress.
        """
        self.times, self.answers = {}, {}
        for turn in range(1, repeats + 1):
            text = f"{title}: turn {turn} of {repeats}" if title else f"turn {turn} of {repeats}"
            with self._progress.step(text, len(tasks)) as step:
                for label, (name, task) in tasks.items():
                    if name in self.pipes and max(self.times.get(label, [0.0])) < long:
                        step.detail(label)
                        self.time(name, task, label)
                    step.advance()
        self._progress.close()

    def time(self, name: str, task: Any = True, label: str | None = None) -> None:
        """Take one more timing, of a peer that is still there.

        Parameters
        ----------
        name : str
        task : object, default: True
        label : str, optional
            Under which time and answer are kept; default the name.
        """
        label = label or name
        time.sleep(PAUSE)
        with contextlib.suppress(OSError):  # its process has ended: what follows says why
            self.pipes[name].send(task)
        timed = self._receive(name, label)
        if timed is not None:
            self.times.setdefault(label, []).append(timed[0])
            self.answers[label] = timed[1]

    def measure(self, repeats: int, long: float = LONG) -> None:
        """Time the one thing that each peer does, and let the processes end.

        Parameters
        ----------
        repeats : int
        long : float, default: 30
            What takes longer, in seconds, is timed once only.
        """
        self.run({name: (name, True) for name in self.pipes}, repeats, long=long)
        self.stop()

    def stop(self) -> None:
        """End the processes."""
        for pipe in self.pipes.values():
            with contextlib.suppress(OSError):
                pipe.send(False)
            pipe.close()
        for process in self._processes.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self.pipes, self._processes = {}, {}
        self._folder.cleanup()
        self._progress.close()

    def _receive(self, name: str, doing: str) -> Any:
        """Wait for a peer, which may end or fail meanwhile: then None."""
        try:
            if self.pipes[name].poll(self.limit):
                answer = self.pipes[name].recv()
            else:
                answer = _Failed(f"took longer than {self.limit:g} s")
        except (EOFError, OSError):
            answer = _Failed(self._death(name))
        except Exception as error:  # whatever unpickling may raise
            answer = _Failed(f"sent what cannot be read: {error}")
        if not isinstance(answer, _Failed):
            return answer
        self.absent[name] = f"failed ({doing}): {answer.reason}"
        self.pipes.pop(name).close()
        process = self._processes.pop(name)
        process.kill()
        process.join()
        return None

    def _log(self, name: str) -> Path:
        return Path(self._folder.name) / name.replace("/", "_")

    def _death(self, name: str) -> str:
        """Say how a process ended that did not say so itself."""
        process = self._processes[name]
        process.join(5)
        code = process.exitcode
        said = f"its process ended with exit code {code}"
        if code is not None and code < 0:
            said = f"its process was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                said += " (out of memory?)"
        log = self._log(name)
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{said}: {last[:200]}" if last else said


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which a process that starts meanwhile inherits."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(
    worker: Callable[..., None], name: str, args: tuple[Any, ...], log: Path, pipe: Connection
) -> None:
    """Run the work of one peer; what libraries print is kept apart, it may say why they fail."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        worker(name, *args, pipe)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # nobody waits any more
    except BaseException as error:
        text = " ".join(str(error).split())[:200]
        with contextlib.suppress(OSError):
            pipe.send(_Failed(f"{type(error).__name__}: {text}" if text else type(error).__name__))
