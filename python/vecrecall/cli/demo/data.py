"""Splits interactions by time into a training part and held-out items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo import DemoError

if TYPE_CHECKING:
    import pandas as pd

IntArray: TypeAlias = npt.NDArray[np.int64]
Times: TypeAlias = npt.NDArray[np.float64]
Label: TypeAlias = int | str

HELD_OUT = 5
"""Number of a user's last items that are held out from training, to be found by recall."""

MIN_INTERACTIONS = 2 * HELD_OUT
"""A user with fewer different items is trained on but not evaluated."""

SPLIT = (
    f"each user's last {HELD_OUT} items are held out; vectors, counts and profiles are made from "
    "the items before them in that user's history (histories of other users may run later)"
)

VALIDATION = (
    f"each user's {HELD_OUT} items before the held-out ones are held out in the same way; vectors, "
    "counts and profiles are made once more without these; the held-out items play no part"
)


@dataclass(frozen=True)
class Dataset:
    """Interactions after the split, with users and items numbered from 0.

    Attributes
    ----------
    source : str
        Origin of the interactions.
    users, items : list of int or str
        The labels of the source. `items` is the catalog: the items of the training part.
    titles : list of str
        One for each of `items`, all distinct.
    tags : list of tuple of str
        One for each of `items`, empty where there are none.
    histories : list of ndarray
        For each user the training items, oldest first.
    held_out : list of ndarray
        For each user the held-out items, oldest first, -1 for an item outside the catalog; empty
        for a user with too few interactions.
    held_out_labels : list of list of (label, title)
        The same for display.
    times : list of ndarray
        For each user the times of the training items since the first interaction of all users, in
        seconds where the source has dates.
    asked : ndarray, shape (n_users,)
        Time of the first held-out item, NaN for a user without.
    repeats : int
        Number of interactions left out because the user had the item before.
    """

    source: str
    users: list[Label]
    items: list[Label]
    titles: list[str]
    tags: list[tuple[str, ...]]
    histories: list[IntArray]
    held_out: list[IntArray]
    held_out_labels: list[list[tuple[Label, str]]]
    times: list[Times]
    asked: Times
    repeats: int

    @property
    def evaluated(self) -> IntArray:
        """The users with held-out items."""
        return np.flatnonzero([h.size > 0 for h in self.held_out])

    @property
    def item_counts(self) -> IntArray:
        """The number of users with each item in their training part."""
        return np.bincount(np.concatenate(self.histories), minlength=len(self.items))


def split(log: pd.DataFrame, source: str) -> Dataset:
    """Hold out each user's last items.

    Parameters
    ----------
    log : DataFrame
        The columns user, item, time, title and tags. Interactions of one user at the same time
        keep their order; only the first of repeated (user, item) pairs counts, since recall
        excludes seen items.
    source : str
        A name for messages.

    Returns
    -------
    Dataset
    """
    import pandas as pd

    ordered = log.sort_values(["user", "time"])  # several keys: stable
    ordered = ordered.drop_duplicates(["user", "item"])
    ordered = ordered.assign(age=_ages(ordered["time"]))
    by_user = ordered.groupby("user")
    held = (by_user["item"].transform("size") >= MIN_INTERACTIONS) & (
        by_user.cumcount(ascending=False) < HELD_OUT
    )
    past, future = ordered[~held], ordered[held]
    if future.empty:
        raise DemoError(
            f"{source}: no user has {MIN_INTERACTIONS} different items or more to evaluate on"
        )
    catalog = pd.Index(past["item"].unique()).sort_values()
    users = past["user"].unique().tolist()
    items = catalog.tolist()
    future_rows = dict(iter(future.groupby("user")))
    held_rows = [future_rows.get(user, future.iloc[:0]) for user in users]
    return Dataset(
        source=source,
        users=users,
        items=items,
        titles=_titles(items, _first_texts(past, "title", catalog)),
        tags=[_split_tags(text) for text in _first_texts(past, "tags", catalog)],
        histories=[
            catalog.get_indexer(rows).astype(np.int64) for _, rows in past.groupby("user")["item"]
        ],
        held_out=[catalog.get_indexer(rows["item"]).astype(np.int64) for rows in held_rows],
        held_out_labels=[
            [
                (item, _title(item, title))
                for item, title in zip(rows["item"].tolist(), rows["title"], strict=True)
            ]
            for rows in held_rows
        ],
        times=[rows.to_numpy(np.float64) for _, rows in past.groupby("user")["age"]],
        asked=np.array([rows["age"].min() if len(rows) else np.nan for rows in held_rows]),
        repeats=len(log) - len(ordered),
    )


def validation_split(dataset: Dataset) -> Dataset | None:
    """Hold out each user's last items once more, from the training part of `split`.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    Dataset, optional
        With the same users and its own catalog. None if no user has enough items.
    """
    n_held = [HELD_OUT if h.size >= MIN_INTERACTIONS else 0 for h in dataset.histories]
    if not any(n_held):
        return None
    cuts = [h.size - n for h, n in zip(dataset.histories, n_held, strict=True)]
    past = [h[:cut] for h, cut in zip(dataset.histories, cuts, strict=True)]
    future = [h[cut:] for h, cut in zip(dataset.histories, cuts, strict=True)]
    kept = np.unique(np.concatenate(past))
    number = np.full(len(dataset.items), -1, np.int64)
    number[kept] = np.arange(kept.size)
    return Dataset(
        source=dataset.source,
        users=dataset.users,
        items=[dataset.items[item] for item in kept],
        titles=[dataset.titles[item] for item in kept],
        tags=[dataset.tags[item] for item in kept],
        histories=[number[items] for items in past],
        held_out=[number[items] for items in future],
        held_out_labels=[
            [(dataset.items[item], dataset.titles[item]) for item in items] for items in future
        ],
        times=[t[:cut] for t, cut in zip(dataset.times, cuts, strict=True)],
        asked=np.array(
            [t[cut] if cut < t.size else np.nan for t, cut in zip(dataset.times, cuts, strict=True)]
        ),
        repeats=0,
    )


def _ages(times: pd.Series) -> pd.Series:
    from pandas.api.types import is_numeric_dtype

    ages = times - times.min()
    return ages.astype(np.float64) if is_numeric_dtype(times) else ages.dt.total_seconds()


def _first_texts(past: pd.DataFrame, column: str, catalog: pd.Index) -> list[str | None]:
    """Return the first text of each item, which some of its rows may lack."""
    known = past.dropna(subset=[column]).drop_duplicates("item").set_index("item")[column]
    texts = known.reindex(catalog)
    return [None if missing else text for text, missing in zip(texts, texts.isna(), strict=True)]


def _split_tags(text: str | None) -> tuple[str, ...]:
    stripped = (tag.strip() for tag in (text or "").split("|"))
    return tuple(tag for tag in stripped if tag)


def _title(item: Label, text: object) -> str:
    return text if isinstance(text, str) else f"item {item}"


def _titles(items: list[Label], texts: list[str | None]) -> list[str]:
    titles = [_title(item, text) for item, text in zip(items, texts, strict=True)]
    times = Counter(titles)
    return [
        title if times[title] == 1 else f"{title} [{item}]"
        for item, title in zip(items, titles, strict=True)
    ]
