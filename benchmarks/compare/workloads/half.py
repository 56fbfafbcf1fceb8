"""Rows in half precision, compared with float32.

The same vectors, kept as each type, in one process: times that alternate, of builds, searches and
sums of bags; the bytes of saved indexes, and what the exact lists of the rounded vectors share with
those of float32.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from benchmarks.compare.alternating import F64, time_alternately
from benchmarks.compare.data import requested_data
from benchmarks.compare.workload import Measurement, is_missing, raise_if_wrong
from benchmarks.compare.workloads import pool
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS

F32 = npt.NDArray[np.float32]
Calls = Mapping[str, Callable[[int], object]]
RowType = Literal["float32", "float16", "bfloat16"]
BASE: RowType = "float32"
TYPES: tuple[RowType, ...] = (BASE, "float16", "bfloat16")
SHOWN: RowType = "float16"  # in a table that has room for one
TORCH = "torch EmbeddingBag, float32"
SECONDS, QUICK_SECONDS = 5.0, 0.2  # of each timing


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table of indexes for each data set and k, and one of pooling."""
    if is_missing("half", ["ml_dtypes"]):
        return
    for data, items, queries in requested_data(args):
        about = {"data": data, "items": len(items), "dim": items.shape[1]}
        for k in args.k:
            yield from of_indexes(about, items, queries, k, args)
    yield of_bags(args)


def of_indexes(
    about: dict[str, Any], items: F32, queries: F32, k: int, args: argparse.Namespace
) -> Iterator[Measurement]:
    """Yield a measurement of builds, and one of searches per batch."""
    seconds, threads = QUICK_SECONDS if args.quick else SECONDS, args.threads
    given = {name: typed(items, name) for name in TYPES}
    indexes = {name: vr.FlatIndex(items, dtype=name, threads=threads) for name in TYPES}

    def build(name: RowType, _: int) -> object:
        return vr.FlatIndex(given[name], dtype=name, threads=threads)

    def search(index: vr.FlatIndex, batch: int, i: int) -> object:
        first = i * batch % (len(queries) - batch + 1)
        return index.search(queries[first : first + batch], k, threads=threads)

    builds: Calls = {name: partial(build, name) for name in TYPES}
    columns = {"build": timed(builds, seconds)}
    exact = vr.topk(queries, items, k).ids
    kept: dict[str, dict[str, Any]] = {
        name: facts(index, queries, exact, k) for name, index in indexes.items()
    }
    yield measurement({**about, "part": "build"}, columns["build"], kept)
    for batch in args.batch:
        calls: Calls = {name: partial(search, index, batch) for name, index in indexes.items()}
        times = columns[f"batch {batch}"] = timed(calls, seconds)
        yield measurement({**about, "part": "search", "k": k, "batch": batch}, times, {})
    rows = [row(name, kept[name], columns) for name in TYPES]
    head = ["type", "file, MB", "bytes per value", *columns, "largest, mean error", f"same top-{k}"]
    size = f"{about['items']:,} x {about['dim']} ({about['data']}), ms (times {BASE}'s)"
    print(f"\n{size}\n\n{markdown_table(head, rows)}", flush=True)


def timed(calls: Calls, seconds: float) -> dict[str, F64]:
    """Time each call alternately, once for nothing before."""
    for call in calls.values():
        call(0)
    return time_alternately(calls, seconds)


def measurement(
    about: dict[str, Any], times: Mapping[str, F64], more: Mapping[str, dict[str, Any]]
) -> Measurement:
    peers = {
        name: {"seconds": taken.tolist(), **more.get(name, {})} for name, taken in times.items()
    }
    return {"workload": "half", **about, "absent": {}, "peers": peers}


def facts(
    index: vr.FlatIndex, queries: F32, exact: npt.NDArray[np.int64], k: int
) -> dict[str, Any]:
    """Return the bytes of an index, its error of rounding, and the share of the exact lists."""
    with tempfile.TemporaryDirectory() as folder:
        index.save(folder)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    pairs = zip(index.search(queries, k).ids, exact, strict=True)
    same = float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))
    per_value = size / (len(index) * index.dim)
    return {"bytes": size, "per value": per_value, "rounding": index.rounding, "same": same}


def typed(items: F32, name: RowType) -> Any:
    """Round vectors to a type."""
    if name != "bfloat16":
        return items.astype(name, copy=False)
    import ml_dtypes

    return items.astype(ml_dtypes.bfloat16)


def row(name: str, about: dict[str, Any], columns: Mapping[str, Mapping[str, F64]]) -> list[str]:
    lost = about["rounding"]
    return [
        name,
        f"{about['bytes'] / 1e6:.1f}",
        f"{about['per value']:.2f}",
        *(milliseconds(times, name) for times in columns.values()),
        "" if lost is None else f"{lost[0]:.1e}, {lost[1]:.1e}",
        f"{about['same']:.4f}",
    ]


def milliseconds(times: Mapping[str, F64], name: str) -> str:
    """Return a median, and its ratio to that of float32."""
    own, base = (float(np.median(times[each])) for each in (name, BASE))
    return f"{format_number(own * 1e3)} ({own / base:.2f})"


def of_bags(args: argparse.Namespace) -> Measurement:
    """Sum the bags of the workload `pool` from tables of each type, and by torch from float32."""
    table, bags = pool.uniform(args.seed, args.quick)
    tables = {name: typed(table, name) for name in TYPES}

    def summed(name: RowType, _: int) -> F32:
        return vr.pool(tables[name], bags, threads=args.threads)

    for name in TYPES:
        answers = {OURS: summed(name, 0)}
        raise_if_wrong(pool.wrong(tables[name].astype(np.float32), bags, answers))
    calls: dict[str, Callable[[int], object]] = {name: partial(summed, name) for name in TYPES}
    absent = {}
    if importlib.util.find_spec("torch") is None:
        absent[TORCH] = "not installed (torch)"
    else:
        of_torch = pool.with_torch(table, bags, args.threads)
        calls[TORCH] = lambda _: of_torch()
    times = timed(calls, QUICK_SECONDS if args.quick else SECONDS)
    about = {"part": "pool", "rows": len(table), "dim": table.shape[1], "bags": len(bags)}
    rows = [[name, milliseconds(times, name)] for name in times]
    rows += [[name, why] for name, why in absent.items()]
    size = f"sums of {len(bags):,} bags, table {len(table):,} x {table.shape[1]}"
    print(f"\n{size}\n\n{markdown_table(['type', f'ms (times {BASE})'], rows)}", flush=True)
    return {**measurement(about, times, {}), "absent": absent}
