"""Answers of shards, joined into that of one index."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._results import AboveResult, SearchResult, SearchStats
from vecrecall.arrays._typing import F32, I64


def search_widening(
    searched: Callable[[I64, int], SearchResult],
    n: int,
    k: int,
    probes: int,
    n_lists: int,
    few: I64,
) -> tuple[SearchResult, list[SearchResult]]:
    """Search shards as an index of lists does where no number of lists is given.

    A query that finds fewer than `k` items looks at twice as many lists, until it has seen all.

    Parameters
    ----------
    searched : callable
        Given rows of queries and a number of lists, which it probes in all shards.
    n, k, probes, n_lists : int
        Queries, the length of their lists, and how many of the index's lists are probed first.
    few : ndarray of int64
        The queries for which all allowed items are scored, as these are few.

    Returns
    -------
    SearchResult, list of SearchResult
        The last of each query, and those of all searches.
    """
    ids = np.full((n, k), -1, np.int64)
    scores = np.full((n, k), -np.inf, np.float32)
    counts = np.zeros(n, np.int32)
    rounds: list[SearchResult] = []

    def search(rows: I64, probes: int) -> None:
        part = searched(rows, probes)
        ids[rows], scores[rows], counts[rows] = part.ids, part.scores, part.counts
        rounds.append(part)

    if few.size:
        search(few, _core.EXACT_PROBES)
    left = np.setdiff1d(np.arange(n), few)
    while left.size or not rounds:
        search(left, probes)
        left = left[counts[left] < k] if probes < n_lists else left[:0]
        probes *= 2
    return SearchResult(ids, scores, counts, rounds[-1].metric), rounds


def summed(all_of: list[Any]) -> SearchStats:
    precisions = sorted({of.precision for of in all_of} - {"none"})
    joined = precisions[0] if len(precisions) == 1 else "int8 and float32"
    return SearchStats(
        sum(of.items_scanned for of in all_of),
        sum(of.rows_reranked for of in all_of),
        joined if precisions else "none",
        sum(of.lists_probed for of in all_of),
        sum(of.queries_widened for of in all_of),
    )


def cut(result: SearchResult, min_score: float) -> None:
    """End each list where scores fall below the least that is wanted."""
    if min_score == -np.inf:
        return
    below = result.scores.astype(np.float64) < min_score
    result.ids[below], result.scores[below] = -1, -np.inf
    np.minimum(result.counts, (~below).sum(axis=1), out=result.counts, casting="unsafe")


def joined_above(
    found: dict[int, tuple[I64, F32, I64]],
    most: int,
    valid: npt.NDArray[np.bool_] | None,
    nq: int,
) -> AboveResult:
    """Join the lists of shards, by score descending and then id ascending."""
    parts = [found[shard] for shard in sorted(found)]
    rows = np.concatenate([np.repeat(np.arange(o.size - 1), np.diff(o)) for _, _, o in parts])
    ids = np.concatenate([ids for ids, _, _ in parts])
    scores = np.concatenate([scores for _, scores, _ in parts])
    order = np.lexsort((ids, -scores.astype(np.float64), rows))
    rows, ids, scores = rows[order], ids[order], scores[order]
    n = parts[0][2].size - 1
    starts = offsets_of(np.bincount(rows, minlength=n))
    kept = np.arange(rows.size) - starts[rows] < most
    lengths = np.bincount(rows[kept], minlength=n)
    if valid is not None:
        of_valid, lengths = lengths, np.zeros(nq, np.int64)
        lengths[valid] = of_valid
    offsets = offsets_of(lengths)
    offsets.flags.writeable = False
    return AboveResult(Ragged._of(ids[kept], offsets), Ragged._of(scores[kept], offsets))
