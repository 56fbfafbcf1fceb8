"""Pooling: sums of bags of rows beside the peers, compared with sums in float64."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.works import Case, chosen, complain, middle, needed, steady
from vecrecall.bench.machine import Machine, version
from vecrecall.bench.peers import OURS
from vecrecall.bench.report import figure, table
from vecrecall.bench.turns import Turns

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Sum = Callable[[], F32]
BLOCK = 5_000  # bags whose rows are copied at a time to check the sums


class Bags(NamedTuple):
    """A table of vectors, and bags of its rows."""

    rows: int
    dim: int
    bags: int
    length: int

    def title(self) -> str:
        return f"sums of {self.bags:,} bags of {self.length} rows, table {self.rows:,} x {self.dim}"

    def quick(self) -> Bags:
        return self._replace(rows=self.rows // 25, bags=self.bags // 25)

    def data(self, seed: int) -> tuple[F32, vr.Ragged]:
        """A gaussian table and uniform rows; the same in every process."""
        rng = np.random.default_rng(seed)
        table = rng.standard_normal((self.rows, self.dim), dtype=np.float32)
        rows = rng.integers(0, self.rows, self.bags * self.length)
        return table, vr.Ragged(rows, np.arange(self.bags + 1) * self.length)


BAGS = Bags(1_000_000, 64, 100_000, 20)


def with_vecrecall(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    return lambda: vr.pool(table, rows, threads=threads)


def with_numpy(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    return lambda: np.add.reduceat(table.take(rows.values, axis=0), rows.offsets[:-1], axis=0)


def with_torch(table: F32, rows: vr.Ragged, threads: int) -> Sum:
    import torch

    torch.set_num_threads(threads)
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(table), mode="sum")
    # Copied: torch warns of arrays that it must not write.
    values, starts = torch.tensor(rows.values), torch.tensor(rows.offsets[:-1])

    def call() -> F32:
        with torch.inference_mode():
            sums: F32 = bag(values, starts).numpy()
        return sums

    return call


class Peer(NamedTuple):
    """What a package is called, and how it is made ready."""

    package: str
    ready: Callable[[F32, vr.Ragged, int], Sum]


PEERS = {
    OURS: Peer("vecrecall", with_vecrecall),
    "torch EmbeddingBag": Peer("torch", with_torch),
    "NumPy take, add.reduceat": Peer("numpy", with_numpy),
}


def work(name: str, case: Bags, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time some calls whenever asked; the sums go with the time."""
    call = PEERS[name].ready(*case.data(seed), threads)
    call()
    pipe.send(None)
    while pipe.recv():
        pipe.send(steady(call))


def wrong(case: Bags, seed: int, answers: dict[str, F32]) -> list[str]:
    """Compare with sums in float64: ours in bits, the others to what float32 sums may err.

    A float32 sum of m terms in any order errs by at most (m - 1) u S + O(u^2), with u = 2^-24 and
    S the sum of the terms' absolute values; the rounding of the sum that it is compared with by
    u S. (m + 1) u S covers both and the higher orders.
    """
    table, rows = case.data(seed)
    unit = 2.0**-24
    failed: set[str] = set()
    for first in range(0, case.bags, BLOCK):
        bags = slice(first, first + BLOCK)
        flat = rows.values[first * case.length : (first + BLOCK) * case.length]
        taken = table[flat].reshape(-1, case.length, case.dim).astype(np.float64)
        exact = np.zeros((len(taken), case.dim))
        for term in range(case.length):  # in entry order, as pool promises
            exact += taken[:, term]
        allowed: F64 = (case.length + 1) * unit * np.abs(taken).sum(axis=1)
        for name, sums in answers.items():
            error = np.abs(sums[bags] - exact.astype(np.float32).astype(np.float64))
            if (error > (0 if name == OURS else allowed)).any():
                failed.add(name)
    return [f"{name}: expected the sums of the rows, got others" for name in sorted(failed)]


def run(args: argparse.Namespace, machine: Machine) -> list[Case]:
    """Time the peers in turn, compare their sums, print a table."""
    bags = BAGS.quick() if args.quick else BAGS
    packages = {name: PEERS[name].package for name in chosen(list(PEERS), args.only)}
    work_args = (bags, args.seed, args.threads)
    with Turns(work, packages, work_args, threads=args.threads, limit=args.limit) as turns:
        turns.measure(args.repeats)
    case: Case = {"work": "pool", **bags._asdict(), "absent": turns.absent}
    case["peers"] = {name: {"seconds": seconds} for name, seconds in turns.times.items()}
    needed(case, OURS)
    print(f"\n{bags.title()}\n\n{lines(case, machine)}", flush=True)
    complain(wrong(bags, args.seed, turns.answers))
    return [case]


def lines(case: Case, machine: Machine) -> str:
    """Every peer's line; the rows are what a peer reads at least."""
    head = ["peer", "version", "milliseconds", "spread", "times ours", "GB/s of rows"]
    ours = middle(case, OURS) or 0.0
    rows = []
    for name, entry in case["peers"].items():
        each = [seconds * 1e3 for seconds in entry["seconds"]]
        median = float(np.median(each))
        rate = 4e-6 * case["bags"] * case["length"] * case["dim"] / median
        share = f"{figure(rate)} ({rate / machine.limits.read:.2f} of what can be read)"
        spread = f"{figure(min(each))} to {figure(max(each))}"
        known = version(PEERS[name].package) or ""
        rows.append([name, known, figure(median), spread, figure(median / ours / 1e3), share])
    rows += [[name, "", why, "", "", ""] for name, why in case["absent"].items()]
    return table(head, rows)
