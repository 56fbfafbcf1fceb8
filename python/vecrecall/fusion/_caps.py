"""Limits on how many items of one group a merged list may hold."""

from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _scalars


class Caps:
    """At most `limit` items of one group in a list: of one author, of one category.

    Built once, used by any number of merges at once.

    Parameters
    ----------
    ids : array_like of int, shape (n,)
        Items with a group; unique, >= 0. All other items are free.
    groups : array_like of int, shape (n,)
        The group of each, any number.
    limit : int
        >= 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import vecrecall as vr
    >>> authors = vr.Caps(ids=[1, 2, 3, 4], groups=[70, 70, 70, 80], limit=2)
    >>> lists = {"hot": ([[1, 2, 3, 4, 5]], [[5.0, 4.0, 3.0, 2.0, 1.0]])}
    >>> vr.merge(lists, 5, vr.policies.RRF(), caps=authors).ids.tolist()
    [[1, 2, 4, 5, -1]]
    """

    __slots__ = ("_core", "_limit")

    def __init__(self, ids: npt.ArrayLike, groups: npt.ArrayLike, limit: int) -> None:
        item_ids = _ids.check_integers(ids, "ids")
        numbers = _ids.check_integers(groups, "groups")
        if numbers.shape != item_ids.shape:
            raise ValueError(
                f"groups: expected {item_ids.size} groups, one per id, got {numbers.size}"
            )
        self._limit = _scalars.check_int(limit, "limit", 0)
        most = min(self._limit, np.iinfo(np.int64).max)
        self._core = _core.Caps(item_ids, numbers, most)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies by the constructor; the groups may have got other numbers."""
        return type(self), (*self._core.members(), self._limit)

    @property
    def limit(self) -> int:
        """Most items of one group in a list."""
        return self._limit

    def __repr__(self) -> str:
        return f"Caps(limit={self.limit})"
