"""Many channels, one list per user."""

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import vecrecall._core as _core
from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._results import MergeResult, RecallStats, SearchResult, empty_lists
from vecrecall.arrays._typing import Duration
from vecrecall.channels._asking import Asker, Request, take_answers
from vecrecall.channels._breaker import BreakerState, CircuitBreaker
from vecrecall.channels._protocol import Channel, check_channel, expect_lists
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._threads import in_thread, process
from vecrecall.fusion import _channel_input
from vecrecall.fusion._caps import Caps
from vecrecall.fusion._merge import (
    DEFAULT_POLICY,
    core_caps,
    core_policy,
    merge,
    merge_prepared,
)
from vecrecall.fusion._policies import Policy

_ON_ERROR = {"raise": False, "skip": True}
V = TypeVar("V")


class ChannelWarning(RuntimeWarning):
    """A channel has failed and was left out."""


class Recaller(CheckedOnArrival):
    """Ask channels for one batch of users and merge what they give.

    Parameters
    ----------
    channels : mapping of str to Channel
        At least one, at most 64. Their order is that of the merge, and of its bits.
    policy : one of `vecrecall.policies`, default ``RRF()``
        How to merge.
    depth : int or mapping of str to int, optional
        How many items to ask of each channel; default, also for a channel that a mapping leaves
        out, the length of the merged list. Ask for more with `caps`, which take items away: the
        merge finds others in longer lists alone.
    caps : Caps or sequence of Caps, optional
        At most so many items of one group in a list.
    on_error : {"raise", "skip"}
        What to do when a channel raises, or gives what is no `SearchResult` with one row per user:
        raise; or go on as if it had found nothing, report it, and warn with `ChannelWarning`, or
        with a `breaker` log it instead.
    workers : int, optional
        Ask channels side by side, in at most so many threads. By default they are asked one after
        the other in the caller's thread; or, where that is not possible, with one thread per
        channel.
    deadlines : float, timedelta or mapping of str to either, optional
        How many seconds each channel has, from the start of a recall on, > 0; default, also for a
        channel that a mapping leaves out, as long as it takes. A number is for each channel.
    breaker : CircuitBreaker, optional
        Stop asking a channel that keeps failing, for a while.

    Attributes
    ----------
    breakers : dict of str to BreakerState
        The states of the circuit breakers now, by channel; empty without `breaker`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    ``batch.seen`` goes into every channel's search and into the merge: a channel of your own that
    does not look at it may give shorter lists, but no seen item comes out.

    A channel that has not ended by its deadline, or that of the request, is left out, whatever
    `on_error` says: the result is the merge of the others, and ``result.stats.missing`` names what
    is not in it. Where nothing is late the bits are those without deadlines. A call that is given
    up is stopped: the core stops within 0.1 s, also in a channel of your own; other code runs on
    until it returns, which may be seen by `vecrecall.channels.time_left`, and its result is
    dropped. Meanwhile its worker is replaced, so that later requests find as many as before, for
    up to `workers` such calls of one channel: at most ``workers * (channels + 1)`` calls in all.
    With at least as many workers as channels no channel waits for another; with fewer a channel
    answers one request at a time. Threads begin at first use, in each process its own, end when
    idle, and do not keep the process from its end.

    A failure, of which a `CircuitBreaker` counts, is what `on_error` speaks of, or a channel that
    is late or stuck. A request that gives a channel less than its own deadline does not count.

    A recaller can be pickled and copied if its channels can. Those of `vecrecall.channels` can,
    unless they search a `WrappedIndex` or hold a function without a name (a lambda). An index that
    several channels search is sent once. Breakers of a copy, or of a forked child, begin closed.

    Examples
    --------
    >>> import vecrecall as vr
    >>> hot = vr.channels.Precomputed.for_all([1, 2, 3])
    >>> mine = vr.channels.Precomputed([7], [[3, 4]])
    >>> recaller = vr.Recaller({"mine": mine, "hot": hot})
    >>> m = recaller.recall(vr.RequestBatch(user_ids=[7], seen=[[1]]), 3)
    >>> m.ids.tolist(), m.channels.tolist()
    ([[3, 2, 4]], [[3, 2, 1]])

    For serving, where an answer in time is worth more than a complete one:

    >>> import time
    >>> class Slow:
    ...     def recall(self, batch, k):
    ...         time.sleep(1.0)
    ...         return hot.recall(batch, k)
    >>> recaller = vr.Recaller({"mine": mine, "slow": Slow()}, deadlines={"slow": 0.1})
    >>> m = recaller.recall(vr.RequestBatch(user_ids=[7]), 3, deadline=60.0)
    >>> m.ids.tolist(), m.stats.missing
    ([[3, 4, -1]], {'slow': 'late'})
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        policy: Policy = DEFAULT_POLICY,
        *,
        depth: int | Mapping[str, int] | None = None,
        caps: Caps | Sequence[Caps] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        workers: int | None = None,
        deadlines: Duration | Mapping[str, Duration] | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self._channels = _channels(channels)
        self._policy = core_policy(policy, list(self._channels))
        self._depth = _by_name(depth, "depth", self._channels, _scalars.check_positive_int)
        self._caps = core_caps(caps)
        self._made_of = policy, caps if caps is None or isinstance(caps, Caps) else tuple(caps)
        self._skip = _scalars.check_choice(on_error, "on_error", _ON_ERROR)
        self._workers = _check_workers(workers)
        self._deadlines = _by_name(deadlines, "deadlines", self._channels, _scalars.check_duration)
        self._breaker = None if breaker is None else expect(breaker, CircuitBreaker, "breaker")
        self._askers: dict[int, Asker] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what only the core can read, and what belongs to this process."""
        return {**self.__dict__, "_policy": None, "_caps": None, "_askers": None}

    def _check_attributes(self) -> None:
        """Check what is sent, and prepare the policy and the caps for the core again."""
        self._channels = _channels(self._channels)
        names = self._channels
        depth, deadlines = self._depth, self._deadlines
        depth, deadlines = expect(depth, dict, "depth"), expect(deadlines, dict, "deadlines")
        self._depth = _by_name(depth, "depth", names, _scalars.check_positive_int)
        self._deadlines = _by_name(deadlines, "deadlines", names, _scalars.check_duration)
        self._skip = _scalars.check_bool(self._skip, "on_error")
        self._workers = _check_workers(self._workers)
        if self._breaker is not None:
            expect(self._breaker, CircuitBreaker, "breaker")
        if len(expect(self._made_of, tuple, "policy, caps")) != 2:
            raise ValueError(f"policy, caps: expected a pair, got {len(self._made_of)}")
        policy, caps = self._made_of
        self._policy = core_policy(policy, list(self._channels))
        self._caps = core_caps(caps)
        self._askers = {}

    @property
    def breakers(self) -> dict[str, BreakerState]:
        """Read the states of the circuit breakers; the class describes it."""
        return self._asker().states()

    def recall(
        self,
        batch: RequestBatch,
        k: int,
        *,
        deadline: Duration | None = None,
        stats: bool = False,
    ) -> MergeResult:
        """Recall for a batch of users.

        Parameters
        ----------
        batch : RequestBatch
        k : int
            Length of the merged lists, >= 1.
        deadline : float, timedelta64, timedelta or pandas.Timedelta, optional
            Wait so many seconds for channels, > 0, and leave out those that take longer. The merge
            comes on top.
        stats : bool
            Give the result `RecallStats` as its ``stats``. With a deadline, workers or a breaker it
            always has them.

        Returns
        -------
        MergeResult
            With empty lists where no channel was in time.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, a channel's result is not (the message names the
            channel), or whatever a channel raises (with a note that names it, from Python 3.11).
        """
        request = self._request(batch, k, deadline)
        stats = stats is not False and _scalars.check_bool(stats, "stats")
        asker = self._asker()
        in_turn = self._workers is None and deadline is None and not self._deadlines
        try:
            if in_turn:
                asker.in_turn(request, fail_fast=not self._skip)
            else:
                gathering = asker.side_by_side(request, fail_fast=not self._skip)
                take_answers(request, gathering.wait(), fail_fast=not self._skip)
            self._raise_errors(request)
            merged = self._merged(request)
        finally:
            asker.judge(request)
        self._warn(request)
        if stats or not in_turn or self._breaker is not None:
            merged.stats = _stats(request, self._channels)
        return merged

    async def arecall(
        self, batch: RequestBatch, k: int, *, deadline: Duration | None = None
    ) -> MergeResult:
        """Recall for a batch of users in a task of asyncio; the event loop goes on meanwhile.

        Channels are asked in threads. Canceling the task stops their work and the merge as a
        deadline does.

        Parameters
        ----------
        batch : RequestBatch
        k : int
            Length of the merged lists, >= 1.
        deadline : float, timedelta64, timedelta or pandas.Timedelta, optional
            As of `recall`, from the moment on at which the coroutine is first awaited.

        Returns
        -------
        MergeResult
            The bits of `recall`, with `RecallStats` as its ``stats``.

        Raises
        ------
        TypeError, ValueError
            As `recall`.

        Examples
        --------
        >>> import asyncio
        >>> import vecrecall as vr
        >>> recaller = vr.Recaller({"hot": vr.channels.Precomputed.for_all([1, 2, 3])})
        >>> users = vr.RequestBatch(user_ids=[7])
        >>> asyncio.run(recaller.arecall(users, 2, deadline=5.0)).ids.tolist()
        [[1, 2]]
        """
        request = self._request(batch, k, deadline)
        asker = self._asker()
        try:
            gathering = asker.side_by_side(request, fail_fast=not self._skip)
            take_answers(request, await gathering.wait_async(), fail_fast=not self._skip)
            self._raise_errors(request)
            merged = await in_thread(partial(self._merged, request))
        finally:
            asker.judge(request)
        self._warn(request)
        merged.stats = _stats(request, self._channels)
        return merged

    def _request(self, batch: RequestBatch, k: int, deadline: Duration | None) -> Request:
        if not isinstance(batch, RequestBatch):
            raise TypeError(f"batch: expected a RequestBatch, got {type(batch).__name__}")
        k = _scalars.check_list_length(k, batch._rows, len(self._channels))
        given = None if deadline is None else _scalars.check_duration(deadline, "deadline")
        return Request(batch, k, given)

    def _asker(self) -> Asker:
        """Get what asks in this process: a forked child has none of its parent's threads."""
        found = self._askers.get(process())
        if found is None:
            # One step of the interpreter: another thread could hold a lock where a child forks.
            found = self._askers.setdefault(
                process(),
                Asker(self._channels, self._depth, self._deadlines, self._workers, self._breaker),
            )
        return found

    def _merged(self, request: Request) -> MergeResult:
        """Merge what channels gave."""
        rows, seen = request.batch._rows, request.batch.seen
        found = request.found
        if len(found) < len(self._channels):
            found = {
                name: found[name] if name in found else empty_lists(rows, 1)
                for name in self._channels
            }
        # One call for all that follows: after a search it takes several times as long, as code and
        # data are cold.
        start = time.perf_counter()
        ready = _core.merge_found(
            found,
            SearchResult,
            rows,
            request.k,
            self._policy,
            None if seen is None else (seen.values, seen.offsets),
            self._caps,
        )
        if ready is None:
            self._check(found, request)
            start = time.perf_counter()
            merged = self._merge(found, request)
        else:
            merged = MergeResult(*ready)
        request.merge_seconds = time.perf_counter() - start
        request.found = found
        request.complete = True
        return merged

    def _raise_errors(self, request: Request) -> None:
        """Raise the first of the channels' errors, unless errors are skipped."""
        if self._skip or not request.errors:
            return
        name, error = next(iter(request.errors.items()))
        _name_in_note(error, name)
        try:
            raise error
        finally:
            del error  # its traceback leads to this frame

    def _check(self, found: dict[str, SearchResult], request: Request) -> None:
        """Look at what each channel gave, and leave out what is not as it should be."""
        rows = len(request.batch)
        for name, lists in found.items():
            try:
                expect_lists(lists, name, rows)
            except Exception as error:
                request.leave_out(name, error)
                found[name] = empty_lists(rows, 1)
        self._raise_errors(request)

    def _merge(self, found: dict[str, SearchResult], request: Request) -> MergeResult:
        """Merge; where that fails, leave out channels whose lists cannot be merged."""
        k, seen = request.k, request.batch.seen
        try:
            return merge_prepared(found, k, self._policy, seen, self._caps)
        except (TypeError, ValueError):
            bad = _unmergeable(found)
            for name, error in bad.items():
                request.leave_out(name, error)
                found[name] = empty_lists(len(request.batch), 1)
            if not self._skip or not bad:
                raise
        return merge_prepared(found, k, self._policy, seen, self._caps)

    def _warn(self, request: Request) -> None:
        """Warn of errors, unless a breaker logs them."""
        if self._breaker is None:
            for name, error in request.errors.items():
                problem = f"channel {name!r} is left out: {type(error).__name__}: {error}"
                warnings.warn(problem, ChannelWarning, stacklevel=3)


