"""Answers: what requests say, resolved for a system; one scan for several; JSON of the lists."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each
from vecrecall.arrays._results import MergeResult, RecallStats, SearchResult
from vecrecall.arrays._scalars import counted
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.channels._specs import item_tags
from vecrecall.serve._batch import Columns, SystemBatch, joined, no_rows, ones_like
from vecrecall.serve._errors import RequestError, bad_field
from vecrecall.serve._jobs import Fields, Found, Piece
from vecrecall.serve._requests import RecallRequest, SearchRequest
from vecrecall.serve._system import Needs, System, grouped_clusters

_LEAST_SECONDS = 1e-3
INLINE = 4096
"""Entries of an answer that is encoded where it is found, or at once."""

_ROWS = (
    *("users", "history", "history_weights", "tags", "tag_weights", "tag_groups", "clusters"),
    "seen",
)


class TogetherError(Exception):
    """A channel has failed: requests are answered one by one, so that none spoils others."""


LARGEST = 1e15
"""Of a number in a request: sums of products of these and of items fit float64."""


def users_in(request: RecallRequest) -> int:
    """Count the users of a request; every field has a row for each.

    Raises
    ------
    RequestError
        If fields have different numbers of rows, or there is none.
    """
    sizes = {name: len(value) for name in _ROWS if (value := getattr(request, name)) is not None
             and not isinstance(value, dict)}  # fmt: skip
    for name in ("vectors", "clusters"):
        value = getattr(request, name)
        if isinstance(value, dict):
            sizes |= {f"{name}.{key}": len(rows) for key, rows in value.items()}
    if not sizes:
        raise bad_field("users", "users, or a field with a row per user", "none")
    first, n = next(iter(sizes.items()))
    for name, size in sizes.items():
        if size != n:
            raise bad_field(name, f"{counted(n, 'row')}, as {first}", size)
    return n


def check_names(system: System, request: RecallRequest | SearchRequest) -> None:
    """Refuse filters that do not exist."""
    for place, name in enumerate(request.filters):
        if name not in system.filters:
            names = ", ".join(map(repr, system.filters)) or "none"
            raise bad_field(f"filters[{place}]", f"the name of a filter ({names})", repr(name))


def resolved(system: System, request: RecallRequest, n: int) -> Columns:
    """Return the columns of a request: what it says, else what is known of its users."""
    check_names(system, request)
    needs = system.needs
    users = known_users(system, request.users, n)
    history = _items(system, request.history, "history")
    given = history is not None
    profiles = system.parts.profiles
    if history is None:
        history = no_rows(n) if profiles is None else _known_rows(profiles.history, users)
    ragged = {"history": history}
    weights = {"history": _weights(request.history_weights, "history_weights", history, given)}
    if needs.tags:
        _add_tags(system, request, needs, ragged, weights)
    elif request.tags is not None:
        raise bad_field("tags", "no tags, which no channel reads", "tags")
    seen = _items(system, request.seen, "seen")
    ragged["seen"] = _known_only(history if seen is None else seen)
    vectors = _vectors(system, request, needs, users, history)
    clusters = _clusters(system, request, needs, users, vectors)
    return Columns(users, ragged, weights, vectors, clusters)


def recall(
    system: System, pieces: Sequence[Piece], now: float, note: Callable[[RecallStats], object]
) -> list[Callable[[], Found]]:
    """Answer parts of requests by one call of the recaller.

    Parameters
    ----------
    system : System
    pieces : sequence of Piece
    now : float
        The time by the clock of the requests' deadlines.
    note : callable
        Takes what the channels did.

    Returns
    -------
    list of callable
        Each makes the JSON of one part.
    """
    request: RecallRequest = pieces[0].job.request
    batch = SystemBatch(joined([p.job.columns.part(p.start, p.stop) for p in pieces]))
    recaller = system.recaller(tuple(sorted(set(request.filters))))
    assert recaller is not None  # checked where the request came
    deadline = None
    if request.deadline is not None:  # about the same for all
        deadline = max(_LEAST_SECONDS, min(piece.job.expires for piece in pieces) - now)
    merged = recaller.recall(batch, pieces[0].job.k, deadline=deadline, stats=True)
    assert merged.stats is not None  # as asked
    if len(pieces) > 1 and "error" in merged.stats.missing.values():
        raise TogetherError
    note(merged.stats)
    missing: dict[str, str] = dict(merged.stats.missing)
    return _encoders(system, merged, pieces, missing)


def search(system: System, pieces: Sequence[Piece]) -> list[Callable[[], Found]]:
    """Answer parts of requests by one search; a shorter list is the head of a longer one."""
    request: SearchRequest = pieces[0].job.request
    name = index_name(system, request)
    columns = [piece.job.columns for piece in pieces]
    queries = np.concatenate([c[0][p.start : p.stop] for c, p in zip(columns, pieces, strict=True)])
    excluded = Ragged.from_lists(
        [row for c, p in zip(columns, pieces, strict=True) for row in c[1][p.start : p.stop]]
    )
    options: dict[str, Any] = {} if request.probes is None else {"probes": request.probes}
    found = system.parts.indexes[name].search(
        queries,
        max(piece.job.k for piece in pieces),
        exclude=excluded if excluded.values.size else None,
        allow=system.mask(name, tuple(sorted(set(request.filters)))),
        min_score=request.min_score,
        **options,
    )
    return _encoders(system, found, pieces, {})


def index_name(system: System, request: SearchRequest) -> str:
    """Return the name of the index that is searched."""
    names = ", ".join(map(repr, system.parts.indexes)) or "none"
    if request.index is None:
        if len(system.parts.indexes) != 1:
            raise bad_field("index", f"the name of an index ({names})", "none")
        return next(iter(system.parts.indexes))
    if request.index not in system.parts.indexes:
        raise bad_field("index", f"the name of an index ({names})", repr(request.index))
    return request.index


def check_probes(system: System, name: str, request: SearchRequest) -> None:
    """Refuse a number of lists where an index has none."""
    in_lists = getattr(system.parts.indexes[name], "probes", 0)  # 0 for shards without lists
    if request.probes is not None and not in_lists:
        raise bad_field("probes", f"none, since {name} is not in lists", repr(request.probes))


def resolved_search(system: System, request: SearchRequest) -> tuple[F32, list[I64]]:
    """Return the queries of a request, and what each must not get."""
    check_names(system, request)
    name = index_name(system, request)
    check_probes(system, name, request)
    dim = system.parts.indexes[name].dim
    queries = check_matrix(request.vectors, "vectors", dim)
    rows = _items(system, request.exclude, "exclude")
    rows = None if rows is None else _known_only(rows)
    if rows is None:
        return queries, [np.empty(0, np.int64)] * len(queries)
    if len(rows) != len(queries):
        raise bad_field("exclude", f"{counted(len(queries), 'row')}, as vectors", len(rows))
    return queries, list(rows)


def check_matrix(values: list[list[float]], name: str, dim: int) -> F32:
    """Make rows of numbers a matrix of float32."""
    for place, row in enumerate(values):
        if len(row) != dim:
            raise bad_field(f"{name}[{place}]", f"{dim} numbers", len(row))
    wide: F64 = np.array(values, np.float64).reshape(len(values), dim)
    with np.errstate(over="ignore"):
        matrix = wide.astype(np.float32)
    bad = np.argwhere(~np.isfinite(matrix))
    if bad.size:
        row, column = bad[0].tolist()
        got = float(wide[row, column])
        raise bad_field(f"{name}[{row}][{column}]", "a finite number that fits float32", got)
    return matrix


def known_users(system: System, keys: list[int | str] | None, n: int) -> I64:
    """Find the numbers of known users, -1 for others."""
    if keys is None:
        return np.full(n, -1, np.int64)
    vocabulary = system.parts.users
    if vocabulary is not None:
        return _keys(vocabulary, keys, "users")
    return _ids_of(keys, "users")


def known_rows(matrix: F32, users: I64) -> F32:
    """Take the rows of known users, zeros for others."""
    known = (users >= 0) & (users < len(matrix))
    rows = np.zeros((users.size, matrix.shape[1]), np.float32)
    rows[known] = matrix[users[known]]
    return rows


def _keys(vocabulary: Any, keys: Sequence[int | str], name: str) -> I64:
    """Find the ids of keys, of which those of another kind are errors."""
    kind = vocabulary._state.kind or "str"
    wanted = int if kind == "int" else str
    for place, key in enumerate(keys):
        if type(key) is not wanted:
            raise bad_field(f"{name}[{place}]", f"a key of type {kind}", repr(key))
    if not keys:
        return np.empty(0, np.int64)
    found: I64 = vocabulary.ids(keys, missing="ignore")
    return found


def _ids_of(values: Sequence[int | str], name: str) -> I64:
    for place, value in enumerate(values):
        if type(value) is not int:
            raise bad_field(f"{name}[{place}]", "an integer id", repr(value))
    return np.asarray(values, np.int64)


def check_items(system: System, items: Sequence[int | str], name: str) -> I64:
    """Find the ids of items, -1 for unknown keys; a key of another kind is an error."""
    if system.parts.items is not None:
        return _keys(system.parts.items, items, name)
    return _ids_of(items, name)


def _items(system: System, lists: list[list[int | str]] | None, name: str) -> Ragged | None:
    """Find the ids of items in lists, without unknown ones."""
    if lists is None:
        return None
    offsets = offsets_of(np.array([len(row) for row in lists], np.int64))
    flat = list(itertools.chain.from_iterable(lists))
    try:
        ids = check_items(system, flat, name)
    except RequestError as error:
        raise _placed_in_row(error, name, offsets) from None
    # Places are kept: unknown items have a weight too.
    return Ragged._of(ids, offsets)


def _known_only(rows: Ragged) -> Ragged:
    """Leave out unknown items."""
    known = rows.values >= 0
    if known.all():
        return rows
    return Ragged._of(rows.values[known], np.append(0, known.cumsum())[rows.offsets])


def _placed_in_row(error: RequestError, name: str, offsets: I64) -> RequestError:
    """Say the row and the place in it of a value of flattened rows."""
    place = int((error.field or "").removeprefix(f"{name}[").removesuffix("]"))
    return _at(name, offsets, place, error.expected or "", error.got or "")


def _at(name: str, offsets: I64, place: int, expected: str, got: object) -> RequestError:
    row = int(np.searchsorted(offsets, place, side="right")) - 1
    return bad_field(f"{name}[{row}][{place - offsets[row]}]", expected, got)


def _weights(lists: list[list[float]] | None, name: str, rows: Ragged, given: bool) -> Ragged:
    """Return a weight for each value of the rows that the request gave."""
    if lists is None:
        return ones_like(rows)
    of = name.removesuffix("_weights")
    of = "tags" if of == "tag" else of
    if not given:
        raise bad_field(name, f"{of} with it", "none")
    for row, values in enumerate(lists):
        if len(values) != rows.lengths[row]:
            raise bad_field(f"{name}[{row}]", f"{rows.lengths[row]} numbers, as {of}", len(values))
    flat = np.fromiter(itertools.chain.from_iterable(lists), np.float64, rows.values.size)
    large = np.abs(flat) > LARGEST
    if large.any():
        place = int(large.argmax())
        raise _at(name, rows.offsets, place, f"a number of at most {LARGEST:g}", float(flat[place]))
    return Ragged._of(flat, rows.offsets)


def _add_tags(
    system: System,
    request: RecallRequest,
    needs: Needs,
    ragged: dict[str, Ragged],
    weights: dict[str, Ragged],
) -> None:
    """Add tags, or, where the items are the tags, those of the history."""
    if request.tags is None and needs.item_tags and system.parts.profiles is not None:
        found = item_tags(ragged["history"], system.parts.profiles.first_tags)
        ragged["tags"], weights["tags"], ragged["tag_groups"] = found
        return
    lists = request.tags if request.tags is not None else [[]] * len(ragged["history"])
    offsets = offsets_of(np.array([len(row) for row in lists], np.int64))
    flat = np.fromiter(itertools.chain.from_iterable(lists), np.int64, offsets[-1])
    unknown = flat >= needs.n_tags
    if unknown.any():
        place = int(unknown.argmax())
        raise _at("tags", offsets, place, f"-1 to {needs.n_tags - 1}", int(flat[place]))
    tags = Ragged._of(flat, offsets)
    given = request.tags is not None
    ragged["tags"] = tags
    weights["tags"] = _weights(request.tag_weights, "tag_weights", tags, given)
    if request.tag_groups is None:
        ragged["tag_groups"] = Ragged._of(np.zeros(flat.size, np.int64), offsets)
        return
    for row, values in enumerate(request.tag_groups):
        if not given or len(values) != tags.lengths[row]:
            expected = f"{tags.lengths[row]} numbers, as tags"
            raise bad_field(f"tag_groups[{row}]", expected, len(values))
    groups = np.fromiter(itertools.chain.from_iterable(request.tag_groups), np.int64, flat.size)
    ragged["tag_groups"] = Ragged._of(groups, offsets)


def _vectors(
    system: System, request: RecallRequest, needs: Needs, users: I64, history: Ragged
) -> dict[str, F32]:
    """Return user vectors: as given, as known, or made by a tower; zeros for a user without."""
    given = request.vectors or {}
    for name in given:
        if name not in needs.vectors:
            names = ", ".join(map(repr, needs.vectors)) or "none"
            raise bad_field(f"vectors.{name}", f"the name of a vector ({names})", repr(name))
    vectors = {}
    for name, dim in needs.vectors.items():
        if name in given:
            vectors[name] = check_matrix(given[name], f"vectors.{name}", dim)
            continue
        rows = np.zeros((users.size, dim), np.float32)
        if name in system.parts.user_vectors:
            rows = known_rows(system.parts.user_vectors[name], users)
        _fill_by_tower(system, name, history, rows)
        vectors[name] = rows
    return vectors


def _fill_by_tower(system: System, name: str, history: Ragged, rows: F32) -> None:
    """Let a tower make the vectors of users who have a history and no vector."""
    for tower_name, of in system.config.towers.items():
        tower = system.parts.towers[tower_name]
        if (of.vector or tower_name) != name or tower is None:
            continue
        n_known = np.bincount(row_of_each(history)[history.values >= 0], minlength=len(history))
        new = np.flatnonzero(~rows.any(axis=1) & (n_known > 0))
        if new.size:
            oldest_first = [
                system.keys(ids[ids >= 0])[::-1] for ids in (history[row] for row in new)
            ]
            rows[new] = tower.encode_users(oldest_first)


def _clusters(
    system: System, request: RecallRequest, needs: Needs, users: I64, vectors: dict[str, F32]
) -> dict[str, Ragged]:
    given = request.clusters
    if isinstance(given, dict):
        for name in given:
            if name not in needs.groupings:
                names = ", ".join(map(repr, needs.groupings)) or "none"
                expected = f"the name of a grouping ({names})"
                raise bad_field(f"clusters.{name}", expected, repr(name))
    elif given is not None and len(needs.groupings) != 1:
        names = ", ".join(map(repr, needs.groupings)) or "none"
        raise bad_field("clusters", f"clusters by the name of a grouping ({names})", "a list")
    clusters = {}
    for name in needs.groupings:
        own = given.get(name) if isinstance(given, dict) else given
        if own is None:
            clusters[name] = grouped_clusters(system, name, users, vectors)
        else:
            field = f"clusters.{name}" if isinstance(given, dict) else "clusters"
            clusters[name] = _given_clusters(own, field, system.parts.groupings[name].n)
    return clusters


def _given_clusters(lists: list[Any], field: str, n: int) -> Ragged:
    rows = [row if isinstance(row, list) else [row] for row in lists]
    for user, row in enumerate(rows):
        for place, cluster in enumerate(row):
            if cluster >= n:
                at = f"[{place}]" if isinstance(lists[user], list) else ""
                raise bad_field(f"{field}[{user}]{at}", f"-1 to {n - 1}", cluster)
    return Ragged.from_lists([np.array(row, np.int64) for row in rows])


def _known_rows(rows: Ragged, users: I64) -> Ragged:
    """Take the rows of known users, empty ones for others."""
    known = (users >= 0) & (users < len(rows))
    number = np.where(known, users, 0)
    lengths = np.where(known, rows.lengths[number], 0) if len(rows) else np.zeros_like(users)
    offsets = offsets_of(lengths)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    starts = np.repeat(rows.offsets[number], lengths) if len(rows) else place
    return Ragged._of(rows.values[starts + place], offsets)


def _row_ranges(pieces: Sequence[Piece]) -> list[tuple[Piece, tuple[int, int]]]:
    ends = list(itertools.accumulate(len(piece) for piece in pieces))
    return [(p, (end - len(p), end)) for p, end in zip(pieces, ends, strict=True)]


class _Lists:
    """Lists of a result, made ready once for all of its rows that are encoded together."""

    def __init__(self, found: SearchResult | MergeResult, start: int, stop: int) -> None:
        self._start = start
        self.counts = found.counts[start:stop].tolist()
        ids, scores = found.ids[start:stop], found.scores[start:stop]
        held = np.arange(ids.shape[1]) < found.counts[start:stop, None]
        finite = np.isfinite(scores) | ~held
        self.finite = None if finite.all() else finite
        self.ids, self.scores = ids, scores.astype(np.float64)

    def fields(self, system: System, start: int, stop: int, k: int) -> Fields:
        """Return the JSON of some rows."""
        rows = slice(start - self._start, stop - self._start)
        counts = [min(k, n) for n in self.counts[rows]]
        if self.finite is not None:
            _check_finite(_cut(self.finite[rows], counts))
        scores = _json_rows(self.scores[rows], counts)
        if system.parts.items is None:
            return {"items": _json_rows(self.ids[rows], counts), "scores": scores}
        keys = system.keys(np.concatenate(_cut(self.ids[rows], counts)))
        ends = list(itertools.accumulate(counts, initial=0))
        items = [keys[a:b] for a, b in itertools.pairwise(ends)]
        return {"items": orjson.dumps(items)[1:-1], "scores": scores}


def _cut(values: npt.NDArray[Any], counts: Sequence[int]) -> list[npt.NDArray[Any]]:
    return [row[:n] for row, n in zip(values, counts, strict=True)]


def _json_rows(values: npt.NDArray[Any], counts: Sequence[int]) -> bytes:
    """Return the JSON of the heads of rows, which needs no objects of Python for their values.

    The encoder keeps the interpreter, so that it gets a few rows at a time.
    """
    step = max(1, INLINE // max(1, *counts))
    parts = []
    for start in range(0, len(counts), step):
        own = counts[start : start + step]
        rows, most = values[start : start + step], max(own)
        full = min(own) == most > 0
        heads = np.ascontiguousarray(rows[:, :most]) if full else _cut(rows, own)
        parts.append(orjson.dumps(heads, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return b",".join(parts)


def _check_finite(rows: Sequence[Any]) -> None:
    if not all(row.all() for row in rows):
        raise bad_field("vectors", "scores that fit float32", "an overflow")


def _encoders(
    system: System,
    found: SearchResult | MergeResult,
    pieces: Sequence[Piece],
    missing: dict[str, str],
) -> list[Callable[[], Found]]:
    """Return for each piece what makes its JSON; small ones share a part of the work."""
    ranges = _row_ranges(pieces)
    small = [span for piece, span in ranges if len(piece) * piece.job.k <= INLINE]
    shared = _Lists(found, small[0][0], small[-1][1]) if small else None
    encoders: list[Callable[[], Found]] = []
    for piece, (start, stop) in ranges:

        def encode(piece: Piece = piece, start: int = start, stop: int = stop) -> Found:
            is_small = len(piece) * piece.job.k <= INLINE
            lists = shared if is_small and shared else _Lists(found, start, stop)
            fields = lists.fields(system, start, stop, piece.job.k)
            if getattr(piece.job.request, "explain", False):
                fields |= _explained(found, start, stop, piece.job.k)
            return Found(fields, missing)

        encoders.append(encode)
    return encoders


def _explained(found: SearchResult | MergeResult, start: int, stop: int, k: int) -> Fields:
    """Return the JSON of ranks and scores by channel."""
    assert isinstance(found, MergeResult)  # of a recaller
    assert found.ranks is not None  # provenance is on
    assert found.channel_scores is not None
    fields = {}
    for name, values in (("ranks", found.ranks), ("channel_scores", found.channel_scores)):
        rows = [values[row, : min(k, found.counts[row])].tolist() for row in range(start, stop)]
        fields[name] = orjson.dumps(rows)[1:-1]
    return fields
