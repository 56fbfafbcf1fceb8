"""Ranked lists found by a key, and several of them joined into one."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._conversion import contiguous
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import concat_rows, offsets_of, segments
from vecrecall.arrays._results import SearchResult, empty_lists
from vecrecall.arrays._typing import F32, F64, I64

AGGREGATES = {"max": False, "sum": True}
Aggregate = Literal["max", "sum"]


class IdIndex(CheckedOnArrival):
    """From unique keys to their places, -1 for others."""

    def __init__(self, keys: I64, name: str) -> None:
        ascending = bool((keys[1:] > keys[:-1]).all())
        self._places = None if ascending else np.argsort(keys, kind="stable")
        self._sorted = keys if self._places is None else keys[self._places]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if twice.size:
            raise ValueError(f"{name}: duplicate id {self._sorted[twice[0]]}")

    def _check_attributes(self) -> None:
        self._sorted = _ids.check_integers(self._sorted, "keys")
        if not (self._sorted[1:] > self._sorted[:-1]).all():
            raise ValueError("keys: expected each once, ascending, got others")
        if self._places is not None:
            self._places = _ids.check_ids(self._places, "places", len(self))
            if not np.array_equal(np.sort(self._places), np.arange(len(self))):
                raise ValueError(f"places: expected each below {len(self)} once, got others")

    def __len__(self) -> int:
        return self._sorted.size

    def find(self, keys: I64) -> I64:
        """Find the places of keys."""
        if not self._sorted.size:
            return np.full(keys.shape, -1, np.int64)
        at = np.minimum(self._sorted.searchsorted(keys), self._sorted.size - 1)
        places = at if self._places is None else self._places[at]
        return np.where(self._sorted[at] == keys, places, -1)


class CandidateLists(CheckedOnArrival):
    """One ranked list per key.

    Parameters
    ----------
    keys : ndarray of int64, shape (n,)
        Unique; `name` is what messages call them.
    ids : Ragged of int64, n rows
    scores : ndarray of float32
        One score for each of the ids; not NaN.
    """

    def __init__(self, keys: I64, name: str, ids: Ragged, scores: F32) -> None:
        self._keys = IdIndex(keys, name)
        self._ids = ids
        self._scores = scores

    def _check_attributes(self) -> None:
        expect(self._keys, IdIndex, "keys")
        self._ids = _ragged_checks.check_ragged(expect(self._ids, Ragged, "ids"), "ids")
        if self._ids.values.min(initial=0) < 0:
            raise ValueError(f"ids: expected ids >= 0, got {self._ids.values.min()}")
        n = self._ids.values.size
        scores: npt.NDArray[Any] = expect(self._scores, np.ndarray, "scores")
        if scores.dtype != np.float32 or scores.shape != (n,):
            raise ValueError(
                f"scores: expected {n} of type float32, got shape {scores.shape} of {scores.dtype}"
            )
        if np.isnan(scores).any():
            raise ValueError("scores: expected float32 numbers, got NaN")
        self._scores = contiguous(scores, np.float32)

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of keys and of lists."""
        return len(self._keys), len(self._ids)

    @property
    def lengths(self) -> I64:
        """The length of each list."""
        return self._ids.lengths

    def are_ranked(self) -> bool:
        """Tell whether every list is by score descending, then id ascending."""
        ids, scores = self._ids.values, self._scores
        ranked = (scores[1:] < scores[:-1]) | ((scores[1:] == scores[:-1]) & (ids[1:] > ids[:-1]))
        starts = self._ids.offsets[1:-1]
        ranked[starts[(starts > 0) & (starts < ids.size)] - 1] = True
        return bool(ranked.all())

    def find(self, keys: I64) -> I64:
        """Find the rows of keys, -1 for unknown ones."""
        return self._keys.find(keys)

    def joined(
        self,
        rows: Ragged,
        k: int,
        aggregate: str,
        exclude: Ragged | None,
        *,
        weights: F64 | None = None,
        most: int | None = None,
    ) -> SearchResult:
        """Join the lists of several rows for each user.

        Parameters
        ----------
        rows : Ragged of int64
            For each user the rows to join; -1 is none.
        k : int
            Length of the joined lists.
        aggregate : {"max", "sum"}
        exclude : Ragged of int64, optional
            For each user the ids to leave out, which does not shorten the list.
        weights : ndarray of float64, optional
            What the scores of each of the rows are multiplied by.
        most : int, optional
            Read only so many entries of each list.

        Returns
        -------
        SearchResult
        """
        starts = self._ids.offsets[rows.values]  # of -1: the end, where an empty list can start
        ends = self._ids.offsets[rows.values + (rows.values >= 0)]
        lengths = ends - starts
        if most is not None:
            lengths = np.minimum(lengths, most)
        offsets = offsets_of(lengths)
        places = segments(starts, offsets)
        scores = self._scores[places]
        if weights is not None:
            scores = weighed(scores, np.repeat(weights, lengths))
        return _join(self._ids.values[places], scores, offsets[rows.offsets], k, aggregate, exclude)

    def best(self, rows: Ragged, k: int, seen: Ragged | None) -> SearchResult:
        """Join as `joined` does, an item with its largest score, reading no more than can count."""
        most = k if seen is None else k + int(seen.lengths.max(initial=0))
        return self.joined(rows, k, "max", seen, most=most)


