"""Tables of items' neighbors: made, saved, joined for users."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vecrecall import _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._candidate_lists import CandidateLists, IdIndex, weighed
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.search import _neighbors
from vecrecall.search._neighbor_files import load
from vecrecall.search._neighbors import Joinable, Progress


class NeighborTable:
    """A similar-item list for each item: what `channels.ItemToItem` looks up.

    Parameters
    ----------
    items : array_like of int, shape (n,)
        Whose lists they are; unique.
    ids : ragged of int, n rows
        The similar items of each.
    scores : ragged or flat array_like of float
        One score for each of the `ids`, not NaN and not beyond float32, though it may be infinite,
        as that of a search.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
    ids : Ragged of int64
    scores : Ragged of float32

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    The news recommender that this library follows keeps for every article its 1000 nearest by
    cosine, drops those under 0.6 and reweights what is left by heat, click-through rate and
    freshness: ``NeighborTable.build(index, 1000, min_score=0.6).reweighted(...)``.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [3, 1], [0, 1]], np.float32), metric="cosine")
    >>> table = vr.NeighborTable.build(index, 2, min_score=0.6)
    >>> [row.tolist() for row in table.ids]
    [[1], [0], []]
    """

    items: I64
    ids: Ragged
    scores: Ragged

    def __init__(self, items: npt.ArrayLike, ids: RaggedLike, scores: RaggedLike) -> None:
        self.items = _ids.check_integers(items, "items")
        self.ids = _ragged_checks.check_ragged(ids, "ids", len(self.items))
        self.scores = _float_entries(scores, self.ids)
        self._lists = CandidateLists(self.items, "items", self.ids, self.scores.values)

    @classmethod
    def build(
        cls,
        index: Joinable,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
    ) -> "NeighborTable":
        """Make the table of all items of an index.

        Parameters
        ----------
        index : FlatIndex or WrappedIndex
            One that was wrapped needs its vectors.
        k, min_score, progress, path
            As of `FlatIndex.neighbors`.

        Returns
        -------
        NeighborTable
        """
        index = index._frozen()
        found = index.neighbors(k, min_score=min_score, progress=progress, path=path)
        return cls(index.ids, *found)

    @classmethod
    def load(cls, path: str | Path) -> "NeighborTable":
        """Read a table that `FlatIndex.neighbors` has written, mapped into memory.

        Parameters
        ----------
        path : str or Path
            The folder.

        Returns
        -------
        NeighborTable

        Raises
        ------
        FileNotFoundError
            If there is no table in the folder.
        ValueError
            If the table is not complete.
        """
        return cls(*load(_scalars.check_path(path, "path")))

    def reweighted(self, factors: Mapping[str, npt.ArrayLike]) -> "NeighborTable":
        """Multiply each score by factors of the similar item, and sort the lists again.

        Parameters
        ----------
        factors : mapping of str to array_like of float, shape (n,)
            By any names, for example heat, click-through rate and freshness; each has one
            finite number for each of `items`.

        Returns
        -------
        NeighborTable
            Products in float64, rounded once; beyond float32 an infinity, which orders as one.

        Raises
        ------
        TypeError, ValueError
            If a factor is not as described, or a similar item is not among `items`.

        Examples
        --------
        >>> import vecrecall as vr
        >>> table = vr.NeighborTable([1, 2, 3], [[2, 3], [], []], [[0.75, 0.5], [], []])
        >>> table.reweighted({"heat": [1, 1, 2]}).ids[0].tolist()
        [3, 2]
        """
        if not isinstance(factors, Mapping):
            raise TypeError(
                f"factors: expected a mapping of names to arrays, got {type(factors).__name__}"
            )
        product = np.ones(len(self.items))
        for name, factor in factors.items():
            with np.errstate(over="ignore"):
                product *= _validation.check_weights(factor, f"factors[{name!r}]", len(self.items))
            bad = np.flatnonzero(~np.isfinite(product))
            if bad.size:
                raise ValueError(
                    f"factors[{name!r}]: expected products that fit float64, "
                    f"got an overflow at place {bad[0]}"
                )
        places = IdIndex(self.items, "items").find(self.ids.values)
        if (places < 0).any():
            stranger = self.ids.values[places < 0][0]
            raise ValueError(f"ids: expected ids that are among the items, got {stranger}")
        scores = weighed(self.scores.values, product[places])
        ids = np.empty_like(self.ids.values)
        for part, order in _ordered(self.ids, scores):
            ids[part], scores[part] = order
        return NeighborTable(
            self.items, Ragged(ids, self.ids.offsets), Ragged(scores, self.ids.offsets)
        )

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"NeighborTable({len(self)} items, {self.ids.values.size} neighbors)"

    def _join(
        self, items: Ragged, weights: F64, k: int, aggregate: str, exclude: Ragged | None
    ) -> SearchResult:
        """Join the lists of each user's items."""
        rows = Ragged._of(self._lists.find(items.values), items.offsets)
        return self._lists.joined(rows, k, aggregate, exclude, weights=weights)


def _float_entries(scores: RaggedLike, ids: Ragged) -> Ragged:
    if isinstance(scores, Ragged) and scores.values.dtype == np.float32:  # perhaps mapped
        if not np.array_equal(scores.offsets, ids.offsets):
            raise ValueError("scores: expected rows as long as those of ids, got other lengths")
        values = scores.values
    else:
        wide = _ragged_checks.check_entry_numbers(scores, "scores", ids, "ids")
        with np.errstate(over="ignore"):
            values = wide.astype(np.float32)
        if (np.isinf(values) & np.isfinite(wide)).any():
            raise ValueError("scores: expected float32 numbers, got an overflow")
    if np.isnan(values).any():
        raise ValueError("scores: expected float32 numbers, got NaN")
    return Ragged._of(values, ids.offsets)


def _ordered(ids: Ragged, scores: F32) -> Iterator[tuple[slice, tuple[I64, F32]]]:
    """Order rows by score descending, then id ascending, some rows at a time."""
    threads = _core.num_threads()
    for start in range(0, len(ids), _neighbors.BLOCK_ROWS):
        offsets = ids.offsets[start : start + _neighbors.BLOCK_ROWS + 1]
        part = slice(int(offsets[0]), int(offsets[-1]))
        lengths = np.diff(offsets)
        held = np.arange(max(1, lengths.max())) < lengths[:, None]
        padded = (np.full(held.shape, -1, np.int64), np.zeros(held.shape, np.float32))
        padded[0][held], padded[1][held] = ids.values[part], scores[part]
        lists = (*padded, lengths.astype(np.int32))
        in_order = _core.merge_shards([lists], held.shape[1], threads)
        yield part, (in_order[0][held], in_order[1][held])
