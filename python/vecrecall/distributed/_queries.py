"""Questions of clients to the actors of shards."""

from typing import Any, NamedTuple

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import take_rows
from vecrecall.arrays._typing import F32, I64


class Place(NamedTuple):
    """Where a shard is, in few bytes: every call has one."""

    path: str
    build: str
    number: int
    verify: bool


class IdSet(NamedTuple):
    """Ids that may be returned, or all others; the same word for the same set."""

    word: str
    ids: I64
    complement: bool


class Query(NamedTuple):
    """A search of a batch, of which the client has checked everything."""

    queries: F32
    k: int
    exclude: tuple[I64, I64] | None
    allow: list[int] | None  # one for all queries or one each: places in `sets`
    sets: list[IdSet]
    min_score: float
    probes: int
    threads: int | None


def query_of(
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


def rows_of(query: Query, rows: I64) -> Query:
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
