"""Results of the calls: ranked lists of many queries in plain NumPy arrays."""

from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Literal, NamedTuple, SupportsIndex, TypeVar, overload

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _result_tables, _scalars
from vecrecall.arrays._padded_lists import check_padded
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ranked_list import (
    GroupList,
    MergedList,
    RankedList,
    same,
    taken,
)
from vecrecall.arrays._typing import F32, I64, Array

L = TypeVar("L", bound=RankedList)
R = TypeVar("R", bound="RankedResult[Any]")

Pairs = list[list[tuple[int, float]]]


class RankedResult(Generic[L]):
    """Ranked lists of many queries: what `SearchResult` and its siblings have in common."""

    __slots__ = ("counts", "ids", "metric", "scores", "stats")
    __hash__ = None  # type: ignore[assignment]

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    metric: str | None
    stats: Any

    # The constructor's first arguments in order, all of them with one row per query.
    _FIELDS: ClassVar[tuple[str, ...]] = ("ids", "scores", "counts")
    _LIST: ClassVar[type[RankedList]] = RankedList
    _ROWS: ClassVar[tuple[str, str]] = ("query", "queries")
    # Why scores may be of no metric, for messages.
    _NO_METRIC: ClassVar[str] = "scores have a bias or are of shards with several metrics"

    def to_list(self) -> Pairs:
        """Return one list of ``(id, score)`` pairs per query, in Python numbers.

        Returns
        -------
        list of list of (int, float)
            Best first, without padding.
        """
        valid, fields = self._checked()
        return _pairs(valid.sum(axis=1), fields["ids"][valid], fields["scores"][valid])

    def to_arrow(self) -> Any:
        """Return a table with one row per item that was found.

        Returns
        -------
        pyarrow.Table
            Columns ``query`` (the row of the result), ``rank`` (from 1), ``id`` and ``score``, and
            those of the further fields that have a value per item; a value per channel too is a
            list of fixed size. polars takes it by ``pl.from_arrow``.

        Raises
        ------
        ImportError
            If pyarrow is not installed; the extra ``arrow`` brings it.
        """
        return _result_tables.arrow_table(self._columns())

    def to_pandas(self) -> Any:
        """Return a long data frame with one row per item that was found.

        Returns
        -------
        pandas.DataFrame
            The columns of `to_arrow`; a value per channel too is an array.

        Raises
        ------
        ImportError
            If pandas is not installed; the extra ``pandas`` brings it.
        """
        return _result_tables.pandas_frame(self._columns())

    def distances(self, *, squared: bool = False) -> F32:
        """Return the Euclidean distances of a search under the metric ``"l2"``.

        Parameters
        ----------
        squared : bool
            Return squared distances, as FAISS, hnswlib and usearch do; by default they are those of
            scikit-learn and SciPy.

        Returns
        -------
        ndarray of float32, shape (nq, k)
            Never negative, ascending in a row; inf after the list's end.

        Raises
        ------
        ValueError
            If scores are not of this metric, or it is not known, or there was a bias in them.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.array([[0, 0], [3, 4]], np.float32), metric="l2")
        >>> found = index.search(np.array([[0, 0]], np.float32), 3)
        >>> found.scores.tolist(), found.distances().tolist()
        ([[0.0, -25.0, -inf]], [[0.0, 5.0, inf]])
        """
        squared = _scalars.check_bool(squared, "squared")
        if self.metric != "l2":
            raise ValueError(
                f"distances: expected a result of metric 'l2', got {self._other_metric()}"
            )
        valid, fields = self._checked()
        with _core.FpEnvironment():
            # Of another library, a score may be above 0 by rounding.
            found: F32 = np.maximum(0 - fields["scores"], 0)
            found = found if squared else np.sqrt(found)
        found[~valid] = np.inf
        return found

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, query: SupportsIndex) -> L: ...

    @overload
    def __getitem__(self: R, query: slice) -> R: ...

    def __getitem__(self: R, query: SupportsIndex | slice) -> Any:
        if isinstance(query, slice):
            kind: Any = type(self)
            fields = (taken(getattr(self, name), query) for name in self._FIELDS)
            return kind(*fields, self.metric)
        i = _scalars.check_place(query, len(self), "query", " or a slice")
        row = slice(i, i + 1)  # checked alone: the others may be many
        checked = check_padded(self.ids[row], self.scores[row], self.counts[row], "result")
        return self._list(i, *(part[0] for part in checked))

    def __iter__(self) -> Iterator[L]:
        checked = check_padded(self.ids, self.scores, self.counts, "result")
        return (self._list(i, *row) for i, row in enumerate(zip(*checked, strict=True)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, name), getattr(other, name)) for name in self._FIELDS)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (getattr(self, name) for name in self._FIELDS)
        return type(self), (*fields, self.metric, self.stats)

    def __repr__(self) -> str:
        shape = np.shape(self.ids)
        k = shape[1] if len(shape) > 1 else "?"
        return f"{type(self).__name__}({_scalars.counted(len(self), *self._ROWS)}, k={k})"

    def _list(self, i: int, ids: I64, scores: F32, count: int) -> L:
        """Make the list of query `i` of its checked row."""
        held: Any = slice(int(count))
        if count and ids[held].min() < 0:  # only where a caller has made it
            held = np.flatnonzero(ids[held] >= 0)
        kind = self._LIST
        more = (taken(getattr(self, name), (i, held)) for name in kind._ENTRY_FIELDS[2:])
        own = (taken(getattr(self, name), i) for name in kind._QUERY_FIELDS)
        return kind(ids[held], scores[held], *more, *own)  # type: ignore[return-value]

    def _checked(self) -> tuple[npt.NDArray[np.bool_], dict[str, Array]]:
        """Tell which places hold an item, and give what has a value per place."""
        ids, scores, counts = check_padded(self.ids, self.scores, self.counts, "result")
        valid = (np.arange(ids.shape[1]) < counts[:, None]) & (ids >= 0)
        fields: dict[str, Array] = {"ids": ids, "scores": scores}
        for name in self._LIST._ENTRY_FIELDS[2:]:
            if getattr(self, name) is not None:
                fields[name] = np.asarray(getattr(self, name))
        return valid, fields

    def _columns(self) -> dict[str, Array]:
        valid, fields = self._checked()
        entries = {name: values[valid] for name, values in fields.items()}
        return _result_tables.columns(valid.sum(axis=1), entries)

    def _other_metric(self) -> str:
        if self.metric is not None:
            return f"one of {self.metric!r}"
        name = type(self).__name__
        return f"one of none: {self._NO_METRIC}, or {name}(...) was made without metric='l2'"


