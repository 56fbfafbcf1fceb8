"""The share of the exact lists that was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.bench.indexes import F32, Metric

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

PRODUCTS = 1 << 36  # multiply-adds in float64: seconds; half a minute for 10,000,000 narrow rows
LEAST = 16  # queries, regardless of the time
NUMBERS = 1 << 23  # of scores and rows in float64 at a time
LARGEST = float(np.finfo(np.float32).max)


class Truth:
    """The exact lists of some queries, computed by NumPy in float64.

    Near ties count as found: an item outside the list whose score float32 cannot distinguish from
    those of the last items is as good an answer, since lists by float32 arithmetic may end with
    other near ties. The same holds for scores that are too large or too small for float32, which
    all tie. The order within a list is not checked, since some peers return unordered lists.

    Parameters
    ----------
    items, queries : ndarray of float32, shape (n, d) and (nq, d)
    k : int
    metric : str

    Attributes
    ----------
    count : int
        Number of queries, the first ones, whose lists are known: all unless that takes too long.
    metric : str
    """

    def __init__(self, items: F32, queries: F32, k: int, metric: Metric) -> None:
        self.count = min(len(queries), max(LEAST, PRODUCTS // items.size))
        self._items, self.metric = items, metric
        self._queries = queries[: self.count].astype(np.float64)
        self._ids, self._best = self._lists(k)
        self._slack = self._errors()

    def recall(self, found: npt.NDArray[Any], k: int) -> float:
        """Return the share of the true ids that were found, averaged over queries.

        Parameters
        ----------
        found : ndarray of int, shape (m, k)
            Results of the first `m` queries, of which `count` are checked. A repeated id counts
            once, an unknown one never.
        k : int
            At most the k of the exact lists.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `found` has no row, or not k columns.
        """
        if found.ndim != 2 or not len(found) or found.shape[1] != k:
            raise ValueError(f"found: expected shape (m, {k}), m > 0, got {found.shape}")
        n_found = [self._n_found(q, np.unique(row), k) for q, row in enumerate(found[: self.count])]
        return float(np.mean(n_found)) / k

    def _n_found(self, query: int, found: I64, k: int) -> int:
        true = self._ids[query, :k]
        found = found[(found >= 0) & (found < len(self._items))]
        others = found[~np.isin(found, true, assume_unique=True)]
        n_found = found.size - others.size
        if not others.size:
            return n_found
        best = np.clip(self._best[query, :k], -LARGEST, LARGEST)
        theirs = self._scores(self._queries[query, None], self._items[others])[0]
        as_good = np.clip(theirs, -LARGEST, LARGEST) >= best[-1] - self._slack[query]
        replaceable = ~np.isin(true, found) & (best <= best[-1] + self._slack[query])
        return n_found + min(int(as_good.sum()), int(replaceable.sum()))

    def _lists(self, k: int) -> tuple[I64, F64]:
        """Scan the items in blocks; few items of a block enter the k best so far."""
        ids = np.full((self.count, k), -1, np.int64)
        best = np.full((self.count, k), -np.inf)
        step = max(k, self._step())
        for at in range(0, len(self._items), step):
            scores = self._scores(self._queries, self._items[at : at + step])
            for query, row in enumerate(scores):
                better = np.flatnonzero(row > best[query, -1])
                if better.size:
                    among = np.concatenate([best[query], row[better]])
                    chosen = np.argsort(-among, kind="stable")[:k]
                    best[query] = among[chosen]
                    ids[query] = np.concatenate([ids[query], better + at])[chosen]
        return ids, best

    def _step(self) -> int:
        """Return the number of items per block."""
        wider: int = max(self.count, self._items.shape[1])
        return max(1, NUMBERS // wider)

    def _scores(self, queries: F64, rows: F32) -> F64:
        x = rows.astype(np.float64)
        scores: F64 = queries @ x.T
        if self.metric == "l2":
            scores *= 2
            scores -= np.einsum("ij,ij->i", x, x)
            scores -= np.einsum("ij,ij->i", queries, queries)[:, None]
        if self.metric == "cosine":
            scores /= np.linalg.norm(x, axis=1)
            scores /= np.linalg.norm(queries, axis=1)[:, None]
        return scores

    def _errors(self) -> F64:
        """Bound per query the error of a difference of two float32 scores.

        A sum of d products, rounded in any order, errs by at most d u |q| |x| (u = 2^-24, to first
        order); the expanded distance adds two such sums and the rounding of their sum. Two scores
        may err in opposite directions, and each is rounded to float32 once more, as are normalized
        rows. The error of float64, 2^-29 times as large, is negligible. Each of at most 4 d
        products may underflow, to 0 where a peer flushes, by at most 2^-126.
        """
        q = np.linalg.norm(self._queries, axis=1)
        step = self._step()
        x = max(
            float(np.linalg.norm(self._items[at : at + step].astype(np.float64), axis=1).max())
            for at in range(0, len(self._items), step)
        )
        scale = (q + x) ** 2 if self.metric == "l2" else q * x
        if self.metric == "cosine":
            scale = np.full_like(q, 2)
        bound: F64 = 2 * (self._items.shape[1] + 3) * (2.0**-24 * scale + 4 * 2.0**-126)
        return bound


def inexact_peers(recalls: Mapping[str, float]) -> list[str]:
    """List the peers that should have found all of the exact lists but did not.

    Parameters
    ----------
    recalls : dict
        Of exact peers, as `Truth.recall` returns them.

    Returns
    -------
    list of str
        One sentence per peer.
    """
    return [
        f"{name}: expected the exact lists, found {recall:.4%} of them"
        for name, recall in recalls.items()
        if recall < 1
    ]
