"""The protocol that every index follows, and the types in it."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import SearchResult
from vecrecall.search._masks import Mask

Metric = Literal["ip", "cosine", "l2"]
Invalid = Literal["raise", "empty"]
Ids = npt.ArrayLike | AbstractSet[int]
Allow = Mask | Sequence[Mask] | Ids
Progress = Callable[[int, int], object]


class Neighbors(NamedTuple):
    """Each item's nearest others, in the order of ``index.ids``.

    Attributes
    ----------
    ids : Ragged of int64, n rows
        Score descending, then id ascending; the item itself is not among them.
    scores : Ragged of float32, n rows
    """

    ids: Ragged
    scores: Ragged


@runtime_checkable
class SearchableIndex(Protocol):
    """Methods of `FlatIndex`, `IVFIndex`, `WrappedIndex` and `ReloadingIndex`.

    Each stands in for another: a method takes the same arguments and returns the same on all of
    them; `FlatIndex` says what. Scores are larger for better items, lists are ordered by score
    descending, then id ascending. Methods that need the items' vectors (`score`, `vectors`,
    `neighbors`) raise an error where an index does not have them.

    ``isinstance(index, vr.SearchableIndex)`` tells whether all methods are there.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> def best(index: vr.SearchableIndex, query: list[float]) -> int:
    ...     return int(index.search(query, 1).ids[0, 0])
    >>> best(vr.FlatIndex(np.eye(3, dtype=np.float32)), [0.0, 2.0, 1.0])
    1
    """

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The items' ids, shape (n,)."""

    @property
    def dim(self) -> int:
        """The vectors' width."""

    @property
    def metric(self) -> Metric:
        """The metric's name."""

    def __len__(self) -> int: ...

    def __contains__(self, id: object) -> bool: ...

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        min_score: float | None = None,
        invalid: Invalid = "raise",
        stats: bool = False,
        threads: int | None = None,
    ) -> SearchResult:
        """Find the `k` best items of every query."""

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query."""

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item."""

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``."""

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Copy out the rows of given ids."""

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the index has."""


def frozen(index: Any) -> Any:
    """Return an index as it is now, for reads that belong together; anything else as it is."""
    freeze = getattr(type(index), "_frozen", None)
    return index if freeze is None else freeze(index)
