"""Clients that are large, late, gone or stalled, and one that probes, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serve.clients import HOST, Connection, get, message

PATH = "/v1/recall"
LARGE_USERS, LARGE_K = 256, 500  # 1280 times the work of a small request
NEW = 10**9
"""The first id of items that are added."""
_KEPT = 2  # replies
_PUBLISHED_SECONDS = 60.0
_PROBE_SECONDS, _PROBE_PAUSE = 20.0, 0.02


class LoadError(Exception):
    """The service has not answered as it should."""


@dataclass
class Done:
    """Counts, times and replies of these clients.

    Attributes
    ----------
    counts : dict of str to int
    large : list of bytes
        Some replies to large requests.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("large", "updates", "published", "gone", "stalled"), 0
        )
    )
    large: list[bytes] = field(default_factory=list)


def large_vectors(dim: int) -> list[list[float]]:
    """Make the users of large requests."""
    rows: list[list[float]] = (
        np.random.default_rng(3).standard_normal((LARGE_USERS, dim)).round(3).tolist()
    )
    return rows


def run(port: int, other: Path, dim: int, seconds: float) -> Done:
    """Disturb a service for a few seconds."""
    return asyncio.run(_Disturbers(port, other, dim).run(seconds))


def probe(port: int, seconds: float) -> list[float]:
    """Ask `/healthz` again and again; returns the seconds that each answer took."""
    found = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        status, reply = get(port, "/healthz", _PROBE_SECONDS)
        if status != 200:
            raise LoadError(f"/healthz: expected 200, got {status}: {reply}")
        found.append(time.perf_counter() - start)
        time.sleep(_PROBE_PAUSE)
    return found


class _Disturbers:
    def __init__(self, port: int, other: Path, dim: int) -> None:
        self._port = port
        self._other = other
        self._dim = dim
        body = {"k": LARGE_K, "vectors": {"user": large_vectors(dim)}}
        self._large = json.dumps(body).encode()
        self._done = Done()

    async def run(self, seconds: float) -> Done:
        """Run all until the time is up; an unexpected answer is an error."""
        kinds: list[tuple[Callable[[], Coroutine[Any, Any, None]], float]] = [
            (self._send_large, 0.1),
            (self._update, 0.1),
            (self._leave, 0.5),
        ]
        tasks = [asyncio.create_task(_repeatedly(work, pause)) for work, pause in kinds]
        tasks += [asyncio.create_task(self._stall())]
        publication = asyncio.create_task(self._publish(seconds / 10))
        ended, _ = await asyncio.wait(
            [*tasks, publication], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()
        self._done.counts["published"] = int(publication.done())  # later it meets no small request
        await asyncio.wait_for(publication, _PUBLISHED_SECONDS)
        return self._done

    async def _post(self, path: str, body: bytes) -> bytes:
        async with Connection(self._port) as connection:
            status, reply = await connection.post(path, body)
        if status != 200:
            raise LoadError(f"{path}: expected 200, got {status}: {reply.decode()}")
        return reply

    async def _send_large(self) -> None:
        reply = await self._post(PATH, self._large)
        self._done.large = [*self._done.large, reply][-_KEPT:]
        self._done.counts["large"] += 1

    async def _update(self) -> None:
        first = NEW + 10 * self._done.counts["updates"]
        rows = np.random.default_rng(first).standard_normal((10, self._dim)).round(4).tolist()
        fields = {"operation": "update", "items": list(range(first, first + 10))}
        await self._post("/v1/items", json.dumps({**fields, "vectors": {"main": rows}}).encode())
        self._done.counts["updates"] += 1

    async def _publish(self, after: float) -> None:
        await asyncio.sleep(after)
        body = json.dumps({"operation": "publish", "folder": str(self._other)}).encode()
        await self._post("/v1/versions", body)

    async def _leave(self) -> None:
        for _ in range(5):
            _, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(message(PATH, self._large))
            await asyncio.sleep(0)
            writer.close()
            self._done.counts["gone"] += 1

    async def _stall(self) -> None:
        """Send parts of requests, or do not read the answers."""
        whole = message(PATH, self._large)
        writers = []
        for part in (10, 60, len(whole) // 2, len(whole)):
            for _ in range(5):
                _, writer = await asyncio.open_connection(HOST, self._port, limit=1)
                writer.write(whole[:part])
                writers.append(writer)
                self._done.counts["stalled"] += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        for writer in writers:
            writer.close()


async def _repeatedly(work: Callable[[], Coroutine[Any, Any, None]], pause: float) -> None:
    while True:
        await work()
        await asyncio.sleep(pause)
