"""How much of the exact lists others found."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall.bench.peers import F32, Metric

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


class Truth:
    """The exact lists of some queries.

    An item that is not in the list but as good as its last one, as far as float32 can tell, is as
    good an answer: lists by float32 arithmetic may end with another of several near ties.

    Parameters
    ----------
    items, queries : ndarray of float32, shape (n, d) and (nq, d)
    k : int
    metric : str
    threads : int
    """

    def __init__(self, items: F32, queries: F32, k: int, metric: Metric, threads: int) -> None:
        self._items, self._queries, self._metric = items, queries, metric
        found = vr.topk(queries, items, k, metric=metric, threads=threads)
        self._ids = found.ids
        self._last = found.scores.astype(np.float64)
        self._slack = self._errors()

    def recall(self, found: npt.NDArray[Any], k: int) -> float:
        """Tell the share of the true ids that were found, averaged over the first queries.

        Parameters
        ----------
        found : ndarray of int, shape (m, k)
            Of the first `m` queries. A repeated id counts once, one that there is not never.
        k : int
            At most what the lists were made for.

        Returns
        -------
        float
        """
        shares = [self._hits(query, np.unique(row), k) / k for query, row in enumerate(found)]
        return float(np.mean(shares))

    def _hits(self, query: int, found: I64, k: int) -> int:
        found = found[(found >= 0) & (found < len(self._items))]
        others = found[~np.isin(found, self._ids[query, :k], assume_unique=True)]
        hits = found.size - others.size
        if others.size:
            enough = self._last[query, k - 1] - self._slack[query]
            hits += int((self._scores(query, others) >= enough).sum())
        return min(hits, k)

    def _scores(self, query: int, rows: I64) -> F64:
        q = self._queries[query].astype(np.float64)
        x = self._items[rows].astype(np.float64)
        if self._metric == "l2":
            difference = x - q
            distances: F64 = np.einsum("ij,ij->i", difference, difference)
            return -distances
        scores: F64 = x @ q
        if self._metric == "cosine":
            scores /= np.linalg.norm(x, axis=1) * np.linalg.norm(q)
        return scores

    def _errors(self) -> F64:
        """Bound, a query, by how much a wrong order by float32 scores can be off.

        A sum of d products, rounded in any order, errs by at most d u |q| |x| (u = 2^-24, to first
        order); the expanded distance adds two such sums and the rounding of their sum. Two scores
        may err, in opposite directions; and all is rounded to float32 once more. Rows that were
        given length one err by that as well.
        """
        q = np.linalg.norm(self._queries.astype(np.float64), axis=1)
        x = max(
            float(np.linalg.norm(self._items[at : at + 65_536].astype(np.float64), axis=1).max())
            for at in range(0, len(self._items), 65_536)
        )
        scale = (q + x) ** 2 if self._metric == "l2" else q * x
        if self._metric == "cosine":
            scale = np.full_like(q, 2)
        bound: F64 = 2 * (self._items.shape[1] + 3) * 2.0**-24 * scale
        return bound
