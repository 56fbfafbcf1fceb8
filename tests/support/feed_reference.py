"""The feed as its docstrings define it, with every sum in 50 digits.

An item's clicks are in at most `SUMS` groups. One that lies in the future counts as of its newest
click, so that of a single click there remains its weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np

FEW = Decimal("1e-12")  # relative: what rounding may hide
TINY = Decimal(float(np.finfo(np.float32).tiny))
TIE = Decimal("1e-11")  # relative: what does not count when the weakest is looked for
SUMS = 4  # groups of an item's clicks
SURE = Decimal(
    "1e-9"
)  # relative: losses that differ by less are alike, and the first group is joined
NEAR, ENOUGH = 16, 32  # half-lives; clicks in a row that move the present beyond these

Scores = dict[int, Decimal]


@dataclass
class Click:
    time: float
    weight: float
    arrival: int


def half_lives(start: float, end: float, half_life: float) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        return (Decimal(end) - Decimal(start)) / Decimal(half_life)


def decayed(click: Click, now: float, half_life: float) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        return Decimal(click.weight) * Decimal(2) ** -half_lives(click.time, now, half_life)


@dataclass
class Group:
    newest: float
    value: Decimal  # as of its newest click, in 50 digits


def worth(group: Group, now: float, half_life: float) -> Decimal:
    """Decay a group until now, or not at all should its newest click be later."""
    with localcontext() as context:
        context.prec = 50
        age = half_lives(group.newest, max(now, group.newest), half_life)
        return group.value * Decimal(2) ** -age


def add(groups: list[Group], click: Click, half_life: float) -> None:
    for group in groups:
        if group.newest == click.time:
            with localcontext() as context:
                context.prec = 50
                group.value += Decimal(click.weight)
            return
    groups.append(Group(click.time, Decimal(click.weight)))
    groups.sort(key=lambda group: group.newest)
    if len(groups) <= SUMS:
        return
    best, least = 0, Decimal("Infinity")
    with localcontext() as context:
        context.prec = 50
        for i, (a, b) in enumerate(pairwise(groups)):
            loss = (a.value - worth(a, b.newest, half_life)) ** 2 / a.value
            if loss < least * (1 - SURE):
                best, least = i, loss
        later = groups.pop(best + 1)
        value = worth(groups[best], later.newest, half_life) + later.value
    groups[best] = Group(later.newest, value)


@dataclass
class Present:
    """The present time of a cluster: the newest click, but those far from the others."""

    time: float | None = None
    far: list[float] = field(default_factory=list)

    def note(self, time: float, half_life: float) -> bool:
        if self.time is None:
            self.time = time
            return True
        if abs(half_lives(self.time, time, half_life)) <= NEAR:
            self.time, self.far = max(self.time, time), []
            return False
        if self.far and (self.far[0] > self.time) != (time > self.time):
            self.far = []
        self.far.append(time)
        if len(self.far) < ENOUGH:
            return False
        self.time, self.far = (min if time > self.time else max)(self.far), []
        return True


@dataclass
class Cluster:
    items: dict[int, list[Group]] = field(default_factory=dict)
    keys: dict[int, Decimal] = field(default_factory=dict)  # of a full cluster: log2 of the score
    present: Present = field(default_factory=Present)
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
        jumped = cluster.present.note(click.time, self.half_life)
        if jumped and len(cluster.items) == self.capacity:
            self.find_keys(cluster)
        is_new = item not in cluster.items
        if is_new and len(cluster.items) == self.capacity:
            gone = self.weakest(cluster)
            del cluster.items[gone], cluster.keys[gone]
        groups = cluster.items.setdefault(item, [])
        if click.weight > 0:
            add(groups, click, self.half_life)
        if len(cluster.items) < self.capacity:
            return
        if is_new and len(cluster.keys) < self.capacity - 1:  # full for the first time
            self.find_keys(cluster)
        elif click.weight > 0 or is_new:
            key = self.key(cluster, groups)
            cluster.keys[item] = max(key, cluster.keys.get(item, key))

    def find_keys(self, cluster: Cluster) -> None:
        cluster.keys = {i: self.key(cluster, groups) for i, groups in cluster.items.items()}

    def key(self, cluster: Cluster, groups: list[Group]) -> Decimal:
        """Tell how strong an item is at any time, had clicks later than the present come then."""
        assert cluster.present.time is not None
        if not groups:
            return Decimal("-Infinity")
        latest = min(cluster.present.time, groups[-1].newest)
        with localcontext() as context:
            context.prec = 50
            score = sum((worth(g, latest, self.half_life) for g in groups), Decimal(0))
            return score.ln() / Decimal(2).ln() + half_lives(0, latest, self.half_life)

    def weakest(self, cluster: Cluster) -> int:
        least = min(cluster.keys.values())
        return max(i for i, key in cluster.keys.items() if key <= least + TIE)

    def remember(self, cluster: Cluster, user: int, item: int, click: Click) -> None:
        if user not in cluster.histories and len(cluster.histories) == self.max_users:
            del cluster.histories[next(iter(cluster.histories))]
        seen = cluster.histories.pop(user, {})
        cluster.histories[user] = seen
        if item not in seen or seen[item].time <= click.time:
            seen[item] = click
        if len(seen) > self.history:
            del seen[min(seen, key=lambda i: (seen[i].time, seen[i].arrival))]

    def top(self, cluster: int, now: float) -> Scores:
        with localcontext() as context:
            context.prec = 50
            return {
                item: sum((worth(g, now, self.half_life) for g in groups), Decimal(0))
                for item, groups in self.clusters[cluster].items.items()
            }

    def related(self, cluster: int, item: int, now: float) -> Scores:
        scores: Scores = {}
        for seen in self.clusters[cluster].histories.values():
            for other in seen if item in seen else ():
                if other == item:
                    continue
                later = max(seen[item], seen[other], key=lambda c: (c.time, c.arrival))
                gain = decayed(later, max(now, later.time), self.half_life)
                with localcontext() as context:
                    context.prec = 50
                    scores[other] = scores.get(other, Decimal(0)) + gain
        return scores


def rounded(score: Decimal) -> np.float32:
    return np.float32(min(float(score), float(np.finfo(np.float32).max)))


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
