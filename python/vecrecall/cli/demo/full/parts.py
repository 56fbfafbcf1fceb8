"""The parts of channels, and the making of channels from their settings.

A channel is described by JSON values that name its parts: indexes, tables of neighbors, groups,
lists. The demo makes its channels from these, and so does a process that loads a saved system: the
same description and the same parts give the same lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecrecall.channels import (
    ClusterCandidates,
    ClusterFeedChannel,
    CrossTag,
    GroupProfile,
    ItemToItem,
    Precomputed,
    UserToItem,
)
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.embeddings import FloatArray
from vecrecall.cli.demo.groups import GroupedChannel
from vecrecall.cli.demo.profiles import Profiles
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._neighbor_table import NeighborTable

Spec = dict[str, Any]
"""The settings of a channel: ``kind``, the names of its parts, its options."""


@dataclass
class Parts:
    """The parts of channels, by name.

    Attributes
    ----------
    indexes : dict of str to FlatIndex
    tables : dict of str to NeighborTable
    centers : dict of str to ndarray, shape (n_groups, d)
        By grouping: of the groups, in the space of the index that is searched with them.
    labels : dict of str to ndarray, shape (n_users,)
        By grouping: the group of each user, -1 for none.
    feeds : dict of str to ClusterFeed
        By grouping.
    first_tags : ndarray, shape (n_items,)
        The number of each item's first tag, -1 without tags.
    counts : ndarray, shape (n_items,)
        Number of users by item.
    profiles : Profiles
        The users' requests.
    clock : float
        The time of the last click.
    """

    profiles: Profiles
    first_tags: IntArray
    counts: IntArray
    clock: float
    indexes: dict[str, FlatIndex] = field(default_factory=dict)
    tables: dict[str, NeighborTable] = field(default_factory=dict)
    centers: dict[str, FloatArray] = field(default_factory=dict)
    labels: dict[str, IntArray] = field(default_factory=dict)
    feeds: dict[str, ClusterFeed] = field(default_factory=dict)


def make(specs: Mapping[str, Spec], parts: Parts) -> dict[str, Channel]:
    """Make channels.

    Parameters
    ----------
    specs : mapping of str to Spec
    parts : Parts

    Returns
    -------
    dict of str to Channel
        In the order of `specs`.

    Raises
    ------
    ValueError
        If the kind of a channel is unknown.
    KeyError
        If a part is missing.
    """
    return {name: _channel(spec, parts) for name, spec in specs.items()}


def _channel(spec: Spec, parts: Parts) -> Channel:
    kind = spec["kind"]
    if kind not in _MAKERS:
        raise ValueError(f"kind: expected one of {', '.join(_MAKERS)}, got {kind!r}")
    return _MAKERS[kind](spec, parts)


def _item_to_item(spec: Spec, parts: Parts) -> Channel:
    table = parts.tables[spec["table"]]
    return ItemToItem(table, history_length=spec["history_length"], decay=spec["decay"])


def _user_to_item(spec: Spec, parts: Parts) -> Channel:
    return UserToItem(parts.indexes[spec["index"]], vector=spec["vector"])


def _cross_tag(spec: Spec, parts: Parts) -> Channel:
    index = parts.indexes[spec["index"]]
    # The items themselves take the place of a user's tags, in categories by their first tag.
    return CrossTag(index, _rows_of(index, parts), tags_per_group=spec["tags_per_group"])


def _rows_of(index: FlatIndex, parts: Parts) -> FloatArray:
    """Return a row for each item, zero for those that the index has left out."""
    rows = np.zeros((parts.counts.size, index.dim), np.float32)
    ids = index.ids
    rows[ids] = index.vectors(ids)
    return rows


def _cluster(spec: Spec, parts: Parts) -> Channel:
    grouping = spec["grouping"]
    lists = ClusterCandidates(parts.indexes[spec["index"]], parts.centers[grouping])
    return GroupedChannel(lists, parts.labels[grouping])


def _feed(spec: Spec, parts: Parts) -> Channel:
    grouping = spec["grouping"]
    feed = ClusterFeedChannel(parts.feeds[grouping], now=parts.clock)
    return GroupedChannel(feed, parts.labels[grouping])


def _profile(spec: Spec, parts: Parts) -> Channel:
    labels = parts.labels[spec["grouping"]]
    inner = spec["channel"]
    users = parts.profiles.tags
    if inner["kind"] == "user_to_item":
        name = inner["vector"]
        users = RequestBatch(vectors={name: parts.profiles.vectors[name]})
    pooled = GroupProfile.pseudo_users(users, labels, int(labels.max()) + 1)
    return GroupedChannel(GroupProfile(_channel(inner, parts), pooled), labels)


def _popularity(spec: Spec, parts: Parts) -> Channel:
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
