"""The ASGI application: routes, bodies, replies and errors."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vecrecall.serve import _requests
from vecrecall.serve._config import Limits
from vecrecall.serve._errors import RequestError
from vecrecall.serve._jobs import Job, Reply
from vecrecall.serve._logs import AccessLog
from vecrecall.serve._metrics import Metrics
from vecrecall.serve._openapi import document
from vecrecall.serve._requests import read
from vecrecall.serve._service import Service

log = logging.getLogger("vecrecall.serve")

_SMALL_BODY = 64 << 10  # is read where it came; a larger one in a thread
_CHUNK = 256 << 10
_DISCARDED = 16  # as many times the bytes that a body may have are read and thrown away
_JSON = "application/json"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_OPEN = frozenset(("/healthz", "/readyz"))
_NOTE_SECONDS = 1.0
_WATCH_SECONDS = 0.03  # after which it is looked for whether a client has gone

Handler = Callable[[Request], Awaitable[Response]]


class ClientGoneError(Exception):
    """The client does not wait for the answer."""


class App:
    """The routes of a service.

    Parameters
    ----------
    service : Service
    limits : Limits
    metrics : Metrics
    body_timeout : float
        Seconds that a client may take to send a body.
    token : str, optional
        What clients must send.
    ready : callable
        Returns why no traffic may come, None if it may.
    """

    def __init__(
        self,
        service: Service,
        limits: Limits,
        metrics: Metrics,
        *,
        body_timeout: float,
        token: str | None,
        ready: Callable[[], str | None],
    ) -> None:
        self._service = service
        self._limits = limits
        self._metrics = metrics
        self._body_timeout = body_timeout
        self._token = None if token is None else token.encode()
        self._ready = ready
        self._access = AccessLog()
        self._openapi = orjson.dumps(document())
        self._parser = ThreadPoolExecutor(1, "vecrecall-parse")

    def asgi(self) -> ASGIApp:
        """Make the application."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self._service.scheduler.start()
            noting = asyncio.create_task(self._note())
            writing = asyncio.create_task(self._access.write_in_turns())
            yield
            noting.cancel()
            writing.cancel()
            self._access.write()
            await self._service.scheduler.stop()
            self._parser.shutdown(wait=False, cancel_futures=True)

        post: dict[str, Handler] = {
            "/v1/recall": self._answering(self._service.recall, _requests.RecallRequest),
            "/v1/search": self._answering(self._service.search, _requests.SearchRequest),
            "/v1/items": self._changing(self._service.items, _requests.ItemsRequest),
            "/v1/events": self._changing(self._service.events, _requests.EventsRequest),
            "/v1/filters": self._changing(self._service.filters, _requests.FiltersRequest),
            "/v1/versions": self._changing(self._service.versions, _requests.VersionsRequest),
        }
        get: dict[str, Handler] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_text,
            "/openapi.json": self._openapi_json,
        }
        routes = [Route(path, handler, methods=["POST"]) for path, handler in post.items()]
        routes += [Route(path, handler, methods=["GET"]) for path, handler in get.items()]
        app = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _http_error},
            lifespan=lifespan,
        )
        app.router.redirect_slashes = False  # another path is another path
        return _Outer(app, self._metrics, self._token, {*post, *get}, post, self._access)

    # Routes

    def _answering(self, submit: Callable[[Any], Job], schema: type[Any]) -> Handler:
        async def handle(request: Request) -> Response:
            self._check_ready()
            body = await self._body(request)
            gone = _Departure(request.receive)
            try:
                job = submit(await self._parsed(body, schema, gone))
                reply = await self._while_there(job, gone)
            finally:
                gone.forget()
            return _Pieces(reply, self._service.current().version, job)

        return handle

    def _changing(
        self, change: Callable[[Any], Awaitable[dict[str, Any]]], schema: type[Any]
    ) -> Handler:
        async def handle(request: Request) -> Response:
            self._check_ready()
            body = await self._body(request)
            return _json(await change(await self._parsed(body, schema)))

        return handle

    async def _healthz(self, request: Request) -> Response:
        return _json({"status": "alive"})

    async def _readyz(self, request: Request) -> Response:
        reason = self._ready()
        if reason is not None:
            return _json({"status": reason}, 503, {"Retry-After": "1"})
        system = self._service.current()
        return _json({"status": "ready", "version": system.version, "position": system.position})

    async def _metrics_text(self, request: Request) -> Response:
        if self._ready() is None:
            self._service.note()
        text, media_type = await asyncio.to_thread(self._metrics.text)
        return Response(text, headers={"content-type": media_type})

    async def _openapi_json(self, request: Request) -> Response:
        return Response(self._openapi, media_type=_JSON)

    # Parts of all routes

    def _check_ready(self) -> None:
        reason = self._ready()
        if reason is not None:
            raise RequestError(503, f"the service is {reason}", headers={"Retry-After": "1"})

    async def _body(self, request: Request) -> bytes:
        most = self._limits.body_bytes
        try:
            async with _timeout(self._body_timeout):
                return await _body(request, most)
        except _TooLargeError as error:
            if error.goes_on:
                with contextlib.suppress(TimeoutError):
                    async with _timeout(self._body_timeout):
                        await _discard(request, _DISCARDED * most)
            raise RequestError(
                413, f"body: expected at most {most} bytes", field="body",
                expected=f"at most {most} bytes", got="more", headers={"Connection": "close"},
            ) from None  # fmt: skip
        except TimeoutError:
            message = f"body: expected all of it in {self._body_timeout:g} seconds, got a part"
            headers = {"Connection": "close"}
            raise RequestError(408, message, field="body", headers=headers) from None

    async def _parsed(self, body: bytes, schema: type[Any], gone: _Departure | None = None) -> Any:
        """Read a body, a large one in a thread, unless the client has gone by then."""
        if len(body) <= _SMALL_BODY:
            return read(body, schema)
        if gone is not None:
            gone.watch()

        def parse() -> Any:
            if gone is not None and gone.happened:
                raise ClientGoneError
            return read(body, schema)

        # One at a time: a parser holds the interpreter, and the loop would wait for all of them.
        return await asyncio.get_running_loop().run_in_executor(self._parser, parse)

    async def _while_there(self, job: Job, gone: _Departure) -> Reply:
        """Wait for an answer as long as the client does."""
        gone.cancel_then(job.answer)
        try:
            return await job.answer
        except asyncio.CancelledError:
            if not gone.happened:  # this task is canceled
                raise
            self._metrics.dropped.labels("client_gone").inc()
            raise ClientGoneError from None
        except RequestError as error:
            if error.status == 504:
                self._metrics.dropped.labels("deadline").inc()
            raise

    async def _note(self) -> None:
        while True:
            if self._ready() is None:
                self._service.note()
            await asyncio.sleep(_NOTE_SECONDS)


