"""Results of the calls: named tuples of plain NumPy arrays."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged import Ragged


class SearchResult(NamedTuple):
    """Ranked lists, one per query: score descending, then id ascending.

    Attributes
    ----------
    ids : ndarray of int64, shape (nq, k)
        Item ids; -1 after the list's end.
    scores : ndarray of float32, shape (nq, k)
        Scores, larger is better; -inf after the list's end.
    counts : ndarray of int32, shape (nq,)
        How many entries of each row are real.
    """

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]


class AboveResult(NamedTuple):
    """Ranked lists of different lengths, one per query: score descending, then id ascending.

    Attributes
    ----------
    ids : Ragged of int64, nq rows
    scores : Ragged of float32, nq rows
        Larger is better.
    """

    ids: Ragged
    scores: Ragged


class GroupResult(NamedTuple):
    """Ranked lists, one per group of rows, each item once.

    Attributes
    ----------
    ids, scores, counts
        As in `SearchResult`, one row per group.
    n_rows : ndarray of int32, shape (n_groups, k)
        How many of the group's rows held the item; 0 after the list's end.
    best_row : ndarray of int64, shape (n_groups, k)
        The row of the merged result with the item's largest score, the lowest such row on a tie;
        -1 after the list's end.
    """

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    n_rows: npt.NDArray[np.int32]
    best_row: npt.NDArray[np.int64]


class MergeResult(NamedTuple):
    """Ranked lists merged from several channels, one per query, each item once.

    Attributes
    ----------
    ids, scores, counts
        As in `SearchResult`, in the order that the policy gives.
    channels : ndarray of uint64, shape (nq, k)
        Bit ``c`` is set where channel ``c``, in the mapping's order, held the item; 0 after the
        list's end.
    ranks : ndarray of int32, shape (nq, k, n_channels), or None
        The item's rank in each channel, from 1; 0 where it is absent. None without provenance.
    channel_scores : ndarray of float32, shape (nq, k, n_channels), or None
        The item's score in each channel, as it came; NaN where it is absent. None without
        provenance.
    unfilled : ndarray of int32, shape (nq, n_channels)
        Slots of its quota that a channel could not fill itself; 0 where there are no quotas.
    """

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    channels: npt.NDArray[np.uint64]
    ranks: npt.NDArray[np.int32] | None
    channel_scores: npt.NDArray[np.float32] | None
    unfilled: npt.NDArray[np.int32]


class SearchStats(NamedTuple):
    """Counts of a search, summed over its queries.

    Attributes
    ----------
    items_scanned : int
        Items whose approximate score was computed.
    rows_reranked : int
        Rows whose exact score was computed.
    precision : str
        Of the scan: ``"int8"``; ``"float32"``; ``"int8 and float32"`` where int8 could not tell
        some items apart; or ``"none"`` where every item in question was scored exactly at once.
    """

    items_scanned: int
    rows_reranked: int
    precision: str


def empty_lists(rows: int, k: int) -> SearchResult:
    """Make lists with nothing in them."""
    return SearchResult(
        np.full((rows, k), -1, np.int64),
        np.full((rows, k), -np.inf, np.float32),
        np.zeros(rows, np.int32),
    )


def scatter(found: SearchResult, places: npt.NDArray[Any], rows: int) -> SearchResult:
    """Put lists in their places (numbers or a mask) among `rows`; the others are empty."""
    full = empty_lists(rows, found.ids.shape[1])
    full.ids[places], full.scores[places], full.counts[places] = found
    return full
