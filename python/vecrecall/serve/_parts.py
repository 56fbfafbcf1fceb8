"""The artifacts of one version: what is loaded from its folder, and the channels made of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, I64
from vecrecall.channels import (
    ClusterCandidates,
    ClusterFeedChannel,
    CrossTag,
    GroupProfile,
    ItemToItem,
    LiveNeighbors,
    Precomputed,
    UserToItem,
)
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._protocol import SearchableIndex
from vecrecall.search._vocabulary import Vocabulary
from vecrecall.serve import _config
from vecrecall.serve._batch import SystemBatch
from vecrecall.serve._config import Config, ConfigError
from vecrecall.storage import _array_folder

log = logging.getLogger("vecrecall.serve")
T = TypeVar("T")

_SYSTEM_PART = "SavedSystem"
_PROFILE_ITEMS = 50  # as the demo, whose saved systems take items for tags
_ITEM_DECAY = 0.95


@dataclass
class Profiles:
    """Data of known users.

    Attributes
    ----------
    history : Ragged of int64
        Items, latest first.
    first_tags : ndarray of int64, shape (n_items,)
        The category of each item, -1 for none.
    counts : ndarray of int64, shape (n_items,)
        Users by item.
    """

    history: Ragged
    first_tags: I64
    counts: I64


@dataclass
class Clock:
    """The time as of which clicks of a feed count: the newest of all, or that of the wall."""

    wall: bool
    newest: float

    def saw(self, times: Sequence[float]) -> None:
        """Take the times of clicks."""
        self.newest = max([self.newest, *times])


@dataclass
class Grouped:
    """Clusters of users.

    Attributes
    ----------
    labels : ndarray of int64 or None
        Of known users, -1 for none.
    centers : ndarray of float32 or None
        In the space of the items.
    groups : UserGroups, optional
        They assign users by the vectors called `vector`.
    n : int
        Clusters are 0 to n - 1.
    """

    labels: I64 | None
    centers: F32 | None
    groups: UserGroups | None
    vector: str | None
    n: int


@dataclass
class Parts:
    """Everything that was loaded."""

    items: Vocabulary | None
    titles: list[str] | None
    users: Vocabulary | None
    profiles: Profiles | None
    user_vectors: dict[str, F32]  # a row per known user
    indexes: dict[str, FlatIndex]
    tables: dict[str, NeighborTable]
    groupings: dict[str, Grouped]
    feeds: dict[str, ClusterFeed]
    clocks: dict[str, Clock]
    towers: dict[str, Any]
    filters: dict[str, list[int | str]] = field(default_factory=dict)


def load(config: Config, open_index: Callable[[str], FlatIndex] = FlatIndex.load) -> Parts:
    """Load what a configuration names, by its absolute paths.

    Parameters
    ----------
    config : Config
    open_index : callable
        Returns the index of a path, or what stands in for one.

    Returns
    -------
    Parts

    Raises
    ------
    ConfigError
        If something is not there or does not fit; the message has the path of the key.
    """

    def one(key: str, value: T | None, of: Callable[[T], Any]) -> Any:
        if value is None:
            return None
        try:
            return of(value)
        except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
            raise ConfigError(f"{key}: {error}") from error

    def all_of(key: str, named: Mapping[str, T], of: Callable[[T], Any]) -> dict[str, Any]:
        return {name: one(f"{key}.{name}", value, of) for name, value in named.items()}

    own = config.users
    users = one("users.keys", own.keys, _vocabulary)
    indexes = all_of("indexes", config.indexes, lambda of: open_index(of.path))
    return Parts(
        items=one("items.keys", config.items.keys, _vocabulary) or _own_keys(indexes),
        titles=one("items.titles", config.items.titles, _titles),
        users=users,
        profiles=one("users.profiles", own.profiles, _profiles),
        user_vectors=all_of("users.vectors", own.vectors, lambda path: _user_rows(path, users)),
        indexes=indexes,
        tables=all_of("tables", config.tables, lambda of: NeighborTable.load(of.path)),
        groupings=all_of("groupings", config.groupings, _grouping),
        feeds=all_of("feeds", config.feeds, _feed),
        clocks={n: Clock(of.clock == "wall", of.since) for n, of in config.feeds.items()},
        towers=all_of("towers", config.towers, lambda of: _tower(of.path)),
        filters=all_of("filters", config.filters, _filter),
    )


def make_channel(
    spec: _config.Channel,
    parts: Parts,
    index_of: Callable[[str], SearchableIndex],
    now_of: Callable[[str], Callable[[], float]],
) -> Channel:
    """Make a channel.

    Parameters
    ----------
    spec : Channel
        Of a configuration.
    parts : Parts
    index_of : callable
        Gives the index of a name, or what stands for it.
    now_of : callable
        Gives the clock of the feed of a name.

    Returns
    -------
    Channel
    """
    if isinstance(spec, _config.ItemToItem):
        return _item_to_item(spec, parts)
    if isinstance(spec, _config.UserToItem):
        if spec.tag_table is not None:
            return UserToItem(index_of(spec.index), tag_table=_matrix(spec.tag_table))
        return UserToItem(index_of(spec.index), vector=spec.vector)
    if isinstance(spec, _config.CrossTag):
        table = (
            _rows_of(parts.indexes[spec.index], parts)
            if spec.tag_table is None
            else _matrix(spec.tag_table)
        )
        return CrossTag(index_of(spec.index), table, tags_per_group=spec.tags_per_group)
    if isinstance(spec, _config.Popularity):
        return _popularity(spec, parts)
    grouping = parts.groupings[spec.grouping]
    if isinstance(spec, _config.FeedChannel):
        feed = parts.feeds[spec.grouping]
        return ByGrouping(ClusterFeedChannel(feed, now=now_of(spec.grouping)), spec.grouping)
    if isinstance(spec, _config.Cluster):
        centers = grouping.groups if grouping.centers is None else grouping.centers
        if centers is None:
            raise ConfigError(f"groupings.{spec.grouping}: expected centers, got none")
        lists = ClusterCandidates(index_of(spec.index), centers, n_candidates=spec.n_candidates)
        return ByGrouping(lists, spec.grouping)
    inner = make_channel(spec.channel, parts, index_of, now_of)
    pooled = _pseudo_users(spec, parts, grouping)
    profile = GroupProfile(inner, pooled, n_candidates=spec.n_candidates)
    return ByGrouping(profile, spec.grouping)


class ByGrouping:
    """A channel that reads a batch's clusters in one of its groupings."""

    def __init__(self, channel: Channel, grouping: str) -> None:
        self._channel = channel
        self._grouping = grouping

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Recall with the users' clusters."""
        assert isinstance(batch, SystemBatch)  # of this service
        own = RequestBatch(clusters=batch.groupings[self._grouping], seen=batch.seen)
        return self._channel.recall(own, k)


