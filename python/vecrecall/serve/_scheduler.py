"""Which requests are answered next: small ones together, large ones piece by piece in between.

Work is counted in users x k x channels. A turn takes the small requests that wait, in order, up to
a number, and a piece of one large request, where large ones have not had more than their share of
the time: all of it where no other waits, otherwise a quarter, and a sixteenth while more small ones
wait than a turn takes. So a small request waits for one turn, however much large work waits with
it. Large ones end in the order in which they would, if each had a sixteenth of the time for itself:
a shorter one passes longer ones that came a little earlier, until half of the time to their
deadline has passed.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from vecrecall.serve._errors import RequestError
from vecrecall.serve._jobs import Found, Job, Piece, Reply

TOGETHER = 64
"""Small requests of one turn: their replies take about 10 ms of the event loop."""

_STEP = 8  # answers that are handed out in one step of the event loop
_TURN_PIECES = 16  # the small requests of a turn take about as long as so many pieces
_FIRST_COST = 1e-3  # seconds per user, before anything was measured
_SMALL_SHARE = 3.0  # where both wait, small requests have so much more time than large ones
_SMALL_SHARE_LATE = 15.0  # while a turn leaves small requests behind
_LEARNED = 0.3  # weight of the newest measurement
_SURPRISE = 2.0  # a cost grows at most by this at a time: a pause of the machine is none
_COSTS = 256  # kinds of requests whose cost is kept

Execute = Callable[[list[Piece]], list[Any]]
"""Answers pieces with equal keys, in a thread: for each an encoder, or an exception."""


class Scheduler:
    """Answers jobs, a turn after the other.

    Use it from one event loop.

    Parameters
    ----------
    execute : callable
    pin : callable
        Gives a job the system that answers all of it, before its first piece.
    queue, queue_work, piece_seconds
        As of `Limits`.
    observe : callable
        Called after each group of pieces with the pieces and the seconds that they took.
    """

    def __init__(
        self,
        execute: Execute,
        pin: Callable[[Job], object],
        *,
        queue: int,
        queue_work: int,
        piece_seconds: float,
        observe: Callable[[list[Piece], float], object] = lambda *_: None,
    ) -> None:
        self._execute, self._pin = execute, pin
        self._most, self._most_work = queue, queue_work
        self._piece_seconds = piece_seconds
        self._observe = observe
        self._small: deque[Job] = deque()
        self._large: list[tuple[float, int, Job]] = []  # a heap: the first is the next
        self._numbers = itertools.count()
        self._queued_work = 0
        self._costs: OrderedDict[Hashable, float] = OrderedDict()
        self._wake = asyncio.Event()
        self._scan = ThreadPoolExecutor(1, "vecrecall-scan")
        self._encode = ThreadPoolExecutor(1, "vecrecall-encode")
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._small_waits = self._small_left = False
        self._owed = 0.0  # seconds for small requests, before the next piece of a large one
        self._counted = 0.0  # until when they were counted

    @property
    def waiting(self) -> int:
        """Requests that wait, or of which users wait."""
        return len(self._small) + len(self._large)

    @property
    def waiting_work(self) -> int:
        """Users x k x channels that wait."""
        return self._queued_work

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once; what waits is not answered."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        for job in (*self._small, *(job for _, _, job in self._large)):
            if not job.answer.done():
                job.answer.set_exception(_busy("the service ends"))
        self._scan.shutdown(wait=False, cancel_futures=True)
        self._encode.shutdown(wait=False, cancel_futures=True)

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn.

        Raises
        ------
        RequestError
            Of status 503, if too much waits already.
        """
        full = self.waiting >= self._most or self._queued_work + job.work > self._most_work
        if full and self.waiting:
            self._drop_gone()
            full = self.waiting >= self._most or self._queued_work + job.work > self._most_work
        if full and self.waiting:
            raise _busy("too many requests wait")
        self._queued_work += job.work
        if self._is_small(job):
            self._small.append(job)
        else:
            share = 1.0 + _SMALL_SHARE_LATE
            due = job.arrived + share * self._cost(job) * job.users
            due = min(due, (job.arrived + job.expires) / 2)
            heapq.heappush(self._large, (due, next(self._numbers), job))
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            pieces = self._take(loop.time())
            if not pieces:
                self._wake.clear()
                continue
            for group in _groups(pieces):
                await self._answer(loop, group)

    async def _answer(self, loop: asyncio.AbstractEventLoop, group: list[Piece]) -> None:
        start = time.perf_counter()
        try:
            encoders = await loop.run_in_executor(self._scan, self._execute, group)
        except Exception as error:  # of the executor itself
            encoders = [error] * len(group)
        seconds = time.perf_counter() - start
        self._learn(group, seconds)
        self._share(group, seconds)
        self._observe(group, seconds)
        self._hand_out(loop, deque(zip(group, encoders, strict=True)))

    def _hand_out(
        self, loop: asyncio.AbstractEventLoop, answered: deque[tuple[Piece, Any]]
    ) -> None:
        """Deliver answers, a few in each step of the loop.

        A step ends with all that is due: with 64 replies it would keep others, whose requests take
        several steps each, for tens of milliseconds.
        """
        for _ in range(min(_STEP, len(answered))):
            piece, encoder = answered.popleft()
            if self._ended:
                encoder = _busy("the service ends")
            if isinstance(encoder, (Exception, Found)):
                self._deliver(piece, encoder)
            elif not piece.job.answer.done():
                task = loop.run_in_executor(self._encode, run_encoder, encoder)
                task.add_done_callback(partial(self._deliver_encoded, piece))
        if answered:
            loop.call_soon(self._hand_out, loop, answered)

    def _deliver_encoded(self, piece: Piece, task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            self._deliver(piece, task.result())

    def _share(self, group: Sequence[Piece], seconds: float) -> None:
        """Count the time that large requests have had, and what passed without them."""
        large = sum(len(piece) for piece in group if len(piece) < piece.job.users)
        part = seconds * large / sum(map(len, group))
        share = _SMALL_SHARE_LATE if self._small_left else _SMALL_SHARE
        now = time.perf_counter()
        between, self._counted = now - self._counted - seconds, now
        owed = max(0.0, self._owed - between)
        self._owed = max(0.0, owed + part * share - (seconds - part))

    def _deliver(self, piece: Piece, found: Found | Exception) -> None:
        job = piece.job
        if job.answer.done():  # the client has gone, or another piece has failed
            return
        if isinstance(found, Exception):
            job.answer.set_exception(found)
            return
        job.found[piece.start] = found
        job.done += len(piece)
        if job.done == job.users:
            job.answer.set_result(Reply.of(job.found))

    def _take(self, now: float) -> list[Piece]:
        """Take the pieces of a turn; what is not worth answering any more is dropped."""
        pieces: list[Piece] = []
        budget = _TURN_PIECES * self._piece_seconds
        while self._small and len(pieces) < TOGETHER and budget > 0:
            job = self._small.popleft()
            if self._usable(job, now):
                pieces.append(self._piece(job, job.users))
                budget -= self._cost(job) * job.users
        self._small_left = bool(self._small)
        self._small_waits = bool(pieces or self._small)
        self._drop_large(now)  # those at the end too: they may wait for many turns
        if self._large and self._large_is_due():
            job = self._large[0][-1]
            pieces.append(self._piece(job, self._users_of_piece(job)))
            if job.next == job.users:
                heapq.heappop(self._large)
        return pieces

    def _drop_large(self, now: float) -> None:
        usable = [entry for entry in self._large if self._usable(entry[-1], now)]
        if len(usable) < len(self._large):
            heapq.heapify(usable)
            self._large = usable

    def _large_is_due(self) -> bool:
        """Tell whether large requests have had less than their share, or no other waits."""
        return not self._small_waits or self._owed <= 0

    def _piece(self, job: Job, users: int) -> Piece:
        before = job.work
        start = job.next
        if job.system is None:
            self._pin(job)
        job.next = min(job.users, start + users)
        self._queued_work -= before - job.work
        return Piece(job, start, job.next)

    def _usable(self, job: Job, now: float) -> bool:
        """Tell whether anybody waits for a job; it is dropped otherwise."""
        if not job.answer.done() and now >= job.expires:
            job.answer.set_exception(
                RequestError(504, "deadline: it passed before the request's turn")
            )
        if job.answer.done():
            self._queued_work -= job.work
            return False
        return True

    def _drop_gone(self) -> None:
        now = asyncio.get_running_loop().time()
        self._small = deque(job for job in self._small if self._usable(job, now))
        self._drop_large(now)

    def _is_small(self, job: Job) -> bool:
        return job.users <= self._users_of_piece(job)

    def _users_of_piece(self, job: Job) -> int:
        return max(1, int(self._piece_seconds / self._cost(job)))

    def _cost(self, job: Job) -> float:
        """Return the seconds that a user of such a job takes, as far as is known."""
        return self._costs.get((job.key, job.k), _FIRST_COST)

    def _learn(self, group: Sequence[Piece], seconds: float) -> None:
        users = sum(map(len, group))
        key = (group[0].job.key, max(piece.job.k for piece in group))
        before = self._costs.pop(key, None)
        now = seconds / users
        if before is not None:
            now = before + _LEARNED * (min(now, _SURPRISE * before) - before)
        self._costs[key] = now
        if len(self._costs) > _COSTS:
            self._costs.popitem(last=False)


def _groups(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Put together what one scan can answer."""
    groups: dict[Hashable, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault((piece.job.key, id(piece.job.system)), []).append(piece)
    return list(groups.values())


def run_encoder(encoder: Callable[[], Found]) -> Found | Exception:
    try:
        return encoder()
    except Exception as error:
        return error


def _busy(message: str) -> RequestError:
    return RequestError(503, message, headers={"Retry-After": "1"})