class SearchResult(RankedResult[RankedList]):
    """Ranked lists, one per query: score descending, then id ascending.

    ``len(result)`` is the number of queries. ``result[i]`` is one query's list without padding, as
    is what iteration gives; ``result[a:b]`` is the result of some of the queries, without `stats`.
    Two results are equal if their arrays are. The constructor keeps the arrays as they are; what
    reads them checks them.

    Attributes
    ----------
    ids : ndarray of int64, shape (nq, k)
        Item ids; -1 after the list's end.
    scores : ndarray of float32, shape (nq, k)
        Scores, larger is better; -inf after the list's end.
    counts : ndarray of int32, shape (nq,)
        How many entries of each row are real.
    metric : str, optional
        That of the scores; None if it is not known, or if they have a bias.
    stats : SearchStats, optional
        What the search did, where it was asked with ``stats=True``.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), ids=[10, 20, 30])
    >>> result = index.search(np.array([[2, 1], [0, 3]], np.float32), k=2)
    >>> result, len(result), result.to_list()
    (SearchResult(2 queries, k=2), 2, [[(30, 3.0), (10, 2.0)], [(20, 3.0), (30, 3.0)]])
    >>> for one in result:
    ...     print(one.ids, one.scores)
    [30 10] [3. 2.]
    [20 30] [3. 3.]
    """

    __slots__ = ()

    stats: "SearchStats | None"

    def __init__(
        self,
        ids: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        counts: npt.NDArray[np.int32],
        metric: str | None = None,
        stats: "SearchStats | None" = None,
    ) -> None:
        self.ids = ids
        self.scores = scores
        self.counts = counts
        self.metric = metric
        self.stats = stats


class AboveResult(NamedTuple):
    """Ranked lists of different lengths, one per query: score descending, then id ascending.

    A pair of `Ragged`, and as such also a channel of `merge`.

    Attributes
    ----------
    ids : Ragged of int64, nq rows
    scores : Ragged of float32, nq rows
        Larger is better.
    """

    ids: Ragged
    scores: Ragged

    def to_list(self) -> Pairs:
        """Return one list of ``(id, score)`` pairs per query, as `SearchResult.to_list`."""
        return _pairs(self.ids.lengths, self.ids.values, self.scores.values)

    def to_arrow(self) -> Any:
        """Return a table with one row per item, as `SearchResult.to_arrow`."""
        return _result_tables.arrow_table(self._columns())

    def to_pandas(self) -> Any:
        """Return a long data frame with one row per item, as `SearchResult.to_pandas`."""
        return _result_tables.pandas_frame(self._columns())

    def __repr__(self) -> str:
        rows = _scalars.counted(len(self.ids), "query", "queries")
        return f"AboveResult({rows}, {_scalars.counted(self.ids.values.size, 'item')})"

    def _columns(self) -> dict[str, Array]:
        entries = {"ids": self.ids.values, "scores": self.scores.values}
        return _result_tables.columns(self.ids.lengths, entries)


