"""Exact nearest items by inner product, cosine or squared Euclidean distance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from vecrecall import _coerce, _core
from vecrecall._lists import spread
from vecrecall._rows import take_rows
from vecrecall.masks import Mask, allowed, mask
from vecrecall.neighbors import Neighbors, Progress, self_join
from vecrecall.ragged import Ragged, RaggedLike
from vecrecall.results import SearchResult, SearchStats

Metric = Literal["ip", "cosine", "l2"]
Invalid = Literal["raise", "empty"]
Allow = Mask | Sequence[Mask] | npt.ArrayLike

METRICS = {"ip": _core.Metric.ip, "cosine": _core.Metric.cosine, "l2": _core.Metric.l2}
INVALID = {"raise": False, "empty": True}


class FlatIndex:
    """An exact index: every search looks at every item, and proves what it leaves out.

    A scan in reduced precision bounds every score; only items that the bound cannot exclude are
    scored in float64. The answer is the exact one, with the same bits on every instruction set,
    thread count and batch.

    Parameters
    ----------
    vectors : array_like of float, shape (n, d)
        The items. float32 C-contiguous arrays are used as they are, others are converted once.
    ids : array_like of int, shape (n,), optional
        Unique ids >= 0; default ``arange(n)``.
    metric : {"ip", "cosine", "l2"}
        Inner product, cosine, or minus the squared Euclidean distance. Larger is better.
    bias : array_like of float, shape (n,), optional
        Added to each item's score in float64, before the one rounding to float32.
    copy : bool
        False borrows `vectors` where it needs no conversion; it must then not change. With True
        rows whose lengths differ much are kept by length, which makes searches several times
        faster; results and `ids` do not show it.
    invalid : {"raise", "empty"}
        What to do with items that have NaN or infinity (in the row or the bias), or that are zero
        under cosine: raise, or leave them out and list their ids in `skipped`.
    threads : int, optional
        Threads for the build; default `get_num_threads`.

    Attributes
    ----------
    skipped : ndarray of int64
        Ids of the items that were left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; the message names it and the first offending row.

    Notes
    -----
    The scan is an upper-bound filter in the tradition of the VA-file (Weber, Schek and Blott,
    1998) and FEXIPRO (Li, Chan, Yiu and Mamoulis, 2017), with bounds derived for floating point.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), ids=[10, 20, 30])
    >>> r = index.search(np.array([[2, 1]], np.float32), k=2)
    >>> r.ids.tolist(), r.scores.tolist(), r.counts.tolist()
    ([[30, 10]], [[3.0, 2.0]], [2])
    """

    def __init__(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        metric: Metric = "ip",
        bias: npt.ArrayLike | None = None,
        copy: bool = True,
        invalid: Invalid = "raise",
        threads: int | None = None,
    ) -> None:
        code = _coerce.choice(metric, "metric", METRICS)
        leave_out = _coerce.choice(invalid, "invalid", INVALID)
        copy = _coerce.flag(copy, "copy")
        n_threads = _coerce.threads(threads)
        rows = _coerce.matrix(vectors, "vectors")
        numbers = None if ids is None else _coerce.ids(ids, "ids", len(rows))
        extra = None if bias is None else _coerce.float_vector(bias, "bias", len(rows))
        self._metric: Metric = metric
        self.skipped: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._has_bias = extra is not None
        usable = _usable(rows, extra, metric, leave_out)
        if usable is not None:
            numbers = np.arange(len(rows)) if numbers is None else numbers
            _core.check_ids(numbers)  # of all items, also those that are left out
            self.skipped = numbers[~usable]
            rows, numbers = rows[usable], numbers[usable]
            extra = None if extra is None else extra[usable]
        self._core = _core.FlatIndex(rows, numbers, code, extra, copy, True, n_threads)

    @overload
    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = ...,
        allow: Allow | None = ...,
        min_score: float | None = ...,
        invalid: Invalid = ...,
        stats: Literal[False] = ...,
        threads: int | None = ...,
    ) -> SearchResult: ...

    @overload
    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = ...,
        allow: Allow | None = ...,
        min_score: float | None = ...,
        invalid: Invalid = ...,
        stats: Literal[True],
        threads: int | None = ...,
    ) -> tuple[SearchResult, SearchStats]: ...

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
    ) -> SearchResult | tuple[SearchResult, SearchStats]:
        """Find the `k` best items of every query.

        Parameters
        ----------
        queries : array_like of float, shape (nq, d)
            A zero query under cosine has no direction: its list is empty.
        k : int
            List length, >= 1; it may exceed the number of items.
        exclude : ragged of int, nq rows, optional
            Ids that a query must not get (already seen, the item itself). Unknown ids are ignored.
            The lists stay full.
        allow : array_like of int, Mask or sequence of nq Masks, optional
            The only ids that may be returned. Unknown ids are ignored.
        min_score : float, optional
            Keep items with ``score >= min_score``, the float32 score compared as float64.
        invalid : {"raise", "empty"}
            What to do with a query that has NaN or infinity: raise, or give it an empty list.
        stats : bool
            Return `SearchStats` beside the result.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        SearchResult
            Score descending, then id ascending; padded with id -1 and score -inf. With
            ``stats=True`` the pair ``(SearchResult, SearchStats)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> index.search(np.array([[3, 2, 1]], np.float32), 2, exclude=[[0]]).ids.tolist()
        [[1, 2]]
        """
        q = _coerce.matrix(queries, "queries", self.dim)
        k = _coerce.list_length(k, len(q))
        leave_empty = _coerce.choice(invalid, "invalid", INVALID)
        stats = _coerce.flag(stats, "stats")
        n_threads = _coerce.threads(threads)
        floor = -np.inf if min_score is None else _coerce.real(min_score, "min_score")
        seen = None if exclude is None else _coerce.ragged(exclude, "exclude", len(q))
        bits = None if allow is None else allowed(self, allow, len(q))
        valid = valid_queries(q, leave_empty)
        if valid is not None:
            q, seen, bits = _only(valid, q, seen, bits)
        pair = None if seen is None else (seen.values, seen.offsets)
        ids, scores, counts, numbers = self._core.search(q, k, pair, bits, floor, n_threads)
        result = SearchResult(ids, scores, counts)
        if valid is not None:
            result = spread(result, valid, len(valid))
        return (result, SearchStats(*numbers)) if stats else result

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query, with the same bits as `search`.

        Parameters
        ----------
        queries : array_like of float, shape (nq, d)
        candidates : ragged of int, nq rows
            Item ids.
        threads : int, optional

        Returns
        -------
        Ragged of float32
            One score a candidate; -inf for an unknown id, and for a zero query under cosine.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> index.score(np.array([[3, 2, 1]], np.float32), [[2, 9]])[0].tolist()
        [1.0, -inf]
        """
        q = _coerce.vectors(queries, "queries", self.dim)
        wanted = _coerce.ragged(candidates, "candidates", len(q))
        scores = self._core.score(q, wanted.values, wanted.offsets, _coerce.threads(threads))
        return Ragged(scores, wanted.offsets)

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item.

        Parameters
        ----------
        k : int
            Longest list, >= 1.
        min_score : float, optional
            Keep items with ``score >= min_score``, for example 0.6 under cosine.
        progress : callable, optional
            Called as ``progress(done, total)`` with numbers of items after every block of them.
            What it raises ends the work.
        path : str or Path, optional
            A folder that keeps the table: `.npy` arrays and a JSON manifest. A run that was
            interrupted goes on after its last block; a complete table is only opened. The arrays
            are then mapped into memory, so they may exceed it. `NeighborTable.load` reads it.

        Returns
        -------
        Neighbors
            ``(ids, scores)``, each `Ragged` with one row an item in the order of `ids`: score
            descending, then id ascending, without the item itself.

        Raises
        ------
        ValueError
            If the folder holds a table of another index or other arguments, or other files.

        Notes
        -----
        Blocks of thousands of items are searched at once: beside the result, little memory is
        in use. Under ip and l2 the score is of the item's own vector as the query.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.array([[0], [1], [3]], np.float32), metric="l2")
        >>> ids, scores = index.neighbors(1)
        >>> ids.values.tolist(), scores.values.tolist()
        ([1, 0, 1], [-1.0, -1.0, -4.0])
        """
        return self_join(self, k, min_score, progress, path)

    def mask(self, ids: npt.ArrayLike) -> Mask:
        """Make a set of ids to pass as ``allow``; worth it when used more than once.

        Parameters
        ----------
        ids : array_like of int
            Unknown ids are ignored.

        Returns
        -------
        Mask
        """
        return mask(self, ids)

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Copy out the rows of given ids.

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
        wanted = _coerce.integers(ids, "ids")
        rows = self._core.find(wanted)
        unknown = np.flatnonzero(rows < 0)
        if unknown.size:
            raise KeyError(f"ids: expected ids of the index, got {wanted[unknown[0]]}")
        return self._core.rows(rows)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The items' ids, in the order they were given, shape (n,)."""
        return self._core.ids()

    @property
    def dim(self) -> int:
        """The vectors' width."""
        return self._core.dim

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self._metric

    def __len__(self) -> int:
        return len(self._core)

    def __contains__(self, id: object) -> bool:
        return _coerce.is_id(id) and bool(self._core.find(np.array([id], np.int64))[0] >= 0)

    def __repr__(self) -> str:
        return f"FlatIndex({len(self)} items, dim {self.dim}, metric {self.metric!r})"

    def _searched_by(self) -> str:
        return ""

    def _mask_owner(self) -> "FlatIndex":
        return self

    def _allow(self, ids: npt.NDArray[np.int64], complement: bool) -> npt.NDArray[np.uint64]:
        """Turn a set of ids, or all others, into a bit a row."""
        return self._core.rows_of(ids, complement)


