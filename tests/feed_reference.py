"""The feed as its docstrings define it: all clicks kept, every score summed anew in 50 digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

import numpy as np

FEW = Decimal("1e-12")  # relative: what rounding may hide
TINY = Decimal(float(np.finfo(np.float32).tiny))
TIE = Decimal("1e-11")  # relative: what does not count when the weakest is looked for

Scores = dict[int, Decimal]


@dataclass
class Click:
    time: float
    weight: float
    arrival: int


def decayed(click: Click, now: float, half_life: float) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        age = (Decimal(now) - Decimal(click.time)) / Decimal(half_life)
        return Decimal(click.weight) * Decimal(2) ** -age


@dataclass
class Cluster:
    items: dict[int, list[Click]] = field(default_factory=dict)
    histories: dict[int, dict[int, Click]] = field(default_factory=dict)  # least recent user first


class FeedReference:
    def __init__(
        self, n: int, half_life: float, capacity: int, history: int = 20, max_users: int = 10_000
    ) -> None:
        self.clusters = [Cluster() for _ in range(n)]
        self.half_life, self.capacity = half_life, capacity
        self.history, self.max_users = history, max_users
        self.arrivals = 0

    def observe(
        self,
        clusters: Sequence[int],
        items: Sequence[int],
        times: Sequence[float],
        users: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        for i, (c, item, time) in enumerate(zip(clusters, items, times, strict=True)):
            self.arrivals += 1
            click = Click(time, 1 if weights is None else weights[i], self.arrivals)
            self.count(self.clusters[c], item, click)
            if users is not None and users[i] >= 0:
                self.remember(self.clusters[c], users[i], item, click)

    def count(self, cluster: Cluster, item: int, click: Click) -> None:
        if item not in cluster.items and len(cluster.items) == self.capacity:
            del cluster.items[self.weakest(cluster)]
        cluster.items.setdefault(item, []).append(click)

    def weakest(self, cluster: Cluster) -> int:
        newest = max(click.time for clicks in cluster.items.values() for click in clicks)
        scores = self.counts(cluster, newest)
        least = min(scores.values())
        return max(item for item, score in scores.items() if score <= least * (1 + TIE))

    def remember(self, cluster: Cluster, user: int, item: int, click: Click) -> None:
        if user not in cluster.histories and len(cluster.histories) == self.max_users:
            del cluster.histories[next(iter(cluster.histories))]
        seen = cluster.histories.pop(user, {})
        cluster.histories[user] = seen
        if item not in seen or seen[item].time <= click.time:
            seen[item] = click
        if len(seen) > self.history:
            del seen[min(seen, key=lambda i: (seen[i].time, seen[i].arrival))]

    def counts(self, cluster: Cluster, now: float) -> Scores:
        with localcontext() as context:
            context.prec = 50
            return {
                item: sum((decayed(c, now, self.half_life) for c in clicks), Decimal(0))
                for item, clicks in cluster.items.items()
            }

    def top(self, cluster: int, now: float) -> Scores:
        return self.counts(self.clusters[cluster], now)

    def related(self, cluster: int, item: int, now: float) -> Scores:
        scores: Scores = {}
        for seen in self.clusters[cluster].histories.values():
            for other in seen if item in seen else ():
                if other == item:
                    continue
                later = max(seen[item], seen[other], key=lambda c: (c.time, c.arrival))
                gain = decayed(later, now, self.half_life)
                with localcontext() as context:
                    context.prec = 50
                    scores[other] = scores.get(other, Decimal(0)) + gain
        return scores


def rounded(score: Decimal) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(float(score))


def ranking(scores: Scores, exclude: Iterable[int] = ()) -> list[int]:
    """Order as promised: by score, by id."""
    return sorted(set(scores) - set(exclude), key=lambda item: (-scores[item], item))


def assert_ranked(
    ids: Sequence[int], found: Sequence[float], scores: Scores, exclude: Iterable[int] = ()
) -> None:
    """A padded list has the promised items, in order, but where scores are as good as equal."""
    wanted = ranking(scores, exclude)[: len(ids)]
    held = len(wanted)
    assert list(ids[held:]) == [-1] * (len(ids) - held)
    assert all(score == -np.inf for score in found[held:])
    assert len(set(ids[:held])) == held
    for item, other, score in zip(ids[:held], wanted, found[:held], strict=True):
        assert item in scores
        assert _between(score, scores[item])
        assert item == other or _as_good_as_equal(scores[item], scores[other]), (item, other)


def _bounds(score: Decimal) -> tuple[np.float32, np.float32]:
    return rounded(score * (1 - FEW)), rounded(score * (1 + FEW))


def _between(found: float, score: Decimal) -> bool:
    low, high = _bounds(score)
    return bool(low <= np.float32(found) <= high)


def _as_good_as_equal(a: Decimal, b: Decimal) -> bool:
    """Tell scores apart no better than to 1e-12, or where float32 underflows to 1e-10."""
    largest = max(a, b)
    return abs(a - b) <= (FEW if largest >= TINY else 100 * FEW) * largest
