"""The data of a run: the splits by time, what is known of users and items, and unseen users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.data import HELD_OUT, Dataset, IntArray, Label, split, validation_split
from vecrecall.datasets import RecommenderData

COLD = (
    "drawn at random before all else; no vector, count or group has seen more of them than their "
    f"features; to be found are their first {HELD_OUT} items"
)


@dataclass(frozen=True)
class Split:
    """What trainers and channels may know.

    Attributes
    ----------
    name : {"validation", "test"}
    dataset : Dataset
        Users and items numbered from 0, histories without what is held out.
    data : RecommenderData
        For the attributes and the graph only; its interactions are taken out.
    cold : list of int or str
        Users on whom nothing is trained.
    """

    name: str
    dataset: Dataset
    data: RecommenderData
    cold: list[Label]

    def of_items(self, column: str) -> list[list[Any]]:
        """Return lists of values, one for each item of the catalog; empty where none is known."""
        items = self.data.items
        if items is None or column not in items.columns:
            return [[] for _ in self.dataset.items]
        return [list(values) for values in items.column(column, self.dataset.items, [])]

    def of_users(self, users: Sequence[Label]) -> dict[str, list[Any]]:
        """Return the columns of features for some users."""
        known = self.data.users
        return {} if known is None else {name: known.column(name, users) for name in known.columns}

    @property
    def entities(self) -> list[Any]:
        """The entity of each item of the catalog, None where it has none."""
        links = self.data.links or {}
        return [links.get(item) for item in self.dataset.items]

    def tagged(self, column: str) -> Dataset:
        """Return the dataset with another column in the place of tags."""
        return replace(self.dataset, tags=[tuple(map(str, tags)) for tags in self.of_items(column)])


@dataclass(frozen=True)
class Cold:
    """Users without history, and what they choose first.

    Attributes
    ----------
    users : list of int or str
    wanted : list of ndarray
        Items of the catalog of the test split, -1 for others.
    """

    users: list[Label]
    wanted: list[IntArray]


@dataclass(frozen=True)
class Splits:
    """The splits of a run."""

    test: Split
    validation: Split
    cold: Cold


def splits(data: RecommenderData, cold_share: float, seed: int) -> Splits:
    """Split by time, after some users have been taken out.

    Parameters
    ----------
    data : RecommenderData
    cold_share : float
        Share of the users on whom nothing is trained.
    seed : int
        Of their choice.

    Returns
    -------
    Splits

    Raises
    ------
    DemoError
        If there are too few interactions.
    """
    log = _log(data)
    users = sorted(log["user"].unique().tolist())
    n_cold = round(cold_share * len(users))
    drawn = np.random.default_rng([seed, 19]).choice(len(users), n_cold, replace=False)
    cold = [users[place] for place in sorted(drawn.tolist())]
    left = log["user"].isin(cold)
    source = data.interactions.source or "interactions"
    test = split(log[~left], source)
    validation = validation_split(test)
    if validation is None:
        raise DemoError(f"{source}: too few interactions for a validation split")
    bare = replace(data, interactions=_nothing(data))
    return Splits(
        Split("test", test, bare, cold),
        Split("validation", validation, bare, cold),
        Cold(cold, _first_items(log[left], cold, test)),
    )


def _log(data: RecommenderData) -> Any:
    import pandas as pd

    rows = data.interactions
    log = pd.DataFrame({"user": rows.users, "item": rows.items, "time": rows.times})
    items = data.items
    if items is None:
        return log.assign(title=None, tags=None)
    years = items.columns.get("year", [None] * len(items))
    titles = [
        None if not title else title if year is None else f"{title} ({year})"
        for title, year in zip(items.columns["title"], years, strict=True)
    ]
    tags = ["|".join(genres) or None for genres in items.columns["genres"]]
    return log.assign(
        title=log["item"].map(dict(zip(items.keys, titles, strict=True))),
        tags=log["item"].map(dict(zip(items.keys, tags, strict=True))),
    )


def _nothing(data: RecommenderData) -> Any:
    """Take all interactions out, so that no trainer can reach what is held out."""
    return replace(data.interactions, users=[], items=[], times=np.empty(0, np.int64), weights=None)


def _first_items(log: Any, cold: list[Label], test: Dataset) -> list[IntArray]:
    number = {item: row for row, item in enumerate(test.items)}
    ordered = log.sort_values(["user", "time"]).drop_duplicates(["user", "item"])
    firsts = {
        user: rows["item"].tolist()[:HELD_OUT] for user, rows in iter(ordered.groupby("user"))
    }
    return [np.array([number.get(item, -1) for item in firsts[user]], np.int64) for user in cold]
