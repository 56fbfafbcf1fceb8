"""Groupings of the users: by tags, bnb, LSTM and DSSM vectors, and by rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vecrecall.arrays._pooling import pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.cli.demo import groups
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import FloatArray, Vectors
from vecrecall.cli.demo.full.families import Found
from vecrecall.cluster._elbow import Elbow
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.feed._cluster_feed import ClusterFeed

TOWERS = ("lstm", "dssm")
"""Families whose user vectors are clustered next to those of the light demo."""


@dataclass(frozen=True)
class Grouping:
    """Users in groups, and where the groups stand among the items.

    Attributes
    ----------
    labels : ndarray, shape (n_users,)
        -1 for no group.
    centers : ndarray, shape (n_groups, d)
    items : ndarray, shape (n_items, d)
        In the same space.
    users : ndarray, shape (n_users, d)
    fitted : UserGroups, optional
        None for groups by rules.
    elbow : Elbow, optional
    """

    labels: IntArray
    centers: FloatArray
    items: FloatArray
    users: FloatArray
    fitted: UserGroups | None
    elbow: Elbow | None


def build(dataset: Dataset, found: Mapping[str, Found], seed: int) -> dict[str, Grouping]:
    """Group users in every way that the data allow.

    Parameters
    ----------
    dataset : Dataset
    found : mapping of str to Found
        By family.
    seed : int

    Returns
    -------
    dict of str to Grouping
    """
    result: dict[str, Grouping] = {}
    if "item2vec" in found and "tag2vec" in found:
        light = groups.build(dataset, found["item2vec"].vectors, found["tag2vec"].vectors, seed)
        if light is not None:
            for name, fitted in light.fitted.items():
                result[name] = _of(light.spaces[name], fitted, light.elbows[name])
            result["rules"] = _by_rules(light.labels["rules"], light.spaces["bnb"])
    for name in TOWERS:
        if name in found:
            grouped = groups.grouped(found[name].vectors.users, seed)
            if grouped is not None:
                result[name] = _of(found[name].vectors, grouped[1], grouped[0])
    return result


def _of(space: Vectors, fitted: UserGroups, elbow: Elbow) -> Grouping:
    labels = fitted.labels.astype(np.int64)
    return Grouping(labels, fitted.centers, space.items, space.users, fitted, elbow)


def _by_rules(labels: IntArray, space: Vectors) -> Grouping:
    """Give groups by rules the mean of their users' bnb vectors as centers."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=int(labels.max()) + 1)
    members = Ragged.from_lists(np.split(order, np.cumsum(sizes)[:-1]))
    centers = pool(space.users, members, normalize=True)
    return Grouping(labels, centers, space.items, space.users, None, None)


def feed_of(dataset: Dataset, labels: IntArray) -> ClusterFeed:
    """Make the feed that has seen all of the training part.

    Parameters
    ----------
    dataset : Dataset
    labels : ndarray, shape (n_users,)

    Returns
    -------
    ClusterFeed
    """
    items, times = np.concatenate(dataset.histories), np.concatenate(dataset.times)
    users = np.repeat(np.arange(labels.size), [history.size for history in dataset.histories])
    order = np.argsort(times, kind="stable")
    order = order[labels[users[order]] >= 0]
    span = float(np.ptp(times)) or 1.0
    feed = ClusterFeed(
        int(labels.max()) + 1, half_life=groups.HALF_LIFE * span, capacity=len(dataset.items)
    )
    feed.observe(labels[users[order]], items[order], times[order])
    return feed
