"""Ranked lists in plain NumPy: the baseline of searches, and checks of answers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

BLOCK = 16  # queries at a time: their scores stay in the cache, twice as fast as all at once


class Lists(NamedTuple):
    """One list per row; -1 and -inf after its end."""

    ids: I64
    scores: F32


def packed(scores: F32, numbers: I64) -> I64:
    """Pack score and number into integers whose order is score descending, number ascending.

    np.sort and np.partition on integers use vector instructions: several times as fast as
    np.lexsort or a stable argsort.
    """
    bits = scores.view(np.int32)
    return (~(bits ^ (bits >> 31 & 0x7FFFFFFF))).astype(np.int64) << 32 | numbers


def unpacked(keys: I64) -> tuple[I64, F32]:
    """Return the numbers and scores of `packed`."""
    bits = ~(keys >> 32).astype(np.int32)
    return keys & 0xFFFFFFFF, (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(np.float32)


def best(scores: F32, k: int, numbers: I64 | None = None) -> tuple[I64, F32]:
    """Return numbers (by default columns) and scores of the k best of each row, in order."""
    keys = packed(scores, np.arange(scores.shape[1]) if numbers is None else numbers)
    if k < keys.shape[1]:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return unpacked(np.sort(keys, axis=1))


class NumpyIndex:
    """A search by matrix product, with everything that depends only on the items precomputed."""

    def __init__(self, items: Floats, metric: str = "ip") -> None:
        self.metric = metric
        self.items = items
        if metric == "cosine":
            self.items = items / np.linalg.norm(items, axis=1, keepdims=True)
        self.squares = np.einsum("ij,ij->i", items, items) if metric == "l2" else None

    def scores(self, queries: Floats, rows: I64 | None = None) -> Floats:
        """Score all items, or those in given rows."""
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
        """Find the k best; `exclude` has a row of ids per query, `allow` the allowed ids."""
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
    """Select as `best` does in half the time, for rows of many scores without ties."""
    n = scores.shape[1]
    columns = np.argpartition(scores, n - k, axis=1)[:, n - k :]
    return best(np.take_along_axis(scores, columns, 1).astype(np.float32), k, columns)


def exact_best(scores: Floats, k: int) -> tuple[I64, F32]:
    """Return the answer by definition: scores rounded to float32, ties by the lower number."""
    return best(scores.astype(np.float32), k)


def exact_search(queries: F32, items: F32, k: int, metric: str = "ip", **filters: I64) -> Lists:
    """Search by definition in float64, with scores rounded once."""
    index = NumpyIndex(items.astype(np.float64), metric)
    return index.search(queries.astype(np.float64), k, exact=True, **filters)


def assert_same_lists(found: Any, expected: Any) -> None:
    """Check for the same ids in the same order, and scores that are float64 sums rounded once.

    float64 sums in two orders differ by far less than a unit of float32: after rounding by one
    unit at most, 2**-23 of the score.
    """
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=2**-23, atol=0)


def own_scores(queries: F32, items: F32, ids: I64, metric: str) -> Floats:
    """Score the items of a list in float64."""
    scores = np.empty(ids.shape)
    for start in range(0, len(ids), BLOCK):
        part = slice(start, start + BLOCK)
        x, q = items[ids[part]].astype(np.float64), queries[part, None].astype(np.float64)
        if metric == "l2":
            scores[part] = -((x - q) ** 2).sum(axis=2)
            continue
        scores[part] = np.einsum("ijk,ilk->ij", x, q)
        if metric == "cosine":
            scores[part] /= np.linalg.norm(x, axis=2) * np.linalg.norm(q, axis=2)
    return scores


def errors(queries: F32, items: F32, metric: str) -> Floats:
    """Bound the error of a score by float32 products, per query.

    A sum of d products in any order is off by at most d u sum |q_j x_j| (1 + O(d u)), u = 2**-24,
    and that sum is at most |q| |x|. Under l2 it counts twice, and there are the two squares, d u of
    each; the operations on the results and their rounding add a few u, which d + 8 covers.
    """
    q, x = np.linalg.norm(queries, axis=1), np.linalg.norm(items, axis=1).max()
    size = {"ip": q * x, "cosine": np.ones_like(q), "l2": (q + x) ** 2}[metric]
    # cosine: both lengths also have the error of a sum of squares
    terms = (queries.shape[1] + 8) * (2 if metric == "cosine" else 1)
    return terms * 2.0**-24 * size.astype(np.float64)


def assert_distinct(ids: I64) -> None:
    """Check that no list has an item twice; negative ids are no items."""
    ordered = np.sort(ids, axis=1)
    assert ((ordered[:, 1:] != ordered[:, :-1]) | (ordered[:, 1:] < 0)).all()


def assert_near_lists(
    found: Any, expected: Any, queries: F32, items: F32, metric: str = "ip"
) -> None:
    """Check lists by float32 products: as good as the expected ones, rank by rank.

    Moving each score by no more than `errors` moves the j-th largest by no more than that; and the
    item at each place has the score that stands there. Near ties may change places.
    """
    near = errors(queries, items, metric)[:, None]
    assert found.ids.shape == expected.ids.shape
    assert_distinct(found.ids)
    assert (np.abs(found.scores - expected.scores) <= near).all()
    assert (np.abs(found.scores - own_scores(queries, items, found.ids, metric)) <= near).all()


def assert_near_above(found: Any, expected: Any, queries: F32, items: F32, floor: float) -> None:
    """Check lists that end at a score as `assert_near_lists` does, up to items near that score."""
    near = errors(queries, items, "ip")[:, None]
    real, wanted = found.ids >= 0, expected.ids >= 0
    assert (real == (found.scores >= floor)).all()
    assert_distinct(found.ids)
    own = own_scores(queries, items, np.where(real, found.ids, 0), "ip")
    assert (np.abs(found.scores - own) <= near)[real].all()
    scores, best = np.where(real, found.scores, floor), np.where(wanted, expected.scores, floor)
    assert (np.abs(scores - best) <= near).all()