def join_searched(
    found: SearchResult, weights: F64, offsets: I64, k: int, aggregate: str, min_score: float | None
) -> SearchResult:
    """Join the rows of a search, each multiplied by its weight; `offsets` are of users."""
    valid = found.ids >= 0
    if min_score is not None:
        valid &= found.scores.astype(np.float64) >= min_score
    ids = np.where(valid, found.ids, -1)
    scores = weighed(np.where(valid, found.scores, 0), weights[:, None])
    return SearchResult(*_merge(ids, scores, found.counts, offsets, k, aggregate)[:3])


def weighed(scores: F32, weights: F64) -> F32:
    """Multiply in float64 and round; what a weight of 0 multiplies is 0, also an infinity."""
    products = np.zeros(scores.shape)
    with np.errstate(over="ignore"):
        np.multiply(scores, weights, out=products, where=weights != 0)
        return products.astype(np.float32)


def _join(
    ids: I64, scores: F32, offsets: I64, k: int, aggregate: str, exclude: Ragged | None
) -> SearchResult:
    """Join flat entries, a user's ``offsets[u]`` to ``offsets[u + 1] - 1``, without the excluded.

    Excluded ids go in as the user's first entries with an infinite score: they come out on top,
    recognized by the entry that won, and the `k` best others follow.
    """
    if exclude is None:
        return SearchResult(*_merge_flat(ids, scores, offsets, k, aggregate)[:3])
    excluded = Ragged._of(np.full(exclude.values.size, np.inf, np.float32), exclude.offsets)
    all_scores = concat_rows(excluded, Ragged._of(scores, offsets)).values
    entries = concat_rows(exclude, Ragged._of(ids, offsets))
    width = k + int(exclude.lengths.max(initial=0))
    found = _merge_flat(entries.values, all_scores, entries.offsets, width, aggregate)
    first_own = entries.offsets[:-1] + exclude.lengths
    return _packed(found[0], found[1], found[4] >= first_own[:, None], k)


def _packed(ids: I64, scores: F32, keep: npt.NDArray[np.bool_], k: int) -> SearchResult:
    """Move what is kept to the front."""
    counts = np.minimum(keep.sum(axis=1, dtype=np.int32), k)
    keep &= keep.cumsum(axis=1) <= k
    out = np.arange(k) < counts[:, None]
    result = empty_lists(len(ids), k)
    result.counts[:] = counts
    result.ids[out], result.scores[out] = ids[keep], scores[keep]
    return result


def _merge_flat(ids: I64, scores: F32, offsets: I64, k: int, aggregate: str) -> Any:
    """Merge entries as so many lists of one."""
    return _merge(ids[:, None], scores[:, None], np.ones(ids.size, np.int32), offsets, k, aggregate)


def _merge(
    ids: I64, scores: F32, counts: npt.NDArray[np.int32], offsets: I64, k: int, aggregate: str
) -> tuple[I64, F32, npt.NDArray[np.int32], npt.NDArray[np.int32], I64]:
    lists = (ids, scores, counts)
    return _core.merge_groups(lists, offsets, k, AGGREGATES[aggregate], _core.num_threads())
