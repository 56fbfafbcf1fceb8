"""The oracle of `vr.merge`: lists, dicts and Python floats. It shares no code with the package.

One function a policy, for one query. A channel's row comes in as `(id, score)` pairs in the
channel's own order, -1 where there is no item; scores are float32 values. Python floats are
float64, so the sums are those that the API promises; `to_float32` is the one rounding. Nothing
here checks its input.

What the API leaves open, decided here as a user would expect it (`OPEN` marks the places):

1. Weights of None are 1 each, not 1/n.
2. A merged score of -0 is +0, as every score of the package.
3. `skip`: an item that is already in the list uses up a place even if its group is full by now.
   A repeat within the channel itself is no entry at all and uses up nothing.
4. `unfilled` counts what the channel's own list lacked. Places that were gone because the list
   was full already (`Priority` with quotas over `k`) count for no channel. For `Quota` it is
   counted against the slots of step 1, after the first pass of step 2.
5. `Quota` splits exactly: shares are the rational numbers that their floats are, so remainders
   that are equal tie. Where a split breaks minima and maxima at once, what is broken on the side
   that moves the total is settled first, so that the slots add up to `k` whenever they can.
6. Slots that no positive share can use: step 1 gives a channel with share 0 its minimum only;
   step 3 splits evenly once only channels with share 0 have something left.
7. Channels that `minimum` or `maximum` leave out have the minimum 0 and no maximum.
8. A list without a negative score says nothing of an item that it does not hold: to a sum that is
   0, and a maximum is that of the other lists. So does an empty list, save under "zero".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Entry = tuple[int, float]  # id or -1, score
Row = Sequence[Entry]


class Policy(NamedTuple):
    """A policy by its name in `vecrecall.policies`, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


class Cap(NamedTuple):
    """At most `limit` items of one group in a list; an id without a group is free."""

    ids: Sequence[int]
    groups: Sequence[int]
    limit: int


class Merged(NamedTuple):
    """The result of a merge, with provenance."""

    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    channels: npt.NDArray[np.uint64]
    ranks: npt.NDArray[np.int32]
    channel_scores: npt.NDArray[np.float32]
    unfilled: npt.NDArray[np.int32]


class Ranked(NamedTuple):
    """A channel's row as the merge sees it: each item once, at its first place."""

    name: str
    items: list[int]  # items[0] has rank 1
    scores: list[float]


def ranked(name: str, row: Row) -> Ranked:
    """Skip -1 anywhere, keep the first of repeats: the rank counts the distinct items before."""
    first: dict[int, float] = {}
    for item, score in row:
        if item != -1 and item not in first:
            first[item] = score
    return Ranked(name, list(first), list(first.values()))


def to_float32(value: float) -> float:
    """One rounding to nearest; overflow is an infinity, -0 is +0 (OPEN 2)."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value)) + 0.0


class Taking:
    """The list of one query while it grows: what may still be taken, and what has been."""

    def __init__(self, k: int, excluded: Sequence[int], caps: Sequence[Cap]) -> None:
        self.k = k
        self.excluded = set(excluded)
        self.groups = [dict(zip(cap.ids, cap.groups, strict=True)) for cap in caps]
        self.limits = [cap.limit for cap in caps]
        self.used: list[dict[int, int]] = [{} for _ in caps]
        self.items: list[int] = []

    @property
    def places(self) -> int:
        """How many items the list still has room for."""
        return self.k - len(self.items)

    def usable(self, item: int) -> bool:
        """Say if an item is new, not excluded, and under every cap."""
        if item in self.items or item in self.excluded:
            return False
        for groups, limit, used in zip(self.groups, self.limits, self.used, strict=True):
            if item in groups and used.get(groups[item], 0) >= limit:
                return False
        return True

    def take(self, item: int) -> None:
        """Put a usable item at the end of the list."""
        assert self.places > 0
        assert self.usable(item)
        self.items.append(item)
        for groups, used in zip(self.groups, self.used, strict=True):
            if item in groups:
                used[groups[item]] = used.get(groups[item], 0) + 1

    def take_from(self, channel: Ranked, limit: int) -> list[int]:
        """Take a channel's next usable items, at most `limit` of them, and return them.

        What is passed over here never becomes usable again, so starting from the top of the
        channel each time finds the same items as remembering the place.
        """
        taken: list[int] = []
        for item in channel.items:
            if len(taken) < limit and self.places and self.usable(item):
                self.take(item)
                taken.append(item)
        return taken


class Outcome(NamedTuple):
    """One query's list. The items are in `Taking`."""

    scores: list[float]
    unfilled: list[int]


