"""An index over rows of several widths: a shard per width, queries cut to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import blocks, take_rows
from vecrecall.arrays._results import SearchResult, SearchStats, empty_lists, scatter
from vecrecall.arrays._typing import F32, I64
from vecrecall.fusion._shards import merge_shards
from vecrecall.search._flat_index import INVALID, FlatIndex, valid_queries
from vecrecall.search._masks import Mask, allowed, mask
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import (
    Allow,
    Ids,
    Invalid,
    Metric,
    Neighbors,
    Progress,
    SearchableIndex,
)


class Shard(NamedTuple):
    """The rows of one width."""

    items: FlatIndex
    width: int


def multiplied(rows: npt.NDArray[np.float32], by: npt.NDArray[np.float32]) -> F32:
    """Multiply each row by a matrix (d, m), with the same bits in every batch."""
    columns = FlatIndex(np.ascontiguousarray(by.T), metric="ip")
    found = np.empty((len(rows), len(columns)), np.float32)
    for block in blocks(len(rows), len(columns)):
        part = np.ascontiguousarray(rows[block])
        every = np.tile(columns.ids, len(part))
        scores = columns.score(part, Ragged(every, np.arange(len(part) + 1) * len(columns)))
        found[block] = scores.values.reshape(len(part), -1)
    return found


def unit_rows(rows: npt.NDArray[np.float32]) -> F32:
    """Divide each row that is not zero by its length, with the same bits in every batch."""
    found = np.empty(rows.shape, np.float32)
    for block in blocks(*rows.shape):
        lengths = _lengths(rows[block])[:, None]
        found[block] = rows[block] / np.where(lengths > 0, lengths, 1)
    return found


def cut_rows(turned: npt.NDArray[np.float32], width: int, metric: Metric) -> F32:
    """Cut rotated rows; under l2 a last column has the length of what was cut away."""
    if metric == "l2" and width < turned.shape[1]:
        return np.column_stack([turned[:, :width], _lengths(turned[:, width:]).astype(np.float32)])
    return np.ascontiguousarray(turned[:, :width])


def make_shard(
    rows: npt.NDArray[np.float32],
    width: int,
    ids: npt.NDArray[np.int64],
    metric: Metric,
    threads: int | None,
) -> Shard:
    """Build the index of rows that `cut_rows` cut."""
    if metric == "l2" and rows.shape[1] > width:  # queries have their lengths in another column
        rows = np.pad(rows, ((0, 0), (0, 1)))
    return Shard(FlatIndex(rows, ids, metric=metric, threads=threads), width)


def _lengths(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure rows, their squares added one after the other: the order of a sum depends on n."""
    found = np.empty(len(rows))
    for block in blocks(*rows.shape):
        squares = np.square(rows[block, ::-1], dtype=np.float64)
        found[block] = np.sqrt(np.cumsum(squares, axis=1)[:, -1])
    return found


