"""The settings of a service: read from TOML, or from the folder of a saved system.

Every table is strict: an unknown key is an error with its path.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from vecrecall.channels._specs import named
from vecrecall.serve._errors import of_schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SYSTEM = "service.json"
SYSTEM_FORMAT = 1

Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class ConfigError(ValueError):
    """A configuration is not as it should be; the message has the path of the key."""


def exit_code(error: BaseException) -> int:
    """Return the exit code of a service that cannot begin: 2 for bad input, 1 for all else."""
    return 2 if isinstance(error, ConfigError) else 1


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of TOML without unknown keys."""


class Server(_Table, frozen=True):
    """Where the service listens, and for how long it waits for clients.

    Attributes
    ----------
    workers : int
        Processes that answer; with more than one, another process writes.
    drain : float
        Seconds that requests have to end after SIGTERM.
    header_timeout, body_timeout, write_timeout : float
        Seconds that a client may take to send headers, to send a body, and that it may leave a
        reply unread.
    token_file : str, optional
        A file with the bearer token; default the environment variable VECRECALL_TOKEN.
    threads : int, optional
        Of each worker; default all CPUs divided by the workers.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    drain: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    header_timeout: Seconds = 10.0
    body_timeout: Seconds = 30.0
    write_timeout: Seconds = 30.0
    keep_alive: Seconds = 30.0
    token_file: str | None = None
    threads: Positive | None = None


class State(_Table, frozen=True):
    """Where updates are kept, and when they are folded into a version.

    Attributes
    ----------
    path : str, optional
        Default ``state`` next to the configuration, or in the folder of the saved system.
    fold_bytes : int
        Fold once the log since the last version has so many bytes.
    keep_bytes : int
        Keep so many bytes of the log, the newest, for rollbacks and publications.
    visible : float
        Seconds within which an acknowledged update is visible to all workers.
    """

    path: str | None = None
    fold_bytes: Positive = 256 << 20
    keep_bytes: Annotated[int, Meta(ge=0)] = 256 << 20
    visible: Seconds = 1.0


class Limits(_Table, frozen=True):
    """Bounds of requests and of the queue.

    Attributes
    ----------
    work : int
        Users x k of a request.
    k, users, body_bytes : int
    queue : int
        Requests that may wait.
    queue_work : int
        Users x k x channels that may wait.
    piece_seconds : float
        A large request is cut into pieces of about so long.
    deadline : float
        Seconds that a request may take, where it does not say less.
    """

    work: Positive = 1 << 20
    k: Positive = 10_000
    users: Positive = 10_000
    body_bytes: Positive = 8 << 20
    queue: Positive = 1024
    queue_work: Positive = 1 << 28
    piece_seconds: Seconds = 0.01
    deadline: Seconds = 30.0
    update_rows: Positive = 10_000


class Artifact(_Table, frozen=True):
    """Something that the library has saved into a folder."""

    path: str


class Index(Artifact, frozen=True):
    """A `FlatIndex` or `IVFIndex`, as it was saved.

    Attributes
    ----------
    probes : int or "exact", optional
        How many lists of an `IVFIndex` a search probes that does not say it; default what was saved
        with it.
    """

    probes: Positive | Literal["exact"] | None = None


class Feed(_Table, frozen=True):
    """A feed of clicks: one that was saved, or a new one.

    Attributes
    ----------
    clock : {"wall", "events"}
        The time as of which clicks count: seconds since 1970, or the newest click.
    since : float
        With "events", the time before any click.
    """

    path: str | None = None
    n_clusters: Positive | None = None
    half_life: Annotated[float, Meta(gt=0)] | None = None
    capacity: Positive | None = None
    history: Positive = 20
    max_users: Positive = 10_000
    clock: Literal["wall", "events"] = "wall"
    since: float = 0.0


class Grouping(_Table, frozen=True):
    """Which cluster a user is in.

    Attributes
    ----------
    labels : str, optional
        A folder with the ``labels`` of known users and the ``centers``, as a saved system has it.
    groups : str, optional
        A folder of `UserGroups`, which assign users by their vectors.
    vector : str, optional
        The name of these vectors.
    """

    labels: str | None = None
    groups: str | None = None
    vector: str | None = None


class Tower(_Table, frozen=True):
    """A tower that makes the vector of a user who has none from the history.

    Attributes
    ----------
    path : str
        A folder of `TwoTower.export_onnx`.
    vector : str, optional
        The name of the vectors; default that of the tower.
    """

    path: str
    vector: str | None = None


class Filter(_Table, frozen=True):
    """A set of items that searches may be limited to, by name."""

    items: list[int | str] | None = None
    file: str | None = None


class Users(_Table, frozen=True):
    """Known users.

    Attributes
    ----------
    keys : str, optional
        A folder of a `Vocabulary`; without it users are numbers.
    profiles : str, optional
        A folder with histories, as a saved system has it.
    vectors : dict of str to str
        Folders of `Embedding`, by the name of the vector.
    """

    keys: str | None = None
    profiles: str | None = None
    vectors: dict[str, str] = {}


class Items(_Table, frozen=True):
    """The items' keys: a folder of a `Vocabulary`.

    Default those that an index was saved with; without any items are numbers.
    """

    keys: str | None = None
    titles: str | None = None


class Cap(_Table, frozen=True):
    """At most `limit` items of a group in a list.

    Attributes
    ----------
    file : str
        An ``.npz`` file with the arrays ``ids`` and ``groups``.
    """

    file: str
    limit: Annotated[int, Meta(ge=0)]


class _Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name"):
    """A policy of `vecrecall.policies`, with its arguments."""


Normalize = Literal["none", "minmax", "zscore", "max", "l2"]
Absent = Literal["zero", "min"]
Weights = dict[str, float]
Counts = dict[str, int]


class RRF(_Policy, frozen=True, tag="RRF"):
    """See `vecrecall.policies.RRF`."""

    weights: Weights | None = None
    k: float = 60.0


class WeightedSum(_Policy, frozen=True, tag="WeightedSum"):
    """See `vecrecall.policies.WeightedSum`."""

    weights: Weights | None = None
    normalize: Normalize = "none"
    absent: Absent | None = None


class Maximum(_Policy, frozen=True, tag="Maximum"):
    """See `vecrecall.policies.Maximum`."""

    weights: Weights | None = None
    normalize: Normalize = "none"
    absent: Absent | None = None


class Interleave(_Policy, frozen=True, tag="Interleave"):
    """See `vecrecall.policies.Interleave`."""

    weights: Counts | None = None
    on_duplicate: Literal["refill", "skip"] = "refill"


class Priority(_Policy, frozen=True, tag="Priority"):
    """See `vecrecall.policies.Priority`."""

    quotas: Counts
    mode: Literal["per_channel", "cumulative"] = "per_channel"
    backfill: bool = True


class Quota(_Policy, frozen=True, tag="Quota"):
    """See `vecrecall.policies.Quota`."""

    shares: Weights | None = None
    minimum: Counts | None = None
    maximum: Counts | None = None


Policy = RRF | WeightedSum | Maximum | Interleave | Priority | Quota


class _Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    depth: Positive | None = None
    deadline: Seconds | None = None


class ItemToItem(_Channel, frozen=True, tag="item_to_item"):
    """See `vecrecall.channels.ItemToItem`: of a table, or of an index that is searched."""

    table: str | None = None
    index: str | None = None
    n_neighbors: Positive = 100
    min_score: float | None = None
    history_length: Positive = 10
    decay: Annotated[float, Meta(gt=0, le=1)] = 1.0
    aggregate: Literal["sum", "max"] = "sum"
    exclude_history: bool = True


class UserToItem(_Channel, frozen=True, tag="user_to_item"):
    """See `vecrecall.channels.UserToItem`."""

    index: str
    vector: str | None = None
    tag_table: str | None = None


class CrossTag(_Channel, frozen=True, tag="cross_tag"):
    """See `vecrecall.channels.CrossTag`; without a table the items themselves are the tags."""

    index: str
    tag_table: str | None = None
    tags_per_group: Positive = 3


class Cluster(_Channel, frozen=True, tag="cluster"):
    """See `vecrecall.channels.ClusterCandidates`."""

    index: str
    grouping: str
    n_candidates: Positive = 1000


class FeedChannel(_Channel, frozen=True, tag="feed"):
    """See `vecrecall.channels.ClusterFeedChannel`; the feed has the name of the grouping."""

    grouping: str


class Profile(_Channel, frozen=True, tag="profile"):
    """See `vecrecall.channels.GroupProfile`."""

    grouping: str
    channel: UserToItem | CrossTag
    n_candidates: Positive = 1000


class Popularity(_Channel, frozen=True, tag="popularity"):
    """The same list for all users: the items of a file, or by the counts of a saved system."""

    file: str | None = None


Channel = ItemToItem | UserToItem | CrossTag | Cluster | FeedChannel | Profile | Popularity


class Config(_Table, frozen=True):
    """Everything that a service is made of.

    Attributes
    ----------
    depth : int, optional
        Items that each channel is asked for; default k.
    parallel : int
        Channels that run at the same time.
    """

    server: Server = Server()
    state: State = State()
    limits: Limits = Limits()
    items: Items = Items()
    users: Users = Users()
    indexes: dict[Name, Index] = {}
    tables: dict[Name, Artifact] = {}
    groupings: dict[Name, Grouping] = {}
    feeds: dict[Name, Feed] = {}
    towers: dict[Name, Tower] = {}
    filters: dict[Name, Filter] = {}
    channels: dict[Name, Channel] = {}
    caps: list[Cap] = []
    policy: Policy = RRF()
    depth: Positive | None = None
    parallel: Annotated[int, Meta(ge=1, le=64)] = 1


def read_config(path: Path) -> Config:
    """Read a configuration; paths in it are relative to its folder.

    Parameters
    ----------
    path : Path
        A TOML file.

    Returns
    -------
    Config
        With absolute paths.

    Raises
    ------
    ConfigError
        If it is no TOML, or has what is unknown or not as expected.
    OSError
        If it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: expected TOML, got {error}") from None
    return _checked(_converted(content, path), path.parent.absolute(), path)


