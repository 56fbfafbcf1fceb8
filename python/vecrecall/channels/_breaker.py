"""A circuit breaker: a channel that keeps failing is left alone for a while."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival
from vecrecall.arrays._typing import Duration

_LOG = logging.getLogger("vecrecall")
_LOG.addHandler(logging.NullHandler())  # an application that has set up no logging sees nothing


@dataclass(frozen=True, init=False)
class CircuitBreaker(CheckedOnArrival):
    """When a `Recaller` stops asking a channel that keeps failing, and when it tries again.

    Closed, a channel is asked by every request. After `failures` failures in a row it is open: no
    request asks it, until `pause` has passed. Then it is half-open: one request asks it, as a
    trial, the others go on without it. A trial that succeeds closes the breaker; one that fails
    opens it again. Each channel of a recaller has a breaker of its own.

    Parameters
    ----------
    failures : int
        How many in a row open it, >= 1. A success in between starts the count again.
    pause : float, timedelta64, timedelta or pandas.Timedelta
        How many seconds it stays open, finite, > 0.
    clock : callable
        Returns the time in seconds and never goes back; for tests.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import vecrecall as vr
    >>> hot = vr.channels.Precomputed.for_all([1, 2, 3])
    >>> breaker = vr.CircuitBreaker(failures=2, pause=10.0)
    >>> recaller = vr.Recaller({"hot": hot}, on_error="skip", breaker=breaker)
    >>> recaller.breakers["hot"]
    BreakerState(state='closed', failures=0, retry_in=0.0)
    """

    failures: int
    pause: float
    clock: Callable[[], float]

    def __init__(
        self,
        failures: int = 5,
        pause: Duration = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("failures", failures), ("pause", pause), ("clock", clock)):
            object.__setattr__(self, name, value)
        self._check_attributes()

    def _check_attributes(self) -> None:
        failures = _scalars.check_positive_int(self.failures, "failures")
        object.__setattr__(self, "failures", failures)
        object.__setattr__(self, "pause", _scalars.check_duration(self.pause, "pause"))
        if not callable(self.clock):
            got = _scalars.type_name(self.clock)
            raise TypeError(f"clock: expected a function that returns seconds, got {got}")


class BreakerState(NamedTuple):
    """The state of a channel's circuit breaker at one moment.

    Attributes
    ----------
    state : {"closed", "open", "half_open"}
        Whether the channel is asked: by all, by none, by one request.
    failures : int
        In a row, up to now.
    retry_in : float
        Seconds until one request tries an open one again; else 0.
    """

    state: Literal["closed", "open", "half_open"]
    failures: int
    retry_in: float


class ChannelBreaker:
    """The breaker of one channel. Any thread may call it at any time.

    A permit is the number of the period that a call began in: an opening, a trial and a closing
    each begin another. The outcome of a call of an earlier period comes too late to count.
    """

    def __init__(self, name: str, settings: CircuitBreaker) -> None:
        self._name = name
        self._settings = settings
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None  # None: closed
        self._trial = False
        self._period = 0

    def admit(self) -> int | None:
        """Give a permit for one call, which must be returned by `record`; None: it is left out."""
        with self._lock:
            if self._opened_at is None:
                return self._period
            if self._trial or self._retry_in(self._opened_at) > 0:
                return None
            self._trial = True
            self._period += 1
            return self._period

    def record(self, permit: int, failure: str | None, *, judged: bool = True) -> None:
        """Take the outcome of a call: how it failed, or None; or that it was not judged at all."""
        with self._lock:
            if permit != self._period:
                return
            was_trial, self._trial = self._trial, False
            if not judged:
                return
            message = self._closed(was_trial) if failure is None else self._failed(failure)
        if message:  # logged with no lock held: handlers belong to the application
            _LOG.log(*message)

    def _closed(self, was_trial: bool) -> tuple[int, str] | None:
        self._failures = 0
        if not was_trial:
            return None
        self._opened_at = None
        self._period += 1
        return logging.INFO, f"channel {self._name!r} is asked again: a trial succeeded"

    def _failed(self, failure: str) -> tuple[int, str] | None:
        self._failures += 1
        if self._opened_at is None and self._failures < self._settings.failures:
            return None
        self._opened_at = self._settings.clock()
        self._period += 1
        failures = _scalars.counted(self._failures, "failure")
        return logging.WARNING, (
            f"channel {self._name!r} is left out for {self._settings.pause:g} s after {failures} "
            f"in a row, the last: {failure}"
        )

    def _retry_in(self, opened_at: float) -> float:
        return max(opened_at + self._settings.pause - self._settings.clock(), 0.0)

    def state(self) -> BreakerState:
        """Read the state."""
        with self._lock:
            if self._opened_at is None:
                return BreakerState("closed", self._failures, 0.0)
            retry_in = 0.0 if self._trial else self._retry_in(self._opened_at)
            return BreakerState("open" if retry_in > 0 else "half_open", self._failures, retry_in)