def item_tags(history: Ragged, first_tags: I64) -> tuple[Ragged, Ragged, Ragged]:
    """Take the latest items for tags, of the category that their first tag is.

    Returns
    -------
    tuple of Ragged
        Items, weights and categories.
    """
    lengths = np.minimum(history.lengths, _PROFILE_ITEMS)
    offsets = offsets_of(lengths)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    tags = history.values[np.repeat(history.offsets[:-1], lengths) + place]
    tags = np.where(tags < first_tags.size, tags, -1)
    weights = (_ITEM_DECAY**place).astype(np.float32).astype(np.float64)
    groups = (
        np.where(tags >= 0, first_tags[tags], -1) if first_tags.size else np.full_like(tags, -1)
    )
    return tuple(Ragged._of(values, offsets) for values in (tags, weights, groups))  # type: ignore[return-value]  # three


def _item_to_item(spec: _config.ItemToItem, parts: Parts) -> ItemToItem:
    if (spec.table is None) == (spec.index is None):
        raise ConfigError("item_to_item: expected one of table and index")
    source = (
        LiveNeighbors(
            parts.indexes[spec.index], n_neighbors=spec.n_neighbors, min_score=spec.min_score
        )
        if spec.index is not None
        else parts.tables[spec.table or ""]
    )
    return ItemToItem(
        source,
        history_length=spec.history_length,
        decay=spec.decay,
        aggregate=spec.aggregate,
        exclude_history=spec.exclude_history,
    )


def _popularity(spec: _config.Popularity, parts: Parts) -> Precomputed:
    if spec.file is not None:
        content = np.load(spec.file, allow_pickle=False)
        return Precomputed.for_all(content["ids"], content.get("scores"))
    if parts.profiles is None:
        raise ConfigError("popularity: expected a file, or profiles of users, got neither")
    return Precomputed.for_all(np.arange(parts.profiles.counts.size), parts.profiles.counts)


def _pseudo_users(spec: _config.Profile, parts: Parts, grouping: Grouped) -> RequestBatch:
    if grouping.labels is None:
        raise ConfigError(f"groupings.{spec.grouping}: expected labels of users, got none")
    if isinstance(spec.channel, _config.UserToItem) and spec.channel.vector is not None:
        name = spec.channel.vector
        users = RequestBatch(vectors={name: parts.user_vectors[name]})
    else:
        if parts.profiles is None:
            raise ConfigError("users.profiles: expected profiles for a profile of tags, got none")
        tags, weights, groups = item_tags(parts.profiles.history, parts.profiles.first_tags)
        users = RequestBatch(tags=tags, tag_weights=weights, tag_groups=groups)
    return GroupProfile.pseudo_users(users, grouping.labels, int(grouping.labels.max()) + 1)


