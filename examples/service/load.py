"""Measures the service under load: ``python -m examples.service.load``.

Starts it twice on loopback, with and without gathering, and sends both in turns the same requests
of one user each. A client sends its next request when the last one is answered.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from time import perf_counter, sleep

import numpy as np

HOST = "127.0.0.1"


def main() -> None:
    """Start both, measure in turns, and say whether their answers are the same."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.service.load",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--items", type=int, default=1_000_000, help="vectors to search")
    parser.add_argument("--dim", type=int, default=64, help="their width")
    parser.add_argument("--k", type=int, default=100, help="length of a list")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="at a time")
    parser.add_argument("--requests", type=int, default=1000, help="in one round")
    parser.add_argument("--rounds", type=int, default=3, help="for each number of clients")
    options = parser.parse_args()
    requests = bodies(options.requests, options.dim, options.k)
    arguments = ["--synthetic", str(options.items), "--dim", str(options.dim)]
    print(f"top-{options.k} of {options.items:,} x {options.dim}, one user a request")
    print("clients  scans     requests/s   p50 ms   p99 ms")
    with service(*arguments) as gathered, service(*arguments, "--no-gather") as single:
        ports = {"gathered": gathered, "single": single}
        for clients in options.clients:
            seconds: dict[str, list[float]] = {name: [] for name in ports}
            total = dict.fromkeys(ports, 0.0)
            for _ in range(options.rounds):
                replies = {}
                for name, port in ports.items():
                    start = perf_counter()
                    replies[name], times = asyncio.run(send(port, requests, clients))
                    total[name] += perf_counter() - start
                    seconds[name] += times
                if replies["gathered"] != replies["single"]:
                    raise SystemExit("gathered answers differ from single ones")
            for name, times in seconds.items():
                p50, p99 = 1e3 * np.percentile(times, [50, 99])
                rate = len(times) / total[name]
                print(f"{clients:7}  {name:8} {rate:11.0f} {p50:8.2f} {p99:8.2f}")


def bodies(n: int, dim: int, k: int, seed: int = 1) -> list[bytes]:
    """Make requests of one user each, by vector, who has seen a few items."""
    rng = np.random.default_rng(seed)
    return [
        json.dumps({"k": k, "vectors": [user.tolist()], "seen": [[i, i + 1]]}).encode()
        for i, user in enumerate(rng.standard_normal((n, dim)).round(6))
    ]


@contextmanager
def service(*arguments: str) -> Iterator[int]:
    """Run the service on a free port, from when it is ready."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "examples.service", "--port", str(port), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a service has its index."""
    while process.poll() is None:
        with suppress(ConnectionError), closing(HTTPConnection(HOST, port, timeout=60)) as probe:
            probe.request("GET", "/health")
            if probe.getresponse().status == 200:
                return
        sleep(0.05)
    raise SystemExit(f"the service ended with exit code {process.returncode}")


async def send(port: int, requests: list[bytes], clients: int) -> tuple[list[bytes], list[float]]:
    """Send requests over so many connections.

    Returns
    -------
    tuple of (list of bytes, list of float)
        For each request its reply, and the seconds until it came.
    """
    replies = [b""] * len(requests)
    seconds = [0.0] * len(requests)
    left = deque(range(len(requests)))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        while left:
            place = left.popleft()
            start = perf_counter()
            replies[place] = await _post(reader, writer, requests[place])
            seconds[place] = perf_counter() - start
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(clients)))
    return replies, seconds


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bytes:
    """Send one request and read its reply; a general client would cost more than the service."""
    head = f"POST /recall HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    length = next(int(field[15:]) for field in fields if field.startswith("content-length:"))
    reply = await reader.readexactly(length)
    if status.split()[1] != "200":
        raise SystemExit(f"the service says {status}: {reply.decode()}")
    return reply


if __name__ == "__main__":
    main()