class GroupResult(RankedResult[GroupList]):
    """Ranked lists, one per group of rows, each item once; used as a `SearchResult`.

    Attributes
    ----------
    ids, scores, counts
        As in `SearchResult`, one row per group.
    n_rows : ndarray of int32, shape (n_groups, k)
        How many of the group's rows held the item; 0 after the list's end.
    best_row : ndarray of int64, shape (n_groups, k)
        The row of the merged result with the item's largest score, the lowest such row on a tie;
        -1 after the list's end.
    metric : str, optional
        That of the scores, where they are the largest of the rows.
    """

    __slots__ = ("best_row", "n_rows")

    n_rows: npt.NDArray[np.int32]
    best_row: npt.NDArray[np.int64]
    stats: None

    _FIELDS = ("ids", "scores", "counts", "n_rows", "best_row")
    _LIST = GroupList
    _ROWS = ("group", "groups")
    _NO_METRIC = "scores are sums, have a bias or are of shards with several metrics"

    def __init__(
        self,
        ids: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        counts: npt.NDArray[np.int32],
        n_rows: npt.NDArray[np.int32],
        best_row: npt.NDArray[np.int64],
        metric: str | None = None,
        stats: None = None,
    ) -> None:
        self.ids = ids
        self.scores = scores
        self.counts = counts
        self.n_rows = n_rows
        self.best_row = best_row
        self.metric = metric
        self.stats = stats


class MergeResult(RankedResult[MergedList]):
    """Ranked lists merged from several channels, one per query, each item once.

    Used as a `SearchResult`.

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
    metric : None
        A merged score is of no metric.
    stats : RecallStats, optional
        What the channels did, where `Recaller.recall` was asked with ``stats=True``, or some may be
        missing.
    """

    __slots__ = ("channel_scores", "channels", "ranks", "unfilled")

    channels: npt.NDArray[np.uint64]
    ranks: npt.NDArray[np.int32] | None
    channel_scores: npt.NDArray[np.float32] | None
    unfilled: npt.NDArray[np.int32]
    metric: None
    stats: "RecallStats | None"

    _FIELDS = ("ids", "scores", "counts", "channels", "ranks", "channel_scores", "unfilled")
    _LIST = MergedList

    def __init__(
        self,
        ids: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        counts: npt.NDArray[np.int32],
        channels: npt.NDArray[np.uint64],
        ranks: npt.NDArray[np.int32] | None,
        channel_scores: npt.NDArray[np.float32] | None,
        unfilled: npt.NDArray[np.int32],
        metric: None = None,
        stats: "RecallStats | None" = None,
    ) -> None:
        self.ids = ids
        self.scores = scores
        self.counts = counts
        self.channels = channels
        self.ranks = ranks
        self.channel_scores = channel_scores
        self.unfilled = unfilled
        self.metric = metric
        self.stats = stats

    def _other_metric(self) -> str:
        return "a MergeResult, whose scores are no distances"


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
    lists_probed : int
        Lists of an `IVFIndex` that were looked at; 0 where there are none.
    queries_widened : int
        Queries that looked at more lists than the default, which held too few items for them.
    """

    items_scanned: int
    rows_reranked: int
    precision: str
    lists_probed: int = 0
    queries_widened: int = 0


MissingReason = Literal["error", "late", "queued", "stuck", "open"]


class RecallStats(NamedTuple):
    """Statistics of each channel of a recall, by its name.

    Attributes
    ----------
    seconds : dict of str to float
        How long the channel took, or had taken when it was given up; 0 if it was not asked.
    counts : dict of str to ndarray of int32, shape (nq,)
        How many items it gave each user.
    errors : dict of str to BaseException
        What it raised; only channels that were left out.
    merge_seconds : float
        How long the merge took.
    missing : dict of str to str
        Channels that are not in the result, and why, in one word: ``"error"``, it raised or gave no
        valid result; ``"late"``, it had not ended by its deadline; ``"queued"``, it had not begun
        by then, since no worker was free; ``"stuck"``, it was not asked, since all of its calls
        that may be late are and do not end; ``"open"``, it was not asked, since its circuit breaker
        is open. Empty where the result is complete.
    """

    seconds: dict[str, float]
    counts: dict[str, npt.NDArray[np.int32]]
    errors: dict[str, BaseException]
    merge_seconds: float
    missing: dict[str, MissingReason]


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
    put_lists(full, places, found)
    full.metric, full.stats = found.metric, found.stats
    return full


def put_lists(full: SearchResult, places: npt.NDArray[Any], found: SearchResult) -> None:
    """Replace the lists in some places by others of the same width."""
    full.ids[places], full.scores[places] = found.ids, found.scores
    full.counts[places] = found.counts


def _pairs(lengths: Array, ids: I64, scores: F32) -> Pairs:
    """Split the pairs of all lists, which lie one after the other."""
    pairs = list(zip(ids.tolist(), scores.tolist(), strict=True))
    ends = np.cumsum(lengths).tolist()
    return [pairs[a:b] for a, b in zip([0, *ends], ends, strict=False)]