def read_system(folder: Path) -> Config:
    """Read what ``vecrecall demo --full --save`` has written.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Config
        With absolute paths.

    Raises
    ------
    ConfigError
        If it is of another format.
    OSError
        If there is none.
    """
    file = folder / SYSTEM
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file}: expected JSON, got {error}") from None
    form = about.get("format") if isinstance(about, dict) else None
    if form != SYSTEM_FORMAT:
        raise ConfigError(f"{file}: expected format {SYSTEM_FORMAT}, got {form!r}")
    try:
        content = _of_system(about, folder)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: expected the description of a system, got {error!r}") from None
    return _checked(_converted(content, file), folder.absolute(), file)


def _of_system(about: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Say of a saved system what a configuration would say."""
    specs = about["channels"]

    def names(key: str) -> list[str]:
        return sorted(named(specs, key))

    groupings = {}
    for name in names("grouping"):
        groupings[name] = {"labels": f"labels/{name}"}
        if name in about["vectors"] and (folder / "groups" / name).is_dir():
            groupings[name] |= {"groups": f"groups/{name}", "vector": name}
    feeds = {
        name: {"path": f"feeds/{name}", "clock": "events", "since": about["clock"]}
        for name in names("grouping")
    }
    return {
        "items": {"keys": "items", "titles": SYSTEM},
        "users": {
            "keys": "user_keys",
            "profiles": "profiles",
            "vectors": {name: f"users/{name}" for name in about["vectors"]},
        },
        "indexes": {name: {"path": f"indexes/{name}"} for name in names("index")},
        "tables": {name: {"path": f"tables/{name}"} for name in names("table")},
        "groupings": groupings,
        "feeds": feeds,
        "towers": {name: {"path": f"towers/{name}"} for name in about["towers"]},
        "channels": specs,
        "policy": _policy_of_system(**about["policy"]),
        "depth": about["depth"],
    }


def _policy_of_system(name: str, values: dict[str, float]) -> dict[str, Any]:
    """Say which policy a demo's numbers of channels make."""
    if name in ("WeightedSum", "Maximum"):
        return {"name": name, "weights": values, "normalize": "minmax"}
    key = {"Priority": "quotas", "Quota": "shares"}.get(name, "weights")
    return {"name": name, key: values}


def _converted(content: object, place: Path) -> Config:
    try:
        return msgspec.convert(content, Config)
    except msgspec.ValidationError as error:
        told = of_schema(
            error, content, Config, lambda value: msgspec.convert(value, Config), "file"
        )
        raise ConfigError(f"{place}: {told}") from None


def _checked(config: Config, base: Path, place: Path) -> Config:
    """Make paths absolute, and refuse names of what is not there."""
    for field, got, known, what in _references(config):
        if got not in known:
            names = ", ".join(map(repr, sorted(known))) or "none"
            raise ConfigError(f"{place}: {field}: expected {what} ({names}), got {got!r}")
    for name, of in config.filters.items():
        if (of.items is None) == (of.file is None):
            raise ConfigError(f"{place}: filters.{name}: expected one of items and file")
    if not config.indexes and not config.channels:
        raise ConfigError(f"{place}: indexes: expected an index or a channel, got none")
    return _absolute(config, base)


def _references(config: Config) -> Iterator[tuple[str, str, Any, str]]:
    """List the names by which parts refer to each other: field, name, what there is, its kind."""
    for name, channel in config.channels.items():
        inner = channel.channel if isinstance(channel, Profile) else None
        for prefix, one in ((f"channels.{name}", channel), (f"channels.{name}.channel", inner)):
            for key, known in (
                ("index", config.indexes),
                ("table", config.tables),
                ("grouping", config.groupings),
            ):
                got = getattr(one, key, None)
                if got is not None:
                    yield f"{prefix}.{key}", got, known, f"one of the {_PLURAL[key]}"
        if isinstance(channel, FeedChannel):
            yield f"channels.{name}.grouping", channel.grouping, config.feeds, "one of the feeds"
    policy = {key: getattr(config.policy, key) for key in config.policy.__struct_fields__}
    for key, values in policy.items():
        for name in values if isinstance(values, dict) else ():
            yield f"policy.{key}", name, config.channels, "one of the channels"


_PLURAL = {"index": "indexes", "table": "tables", "grouping": "groupings"}
_PATHS = frozenset(
    ("path", "keys", "titles", "profiles", "labels", "groups", "file", "tag_table", "token_file")
)


def _absolute(config: Config, base: Path) -> Config:
    """Resolve every path by the folder of the configuration."""

    def resolved(value: Any, key: str | None = None) -> Any:
        if isinstance(value, dict):
            inside = key == "vectors"
            return {k: resolved(v, "path" if inside else k) for k, v in value.items()}
        if isinstance(value, list):
            return [resolved(one) for one in value]
        if key in _PATHS and isinstance(value, str):
            return str(base / value)
        return value

    return msgspec.convert(resolved(msgspec.to_builtins(config)), Config)
