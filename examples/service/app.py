"""The ASGI application: its routes and errors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from examples.service.gather import Gather
from examples.service.recall import answers, json_object, numbers
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import vecrecall as vr

MAX_BODY = 8 << 20
"""Bytes of one request: about 400,000 numbers."""

GATHER_BODY = 8 << 10
"""A request with more bytes has users enough for a scan of its own."""

GATHER_LIMIT = 128
"""The most requests of one scan. It bounds how long those wait that just missed it."""

log = logging.getLogger("uvicorn.error")


class Service:
    """An index behind HTTP.

    Parameters
    ----------
    load : callable
        Makes the index, in a thread while the service says that it is starting.
    gather : bool
        Whether small requests that come at the same time share a scan.
    """

    def __init__(self, load: Callable[[], vr.FlatIndex], gather: bool) -> None:
        self._load = load
        self._index: vr.FlatIndex | None = None
        self._status = "starting"
        self._gather = Gather(self._answers, GATHER_LIMIT) if gather else None

    async def start(self) -> None:
        """Make the index."""
        try:
            self._index = await asyncio.to_thread(self._load)
            self._status = "ready"
        except Exception:
            self._status = "failed"
            log.exception("the index could not be made")

    async def health(self, request: Request) -> Response:
        """Say whether there is an index, and how large it is; 503 while there is none."""
        if self._index is None:
            return JSONResponse({"status": self._status}, 503)
        about = {"items": len(self._index), "dim": self._index.dim, "metric": self._index.metric}
        return JSONResponse({"status": self._status, **about})

    async def recall(self, request: Request) -> Response:
        """Answer for one user or many, see `recall.answers`."""
        self._ready()
        body = await _body(request)
        if self._gather is not None and len(body) <= GATHER_BODY:
            return _json(await self._gather(body))
        (reply,) = await asyncio.to_thread(self._answers, [body])
        if isinstance(reply, Exception):
            raise reply
        return _json(reply)

    async def add(self, request: Request) -> Response:
        """Add items, ``{"ids", "vectors"}``: all or, if there is one already, none."""
        return await self._put(request, self._ready().add)

    async def update(self, request: Request) -> Response:
        """Add items, ``{"ids", "vectors"}``, or replace them."""
        return await self._put(request, self._ready().update)

    async def remove(self, request: Request) -> Response:
        """Remove items, ``{"ids"}``: all or, if one is not there, none."""
        index = self._ready()
        body = await _body(request)

        def work() -> None:
            ids: Any = json_object(body, "ids").get("ids")
            index.remove(ids)

        await asyncio.to_thread(work)
        return JSONResponse({"items": len(index)})

    async def _put(self, request: Request, put: Callable[..., object]) -> Response:
        index = self._ready()
        body = await _body(request)

        def work() -> None:
            fields = json_object(body, "ids", "vectors")
            ids: Any = fields.get("ids")
            if ids is None:  # a client that asks again must not add the items twice
                raise ValueError("ids: expected one for each vector, got none")
            put(numbers(fields.get("vectors"), "vectors", index.dim), ids)

        await asyncio.to_thread(work)
        return JSONResponse({"items": len(index)})

    def _answers(self, bodies: list[bytes]) -> list[bytes | Exception]:
        return answers(self._ready(), bodies)

    def _ready(self) -> vr.FlatIndex:
        if self._index is None:
            raise HTTPException(503, self._status, {"Retry-After": "1"})
        return self._index


def create(load: Callable[[], vr.FlatIndex], *, gather: bool = True) -> Starlette:
    """Make the application.

    Parameters
    ----------
    load : callable
        Makes the index.
    gather : bool
        Whether small requests that come at the same time share a scan.

    Returns
    -------
    Starlette
    """
    service = Service(load, gather)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        start = asyncio.create_task(service.start())
        yield
        await start  # a thread cannot be interrupted

    post = partial(Route, methods=["POST"])
    return Starlette(
        routes=[
            Route("/health", service.health),
            post("/recall", service.recall),
            post("/items/add", service.add),
            post("/items/update", service.update),
            post("/items/remove", service.remove),
        ],
        exception_handlers={
            HTTPException: lambda _, error: _error(error.status_code, error.detail, error.headers),
            TypeError: lambda _, error: _error(400, str(error)),
            ValueError: lambda _, error: _error(400, str(error)),
            KeyError: lambda _, error: _error(404, str(error.args[0])),
            # Who has gone reads no answer, but the log stays free of tracebacks.
            ClientDisconnect: lambda *_: _error(400, "body: expected all of it, got a part"),
        },
        lifespan=lifespan,
    )


async def _body(request: Request) -> bytes:
    """Read a body, but not more than is allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"body: expected at most {MAX_BODY} bytes")
    return bytes(body)


def _json(reply: bytes) -> Response:
    return Response(reply, media_type="application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
