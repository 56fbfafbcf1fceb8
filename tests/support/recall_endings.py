"""The programs of test_recall_endings.py, each in an interpreter of its own.

recall_endings.py NAME. Each leaves a call of a channel in progress, and must end nevertheless.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

AT_EXIT: list[Any] = []
atexit.register(lambda: [work() for work in AT_EXIT])  # before the package's, so it runs after it

from channel_cases import Fixed, Polite  # noqa: E402

import vecrecall as vr  # noqa: E402

SECONDS = 100.0
SOON = 0.02
BATCH = vr.RequestBatch(user_ids=[1, 2])


class Waiting:
    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        threading.Event().wait()
        raise AssertionError


class Repeating:
    """One short search after the other: some end while the interpreter does."""

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        index = vr.FlatIndex(np.eye(64, dtype=np.float32))
        while True:
            found = index.search(np.ones((500, 64), np.float32), 5)
            assert len(found) == 500


class Spinning:
    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        while True:
            pass


class Searching:
    """A search of minutes."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.index = vr.FlatIndex(rng.standard_normal((200_000, 64), dtype=np.float32))
        self.queries = rng.standard_normal((100_000, 64), dtype=np.float32)
        self.begun = threading.Event()

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        self.begun.set()
        return self.index.search(self.queries, 100)


def late(channel: Any) -> vr.Recaller:
    recaller = vr.Recaller({"a": Fixed([1]), "late": channel}, deadlines={"late": SOON}, workers=2)
    found = recaller.recall(BATCH, 3)
    assert found.stats is not None
    assert found.stats.missing == {"late": "late"}
    return recaller


def with_a_channel_that_waits() -> None:
    late(Waiting())


def with_a_channel_that_spins() -> None:
    late(Spinning())


def with_searches_that_go_on() -> None:
    recaller = vr.Recaller({"repeating": Repeating()}, workers=2)

    def recall() -> None:
        with contextlib.suppress(RuntimeError):  # it is told to stop
            recaller.recall(BATCH, 3)

    for _ in range(2):
        threading.Thread(target=recall, daemon=True).start()
    time.sleep(0.05)


def with_a_search_that_was_late() -> None:
    late(Searching())


def with_a_search_in_progress() -> None:
    searching = Searching()
    recaller = vr.Recaller({"searching": searching}, workers=1)

    def recall() -> None:
        with contextlib.suppress(RuntimeError):  # it is told to stop
            recaller.recall(BATCH, 3)

    threading.Thread(target=recall, daemon=True).start()
    assert searching.begun.wait(SECONDS)


def with_asyncio() -> None:
    recaller = vr.Recaller({"waiting": Waiting(), "searching": Searching()}, workers=2)
    found = asyncio.run(recaller.arecall(BATCH, 3, deadline=SOON))
    assert found.stats is not None
    assert found.stats.missing == {"waiting": "late", "searching": "late"}


def by_an_error() -> None:
    late(Waiting())
    sys.exit(3)


def recalling_at_exit() -> None:
    """After the package has stopped its threads: an error, but no hang."""
    recaller = vr.Recaller({"a": Fixed([1])}, workers=1)
    recaller.recall(BATCH, 3)

    def recall() -> None:
        try:
            recaller.recall(BATCH, 3)
        except RuntimeError as error:
            print(error)

    AT_EXIT.append(recall)


def by_ctrl_c(*, unheard: bool = False) -> None:
    """The caller waits without a deadline; the signal ends the wait, and with it the channel."""
    polite = Polite()
    recaller = vr.Recaller({"polite": polite}, workers=1)

    def interrupt() -> None:
        assert polite.begun.wait(SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    if unheard:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        recaller.recall(BATCH, 3)
    except KeyboardInterrupt:
        assert polite.stopped.wait(SECONDS)
        return
    raise AssertionError("it was not interrupted")


def by_a_signal_that_does_not_wake() -> None:
    """It reaches another thread, so that nothing ends the wait of this one early."""
    by_ctrl_c(unheard=True)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    globals()[sys.argv[1]]()
