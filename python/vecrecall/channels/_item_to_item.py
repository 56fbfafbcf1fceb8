"""Item to item: items similar to those that a user has clicked."""

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.adapters._wrapped_index import WrappedIndex
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._candidate_lists import AGGREGATES, IdIndex, join_searched
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import concat_rows, offsets_of, row_of_each, take_rows, truncate
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._search import checked, search
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._protocol import SearchableIndex, frozen


class _Source(Protocol):
    """Where the lists of similar items come from."""

    def _join(
        self, items: Ragged, weights: F64, k: int, aggregate: str, exclude: Ragged | None
    ) -> SearchResult:
        """Join the weighted lists of each user's items, without the excluded."""


class ItemToItem(CheckedOnArrival):
    """The lists of similar items of the items that a user clicked last, joined by item.

    Parameters
    ----------
    source : NeighborTable or LiveNeighbors
        Lists computed before (for all items, reweighted, the cheapest to serve), or found by a
        search at each request (always as fresh as the index).
    history_length : int
        Start from so many of the user's latest items. Those that the source does not know
        have no list.
    decay : float, in (0, 1]
        The item at place ``p`` of the history, 0 the latest, weighs
        ``history_weight * decay**p``.
    aggregate : {"sum", "max"}
        An item's score: the sum, or the largest, of weight times score over the lists that hold
        it. Products are rounded to float32, sums accumulated in float64.
    exclude_history : bool
        Leave out every item of the user's history, also those beyond `history_length`. With
        False an item may be recommended again, from the list of another one, if it is not in
        ``batch.seen``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Neither ``batch.seen`` nor the history shortens a list while the source has other items.

    In the news recommender that this library follows every family of item vectors (of clicks, of
    tags, of titles) makes one such channel.

    Examples
    --------
    >>> import vecrecall as vr
    >>> table = vr.NeighborTable([1, 2], [[2, 5, 6], [5, 7]], [[0.75, 0.5, 0.5], [0.5, 0.25]])
    >>> channel = vr.channels.ItemToItem(table, decay=0.5)
    >>> r = channel.recall(vr.RequestBatch(history=[[1, 2]], seen=[[6]]), 3)
    >>> r.ids.tolist(), r.scores.tolist()
    ([[5, 7, -1]], [[0.75, 0.125, -inf]])
    """

    def __init__(
        self,
        source: "NeighborTable | LiveNeighbors",
        *,
        history_length: int = 10,
        decay: float = 1.0,
        aggregate: Literal["sum", "max"] = "sum",
        exclude_history: bool = True,
    ) -> None:
        self._source: _Source = source
        self._most = history_length
        self._decay = decay
        self._aggregate = aggregate
        self._exclude_history = exclude_history
        self._check_attributes()

    def _check_attributes(self) -> None:
        source = self._source
        if not isinstance(source, (NeighborTable, LiveNeighbors)):
            raise TypeError(
                f"source: expected a NeighborTable or LiveNeighbors, got {type(source).__name__}"
            )
        self._most = _scalars.check_positive_int(self._most, "history_length")
        decay = self._decay
        self._decay = _scalars.check_float(decay, "decay")
        if not 0 < self._decay <= 1:
            raise ValueError(f"decay: expected a number over 0 and at most 1, got {decay}")
        _scalars.check_choice(self._aggregate, "aggregate", AGGREGATES)
        self._exclude_history = _scalars.check_bool(self._exclude_history, "exclude_history")

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Join the lists of each user's latest items.

        Parameters
        ----------
        batch : RequestBatch
            With ``history``, perhaps ``history_weights`` and ``seen``.
        k : int

        Returns
        -------
        SearchResult

        Raises
        ------
        ValueError
            If the batch has no history.
        """
        history = batch.need("history", self)
        k = _scalars.check_list_length(k, len(history))
        places, offsets = truncate(history, self._most)
        latest = Ragged._of(history.values[places], offsets)
        ages = places - np.repeat(history.offsets[:-1], latest.lengths)
        weights: F64 = self._decay ** ages.astype(np.float64)
        if batch.history_weights is not None:
            weights *= batch.history_weights.values[places]
        return self._source._join(
            latest, weights, k, self._aggregate, self._excluded(batch, history)
        )

    def _excluded(self, batch: RequestBatch, history: Ragged) -> Ragged | None:
        if not self._exclude_history:
            return batch.seen
        return history if batch.seen is None else concat_rows(batch.seen, history)


class LiveNeighbors(CheckedOnArrival):
    """Similar items found by a search with the items' own vectors.

    Parameters
    ----------
    index : SearchableIndex
        The items to find.
    n_neighbors : int
        The length of each item's list, before the lists are joined.
    min_score : float, optional
        Keep items with ``score >= min_score``, for example 0.6 under cosine.
    vectors : array_like of float, shape (n, d), optional
        The items' vectors; default those of the index, which must then be a `FlatIndex`, a
        `ReloadingIndex`, one in shards, or wrapped with vectors.
    ids : array_like of int, shape (n,), optional
        The ids of `vectors`; default ``arange(n)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    An item is never in its own list. One that is unknown, or whose vector is zero, has none.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [2, 1], [0, 1]], np.float32), metric="cosine")
    >>> channel = vr.channels.ItemToItem(vr.channels.LiveNeighbors(index, min_score=0.6))
    >>> channel.recall(vr.RequestBatch(history=[[0], [7]]), 2).ids.tolist()
    [[1, -1], [-1, -1]]
    """

    def __init__(
        self,
        index: SearchableIndex,
        *,
        n_neighbors: int = 100,
        min_score: float | None = None,
        vectors: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
    ) -> None:
        self._index = checked(index)
        self._depth = n_neighbors
        self._min_score = min_score
        self._check_numbers()
        self._table = None if vectors is None else _Table(vectors, ids)
        self._check_holder()

    def _check_attributes(self) -> None:
        checked(self._index)
        self._check_numbers()
        self._check_holder()

    def _check_numbers(self) -> None:
        self._depth = _scalars.check_positive_int(self._depth, "n_neighbors")
        if self._min_score is not None:
            self._min_score = _scalars.check_float(self._min_score, "min_score")

    def _check_holder(self) -> None:
        """Refuse now what has no vectors."""
        if self._table is None:
            _holder(frozen(self._index))
        else:
            expect(self._table, _Table, "vectors")

    def _join(
        self, items: Ragged, weights: F64, k: int, aggregate: str, exclude: Ragged | None
    ) -> SearchResult:
        """Join the lists of each user's items."""
        index: SearchableIndex = frozen(self._index)
        source = _holder(index)._known_vectors if self._table is None else self._table.of
        known, vectors = source(items.values)
        users = row_of_each(items)[known]
        own = Ragged._of(items.values[known], np.arange(known.size + 1))
        excluded = own if exclude is None else concat_rows(own, take_rows(exclude, users))
        found = search(index, vectors, self._depth, excluded)
        offsets = offsets_of(np.bincount(users, minlength=len(items)))
        return join_searched(found, weights[known], offsets, k, aggregate, self._min_score)


