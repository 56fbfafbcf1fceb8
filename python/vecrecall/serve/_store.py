"""The state of a service on disk: versions, the log of changes, and the manifest that names both.

    STATE/
      manifest.json      which version is served, and what can be rolled back to
      versions/000001/   version.json: the configuration of its artifacts, which lie next to it
      log/               records of all changes, see `vecrecall.storage._log`

A version holds the changes up to its position in the log. Those that follow are applied after it is
loaded. The manifest is replaced as one, last, so that a crash at any moment leaves a whole state.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from vecrecall.search._vocabulary import Vocabulary
from vecrecall.serve._changes import Change, Switch, unpacked
from vecrecall.serve._config import Config, ConfigError, Feed, Filter
from vecrecall.serve._system import System
from vecrecall.storage import _log
from vecrecall.storage._array_folder import flush_folder
from vecrecall.storage._atomic import MANIFEST, write, write_report

log = logging.getLogger("vecrecall.serve")

_FORMAT = 1
_VERSION = "version.json"
_KEPT = "kept.json"
_REMOVED = "removed.npy"


class Kept(Struct, frozen=True, forbid_unknown_fields=True):
    """A version that is on disk.

    Attributes
    ----------
    version : int
    position : int
        The last record of the log that is in it.
    published : int
        The position at which its artifacts were published.
    source : str
        A digest of what was published.
    settings : str
        A digest of the channels, the policy and all that is no artifact.
    made_at : float
        Seconds since 1970.
    """

    version: int
    position: int
    published: int
    source: str
    settings: str
    made_at: float


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The versions that count in the folder.

    Attributes
    ----------
    current : Kept
    previous : Kept, optional
        What a rollback goes back to.
    source, settings : str
        Digests of the configuration that the service was started with: only another one is
        published at a start, so that a publication or a rollback outlives it.
    """

    format: int
    current: Kept
    previous: Kept | None
    source: str
    settings: str


