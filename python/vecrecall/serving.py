"""The newest version of a saved index, served while the next one is made."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from weakref import WeakSet

import numpy.typing as npt

from vecrecall import _coerce
from vecrecall._files import MANIFEST, open_regular
from vecrecall.index import FlatIndex
from vecrecall.ragged import RaggedLike
from vecrecall.results import AboveResult, SearchResult


class Served:
    """An index that follows a path: saved anew there, it is served from the next refresh on.

    A search finishes on the version that it began with, and none waits while another version is
    loaded. A version stays in memory until the last search in it ends.

    Parameters
    ----------
    path : str or Path
        The folder that `FlatIndex.save` writes.
    mmap, verify : bool
        As of `FlatIndex.load`.
    load : callable, optional
        Called as ``load(path, mmap=mmap, verify=verify)``, returns a `FlatIndex`; default
        `FlatIndex.load`.
    poll : float, optional
        Refresh in a thread of its own, after every so many seconds; default only in `refresh`.

    Attributes
    ----------
    path : Path
    error : Exception, optional
        Why the last refresh failed; None if it did not.

    Raises
    ------
    OSError, ValueError
        If there is no index to begin with.

    Notes
    -----
    Versions are told apart by the text of the manifest: it names the files of one save, and is
    replaced as one. Updates of `index` are not written anywhere: the next version is without them.
    A forked child has the object with the version of that moment, and follows the path by itself:
    with `poll` in a thread of its own. `close` ends the polling of the process that calls it.

    Examples
    --------
    >>> with vr.Served("items.index", poll=5.0) as items:  # doctest: +SKIP
    ...     items.search(queries, 100)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mmap: bool = True,
        verify: bool = False,
        load: Callable[..., FlatIndex] | None = None,
        poll: float | None = None,
    ) -> None:
        self.path = _coerce.path(path, "path")
        self.error: Exception | None = None
        self._options = {
            "mmap": _coerce.flag(mmap, "mmap"),
            "verify": _coerce.flag(verify, "verify"),
        }
        if load is not None and not callable(load):
            raise TypeError(f"load: expected a callable, got {type(load).__name__}")
        self._loader: Callable[..., FlatIndex] = FlatIndex.load if load is None else load
        self._pause = None if poll is None else _interval(poll)
        self._one_refresh = threading.Lock()
        self._closed = threading.Event()
        self._poller: threading.Thread | None = None
        self._current = self._newest()
        self._start_polling()
        _ALL.add(self)

    @property
    def index(self) -> FlatIndex:
        """The version of this moment, for calls that belong together, as of a mask and a search."""
        return self._current[1]

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = None,
        allow: npt.ArrayLike | None = None,
        min_score: float | None = None,
        threads: int | None = None,
    ) -> SearchResult:
        """Search the version of this moment, so that the object stands in for it in a channel.

        Parameters
        ----------
        queries, k, exclude, min_score, threads
            As of `FlatIndex.search`.
        allow : array_like of int, optional
            Ids. A mask belongs to one version: make it of `index`, and search that.

        Returns
        -------
        SearchResult
        """
        return self.index.search(
            queries, k, exclude=exclude, allow=allow, min_score=min_score, threads=threads
        )

    def search_above(
        self,
        queries: npt.ArrayLike,
        min_score: float | npt.ArrayLike,
        *,
        limit: int | None = None,
        exclude: RaggedLike | None = None,
        allow: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> AboveResult:
        """Find all items of the version of this moment that reach a score.

        Parameters
        ----------
        queries, min_score, limit, exclude, threads
            As of `FlatIndex.search_above`.
        allow : array_like of int, optional
            Ids, as of `search`.

        Returns
        -------
        AboveResult
        """
        return self.index.search_above(
            queries, min_score, limit=limit, exclude=exclude, allow=allow, threads=threads
        )

    def refresh(self) -> bool:
        """Load the newest version, if it is not the one that is served.

        Returns
        -------
        bool
            Whether there was another.

        Raises
        ------
        OSError, ValueError
            If it cannot be loaded; the version that was served still is.
        """
        with self._one_refresh:
            try:
                changed = self._manifest() != self._current[0]
                if changed:
                    self._current = self._newest()
            except Exception as error:
                self.error = error
                raise
            self.error = None
            return changed

    def close(self) -> None:
        """End the polling; the index is served as it is."""
        self._closed.set()
        if self._poller is not None:
            self._poller.join()

    def __enter__(self) -> "Served":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Served({str(self.path)!r}, {self.index!r})"

    def _manifest(self) -> bytes:
        with open_regular(self.path / MANIFEST) as file:
            return file.read()

    def _newest(self) -> tuple[bytes, FlatIndex]:
        """Load until no save comes in between: what is loaded is then what the manifest names."""
        while True:
            before = self._manifest()
            index = self._loader(self.path, **self._options)
            if not isinstance(index, FlatIndex):
                raise TypeError(f"load: expected a FlatIndex in return, got {type(index).__name__}")
            if self._manifest() == before:
                return before, index

    def _start_polling(self) -> None:
        if self._pause is None:
            return
        self._poller = threading.Thread(
            target=self._poll, args=(self._pause,), name="vecrecall-served", daemon=True
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
            except Exception:  # whatever it is: `error` has it, and the next version may be well
                continue


def _interval(poll: object) -> float:
    """Coerce to seconds that a thread can wait: more would end the polling by an error."""
    pause = _coerce.duration(poll, "poll")
    if pause > threading.TIMEOUT_MAX:
        raise ValueError(f"poll: expected at most {threading.TIMEOUT_MAX} s, got {pause}")
    return pause


_ALL: WeakSet[Served] = WeakSet()


def _begin_all_in_child() -> None:
    for served in list(_ALL):
        served._begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all_in_child)
