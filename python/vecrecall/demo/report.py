"""Makes what the demo shows and what ``--json`` writes: one dictionary."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

import vecrecall as vr
from vecrecall.demo import channels, embeddings
from vecrecall.demo.channels import Channel
from vecrecall.demo.data import HELD_OUT, MIN_INTERACTIONS, SPLIT, Dataset, IntArray
from vecrecall.demo.evaluation import BATCH, CUTOFFS, Lists, accuracy

Report = dict[str, Any]

SHOWN = 10
"""So many items of each list are reported for a user."""

KEYS = {
    "data.source": "the file, or MovieLens",
    "data.interactions": "different (user, item) pairs",
    "data.repeats": "interactions left out because the user had the item before",
    "data.users": "users, all of them trained on",
    "data.users_evaluated": "users with held-out items",
    "data.users_too_short": "users with too few interactions to hold any out",
    "data.items": "items of the training part: the catalogue",
    "data.items_with_item2vec": "items frequent enough for an item2vec vector",
    "data.items_with_tags": "items with tags",
    "data.tags": "different tags",
    "data.train_interactions": "interactions that training sees",
    "data.held_out_interactions": "interactions to be found",
    "data.held_out_unknown": "of these, with items outside the catalogue: no channel can find them",
    "settings.seed": "--seed",
    "settings.held_out_per_user": "how many last items are held out",
    "settings.min_interactions": "users with fewer are not evaluated",
    "settings.split": "what the split guarantees, in words",
    "settings.item2vec.<parameter>": "gensim's hyper-parameters",
    "settings.tag2vec.<parameter>": "gensim's hyper-parameters",
    "settings.<setting>": "the constants of pooling and channels",
    "definitions.<metric>": "what hit_rate and recall mean, in words",
    "channels.<channel>.about": "what the channel does, in words",
    "channels.<channel>.hit_rate.<k>": "hit rate at k",
    "channels.<channel>.recall.<k>": "recall at k",
    "skipped.<channel>": "why the data allow no such channel",
    "users[].user": "one of the users shown, drawn with the seed",
    "users[].last[].item": "an item of the training part, newest first",
    "users[].last[].title": "its title",
    "users[].held_out[].item": "a held-out item, oldest first",
    "users[].held_out[].title": "its title",
    "users[].found.<channel>": f"how many held-out items the first {max(CUTOFFS)} hold",
    "users[].lists.<channel>[].item": "an item of the channel's list, best first",
    "users[].lists.<channel>[].title": "its title",
    "users[].lists.<channel>[].score": "its score in this channel",
    "users[].lists.<channel>[].held_out": "true if it is one of the held-out items",
    "environment.<name>": "versions, instruction set, threads",
    "timings.total_s": "the whole run, in seconds",
    "timings.steps_s.<step>": "each step",
    "timings.latency_ms.<channel>.batched": f"recall, a user, in calls of {BATCH} users",
    "timings.latency_ms.<channel>.single_mean": "recall, one user a call: mean",
    "timings.latency_ms.<channel>.single_p50": "median",
    "timings.latency_ms.<channel>.single_p95": "95th percentile",
}
"""The keys of the JSON: ``[]`` is a list, ``<...>`` stands for several names. With one seed, one
machine and one set of versions all but ``timings`` is the same in every run."""


def describe_data(dataset: Dataset, trained_items: int) -> Report:
    """Count what there is.

    Parameters
    ----------
    dataset : Dataset
    trained_items : int
        Items with an item2vec vector.

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
        "items_with_item2vec": trained_items,
        "items_with_tags": sum(bool(tags) for tags in dataset.tags),
        "tags": len({tag for tags in dataset.tags for tag in tags}),
        "train_interactions": train,
        "held_out_interactions": held_out,
        "held_out_unknown": sum(int((items < 0).sum()) for items in dataset.held_out),
    }


def settings(seed: int) -> Report:
    """List the constants of the run.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict
    """
    return {
        "seed": seed,
        "held_out_per_user": HELD_OUT,
        "min_interactions": MIN_INTERACTIONS,
        "split": SPLIT,
        "item2vec": asdict(embeddings.ITEM2VEC),
        "tag2vec": asdict(embeddings.TAG2VEC),
        "first_tags": embeddings.FIRST_TAGS,
        "profile_items": embeddings.PROFILE_ITEMS,
        "user_decay": embeddings.USER_DECAY,
        "i2i_seeds": channels.SEEDS,
        "i2i_seed_decay": channels.SEED_DECAY,
        "i2i_depth": channels.DEPTH,
        "heat_weight": channels.HEAT_WEIGHT,
    }


def environment() -> Report:
    """Name the versions and the processor's part in the run.

    Returns
    -------
    dict
    """
    packages = {name: version(name) for name in ("vecrecall", "numpy", "gensim")}
    return {
        "python": platform.python_version(),
        **packages,
        "isa": vr.isa(),
        "threads": vr.get_num_threads(),
    }


def measure(dataset: Dataset, recallers: Sequence[Channel], lists: Mapping[str, Lists]) -> Report:
    """Compare each channel's lists with what was held out.

    Parameters
    ----------
    dataset : Dataset
    recallers : sequence of Channel
    lists : mapping
        By channel name, for the evaluated users.

    Returns
    -------
    dict
    """
    held_out = [dataset.held_out[user] for user in dataset.evaluated]
    return {
        channel.name: {"about": channel.about, **accuracy(lists[channel.name].ids, held_out)}
        for channel in recallers
    }


def choose_users(dataset: Dataset, n: int, seed: int) -> IntArray:
    """Draw users to show.

    Parameters
    ----------
    dataset : Dataset
    n : int
        If there are fewer, all are shown.
    seed : int

    Returns
    -------
    ndarray
        Positions among the evaluated users, ascending.
    """
    total = dataset.evaluated.size
    return np.sort(np.random.default_rng(seed).choice(total, min(n, total), replace=False))


def describe_user(dataset: Dataset, position: int, lists: Mapping[str, Lists]) -> Report:
    """Put a user's last items beside the heads of the lists.

    Parameters
    ----------
    dataset : Dataset
    position : int
        Among the evaluated users.
    lists : mapping
        By channel name.

    Returns
    -------
    dict
    """
    user = int(dataset.evaluated[position])
    hidden = set(dataset.held_out[user].tolist()) - {-1}

    def entry(item: int) -> Report:
        return {"item": dataset.items[item], "title": dataset.titles[item]}

    return {
        "user": dataset.users[user],
        "last": [entry(item) for item in dataset.histories[user][: -SHOWN - 1 : -1].tolist()],
        "held_out": [
            {"item": item, "title": title} for item, title in dataset.held_out_labels[user]
        ],
        "found": {
            name: len(hidden.intersection(found.ids[position].tolist()))
            for name, found in lists.items()
        },
        "lists": {
            name: [
                {**entry(item), "score": score, "held_out": item in hidden}
                for item, score in zip(
                    found.ids[position, :SHOWN].tolist(),
                    found.scores[position, :SHOWN].tolist(),
                    strict=True,
                )
                if item >= 0
            ]
            for name, found in lists.items()
        },
    }
