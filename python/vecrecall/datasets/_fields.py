"""The meaning of one column of a file: labels, times, numbers, texts, lists.

Each function takes a column of a table and the file's path, and raises a ValueError that names the
file, the column and the row. Rows of data are counted from 1, without the header.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

WHOLE = r"0|-?[1-9][0-9]{0,18}"
"""Whole numbers that can be written in one way only; the longest may not fit 64 bits."""


def labels(column: pd.Series, path: Path, *, text: bool = False) -> pd.Series:
    """Return labels as they are written, or numbers if all are whole numbers in their only form."""
    from pandas.api.types import is_integer_dtype

    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(f"{path}: no {column.name} in data row {1 + missing.argmax()}")
    if is_integer_dtype(column):
        return column
    return column.astype(str) if text else _as_written(column.astype(str))


def _as_written(labels: pd.Series) -> pd.Series:
    """Convert labels to numbers if all are whole numbers in their only form: never "007"."""
    import pandas as pd

    if not labels.str.fullmatch(WHOLE).all():
        return labels
    try:
        return pd.Series([int(label) for label in labels], labels.index, "int64", name=labels.name)
    except OverflowError:
        return labels


def times(column: pd.Series, path: Path) -> pd.Series:
    """Return numbers or dates, whichever more of the column is; none may be missing."""
    import pandas as pd
    from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

    found = column
    if not is_numeric_dtype(column) and not is_datetime64_any_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        dates = pd.to_datetime(column.astype(str), errors="coerce", utc=True, format="ISO8601")
        found = dates if dates.count() > numbers.count() else numbers
    _refuse(_unusable(found), column, path, f"a number or an ISO 8601 date as {column.name}")
    return found


def numbers(column: pd.Series, path: Path, *, optional: bool) -> pd.Series:
    """Return finite numbers; where they are optional, missing ones stay missing."""
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    found = column if is_numeric_dtype(column) else pd.to_numeric(column, errors="coerce")
    unusable = _unusable(found)
    if optional:
        unusable &= column.notna().to_numpy()
    _refuse(unusable, column, path, f"a finite number as {column.name}")
    return found


def texts(column: pd.Series, path: Path) -> pd.Series:
    """Return texts, of which any may be missing."""
    found = column.astype(object)
    wrong = (found.notna() & ~found.map(lambda value: isinstance(value, str))).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{path}: expected text as {column.name}, "
            f"got {type(found.iloc[row]).__name__} in data row {1 + row}"
        )
    return found


def lists(column: pd.Series, path: Path, separator: str) -> list[list[Any]]:
    """Return lists, split where they are texts; missing and empty entries are left out."""
    return [
        _entries(value, separator, f"{path}: expected a text or a list as {column.name}", row)
        for row, value in enumerate(column.astype(object), start=1)
    ]


def values(column: pd.Series) -> list[Any]:
    """Return values as Python objects: an empty text for a missing one among texts, else None."""
    from pandas.api.types import is_numeric_dtype

    found: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    if is_numeric_dtype(column):
        return found
    if any(_is_list(value) for value in found):
        return [_kept(value) if _is_list(value) else [] for value in found]
    if all(value is None or isinstance(value, str) for value in found):
        return [value or "" for value in found]
    return found


def _unusable(found: pd.Series) -> np.ndarray[Any, np.dtype[np.bool_]]:
    from pandas.api.types import is_numeric_dtype

    unusable = found.isna().to_numpy()
    if is_numeric_dtype(found):
        unusable = unusable | np.isinf(found.to_numpy(dtype=float, na_value=np.nan))
    return np.asarray(unusable, bool)


def _refuse(
    unusable: np.ndarray[Any, np.dtype[np.bool_]], column: pd.Series, path: Path, expected: str
) -> None:
    import pandas as pd

    if unusable.any():
        row = int(unusable.argmax())
        value = column.iloc[row]
        raise ValueError(
            f"{path}: expected {expected}, "
            f"got {'nothing' if pd.isna(value) else repr(str(value))} in data row {1 + row}"
        )


def _entries(value: Any, separator: str, expected: str, row: int) -> list[Any]:
    if isinstance(value, str):
        stripped = (entry.strip() for entry in value.split(separator))
        return [entry for entry in stripped if entry]
    if _is_list(value):
        return _kept(value)
    if value is None or value != value:
        return []
    raise ValueError(f"{expected}, got {type(value).__name__} in data row {row}")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _kept(entries: Iterable[Any]) -> list[Any]:
    found = entries.tolist() if isinstance(entries, np.ndarray) else list(entries)
    return [entry for entry in found if entry is not None and entry == entry and entry != ""]
