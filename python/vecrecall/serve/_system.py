"""A version while it is served: artifacts that change, and the recallers that read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall.policies as policies
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._typing import F32, I64
from vecrecall.channels._breaker import CircuitBreaker
from vecrecall.channels._protocol import Channel
from vecrecall.channels._recaller import Recaller
from vecrecall.fusion._caps import Caps
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._masks import Mask
from vecrecall.search._protocol import SearchableIndex
from vecrecall.serve import _config, _parts
from vecrecall.serve._changes import Change, Clicks, Events, Put, Remove, SetFilter
from vecrecall.serve._config import Config, ConfigError
from vecrecall.serve._errors import bad_field
from vecrecall.serve._filters import FilteredIndex, KeptItems
from vecrecall.serve._lists import MadeOfIndex, Remaker

_NOTHING: I64 = np.empty(0, np.int64)
_SEARCHED = (_config.UserToItem, _config.CrossTag)
_MOST_RECALLERS = 32  # combinations of filters that are kept
_MOST_TAGS = 2**63 - 1
_Key = tuple[tuple[str, ...], int]  # filters, and their generation


class System:
    """The system of one version.

    Changes are applied by one thread, in the order of the log; any number of threads recall
    meanwhile.

    Parameters
    ----------
    config : Config
        With absolute paths.
    version, position : int
    removed : ndarray of int64
    open_index : callable
        As of `_parts.load`.
    made_at : float, optional
        Default now.

    Attributes
    ----------
    config : Config
    version : int
    position : int
        The number of the last record of the log that was applied.
    parts : Parts
    made_at : float
        When the version was published or folded, in seconds since 1970.
    changed_at : dict of str to float
        The same for the last change of an artifact, by its name.
    removed : ndarray of int64
        Ids of removed items, ascending, which lists that were made before may still have.

    Raises
    ------
    ConfigError
        If something is not there or does not fit.
    """

    def __init__(
        self,
        config: Config,
        version: int = 1,
        position: int = 0,
        removed: I64 = _NOTHING,
        open_index: Callable[[_config.Index], FlatIndex] | None = None,
        made_at: float | None = None,
    ) -> None:
        self.config = config
        self.version = version
        self.position = position
        self.parts = _parts.load(config, open_index)
        self.made_at = time.time() if made_at is None else made_at
        self.changed_at: dict[str, float] = {}
        self.removed = removed
        self._filters: dict[str, _NamedFilter] = {}
        for name, items in self.parts.filters.items():
            self._filters[name] = _NamedFilter(set(items))
        try:
            self._resolve_filters()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"filters: {error}") from error
        self._caps = self._load_caps()
        self._recallers: dict[_Key, _Made] = {}
        self._making = threading.Lock()
        self._generation = 0  # of the filters
        self._remaker = Remaker(self._lists, lambda name: self._touch(f"channels.{name}"))
        self.needs = Needs(self)
        self.recaller(())

    # Reading

    def ids(self, items: Sequence[int | str] | Any) -> I64:
        """Find the ids of items, -1 for those that are unknown."""
        if self.parts.items is not None:
            return self.parts.items.ids(items, missing="ignore")
        return np.asarray(items, np.int64)

    def keys(self, ids: I64) -> list[Any]:
        """List the keys of ids."""
        if self.parts.items is not None:
            return self.parts.items.keys(ids)
        keys: list[Any] = ids.tolist()
        return keys

    @property
    def artifacts(self) -> list[str]:
        """The names of all artifacts, such as ``indexes.dssm``."""
        config = self.config
        tables = ("indexes", "tables", "groupings", "feeds", "towers")
        named = [f"{table}.{name}" for table in tables for name in getattr(config, table)]
        keys = [] if config.items.keys is None else ["items"]
        lists = [f"channels.{n}" for n, spec in config.channels.items() if _source_of(spec)]
        return [*keys, *named, *lists, *(f"filters.{name}" for name in self._filters)]

    @property
    def filters(self) -> Mapping[str, _NamedFilter]:
        """The filters by name."""
        return self._filters

    def mask(self, index: str, names: tuple[str, ...]) -> Mask | None:
        """Return what several filters allow in an index, None where there are none."""
        mask: Mask | None = None
        for name in names:
            own = self._filters[name].mask(index, self.parts.indexes[index])
            mask = own if mask is None else mask & own
        return mask

    def recaller(self, names: tuple[str, ...]) -> Recaller | None:
        """Return the recaller of what some filters allow; None without channels."""
        if not self.config.channels:
            return None
        key = (names, self._generation if names else 0)
        found = self._recallers.get(key)
        if found is None:
            with self._making:
                found = self._recallers.get(key) or self._make_recaller(names)
                self._recallers = {**self._current(_MOST_RECALLERS - 1), key: found}
        return found.recaller

    def _current(self, most: int) -> dict[_Key, _Made]:
        """Return the recallers of the filters as they are, and without the oldest ones."""
        known = (self._generation, 0)
        own = {key: made for key, made in self._recallers.items() if key[1] in known}
        gone = [key for key in own if key[0]][: max(0, len(own) - most)]
        return {key: made for key, made in own.items() if key not in gone}

    def _lists(self) -> list[MadeOfIndex]:
        """Return the channels with lists of an index, of all recallers."""
        with self._making:
            self._recallers = self._current(_MOST_RECALLERS)
            return [channel for made in self._recallers.values() for channel in made.lists]

    def now(self, feed: str) -> float:
        """Return the time as of which the clicks of a feed count."""
        clock = self.parts.clocks[feed]
        return time.time() if clock.wall else clock.newest

    # Changing

    def check(self, change: Change, pending: Pending) -> None:
        """Refuse what cannot be applied after the changes in `pending`."""
        if isinstance(change, Put):
            for name, rows in change.vectors.items():
                self._check_rows(name, rows.matrix())
            if change.strict:
                for name in change.vectors:
                    there = pending.contains(self, name, change.items)
                    if there.any():
                        place = int(np.flatnonzero(there)[0])
                        raise bad_field(
                            f"items[{place}]", f"an item that {name} does not have",
                            change.items[place], 409,
                        )  # fmt: skip
        elif isinstance(change, Remove) and change.strict:
            there = np.zeros(len(change.items), bool)
            for name in self.parts.indexes:
                there |= pending.contains(self, name, change.items)
            if not there.all():
                place = int(np.flatnonzero(~there)[0])
                raise bad_field(f"items[{place}]", "a known item", change.items[place], 404)
        elif isinstance(change, SetFilter) and change.operation != "set":
            if not pending.has_filter(self, change.name):
                raise bad_field("name", "the name of a filter", change.name, 404)
        elif isinstance(change, Events):
            for clicks in change.clicks:
                self._check_clicks(clicks, pending)
        pending.note(change)

    def apply(self, change: Change) -> None:
        """Apply a change that `check` has let pass, or one that passed for another version.

        What this version does not have is left out: an index, a feed, a width of vectors.
        """
        if isinstance(change, Put):
            self._put(change)
        elif isinstance(change, Remove):
            self._remove(change)
        elif isinstance(change, Events):
            for clicks in change.clicks:
                self._observe(clicks)
        elif isinstance(change, SetFilter):
            self._set_filter(change)

    def _put(self, change: Put) -> None:
        if self.parts.items is not None:
            ids = self.parts.items.add(change.items)
            self._touch("items")
        else:
            ids = np.asarray(change.items, np.int64)
        for name, rows in change.vectors.items():
            index = self.parts.indexes.get(name)
            if index is not None and index.dim == rows.dim:
                _update(index, rows.matrix(), ids, change.bias.get(name))
                self._touch_index(name)
        if np.isin(ids, self.removed).any():
            self.removed = np.setdiff1d(self.removed, ids)
        if any(one.waits for one in self._filters.values()):
            self._resolve_filters()
            self._generation += 1

    def _remove(self, change: Remove) -> None:
        ids = self.ids(change.items)
        ids = ids[ids >= 0]
        for name, index in self.parts.indexes.items():
            if index.contains(ids).any():
                index.remove(ids, missing="ignore")
                self._touch_index(name)
        self.removed = np.union1d(self.removed, ids)

    def _observe(self, clicks: Clicks) -> None:
        feed = self.parts.feeds.get(clicks.feed)
        ids = self.ids(clicks.items)
        usable = ids >= 0
        if feed is None or not usable.any():
            return
        users = None if clicks.users is None else np.asarray(clicks.users)[usable]
        weights = None if clicks.weights is None else np.asarray(clicks.weights)[usable]
        clusters = np.asarray(clicks.clusters, np.int64)[usable]
        times = np.asarray(clicks.times, np.float64)[usable]
        if (clusters >= feed.n_clusters).any():  # of another version
            return
        feed.observe(clusters, ids[usable], times, users=users, weights=weights)
        self.parts.clocks[clicks.feed].saw(times.tolist())
        self._touch(f"feeds.{clicks.feed}")

    def _set_filter(self, change: SetFilter) -> None:
        filters = dict(self._filters)
        own = filters.get(change.name)
        items = set(own.items) if own else set()
        if change.operation == "delete":
            filters.pop(change.name, None)
        else:
            if change.operation == "set":
                items = set(change.items)
            elif change.operation == "add":
                items |= set(change.items)
            else:
                items -= set(change.items)
            filters[change.name] = _NamedFilter(items)
            filters[change.name].resolve(self.ids)
        self._filters = filters
        self._generation += 1
        if change.name in filters:
            self._touch(f"filters.{change.name}")
        else:
            self.changed_at.pop(f"filters.{change.name}", None)

    def _resolve_filters(self) -> None:
        filters = {name: _NamedFilter(one.items) for name, one in self._filters.items()}
        for one in filters.values():
            one.resolve(self.ids)
        self._filters = filters

    def _touch(self, artifact: str) -> None:
        self.changed_at[artifact] = time.time()

    def _touch_index(self, name: str) -> None:
        self._touch(f"indexes.{name}")
        if name in {_source_of(spec) for spec in self.config.channels.values()}:
            self._remaker.changed(name)

    def _check_rows(self, name: str, matrix: F32) -> None:
        index = self.parts.indexes.get(name)
        if index is None:
            names = ", ".join(map(repr, self.parts.indexes)) or "none"
            raise bad_field("vectors", f"names of indexes ({names})", name)
        if matrix.shape[1] != index.dim:
            raise bad_field(f"vectors.{name}", f"rows of {index.dim} numbers", matrix.shape[1])
        if index.metric == "cosine" and not np.abs(matrix).sum(axis=1).all():
            row = int(np.flatnonzero(np.abs(matrix).sum(axis=1) == 0)[0])
            raise bad_field(f"vectors.{name}[{row}]", "a vector that is not zero", "zeros")

    def _check_clicks(self, clicks: Clicks, pending: Pending) -> None:
        feed = self.parts.feeds.get(clicks.feed)
        if feed is None:
            names = ", ".join(map(repr, self.parts.feeds)) or "none"
            raise bad_field("feed", f"the name of a feed ({names})", clicks.feed)
        for place, cluster in enumerate(clicks.clusters):
            if cluster >= feed.n_clusters:
                expected = f"0 to {feed.n_clusters - 1}"
                raise bad_field(f"clusters[{place}]", expected, cluster)
        known = pending.known(self, clicks.items)
        if not known.all():
            place = int(np.flatnonzero(~known)[0])
            raise bad_field(f"items[{place}]", "a known item", clicks.items[place], 404)

    def _load_caps(self) -> list[Caps]:
        caps = []
        for place, cap in enumerate(self.config.caps):
            try:
                content = np.load(cap.file, allow_pickle=False)
                caps.append(Caps(content["ids"], content["groups"], cap.limit))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"caps[{place}]: {error}") from error
        return caps

    def _make_recaller(self, names: tuple[str, ...]) -> _Made:
        def index_of(name: str) -> SearchableIndex:
            index = self.parts.indexes[name]
            if not names:
                return index
            return FilteredIndex(index, lambda: self._mask_of(name, names))

        def now_of(feed: str) -> Callable[[], float]:
            return lambda: self.now(feed)

        lists: list[MadeOfIndex] = []
        indexes = {name: index_of(name) for name in self.parts.indexes}
        parts = _parts.channel_parts(self.config, self.parts, indexes, now_of)
        channels: dict[str, Channel] = {}
        for name, spec in self.config.channels.items():
            make = partial(_parts.make_channel, spec, parts)
            index = _source_of(spec)
            try:
                made = make() if index is None else MadeOfIndex(name, index, make)
            except (ConfigError, ValueError, TypeError, KeyError, OSError) as error:
                raise ConfigError(f"channels.{name}: {error}") from error
            if isinstance(made, MadeOfIndex):
                lists.append(made)
            searched = isinstance(spec, _SEARCHED)
            channels[name] = made if searched else KeptItems(made, lambda: self._keep(names))
        depths = {n: c.depth or self.config.depth for n, c in self.config.channels.items()}
        depth = {name: value for name, value in depths.items() if value is not None}
        given = {n: c.deadline for n, c in self.config.channels.items()}
        deadlines = {name: value for name, value in given.items() if value is not None}
        try:
            policy = policy_of(self.config.policy)
            recaller = Recaller(
                channels,
                policy,
                depth=depth or None,
                caps=self._caps or None,
                on_error="skip",
                workers=self.config.parallel if self.config.parallel > 1 else None,
                deadlines=deadlines or None,
                breaker=CircuitBreaker(),
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(f"policy: {error}") from error
        return _Made(recaller, lists)

    def _mask_of(self, index: str, names: tuple[str, ...]) -> Mask:
        mask = self.mask(index, names)
        assert mask is not None  # there are names
        return mask

    def _keep(self, names: tuple[str, ...]) -> Callable[[I64], npt.NDArray[np.bool_]] | None:
        """Return what says of ids whether filters allow them and they are not removed."""
        removed = self.removed
        allowed = [self._filters[name].ids for name in names]
        if not removed.size and not allowed:
            return None

        def keep(ids: I64) -> npt.NDArray[np.bool_]:
            kept = ~_among(ids, removed)
            for some in allowed:
                kept &= _among(ids, some)
            return kept

        return keep


@dataclass(frozen=True)
class _Made:
    """A recaller, and those of its channels that have lists of an index."""

    recaller: Recaller
    lists: list[MadeOfIndex]


def _source_of(spec: _config.Channel) -> str | None:
    """Return the index of which a channel makes lists, None if it makes none."""
    if isinstance(spec, _config.Profile):
        return spec.channel.index
    return spec.index if isinstance(spec, _config.Cluster) else None


class Needs:
    """The fields that the channels of a configuration read.

    Attributes
    ----------
    history, tags : bool
    n_tags : int
        Tags are 0 to n_tags - 1.
    vectors : dict of str to int
        Widths by name.
    groupings : list of str
    """

    def __init__(self, system: System) -> None:
        self.history = False
        self.tags = False
        self.item_tags = False
        self.n_tags = _MOST_TAGS
        self.vectors: dict[str, int] = {}
        self.groupings: list[str] = []
        for spec in system.config.channels.values():
            if isinstance(spec, _config.ItemToItem):
                self.history = True
            elif isinstance(spec, _config.UserToItem) and spec.vector is not None:
                self.vectors[spec.vector] = system.parts.indexes[spec.index].dim
            elif isinstance(spec, (_config.UserToItem, _config.CrossTag)):
                self.tags = True
                self.item_tags |= spec.tag_table is None
                self.n_tags = min(self.n_tags, _tags_of(system, spec))
            elif isinstance(spec, (_config.Cluster, _config.FeedChannel, _config.Profile)):
                self._add_grouping(system, spec.grouping)

    def _add_grouping(self, system: System, name: str) -> None:
        if name not in self.groupings:
            self.groupings.append(name)
            own = system.parts.groupings[name]
            if own.groups is not None and own.vector is not None:
                self.vectors.setdefault(own.vector, own.groups.centers.shape[1])


def _tags_of(system: System, spec: _config.UserToItem | _config.CrossTag) -> int:
    """Count the tags that a channel knows."""
    if spec.tag_table is not None:
        return len(system.parts.tag_tables[spec.tag_table])
    profiles = system.parts.profiles
    if profiles is not None:
        return profiles.counts.size
    return int(system.parts.indexes[spec.index].ids.max(initial=-1)) + 1


class Pending:
    """Changes that were checked but not applied yet: a group that goes to the disk as one."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, int | str], bool] = {}
        self._gone: set[int | str] = set()
        self._new: set[int | str] = set()
        self._filters: dict[str, bool] = {}

    def contains(self, system: System, index: str, items: list[int | str]) -> npt.NDArray[np.bool_]:
        """Tell which items an index has after these changes."""
        ids = system.ids(items)
        there = system.parts.indexes[index].contains(ids)
        if self._items or self._gone:
            for place, item in enumerate(items):
                state = self._items.get((index, item))
                there[place] = (
                    state if state is not None else there[place] and item not in self._gone
                )
        return there

    def known(self, system: System, items: list[int | str]) -> npt.NDArray[np.bool_]:
        """Tell which items have an id after these changes."""
        known = system.ids(items) >= 0
        if self._new:
            known |= np.array([item in self._new for item in items], bool)
        return known

    def has_filter(self, system: System, name: str) -> bool:
        """Tell whether there is a filter after these changes."""
        return self._filters.get(name, name in system.filters)

    def note(self, change: Change) -> None:
        """Take a change as made."""
        if isinstance(change, Put):
            self._new.update(change.items)
            for name in change.vectors:
                self._items.update({(name, item): True for item in change.items})
        elif isinstance(change, Remove):
            gone = set(change.items)
            self._gone |= gone
            self._items = {key: there for key, there in self._items.items() if key[1] not in gone}
        elif isinstance(change, SetFilter):
            self._filters[change.name] = change.operation != "delete"


