"""Joining ranked lists into one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ragged_checks, _scalars
from vecrecall.arrays._conversion import members
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import MergeResult, RankedResult
from vecrecall.fusion import _channel_input
from vecrecall.fusion._caps import Caps
from vecrecall.fusion._policies import RRF, CorePolicy, Policy

DEFAULT_POLICY: Policy = RRF()

Channel = RankedResult[Any] | tuple[npt.ArrayLike, npt.ArrayLike] | tuple[Ragged, Ragged]


def merge(
    channels: Mapping[str, Channel],
    k: int,
    policy: Policy = DEFAULT_POLICY,
    *,
    exclude: RaggedLike | None = None,
    caps: Caps | Sequence[Caps] | None = None,
    provenance: bool = True,
    threads: int | None = None,
) -> MergeResult:
    """Merge the lists of several channels into one list per query, each item once.

    Parameters
    ----------
    channels : mapping of str to SearchResult or (ids, scores)
        1 to 64 channels by name, for the same queries; their order counts. A pair is two arrays of
        shape (nq, k_c), where an id of -1 is skipped, or two `Ragged` (or two columns of lists, of
        Arrow, pandas, polars or awkward) with rows of the same lengths. Scores are floats or whole
        numbers, rounded to float32; infinite ones are taken, and what they count is said in
        `vecrecall.policies`. Widths may differ from channel to channel. A row's order is its
        ranking, whatever the scores: an item's rank is 1 plus the number of distinct ids before it,
        and a repeat keeps its first place. Other results with ids, scores and counts are channels
        too.
    k : int
        List length, >= 1.
    policy : one of `vecrecall.policies`, default ``RRF()``
        How the lists become one. Reciprocal rank fusion needs no weights and looks at no score, so
        that channels with scores of any kind can be merged.
    exclude : ragged of int, nq rows, optional
        Ids that a query must not get. Unknown ids are ignored.
    caps : Caps or sequence of Caps, optional
        Limits on the items of one group in a list; every one of them holds.
    provenance : bool
        Whether to return ranks and scores in every channel.
    threads : int, optional

    Returns
    -------
    MergeResult

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, a valid id has a score that is NaN, an id is
        below -1, or the policy names a channel that is not there or leaves one out.

    Notes
    -----
    `exclude` and `caps` act when items are taken: they change no rank and no normalization, and use
    up no turn, place or quota. Under the policies that score items they act in the order of scores.

    Examples
    --------
    >>> import vecrecall as vr
    >>> channels = {
    ...     "i2i": ([[7, 5, 3]], [[0.9, 0.8, 0.1]]),
    ...     "user2vec": (vr.Ragged.from_lists([[5, 8]]), vr.Ragged.from_lists([[2.5, 2.0]])),
    ... }
    >>> m = vr.merge(channels, 3)
    >>> m.ids.tolist(), m.channels.tolist(), m.ranks.tolist()
    ([[5, 7, 8]], [[3, 1, 2]], [[[2, 1], [1, 0], [0, 2]]])
    """
    prepared = core_policy(policy, _channel_input.check_channel_names(channels))
    return merge_prepared(channels, k, prepared, exclude, core_caps(caps), provenance, threads)


def merge_prepared(
    channels: Mapping[str, Channel],
    k: int,
    policy: CorePolicy,
    exclude: RaggedLike | None,
    caps: list[_core.Caps],
    provenance: bool = True,
    threads: int | None = None,
) -> MergeResult:
    """Merge by a policy and caps that `core_policy` and `core_caps` have checked."""
    lists, rows = _channel_input.check_channels(channels)
    k = _scalars.check_list_length(k, rows, len(lists))
    seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", rows)
    return MergeResult(
        *_core.merge(
            lists,
            k,
            policy,
            None if seen is None else (seen.values, seen.offsets),
            caps,
            _scalars.check_bool(provenance, "provenance"),
            _scalars.check_threads(threads),
        )
    )


def core_policy(policy: Policy, channels: Sequence[str]) -> CorePolicy:
    """Put a policy's values into the channels' order; names that are not theirs are an error."""
    if not isinstance(policy, Policy):
        raise TypeError(
            f"policy: expected one of vecrecall.policies, got {_scalars.type_name(policy)}"
        )
    return policy._prepared(channels)


def core_caps(caps: Caps | Sequence[Caps] | None) -> list[_core.Caps]:
    """List the caps, none for None."""
    given = [] if caps is None else [caps] if isinstance(caps, Caps) else members(caps)
    if given is None or not all(isinstance(c, Caps) for c in given):
        raise TypeError(
            f"caps: expected Caps or a sequence of them, got {_scalars.type_name(caps)}"
        )
    return [c._core for c in given]
