"""Many channels, one list per user."""

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

import vecrecall._core as _core
from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._results import MergeResult, RecallStats, SearchResult, empty_lists
from vecrecall.channels._requests import RequestBatch
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


class Channel(Protocol):
    """One way to recall."""

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Give each user of the batch a ranked list of at most `k` items."""


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
        out, the length of the merged list.
    caps : Caps or sequence of Caps, optional
        At most so many items of one group in a list.
    on_error : {"raise", "skip"}
        What to do when a channel raises, or gives what is no `SearchResult` with one row per user:
        raise; or go on as if it had found nothing, warn with `ChannelWarning` and report it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    ``batch.seen`` goes into every channel's search and into the merge: a channel of your own that
    does not look at it may give shorter lists, but no seen item comes out.

    A recaller can be pickled and copied if its channels can. Those of `vecrecall.channels` can,
    unless they search a `WrappedIndex` or hold a function without a name (a lambda). An index that
    several channels search is sent once.

    Examples
    --------
    >>> import vecrecall as vr
    >>> hot = vr.channels.Precomputed.for_all([1, 2, 3])
    >>> mine = vr.channels.Precomputed([7], [[3, 4]])
    >>> recaller = vr.Recaller({"mine": mine, "hot": hot})
    >>> m = recaller.recall(vr.RequestBatch(user_ids=[7], seen=[[1]]), 3)
    >>> m.ids.tolist(), m.channels.tolist()
    ([[3, 2, 4]], [[3, 2, 1]])
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        policy: Policy = DEFAULT_POLICY,
        *,
        depth: int | Mapping[str, int] | None = None,
        caps: Caps | Sequence[Caps] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        self._channels = _channels(channels)
        self._policy = core_policy(policy, list(self._channels))
        self._depth = _depths(depth, self._channels)
        self._caps = core_caps(caps)
        self._made_of = policy, tuple(caps) if isinstance(caps, list) else caps
        self._skip = _scalars.check_choice(on_error, "on_error", _ON_ERROR)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what only the core can read."""
        return {**self.__dict__, "_policy": None, "_caps": None}

    def _check_attributes(self) -> None:
        """Check what is sent, and prepare the policy and the caps for the core again."""
        self._channels = _channels(self._channels)
        self._depth = _depths(expect(self._depth, dict, "depth"), self._channels)
        self._skip = _scalars.check_bool(self._skip, "on_error")
        if len(expect(self._made_of, tuple, "policy, caps")) != 2:
            raise ValueError(f"policy, caps: expected a pair, got {len(self._made_of)}")
        policy, caps = self._made_of
        self._policy = core_policy(policy, list(self._channels))
        self._caps = core_caps(caps)

    def recall(self, batch: RequestBatch, k: int, *, stats: bool = False) -> MergeResult:
        """Recall for a batch of users.

        Parameters
        ----------
        batch : RequestBatch
        k : int
            Length of the merged lists, >= 1.
        stats : bool
            Give the result `RecallStats` as its ``stats``.

        Returns
        -------
        MergeResult

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, a channel's result is not (the message names the
            channel), or whatever a channel raises (with a note that names it, from Python 3.11).
        """
        if not isinstance(batch, RequestBatch):
            raise TypeError(f"batch: expected a RequestBatch, got {type(batch).__name__}")
        rows, seen = batch._rows, batch.seen
        k = _scalars.check_list_length(k, rows, len(self._channels))
        stats = stats is not False and _scalars.check_bool(stats, "stats")
        seconds: dict[str, float] = {}
        errors: dict[str, Exception] = {}
        found = self._ask(batch, k, seconds, errors)
        # One call for all that follows: after a search code is cold, and takes five times as long.
        start = time.perf_counter()
        ready = _core.merge_found(
            found,
            SearchResult,
            rows,
            k,
            self._policy,
            None if seen is None else (seen.values, seen.offsets),
            self._caps,
        )
        if ready is None:
            self._check(found, rows, errors)
            start = time.perf_counter()
            merged = self._merge(found, batch, k, errors)
        else:
            merged = MergeResult(*ready)
        if stats:
            merge_seconds = time.perf_counter() - start
            counts = {name: lists.counts for name, lists in found.items()}
            merged.stats = RecallStats(seconds, counts, errors, merge_seconds)
        return merged

    def _ask(
        self, batch: RequestBatch, k: int, seconds: dict[str, float], errors: dict[str, Exception]
    ) -> dict[str, SearchResult]:
        """Get what each channel gives, and how long it takes."""
        found: dict[str, SearchResult] = {}
        for name, channel in self._channels.items():
            start = time.perf_counter()
            try:
                found[name] = channel.recall(batch, self._depth.get(name, k))
            except Exception as error:
                if not self._skip:
                    _name_in_note(error, name)
                    raise
                found[name] = _left_out(name, error, len(batch), errors)
            seconds[name] = time.perf_counter() - start
        return found

    def _check(
        self, found: dict[str, SearchResult], rows: int, errors: dict[str, Exception]
    ) -> None:
        """Look at what each channel gave, and leave out what is not as it should be."""
        for name, lists in found.items():
            try:
                _expect_lists(lists, name, rows)
            except Exception as error:
                if not self._skip:
                    _name_in_note(error, name)
                    raise
                found[name] = _left_out(name, error, rows, errors)

    def _merge(
        self,
        found: dict[str, SearchResult],
        batch: RequestBatch,
        k: int,
        errors: dict[str, Exception],
    ) -> MergeResult:
        """Merge; where that fails, leave out channels whose lists cannot be merged."""
        try:
            return merge_prepared(found, k, self._policy, batch.seen, self._caps)
        except (TypeError, ValueError):
            if not self._skip:
                raise
            n = len(errors)
            for name, lists in found.items():
                try:
                    merge({name: lists}, 1, provenance=False)
                except (TypeError, ValueError) as error:
                    found[name] = _left_out(name, error, len(batch), errors)
            if len(errors) == n:
                raise
        return merge_prepared(found, k, self._policy, batch.seen, self._caps)