class _NamedFilter:
    """A set of items, and what it is in each index."""

    def __init__(self, items: set[int | str]) -> None:
        self.items = items
        self.ids: I64 = np.empty(0, np.int64)
        self.waits = False  # for items that are not known yet
        self._masks: dict[str, Mask] = {}

    def resolve(self, ids_of: Callable[[Sequence[int | str]], I64]) -> None:
        """Find the ids of the items."""
        ids = np.unique(ids_of(list(self.items))) if self.items else self.ids
        self.ids = ids[ids >= 0]
        self.waits = self.ids.size < len(self.items)

    def mask(self, name: str, index: FlatIndex) -> Mask:
        """Return the mask of an index."""
        if name not in self._masks:
            self._masks[name] = index.mask(self.ids)
        return self._masks[name]


def policy_of(settings: _config.Policy) -> policies.Policy:
    """Make a merge policy."""
    arguments = {name: getattr(settings, name) for name in settings.__struct_fields__}
    kind: Any = getattr(policies, type(settings).__name__)
    policy: policies.Policy = kind(**{k: v for k, v in arguments.items() if v is not None})
    return policy


def _update(index: FlatIndex, rows: F32, ids: I64, bias: list[float] | None) -> None:
    """Put items into an index, without zeros in one of cosines, which others may have taken."""
    extra = None if bias is None else np.asarray(bias, np.float64)
    if index.metric == "cosine" and not rows.any(axis=1).all():
        usable = rows.any(axis=1)
        rows, ids, extra = rows[usable], ids[usable], None if extra is None else extra[usable]
    index.update(rows, ids, bias=extra)


def _among(ids: I64, some: I64) -> npt.NDArray[np.bool_]:
    """Tell which ids are in a sorted set."""
    if not some.size:
        return np.zeros(ids.size, bool)
    place = np.minimum(np.searchsorted(some, ids), some.size - 1)
    found: npt.NDArray[np.bool_] = some[place] == ids
    return found


def grouped_clusters(system: System, name: str, users: I64, vectors: Mapping[str, F32]) -> Ragged:
    """Find the cluster of each user in a grouping: the known one, or the nearest."""
    own = system.parts.groupings[name]
    labels = np.full(users.size, -1, np.int64)
    known = users >= 0
    if own.labels is not None:
        inside = known & (users < own.labels.size)
        labels[inside] = own.labels[users[inside]]
    if own.vector is not None and own.vector in vectors:
        _parts.assign_rest(own, vectors[own.vector], labels)
    return Ragged._of(labels, np.arange(labels.size + 1))
