"""python -m benchmarks.compare.pool: sums of bags of rows beside the peers, in one run.

Each peer has a process of its own; they are timed in turn, several times over, and their sums
compared with sums in float64.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import report
from benchmarks.compare.turns import THREADS, Turns, version

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Sum = Callable[[], F32]
BLOCK = 5_000  # bags whose rows are copied at a time to check the sums


class Case(NamedTuple):
    """A table of vectors, and bags of its rows."""

    rows: int
    dim: int
    bags: int
    length: int

    def title(self) -> str:
        return f"sums of {self.bags:,} bags of {self.length} rows, table {self.rows:,} x {self.dim}"

    def quick(self) -> Case:
        return self._replace(rows=self.rows // 25, bags=self.bags // 25)

    def data(self, seed: int) -> tuple[F32, vr.Ragged]:
        """A gaussian table and uniform rows; the same in every process."""
        rng = np.random.default_rng(seed)
        table = rng.standard_normal((self.rows, self.dim), dtype=np.float32)
        rows = rng.integers(0, self.rows, self.bags * self.length)
        return table, vr.Ragged(rows, np.arange(self.bags + 1) * self.length)


CASE = Case(1_000_000, 64, 100_000, 20)


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
    "vecrecall": Peer("vecrecall", with_vecrecall),
    "torch EmbeddingBag": Peer("torch", with_torch),
    "NumPy take, add.reduceat": Peer("numpy", with_numpy),
}


def work(name: str, case: Case, seed: int, threads: int, pipe: Connection) -> None:
    """Warm up, then time one call whenever asked; the sums go with the time."""
    call = PEERS[name].ready(*case.data(seed), threads)
    call()
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        sums = call()
        pipe.send((time.perf_counter() - start, sums))


def check(case: Case, seed: int, answers: dict[str, F32]) -> None:
    """Compare with sums in float64: ours in bits, the others to what float32 sums may err.

    A float32 sum of m terms in any order errs by at most (m - 1) u S + O(u^2), with u = 2^-24 and
    S the sum of the terms' absolute values; the rounding of the sum that it is compared with by
    u S. (m + 1) u S covers both and the higher orders.
    """
    table, rows = case.data(seed)
    unit = 2.0**-24
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
            if (error > (0 if name == "vecrecall" else allowed)).any():
                raise SystemExit(f"{name}: expected the sums of the rows, got others")


def table(case: Case, turns: Turns, limits: dict[str, float]) -> str:
    """Every peer's line; the rows are what a peer reads at least."""
    lines = [
        f"\n{case.title()}\n",
        "| peer | version | milliseconds | spread | times ours | GB/s of rows | of read rate |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = float(np.median(turns.times["vecrecall"]))
    for name, times in turns.times.items():
        median = float(np.median(times))
        rate = 4 * case.bags * case.length * case.dim / median / 1e9
        lines.append(
            f"| {name} | {version(PEERS[name].package)} | {median * 1e3:.2f} "
            f"| {min(times) * 1e3:.2f} to {max(times) * 1e3:.2f} | {median / ours:.2f} "
            f"| {rate:.1f} | {rate / limits['read']:.2f} |"
        )
    lines += [f"| {name} | | {why} | | | | |" for name, why in turns.absent.items()]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.pool", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small sizes, 2 repeats")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Print the table."""
    args = parse()
    for variable in THREADS:  # before the peers' processes start, which inherit them
        os.environ[variable] = str(args.threads)
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    case = CASE.quick() if args.quick else CASE
    packages = {name: peer.package for name, peer in PEERS.items()}
    turns = Turns(work, packages, (case, args.seed, args.threads))
    turns.measure(args.repeats)
    if "vecrecall" not in turns.times:
        raise SystemExit("vecrecall: expected times, its process ended")
    check(case, args.seed, turns.answers)
    print(table(case, turns, limits), flush=True)
    if args.json:
        found = {
            "limits": limits,
            "threads": args.threads,
            "cases": [{**case._asdict(), "seconds": turns.times, "absent": turns.absent}],
        }
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
