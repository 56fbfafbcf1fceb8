"""python -m benchmarks.compare.merge: reciprocal rank fusion beside what else can do it.

Each peer has a process of its own and one thread; they are timed in turn, several times over, and
their lists compared with ours before. Times include what a peer needs to take the same arrays in.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks import numpy_merge
from benchmarks.bench_merge import USERS, Channels, channel_lists

Ids = npt.NDArray[np.int64]
Fuse = Callable[[Channels, int], Ids]
ONE_THREAD = ["POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"]


def ours(provenance: bool) -> Fuse:
    """Fuse with the package."""
    policy = vr.policies.RRF()
    return lambda lists, k: vr.merge(lists, k, policy, provenance=provenance, threads=1).ids


def with_numpy(lists: Channels, k: int) -> Ids:
    """Sort all users' items at once."""
    return numpy_merge.rrf(lists, k).ids


def with_dict(lists: Channels, k: int) -> Ids:
    """Sum in a dictionary, user by user: what recall services are written with."""
    fused = np.empty((USERS, k), np.int64)
    columns = [found.ids.tolist() for found in lists.values()]
    for user in range(USERS):
        sums: dict[int, float] = {}
        for rows in columns:
            for rank, item in enumerate(rows[user], 1):
                sums[item] = sums.get(item, 0.0) + 1 / (60 + rank)
        best = sorted(sums.items(), key=lambda entry: (-np.float32(entry[1]), entry[0]))[:k]
        fused[user] = [item for item, _ in best]
    return fused


def with_polars(lists: Channels, k: int) -> Ids:
    """Group by user and item."""
    import polars as pl

    ids = np.concatenate([found.ids for found in lists.values()], axis=1)
    width = ids.shape[1] // len(lists)
    terms = np.tile(1 / (60 + np.arange(1.0, width + 1)), (USERS, len(lists)))
    frame = pl.DataFrame(
        {
            "user": np.repeat(np.arange(USERS), ids.shape[1]),
            "item": ids.ravel(),
            "term": terms.ravel(),
        }
    )
    best = (
        frame.lazy()
        .group_by("user", "item")
        .agg(pl.col("term").sum().cast(pl.Float32))
        .sort("user", "term", "item", descending=[False, True, False])
        .group_by("user", maintain_order=True)
        .head(k)
        .collect()
    )
    return best["item"].to_numpy().reshape(USERS, k)


def with_ranx(lists: Channels, k: int) -> Ids:
    """Fuse runs, which ranx keeps as dictionaries by name."""
    import ranx

    runs = []
    for found in lists.values():
        ranks = np.arange(found.ids.shape[1], 0, -1.0)
        runs.append(
            ranx.Run(
                {
                    f"u{user:04}": dict(zip(map(str, row), ranks, strict=True))
                    for user, row in enumerate(found.ids.tolist())
                }
            )
        )
    fused = ranx.fuse(runs=runs, method="rrf", params={"k": 60}).to_dict()
    rows = [fused[f"u{user:04}"] for user in range(USERS)]
    return np.array([sorted(map(int, sorted(r, key=lambda i: -r[i])[:k])) for r in rows])


PEERS: dict[str, tuple[str, Fuse]] = {
    "vecrecall": ("vecrecall", ours(False)),
    "vecrecall with provenance": ("vecrecall", ours(True)),
    "numpy": ("numpy", with_numpy),
    "dict": ("", with_dict),
    "polars": ("polars", with_polars),
    "ranx": ("ranx", with_ranx),
}


def work(name: str, width: int, k: int, pipe: Connection) -> None:
    """Time one call whenever asked."""
    for variable in ONE_THREAD:
        os.environ[variable] = "1"
    fuse = PEERS[name][1]
    lists = channel_lists(width)
    expected = vr.merge(lists, k, vr.policies.RRF(), threads=1).ids
    found = fuse(lists, k)
    # Sums in another order differ in their last bits, and so may the order of near ties.
    same = np.mean([len(set(a) & set(b)) / k for a, b in zip(found, expected, strict=True)])
    pipe.send(float(same))
    while pipe.recv():
        start = time.perf_counter()
        fuse(lists, k)
        pipe.send((time.perf_counter() - start) / USERS * 1e6)


def measure(names: list[str], width: int, k: int, repeats: int) -> dict[str, list[float]]:
    """Microseconds a user, all peers in turn."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name in names:
        here, there = context.Pipe()
        context.Process(target=work, args=(name, width, k, there), daemon=True).start()
        same = here.recv()
        if same < 0.99:
            raise SystemExit(f"{name}: expected the same items, {same:.1%} of them are")
        pipes[name] = here
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, pipe in pipes.items():
            pipe.send(True)
            times[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return times


def installed(package: str) -> bool:
    """Tell whether a peer can be imported."""
    try:
        importlib.metadata.version(package or "numpy")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.merge", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    missing = [name for name, (package, _) in PEERS.items() if not installed(package)]
    if missing:
        print("not installed:", ", ".join(missing))
    for width, k in [(200, 200), (500, 500)]:
        names = [name for name in PEERS if name not in missing]
        times = {n: statistics.median(t) for n, t in measure(names, width, k, repeats).items()}
        print(f"\nRRF of 8 x {width} to {k}, {USERS} users, one thread\n")
        print("| peer | microseconds a user | times ours |\n|---|---|---|")
        for name, t in times.items():
            print(f"| {name} | {t:.1f} | {t / times['vecrecall']:.1f} |")


if __name__ == "__main__":
    main()
