"""Accuracy and latency of channels and merges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._results import MergeResult, SearchResult
from vecrecall.channels._recaller import Recaller
from vecrecall.channels._requests import RequestBatch
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.embeddings import FloatArray

Accuracy = dict[str, dict[str, float]]
Stopwatch = Callable[[RequestBatch], dict[str, float]]
"""Serves a batch and returns the seconds of each part."""

CUTOFFS = (50, 100)

DEFINITIONS = {
    "hit_rate": "hit rate at k: the share of users with at least one held-out item among the "
    "first k of their list",
    "recall": "recall at k: the share of a user's held-out items that are among the first k of "
    "the list, averaged over users",
}

BATCH = 256
"""Users per batched call."""

SINGLE_CALLS = 200
"""Number of users that are also timed one at a time."""


class Recalls(Protocol):
    """A channel, or a `Recaller`."""

    def recall(self, batch: RequestBatch, k: int) -> SearchResult | MergeResult:
        """Return a ranked list for each user of the batch."""


@dataclass(frozen=True)
class Lists:
    """The lists of some users from one channel or merge.

    Attributes
    ----------
    ids : ndarray, shape (n_users, k)
        Items, -1 after the end of the list.
    scores : ndarray, shape (n_users, k)
    ranks : ndarray, shape (n_users, k, n_channels), optional
        Rank of the item in each channel of a merge, 0 where it is absent.
    """

    ids: IntArray
    scores: FloatArray
    ranks: npt.NDArray[np.int32] | None


def recall_all(
    recaller: Recalls, batches: Sequence[RequestBatch], k: int, advance: Callable[[int], None]
) -> Lists:
    """Recall for many users.

    Parameters
    ----------
    recaller : Recalls
    batches : sequence of RequestBatch
    k : int
    advance : callable
        Called after each batch with the number of its users.

    Returns
    -------
    Lists
    """
    parts = []
    for batch in batches:
        parts.append(recaller.recall(batch, k))
        advance(len(batch))
    ranks = [part.ranks for part in parts if isinstance(part, MergeResult)]
    known = [part for part in ranks if part is not None]
    return Lists(
        ids=np.concatenate([part.ids for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        ranks=np.concatenate(known) if known else None,
    )


def held_by(ids: IntArray, others: Sequence[IntArray]) -> npt.NDArray[np.bool_]:
    """Return which items of each user's list are among other items of the user.

    Parameters
    ----------
    ids : ndarray, shape (n_users, k)
        -1 stands for no item.
    others : sequence of ndarray
        Items for each user, -1 for no item.

    Returns
    -------
    ndarray of bool, shape (n_users, k)
    """
    flat = np.concatenate(others)
    users = np.repeat(np.arange(len(others)), [items.size for items in others])
    width = 1 + max(ids.max(initial=-1), flat.max(initial=-1))
    wanted = (users * width + flat)[flat >= 0]
    keys = np.arange(len(ids))[:, None] * width + ids
    return (ids >= 0) & np.isin(keys, wanted)


@dataclass(frozen=True)
class ByUser:
    """The accuracy of one channel or merge for each user.

    Attributes
    ----------
    hit_rate, recall : ndarray, shape (n_users, n_cutoffs)
        By cutoff: 1 or 0, and the share of the held-out items that were found.
    """

    hit_rate: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]


def by_user(ids: IntArray, held_out: Sequence[IntArray]) -> ByUser:
    """Compare lists with the held-out items.

    Parameters
    ----------
    ids : ndarray, shape (n_users, k)
        Ranked lists, padded with -1.
    held_out : sequence of ndarray
        At least one item to find for each user; -1 is never found.

    Returns
    -------
    ByUser
    """
    sizes = np.array([items.size for items in held_out])
    wide = np.pad(held_by(ids, held_out), ((0, 0), (0, max(0, max(CUTOFFS) - ids.shape[1]))))
    found = wide.cumsum(axis=1)[:, np.array(CUTOFFS) - 1]
    return ByUser((found > 0).astype(np.float64), found / sizes[:, None])


def accuracy(ids: IntArray, held_out: Sequence[IntArray]) -> Accuracy:
    """Compute hit rate and recall at each of `CUTOFFS`.

    Parameters
    ----------
    ids : ndarray, shape (n_users, k)
        Ranked lists, padded with -1.
    held_out : sequence of ndarray
        At least one item to find for each user; -1 is never found.

    Returns
    -------
    dict
        ``hit_rate`` and ``recall``, each by cutoff.
    """
    found = by_user(ids, held_out)
    names = [str(k) for k in CUTOFFS]
    hit_rate, recall = (of.mean(axis=0).tolist() for of in (found.hit_rate, found.recall))
    return {
        "hit_rate": dict(zip(names, hit_rate, strict=True)),
        "recall": dict(zip(names, recall, strict=True)),
    }


def stopwatch(name: str, recaller: Recalls, k: int) -> Stopwatch:
    """Time a channel's recall.

    Parameters
    ----------
    name : str
    recaller : Recalls
    k : int

    Returns
    -------
    Stopwatch
    """

    def seconds(batch: RequestBatch) -> dict[str, float]:
        begin = perf_counter()
        recaller.recall(batch, k)
        return {name: perf_counter() - begin}

    return seconds


def recaller_stopwatch(name: str, merging: str, recaller: Recaller, k: int) -> Stopwatch:
    """Time a recall by all channels, and the merge separately.

    Parameters
    ----------
    name, merging : str
        Names of the whole and of the merge.
    recaller : Recaller
    k : int

    Returns
    -------
    Stopwatch
    """

    def seconds(batch: RequestBatch) -> dict[str, float]:
        begin = perf_counter()
        stats = recaller.recall(batch, k, stats=True).stats
        assert stats is not None
        return {name: perf_counter() - begin, merging: stats.merge_seconds}

    return seconds


def latency(
    seconds: Stopwatch,
    batches: Sequence[RequestBatch],
    singles: Sequence[RequestBatch],
    advance: Callable[[int], None],
) -> dict[str, dict[str, float]]:
    """Time calls with many users, and with one.

    Parameters
    ----------
    seconds : Stopwatch
    batches : sequence of RequestBatch
        With many users each.
    singles : sequence of RequestBatch
        With one user each.
    advance : callable
        Called after each of the single calls.

    Returns
    -------
    dict
        For each part milliseconds per user: ``batched``, ``single_mean``, ``single_p50``,
        ``single_p95``.
    """
    seconds(batches[0])  # may start threads
    many = [seconds(batch) for batch in batches]
    one = []
    for batch in singles:
        one.append(seconds(batch))
        advance(1)
    users = sum(map(len, batches))
    return {
        part: {
            "batched": 1000 * sum(found[part] for found in many) / users,
            **_summary([1000 * found[part] for found in one]),
        }
        for part in many[0]
    }


def _summary(milliseconds: list[float]) -> dict[str, float]:
    return {
        "single_mean": float(np.mean(milliseconds)),
        "single_p50": float(np.percentile(milliseconds, 50)),
        "single_p95": float(np.percentile(milliseconds, 95)),
    }


def sample(users: IntArray) -> IntArray:
    """Choose the users to time one at a time, evenly spaced.

    Parameters
    ----------
    users : ndarray

    Returns
    -------
    ndarray
    """
    n = min(SINGLE_CALLS, users.size)
    return users[np.arange(n) * users.size // n]
