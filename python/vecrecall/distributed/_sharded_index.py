"""An index in shards, each in an actor of its own, with the methods of one index."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._row_types import check_rows, widened
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.distributed import _manifest, _ray
from vecrecall.distributed._changes import Change, Kind
from vecrecall.distributed._errors import ChangeError, ClosedError
from vecrecall.distributed._fleet import Fleet, Resources, resources_for
from vecrecall.distributed._manifest import Manifest
from vecrecall.distributed._ray import Deadline
from vecrecall.distributed._reads import Reads, View
from vecrecall.search._flat_index import Missing, usable_rows
from vecrecall.search._protocol import Ids

_NEW_ID_TRIES = 8
_ON_MISSING = {"raise": False, "partial": True}


class ShardedIndex(Reads):
    """An index in shards on a Ray cluster, with the methods of a `FlatIndex`; `connect` makes it.

    Its answers have the bits of one index of all items, whatever the number of shards. It stands in
    for a `FlatIndex` in every channel. A call asks one replica of each shard and joins what they
    answer; where an actor dies or is late, another one is asked, or the same one again when Ray has
    started it again from its files. Every wait ends at `timeout`.

    Updates are on the disk before they are acknowledged, and survive the death of every actor. A
    search of the client that made a change sees it; other clients see it within a second. Each
    shard makes its part of a change as a whole; shards make theirs one after the other.

    A pickle finds the same actors, in any process of the cluster, as long as the index that
    `connect` made is not closed.

    Attributes
    ----------
    path : Path
        Of what is served.
    timeout : float
        Seconds that a call may take.

    Raises
    ------
    ClosedError
        By every call after `close` or the end of Ray.
    MissingShardsError
        By calls to which a shard gives no answer in time.
    """

    def __init__(self, view: View, timeout: float, partial: bool, owner: bool) -> None:
        super().__init__(view, timeout, partial)
        self._owner = owner
        self._changing = threading.Lock()

    # Changes

    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        bias: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> npt.NDArray[np.int64] | None:
        """Add new items, as `FlatIndex.add`; they are on the disk when this returns.

        Parameters
        ----------
        vectors, ids, bias
            As of `FlatIndex.add`.
        threads : int, optional
            Checked, and without effect: every actor makes changes with its own threads, when it
            reads them in the log.

        Returns
        -------
        ndarray of int64, shape (m,), or None
            The new ids, where none are given.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        TypeError, ValueError
            If an argument is not as described or an id is there already; nothing is done then.
        """
        _scalars.check_threads(threads)
        if ids is not None:
            self._change("add", *self._new_items(vectors, ids, bias))
            return None
        rows = check_rows(vectors, "vectors", self.dim, self.dtype).values
        for attempt in range(_NEW_ID_TRIES):
            first = self._largest_id() + 1
            if first > _ids.LARGEST_ID - len(rows):
                raise ValueError("ids: expected ids that follow the largest one, got none left")
            numbers = first + np.arange(len(rows))
            try:
                self._change("add", *self._new_items(widened(rows), numbers, bias))
            except ValueError as error:  # another client has taken them
                if attempt + 1 == _NEW_ID_TRIES or not str(error).startswith("ids:"):
                    raise
            else:
                return numbers
        raise AssertionError

    def update(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        bias: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> None:
        """Add items, and replace those whose ids are there, as `FlatIndex.update`.

        Parameters
        ----------
        vectors, ids, bias
            As of `FlatIndex.update`.
        threads : int, optional
            As of `add`.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        TypeError, ValueError
            If an argument is not as described; nothing is done then.
        """
        _scalars.check_threads(threads)
        self._change("update", *self._new_items(vectors, ids, bias))

    def remove(self, ids: Ids, *, missing: Missing = "raise", threads: int | None = None) -> None:
        """Remove items, as `FlatIndex.remove`.

        Parameters
        ----------
        ids, missing
            As of `FlatIndex.remove`.
        threads : int, optional
            As of `add`.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        KeyError
            If an id is unknown; nothing is done then.
        TypeError, ValueError
            If an argument is not as described.
        """
        _scalars.check_threads(threads)
        wanted = np.unique(_ids.check_id_set(ids, "ids"))
        ignore = _scalars.check_choice(missing, "missing", {"raise": False, "ignore": True})
        self._change("remove", None, wanted, None, ignore=ignore)

    # Versions

    def swap(self, path: str | Path) -> None:
        """Serve another build, without a search that fails: the one before until this is ready.

        Parameters
        ----------
        path : str or Path
            Of `build_shards` or `reshard`. With as many shards the same actors serve it, and hold
            both until searches that began before have ended; otherwise new actors are placed
            next to the old ones.

        Raises
        ------
        DistributedError
            If it cannot be loaded or placed; what was served still is.
        OSError, ValueError
            If there is no manifest, or it is of another width or metric.
        """
        with self._changing:
            before = self._current()
            deadline = Deadline(self.timeout)
            folder = _scalars.check_path(path, "path").absolute()
            manifest = _manifest.read(folder)
            _check_stands_in(manifest, before.manifest, folder)
            fleet = before.fleet
            if manifest.n_shards != before.manifest.n_shards:
                if not self._owner:
                    raise ClosedError(
                        "swap: expected the index that connect has made, got a copy that cannot "
                        "place actors"
                    )
                of = fleet.resources.of(manifest.n_shards)
                fleet = Fleet.placed(manifest.n_shards, of, fleet.fold_bytes, deadline)
            after = View(folder, manifest, fleet, before.verify)
            try:
                self._opened(after, deadline, all_replicas=True)
            except BaseException:
                if fleet is not before.fleet:
                    fleet.close()
                raise
            with self._turning:
                self._view, self._positions = after, {}
            self._let_go(before, after)

    def close(self) -> None:
        """End the actors and give their places back; a copy that was unpickled ends none."""
        with self._turning:
            if self._closed:
                return
            self._closed = True
        if self._owner:
            self._view.fleet.close()

    def __enter__(self) -> "ShardedIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Find the same actors where the pickle arrives."""
        view = self._current()
        fleet = view.fleet
        return _attached, (
            str(view.path), view.manifest.build, view.verify, fleet.name, fleet.resources,
            fleet.fold_bytes, self.timeout, self._partial, dict(self._positions),
        )  # fmt: skip

    # Parts

    def _let_go(self, before: View, after: View) -> None:
        """End what was served once the last call of it has ended."""
        with self._turning:
            self._turning.wait_for(lambda: not self._running.get(id(before)), self.timeout)
            self._running.pop(id(before), None)
        if before.fleet is not after.fleet:
            before.fleet.close()
            return
        if before.place(0) == after.place(0):
            return  # what is served already
        for shard in range(before.manifest.n_shards):
            before.fleet.tell_all("drop", shard, (before.place(shard),))
        before.fleet.end_writers()

    def _new_items(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, bias: npt.ArrayLike | None
    ) -> tuple[F32, I64, F64 | None]:
        rows = check_rows(vectors, "vectors", self.dim, self.dtype).values
        numbers = _ids.check_ids(ids, "ids", len(rows))
        _core.check_ids(numbers)
        extra = None if bias is None else _validation.check_float_vector(bias, "bias", len(rows))
        usable_rows(rows, extra, self.metric, False)
        return widened(rows), numbers, extra  # which shards round again, without loss

    def _change(
        self, kind: Kind, rows: F32 | None, ids: I64, bias: F64 | None, *, ignore: bool = False
    ) -> None:
        """Have each shard make its part, after all have been asked whether they could."""
        if not ids.size:
            return
        with self._changing, self._using() as view:
            deadline = Deadline(self.timeout)
            change = Change(kind, uuid.uuid4().hex, ids, rows, bias, ignore)
            calls = {
                shard: (view.place(shard), change.taken(places))
                for shard, places in view.manifest.routing.split(ids)
            }
            if len(calls) > 1 and not (kind == "update" or ignore):
                _, missing = view.fleet.write("check", calls, deadline)
                if missing:
                    raise _change_error(kind, missing, deadline, "nothing was done")
            numbers, missing = view.fleet.write("commit", calls, deadline)
            for shard, number in numbers.items():
                self._positions[shard] = max(number, self._positions.get(shard, 0))
                view.fleet.tell_all("advance", shard, (view.place(shard), number))
            if missing:
                raise _change_error(kind, missing, deadline, "the others have made their part")

    def _largest_id(self) -> int:
        with self._using() as view:
            deadline = Deadline(self.timeout)
            calls = {shard: (view.place(shard),) for shard in range(view.manifest.n_shards)}
            found, missing = view.fleet.write("largest_id", calls, deadline)
        if missing:
            raise _change_error("add", missing, deadline, "nothing was done")
        return int(max(found.values()))


