"""Exact nearest items by inner product, cosine or squared Euclidean distance."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of, take_rows
from vecrecall.arrays._results import AboveResult, SearchResult, SearchStats, scatter
from vecrecall.arrays._row_types import (
    STORED,
    Rounding,
    RowType,
    check_row_type,
    check_rows,
)
from vecrecall.search._masks import Mask, allowed, mask
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import (
    Allow,
    Ids,
    Invalid,
    Metric,
    Neighbors,
    Progress,
)
from vecrecall.search._vocabulary import PART, Vocabulary
from vecrecall.storage import _array_folder, _pickled

InvalidItems = Literal["raise", "skip"]
Missing = Literal["raise", "ignore"]

METRICS = {"ip": _core.Metric.ip, "cosine": _core.Metric.cosine, "l2": _core.Metric.l2}
INVALID = {"raise": False, "empty": True}
_INVALID_ITEMS = {"raise": False, "skip": True}
_MISSING = {"raise": False, "ignore": True}
DEFAULT_PROBES = 0  # of the core
# Attributes that a pickle has in another form, or not at all.
_NOT_PICKLED = frozenset(
    ("_metric", "skipped", "_core", "_held", "_known", "_lent", "_owner", "_origin")
)
# Arrays that a saved index may have; the C++ loader (`cpp/src/storage`) has the same list.
_PARTS = frozenset(
    (
        *("rows", "center", "block_bounds", "ids", "bias", "order", "row_terms", "along"),
        *("codes", "code_bounds"),
    )
)


_Index = TypeVar("_Index", bound="FlatIndex")


class _Items(NamedTuple):
    """Items that were checked, as the core takes them."""

    rows: npt.NDArray[Any]
    ids: npt.NDArray[np.int64] | None
    metric: _core.Metric
    bias: npt.NDArray[np.float64] | None


class Origin(NamedTuple):
    """The source of an index that was loaded."""

    path: Path
    saved: str  # a word for what was saved there
    version: int  # of the items, until an update


class _Known(NamedTuple):
    """The arrays of a moment."""

    version: int
    arrays: dict[str, npt.NDArray[Any]]


class FlatIndex:
    """An exact index: every search looks at every item, and proves what it leaves out.

    A scan in reduced precision bounds every score; only items that the bound cannot exclude are
    scored in float64. The answer is the exact one, with the same bits on every instruction set,
    thread count and batch.

    `add`, `update`, `remove` and `compact` change the index while other threads search: each read
    sees the items of one moment and waits for no update, updates wait for each other. Results
    are those of an index that was built with the same items. A process may be forked meanwhile: an
    update in progress is then not in the child.

    An index can be pickled and copied; the notes say what the copies share.

    Parameters
    ----------
    vectors : array_like of real numbers, shape (n, d)
        The items. float32, float16 and bfloat16 (of ``ml_dtypes``, or a tensor) are copied without
        conversion (borrowed with ``copy=False``); other dtypes are converted once: integers,
        booleans and wider floats are rounded to float32, narrower ones widened. Tensors in the
        memory of this machine and columns of data frames are arrays here.
    ids : array_like of int, shape (n,), optional
        Unique ids >= 0; default ``arange(n)``.
    metric : {"ip", "cosine", "l2"}
        Inner product, cosine, or minus the squared Euclidean distance. Larger is better.
    bias : array_like of float, shape (n,), optional
        Added to each item's score in float64, before the one rounding to float32.
    copy : bool
        False borrows `vectors` that are of the index's `dtype`, C-contiguous and aligned, which
        must then not change; any other array is converted, which is a copy. They stay borrowed
        through updates, until a quarter of all rows is gone, as many items as the index was built
        with are new, or `compact` is called: then what is left is copied. With True rows whose
        lengths differ much are kept by length, which makes searches several times faster; results
        and `ids` do not show it.
    invalid : {"raise", "skip"}
        What to do with items that have NaN or infinity (in the row or the bias), or that are zero
        under cosine: raise, or leave them out and list their ids in `skipped`.
    dtype : {"float32", "float16", "bfloat16"}, optional
        The type to keep the rows in: by default that of `vectors` in half precision, else float32.
        Narrower than `vectors` are, each value is rounded to the nearest, ties to even; `rounding`
        says what was lost. Types of NumPy and of ``ml_dtypes`` are names here too.
    threads : int, optional
        Threads for the build; default `get_num_threads`.

    Attributes
    ----------
    skipped : ndarray of int64
        Ids of the items that were left out when the index was built.
    rounding : Rounding or None
        What the rows lost when the index was built: ``(max_relative_error, mean_relative_error)``.
        None where none were rounded to half precision, and of a loaded index.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; the message names it and the first offending row. A
        finite value that overflows `dtype` is an error, whatever `invalid` says.

    Notes
    -----
    An index in half precision is the index of these rows, widened to float32, which is exact: the
    same scores, order and bits for every metric, filter and update, in 3 bytes per value instead of
    5. Queries are float32. Vectors that `add` and `update` take are rounded as `dtype` says.

    The scan is an upper-bound filter in the tradition of the VA-file (Weber, Schek and Blott,
    1998) and FEXIPRO (Li, Chan, Yiu and Mamoulis, 2017), with bounds derived for floating point.

    A pickle holds the index of one moment, as `save` writes it. With protocol 5 the arrays can go
    out of band: the unpickled index uses the buffers it is given without copying them (a file that
    joblib maps, the object store of Ray or Dask, shared memory), and they must not change. Its
    updates are kept in memory, as with ``copy=False``. Unpickled arrays are checked as `load`
    checks files. An index with updates is rebuilt for each pickle, as by `compact`: call that first
    if it is sent more than once. Both ends need the same version of the library; use `save` to keep
    an index.

    ``copy.copy`` returns an index with updates of its own that shares the arrays.
    ``copy.deepcopy`` shares only arrays that no one else can change, and copies the others (those
    of ``copy=False`` and of an unpickled index).

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), ids=[10, 20, 30])
    >>> r = index.search(np.array([[2, 1]], np.float32), k=2)
    >>> r.ids.tolist(), r.scores.tolist(), r.counts.tolist()
    ([[30, 10]], [[3.0, 2.0]], [2])
    """

    _kind: ClassVar[str] = "FlatIndex"
    _parts: ClassVar[frozenset[str]] = _PARTS
    _core_type: ClassVar[type[_core.FlatIndex]] = _core.FlatIndex
    _owner: object | None = None  # for whom masks are made, where that is not the index itself
    _vocabulary: Vocabulary | None = None
    _origin: Origin | None = None

    def __init__(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        metric: Metric = "ip",
        bias: npt.ArrayLike | None = None,
        copy: bool = True,
        invalid: InvalidItems = "raise",
        dtype: RowType | npt.DTypeLike | None = None,
        threads: int | None = None,
    ) -> None:
        copy = _scalars.check_bool(copy, "copy")
        n_threads = _scalars.check_threads(threads)
        items = self._checked_items(vectors, ids, metric, bias, invalid, dtype)
        self._begin(_core.FlatIndex(*items, copy, True, n_threads), lent=not copy)

    def _checked_items(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None,
        metric: Metric,
        bias: npt.ArrayLike | None,
        invalid: InvalidItems,
        dtype: RowType | npt.DTypeLike | None,
    ) -> _Items:
        """Check what an index is built of, and set what is left out and what was lost."""
        code = _scalars.check_choice(metric, "metric", METRICS)
        leave_out = _scalars.check_choice(invalid, "invalid", _INVALID_ITEMS)
        rows, rounding = check_rows(vectors, "vectors", dtype=check_row_type(dtype, "dtype"))
        numbers = None if ids is None else _ids.check_ids(ids, "ids", len(rows))
        extra = None if bias is None else _validation.check_float_vector(bias, "bias", len(rows))
        self._metric: Metric = metric
        self.rounding: Rounding | None = rounding
        self.skipped: npt.NDArray[np.int64] = np.empty(0, np.int64)
        usable = usable_rows(rows, extra, metric, leave_out)
        if usable is not None:
            numbers = np.arange(len(rows)) if numbers is None else numbers
            _core.check_ids(numbers)  # of all items, also those that are left out
            self.skipped = numbers[~usable]
            rows, numbers = rows[usable], numbers[usable]
            extra = None if extra is None else extra[usable]
        return _Items(rows, numbers, code, extra)

    def _begin(self, core: _core.FlatIndex, *, lent: bool) -> None:
        self._core = core
        self._held: _core.Snapshot | None = None  # of a frozen copy
        self._known: _Known | None = None  # see `_arrays`
        self._lent = lent  # the caller has the arrays too, and might change them

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
        queries : array_like of real numbers, shape (nq, d), or (d,) for one
            A zero query under cosine has no direction: its list is empty.
        k : int
            List length, >= 1; it may exceed the number of items.
        exclude : ragged of int, nq rows, optional
            Ids that a query must not get (already seen, the item itself). Unknown ids are ignored.
            The lists stay full. Rows may be sets.
        allow : array_like or set of int, Mask or sequence of nq Masks, optional
            The only ids that may be returned. Unknown ids are ignored.
        min_score : float, optional
            Keep items with ``score >= min_score``, the float32 score compared as float64.
        invalid : {"raise", "empty"}
            What to do with a query that has NaN or infinity: raise, or give it an empty list.
        stats : bool
            Give the result `SearchStats` as its ``stats``.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        SearchResult
            Score descending, then id ascending; padded with id -1 and score -inf.

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
        return self._search(
            queries, k, exclude, allow, min_score, invalid, stats, threads, DEFAULT_PROBES
        )

    def _search(
        self,
        queries: npt.ArrayLike,
        k: int,
        exclude: RaggedLike | None,
        allow: Allow | None,
        min_score: float | None,
        invalid: Invalid,
        stats: bool,
        threads: int | None,
        probes: int,
    ) -> SearchResult:
        q = _validation.check_query_matrix(queries, "queries", self.dim)
        k = _scalars.check_list_length(k, len(q))
        leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
        stats = _scalars.check_bool(stats, "stats")
        n_threads = _scalars.check_threads(threads)
        floor = -np.inf if min_score is None else _scalars.check_float(min_score, "min_score")
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", len(q))
        bits = None if allow is None else allowed(self, allow, len(q))
        valid = valid_queries(q, leave_empty)
        if valid is not None:
            q, seen, bits = _only(valid, q, seen, bits)
        pair = None if seen is None else (seen.values, seen.offsets)
        ids, scores, counts, numbers, biased = self._now().search(
            q, k, pair, bits, floor, probes, n_threads
        )
        metric = None if biased else self._metric
        done = SearchStats(*numbers) if stats else None
        result = SearchResult(ids, scores, counts, metric, done)
        return result if valid is None else scatter(result, valid, len(valid))

    def search_above(
        self,
        queries: npt.ArrayLike,
        min_score: float | npt.ArrayLike,
        *,
        limit: int | None = None,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        invalid: Invalid = "raise",
        threads: int | None = None,
    ) -> AboveResult:
        """Find all items that reach a score, for every query (a range search).

        Parameters
        ----------
        queries : array_like of real numbers, shape (nq, d), or (d,) for one
            A zero query under cosine has no direction: its list is empty.
        min_score : float or array_like of float, shape (nq,)
            Find items with ``score >= min_score``, the float32 score compared as float64; one for
            all queries, or one per query; -inf finds every item. Scores of l2 are negative: items
            within the distance ``r`` have scores ``>= -(r * r)``.
        limit : int, optional
            The most items that a query may get, >= 1: its best. Default: no limit.
        exclude : ragged of int, nq rows, optional
            Ids that a query must not get, as of `search`.
        allow : array_like or set of int, Mask or sequence of nq Masks, optional
            The only ids that may be returned, as of `search`.
        invalid : {"raise", "empty"}
            What to do with a query that has NaN or infinity: raise, or give it an empty list.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        AboveResult
            ``(ids, scores)``, each `Ragged` with one row per query: score descending, then id
            ascending, with the same bits as `search`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        In addition to the result, memory is in use for the longest list and a few million entries
        at most, whatever the numbers of queries and items. Where that many lie above the score,
        some queries are searched twice.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.array([[0], [1], [3], [9]], np.float32), metric="l2")
        >>> found = index.search_above(np.array([[2], [20]], np.float32), -4.0)
        >>> [row.tolist() for row in found.ids], [row.tolist() for row in found.scores]
        ([[1, 2, 0], []], [[-1.0, -1.0, -4.0], []])
        """
        q = _validation.check_query_matrix(queries, "queries", self.dim)
        nq = len(q)
        floors = _floors(min_score, nq)
        most = _ids.LARGEST_ID
        if limit is not None:
            most = min(_scalars.check_positive_int(limit, "limit"), most)
        leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
        n_threads = _scalars.check_threads(threads)
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", nq)
        bits = None if allow is None else allowed(self, allow, nq)
        valid = valid_queries(q, leave_empty)
        if valid is not None:
            floors = floors[valid]
            q, seen, bits = _only(valid, q, seen, bits)
        pair = None if seen is None else (seen.values, seen.offsets)
        ids, scores, offsets = self._now().search_above(q, floors, most, pair, bits, n_threads)
        if valid is not None:
            lengths = np.zeros(nq, np.int64)
            lengths[valid] = np.diff(offsets)
            offsets = offsets_of(lengths)
        offsets.flags.writeable = False
        return AboveResult(Ragged._of(ids, offsets), Ragged._of(scores, offsets))

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query, with the same bits as `search`.

        Parameters
        ----------
        queries : array_like of real numbers, shape (nq, d), or (d,) for one
        candidates : ragged of int, nq rows
            Item ids.
        threads : int, optional

        Returns
        -------
        Ragged of float32
            One score per candidate; -inf for an unknown id, and for a zero query under cosine.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> index.score(np.array([[3, 2, 1]], np.float32), [[2, 9]])[0].tolist()
        [1.0, -inf]
        """
        q = _validation.check_queries(queries, "queries", self.dim)
        wanted = _ragged_checks.check_ragged(candidates, "candidates", len(q))
        scores = self._now().score(
            q, wanted.values, wanted.offsets, _scalars.check_threads(threads)
        )
        return Ragged(scores, wanted.offsets)

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
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
            interrupted or killed goes on with the blocks that are there; a complete table is only
            opened; a second run waits for the first. The arrays are then mapped into memory, so
            they may exceed it. `NeighborTable.load` reads it.
        threads : int, optional

        Returns
        -------
        Neighbors
            ``(ids, scores)``, each `Ragged` with one row per item in the order of `ids`: score
            descending, then id ascending, without the item itself.

        Raises
        ------
        OSError
            If the folder cannot be made or written.
        ValueError
            If the folder holds a table of another index or other arguments, or other files.

        Notes
        -----
        Blocks of thousands of items are searched at once: apart from the result, little memory is
        in use. Items that are added or removed meanwhile make no difference. Under ip and l2 the
        score is of the item's own vector as the query.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.array([[0], [1], [3]], np.float32), metric="l2")
        >>> ids, scores = index.neighbors(1)
        >>> ids.values.tolist(), scores.values.tolist()
        ([1, 0, 1], [-1.0, -1.0, -4.0])
        """
        return self_join(self._frozen(), k, min_score, progress, path, threads)

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``; worth it when used more than once.

        Parameters
        ----------
        ids : array_like or set of int
            Unknown ids are ignored.

        Returns
        -------
        Mask
        """
        return mask(self, ids)

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Copy out the rows of given ids, in float32 whatever `dtype` is.

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
        places, rows = self._now().known_vectors(wanted)
        if len(places) < len(wanted):
            unknown = np.setdiff1d(np.arange(len(wanted)), places)[0]
            raise KeyError(f"ids: expected ids of the index, got {wanted[unknown]}")
        return rows

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the index has, all at one moment.

        Parameters
        ----------
        ids : array_like of int, shape (m,)
            May repeat; a negative one is unknown.

        Returns
        -------
        ndarray of bool, shape (m,)

        Raises
        ------
        TypeError, ValueError
            If the ids are not a row of integers.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(2, dtype=np.float32), ids=[5, 7])
        >>> index.contains([7, 6, 7]).tolist(), 5 in index
        ([True, False, True], True)
        """
        return self._now().contains(_ids.check_integers(ids, "ids"))

    @overload
    def add(
        self,
        vectors: npt.ArrayLike,
        ids: None = ...,
        *,
        bias: npt.ArrayLike | None = ...,
        threads: int | None = ...,
    ) -> npt.NDArray[np.int64]: ...

    @overload
    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        bias: npt.ArrayLike | None = ...,
        threads: int | None = ...,
    ) -> None: ...

    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        bias: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> npt.NDArray[np.int64] | None:
        """Add new items, all or none of them.

        Parameters
        ----------
        vectors : array_like of float, shape (m, d)
            Finite, and not zero under cosine. They are copied, and converted to the index's `dtype`
            where they are of another: rounded to the nearest, ties to even.
        ids : array_like of int, shape (m,), optional
            Unique ids >= 0 that the index does not have. By default those that follow the largest
            id of the items in the index and of those in `skipped`, from 0 in an empty index. The
            id of an item that was removed may be given again.
        bias : array_like of float, shape (m,), optional
            Default 0 for each, also where other items have a bias.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        ndarray of int64, shape (m,), or None
            The new ids, in the order of `vectors`, where none are given.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, an id is there already, or no ids follow the largest
            one since int64 ends; nothing is done then.

        Notes
        -----
        Ids are chosen when the items are added: calls of several threads get different ones.

        The work is that of the new rows, of a block of 2048, and of a few bits for every item. The
        index is rebuilt, in the time that building it takes, when a sixteenth of all rows is
        gone (a quarter if they are borrowed, a 32nd if they are kept by length) or as many items
        are new as it was made with. In the meantime both are in memory, and searches go on.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(2, dtype=np.float32))
        >>> index.add(np.array([[2, 2]], np.float32), [7])
        >>> index.add(np.array([[3, 3], [0, 1]], np.float32)).tolist()
        [8, 9]
        >>> index.search(np.ones((1, 2), np.float32), 2).ids.tolist()
        [[8, 7]]
        """
        n_threads = _scalars.check_threads(threads)
        if ids is None:
            rows = self._checked_rows(vectors)
            extra = self._checked_bias(rows, bias)
            after = int(self.skipped.max(initial=-1))
            first = self._core.append(rows, extra, after, n_threads)
            self._known = None
            return first + np.arange(len(rows))
        rows, numbers, extra = self._new_items(vectors, ids, bias)
        self._core.add(rows, numbers, extra, n_threads)
        self._known = None
        return None

    def update(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        bias: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> None:
        """Add items, and replace those whose ids are there: all or none of them.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
            As of `add`.
        ids : array_like of int, shape (n,)
            Unique ids >= 0, known or new.
        bias : array_like of float, shape (n,), optional
            As of `add`; that of known items is replaced too, by 0 if not given.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; nothing is done then.

        Notes
        -----
        No search finds an item twice, or misses it, because it is being replaced.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(2, dtype=np.float32))
        >>> index.update(np.array([[5, 5], [3, 3]], np.float32), [0, 9])
        >>> index.ids.tolist(), index.vectors([0]).tolist()
        ([0, 1, 9], [[5.0, 5.0]])
        """
        self._core.update(*self._new_items(vectors, ids, bias), _scalars.check_threads(threads))
        self._known = None

    def remove(self, ids: Ids, *, missing: Missing = "raise", threads: int | None = None) -> None:
        """Remove items, all or none of them.

        Parameters
        ----------
        ids : array_like of int, shape (m,), or set of int
            An id that is repeated is removed once.
        missing : {"raise", "ignore"}
            What to do with ids that are unknown.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Raises
        ------
        KeyError
            If an id is unknown; nothing is done then.
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        Removed rows are passed over until the index is rebuilt, see `add`.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> index.remove([1])
        >>> index.remove([1, 2], missing="ignore")
        >>> index.ids.tolist()
        [0]
        """
        wanted = _ids.check_id_set(ids, "ids")
        ignore = _scalars.check_choice(missing, "missing", _MISSING)
        self._core.remove(wanted, ignore, _scalars.check_threads(threads))
        self._known = None

    def compact(self, *, threads: int | None = None) -> None:
        """Rebuild the index from its items, as if it had been built with them.

        Frees what removed items take and lets go of borrowed rows; nothing is done where no
        update has been. Updates do it by themselves when it pays.

        Parameters
        ----------
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> index.remove([1])
        >>> index.compact()
        >>> len(index)
        2
        """
        self._core.compact(_scalars.check_threads(threads))
        self._known = None

    def save(
        self,
        path: str | Path,
        *,
        vocabulary: Vocabulary | None = None,
        threads: int | None = None,
    ) -> None:
        """Write the index into a folder: `.npy` arrays and a JSON manifest.

        Parameters
        ----------
        path : str or Path
            A folder that is new, empty or holds a saved index, which is replaced as a whole: by
            the time that the call returns the new one is on the disk, and if it fails or the
            process is killed, the old one is there. Its parents are created.
        vocabulary : Vocabulary, optional
            The items' keys, written into the same folder and replaced as one with the index, whose
            `vocabulary` they are from then on: later saves write them too. Default `vocabulary`.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Raises
        ------
        OSError
            If the folder cannot be made or written.
        TypeError, ValueError
            If there is something else in the folder, or the vocabulary has no key for an id.

        Notes
        -----
        What is written is the index of one moment, without removed rows; where there are such, or
        items were added, it is first rebuilt as `compact` does, with both in memory.
        Updates go on meanwhile. A second save to the same path waits for the first.

        Examples
        --------
        >>> import numpy as np, tempfile, vecrecall as vr
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32), ids=[5, 6, 7])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder)
        ...     vr.FlatIndex.load(folder).search([[0.0, 2.0, 1.0]], 1).ids.tolist()
        [[6]]

        With keys in place of ids:

        >>> vocabulary = vr.Vocabulary(["a", "b", "c"])
        >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder, vocabulary=vocabulary)
        ...     loaded = vr.FlatIndex.load(folder)
        >>> loaded.vocabulary.decode(loaded.search([[0.0, 2.0, 1.0]], 2))
        [[('b', 2.0), ('c', 1.0)]]
        """
        if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
            raise TypeError(f"vocabulary: expected a Vocabulary, got {type(vocabulary).__name__}")
        folder = _scalars.check_path(path, "path")
        whole = self._now().compacted(_scalars.check_threads(threads))
        arrays = {**whole.parts(), "skipped": self.skipped}
        keys = self._vocabulary if vocabulary is None else vocabulary
        parts = {} if keys is None else {PART: keys._part_for(whole.ids())}
        _array_folder.save(folder, self._kind, self._about(), arrays, parts)
        self._vocabulary = keys

    @classmethod
    def load(
        cls: type[_Index], path: str | Path, *, mmap: bool = True, verify: bool = False
    ) -> _Index:
        """Open an index that `save` wrote; its answers have the same bits.

        Parameters
        ----------
        path : str or Path
        mmap : bool
            Map the files instead of reading them: the index is there in milliseconds, and all
            processes that map it share one copy in memory. The files are never written to; they
            may be replaced by `save`, but must not be changed in place. Updates are kept in memory
            as with ``copy=False``.
        verify : bool
            Read everything and compare checksums, which finds every changed bit. Without it what
            is checked makes searches safe whatever is in the files; a changed value may change
            answers.

        Returns
        -------
        FlatIndex

        Raises
        ------
        OSError
            If a file is missing or cannot be read.
        ValueError
            If files are cut short, do not fit together, or are not those of an index of this
            format; the message names the file or the array. Nothing in them is executed.

        Examples
        --------
        See `save`.
        """
        mmap, verify = _scalars.check_bool(mmap, "mmap"), _scalars.check_bool(verify, "verify")
        folder = _scalars.check_path(path, "path")
        (about, arrays), parts = _array_folder.load_with_parts(
            folder, cls._kind, mmap=mmap, verify=verify
        )
        index = cls.__new__(cls)
        index.rounding = None
        index._vocabulary = _vocabulary_in(parts, folder, verify)
        index._restore(about, arrays, "path", str(path), verify)
        saved = _array_folder.word_of(about)
        index._origin = Origin(folder.absolute(), saved, index._now().version)
        return index

    def __getstate__(self) -> dict[str, Any]:
        """List the arrays of this moment, and the attributes that a subclass adds."""
        own = {name: x for name, x in self.__dict__.items() if name not in _NOT_PICKLED}
        return _pickled.packed({**own, **self._about()}, self._arrays())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickle as `load` takes files."""
        own, arrays = _pickled.unpacked(state, self._kind)
        about = {name: own.pop(name, None) for name in ("metric", "dtype")}
        self.__dict__.update(own)
        self._restore(about, arrays, "pickle", "it")
        self._lent = True

    def __copy__(self: _Index) -> _Index:
        """Make an index of the same arrays that is updated by itself."""
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        twin._lent = self._lent
        return twin

    def __deepcopy__(self: _Index, memo: dict[int, Any]) -> _Index:
        """Make an index that shares no array with anybody who might change it."""
        state = self.__getstate__()
        arrays = state.pop("arrays")
        if self._lent:
            arrays = {name: array.copy() for name, array in arrays.items()}
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__setstate__({**deepcopy(state, memo), "arrays": arrays})
        twin._lent = False
        return twin

    def _about(self) -> dict[str, Any]:
        """Say what `save` writes in addition to the arrays."""
        return {"metric": self._metric, "dtype": self.dtype}

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """List the arrays that `save` writes.

        They are the same objects at each call until an update: by that joblib knows that it has
        written them before.
        """
        now, known = self._now(), self._known
        if known is not None and known.version == now.version and _named(known.arrays):
            return known.arrays
        whole = now.compacted(_core.num_threads())
        arrays = {**whole.parts(), "skipped": self.skipped}
        if whole.version == now.version:  # else it is a separate index
            self._know(now.version, arrays)
        return arrays

    def _know(self, version: int, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Keep the arrays of a moment, unless a concurrent update has just dropped them."""
        self._known = _Known(version, arrays)
        if self._now().version != version:
            self._known = None

    def _restore(
        self,
        about: Mapping[str, object],
        arrays: dict[str, npt.NDArray[Any]],
        name: str,
        place: str,
        verify: bool = False,
    ) -> None:
        """Become the index of untrusted arrays; messages begin with `name`."""
        metric = _named_choice(about.get("metric"), METRICS, name, place)
        row_type = _named_choice(about.get("dtype", "float32"), STORED, name, place)
        skipped = arrays.get("skipped")
        if not isinstance(skipped, np.ndarray) or skipped.dtype != np.int64 or skipped.ndim != 1:
            raise ValueError(f"{name}: expected a vector of skipped ids in {place}")
        parts = {part: array for part, array in arrays.items() if part != "skipped"}
        unknown = parts.keys() - self._parts
        if unknown:
            raise ValueError(
                f"{name}: expected arrays of an index, got {min(map(repr, unknown))} in {place}"
            )
        rows = parts.get("rows")
        wanted = np.dtype(STORED[row_type]).name
        found = rows.dtype.name if isinstance(rows, np.ndarray) else wanted
        known = any(found == np.dtype(stored).name for stored in STORED.values())
        if known and found != wanted:  # the core refuses what is not known
            raise ValueError(
                f"{name}: expected rows of type {wanted} for {row_type}, got {found} in {place}"
            )
        try:
            core = self._core_type.from_parts(parts, METRICS[metric])
            if verify:
                _core.check_ids(core.snapshot().ids())
        except ValueError as error:
            raise ValueError(f"{name}: expected a whole index in {place}, got {error}") from error
        self._metric = cast(Metric, metric)
        self.skipped = np.array(skipped)  # all else is freed when the index is rebuilt
        self._begin(core, lent=False)  # no caller changes what is mapped from a file
        self._know(self._now().version, arrays)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The items' ids in the order of insertion, shape (n,); replaced ones keep their place."""
        return self._now().ids()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The items' keys, None without: those that the index was saved or loaded with."""
        return self._vocabulary

    @property
    def dim(self) -> int:
        """The vectors' width."""
        return self._core.dim

    @property
    def dtype(self) -> RowType:
        """The type that rows are kept in: "float32", "float16" or "bfloat16"."""
        return cast(RowType, self._core.row_type.name)

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self._metric

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold the items, mapped and borrowed ones too.

        These are the vectors and what is derived from them for searches, and removed rows until the
        index is rebuilt. Mapped files are in memory as far as they are read, once for all
        processes.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.FlatIndex(np.ones((1000, 64), np.float32))
        >>> 1000 * 64 * 5 <= index.nbytes < 1000 * 64 * 6  # float32 and one byte per number
        True
        """
        return self._now().nbytes

    def __len__(self) -> int:
        return len(self._now())

    def __contains__(self, id: object) -> bool:
        return _ids.is_id(id) and bool(self.contains(np.array([id], np.int64))[0])

    def __repr__(self) -> str:
        items = _scalars.counted(len(self), "item")
        half = "" if self.dtype == "float32" else f", dtype {self.dtype!r}"
        return f"{self._kind}({items}, dim {self.dim}, metric {self.metric!r}{half})"

    @property
    def _has_bias(self) -> bool:
        return self._now().has_bias

    def _now(self) -> _core.Snapshot:
        """Return what the index holds at this moment, for reads that belong together."""
        return self._core.snapshot() if self._held is None else self._held

    def _known_vectors(self, ids: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        """Find which of the ids are known, and their rows."""
        return self._now().known_vectors(ids)

    def _view(self: _Index) -> _Index:
        """Return another object over the same items, updates included."""
        index = object.__new__(type(self))
        index.__dict__.update(self.__dict__)
        return index

    def _frozen(self: _Index) -> _Index:
        """Return this index as it is now, for many reads that belong together."""
        index = self._view()
        index._held = self._now()
        return index

    def _view_for(self: _Index, owner: object) -> _Index:
        """Return a view whose masks are those that are made for `owner`."""
        index = self._view()
        index._owner = owner
        return index

    def _new_items(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, bias: npt.ArrayLike | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
        rows = self._checked_rows(vectors)
        numbers = _ids.check_ids(ids, "ids", len(rows))
        return rows, numbers, self._checked_bias(rows, bias)

    def _checked_rows(self, vectors: npt.ArrayLike) -> npt.NDArray[Any]:
        return check_rows(vectors, "vectors", self.dim, self.dtype).values

    def _checked_bias(
        self, rows: npt.NDArray[Any], bias: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64] | None:
        """Refuse rows that cannot be scored, with the bias or by themselves."""
        extra = None if bias is None else _validation.check_float_vector(bias, "bias", len(rows))
        usable_rows(rows, extra, self._metric, False)
        return extra

    def _searched_by(self) -> str:
        return ""

    def _mask_owner(self) -> object:
        return self if self._owner is None else self._owner

    def _allow(self, ids: npt.NDArray[np.int64], complement: bool) -> _core.IdMask:
        """Make a set of ids, or of all others, of which the core keeps the rows."""
        return _core.IdMask(ids, complement)


def _vocabulary_in(
    parts: dict[str, _array_folder.Content], folder: Path, verify: bool
) -> Vocabulary | None:
    """Open the vocabulary that was saved with an index."""
    unknown = set(parts) - {PART}
    if unknown:
        raise ValueError(f"path: expected parts of an index, got {min(unknown)!r} in {folder}")
    if PART not in parts:
        return None
    return Vocabulary._from_content(*parts[PART], path=folder, verify=verify)


def usable_rows(
    rows: npt.NDArray[Any],
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
        half = "" if rows.dtype == np.float32 else " in half precision"
        raise ValueError(
            f"{name}: row {np.flatnonzero(zero)[0]} is all zeros{half}, which has no cosine "
            "similarity"
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


def _named_choice(x: object, choices: Collection[str], name: str, place: str) -> str:
    """Take one of some names from what is not trusted."""
    if not isinstance(x, str) or x not in choices:
        raise ValueError(f"{name}: expected one of {list(choices)}, got {x!r} in {place}")
    return x


def _named(arrays: dict[str, npt.NDArray[Any]]) -> bool:
    """Tell whether the files that arrays are mapped from still have the names that joblib sends."""
    mapped = (x for array in arrays.values() for x in (array, array.base))
    files = {str(x.filename) for x in mapped if isinstance(x, np.memmap)}
    return all(Path(file).exists() for file in files)


def valid_queries(q: npt.NDArray[np.float32], leave_empty: bool) -> npt.NDArray[np.bool_] | None:
    """Say which queries are finite, None for all."""
    row = _core.first_nonfinite_row(q)
    if row < 0:
        return None
    if not leave_empty:
        raise ValueError(f"queries: expected finite values, got NaN or infinity in row {row}")
    return _core.finite_rows(q).astype(bool)


def _floors(min_score: object, nq: int) -> npt.NDArray[np.float64]:
    """Coerce to a score for each query."""
    if min_score is None or np.isscalar(min_score):
        return np.full(nq, _scalars.check_float(min_score, "min_score"))
    floors = _validation.check_numbers(min_score, "min_score", nq)
    bad = np.flatnonzero(np.isnan(floors))
    if bad.size:
        raise ValueError(f"min_score: expected numbers, got NaN at {bad[0]}")
    return floors


def _only(
    valid: npt.NDArray[np.bool_],
    q: npt.NDArray[np.float32],
    seen: Ragged | None,
    bits: list[_core.IdMask] | None,
) -> tuple[npt.NDArray[np.float32], Ragged | None, list[_core.IdMask] | None]:
    """Keep the valid queries, with what belongs to them."""
    rows = np.flatnonzero(valid)
    if seen is not None:
        seen = take_rows(seen, rows)
    if bits is not None and len(bits) > 1:
        bits = [bits[i] for i in rows]
    return q[valid], seen, bits
