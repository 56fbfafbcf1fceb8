"""python -m benchmarks.compare: top-K beside the peers, in one run.

Each peer has a process of its own, since BLAS, OpenMP and torch pools disturb each other in one.
The peers are timed in turn, several times over; medians are printed with their ratio to vecrecall,
the multiply-adds a second that the time means, and the share of what this machine can do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare import report
from benchmarks.compare.data import DATA, write
from benchmarks.compare.peers import PEERS

MODULES = {"faiss-cpu": "faiss", "scikit-learn": "sklearn"}
BATCHES = (1, 16, 256)


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, folder: str, threads: int) -> None:
        self.peer = peer
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.compare.worker", peer, folder, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.built = self.answer()["built"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer} ended with exit code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def time(self, **task: object) -> list[float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        seconds: list[float] = self.answer()["seconds"]
        return seconds

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def start(names: list[str], folder: str, threads: int) -> tuple[dict[str, Worker], dict[str, str]]:
    """Start the peers that there are; say why the others are missing."""
    workers, absent = {}, {}
    for name in names:
        package = PEERS[name].package
        if find_spec(MODULES.get(package, package)) is None:
            absent[name] = "not installed"
            continue
        print(f"  building {name} ...", file=sys.stderr, flush=True)
        try:
            workers[name] = Worker(name, folder, threads)
        except RuntimeError as error:
            absent[name] = f"failed: {error}"
    return workers, absent


def measure(
    workers: dict[str, Worker], absent: dict[str, str], batch: int, k: int, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds a query, in turn, `repeats` times over."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    calls = {1: 10, 16: 3}.get(batch, 1)
    for turn in range(repeats):
        for name in list(workers):
            if batch > 16 and name == "numpy" and turn > 1:
                continue  # a hundred times slower: two timings say enough
            try:
                seconds = workers[name].time(
                    first=0 if batch > 1 else turn, batch=batch, k=k, calls=calls,
                    warm=int(turn == 0), keep=turn == 0 and batch > 1,
                )  # fmt: skip
            except (RuntimeError, BrokenPipeError) as error:
                absent[name] = f"failed at batch {batch}, k {k}: {error}"
                del workers[name], times[name]
                continue
            times[name].append(float(np.median(seconds)) / batch * 1e3)
    return times


def recalls(workers: dict[str, Worker], folder: str, k: int) -> dict[str, float]:
    """The share of vecrecall's ids that each peer found."""
    truth = np.load(Path(folder) / "vecrecall.npy")
    found = {}
    for name in workers:
        ids = np.load(Path(folder) / f"{name}.npy")
        pairs = zip(ids.tolist(), truth.tolist(), strict=True)
        found[name] = float(np.mean([len(set(a) & set(b)) / k for a, b in pairs]))
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--data", nargs="+", default=["gaussian-64"], choices=sorted(DATA))
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), help="these peers")
    parser.add_argument("--exact", action="store_true", help="leave approximate peers out")
    parser.add_argument("--batch", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("-k", nargs="+", type=int, default=[100])
    parser.add_argument("--items", type=int, help="use only so many items")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="50,000 items, 2 repeats")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.items, args.repeats = args.items or 50_000, min(args.repeats, 2)
    return args


def main() -> int:
    args = parse()
    names = args.only or [n for n, peer in PEERS.items() if peer.exact or not args.exact]
    names = ["vecrecall", *[n for n in names if n != "vecrecall"]]
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    cases = []
    for data in args.data:
        with tempfile.TemporaryDirectory() as folder:
            about = write(data, Path(folder), args.items, args.seed)
            workers, absent = start(names, folder, args.threads)
            for k in args.k:
                for batch in args.batch:
                    times = measure(workers, absent, batch, k, args.repeats)
                    recall = recalls(workers, folder, k) if batch > 1 else {}
                    case = {"data": about, "k": k, "batch": batch, "ms": times, "recall": recall}
                    case["absent"] = dict(absent)
                    cases.append(case)
                    print(report.table(case, limits), flush=True)
            print(report.builds({n: w.built for n, w in workers.items()}), flush=True)
            for worker in workers.values():
                worker.stop()
    if args.json:
        found = {"limits": limits, "threads": args.threads, "cases": cases}
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
