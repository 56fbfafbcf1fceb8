"""How a recaller asks its channels: one after the other, or side by side with deadlines."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from vecrecall.arrays._results import MissingReason, SearchResult
from vecrecall.channels._breaker import BreakerState, ChannelBreaker, CircuitBreaker
from vecrecall.channels._channel_pool import Call, ChannelPool, State
from vecrecall.channels._gathering import Gathering
from vecrecall.channels._protocol import Channel, expect_lists
from vecrecall.channels._requests import RequestBatch

_REASONS: dict[State, MissingReason] = {
    State.QUEUED: "queued",
    State.LATE: "late",
    State.STUCK: "stuck",
}


class Request:
    """One batch to recall for, and what the channels gave for it, by their names."""

    def __init__(self, batch: RequestBatch, k: int, deadline: float | None) -> None:
        self.batch = batch
        self.k = k
        self.seconds_given = math.inf if deadline is None else deadline
        self.began = time.monotonic()
        self.permits: dict[str, int] = {}  # of circuit breakers
        self.found: dict[str, SearchResult] = {}
        self.seconds: dict[str, float] = {}
        self.errors: dict[str, BaseException] = {}
        self.missing: dict[str, MissingReason] = {}
        self.merge_seconds = 0.0
        self.complete = False  # all lists have been merged, and are good

    def leave_out(self, name: str, error: BaseException) -> None:
        """Note what a channel raised, or what is wrong with its lists."""
        self.errors[name] = error
        self.missing[name] = "error"


class Asker:
    """Asks the channels of one recaller in one process."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        depth: Mapping[str, int],
        deadlines: Mapping[str, float],
        workers: int | None,
        breaker: CircuitBreaker | None,
    ) -> None:
        self._channels = channels
        self._depth = depth
        self._deadlines = deadlines
        self._pool = ChannelPool(channels, workers or len(channels))
        self._breakers = (
            {} if breaker is None else {name: ChannelBreaker(name, breaker) for name in channels}
        )

    def states(self) -> dict[str, BreakerState]:
        """Read the states of the circuit breakers."""
        return {name: breaker.state() for name, breaker in self._breakers.items()}

    def in_turn(self, request: Request, *, fail_fast: bool) -> None:
        """Ask one channel after the other in this thread."""
        batch, depth, k = request.batch, self._depth, request.k
        start = time.perf_counter()
        for name, channel in self._channels.items():
            if not self._admits(name, request):
                continue
            try:
                request.found[name] = channel.recall(batch, depth.get(name, k))
            except Exception as error:
                request.leave_out(name, error)
                if fail_fast:
                    return
            # One look at the clock: between channels there is next to nothing.
            end = time.perf_counter()
            request.seconds[name], start = end - start, end

    def side_by_side(self, request: Request, *, fail_fast: bool) -> Gathering[SearchResult]:
        """Prepare calls of all channels in threads of their own, to be waited for."""
        asks: dict[str, Callable[[], SearchResult]] = {}
        deadlines = {}
        for name, channel in self._channels.items():
            if self._admits(name, request):
                depth = self._depth.get(name, request.k)
                asks[name] = partial(_ask, name, channel, request.batch, depth)
                given = min(self._deadlines.get(name, math.inf), request.seconds_given)
                deadlines[name] = request.began + given
        return Gathering(self._pool, asks, deadlines, fail_fast=fail_fast)

    def _admits(self, name: str, request: Request) -> bool:
        if not self._breakers:
            return True
        permit = self._breakers[name].admit()
        if permit is None:
            request.missing[name] = "open"
            return False
        request.permits[name] = permit
        return True

    def judge(self, request: Request) -> None:
        """Tell the circuit breakers how the calls of a request went, at its end."""
        for name, permit in request.permits.items():
            failure = self._failure(name, request)
            judged = failure is not None or (request.complete and name not in request.missing)
            self._breakers[name].record(permit, failure, judged=judged)
        if not request.complete:
            request.errors.clear()  # one of them is raised, and its traceback leads to the request

    def _failure(self, name: str, request: Request) -> str | None:
        """Say how a channel failed. Not by having no time, or less than its own deadline gives."""
        if name in request.errors:
            error = request.errors[name]
            return f"{type(error).__name__}: {error}"
        own = self._deadlines.get(name, math.inf)
        if request.missing.get(name) == "late" and not request.seconds_given < own < math.inf:
            return f"no answer within {min(own, request.seconds_given):g} s"
        if request.missing.get(name) == "stuck":
            return "all calls that may be late are, and do not end"
        return None


def take_answers(
    request: Request, calls: Mapping[str, Call[SearchResult]], *, fail_fast: bool
) -> None:
    """Note what calls have given; nothing but errors where one has ended the wait for others."""
    failed = {name: call for name, call in calls.items() if call.error is not None}
    for name, call in (failed if failed and fail_fast else calls).items():
        request.seconds[name] = call.seconds
        # Taken from the call: the traceback leads to frames that have the call.
        error, call.error = call.error, None
        if error is not None:
            request.leave_out(name, error)
        elif call.answer is not None:
            request.found[name] = call.answer
        else:
            request.missing[name] = _REASONS[call.state]


def _ask(name: str, channel: Channel, batch: RequestBatch, depth: int) -> SearchResult:
    found = channel.recall(batch, depth)
    expect_lists(found, name, len(batch))
    return found
