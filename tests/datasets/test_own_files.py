"""Your own interactions and attributes, from files as people have them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecrecall.datasets import (
    Attributes,
    Interactions,
    RecommenderData,
    read_attributes,
    read_interactions,
)

pd = pytest.importorskip("pandas", reason='needs pip install "vecrecall[pandas]"')

LOG = "user,item,time\nann,x,3\nbob,y,1\nann,y,3\n"


def written(tmp_path: Path, content: str | bytes, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(found: Interactions) -> list[tuple[Any, ...]]:
    return list(zip(found.users, found.items, found.times.tolist(), strict=True))


def test_rows_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Rows with equal times too."""
    path = written(tmp_path, LOG)
    found = read_interactions(path)
    assert rows(found) == [("ann", "x", 3), ("bob", "y", 1), ("ann", "y", 3)]
    assert found.weights is None
    assert found.source == str(path)
    assert rows(read_interactions(str(path))) == rows(found)


def test_columns_with_other_names(tmp_path: Path) -> None:
    text = "stars,when,what,who,item\n5,2,x,ann,?\n0.5,1,y,bob,?\n"
    names = {"user": "who", "item": "what", "time": "when", "weight": "stars"}
    found = read_interactions(written(tmp_path, text), names)
    assert rows(found) == [("ann", "x", 2), ("bob", "y", 1)]
    assert found.weights is not None
    assert found.weights.tolist() == [5, 0.5]


def test_a_weight_is_read_where_there_is_one(tmp_path: Path) -> None:
    found = read_interactions(written(tmp_path, "user,item,time,weight\na,x,1,2\n"))
    assert found.weights is not None
    assert found.weights.tolist() == [2]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + LOG,
        '\ufeff"user","item","time"\n"ann","x","3"\n"bob","y","1"\n"ann","y","3"\n',
        LOG.replace("\n", "\r\n"),
        LOG.rstrip("\n"),
        LOG.replace("\n", "\n\n"),
    ],
    ids=["mark", "mark and quotes", "CRLF", "no last line end", "empty lines"],
)
def test_texts_as_programs_write_them(tmp_path: Path, content: str) -> None:
    expected = rows(read_interactions(written(tmp_path, LOG, "plain.csv")))
    assert rows(read_interactions(written(tmp_path, content))) == expected
    tabs = content.replace(",", "\t").encode()
    assert rows(read_interactions(written(tmp_path, tabs, "log.tsv"))) == expected
    packed = gzip.compress(content.encode())
    assert rows(read_interactions(written(tmp_path, packed, "log.csv.gz"))) == expected


def test_quoted_fields(tmp_path: Path) -> None:
    text = 'user,item,time\n"Doe, ann","a ""b""\nc",1\n'
    assert rows(read_interactions(written(tmp_path, text))) == [("Doe, ann", 'a "b"\nc', 1)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2020-01-01", "2020-01-01T12:00:00+01:00"], ["2020-01-01T00", "2020-01-01T11"]),
        (["2020-01-01 10:30", "2020-01-01 10:30"], ["2020-01-01T10:30"] * 2),
    ],
)
def test_dates(tmp_path: Path, times: list[str], expected: list[str]) -> None:
    text = "user,item,time\n" + "".join(f"a,{n},{time}\n" for n, time in enumerate(times))
    found = read_interactions(written(tmp_path, text)).times
    assert found.dtype.kind == "M"
    assert (found == np.array(expected, "datetime64")).all()


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_parquet_is_read_like_text(tmp_path: Path, zone: str | None) -> None:
    pytest.importorskip("pyarrow", reason='needs pip install "vecrecall[arrow]"')
    path = tmp_path / "log.parquet"
    times = pd.to_datetime(["2020-06-01T10:00", "2020-06-01T11:00"]).tz_localize("UTC")
    times = times.tz_convert(zone)
    pd.DataFrame({"user": [1, 2], "item": ["07", "7"], "time": times}).to_parquet(path)
    found = read_interactions(path)
    assert (found.users, found.items) == ([1, 2], ["07", "7"])
    assert (found.times == np.array(["2020-06-01T10", "2020-06-01T11"], "datetime64")).all()


