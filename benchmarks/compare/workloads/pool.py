"""Pooling: sums of bags of rows, compared with other libraries and checked in float64."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.data import rated_films
from benchmarks.compare.workload import (
    Measurement,
    median_seconds,
    raise_if_wrong,
    require_times,
    select_peers,
    time_repeatedly,
)
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.interleaved import InterleavedRunner
from vecrecall.cli.bench.machine import Machine, version
from vecrecall.cli.bench.peers import OURS

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Sum = Callable[[], F32]
DIM = 64
BLOCK = 5_000  # bags whose sums are checked at a time
UNIT = 2.0**-24  # the rounding of float32


def uniform(seed: int, quick: bool) -> tuple[F32, vr.Ragged]:
    """Make bags of 20 random rows of a large table."""
    rng = np.random.default_rng(seed)
    rows, bags, length = 1_000_000, 100_000, 20
    if quick:
        rows, bags = rows // 25, bags // 25
    table = rng.standard_normal((rows, DIM), dtype=np.float32)
    return table, vr.Ragged(rng.integers(0, rows, bags * length), np.arange(bags + 1) * length)


def movielens(seed: int, quick: bool) -> tuple[F32, vr.Ragged]:
    """Make bags of the films that each user rated: some are long, some films are in many."""
    rated = rated_films()
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rated.values.max() + 1, DIM), dtype=np.float32), rated


DATA = {"uniform": uniform, "movielens": movielens}


def with_vecrecall(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    return lambda: vr.pool(table, rows, threads=threads)


def with_numpy(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    return lambda: np.add.reduceat(table.take(rows.values, axis=0), rows.offsets[:-1], axis=0)


def with_torch(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    import torch

    torch.set_num_threads(threads)
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(table), mode="sum")
    # Copied, since torch warns about read-only arrays.
    values, starts = torch.tensor(rows.values), torch.tensor(rows.offsets[:-1])

    def call() -> F32:
        with torch.inference_mode():
            sums: F32 = bag(values, starts).numpy()
        return sums

    return call


class Peer(NamedTuple):
    """A package, and the function that prepares its call."""

    package: str
    ready: Callable[[F32, vr.Ragged, int], Sum]


PEERS = {
    OURS: Peer("vecrecall", with_vecrecall),
    "torch EmbeddingBag": Peer("torch", with_torch),
    "NumPy take, add.reduceat": Peer("numpy", with_numpy),
}


def worker(name: str, data: str, seed: int, quick: bool, threads: int, pipe: Connection) -> None:
    """Warm up, then time some calls for every task; send the time and the sums."""
    call = PEERS[name].ready(*DATA[data](seed, quick), threads)
    call()
    pipe.send(None)
    while pipe.recv():
        pipe.send(time_repeatedly(call))


def wrong(table: F32, rows: vr.Ragged, answers: Mapping[str, F32]) -> list[str]:
    """Compare with sums in float64: ours bit by bit, the others up to the error of float32 sums.

    A float32 sum of m terms in any order errs by at most (m - 1) u S + O(u^2), with u = 2^-24 and
    S the sum of the absolute values of the terms; the rounded reference by u S. (m + 1) u S covers
    both and the higher orders.
    """
    shape = len(rows), table.shape[1]
    failed = {name for name, sums in answers.items() if sums.shape != shape}
    for first in range(0, len(rows), BLOCK):
        bags = slice(first, first + BLOCK)
        starts, lengths = rows.offsets[:-1][bags], rows.lengths[bags]
        exact, sizes = wide_sums(table, rows.values, starts, lengths)
        allowed = (lengths[:, None] + 1) * UNIT * sizes
        for name in answers.keys() - failed:
            error = np.abs(answers[name][bags] - exact.astype(np.float32).astype(np.float64))
            if not (error <= (0 if name == OURS else allowed)).all():
                failed.add(name)
    return [f"{name}: expected the sums of the rows, got others" for name in sorted(failed)]


def wide_sums(table: F32, values: I64, starts: I64, lengths: I64) -> tuple[F64, F64]:
    """Sum rows in entry order, as `pool` does, and the absolute values of the terms."""
    sums = np.zeros((len(starts), table.shape[1]))
    sizes = np.zeros_like(sums)
    for term in range(lengths.max(initial=0)):
        longer = np.flatnonzero(lengths > term)
        terms = table[values[starts[longer] + term]].astype(np.float64)
        sums[longer] += terms
        sizes[longer] += np.abs(terms)
    return sums, sizes


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table for each kind of bags."""
    for data, make in DATA.items():
        try:
            table, rows = make(args.seed, args.quick)
        except ModuleNotFoundError as error:
            print(f"\n{data}: not installed ({error.name})")
            continue
        yield measured(data, table, rows, args, machine)


def measured(
    data: str, table: F32, rows: vr.Ragged, args: argparse.Namespace, machine: Machine
) -> Measurement:
    """Time the peers interleaved, compare their sums, print a table."""
    packages = {name: PEERS[name].package for name in select_peers(list(PEERS), args.only)}
    worker_args = (data, args.seed, args.quick, args.threads)
    with InterleavedRunner(
        worker, packages, worker_args, threads=args.threads, limit=args.limit
    ) as runner:
        runner.measure(args.repeats)
    measurement: Measurement = {"workload": "pool", "data": data, "rows": len(table), "dim": DIM}
    measurement.update(bags=len(rows), length=len(rows.values) / len(rows), absent=runner.absent)
    measurement["peers"] = {name: {"seconds": seconds} for name, seconds in runner.times.items()}
    require_times(measurement, OURS)
    print(f"\n{title(measurement)}\n\n{lines(measurement, machine)}", flush=True)
    raise_if_wrong(wrong(table, rows, runner.answers))
    return measurement


def title(measurement: Measurement) -> str:
    return (
        f"sums of {measurement['bags']:,} bags of {measurement['length']:.0f} rows, "
        f"table {measurement['rows']:,} x {measurement['dim']} ({measurement['data']})"
    )


def lines(measurement: Measurement, machine: Machine) -> str:
    """Make a table with a row per peer; a peer reads at least the rows of the bags."""
    head = ["peer", "version", "milliseconds", "spread", "times ours", "GB/s of rows"]
    ours = median_seconds(measurement, OURS) or 0.0
    rows = []
    for name, entry in measurement["peers"].items():
        each = [seconds * 1e3 for seconds in entry["seconds"]]
        median = float(np.median(each))
        rate = 4e-6 * measurement["bags"] * measurement["length"] * measurement["dim"] / median
        share = f"{format_number(rate)} ({rate / machine.limits.read:.2f} of the read limit)"
        spread = f"{format_number(min(each))} to {format_number(max(each))}"
        known = version(PEERS[name].package) or ""
        rows.append(
            [name, known, format_number(median), spread, format_number(median / ours / 1e3), share]
        )
    rows += [[name, "", why, "", "", ""] for name, why in measurement["absent"].items()]
    return markdown_table(head, rows)
