"""The timing of an index at a setting, and the search for settings that reach a recall."""

from __future__ import annotations

import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.compare.workloads.ivf_peers import (
    F32,
    I64,
    PEERS,
    Filter,
    Search,
    Setting,
    asked_for,
)
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import resident
from vecrecall.cli.bench.search import ITEMS, BuildCost
from vecrecall.cli.bench.search import QUERIES as QUERY_FILE
from vecrecall.evaluation._tuning_walk import TuningPoint, reaching

ALLOWED, EXCLUDED_IDS = "allowed.npy", "excluded.npy"
WARM = 3000  # items of a first index: the memory of modules and thread pools is not the index's
SWEEP = 256  # queries per call while settings are looked for
ENOUGH, QUICK_ENOUGH = 0.1, 0.005  # seconds per timing
MOST = 64  # calls per timing


class Task(NamedTuple):
    """Searches that a process times: of all queries, or of those of enough calls."""

    batch: int
    k: int
    filter: str
    setting: Setting
    all: bool = False


def worker(name: str, folder: Path, threads: int, enough: float, pipe: Connection) -> None:
    """Build an index, then time one task after the other."""
    queries = np.load(folder / QUERY_FILE)
    filters = {
        "none": Filter(),
        "allow": Filter(allowed=np.load(folder / ALLOWED)),
        "exclude": Filter(excluded=np.load(folder / EXCLUDED_IDS)),
    }
    items = np.load(folder / ITEMS)
    PEERS[name].build(items[:WARM], threads)
    before = resident()
    start = time.perf_counter()
    search = PEERS[name].build(items, threads)
    seconds = time.perf_counter() - start
    after = resident()
    pipe.send(BuildCost(seconds, None if before is None or after is None else after - before))
    while task := pipe.recv():
        pipe.send(time_task(search, queries, filters[task.filter], task, enough))


def time_task(
    search: Search, queries: F32, some: Filter, task: Task, enough: float
) -> tuple[float, I64]:
    """Time calls on successive batches, for enough seconds.

    Returns
    -------
    seconds : float
        The median of the calls.
    ids : ndarray of int64, shape (m, k)
        Results of the first `m` queries.

    Raises
    ------
    ValueError
        If a call does not return `k` places for each query.
    """
    parts = [slice(at, at + task.batch) for at in range(0, len(queries), task.batch)]
    calls = [(np.ascontiguousarray(queries[part]), some.rows(part)) for part in parts]
    found: list[npt.NDArray[Any]] = []
    times: list[float] = []
    search(calls[0][0], task.k, task.setting, calls[0][1])  # caches are cold
    while (sum(times) < enough and len(times) < MOST) or (task.all and len(times) < len(calls)):
        q, wanted = calls[len(times) % len(calls)]
        start = time.perf_counter()
        ids = search(q, task.k, task.setting, wanted)
        times.append(time.perf_counter() - start)
        if np.shape(ids) != (len(q), task.k):
            raise ValueError(f"expected ids of shape {len(q), task.k}, got {np.shape(ids)}")
        if len(found) < len(calls):
            found.append(ids)
    return float(np.median(times)), np.concatenate(found).astype(np.int64)


def recall_of(found: I64, truth: I64) -> float:
    """Return the share of the exact lists that was found, or half of it if a list is not full."""
    pairs = zip(found, truth[: len(found)], strict=True)
    share = float(np.mean([np.isin(best, row).mean() for row, best in pairs]))
    return share / 2 if (found < 0).any() else share


class Sweep:
    """Finds settings of running indexes by which they reach a recall.

    Parameters
    ----------
    runner : InterleavedRunner
    items : int
    truth : dict
        The exact lists of all queries, by k and filter.
    """

    def __init__(
        self, runner: InterleavedRunner, items: int, truth: Mapping[tuple[int, str], I64]
    ) -> None:
        self._runner, self._items, self._truth = runner, items, truth
        self._points: dict[tuple[Any, ...], TuningPoint] = {}

    def cheapest(self, name: str, k: int, kind: str, recall: float) -> TuningPoint | None:
        """Return the fastest of the settings, or None where no setting reaches the recall."""
        asked = asked_for(k, kind, self._items)
        params = PEERS[name].params(self._items, asked)
        points = reaching(lambda setting: self._point(name, k, kind, setting), params, recall)
        return min(points, key=lambda point: point.ms_per_query) if points else None

    def _point(self, name: str, k: int, kind: str, setting: dict[str, int]) -> TuningPoint:
        key = (name, k, kind, *setting.values())
        if key not in self._points:
            if name in self._runner.pipes:
                self._runner.time(name, Task(SWEEP, k, kind, setting, all=True), str(key))
            times = self._runner.times.pop(str(key), None)
            if times is None:  # it has failed
                return TuningPoint(setting, 0.0, np.inf)
            recall = recall_of(self._runner.answers.pop(str(key)), self._truth[k, kind])
            self._points[key] = TuningPoint(setting, recall, times[0] / SWEEP * 1e3)
        return self._points[key]