def connect(
    path: str | Path,
    *,
    replicas: int = 1,
    threads: int | None = None,
    num_cpus: float | None = None,
    memory: int | None = None,
    on_missing: Literal["raise", "partial"] = "raise",
    timeout: float = 60.0,
    verify: bool = False,
    fold_bytes: int = 256 << 20,
) -> ShardedIndex:
    """Serve shards by actors on the Ray cluster that this process is connected to.

    Parameters
    ----------
    path : str or Path
        Of `build_shards`. Every node reads it; the nodes of writers write to it.
    replicas : int
        Actors of each shard, on different nodes where there are enough.
    threads : int, optional
        Of a call in an actor; default its whole CPUs, at least one.
    num_cpus : float, optional
        CPUs that are reserved for each actor. By default one, or less where all of them would take
        more than a quarter of the cluster's.
    memory : int, optional
        Bytes that are reserved for each actor. Mapped files are not counted by Ray.
    on_missing : {"raise", "partial"}
        What to do when a shard does not answer: raise `MissingShardsError`, or return what the
        others have found, with the reason in ``result.stats.missing``. A search that may have to
        look at more lists waits for half of the time that is left, and then goes on without it;
        it waits on where no shard has answered by then.
    timeout : float
        Seconds that a call may take, this one too.
    verify : bool
        Read all files and compare checksums.
    fold_bytes : int
        Rewrite a shard's index once its log has so many bytes.

    Returns
    -------
    ShardedIndex
        A context manager that closes itself.

    Raises
    ------
    PlacementError
        If there is no room for an actor; says for which, and what was asked.
    ShardError
        If a shard is missing, damaged, of another build, or holds an id of another shard.
    OSError, ValueError
        If there is no manifest at the path, or one of another version.
    """
    folder = _scalars.check_path(path, "path").absolute()
    replicas = _scalars.check_positive_int(replicas, "replicas")
    n_threads = None if threads is None else _scalars.check_thread_count(threads)
    cpus = None if num_cpus is None else _scalars.check_nonnegative(num_cpus, "num_cpus")
    room = None if memory is None else _scalars.check_positive_int(memory, "memory")
    partial = _scalars.check_choice(on_missing, "on_missing", _ON_MISSING)
    deadline = Deadline(_scalars.check_duration(timeout, "timeout"))
    verify = _scalars.check_bool(verify, "verify")
    fold = _scalars.check_positive_int(fold_bytes, "fold_bytes")
    manifest = _manifest.read(folder)
    _ray.started()
    resources = resources_for(manifest.n_shards, replicas, n_threads, cpus, room)
    fleet = Fleet.placed(manifest.n_shards, resources, fold, deadline)
    index = ShardedIndex(View(folder, manifest, fleet, verify), deadline.seconds, partial, True)
    try:
        index._opened(index._view, deadline, all_replicas=True)
    except BaseException:
        index.close()
        raise
    return index


