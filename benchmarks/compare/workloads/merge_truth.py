"""The expected lists of reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
K = 60  # of 1 / (K + rank)


class Truth:
    """The items of every user with their sums, and the k best.

    Parameters
    ----------
    lists : mapping
        Results with full lists, by channel.
    k : int
    """

    def __init__(self, lists: Mapping[str, Any], k: int) -> None:
        ids = np.concatenate([found.ids for found in lists.values()], axis=1)
        ranks = np.concatenate([np.arange(found.ids.shape[1]) + 1 for found in lists.values()])
        weights: F64 = 1 / (K + ranks)
        self.items: list[I64] = []  # ascending
        self.sums: list[F64] = []
        self.ids = np.empty((len(ids), k), np.int64)
        self.best = np.empty((len(ids), k))
        for user, row in enumerate(ids):
            items, places = np.unique(row, return_inverse=True)
            sums: F64 = np.bincount(places, weights).astype(
                np.float64, copy=False
            )  # adds in the order of channels
            first = np.lexsort((items, -sums.astype(np.float32)))[:k]
            self.ids[user] = items[first]
            self.best[user] = np.sort(sums)[::-1][:k]
            self.items.append(items)
            self.sums.append(sums)

    def sums_of(self, ids: I64) -> F64:
        """Return the sums of given items; 0 for items that no channel has."""
        found = np.zeros(ids.shape)
        for user, row in enumerate(ids):
            items = self.items[user]
            places = np.minimum(np.searchsorted(items, row), len(items) - 1)
            found[user] = np.where(items[places] == row, self.sums[user][places], 0)
        return found

    def same_ranks(self, ids: I64) -> float:
        """Return the share of ranks with the same item."""
        return float(np.mean(ids == self.ids)) if ids.shape == self.ids.shape else 0.0

    def problem(self, ids: I64, same_ties: bool) -> str | None:
        """Describe the error in a peer's lists, if there is one.

        With our ties, those of sums in the order of channels that are rounded to float32, every
        rank must have the same item.

        Other peers may add in another order in float64, and may round the sum to float32: a score
        then has a relative error of at most (m - 1) 2^-53 + 2^-24 for m terms. Moving every score
        by this error moves the j-th best by no more, and the score of the item at rank j has the
        same error. Its sum may thus differ from the j-th best by twice 2^-24, plus 1 % for the
        other terms: ties may change ranks, and an item without others in that distance may not.
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
