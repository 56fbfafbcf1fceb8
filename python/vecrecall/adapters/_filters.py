"""Filters of a wrapped search."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.adapters._items import Items
from vecrecall.adapters.backends._protocol import Backend
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import take_rows
from vecrecall.arrays._typing import I64


class AllowSet:
    """A set of ids, or of all others, with the library's own filter for it.

    Parameters
    ----------
    ids : ndarray of int64
    complement : bool
        The set is all items but these.
    """

    def __init__(self, items: Items, backend: Backend, ids: I64, complement: bool) -> None:
        if not (ids[1:] > ids[:-1]).all():
            ids = np.unique(ids)
        labels = items.labels_of(ids)
        self.ids = ids
        self.complement = complement
        self.size = len(items) - labels.size if complement else labels.size
        self.selector: Any = backend.selector(labels, complement) if self.size else None

    def holds(self, ids: I64) -> npt.NDArray[np.bool_]:
        """Tell which ids are members."""
        return np.isin(ids, self.ids, invert=self.complement)


class Filters(NamedTuple):
    """The ids that lists may hold, and how many there are.

    Attributes
    ----------
    exclude : Ragged of int64, optional
        One row per query.
    allow : list of AllowSet
        None, one for all queries, or one per query.
    wanted : ndarray of int64, shape (nq,), or int
        How many entries a full list has, `k` or all that there are: of each query, or of all.
    """

    exclude: Ragged | None
    allow: list[AllowSet]
    wanted: I64 | int

    @classmethod
    def of(
        cls, items: Items, k: int, nq: int, exclude: Ragged | None, allow: list[AllowSet]
    ) -> "Filters":
        """Count how long the lists can be."""
        if exclude is None and not allow:
            return cls(None, allow, min(k, len(items)))
        sizes = np.array([a.size for a in allow] or [len(items)], np.int64)
        there = np.broadcast_to(sizes, nq).copy()
        if exclude is not None:
            # Exact only where it may matter: excluded ids can be unknown, or not allowed anyway.
            for row in np.flatnonzero(there - exclude.lengths < k):
                excluded = np.unique(exclude[row])
                excluded = excluded[items.find(excluded) >= 0]
                if allow:
                    excluded = excluded[allow[0 if len(allow) == 1 else row].holds(excluded)]
                there[row] -= excluded.size
        return cls(exclude, allow, np.minimum(there, k))

    def take(self, rows: I64) -> "Filters":
        """Keep some queries."""
        exclude = None if self.exclude is None else take_rows(self.exclude, rows)
        allow = [self.allow[i] for i in rows] if len(self.allow) > 1 else self.allow
        wanted = self.wanted if isinstance(self.wanted, int) else self.wanted[rows]
        return Filters(exclude, allow, wanted)

    @property
    def most(self) -> int:
        """The length of the longest full list."""
        return self.wanted if isinstance(self.wanted, int) else int(self.wanted.max(initial=0))

    @property
    def selector(self) -> Any:
        """The library's own filter, where there is one for all queries."""
        return self.allow[0].selector if len(self.allow) == 1 else None

    def selected(self, n: int) -> int:
        """Count, of `n` items, those that the library's own filter lets through."""
        return n if self.selector is None else self.allow[0].size

    def core(self) -> tuple[tuple[I64, I64] | None, list[tuple[I64, bool]]]:
        """Say it as the core takes it."""
        exclude = None if self.exclude is None else (self.exclude.values, self.exclude.offsets)
        return exclude, [(a.ids, a.complement) for a in self.allow]
