"""An index in shards, each in an actor of its own, with the methods of one index."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each, take_rows
from vecrecall.arrays._results import AboveResult, SearchResult, SearchStats, scatter
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.distributed import _manifest, _ray, _wire
from vecrecall.distributed._actors import IdSet, Place, Query
from vecrecall.distributed._changes import Change, Kind
from vecrecall.distributed._errors import ChangeError, ClosedError
from vecrecall.distributed._fleet import Fleet, Resources, missing_error, resources_for
from vecrecall.distributed._manifest import Manifest
from vecrecall.distributed._ray import Deadline
from vecrecall.fusion._shards import merge_shards
from vecrecall.search._flat_index import (
    DEFAULT_PROBES,
    INVALID,
    Missing,
    _floors,
    _only,
    usable_rows,
    valid_queries,
)  # fmt: skip
from vecrecall.search._ivf_index import Probes, _check_probes
from vecrecall.search._masks import Mask, allowed, mask
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import Allow, Ids, Invalid, Metric, Neighbors, Progress

_PAGE = 1 << 20  # ids
_NEW_ID_TRIES = 8
_ON_MISSING = {"raise": False, "partial": True}


class ShardStats(NamedTuple):
    """Counts of a search over shards, and which of these did not answer.

    Attributes
    ----------
    items_scanned, rows_reranked, precision, lists_probed, queries_widened
        As of `SearchStats`, summed over the shards.
    missing : dict of int to str
        Why, by the number of each shard whose items are not in the result.
    """

    items_scanned: int
    rows_reranked: int
    precision: str
    lists_probed: int
    queries_widened: int
    missing: dict[int, str]


class _View(NamedTuple):
    """A version and its actors, for a call from its beginning to its end."""

    path: Path
    manifest: Manifest
    fleet: Fleet
    verify: bool

    def place(self, shard: int) -> Place:
        return Place(str(self.path), self.manifest.build, shard, self.verify)


class _Asked(NamedTuple):
    """A search that was checked, without the queries that get nothing."""

    query: Query
    deadline: Deadline
    stats: bool


class ShardedIndex:
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

    def __init__(self, view: _View, timeout: float, partial: bool, owner: bool) -> None:
        self.timeout = timeout
        self._view = view
        self._partial = partial
        self._owner = owner
        self._positions: dict[int, int] = {}
        self._changing = threading.Lock()
        self._turning = threading.Condition()
        self._running: dict[int, int] = {}  # calls of each view, by its identity
        self._closed = False

    # Reads

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
        """Find the `k` best items of every query.

        Parameters
        ----------
        queries, k, exclude, allow, min_score, invalid
            As of `FlatIndex.search`.
        probes : int or "exact", optional
            As of `IVFIndex.search`; only where there are lists.
        stats : bool
            Give the result `SearchStats`, summed over shards. With ``on_missing="partial"`` its
            ``stats`` are always there, as `ShardStats`.
        threads : int, optional
            Most threads to use in each shard; default those of the actor.

        Returns
        -------
        SearchResult

        Raises
        ------
        MissingShardsError
            If a shard does not answer in time, unless ``on_missing="partial"``.
        TypeError, ValueError
            If an argument is not as described.
        """
        with self._using() as view:
            q = _validation.check_query_matrix(queries, "queries", view.manifest.dim)
            nq = len(q)
            k = _scalars.check_list_length(k, nq)
            leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
            stats = _scalars.check_bool(stats, "stats")
            n_threads = None if threads is None else _scalars.check_threads(threads)
            floor = -np.inf if min_score is None else _scalars.check_float(min_score, "min_score")
            chosen = self._chosen_probes(view, probes)
            seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", nq)
            bits = None if allow is None else allowed(self, allow, nq)
            valid = valid_queries(q, leave_empty)
            if valid is not None:
                q, seen, bits = _only(valid, q, seen, bits)
            asked = _Asked(
                _query(q, k, seen, bits, floor, chosen, n_threads),
                Deadline(self.timeout),
                stats or self._partial,
            )
            if chosen == DEFAULT_PROBES and view.manifest.probes:
                result = self._search_by_default(view, asked)
            else:
                result = self._search_once(view, asked)
        return result if valid is None else scatter(result, valid, len(valid))

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
        """Find all items that reach a score, for every query.

        Parameters
        ----------
        queries, min_score, limit, exclude, allow, invalid
            As of `FlatIndex.search_above`.
        threads : int, optional
            Most threads to use in each shard.

        Returns
        -------
        AboveResult

        Raises
        ------
        MissingShardsError
            If a shard does not answer in time.
        TypeError, ValueError
            If an argument is not as described.
        """
        with self._using() as view:
            q = _validation.check_query_matrix(queries, "queries", view.manifest.dim)
            nq = len(q)
            floors = _floors(min_score, nq)
            most = _ids.LARGEST_ID
            if limit is not None:
                most = min(_scalars.check_positive_int(limit, "limit"), most)
            leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
            n_threads = None if threads is None else _scalars.check_threads(threads)
            seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", nq)
            bits = None if allow is None else allowed(self, allow, nq)
            valid = valid_queries(q, leave_empty)
            if valid is not None:
                floors = floors[valid]
                q, seen, bits = _only(valid, q, seen, bits)
            query = _query(q, most, seen, bits, -np.inf, DEFAULT_PROBES, n_threads)
            found = self._all(view, "search_above", (query, floors))
        return _joined_above(found, most, valid, nq)

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items for every query, as `FlatIndex.score`.

        Each shard is asked for its own candidates.
        """
        with self._using() as view:
            q = _validation.check_queries(queries, "queries", view.manifest.dim)
            wanted = _ragged_checks.check_ragged(candidates, "candidates", len(q))
            n_threads = None if threads is None else _scalars.check_threads(threads)
            rows = row_of_each(wanted)
            calls, places = {}, {}
            for shard, own in view.manifest.routing.split(wanted.values):
                own.sort()  # so that they are in the order of the queries
                offsets = offsets_of(np.bincount(rows[own], minlength=len(q)))
                calls[shard] = (q, wanted.values[own], offsets, n_threads)
                places[shard] = own
            scores = np.empty(wanted.values.size, np.float32)
            for shard, found in self._asked(view, "score", calls).items():
                scores[places[shard]] = found
        return Ragged(scores, wanted.offsets)

    def vectors(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Copy out the rows of given ids, as `FlatIndex.vectors`."""
        wanted = _ids.check_integers(ids, "ids")
        known, rows = self._known_vectors(wanted)
        if known.size < wanted.size:
            unknown = np.setdiff1d(np.arange(wanted.size), known)[0]
            raise KeyError(f"ids: expected ids of the index, got {wanted[unknown]}")
        return rows

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the index has, as `FlatIndex.contains`."""
        wanted = _ids.check_integers(ids, "ids")
        with self._using() as view:
            split = dict(view.manifest.routing.split(wanted))
            calls = {shard: (wanted[places],) for shard, places in split.items()}
            found = np.zeros(wanted.size, np.bool_)
            for shard, known in self._asked(view, "contains", calls).items():
                found[split[shard]] = known
        return found

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item, as `FlatIndex.neighbors`.

        Rows of the result are in the order of `ids`. The index should not change meanwhile. This
        process asks for block after block; `vecrecall.distributed.neighbors` does it by tasks.
        """
        return self_join(self, k, min_score, progress, path)

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``, as `FlatIndex.mask`; shards keep it."""
        return mask(self, ids)

    def id_pages(self, size: int = _PAGE) -> Iterator[npt.NDArray[np.int64]]:
        """Go through the ids of all items, some at a time.

        Parameters
        ----------
        size : int
            The most ids of a page, >= 1.

        Yields
        ------
        ndarray of int64
            Shard by shard, each in the order of insertion.
        """
        size = _scalars.check_positive_int(size, "size")
        with self._using() as view:
            for shard in range(view.manifest.n_shards):
                after, total = 0, 1
                while after < total:
                    page, total = self._asked(view, "ids", {shard: (after, size)})[shard]
                    after += size
                    if page.size:
                        yield page

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The ids of all items, in the order of `id_pages`, shape (n,)."""
        return np.concatenate([np.empty(0, np.int64), *self.id_pages()])

    @property
    def dim(self) -> int:
        """The vectors' width."""
        return self._view.manifest.dim

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self._view.manifest.metric

    @property
    def vocabulary(self) -> None:
        """None: shards have ids alone."""

    @property
    def n_shards(self) -> int:
        """The number of shards."""
        return self._view.manifest.n_shards

    @property
    def path(self) -> Path:
        """The folder that is served."""
        return self._view.path

    @property
    def version(self) -> str:
        """A word for the build that is served: no other has it."""
        return self._view.manifest.build

    @property
    def probes(self) -> int:
        """How many lists a search probes that does not say it; 0 where there are none."""
        return self._view.manifest.probes

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold the items, once for all replicas."""
        with self._using() as view:
            return sum(of.nbytes for of in self._opened(view, Deadline(self.timeout)).values())

    def __len__(self) -> int:
        with self._using() as view:
            return sum(total for _, total in self._all(view, "ids", (0, 0)).values())

    def __contains__(self, id: object) -> bool:
        return _ids.is_id(id) and bool(self.contains(np.array([id], np.int64))[0])

    def __repr__(self) -> str:
        of = self._view.manifest
        shards = _scalars.counted(of.n_shards, "shard")
        return f"ShardedIndex({str(self.path)!r}, {shards}, dim {of.dim}, metric {of.metric!r})"

    # Changes

    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        bias: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.int64] | None:
        """Add new items, as `FlatIndex.add`; they are on the disk when this returns.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        TypeError, ValueError
            If an argument is not as described or an id is there already; nothing is done then.
        """
        if ids is not None:
            self._change("add", *self._new_items(vectors, ids, bias))
            return None
        rows = _validation.check_matrix(vectors, "vectors", self.dim)
        for attempt in range(_NEW_ID_TRIES):
            first = self._largest_id() + 1
            if first > _ids.LARGEST_ID - len(rows):
                raise ValueError("ids: expected ids that follow the largest one, got none left")
            numbers = first + np.arange(len(rows))
            try:
                self._change("add", *self._new_items(rows, numbers, bias))
            except ValueError as error:  # another client has taken them
                if attempt + 1 == _NEW_ID_TRIES or not str(error).startswith("ids:"):
                    raise
            else:
                return numbers
        raise AssertionError

    def update(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, *, bias: npt.ArrayLike | None = None
    ) -> None:
        """Add items, and replace those whose ids are there, as `FlatIndex.update`.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        TypeError, ValueError
            If an argument is not as described; nothing is done then.
        """
        self._change("update", *self._new_items(vectors, ids, bias))

    def remove(self, ids: Ids, *, missing: Missing = "raise") -> None:
        """Remove items, as `FlatIndex.remove`.

        Raises
        ------
        ChangeError
            If a shard does not acknowledge its part in time.
        KeyError
            If an id is unknown; nothing is done then.
        TypeError, ValueError
            If an argument is not as described.
        """
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
            after = _View(folder, manifest, fleet, before.verify)
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

    # Parts of reads

    def _current(self) -> _View:
        if self._closed:
            raise ClosedError("index: expected one that is open, got one that was closed")
        view = self._view
        view.fleet.check_connected()
        return view

    @contextmanager
    def _using(self) -> Iterator[_View]:
        """Keep what is served now until the end of a call."""
        with self._turning:
            view = self._current()
            self._running[id(view)] = self._running.get(id(view), 0) + 1
        try:
            yield view
        finally:
            with self._turning:
                self._running[id(view)] -= 1
                self._turning.notify_all()

    def _let_go(self, before: _View, after: _View) -> None:
        """End what was served once the last call of it has ended."""
        with self._turning:
            self._turning.wait_for(lambda: not self._running.get(id(before)), self.timeout)
            self._running.pop(id(before), None)
        if before.fleet is not after.fleet:
            before.fleet.close()
            return
        for shard in range(before.manifest.n_shards):
            before.fleet.tell_all("drop", shard, (before.place(shard),))
        before.fleet.end_writers()

    def _opened(
        self, view: _View, deadline: Deadline, all_replicas: bool = False
    ) -> dict[int, Any]:
        """Have the shards loaded."""
        calls = {shard: (view.place(shard),) for shard in range(view.manifest.n_shards)}
        if all_replicas:
            found: dict[int, Any] = view.fleet.ask_all("open", calls, deadline)[0]
            return found
        return view.fleet.ask("open", calls, deadline)[0]

    def _asked(
        self,
        view: _View,
        method: str,
        calls: dict[int, tuple[Any, ...]],
    ) -> dict[int, Any]:
        """Ask shards, each with arguments of its own."""
        whole = {
            shard: (self._head(view, shard), _wire.packed(own)) for shard, own in calls.items()
        }
        return view.fleet.ask(method, whole, Deadline(self.timeout))[0]

    def _head(self, view: _View, shard: int) -> bytes:
        """Say which changes of a shard this client knows."""
        head: bytes = _wire.packed((view.place(shard), self._positions.get(shard, 0)))
        return head

    def _calls(self, view: _View, arguments: tuple[Any, ...]) -> dict[int, tuple[Any, ...]]:
        """Say the same to all shards: what is large is in the object store once."""
        body = _wire.packed(arguments)
        if body is arguments:
            body = _ray.ray().put(arguments)
        return {n: (self._head(view, n), body) for n in range(view.manifest.n_shards)}

    def _all(self, view: _View, method: str, arguments: tuple[Any, ...]) -> dict[int, Any]:
        """Ask all shards the same."""
        calls = self._calls(view, arguments)
        return view.fleet.ask(method, calls, Deadline(self.timeout))[0]

    def _search_once(self, view: _View, asked: _Asked) -> SearchResult:
        """Ask every shard, and join what they answer."""
        k, nq = asked.query.k, len(asked.query.queries)
        calls = self._calls(view, (asked.query,))
        answers, missing = view.fleet.ask("search", calls, asked.deadline, partial=self._partial)
        if len(missing) == view.manifest.n_shards:
            raise missing_error("search", missing, asked.deadline)
        found = [answers[shard] for shard in sorted(answers)]
        parts = [SearchResult(ids, scores, counts) for ids, scores, counts, _, _ in found]
        whole = merge_shards(parts, k) if nq else parts[0]
        metric = None if any(biased for *_, biased in found) else view.manifest.metric
        stats: Any = None
        if asked.stats:
            stats = self._stats([SearchStats(*numbers) for _, _, _, numbers, _ in found], missing)
        return SearchResult(whole.ids, whole.scores, whole.counts, metric, stats)

    def _search_by_default(self, view: _View, asked: _Asked) -> SearchResult:
        """Search as an index of lists does where no number of lists is given.

        A query whose set allows no more items than it would look at has all of them scored; one
        that finds fewer than `k` looks at twice as many lists. Both are of all shards together.
        """
        query = asked.query._replace(min_score=-np.inf, probes=view.manifest.probes)
        n = len(query.queries)
        ids = np.full((n, query.k), -1, np.int64)
        scores = np.full((n, query.k), -np.inf, np.float32)
        counts = np.zeros(n, np.int32)
        left, few = np.arange(n), np.empty(0, np.int64)
        if query.allow is not None and n:
            calls = self._calls(view, (query,))
            found, _ = view.fleet.ask("reach", calls, asked.deadline, partial=self._partial)
            looked, allows = (sum(of[i] for of in found.values()) for i in (0, 1))
            scarce = np.broadcast_to(np.asarray(allows) <= np.asarray(looked), (n,))
            left, few = np.flatnonzero(~scarce), np.flatnonzero(scarce)
        rounds: list[Any] = []
        metric: Any = view.manifest.metric

        def searched(rows: I64, probes: int) -> None:
            nonlocal metric
            part = self._search_once(
                view, asked._replace(query=_rows_of(query, rows)._replace(probes=probes))
            )
            ids[rows], scores[rows], counts[rows] = part.ids, part.scores, part.counts
            metric = part.metric
            rounds.append(part.stats)

        if few.size:
            searched(few, _core.EXACT_PROBES)
        probes = view.manifest.probes
        while left.size or not rounds:
            searched(left, probes)
            left = left[counts[left] < query.k] if probes < view.manifest.n_lists else left[:0]
            probes *= 2
        result = SearchResult(ids, scores, counts, metric)
        cut(result, asked.query.min_score)
        if asked.stats:
            missing: dict[int, str] = {}
            if self._partial:
                missing = {s: why for of in rounds for s, why in of.missing.items()}
            result.stats = self._stats(rounds, missing)
        return result

    def _stats(self, rounds: list[Any], missing: dict[int, str]) -> Any:
        """Sum what searches have counted, with the shards that did not answer if it is wanted."""
        summed = _summed(rounds)
        return ShardStats(*summed, missing) if self._partial else summed

    def _chosen_probes(self, view: _View, probes: Probes | None) -> int:
        if probes is None:
            return DEFAULT_PROBES
        if not view.manifest.probes:
            raise TypeError("probes: expected none of an index without lists, got some")
        return _check_probes(probes)

    def _known_vectors(self, wanted: I64) -> tuple[I64, F32]:
        """Find which of the ids are known, and their rows."""
        with self._using() as view:
            split = dict(view.manifest.routing.split(wanted))
            calls = {shard: (wanted[places],) for shard, places in split.items()}
            known, rows = [np.empty(0, np.int64)], [np.empty((0, view.manifest.dim), np.float32)]
            for shard, (places, vectors) in self._asked(view, "known_vectors", calls).items():
                known.append(split[shard][places])
                rows.append(vectors)
        places = np.concatenate(known)
        order = np.argsort(places)
        return places[order], np.concatenate(rows)[order]

    def _searched_by(self) -> str:
        probes = self._view.manifest.probes
        return f"ShardedIndex, probes {probes}" if probes else ""

    def _mask_owner(self) -> object:
        return self

    def _allow(self, ids: I64, complement: bool) -> IdSet:
        return IdSet(uuid.uuid4().hex, ids, complement)

    # Parts of changes

    def _new_items(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, bias: npt.ArrayLike | None
    ) -> tuple[F32, I64, F64 | None]:
        rows = _validation.check_matrix(vectors, "vectors", self.dim)
        numbers = _ids.check_ids(ids, "ids", len(rows))
        _core.check_ids(numbers)
        extra = None if bias is None else _validation.check_float_vector(bias, "bias", len(rows))
        usable_rows(rows, extra, self.metric, False)
        return rows, numbers, extra

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
        others have found, with the reason in ``result.stats.missing``.
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
    index = ShardedIndex(_View(folder, manifest, fleet, verify), deadline.seconds, partial, True)
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
    index = ShardedIndex(_View(Path(path), manifest, fleet, verify), timeout, partial, False)
    index._positions = dict(positions)
    return index


def _query(
    q: F32,
    k: int,
    seen: Ragged | None,
    sets: list[Any] | None,
    floor: float,
    probes: int,
    threads: int | None,
) -> Query:
    """Put a search together; a set that stands several times is sent once."""
    pair = None if seen is None else (seen.values, seen.offsets)
    if sets is None:
        return Query(q, k, pair, None, [], floor, probes, threads)
    distinct = {one.word: one for one in sets}
    places = {word: i for i, word in enumerate(distinct)}
    return Query(
        q, k, pair, [places[one.word] for one in sets], list(distinct.values()), floor, probes,
        threads,
    )  # fmt: skip


def _rows_of(query: Query, rows: I64) -> Query:
    """Return the part of a search that is about some of its queries."""
    if rows.size == len(query.queries):
        return query
    exclude, allow = query.exclude, query.allow
    if exclude is not None:
        taken = take_rows(Ragged._of(*exclude), rows)
        exclude = (taken.values, taken.offsets)
    if allow is not None and len(allow) > 1:
        allow = [allow[i] for i in rows]
    return query._replace(queries=query.queries[rows], exclude=exclude, allow=allow)


def _summed(all_of: list[Any]) -> SearchStats:
    precisions = sorted({of.precision for of in all_of} - {"none"})
    joined = precisions[0] if len(precisions) == 1 else "int8 and float32"
    return SearchStats(
        sum(of.items_scanned for of in all_of),
        sum(of.rows_reranked for of in all_of),
        joined if precisions else "none",
        sum(of.lists_probed for of in all_of),
        sum(of.queries_widened for of in all_of),
    )


def cut(result: SearchResult, min_score: float) -> None:
    """End each list where scores fall below the least that is wanted."""
    if min_score == -np.inf:
        return
    below = result.scores.astype(np.float64) < min_score
    result.ids[below], result.scores[below] = -1, -np.inf
    np.minimum(result.counts, (~below).sum(axis=1), out=result.counts, casting="unsafe")


def _joined_above(
    found: dict[int, tuple[I64, F32, I64]],
    most: int,
    valid: npt.NDArray[np.bool_] | None,
    nq: int,
) -> AboveResult:
    """Join the lists of shards, by score descending and then id ascending."""
    parts = [found[shard] for shard in sorted(found)]
    rows = np.concatenate([np.repeat(np.arange(o.size - 1), np.diff(o)) for _, _, o in parts])
    ids = np.concatenate([ids for ids, _, _ in parts])
    scores = np.concatenate([scores for _, scores, _ in parts])
    order = np.lexsort((ids, -scores.astype(np.float64), rows))
    rows, ids, scores = rows[order], ids[order], scores[order]
    n = parts[0][2].size - 1
    starts = offsets_of(np.bincount(rows, minlength=n))
    kept = np.arange(rows.size) - starts[rows] < most
    lengths = np.bincount(rows[kept], minlength=n)
    if valid is not None:
        of_valid, lengths = lengths, np.zeros(nq, np.int64)
        lengths[valid] = of_valid
    offsets = offsets_of(lengths)
    offsets.flags.writeable = False
    return AboveResult(Ragged._of(ids[kept], offsets), Ragged._of(scores[kept], offsets))


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
