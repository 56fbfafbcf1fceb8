"""The HTTP server: clients that send or read too slowly are cut off, and the end is on time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from vecrecall.serve import _config
from vecrecall.serve._errors import RequestError

_STARTING = 1.0  # seconds that threads may take to begin
_NICE = 8  # added to that of threads that compute: a sixth of the weight
_GRACE = 2.0  # seconds after the drain, until the process is ended whatever it does
_SMALL_WRITE = 4096
_SWITCH = 5e-4  # seconds after which a busy thread of the interpreter gives way
_MOST_HEAD = 64 << 10  # bytes of headers
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n"
)
_YOUNG = 20_000  # new objects, until those are looked at
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Guard:
    """Additions to a protocol of uvicorn: bounds of headers, and timeouts on unread replies.

    Headers have a time and a size. The parser of httptools keeps them, and one of any length, until
    they end; h11 has a bound of its own, which is the same.
    """

    header_timeout: float
    write_timeout: float
    transport: asyncio.Transport
    cycle: Any
    loop: asyncio.AbstractEventLoop
    _waits: asyncio.TimerHandle | None = None
    _stalls: asyncio.TimerHandle | None = None
    _in_head = False  # since the first byte of a request, until its headers end
    _head = 0  # bytes of packets that had nothing else
    _fields = 0  # bytes of those that are complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[misc]  # of uvicorn
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # type: ignore[misc]
        for timer in (self._waits, self._stalls):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self._in_head:  # all of it, but perhaps the end of a request before
            self._head += len(data)
            if self._head > _MOST_HEAD and not self.transport.is_closing():
                self._refuse_head()
        self._watch_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()  # type: ignore[misc]
        self._in_head, self._head, self._fields = True, 0, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)  # type: ignore[misc]

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        if self._fields > _MOST_HEAD:
            self._refuse_head()
        else:
            super().send_400_response(msg)  # type: ignore[misc]

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._abort_later()

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if self._stalls is not None:
            self._stalls.cancel()
            self._stalls = None

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        if self.transport.is_closing():  # which waits until all is read
            self._abort_later()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()  # type: ignore[misc]
        self._abort_later()

    def _count(self, n: int) -> None:
        """Count what came whole, in one packet; an exception is an error of the parser."""
        self._fields += n
        if self._fields > _MOST_HEAD:
            raise ValueError("too large")

    def _refuse_head(self) -> None:
        expected = f"at most {_MOST_HEAD} bytes"
        told = RequestError(
            431, f"headers: expected {expected}", field="headers", expected=expected, got="more"
        )
        body = json.dumps(told.body()).encode()
        self.transport.write(_TOO_LARGE % len(body) + body)
        self.transport.close()

    def _abort_later(self) -> None:
        if self._stalls is None:
            self._stalls = self.loop.call_later(self.write_timeout, self.transport.abort)

    def _watch_headers(self) -> None:
        """Give the client a few seconds for headers, from their first byte on."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._waits is None:
            self._waits = self.loop.call_later(self.header_timeout, self.transport.abort)
        elif not idle and self._waits is not None:
            self._waits.cancel()
            self._waits = None


class _Joined:
    """A transport that sends what is written in one step of the event loop as one packet.

    Headers and body come in two writes, and a call of the system costs as much as a small answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._first: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._first is not None:
            first, self._first = self._first, None
            self._transport.write(first + data)
        elif len(data) > _SMALL_WRITE:
            self._transport.write(data)
        else:
            self._first = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._first = None
        self._transport.abort()

    def _flush(self) -> None:
        if self._first is not None:
            first, self._first = self._first, None
            self._transport.write(first)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _protocol(settings: _config.Server) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, the faster one where it is installed, with the guard."""
    module, name = "httptools_impl", "HttpToolsProtocol"
    if importlib.util.find_spec("httptools") is None:
        module, name = "h11_impl", "H11Protocol"
    base = getattr(importlib.import_module(f"uvicorn.protocols.http.{module}"), name)
    timeouts = {
        "header_timeout": settings.header_timeout,
        "write_timeout": settings.write_timeout,
    }
    return type("GuardedProtocol", (_Guard, base), timeouts)


class Server(uvicorn.Server):
    """Serves an application until a signal comes.

    Parameters
    ----------
    app : ASGI application
    settings : Server
        Of a configuration.
    on_end : callable
        Called when the end begins, so that the service is not ready any more.
    """

    def __init__(
        self, app: ASGIApp, settings: _config.Server, on_end: Callable[[], object]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_protocol(settings),
            ws="none",
            h11_max_incomplete_event_size=_MOST_HEAD,
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]  # only a delay
            backlog=2048,
        )
        super().__init__(config)
        self._drain = settings.drain
        self._on_end = on_end

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end the service; the process ends by itself then."""
        before = {name: signal.signal(name, self.handle_exit) for name in _SIGNALS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin the end; a second signal ends at once."""
        self.end()

    def end(self) -> None:
        """Begin the end: requests in progress have a few seconds."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._on_end()
        end_process_after(self._drain + _GRACE)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests in progress end, as long as the drain lasts, and cut off the others."""
        loop = asyncio.get_running_loop()
        late = loop.time() + self._drain
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        while (state.connections or state.tasks) and loop.time() < late and not self.force_exit:
            await asyncio.sleep(0.02)
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.sleep(0)
        await self.lifespan.shutdown()


def settle() -> None:
    """Prepare the interpreter to answer quickly, once what the process keeps is loaded.

    A full collection would look at all modules each time, for tens of milliseconds in which nothing
    is answered; and a thread that ends a scan would wait for 5 ms where the event loop is busy.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG)
    sys.setswitchinterval(_SWITCH)
    _put_behind()


def _put_behind() -> None:
    """Let the threads that only compute give way to those that answer, where processors are few.

    These help with a scan and never hold the interpreter; the thread that scans waits only for
    what they have begun. A thread that held it would keep the event loop waiting, so those of
    Python stay as they are.
    """
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():  # a priority is one of a thread on Linux only
        return
    there = {int(task.name) for task in tasks.iterdir()}
    late = time.monotonic() + _STARTING
    while any(thread.native_id is None for thread in threading.enumerate()):  # it has just begun
        if time.monotonic() > late:
            return
        time.sleep(0.001)
    for number in there - {thread.native_id for thread in threading.enumerate()}:
        with contextlib.suppress(OSError):  # it has ended, or the system forbids it
            nice = os.getpriority(os.PRIO_PROCESS, number) + _NICE
            os.setpriority(os.PRIO_PROCESS, number, min(nice, 19))


def end_process_after(seconds: float) -> None:
    """End the process after a few seconds, if it has not ended: nothing can hold it longer."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, which workers may share.

    Raises
    ------
    OSError
        If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows to send small packets at once.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
