"""The policies that merge the channels, and how their weights are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vecrecall.cli.demo.data import VALIDATION, IntArray
from vecrecall.cli.demo.evaluation import CUTOFFS, Accuracy, Lists, accuracy
from vecrecall.fusion._merge import merge
from vecrecall.fusion._policies import (
    RRF,
    Interleave,
    Maximum,
    Policy,
    Priority,
    Quota,
    WeightedSum,
)

DEPTH = 200
"""So many items each channel gives to the merge: twice the list, for most items are in several."""

ROUNDS = 2
"""How often the tuning goes over the channels, unless nothing changes before."""

TUNING = (
    f"{VALIDATION}. There one channel's value after another is set to each of a few, and the best "
    f"stays, at most {ROUNDS} times over all channels, starting from equal values; best is the "
    f"largest mean of hit rate and recall at {' and '.join(map(str, CUTOFFS))}. The merge that "
    "is best there is the chosen one"
)

UNTUNED = "too few interactions for a validation split: all channels weigh the same"

Values = dict[str, int]


@dataclass(frozen=True)
class Family:
    """A policy with one number a channel to be found.

    Attributes
    ----------
    make : callable
        From the numbers to the policy.
    grid : tuple of int
        What the numbers may be.
    start : int
        The number of every channel before tuning.
    """

    make: Callable[[Values], Policy]
    grid: tuple[int, ...]
    start: int


_WEIGHTS = (0, 1, 2, 5, 10, 20)

FAMILIES = {
    "RRF": Family(lambda values: RRF(values), _WEIGHTS, 10),
    "WeightedSum": Family(lambda values: WeightedSum(values, "minmax"), _WEIGHTS, 10),
    "Maximum": Family(lambda values: Maximum(values, "minmax"), _WEIGHTS, 10),
    "Interleave": Family(lambda values: Interleave(values), (1, 2, 4, 8), 1),
    "Priority": Family(lambda values: Priority(values), (0, 5, 10, 20, 40, 80), 20),
    "Quota": Family(lambda values: Quota(values), _WEIGHTS, 10),
}


@dataclass(frozen=True)
class Tuned:
    """A policy and what it does on the validation split.

    Attributes
    ----------
    policy : Policy
    values : dict of str to int
        Its number for each channel.
    validation : dict, optional
        `evaluation.accuracy`; None if there was nothing to tune on.
    tried : int
        How many sets of values were measured.
    """

    policy: Policy
    values: Values
    validation: Accuracy | None
    tried: int

    @property
    def objective(self) -> float:
        """What tuning maximizes; 0 without a validation split."""
        return 0.0 if self.validation is None else _mean(self.validation)


def untuned(family: Family, channels: Sequence[str]) -> Tuned:
    """Weigh all channels the same.

    Parameters
    ----------
    family : Family
    channels : sequence of str

    Returns
    -------
    Tuned
    """
    values = dict.fromkeys(channels, family.start)
    return Tuned(family.make(values), values, None, 0)


def extended(tuned: Tuned, family: Family, missing: Sequence[str]) -> Tuned:
    """Give channels that the validation split lacks the least that the family allows.

    Parameters
    ----------
    tuned : Tuned
    family : Family
    missing : sequence of str

    Returns
    -------
    Tuned
    """
    if not missing:
        return tuned
    values = {**tuned.values, **dict.fromkeys(missing, family.grid[0])}
    return Tuned(family.make(values), values, tuned.validation, tuned.tried)


def tune(family: Family, lists: Mapping[str, Lists], held_out: Sequence[IntArray]) -> Tuned:
    """Find a family's values by coordinate ascent.

    Parameters
    ----------
    family : Family
    lists : mapping of str to Lists
        The channels' lists on the validation split.
    held_out : sequence of ndarray
        Of that split.

    Returns
    -------
    Tuned
    """
    found = {name: (own.ids, own.scores) for name, own in lists.items()}
    seen: dict[tuple[int, ...], Accuracy] = {}

    def measured(values: Values) -> Accuracy:
        key = tuple(values.values())
        if key not in seen:
            merged = merge(found, max(CUTOFFS), family.make(values), provenance=False)
            seen[key] = accuracy(merged.ids, held_out)
        return seen[key]

    best = dict.fromkeys(lists, family.start)
    for _ in range(ROUNDS):
        before = best
        for channel in lists:
            options = [{**best, channel: value} for value in family.grid]
            # The current values stand first: they stay unless another is better.
            usable = [best, *(values for values in options if any(values.values()))]
            best = max(usable, key=lambda values: _mean(measured(values)))
        if best == before:
            break
    return Tuned(family.make(best), best, measured(best), len(seen))


def _mean(found: Accuracy) -> float:
    values = [value for metric in found.values() for value in metric.values()]
    return sum(values) / len(values)
