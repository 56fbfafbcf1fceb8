"""python -m benchmarks.compare.build: making an index, saving and loading it, beside the peers.

Each peer has a process of its own; they are timed in turn, several times over. What they load must
find what they found before. Files that were just written are in memory: times of a disk are not
in these.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare import report
from benchmarks.compare.turns import THREADS, Turns, version

F32 = npt.NDArray[np.float32]
K, QUERIES = 10, 16
STEPS = ("build", "save", "load", "load, then a search")


class Case(NamedTuple):
    """Gaussian items."""

    items: int
    dim: int

    def quick(self) -> Case:
        return self._replace(items=self.items // 50)

    def data(self, seed: int) -> tuple[F32, F32]:
        """Items and queries, the same in every process."""
        rng = np.random.default_rng(seed)
        items = rng.standard_normal((self.items, self.dim), dtype=np.float32)
        return items, rng.standard_normal((QUERIES, self.dim), dtype=np.float32)


CASES = {"64": Case(1_000_000, 64), "128": Case(1_000_000, 128)}


class Vecrecall:
    """`FlatIndex`, loaded into memory mapped."""

    def __init__(self, threads: int) -> None:
        vr.set_num_threads(threads)

    def build(self, items: F32) -> Any:
        return vr.FlatIndex(items)

    def save(self, index: Any, path: Path) -> None:
        index.save(path)

    def load(self, path: Path, dim: int) -> Any:
        return vr.FlatIndex.load(path)

    def search(self, index: Any, queries: F32) -> Any:
        return index.search(queries, K).ids


class Faiss:
    """`IndexFlatIP`."""

    flags = 0

    def __init__(self, threads: int) -> None:
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)

    def build(self, items: F32) -> Any:
        index = self.faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        return index

    def save(self, index: Any, path: Path) -> None:
        self.faiss.write_index(index, str(path))

    def load(self, path: Path, dim: int) -> Any:
        return self.faiss.read_index(str(path), self.flags)

    def search(self, index: Any, queries: F32) -> Any:
        return index.search(queries, K)[1]


class FaissMapped(Faiss):
    """`IndexFlatIP`, loaded mapped."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.flags = self.faiss.IO_FLAG_MMAP_IFC


class Hnswlib:
    """`BFIndex`, which searches all items."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def build(self, items: F32) -> Any:
        import hnswlib

        index = hnswlib.BFIndex(space="ip", dim=items.shape[1])
        index.init_index(max_elements=len(items))
        index.add_items(items)
        return index

    def save(self, index: Any, path: Path) -> None:
        index.save_index(str(path))

    def load(self, path: Path, dim: int) -> Any:
        import hnswlib

        index = hnswlib.BFIndex(space="ip", dim=dim)
        index.load_index(str(path))
        return index

    def search(self, index: Any, queries: F32) -> Any:
        return index.knn_query(queries, k=K, num_threads=self.threads)[0]


class Usearch:
    """`Index`, a graph: approximate, and minutes to build."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def build(self, items: F32) -> Any:
        from usearch.index import Index

        index = Index(ndim=items.shape[1], metric="ip", dtype="f32")
        index.add(np.arange(len(items)), items, threads=self.threads)
        return index

    def save(self, index: Any, path: Path) -> None:
        index.save(str(path))

    def load(self, path: Path, dim: int) -> Any:
        from usearch.index import Index

        return Index.restore(str(path), view=True)

    def search(self, index: Any, queries: F32) -> Any:
        return index.search(queries, K, threads=self.threads).keys


class Peer(NamedTuple):
    """What a package is called, and its calls."""

    package: str
    calls: Callable[[int], Any]
    exact: bool = True


PEERS = {
    "vecrecall": Peer("vecrecall", Vecrecall),
    "faiss-flat": Peer("faiss-cpu", Faiss),
    "faiss-flat, mapped": Peer("faiss-cpu", FaissMapped),
    "hnswlib-brute": Peer("hnswlib", Hnswlib),
    "usearch-graph": Peer("usearch", Usearch, exact=False),
}


