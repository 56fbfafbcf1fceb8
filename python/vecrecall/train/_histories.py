"""Interactions in order of time, and the histories before each of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecrecall.train._columns import Column, check_keys, check_times, number, numbering
from vecrecall.train._feature_codes import FIRST, PADDING

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interactions:
    """Interactions by user, each user's in order of time; equal times keep the order of rows.

    Attributes
    ----------
    users, items : list of hashable
        The keys, by number, in the order in which they first come.
    user_of, item_of : ndarray of int64
        For each interaction.
    begin : ndarray of int64, one more than users
        The interactions of user ``u`` are ``begin[u]`` to ``begin[u + 1]``.
    """

    users: list[Hashable]
    items: list[Hashable]
    user_of: Rows
    item_of: Rows
    begin: Rows

    @classmethod
    def of(cls, users: Column, items: Column, times: Column | None) -> Interactions:
        """Check the columns and sort them."""
        user_keys = check_keys(users, "users")
        item_keys = check_keys(items, "items", len(user_keys))
        if not user_keys:
            raise ValueError("users: expected at least one interaction, got none")
        user_numbers, item_numbers = numbering(user_keys), numbering(item_keys)
        user_of = number(user_keys, user_numbers)
        if times is None:
            order = np.argsort(user_of, kind="stable")
        else:
            at = check_times(times, "times", len(user_keys))
            order = np.lexsort((at, user_of))  # which is stable
        counts = np.bincount(user_of, minlength=len(user_numbers))
        begin = np.concatenate([[0], np.cumsum(counts)])
        item_of = number(item_keys, item_numbers)[order]
        return cls(list(user_numbers), list(item_numbers), user_of[order], item_of, begin)

    def histories_before(self, at: Rows, length: int) -> Rows:
        """Return the last item codes before each interaction, oldest first, padded at the end."""
        return self._windows(self.begin[self.user_of[at]], at, length)

    def whole_histories(self, length: int) -> Rows:
        """Return the last item codes of each user."""
        return self._windows(self.begin[:-1], self.begin[1:], length)

    def last_of_users(self) -> Rows:
        """Return the last interaction of each user who has two or more."""
        counts = np.diff(self.begin)
        return np.asarray(self.begin[1:][counts >= 2] - 1)

    def item_counts(self, of: Rows) -> Rows:
        """Count these interactions by item."""
        return np.bincount(self.item_of[of], minlength=len(self.items))

    def _windows(self, begin: Rows, end: Rows, length: int) -> Rows:
        kept = np.minimum(end - begin, length)[:, None]
        columns = np.arange(length)
        at = np.where(columns < kept, end[:, None] - kept + columns, 0)
        return np.where(columns < kept, self.item_of[at] + FIRST, PADDING)
