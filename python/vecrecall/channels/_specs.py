"""Channels made of their settings, and the parts that these name.

A channel is described by JSON values: its kind, the names of its parts, its options. The
demonstration makes its channels of these, and so does the service that loads a saved system: the
same description and the same parts give the same lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, I64
from vecrecall.channels._cluster_candidates import ClusterCandidates
from vecrecall.channels._cluster_feed import ClusterFeedChannel
from vecrecall.channels._cross_tag import CrossTag
from vecrecall.channels._group_profile import GroupProfile
from vecrecall.channels._item_to_item import ItemToItem, LiveNeighbors
from vecrecall.channels._precomputed import Precomputed
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._user_to_item import UserToItem
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.feed._cluster_feed import ClusterFeed, Time
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._protocol import SearchableIndex

Spec = Mapping[str, Any]
"""The settings of a channel: ``kind``, the names of its parts, its options."""

PROFILE_ITEMS = 50
"""Number of a user's last items that are taken for tags."""

ITEM_DECAY = 0.95
"""Weight of such an item, relative to that of the next newer one."""


@dataclass
class Parts:
    """The parts of channels, by name.

    Attributes
    ----------
    indexes : mapping of str to SearchableIndex
    tables : mapping of str to NeighborTable
    tag_tables : mapping of str to ndarray, shape (n_tags, d)
    centers : mapping of str to ndarray or UserGroups
        By grouping: of the groups, in the space of the index that is searched with them.
    labels : mapping of str to ndarray, shape (n_users,)
        By grouping: the group of each known user, -1 for none.
    feeds : mapping of str to ClusterFeed
        By grouping.
    clocks : mapping of str to a time or callable
        By grouping: as of when the clicks of its feed count.
    vectors : mapping of str to ndarray, shape (n_users, d)
        Of known users.
    tags : RequestBatch, optional
        Items as tags of known users.
    pooled : dict
        Pooled users of groupings, which are made once.
    counts : ndarray, shape (n_items,), optional
        Number of users by item.
    sizes : mapping of str to int
        By grouping: the number of groups, where some may have no users.
    grouped : callable, optional
        Called with a channel of clusters, the name of a grouping and the clusters that the channel
        knows, returns a channel that finds those of its users; default by their ``user_ids`` in
        `labels`.
    """

    indexes: Mapping[str, SearchableIndex]
    tables: Mapping[str, NeighborTable] = field(default_factory=dict)
    tag_tables: Mapping[str, F32] = field(default_factory=dict)
    centers: Mapping[str, F32 | UserGroups] = field(default_factory=dict)
    labels: Mapping[str, I64] = field(default_factory=dict)
    feeds: Mapping[str, ClusterFeed] = field(default_factory=dict)
    clocks: Mapping[str, Time | Callable[[], Time]] = field(default_factory=dict)
    vectors: Mapping[str, F32] = field(default_factory=dict)
    tags: RequestBatch | None = None
    pooled: dict[tuple[str, str | None], RequestBatch] = field(default_factory=dict)
    counts: I64 | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    grouped: Callable[[Channel, str, I64], Channel] | None = None


def make(spec: Spec, parts: Parts) -> Channel:
    """Make a channel.

    Parameters
    ----------
    spec : Spec
    parts : Parts

    Returns
    -------
    Channel

    Raises
    ------
    ValueError
        If the kind of the channel is unknown, or something does not fit.
    KeyError
        If a part is missing.
    """
    kind = spec["kind"]
    if kind not in _MAKERS:
        raise ValueError(f"kind: expected one of {', '.join(_MAKERS)}, got {kind!r}")
    return _MAKERS[kind](spec, parts)


def named(specs: Mapping[str, Spec], key: str) -> set[str]:
    """Return all parts that channels name by a key, those inside of other channels too."""
    found = {spec[key] for spec in specs.values() if spec.get(key) is not None}
    inner = {name: spec["channel"] for name, spec in specs.items() if "channel" in spec}
    return found | (named(inner, key) if inner else set())


def item_tags(history: Ragged, first_tags: I64) -> tuple[Ragged, Ragged, Ragged]:
    """Take the latest items for tags, of the category that their first tag is.

    Parameters
    ----------
    history : Ragged of int64
        Items, latest first.
    first_tags : ndarray of int64, shape (n_items,)
        The number of each item's first tag, -1 without tags.

    Returns
    -------
    tuple of Ragged
        Items, weights and categories.
    """
    lengths = np.minimum(history.lengths, PROFILE_ITEMS)
    offsets = offsets_of(lengths)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    tags = history.values[np.repeat(history.offsets[:-1], lengths) + place]
    tags = np.where(tags < first_tags.size, tags, -1)
    weights = (ITEM_DECAY**place).astype(np.float32).astype(np.float64)
    groups = np.full(tags.size, -1)
    groups[tags >= 0] = first_tags[tags[tags >= 0]]
    return Ragged._of(tags, offsets), Ragged._of(weights, offsets), Ragged._of(groups, offsets)


