"""The newest version of a saved index, served while the next one is made."""

import datetime
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import AboveResult, SearchResult
from vecrecall.arrays._row_types import RowType
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import Probes, load_index, probing
from vecrecall.search._masks import Mask, mask
from vecrecall.search._protocol import (
    Allow,
    Ids,
    Invalid,
    Metric,
    Neighbors,
    Progress,
    SearchableIndex,
)
from vecrecall.search._vocabulary import Vocabulary
from vecrecall.storage._atomic import MANIFEST, open_regular

_LOG = logging.getLogger("vecrecall.reloading")
_MISSED_POLLS = 3  # after so many without a look at the path, what is served counts as stale


class _Version(NamedTuple):
    """The version that is served; replaced as one."""

    manifest: bytes
    items: FlatIndex
    loaded_at: float  # since 1970
    loaded: float  # by the monotonic clock


class _MaskOwner:
    """The owner of masks, which stands for all versions of an index."""


class ReloadingIndex:
    """An index that follows a path: a new version saved there is served from the next refresh on.

    It stands in for a `FlatIndex` wherever that is read. A call finishes on the version that it
    began with, and none waits while another version is loaded. A version stays in memory until the
    last call that reads it ends. A mask holds in every version. Methods that would change the
    index raise an error: write to a `FlatIndex` and publish it by `FlatIndex.save` to the path.

    Parameters
    ----------
    path : str or Path
        The folder that `FlatIndex.save` writes.
    mmap, verify : bool
        As of `FlatIndex.load`.
    load : callable, optional
        Called as ``load(path, mmap=mmap, verify=verify)``, returns a `FlatIndex`; default
        `FlatIndex.load`, or `IVFIndex.load` where one was saved.
    poll : float, timedelta64, timedelta or pandas.Timedelta, optional
        Refresh in a thread of its own, after every so many seconds; default only in `refresh`.
    check : callable, optional
        Called as ``check(index)`` with every version before it is served, the first too. It is
        refused if the call raises or returns False.
    allow_change : bool
        Serve a version of another width or metric than the one before. By default it is refused:
        searches made for the one before would fail, or find something else.
    allow_empty : bool
        Serve a version without items. By default it is refused, as the first one too.

    Attributes
    ----------
    path : Path
        Absolute: it stays the same where the process changes its folder. A symbolic link is
        followed at each refresh.
    error : Exception, optional
        Why the last refresh failed; None if it did not.
    failures : int
        Refreshes that failed since the last that did not.
    total_failures : int
        Refreshes that failed since the object was made.

    Raises
    ------
    OSError, ValueError
        If there is no index to begin with, or it is refused. Exceptions of `check` are passed on.

    Notes
    -----
    What cannot be loaded or is refused is tried again at the next refresh, since the reason may be
    gone; until then the version before is served. The logger ``vecrecall.reloading`` has each new
    version as INFO, and a failure as WARNING where it is another than the last. A monitor reads
    `failures`, `stale`, `age` and `since_check`.

    Versions are told apart by the text of the manifest: it names the files of one save, and is
    replaced as one. Updates of `index` are not written anywhere: the next version is without them.
    A forked child has the object with the version of that moment, and follows the path by itself:
    with `poll` in a thread of its own. `close` ends the polling of the process that calls it.
    A pickle or a copy opens the path again and serves its newest version, without updates.

    Examples
    --------
    >>> import numpy as np, tempfile, vecrecall as vr
    >>> index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index.save(folder)
    ...     with vr.ReloadingIndex(folder, poll=5.0) as items:
    ...         first = items.search([3.0, 2.0, 1.0], 2).ids.tolist()
    ...         index.remove([0])
    ...         index.save(folder)
    ...         first, items.refresh(), items.search([3.0, 2.0, 1.0], 2).ids.tolist()
    ([[0, 1]], True, [[1, 2]])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mmap: bool = True,
        verify: bool = False,
        load: Callable[..., FlatIndex] | None = None,
        poll: float | np.timedelta64 | datetime.timedelta | None = None,
        check: Callable[[FlatIndex], object] | None = None,
        allow_change: bool = False,
        allow_empty: bool = False,
    ) -> None:
        self.path = _scalars.check_path(path, "path")
        self.error: Exception | None = None
        self.failures = 0
        self.total_failures = 0
        self._options = {
            "mmap": _scalars.check_bool(mmap, "mmap"),
            "verify": _scalars.check_bool(verify, "verify"),
        }
        load = _scalars.check_callable(load, "load")
        self._loader: Callable[..., FlatIndex] = load_index if load is None else load
        self._check = _scalars.check_callable(check, "check")
        self._allow_change = _scalars.check_bool(allow_change, "allow_change")
        self._allow_empty = _scalars.check_bool(allow_empty, "allow_empty")
        self._pause = None if poll is None else _interval(poll)
        self._one_refresh = threading.Lock()
        self._closed = threading.Event()
        self._poller: threading.Thread | None = None
        self._owner = _MaskOwner()
        self._current = self._newest(None)
        self._checked = time.monotonic()
        self._start_polling()
        _ALL.add(self)

    @property
    def index(self) -> FlatIndex:
        """The version of this moment, for calls that belong together."""
        return self._current.items

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The keys that the version of this moment was saved with, None without.

        Ids keep their keys from version to version where the vocabulary is only added to.
        Otherwise search and decode with one version: ``now = items.index``.
        """
        return self.index.vocabulary

    @property
    def version(self) -> str:
        """A word for what is served: another one for each save, the same in all processes."""
        return hashlib.blake2b(self._current.manifest, digest_size=8).hexdigest()

    @property
    def loaded_at(self) -> float:
        """When what is served was loaded, in seconds since 1970."""
        return self._current.loaded_at

    @property
    def age(self) -> float:
        """Seconds since what is served was loaded."""
        return time.monotonic() - self._current.loaded

    @property
    def since_check(self) -> float:
        """Seconds since what is served was last known to be the newest."""
        return time.monotonic() - self._checked

    @property
    def stale(self) -> bool:
        """Whether the last refresh failed, or polls come to no end: there may be a newer version.

        The second is so when none has succeeded for three times `poll`: after `close`, or where
        the storage gives no answer.
        """
        late = self._pause is not None and self.since_check > _MISSED_POLLS * self._pause
        return self.error is not None or late

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The items' ids, as `FlatIndex.ids`, shape (n,)."""
        return self.index.ids

    @property
    def dim(self) -> int:
        """The vectors' width."""
        return self.index.dim

    @property
    def nbytes(self) -> int:
        """Bytes of the version that is served, as `FlatIndex.nbytes`."""
        return self.index.nbytes

    @property
    def dtype(self) -> RowType:
        """The type that rows are kept in."""
        return self.index.dtype

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self.index.metric

    @property
    def skipped(self) -> npt.NDArray[np.int64]:
        """Ids of the items that were left out when what is served was built."""
        return self.index.skipped

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        probes: Probes | None = None,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        min_score: float | None = None,
        invalid: Invalid = "raise",
        stats: bool = False,
        threads: int | None = None,
    ) -> SearchResult:
        """Find the `k` best items of every query, in the version of this moment.

        Parameters
        ----------
        queries, k, exclude, allow, min_score, invalid, stats, threads
            As of `FlatIndex.search`. Masks made by this index, or by its `index` at any time, are
            prepared for the version.
        probes : int or "exact", optional
            As of `IVFIndex.search`; an error where the version is a `FlatIndex`.

        Returns
        -------
        SearchResult
        """
        index = self.index
        return index.search(
            queries,
            k,
            **probing(index, probes),
            exclude=exclude,
            allow=allow,
            min_score=min_score,
            invalid=invalid,
            stats=stats,
            threads=threads,
        )

    def search_above(
        self,
        queries: npt.ArrayLike,
        min_score: float | npt.ArrayLike,
        *,
        limit: int | None = None,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        invalid: Invalid = "raise",
        threads: int | None = None,
    ) -> AboveResult:
        """Find all items that reach a score, in the version of this moment.

        Parameters
        ----------
        queries, min_score, limit, exclude, allow, invalid, threads
            As of `FlatIndex.search_above`; masks as of `search`.

        Returns
        -------
        AboveResult
        """
        return self.index.search_above(
            queries,
            min_score,
            limit=limit,
            exclude=exclude,
            allow=allow,
            invalid=invalid,
            threads=threads,
        )

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query, as `FlatIndex.score` does."""
        return self.index.score(queries, candidates, threads=threads)

    def neighbors(
        self,
        k: int,
        *,
        probes: Probes | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item of one version, as the index's `neighbors`."""
        index = self.index
        wanted = probing(index, probes)
        return index.neighbors(
            k, min_score=min_score, progress=progress, path=path, threads=threads, **wanted
        )

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``, as `FlatIndex.mask`; it holds in every version.

        A refresh changes nothing about it: ids that a version does not have are ignored there.
        """
        return mask(self.index, ids)

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Copy out the rows of given ids, as `FlatIndex.vectors` does."""
        return self.index.vectors(ids)

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the version of this moment has, as `FlatIndex.contains`."""
        return self.index.contains(ids)

    def add(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise `TypeError`: the index is read-only."""
        raise self._read_only("add")

    def update(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise `TypeError`: the index is read-only."""
        raise self._read_only("update")

    def remove(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise `TypeError`: the index is read-only."""
        raise self._read_only("remove")

    def compact(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise `TypeError`: the index is read-only."""
        raise self._read_only("compact")

    def save(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise `TypeError`: the index is read-only."""
        raise self._read_only("save")

    def refresh(self) -> bool:
        """Load the newest version, if it is not the one that is served.

        Returns
        -------
        bool
            Whether there was another.

        Raises
        ------
        OSError, ValueError
            If it cannot be loaded or is refused; the version that was served still is.
            Exceptions of `check` are passed on.
        """
        with self._one_refresh:
            try:
                changed = self._manifest() != self._current.manifest
                if changed:
                    self._current = self._newest(self._current.items)
            except Exception as error:
                self._note_failure(error)
                raise
            self._note_success()
            return changed

    def close(self) -> None:
        """End the polling; the index is served as it is."""
        self._closed.set()
        if self._poller is not None:
            self._poller.join()

    def __reduce__(self) -> tuple[Any, ...]:
        """Follow the path where the pickle arrives, and map its newest version there."""
        options: dict[str, Any] = {
            **self._options,
            "load": self._loader,
            "poll": None if self._closed.is_set() else self._pause,
            "check": self._check,
            "allow_change": self._allow_change,
            "allow_empty": self._allow_empty,
        }
        return partial(type(self), **options), (self.path,)

    def __enter__(self) -> "ReloadingIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, id: object) -> bool:
        return id in self.index

    def __repr__(self) -> str:
        return f"ReloadingIndex({str(self.path)!r}, {self.index!r})"

    def _frozen(self) -> FlatIndex:
        return self.index._frozen()

    def _read_only(self, method: str) -> TypeError:
        return TypeError(
            f"{method}: expected an index that can be changed, got a ReloadingIndex, which is "
            f"read-only; change a FlatIndex and publish it by save({str(self.path)!r}), and the "
            "next refresh serves it"
        )

    def _manifest(self) -> bytes:
        with open_regular(self.path / MANIFEST) as file:
            return file.read()

    def _newest(self, served: FlatIndex | None) -> _Version:
        """Load what may be served after another, or at first."""
        manifest, index = self._loaded()
        self._validate(index, served)
        _LOG.info("%s: serving %r", self.path, index)
        return _Version(manifest, index, time.time(), time.monotonic())

    def _loaded(self) -> tuple[bytes, FlatIndex]:
        """Load until no save comes in between: what is loaded is then what the manifest names."""
        while True:
            before = self._manifest()
            index = self._loader(self.path, **self._options)
            if not isinstance(index, FlatIndex):
                raise TypeError(f"load: expected a FlatIndex in return, got {type(index).__name__}")
            if self._manifest() == before:
                return before, index._view_for(self._owner)

    def _validate(self, index: FlatIndex, served: FlatIndex | None) -> None:
        """Refuse what should not be served."""
        if len(index) == 0 and not self._allow_empty:
            raise ValueError(
                f"path: expected a version with items (allow_empty), got none in {self.path}"
            )
        if served is not None and not self._allow_change:
            for name in ("dim", "metric"):
                old, new = getattr(served, name), getattr(index, name)
                if new != old:
                    raise ValueError(
                        f"path: expected a version of {name} {old!r} as before (allow_change), "
                        f"got {new!r} in {self.path}"
                    )
        if self._check is not None:
            passed = self._check(index)
            if passed is not None and not passed:
                raise ValueError(
                    f"check: expected a version that passes, got {passed!r} for {index!r} "
                    f"in {self.path}"
                )

    def _note_failure(self, error: Exception) -> None:
        """Count a failure; a log that has it already would be flooded by polls."""
        known = self.error is not None and _text_of(self.error) == _text_of(error)
        self.error = error
        self.failures += 1
        self.total_failures += 1
        if not known:
            _LOG.warning(
                "%s: the version before is still served, since refreshing failed: %s",
                self.path,
                _text_of(error),
            )

    def _note_success(self) -> None:
        if self.failures:
            _LOG.info("%s: refreshed after %d failures", self.path, self.failures)
        self.error = None
        self.failures = 0
        self._checked = time.monotonic()

    def _start_polling(self) -> None:
        if self._pause is None:
            return
        self._poller = threading.Thread(
            target=self._poll, args=(self._pause,), name="vecrecall-reloading", daemon=True
        )
        self._poller.start()

    def _begin_in_child(self) -> None:
        """Replace what threads of the parent may have held when they were left behind."""
        self._one_refresh = threading.Lock()
        was_closed, self._closed = self._closed.is_set(), threading.Event()
        if was_closed:
            self._closed.set()
        else:
            self._start_polling()

    def _poll(self, pause: float) -> None:
        while not self._closed.wait(pause):
            try:
                self.refresh()
            except Exception as error:  # `error` has it, and the next version may be well
                error.__traceback__ = None  # its frames would keep a version that was refused


_conforms: type[SearchableIndex] = ReloadingIndex  # checked by mypy


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _interval(poll: object) -> float:
    """Coerce to seconds that a thread can wait: more would end the polling by an error."""
    pause = _scalars.check_duration(poll, "poll")
    if pause > threading.TIMEOUT_MAX:
        raise ValueError(f"poll: expected at most {threading.TIMEOUT_MAX} s, got {pause}")
    return pause


_ALL: WeakSet[ReloadingIndex] = WeakSet()


def _begin_all_in_child() -> None:
    for served in list(_ALL):
        served._begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all_in_child)
