"""The reads of an index in shards: a call to each shard, and what these answer joined."""

import threading
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each
from vecrecall.arrays._results import AboveResult, SearchResult, SearchStats, scatter
from vecrecall.arrays._row_types import RowType
from vecrecall.arrays._typing import F32, I64
from vecrecall.distributed import _ray, _wire
from vecrecall.distributed._errors import ClosedError
from vecrecall.distributed._fleet import Fleet, missing_error
from vecrecall.distributed._joins import cut, joined_above, search_widening, summed
from vecrecall.distributed._manifest import Manifest
from vecrecall.distributed._queries import IdSet, Place, Query, query_of, rows_of
from vecrecall.distributed._ray import Deadline
from vecrecall.fusion._shards import merge_shards
from vecrecall.search._flat_index import DEFAULT_PROBES, INVALID, _floors, _only, valid_queries
from vecrecall.search._ivf_index import Probes, _check_probes
from vecrecall.search._masks import Mask, allowed, mask
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import Allow, Ids, Invalid, Metric, Neighbors, Progress

_PAGE = 1 << 20  # ids
_SHARE = 0.5  # of the time that is left, for a round of a search that may need others


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


class View(NamedTuple):
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
    enough: Deadline | None  # from when on the answers of some shards will do


class Reads:
    """The reads of a `ShardedIndex`.

    Parameters
    ----------
    view : View
        What is served at first.
    timeout : float
    partial : bool
        Whether a search returns what is there of it.
    """

    def __init__(self, view: View, timeout: float, partial: bool) -> None:
        self.timeout = timeout
        self._view = view
        self._partial = partial
        self._usual = DEFAULT_PROBES
        self._positions: dict[int, int] = {}  # the last change of each shard that is known here
        self._turning = threading.Condition()
        self._running: dict[int, int] = {}  # calls of each view, by its identity
        self._closed = False

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
            query = query_of(q, k, seen, bits, floor, chosen, n_threads)
            deadline = Deadline(self.timeout)
            partial = self._partial
            asked = _Asked(query, deadline, stats or partial, deadline if partial else None)
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
            query = query_of(q, most, seen, bits, -np.inf, DEFAULT_PROBES, n_threads)
            found = self._all(view, "search_above", (query, floors))
        return joined_above(found, most, valid, nq)

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
        probes: Probes | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item, as `FlatIndex.neighbors`.

        Rows of the result are in the order of `ids`. The index should not change meanwhile. This
        process asks for block after block; `vecrecall.distributed.neighbors` does it by tasks.

        Parameters
        ----------
        k, min_score, progress, path, threads
            As of `FlatIndex.neighbors`.
        probes : int or "exact", optional
            As of `search`; only where there are lists.

        Returns
        -------
        Neighbors

        Raises
        ------
        MissingShardsError
            If a shard does not answer in time.
        OSError, TypeError, ValueError
            As of `FlatIndex.neighbors`.
        """
        index = self if probes is None else self._probing(probes)
        return self_join(index, k, min_score, progress, path, threads)

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
    def dtype(self) -> RowType:
        """The type that rows are kept in: "float32", "float16" or "bfloat16"."""
        return self._view.manifest.dtype

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
        name = type(self).__name__
        half = "" if of.dtype == "float32" else f", dtype {of.dtype!r}"
        return f"{name}({str(self.path)!r}, {shards}, dim {of.dim}, metric {of.metric!r}{half})"

    # Parts
    def _current(self) -> View:
        if self._closed:
            raise ClosedError("index: expected one that is open, got one that was closed")
        view = self._view
        view.fleet.check_connected()
        return view

    @contextmanager
    def _using(self) -> Iterator[View]:
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

    def _opened(self, view: View, deadline: Deadline, all_replicas: bool = False) -> dict[int, Any]:
        """Have the shards loaded."""
        calls = {shard: (view.place(shard),) for shard in range(view.manifest.n_shards)}
        if all_replicas:
            found: dict[int, Any] = view.fleet.ask_all("open", calls, deadline)[0]
            return found
        return view.fleet.ask("open", calls, deadline)[0]

    def _asked(
        self,
        view: View,
        method: str,
        calls: dict[int, tuple[Any, ...]],
    ) -> dict[int, Any]:
        """Ask shards, each with arguments of its own."""
        whole = {
            shard: (self._head(view, shard), _wire.packed(own)) for shard, own in calls.items()
        }
        return view.fleet.ask(method, whole, Deadline(self.timeout))[0]

    def _head(self, view: View, shard: int) -> bytes:
        """Say which changes of a shard this client knows."""
        head: bytes = _wire.packed((view.place(shard), self._positions.get(shard, 0)))
        return head

    def _calls(
        self, view: View, arguments: tuple[Any, ...], but: Container[int] = ()
    ) -> dict[int, tuple[Any, ...]]:
        """Say the same to all shards but some: what is large is in the object store once."""
        body = _wire.packed(arguments)
        if body is arguments:
            body = _ray.ray().put(arguments)
        shards = (n for n in range(view.manifest.n_shards) if n not in but)
        return {n: (self._head(view, n), body) for n in shards}

    def _all(self, view: View, method: str, arguments: tuple[Any, ...]) -> dict[int, Any]:
        """Ask all shards the same."""
        calls = self._calls(view, arguments)
        return view.fleet.ask(method, calls, Deadline(self.timeout))[0]

    def _answers(
        self, view: View, method: str, asked: _Asked, missing: dict[int, str]
    ) -> dict[int, Any]:
        """Ask the shards that are not missing, and note those that are from now on."""
        calls = self._calls(view, (asked.query,), but=missing)
        answers, late = view.fleet.ask(method, calls, asked.deadline, asked.enough)
        missing.update(late)
        if not answers:
            raise missing_error("search", missing, asked.deadline)
        return answers

    def _search_once(
        self, view: View, asked: _Asked, missing: dict[int, str] | None = None
    ) -> SearchResult:
        """Ask every shard that is not missing, and join what they answer."""
        k, nq = asked.query.k, len(asked.query.queries)
        missing = {} if missing is None else missing
        answers = self._answers(view, "search", asked, missing)
        found = [answers[shard] for shard in sorted(answers)]
        parts = [SearchResult(ids, scores, counts) for ids, scores, counts, _, _ in found]
        whole = merge_shards(parts, k) if nq else parts[0]
        metric = None if any(biased for *_, biased in found) else view.manifest.metric
        stats: Any = None
        if asked.stats:
            stats = self._stats([SearchStats(*numbers) for _, _, _, numbers, _ in found], missing)
        return SearchResult(whole.ids, whole.scores, whole.counts, metric, stats)

    def _search_by_default(self, view: View, asked: _Asked) -> SearchResult:
        """Search as an index of lists does where no number of lists is given.

        A query whose set allows no more items than it would look at has all of them scored; that
        and how many lists are enough are matters of all shards together. A shard that is missing in
        one round is not asked in others.
        """
        query = asked.query._replace(min_score=-np.inf)
        n, probes, n_lists = len(query.queries), view.manifest.probes, view.manifest.n_lists
        few = np.empty(0, np.int64)
        missing: dict[int, str] = {}
        if query.allow is not None and n:
            part = asked._replace(query=query._replace(probes=probes), enough=self._round(asked))
            found = self._answers(view, "reach", part, missing)
            looked, allows = (sum(of[i] for of in found.values()) for i in (0, 1))
            few = np.flatnonzero(np.broadcast_to(np.asarray(allows) <= np.asarray(looked), (n,)))

        def searched(rows: I64, probes: int) -> SearchResult:
            scores_all = probes == _core.EXACT_PROBES
            last = few.size == n if scores_all else probes >= n_lists
            part = asked._replace(
                query=rows_of(query, rows)._replace(probes=probes),
                enough=asked.enough if last else self._round(asked),
            )
            return self._search_once(view, part, missing)

        result, rounds = search_widening(searched, n, query.k, probes, n_lists, few)
        cut(result, asked.query.min_score)
        if asked.stats:
            result.stats = self._stats([part.stats for part in rounds], missing)
        return result

    def _round(self, asked: _Asked) -> Deadline | None:
        """Say when the answers of some shards will do in a round after which there are others."""
        return asked.deadline.share(_SHARE) if self._partial else None

    def _stats(self, rounds: list[Any], missing: dict[int, str]) -> Any:
        """Sum what searches have counted, with the shards that did not answer if it is wanted."""
        total = summed(rounds)
        return ShardStats(*total, missing) if self._partial else total

    def _chosen_probes(self, view: View, probes: Probes | None) -> int:
        if probes is None:
            return self._usual
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
        if not self._view.manifest.probes or self._usual == _core.EXACT_PROBES:
            return ""
        probes = self._view.manifest.probes if self._usual == DEFAULT_PROBES else self._usual
        return f"ShardedIndex, probes {probes}"

    def _probing(self, probes: Probes) -> "Reads":
        """Return one whose searches probe so many lists where they do not say it."""
        usual = self._chosen_probes(self._view, probes)
        index = Reads.__new__(Reads)
        index.__dict__.update(self.__dict__)
        index._usual = usual
        return index

    def _mask_owner(self) -> object:
        return self

    def _allow(self, ids: I64, complement: bool) -> IdSet:
        return IdSet(uuid.uuid4().hex, ids, complement)
