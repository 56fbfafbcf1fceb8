"""The calls of one request, until all have ended or are given up."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from vecrecall.channels._channel_pool import Call, ChannelPool, State

T = TypeVar("T")

# A signal just before a wait, or in another thread, does not end it.
_SLICE = 0.25  # seconds


class Gathering(Generic[T]):
    """Calls of channels side by side, each with its deadline (of the monotonic clock).

    Parameters
    ----------
    asks : mapping of str to callable
        What to call for each channel.
    deadlines : mapping of str to float
        When to give up a channel's call; others never.
    fail_fast : bool
        An error ends the wait for all.
    """

    def __init__(
        self,
        pool: ChannelPool,
        asks: Mapping[str, Callable[[], T]],
        deadlines: Mapping[str, float],
        *,
        fail_fast: bool,
    ) -> None:
        self._pool = pool
        self._fail_fast = fail_fast
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None
        self._calls = {
            name: Call(name, ask, deadlines.get(name, math.inf), self._ended)
            for name, ask in asks.items()
        }
        self._open = dict(self._calls)

    def wait(self) -> "dict[str, Call[T]]":
        """Wait in this thread; give up what is left where that is interrupted."""
        event = threading.Event()
        try:
            self._start(event.set)
            while (left := self._expire()) is not None:
                event.wait(min(left, _SLICE))
        finally:
            calls = self._finish()
        return calls

    async def wait_async(self) -> "dict[str, Call[T]]":
        """Wait in a task of asyncio; give up what is left where that is canceled."""
        import asyncio  # only here: who awaits has it already

        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # of a loop that is closed
                loop.call_soon_threadsafe(event.set)

        try:
            self._start(wake)
            while (left := self._expire()) is not None:
                event.clear()
                timer = None if left == math.inf else loop.call_later(left, event.set)
                try:
                    await event.wait()
                finally:
                    if timer is not None:
                        timer.cancel()
        finally:
            calls = self._finish()
        return calls

    def _start(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        for call in self._calls.values():
            self._pool.submit(call)
            if call.state is State.STUCK:
                self._close(call)

    def _ended(self, call: Call[T]) -> None:
        if self._close(call) and self._wake is not None:
            self._wake()

    def _close(self, call: Call[T]) -> bool:
        """Note that the wait for a call is over; True if it was the last one."""
        with self._lock:
            self._open.pop(call.name, None)
            if self._fail_fast and call.error is not None:
                self._open.clear()
            return not self._open

    def _expire(self) -> float | None:
        """Give up calls whose time is over; return the seconds to the next, or None."""
        with self._lock:
            calls = list(self._open.values())
        now = time.monotonic()
        over = [call for call in calls if call.deadline <= now]
        self._pool.give_up(over)
        for call in over:
            self._close(call)
        with self._lock:
            if not self._open:
                return None
            return max(min(call.deadline for call in self._open.values()) - now, 0.0)

    def _finish(self) -> "dict[str, Call[T]]":
        """Give up what is left. Calls know their gathering: it forgets them, so that both go."""
        calls, self._calls, self._open = self._calls, {}, {}
        self._pool.give_up(calls.values())
        return calls
