"""The waits of small requests: ``python -m benchmarks.serve.load``.

Small requests come at random times, at 70 % of what the service can do: by themselves, and while
others send large requests and updates, publish other artifacts, leave before they are answered, or
stall. Both are measured in turns; the exit code is 1 if the 99th percentile is more than three
times as long, or `/healthz` takes 100 ms or more.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks.serve.clients import (
    HOST,
    Connection,
    closed_loop,
    message,
    open_loop,
    percentiles,
    repeatedly,
    running,
    small_requests,
    write_service,
)

PATH = "/v1/recall"
SHARE = 0.7
LARGE_USERS, LARGE_K = 256, 500  # 1280 times the work of a small request
MOST_RATIO = 3.0
MOST_HEALTH = 0.1


def main() -> int:
    """Measure, and say whether it is as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve.load",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=100, help="of small requests")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-limits", action="store_true", help="any times are good enough")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_service(folder, options.items, options.dim)
        other = folder / "other"
        other.mkdir()
        write_service(other, options.items, options.dim, seed=9)
        with running(["-m", "vecrecall", "serve", "--config", str(config)], "/readyz") as port:
            return asyncio.run(measure(port, other / "service.toml", options))


async def measure(port: int, other: Path, options: argparse.Namespace) -> int:
    """Measure in turns."""
    bodies = small_requests(500, options.dim, options.k, "recall")
    _, _, total = await closed_loop(port, PATH, bodies * 2, 64)
    _, _, total = await closed_loop(port, PATH, bodies * 2, 64)
    capacity = 2 * len(bodies) / total
    rate = SHARE * capacity
    print(f"top-{options.k} of {options.items:,} x {options.dim}; capacity {capacity:.0f} req/s")
    quiet: list[float] = []
    disturbed: list[float] = []
    health: list[float] = []
    for n in range(options.rounds):
        quiet += await open_loop(port, PATH, bodies, rate, options.seconds, n)
        disturbers = Disturbers(port, other, options.dim, health)
        tasks = [asyncio.create_task(work) for work in disturbers.all()]
        disturbed += await open_loop(port, PATH, bodies, rate, options.seconds, n)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        print(f"round {n + 1}: {disturbers.counts}")
        await asyncio.sleep(2.5)  # until stalled clients are cut off
    (q50, q99), (d50, d99) = percentiles(quiet), percentiles(disturbed)
    print(f"by themselves   p50 {q50:7.1f} ms   p99 {q99:7.1f} ms")
    print(f"next to others  p50 {d50:7.1f} ms   p99 {d99:7.1f} ms   p99 ratio {d99 / q99:.2f}")
    print(f"/healthz        max {1e3 * max(health):7.1f} ms of {len(health)}")
    bad = d99 > MOST_RATIO * q99 or max(health) >= MOST_HEALTH
    return int(bad and not options.no_limits)


class Disturbers:
    """Clients that are large, late, gone or stalled.

    Attributes
    ----------
    counts : dict of str to int
        What they have done.
    """

    def __init__(self, port: int, other: Path, dim: int, health: list[float]) -> None:
        self._port = port
        self._other = other
        self._rng = np.random.default_rng(3)
        self._health = health
        users = self._rng.standard_normal((LARGE_USERS, dim)).round(3).tolist()
        self._large = json.dumps({"k": LARGE_K, "vectors": {"user": users}}).encode()
        self._dim = dim
        self.counts = dict.fromkeys(("large", "updates", "published", "gone", "stalled"), 0)

    def all(self) -> list[Awaitable[None]]:
        """Return what each of them does."""
        return [
            self._send_large(),
            self._update(),
            self._publish(),
            repeatedly(self._leave, 0.5),
            self._stall(),
            repeatedly(self._probe, 0.02),
        ]

    async def _send_large(self) -> None:
        async with Connection(self._port) as connection:
            while True:
                status, _ = await connection.post(PATH, self._large)
                assert status == 200
                self.counts["large"] += 1
                await asyncio.sleep(0.1)

    async def _update(self) -> None:
        ids = itertools.count(10**9, 10)
        async with Connection(self._port) as connection:
            while True:
                first = next(ids)
                rows = self._rng.standard_normal((10, self._dim)).round(4).tolist()
                fields = {"operation": "update", "items": list(range(first, first + 10))}
                body = json.dumps({**fields, "vectors": {"main": rows}}).encode()
                status, reply = await connection.post("/v1/items", body)
                assert status == 200, reply
                self.counts["updates"] += 1
                await asyncio.sleep(0.1)

    async def _publish(self) -> None:
        await asyncio.sleep(1.0)
        async with Connection(self._port) as connection:
            body = json.dumps({"operation": "publish", "folder": str(self._other)}).encode()
            status, reply = await connection.post("/v1/versions", body)
            assert status == 200, reply
            self.counts["published"] += 1

    async def _leave(self) -> None:
        for _ in range(5):
            _, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(message(PATH, self._large))
            await asyncio.sleep(0)
            writer.close()
            self.counts["gone"] += 1

    async def _stall(self) -> None:
        whole = message(PATH, self._large)
        writers = []
        for part in (10, 60, len(whole) // 2, len(whole)):
            for _ in range(5):
                reader, writer = await asyncio.open_connection(HOST, self._port, limit=1)
                writer.write(whole[:part])
                writers.append((reader, writer))
                self.counts["stalled"] += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        for _, writer in writers:
            writer.close()

    async def _probe(self) -> None:
        start = time.perf_counter()
        reader, writer = await asyncio.open_connection(HOST, self._port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        reply = await reader.read()
        assert reply.split()[1] == b"200"
        writer.close()
        self._health.append(time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
