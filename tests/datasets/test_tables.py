"""Interactions, attributes, graphs: what they check, and how they join."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecrecall.datasets import Attributes, Interactions, RecommenderData, Triples

DAY = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")


def test_columns_become_lists_and_arrays() -> None:
    found = Interactions(np.array([1, 2]), ("x", "y"), [5, 5], [1, 2.5], "here")
    assert (found.users, found.items, found.source) == ([1, 2], ["x", "y"], "here")
    assert found.times.tolist() == [5, 5]
    assert found.weights is not None
    assert found.weights.dtype == np.float32
    assert len(found) == 2
    assert repr(found) == "Interactions(2 rows, here)"


def test_no_interactions() -> None:
    assert len(Interactions([], [], [])) == 0


@pytest.mark.parametrize(
    "times",
    [[2**60, 2**60 + 1], DAY, DAY + np.timedelta64(1, "ns"), [0.5, -1.5], np.array([1, 2], "u1")],
    ids=["integers", "dates", "nanoseconds", "floats", "bytes"],
)
def test_times_stay_exact(times: Any) -> None:
    found = Interactions([1, 2], [1, 2], times).times
    assert found.tolist() == np.asarray(times).tolist()


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"items": ["x"]}, ValueError, "items: expected 2 rows, got 1"),
        ({"times": [1]}, ValueError, "times: expected 2 rows, got 1"),
        ({"weights": [1.0]}, ValueError, "weights: expected 2 rows, got 1"),
        ({"users": ["ann", None]}, ValueError, "users: expected a key in each row, got None in"),
        ({"items": ["x", []]}, TypeError, "items: expected hashable keys, got list in row 1"),
        ({"times": [1, np.nan]}, ValueError, "times: expected a finite number, got nan in row 1"),
        ({"times": [1, None]}, ValueError, "times: expected a finite number, got None in row 1"),
        ({"times": ["1", 2]}, TypeError, "times: expected numbers, or dates"),
        (
            {"times": np.array(["2020", "NaT"], "datetime64[s]")},
            ValueError,
            "times: expected a time, got NaT in row 1",
        ),
        ({"weights": [1, np.inf]}, ValueError, "weights: expected a finite number, got inf in row"),
        ({"users": "ab"}, TypeError, "users: expected a column, got str"),
    ],
)
def test_bad_interactions(columns: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {"users": ["ann", "bob"], "items": ["x", "y"], "times": [1, 2]}
    with pytest.raises(error) as raised:
        Interactions(**(good | columns))
    assert message in str(raised.value)


def test_attributes_by_other_keys() -> None:
    films = Attributes(["x", "y"], {"tags": (["a"], []), "year": np.array([1999, 2000])})
    assert films.column("year") == [1999, 2000]
    assert films.column("year", ["y", "?", "x", "y"]) == [2000, None, 1999, 2000]
    assert films.column("tags", ["?"], default=[]) == [[]]
    assert films.column("tags", []) == []
    assert repr(films) == "Attributes(2 keys, tags, year)"
    with pytest.raises(KeyError, match="no column 'title'; the columns are 'tags', 'year'"):
        films.column("title")


def test_a_column_is_a_copy() -> None:
    films = Attributes(["x"], {"year": [1]})
    films.column("year").append(2)
    assert films.column("year") == [1]


@pytest.mark.parametrize(
    ("keys", "columns", "error", "message"),
    [
        (["x", "y", "x"], {}, ValueError, "keys: duplicate key 'x' in rows 0 and 2"),
        (["x", None], {}, ValueError, "keys: expected a key in each row, got None in row 1"),
        (["x"], {"year": [1, 2]}, ValueError, "year: expected 1 row, got 2"),
        (["x"], {"title": "x"}, TypeError, "title: expected a column, got str"),
        (["x"], [[1]], TypeError, "columns: expected a mapping of names to columns, got list"),
    ],
)
def test_bad_attributes(keys: Any, columns: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        Attributes(keys, columns)
    assert message in str(raised.value)


def test_columns_of_other_libraries() -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    pl = pytest.importorskip("polars", reason="needs polars")
    for times in (pd.Series(DAY), pa.array(DAY), pl.Series(DAY), pa.chunked_array([DAY])):
        assert (Interactions([1, 2], pl.Series([3, 4]), times).times == DAY).all()
    zoned = Interactions([1, 2], [3, 4], pd.Series(DAY).dt.tz_localize("Asia/Tokyo")).times
    assert (zoned == (DAY - np.timedelta64(9, "h")).astype("datetime64[s]").astype(float)).all()
    for times in (pa.array([DAY[0], None]), pl.Series([DAY[0], None])):
        with pytest.raises(ValueError, match="times: expected a time, got NaT in row 1"):
            Interactions([1, 2], [3, 4], times)
    films = Attributes(pa.array(["x", "y"]), {"tags": pa.array([["a"], None])})
    assert films.column("tags", pd.Series(["y", "x"])) == [None, ["a"]]


def test_relations_are_followed_both_ways() -> None:
    graph = Triples([*"abxaa"], ["by", "by", "of", "by", "to"], [*"xxbxy"])
    assert graph.tails_of("by") == {"a": ["x"], "b": ["x"]}
    assert graph.tails_of("by", "of") == {"a": ["x"], "b": ["x"]}
    assert graph.tails_of("of", "by") == {"x": ["a", "b"]}
    for names in (("?", None), ("by", "?")):
        with pytest.raises(KeyError, match=r"no triple has the relation '\?'"):
            graph.tails_of(*names)
    with pytest.raises(ValueError, match="tails: expected 1 row, got 2"):
        Triples(["a"], ["r"], ["b", "c"])


def test_relations_of_items() -> None:
    data = RecommenderData(
        Interactions([1, 1], [7, 8], [1, 1]),
        items=Attributes([8, 7, 9, 6], {}),
        graph=Triples(["a", "c"], ["by", "to"], ["x", "x"]),
        links={7: "a", 8: "not in the graph", 6: "c"},
    )
    assert data.related("by") == [[], ["x"], [], []]
    assert data.related("by", items=[7, 5]) == [["x"], []]
    assert data.related("by", items=np.array([7, 5])) == [["x"], []]
    assert data.related("by", items=[]) == []


def test_nothing_to_follow() -> None:
    clicks = Interactions([1], [7], [1])
    with pytest.raises(ValueError, match="no graph with links"):
        RecommenderData(clicks).related("by")
    graph = Triples(["a"], ["by"], ["x"])
    with pytest.raises(ValueError, match="items: expected a column"):
        RecommenderData(clicks, graph=graph, links={}).related("by")


def test_attributes_of_unknown_items_and_items_without() -> None:
    """New items have attributes alone; others have interactions alone."""
    data = RecommenderData(
        Interactions(["ann", "ann"], ["x", "bare"], [1, 2]),
        items=Attributes(["x", "new"], {"tags": [["a"], ["b"]]}),
    )
    assert data.items is not None
    assert data.items.column("tags", data.interactions.items, default=[]) == [["a"], []]


@pytest.mark.parametrize("which", ["users", "items"])
def test_keys_of_two_types_are_no_unknown_keys(which: str) -> None:
    clicks = Interactions([1, 2], [1, 2], [1, 2])
    with pytest.raises(TypeError, match=f"{which}: the interactions have keys like 1, the attr"):
        RecommenderData(clicks, **{which: Attributes(["1", "2"], {})})  # type: ignore[arg-type]
    RecommenderData(clicks, **{which: Attributes([], {})})  # type: ignore[arg-type]


def test_a_short_representation() -> None:
    data = RecommenderData(
        Interactions([1], [7], [1]),
        items=Attributes([7], {"year": [1]}),
        graph=Triples(["a"], ["by"], ["x"]),
        links={7: "a"},
    )
    assert repr(data) == (
        "RecommenderData(Interactions(1 rows), items=Attributes(1 keys, year), "
        "graph=Triples(1 triples), links of 1 items)"
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"interactions": [1, 2]}, "interactions: expected Interactions, got list"),
        ({"items": {"year": [1999]}}, "items: expected Attributes, got dict"),
        ({"graph": [("x", "by", "Scott")]}, "graph: expected Triples, got list"),
    ],
)
def test_tables_of_another_kind(parts: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"interactions": Interactions(["ann"], ["x"], [1])}
    with pytest.raises(TypeError, match=message):
        RecommenderData(**(good | parts))
