"""Groups of users, and what is recalled by them: from centers, from what members click, as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import vecrecall as vr
from vecrecall.channels import (
    ClusterCandidates,
    ClusterFeedChannel,
    CrossTag,
    GroupProfile,
    Precomputed,
)
from vecrecall.channels._recaller import Channel
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import PROFILE_ITEMS, USER_DECAY, FloatArray, Vectors

CANDIDATES = (2, 4, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 60)
"""Numbers of groups among which the elbow is looked for."""

BNB_WEIGHTS = (1.0, 4.0, 1.0)
"""Of tags, items and genres in bnb vectors."""

BNB_HEAT = 0.3
"""What heat adds to a cosine of bnb vectors: 0.54, without it 0.52."""

HALF_LIFE = 0.1
"""Clicks count half after this share of the time that the data cover: 0.47, also with 0.3; it is
short against the years of MovieLens, not against a user's one evening there."""

RULE_DEPTH = 3
"""Rules look at so many genres of a user, the most frequent."""

RULE_SIZE = 20
"""A rule group has so many users, or fewer genres in common."""

DEPTH = 200
"""So many items of the feed are kept of each user's moment."""


@dataclass(frozen=True)
class Groups:
    """How users are grouped.

    Attributes
    ----------
    labels : dict of str to ndarray, shape (n_users,)
        By name of the grouping; -1 for none.
    fitted : dict of str to UserGroups
    elbows : dict of str to Elbow
    rules : RuleGroups
    spaces : dict of str to Vectors
        What was clustered, and the items beside it.
    """

    labels: dict[str, IntArray]
    fitted: dict[str, vr.UserGroups]
    elbows: dict[str, vr.Elbow]
    rules: vr.RuleGroups
    spaces: dict[str, Vectors]


class Grouped:
    """A channel that looks up the users' groups by ``user_ids`` and asks another with them."""

    def __init__(self, channel: Channel, labels: IntArray) -> None:
        self._channel = channel
        self._labels = labels

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        """Recall with the users' groups."""
        own = self._labels[batch.need("user_ids", self)]
        return self._channel.recall(vr.RequestBatch(clusters=own, seen=batch.seen), k)


class Replayed:
    """What a feed gave to each user at its moment, by ``user_ids``.

    Attributes
    ----------
    live : Grouped
        The feed itself, after the last of these moments: what a request costs.
    """

    def __init__(self, lists: Precomputed, live: Grouped) -> None:
        self._lists = lists
        self.live = live

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        """Look up the users' lists."""
        return self._lists.recall(batch, k)


def build(dataset: Dataset, item2vec: Vectors, tag2vec: Vectors, seed: int) -> Groups | None:
    """Group users, where there are enough of them.

    Parameters
    ----------
    dataset : Dataset
    item2vec, tag2vec : Vectors
    seed : int

    Returns
    -------
    Groups, optional
        None if there are too few users for an elbow.
    """
    genres = _genres(dataset)
    blocks = (tag2vec, item2vec, genres)
    spaces = {
        "tag2vec": tag2vec,
        "bnb": Vectors(
            vr.concat_blocks([_unit(block.items) for block in blocks], BNB_WEIGHTS),
            vr.concat_blocks([block.users for block in blocks], BNB_WEIGHTS),
        ),
    }
    options: dict[str, Any] = {"metric": "cosine", "random_state": seed}
    elbows, fitted = {}, {}
    for name, space in spaces.items():
        users = np.count_nonzero(space.users.any(axis=1))
        candidates = [n for n in CANDIDATES if n <= users]
        if len(candidates) < 3:
            return None
        elbows[name] = vr.elbow(space.users, candidates, **options)
        fitted[name] = vr.UserGroups.fit(space.users, elbows[name].n_clusters, **options)
    order = np.argsort(-genres.users, axis=1, kind="stable")[:, :RULE_DEPTH]
    rules = vr.rule_groups(
        [row[genres.users[user, row] > 0] for user, row in enumerate(order)],
        depth=RULE_DEPTH,
        min_size=RULE_SIZE,
    )
    labels = {name: found.labels.astype(np.int64) for name, found in fitted.items()}
    return Groups({**labels, "rules": rules.labels.astype(np.int64)}, fitted, elbows, rules, spaces)


