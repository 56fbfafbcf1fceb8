"""Groups of users, and recall by group: from centers, clicks of members, pooled profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vecrecall.arrays._pooling import concat_blocks, pool
from vecrecall.arrays._results import SearchResult
from vecrecall.channels import (
    ClusterCandidates,
    ClusterFeedChannel,
    CrossTag,
    GroupProfile,
    Precomputed,
)
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._specs import PROFILE_ITEMS, GroupedChannel
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import USER_DECAY, FloatArray, Vectors
from vecrecall.cluster._elbow import Elbow, elbow
from vecrecall.cluster._rule_groups import RuleGroups, rule_groups
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex

CANDIDATES = (2, 4, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 60)
"""Numbers of groups among which the elbow is searched."""

BNB_WEIGHTS = (1.0, 4.0, 1.0)
"""Weights of tags, items and genres in bnb vectors."""

BNB_HEAT = 0.3
"""Weight of heat, which is added to a cosine of bnb vectors: 0.54, without it 0.52."""

HALF_LIFE = 0.1
"""Half-life of clicks, as a share of the time that the data cover: 0.47, also with 0.3. It is short
compared with the years of MovieLens, but not with the one evening of a user there."""

RULE_DEPTH = 3
"""Number of a user's most frequent genres that rules use."""

RULE_SIZE = 20
"""Minimum number of users in a rule group; smaller groups share fewer genres instead."""

DEPTH = 200
"""Number of items of the feed that are kept for each user."""


@dataclass(frozen=True)
class Groups:
    """Groupings of the users.

    Attributes
    ----------
    labels : dict of str to ndarray, shape (n_users,)
        By name of the grouping; -1 for no group.
    fitted : dict of str to UserGroups
    elbows : dict of str to Elbow
    rules : RuleGroups
    spaces : dict of str to Vectors
        The clustered user vectors, and the items in the same space.
    """

    labels: dict[str, IntArray]
    fitted: dict[str, UserGroups]
    elbows: dict[str, Elbow]
    rules: RuleGroups
    spaces: dict[str, Vectors]


class ReplayedFeed:
    """Lists of a feed, each at the time of its user's request, by ``user_ids``.

    Attributes
    ----------
    live : GroupedChannel
        The feed itself after the last request, to time it.
    """

    def __init__(self, lists: Precomputed, live: GroupedChannel) -> None:
        self._lists = lists
        self.live = live

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
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
        None if there are too few users to find an elbow.
    """
    genres = _genres(dataset)
    blocks = (tag2vec, item2vec, genres)
    spaces = {
        "tag2vec": tag2vec,
        "bnb": Vectors(
            concat_blocks([_unit(block.items) for block in blocks], BNB_WEIGHTS),
            concat_blocks([block.users for block in blocks], BNB_WEIGHTS),
        ),
    }
    elbows, fitted = {}, {}
    for name, space in spaces.items():
        found = grouped(space.users, seed)
        if found is None:
            return None
        elbows[name], fitted[name] = found
    order = np.argsort(-genres.users, axis=1, kind="stable")[:, :RULE_DEPTH]
    rules = rule_groups(
        [row[genres.users[user, row] > 0] for user, row in enumerate(order)],
        depth=RULE_DEPTH,
        min_size=RULE_SIZE,
    )
    labels = {name: found.labels.astype(np.int64) for name, found in fitted.items()}
    return Groups({**labels, "rules": rules.labels.astype(np.int64)}, fitted, elbows, rules, spaces)


def grouped(users: FloatArray, seed: int) -> tuple[Elbow, UserGroups] | None:
    """Group users by their vectors, as many groups as the elbow suggests.

    Parameters
    ----------
    users : ndarray, shape (n_users, d)
        A zero row is a user of no group.
    seed : int

    Returns
    -------
    (Elbow, UserGroups), optional
        None if there are too few users to find an elbow.
    """
    options: dict[str, Any] = {"metric": "cosine", "random_state": seed}
    candidates = [n for n in CANDIDATES if n <= np.count_nonzero(users.any(axis=1))]
    if len(candidates) < 3:
        return None
    found = elbow(users, candidates, **options)
    return found, UserGroups.fit(users, found.n_clusters, **options)


def channels(
    dataset: Dataset,
    groups: Groups,
    heat: dict[str, FloatArray],
    crosstag: CrossTag,
    tags: RequestBatch,
) -> dict[str, Channel]:
    """Make the channels over groups.

    Parameters
    ----------
    dataset : Dataset
    groups : Groups
    heat : dict of str to ndarray, shape (n_items,)
        Bias of the items in each space.
    crosstag : CrossTag
        The channel that recalls for the profiles of groups.
    tags : RequestBatch
        The profiles of all users for it.

    Returns
    -------
    dict of str to Channel
    """
    found: dict[str, Channel] = {}
    for name, fitted in groups.fitted.items():
        items = groups.spaces[name].items
        index = FlatIndex(items, metric="cosine", bias=heat[name], invalid="skip")
        found[f"cluster-{name}"] = GroupedChannel(
            ClusterCandidates(index, fitted), groups.labels[name]
        )
    for name, labels in groups.labels.items():
        found[f"feed-{name}"] = replayed(dataset, labels)
    labels, n = groups.labels["bnb"], len(groups.fitted["bnb"])
    pooled = GroupProfile.pseudo_users(tags, labels, n)
    found["profile-bnb"] = GroupedChannel(GroupProfile(crosstag, pooled), labels)
    return found


def replayed(dataset: Dataset, labels: IntArray) -> ReplayedFeed:
    """Replay the training part in order of time, and recall each user's list at the user's time.

    This is the time of the first held-out item: only earlier clicks, of any user, are observed by
    then. Held-out clicks are never observed.

    Parameters
    ----------
    dataset : Dataset
    labels : ndarray, shape (n_users,)

    Returns
    -------
    ReplayedFeed
        Without lists for users who are not evaluated.
    """
    items, times = np.concatenate(dataset.histories), np.concatenate(dataset.times)
    users = np.repeat(np.arange(len(labels)), [history.size for history in dataset.histories])
    order = np.argsort(times, kind="stable")
    order = order[labels[users[order]] >= 0]
    span = float(np.ptp(times)) or 1.0
    feed = ClusterFeed(
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
        batch = RequestBatch(clusters=labels[[user]], seen=[dataset.histories[user]])
        lists.append(channel.recall(batch, DEPTH))
    ids = np.concatenate([found.ids for found in lists])
    scores = np.concatenate([found.scores for found in lists])
    return ReplayedFeed(Precomputed(asking, ids, scores), GroupedChannel(channel, labels))


def _genres(dataset: Dataset) -> Vectors:
    """Make items and users from their tags, one dimension per tag."""
    names = sorted({tag for tags in dataset.tags for tag in tags})
    number = {name: row for row, name in enumerate(names)}
    table = np.eye(len(names), dtype=np.float32)
    rows = [[number[tag] for tag in tags] for tags in dataset.tags]
    items = pool(table, rows, normalize=True)
    latest = [history[: -PROFILE_ITEMS - 1 : -1] for history in dataset.histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in latest]
    return Vectors(items, pool(items, latest, weights, normalize=True))


def _unit(rows: FloatArray) -> FloatArray:
    return pool(rows, np.arange(len(rows))[:, None], normalize=True)
