"""How good lists are, by the items that should be in them."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ragged_checks, _scalars
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import row_of_each
from vecrecall.arrays._results import AboveResult, RankedResult
from vecrecall.arrays._typing import F64, I64
from vecrecall.search._protocol import Neighbors

_RESULTS = (RankedResult, AboveResult, Neighbors)


def recall_at_k(
    found: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    truth: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    k: int | None = None,
) -> float:
    """Compute the share of the true ids that were found, averaged over the queries.

    Parameters
    ----------
    found, truth : SearchResult, array_like of int, shape (nq, k), or ragged of int
        One list of ids per query; of a tuple its first member is meant. -1 is padding, the order
        within a list does not matter but for `k`, and an id that is repeated counts once.
    k : int, optional
        Look at the first `k` entries of each found list, and of each true one where `truth` is a
        result of a search or an array with two dimensions: the best `k` are to be found. Rows of a
        ragged `truth` are sets, and stay whole. By default nothing is cut.

    Returns
    -------
    float
        The mean of ``|found & truth| / |truth|``, rounded once. Queries without true ids are left
        out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, they differ in their rows, or no query has a true id.

    See Also
    --------
    hit_rate_at_k, ndcg_at_k

    Notes
    -----
    `truth` says which of several items with the k-th score belong to it; another one of them
    is not counted as found.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> vr.recall_at_k([[1, 2, 3], [7, 8, -1]], [[3, 2, 9], [8, 7, -1]])
    0.8333333333333334
    >>> vr.recall_at_k(np.array([[1, 2, 3]]), np.array([[2, 1, 9]]), k=2)
    1.0
    >>> vr.recall_at_k([[1, 2, 3]], [[2, 1, 9, 3]], k=2)
    0.5
    """
    k = _cut(k)
    wanted = _Lists.of(truth, "truth", k if _is_ranked(truth) else None)
    true, held = _pairs(wanted, _Lists.of(found, "found", k), "truth")
    counts = np.bincount(np.unique(true) % wanted.n, minlength=wanted.n)
    hits = np.bincount(np.intersect1d(true, held) % wanted.n, minlength=wanted.n)
    return _mean_share(hits, counts)


def hit_rate_at_k(
    found: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    relevant: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    k: int | None = None,
) -> float:
    """Compute the share of the queries whose list holds at least one relevant item.

    Parameters
    ----------
    found : SearchResult, MergeResult, array_like of int, shape (nq, n), or ragged of int
        One list of ids per query; of a tuple its first member is meant. -1 is padding.
    relevant : ragged of int, nq rows
        The relevant items of each query, in any order; or what `found` may be.
    k : int, optional
        Look at the first `k` entries of each found list; by default at all.

    Returns
    -------
    float
        Queries without a relevant item are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, they differ in their rows, or no query has a relevant
        item.

    See Also
    --------
    recall_at_k, ndcg_at_k

    Examples
    --------
    >>> import vecrecall as vr
    >>> found, relevant = [[5, 1, 2], [7, 8, 9], [4, 3, 6]], [[1], [2, 3], []]
    >>> vr.hit_rate_at_k(found, relevant, k=2), vr.hit_rate_at_k(found, relevant, k=1)
    (0.5, 0.0)
    """
    wanted = _Lists.of(relevant, "relevant", None)
    true, held = _pairs(wanted, _Lists.of(found, "found", _cut(k)), "relevant")
    hits = np.unique(np.intersect1d(true, held) % wanted.n)
    return hits.size / np.unique(true % wanted.n).size


def ndcg_at_k(
    found: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    relevant: RaggedLike | RankedResult[Any] | tuple[Any, ...],
    k: int | None = None,
    *,
    gains: RaggedLike | None = None,
) -> float:
    """Compute the normalized discounted cumulative gain, averaged over the queries.

    The gain of a relevant item at place ``p`` of its list, from 1, counts ``gain / log2(p + 1)``;
    the sum over the list is divided by that of the best possible list.

    Parameters
    ----------
    found : SearchResult, MergeResult, array_like of int, shape (nq, n), or ragged of int
        One list of ids per query, the best first; of a tuple its first member is meant. -1 is
        padding. An id that is repeated counts once, at its first place.
    relevant : ragged of int, nq rows
        The relevant items of each query, in any order; or what `found` may be.
    k : int, optional
        Look at the first `k` entries of each found list, and of the best possible one; by default
        at all.
    gains : ragged or flat array_like of float, optional
        One for each of the `relevant`, finite, >= 0; default 1. For the exponential gain of graded
        relevance give ``2**grade - 1``.

    Returns
    -------
    float
        From 0 to 1. Queries without a relevant item, or with gains of 0 alone, are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, they differ in their rows, no query has a relevant item
        with a gain above 0, or an id with a gain is repeated in its row.

    See Also
    --------
    recall_at_k, hit_rate_at_k

    References
    ----------
    Järvelin, Kekäläinen: Cumulated gain-based evaluation of IR techniques. ACM Transactions on
    Information Systems 20 (4), 2002. The discount is that of scikit-learn's ``ndcg_score``.

    Examples
    --------
    >>> import vecrecall as vr
    >>> vr.ndcg_at_k([[5, 1, 2]], [[1, 5]])
    1.0
    >>> round(vr.ndcg_at_k([[5, 1, 2]], [[1, 2]], k=2), 4)
    0.3869
    >>> round(vr.ndcg_at_k([[5, 1, 2]], [[1, 2]], gains=[[3, 1]]), 4)
    0.659
    """
    k = _cut(k)
    wanted = _Lists.of(relevant, "relevant", None)
    gain = _gains(gains, wanted)
    lists = _Lists.of(found, "found", k)
    true, held = _pairs(wanted, lists, "relevant")
    items, one = np.unique(true, return_index=True)
    if gains is not None and items.size < true.size:
        _refuse_repeats(wanted, one)
    rows, gain = wanted.rows[one], gain[one]
    best = _discounted(rows, _ranks(rows, gain), gain, wanted.n, k)
    if not np.isfinite(best).all():
        raise ValueError("gains: expected numbers whose sums fit float64, got an overflow")
    if not best.any():
        raise ValueError("gains: expected a relevant item with a gain above 0, got none")
    seen, first = np.unique(held, return_index=True)
    _, item, hit = np.intersect1d(items, seen, assume_unique=True, return_indices=True)
    at = first[hit]
    sums = _discounted(lists.rows[at], lists.places[at], gain[item], wanted.n, k)
    counted = best > 0
    return math.fsum(sums[counted] / best[counted]) / int(counted.sum())


class _Lists(NamedTuple):
    """The entries of lists that are not padding.

    Attributes
    ----------
    rows, places, ids : ndarray of int64, shape (n_entries,)
        Places in the list, from 0.
    n : int
        Number of lists.
    lists : Ragged
        All entries.
    kept : ndarray of bool
        Which of all entries these are.
    """

    rows: I64
    places: I64
    ids: I64
    n: int
    lists: Ragged
    kept: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, x: Any, name: str, k: int | None) -> "_Lists":
        """Read lists of ids, of each its first `k` entries."""
        lists = _ragged_checks.check_ragged(_ids_of(x, name), name)
        rows = row_of_each(lists)
        places = np.arange(rows.size) - lists.offsets[rows]
        kept = lists.values >= 0
        if k is not None:
            kept &= places < k
        return cls(rows[kept], places[kept], lists.values[kept], len(lists), lists, kept)


def _ids_of(x: Any, name: str) -> Any:
    """Return the ids of a result, or the first member of a tuple."""
    if isinstance(x, _RESULTS):
        return x.ids
    if isinstance(x, tuple):
        if not x:
            raise ValueError(f"{name}: expected ids first, got an empty tuple")
        return x[0]
    return x


def _is_ranked(x: Any) -> bool:
    """Tell whether lists are in an order, best first; rows of other kinds are sets."""
    return isinstance(x, _RESULTS) or len(getattr(_ids_of(x, "truth"), "shape", ())) == 2


def _cut(k: int | None) -> int | None:
    return None if k is None else _scalars.check_positive_int(k, "k")


def _pairs(true: _Lists, found: _Lists, name: str) -> tuple[I64, I64]:
    """Give each pair of an id and a row a number, the same to equal ones."""
    if found.n != true.n:
        raise ValueError(
            f"found: expected {_scalars.counted(true.n, 'row')}, as {name} has, got {found.n}"
        )
    if not true.ids.size:
        raise ValueError(f"{name}: expected ids, got none in {true.n} rows")
    _, codes = np.unique(np.concatenate([true.ids, found.ids]), return_inverse=True)
    codes = codes.reshape(-1) * true.n
    return codes[: true.ids.size] + true.rows, codes[true.ids.size :] + found.rows


def _gains(gains: Any, relevant: _Lists) -> F64:
    """Coerce to one number for each relevant item."""
    if gains is None:
        return np.ones(relevant.ids.size)
    every = _ragged_checks.check_entry_weights(gains, "gains", relevant.lists, "relevant")
    bad = np.flatnonzero(every < 0)
    if bad.size:
        raise ValueError(f"gains: expected numbers >= 0, got {every[bad[0]]} at place {bad[0]}")
    return every[relevant.kept]


def _refuse_repeats(relevant: _Lists, first: I64) -> None:
    """Name an entry that is not the first of its item: which gain counts would be open."""
    again = np.setdiff1d(np.arange(relevant.ids.size), first)[0]
    raise ValueError(
        f"relevant: expected each id with a gain once in a row, got {relevant.ids[again]} again "
        f"in row {relevant.rows[again]}"
    )


def _ranks(rows: I64, gains: F64) -> I64:
    """Tell the place of each item in its row, were the largest gains first."""
    order = np.lexsort((-gains, rows))
    ranks = np.empty_like(order)
    ranks[order] = np.arange(rows.size) - np.searchsorted(rows[order], rows[order])
    return ranks


def _discounted(rows: I64, places: I64, gains: F64, n: int, k: int | None) -> F64:
    """Sum up gains by rows, in the order of places: the same gains give the same bits."""
    order = np.lexsort((places, rows))
    if k is not None:
        order = order[places[order] < k]
    with np.errstate(over="ignore"):  # an infinity, which the caller then reports
        sums = np.bincount(rows[order], gains[order] / np.log2(places[order] + 2), n)
    return sums.astype(np.float64, copy=False)


def _mean_share(hits: I64, counts: I64) -> float:
    """Average exactly, so that 19 of 20 reach a target of 0.95 however they are spread."""
    totals = np.bincount(counts, hits)
    lengths = np.unique(counts[counts > 0])
    share = sum((Fraction(int(totals[c]), int(c)) for c in lengths), Fraction(0))
    return float(share / int((counts > 0).sum()))
