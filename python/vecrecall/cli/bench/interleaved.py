"""Interleaved timing of peers, each in a process of its own.

In one process the thread pools of BLAS, OpenMP and torch would disturb each other. If peers were
timed one after the other, a change of the machine's clock in between would favor some of them.
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

# The variables from which libraries take the size of their thread pools when they are loaded.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("POLARS_MAX_THREADS", "VECRECALL_NUM_THREADS"),
)
LONG = 30.0  # seconds: a task that takes longer is timed only once
LIMIT = 600.0  # seconds that a peer may take for one answer
PAUSE = 0.1  # seconds: threads of OpenBLAS spin for 0.07 s after a call
NOT_INSTALLED = "not installed"


class _Failed(NamedTuple):
    """A process sends this instead of an answer."""

    reason: str


class InterleavedRunner:
    """Runs peers in processes, and keeps their times and answers.

    Parameters
    ----------
    worker : callable
        ``worker(name, *args, pipe)`` runs in each process. It sends any object once it is ready
        and then, for every task that it receives, a pair of seconds and an answer, until it
        receives False. If it raises, the peer has failed, for the reason of the exception.
    packages : dict
        For each name the package that it requires, or an empty string. A peer whose package is
        not installed is absent.
    args : tuple
    threads : int, optional
        Initial size of the libraries' thread pools.
    environment : dict, optional
        Environment variables of the process of each name.
    limit : float, default: 600
        Seconds that a peer may take to get ready, and for an answer, before its process is ended.
    pause : float, default: 0.1
        Seconds before each timing, in which the threads of the peer before come to rest.
    progress : Progress, optional

    Attributes
    ----------
    ready : dict
        The object that each peer sent when it was ready.
    times : dict
        Lists of seconds, for the tasks of the last run.
    answers : dict
        The last answer to each of these tasks.
    absent : dict
        Reasons of missing peers.
    pipes : dict
        Connections to the running processes.
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
        pause: float = PAUSE,
        progress: Progress | None = None,
    ) -> None:
        self.ready: dict[str, Any] = {}
        self.times: dict[str, list[float]] = {}
        self.answers: dict[str, Any] = {}
        self.absent: dict[str, str] = {}
        self.pipes: dict[str, Connection] = {}
        self._processes: dict[str, SpawnProcess] = {}
        self.limit = limit
        self._pause = pause
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
        there.close()  # so that the pipe ends with the process
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
        """Time tasks in interleaved rounds. The results replace those of the previous run.

        Parameters
        ----------
        tasks : dict
            By label: the name of the peer that runs it, and the object to send.
        repeats : int
            Number of rounds.
        long : float, default: 30
            Seconds. A task that takes longer is timed only once.
        title : str, default: ""
            Title of the progress.
        """
        self.times, self.answers = {}, {}
        for number in range(1, repeats + 1):
            text = f"{f'{title}: ' if title else ''}round {number} of {repeats}"
            with self._progress.step(text, len(tasks)) as step:
                for label, (name, task) in tasks.items():
                    if name in self.pipes and max(self.times.get(label, [0.0])) < long:
                        step.detail(label)
                        self.time(name, task, label)
                    step.advance()
        self._progress.close()

    def time(self, name: str, task: Any = True, label: str | None = None) -> None:
        """Take one more timing of a running peer.

        Parameters
        ----------
        name : str
        task : object, default: True
        label : str, optional
            Key of the time and the answer. Default the name.
        """
        label = label or name
        time.sleep(self._pause)
        with contextlib.suppress(OSError):  # the process has ended: _receive finds out why
            self.pipes[name].send(task)
        timed = self._receive(name, label)
        if timed is not None:
            self.times.setdefault(label, []).append(timed[0])
            self.answers[label] = timed[1]

    def measure(self, repeats: int, long: float = LONG) -> None:
        """Time peers that have only one task, and end the processes.

        Parameters
        ----------
        repeats : int
        long : float, default: 30
            Seconds. A task that takes longer is timed only once.
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
        """Wait for an answer; return None if the peer fails or its process ends."""
        try:
            if self.pipes[name].poll(self.limit):
                answer = self.pipes[name].recv()
            else:
                answer = _Failed(f"took longer than {self.limit:g} s")
        except (EOFError, OSError):
            answer = _Failed(self._death(name))
        except Exception as error:  # whatever unpickling may raise
            answer = _Failed(f"sent an unreadable answer: {error}")
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
        """Describe the end of a process that reported no reason."""
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
    """Set environment variables for processes that start in the meantime."""
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
    """Run the worker of one peer.

    The output of libraries goes to a file, since it may explain a failure.
    """
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        worker(name, *args, pipe)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the runner has stopped
    except BaseException as error:
        text = " ".join(str(error).split())[:200]
        with contextlib.suppress(OSError):
            pipe.send(_Failed(f"{type(error).__name__}: {text}" if text else type(error).__name__))
