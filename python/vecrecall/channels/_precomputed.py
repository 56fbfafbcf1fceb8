"""Lists computed elsewhere, looked up by a key."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids, _ragged_checks, _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._candidate_lists import CandidateLists
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import concat_rows, offsets_of, row_of_each
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, I64
from vecrecall.channels._requests import RequestBatch


class Precomputed(CheckedOnArrival):
    """Ranked lists that a job has made before, one per user or one for all.

    Parameters
    ----------
    keys : array_like of int, shape (n,)
        Whose lists they are; unique.
    ids : ragged of int, n rows
        The items of each; -1 is padding.
    scores : ragged or flat array_like of float, optional
        One score for each of the `ids` (any for padding), not NaN and not beyond float32, though
        it may be infinite, as that of a search; default ``1 / position``.
    key : {"user_ids", "clusters"}
        The field of the batch that holds a user's key or keys. The lists of several clusters are
        joined, an item with its largest score.
    default_ids, default_scores : array_like, shape (m,), optional
        The list of a user none of whose keys is known, as `ids` and `scores`; default an empty
        one.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Lists are kept by score descending, then id ascending, each item once, with its largest score.
    What a user has seen is left out, and later entries move up, as far as the list goes.

    Examples
    --------
    >>> import vecrecall as vr
    >>> channel = vr.channels.Precomputed([7], [[30, 10, 20]], default_ids=[1, 2])
    >>> batch = vr.RequestBatch(user_ids=[7, 8], seen=[[30], []])
    >>> channel.recall(batch, 2).ids.tolist()
    [[10, 20], [1, 2]]
    >>> vr.channels.Precomputed.for_all([5, 6], [9.0, 8.0]).recall(batch, 1).ids.tolist()
    [[5], [5]]
    """

    def __init__(
        self,
        keys: npt.ArrayLike,
        ids: RaggedLike,
        scores: RaggedLike | npt.ArrayLike | None = None,
        *,
        key: Literal["user_ids", "clusters"] = "user_ids",
        default_ids: npt.ArrayLike = (),
        default_scores: npt.ArrayLike | None = None,
    ) -> None:
        _check_key(key)
        numbers = _ids.check_integers(keys, "keys")
        lists = _ragged_checks.check_ragged(ids, "ids", len(numbers))
        values = _scores(scores, lists, "")
        fallback = _ragged_checks.check_ragged([default_ids], "default_ids")
        values = np.concatenate([values, _scores(default_scores, fallback, "default_")])
        both = Ragged._of(
            np.concatenate([lists.values, fallback.values]),
            np.append(lists.offsets, lists.values.size + fallback.values.size),
        )
        self._key = key
        self._n = len(numbers)
        self._lists = _ranked(numbers, both, values)

    def _check_attributes(self) -> None:
        _check_key(self._key)
        self._n = _scalars.check_int(self._n, "keys", 0)
        lists = expect(self._lists, CandidateLists, "lists")
        if lists.sizes != (self._n, self._n + 1):
            raise ValueError(
                f"lists: expected {self._n} keys and a list more than these, got {lists.sizes}"
            )
        if not lists.are_ranked():
            raise ValueError("scores: expected lists by score descending, then id, got others")

    @classmethod
    def for_all(cls, ids: npt.ArrayLike, scores: npt.ArrayLike | None = None) -> "Precomputed":
        """Make a channel that gives every user the same list, for example the most popular items.

        Parameters
        ----------
        ids : array_like of int, shape (m,)
        scores : array_like of float, shape (m,), optional
            Default ``1 / position``.

        Returns
        -------
        Precomputed
            It needs no field of the batch.
        """
        return cls([], [], default_ids=ids, default_scores=scores)

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Look up each user's list.

        Parameters
        ----------
        batch : RequestBatch
            With the field `key`, unless there is only the default list.
        k : int

        Returns
        -------
        SearchResult

        Raises
        ------
        ValueError
            If the batch lacks the field.
        """
        k = _scalars.check_list_length(k, len(batch))
        return self._lists.best(self._rows(batch), k, batch.seen)

    def _rows(self, batch: RequestBatch) -> Ragged:
        """Find the lists of each user; the default is the last of all."""
        users = len(batch)
        one_each = np.arange(users + 1)
        if self._n == 0:
            return Ragged._of(np.zeros(users, np.int64), one_each)
        if self._key == "user_ids":
            rows = self._lists.find(batch.need("user_ids", self))
            return Ragged._of(np.where(rows < 0, self._n, rows), one_each)
        clusters = batch.need("clusters", self)
        rows = self._lists.find(clusters.values)
        user = row_of_each(clusters)
        unknown = np.bincount(user[rows >= 0], minlength=users) == 0
        default = np.full(np.count_nonzero(unknown), self._n)
        found = Ragged._of(rows, clusters.offsets)
        return concat_rows(found, Ragged._of(default, offsets_of(unknown.astype(np.int64))))


def _check_key(key: str) -> None:
    _scalars.check_choice(key, "key", {"user_ids": None, "clusters": None})


def _scores(scores: RaggedLike | npt.ArrayLike | None, ids: Ragged, prefix: str) -> F32:
    """Coerce the scores of lists; those of padding may be anything."""
    if scores is None:
        places = np.arange(ids.values.size) - np.repeat(ids.offsets[:-1], ids.lengths)
        return (1 / (places + 1)).astype(np.float32)
    wide = _ragged_checks.check_entry_numbers(scores, f"{prefix}scores", ids, f"{prefix}ids")
    with np.errstate(over="ignore"):
        values = wide.astype(np.float32)
    values[ids.values < 0] = 0
    bad = np.flatnonzero(np.isnan(values) | (np.isinf(values) & np.isfinite(wide)))
    if bad.size:
        raise ValueError(
            f"{prefix}scores: expected float32 numbers, got {wide[bad[0]]} "
            f"for id {ids.values[bad[0]]}"
        )
    return values


def _ranked(keys: I64, ids: Ragged, scores: F32) -> CandidateLists:
    """Order every list, each item once."""
    rows = row_of_each(ids)
    order = np.lexsort((-scores, ids.values, rows))
    order = order[ids.values[order] >= 0]
    same = np.zeros(order.size, np.bool_)
    same[1:] = (np.diff(rows[order]) == 0) & (np.diff(ids.values[order]) == 0)
    once = order[~same]
    best_first = once[np.lexsort((ids.values[once], -scores[once], rows[once]))]
    offsets = offsets_of(np.bincount(rows[best_first], minlength=len(ids)))
    return CandidateLists(
        keys, "keys", Ragged._of(ids.values[best_first], offsets), scores[best_first]
    )
