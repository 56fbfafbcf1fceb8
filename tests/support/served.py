"""A small system to serve, and a service in processes of its own.

Tests that import it are skipped where a package is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.storage import _array_folder

for _name in ("httptools", "msgspec", "orjson", "prometheus_client", "starlette", "uvicorn"):
    pytest.importorskip(_name, reason='needs pip install "vecrecall[serve]"')
pytest.importorskip("httpx2", reason="needs pip install httpx2")

N, DIM, USERS, CLUSTERS = 300, 8, 12, 3
ITEMS = np.random.default_rng(0).standard_normal((N, DIM), dtype=np.float32)
USER_VECTORS = np.random.default_rng(1).standard_normal((USERS, DIM), dtype=np.float32)
KEYS = [f"item-{n}" for n in range(N)]
USER_KEYS = [f"user-{n}" for n in range(USERS)]
HISTORIES = [list(range(n, n + 5)) for n in range(USERS)]  # oldest first
LABELS = [n % CLUSTERS for n in range(USERS)]

CONFIG = """
depth = 50

[items]
keys = "items"

[users]
keys = "users"
profiles = "profiles"
vectors = { tower = "vectors" }

[indexes.tower]
path = "index"

[tables.similar]
path = "table"

[groupings.kind]
labels = "labels"

[feeds.kind]
n_clusters = 3
half_life = 100.0
capacity = 1000
clock = "events"

[filters.even]
file = "even.json"

[channels.u2i]
kind = "user_to_item"
index = "tower"
vector = "tower"

[channels.i2i]
kind = "item_to_item"
table = "similar"

[channels.feed]
kind = "feed"
grouping = "kind"

[channels.hot]
kind = "popularity"

[policy]
name = "RRF"
weights = { u2i = 3, i2i = 2, feed = 2, hot = 1 }

[limits]
work = 50000
k = 1000
users = 2000
body_bytes = 1000000
"""


def write_system(folder: Path, config: str = CONFIG) -> Path:
    """Write a system of channels of each kind; returns its configuration."""
    from vecrecall.train import Embedding

    keys = vr.Vocabulary(KEYS)
    keys.save(folder / "items")
    vr.Vocabulary(USER_KEYS).save(folder / "users")
    index = vr.FlatIndex(ITEMS)
    index.save(folder / "index", vocabulary=keys)
    vr.NeighborTable.build(index, 20).save(folder / "table")
    Embedding(USER_KEYS, USER_VECTORS).save(folder / "vectors")
    labels = {"labels": np.array(LABELS), "centers": np.zeros((CLUSTERS, DIM), np.float32)}
    _array_folder.save(folder / "labels", "SavedSystem", {}, labels)
    histories = vr.Ragged.from_lists(HISTORIES)
    profiles = {
        "items": histories.values,
        "offsets": histories.offsets,
        "first_tags": np.zeros(N, np.int64),
        "counts": np.bincount(histories.values, minlength=N),
    }
    _array_folder.save(folder / "profiles", "SavedSystem", {}, profiles)
    (folder / "even.json").write_text(json.dumps(KEYS[::2]))
    path = folder / "service.toml"
    path.write_text(config)
    return path


def other_system(folder: Path) -> Path:
    """Write the same items with other vectors."""
    folder.mkdir()
    path = write_system(folder)
    vr.FlatIndex(-ITEMS).save(folder / "index", vocabulary=vr.Vocabulary(KEYS))
    return path


def write_plain(folder: Path, items: Any, *, limits: str = "") -> Path:
    """Write a service of one index without keys, and a channel that searches it."""
    vr.FlatIndex(items).save(folder / "index")
    path = folder / "plain.toml"
    path.write_text(
        f'[indexes.main]\npath = "index"\n[channels.u2i]\nkind = "user_to_item"\n'
        f'index = "main"\nvector = "user"\n{limits}'
    )
    return path


class Running:
    """A service in processes of its own."""

    def __init__(self, config: Path, *arguments: str, token: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log = config.with_suffix(".log")
        source = ["--config", str(config)] if config.is_file() else [str(config)]
        command = [sys.executable, "-m", "vecrecall", "serve", *source, "--port", str(self.port)]
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *arguments], stderr=log)

    def request(
        self, method: str, path: str, body: Any = None, *, timeout: float = 60.0
    ) -> tuple[int, Any]:
        """Send one request over a connection of its own."""
        given = body is None or isinstance(body, (bytes, Iterator))
        content = body if given else json.dumps(body).encode()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, content, self._headers)
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if data[:1] == b"{" else data

    def post(self, path: str, **fields: Any) -> Any:
        """Send a request that must be answered."""
        status, reply = self.request("POST", path, fields)
        assert status == 200, reply
        return reply

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until it may be sent traffic."""
        late = time.monotonic() + seconds
        while time.monotonic() < late:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError, HTTPException):
                if self.request("GET", "/readyz")[0] == 200:
                    return
            time.sleep(0.02)
        raise AssertionError("the service is not ready")

    def children(self) -> list[int]:
        """List the processes that it has started."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self, seconds: float = 60.0) -> int:
        """End it by SIGTERM; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        for pid in self.children() if self.process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(config: Path, *arguments: str, token: str | None = None) -> Iterator[Running]:
    """Run a service from when it is ready."""
    service = Running(config, *arguments, token=token)
    try:
        service.wait_ready()
        yield service
    finally:
        service.kill()
