"""Merges of one search's parts: shards of an index, rows of a group."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._candidate_lists import AGGREGATES
from vecrecall.arrays._conversion import members
from vecrecall.arrays._results import GroupResult, SearchResult
from vecrecall.arrays._row_input import check_no_decrease
from vecrecall.fusion import _channel_input


def merge_shards(
    results: Sequence[SearchResult], k: int, *, threads: int | None = None
) -> SearchResult:
    """Join the lists of disjoint shards into one list per query.

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
    shards = members(results)
    if shards is None:
        raise TypeError(
            f"results: expected a sequence of SearchResult, got {type(results).__name__}"
        )
    if not shards:
        raise ValueError("results: expected at least one SearchResult, got none")
    lists = [_channel_input.check_lists(r, f"results[{i}]") for i, r in enumerate(shards)]
    rows = len(lists[0][2])
    for i, (_, _, counts) in enumerate(lists):
        if len(counts) != rows:
            raise ValueError(
                f"results[{i}]: expected {_scalars.counted(rows, 'row')}, as results[0], "
                f"got {len(counts)}"
            )
    k = _scalars.check_list_length(k, rows)
    found = _core.merge_shards(lists, k, _scalars.check_threads(threads))
    metrics = {getattr(r, "metric", None) for r in shards}
    return SearchResult(*found, metrics.pop() if len(metrics) == 1 else None)


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
        One row per query vector.
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
    lists = _channel_input.check_lists(result, "result")
    offsets = _offsets(groups, len(lists[2]))
    k = _scalars.check_list_length(k, len(offsets))
    total = _scalars.check_choice(aggregate, "aggregate", AGGREGATES)
    found = _core.merge_groups(lists, offsets, k, total, _scalars.check_threads(threads))
    return GroupResult(*found, None if total else getattr(result, "metric", None))


def _offsets(groups: npt.ArrayLike, rows: int) -> npt.NDArray[np.int64]:
    offsets = _ids.check_integers(groups, "groups").copy()
    if not offsets.size or offsets[0] != 0 or offsets[-1] != rows:
        raise ValueError(
            f"groups: expected offsets from 0 to {rows}, the number of rows, got {offsets.tolist()}"
            if offsets.size < 10
            else f"groups: expected offsets from 0 to {rows}, the number of rows, "
            f"got {offsets[0]} to {offsets[-1]}"
        )
    check_no_decrease(offsets, "groups: expected offsets")
    return offsets
