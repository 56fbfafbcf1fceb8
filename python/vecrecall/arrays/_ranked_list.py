"""One query's ranked list, as the results of many queries give it."""

from collections.abc import Iterator
from typing import Any, ClassVar, SupportsIndex, TypeVar, overload

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._scalars import check_place

L = TypeVar("L", bound="RankedList")

_SHOWN = 3  # entries in a repr


class RankedList:
    """One query's ranked list without padding: a sequence of ``(id, score)`` pairs.

    ``result[i]`` and iteration over a result give it. `len` is the number of items; ``one[0]`` is
    the best pair, ``one[:3]`` the list of the best three. Its arrays are views of those of the
    result.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
    scores : ndarray of float32, shape (n,)

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), ids=[10, 20, 30])
    >>> one = index.search(np.array([2, 1], np.float32), k=5)[0]
    >>> len(one), one.ids.tolist(), one[0], dict(one)
    (3, [30, 10, 20], (30, 3.0), {30: 3.0, 10: 2.0, 20: 1.0})
    """

    __slots__ = ("ids", "scores")
    __hash__ = None  # type: ignore[assignment]

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    # The constructor's arguments in order: what has a value per item, and what is of the query.
    _ENTRY_FIELDS: ClassVar[tuple[str, ...]] = ("ids", "scores")
    _QUERY_FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> None:
        self.ids = ids
        self.scores = scores

    def to_list(self) -> list[tuple[int, float]]:
        """Return the pairs as Python numbers.

        Returns
        -------
        list of (int, float)
        """
        return list(self)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: SupportsIndex) -> tuple[int, float]: ...

    @overload
    def __getitem__(self: L, place: slice) -> L: ...

    def __getitem__(self: L, place: SupportsIndex | slice) -> tuple[int, float] | L:
        if not isinstance(place, slice):
            i = check_place(place, len(self), "place", " or a slice")
            return int(self.ids[i]), float(self.scores[i])
        entries = (taken(getattr(self, name), place) for name in self._ENTRY_FIELDS)
        return type(self)(*entries, *(getattr(self, name) for name in self._QUERY_FIELDS))

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.ids.tolist(), self.scores.tolist(), strict=True)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = self._ENTRY_FIELDS + self._QUERY_FIELDS
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    def __reduce__(self) -> tuple[Any, ...]:
        names = self._ENTRY_FIELDS + self._QUERY_FIELDS
        return type(self), tuple(getattr(self, name) for name in names)

    def __repr__(self) -> str:
        pairs = ", ".join(map(repr, self[:_SHOWN]))
        more = f", ... {len(self)} items" if len(self) > _SHOWN else ""
        return f"{type(self).__name__}([{pairs}{more}])"


class GroupList(RankedList):
    """One group's ranked list without padding.

    Attributes
    ----------
    ids, scores
        As in `RankedList`.
    n_rows : ndarray of int32, shape (n,)
    best_row : ndarray of int64, shape (n,)
        As in `GroupResult`.
    """

    __slots__ = ("best_row", "n_rows")

    n_rows: npt.NDArray[np.int32]
    best_row: npt.NDArray[np.int64]

    _ENTRY_FIELDS = ("ids", "scores", "n_rows", "best_row")

    def __init__(
        self,
        ids: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        n_rows: npt.NDArray[np.int32],
        best_row: npt.NDArray[np.int64],
    ) -> None:
        super().__init__(ids, scores)
        self.n_rows = n_rows
        self.best_row = best_row


class MergedList(RankedList):
    """One query's merged list without padding.

    Attributes
    ----------
    ids, scores
        As in `RankedList`.
    channels : ndarray of uint64, shape (n,)
    ranks : ndarray of int32, shape (n, n_channels), or None
    channel_scores : ndarray of float32, shape (n, n_channels), or None
    unfilled : ndarray of int32, shape (n_channels,)
        As in `MergeResult`.
    """

    __slots__ = ("channel_scores", "channels", "ranks", "unfilled")

    channels: npt.NDArray[np.uint64]
    ranks: npt.NDArray[np.int32] | None
    channel_scores: npt.NDArray[np.float32] | None
    unfilled: npt.NDArray[np.int32]

    _ENTRY_FIELDS = ("ids", "scores", "channels", "ranks", "channel_scores")
    _QUERY_FIELDS = ("unfilled",)

    def __init__(
        self,
        ids: npt.NDArray[np.int64],
        scores: npt.NDArray[np.float32],
        channels: npt.NDArray[np.uint64],
        ranks: npt.NDArray[np.int32] | None,
        channel_scores: npt.NDArray[np.float32] | None,
        unfilled: npt.NDArray[np.int32],
    ) -> None:
        super().__init__(ids, scores)
        self.channels = channels
        self.ranks = ranks
        self.channel_scores = channel_scores
        self.unfilled = unfilled


def taken(field: Any, which: Any) -> Any:
    """Take some entries of a field, which a result may not have."""
    return None if field is None else np.asarray(field)[which]


def same(a: Any, b: Any) -> bool:
    """Compare a field of two results; NaN equals NaN."""
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