def _holder(index: SearchableIndex) -> "_Holder":
    """Find who holds the vectors of a frozen index."""
    exact: Any = index.exact if isinstance(index, WrappedIndex) else index
    # Not `isinstance`, which sees no attributes of stand-ins from Python 3.12 on.
    if not callable(getattr(exact, "_known_vectors", None)):
        raise TypeError(
            "vectors: expected the items' vectors with an index that does not hold them, got none"
        )
    holder: _Holder = exact
    return holder


class _Holder(Protocol):
    """An index that has its items' vectors: a `FlatIndex`, or one in shards."""

    def _known_vectors(self, ids: I64) -> tuple[I64, F32]:
        """Find which of the ids are known, and their rows."""


class _Table(CheckedOnArrival):
    """Vectors that go with an index."""

    def __init__(self, vectors: npt.ArrayLike, ids: npt.ArrayLike | None) -> None:
        self._table = _validation.check_vectors(vectors, "vectors")
        n = len(self._table)
        self._keys = IdIndex(np.arange(n) if ids is None else _ids.check_ids(ids, "ids", n), "ids")

    def _check_attributes(self) -> None:
        self._table = _validation.check_vectors(self._table, "vectors")
        n = len(self._table)
        if len(expect(self._keys, IdIndex, "ids")) != n:
            raise ValueError(f"ids: expected {n}, one a vector, got {len(self._keys)}")

    def of(self, ids: I64) -> tuple[I64, F32]:
        """Find the places of known ids, and their vectors."""
        rows = self._keys.find(ids)
        known = np.flatnonzero(rows >= 0)
        return known, self._table[rows[known]]