# --- score policies


def take_by_score(taking: Taking, scores: Mapping[int, float], n_channels: int) -> Outcome:
    """Round once, order by score descending and id ascending, take what is usable."""
    rounded = {item: to_float32(score) for item, score in scores.items()}
    for item in sorted(rounded, key=lambda item: (-rounded[item], item)):
        if taking.places and taking.usable(item):
            taking.take(item)
    return Outcome([rounded[item] for item in taking.items], [0] * n_channels)


def weight(weights: Mapping[str, Any] | None, channel: Ranked) -> Any:
    """A channel's weight: 1 where no weights are given (OPEN 1)."""
    return 1 if weights is None else weights[channel.name]


def rrf(
    channels: Sequence[Ranked],
    taking: Taking,
    weights: Mapping[str, float] | None = None,
    k: float = 60,
) -> Outcome:
    """Reciprocal rank fusion: an item gets `w / (k + rank)` from every channel that holds it."""
    totals: dict[int, float] = {}
    for channel in channels:
        for rank, item in enumerate(channel.items, start=1):
            term = float(weight(weights, channel)) / (float(k) + float(rank))
            totals[item] = totals.get(item, 0.0) + term
    return take_by_score(taking, totals, len(channels))


LARGEST = float(np.finfo(np.float32).max)


def within_range(scores: Sequence[float]) -> list[float]:
    """Put infinite scores one spread beyond the finite ones, as float32 has it."""
    finite = [s for s in scores if math.isfinite(s)] or [0.0]
    low, high = min(finite), max(finite)
    spread = high - low or max(1.0, abs(high))
    ends = {math.inf: min(high + spread, LARGEST), -math.inf: max(low - spread, -LARGEST)}
    return [float(np.float32(ends.get(s, s))) for s in scores]


def normalized(scores: Sequence[float], how: str) -> list[float]:
    """The scores of one channel and query, made comparable; sums run in rank order.

    Infinite ones are one spread beyond the others.
    """
    scores = within_range(scores)
    if how == "none" or not scores:
        return list(scores)
    if how == "minmax":  # from 0 to 1; a list without a spread, one item too: all 1
        low, high = min(scores), max(scores)
        return [(s - low) / (high - low) if high > low else 1.0 for s in scores]
    if how == "zscore":  # by the population's deviation; a list without a spread: all 0
        total = 0.0
        for s in scores:
            total += s
        mean = total / len(scores)
        squares = 0.0
        for s in scores:
            squares += (s - mean) * (s - mean)
        deviation = math.sqrt(squares / len(scores))
        return [(s - mean) / deviation if deviation > 0 else 0.0 for s in scores]
    if how == "max":  # by the largest size
        norm = max(abs(s) for s in scores)
    else:  # by the Euclidean length
        squares = 0.0
        for s in scores:
            squares += s * s
        norm = math.sqrt(squares)
    return [s / norm if norm > 0 else 0.0 for s in scores]


def absent_score(scores: Sequence[float], normalize: str, absent: str | None) -> float | None:
    """The value of a list for an item that it does not hold, before the weight (OPEN 8)."""
    if absent == "zero":
        return 0.0
    lowest = absent == "min" or (
        absent is None and normalize != "minmax" and any(s < 0 for s in scores)
    )
    return min(normalized(scores, normalize)) if scores and lowest else None


def terms_of(
    channels: Sequence[Ranked],
    weights: Mapping[str, float] | None,
    normalize: str,
    absent: str | None,
) -> dict[int, list[float]]:
    """For every item what each channel counts for it, in channel order."""
    terms: dict[int, list[float]] = {item: [] for c in channels for item in c.items}
    for channel in channels:
        held = dict(zip(channel.items, normalized(channel.scores, normalize), strict=True))
        otherwise = absent_score(channel.scores, normalize, absent)
        for item, values in terms.items():
            score = held.get(item, otherwise)
            if score is not None:
                values.append(float(weight(weights, channel)) * score)
    return terms


