"""Merging in plain NumPy, all users at once: the baselines of `vecrecall.merge` and others.

Lists are full, without repeats within a channel, and fill what a policy asks of them: the checks
that a general baseline would need besides would only slow it down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.micro.numpy_lists import F32, I64, Lists, best

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Channels = Mapping[str, Any]  # of lists with ids and scores


class Traced(NamedTuple):
    """Lists with the ranks and scores in each channel."""

    ids: I64
    scores: F32
    channels: npt.NDArray[np.uint64]
    ranks: I32
    channel_scores: F32


class Grouped(NamedTuple):
    """Lists of groups, with the number of rows that held each item, and the best of them."""

    ids: I64
    scores: F32
    n_rows: I64
    best_row: I64


def in_blocks(users: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Merge blocks of users that fit into the cache, which is twice as fast."""

    def decorate(merge: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(merge)
        def blocked(channels: Channels, *args: Any, **options: Any) -> Any:
            rows = len(next(iter(channels.values())).ids)
            parts = []
            for start in range(0, rows, users):
                some = slice(start, start + users)
                lists = {name: Lists(c.ids[some], c.scores[some]) for name, c in channels.items()}
                parts.append(merge(lists, *args, **options))
            return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))

        return blocked

    return decorate


class Distinct:
    """The distinct items of each row, numbered by id, and the number of each entry."""

    def __init__(self, ids: I64) -> None:
        rows, places = ids.shape
        bits = places.bit_length()
        # Id and place in one integer: np.sort is several times as fast as a stable argsort.
        keys = np.sort(ids << bits | np.arange(places), axis=1)
        self.order = keys & (1 << bits) - 1
        items = keys >> bits
        new = np.ones(ids.shape, bool)
        np.not_equal(items[:, 1:], items[:, :-1], out=new[:, 1:])
        self.starts = np.flatnonzero(new)
        number = np.cumsum(new, axis=1) - 1
        self.counts = number[:, -1] + 1
        self.slots = (number + np.arange(rows)[:, None] * places).ravel()
        self.items = np.empty_like(ids)
        self.items.ravel()[self.slots] = items.ravel()
        self.number = number

    def in_order(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of entries grouped by item, in the order of their places."""
        return np.take_along_axis(np.broadcast_to(values, self.order.shape), self.order, 1).ravel()

    def numbers(self) -> I64:
        """Return the number of each entry's item, in the order of entries."""
        numbers = np.empty_like(self.order)
        np.put_along_axis(numbers, self.order, self.number, axis=1)
        return numbers

    def sums(self, values: F64) -> F32:
        """Sum the entries of each item. bincount adds in order, reduceat may not."""
        totals = np.bincount(self.slots, self.in_order(values), minlength=self.order.size)
        return self.scores(totals)

    def largest(self, values: F64) -> F32:
        """Return the largest value of each item."""
        totals = np.zeros(self.order.size)  # numbers without an item must not overflow
        totals[self.slots[self.starts]] = np.maximum.reduceat(self.in_order(values), self.starts)
        return self.scores(totals)

    def scores(self, totals: npt.NDArray[Any]) -> F32:
        """Round to float32; -inf for numbers without an item."""
        scores = totals.reshape(self.order.shape).astype(np.float32)
        scores[np.arange(scores.shape[1]) >= self.counts[:, None]] = -np.inf
        return scores

    def best(self, scores: F32, k: int) -> tuple[Lists, I64]:
        """Return the k best of each row, and their numbers."""
        numbers, found = best(scores, k)
        return Lists(np.take_along_axis(self.items, numbers, 1), found), numbers


class Merge:
    """The concatenated lists of a batch."""

    def __init__(self, channels: Channels) -> None:
        self.ids = np.concatenate([found.ids for found in channels.values()], axis=1)
        self.widths = [found.ids.shape[1] for found in channels.values()]
        self.ranks = np.concatenate([np.arange(1, w + 1) for w in self.widths])
        self.channel = np.repeat(np.arange(len(channels)), self.widths)
        self.raw = np.concatenate([found.scores for found in channels.values()], axis=1)
        self.distinct = Distinct(self.ids)

    def rrf(self) -> F32:
        """Reciprocal rank fusion."""
        return self.distinct.sums(1 / (60.0 + self.ranks))


def normalized(scores: F32, method: str) -> F64:
    """Normalize the scores of a channel row by row."""
    s = scores.astype(np.float64)
    if method == "minmax":
        low = s.min(axis=1, keepdims=True)
        return (s - low) / (s.max(axis=1, keepdims=True) - low)
    if method == "zscore":
        return (s - s.mean(axis=1, keepdims=True)) / s.std(axis=1, keepdims=True)
    if method == "max":
        return s / np.abs(s).max(axis=1, keepdims=True)
    if method == "l2":
        return s / np.linalg.norm(s, axis=1, keepdims=True)
    return s


@in_blocks(64)
def rrf(channels: Channels, k: int) -> Lists:
    """Reciprocal rank fusion."""
    merge = Merge(channels)
    return merge.distinct.best(merge.rrf(), k)[0]


@in_blocks(64)
def rrf_with_provenance(channels: Channels, k: int) -> Traced:
    """Reciprocal rank fusion with ranks, scores and bits of the channels that held each item."""
    merge = Merge(channels)
    found, chosen = merge.distinct.best(merge.rrf(), k)
    place = np.full(merge.ids.shape, -1)
    np.put_along_axis(place, chosen, np.arange(k)[None], axis=1)
    place = np.take_along_axis(place, merge.distinct.numbers(), 1)
    user, entry = np.nonzero(place >= 0)
    where = user, place[user, entry], merge.channel[entry]
    shape = (*chosen.shape, len(channels))
    ranks, raw = np.zeros(shape, np.int32), np.full(shape, np.nan, np.float32)
    ranks[where] = merge.ranks[entry]
    raw[where] = merge.raw[user, entry]
    bits = (ranks > 0) @ (1 << np.arange(len(channels), dtype=np.uint64))
    return Traced(*found, bits, ranks, raw)


@in_blocks(64)
def by_score(channels: Channels, k: int, normalize: str, largest: bool = False) -> Lists:
    """WeightedSum and Maximum with equal weights."""
    merge = Merge(channels)
    values = np.concatenate([normalized(c.scores, normalize) for c in channels.values()], axis=1)
    distinct = merge.distinct
    scores = distinct.largest(values) if largest else distinct.sums(values)
    return distinct.best(scores, k)[0]


@in_blocks(64)
def rrf_with_caps(channels: Channels, k: int, groups: I64, limit: int) -> Lists:
    """RRF with at most `limit` items per group; `groups` has the group of every id."""
    merge = Merge(channels)
    columns, scores = best(merge.rrf(), merge.ids.shape[1])
    items = np.take_along_axis(merge.distinct.items, columns, 1)
    real = np.isfinite(scores)
    group = groups[np.where(real, items, 0)]
    # Which one of its group an item is: sorted by group, its distance from the group's first.
    bits = items.shape[1].bit_length()
    keys = np.sort(group << bits | np.arange(items.shape[1]), axis=1)
    new = np.ones(items.shape, bool)
    np.not_equal(keys[:, 1:] >> bits, keys[:, :-1] >> bits, out=new[:, 1:])
    places = np.arange(items.shape[1])
    nth = places - np.maximum.accumulate(np.where(new, places, 0), axis=1)
    usable = np.empty(items.shape, bool)
    np.put_along_axis(usable, keys & (1 << bits) - 1, nth < limit, axis=1)
    usable &= real
    usable &= np.cumsum(usable, axis=1) <= k
    return Lists(items[usable].reshape(-1, k), scores[usable].reshape(-1, k))


class SlotFiller:
    """Lists that are filled channel by channel, with the channel that gave each item."""

    def __init__(self, channels: Channels, k: int) -> None:
        merge = Merge(channels)
        self.ids, self.ranks, self.channel = merge.ids, merge.ranks, merge.channel
        self.numbers = merge.distinct.numbers()
        self.columns = np.split(np.arange(len(self.channel)), np.cumsum(merge.widths)[:-1])
        self.taken = np.zeros(self.ids.shape, bool)  # by number
        self.filled = np.zeros(len(self.ids), np.int64)
        self.entries = np.empty((len(self.ids), k), np.int64)  # columns of the taken entries

    def take(self, channel: int, limit: int) -> None:
        """Take at most `limit` next items of a channel that are not in the list yet."""
        columns = self.columns[channel]
        numbers = self.numbers[:, columns]
        free = ~np.take_along_axis(self.taken, numbers, 1)
        nth = np.cumsum(free, axis=1)
        free &= nth <= np.minimum(limit, self.entries.shape[1] - self.filled)[:, None]
        user, column = np.nonzero(free)
        self.taken[user, numbers[user, column]] = True
        self.entries[user, self.filled[user] + nth[user, column] - 1] = columns[column]
        self.filled += free.sum(axis=1)

    def lists(self, entries: I64) -> Lists:
        """Return the lists in the order of `entries`."""
        assert (self.filled == entries.shape[1]).all()
        ids = np.take_along_axis(self.ids, entries, 1)
        scores = (1 / np.arange(1, entries.shape[1] + 1)).astype(np.float32)
        return Lists(ids, np.broadcast_to(scores, ids.shape))


@in_blocks(64)
def priority(channels: Channels, k: int, quota: int) -> Lists:
    """Fill from every channel up to its quota, then from all channels in order."""
    filler = SlotFiller(channels, k)
    for limit in (quota, k):
        for channel in range(len(channels)):
            filler.take(channel, limit)
    return filler.lists(filler.entries)


@in_blocks(64)
def quota(channels: Channels, k: int) -> Lists:
    """Equal shares, ordered by rank and then by channel."""
    filler = SlotFiller(channels, k)
    least, more = divmod(k, len(channels))
    for channel in range(len(channels)):
        filler.take(channel, least + (channel < more))
    keys = filler.ranks * len(channels) + filler.channel  # all different
    order = np.argsort(keys[filler.entries], axis=1)
    return filler.lists(np.take_along_axis(filler.entries, order, 1))


@in_blocks(256)  # the cost of its loop is per slot, not per user
def interleave(channels: Channels, k: int) -> Lists:
    """Take one item per slot. A slot depends on all earlier ones, so the loop is over slots."""
    filler = SlotFiller(channels, k)
    users = np.arange(len(filler.ids))
    next_column = [np.full(len(users), columns[0]) for columns in filler.columns]
    for slot in range(k):
        column = next_column[slot % len(channels)]
        number = filler.numbers[users, column]
        while (busy := filler.taken[users, number]).any():
            column += busy
            number = filler.numbers[users, column]
        filler.taken[users, number] = True
        filler.entries[:, slot] = column
        column += 1
    filler.filled += k
    return filler.lists(filler.entries)


def shards(results: list[Any], k: int) -> Lists:
    """The k best of disjoint lists."""
    return _shards(dict(enumerate(results)), k)


@in_blocks(64)
def _shards(results: Channels, k: int) -> Lists:
    ids = np.concatenate([found.ids for found in results.values()], axis=1)
    scores = np.concatenate([found.scores for found in results.values()], axis=1)
    return Lists(*best(scores, k, ids))


def groups(result: Any, size: int, k: int, aggregate: str) -> Grouped:
    """Merge the rows of groups of equal size into one list each."""
    rows = np.repeat(np.arange(len(result.ids)), result.ids.shape[1])
    shape = len(result.ids) // size, -1
    ids, scores = result.ids.reshape(shape), result.scores.reshape(shape)
    wide = {"items": Lists(ids, scores), "rows": Lists(rows.reshape(shape), scores)}
    return _groups(wide, k, aggregate)


@in_blocks(64)
def _groups(wide: Channels, k: int, aggregate: str) -> Grouped:
    (ids, scores), rows = wide["items"], wide["rows"].ids
    distinct = Distinct(ids)
    values = distinct.in_order(scores)
    most = np.empty(distinct.order.size, np.float32)
    most[distinct.slots[distinct.starts]] = np.maximum.reduceat(values, distinct.starts)
    totals = distinct.sums(scores) if aggregate == "sum" else distinct.scores(most)
    found, chosen = distinct.best(totals, k)
    row = distinct.in_order(rows)
    row[values != most[distinct.slots]] = np.iinfo(np.int64).max  # not where it is best
    best_row = np.empty(distinct.order.size, np.int64)
    best_row[distinct.slots[distinct.starts]] = np.minimum.reduceat(row, distinct.starts)
    n_rows = np.bincount(distinct.slots, minlength=distinct.order.size)
    shape = distinct.order.shape
    return Grouped(
        *found, *(np.take_along_axis(a.reshape(shape), chosen, 1) for a in (n_rows, best_row))
    )
