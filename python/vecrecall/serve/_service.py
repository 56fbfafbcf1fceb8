"""The work of the routes, without HTTP: recall, search, changes, versions."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import numpy as np

from vecrecall.arrays._scalars import counted
from vecrecall.serve import _answers
from vecrecall.serve._changes import Change, Clicks, Events, Put, Remove, Rows, SetFilter
from vecrecall.serve._config import Limits
from vecrecall.serve._errors import RequestError, bad_field, of_library
from vecrecall.serve._jobs import Job, Piece, Reply
from vecrecall.serve._metrics import Metrics
from vecrecall.serve._requests import (
    EventsRequest,
    FiltersRequest,
    ItemsRequest,
    RecallRequest,
    SearchRequest,
    VersionsRequest,
)
from vecrecall.serve._scheduler import Scheduler, run_encoder
from vecrecall.serve._system import System, grouped_clusters

log = logging.getLogger("vecrecall.serve")

_LATEST = 2.0**53  # seconds, users and weights are exact up to here


class Changes(Protocol):
    """Where changes go: the writer, or the way to it."""

    async def submit(self, change: Change) -> int:
        """Make a change; it is durable and visible when this returns its number."""

    async def administer(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""


class Service:
    """A system that answers and changes.

    Parameters
    ----------
    current : callable
        Gives the system as it is now.
    changes : Changes
    limits : Limits
    metrics : Metrics
    """

    def __init__(
        self,
        current: Callable[[], System],
        changes: Changes,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.current = current
        self._changes = changes
        self._limits = limits
        self._metrics = metrics
        self.scheduler = Scheduler(
            self._execute,
            self._pin,
            queue=limits.queue,
            queue_work=limits.queue_work,
            piece_seconds=limits.piece_seconds,
            observe=metrics.batch,
        )

    def recall(self, request: RecallRequest) -> Job:
        """Let a request wait for its answer."""
        system = self.current()
        if not system.config.channels:
            raise RequestError(404, "recall: the service has no channels")
        n = _answers.users_in(request)
        _answers.check_names(system, request)
        channels = len(system.config.channels)
        # Requests of one scan have about the same time left.
        hurry = None if request.deadline is None else math.frexp(request.deadline)[1]
        key = ("recall", request.k, tuple(sorted(set(request.filters))), hurry)
        return self._submit("recall", request, n, channels, key)

    def search(self, request: SearchRequest) -> Job:
        """Let a request wait for its answer."""
        system = self.current()
        name = _answers.index_name(system, request)
        _answers.check_names(system, request)
        _answers.check_probes(system, name, request)
        # A shorter list is the head of a longer one, but no request pays for much longer ones.
        bucket = request.k.bit_length()
        filters = tuple(sorted(set(request.filters)))
        key = ("search", name, filters, request.min_score, request.probes, bucket)
        return self._submit("search", request, len(request.vectors), 1, key)

    async def items(self, request: ItemsRequest) -> dict[str, Any]:
        """Add, update or remove items."""
        system = self.current()
        most = self._limits.update_rows
        if len(request.items) > most:
            raise bad_field("items", f"at most {most}", len(request.items), 413)
        _answers.check_items(system, request.items, "items")
        _check_unique(request.items, "items")
        change: Change
        if request.operation == "remove":
            for name in ("vectors", "bias"):
                if getattr(request, name) is not None:
                    raise bad_field(name, "none for a removal", name)
            change = Remove(request.items, request.missing == "error")
        else:
            vectors = await asyncio.to_thread(_rows, system, request)
            change = Put(request.items, vectors, _bias(request), request.operation == "add")
        number = await self._change(change)
        return {"position": number, "items": len(request.items)}

    async def events(self, request: EventsRequest) -> dict[str, Any]:
        """Take clicks."""
        system = self.current()
        most = self._limits.update_rows
        if len(request.items) > most:
            raise bad_field("items", f"at most {most}", len(request.items), 413)
        _answers.check_items(system, request.items, "items")
        change = Events(_clicks(system, request))
        number = await self._change(change)
        return {"position": number, "events": len(request.items)}

    async def filters(self, request: FiltersRequest) -> dict[str, Any]:
        """Change a filter."""
        if request.operation == "delete" and request.items:
            raise bad_field("items", "none for a deletion", f"{len(request.items)} items")
        _answers.check_items(self.current(), request.items, "items")
        change = SetFilter(request.name, request.operation, request.items)
        number = await self._change(change)
        return {"position": number, "name": request.name}

    async def versions(self, request: VersionsRequest) -> dict[str, Any]:
        """Publish, roll back or fold."""
        if (request.operation == "publish") != (request.folder is not None):
            raise bad_field("folder", "a folder for a publication, and none else", request.folder)
        if request.operation != "publish" and request.since is not None:
            raise bad_field("since", "none but for a publication", request.since)
        return await self._changes.administer(request)

    def note(self) -> None:
        """Bring the figures up to date."""
        self._metrics.note(self.current(), self.scheduler.waiting, self.scheduler.waiting_work)

    async def _change(self, change: Change) -> int:
        number = await self._changes.submit(change)
        self._metrics.changes.labels(type(change).__name__.lower()).inc()
        return number

    def _submit(self, kind: str, request: Any, n: int, channels: int, key: Hashable) -> Job:
        limits = self._limits
        if request.k > limits.k:
            raise bad_field("k", f"at most {limits.k}", request.k)
        if n > limits.users:
            raise bad_field("users", f"at most {limits.users} users", n, 413)
        if n * request.k > limits.work:
            expected = f"at most {limits.work} users x k"
            raise bad_field("body", expected, f"{n} x {request.k}", 413)
        loop = asyncio.get_running_loop()
        now = loop.time()
        seconds = min(limits.deadline, request.deadline or limits.deadline)
        answer: asyncio.Future[Reply] = loop.create_future()
        job = Job(kind, request, n, request.k, channels, key, now + seconds, answer, now)
        if n == 0:
            empty: dict[str, list[bytes]] = {"items": [], "scores": []}
            answer.set_result(Reply(empty, {}))
        else:
            self.scheduler.submit(job)
        return job

    def _pin(self, job: Job) -> None:
        job.system = self.current()

    def _execute(self, pieces: list[Piece]) -> list[Any]:
        """Answer pieces with equal keys, in the thread of the scheduler."""
        outcomes: list[Any] = [_resolve(piece) for piece in pieces]
        usable = [piece for piece, error in zip(pieces, outcomes, strict=True) if error is None]
        found = iter(self._together(usable))
        return [next(found) if outcome is None else outcome for outcome in outcomes]

    def _together(self, pieces: list[Piece]) -> list[Any]:
        """Answer pieces by one call; where that fails, one by one, so that one spoils no other."""
        if not pieces:
            return []
        try:
            return self._call(pieces)
        except Exception as error:
            if len(pieces) > 1:
                return list(itertools.chain(*(self._together([piece]) for piece in pieces)))
            return [_told(error)]

    def _call(self, pieces: list[Piece]) -> list[Any]:
        system = pieces[0].job.system
        assert system is not None  # pinned
        if pieces[0].job.kind == "recall":
            encoders = _answers.recall(system, pieces, time.monotonic(), self._metrics.channels)
        else:
            encoders = _answers.search(system, pieces)
        # A short answer is encoded here; a long one elsewhere, while the next scan runs.
        return [
            run_encoder(encoder) if len(piece) * piece.job.k <= _answers.INLINE else encoder
            for piece, encoder in zip(pieces, encoders, strict=True)
        ]


def _resolve(piece: Piece) -> Exception | None:
    """Resolve a request for its system, before its first piece."""
    job = piece.job
    assert job.system is not None  # pinned
    if job.columns is not None:
        return None
    try:
        if job.kind == "recall":
            job.columns = _answers.resolved(job.system, job.request, job.users)
        else:
            job.columns = _answers.resolved_search(job.system, job.request)
    except Exception as error:
        return _told(error)
    return None


def _told(error: Exception) -> RequestError:
    """Return what a client is told of an error while its request was answered."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, (TypeError, ValueError)):
        return of_library(error)
    log.error("a request failed", exc_info=error)
    return RequestError(500, "the service failed; its log says why")


