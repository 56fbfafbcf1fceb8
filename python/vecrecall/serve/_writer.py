"""The one writer: checks changes, has them on the disk, applies them, and folds the log."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vecrecall.serve._changes import Change, Switch, packed
from vecrecall.serve._config import Config, read_config, read_system
from vecrecall.serve._errors import RequestError, bad_field
from vecrecall.serve._lifeline import output_of
from vecrecall.serve._store import (
    Kept,
    Replica,
    Snapshot,
    Store,
    catch_up,
    digests,
)
from vecrecall.serve._system import Pending, System
from vecrecall.storage._log import Log

log = logging.getLogger("vecrecall.serve")
Result = TypeVar("Result")

_GROUP = 1024  # changes of one commit
_WAITING = 4096  # changes that may wait
_AGAIN = 1.0  # seconds between two tries to open a log that could not be written
_WAIT_SECONDS = 60.0  # for the thread of the writer, which a disk may keep
_FOLD = "vecrecall.serve._fold_process"
_FOLD_IDLE_SECONDS = 60.0  # with what others leave; then it begins again with a share of its own
_FOLD_SECONDS = 900.0  # until it is given up
_ADMIN_SECONDS = 10.0  # for a publication, rollback or fold that is in progress


@dataclass
class _Submitted:
    """A change, or work for the thread of the writer, and who waits for it."""

    work: Change | Callable[[], Any]
    done: Future[Any]


class Writer:
    """Makes changes durable, in one order.

    A change is checked, written to the log and flushed to the disk together with others that came
    meanwhile, applied, and only then acknowledged.

    Parameters
    ----------
    config : Config
        What to publish where the state is new or was made of other artifacts.
    store : Store
    on_switch : callable
        Called with the new system when another version is served.
    on_commit : callable
        Called with the position after each commit, before it is acknowledged.
    on_prepare : callable
        Called with the number of a version before it is served, so that others load it first.

    Raises
    ------
    BlockingIOError
        If another writer has the state.
    ConfigError, OSError
        If something cannot be read or written.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        on_switch: Callable[[System], object] = lambda _: None,
        on_commit: Callable[[int], object] = lambda _: None,
        on_prepare: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._config = config
        self._store = store
        self._on_switch, self._on_commit, self._on_prepare = on_switch, on_commit, on_prepare
        self._log = Log(store.log_path)
        try:
            self._begin(config)
        except BaseException:
            self._log.close()
            raise
        self._changes: queue.Queue[_Submitted | None] = queue.Queue(_WAITING)
        self._folding = threading.Lock()
        self._admin = threading.Lock()
        self._written = 0  # bytes since the last version
        self._failed: float | None = None  # when the log could not be written
        self._thread = threading.Thread(target=self._run, name="vecrecall-writer", daemon=True)
        self._thread.start()

    @property
    def system(self) -> System:
        """The system that is served, with all acknowledged changes."""
        return self._replica.system

    @property
    def position(self) -> int:
        """The number of the last change."""
        return self._replica.system.position

    def submit(self, change: Change) -> Future[int]:
        """Take a change.

        Returns
        -------
        Future of int
            The number of the change, once it is durable and applied.

        Raises
        ------
        RequestError
            If too many wait.
        """
        return self._put(change)

    def publish(self, source: Config, since: int | None = None) -> dict[str, Any]:
        """Serve other artifacts: load them, apply what was acknowledged, and switch.

        Parameters
        ----------
        source : Config
        since : int, optional
            Changes after this number are applied to the new artifacts; default all since those
            that are served now were published.

        Returns
        -------
        dict
            ``version``, ``position``, and the numbers of changes that were ``replayed`` and that
            the log has ``forgotten``.

        Raises
        ------
        RequestError
            If there is no change of the number `since` yet; or of status 503, if another
            publication, rollback or fold, or the disk, takes too long.
        """
        with self._alone():
            if since is not None and since > self.position:
                raise bad_field("since", f"at most {self.position}, the last position", since)
            before = self._fold()
            since = before.published if since is None else since
            kept = self._store.add_source(source, since, self.system)
            return self._switch(kept, before, published=True)

    def rollback(self) -> dict[str, Any]:
        """Serve the artifacts that were served before the last publication, with all changes since.

        Returns
        -------
        dict
            As of `publish`.

        Raises
        ------
        RequestError
            If there is nothing to go back to, or as of `publish`.
        """
        with self._alone():
            manifest = self._store.manifest()
            target = manifest.previous if manifest else None
            if target is None:
                raise bad_field("operation", "a version to go back to", "none", 409)
            return self._switch(target, self._fold(), published=False)

    def fold(self) -> Kept:
        """Write what is served as a version, so that a start has less to replay."""
        with self._alone():
            return self._fold()

    def close(self) -> None:
        """End after what was submitted."""
        self._changes.put(None)
        self._thread.join()
        with contextlib.suppress(OSError):  # nothing that was acknowledged waits to be written
            self._log.close()

    # At the beginning

    def _begin(self, config: Config) -> None:
        source, settings = started = digests(config)
        manifest = self._store.manifest()
        if manifest is None:
            self._begin_with(self._store.add_source(config, self._log.last), None, started)
            return
        self._replica = Replica(self._store, self._on_switch)
        replayed = self._replica.advance()
        log.info("replayed", extra={"fields": {"changes": replayed}})
        previous = self._note_switch()
        kept = self._replica.kept
        if source not in (manifest.source, kept.source):
            self._admin_begin(config, started)
        elif settings not in (manifest.settings, kept.settings):
            snapshot = Snapshot(self.system).configured(self.system, config)
            self._begin_with(self._store.fold(snapshot, kept, settings), previous, started)
        elif started != (manifest.source, manifest.settings):
            self._store.write_manifest(kept, previous, started)

    def _begin_with(self, kept: Kept, previous: Kept | None, started: tuple[str, str]) -> None:
        """Serve a new version: it is in the manifest only if it can be loaded."""
        system = self._store.load_new(kept)
        self._store.write_manifest(kept, previous, started)
        self._replica = Replica(self._store, self._on_switch, system)
        self._replica.advance()

    def _note_switch(self) -> Kept | None:
        """Write the manifest, where the end came after the record of a switch and before it.

        Returns
        -------
        Kept or None
            What can be rolled back to.
        """
        manifest, kept = self._store.manifest(), self._replica.kept
        assert manifest is not None  # it is at the end of each start
        if kept.version == manifest.current.version:
            return manifest.previous
        self._store.write_manifest(kept, manifest.current)
        return manifest.current

    def _admin_begin(self, config: Config, started: tuple[str, str]) -> None:
        """Publish artifacts that have changed since the service ended, before the thread runs."""
        kept = self._store.add_source(config, self._replica.kept.published, self.system)
        self._replica.prepare(kept.version, self._store.load_new(kept))  # an error ends the start
        before = self._store.fold(Snapshot(self.system), self._replica.kept)
        number = self._log.append([packed(Switch(kept.version))])
        kept = self._store.rewrite(kept, published=number)
        self._store.write_manifest(kept, before, started)
        self._replica.advance()

    # In the thread of the writer

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group is None:
                return
            changes = [one for one in group if not callable(one.work)]
            try:
                if changes:
                    self._commit(changes)
            except Exception as error:
                self._fail(changes, error)
            for one in group:
                if callable(one.work):
                    _run_for(one.done, one.work)

    def _fail(self, changes: list[_Submitted], error: Exception) -> None:
        """Take no more changes for now: these are in the log, but not in what is served."""
        self._failed = time.monotonic()
        log.error("changes cannot be applied", exc_info=error)
        _refuse([one for one in changes if not one.done.done()], "the change may be made or not")

    def _reopened(self) -> bool:
        """Open the log again, once in a while; what a failed write has left there is applied."""
        assert self._failed is not None
        if time.monotonic() < self._failed + _AGAIN:
            return False
        try:
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = Log(self._store.log_path)
            for record in self._store.records(self.position):
                self._replica.take(record)
            self._note_switch()
        except Exception as error:
            self._failed = time.monotonic()
            log.error("the log cannot be opened", extra={"fields": {"reason": str(error)}})
            return False
        self._failed = None
        self._on_commit(self.position)
        log.info("the log can be written again", extra={"fields": {"position": self.position}})
        return True

    def _next_group(self) -> list[_Submitted] | None:
        """Wait for a change, and take all that came with it; work ends a group."""
        first = self._changes.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _GROUP and not callable(group[-1].work):
            try:
                one = self._changes.get_nowait()
            except queue.Empty:
                break
            if one is None:
                self._changes.put(None)
                break
            group.append(one)
        return group

    def _commit(self, group: list[_Submitted]) -> None:
        if self._failed is not None and not self._reopened():
            _refuse(group, "the log cannot be written")
            return
        system, pending = self.system, Pending()
        accepted: list[tuple[_Submitted, bytes, Change]] = []
        for one in group:
            change = one.work
            assert not callable(change)
            try:
                system.check(change, pending)
            except Exception as error:
                one.done.set_exception(error)
            else:
                accepted.append((one, packed(change), change))
        if not accepted:
            return
        first = system.position + 1
        try:
            last = self._log.append([record for _, record, _ in accepted])
            assert last == first + len(accepted) - 1
        except OSError as error:
            self._failed = time.monotonic()
            log.error("the log cannot be written", extra={"fields": {"reason": str(error)}})
            _refuse([one for one, _, _ in accepted], f"the log cannot be written: {error}")
            return
        for number, (_, _, change) in enumerate(accepted, first):
            system.apply(change)
            system.position = number
        self._on_commit(last)
        for number, (one, _, _) in enumerate(accepted, first):
            one.done.set_result(number)
        self._written += sum(len(record) for _, record, _ in accepted)
        if self._written > self._config.state.fold_bytes and self._folding.acquire(blocking=False):
            self._written = 0
            threading.Thread(target=self._fold_when_due, daemon=True).start()

    def _switch_here(
        self, kept: Kept, before: Kept, prepared: System, *, published: bool
    ) -> tuple[int, int]:
        """Switch, between two changes."""
        replayed = catch_up(self._store, prepared, self.position)
        number = self._log.append([packed(Switch(kept.version))])
        prepared.position = number
        self._replica.system = prepared
        if published:
            kept = self._store.rewrite(kept, published=number)
        self._replica.kept = kept
        self._store.write_manifest(kept, before)
        self._on_switch(prepared)
        self._on_commit(number)
        return number, replayed

    # In the thread of the caller

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other publications, rollbacks and folds out; wait for one, but not for long."""
        if not self._admin.acquire(timeout=_ADMIN_SECONDS):
            message = "another publication, rollback or fold is in progress"
            raise RequestError(503, message, headers={"Retry-After": "10"})
        try:
            yield
        finally:
            self._admin.release()

    def _wait_for(self, work: Callable[[], Result]) -> Result:
        """Let the thread of the writer do something, and wait for it."""
        done = self._put(work)
        try:
            result: Result = done.result(_WAIT_SECONDS)
        except FutureTimeoutError:
            what = "nothing was changed" if done.cancel() else "the change may be made or not"
            message = f"the log takes longer than {_WAIT_SECONDS:g} seconds; {what}"
            raise RequestError(503, message, headers={"Retry-After": "10"}) from None
        return result

    def _put(self, work: Change | Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            self._changes.put_nowait(_Submitted(work, done))
        except queue.Full:
            message = f"updates: expected at most {_WAITING} that wait"
            raise RequestError(503, message, headers={"Retry-After": "1"}) from None
        return done

    def _switch(self, kept: Kept, before: Kept, *, published: bool) -> dict[str, Any]:
        """Load a version, apply what it does not have, and serve it."""
        prepared = self._store.load_new(kept) if published else self._store.load(kept)
        after = prepared.position
        first = next(self._store.records(after), None)
        forgotten = 0 if first is None else first.number - after - 1
        replayed = catch_up(self._store, prepared, self.position)
        self._on_prepare(kept.version)
        number, more = self._wait_for(
            lambda: self._switch_here(kept, before, prepared, published=published)
        )
        self._clean()
        return {
            "version": kept.version,
            "position": number,
            "replayed": replayed + more,
            "forgotten": forgotten,
        }

    def _fold(self) -> Kept:
        """Write what is served as a version, while changes go on."""
        before = self._replica.kept

        def begin() -> int:
            if self.position != before.position:
                self._log.rotate()
            return self.position

        position = self._wait_for(begin)
        if position == before.position:
            return before
        kept = self._folded(before, position)

        def count() -> None:
            manifest = self._store.manifest()
            self._replica.kept = kept
            self._store.write_manifest(kept, manifest.previous if manifest else None)

        self._wait_for(count)
        self._clean()
        log.info("folded", extra={"fields": {"version": kept.version, "position": kept.position}})
        return kept

    def _folded(self, before: Kept, position: int) -> Kept:
        """Write a version with its changes up to a position as a new version, by another process.

        Raises
        ------
        OSError
            If that process fails.
        RequestError
            Of status 503, if it takes too long.
        """
        own = {
            "state": str(self._store.path),
            "before": msgspec.to_builtins(before),
            "position": position,
        }
        try:
            version = _written(own)
        except TimeoutError as error:
            message = f"{error}; nothing was changed"
            raise RequestError(503, message, headers={"Retry-After": "10"}) from None
        return self._store.kept(int(version))

    def _fold_when_due(self) -> None:
        try:
            self.fold()
        except Exception:
            log.exception("the log could not be folded; it is kept")
        finally:
            self._folding.release()

    def _clean(self) -> None:
        """Remove versions to which no rollback goes back, and records beyond those to keep."""
        manifest = self._store.manifest()
        assert manifest is not None  # of this writer
        named = [kept for kept in (manifest.current, manifest.previous) if kept is not None]
        self._store.remove_all_but({kept.version for kept in named})
        keep = self._config.state.keep_bytes
        needed = manifest.current.position + 1
        self._wait_for(lambda: self._log.trim(needed, keep_bytes=keep))


def _written(own: dict[str, Any]) -> str:
    """Let a process write a version, and return its number: with what others leave, at first."""
    try:
        return output_of(_FOLD, own, idle=True, seconds=_FOLD_IDLE_SECONDS)
    except TimeoutError:
        return output_of(_FOLD, own, idle=False, seconds=_FOLD_SECONDS)


def source_of(path: Path) -> Config:
    """Read what is to be served: a TOML file, or the folder of a saved system.

    Raises
    ------
    ConfigError, OSError
        If it is not as it should be, or cannot be read.
    """
    return read_system(path) if path.is_dir() else read_config(path)


def _refuse(changes: list[_Submitted], message: str) -> None:
    for one in changes:
        one.done.set_exception(RequestError(503, message, headers={"Retry-After": "1"}))


def _run_for(done: Future[Any], work: Callable[[], Any]) -> None:
    if not done.set_running_or_notify_cancel():  # no caller waits any more
        return
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
