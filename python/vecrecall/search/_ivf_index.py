"""Nearest items among lists of them, of which a search looks at the most promising."""

from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._ragged import RaggedLike
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._row_types import RowType
from vecrecall.search._flat_index import DEFAULT_PROBES, FlatIndex, InvalidItems
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import Allow, Invalid, Metric, Neighbors, Progress
from vecrecall.storage._atomic import read_manifest

Probes = int | Literal["exact"]

_MOST = 2**63 - 1  # of a seed, of lists that are asked for, and of probes
_MOST_LISTS = 2**24
_LIST_PARTS = frozenset(("list_centers", "list_sizes", "list_spreads", "list_settings"))


class IVFStats(NamedTuple):
    """How the items of an `IVFIndex` lie in its lists.

    Attributes
    ----------
    list_sizes : ndarray of int64, shape (n_lists,)
        Items of each list, as the lists were made: without those added since, with those removed.
        None is empty, unless its center was given.
    not_in_lists : int
        Items that were added since, which every search looks at.
    drift : float
        Their share of all items.
    """

    list_sizes: npt.NDArray[np.int64]
    not_in_lists: int
    drift: float


class IVFIndex(FlatIndex):
    """An index of items in lists, of which a search looks at the most promising: an inverted file.

    Each list holds the items around a center. A query probes the lists that are most promising by
    their centers and spreads, and looks at all items that were added since the lists were made. Its
    answer is the exact one among these: the same scores, order and bits as those of a `FlatIndex`
    of them, on every instruction set, thread count and batch; with ``probes="exact"`` it is that of
    a `FlatIndex` of all items.

    Everything else is as of `FlatIndex`, and it stands in for one everywhere: filters, updates
    while other threads search, forks, files, pickles.

    Parameters
    ----------
    vectors, ids, metric, bias, invalid, dtype
        As of `FlatIndex`.
    n_lists : int, optional
        Into how many lists the items go, at most one per item. By default about ``4 * sqrt(n)``
        for n items, with at least 128 items per list on average. There can be more, since a list
        that is more than four times as long as the average is split, or fewer, since a list of no
        items is left out.
    centers : array_like of float, shape (n_lists, d), optional
        The lists' centers, for example `centers` of another index: nothing is trained. Each item
        goes into the list of the nearest. These lists stay as they are given, long and empty ones
        too, until ``compact(retrain=True)``, so that indexes of parts of the items with the same
        centers and spreads probe the same lists.
    spreads : array_like of float, shape (n_lists,), optional
        With `centers`: the lists' spreads, for example `spreads` of the other index, finite and
        >= 0; under l2 all of them 0. By default zeros: lists rank by their centers alone.
    probes : int, optional
        `probes` of the new index, >= 1; by default found by a sample of the items.
    copy : bool
        Accepted as by `FlatIndex`. The rows are copied in any case: those of a list lie together.
    seed : int
        Of the k-means that makes the lists, 0 to 2**63 - 1. One seed, one index.
    progress : callable, optional
        Called as ``progress(done, total)`` with steps of the build, which an exception ends.
    threads : int, optional
        Threads for the build; default `get_num_threads`.

    Attributes
    ----------
    skipped, rounding
        As of `FlatIndex`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; the message names it and the first offending row.

    Notes
    -----
    Centers are those of k-means on a sample of 64 items per list (spherical k-means under cosine).
    A query ranks the lists in float64, equal ones by number. Under l2 that is by minus the squared
    distance of the center; else by the inner product of the query at length one with the center, or
    its cosine, plus the list's spread: about how far its best items score above its center, so that
    a wide list comes before a narrow one. A bias takes no part in that. Under ip the query at
    length one is rounded to float32; a center without a direction has the cosine 0.

    The spread is the 16th root of the mean 16th power of the lengths of the list's residuals, which
    are items less center, under cosine both at length one; times 2.5, times the root of the mean
    square of a residual's part along a row over that of its length, of a sample of residuals and
    rows.

    Updates leave the lists as they are. Items that are added are in no list, so that no search
    misses them; they go into the lists at `compact` and `save`, and by themselves once they are
    more than 4096 and more than a 32nd of those in lists, or more than these, or when removed
    items are let go. Centers stay until ``compact(retrain=True)``, while spreads of lists that were
    trained are computed again whenever items go into them; only where `n_lists` is not given and
    the items have become four times as many are centers made again, with the default of `probes`.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> x = np.random.default_rng(0).standard_normal((5000, 8), dtype=np.float32)
    >>> index = vr.IVFIndex(x, metric="l2")
    >>> index.search(x[:2], 1, probes=4).ids.tolist()
    [[0], [1]]
    >>> exact = vr.FlatIndex(x, metric="l2").search(x[:9], 5)
    >>> np.array_equal(index.search(x[:9], 5, probes="exact").ids, exact.ids)
    True
    """

    _kind: ClassVar[str] = "IVFIndex"
    _parts: ClassVar[frozenset[str]] = FlatIndex._parts | _LIST_PARTS
    _core_type: ClassVar[type[_core.FlatIndex]] = _core.IVFIndex
    _core: _core.IVFIndex
    _usual: int = DEFAULT_PROBES  # of a view

    def __init__(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        metric: Metric = "ip",
        bias: npt.ArrayLike | None = None,
        n_lists: int | None = None,
        centers: npt.ArrayLike | None = None,
        spreads: npt.ArrayLike | None = None,
        probes: int | None = None,
        copy: bool = True,
        invalid: InvalidItems = "raise",
        seed: int = 0,
        dtype: RowType | npt.DTypeLike | None = None,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> None:
        _scalars.check_bool(copy, "copy")
        asked = 0 if n_lists is None else _scalars.check_int_between(n_lists, "n_lists", 1, _MOST)
        seed = _scalars.check_int_between(seed, "seed", 0, _MOST)
        _scalars.check_callable(progress, "progress")
        n_threads = _scalars.check_threads(threads)
        usual = DEFAULT_PROBES if probes is None else _check_number(probes)
        items = self._checked_items(vectors, ids, metric, bias, invalid, dtype)
        given = None if centers is None else _check_centers(centers, n_lists, items.rows.shape[1])
        wide = None if spreads is None else _check_spreads(spreads, given, metric)
        core = _core.IVFIndex(*items, asked, given, wide, usual, seed, progress, n_threads)
        self._begin(core, lent=False)

    @property
    def probes(self) -> int:
        """How many lists a search probes that does not say it.

        At first as many as hold 95 % of the 10 nearest others of a sample of the items; then what
        `tuned_for` has set. It is saved with the index.
        """
        return self._core.probes

    @property
    def n_lists(self) -> int:
        """The number of lists."""
        return len(self.stats.list_sizes)

    @property
    def centers(self) -> npt.NDArray[np.float32]:
        """A copy of the lists' centers, shape (n_lists, d)."""
        return self._assignment()[0]

    @property
    def spreads(self) -> npt.NDArray[np.float32]:
        """Numbers added to the centers' scores where lists are ranked, shape (n_lists,)."""
        return self._now().list_spreads()

    @property
    def stats(self) -> IVFStats:
        """How the items lie in the lists; large `drift` makes searches slow until `compact`."""
        sizes, loose, n = self._core.stats()
        return IVFStats(sizes.astype(np.int64), loose, loose / n if n else 0.0)

    def tuned_for(
        self,
        queries: npt.ArrayLike,
        recall: float,
        *,
        k: int = 10,
        threads: int | None = None,
    ) -> int:
        """Set how many lists a search probes by default, for a share of the exact lists.

        Parameters
        ----------
        queries : array_like of real numbers, shape (nq, d), or (d,) for one
            At least one; a few hundred that are like those to come.
        recall : float
            The share of the `k` best items of the queries to find, above 0 and at most 1.
        k : int
            List length, >= 1.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Returns
        -------
        int
            The new `probes`: the fewest lists that hold this share, taken over all queries.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        The exact lists are searched once; no setting is tried. It counts as an update of the
        index, and is lost where the lists are made again.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> x = np.random.default_rng(0).standard_normal((5000, 8), dtype=np.float32)
        >>> index = vr.IVFIndex(x)
        >>> index.tuned_for(x[:100], recall=1.0) == index.probes
        True
        >>> found, exact = index.search(x[:100], 10), index.search(x[:100], 10, probes="exact")
        >>> vr.recall_at_k(found, exact)
        1.0
        """
        q = _validation.check_queries(queries, "queries", self.dim)
        if not len(q):
            raise ValueError(f"queries: expected at least one row, got shape {q.shape}")
        share = _scalars.check_float(recall, "recall")
        if not 0 < share <= 1:
            raise ValueError(f"recall: expected a number above 0 and at most 1, got {share}")
        k = _scalars.check_list_length(k, 1)
        probes = self._core.tune(q, share, k, _scalars.check_threads(threads))
        self._known = None
        return probes

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        probes: Probes | None = None,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        min_score: float | None = None,
        invalid: Invalid = "raise",
        stats: bool = False,
        threads: int | None = None,
    ) -> SearchResult:
        """Find the `k` best items of every query in the lists that it probes.

        Parameters
        ----------
        queries, k, exclude, allow, min_score, invalid, threads
            As of `FlatIndex.search`.
        probes : int or "exact", optional
            How many lists each query looks at, >= 1; all of them where there are not so many.
            ``"exact"``: as many as prove the answer, that of a `FlatIndex`. By default `probes` of
            the index; a query whose filters leave fewer than `k` items there looks at twice as
            many, and so on, until there are `k` or no list is left; one that may get no more items
            than it would look at has all of them scored.
        stats : bool
            Give the result `SearchStats` as its ``stats``: also how many lists were probed, and
            how many queries looked at more than the default.

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
        >>> x = np.random.default_rng(0).standard_normal((5000, 8), dtype=np.float32)
        >>> index = vr.IVFIndex(x, metric="cosine", n_lists=20)
        >>> r = index.search(x[:1], 3, probes=2, exclude=[[0]], stats=True)
        >>> r.counts.tolist(), r.stats.lists_probed
        ([3], 2)
        """
        chosen = self._usual if probes is None else _check_probes(probes)
        return self._search(queries, k, exclude, allow, min_score, invalid, stats, threads, chosen)

    def neighbors(
        self,
        k: int,
        *,
        probes: Probes | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item, in the lists that it probes.

        Parameters
        ----------
        k, min_score, progress, path, threads
            As of `FlatIndex.neighbors`.
        probes : int or "exact", optional
            As of `search`.

        Returns
        -------
        Neighbors

        Raises
        ------
        OSError, TypeError, ValueError
            As of `FlatIndex.neighbors`.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.IVFIndex(np.array([[0], [1], [3]], np.float32), metric="l2")
        >>> index.neighbors(1).ids.values.tolist()
        [1, 0, 1]
        """
        view = self if probes is None else self._probing(probes)
        return self_join(view._frozen(), k, min_score, progress, path, threads)

    def compact(
        self,
        *,
        retrain: bool = False,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> None:
        """Put all items into lists, and let go of removed ones.

        Nothing is done where no update has been. Updates do it by themselves when it pays.

        Parameters
        ----------
        retrain : bool
            Make all lists again from the items of this moment, as when the index is built, and with
            them the default of `probes`.
        progress : callable, optional
            As when the index is built; only with `retrain`.
        threads : int, optional
            Most threads to use; default `get_num_threads`.

        Examples
        --------
        >>> import numpy as np, vecrecall as vr
        >>> index = vr.IVFIndex(np.eye(3, dtype=np.float32))
        >>> index.add(np.ones((1, 3), np.float32)).tolist(), index.stats.not_in_lists
        ([3], 1)
        >>> index.compact()
        >>> index.stats.not_in_lists
        0
        """
        _scalars.check_callable(progress, "progress")
        if not _scalars.check_bool(retrain, "retrain"):
            super().compact(threads=threads)
            return
        self._core.retrain(progress, _scalars.check_threads(threads))
        self._known = None

    def _probing(self, probes: Probes) -> "IVFIndex":
        """Return a view whose searches probe so many lists where they do not say it."""
        index = self._view()
        index._usual = _check_probes(probes)
        return index

    def _searched_by(self) -> str:
        """Tell tables of neighbors apart that are of other lists or probe others."""
        if self._usual == _core.EXACT_PROBES:
            return ""
        probes = self._usual if self._usual != DEFAULT_PROBES else self.probes
        return f"IVFIndex of {self.n_lists} lists, probes {probes}"

    def _assignment(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the centers, and of each item in `ids` the number of its list, or -1."""
        return self._now().lists()


def load_index(path: str | Path, *, mmap: bool = True, verify: bool = False) -> FlatIndex:
    """Open an index of either kind."""
    folder = _scalars.check_path(path, "path")
    kind = read_manifest(folder).get("kind")
    for of in (FlatIndex, IVFIndex):
        if kind == of._kind:
            return of.load(folder, mmap=mmap, verify=verify)
    raise ValueError(f"path: expected a saved FlatIndex or IVFIndex, got {kind!r} in {folder}")


def probing(index: object, probes: Probes | None) -> dict[str, Any]:
    """Return the argument by which an index probes so many lists; without lists it is an error."""
    if probes is None:
        return {}
    if not getattr(index, "probes", 0):  # one in shards has 0 where these are not in lists
        raise TypeError(f"probes: expected an IVFIndex to probe, got a {type(index).__name__}")
    return {"probes": probes}


def _check_probes(probes: object) -> int:
    if isinstance(probes, str):
        if probes != "exact":
            raise ValueError(f"probes: expected a whole number >= 1 or 'exact', got {probes!r}")
        return _core.EXACT_PROBES
    return min(_scalars.check_positive_int(probes, "probes", " or 'exact'"), _core.EXACT_PROBES)


def _check_number(probes: object) -> int:
    return min(_scalars.check_positive_int(probes, "probes"), _MOST)


def _check_centers(centers: object, n_lists: object, dim: int) -> npt.NDArray[np.float32]:
    if n_lists is not None:
        raise ValueError("n_lists, centers: expected one of the two, got both")
    rows = _validation.check_vectors(centers, "centers", dim)
    if not 1 <= len(rows) <= _MOST_LISTS:
        raise ValueError(f"centers: expected 1 to {_MOST_LISTS} rows, got {len(rows)}")
    return rows


def _check_spreads(
    spreads: object, centers: npt.NDArray[np.float32] | None, metric: str
) -> npt.NDArray[np.float32]:
    if centers is None:
        raise ValueError("spreads: expected none without centers")
    values = _validation.check_sample_weight(spreads, "spreads", len(centers))
    assert values is not None
    if metric == "l2" and values.any():
        raise ValueError(f"spreads: expected zeros under l2, got {values.max()}")
    return values.astype(np.float32)
