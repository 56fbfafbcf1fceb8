"""The policies that merge the channels, and the tuning of their weights."""

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
"""Items per channel in the merge: twice the final list, since most items are in several lists."""

ROUNDS = 2
"""Maximum number of passes of the tuning over the channels."""

TUNING = (
    f"{VALIDATION}. The values of the channels are set there one after another, each to the best "
    f"of a few, in at most {ROUNDS} passes that start from equal values; the best has the largest "
    f"mean of hit rate and recall at {' and '.join(map(str, CUTOFFS))}. The merge that is best "
    "there is the chosen one"
)

UNTUNED = "too few interactions for a validation split: all channels have the same weight"

Values = dict[str, int]


@dataclass(frozen=True)
class Family:
    """A policy with one tunable number per channel.

    Attributes
    ----------
    make : callable
        Maps the numbers to the policy.
    grid : tuple of int
        Possible values of the numbers.
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
    """A policy and its accuracy on the validation split.

    Attributes
    ----------
    policy : Policy
    values : dict of str to int
        Its number for each channel.
    validation : dict, optional
        As `evaluation.accuracy` returns it. None without a validation split.
    tried : int
        Number of sets of values that were measured.
    """

    policy: Policy
    values: Values
    validation: Accuracy | None
    tried: int

    @property
    def objective(self) -> float:
        """The mean of all figures there; 0 without a validation split."""
        return 0.0 if self.validation is None else mean(self.validation)


def untuned(family: Family, channels: Sequence[str]) -> Tuned:
    """Give all channels the same weight.

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
    """Give channels that the validation split lacks the least value of the family.

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


def mean(found: Accuracy) -> float:
    """Return the mean of all figures: the objective of the light demo.

    Parameters
    ----------
    found : dict
        As `evaluation.accuracy` returns it.

    Returns
    -------
    float
    """
    values = [value for metric in found.values() for value in metric.values()]
    return sum(values) / len(values)


def tune(
    family: Family,
    lists: Mapping[str, Lists],
    held_out: Sequence[IntArray],
    objective: Callable[[Accuracy], float] = mean,
) -> Tuned:
    """Find a family's values by coordinate ascent.

    Parameters
    ----------
    family : Family
    lists : mapping of str to Lists
        The channels' lists on the validation split.
    held_out : sequence of ndarray
        Held-out items of that split.
    objective : callable
        What is to be as large as possible.

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
            # The current values come first, so that they stay unless others are better.
            usable = [best, *(values for values in options if any(values.values()))]
            best = max(usable, key=lambda values: objective(measured(values)))
        if best == before:
            break
    return Tuned(family.make(best), best, measured(best), len(seen))
