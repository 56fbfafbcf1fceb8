"""Many channels, one list a user."""

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, overload

import numpy as np
import numpy.typing as npt

from vecrecall import _coerce, _core
from vecrecall._lists import empty_lists
from vecrecall.caps import Caps
from vecrecall.merging import core_caps, core_policy, merge, merge_prepared
from vecrecall.policies import RRF, Policy
from vecrecall.requests import RequestBatch
from vecrecall.results import MergeResult, SearchResult

_ON_ERROR = {"raise": False, "skip": True}


class Channel(Protocol):
    """One way to recall."""

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Give each user of the batch a ranked list of at most `k` items."""


class ChannelWarning(RuntimeWarning):
    """A channel has failed and was left out."""


class RecallStats(NamedTuple):
    """What each channel of a recall did, by its name.

    Attributes
    ----------
    seconds : dict of str to float
        How long the channel took.
    counts : dict of str to ndarray of int32, shape (nq,)
        How many items it gave each user.
    errors : dict of str to Exception
        What it raised; only channels that were left out.
    merge_seconds : float
        How long the merge took.
    """

    seconds: dict[str, float]
    counts: dict[str, npt.NDArray[np.int32]]
    errors: dict[str, Exception]
    merge_seconds: float


class Recaller:
    """Ask channels for one batch of users and merge what they give.

    Parameters
    ----------
    channels : mapping of str to Channel
        At least one, at most 64. Their order is that of the merge, and of its bits.
    policy : Policy
        How to merge, from `vecrecall.policies`.
    depth : int or mapping of str to int, optional
        How many items to ask of each channel; default, also for a channel that a mapping leaves
        out, the length of the merged list.
    caps : Caps or sequence of Caps, optional
        At most so many items of one group in a list.
    on_error : {"raise", "skip"}
        What to do when a channel raises, or gives what is no `SearchResult` with one row a user:
        raise; or go on as if it had found nothing, warn with `ChannelWarning` and report it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    ``batch.seen`` goes into every channel's search and into the merge: a channel of one's own that
    does not look at it may give shorter lists, but no seen item comes out.

    Examples
    --------
    >>> import vecrecall as vr
    >>> hot = vr.channels.Precomputed.for_all([1, 2, 3])
    >>> mine = vr.channels.Precomputed([7], [[3, 4]])
    >>> recaller = vr.Recaller({"mine": mine, "hot": hot}, vr.policies.RRF())
    >>> m = recaller.recall(vr.RequestBatch(user_ids=[7], seen=[[1]]), 3)
    >>> m.ids.tolist(), m.channels.tolist()
    ([[3, 2, 4]], [[3, 2, 1]])
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        policy: Policy,
        *,
        depth: int | Mapping[str, int] | None = None,
        caps: Caps | Sequence[Caps] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        self._channels = _channels(channels)
        self._policy = core_policy(policy, list(self._channels))
        self._depth = _depths(depth, self._channels)
        self._caps = core_caps(caps)
        self._skip = _coerce.choice(on_error, "on_error", _ON_ERROR)

    @overload
    def recall(
        self, batch: RequestBatch, k: int, *, stats: Literal[False] = ...
    ) -> MergeResult: ...

    @overload
    def recall(
        self, batch: RequestBatch, k: int, *, stats: Literal[True]
    ) -> tuple[MergeResult, RecallStats]: ...

    def recall(
        self, batch: RequestBatch, k: int, *, stats: bool = False
    ) -> MergeResult | tuple[MergeResult, RecallStats]:
        """Recall for a batch of users.

        Parameters
        ----------
        batch : RequestBatch
        k : int
            Length of the merged lists, >= 1.
        stats : bool
            Return `RecallStats` beside the result.

        Returns
        -------
        MergeResult
            With ``stats=True`` the pair ``(MergeResult, RecallStats)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, a channel's result is not (the message names the
            channel), or whatever a channel raises (with a note that names it, from Python 3.11).
        """
        if not isinstance(batch, RequestBatch):
            raise TypeError(f"batch: expected a RequestBatch, got {type(batch).__name__}")
        k = _coerce.list_length(k, len(batch))
        stats = _coerce.flag(stats, "stats")
        told = RecallStats({}, {}, {}, 0.0)
        found: dict[str, object] = {}
        for name in self._channels:
            found[name] = self._ask(name, batch, k, told)
        # Looked at together: after a search all code is cold, and takes five times as long.
        lists: dict[str, SearchResult] = {}
        for name in found:
            lists[name] = self._checked(name, found[name], len(batch), told)
        start = time.perf_counter()
        try:
            merged = self._merge(lists, batch, k)
        except (TypeError, ValueError):
            if not self._skip or not self._leave_out(lists, told):
                raise
            merged = self._merge(lists, batch, k)
        if not stats:
            return merged
        return merged, told._replace(merge_seconds=time.perf_counter() - start)

    def _ask(self, name: str, batch: RequestBatch, k: int, told: RecallStats) -> object:
        """Get what one channel gives."""
        found: object
        start = time.perf_counter()
        try:
            found = self._channels[name].recall(batch, self._depth.get(name, k))
        except Exception as error:
            if not self._skip:
                _name_in_note(error, name)
                raise
            found = _left_out(name, error, len(batch), told)
        told.seconds[name] = time.perf_counter() - start
        return found

    def _checked(self, name: str, found: object, rows: int, told: RecallStats) -> SearchResult:
        """Look at what a channel gave."""
        try:
            lists = _lists(found, name, rows)
        except Exception as error:
            if not self._skip:
                _name_in_note(error, name)
                raise
            lists = _left_out(name, error, rows, told)
        told.counts[name] = lists.counts
        return lists

    def _merge(self, lists: Mapping[str, SearchResult], batch: RequestBatch, k: int) -> MergeResult:
        return merge_prepared(lists, k, self._policy, batch.seen, self._caps)

    def _leave_out(self, lists: dict[str, SearchResult], told: RecallStats) -> bool:
        """Leave out channels whose lists cannot be merged, and tell whether there were any."""
        left_out = False
        for name, found in lists.items():
            try:
                merge({name: found}, 1, RRF(), provenance=False)
            except (TypeError, ValueError) as error:
                lists[name] = _left_out(name, error, len(found.ids), told)
                told.counts[name] = lists[name].counts
                left_out = True
        return left_out


