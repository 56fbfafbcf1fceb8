"""The actors: a replica answers reads of a shard, a writer makes its changes.

Neither is of one path: each call says which, so that actors serve another build when it replaces
this one. They read files when they need them, also after they were started again.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import vecrecall._core as _core
from vecrecall._runtime import set_num_threads
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.distributed import _manifest, _wire
from vecrecall.distributed._changes import Change
from vecrecall.distributed._errors import ShardError
from vecrecall.distributed._queries import IdSet, Place, Query
from vecrecall.distributed._shard import Shard, ShardWriter

_LOOK_SECONDS = 0.2  # between looks at the log for the changes of other clients
_KEPT_SETS = 64


class About(NamedTuple):
    """A shard at this moment."""

    n_items: int
    nbytes: int
    position: int
    pid: int


def _read(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method that is called with bytes, and answers with bytes.

    Parameters
    ----------
    answer : callable
        Called with a place, the number of the last change that the client knows, and more.
    """

    def method(self: "Replica", head: bytes, body: Any) -> Any:
        place, position = _wire.unpacked(head)
        return _wire.packed(answer(self, place, position, *_wire.unpacked(body)))

    method.__name__, method.__doc__ = answer.__name__, answer.__doc__
    method.__qualname__ = answer.__qualname__
    return method


class Replica:
    """Answers reads of one shard.

    Parameters
    ----------
    threads : int
        Of a call.
    """

    def __init__(self, threads: int) -> None:
        set_num_threads(threads)  # Ray says OMP_NUM_THREADS=1, whatever the actor has
        self._threads = threads
        self._loading = threading.Lock()
        self._shards: dict[Place, Shard] = {}
        self._looked: dict[Place, float] = {}
        self._sets: OrderedDict[tuple[Place, str], Any] = OrderedDict()

    def open(self, place: Place) -> About:
        """Load a shard, and say what it is."""
        shard = self._shard(place, None)
        index = shard.index
        return About(len(index), index.nbytes, shard.position, os.getpid())

    def drop(self, place: Place) -> None:
        """Let go of a shard that is not asked for again."""
        with self._loading:
            self._shards.pop(place, None)
            self._looked.pop(place, None)
            for key in [key for key in self._sets if key[0] == place]:
                del self._sets[key]

    def advance(self, place: Place, position: int) -> int:
        """Make the changes up to one."""
        return self._shard(place, position).position

    @_read
    def search(self, place: Place, position: int, query: Query) -> tuple[Any, ...]:
        """Search as the core does."""
        index = self._shard(place, position).index
        threads = self._threads if query.threads is None else query.threads
        allow = self._allowed(place, query)
        found: tuple[Any, ...] = index._now().search(
            query.queries, query.k, query.exclude, allow, query.min_score, query.probes, threads
        )
        return found

    @_read
    def search_above(
        self, place: Place, position: int, query: Query, floors: F64
    ) -> tuple[I64, F32, I64]:
        """Find all that reach a score, as the core does; `k` of the query is the limit."""
        index = self._shard(place, position).index
        threads = self._threads if query.threads is None else query.threads
        allow = self._allowed(place, query)
        return index._now().search_above(
            query.queries, floors, query.k, query.exclude, allow, threads
        )

    @_read
    def reach(self, place: Place, position: int, query: Query) -> tuple[I64, I64]:
        """Tell of each query how many rows it looks at, and how many items its set allows."""
        index = self._shard(place, position).index
        looked = index._now().rows_looked_at(query.queries, query.probes, self._threads)
        sizes = []
        for one in query.sets:
            known = int(np.count_nonzero(index.contains(one.ids)))
            sizes.append(len(index) - known if one.complement else known)
        which = np.zeros(len(looked), np.int64) if query.allow is None else np.array(query.allow)
        allowed = np.array(sizes, np.int64)[np.resize(which, len(looked))]
        return looked, allowed

    @_read
    def score(
        self, place: Place, position: int, queries: F32, values: I64, offsets: I64,
        threads: int | None,
    ) -> F32:  # fmt: skip
        """Score given items, as the core does."""
        index = self._shard(place, position).index
        threads = self._threads if threads is None else threads
        return index._now().score(queries, values, offsets, threads)

    @_read
    def known_vectors(self, place: Place, position: int, ids: I64) -> tuple[I64, F32]:
        """Return which of the ids are known, and their rows."""
        return self._shard(place, position).index._now().known_vectors(ids)

    @_read
    def contains(self, place: Place, position: int, ids: I64) -> Any:
        """Tell which of the ids are known."""
        return self._shard(place, position).index.contains(ids)

    @_read
    def ids(self, place: Place, position: int, after: int, most: int) -> tuple[I64, int]:
        """Return some of the ids, from a place on, and how many there are."""
        ids = self._shard(place, position).index.ids
        return ids[after : after + most], ids.size

    def _shard(self, place: Place, position: int | None) -> Shard:
        """Return a shard with all changes up to one, and with others after a while."""
        shard = self._shards.get(place)
        if shard is None:
            with self._loading:
                shard = self._shards.get(place)
                if shard is None:
                    shard = _shard_of(place)
                    shard.advance()
                    self._shards[place] = shard
        now = time.monotonic()
        if position is None or now > self._looked.get(place, 0.0) + _LOOK_SECONDS:
            self._looked[place] = now
            shard.advance()
        if position is not None and shard.advance(position) < position:
            raise ShardError(
                f"shard {place.number}: expected change {position} in its log, "
                f"got {shard.position} as the last in {shard.folder}"
            )
        return shard

    def _allowed(self, place: Place, query: Query) -> list[Any] | None:
        if query.allow is None:
            return None
        return [self._set(place, query.sets[i]) for i in query.allow]

    def _set(self, place: Place, one: IdSet) -> Any:
        """Prepare a set, once while it is used."""
        key = (place, one.word)
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = _core.IdMask(np.array(one.ids), one.complement)
            while len(self._sets) > _KEPT_SETS:
                self._sets.popitem(last=False)
        return found


class Writer:
    """Makes the changes of one shard."""

    def __init__(self, fold_bytes: int) -> None:
        self._fold_bytes = fold_bytes
        self._writer: ShardWriter | None = None
        self._place: Place | None = None

    def ping(self) -> None:
        """Answer."""

    def check(self, place: Place, change: Change) -> None:
        """Refuse what could not be done."""
        self._of(place).check(change)

    def commit(self, place: Place, change: Change) -> int:
        """Make a change, which is on the disk when this returns its number."""
        return self._of(place).commit(change)

    def largest_id(self, place: Place) -> int:
        """Return the largest id of items, and of those that were skipped; -1 for none."""
        index = self._of(place).shard.index
        return int(max(index.ids.max(initial=-1), index.skipped.max(initial=-1)))

    def close(self, place: Place) -> None:
        """Let another writer have a shard."""
        if self._place == place and self._writer is not None:
            self._writer.close()
            self._writer = self._place = None

    def _of(self, place: Place) -> ShardWriter:
        if self._writer is None or self._place != place:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._writer = ShardWriter(_shard_of(place), self._fold_bytes)
            self._place = place
        return self._writer


def _shard_of(place: Place) -> Shard:
    """Load a shard of a build that was there when the client looked."""
    path = Path(place.path)
    try:
        manifest = _manifest.read(path)
    except (OSError, ValueError) as error:
        raise ShardError(f"shard {place.number}: {error}") from None
    if manifest.build != place.build:
        raise ShardError(
            f"shard {place.number}: expected build {place.build}, got {manifest.build} in {path}"
        )
    return Shard(path, manifest, place.number, verify=place.verify)
