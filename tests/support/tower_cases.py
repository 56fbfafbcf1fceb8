"""Small worlds in which two towers have something to learn."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.train import Features, TwoTower

SMALL: dict[str, Any] = {
    "dim": 16,
    "hidden": (32,),
    "embedding_dim": 16,
    "history_length": 5,
    "batch_size": 64,
    "learning_rate": 0.01,
}


class World(NamedTuple):
    """Interactions, and the attributes of those in them."""

    users: list[Hashable]
    items: list[Hashable]
    times: list[int]
    user_features: Features
    item_features: Features


def groups(seed: int, n_groups: int = 5, n_users: int = 100, per_user: int = 8) -> World:
    """Let users click items of one group each; 20 items a group, of which the first 15 are used.

    Attributes: the group of users and items, in a column that says it and one that does not.
    """
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(n_users):
        for time, place in enumerate(rng.choice(15, per_user, replace=False)):
            users.append(f"u{user}")
            items.append(f"i{user % n_groups}.{place}")
            times.append(time)
    names = [f"i{group}.{place}" for group in range(n_groups) for place in range(20)]
    return World(
        users,
        items,
        times,
        Features(
            [f"u{user}" for user in range(n_users)],
            {"group": [f"g{user % n_groups}" for user in range(n_users)], "same": [7] * n_users},
        ),
        Features(
            names,
            {
                "genres": [[name.partition(".")[0], "film"] for name in names],
                "noise": rng.standard_normal(len(names)),
            },
        ),
    )


def order(seed: int, n_items: int = 30, n_users: int = 400, per_user: int = 8) -> World:
    """Let half of the clicks be the successor of the one before, the others anything.

    Successors make one circle. All items are as frequent; which items were clicked says less about
    the next one than which came last.
    """
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(n_users):
        item = int(rng.integers(n_items))
        for time in range(per_user):
            users.append(user)
            items.append(item)
            times.append(time)
            item = int(rng.integers(n_items)) if rng.random() < 0.5 else (item + 7) % n_items
    return World(users, items, times, Features([]), Features([]))


def share_of_group(towers: TwoTower, vectors: npt.NDArray[np.float32], of: list[int]) -> float:
    """Return which share of the nearest ten items are of each row's group."""
    items = towers.item_embedding_
    best = np.argsort(-(vectors @ items.matrix.T), axis=1)[:, :10]
    group_of = np.array([int(str(key)[1:].partition(".")[0]) for key in items.ids])
    return float((group_of[best] == np.array(of)[:, None]).mean())