def test_ids_are_texts_where_asked_for(tmp_path: Path) -> None:
    log = written(tmp_path, "user,item,time\n1,7,1\n2,8,1\n")
    films = written(tmp_path, "item,year\n7,1999\n007,2000\n", "films.csv")
    assert (read_interactions(log).users, read_interactions(log).items) == ([1, 2], [7, 8])
    clicks = read_interactions(log, text_ids=True)
    assert (clicks.users, clicks.items) == (["1", "2"], ["7", "8"])
    items = read_attributes(films)
    assert items.keys == ["7", "007"]
    RecommenderData(clicks, items=items)
    with pytest.raises(TypeError, match="items: the interactions have keys like 7, the attr"):
        RecommenderData(read_interactions(log), items=items)
    seven = written(tmp_path, "item,year\n7,1999\n", "seven.csv")
    assert read_attributes(seven).keys == [7]
    assert read_attributes(seven, text_ids=True).keys == ["7"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("", None, "no interactions in the file"),
        ("user,item,time\n", None, "no interactions in the file"),
        ("user,film,time\na,b,1\n", None, "no column 'item'; expected user, item, time and opti"),
        (LOG, {"user": "who"}, "no column 'who'; expected who, item, time and optionally weight"),
        (LOG, {"weight": "stars"}, "no column 'stars'; expected user, item, time and optionally"),
        (LOG + "cy,z,nan\n", None, "expected a number or an ISO 8601 date as time, got 'nan' in"),
        (LOG + "cy,z,\n", None, "as time, got nothing in data row 4"),
        (LOG + "cy,z,inf\n", None, "as time, got 'inf' in data row 4"),
        (LOG + ",z,1\n", None, "no user in data row 4"),
        (LOG + "cy,,1\n", None, "no item in data row 4"),
        (LOG, {"weight": "user"}, "expected a finite number as user, got 'ann' in data row 1"),
        ("user,item,time,weight\na,x,1,2\na,y,1,\n", None, "as weight, got nothing in data row 2"),
        ("user,item,time\na,b,1,2,3\n", None, "no longer than the header"),
        ("user,item,time\na,b,1\na,b,1,2\n", None, "Expected 3 fields in line 3, saw 4"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, columns: dict[str, str] | None, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=r"log\.csv") as raised:
        read_interactions(path, columns)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_missing_time_in_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason='needs pip install "vecrecall[arrow]"')
    path = tmp_path / "log.parquet"
    pd.DataFrame({"user": [1, 2], "item": [1, 2], "time": [1.0, np.nan]}).to_parquet(path)
    with pytest.raises(ValueError, match="as time, got nothing in data row 2"):
        read_interactions(path)


def test_names_of_what_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, LOG)
    expected = "columns: expected names for user, item, time, weight, got one for 'visitor'"
    with pytest.raises(ValueError, match=expected):
        read_interactions(path, {"visitor": "user"})
    with pytest.raises(TypeError, match="columns: expected a mapping, got list"):
        read_interactions(path, ["user"])  # type: ignore[arg-type]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_interactions(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"expected a name that ends in \.csv or \.tsv"):
        read_interactions(written(tmp_path, LOG, "log.txt"))
    with pytest.raises(ValueError, match=r"log\.csv\.gz"):
        read_interactions(written(tmp_path, LOG, "log.csv.gz"))
    with pytest.raises(ValueError, match="codec"):
        read_interactions(written(tmp_path, b"user,item,time\n\xff,x,1\n"))


ITEMS = "item,title,tags,price\nx,Alien,a|b,1.5\ny,,,\nz,NA, a || b|,2\n"


def test_attributes(tmp_path: Path) -> None:
    path = written(tmp_path, ITEMS)
    found = read_attributes(path, lists={"tags": "|"}, numbers=["price"])
    assert found.keys == ["x", "y", "z"]
    assert found.columns == {
        "title": ["Alien", "", "NA"],
        "tags": [["a", "b"], [], ["a", "b"]],
        "price": [1.5, None, 2.0],
    }
    assert read_attributes(path).columns["tags"] == ["a|b", "", " a || b|"]
    assert read_attributes(path).columns["price"] == ["1.5", "", "2"]