def _rows(system: System, request: ItemsRequest) -> dict[str, Rows]:
    """Read the vectors of items."""
    if not request.vectors:
        raise bad_field("vectors", "a row per item, by index", "none")
    packed = {}
    for name, values in request.vectors.items():
        index = system.parts.indexes.get(name)
        if index is None:
            names = ", ".join(map(repr, system.parts.indexes)) or "none"
            raise bad_field(f"vectors.{name}", f"the name of an index ({names})", repr(name))
        if len(values) != len(request.items):
            raise bad_field(
                f"vectors.{name}", f"{counted(len(request.items), 'row')}, as items", len(values)
            )
        matrix = _answers.check_matrix(values, f"vectors.{name}", index.dim)
        _check_size(matrix, f"vectors.{name}")
        packed[name] = Rows.of(matrix)
    return packed


def _check_size(values: Any, name: str) -> None:
    """Refuse numbers that would make the scores of others' requests infinite, which JSON lacks."""
    large = np.argwhere(np.abs(values) > _answers.LARGEST)
    if large.size:
        place = tuple(large[0].tolist())
        at = "".join(f"[{number}]" for number in place)
        expected = f"a number of at most {_answers.LARGEST:g}"
        raise bad_field(f"{name}{at}", expected, float(values[place]))


