"""The artifacts of one version: what is loaded from its folder, and the channels made of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import row_of_each
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32, I64
from vecrecall.channels import _specs
from vecrecall.channels._precomputed import Precomputed
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex, load_index
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
    tag_tables: dict[str, F32]  # by path
    groupings: dict[str, Grouped]
    labels: dict[str, I64]  # of known users, by the groupings whose users a channel pools
    feeds: dict[str, ClusterFeed]
    clocks: dict[str, Clock]
    towers: dict[str, Any]
    filters: dict[str, list[int | str]]
    pooled: dict[tuple[str, str | None], RequestBatch] = field(default_factory=dict)


def load(config: Config, open_index: Callable[[_config.Index], FlatIndex] | None = None) -> Parts:
    """Load what a configuration names, by its absolute paths.

    Parameters
    ----------
    config : Config
    open_index : callable, optional
        Returns what stands in for an index; default the index itself.

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
    indexes = all_of("indexes", config.indexes, open_index or _index)
    user_vectors = all_of("users.vectors", own.vectors, lambda path: _user_rows(path, users))
    groupings = all_of("groupings", config.groupings, _grouping)
    profiles = (c for c in config.channels.values() if isinstance(c, _config.Profile))
    pooled = {c.grouping: groupings[c.grouping] for c in profiles if c.grouping in groupings}
    labels = all_of("groupings", pooled, lambda of: _known_labels(of, user_vectors))
    return Parts(
        items=one("items.keys", config.items.keys, _vocabulary) or _own_keys(indexes),
        titles=one("items.titles", config.items.titles, _titles),
        users=users,
        profiles=one("users.profiles", own.profiles, _profiles),
        user_vectors=user_vectors,
        indexes=indexes,
        tables=all_of("tables", config.tables, lambda of: NeighborTable.load(of.path)),
        tag_tables={path: one(key, path, _matrix) for key, path in _tag_tables(config)},
        groupings=groupings,
        labels={name: found for name, found in labels.items() if found is not None},
        feeds=all_of("feeds", config.feeds, _feed),
        clocks={n: Clock(of.clock == "wall", of.since) for n, of in config.feeds.items()},
        towers=all_of("towers", config.towers, lambda of: _tower(of.path)),
        filters=all_of("filters", config.filters, _filter),
    )


def _tag_tables(config: Config) -> Iterator[tuple[str, str]]:
    """List the tables of tags that channels name, each with its key."""
    for name, spec in config.channels.items():
        key = f"channels.{name}"
        if isinstance(spec, _config.Profile):
            key, spec = f"{key}.channel", spec.channel
        if isinstance(spec, (_config.UserToItem, _config.CrossTag)) and spec.tag_table is not None:
            yield f"{key}.tag_table", spec.tag_table


def channel_parts(
    config: Config,
    parts: Parts,
    indexes: Mapping[str, SearchableIndex],
    now_of: Callable[[str], Callable[[], float]],
) -> _specs.Parts:
    """Return what channels are made of.

    Parameters
    ----------
    config : Config
    parts : Parts
    indexes : mapping of str to SearchableIndex
        The indexes, or what stands for them.
    now_of : callable
        Gives the clock of the feed of a name.

    Returns
    -------
    Parts
    """
    profiles, groupings = parts.profiles, parts.groupings.items()
    centers = {n: g.groups if g.centers is None else g.centers for n, g in groupings}
    return _specs.Parts(
        indexes=indexes,
        tables=parts.tables,
        tag_tables=parts.tag_tables,
        centers={name: own for name, own in centers.items() if own is not None},
        labels=parts.labels,
        feeds=parts.feeds,
        clocks={name: now_of(name) for name in parts.feeds},
        vectors=parts.user_vectors,
        tags=None if profiles is None else _tags_of(profiles),
        pooled=parts.pooled,
        counts=None if profiles is None else profiles.counts,
        sizes={name: own.n for name, own in groupings},
        grouped=ByGrouping,
    )


def assign_rest(own: Grouped, vectors: F32, labels: I64) -> None:
    """Put each user without a cluster into the nearest one; a vector of zeros says nothing."""
    usable = (labels < 0) & vectors.any(axis=1)
    if own.groups is not None and usable.any():
        labels[usable] = own.groups.assign(vectors[usable]).labels[:, 0]


def _known_labels(own: Grouped, user_vectors: Mapping[str, F32]) -> I64 | None:
    """Return the cluster of each known user: as it is given, or by its vector."""
    vectors = user_vectors.get(own.vector or "")
    if own.labels is not None or own.groups is None or vectors is None:
        return own.labels
    labels = np.full(len(vectors), -1, np.int64)
    assign_rest(own, vectors, labels)
    return labels


def make_channel(spec: _config.Channel, parts: _specs.Parts) -> Channel:
    """Make a channel.

    Parameters
    ----------
    spec : Channel
        Of a configuration.
    parts : Parts

    Returns
    -------
    Channel

    Raises
    ------
    ConfigError
        If a part is missing.
    """
    if isinstance(spec, _config.Popularity) and spec.file is not None:
        content = np.load(spec.file, allow_pickle=False)
        return Precomputed.for_all(content["ids"], content.get("scores"))
    grouping = getattr(spec, "grouping", None)
    if isinstance(spec, _config.Cluster) and grouping not in parts.centers:
        raise ConfigError(f"groupings.{grouping}: expected centers, got none")
    if isinstance(spec, _config.Profile) and grouping not in parts.labels:
        expected = "labels of users, or groups and known vectors of users"
        raise ConfigError(f"groupings.{grouping}: expected {expected}, got none")
    return _specs.make(msgspec.to_builtins(spec), parts)


def _tags_of(profiles: Profiles) -> RequestBatch:
    tags, weights, groups = _specs.item_tags(profiles.history, profiles.first_tags)
    return RequestBatch(tags=tags, tag_weights=weights, tag_groups=groups)


class ByGrouping:
    """A channel that reads a batch's clusters in one of its groupings.

    Those that the channel does not know are none: they spoil no list of others.
    """

    def __init__(self, channel: Channel, grouping: str, known: I64) -> None:
        self._channel = channel
        self._grouping = grouping
        self._known = np.zeros(int(known.max(initial=-1)) + 2, bool)
        self._known[known] = True  # the last is that of -1

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Recall with the users' clusters."""
        assert isinstance(batch, SystemBatch)  # of this service
        clusters = batch.groupings[self._grouping]
        inside = np.minimum(clusters.values, self._known.size - 1)
        numbers = np.where(self._known[inside], clusters.values, -1)
        own = RequestBatch(clusters=Ragged._of(numbers, clusters.offsets), seen=batch.seen)
        return self._channel.recall(own, k)


def _index(of: _config.Index) -> FlatIndex:
    index = load_index(of.path)
    if of.probes is not None:
        if not isinstance(index, IVFIndex):
            raise ValueError(f"expected an IVFIndex for probes, got a FlatIndex: {of.path}")
        return index._probing(of.probes)
    return index


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