def weighted_sum(
    channels: Sequence[Ranked],
    taking: Taking,
    weights: Mapping[str, float] | None = None,
    normalize: str = "none",
    absent: str | None = None,
) -> Outcome:
    """The sum of `w * s` over the channels, in their order."""
    totals = {}
    for item, terms in terms_of(channels, weights, normalize, absent).items():
        totals[item] = 0.0
        for term in terms:
            totals[item] += term
    return take_by_score(taking, totals, len(channels))


def maximum_score(
    channels: Sequence[Ranked],
    taking: Taking,
    weights: Mapping[str, float] | None = None,
    normalize: str = "none",
    absent: str | None = None,
) -> Outcome:
    """The largest `w * s` among the channels, negative ones too."""
    terms = terms_of(channels, weights, normalize, absent or "nothing")
    best = {item: max(values) for item, values in terms.items()}
    return take_by_score(taking, best, len(channels))


# --- policies of taking


def by_position(taking: Taking) -> list[float]:
    """A list in the order of taking scores 1, 1/2, 1/3 ..."""
    return [to_float32(1.0 / position) for position in range(1, len(taking.items) + 1)]


def interleave(
    channels: Sequence[Ranked],
    taking: Taking,
    weights: Mapping[str, int] | None = None,
    on_duplicate: str = "refill",
) -> Outcome:
    """Rounds over the channels; in its turn a channel has as many places as its weight.

    Items that are excluded or over a cap never use up a place; an item that is in the list
    already does under `skip` (OPEN 3). A round that takes nothing ends nothing: only an end of
    all channels, or k items, does.
    """
    waiting = [list(channel.items) for channel in channels]
    while taking.places and any(waiting):
        for channel, queue in zip(channels, waiting, strict=True):
            places = weight(weights, channel)
            while places and queue and taking.places:
                item = queue.pop(0)
                if taking.usable(item):
                    taking.take(item)
                    places -= 1
                elif item in taking.items and on_duplicate == "skip":
                    places -= 1
    return Outcome(by_position(taking), [0] * len(channels))


def priority(
    channels: Sequence[Ranked],
    taking: Taking,
    quotas: Mapping[str, int],
    mode: str = "per_channel",
    backfill: bool = True,
) -> Outcome:
    """Channels in order, each up to its quota; what is left over is filled in channel order.

    `per_channel`: so many new items from this channel. `cumulative`: until the list is so long,
    whichever channel its items came from; a total that is reached already asks for nothing.
    """
    unfilled = []
    for channel in channels:
        asked = quotas[channel.name]
        if mode == "cumulative":
            asked = max(asked - len(taking.items), 0)
        asked = min(asked, taking.places)  # OPEN 4
        unfilled.append(asked - len(taking.take_from(channel, asked)))
    if backfill:
        for channel in channels:
            taking.take_from(channel, taking.places)
    return Outcome(by_position(taking), unfilled)