def _unmergeable(found: Mapping[str, SearchResult]) -> dict[str, Exception]:
    """Find the channels whose lists cannot be merged, each with the reason."""
    errors: dict[str, Exception] = {}
    for name, lists in found.items():
        try:
            merge({name: lists}, 1, provenance=False)
        except (TypeError, ValueError) as error:
            errors[name] = error
    return errors


def _stats(request: Request, names: Mapping[str, Channel]) -> RecallStats:
    return RecallStats(
        {name: request.seconds.get(name, 0.0) for name in names},
        {name: lists.counts for name, lists in request.found.items()},
        {name: request.errors[name] for name in names if name in request.errors},
        request.merge_seconds,
        {name: request.missing[name] for name in names if name in request.missing},
    )


def _channels(channels: Mapping[str, Channel]) -> dict[str, Channel]:
    _channel_input.check_channel_names(channels)
    for name, channel in channels.items():
        check_channel(channel, f"channels[{name!r}]")
    return dict(channels)


def _by_name(
    given: object,
    argument: str,
    channels: Mapping[str, Channel],
    check: Callable[[object, str], V],
) -> dict[str, V]:
    """Coerce one value for each channel, or values by name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return dict.fromkeys(channels, check(given, argument))
    for name in given:
        if name not in channels:
            names = ", ".join(map(repr, channels))
            raise ValueError(f"{argument}: expected names of channels ({names}), got {name!r}")
    return {name: check(value, f"{argument}[{name!r}]") for name, value in given.items()}


def _check_workers(workers: object) -> int | None:
    if workers is None:
        return None
    return _scalars.check_int_between(workers, "workers", 1, _core.MAX_THREADS)


def _name_in_note(error: BaseException, name: str) -> None:
    if sys.version_info >= (3, 11):
        error.add_note(f"in channel {name!r}")