def _bias(request: ItemsRequest) -> dict[str, list[float]]:
    """Read what is added to the scores of items."""
    vectors = request.vectors or {}
    bias = request.bias or {}
    for name, values in bias.items():
        if name not in vectors:
            names = ", ".join(map(repr, vectors))
            raise bad_field(
                f"bias.{name}", f"the name of an index in vectors ({names})", repr(name)
            )
        if len(values) != len(request.items):
            raise bad_field(f"bias.{name}", f"{len(request.items)} numbers, as items", len(values))
        _check_size(np.array(values, np.float64), f"bias.{name}")
    return bias


def _check_unique(items: Sequence[int | str], name: str) -> None:
    seen: set[int | str] = set()
    for place, item in enumerate(items):
        if item in seen:
            raise bad_field(f"{name}[{place}]", "each item once", repr(item))
        seen.add(item)


def _clicks(system: System, request: EventsRequest) -> list[Clicks]:
    """Say which clicks go to which feed."""
    n = len(request.items)
    for name in ("users", "clusters", "times", "weights"):
        value = getattr(request, name)
        if value is not None and len(value) != n:
            raise bad_field(name, f"{n} values, as items", len(value))
    _check_times(request)
    feeds = [request.feed] if request.feed is not None else list(system.parts.feeds)
    if request.users is None and request.clusters is None:
        raise bad_field("users", "users or clusters", "none")
    if request.clusters is not None and len(feeds) != 1:
        raise bad_field("feed", "the name of a feed, with clusters", "none")
    keys = request.users
    users = None if keys is None else _answers.known_users(system, keys, n)
    clicks = []
    for feed in feeds:
        if feed not in system.parts.feeds:
            names = ", ".join(map(repr, system.parts.feeds)) or "none"
            raise bad_field("feed", f"the name of a feed ({names})", repr(feed))
        clusters = request.clusters
        known = np.arange(n)
        if clusters is None:
            assert users is not None  # or clusters
            labels = _labels(system, feed, users)
            known = np.flatnonzero(labels >= 0)
            clusters = labels[known].tolist()
        times = request.times or [system.now(feed)] * n
        if known.size:
            clicks.append(_some(request, feed, clusters, times, users, known))
    if not clicks:
        raise bad_field("users", "a user who is in a cluster of a feed", "none")
    return clicks


def _some(
    request: EventsRequest,
    feed: str,
    clusters: list[int],
    times: list[float],
    users: Any,
    known: Any,
) -> Clicks:
    rows = known.tolist()
    return Clicks(
        feed,
        clusters,
        [request.items[row] for row in rows],
        [times[row] for row in rows],
        None if users is None else [int(users[row]) for row in rows],
        None if request.weights is None else [request.weights[row] for row in rows],
    )


def _check_times(request: EventsRequest) -> None:
    """Refuse times that would make all other clicks vanish."""
    for place, moment in enumerate(request.times or ()):
        if not -_LATEST <= moment <= _LATEST:
            raise bad_field(f"times[{place}]", "seconds within 2**53 of 0", moment)
    for place, weight in enumerate(request.weights or ()):
        if weight > _LATEST:
            raise bad_field(f"weights[{place}]", "a weight of at most 2**53", weight)


def _labels(system: System, feed: str, users: Any) -> Any:
    """Find the clusters of known users; those of others are not known here."""
    if feed not in system.parts.groupings:
        return np.full(len(users), -1, np.int64)
    vectors = {
        name: _answers.known_rows(matrix, users)
        for name, matrix in system.parts.user_vectors.items()
    }
    return grouped_clusters(system, feed, users, vectors).values
