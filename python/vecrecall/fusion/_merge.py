"""Joining ranked lists into one."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from vecrecall import _core
from vecrecall.arrays import _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import GroupResult, MergeResult, SearchResult
from vecrecall.fusion._caps import Caps
from vecrecall.fusion._policies import CorePolicy, Policy

AGGREGATES = {"max": False, "sum": True}

Channel = SearchResult | tuple[npt.ArrayLike, npt.ArrayLike] | tuple[Ragged, Ragged]


def merge(
    channels: Mapping[str, Channel],
    k: int,
    policy: Policy,
    *,
    exclude: RaggedLike | None = None,
    caps: Caps | Sequence[Caps] | None = None,
    provenance: bool = True,
    threads: int | None = None,
) -> MergeResult:
    """Merge the lists of several channels into one list a query, each item once.

    Parameters
    ----------
    channels : mapping of str to SearchResult or (ids, scores)
        1 to 64 channels by name, for the same queries; their order counts. A pair is two arrays of
        shape (nq, k_c), where an id of -1 is skipped, or two `Ragged` with rows of the same
        lengths. Scores are floats or whole numbers, rounded to float32; infinite ones are taken,
        and what they count is said in `vecrecall.policies`. Widths may differ from channel to
        channel. A row's order is its ranking, whatever the scores: an item's rank is 1 plus the
        number of distinct ids before it, and a repeat keeps its first place. Other results with
        ids, scores and counts are channels too.
    k : int
        List length, >= 1.
    policy : one of `vecrecall.policies`
        How the lists become one.
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
    >>> m = vr.merge(channels, 3, vr.policies.RRF())
    >>> m.ids.tolist(), m.channels.tolist(), m.ranks.tolist()
    ([[5, 7, 8]], [[3, 1, 2]], [[[2, 1], [1, 0], [0, 2]]])
    """
    prepared = core_policy(policy, _validation.channel_names(channels))
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
    lists, rows = _validation.channels(channels)
    k = _validation.list_length(k, rows, len(lists))
    seen = None if exclude is None else _validation.ragged(exclude, "exclude", rows)
    return MergeResult(
        *_core.merge(
            lists,
            k,
            policy,
            None if seen is None else (seen.values, seen.offsets),
            caps,
            _validation.flag(provenance, "provenance"),
            _validation.threads(threads),
        )
    )


def core_policy(policy: Policy, channels: Sequence[str]) -> CorePolicy:
    """Put a policy's values into the channels' order; names that are not theirs are an error."""
    if not isinstance(policy, Policy):
        raise TypeError(
            f"policy: expected one of vecrecall.policies, got {_validation.type_name(policy)}"
        )
    return policy._prepared(channels)


def core_caps(caps: Caps | Sequence[Caps] | None) -> list[_core.Caps]:
    """List the caps, none for None."""
    given = [] if caps is None else [caps] if isinstance(caps, Caps) else caps
    if not isinstance(given, (list, tuple)) or not all(isinstance(c, Caps) for c in given):
        raise TypeError(
            f"caps: expected Caps or a sequence of them, got {_validation.type_name(given)}"
        )
    return [c._core for c in given]


def merge_shards(
    results: Sequence[SearchResult], k: int, *, threads: int | None = None
) -> SearchResult:
    """Join the lists of disjoint shards into one list a query.

    Parameters
    ----------
    results : sequence of SearchResult
        The same queries searched in each shard; widths may differ. An id stands in one shard only.
    k : int
        List length, >= 1. With at least `k` from each shard the result equals, bit for bit, one
        index over all items.
    threads : int, optional

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        If there are no results, their rows differ, or an id comes from two shards.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> q, x = np.ones((1, 2), np.float32), np.array([[1, 0], [0, 3]], np.float32)
    >>> parts = [vr.FlatIndex(x[i : i + 1], ids=[i]).search(q, 1) for i in range(2)]
    >>> vr.merge_shards(parts, 2).ids.tolist()
    [[1, 0]]
    """
    if isinstance(results, SearchResult) or not isinstance(results, (list, tuple)):
        raise TypeError(
            f"results: expected a sequence of SearchResult, got {type(results).__name__}"
        )
    if not results:
        raise ValueError("results: expected at least one SearchResult, got none")
    lists = [_validation.lists(r, f"results[{i}]") for i, r in enumerate(results)]
    rows = len(lists[0][2])
    for i, (_, _, counts) in enumerate(lists):
        if len(counts) != rows:
            raise ValueError(
                f"results[{i}]: expected {rows} rows, as results[0], got {len(counts)}"
            )
    k = _validation.list_length(k, rows)
    return SearchResult(*_core.merge_shards(lists, k, _validation.threads(threads)))


def merge_groups(
    result: SearchResult,
    groups: npt.ArrayLike,
    k: int,
    *,
    aggregate: Literal["max", "sum"] = "max",
    threads: int | None = None,
) -> GroupResult:
    """Join the rows of one search, group by group, each item once.

    For users that search with several vectors: the rows of a user are a group.

    Parameters
    ----------
    result : SearchResult
        One row a query vector.
    groups : array_like of int, shape (n_groups + 1,)
        Offsets: group ``g`` is the rows ``groups[g]`` to ``groups[g + 1] - 1``. An empty group
        gets an empty list.
    k : int
        List length, >= 1.
    aggregate : {"max", "sum"}
        An item's score: its largest, or the sum over the rows, accumulated in float64 in row order
        and rounded once. Infinities add up as in float64; where they have both signs the score is
        -inf.
    threads : int, optional

    Returns
    -------
    GroupResult

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32))
    >>> r = index.search(np.array([[1, 0], [0, 1]], np.float32), 2)
    >>> g = vr.merge_groups(r, [0, 2], 3, aggregate="sum")
    >>> g.ids.tolist(), g.scores.tolist(), g.n_rows.tolist()
    ([[2, 0, 1]], [[2.0, 1.0, 1.0]], [[2, 1, 1]])
    """
    lists = _validation.lists(result, "result")
    offsets = _offsets(groups, len(lists[2]))
    k = _validation.list_length(k, len(offsets))
    total = _validation.choice(aggregate, "aggregate", AGGREGATES)
    return GroupResult(*_core.merge_groups(lists, offsets, k, total, _validation.threads(threads)))


def _offsets(groups: npt.ArrayLike, rows: int) -> npt.NDArray[np.int64]:
    offsets = _validation.integers(groups, "groups").copy()
    if not offsets.size or offsets[0] != 0 or offsets[-1] != rows:
        raise ValueError(
            f"groups: expected offsets from 0 to {rows}, the number of rows, got {offsets.tolist()}"
            if offsets.size < 10
            else f"groups: expected offsets from 0 to {rows}, the number of rows, "
            f"got {offsets[0]} to {offsets[-1]}"
        )
    bad = np.flatnonzero(np.diff(offsets) < 0)
    if bad.size:
        raise ValueError(f"groups: expected offsets that never descend, got a descent at {bad[0]}")
    return offsets