def channels(
    dataset: Dataset,
    groups: Groups,
    heat: dict[str, FloatArray],
    crosstag: CrossTag,
    tags: vr.RequestBatch,
) -> dict[str, Channel]:
    """Make the channels over groups.

    Parameters
    ----------
    dataset : Dataset
    groups : Groups
    heat : dict of str to ndarray, shape (n_items,)
        What is added to a cosine in each space.
    crosstag : CrossTag
        What recalls for the groups' profiles.
    tags : RequestBatch
        All users' profiles for it.

    Returns
    -------
    dict of str to Channel
    """
    found: dict[str, Channel] = {}
    for name, fitted in groups.fitted.items():
        items = groups.spaces[name].items
        index = vr.FlatIndex(items, metric="cosine", bias=heat[name], invalid="skip")
        found[f"cluster-{name}"] = Grouped(ClusterCandidates(index, fitted), groups.labels[name])
    for name, labels in groups.labels.items():
        found[f"feed-{name}"] = replayed(dataset, labels)
    labels, n = groups.labels["bnb"], len(groups.fitted["bnb"])
    pooled = GroupProfile.pseudo_users(tags, labels, n)
    found["profile-bnb"] = Grouped(GroupProfile(crosstag, pooled), labels)
    return found


def replayed(dataset: Dataset, labels: IntArray) -> Replayed:
    """Replay the training part in order of time, and ask for each user's list at its moment.

    The moment is that of the first held-out item: only what was clicked before it is observed by
    then, by whomever. Nothing held out is ever observed.

    Parameters
    ----------
    dataset : Dataset
    labels : ndarray, shape (n_users,)

    Returns
    -------
    Replayed
        With no list for users who are not evaluated.
    """
    items, times = np.concatenate(dataset.histories), np.concatenate(dataset.times)
    users = np.repeat(np.arange(len(labels)), [history.size for history in dataset.histories])
    order = np.argsort(times, kind="stable")
    order = order[labels[users[order]] >= 0]
    span = float(np.ptp(times)) or 1.0
    feed = vr.ClusterFeed(
        int(labels.max()) + 1, half_life=HALF_LIFE * span, capacity=len(dataset.items)
    )
    asking = dataset.evaluated[np.argsort(dataset.asked[dataset.evaluated], kind="stable")]
    ends = times[order].searchsorted(dataset.asked[asking], "left")
    clock = 0.0
    channel = ClusterFeedChannel(feed, now=lambda: clock)
    lists, done = [], 0
    for user, end in zip(asking, ends, strict=True):
        new = order[done:end]
        feed.observe(labels[users[new]], items[new], times[new])
        done, clock = end, float(dataset.asked[user])
        batch = vr.RequestBatch(clusters=labels[[user]], seen=[dataset.histories[user]])
        lists.append(channel.recall(batch, DEPTH))
    ids = np.concatenate([found.ids for found in lists])
    scores = np.concatenate([found.scores for found in lists])
    return Replayed(Precomputed(asking, ids, scores), Grouped(channel, labels))


def _genres(dataset: Dataset) -> Vectors:
    """Make items and users of their tags, one dimension a tag."""
    names = sorted({tag for tags in dataset.tags for tag in tags})
    number = {name: row for row, name in enumerate(names)}
    table = np.eye(len(names), dtype=np.float32)
    rows = [[number[tag] for tag in tags] for tags in dataset.tags]
    items = vr.pool(table, rows, normalize=True)
    latest = [history[: -PROFILE_ITEMS - 1 : -1] for history in dataset.histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in latest]
    return Vectors(items, vr.pool(items, latest, weights, normalize=True))


def _unit(rows: FloatArray) -> FloatArray:
    return vr.pool(rows, np.arange(len(rows))[:, None], normalize=True)
