"""Which calls of channels run, and which wait: no channel can take the others' workers."""

import contextvars
import itertools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Generic, TypeVar

import vecrecall._core as _core
from vecrecall.channels._threads import threads

T = TypeVar("T")


_STOPPING_SECONDS = 0.2  # what a canceled call has: the core stops within half of it


class State(Enum):
    """Of a call."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    QUEUED = "queued"  # given up before it began
    LATE = "late"  # given up while it ran
    STUCK = "stuck"  # refused, since all calls of the channel that may be late are


_current: "contextvars.ContextVar[Call[Any]]" = contextvars.ContextVar("vecrecall_call")


class Call(Generic[T]):
    """One call of one channel for one request. `ChannelPool` guards what changes."""

    def __init__(
        self, name: str, ask: Callable[[], T], deadline: float, on_end: "Callable[[Call[T]], None]"
    ) -> None:
        self.name = name
        self.deadline = deadline
        self.token = _core.CancelToken()
        self.state = State.WAITING
        self.number = -1  # not submitted
        self.answer: T | None = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._ask = ask
        self._on_end = on_end
        self._outer = _current.get(None)  # of a channel that asks channels
        self._context = contextvars.copy_context()  # of the caller, as for tasks of asyncio
        self._began = math.inf

    def begin(self) -> None:
        """Note the start."""
        self.state = State.RUNNING
        self._began = time.monotonic()

    def attempt(self) -> tuple[T | None, BaseException | None]:
        """Call the channel. Whatever it raises is its own: the thread goes on."""
        try:
            return self._context.run(self._within), None
        except BaseException as error:
            return None, error

    def _within(self) -> T:
        token = _current.set(self)
        try:
            return self._ask()
        finally:
            _current.reset(token)  # the context would keep the call, and the call the context

    def end(self, state: State) -> None:
        """Note the end, or that the caller has given it up."""
        if self.state is State.RUNNING:
            self.seconds = time.monotonic() - self._began
        self.state = state

    def notify(self) -> None:
        """Tell the caller that it has ended."""
        self._on_end(self)

    def time_left(self) -> float:
        """Compute the seconds that are left; 0 once it is given up."""
        if self.token.canceled:
            return 0.0
        outer = math.inf if self._outer is None else self._outer.time_left()
        return min(max(self.deadline - time.monotonic(), 0.0), outer)


def time_left() -> float:
    """Return how many seconds the recall in progress has left for the channel that calls this.

    For channels of your own: to pass it on as the timeout of a remote call, or to stop in the
    middle of long work. Calls of this package end by themselves.

    Returns
    -------
    float
        Infinity without a deadline or outside a channel; 0 once nothing waits for the channel: its
        time is over, or the request was canceled.

    Examples
    --------
    >>> import numpy as np
    >>> import vecrecall as vr
    >>> class Remote:
    ...     def recall(self, batch, k):
    ...         timeout = min(vr.channels.time_left(), 5.0)  # of the request to another service
    ...         shape = (len(batch), 1)
    ...         counts = np.ones(len(batch), np.int32)
    ...         return vr.SearchResult(np.full(shape, 7), np.full(shape, timeout, "f4"), counts)
    >>> recaller = vr.Recaller({"remote": Remote()})
    >>> recaller.recall(vr.RequestBatch(user_ids=[1]), 3).ids.tolist()
    [[7, -1, -1]]
    """
    call = _current.get(None)
    return math.inf if call is None else call.time_left()


class _Line:
    """The calls of one channel."""

    def __init__(self) -> None:
        self.waiting: OrderedDict[int, Call[Any]] = OrderedDict()
        self.running = 0  # those that a caller waits for
        self.late: dict[int, float] = {}  # since when, in that order


class ChannelPool:
    """Runs at most so many calls at once, and keeps channels apart.

    Where there are at least as many workers as channels, one is kept for each channel, and the
    others are for the second and further calls of any: so no channel waits for another. Where
    there are fewer, a channel has one at a time. A late call gives its worker back: the thread goes
    on by itself until the call returns. A channel may have `workers` late calls. Others wait until
    one returns, and are refused at once where all of them have been late for long.
    """

    def __init__(self, names: Iterable[str], workers: int) -> None:
        self._lock = threading.Lock()
        self._lines = {name: _Line() for name in names}
        self._most_late = workers
        self._free = workers
        self._spare = max(workers - len(self._lines), 0)
        self._numbers = itertools.count()

    def submit(self, call: Call[T]) -> None:
        """Run a call as soon as it may; its `on_end` is called in the thread that it ran in."""
        with self._lock:
            line = self._lines[call.name]
            if self._is_stuck(line):
                call.end(State.STUCK)
                return
            call.number = next(self._numbers)
            line.waiting[call.number] = call
        self._start_calls()

    def give_up(self, calls: Iterable[Call[T]]) -> None:
        """Stop calls and drop later results. No effect on those that have ended."""
        with self._lock:
            for call in calls:
                self._give_up(call)
        self._start_calls()

    def _give_up(self, call: Call[T]) -> None:
        line = self._lines[call.name]
        if call.state is State.WAITING:
            line.waiting.pop(call.number, None)
            call.end(State.STUCK if self._is_stuck(line) else State.QUEUED)
        elif call.state is State.RUNNING:
            call.end(State.LATE)
            call.token.cancel()
            line.late[call.number] = time.monotonic()
            self._release(line)

    def _run(self, call: Call[T]) -> None:
        self._end(call, *call.attempt())  # in no variable: an error's traceback leads back here
        self._start_calls()

    def _end(self, call: Call[T], answer: T | None, error: BaseException | None) -> None:
        with self._lock:
            line = self._lines[call.name]
            in_time = call.state is State.RUNNING
            if in_time:
                self._release(line)
                if error is not None and call.deadline <= time.monotonic():
                    call.end(State.LATE)  # a timeout that a channel raises by itself
                else:
                    call.answer, call.error = answer, error
                    call.end(State.ENDED)
            else:
                del line.late[call.number]
        if in_time:
            call.notify()

    def _start_calls(self) -> None:
        while True:
            with self._lock:
                call = self._next()
            if call is None:
                return
            try:
                threads().run(_bound(self._run, call), call.token)
            except RuntimeError as error:  # no thread
                self._end(call, None, error)

    def _next(self) -> Call[Any] | None:
        """Take the oldest call that may run and has time left. The lock is held."""
        now = time.monotonic()
        while self._free > 0:
            lines = [x for x in self._lines.values() if x.waiting and self._may_run(x)]
            if not lines:
                break
            line = min(lines, key=lambda x: next(iter(x.waiting)))
            call = line.waiting.popitem(last=False)[1]
            if call.deadline > now:
                self._begin(call, line)
                return call
        return None

    def _begin(self, call: Call[Any], line: _Line) -> None:
        self._free -= 1
        self._spare -= line.running > 0
        line.running += 1
        call.begin()

    def _may_run(self, line: _Line) -> bool:
        return len(line.late) < self._most_late and (not line.running or self._spare > 0)

    def _is_stuck(self, line: _Line) -> bool:
        """Whether all calls that may be late are, and do not stop. The lock is held."""
        if len(line.late) < self._most_late:
            return False
        last = next(reversed(line.late.values()))
        return time.monotonic() - last > _STOPPING_SECONDS

    def _release(self, line: _Line) -> None:
        """Take a worker back. The lock is held."""
        self._free += 1
        line.running -= 1
        self._spare += line.running > 0


def _bound(run: Callable[[Call[T]], None], call: Call[T]) -> Callable[[], None]:
    return lambda: run(call)
