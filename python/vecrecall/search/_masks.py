"""Sets of ids that a search may return."""

import weakref
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids
from vecrecall.arrays._typing import I64


class _Masked(Protocol):
    """An index that makes masks."""

    def _mask_owner(self) -> "_Masked":
        """Tell which index masks are made for: this one, or the one that it is a view of."""

    def _allow(self, ids: I64, complement: bool) -> Any:
        """Prepare a set of ids, or of all others, for searches."""


class Mask:
    """A set of item ids, made by an index's `mask`, to pass as ``allow``.

    Masks of one index combine with ``&``, ``|`` and ``~``; ``~`` is relative to the index's items
    at the time of a search. Unknown ids are ignored. A mask stays right when the index is updated.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.eye(4, dtype=np.float32))
    >>> fresh, sport = index.mask([0, 1, 2]), index.mask([2, 3])
    >>> index.search(np.ones((1, 4), np.float32), 4, allow=fresh & ~sport).ids.tolist()
    [[0, 1, -1, -1]]
    """

    __slots__ = ("_complement", "_ids", "_index", "_prepared")

    def __init__(self, index: "weakref.ref[_Masked]", ids: I64, complement: bool) -> None:
        self._index = index
        self._ids = ids  # sorted, unique
        self._complement = complement  # the set is all ids but these
        self._prepared: Any = None

    def _prepared_for(self, index: _Masked) -> Any:
        """Prepare the set for searches of `index`, which must be the mask's own."""
        if self._index() is not index._mask_owner():
            raise ValueError("allow: expected a mask of this index, got one of another index")
        if self._prepared is None:
            self._prepared = index._allow(self._ids, self._complement)
        return self._prepared

    def _check(self, other: object) -> "Mask":
        if not isinstance(other, Mask):
            raise TypeError(f"mask: expected a Mask to combine with, got {type(other).__name__}")
        if other._index() is None or other._index() is not self._index():
            raise ValueError("mask: expected two masks of one index, got masks of two indexes")
        return other

    def __invert__(self) -> "Mask":
        return Mask(self._index, self._ids, not self._complement)

    def __and__(self, other: object) -> "Mask":
        b = self._check(other)
        if self._complement and b._complement:
            return Mask(self._index, np.union1d(self._ids, b._ids), True)
        if self._complement:
            return Mask(self._index, np.setdiff1d(b._ids, self._ids, assume_unique=True), False)
        if b._complement:
            return Mask(self._index, np.setdiff1d(self._ids, b._ids, assume_unique=True), False)
        return Mask(self._index, np.intersect1d(self._ids, b._ids, assume_unique=True), False)

    def __or__(self, other: object) -> "Mask":
        return ~(~self & ~self._check(other))

    def __repr__(self) -> str:
        return f"Mask({'all but ' if self._complement else ''}{self._ids.size} ids)"


def allowed(index: _Masked, allow: object, nq: int) -> list[Any]:
    """Prepare what a search was given as ``allow``: one set for all queries, or one per query."""
    if isinstance(allow, Mask):
        return [allow._prepared_for(index)]
    if isinstance(allow, (list, tuple)) and any(isinstance(a, Mask) for a in allow):
        if not all(isinstance(a, Mask) for a in allow):
            raise TypeError("allow: expected ids or masks, got a mix of both")
        if len(allow) != nq:
            raise ValueError(f"allow: expected {nq} masks, one per query, got {len(allow)}")
        return [a._prepared_for(index) for a in allow]
    return [index._allow(_ids.check_id_set(allow, "allow"), False)]


def mask(index: _Masked, ids: npt.ArrayLike | AbstractSet[int]) -> Mask:
    """Make a mask of an index."""
    return Mask(weakref.ref(index._mask_owner()), np.unique(_ids.check_id_set(ids, "ids")), False)
