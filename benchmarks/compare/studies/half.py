"""python -m benchmarks.compare.studies.half: rows in half precision compared with float32.

Indexes of the same vectors, kept as each type, in one process: their sizes, and times that
alternate. Also how much the exact lists of the rounded vectors share with those of float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.alternating import time_alternately
from benchmarks.compare.data import DATA, requested_data
from benchmarks.options import add_common
from vecrecall.cli._arguments import whole_number
from vecrecall.cli.bench import machine
from vecrecall.storage._atomic import write_report

F32 = npt.NDArray[np.float32]
RowType = Literal["float32", "float16", "bfloat16"]
TYPES: tuple[RowType, ...] = ("float32", "float16", "bfloat16")
KINDS: dict[str, type[vr.FlatIndex]] = {"FlatIndex": vr.FlatIndex, "IVFIndex": vr.IVFIndex}
K = 100
BATCHES = (1, 256)
HEADER = (
    "| index | type | file, MB | bytes per value | build | search, batch 1 | batch 256 "
    "| largest, mean error | same top-100 |\n|---|---|---|---|---|---|---|---|---|"
)


def saved_bytes(index: vr.FlatIndex) -> int:
    with tempfile.TemporaryDirectory() as folder:
        index.save(folder)
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def medians(calls: Mapping[Any, Callable[[int], object]], seconds: float) -> dict[str, float]:
    times = time_alternately(calls, seconds)
    return {name: float(np.median(taken)) for name, taken in times.items()}


def study(
    kind: str, items: F32, queries: F32, seconds: float, threads: int
) -> list[dict[str, Any]]:
    """Measure one kind of index; build times are those of vectors that have the type already."""
    of = KINDS[kind]
    indexes = {name: of(items, dtype=name, threads=threads) for name in TYPES}
    given = {name: typed(index, items) for name, index in indexes.items()}

    def build(name: RowType, _: int) -> object:
        return of(given[name], dtype=name, threads=threads)

    def search(index: vr.FlatIndex, batch: int, i: int) -> object:
        first = i * batch % (len(queries) - batch + 1)
        return index.search(queries[first : first + batch], K, threads=threads)

    builds = medians({name: partial(build, name) for name in TYPES}, seconds)
    times = {}
    for batch in BATCHES:
        calls = {name: partial(search, index, batch) for name, index in indexes.items()}
        times[batch] = medians(calls, seconds)
    exact = vr.topk(queries, items, K).ids
    measured = []
    for name, index in indexes.items():
        lists = index.search(queries, K).ids
        size = saved_bytes(index)
        measured.append(
            {
                "index": kind,
                "type": name,
                "bytes": size,
                "per value": size / items.size,
                "build": builds[name],
                **{f"batch {batch}": times[batch][name] for batch in BATCHES},
                "rounding": index.rounding,
                "same": common(lists, exact),
            }
        )
    return measured


def common(found: npt.NDArray[np.int64], exact: npt.NDArray[np.int64]) -> float:
    """Tell which share of the lists is in the others."""
    pairs = zip(found, exact, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in pairs]))


def typed(index: vr.FlatIndex, items: F32) -> Any:
    """Make vectors that the index takes as they are."""
    if index.dtype == "float32":
        return items
    if index.dtype == "float16":
        return items.astype(np.float16)
    import ml_dtypes

    return items.astype(ml_dtypes.bfloat16)


def row(measured: dict[str, Any], base: dict[str, Any]) -> str:
    lost = measured["rounding"]
    errors = "" if lost is None else f"{lost[0]:.1e}, {lost[1]:.1e}"
    times = [
        f"{1e3 * measured[name]:.3g} ms ({measured[name] / base[name]:.2f})"
        for name in ("build", *(f"batch {batch}" for batch in BATCHES))
    ]
    return (
        f"| {measured['index']} | {measured['type']} | {measured['bytes'] / 1e6:.1f} "
        f"| {measured['per value']:.2f} | {' | '.join(times)} | {errors} | {measured['same']:.4f} |"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.studies.half", description=__doc__
    )
    add = parser.add_argument
    add("--data", nargs="+", default=["glove-50", "gaussian-64"], choices=list(DATA))
    add("--index", nargs="+", default=list(KINDS), choices=list(KINDS))
    add("--seconds", type=float, default=5.0, help="of each measurement (default: %(default)s)")
    add("--items", type=whole_number(), help="so many items at most")
    add_common(parser, repeats=1)
    add("--quick", action="store_true", help="small sizes")
    return parser.parse_args()


def main() -> int:
    """Print a table for each data set; times in parentheses are multiples of float32's."""
    args = parse()
    print(machine.measure(args.threads).describe())
    found = {}
    for data, items, queries in requested_data(args):
        print(f"\n{len(items):,} x {items.shape[1]} ({data}), top-{K}, ip\n\n{HEADER}", flush=True)
        for kind in args.index:
            measured = study(kind, items, queries, args.seconds, args.threads)
            found[f"{data} {kind}"] = measured
            for one in measured:
                print(row(one, measured[0]), flush=True)
    if args.json:
        write_report(args.json, json.dumps(found, indent=1).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
