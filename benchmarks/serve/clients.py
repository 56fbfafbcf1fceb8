"""Clients of a service on this machine, and services in processes of their own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

import vecrecall as vr

HOST = "127.0.0.1"
MOST_CONNECTIONS = 512
_KEPT = 16  # of so many replies one is kept

Answered = tuple[int, bytes]
"""The number of a body, and the reply to it."""


class Connection:
    """A connection that is kept; a general client would cost more than the service."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a request and wait for the reply."""
        self._writer.write(message(path, body))
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r")[0])
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(length)


def message(path: str, body: bytes) -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def closed_loop(
    port: int, path: str, bodies: Sequence[bytes], clients: int
) -> tuple[list[bytes], list[float], float]:
    """Send requests, each client its next when the last is answered.

    Returns
    -------
    replies, seconds, total : list of bytes, list of float, float
    """
    replies, seconds = [b""] * len(bodies), [0.0] * len(bodies)
    left = iter(range(len(bodies)))

    async def client() -> None:
        async with Connection(port) as connection:
            for place in left:
                start = time.perf_counter()
                status, replies[place] = await connection.post(path, bodies[place])
                seconds[place] = time.perf_counter() - start
                if status != 200:
                    raise SystemExit(f"the service says {status}: {replies[place].decode()}")

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return replies, seconds, time.perf_counter() - start


async def open_loop(
    port: int, path: str, bodies: Sequence[bytes], rate: float, seconds: float, seed: int
) -> tuple[list[float], list[Answered]]:
    """Send requests at random times, whatever the service does.

    Returns
    -------
    waits : list of float
        Seconds from when each was due to its reply.
    kept : list of Answered
        Some replies.
    """
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    free: list[Connection] = []
    room = asyncio.Semaphore(MOST_CONNECTIONS)  # waiting for one counts too
    waits: list[float] = []
    kept: list[Answered] = []
    start = time.perf_counter()

    async def one(n: int, at: float) -> None:
        async with room:
            connection = free.pop() if free else await Connection(port).__aenter__()
            status, reply = await connection.post(path, bodies[n % len(bodies)])
            free.append(connection)
        waits.append(time.perf_counter() - start - at)
        if n % _KEPT == 0:
            kept.append((n % len(bodies), reply))
        if status != 200:
            raise SystemExit(f"the service says {status}: {reply.decode()}")

    tasks = []
    for n, at in enumerate(due.tolist()):
        await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
        tasks.append(asyncio.create_task(one(n, at)))
    await asyncio.gather(*tasks)
    for connection in free:
        await connection.__aexit__()
    return waits, kept


def small_requests(n: int, dim: int, k: int, route: str, seed: int = 1) -> list[bytes]:
    """Make requests of one user each, by vector, who has seen a few items."""
    rng = np.random.default_rng(seed)
    users = rng.standard_normal((n, dim)).round(6)
    if route == "recall":
        named = "vectors"
        return [
            json.dumps({"k": k, named: {"user": [user]}, "seen": [[i, i + 1]]}).encode()
            for i, user in enumerate(users.tolist())
        ]
    return [
        json.dumps({"k": k, "vectors": [user], "exclude": [[i, i + 1]]}).encode()
        for i, user in enumerate(users.tolist())
    ]


def write_service(folder: Path, items: int, dim: int, seed: int = 0) -> Path:
    """Write an index of random vectors, and the configuration of a service of it."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((items, dim), dtype=np.float32)
    vr.FlatIndex(vectors, copy=False).save(folder / "index")
    path = folder / "service.toml"
    path.write_text(
        '[indexes.main]\npath = "index"\n[channels.user]\nkind = "user_to_item"\n'
        'index = "main"\nvector = "user"\n[limits]\nqueue = 4096\n'
        "[server]\nheader_timeout = 2.0\nbody_timeout = 2.0\nwrite_timeout = 2.0\n"
    )
    return path


@contextmanager
def running(command: Sequence[str], health: str) -> Iterator[int]:
    """Run a service on a free port, from when it is ready."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, port, health)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, health: str) -> None:
    while process.poll() is None:
        with suppress(ConnectionError):
            status, _ = get(port, health, 60.0)
            if status == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"the service ended with exit code {process.returncode}")


def get(port: int, path: str, timeout: float) -> tuple[int, str]:
    """Ask for a path by a connection of its own; returns the status and the text."""
    with closing(HTTPConnection(HOST, port, timeout=timeout)) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read().decode()


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    p50, p99 = np.percentile(np.asarray(seconds) * 1e3, [50, 99])
    return float(p50), float(p99)
