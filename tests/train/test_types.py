"""Types of users and items: bins and categories, and users without history end to end."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pickle
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.train import Embedding, Types, sequences, user_sequences

AGES = [18, 25, 40, 61]
COUNTRIES = ["FR", "FR", None, "IN"]


def test_bins_and_categories() -> None:
    types = Types.fit("user", {"age": AGES, "country": COUNTRIES}, bins={"age": 2})
    assert types == Types("user", ("age", "country"), {"age": (32.5,)})
    assert types.assign({"age": AGES, "country": COUNTRIES}) == [
        ("user", 0, "FR"),
        ("user", 0, "FR"),
        ("user", 1, None),
        ("user", 1, "IN"),
    ]
    # Values below, above, on an edge, and of no country that is known.
    found = types.assign({"country": ["??", float("nan"), "FR"], "age": [-5, 32.5, 1e9]})
    assert found == [("user", 0, "??"), ("user", 1, None), ("user", 1, "FR")]


@pytest.mark.parametrize("bins", [1, 2, 3, 5, 10, 100])
def test_bins_are_of_equal_size(bins: int) -> None:
    numbers = np.random.default_rng(0).standard_normal(1000)
    types = Types.fit("item", {"x": numbers}, bins={"x": bins})
    labels = np.array([row[1] for row in types.assign({"x": numbers})])
    sizes = np.bincount(labels, minlength=bins)
    assert sizes.size == bins
    assert sizes.max() - sizes.min() <= 1
    order = np.argsort(numbers)
    assert (np.diff(labels[order]) >= 0).all()


def test_equal_numbers_share_a_bin() -> None:
    numbers = [1] * 90 + [2] * 9 + [3]
    types = Types.fit("item", {"x": numbers}, bins={"x": 10})
    labels = [row[1] for row in types.assign({"x": numbers})]
    assert labels == [0] * 90 + [1] * 10
    assert [row[1] for row in types.assign({"x": [-9, 1, 2, 9]})] == [0, 0, 1, 1]


def test_a_constant_column_has_one_bin() -> None:
    types = Types.fit("item", {"x": [7] * 20}, bins={"x": 5})
    assert set(types.assign({"x": [7, -1e30, 1e30]})) == {("item", 0)}


def test_numbers_keep_their_digits() -> None:
    """Ids of float32 would be equal."""
    years = [1_767_225_600, 1_767_225_601, 1_767_225_602, 1_767_225_603]
    types = Types.fit("item", {"time": years}, bins={"time": 4})
    assert [row[1] for row in types.assign({"time": years})] == [0, 1, 2, 3]


def test_dates() -> None:
    days = [datetime.date(2026, 1, day) for day in (1, 2, 30, 31)]
    types = Types.fit("item", {"born": days}, bins={"born": 2})
    assert [row[1] for row in types.assign({"born": np.array(days, "M8[D]")})] == [0, 0, 1, 1]


def test_frames() -> None:
    columns = {"age": AGES, "country": COUNTRIES}
    expected = Types.fit("user", columns, bins={"age": 2})
    labels = expected.assign(columns)
    for name, frame in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "table")):
        library = pytest.importorskip(name, reason=f"needs {name}")
        table = getattr(library, frame)(columns)
        assert Types.fit("user", table, bins={"age": 2}) == expected
        assert expected.assign(table) == labels


def test_types_from_json() -> None:
    types = Types.fit("user", {"age": AGES, "country": COUNTRIES}, bins={"age": 2})
    assert Types(**json.loads(json.dumps(dataclasses.asdict(types)))) == types


def test_types_are_told_apart_by_name() -> None:
    user, item = (Types.fit(name, {"x": ["a", "b"]}) for name in ("user", "item"))
    assert set(user.assign({"x": ["a"]})).isdisjoint(item.assign({"x": ["a"]}))
    assert pickle.loads(pickle.dumps(user)) == user


@pytest.mark.parametrize(
    ("columns", "bins", "error", "match"),
    [
        ({"age": [1.0, float("nan")]}, {"age": 2}, ValueError, r"^age: .* got nan in row 1"),
        ({"age": [1.0, None]}, {"age": 2}, ValueError, r"^age: .* got None in row 1"),
        (
            {"age": ["x", 1]},
            {"age": 2},
            TypeError,
            r"^age: expected numbers, or dates .*, got str in row 0",
        ),
        ({"c": [["a"]]}, {}, TypeError, r"^c: expected hashable keys, got list in row 0"),
        ({"a": [1, 2], "b": [1]}, {}, ValueError, r"^b: expected 2 rows, got 1"),
        ({"a": [1]}, {"b": 2}, ValueError, r"^bins: expected names of columns, got 'b'"),
        ({"a": [1]}, {"a": 0}, ValueError, r"^bins\['a'\]: expected a whole number >= 1"),
        ({}, {}, ValueError, r"^columns: expected at least one attribute"),
        ([1], {}, TypeError, r"^columns: expected columns by name, got list"),
        ({"a": "abc"}, {}, TypeError, r"^a: expected a column, got str"),
    ],
)
def test_wrong_columns(columns: Any, bins: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Types.fit("user", columns, bins=bins)


def test_wrong_arguments() -> None:
    types = Types.fit("user", {"age": AGES, "country": COUNTRIES}, bins={"age": 2})
    with pytest.raises(TypeError, match=r"^embedding: expected an Embedding, got dict"):
        types.vectors({}, {"age": [1], "country": ["a"]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^columns: expected 'country', got age"):
        types.assign({"age": [1]})
    with pytest.raises(TypeError, match=r"^name: expected a str, got int"):
        Types(5, ("a",), {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^columns: expected names, got 'age'"):
        Types("user", "age", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^bins: expected a mapping of columns, got int"):
        Types.fit("user", {"age": AGES}, bins=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^edges: expected names of columns, got 'b'"):
        Types("user", ("a",), {"b": (1.0,)})
    with pytest.raises(ValueError, match=r"^edges\['a'\]: expected ascending numbers"):
        Types("user", ("a",), {"a": (1.0, 1.0)})


def test_vectors_of_types_that_are_not_known() -> None:
    """The mean of those that agree in the first attributes, as far as there are any."""
    types = Types("user", ("age", "country"), {"age": (30.0,)})
    keys = [("user", 0, "FR"), ("user", 0, "IN"), ("user", 1, "FR"), ("item", 0, "FR"), "user"]
    e = Embedding(keys, [[2, 0, 0], [0, 3, 0], [0, 0, 1], [9, 9, 9], [5, 5, 5]])
    found = types.vectors(e, {"age": [20, 20, 40], "country": ["IN", "??", "??"]})
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[0, 1, 0], [half, half, 0], [0, 0, 1]], atol=1e-7)
    assert found.dtype == np.float32
    third = np.sqrt(1 / 3)
    without = Embedding([*keys[:2], ("user", 5, "FR")], np.eye(3))
    found = types.vectors(without, {"age": [40], "country": ["FR"]})
    np.testing.assert_allclose(found, [[third] * 3], atol=1e-7)
    none = types.vectors(Embedding(["a"], [[1, 2]]), {"age": [40, 20], "country": ["FR", "IN"]})
    assert none.tolist() == [[0, 0], [0, 0]]
    assert types.vectors(e, {"age": [], "country": []}).shape == (0, 3)


N_ITEMS = 60


def planted(seed: int) -> dict[str, Any]:
    """Three ages with 20 items each; three of four of a user's items are of the own age.

    Items of an age have a genre of their own and one of two that say nothing.
    """
    rng = np.random.default_rng(seed)
    ages = rng.integers(15, 75, 240)
    users, items, times = [], [], []
    for user, age in enumerate(ages):
        own = (age - 15) // 20 * 20 + rng.integers(0, 20, 12)
        taken = np.where(rng.random(12) < 0.75, own, rng.integers(0, N_ITEMS, 12))
        for step, item in enumerate(taken.tolist()):
            users.append(user)
            items.append(item)
            times.append(step + rng.random())
    return {"ages": ages, "users": users, "items": items, "times": times}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_user_without_history_finds_the_items_of_the_own_age(seed: int) -> None:
    """By chance 20 of 60 items are of the own age: a precision of 0.33."""
    pytest.importorskip("gensim", reason='needs pip install "vecrecall[train]"')
    log = planted(seed)
    types = Types.fit("user", {"age": log["ages"]}, bins={"age": 6})
    of_users = types.assign({"age": log["ages"]})
    lists = user_sequences(
        log["users"],
        [of_users[user] for user in log["users"]],
        log["items"],
        times=log["times"],
    )
    both = sequences(lists, dim=16, epochs=10, sample=0, learning_rate=0.05, seed=seed)
    items = Embedding(range(N_ITEMS), both.vectors(range(N_ITEMS)), metric=both.metric)
    channel = vr.channels.UserToItem(items.to_index(), vector="type")
    new = np.arange(16, 75)
    batch = vr.RequestBatch(vectors={"type": types.vectors(both, {"age": new})})
    found = channel.recall(batch, 10).ids
    assert (found // 20 == ((new - 15) // 20)[:, None]).mean() > 0.33 + 0.4


def test_types_of_items_stand_near_types_of_users() -> None:
    """As in the paper: lists of types alone."""
    pytest.importorskip("gensim", reason='needs pip install "vecrecall[train]"')
    log = planted(0)
    user_types = Types.fit("user", {"age": log["ages"]}, bins={"age": 3})
    item_types = Types.fit("item", {"genre": [item // 20 for item in range(N_ITEMS)]})
    of_users = user_types.assign({"age": log["ages"]})
    of_items = item_types.assign({"genre": [item // 20 for item in range(N_ITEMS)]})
    lists = user_sequences(
        log["users"],
        [of_users[user] for user in log["users"]],
        [of_items[item] for item in log["items"]],
        times=log["times"],
    )
    both = sequences(lists, dim=8, epochs=10, sample=0)
    assert len(both) == 6
    genres = both.vectors([("item", genre) for genre in range(3)])
    index = vr.FlatIndex(genres, metric="cosine")
    ages = both.vectors([("user", age) for age in range(3)])
    assert index.search(ages, 1).ids.ravel().tolist() == [0, 1, 2]


def test_a_huge_category(tmp_path: Any) -> None:
    """Rare values fall out of training; their users get the mean of those of the same age."""
    pytest.importorskip("gensim", reason='needs pip install "vecrecall[train]"')
    log = planted(3)
    n = len(log["ages"])
    columns = {"age": log["ages"], "zip": [f"zip {user}" for user in range(n)]}
    types = Types.fit("user", columns, bins={"age": 3})
    of_users = types.assign(columns)
    lists = user_sequences(
        log["users"], [of_users[user] for user in log["users"]], log["items"], times=log["times"]
    )
    both = sequences(lists, dim=16, epochs=5, sample=0, min_count=2)
    both.save(tmp_path)
    both = Embedding.load(tmp_path)
    found = types.vectors(both, {"age": [20, 70], "zip": ["zip of no user"] * 2})
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    items = Embedding(range(N_ITEMS), both.vectors(range(N_ITEMS)))
    first = items.to_index().search(found, 10).ids // 20
    assert (first == [[0], [2]]).mean() > 0.33 + 0.4


def test_more_bins_than_numbers_tell_all_apart() -> None:
    ages = [30, 10, 20, 10]
    types = Types.fit("user", {"age": ages}, bins={"age": 10**12})
    assert [bin for _, bin in types.assign({"age": [10, 20, 30]})] == [0, 1, 2]
    assert len(types.edges["age"]) < len(ages)


def test_vectors_of_something_else() -> None:
    types = Types.fit("user", {"age": [1, 2]})
    with pytest.raises(TypeError, match=r"^embedding: expected an Embedding, got ndarray"):
        types.vectors(np.eye(2), {"age": [1]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "edges", "error", "match"),
    [
        (("a",), [1], TypeError, r"^edges: expected a mapping of columns, got list"),
        (("a",), {"a": 5}, TypeError, r"^edges\['a'\]: expected numbers, got int"),
        (("a",), {"a": "xy"}, TypeError, r"^edges\['a'\]: expected numbers, got str"),
        (("a",), {"a": ("x",)}, TypeError, r"^edges\['a'\]: expected a number, got str"),
        (("a",), {"a": (float("nan"),)}, ValueError, r"^edges\['a'\]: expected .*, got NaN"),
        (("a",), {"a": (float("inf"),)}, ValueError, r"^edges\['a'\]: expected finite numbers"),
        (("a",), {"a": (2, 1)}, ValueError, r"^edges\['a'\]: expected ascending numbers"),
        (5, {}, TypeError, r"^columns: expected names, got int"),
        ((5,), {}, TypeError, r"^columns: expected names, got int"),
        (("a", "a"), {}, ValueError, r"^columns: expected different names"),
    ],
)
def test_types_made_by_hand(columns: Any, edges: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Types("u", columns, edges)