class GroupedChannel:
    """A channel that looks up groups by ``user_ids`` and calls another channel with them."""

    def __init__(self, channel: Channel, labels: I64) -> None:
        self._channel = channel
        self._labels = labels

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Recall with the users' groups."""
        own = self._labels[batch.need("user_ids", self)]
        return self._channel.recall(RequestBatch(clusters=own, seen=batch.seen), k)


def _grouped(channel: Channel, spec: Spec, parts: Parts, known: I64) -> Channel:
    grouping = spec["grouping"]
    if parts.grouped is not None:
        return parts.grouped(channel, grouping, known)
    return GroupedChannel(channel, parts.labels[grouping])


def _options(spec: Spec, *names: str) -> dict[str, Any]:
    """Return the options that are given; the channel has defaults for others."""
    return {name: spec[name] for name in names if spec.get(name) is not None}


def _item_to_item(spec: Spec, parts: Parts) -> Channel:
    table, index = spec.get("table"), spec.get("index")
    if (table is None) == (index is None):
        raise ValueError("item_to_item: expected one of table and index")
    source = (
        parts.tables[spec["table"]]
        if index is None
        else LiveNeighbors(parts.indexes[index], **_options(spec, "n_neighbors", "min_score"))
    )
    names = ("history_length", "decay", "aggregate", "exclude_history")
    return ItemToItem(source, **_options(spec, *names))


def _user_to_item(spec: Spec, parts: Parts) -> Channel:
    index = parts.indexes[spec["index"]]
    if spec.get("tag_table") is not None:
        return UserToItem(index, tag_table=parts.tag_tables[spec["tag_table"]])
    return UserToItem(index, vector=spec["vector"])


def _cross_tag(spec: Spec, parts: Parts) -> Channel:
    index = parts.indexes[spec["index"]]
    # Without a table the items take the place of a user's tags, in categories by their first tag.
    table = spec.get("tag_table")
    rows = _rows_of(index, parts) if table is None else parts.tag_tables[table]
    return CrossTag(index, rows, **_options(spec, "tags_per_group"))


def _rows_of(index: SearchableIndex, parts: Parts) -> F32:
    """Return a row for each item, zero for those that the index has left out."""
    ids = index.ids
    n = int(ids.max(initial=-1)) + 1 if parts.counts is None else parts.counts.size
    rows = np.zeros((n, index.dim), np.float32)
    ids = ids[ids < n]
    rows[ids] = index.vectors(ids)
    return rows


def _cluster(spec: Spec, parts: Parts) -> Channel:
    index, centers = parts.indexes[spec["index"]], parts.centers[spec["grouping"]]
    lists = ClusterCandidates(index, centers, **_options(spec, "n_candidates"))
    labels = centers.labels_in_use if isinstance(centers, UserGroups) else np.arange(len(centers))
    return _grouped(lists, spec, parts, np.asarray(labels, np.int64))


def _feed(spec: Spec, parts: Parts) -> Channel:
    grouping = spec["grouping"]
    feed = parts.feeds[grouping]
    channel = ClusterFeedChannel(feed, now=parts.clocks[grouping])
    return _grouped(channel, spec, parts, np.arange(feed.n_clusters))


def _profile(spec: Spec, parts: Parts) -> Channel:
    inner = spec["channel"]
    pooled = _pooled_users(spec["grouping"], inner.get("vector"), parts)
    profile = GroupProfile(make(inner, parts), pooled, **_options(spec, "n_candidates"))
    return _grouped(profile, spec, parts, np.arange(len(pooled)))


def _pooled_users(grouping: str, vector: str | None, parts: Parts) -> RequestBatch:
    """Pool the users of each group, by their vectors or by their tags."""
    found = parts.pooled.get((grouping, vector))
    if found is not None:
        return found
    labels = parts.labels[grouping]
    users = parts.tags if vector is None else RequestBatch(vectors={vector: parts.vectors[vector]})
    if users is None:
        raise ValueError("profile: expected histories of users for a profile of tags, got none")
    n = max(int(labels.max(initial=-1)) + 1, parts.sizes.get(grouping, 0))
    pooled = GroupProfile.pseudo_users(users, labels, n)
    parts.pooled[grouping, vector] = pooled
    return pooled


def _popularity(spec: Spec, parts: Parts) -> Channel:
    if parts.counts is None:
        raise ValueError("popularity: expected numbers of users by item, got none")
    return Precomputed.for_all(np.arange(parts.counts.size), parts.counts)


_MAKERS: dict[str, Callable[[Spec, Parts], Channel]] = {
    "item_to_item": _item_to_item,
    "user_to_item": _user_to_item,
    "cross_tag": _cross_tag,
    "cluster": _cluster,
    "feed": _feed,
    "profile": _profile,
    "popularity": _popularity,
}