def _channels(channels: Mapping[str, Channel]) -> dict[str, Channel]:
    _coerce.channel_names(channels)
    for name, channel in channels.items():
        if not callable(getattr(channel, "recall", None)):
            raise TypeError(
                f"channels[{name!r}]: expected an object with a method recall(batch, k), "
                f"got {type(channel).__name__}"
            )
    return dict(channels)


def _depths(depth: object, channels: Mapping[str, Channel]) -> dict[str, int]:
    if depth is None:
        return {}
    if not isinstance(depth, Mapping):
        return dict.fromkeys(channels, _coerce.positive_int(depth, "depth"))
    for name in depth:
        if name not in channels:
            names = ", ".join(map(repr, channels))
            raise ValueError(f"depth: expected names of channels ({names}), got {name!r}")
    return {name: _coerce.positive_int(d, f"depth[{name!r}]") for name, d in depth.items()}


def _left_out(name: str, error: Exception, rows: int, told: RecallStats) -> SearchResult:
    """Warn of a channel's error, and give what stands for its lists."""
    problem = f"channel {name!r} is left out: {type(error).__name__}: {error}"
    warnings.warn(problem, ChannelWarning, stacklevel=4)
    told.errors[name] = error
    return empty_lists(rows, 1)


def _lists(found: object, name: str, rows: int) -> SearchResult:
    if not isinstance(found, SearchResult):
        raise TypeError(f"channel {name!r}: expected a SearchResult, got {type(found).__name__}")
    if _core.are_lists(found.ids, found.scores, found.counts) and len(found.ids) == rows:
        return found
    ids, scores, counts = np.shape(found.ids), np.shape(found.scores), np.shape(found.counts)
    if len(ids) != 2 or ids[0] != rows or scores != ids or counts != ids[:1]:
        raise ValueError(
            f"channel {name!r}: expected ids and scores of shape ({rows}, k) and counts of shape "
            f"({rows},), got {ids}, {scores} and {counts}"
        )
    return found


def _name_in_note(error: Exception, name: str) -> None:
    if sys.version_info >= (3, 11):
        error.add_note(f"in channel {name!r}")
