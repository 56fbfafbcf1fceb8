"""The state of a worker: it follows the log, and sends changes to the writer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from vecrecall.serve import _wire
from vecrecall.serve._changes import Change, packed
from vecrecall.serve._config import ConfigError
from vecrecall.serve._errors import RequestError
from vecrecall.serve._requests import VersionsRequest
from vecrecall.serve._store import Replica, Store
from vecrecall.serve._system import System
from vecrecall.storage._log import LogError

log = logging.getLogger("vecrecall.serve")

_PAUSE = 0.02  # seconds between two tries to reach the writer
_START_SECONDS = 600.0


class FollowerState:
    """The state of a worker.

    Parameters
    ----------
    store : Store
    path : Path
        Of the writer's socket.
    """

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, int]]] = {}
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._caught_up = threading.Event()
        self._socket: socket.socket | None = None
        self._replica = self._load()
        self._thread = threading.Thread(target=self._run, name="vecrecall-follow", daemon=True)
        self._thread.start()
        if not self._caught_up.wait(_START_SECONDS):
            raise ConfigError(f"expected the writer at {path}, got none")

    @property
    def system(self) -> System:
        """The system that is served now."""
        return self._replica.system

    async def submit(self, change: Change) -> int:
        """Make a change."""
        result = await asyncio.wrap_future(
            self._send(lambda number: _wire.Submit(number, packed(change)))
        )
        return result["position"]

    async def administer(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""
        body = msgspec.json.encode(request)
        return await asyncio.wrap_future(self._send(lambda number: _wire.Administer(number, body)))

    def close(self) -> None:
        """End."""
        self._closed.set()
        self._disconnect()

    def _load(self) -> Replica:
        """Load the newest version, which the writer may replace meanwhile."""
        late = time.monotonic() + _START_SECONDS
        while True:
            try:
                return Replica(self._store, lambda _: None)
            except (OSError, ValueError, LogError):
                if time.monotonic() > late:
                    raise
                time.sleep(_PAUSE)

    def _send(self, message_of: Any) -> Future[dict[str, int]]:
        done: Future[dict[str, int]] = Future()
        number = next(self._numbers)
        with self._sending:
            if self._socket is None:
                raise _away("the writer is away")
            self._waiting[number] = done
            try:
                self._socket.sendall(_wire.framed(message_of(number)))
            except OSError:
                self._waiting.pop(number, None)
                raise _away("the writer is away") from None
        return done

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._connect()
                self._follow()
            except (OSError, LogError) as error:
                log.debug("the writer is away", extra={"fields": {"reason": str(error)}})
                if isinstance(error, LogError):  # it has removed what is not known here yet
                    self._replica = self._load()
            except Exception:
                log.exception("the log cannot be followed")
            self._disconnect()
            self._closed.wait(_PAUSE)

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self._path))
        with self._sending:
            self._socket = sock

    def _follow(self) -> None:
        sock = self._socket
        assert sock is not None  # connected
        while (message := _wire.receive_blocking(sock)) is not None:
            if isinstance(message, _wire.Position):
                self._replica.advance(message.position)
                self._caught_up.set()
                self._tell(_wire.Applied(self._replica.system.position))
            elif isinstance(message, _wire.Prepare):
                try:
                    self._replica.prepare(message.version)
                except (OSError, ValueError):
                    log.exception("a version cannot be loaded yet")
                self._tell(_wire.Prepared(message.version))
            elif isinstance(message, _wire.Reply):
                self._settle(message)

    def _tell(self, message: _wire.Message) -> None:
        with self._sending:
            if self._socket is not None:
                self._socket.sendall(_wire.framed(message))

    def _settle(self, reply: _wire.Reply) -> None:
        done = self._waiting.pop(reply.number, None)
        if done is None or done.cancelled():
            return
        if reply.status == 200:
            done.set_result(reply.result)
            return
        about = msgspec.json.decode(reply.error)["error"]
        fields = {name: about.get(name) for name in ("field", "expected", "got")}
        headers = {"Retry-After": "1"} if reply.status == 503 else None
        done.set_exception(RequestError(reply.status, about["message"], headers=headers, **fields))

    def _disconnect(self) -> None:
        """Close the connection; what was submitted over it may have been made or not."""
        with self._sending:
            sock, self._socket = self._socket, None
            waiting, self._waiting = self._waiting, {}
        if sock is not None:
            _shut(sock)
        for done in waiting.values():
            if not done.done():
                done.set_exception(_away("the writer has ended; the change may be made or not"))


def _shut(sock: socket.socket) -> None:
    """Close a socket on which another thread may wait."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _away(message: str) -> RequestError:
    return RequestError(503, message, headers={"Retry-After": "1"})
