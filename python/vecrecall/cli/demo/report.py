"""The report of the demo, which is displayed and written by ``--json``: one dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from vecrecall.channels._specs import PROFILE_ITEMS
from vecrecall.cli import _environment
from vecrecall.cli.demo import channels, embeddings, groups, merging
from vecrecall.cli.demo.channels import ABOUT
from vecrecall.cli.demo.data import HELD_OUT, MIN_INTERACTIONS, SPLIT, Dataset, IntArray
from vecrecall.cli.demo.embeddings import Trained, Vectors
from vecrecall.cli.demo.evaluation import CUTOFFS, Lists, accuracy
from vecrecall.cli.demo.merging import Tuned
from vecrecall.cli.demo.provenance import ranks_of

Report = dict[str, Any]

SHOWN = 10
"""Number of items that are reported per list of a user."""


def describe_data(dataset: Dataset, item2vec: Vectors | None) -> Report:
    """Count users, items, tags and interactions.

    Parameters
    ----------
    dataset : Dataset
    item2vec : Vectors, optional

    Returns
    -------
    dict
    """
    train = sum(history.size for history in dataset.histories)
    held_out = sum(items.size for items in dataset.held_out)
    return {
        "source": dataset.source,
        "interactions": train + held_out,
        "repeats": dataset.repeats,
        "users": len(dataset.users),
        "users_evaluated": dataset.evaluated.size,
        "users_too_short": len(dataset.users) - dataset.evaluated.size,
        "items": len(dataset.items),
        "items_with_item2vec": 0 if item2vec is None else int(item2vec.known_items.sum()),
        "items_with_tags": sum(bool(tags) for tags in dataset.tags),
        "tags": len({tag for tags in dataset.tags for tag in tags}),
        "train_interactions": train,
        "held_out_interactions": held_out,
        "held_out_unknown": sum(int((items < 0).sum()) for items in dataset.held_out),
    }


def skipped(trained: Trained) -> dict[str, str]:
    """Return the reasons of missing vectors.

    Parameters
    ----------
    trained : Trained

    Returns
    -------
    dict
        By name of the vectors.
    """
    reasons = {}
    if trained.item2vec is None:
        reasons["item2vec"] = (
            f"fewer than 2 items have {embeddings.ITEM2VEC.min_count} users or more"
        )
    if trained.tag2vec is None:
        reasons["tag2vec"] = "the data have fewer than 2 tags"
    if trained.svd is None:
        reasons["svd"] = "the data have fewer than 2 users or items"
    return reasons


def settings(seed: int, tuned: bool) -> Report:
    """List the constants of the run.

    Parameters
    ----------
    seed : int
    tuned : bool
        Whether there was a validation split.

    Returns
    -------
    dict
    """
    return {
        "seed": seed,
        "held_out_per_user": HELD_OUT,
        "min_interactions": MIN_INTERACTIONS,
        "split": SPLIT,
        "tuning": merging.TUNING if tuned else merging.UNTUNED,
        "item2vec": asdict(embeddings.ITEM2VEC),
        "tag2vec": asdict(embeddings.TAG2VEC),
        "first_tags": embeddings.FIRST_TAGS,
        "profile_items": PROFILE_ITEMS,
        "user_decay": embeddings.USER_DECAY,
        "i2i_neighbors_item2vec": channels.NEIGHBORS,
        "i2i_neighbors_tag2vec": channels.TAG_NEIGHBORS,
        "i2i_history": channels.I2I_HISTORY,
        "i2i_decay": channels.I2I_DECAY,
        "i2i_heat_power": channels.HEAT_POWER,
        "heat_weight": channels.HEAT_WEIGHT,
        "svd_size": embeddings.SVD_SIZE,
        "svd_history": embeddings.SVD_HISTORY,
        "svd_decay": embeddings.SVD_DECAY,
        **dict(
            zip(
                ("bnb_weight_tags", "bnb_weight_items", "bnb_weight_genres"),
                groups.BNB_WEIGHTS,
                strict=True,
            )
        ),
        "bnb_heat": groups.BNB_HEAT,
        "feed_half_life": groups.HALF_LIFE,
        "rule_depth": groups.RULE_DEPTH,
        "rule_size": groups.RULE_SIZE,
        "crosstag_items": channels.GROUP_ITEMS,
        "merge_depth": merging.DEPTH,
    }


def describe_groups(found: groups.Groups | None, rates: Report) -> Report:
    """Describe the groups of users, and which recall by group found more.

    Parameters
    ----------
    found : Groups, optional
    rates : dict
        As `measure` returns it.

    Returns
    -------
    dict
        Empty without groups.
    """
    if found is None:
        return {}
    k = str(min(CUTOFFS))
    compared = []
    for name in found.fitted:
        offline, live = (rates[f"{way}-{name}"]["hit_rate"][k] for way in ("cluster", "feed"))
        word = "better than" if live > offline else "worse than" if live < offline else "equal to"
        compared.append(f"{word} the centers' candidates by {name} ({live:.3f}, {offline:.3f})")
    return {
        "elbows": {
            name: {
                "candidates": elbow.candidates.tolist(),
                "inertias": elbow.inertias.tolist(),
                "chosen": elbow.n_clusters,
            }
            for name, elbow in found.elbows.items()
        },
        "rule_groups": len(found.rules.interests),
        "finding": f"at {k} the feed's hit rate is {', '.join(compared)}; the engineers of a news "
        "recommender found the feed better",
    }


def environment() -> Report:
    """Return versions, instruction set and threads of the run.

    Returns
    -------
    dict
    """
    return _environment.environment({n: version(n) for n in ("vecrecall", "numpy", "gensim")})


def measure(lists: Mapping[str, Lists], held_out: Sequence[IntArray]) -> Report:
    """Compare the lists of each channel with the held-out items.

    Parameters
    ----------
    lists : mapping
        By channel name, for the evaluated users.
    held_out : sequence of ndarray
        Held-out items of these users.

    Returns
    -------
    dict
    """
    return {
        name: {"about": ABOUT[name], **accuracy(found.ids, held_out)}
        for name, found in lists.items()
    }


def measure_merges(
    merged: Mapping[str, Lists], tuned: Mapping[str, Tuned], held_out: Sequence[IntArray]
) -> Report:
    """Compare the lists of each merge with the held-out items.

    Parameters
    ----------
    merged, tuned : mapping
        By name of the policy, for the evaluated users.
    held_out : sequence of ndarray
        Held-out items of these users.

    Returns
    -------
    dict
    """
    return {
        name: {
            "policy": repr(tuned[name].policy),
            "values": tuned[name].values,
            "tried": tuned[name].tried,
            "validation": tuned[name].validation or {},
            **accuracy(found.ids, held_out),
        }
        for name, found in merged.items()
    }


def choose_users(dataset: Dataset, n: int, seed: int) -> IntArray:
    """Draw the users to show at random.

    Parameters
    ----------
    dataset : Dataset
    n : int
        Number of users; all of them if there are fewer.
    seed : int

    Returns
    -------
    ndarray
        Positions among the evaluated users, ascending.
    """
    total = dataset.evaluated.size
    return np.sort(np.random.default_rng(seed).choice(total, min(n, total), replace=False))


def describe_user(
    dataset: Dataset, position: int, lists: Mapping[str, Lists], best: str, merged: Lists
) -> Report:
    """Report a user's last items, and the first items of the lists.

    Parameters
    ----------
    dataset : Dataset
    position : int
        Among the evaluated users.
    lists : mapping
        By channel name.
    best : str
        The name of the best merge.
    merged : Lists
        Its lists.

    Returns
    -------
    dict
    """
    user = int(dataset.evaluated[position])
    hidden = set(dataset.held_out[user].tolist()) - {-1}

    def entry(item: int) -> Report:
        return {"item": dataset.items[item], "title": dataset.titles[item]}

    def top(found: Lists) -> list[Report]:
        pairs = zip(found.ids[position, :SHOWN], found.scores[position, :SHOWN], strict=True)
        return [
            {**entry(item), "score": float(score), "held_out": int(item) in hidden}
            for item, score in pairs
            if item >= 0
        ]

    assert merged.ranks is not None
    return {
        "user": dataset.users[user],
        "last": [entry(item) for item in dataset.histories[user][: -SHOWN - 1 : -1]],
        "held_out": [
            {"item": item, "title": title} for item, title in dataset.held_out_labels[user]
        ],
        "found": {
            name: len(hidden.intersection(found.ids[position].tolist()))
            for name, found in {**lists, best: merged}.items()
        },
        "merged": [
            {**shown, "ranks": ranks_of(list(lists), ranks)}
            for shown, ranks in zip(top(merged), merged.ranks[position], strict=False)
        ],
        "lists": {name: top(found) for name, found in lists.items()},
    }
