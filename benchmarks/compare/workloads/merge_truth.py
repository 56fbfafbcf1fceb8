"""What reciprocal rank fusion has to give, place by place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
K = 60  # of 1 / (K + rank)


class Truth:
    """Every user's items with their sums, and the k best.

    Parameters
    ----------
    lists : mapping
        By channel, results with full lists.
    k : int
    """

    def __init__(self, lists: Mapping[str, Any], k: int) -> None:
        ids = np.concatenate([found.ids for found in lists.values()], axis=1)
        ranks = np.concatenate([np.arange(found.ids.shape[1]) + 1 for found in lists.values()])
        self.items: list[I64] = []  # ascending
        self.sums: list[F64] = []
        self.ids = np.empty((len(ids), k), np.int64)
        self.best = np.empty((len(ids), k))
        for user, row in enumerate(ids):
            items, places = np.unique(row, return_inverse=True)
            sums = np.bincount(places, 1 / (K + ranks))  # which adds in the order of channels
            first = np.lexsort((items, -sums.astype(np.float32)))[:k]
            self.ids[user] = items[first]
            self.best[user] = np.sort(sums)[::-1][:k]
            self.items.append(items)
            self.sums.append(sums)

    def sums_of(self, ids: I64) -> F64:
        """What the items that somebody found add up to; 0 for those that no channel has."""
        found = np.zeros(ids.shape)
        for user, row in enumerate(ids):
            items = self.items[user]
            places = np.minimum(np.searchsorted(items, row), len(items) - 1)
            found[user] = np.where(items[places] == row, self.sums[user][places], 0)
        return found

    def same_places(self, ids: I64) -> float:
        """The share of places that hold the same item."""
        return float(np.mean(ids == self.ids)) if ids.shape == self.ids.shape else 0.0

    def problem(self, ids: I64, same_ties: bool) -> str | None:
        """Say what is wrong with a peer's lists.

        With the same ties, which are those of sums in the order of channels that are rounded to
        float32, every place must hold the same item.

        Others may add in another order, in float64, and round the sum to float32 or not: a score
        is then off by at most (m - 1) 2^-53 + 2^-24 of it, for m terms. Moving every score by that
        moves the j-th best by no more, and the item at place j has a score that is off by as much:
        twice 2^-24, and 1 % for the rest, is how far its sum may be from the j-th best. So what
        ties may change places, and an item that is alone within that distance has but one.
        """
        if ids.shape != self.ids.shape:
            return f"expected lists of shape {self.ids.shape}, got {ids.shape}"
        if same_ties:
            wrong = ids != self.ids
        else:
            wrong = np.abs(self.sums_of(ids) - self.best) > 2.02 * 2.0**-24 * self.best
            ordered = np.sort(ids, axis=1)
            wrong[:, 1:] |= ordered[:, 1:] == ordered[:, :-1]
        if not wrong.any():
            return None
        return f"expected the best items in order, {wrong.sum()} of {wrong.size} places are wrong"
