"""One process of a service: it loads its state, warms up, answers, and ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from vecrecall.serve import _answers
from vecrecall.serve._batch import SystemBatch
from vecrecall.serve._changes import Change
from vecrecall.serve._config import Config, ConfigError
from vecrecall.serve._errors import RequestError, bad_field
from vecrecall.serve._requests import RecallRequest, VersionsRequest
from vecrecall.serve._store import Store
from vecrecall.serve._system import System
from vecrecall.serve._writer import Writer, source_of

log = logging.getLogger("vecrecall.serve")


class State(Protocol):
    """A system, and the way to the writer of its changes."""

    @property
    def system(self) -> System:
        """The system that is served now."""

    async def submit(self, change: Change) -> int:
        """Make a change."""

    async def administer(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""

    def close(self) -> None:
        """End."""


class LocalState:
    """The state of a process that is the only one: the writer is in it."""

    def __init__(self, config: Config, store: Store) -> None:
        self._writer = Writer(config, store)

    @property
    def system(self) -> System:
        """The system that is served now."""
        return self._writer.system

    async def submit(self, change: Change) -> int:
        """Make a change."""
        return await asyncio.wrap_future(self._writer.submit(change))

    async def administer(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""
        return await asyncio.to_thread(administer, self._writer, request)

    def close(self) -> None:
        """End after the changes that were submitted."""
        self._writer.close()


def administer(writer: Writer, request: VersionsRequest) -> dict[str, Any]:
    """Publish, roll back or fold.

    Raises
    ------
    RequestError
        If that cannot be done; what is served is as before.
    """
    try:
        if request.operation == "publish":
            return writer.publish(_source_of(request.folder or ""), request.since)
        if request.operation == "rollback":
            return writer.rollback()
        kept = writer.fold()
    except ConfigError as error:
        raise RequestError(400, f"folder: {error}", field="folder") from None
    except OSError as error:
        message = f"the state cannot be written: {error}"
        raise RequestError(503, message, headers={"Retry-After": "10"}) from None
    return {"version": kept.version, "position": kept.position}


def _source_of(folder: str) -> Config:
    try:
        return source_of(Path(folder))
    except OSError as error:
        reason = error.strerror or error
        raise bad_field(
            "folder", "a saved system or a TOML file", f"{folder!r}: {reason}"
        ) from None


class Runtime:
    """Loads a state in a thread of its own, while the process says that it is alive.

    Parameters
    ----------
    open_state : callable
        Loads the state.
    """

    def __init__(self, open_state: Callable[[], State]) -> None:
        self._open = open_state
        self._state: State | None = None
        self._status: str | None = "starting"
        self.loaded: Future[None] = Future()

    def start(self) -> None:
        """Begin to load."""
        threading.Thread(target=self._load, name="vecrecall-load", daemon=True).start()

    def end(self) -> None:
        """Say that no new traffic may come."""
        self._status = "ending"

    def close(self) -> None:
        """End, after the server."""
        if self._state is not None:
            self._state.close()

    def problem(self) -> str | None:
        """Say why no traffic may come, None if it may."""
        return self._status

    def current(self) -> System:
        """Return what is served now."""
        assert self._state is not None  # nothing is asked before it is ready
        return self._state.system

    async def submit(self, change: Change) -> int:
        """Make a change."""
        assert self._state is not None  # ready
        return await self._state.submit(change)

    async def administer(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""
        assert self._state is not None  # ready
        return await self._state.administer(request)

    def _load(self) -> None:
        try:
            state = self._open()
            warm_up(state.system)
        except BaseException as error:
            self._status = "unable to load what it serves"
            self.loaded.set_exception(error)
            return
        self._state = state
        if self._status == "starting":
            self._status = None
        about = {"version": state.system.version, "position": state.system.position}
        log.info("ready", extra={"fields": about})
        self.loaded.set_result(None)


def warm_up(system: System) -> None:
    """Read what is mapped and run every channel once, so that no client waits for that."""
    for index in system.parts.indexes.values():
        if len(index):
            ids = index.ids[:: max(1, len(index) // 16)]
            index.search(index.vectors(ids), 10)
    recaller = system.recaller(())
    if recaller is None:
        return
    users = system.parts.users
    known: Any = None if users is None else next(iter(users), None)
    request = RecallRequest(history=[[]]) if known is None else RecallRequest(users=[known])
    recaller.recall(SystemBatch(_answers.resolved(system, request, 1)), 10)
