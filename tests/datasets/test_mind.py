"""MIND's format, on small files made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vecrecall.datasets import load_mind

ENTITY = {
    "Label": "Paris",
    "Type": "G",
    "WikidataId": "Q90",
    "Confidence": 0.9,
    "OccurrenceOffsets": [4],
    "SurfaceForms": ["Paris"],
}
NEWS = [
    ["N1", "travel", "city", 'In "Paris"', "An abstract.", "https://x", json.dumps([ENTITY]), "[]"],
    [
        "N2",
        "sports",
        "golf",
        "A title",
        "",
        "",
        "",
        json.dumps([ENTITY, ENTITY | {"WikidataId": "Q1"}]),
    ],
    ["N3", "sports", "golf", "", "", "", "[]", "[]"],
]
BEHAVIORS = [
    ["1", "U1", "11/12/2019 9:05:58 AM", "N1 N2 N1", "N3-1 N2-0 N4-1"],
    ["2", "U2", "11/11/2019 12:00:00 AM", "", "N1-0 N2-0"],
    ["3", "U1", "11/11/2019 1:05:58 PM", "N2 N2", "N2-1"],
    ["4", "U3", "11/11/2019 12:30:00 PM", "N3", "N1-1"],
]
FIRST = [("U3", "N3"), ("U1", "N2"), ("U1", "N2")]
"""Histories of the earliest impressions, users in the order of these."""


def folder(
    path: Path,
    behaviors: list[list[str]] = BEHAVIORS,
    news: list[list[str]] = NEWS,
    end: str = "\n",
    start: str = "",
) -> Path:
    for name, rows in (("behaviors.tsv", behaviors), ("news.tsv", news)):
        text = start + "".join("\t".join(row) + end for row in rows)
        (path / name).write_bytes(text.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_clicks_and_histories(tmp_path: Path, end: str, start: str) -> None:
    data = load_mind(folder(tmp_path, end=end, start=start))
    clicks = data.interactions
    pairs = list(zip(clicks.users, clicks.items, strict=True))
    assert pairs[:3] == FIRST
    assert pairs[3:] == [("U1", "N3"), ("U1", "N4"), ("U1", "N2"), ("U3", "N1")]
    times = dict(zip(pairs, clicks.times, strict=True))
    assert times["U1", "N3"] == np.datetime64("2019-11-12T09:05:58")
    assert times["U3", "N3"] == times["U3", "N1"] == np.datetime64("2019-11-11T12:30:00")
    assert (clicks.times[1:3] == np.datetime64("2019-11-11T13:05:58")).all()
    assert clicks.source == str(tmp_path)


def test_a_history_comes_before_the_clicks(tmp_path: Path) -> None:
    """Sorted by time, stable, as trainers do."""
    clicks = load_mind(folder(tmp_path)).interactions
    order = np.argsort(clicks.times, kind="stable")
    of = [clicks.items[row] for row in order if clicks.users[row] == "U1"]
    assert of == ["N2", "N2", "N2", "N3", "N4"]


def test_impressions(tmp_path: Path) -> None:
    found = load_mind(str(folder(tmp_path))).impressions
    assert (found.ids, found.users) == ([*"1234"], ["U1", "U2", "U1", "U3"])
    assert found.histories == [["N1", "N2", "N1"], [], ["N2", "N2"], ["N3"]]
    assert found.shown == [["N3", "N2", "N4"], ["N1", "N2"], ["N2"], ["N1"]]
    assert found.clicked == [["N3", "N4"], [], ["N2"], ["N1"]]
    assert found.times[1] == np.datetime64("2019-11-11T00:00:00")
    assert len(found) == 4


def test_news(tmp_path: Path) -> None:
    """Also those without clicks; one that was clicked may have no row."""
    data = load_mind(folder(tmp_path))
    items = data.items
    assert items is not None
    assert items.keys == ["N1", "N2", "N3"]
    assert items.columns["category"] == ["travel", "sports", "sports"]
    assert items.columns["subcategory"] == ["city", "golf", "golf"]
    assert items.columns["title"] == ['In "Paris"', "A title", ""]
    assert items.columns["abstract"] == ["An abstract.", "", ""]
    assert items.columns["title_entities"] == [["Q90"], [], []]
    assert items.columns["abstract_entities"] == [[], ["Q90", "Q1"], []]
    assert items.column("title", ["N4"], default="") == [""]
    assert repr(data).startswith(f"MindData(Interactions(7 rows, {tmp_path}), items=Attributes(3 ")


def test_a_test_set_has_no_clicks(tmp_path: Path) -> None:
    rows = [["1", "U1", "11/12/2019 9:05:58 AM", "N1", "N2 N3"]]
    data = load_mind(folder(tmp_path, rows))
    assert (data.impressions.shown, data.impressions.clicked) == ([["N2", "N3"]], [[]])
    assert data.interactions.items == ["N1"]


def test_no_click_at_all(tmp_path: Path) -> None:
    rows = [["1", "U1", "11/12/2019 9:05:58 AM", "", ""]]
    data = load_mind(folder(tmp_path, rows))
    assert len(data.interactions) == 0
    assert data.impressions.shown == [[]]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (1, "", "expected a user, got nothing"),
        (2, "", "expected a time like '11/15/2019 8:55:22 AM', got ''"),
        (2, "13/13/2019 1:00:00 AM", "expected a time like '11/15/2019 8:55:22 AM', got '13/13/"),
        (4, "N1-1 N2", "expected a news id with -0 or -1, got 'N2'"),
        (4, "N1-2", "expected a news id with -0 or -1, got 'N1-2'"),
        (4, "-1", "expected a news id with -0 or -1, got '-1'"),
        (4, "N1-1\tmore", "expected 5 fields between tabs (impression id, user, time, history, "),
    ],
)
def test_malformed_behaviors(tmp_path: Path, field: int, value: str, message: str) -> None:
    bad = [value if place == field else text for place, text in enumerate(BEHAVIORS[0])]
    with pytest.raises(ValueError, match=r"behaviors\.tsv, line 3: expected") as raised:
        load_mind(folder(tmp_path, [*BEHAVIORS[:2], bad]))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (NEWS[0][:7], "line 4: expected 8 fields between tabs (news id, category, subcategory,"),
        (["", *NEWS[0][1:]], "line 4: expected a news id, got nothing"),
        (NEWS[0], "line 4: expected an id of its own, got 'N1' again"),
        (["N9", *NEWS[0][1:6], "[{", "[]"], "line 4: expected a JSON list of objects with a Wikid"),
        (["N9", *NEWS[0][1:7], '[{"Label": "x"}]'], 'with a WikidataId, got \'[{"Label": "x"}]\''),
        (["N9", *NEWS[0][1:7], "5"], "line 4: expected a JSON list of objects with a WikidataId"),
    ],
)
def test_malformed_news(tmp_path: Path, row: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=r"news\.tsv, line 4: expected") as raised:
        load_mind(folder(tmp_path, news=[*NEWS, row]))
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["behaviors.tsv", "news.tsv"])
def test_empty_and_missing_files(tmp_path: Path, name: str) -> None:
    folder(tmp_path)
    (tmp_path / name).write_text("\n")
    with pytest.raises(ValueError, match=f"{name}: no rows in the file"):
        load_mind(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_mind(tmp_path)
