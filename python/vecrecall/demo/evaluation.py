"""Measures what channels find and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from vecrecall.demo.channels import Channel
from vecrecall.demo.data import IntArray
from vecrecall.demo.embeddings import FloatArray

CUTOFFS = (50, 100)

DEFINITIONS = {
    "hit_rate": "hit rate at k: the share of users with at least one held-out item among the "
    "first k of their list",
    "recall": "recall at k: the share of a user's held-out items that are among the first k of "
    "the list, averaged over users",
}

BATCH = 256
"""Users of one call, where calls are batched."""

SINGLE_CALLS = 200
"""Users that are also timed one at a time."""


@dataclass(frozen=True)
class Lists:
    """The lists of some users from one channel.

    Attributes
    ----------
    ids : ndarray, shape (n_users, k)
        Items, -1 after the list's end.
    scores : ndarray, shape (n_users, k)
    batched_ms : float
        Milliseconds a user, in calls of `BATCH` users.
    """

    ids: IntArray
    scores: FloatArray
    batched_ms: float


def recall_all(channel: Channel, users: IntArray, k: int, advance: Callable[[int], None]) -> Lists:
    """Recall for users in batches.

    Parameters
    ----------
    channel : Channel
    users : ndarray
    k : int
    advance : callable
        Called after each batch with its number of users.

    Returns
    -------
    Lists
    """
    channel.recall(users[:BATCH], k)  # the first call starts threads: not part of the latency
    seconds = 0.0
    parts = []
    for start in range(0, users.size, BATCH):
        batch = users[start : start + BATCH]
        begin = perf_counter()
        parts.append(channel.recall(batch, k))
        seconds += perf_counter() - begin
        advance(batch.size)
    ids = np.concatenate([part.ids for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    return Lists(ids, scores, 1000 * seconds / users.size)


def accuracy(ids: IntArray, held_out: Sequence[IntArray]) -> dict[str, dict[str, float]]:
    """Compute hit rate and recall at each of `CUTOFFS`.

    Parameters
    ----------
    ids : ndarray, shape (n_users, k)
        Ranked lists, padded with -1.
    held_out : sequence of ndarray
        For each user the items to find, at least one; -1 can never be found.

    Returns
    -------
    dict
        ``hit_rate`` and ``recall``, each by cutoff.
    """
    sizes = np.array([items.size for items in held_out])
    found = np.array(
        [
            np.cumsum(np.isin(row, items[items >= 0]))[np.array(CUTOFFS) - 1]
            for row, items in zip(ids, held_out, strict=True)
        ]
    )
    names = [str(k) for k in CUTOFFS]
    hit_rate = (found > 0).mean(axis=0).tolist()
    recall = (found / sizes[:, None]).mean(axis=0).tolist()
    return {
        "hit_rate": dict(zip(names, hit_rate, strict=True)),
        "recall": dict(zip(names, recall, strict=True)),
    }


def single_latency(
    channel: Channel, users: IntArray, k: int, advance: Callable[[int], None]
) -> dict[str, float]:
    """Time one user a call, for up to `SINGLE_CALLS` users.

    Parameters
    ----------
    channel : Channel
    users : ndarray
    k : int
    advance : callable
        Called after each call.

    Returns
    -------
    dict
        Milliseconds: ``single_mean``, ``single_p50``, ``single_p95``.
    """
    milliseconds = []
    for user in sample(users):
        begin = perf_counter()
        channel.recall(np.array([user]), k)
        milliseconds.append(1000 * (perf_counter() - begin))
        advance(1)
    return {
        "single_mean": float(np.mean(milliseconds)),
        "single_p50": float(np.percentile(milliseconds, 50)),
        "single_p95": float(np.percentile(milliseconds, 95)),
    }


def sample(users: IntArray) -> IntArray:
    """Choose the users that are timed one at a time, evenly among all.

    Parameters
    ----------
    users : ndarray

    Returns
    -------
    ndarray
    """
    n = min(SINGLE_CALLS, users.size)
    return users[np.arange(n) * users.size // n]
