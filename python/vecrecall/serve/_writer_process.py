"""The process of the writer: takes changes of workers, and tells them what is durable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from vecrecall.serve import _wire
from vecrecall.serve._changes import unpacked
from vecrecall.serve._config import Config
from vecrecall.serve._errors import RequestError
from vecrecall.serve._requests import VersionsRequest, read
from vecrecall.serve._runtime import administer
from vecrecall.serve._store import Store
from vecrecall.serve._writer import Writer

log = logging.getLogger("vecrecall.serve")

_PREPARE_SECONDS = 120.0


@dataclass(eq=False)
class _Worker:
    """A worker that is connected."""

    out: asyncio.StreamWriter
    applied: int = -1
    prepared: int = -1
    waits: list[tuple[int, asyncio.Event]] = field(default_factory=list)


class WriterProcess:
    """Serves workers until a signal comes.

    Parameters
    ----------
    config : Config
    store : Store
    path : Path
        Of the socket.
    """

    def __init__(self, config: Config, store: Store, path: Path) -> None:
        self._config = config
        self._store = store
        self._path = path
        self._workers: set[_Worker] = set()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Serve."""
        loop = self._loop = asyncio.get_running_loop()
        self._writer = await asyncio.to_thread(
            Writer,
            self._config,
            self._store,
            on_commit=lambda position: loop.call_soon_threadsafe(self._committed, position),
            on_prepare=self._prepare,
        )
        ended = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, ended.set)
        server = await asyncio.start_unix_server(self._serve, self._path, limit=1 << 20)
        log.info("the writer is ready", extra={"fields": {"position": self._writer.position}})
        await ended.wait()
        server.close()
        for worker in self._workers:
            worker.out.close()
        await asyncio.to_thread(self._writer.close)

    async def _serve(self, source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        worker = _Worker(out)
        out.write(_wire.framed(_wire.Position(self._writer.position)))
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                message = await _wire.receive(source)
                if isinstance(message, _wire.Applied):
                    await self._note(worker, message)
                elif isinstance(message, _wire.Prepared):
                    worker.prepared = message.version
                    await self._notify()
                elif isinstance(message, (_wire.Submit, _wire.Administer)):
                    task = asyncio.create_task(self._answer(worker, message))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._workers.discard(worker)
            with contextlib.suppress(RuntimeError):  # at the end
                await self._notify()
            out.close()

    async def _note(self, worker: _Worker, message: _wire.Applied) -> None:
        """Take how far a worker is; one that is new counts from when it has caught up."""
        worker.applied = message.position
        if worker not in self._workers:
            if worker.applied < self._writer.position:
                worker.out.write(_wire.framed(_wire.Position(self._writer.position)))
                return
            self._workers.add(worker)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, worker: _Worker, message: _wire.Submit | _wire.Administer) -> None:
        try:
            if isinstance(message, _wire.Submit):
                done: Future[int] = self._writer.submit(unpacked(message.change))
                position = await asyncio.wrap_future(done)
                result = {"position": position}
            else:
                request = read(message.body, VersionsRequest)
                result = await asyncio.to_thread(administer, self._writer, request)
            await self._visible(result["position"])
            reply = _wire.Reply(message.number, result)
        except RequestError as error:
            body = json.dumps(error.body()).encode()
            reply = _wire.Reply(message.number, {}, error.status, body)
        except Exception as error:
            log.error("a change failed", exc_info=error)
            body = json.dumps({"error": {"message": "the writer failed"}}).encode()
            reply = _wire.Reply(message.number, {}, 500, body)
        with contextlib.suppress(ConnectionError):
            worker.out.write(_wire.framed(reply))

    async def _visible(self, position: int) -> None:
        """Wait until all workers serve a change; one that takes too long is cut off."""
        try:
            await self._until(
                lambda: all(worker.applied >= position for worker in self._workers),
                self._config.state.visible,
            )
        except TimeoutError:
            for worker in [one for one in self._workers if one.applied < position]:
                log.warning("a worker is late, and is cut off until it has caught up")
                self._workers.discard(worker)
                worker.out.close()

    async def _until(self, holds: object, seconds: float) -> None:
        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(holds)  # type: ignore[arg-type]  # a function

        try:
            await asyncio.wait_for(wait(), seconds)
        except asyncio.TimeoutError:  # another class in Python 3.10
            raise TimeoutError from None

    def _committed(self, position: int) -> None:
        content = _wire.framed(_wire.Position(position))
        for worker in self._workers:
            worker.out.write(content)

    def _prepare(self, version: int) -> None:
        """Let workers load a version, in the thread of the caller."""

        async def prepare() -> None:
            for worker in self._workers:
                worker.out.write(_wire.framed(_wire.Prepare(version)))
            with contextlib.suppress(TimeoutError):  # who is late loads it when it is served
                await self._until(
                    lambda: all(worker.prepared == version for worker in self._workers),
                    _PREPARE_SECONDS,
                )

        asyncio.run_coroutine_threadsafe(prepare(), self._loop).result()
