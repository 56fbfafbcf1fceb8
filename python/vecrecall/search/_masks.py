"""Sets of ids that a search may return."""

import weakref
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._conversion import members
from vecrecall.arrays._typing import I64


class _Masked(Protocol):
    """An index that makes masks."""

    def _mask_owner(self) -> object:
        """Tell for whom masks are made: this index, or what stands for it and its other views."""

    def _allow(self, ids: I64, complement: bool) -> Any:
        """Prepare a set of ids, or of all others, for searches."""


class Mask:
    """A set of item ids, made by an index's `mask`, to pass as ``allow``.

    Masks of one index combine with ``&``, ``|`` and ``~``; ``~`` is relative to the index's items
    at the time of a search. Unknown ids are ignored. A mask stays right when the index is updated.

    Pickles and deep copies hold the ids and not the index: the copy becomes a mask of the index
    that it is first used with.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.eye(4, dtype=np.float32))
    >>> fresh, sport = index.mask([0, 1, 2]), index.mask([2, 3])
    >>> index.search(np.ones((1, 4), np.float32), 4, allow=fresh & ~sport).ids.tolist()
    [[0, 1, -1, -1]]
    """

    __slots__ = ("_complement", "_ids", "_owner", "_prepared")

    def __init__(self, owner: "weakref.ref[object] | None", ids: I64, complement: bool) -> None:
        self._owner = owner  # None: a copy, which has not been used
        self._ids = ids  # sorted, unique
        self._complement = complement  # the set is all ids but these
        self._prepared: Any = None

    def _prepared_for(self, index: _Masked) -> Any:
        """Prepare the set for searches of `index`, which must be the mask's own."""
        owner = index._mask_owner()
        if self._owner is None:
            self._owner = weakref.ref(owner)
        if self._owner() is not owner:
            raise ValueError("allow: expected a mask of this index, got one of another index")
        if self._prepared is None:
            self._prepared = index._allow(self._ids, self._complement)
        return self._prepared

    def _joined(self, other: object) -> "tuple[Mask, weakref.ref[object] | None]":
        """Check what a mask is combined with; the index is that of either, where one has none."""
        if not isinstance(other, Mask):
            raise TypeError(f"mask: expected a Mask to combine with, got {type(other).__name__}")
        if self._owner is None or other._owner is None:
            return other, self._owner or other._owner
        if other._owner() is None and self._owner() is None:
            raise ValueError(
                "mask: expected masks of an index that is there, got of one that is gone"
            )
        if other._owner() is not self._owner():
            raise ValueError("mask: expected two masks of one index, got masks of two indexes")
        return other, self._owner

    def __invert__(self) -> "Mask":
        return Mask(self._owner, self._ids, not self._complement)

    def __and__(self, other: object) -> "Mask":
        b, owner = self._joined(other)
        if self._complement and b._complement:
            return Mask(owner, np.union1d(self._ids, b._ids), True)
        if self._complement:
            return Mask(owner, np.setdiff1d(b._ids, self._ids, assume_unique=True), False)
        if b._complement:
            return Mask(owner, np.setdiff1d(self._ids, b._ids, assume_unique=True), False)
        return Mask(owner, np.intersect1d(self._ids, b._ids, assume_unique=True), False)

    def __or__(self, other: object) -> "Mask":
        return ~(~self & ~self._joined(other)[0])

    def __copy__(self) -> "Mask":
        return self  # what it stands for never changes

    def __getstate__(self) -> tuple[I64, bool]:
        """Leave the index out, which has a pickle of its own."""
        return self._ids, self._complement

    def __setstate__(self, state: tuple[npt.ArrayLike, bool]) -> None:
        """Take ids that may be unsorted."""
        ids, complement = state
        ids = np.unique(_ids.check_integers(ids, "mask"))
        Mask.__init__(self, None, ids, _scalars.check_bool(complement, "mask"))

    def __repr__(self) -> str:
        ids = _scalars.counted(self._ids.size, "id")
        return f"Mask({'all but ' if self._complement else ''}{ids})"


def allowed(index: _Masked, allow: object, nq: int) -> list[Any]:
    """Prepare what a search was given as ``allow``: one set for all queries, or one per query."""
    if isinstance(allow, Mask):
        return [allow._prepared_for(index)]
    masks = _masks_in(allow)
    if masks:
        if not all(isinstance(a, Mask) for a in masks):
            raise TypeError("allow: expected ids or masks, got a mix of both")
        if len(masks) != nq:
            raise ValueError(f"allow: expected {nq} masks, one per query, got {len(masks)}")
        return [a._prepared_for(index) for a in masks]
    if _has_rows(allow):
        raise ValueError(
            "allow: expected ids or one mask for all queries, or a sequence of masks, one per "
            "query (index.mask(ids)), got rows of ids"
        )
    return [index._allow(_ids.check_id_set(allow, "allow"), False)]


def _masks_in(allow: object) -> list[Any]:
    """List what a sequence holds if a mask is part of it."""
    if isinstance(allow, np.ndarray) and allow.dtype.kind != "O":
        return []  # of numbers: not listed one by one
    given = members(allow) or []
    return given if any(isinstance(a, Mask) for a in given) else []


def _has_rows(allow: object) -> bool:
    """Tell lists of ids from ids."""
    first = allow[0] if isinstance(allow, (list, tuple)) and allow else None
    return isinstance(first, (list, tuple, set, frozenset)) or (
        isinstance(first, np.ndarray) and first.ndim > 0
    )


def mask(index: _Masked, ids: npt.ArrayLike | AbstractSet[int]) -> Mask:
    """Make a mask of an index."""
    return Mask(weakref.ref(index._mask_owner()), np.unique(_ids.check_id_set(ids, "ids")), False)