class _Departure:
    """Whether a client has gone while it is to wait for an answer.

    That is looked for after a moment only: most requests are answered by then, and a task for each
    would cost a good part of what a small request does.

    Parameters
    ----------
    receive : callable
        Of the request, whose body was read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._timer = asyncio.get_running_loop().call_later(_WATCH_SECONDS, self.watch)

    @property
    def happened(self) -> bool:
        """Whether the client has gone, as far as is known."""
        return self._task is not None and self._task.done() and not self._task.cancelled()

    def watch(self) -> None:
        """Begin to look."""
        if self._task is None:
            self._task = asyncio.create_task(_disconnect(self._receive))
            self._task.add_done_callback(lambda _: self._cancel())

    def cancel_then(self, answer: asyncio.Future[Any]) -> None:
        """Cancel an answer once the client has gone."""
        self._answer = answer
        if self.happened:
            self._cancel()

    def forget(self) -> None:
        """Look no more; an answer that is still waited for is canceled."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._cancel()

    def _cancel(self) -> None:
        if self._answer is not None:
            self._answer.cancel()


class _Pieces(Response):
    """A reply of JSON that was made in pieces, and is sent in pieces."""

    def __init__(self, reply: Reply, version: int, job: Job) -> None:
        self.body = b""
        self.status_code = 200
        self.background = None
        self._parts = list(_parts(reply, version, job))
        self.raw_headers = [
            (b"content-type", _JSON.encode()),
            (b"content-length", str(sum(map(len, self._parts))).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        chunks = _chunks(self._parts)
        for place, chunk in enumerate(chunks, 1):
            more = place < len(chunks)
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


def _parts(reply: Reply, version: int, job: Job) -> list[bytes]:
    parts = [b"{"]
    for name, pieces in reply.fields.items():
        rows = [piece for piece in pieces if piece]
        parts.append(b'"%b":[' % name.encode())
        for place, row in enumerate(rows):
            parts += [b",", row] if place else [row]
        parts.append(b"],")
    if job.kind == "recall":
        if getattr(job.request, "explain", False) and job.system is not None:
            names = list(job.system.config.channels)
            parts.append(b'"channels":%b,' % orjson.dumps(names))
        parts.append(b'"missing":%b,' % orjson.dumps(reply.missing))
    served = version if job.system is None else job.system.version
    parts.append(b'"version":%d}' % served)
    return parts


def _chunks(parts: list[bytes]) -> list[bytes]:
    """Join small parts and cut large ones."""
    whole: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for part in parts:
        some.append(part)
        size += len(part)
        if size >= _CHUNK:
            joined = b"".join(some)
            whole += [joined[at : at + _CHUNK] for at in range(0, len(joined), _CHUNK)]
            some, size = [], 0
    return [*whole, b"".join(some)] if some else whole


class _Outer:
    """Around all routes: tokens, request ids, figures, logs, and errors as JSON."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        token: bytes | None,
        known: set[str],
        posts: dict[str, Handler],
        access: AccessLog,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._token = token
        self._known = known
        self._posts = posts
        self._access = access
        self._counts: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._prefix = uuid.uuid4().hex[:20]
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._next_id()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message["headers"], named]}
            await send(message)

        try:
            refused = self._refused(scope["path"], headers)
            app = self._app_for(scope) if refused is None else _error_response(refused)
            await app(scope, receive, send_with_id)
        except Exception as error:
            log.error("a request failed", exc_info=error, extra={"fields": {"id": request_id}})
            if status == 0:
                told = RequestError(500, "the service failed; its log says why")
                await _error_response(told)(scope, receive, send_with_id)
        finally:
            self._note(scope, status, time.perf_counter() - start, request_id)

    def _app_for(self, scope: Scope) -> ASGIApp:
        """Return what answers; for the frequent routes without a search among all of them."""
        handler = self._posts.get(scope["path"]) if scope["method"] == "POST" else None
        return self._app if handler is None else partial(_handled, handler)

    def _next_id(self) -> str:
        """Return an id that no other request has: random bits of the process, and a number."""
        return f"{self._prefix}{next(self._numbers):012x}"

    def _refused(self, path: str, headers: dict[bytes, bytes]) -> RequestError | None:
        """Check the token, where there must be one."""
        if self._token is None or path in _OPEN:
            return None
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token):
            return None
        challenge = {"WWW-Authenticate": "Bearer"}
        return RequestError(401, "authorization: expected the bearer token", headers=challenge)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = scope["path"] if scope["path"] in self._known else "other"
        counts = self._counts.get((route, status))
        if counts is None:  # a few
            metrics = self._metrics
            counts = metrics.requests.labels(route, str(status)), metrics.seconds.labels(route)
            self._counts[route, status] = counts
        counts[0].inc()
        counts[1].observe(seconds)
        client = scope.get("client")
        fields = {
            "id": request_id,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 6),
            "client": client[0] if client else None,
        }
        self._access.note(fields)


class _TooLargeError(Exception):
    """A body has more bytes than are allowed; the client may still be sending."""

    def __init__(self, *, goes_on: bool) -> None:
        super().__init__()
        self.goes_on = goes_on


async def _body(request: Request, most: int) -> bytes:
    """Read a body, but not more than is allowed."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        # A client that waits for a word before it sends gets this one.
        waits = "expect" in request.headers
        raise _TooLargeError(goes_on=not waits and int(length) <= _DISCARDED * most)
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > most:
            raise _TooLargeError(goes_on=message.get("more_body", False))
        if not message.get("more_body", False):
            return bytes(body)


async def _discard(request: Request, most: int) -> None:
    """Read the rest of a body: a connection that ends before would be reset, its reply unread."""
    while most >= 0:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        most -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(content: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    return Response(orjson.dumps(content), status, headers, _JSON)


def _error_response(error: RequestError) -> Response:
    body = json.dumps(error.body()).encode()  # also of text that is no UTF-8
    return Response(body, error.status, error.headers, _JSON)


async def _handled(handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by a handler, whose errors are answers too."""
    try:
        response = await handler(Request(scope, receive))
    except RequestError as error:
        response = _error_response(error)
    except ClientGoneError:
        response = Response(status_code=499)  # for the log alone
    await response(scope, receive, send)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = RequestError(error.status_code, error.detail, headers=error.headers)
    return _error_response(told)


@contextlib.asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """Cancel what is inside after a few seconds, as `asyncio.timeout` of Python 3.11 does."""
    task = asyncio.current_task()
    assert task is not None  # in a coroutine
    late = False

    def end() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        yield
    except asyncio.CancelledError:
        if late:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