def check_channel(channel: object, name: str) -> None:
    """Refuse what has no `recall`."""
    if not callable(getattr(channel, "recall", None)):
        raise TypeError(
            f"{name}: expected an object with a method recall(batch, k), "
            f"got {type(channel).__name__}"
        )


def _channels(channels: Mapping[str, Channel]) -> dict[str, Channel]:
    _channel_input.check_channel_names(channels)
    for name, channel in channels.items():
        check_channel(channel, f"channels[{name!r}]")
    return dict(channels)


def _depths(depth: object, channels: Mapping[str, Channel]) -> dict[str, int]:
    if depth is None:
        return {}
    if not isinstance(depth, Mapping):
        return dict.fromkeys(channels, _scalars.check_positive_int(depth, "depth"))
    for name in depth:
        if name not in channels:
            names = ", ".join(map(repr, channels))
            raise ValueError(f"depth: expected names of channels ({names}), got {name!r}")
    return {name: _scalars.check_positive_int(d, f"depth[{name!r}]") for name, d in depth.items()}


def _left_out(name: str, error: Exception, rows: int, errors: dict[str, Exception]) -> SearchResult:
    """Warn of a channel's error, and give what stands for its lists."""
    problem = f"channel {name!r} is left out: {type(error).__name__}: {error}"
    warnings.warn(problem, ChannelWarning, stacklevel=4)
    errors[name] = error
    return empty_lists(rows, 1)


def _expect_lists(found: object, name: str, rows: int) -> None:
    if not isinstance(found, SearchResult):
        raise TypeError(f"channel {name!r}: expected a SearchResult, got {type(found).__name__}")
    ids, scores, counts = np.shape(found.ids), np.shape(found.scores), np.shape(found.counts)
    if len(ids) != 2 or ids[0] != rows or scores != ids or counts != ids[:1]:
        raise ValueError(
            f"channel {name!r}: expected ids and scores of shape ({rows}, k) and counts of shape "
            f"({rows},), got {ids}, {scores} and {counts}"
        )


def _name_in_note(error: Exception, name: str) -> None:
    if sys.version_info >= (3, 11):
        error.add_note(f"in channel {name!r}")
