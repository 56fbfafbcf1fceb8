"""python -m benchmarks.compare.studies.tune: the time of `vr.tune`, and the curves that it finds.

Libraries run one after the other in this process, since their times are not compared.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.data import make
from benchmarks.compare.studies.indexes import hnswlib_graph
from vecrecall._core import MAX_THREADS
from vecrecall.cli._arguments import whole_number
from vecrecall.cli.bench import machine

F32 = npt.NDArray[np.float32]
QUERIES = 1000
RECIPES = {
    "faiss-ivf": "IVF1024,Flat",
    "faiss-ivfpq": "IVF1024,PQ25x4fs,RFlat",
    "faiss-hnsw": "HNSW32,Flat",
}


def faiss_index(recipe: str) -> Callable[[F32, int], Any]:
    def build(items: F32, threads: int) -> Any:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(items.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
        index.train(items[:: max(1, len(items) // 100_000)])
        index.add(items)
        return index

    return build


BUILDS = {name: ("faiss", faiss_index(recipe)) for name, recipe in RECIPES.items()}
BUILDS["hnswlib"] = ("hnswlib", hnswlib_graph)


def show(name: str, found: vr.Tuning, seconds: float) -> None:
    """Print the chosen setting, and the curve."""
    setting = ", ".join(f"{name} {value}" for name, value in found.setting.items())
    print(
        f"\n{name}, target {found.target}: {setting}; recall {found.recall:.4f}, "
        f"{found.ms_per_query:.4f} ms per query (exact scan {found.exact_ms_per_query:.4f}); "
        f"tuned in {seconds:.1f} s, {len(found.curve)} settings\n"
    )
    print(f"| {' | '.join(found.setting)} | recall | ms per query |")
    print("|---" * (len(found.setting) + 2) + "|")
    for point in found.curve:
        values = " | ".join(str(value) for value in point.setting.values())
        print(f"| {values} | {point.recall:.4f} | {point.ms_per_query:.4f} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.studies.tune", description=__doc__
    )
    parser.add_argument("--only", nargs="+", default=list(BUILDS), choices=list(BUILDS))
    parser.add_argument("--target", nargs="+", type=float, default=[0.95, 0.99])
    parser.add_argument("-k", type=whole_number(), default=10)
    parser.add_argument("--threads", type=whole_number(1, MAX_THREADS), default=2)
    parser.add_argument("--seed", type=whole_number(0), default=0)
    parser.add_argument("--quick", action="store_true", help="50,000 items")
    return parser.parse_args()


def main() -> int:
    """Build each index, tune it to each target."""
    args = parse()
    vr.set_num_threads(args.threads)
    print(machine.measure(args.threads).describe())
    items, more = make("glove-50", None, args.seed)
    rows = np.concatenate([more, items])
    queries, items = rows[:QUERIES].copy(), rows[QUERIES:].copy()
    if args.quick:
        items = items[:50_000].copy()
    print(f"top-{args.k} of {len(items):,} x {items.shape[1]}, {QUERIES} queries")
    for name in args.only:
        library, build = BUILDS[name]
        if importlib.util.find_spec(library) is None:
            print(f"\n{name}: not installed")
            continue
        index = vr.wrap(build(items, args.threads))
        for target in args.target:
            start = time.perf_counter()
            found = vr.tune(index, queries, args.k, target, vectors=items)
            show(name, found, time.perf_counter() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
