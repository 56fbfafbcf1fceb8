"""Tables of items' neighbors: made, saved, joined for users."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._candidate_lists import CandidateLists, IdIndex, weighed
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.search import _neighbor_files, _neighbors
from vecrecall.search._ivf_index import Probes, probing
from vecrecall.search._protocol import Progress, SearchableIndex, frozen


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
    With pickle protocol 5 the lists can go out of band: the unpickled table uses the buffers it is
    given without copying them, and they must not change. Unpickled lists are checked as arguments
    are.

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
        index: SearchableIndex,
        k: int,
        *,
        probes: Probes | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> "NeighborTable":
        """Make the table of all items of an index.

        Parameters
        ----------
        index : FlatIndex, IVFIndex, WrappedIndex or ReloadingIndex
            One that was wrapped needs its vectors; one that reloads is read in one version.
        k, min_score, progress, path, threads
            As of `FlatIndex.neighbors`.
        probes : int or "exact", optional
            As of `IVFIndex.search`; an error for an index without lists.

        Returns
        -------
        NeighborTable

        Raises
        ------
        TypeError
            If it is no index, or `probes` is given for one without lists.
        ValueError
            As of `FlatIndex.neighbors`.
        """
        whole: SearchableIndex = frozen(index)
        if not callable(getattr(whole, "neighbors", None)):
            raise TypeError(
                f"index: expected an index with a neighbors method, got {_scalars.type_name(index)}"
            )
        wanted = probing(whole, probes)
        found = whole.neighbors(
            k, min_score=min_score, progress=progress, path=path, threads=threads, **wanted
        )
        return cls(whole.ids, *found)

    def save(self, path: str | Path) -> None:
        """Write the table into a folder: `.npy` arrays and a JSON manifest.

        Parameters
        ----------
        path : str or Path
            A folder that is new, empty or holds a saved table, whole or interrupted, which is
            replaced as a whole: by the time that the call returns the new one is on the disk, and
            if it fails or the process is killed, the old one is there. Its parents are created.

        Raises
        ------
        OSError
            If the folder cannot be made or written.
        ValueError
            If there is something else in the folder.

        Notes
        -----
        A save to a path to which another table is being saved or built waits for the end of that.
        For a table that exceeds memory give `build` the path.

        Examples
        --------
        >>> import tempfile, vecrecall as vr
        >>> table = vr.NeighborTable([1, 2], [[2], [1]], [[0.75], [0.75]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table.save(folder)
        ...     vr.NeighborTable.load(folder).ids[0].tolist()
        [2]
        """
        _neighbor_files.save(
            _scalars.check_path(path, "path"), self.items, self.ids, self.scores.values
        )

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = True, verify: bool = False) -> "NeighborTable":
        """Read a table that `save`, `build` or `FlatIndex.neighbors` has written.

        Parameters
        ----------
        path : str or Path
            The folder.
        mmap : bool
            Map the files instead of reading them: processes share one copy in memory.
        verify : bool
            Read everything and compare checksums, which finds every changed bit. Without it what
            is checked makes lookups safe whatever is in the files: the arrays' types and sizes,
            offsets that descend, items that stand twice and scores that are NaN are errors.

        Returns
        -------
        NeighborTable
            With the bits of the one that was saved.

        Raises
        ------
        OSError
            If a file is missing or cannot be read.
        ValueError
            If the table is not complete, or files are cut short, do not fit together or are not
            those of a table; the message names the file or the array.

        Examples
        --------
        See `save`.
        """
        mmap, verify = _scalars.check_bool(mmap, "mmap"), _scalars.check_bool(verify, "verify")
        folder = _scalars.check_path(path, "path")
        found = _neighbor_files.load(folder, mmap=mmap, verify=verify)
        try:
            return cls(*found)
        except ValueError as error:
            raise ValueError(f"path: expected a whole table in {folder}, got {error}") from error

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

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies by the constructor, which trusts nothing and copies no long array."""
        return type(self), (self.items, self.ids, self.scores)

    def __repr__(self) -> str:
        items = _scalars.counted(len(self), "item")
        return f"NeighborTable({items}, {_scalars.counted(self.ids.values.size, 'neighbor')})"

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