def _rows_of(index: FlatIndex, parts: Parts) -> F32:
    """Return a row for each item, zero for those that the index has left out."""
    ids = index.ids
    n = parts.profiles.counts.size if parts.profiles else int(ids.max(initial=-1)) + 1
    ids = ids[ids < n]
    rows = np.zeros((n, index.dim), np.float32)
    rows[ids] = index.vectors(ids)
    return rows


def _vocabulary(path: str) -> Vocabulary:
    vocabulary = Vocabulary.load(path)
    kind = vocabulary._state.kind
    if kind not in (None, "str", "int"):
        raise ValueError(f"expected keys of str or int, which JSON has, got {kind}: {path}")
    return vocabulary


def _own_keys(indexes: dict[str, FlatIndex]) -> Vocabulary | None:
    """Return the keys that indexes were saved with; new keys are added to all at their end."""
    own = [index.vocabulary for index in indexes.values() if index.vocabulary is not None]
    return max(own, key=len) if own else None


def _titles(path: str) -> list[str]:
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    titles = content["titles"] if isinstance(content, dict) else content
    return [str(title) for title in titles]


def _profiles(path: str) -> Profiles:
    content = _array_folder.load(Path(path), _SYSTEM_PART, verify=True).arrays
    oldest_first = Ragged(content["items"], content["offsets"])
    offsets = oldest_first.offsets
    row = row_of_each(oldest_first)
    mirrored = offsets[row] + offsets[row + 1] - 1 - np.arange(row.size)
    history = Ragged._of(np.asarray(oldest_first.values)[mirrored], offsets)
    return Profiles(history, np.array(content["first_tags"]), np.array(content["counts"]))


def _user_rows(path: str, users: Vocabulary | None) -> F32:
    """Read the vectors of users, a row for each known user, zeros for one without."""
    found = _embedding(path)
    if users is None:
        numbers = np.array(found.ids)
        if numbers.dtype.kind != "i" or numbers.min(initial=0) < 0:
            raise ValueError(f"expected users that are numbers >= 0, without users.keys: {path}")
        matrix = np.zeros((int(numbers.max(initial=-1)) + 1, found.dim), np.float32)
        matrix[numbers] = found.matrix
        return matrix
    keys = list(users)
    vectors: F32 = found.matrix
    if keys == found.ids:
        return vectors
    rows = found.rows(keys, missing="ignore")
    matrix = np.zeros((len(keys), found.dim), np.float32)
    matrix[rows >= 0] = vectors[rows[rows >= 0]]
    return matrix


def _embedding(path: str) -> Any:
    from vecrecall.train import Embedding

    return Embedding.load(path)


def _grouping(of: _config.Grouping) -> Grouped:
    labels, centers, groups, n = None, None, None, 0
    if of.labels is not None:
        content = _array_folder.load(Path(of.labels), _SYSTEM_PART, verify=True).arrays
        labels, centers = np.array(content["labels"], np.int64), np.array(content["centers"])
        n = int(labels.max(initial=-1)) + 1
    if of.groups is not None:
        groups = UserGroups.load(of.groups)
        n = max(n, len(groups.centers))
    if centers is not None:
        n = max(n, len(centers))
    return Grouped(labels, centers, groups, of.vector, n)


def _feed(of: _config.Feed) -> ClusterFeed:
    if of.path is not None:
        return ClusterFeed.load(of.path)
    if of.n_clusters is None or of.half_life is None or of.capacity is None:
        raise ValueError("expected a path, or n_clusters, half_life and capacity")
    return ClusterFeed(
        of.n_clusters,
        half_life=of.half_life,
        capacity=of.capacity,
        history=of.history,
        max_users=of.max_users,
    )


def _tower(path: str) -> Any:
    """Load a tower; without onnxruntime new users have no vector of it."""
    from vecrecall.train import OnnxTower

    try:
        return OnnxTower.load(path)
    except ImportError as error:
        log.warning("a tower is left out", extra={"fields": {"path": path, "reason": str(error)}})
        return None


def _filter(of: _config.Filter) -> list[int | str]:
    if of.items is not None:
        return list(of.items)
    content = json.loads(Path(of.file or "").read_text(encoding="utf-8"))
    if not isinstance(content, list) or not all(type(x) in (int, str) for x in content):
        raise ValueError(f"expected a JSON list of items, got something else: {of.file}")
    return content


def _matrix(path: str) -> F32:
    """Read vectors by row: a ``.npy`` file, or a saved embedding."""
    if Path(path).is_dir():
        return np.asarray(_embedding(path).matrix, np.float32)
    matrix: F32 = np.load(path, allow_pickle=False)
    return matrix
