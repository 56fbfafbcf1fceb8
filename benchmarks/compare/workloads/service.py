"""`vecrecall serve` next to plain services of FAISS with the same route, requests per second."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.compare.workload import Measurement, is_missing
from benchmarks.serve import throughput
from benchmarks.serve.clients import percentiles
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS

NEEDS = ("uvicorn", "starlette", "orjson", "prometheus_client", "msgspec", "faiss")
NAMES = {"serve": OURS, "flat": "IndexFlatIP behind Starlette", "hnsw": "HNSW behind Starlette"}
QUICK = ["--items", "2000", "--requests", "100", "--rounds", "1", "--clients", "8"]


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table of rates; the seconds of a measurement are those between two answers."""
    if is_missing("service", NEEDS):
        return
    options = throughput.parser().parse_args(QUICK if args.quick else [])
    print()
    found = throughput.measure(options)
    about = {name: getattr(options, name) for name in ("items", "dim", "k", "clients")}
    peers = {}
    for kind, own in found.items():
        p50, p99 = percentiles(own.seconds)
        peers[NAMES[kind]] = {
            "seconds": [1 / rate for rate in own.rates],
            "p50": p50,
            "p99": p99,
            "recall": own.recall,
        }
    yield {"workload": "service", **about, "absent": {}, "peers": peers}
