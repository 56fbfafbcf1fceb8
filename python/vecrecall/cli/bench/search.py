"""Timing of the search peers over one set of items, at any batch size, k and setting."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.cli._progress import Progress
from vecrecall.cli.bench.indexes import F32, BuiltIndex, Metric
from vecrecall.cli.bench.interleaved import LIMIT, InterleavedRunner
from vecrecall.cli.bench.machine import resident
from vecrecall.cli.bench.peers import PEERS
from vecrecall.cli.bench.truth import Truth, inexact_peers

ITEMS, QUERIES = "items.npy", "queries.npy"
SLOW = 2.0  # seconds: a call that takes longer is timed without a warm-up call
ENOUGH = 0.1  # seconds per timing, or
MOST = 64  # calls


class BuildCost(NamedTuple):
    """The cost of building a peer's index.

    Attributes
    ----------
    seconds : float
    bytes : int, optional
        Growth of the process's memory. None where the system does not report it.
    """

    seconds: float
    bytes: int | None


class Task(NamedTuple):
    """A search that a process has to time.

    Attributes
    ----------
    batch, k : int
    setting : int, optional
        Value of the peer's search parameter.
    """

    batch: int
    k: int
    setting: int | None = None


class CallSize(NamedTuple):
    """The size of a search call.

    Attributes
    ----------
    batch, k : int
    """

    batch: int
    k: int


def truth_of(folder: Path, k: int, metric: Metric) -> Truth:
    """Compute the exact lists of the queries in a folder.

    Parameters
    ----------
    folder : Path
        Contains `ITEMS` and `QUERIES`.
    k : int
    metric : str

    Returns
    -------
    Truth
    """
    return Truth(np.load(folder / ITEMS, mmap_mode="r"), np.load(folder / QUERIES), k, metric)


def worker(name: str, folder: Path, metric: Metric, threads: int, pipe: Connection) -> None:
    """Build an index, then time one task after the other.

    Parameters
    ----------
    name : str
        In `PEERS`.
    folder : Path
        Contains `ITEMS` and `QUERIES`.
    metric : str
    threads : int
    pipe : Connection
    """
    importlib.import_module(PEERS[name].module)  # the memory of the module is not the index's
    queries = np.load(folder / QUERIES)
    before = resident()
    items = np.load(folder / ITEMS)
    start = time.perf_counter()
    index = PEERS[name].build(items, metric, threads)
    seconds = time.perf_counter() - start
    del items
    after = resident()
    pipe.send(BuildCost(seconds, None if before is None or after is None else after - before))
    while task := pipe.recv():
        pipe.send(time_task(index, queries, task))


def time_task(index: BuiltIndex, queries: F32, task: Task) -> tuple[float, npt.NDArray[np.int64]]:
    """Time a few calls on successive batches of queries.

    Parameters
    ----------
    ready : BuiltIndex
    queries : ndarray of float32, shape (nq, d)
    task : Task

    Returns
    -------
    seconds : float
        The median of the calls.
    ids : ndarray of int64, shape (m, k)
        Results of the first `m` queries.

    Raises
    ------
    ValueError
        If a call does not return `k` ids for each query.
    """
    if task.setting is not None:
        index.set(task.setting)
    batches = max(1, len(queries) // task.batch)
    found: list[npt.NDArray[np.int64]] = []

    def call(place: int) -> float:
        first = place % batches * task.batch
        rows = np.ascontiguousarray(queries[first : first + task.batch])
        start = time.perf_counter()
        ids = index.search(rows, task.k)
        seconds = time.perf_counter() - start
        if np.shape(ids) != (len(rows), task.k):
            raise ValueError(f"expected ids of shape {len(rows), task.k}, got {np.shape(ids)}")
        if place < batches:
            found.append(np.asarray(ids).astype(np.int64))
        return seconds

    times = [call(0)]  # caches are cold: it counts only where another call would take too long
    if times[0] < SLOW:
        times = []
        while sum(times) < ENOUGH and len(times) < MOST:
            times.append(call(len(times) + 1))
    return float(np.median(times)), np.concatenate(found)


class SearchRunner:
    """Interleaved searches of all peers over the items and queries in a folder.

    Parameters
    ----------
    names : sequence of str
        In `PEERS`.
    folder : Path
    truth : Truth
        The exact lists, for the largest k that will be measured.
    threads : int
    limit : float, default: 600
        Seconds that a peer may take to build, and for one timing.
    progress : Progress, optional

    Attributes
    ----------
    runner : InterleavedRunner
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        truth: Truth,
        threads: int,
        *,
        limit: float = LIMIT,
        progress: Progress | None = None,
    ) -> None:
        self._truth = truth
        self.runner = InterleavedRunner(
            worker,
            {name: PEERS[name].package for name in names},
            (folder, truth.metric, threads),
            threads=threads,
            environment={name: PEERS[name].environment for name in names},
            limit=limit,
            progress=progress,
        )

    def build_costs(self) -> dict[str, dict[str, Any]]:
        """Return the cost of building.

        Returns
        -------
        dict
            By peer: `seconds`, and `megabytes` by which its process has grown.
        """
        return {
            name: {
                "seconds": [built.seconds],
                "megabytes": None if built.bytes is None else built.bytes / 1e6,
            }
            for name, built in self.runner.ready.items()
        }

    def measure(
        self, size: CallSize, repeats: int, *, settings: bool = False, long: float = SLOW
    ) -> dict[str, dict[str, Any]]:
        """Time all peers in interleaved rounds.

        Parameters
        ----------
        size : CallSize
        repeats : int
        settings : bool, default: False
            Whether to time all settings of a peer, or its default only.
        long : float, default: 2
            Seconds. A task that takes longer is timed only once.

        Returns
        -------
        dict
            By label, the peer's name and its setting if it has one: `peer`, `setting`, `exact`,
            `seconds` per call in each round, and `recall`.
        """
        tasks = {
            label(name, setting): (name, Task(*size, setting))
            for name in self.runner.pipes
            for setting in (PEERS[name].settings[: None if settings else 1] or (None,))
        }
        title = f"batch {size.batch}, k {size.k}"
        self.runner.run(tasks, repeats, long=long, title=title)
        return {
            entry: self._entry(*tasks[entry], times, size.k)
            for entry, times in self.runner.times.items()
        }

    def _entry(self, name: str, task: Task, times: list[float], k: int) -> dict[str, Any]:
        found = self.runner.answers[label(name, task.setting)]
        return {
            "peer": name,
            "setting": task.setting,
            "exact": PEERS[name].exact,
            "seconds": times,
            "recall": self._truth.recall(found, k),
        }


def label(name: str, setting: int | None) -> str:
    """Return the name of a peer with its setting.

    Parameters
    ----------
    name : str
    setting : int, optional

    Returns
    -------
    str
    """
    return name if setting is None else f"{name}, {PEERS[name].search_param} {setting}"


def wrong_lists(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the exact peers, ours included, whose lists are not exact except for near ties.

    Parameters
    ----------
    found : dict
        As `SearchRunner.measure` returns it.

    Returns
    -------
    list of str
        One sentence per peer.
    """
    return inexact_peers(
        {peer: values["recall"] for peer, values in found.items() if values["exact"]}
    )