def largest_remainder(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Whole numbers in proportion to the shares; the last ones go to the largest remainders.

    Remainders that are equal: channel order. Shares that are all 0 give 0.
    """
    whole = sum(shares)
    if not whole:
        return [0] * len(shares)
    ideal = [total * share / whole for share in shares]
    slots = [math.floor(x) for x in ideal]
    by_remainder = sorted(range(len(shares)), key=lambda c: (slots[c] - ideal[c], c))
    for c in by_remainder[: total - sum(slots)]:
        slots[c] += 1
    return slots


def split(
    total: int, shares: Sequence[Fraction], low: Sequence[int], high: Sequence[float]
) -> list[int]:
    """Split by share, clamp, settle the clamped channels, split the rest again until stable.

    With both bounds broken (OPEN 5): if clamping makes the slots too many, the channels that
    were raised to their minimum are settled, since the others must become smaller still; if too
    few, those cut to their maximum; if neither, all.
    """
    settled: dict[int, int] = {}
    while True:
        open_channels = [c for c in range(len(shares)) if c not in settled]
        left = total - sum(settled.values())
        given = largest_remainder(left, [shares[c] for c in open_channels])
        wanted = dict(zip(open_channels, given, strict=True))
        clamped = {c: int(max(low[c], min(high[c], n))) for c, n in wanted.items()}
        raised = {c: n for c, n in clamped.items() if n > wanted[c]}
        cut = {c: n for c, n in clamped.items() if n < wanted[c]}
        if not raised and not cut:
            return [settled.get(c, clamped.get(c, 0)) for c in range(len(shares))]
        excess = sum(clamped.values()) - sum(wanted.values())
        if excess >= 0:
            settled |= raised
        if excess <= 0:
            settled |= cut


def quota(
    channels: Sequence[Ranked],
    taking: Taking,
    shares: Mapping[str, float] | None = None,
    minimum: Mapping[str, int] | None = None,
    maximum: Mapping[str, int] | None = None,
) -> Outcome:
    """Each channel has a share of the list; what it cannot use goes to those that can.

    1. The slots of each channel: `split`. 2. In channel order, each takes its next usable items
    up to its slots and is charged with them. 3. Places still free are split among the
    channels that are under their maximum and hold something usable; 2 and 3 again until the
    list is full or no channel can help. It is ordered by rank in the channel that was charged.
    """
    n = len(channels)
    share = [Fraction(1 if shares is None else shares[channel.name]) for channel in channels]
    low = [(minimum or {}).get(channel.name, 0) for channel in channels]  # OPEN 7
    high = [(maximum or {}).get(channel.name, math.inf) for channel in channels]
    charged: list[list[int]] = [[] for _ in channels]

    slots = split(taking.k, share, low, high)
    for c, channel in enumerate(channels):
        charged[c] += taking.take_from(channel, slots[c])
    unfilled = [slots[c] - len(charged[c]) for c in range(n)]  # OPEN 4

    while taking.places:
        helpers = [
            c
            for c in range(n)
            if len(charged[c]) < high[c] and any(map(taking.usable, channels[c].items))
        ]
        if not helpers:
            break
        parts = [share[c] for c in helpers]
        if not any(parts):
            parts = [Fraction(1)] * len(helpers)  # OPEN 6
        room = [high[c] - len(charged[c]) for c in helpers]
        more = split(taking.places, parts, [0] * len(helpers), room)
        for c, slots_c in zip(helpers, more, strict=True):
            charged[c] += taking.take_from(channels[c], slots_c)

    places = [(channels[c].items.index(item), c, item) for c in range(n) for item in charged[c]]
    taking.items = [item for _, _, item in sorted(places)]
    return Outcome(by_position(taking), unfilled)


POLICIES: dict[str, Callable[..., Outcome]] = {
    "RRF": rrf,
    "WeightedSum": weighted_sum,
    "Maximum": maximum_score,
    "Interleave": interleave,
    "Priority": priority,
    "Quota": quota,
}


def merge(
    channels: Mapping[str, Sequence[Row]],
    k: int,
    policy: Policy,
    exclude: Sequence[Sequence[int]] | None = None,
    caps: Sequence[Cap] = (),
) -> Merged:
    """Merge the channels' rows, query by query, and note which channels held what and where."""
    n = len(channels)
    nq = len(next(iter(channels.values())))
    out = Merged(
        ids=np.full((nq, k), -1, np.int64),
        scores=np.full((nq, k), -np.inf, np.float32),
        counts=np.zeros(nq, np.int32),
        channels=np.zeros((nq, k), np.uint64),
        ranks=np.zeros((nq, k, n), np.int32),
        channel_scores=np.full((nq, k, n), np.nan, np.float32),
        unfilled=np.zeros((nq, n), np.int32),
    )
    for q in range(nq):
        lists = [ranked(name, rows[q]) for name, rows in channels.items()]
        taking = Taking(k, () if exclude is None else exclude[q], caps)
        outcome = POLICIES[policy.name](lists, taking, **policy.arguments)
        out.counts[q] = len(taking.items)
        out.unfilled[q] = outcome.unfilled
        for place, item in enumerate(taking.items):
            out.ids[q, place] = item
            out.scores[q, place] = outcome.scores[place]
            bits = 0
            for c, channel in enumerate(lists):
                if item in channel.items:
                    at = channel.items.index(item)
                    bits |= 1 << c
                    out.ranks[q, place, c] = at + 1
                    out.channel_scores[q, place, c] = channel.scores[at]
            out.channels[q, place] = bits
    return out
