"""Threads for calls that may never return.

`concurrent.futures` joins its threads when the interpreter exits, so that one such call would hold
the process forever. These are daemon threads, stopped at exit as far as they can be.
"""

import atexit
import contextvars
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

import vecrecall._core as _core

T = TypeVar("T")
Task = Callable[[], None]

_IDLE_SECONDS = 10.0
_EXIT_SECONDS = 1.0  # the core stops within a tenth of it


class Threads:
    """As many threads as there are tasks; those that have been idle for a while end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handed_over: SimpleQueue[tuple[Task, _core.CancelToken]] = SimpleQueue()
        self._idle = 0
        self._tokens: set[_core.CancelToken] = set()  # of tasks in progress
        self._closed = False

    def run(self, task: Task, token: _core.CancelToken) -> None:
        """Run a task, which must not raise, in a thread that is in the token.

        RuntimeError if the system gives no thread, or the interpreter exits.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("expected no recall while the interpreter exits")
            waits = self._idle > 0
            self._idle -= waits
            self._tokens.add(token)
        if not waits:
            try:
                threading.Thread(target=self._serve, name="vecrecall-recall", daemon=True).start()
            except RuntimeError:
                with self._lock:
                    self._tokens.discard(token)
                raise
        # Not as an argument of the thread, which would keep it as long as it lives.
        self._handed_over.put((task, token))

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            task, token = work
            with token:
                task()
            with self._lock:
                self._tokens.discard(token)
                self._idle += 1
            del work, task, token  # an idle thread keeps no request alive

    def _next(self) -> tuple[Task, _core.CancelToken] | None:
        while True:
            try:
                return self._handed_over.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return None
                # None is idle: the task for this thread is about to be put.

    def stop(self) -> None:
        """Stop the tasks in progress: a thread of C++ must not outlive the interpreter."""
        with self._lock:
            self._closed = True
            for token in self._tokens:
                token.cancel()
        give_up = time.monotonic() + _EXIT_SECONDS
        while self._tokens and time.monotonic() < give_up:
            time.sleep(0.005)


_forks = 0  # between this process and the one that imported the package
_of_process: dict[int, Threads] = {}  # by the number of forks: that of a process may come again


def process() -> int:
    """Get a number of this process that none of its ancestors has."""
    return _forks


def threads() -> Threads:
    """Get the threads of this process: a forked child has none of its parent's."""
    # One step of the interpreter, for a lock could be held by another thread where a child forks.
    return _of_process.get(_forks) or _of_process.setdefault(_forks, Threads())


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


async def in_thread(task: Callable[[], T]) -> T:
    """Run a task in a thread while a task of asyncio waits; canceling that stops it in the core."""
    import asyncio  # only here: who awaits has it already

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    token = _core.CancelToken()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # it was canceled
            return
        if error is None:
            future.set_result(cast("T", result))
        else:
            future.set_exception(error)

    def run() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = context.run(task), None
        except BaseException as error:
            outcome = None, error
        with suppress(RuntimeError):  # of a loop that is closed
            loop.call_soon_threadsafe(settle, *outcome)

    threads().run(run, token)
    try:
        return await future
    finally:
        token.cancel()


@atexit.register
def _stop() -> None:
    found = _of_process.get(_forks)
    if found is not None:
        found.stop()
