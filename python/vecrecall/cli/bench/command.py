"""``vecrecall bench``: a comparison with other libraries on the vectors of a file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vecrecall._runtime import isa
from vecrecall.arrays import _scalars
from vecrecall.cli._output import Output
from vecrecall.cli._progress import Progress
from vecrecall.cli.bench import machine, vectors
from vecrecall.cli.bench.indexes import F32, Metric
from vecrecall.cli.bench.interleaved import NOT_INSTALLED
from vecrecall.cli.bench.peers import FORCED, OURS, PEERS
from vecrecall.cli.bench.search import ITEMS, QUERIES, CallSize, SearchRunner, truth_of, wrong_lists
from vecrecall.cli.bench.summary import SAMPLED, median_ms, show
from vecrecall.storage._atomic import write_report

Report = dict[str, Any]

BATCHES = (1, 16, 256)
SAMPLE = 512  # queries: a sample of the given ones, or of the vectors
LISTS = 1 << 25  # most ids in the lists of all queries
SMALL = 100_000  # items: up to here even slow indexes build in seconds
SHORT, PATIENT = 60.0, 3600.0  # seconds per answer, without and with slow indexes
COPIES = 2  # of the items in a peer's process while it builds its index
ROOM = 0.7  # share of the available memory that may be used

KEYS = {
    "data": "the data searched: vectors, items, dim, queries, queries_from, metric, k",
    "checked": "number of queries, the first ones, whose lists were compared with the exact ones",
    "machine": "model, cpus, isa, threads, limits (billions per second: float32, int8, read, "
    "int8_vectors: null without a matrix unit)",
    "versions": "versions of the packages that were measured",
    "limit_s": "seconds that a peer might take to build, and per answer",
    "repeats": "number of interleaved rounds",
    "together": "whether all peers ran at the same time, so that rounds were interleaved",
    "peers.<name>.exact": "whether its lists are exact except for near ties in float32",
    "peers.<name>.setting": "search parameter of an approximate peer; null for others",
    "peers.<name>.build_s": "seconds to build the index",
    "peers.<name>.megabytes": "growth of its process; null where the system does not report it",
    "peers.<name>.ms.<batch>[]": "milliseconds per query in each round",
    "peers.<name>.times_ours.<batch>": "its median divided by ours",
    "peers.<name>.recall": "share of the exact lists that was found, near ties counted as found",
    "wrong[]": "exact peers, ours included, whose lists were not exact",
    "not_installed[]": "peers whose package is not installed",
    "left_out[]": "peers that are slow to build (--approximate)",
    "failed.<name>": "reason why a peer lacks some or all times",
}
"""The keys of the JSON file, with their meaning."""


class BenchError(Exception):
    """The measurement cannot continue; the message is one line for the user."""


@dataclass(frozen=True)
class Options:
    """Options of a comparison.

    Attributes
    ----------
    vectors : Path
        A ``.npy`` file of rows.
    queries : Path, optional
        Another such file, of which a sample is taken. Default a sample of the vectors.
    k : int
    metric : str
    threads : int, optional
        Default the threads of the library.
    repeats : int
    seed : int
        Seed of the sample.
    approximate : bool
        Whether to include indexes that are slow to build.
    json : Path, optional
        Where to write the report as JSON.
    """

    vectors: Path
    queries: Path | None = None
    k: int = 100
    metric: Metric = "ip"
    threads: int | None = None
    repeats: int = 3
    seed: int = 0
    approximate: bool = False
    json: Path | None = None


def run(options: Options) -> Report:
    """Measure the installed peers, and print a table.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        With the keys of `KEYS`.

    Raises
    ------
    BenchError
        If an option, a file or an environment variable of the library cannot be used.
    """
    try:
        isa()  # raises if an environment variable names an unavailable one
        threads = _scalars.check_threads(options.threads)
        items, queries = _read(options)
    except (ValueError, TypeError) as error:
        raise BenchError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as folder, Progress() as progress:
        try:
            vectors.write(items, Path(folder) / ITEMS, options.metric)
            vectors.write(queries, Path(folder) / QUERIES, options.metric)
        except OSError as error:
            raise BenchError(f"{folder}: {error.strerror}") from error
        with progress.step("measuring the limits of the machine"):
            report = _report(options, items, queries, machine.measure(threads))
        _measure(report, Path(folder), progress)
    show(Output(), report)
    if options.json:
        _write(options.json, report)
    return report


def _read(options: Options) -> tuple[F32, F32]:
    items = vectors.read(options.vectors, "vectors", options.metric)
    _scalars.check_int_between(options.k, "k", 1, len(items))
    queries = items
    if options.queries:
        queries = vectors.read(options.queries, "queries", options.metric, items.shape[1])
    return items, vectors.sample(queries, min(SAMPLE, max(1, LISTS // options.k)), options.seed)


def _report(options: Options, items: F32, queries: F32, measured: machine.Machine) -> Report:
    names = [name for name in PEERS if name not in FORCED]
    left_out = [] if options.approximate or len(items) <= SMALL else _slow(names)
    chosen = [name for name in names if name not in left_out]
    return {
        "data": {
            "vectors": str(options.vectors),
            "items": len(items),
            "dim": items.shape[1],
            "queries": len(queries),
            "queries_from": str(options.queries) if options.queries else SAMPLED,
            "metric": options.metric,
            "k": options.k,
        },
        "machine": measured.as_json(),
        "versions": machine.versions(PEERS[name].package for name in chosen),
        "checked": 0,
        "repeats": options.repeats,
        "together": _fits(items.nbytes, chosen),
        "limit_s": PATIENT if options.approximate else SHORT,
        "peers": dict.fromkeys(chosen),
        "wrong": [],
        "not_installed": [],
        "left_out": left_out,
        "failed": {},
    }


def _slow(names: Iterable[str]) -> list[str]:
    return [name for name in names if PEERS[name].slow]


def _fits(size: int, names: list[str]) -> bool:
    """Return whether memory holds the items of all peers at the same time."""
    left = machine.available()
    there = sum(machine.version(PEERS[name].package) is not None for name in names)
    return left is None or size * COPIES * there < ROOM * left


def _measure(report: Report, folder: Path, progress: Progress) -> None:
    """Time the peers interleaved, or one by one where memory does not hold all."""
    names = list(report["peers"])
    report["peers"] = {}
    data, threads = report["data"], report["machine"]["threads"]
    with progress.step("computing the exact lists in float64"):
        truth = truth_of(folder, data["k"], data["metric"])
    report["checked"] = truth.count
    for group in [names] if report["together"] else [[name] for name in names]:
        searches = SearchRunner(
            group, folder, truth, threads, limit=report["limit_s"], progress=progress
        )
        with searches.runner:
            for name, built in searches.build_costs().items():
                report["peers"][name] = {
                    "exact": PEERS[name].exact, "setting": next(iter(PEERS[name].settings), None),
                    "build_s": built["seconds"][0], "megabytes": built["megabytes"],
                    "ms": {}, "times_ours": {}, "recall": None,
                }  # fmt: skip
            for batch in sorted({min(batch, data["queries"]) for batch in BATCHES}):
                _add(report, batch, searches.measure(CallSize(batch, data["k"]), report["repeats"]))
            _note_absent(report, searches.runner.absent)


def _add(report: Report, batch: int, found: dict[str, dict[str, Any]]) -> None:
    report["wrong"] += [f"batch {batch}: {problem}" for problem in wrong_lists(found)]
    for entry in found.values():
        peer = report["peers"][entry["peer"]]
        peer["ms"][str(batch)] = [seconds / batch * 1e3 for seconds in entry["seconds"]]
        peer["recall"] = entry[
            "recall"
        ]  # that of the largest batch, which has the most queries, comes last
        ours = report["peers"].get(OURS, {"ms": {}})["ms"].get(str(batch))
        if ours:
            peer["times_ours"][str(batch)] = median_ms(peer, batch) / float(np.median(ours))


def _note_absent(report: Report, absent: dict[str, str]) -> None:
    for name, reason in absent.items():
        if reason == NOT_INSTALLED:
            report["not_installed"].append(name)
        else:
            report["failed"][name] = reason


def _write(path: Path, report: Report) -> None:
    try:
        write_report(path, (json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error
