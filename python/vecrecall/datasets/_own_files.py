"""Your own interactions and attributes, from CSV, TSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from vecrecall.datasets import _fields as fields
from vecrecall.datasets._files import named_path, read_table
from vecrecall.datasets._tables import Attributes, Interactions

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("user", "item", "time")
WEIGHT = "weight"


def read_interactions(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    text_ids: bool = False,
) -> Interactions:
    r"""Read interactions from a table in a file.

    Parameters
    ----------
    path : str or Path
        A table as text, which ends in ``.csv`` or ``.tsv`` and possibly ``.gz``, ``.bz2`` or
        ``.xz``, or as Parquet, ``.parquet`` or ``.pq``. Text is UTF-8, with a header, and may
        have quoted fields, a byte order mark and either kind of line end.
    columns : mapping of str to str, optional
        What the columns ``user``, ``item``, ``time`` and ``weight`` are called in the file, where
        they have other names: ``{"user": "visitor"}``. ``weight`` is optional, unless it is named
        here. Further columns are not read.
    text_ids : bool
        Keep the labels of a text file as texts, even if all are whole numbers.

    Returns
    -------
    Interactions
        In the order of the file. Labels are texts as they are written, "007" and "NA" too; if all
        labels of a column are whole numbers without leading zeros and plus signs, they are
        integers. Times are numbers, or datetime64 in UTC where the file has ISO 8601 dates.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such table, has no row or lacks a column, a label or time is missing, or a time
        or weight is no finite number; names the file and the row of data, counted from 1. Also if
        `columns` names something else than the four.
    ImportError
        If pandas is missing, or pyarrow for Parquet.

    Examples
    --------
    >>> import pathlib
    >>> from vecrecall.datasets import read_interactions
    >>> _ = pathlib.Path("log.csv").write_text("visitor,item,time\nann,x,3\nbob,y,4\n")
    >>> log = read_interactions("log.csv", {"user": "visitor"})
    >>> log.users, log.items, log.times.tolist()
    (['ann', 'bob'], ['x', 'y'], [3, 4])
    """
    path = named_path(path, "path")
    named = _names(columns, (*REQUIRED, WEIGHT))
    frame = read_table(path, "interactions", "read_interactions")
    if WEIGHT in frame or WEIGHT in named:
        named.setdefault(WEIGHT, WEIGHT)
    log = log_columns(frame, path, named, (WEIGHT,), text_ids=text_ids)
    weights = None
    if WEIGHT in named:
        weights = fields.numbers(frame[named[WEIGHT]], path, optional=False)
    return Interactions(
        log["user"].tolist(), log["item"].tolist(), _plain(log["time"]), weights, str(path)
    )


def read_attributes(
    path: str | Path,
    key: str = "item",
    columns: Mapping[str, str] | Iterable[str] | None = None,
    *,
    lists: Mapping[str, str] | None = None,
    numbers: Iterable[str] = (),
    text_ids: bool = False,
) -> Attributes:
    r"""Read attributes of items or users from a table in a file.

    Parameters
    ----------
    path : str or Path
        As in `read_interactions`.
    key : str
        The file's column of the keys, of which none may come twice.
    columns : mapping of str to str, or iterable of str, optional
        The columns to read, possibly with names for the result: ``{"tags": "labels"}`` reads
        ``labels`` as ``tags``. Default all but the key.
    lists : mapping of str to str, optional
        Columns of the result that are lists, and what separates their entries in text. Entries are
        stripped; empty ones are left out. Lists in Parquet need not be named.
    numbers : iterable of str
        Columns of the result that are numbers. In Parquet they need not be named.
    text_ids : bool
        Keep the keys of a text file as texts, even if all are whole numbers: where the ids of the
        interactions are texts.

    Returns
    -------
    found : Attributes
        What the file lacks is an empty text, an empty list or, among numbers, None.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError
        If `columns`, `lists` or `numbers` are not as described.
    ValueError
        If it is no such table, has no row or lacks a column, a key is missing or comes twice, or a
        number is none or not finite; names the file and the row of data, counted from 1. Also if
        `lists` or `numbers` name a column that is not read, or a separator is empty.
    ImportError
        If pandas is missing, or pyarrow for Parquet.

    Examples
    --------
    >>> import pathlib
    >>> from vecrecall.datasets import read_attributes
    >>> rows = "id,labels,price\nx,new| red,2.5\ny,,\n"
    >>> _ = pathlib.Path("items.csv").write_text(rows)
    >>> found = read_attributes(
    ...     "items.csv", "id", {"tags": "labels", "price": "price"},
    ...     lists={"tags": "|"}, numbers=["price"],
    ... )
    >>> found.keys, found.columns
    (['x', 'y'], {'tags': [['new', 'red'], []], 'price': [2.5, None]})
    """
    path = named_path(path, "path")
    frame = read_table(path, "attributes", "read_attributes")
    chosen = _chosen(frame, key, columns)
    required = [*dict.fromkeys([key, *chosen.values()])]
    _check_columns(frame, path, required, ", ".join(required))
    _check_rows(frame, path, "attributes")
    of_lists, of_numbers = _separators(lists), {*_sequence(numbers, "numbers")}
    for name, given in (("lists", of_lists), ("numbers", of_numbers)):
        _check_known(given, chosen, name)
    keys = fields.labels(frame[key], path, text=text_ids)
    _check_no_duplicates(keys, path)
    found = {
        name: _values(frame[of_file], path, of_lists.get(name), name in of_numbers)
        for name, of_file in chosen.items()
    }
    return Attributes(keys.tolist(), found)


def log_columns(
    frame: pd.DataFrame,
    path: Path,
    named: Mapping[str, str],
    optional: Iterable[str],
    *,
    text_ids: bool = False,
) -> pd.DataFrame:
    """Return user, item and time of a table that was read, checked.

    Parameters
    ----------
    frame : DataFrame
        From `read_table`.
    path : Path
    named : mapping of str to str
        The names in the file, where they differ.
    optional : iterable of str
        Further columns, for the message where one lacks.
    text_ids : bool

    Raises
    ------
    ValueError
        If a column or a value lacks, or a time is none.
    """
    names = {role: named.get(role, role) for role in REQUIRED}
    others = [named.get(role, role) for role in optional]
    expected = f"{', '.join(names.values())} and optionally {', '.join(others)}"
    required = [*names.values(), *(named[role] for role in optional if role in named)]
    _check_columns(frame, path, required, expected)
    _check_rows(frame, path, "interactions")
    return frame.assign(
        user=fields.labels(frame[names["user"]], path, text=text_ids),
        item=fields.labels(frame[names["item"]], path, text=text_ids),
        time=fields.times(frame[names["time"]], path),
    )[[*REQUIRED]]


def _names(columns: Mapping[str, str] | None, roles: tuple[str, ...]) -> dict[str, str]:
    if columns is not None and not isinstance(columns, Mapping):
        raise TypeError(f"columns: expected a mapping, got {type(columns).__name__}")
    for role in columns or {}:
        if role not in roles:
            raise ValueError(
                f"columns: expected names for {', '.join(roles)}, got one for {role!r}"
            )
    return dict(columns or {})


def _chosen(
    frame: pd.DataFrame, key: str, columns: Mapping[str, str] | Iterable[str] | None
) -> dict[str, str]:
    """Map the names in the result to those in the file."""
    if columns is None:
        return {str(name): name for name in frame.columns if name != key}
    if isinstance(columns, Mapping):
        return dict(columns)
    return {name: name for name in _sequence(columns, "columns")}


def _separators(lists: Mapping[str, str] | None) -> dict[str, str]:
    if lists is not None and not isinstance(lists, Mapping):
        raise TypeError(f"lists: expected a mapping to separators, got {type(lists).__name__}")
    for name, separator in (lists or {}).items():
        if not isinstance(separator, str) or not separator:
            raise ValueError(f"lists[{name!r}]: expected what separates entries, got {separator!r}")
    return dict(lists or {})


def _sequence(names: Iterable[str], argument: str) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"{argument}: expected several names, got the text {names!r}")
    return list(names)


def _check_columns(frame: pd.DataFrame, path: Path, required: list[str], expected: str) -> None:
    missing = [name for name in required if name not in frame]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(map(repr, missing))}; expected {expected}; "
            f"got {', '.join(map(str, frame.columns)) or 'none'}"
        )


def _check_rows(frame: pd.DataFrame, path: Path, what: str) -> None:
    if frame.empty:
        raise ValueError(f"{path}: no {what} in the file")


def _check_known(given: Iterable[str], chosen: Mapping[str, str], argument: str) -> None:
    unknown = [name for name in given if name not in chosen]
    if unknown:
        raise ValueError(
            f"{argument}: expected columns that are read, {', '.join(chosen) or 'none'}; "
            f"got {', '.join(map(repr, sorted(unknown)))}"
        )


def _check_no_duplicates(keys: pd.Series, path: Path) -> None:
    again = keys.duplicated().to_numpy()
    if again.any():
        row = int(again.argmax())
        first = int((keys == keys.iloc[row]).to_numpy().argmax())
        raise ValueError(
            f"{path}: duplicate {keys.name} {keys.tolist()[row]!r} "
            f"in data rows {1 + first} and {1 + row}"
        )


def _values(column: pd.Series, path: Path, separator: str | None, number: bool) -> list[Any]:
    if separator is not None:
        return fields.lists(column, path, separator)
    if number:
        return fields.values(fields.numbers(column, path, optional=True))
    return fields.values(column)


def _plain(times: pd.Series) -> npt.NDArray[Any]:
    """Return times as NumPy has them: dates in UTC, without a zone."""
    zone = getattr(times.dtype, "tz", None)
    found: npt.NDArray[Any] = (times if zone is None else times.dt.tz_convert(None)).to_numpy()
    return found
