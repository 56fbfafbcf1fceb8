"""Ranked lists in plain NumPy: the baseline of searches, and checks of answers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

BLOCK = 16  # queries at a time: their scores stay near, which is twice as fast as all at once


class Lists(NamedTuple):
    """One list a row; -1 and -inf after its end."""

    ids: I64
    scores: F32


def packed(scores: F32, numbers: I64) -> I64:
    """One integer each, ascending: score descending, then number ascending, below 2**32.

    np.sort and np.partition on integers use vector instructions: several times as fast as
    np.lexsort or a stable argsort.
    """
    bits = scores.view(np.int32)
    return (~(bits ^ (bits >> 31 & 0x7FFFFFFF))).astype(np.int64) << 32 | numbers


def unpacked(keys: I64) -> tuple[I64, F32]:
    """The numbers and scores of `packed`."""
    bits = ~(keys >> 32).astype(np.int32)
    return keys & 0xFFFFFFFF, (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(np.float32)


def best(scores: F32, k: int, numbers: I64 | None = None) -> tuple[I64, F32]:
    """The numbers (columns where none are given) and scores of the k best of each row, in order."""
    keys = packed(scores, np.arange(scores.shape[1]) if numbers is None else numbers)
    if k < keys.shape[1]:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return unpacked(np.sort(keys, axis=1))


class NumpyIndex:
    """A search by matrix product, with all that depends on the items alone made beforehand."""

    def __init__(self, items: Floats, metric: str = "ip") -> None:
        self.metric = metric
        self.items = items
        if metric == "cosine":
            self.items = items / np.linalg.norm(items, axis=1, keepdims=True)
        self.squares = np.einsum("ij,ij->i", items, items) if metric == "l2" else None

    def scores(self, queries: Floats, rows: I64 | None = None) -> Floats:
        """Scores of all items, or of those in given rows."""
        items = self.items if rows is None else self.items[rows]
        if self.metric == "cosine":
            queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        if self.squares is None:
            return queries @ items.T
        scores = (2 * queries) @ items.T
        scores -= self.squares if rows is None else self.squares[rows]
        scores -= np.einsum("ij,ij->i", queries, queries)[:, None]
        return scores

    def search(
        self,
        queries: Floats,
        k: int,
        exclude: I64 | None = None,
        allow: I64 | None = None,
        exact: bool = False,
    ) -> Lists:
        """The k best; `exclude` has a row of ids a query, `allow` the ids that may be found."""
        ids = np.empty((len(queries), k), np.int64)
        found = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), BLOCK):
            part = slice(start, start + BLOCK)
            scores = self.scores(queries[part], allow)
            if exclude is not None:
                np.put_along_axis(scores, exclude[part], -np.inf, 1)
            ids[part], found[part] = (exact_best if exact else quick_best)(scores, k)
        return Lists(ids if allow is None else allow[ids], found)


def quick_best(scores: Floats, k: int) -> tuple[I64, F32]:
    """Like `best`, for rows of many scores that do not tie: their selection takes half the time."""
    n = scores.shape[1]
    columns = np.argpartition(scores, n - k, axis=1)[:, n - k :]
    return best(np.take_along_axis(scores, columns, 1).astype(np.float32), k, columns)


def exact_best(scores: Floats, k: int) -> tuple[I64, F32]:
    """The answer by definition: scores rounded to float32, ties by the lower number."""
    return best(scores.astype(np.float32), k)


def exact_search(queries: F32, items: F32, k: int, metric: str = "ip", **filters: I64) -> Lists:
    """The same in float64, rounded once."""
    index = NumpyIndex(items.astype(np.float64), metric)
    return index.search(queries.astype(np.float64), k, exact=True, **filters)


def assert_same_lists(found: Any, expected: Any) -> None:
    """The same ids in the same order; scores that are sums of float64 rounded once.

    float64 sums in two orders differ by far less than a unit of float32: after rounding by one
    unit at most, 2**-23 of the score.
    """
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=2**-23, atol=0)


def assert_scores_near(found: Any, expected: Any, queries: F32, items: F32, metric: str) -> None:
    """Scores of a float32 product: the j-th best of each list is as near as its single scores are.

    A sum of d products in any order is off by at most d u sum |q_j x_j| (1 + O(d u)), u = 2**-24,
    and that sum is at most |q| |x|. Under l2 it counts twice, and there are the two squares, d u of
    each; the operations on the results and their rounding add a few u, which d + 8 covers. Moving
    each score by no more than e moves the j-th largest by no more than e.
    """
    q, x = np.linalg.norm(queries, axis=1), np.linalg.norm(items, axis=1).max()
    size = {"ip": q * x, "cosine": np.ones_like(q), "l2": (q + x) ** 2}[metric]
    # cosine: both lengths carry the error of a sum of squares, too
    terms = (queries.shape[1] + 8) * (2 if metric == "cosine" else 1)
    assert (np.abs(found.scores - expected.scores) <= terms * 2**-24 * size[:, None]).all()
