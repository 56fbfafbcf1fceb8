"""News recommendation in the format of MIND, from a folder of yours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.datasets._files import named_path
from vecrecall.datasets._tables import Attributes, Interactions, RecommenderData

Dates: TypeAlias = npt.NDArray[np.datetime64]
Line: TypeAlias = tuple[str, list[str]]

TIME = "%m/%d/%Y %I:%M:%S %p"
BEHAVIORS = ("impression id", "user", "time", "history", "impressions")
NEWS = (
    *("news id", "category", "subcategory", "title", "abstract", "url"),
    *("title entities", "abstract entities"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Impressions:
    """Pages of news that users were shown, and their clicks: a row for each page.

    Attributes
    ----------
    ids : list of str
    users : list of str
    times : ndarray of datetime64[s], shape (n,)
    histories : list of list of str
        What the user had clicked before, oldest first.
    shown : list of list of str
        The news on the page.
    clicked : list of list of str
        Those of `shown` that were clicked.
    """

    ids: list[str]
    users: list[str]
    times: Dates
    histories: list[list[str]]
    shown: list[list[str]]
    clicked: list[list[str]]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Impressions({len(self)} rows)"


@dataclass(frozen=True, eq=False, repr=False)
class MindData(RecommenderData):
    """News, clicks on them, and the pages that were shown.

    A `RecommenderData` without a graph, whose ``items`` have ``category``, ``subcategory``,
    ``title``, ``abstract`` and ``url``, texts that may be empty, and ``title_entities`` and
    ``abstract_entities``, lists of entities of Wikidata.

    Attributes
    ----------
    impressions : Impressions
    """

    impressions: Impressions = field(kw_only=True)


def load_mind(folder: str | Path) -> MindData:
    r"""Load news and clicks in the format of MIND.

    The data are not part of any package: get them from their publisher, under their terms. This
    loader was tested on small files of this format, not on the data themselves.

    Parameters
    ----------
    folder : str or Path
        With ``behaviors.tsv`` and ``news.tsv``, as each part of MIND has them.

    Returns
    -------
    MindData
        The interactions are the clicks: first, for each user, the history of the earliest
        impression, then what was clicked in impressions, in the order of the file. MIND does not
        say when the history was clicked; it has the time of that impression, and stands before its
        clicks. Rows of a test set, whose impressions have no ``-0`` or ``-1``, have no clicks.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a row is not as expected, an id of news comes twice, or a file has no rows; names the
        file and the line.

    References
    ----------
    F. Wu et al.: MIND: A Large-scale Dataset for News Recommendation. ACL 2020.

    Examples
    --------
    >>> import pathlib
    >>> from vecrecall.datasets import load_mind
    >>> pathlib.Path("mind").mkdir()
    >>> row = ["1", "U1", "11/15/2019 8:55:22 AM", "N1", "N2-1 N3-0"]
    >>> _ = pathlib.Path("mind/behaviors.tsv").write_text("\t".join(row))
    >>> row = ["N1", "sports", "golf", "A title", "", "", "[]", "[]"]
    >>> _ = pathlib.Path("mind/news.tsv").write_text("\t".join(row))
    >>> data = load_mind("mind")
    >>> data.interactions.items, data.impressions.shown, data.items.column("title", ["N1"])
    (['N1', 'N2'], [['N2', 'N3']], ['A title'])
    """
    folder = named_path(folder, "folder")
    impressions = _impressions(folder / "behaviors.tsv")
    return MindData(
        _clicks(impressions, str(folder)),
        items=_news(folder / "news.tsv"),
        impressions=impressions,
    )


def _impressions(path: Path) -> Impressions:
    rows = [
        (key, user, _time(time, place), history.split(), *_shown(pairs, place))
        for place, (key, user, time, history, pairs) in _lines(path, BEHAVIORS)
        if _is_given(user, "a user", place)
    ]
    ids, users, times, histories, shown, clicked = map(list, zip(*rows, strict=True))
    return Impressions(ids, users, np.array(times, "datetime64[s]"), histories, shown, clicked)


def _clicks(impressions: Impressions, source: str) -> Interactions:
    first: dict[str, int] = {}
    for row in np.argsort(impressions.times, kind="stable").tolist():
        first.setdefault(impressions.users[row], row)
    parts = [(row, impressions.histories[row]) for row in first.values()]
    parts += enumerate(impressions.clicked)
    rows = [row for row, items in parts for _ in items]
    return Interactions(
        [impressions.users[row] for row in rows],
        [item for _, items in parts for item in items],
        impressions.times[np.array(rows, np.int64)],
        source=source,
    )


def _news(path: Path) -> Attributes:
    columns: dict[str, list[Any]] = {name.replace(" ", "_"): [] for name in NEWS[1:]}
    line_of: dict[str, str] = {}
    for place, (key, *texts, in_title, in_abstract) in _lines(path, NEWS):
        _is_given(key, "a news id", place)
        if key in line_of:
            raise ValueError(f"{place}: expected an id of its own, got {key!r} again")
        line_of[key] = place
        values = (*texts, _entities(in_title, place), _entities(in_abstract, place))
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return Attributes(list(line_of), columns)


def _lines(path: Path, names: tuple[str, ...]) -> Iterator[Line]:
    """Split lines at tabs; nothing is quoted, and an empty line is no row."""
    empty = True
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if fields == [""]:
                continue
            empty = False
            place = f"{path}, line {number}"
            if len(fields) != len(names):
                raise ValueError(
                    f"{place}: expected {len(names)} fields between tabs "
                    f"({', '.join(names)}), got {len(fields)}"
                )
            yield place, fields
    if empty:
        raise ValueError(f"{path}: no rows in the file")


def _is_given(value: str, what: str, place: str) -> bool:
    if not value:
        raise ValueError(f"{place}: expected {what}, got nothing")
    return True


def _time(text: str, place: str) -> datetime:
    try:
        return datetime.strptime(text, TIME)
    except ValueError:
        raise ValueError(
            f"{place}: expected a time like '11/15/2019 8:55:22 AM', got {text!r}"
        ) from None


def _shown(text: str, place: str) -> tuple[list[str], list[str]]:
    """Split ``N1-0 N2-1`` into what was shown and what was clicked."""
    entries = text.split()
    pairs = [entry.rpartition("-") for entry in entries]
    if not any(dash for _, dash, _ in pairs):
        return entries, []
    for entry, (item, _, label) in zip(entries, pairs, strict=True):
        if not item or label not in ("0", "1"):
            raise ValueError(f"{place}: expected a news id with -0 or -1, got {entry!r}")
    return [item for item, _, _ in pairs], [item for item, _, label in pairs if label == "1"]


def _entities(text: str, place: str) -> list[str]:
    """Return the entities of a list in JSON, which may be missing."""
    if not text:
        return []
    try:
        return [str(entity["WikidataId"]) for entity in json.loads(text)]
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"{place}: expected a JSON list of objects with a WikidataId, got {text[:40]!r}"
        ) from None
