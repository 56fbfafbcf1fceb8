"""Sets of ids that a search may return."""

import weakref
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vecrecall import _core

if TYPE_CHECKING:
    from vecrecall.index import FlatIndex

I64 = npt.NDArray[np.int64]


class Mask:
    """A set of item ids, made by `FlatIndex.mask`, to pass as ``allow``.

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

    __slots__ = ("_bits", "_complement", "_ids", "_index")

    def __init__(self, index: "weakref.ref[FlatIndex]", ids: I64, complement: bool) -> None:
        self._index = index
        self._ids = ids  # sorted, unique
        self._complement = complement  # the set is all ids but these
        self._bits: _core.IdMask | None = None

    def _bits_for(self, index: "FlatIndex") -> _core.IdMask:
        """Tell the core which ids are in the set; `index` must be the mask's own."""
        if self._index() is not index:
            raise ValueError("allow: expected a mask of this index, got one of another index")
        if self._bits is None:
            self._bits = index._rows_of(self._ids, self._complement)
        return self._bits

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
