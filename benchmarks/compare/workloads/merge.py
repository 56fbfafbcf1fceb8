"""Merging: reciprocal rank fusion, compared with other implementations on one thread.

Lists are compared rank by rank. Times include the conversion of the same arrays by each peer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.workload import (
    Measurement,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
    time_repeatedly,
)
from benchmarks.compare.workloads.merge_truth import Truth
from benchmarks.micro import numpy_merge
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS

Ids = npt.NDArray[np.int64]
Lists = dict[str, vr.SearchResult]
Fuse = Callable[[Lists, int], Ids]

ITEMS, CHANNELS, USERS = 1_000_000, 8, 1024
SIZES = [(200, 200), (500, 500)]  # lengths of the channels' lists, and of the merged list
WITH_PROVENANCE = "vecrecall with provenance"


def channel_lists(users: int, width: int, seed: int) -> Lists:
    """Make lists of which half comes from items common to all channels of a user."""
    rng = np.random.default_rng(seed)
    ids = np.empty((CHANNELS, users, width), np.int64)
    half = width // 2
    for user in range(users):
        pool = rng.choice(ITEMS, 2 * width + CHANNELS * (width - half), replace=False)
        own = pool[2 * width :].reshape(CHANNELS, -1)
        for channel in range(CHANNELS):
            common = rng.choice(pool[: 2 * width], half, replace=False)
            ids[channel, user] = rng.permutation(np.concatenate([common, own[channel]]))
    scores = -np.sort(-rng.standard_normal(ids.shape).astype(np.float32))
    counts = np.full(users, width, np.int32)
    return {f"c{c}": vr.SearchResult(ids[c], scores[c], counts) for c in range(CHANNELS)}


def ours(provenance: bool) -> Fuse:
    """Fuse with the package."""
    policy = vr.policies.RRF()
    return lambda lists, k: vr.merge(lists, k, policy, provenance=provenance, threads=1).ids


def with_numpy(lists: Lists, k: int) -> Ids:
    """Sort the items of all users at once."""
    return numpy_merge.rrf(lists, k).ids


def with_dict(lists: Lists, k: int) -> Ids:
    """Sum in a dictionary, user by user, as recall services do."""
    columns = [found.ids.tolist() for found in lists.values()]
    fused = np.empty((len(columns[0]), k), np.int64)
    for user in range(len(fused)):
        sums: dict[int, float] = {}
        for rows in columns:
            for rank, item in enumerate(rows[user], 1):
                sums[item] = sums.get(item, 0.0) + 1 / (60 + rank)
        best = sorted(sums.items(), key=lambda entry: (-np.float32(entry[1]), entry[0]))[:k]
        fused[user] = [item for item, _ in best]
    return fused


def with_polars(lists: Lists, k: int) -> Ids:
    """Group by user and item."""
    import polars as pl

    ids = np.concatenate([found.ids for found in lists.values()], axis=1)
    users, width = len(ids), ids.shape[1] // len(lists)
    terms = np.tile(1 / (60 + np.arange(1.0, width + 1)), (users, len(lists)))
    frame = pl.DataFrame(
        {
            "user": np.repeat(np.arange(users), ids.shape[1]),
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
    return best["item"].to_numpy().reshape(users, k)


def with_ranx(lists: Lists, k: int) -> Ids:
    """Fuse runs, which are dictionaries by name in ranx, the best item first."""
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
    rows = [fused[name] for name in sorted(fused)]
    return np.array([[int(item) for item in islice(row, k)] for row in rows])


class Peer(NamedTuple):
    """A package, its fusion, and whether its sums and ties are ours."""

    package: str
    fuse: Fuse
    same_ties: bool = True


PEERS = {
    OURS: Peer("vecrecall", ours(False)),
    WITH_PROVENANCE: Peer("vecrecall", ours(True)),
    "numpy": Peer("numpy", with_numpy),
    "dict": Peer("", with_dict),
    "polars": Peer("polars", with_polars, same_ties=False),  # adds in any order
    "ranx": Peer("ranx", with_ranx, same_ties=False),  # orders ties arbitrarily
}


def worker(name: str, users: int, width: int, k: int, seed: int, pipe: Connection) -> None:
    """Warm up, then time some calls for every task; send the time and the ids."""
    fuse = PEERS[name].fuse
    lists = channel_lists(users, width, seed)
    fuse(lists, k)
    pipe.send(None)
    while pipe.recv():
        pipe.send(time_repeatedly(lambda: fuse(lists, k)))


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each size."""
    sizes = [(USERS // 16, *SIZES[0])] if args.quick else [(USERS, *size) for size in SIZES]
    for size in sizes:
        yield measured(*size, args)


def measured(users: int, width: int, k: int, args: argparse.Namespace) -> Measurement:
    """Time the peers interleaved, compare their lists, print a table."""
    names = select_peers(list(PEERS), args.only and [*args.only, WITH_PROVENANCE])
    packages = {name: PEERS[name].package for name in names}
    with InterleavedRunner(
        worker, packages, (users, width, k, args.seed), threads=1, limit=args.limit
    ) as runner:
        runner.measure(args.repeats)
    measurement: Measurement = {
        "workload": "merge",
        "channels": CHANNELS,
        "width": width,
        "k": k,
        "users": users,
    }
    measurement["absent"] = runner.absent
    truth = Truth(channel_lists(users, width, args.seed), k)
    measurement["peers"] = {
        name: {"seconds": times, "same ranks": truth.same_ranks(runner.answers[name])}
        for name, times in runner.times.items()
    }
    require_times(measurement, OURS)
    print(tables(measurement), flush=True)
    raise_if_wrong(problems(truth, runner.answers))
    return measurement


def problems(truth: Truth, answers: dict[str, Ids]) -> list[str]:
    """List the peers whose lists are not those of the fusion."""
    found = {name: truth.problem(ids, PEERS[name].same_ties) for name, ids in answers.items()}
    return [f"{name}: {problem}" for name, problem in found.items() if problem]


def tables(measurement: Measurement) -> str:
    """Make a table with a row per peer."""
    ours = median_seconds(measurement, OURS)
    assert ours is not None
    header = ["peer", "version", "microseconds per user", "spread", "times ours", "same ranks"]
    rows = []
    for name, entry in measurement["peers"].items():
        each = [seconds / measurement["users"] * 1e6 for seconds in entry["seconds"]]
        middle_one = float(np.median(each))
        rows.append(
            [
                name,
                version(PEERS[name].package) or "",
                format_number(middle_one),
                f"{format_number(min(each))} to {format_number(max(each))}",
                format_number(middle_one / (ours / measurement["users"] * 1e6)),
                f"{entry['same ranks']:.4f}",
            ]
        )
    rows += [[name, "", why, "", "", ""] for name, why in measurement["absent"].items()]
    return (
        f"\nRRF of {measurement['channels']} x {measurement['width']} to {measurement['k']}, "
        f"{measurement['users']} users, one thread\n\n{markdown_table(header, rows)}"
    )