class Store:
    """The folder of a service's state.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_path = path / "log"

    def manifest(self) -> Manifest | None:
        """Read the manifest, None where there is none yet."""
        try:
            content = (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{self.path / MANIFEST}: {error}") from error
        if manifest.format != _FORMAT:
            raise ConfigError(f"{self.path}: expected format {_FORMAT}, got {manifest.format}")
        return manifest

    def write_manifest(
        self, current: Kept, previous: Kept | None, started: tuple[str, str] | None = None
    ) -> None:
        """Replace the manifest; `started` are the digests of a start, default those of the last."""
        if started is None:
            before = self.manifest()
            assert before is not None  # written at the first start
            started = before.source, before.settings
        content = msgspec.json.encode(Manifest(_FORMAT, current, previous, *started))
        write_report(self.path / MANIFEST, content)
        flush_folder(self.path)

    def folder(self, version: int) -> Path:
        """Return the folder of a version."""
        return self.path / "versions" / f"{version:06d}"

    def next_version(self) -> int:
        """Return a number that no version has, also none that was left half written."""
        places = (self.path / "versions").glob("[0-9]*")
        return 1 + max((int(place.name) for place in places if place.name.isdigit()), default=0)

    def load(self, kept: Kept) -> System:
        """Load a version; later changes are not in it yet."""
        folder = self.folder(kept.version)
        content = json.loads((folder / _VERSION).read_text(encoding="utf-8"))
        config = _placed(msgspec.convert(content, Config), lambda _, name: folder / name)
        about: dict[str, Any] = {"made_at": kept.made_at}
        if (folder / _REMOVED).exists():
            about["removed"] = np.load(folder / _REMOVED)
        return System(config, kept.version, kept.position, **about)

    def load_new(self, kept: Kept) -> System:
        """Load a version that was just written; one that cannot be loaded is removed again."""
        try:
            return self.load(kept)
        except BaseException:
            shutil.rmtree(self.folder(kept.version), ignore_errors=True)
            raise

    def is_superseded(self, version: int) -> bool:
        """Tell whether another version has been served since, so that this one may be removed.

        The manifest is written after the record of a switch: a newer version than those that it
        names is one that was being served when the end came.
        """
        manifest = self.manifest()
        if manifest is None:
            return False
        named = [kept.version for kept in (manifest.current, manifest.previous) if kept]
        return version not in named and version < max(named)

    def kept(self, version: int) -> Kept:
        """Read what a version says of itself."""
        folder = self.folder(version)
        return msgspec.json.decode((folder / _KEPT).read_bytes(), type=Kept)

    def add_source(self, config: Config, position: int, before: System | None = None) -> Kept:
        """Take artifacts from elsewhere as a new version; files are linked where that can be.

        It keeps the named filters of the system before it, but those that it has itself.
        """
        version = self.next_version()
        kept = Kept(version, position, position, *digests(config), time.time())
        folder = self.folder(version)
        folder.mkdir(parents=True)
        _placed(config, lambda file, name: _take(file, folder / name))
        filters = {} if before is None else _filters(before)
        self._finish(msgspec.structs.replace(config, filters={**filters, **config.filters}), kept)
        return kept

    def fold(self, system: Snapshot, before: Kept, settings: str | None = None) -> Kept:
        """Write a system with its changes as a new version, perhaps with other settings."""
        version = self.next_version()
        folder = self.folder(version)
        folder.mkdir(parents=True)

        def place(file: Path, name: str) -> None:
            save = system.saved.get(name)
            if save is None:
                last = self.folder(before.version) / name
                _take(last if last.exists() else file, folder / name)
            else:
                save(folder / name)

        _placed(system.config, place)
        write(folder / _REMOVED, lambda file: np.save(file, system.removed))
        kept = msgspec.structs.replace(
            before,
            version=version,
            position=system.position,
            settings=settings or before.settings,
            made_at=time.time(),
        )
        self._finish(system.config, kept)
        return kept

    def rewrite(self, kept: Kept, *, published: int) -> Kept:
        """Note at which position the artifacts of a version were published."""
        again = msgspec.structs.replace(kept, published=published)
        write_report(self.folder(kept.version) / _KEPT, msgspec.json.encode(again))
        return again

    def remove_all_but(self, versions: set[int]) -> None:
        """Remove other versions, also those that were left half written."""
        for place in (self.path / "versions").glob("[0-9]*"):
            if place.name.isdigit() and int(place.name) not in versions:
                shutil.rmtree(place, ignore_errors=True)

    def records(self, after: int, upto: int | None = None) -> Iterator[_log.Record]:
        """Read records of the log; those that are kept no longer are left out."""
        first = _log.first_number(self.log_path)
        if first is None:
            return iter(())
        return _log.LogReader(self.log_path, max(after, first - 1)).read(upto)

    def _finish(self, config: Config, kept: Kept) -> None:
        """Write what a version says of itself, after all files are on the disk."""
        folder = self.folder(kept.version)
        relative = _placed(config, lambda _, name: Path(name))
        content = msgspec.to_builtins(relative)
        for key in ("server", "state", "limits"):  # of the process, not of a version
            content.pop(key)
        write_report(folder / _VERSION, json.dumps(content, indent=1).encode())
        write_report(folder / _KEPT, msgspec.json.encode(kept))
        for place in (folder, folder.parent):
            flush_folder(place)


class Snapshot:
    """A system at one position, to be written.

    Attributes
    ----------
    config : Config
    position : int
    removed : ndarray of int64
    saved : dict of str to callable
        By the name of an artifact that changed: writes it to a path.
    """

    def __init__(self, system: System) -> None:
        self.position = system.position
        self.removed = system.removed
        parts = system.parts
        self.saved: dict[str, Callable[[Path], object]] = {}
        keys = None
        if parts.items is not None:
            keys = Vocabulary()
            keys._state = parts.items._state
        for key in list(system.changed_at):
            kind, _, name = key.partition(".")
            if kind == "indexes":
                frozen = parts.indexes[name]._frozen()
                frozen._vocabulary = keys
                # One thread: what answers needs the others.
                self.saved[f"indexes/{name}"] = partial(frozen.save, threads=1)
            elif kind == "feeds":
                self.saved[f"feeds/{name}"] = copy.copy(parts.feeds[name]).save
        if keys is not None and self.saved:
            self.saved["items/keys"] = keys.save
        self.config = msgspec.structs.replace(
            system.config, feeds=self._feeds(system, system.config), filters=_filters(system)
        )

    def configured(self, system: System, config: Config) -> Snapshot:
        """Return this with other settings; the artifacts have the same names there."""
        filters = {**_filters(system), **config.filters}
        folder = {name: file for file, name in _files(system.config)}
        placed = _placed(config, lambda _, name: folder.get(name))
        twin = copy.copy(self)
        twin.config = msgspec.structs.replace(
            placed, feeds=self._feeds(system, placed), filters=filters
        )
        return twin

    def _feeds(self, system: System, config: Config) -> dict[str, Feed]:
        """Say where each feed is and when its newest click was."""
        feeds = {}
        for name, of in config.feeds.items():
            known = system.config.feeds.get(name)
            path = of.path or (None if known is None else known.path)
            if path is None and f"feeds/{name}" in self.saved:  # it has clicks now
                path = name
            clock = system.parts.clocks.get(name)
            since = of.since if clock is None else clock.newest
            feeds[name] = msgspec.structs.replace(of, path=path, since=since)
        return feeds


def _filters(system: System) -> dict[str, Filter]:
    return {name: Filter(items=sorted(of.items, key=str)) for name, of in system.filters.items()}


def _files(config: Config) -> list[tuple[Path, str]]:
    """List the artifacts of a configuration: where each is, and its name."""
    found: list[tuple[Path, str]] = []
    _placed(config, lambda file, name: found.append((file, name)))
    return found


class Replica:
    """A system that follows the log.

    Parameters
    ----------
    store : Store
    on_switch : callable
        Called with the new system when another version is served.
    system : System, optional
        The version of the manifest, where it is loaded already.
    """

    def __init__(
        self, store: Store, on_switch: Callable[[System], object], system: System | None = None
    ) -> None:
        self._store = store
        self._on_switch = on_switch
        manifest = store.manifest()
        if manifest is None:
            raise ConfigError(f"{store.path}: expected the state of a service, got none")
        self.kept = manifest.current
        self.system = system or store.load(self.kept)
        self._reader = _log.LogReader(store.log_path, self.system.position)
        self._prepared: dict[int, System] = {}

    def prepare(self, version: int, system: System | None = None) -> None:
        """Have a version that is going to be served: load it, unless it is given."""
        self._prepared = {version: system or self._store.load(self._store.kept(version))}

    def advance(self, upto: int | None = None) -> int:
        """Apply records of the log.

        Returns
        -------
        int
            How many there were.
        """
        n = 0
        for record in self._reader.read(upto):
            self.take(record)
            n += 1
        return n

    def take(self, record: _log.Record) -> None:
        """Apply the next record."""
        change = unpacked(record.content)
        if isinstance(change, Switch):
            self._switch(change.version, record.number)
        else:
            _applied(self.system, change, record.number)
        self.system.position = record.number

    def _switch(self, version: int, number: int) -> None:
        if self._store.is_superseded(version):
            return
        self.kept = self._store.kept(version)
        system = self._prepared.pop(version, None) or self._store.load(self.kept)
        catch_up(self._store, system, number - 1)
        system.position = number
        self.system = system
        self._on_switch(system)


def catch_up(store: Store, system: System, upto: int) -> int:
    """Apply to a version the changes after its position; returns how many."""
    n = 0
    for record in store.records(system.position, upto):
        change = unpacked(record.content)
        if not isinstance(change, Switch):
            n += _applied(system, change, record.number)
        system.position = record.number
    return n


def _applied(system: System, change: Change, number: int) -> bool:
    """Apply a change of the log, unless it was made for another version and does not fit this one.

    So it is with keys of another kind.
    """
    try:
        system.apply(change)
    except (TypeError, ValueError) as error:
        about = {"position": number, "version": system.version, "reason": str(error)}
        log.warning("a change does not fit a version", extra={"fields": about})
        return False
    return True


def digests(config: Config) -> tuple[str, str]:
    """Return digests of the artifacts of a configuration, and of what is said about them."""
    artifacts = hashlib.blake2b(digest_size=16)

    def note(file: Path, name: str) -> Path:
        for content in _fingerprints(file, name.replace("/", ".")):
            artifacts.update(f"{name}\0{content}\0".encode())
        return Path(name)

    relative = msgspec.to_builtins(_placed(config, note))
    for key in ("server", "state", "limits"):
        relative.pop(key)
    settings = json.dumps(relative, sort_keys=True).encode()
    return artifacts.hexdigest(), hashlib.blake2b(settings, digest_size=16).hexdigest()


def _fingerprints(path: Path, key: str) -> Iterator[str]:
    """Tell an artifact from later ones: by its manifest, which has checksums, or its content."""
    if path.is_dir():
        manifest = path / MANIFEST
        files = (
            [manifest] if manifest.exists() else sorted(p for p in path.rglob("*") if p.is_file())
        )
    else:
        files = [path]
    for file in files:
        try:
            yield hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
        except OSError as error:
            raise ConfigError(f"{key}: {error.strerror}: {file}") from None


_FILES = frozenset(("path", "keys", "titles", "profiles", "labels", "groups", "file", "tag_table"))


def _placed(config: Config, place: Callable[[Path, str], object]) -> Config:
    """Replace every path of an artifact; `place` gets it and the artifact's name in a version."""

    def placed(value: Any, names: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: placed(inner, (*names, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [placed(inner, (*names, str(n))) for n, inner in enumerate(value)]
        named = names[-1] in _FILES or names[-2:-1] == ("vectors",)
        if not named or not isinstance(value, str) or names[0] in ("server", "state", "limits"):
            return value
        name = "/".join(name for name in names if name != "path")
        there = place(Path(value), name)
        return str(there) if isinstance(there, Path) else value

    content = msgspec.to_builtins(config)
    return msgspec.convert({key: placed(value, (key,)) for key, value in content.items()}, Config)


def _take(source: Path, target: Path) -> Path:
    """Link or copy a file or a folder; files of the library are replaced, never changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(source, target)
    return target


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
        with Path(target).open("rb") as file:
            os.fsync(file.fileno())
