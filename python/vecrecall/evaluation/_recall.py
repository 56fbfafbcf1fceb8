"""How much of the true lists was found."""

from fractions import Fraction
from typing import Any

import numpy as np

from vecrecall.arrays import _ragged_checks
from vecrecall.arrays._ragged import RaggedLike
from vecrecall.arrays._typing import I64


def recall_at_k(
    found: RaggedLike | tuple[Any, ...],
    truth: RaggedLike | tuple[Any, ...],
) -> float:
    """Tell the share of the true ids that were found, averaged over the queries.

    Parameters
    ----------
    found, truth : SearchResult, array_like of int, shape (nq, k), or ragged of int
        One list of ids per query; of a tuple its first member is meant. -1 is padding, the order
        within a list does not matter, and an id that is repeated counts once.

    Returns
    -------
    float
        The mean of ``|found & truth| / |truth|``, rounded once. Where both have `k` columns it is
        the recall at `k`; `found` may be wider. Queries without true ids are left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, they differ in their rows, or no query has a true id.

    Notes
    -----
    `truth` says which of several items with the k-th score belong to it; another one of them
    is not counted as found.

    Examples
    --------
    >>> import vecrecall as vr
    >>> vr.recall_at_k([[1, 2, 3], [7, 8, -1]], [[3, 2, 9], [8, 7, -1]])
    0.8333333333333334
    """
    found_rows, found_ids, n_found = _entries(found, "found")
    true_rows, true_ids, n = _entries(truth, "truth")
    if n_found != n:
        raise ValueError(f"found: expected {n} rows, as truth has, got {n_found}")
    if not true_ids.size:
        raise ValueError(f"truth: expected ids, got none in {n} rows")
    _, codes = np.unique(np.concatenate([true_ids, found_ids]), return_inverse=True)
    codes = codes.reshape(-1) * n
    wanted = np.unique(codes[: true_ids.size] + true_rows)
    held = np.unique(codes[true_ids.size :] + found_rows)
    counts = np.bincount(wanted % n, minlength=n)
    hits = np.bincount(np.intersect1d(wanted, held, assume_unique=True) % n, minlength=n)
    return _mean_share(hits, counts)


def _entries(x: Any, name: str) -> tuple[I64, I64, int]:
    """List the rows and ids of what is not padding, and count the rows."""
    if isinstance(x, tuple):
        if not x:
            raise ValueError(f"{name}: expected ids first, got an empty tuple")
        x = x[0]
    lists = _ragged_checks.check_ragged(x, name)
    rows = np.repeat(np.arange(len(lists)), lists.lengths)
    valid = lists.values >= 0
    return rows[valid], lists.values[valid], len(lists)


def _mean_share(hits: I64, counts: I64) -> float:
    """Average exactly, so that 19 of 20 reach a target of 0.95 however they are spread."""
    totals = np.bincount(counts, hits)
    lengths = np.unique(counts[counts > 0])
    share = sum((Fraction(int(totals[c]), int(c)) for c in lengths), Fraction(0))
    return float(share / int((counts > 0).sum()))