class CapacityIndex:
    """An exact index over the rows of a `CapacityEmbedding`, one shard per width.

    `CapacityEmbedding.to_index` makes it. It stands in for a `FlatIndex` wherever that is read: a
    query of full width is rotated once, cut to the width of each shard, and the shards' lists are
    joined by `vecrecall.merge_shards`. The items never change.

    Attributes
    ----------
    shards : tuple of FlatIndex
        Those that have rows, the widest first. Under cosine they are of ip, since rows and queries
        were divided by their lengths. Under l2 rows that were cut have two dimensions more: for the
        length of what was cut away of the row, and of the query.
    skipped : ndarray of int64
        Ids of the items that are zero under cosine, perhaps only after the cut: they are not found.

    Notes
    -----
    The score of an item is that of its uncut row, but that the inner product of what was cut away
    of the row and of the query counts as zero; lengths are the uncut ones. So scores of all widths
    compare: none is too large only because its row was cut.

    Among these scores the search is exact, but for roundings to float32 of the rotation, the rows
    and the query. By them scores differ by at most ``(5 + 2 * sqrt(d)) * 2**-24`` of the scale (the
    product of the lengths under ip, 1 under cosine, the squared sum of the lengths under l2), and
    so may the order of near ties. Results have the same bits in every batch and with every number
    of threads.

    `score` takes queries of full width too; `vectors` returns reconstructed rows.

    Examples
    --------
    >>> import numpy as np
    >>> from vecrecall.train import Embedding, capacity
    >>> items = Embedding(["a", "b", "c"], [[3, 0], [0, 1], [2, 1]], metric="ip")
    >>> index = capacity(items, [9, 1, 1], widths=(2, 1), thresholds=(5,)).to_index()
    >>> [items.ids[i] for i in index.search([1, 0], 2).ids[0]]
    ['a', 'c']
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        rotation: npt.NDArray[np.float32],
        ids: npt.NDArray[np.int64],
        skipped: npt.NDArray[np.int64],
        metric: Metric,
    ) -> None:
        self._shards = tuple(shards)
        self._rotation = rotation
        self._item_ids = ids
        self._metric: Metric = metric
        self.skipped = skipped

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        min_score: float | None = None,
        invalid: Invalid = "raise",
        stats: bool = False,
        threads: int | None = None,
    ) -> SearchResult:
        """Find the `k` best items of every query.

        Parameters
        ----------
        queries, k, exclude, allow, min_score, invalid, stats, threads
            As of `FlatIndex.search`; queries have the full width.

        Returns
        -------
        SearchResult
            Score descending, then id ascending; padded with id -1 and score -inf.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        q = _validation.check_query_matrix(queries, "queries", self.dim)
        k = _scalars.check_list_length(k, len(q))
        leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
        stats = _scalars.check_bool(stats, "stats")
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", len(q))
        masks = None if allow is None else allowed(self, allow, len(q))
        valid = self._served(q, leave_empty)
        if valid is not None:
            places = np.flatnonzero(valid)
            q, seen = q[places], None if seen is None else take_rows(seen, places)
            if masks is not None and len(masks) > 1:
                masks = [masks[place] for place in places]
        cut = self._cut(q)
        found = [
            shard.items.search(
                cut[number],
                k,
                exclude=seen,
                allow=None if masks is None else _of_shard(masks, number),
                min_score=min_score,
                stats=stats,
                threads=threads,
            )
            for number, shard in enumerate(self._shards)
        ]
        joined = merge_shards(found, k, threads=threads) if found else empty_lists(len(q), k)
        joined.metric = self._metric
        if stats:
            joined.stats = _summed([one.stats for one in found if one.stats is not None])
        return joined if valid is None else scatter(joined, valid, len(valid))

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query, as `FlatIndex.score` does."""
        q = _validation.check_queries(queries, "queries", self.dim)
        wanted = _ragged_checks.check_ragged(candidates, "candidates", len(q))
        best = np.full(len(wanted.values), -np.inf, np.float32)
        for shard, cut in zip(self._shards, self._cut(q), strict=True):
            own = shard.items.score(cut, wanted, threads=threads)
            np.maximum(best, own.values, out=best)  # -inf for an id of another shard
        if self._metric == "cosine":
            best[np.repeat(~q.any(axis=1), wanted.lengths)] = -np.inf
        return Ragged(best, wanted.offsets)

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item, as `FlatIndex.neighbors` does."""
        return self_join(self, k, min_score, progress, path, threads)

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``, as `FlatIndex.mask` does."""
        return mask(self, ids)

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Reconstruct the rows of given ids.

        Parameters
        ----------
        ids : array_like of int, shape (m,)

        Returns
        -------
        ndarray of float32, shape (m, d)

        Raises
        ------
        KeyError
            If an id is unknown.
        """
        wanted = _ids.check_integers(ids, "ids")
        known = self.contains(wanted)
        if not known.all():
            raise KeyError(f"ids: expected ids of the index, got {wanted[known.argmin()]}")
        rows = np.empty((len(wanted), self.dim), np.float32)
        for items, width in self._shards:
            own = items.contains(wanted)
            cut = np.ascontiguousarray(items.vectors(wanted[own])[:, :width])
            rows[own] = multiplied(cut, self._rotation[:, :width].T)
        return rows

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the index has, as `FlatIndex.contains` does."""
        wanted = _ids.check_integers(ids, "ids")
        known = np.zeros(len(wanted), bool)
        for items, _ in self._shards:
            known |= items.contains(wanted)
        return known

    @property
    def shards(self) -> tuple[FlatIndex, ...]:
        """The indexes of the widths that have rows."""
        return tuple(shard.items for shard in self._shards)

    @property
    def ids(self) -> I64:
        """The items' ids in the order of the embedding, shape (n,)."""
        return self._item_ids.copy()

    @property
    def dim(self) -> int:
        """The width of queries."""
        return len(self._rotation)

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self._metric

    def __len__(self) -> int:
        return len(self._item_ids)

    def __contains__(self, id: object) -> bool:
        return _ids.is_id(id) and bool(self.contains(np.array([id], np.int64))[0])

    def __repr__(self) -> str:
        widths = " + ".join(f"{len(items)} x {width}" for items, width in self._shards)
        return f"CapacityIndex({widths or 'no items'}, dim {self.dim}, metric {self.metric!r})"

    def _served(
        self, queries: npt.NDArray[np.float32], leave_empty: bool
    ) -> npt.NDArray[np.bool_] | None:
        """Tell which queries have an answer, None for all."""
        valid = valid_queries(queries, leave_empty)
        directed = np.asarray(queries.any(axis=1), bool)
        if self._metric != "cosine" or directed.all():
            return valid
        return directed if valid is None else np.logical_and(directed, valid)

    def _cut(self, queries: npt.NDArray[np.float32]) -> list[F32]:
        """Rotate queries and cut them to the width of each shard."""
        turned = multiplied(
            unit_rows(queries) if self._metric == "cosine" else queries, self._rotation
        )
        cut = [cut_rows(turned, width, self._metric) for _, width in self._shards]
        return [  # a row has the length of its own part in the column before that of the query's
            np.insert(rows, width, 0, axis=1) if rows.shape[1] > width else rows
            for rows, (_, width) in zip(cut, self._shards, strict=True)
        ]

    def _frozen(self) -> CapacityIndex:
        return self  # its items stay the same

    def _searched_by(self) -> str:
        return ""

    def _mask_owner(self) -> object:
        return self

    def _allow(self, ids: I64, complement: bool) -> list[Mask]:
        """Make a set of ids of each shard."""
        sets = [items.mask(ids) for items, _ in self._shards]
        return [~own for own in sets] if complement else sets


_conforms: type[SearchableIndex] = CapacityIndex  # checked by mypy


def _of_shard(masks: list[Any], number: int) -> Mask | list[Mask]:
    own = [of_shards[number] for of_shards in masks]
    return own[0] if len(own) == 1 else own


def _summed(stats: Sequence[SearchStats]) -> SearchStats:
    precisions = {one.precision for one in stats} - {"none"}
    return SearchStats(
        sum(one.items_scanned for one in stats),
        sum(one.rows_reranked for one in stats),
        "none"
        if not precisions
        else precisions.pop()
        if len(precisions) == 1
        else "int8 and float32",
        sum(one.lists_probed for one in stats),
        sum(one.queries_widened for one in stats),
    )