def topk(
    queries: npt.ArrayLike,
    items: npt.ArrayLike,
    k: int,
    *,
    metric: Metric = "ip",
    threads: int | None = None,
) -> SearchResult:
    """Find the `k` best items of every query without keeping an index.

    Parameters
    ----------
    queries : array_like of float, shape (nq, d)
    items : array_like of float, shape (n, d)
        Item ids are row numbers.
    k : int
        List length, >= 1.
    metric : {"ip", "cosine", "l2"}
    threads : int, optional

    Returns
    -------
    SearchResult
        The same bits as ``FlatIndex(items, metric=metric).search(queries, k)``.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> vr.topk(np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32), 1).ids.tolist()
    [[0]]
    """
    code = _coerce.choice(metric, "metric", METRICS)
    x = _coerce.matrix(items, "items")
    _usable(x, None, metric, False, "items")
    q = _coerce.vectors(queries, "queries", x.shape[1])
    k = _coerce.list_length(k, len(q))
    return SearchResult(*_core.topk(q, x, code, k, _coerce.threads(threads)))


def _usable(
    rows: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float64] | None,
    metric: Metric,
    leave_out: bool,
    name: str = "vectors",
) -> npt.NDArray[np.bool_] | None:
    """Say which items can be scored, None for all; without `leave_out` others are an error."""
    bad_row = _core.first_nonfinite_row(rows)
    if bad_row >= 0 and not leave_out:
        raise ValueError(f"{name}: expected finite values, got NaN or infinity in row {bad_row}")
    zero = _core.zero_rows(rows).astype(bool) if metric == "cosine" else np.zeros(0, bool)
    if zero.any() and not leave_out:
        raise ValueError(
            f"{name}: expected rows with a direction (metric 'cosine'), "
            f"got zeros in row {np.flatnonzero(zero)[0]}"
        )
    bad_bias = np.zeros(0, bool) if bias is None else ~np.isfinite(bias)
    if bad_bias.any() and not leave_out:
        row = np.flatnonzero(bad_bias)[0]
        raise ValueError(f"bias: expected finite values, got NaN or infinity in row {row}")
    if bad_row < 0 and not zero.any() and not bad_bias.any():
        return None
    usable = _core.finite_rows(rows).astype(bool)
    for bad in (zero, bad_bias):
        if bad.size:
            usable &= ~bad
    return usable


def valid_queries(q: npt.NDArray[np.float32], leave_empty: bool) -> npt.NDArray[np.bool_] | None:
    """Say which queries are finite, None for all."""
    row = _core.first_nonfinite_row(q)
    if row < 0:
        return None
    if not leave_empty:
        raise ValueError(f"queries: expected finite values, got NaN or infinity in row {row}")
    return _core.finite_rows(q).astype(bool)


def _only(
    valid: npt.NDArray[np.bool_],
    q: npt.NDArray[np.float32],
    seen: Ragged | None,
    bits: list[npt.NDArray[np.uint64]] | None,
) -> tuple[npt.NDArray[np.float32], Ragged | None, list[npt.NDArray[np.uint64]] | None]:
    """Keep the valid queries, with what belongs to them."""
    rows = np.flatnonzero(valid)
    if seen is not None:
        seen = take_rows(seen, rows)
    if bits is not None and len(bits) > 1:
        bits = [bits[i] for i in rows]
    return q[valid], seen, bits
