"""The measurement of a point in a process of its own: time, and memory beyond the data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.scaling.points import BAG, CENTROIDS, LISTS, Point
from vecrecall.cli.bench.interleaved import InterleavedRunner

F32 = npt.NDArray[np.float32]
QUERIES = 256  # at least, so that calls with one query use different ones
TIMING = 0.02  # seconds: shorter calls are repeated within a timing
LONG = 8.0
BAGS = 100_000  # at least, over all batches that are pooled
NUMPY_MOST = 100_000  # most items with which NumPy is timed


class Ready(NamedTuple):
    """A call that receives the number of its round, and a check of its answer."""

    call: Callable[[int], Any]
    check: Callable[[Any], bool]


def gaussian(n: int, d: int, seed: int) -> F32:
    """Fill the rows in two threads, in blocks whose random streams depend only on the seed."""
    rows = np.empty((n, d), np.float32)
    blocks = np.array_split(rows, max(1, n * d >> 22))
    streams = np.random.default_rng(seed).spawn(len(blocks))

    def fill(block: F32, stream: np.random.Generator) -> None:
        stream.standard_normal(out=block, dtype=np.float32)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, blocks, streams))
    return rows


def queries_of(point: Point) -> list[F32]:
    rows = gaussian(max(QUERIES, point.batch), point.d, 1)
    return [
        rows[first : first + point.batch]
        for first in range(0, len(rows) - point.batch + 1, point.batch)
    ]


def search(point: Point, items: F32) -> Ready:
    parts = queries_of(point)
    index = vr.FlatIndex(items, copy=False)
    return Ready(
        lambda round_number: index.search(parts[round_number % len(parts)], point.k).ids,
        lambda ids: are_best(items, parts[0][0], ids[0], point.k),
    )


def are_best(items: F32, query: F32, ids: npt.NDArray[np.int64], k: int) -> bool:
    """Return whether the scores of items are the best ones, up to the error of float32 products.

    A sum of d products errs by at most d u |q| |x| + O(u^2), with u = 2^-24; so does the k-th
    best, and both are compared: four times that is more than enough.
    """
    scores = items @ query
    longest = float(np.sqrt(max(np.einsum("ij,ij->i", b, b).max() for b in blocks_of(items))))
    error = 4 * len(query) * 2.0**-24 * float(np.linalg.norm(query)) * longest
    least = np.partition(scores, -k)[-k] if k < len(scores) else scores.min()
    return len(set(ids.tolist())) == min(k, len(items)) and bool(
        (scores[ids[ids >= 0]] >= least - error).all()
    )


def blocks_of(rows: F32) -> list[F32]:
    return np.array_split(rows, max(1, len(rows) // 100_000))


def search_with_numpy(point: Point, items: F32) -> Ready:
    parts = queries_of(point)

    def call(round_number: int) -> Any:
        scores = parts[round_number % len(parts)] @ items.T
        best = np.argpartition(scores, -point.k, axis=1)[:, -point.k :]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    return Ready(call, lambda ids: are_best(items, parts[0][0], ids[0], point.k))


def assign(point: Point, points: F32) -> Ready:
    centroids = gaussian(CENTROIDS, point.d, 1)

    def check(labels: Any) -> bool:
        some = points[:100].astype(np.float64)
        away = ((some[:, None] - centroids) ** 2).sum(-1)  # float64: no near ties in a hundred
        return bool((away.argmin(1) == labels[:100, 0]).all())

    return Ready(lambda round_number: vr.assign(points, centroids).labels, check)


def merge(point: Point, lists: Any) -> Ready:
    policy = vr.policies.RRF()

    def check(ids: Any) -> bool:
        sums: dict[int, float] = {}
        for found, _ in lists.values():
            for place, item in enumerate(found[0].tolist()):
                sums[item] = sums.get(item, 0.0) + 1 / (61 + place)
        best = sorted(sums, key=lambda item: (-np.float32(sums[item]), item))[: point.k]
        return bool(ids[0].tolist() == best)

    return Ready(lambda round_number: vr.merge(lists, point.k, policy).ids, check)


def lists_of(point: Point) -> dict[str, Any]:
    """Make lists in which half of the items of a channel are also in other channels."""
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.random((point.batch, point.k), dtype=np.float32))
    high = 8 * point.k
    return {
        f"channel {c}": (
            np.array([rng.choice(high, point.k, replace=False) for _ in range(point.batch)]),
            scores,
        )
        for c in range(LISTS)
    }


def pool(point: Point, data: tuple[F32, list[vr.Ragged]]) -> Ready:
    table, parts = data

    def check(sums: Any) -> bool:
        taken = table[parts[0][0]].astype(np.float64)
        exact = np.zeros(point.d)
        for row in taken:  # in entry order, as pool does
            exact += row
        return bool((sums[0] == exact.astype(np.float32)).all())

    return Ready(lambda round_number: vr.pool(table, parts[round_number % len(parts)]), check)


def table_and_bags(point: Point) -> tuple[F32, list[vr.Ragged]]:
    """Make many small batches, so that not all of their rows are in a cache."""
    rng = np.random.default_rng(1)
    size, offsets = point.batch * BAG, np.arange(point.batch + 1) * BAG
    parts = [
        vr.Ragged(rng.integers(0, point.n, size), offsets)
        for _ in range(max(1, BAGS // point.batch))
    ]
    return gaussian(point.n, point.d, 0), parts


def build(point: Point, items: F32) -> Ready:
    return Ready(
        lambda round_number: vr.FlatIndex(items),
        lambda index: are_best(items, items[0], index.search(items[:1], 10).ids[0], 10),
    )


WORKLOADS: dict[str, Callable[[Point, Any], Ready]] = {
    "search": search,
    "assign": assign,
    "merge": merge,
    "pool": pool,
    "build": build,
}


def resident(field: str) -> int:
    """Return bytes of this process: VmRSS now, VmHWM at the peak; 0 if they are not reported."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) << 10
    return 0


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def worker(name: str, point: Point, pipe: Connection) -> None:
    """Set up, call once, check, then time calls for every task; send time and memory."""
    vr.set_num_threads(point.threads)
    make: dict[str, Callable[[Point], Any]] = {"merge": lists_of, "pool": table_and_bags}
    maker = make.get(point.workload)
    data = maker(point) if maker else gaussian(point.n, point.d, 0)
    forget_peak()
    before = resident("VmRSS")
    ready = (WORKLOADS[point.workload] if name == "vecrecall" else search_with_numpy)(point, data)
    answer = ready.call(0)
    peak = resident("VmHWM") - before
    if not ready.check(answer):
        raise AssertionError(f"{name}, {point}: expected the exact answer, got another")
    del answer
    start = time.perf_counter()
    ready.call(0)
    calls = int(np.ceil(TIMING / (time.perf_counter() - start)))
    pipe.send(None)
    round_number = 1
    while pipe.recv():
        seconds = 0.0
        for _ in range(calls):
            start = time.perf_counter()
            answer = ready.call(round_number)
            seconds += time.perf_counter() - start
            del answer  # otherwise the next timing would include the release of its memory
            round_number += 1
        pipe.send((seconds / calls, peak))


def measure(point: Point, repeats: int) -> dict[str, dict[str, Any]]:
    """Return seconds and bytes beyond the data, of vecrecall and, at small sizes, of NumPy."""
    packages = {"vecrecall": "vecrecall"}
    if point.workload == "search" and point.n <= NUMPY_MOST and point.k <= point.n:
        packages["numpy"] = "numpy"
    with InterleavedRunner(worker, packages, (point,), threads=point.threads) as runner:
        runner.measure(repeats, LONG)
    if "vecrecall" not in runner.times:
        raise SystemExit(f"{point}: expected times, {runner.absent['vecrecall']}")
    return {
        name: {"seconds": seconds, "memory": runner.answers[name]}
        for name, seconds in runner.times.items()
    }