def _attached(
    path: str,
    build: str,
    verify: bool,
    name: str,
    resources: Resources,
    fold_bytes: int,
    timeout: float,
    partial: bool,
    positions: dict[int, int],
) -> ShardedIndex:
    """Find the actors of an index that another process has connected."""
    manifest = _manifest.read(Path(path))
    if manifest.build != build:
        raise ValueError(f"pickle: expected build {build}, got {manifest.build} in {path}")
    fleet = Fleet(name, manifest.n_shards, resources, fold_bytes, [])
    index = ShardedIndex(View(Path(path), manifest, fleet, verify), timeout, partial, False)
    index._positions = dict(positions)
    return index


def _check_stands_in(manifest: Manifest, before: Manifest, folder: Path) -> None:
    for name in ("dim", "metric"):
        old, new = getattr(before, name), getattr(manifest, name)
        if new != old:
            raise ValueError(f"path: expected {name} {old!r} as before, got {new!r} in {folder}")


def _change_error(kind: str, missing: dict[int, str], deadline: Deadline, done: str) -> ChangeError:
    shard, reason = next(iter(missing.items()))
    return ChangeError(
        f"{kind}: expected shards {list(missing)} to acknowledge it within {deadline.seconds:g} s, "
        f"{done}; shard {shard}: {reason}",
        missing,
    )