def work(name: str, step: str, case: Case, seed: int, threads: int, pipe: Connection) -> None:
    """Time one step whenever asked; what the index finds goes with the time."""
    os.dup2(2, 1)  # what libraries print is not part of the tables
    calls = PEERS[name].calls(threads)
    items, queries = case.data(seed)
    calls.search(calls.build(items[:1000]), queries)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index = None if step == "build" else calls.build(items)
        if step.startswith("load"):
            calls.save(index, path)
            calls.load(path, case.dim)
        pipe.send(None)
        while pipe.recv():
            if step != "save":
                index = None  # or its memory would be given back in the time of the next
            start = time.perf_counter()
            if step == "build":
                index = calls.build(items)
            elif step == "save":
                calls.save(index, path)
            else:
                index = calls.load(path, case.dim)
                if step != "load":
                    calls.search(index, queries[:1])
            seconds = time.perf_counter() - start
            pipe.send((seconds, np.asarray(calls.search(index, queries), np.int64)))
            if step == "save":
                remove(path)


def remove(path: Path) -> None:
    """Remove what was saved, a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def check(found: dict[str, Any], case: Case) -> None:
    """Exact peers find our items, but where scores are nearly equal.

    The two next of a million gaussian scores are some 1e-3 of a score apart at the K-th, float32
    sums err by 1e-6 of it: one list in a thousand may differ in an item.
    """
    for name, ids in found.items():
        if not PEERS[name].exact:
            continue
        pairs = zip(ids.tolist(), found["vecrecall"].tolist(), strict=True)
        different = sum(len(set(a) - set(b)) for a, b in pairs)
        if different > 1:
            raise SystemExit(f"{name}: expected the same items, {different} of them are not")


def table(case: Case, times: dict[str, dict[str, list[float]]], absent: dict[str, str]) -> str:
    lines = [
        f"\n{case.items:,} x {case.dim}, milliseconds (times ours)\n",
        f"| peer | version | {' | '.join(STEPS)} |",
        "|---" * (2 + len(STEPS)) + "|",
    ]
    for name, peer in PEERS.items():
        if name in absent:
            lines.append(f"| {name} | | {absent[name]} {'| ' * (len(STEPS) - 1)}|")
        if name not in times["build"]:
            continue
        cells = []
        for step in STEPS:
            if name not in times[step]:
                cells.append("failed")
                continue
            median, ours = (float(np.median(times[step][n])) for n in (name, "vecrecall"))
            cells.append(f"{median * 1e3:.1f} ({median / ours:.2f})")
        lines.append(f"| {name} | {version(peer.package)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.build", description=__doc__)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--slow", action="store_true", help="usearch's graph, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small sizes, 2 repeats")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    return args


def main() -> int:
    """Print a table for each case."""
    args = parse()
    for variable in THREADS:  # before the peers' processes start, which inherit them
        os.environ[variable] = str(args.threads)
    limits = report.machine_limits(args.threads)
    print(report.describe_machine(limits, args.threads))
    packages = {name: peer.package for name, peer in PEERS.items() if args.slow or peer.exact}
    cases = []
    for case in [CASES[name].quick() if args.quick else CASES[name] for name in args.case]:
        times: dict[str, dict[str, list[float]]] = {}
        absent: dict[str, str] = {}
        for step in STEPS:
            print(f"  {case.items:,} x {case.dim}: {step} ...", file=sys.stderr, flush=True)
            turns = Turns(work, packages, (step, case, args.seed, args.threads))
            turns.measure(args.repeats)
            if "vecrecall" not in turns.times:
                raise SystemExit("vecrecall: expected times, its process ended")
            check(turns.answers, case)
            times[step] = turns.times
            absent.update(turns.absent)
        print(table(case, times, absent), flush=True)
        cases.append({**case._asdict(), "seconds": times, "absent": absent})
    if args.json:
        found = {"limits": limits, "threads": args.threads, "cases": cases}
        args.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
