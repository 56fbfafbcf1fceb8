"""The merge of all channels: tuned on the validation split, measured without each channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import merging
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import CUTOFFS, Accuracy, ByUser, Lists, by_user
from vecrecall.cli.demo.full.cache import Entries, Made
from vecrecall.cli.demo.full.measures import difference
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.cli.demo.merging import Family, Tuned
from vecrecall.fusion._merge import merge
from vecrecall.fusion._policies import Policy

POLICIES = ("RRF", "WeightedSum")
"""Policies that are tuned: those that the light demo's validation prefers."""


def objective(found: Accuracy) -> float:
    """Return the recall at the last cutoff, by which all of this demo is chosen.

    Parameters
    ----------
    found : dict
        As `evaluation.accuracy` returns it.

    Returns
    -------
    float
    """
    return found["recall"][str(max(CUTOFFS))]


def best(tuned: Mapping[str, Tuned]) -> str:
    """Return the name of the policy that finds most on the validation split.

    Parameters
    ----------
    tuned : mapping of str to Tuned

    Returns
    -------
    str
    """
    found = {name: own.validation for name, own in tuned.items() if own.validation is not None}
    return max(found, key=lambda name: objective(found[name]))


def tune(
    lists: Mapping[str, Lists],
    held_out: Sequence[IntArray],
    plan: Plan,
    cache: Entries,
    progress: Progress,
    wanted: Sequence[str],
) -> dict[str, Tuned]:
    """Tune the policies on the validation split.

    Parameters
    ----------
    lists : mapping of str to Lists
        By channel, of the validation split.
    held_out : sequence of ndarray
        Of that split.
    plan : Plan
    cache : Entries
    progress : Progress
    wanted : sequence of str
        Channels to be merged. One that the validation split lacks has the least weight.

    Returns
    -------
    dict of str to Tuned
    """
    families = {
        name: replace(merging.FAMILIES[name], grid=plan.weights, start=plan.weights[1])
        for name in POLICIES
    }

    def make(_: object) -> Made:
        with progress.step("tune the merge", len(families)) as step:
            found = {}
            for name, family in families.items():
                step.detail(name)
                tuned = merging.tune(family, lists, held_out, objective)
                found[name] = {
                    "values": tuned.values,
                    "validation": tuned.validation,
                    "tried": tuned.tried,
                }
                step.advance()
        return found, {}

    data = [np.stack([own.ids for own in lists.values()]), [items.tolist() for items in held_out]]
    about, _ = cache.entry("merge", {"channels": list(lists), "plan": asdict(plan)}, data, make)
    return {name: _tuned(families[name], own, wanted) for name, own in about.items()}


def _tuned(family: Family, own: Mapping[str, Any], wanted: Sequence[str]) -> Tuned:
    values = {name: own["values"].get(name, family.grid[0]) for name in wanted}
    return Tuned(family.make(values), values, own["validation"], own["tried"])


def merged(lists: Mapping[str, Lists], policy: Policy) -> Lists:
    """Merge the lists of channels.

    Parameters
    ----------
    lists : mapping of str to Lists
    policy : Policy

    Returns
    -------
    Lists
        With ranks.
    """
    found = merge(
        {name: (own.ids, own.scores) for name, own in lists.items()}, max(CUTOFFS), policy
    )
    return Lists(found.ids, found.scores, found.ranks)


def left_out(
    lists: Mapping[str, Lists],
    tuned: Tuned,
    family: str,
    whole: ByUser,
    held_out: Sequence[IntArray],
) -> dict[str, dict[str, float]]:
    """Measure what each channel adds: the merge with it, compared with that without it.

    Parameters
    ----------
    lists : mapping of str to Lists
    tuned : Tuned
        The other channels keep their weights.
    family : str
        The name of its policy.
    whole : ByUser
        Accuracy of the merge of all.
    held_out : sequence of ndarray

    Returns
    -------
    dict
        By channel the `difference` in recall at the last cutoff; 0 for a channel of weight 0.
    """
    make = merging.FAMILIES[family].make
    result = {}
    for name in lists:
        others = {other: own for other, own in lists.items() if other != name}
        values = {other: tuned.values[other] for other in others}
        if not tuned.values[name] or not any(values.values()):
            result[name] = {"mean": 0.0, "se": 0.0, "z": 0.0}
            continue
        found = merge(
            {other: (own.ids, own.scores) for other, own in others.items()},
            max(CUTOFFS),
            make(values),
            provenance=False,
        )
        without = by_user(found.ids, held_out)
        result[name] = difference(whole.recall[:, -1], without.recall[:, -1])
    return result