def test_chosen_attributes(tmp_path: Path) -> None:
    path = written(tmp_path, ITEMS)
    assert read_attributes(path, columns=["title"]).columns == {"title": ["Alien", "", "NA"]}
    found = read_attributes(path, "item", {"labels": "tags"}, lists={"labels": "|"})
    assert found.columns == {"labels": [["a", "b"], [], ["a", "b"]]}
    assert read_attributes(path, columns=[]).columns == {}


def test_attributes_in_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason='needs pip install "vecrecall[arrow]"')
    path = tmp_path / "items.parquet"
    frame = pd.DataFrame(
        {
            "item": [3, 1],
            "title": ["Alien", None],
            "tags": [["a", None, "", "b"], None],
            "year": pd.array([1979, None], "Int64"),
            "price": [np.nan, 1.5],
            "new": [True, False],
        }
    )
    frame.to_parquet(path)
    expected = {
        "title": ["Alien", ""],
        "tags": [["a", "b"], []],
        "year": [1979, None],
        "price": [None, 1.5],
        "new": [True, False],
    }
    for options in ({}, {"lists": {"tags": "|"}, "numbers": ["year", "price"]}):
        found = read_attributes(path, **options)  # type: ignore[arg-type]
        assert found.keys == [3, 1]
        assert found.columns == expected


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "items.csv: no attributes in the file"),
        ("item,title\n", {}, "items.csv: no attributes in the file"),
        (ITEMS, {"key": "user"}, "no column 'user'; expected user, item, title, tags, price; got"),
        (ITEMS, {"columns": {"a": "b"}}, "no column 'b'; expected item, b; got item, title, tags"),
        (ITEMS + "x,Again,,\n", {}, "items.csv: duplicate item 'x' in data rows 1 and 4"),
        (ITEMS + ",Up,,\n", {}, "items.csv: no item in data row 4"),
        (ITEMS, {"numbers": ["title"]}, "a finite number as title, got 'Alien' in data row 1"),
        (ITEMS + "a,,,nan\n", {"numbers": ["price"]}, "number as price, got 'nan' in data row 4"),
        (ITEMS + "a,,,inf\n", {"numbers": ["price"]}, "number as price, got 'inf' in data row 4"),
        (ITEMS, {"lists": {"genre": "|"}}, "lists: expected columns that are read, title, tags, "),
        (ITEMS, {"columns": ["tags"], "numbers": ["price"]}, "numbers: expected columns that are"),
        (ITEMS, {"lists": {"tags": ""}}, "lists['tags']: expected what separates entries, got ''"),
        (ITEMS + "a,b,c,1,2\n", {}, "items.csv: "),
    ],
)
def test_bad_attributes(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        read_attributes(written(tmp_path, text, "items.csv"), **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_one_text_is_no_list_of_names(tmp_path: Path) -> None:
    path = written(tmp_path, ITEMS)
    with pytest.raises(TypeError, match="numbers: expected several names, got the text 'price'"):
        read_attributes(path, numbers="price")
    with pytest.raises(TypeError, match="columns: expected several names, got the text 'price'"):
        read_attributes(path, columns="price")
    with pytest.raises(TypeError, match="lists: expected a mapping to separators, got list"):
        read_attributes(path, lists=["tags"])  # type: ignore[arg-type]


def test_a_list_of_numbers_is_no_text(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason='needs pip install "vecrecall[arrow]"')
    path = tmp_path / "items.parquet"
    pd.DataFrame({"item": [1], "tags": [5]}).to_parquet(path)
    with pytest.raises(
        ValueError, match="expected a text or a list as tags, got int in data row 1"
    ):
        read_attributes(path, lists={"tags": "|"})


def test_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    for read in (read_interactions, read_attributes):
        with pytest.raises(ImportError) as raised:
            read(written(tmp_path, LOG))
        assert str(raised.value) == (
            f"{read.__name__} needs pandas: pip install 'vecrecall[pandas]'"
        )


def test_read_data_join(tmp_path: Path) -> None:
    """An item of the log may have no attributes, and the other way around."""
    log = read_interactions(written(tmp_path, LOG))
    items = read_attributes(
        written(tmp_path, "item,tags\ny,a b\nq,c\n", "i.csv"), lists={"tags": " "}
    )
    data = RecommenderData(log, items=items)
    assert isinstance(data.items, Attributes)
    assert data.items.column("tags", log.items, default=[]) == [[], ["a", "b"], ["a", "b"]]
