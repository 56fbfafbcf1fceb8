"""Requests per second next to plain services: ``python -m benchmarks.serve.throughput``.

The same small requests go in turns to ``vecrecall serve`` and to plain services of FAISS, exact
and HNSW. Exact answers are compared; of the others the recall is told. The HNSW index takes minutes
to build; ``--folder`` keeps it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.serve.clients import (
    closed_loop,
    percentiles,
    running,
    small_requests,
    write_service,
)

KINDS = ("serve", "flat", "hnsw")
EXACT = ("serve", "flat")
TOLERANCE = 1e-4  # of scores in float32, summed in another order


class Found(NamedTuple):
    """The figures of one service: a rate per round, and seconds of all requests."""

    rates: list[float]
    seconds: list[float]
    recall: float


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve.throughput",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=1000, help="in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", nargs="+", choices=KINDS[1:], default=KINDS[1:])
    parser.add_argument("--folder", type=Path, help="keeps vectors and indexes for the next time")
    return parser


def measure(options: argparse.Namespace) -> dict[str, Found]:
    """Measure in turns; print a table with ratios to ours."""
    kinds = ["serve", *options.against]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as services:
        commands = _commands(options.folder or Path(name), options)
        ports = {kind: services.enter_context(running(commands[kind], "/readyz")) for kind in kinds}
        found = _in_turns(ports, options)
    _print(found, options)
    return found


def _commands(folder: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    config, vectors = folder / "service.toml", folder / "vectors.npy"
    if not config.exists():
        write_service(folder, options.items, options.dim)
        rng = np.random.default_rng(0)
        np.save(vectors, rng.standard_normal((options.items, options.dim), dtype=np.float32))
    plain = ["-m", "benchmarks.serve.plain", "--vectors", str(vectors), "--kind"]
    return {
        "serve": ["-m", "vecrecall", "serve", "--config", str(config)],
        "flat": [*plain, "flat"],
        "hnsw": [*plain, "hnsw"],
    }


def _in_turns(ports: dict[str, int], options: argparse.Namespace) -> dict[str, Found]:
    seconds: dict[str, list[float]] = {kind: [] for kind in ports}
    rates: dict[str, list[float]] = {kind: [] for kind in ports}
    bodies = small_requests(options.requests, options.dim, options.k, "search")
    for _ in range(options.rounds):
        replies = {}
        for kind, port in ports.items():
            found = asyncio.run(closed_loop(port, "/v1/search", bodies, options.clients))
            replies[kind], times, total = found
            seconds[kind] += times
            rates[kind].append(len(times) / total)
        recall = _compare(replies)
    return {kind: Found(rates[kind], seconds[kind], recall[kind]) for kind in ports}


def _print(found: dict[str, Found], options: argparse.Namespace) -> None:
    print(
        f"top-{options.k} of {options.items:,} x {options.dim}, one user a request, "
        f"{options.clients} clients"
    )
    print("service    requests/s   p50 ms   p99 ms   ours / theirs   recall")
    ours = np.array(found["serve"].rates)
    for kind, own in found.items():
        p50, p99 = percentiles(own.seconds)
        ratio = float(np.median(ours / np.array(own.rates)))
        rate = np.median(own.rates)
        print(f"{kind:9} {rate:11.0f} {p50:8.1f} {p99:8.1f} {ratio:15.2f} {own.recall:8.3f}")


def _compare(replies: dict[str, list[bytes]]) -> dict[str, float]:
    """Return the share of the exact items that each found; stop where exact services disagree."""
    read = {kind: [json.loads(reply) for reply in own] for kind, own in replies.items()}
    recall = {}
    for kind, theirs in read.items():
        found = []
        for ours, other in zip(read["serve"], theirs, strict=True):
            found.append(np.isin(ours["items"][0], other["items"][0]).mean())
            a, b = np.array(ours["scores"]), np.array(other["scores"])
            if kind in EXACT and (
                a.shape != b.shape or np.abs(a - b).max() > TOLERANCE * np.abs(a).max()
            ):
                raise SystemExit(f"the answers of {kind} are others")
        recall[kind] = float(np.mean(found))
    return recall


if __name__ == "__main__":
    measure(parser().parse_args())
