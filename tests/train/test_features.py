"""Attributes: three kinds of columns, what is missing, unknown or wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vecrecall.train import Features
from vecrecall.train._feature_codes import MISSING, UNKNOWN, Encoding


def test_kinds_are_told_by_values() -> None:
    found = Features(
        [1, 2],
        {
            "age": [30, 41.5],
            "size": np.array([1, 2], np.int16),
            "city": ["Rome", None],
            "member": [True, False],
            "tags": [["a"], None],
            "rows": [np.array([1, 2]), np.array([3])],
            "zip": [123, 456],
            "nothing": [None, math.nan],
        },
        kinds={"zip": "category"},
    )
    assert found.kinds == {
        **{"age": "number", "size": "number", "city": "category", "member": "category"},
        **{"tags": "categories", "rows": "categories", "zip": "category", "nothing": "category"},
    }
    assert len(found) == 2
    assert repr(Features([1])) == "<Features of 1 keys, no columns>"


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"age": [1.0, math.nan]}, ValueError, "age: expected a finite number, got nan in row 1"),
        ({"age": [None, 2]}, ValueError, "age: expected a finite number, got None in row 0"),
        (
            {"age": np.array([1, np.inf])},
            ValueError,
            "age: expected a finite number, got inf in row 1",
        ),
        ({"age": [1]}, ValueError, "age: expected 2 rows, got 1"),
        ({"age": 5}, TypeError, "age: expected a column, got int"),
        ({"tags": [["a"], "b"]}, TypeError, "tags: expected lists, got str in row 1"),
        ({"tags": [["a"], [{}]]}, TypeError, "tags: expected hashable keys, got dict in row 1"),
        ({1: [1, 2]}, TypeError, "columns: expected names, got 1"),
        ([1, 2], TypeError, "columns: expected columns by name, got list"),
    ],
)
def test_a_bad_column_is_named(columns: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("[", r"\[")):
        Features(["x", "y"], columns)


def test_bad_keys_and_kinds_are_errors() -> None:
    with pytest.raises(ValueError, match="keys: duplicate key 'x' in rows 0 and 1"):
        Features(["x", "x"], {})
    with pytest.raises(ValueError, match="keys: expected a key in each row, got None in row 0"):
        Features([None, "x"])
    with pytest.raises(ValueError, match="kinds: expected names of columns, got other"):
        Features(["x"], {"age": [1]}, kinds={"other": "number"})
    with pytest.raises(ValueError, match="expected one of 'category', 'categories', 'number'"):
        Features(["x"], {"age": [1]}, kinds={"age": "float"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="age: expected a finite number, got nan in row 0"):
        Features(["x"], {"age": [math.nan]}, kinds={"age": "number"})


def encoding_of(features: Features, most: int = 100) -> Encoding:
    return Encoding.of(features.keys, features, most)


def test_numbers_are_standardized() -> None:
    values = [10.0, 20.0, 60.0]
    features = Features(["a", "b", "c"], {"age": values})
    found = encoding_of(features).encode(["c", "a", "new"], features).numbers
    expected = (np.array([60.0, 10.0]) - 30) / np.std(values)
    np.testing.assert_allclose(found[:2, 0], expected, rtol=1e-6)
    assert found[2, 0] == 0  # without attributes: the mean


def test_numbers_keep_what_float32_would_round() -> None:
    """Milliseconds since 1970 are 131,072 apart in float32."""
    features = Features(range(3), {"published": [1_700_000_000_000 + k for k in range(3)]})
    found = encoding_of(features).encode([0, 1, 2], features).numbers[:, 0]
    np.testing.assert_allclose(found, np.array([-1, 0, 1]) / np.std([0, 1, 2]), atol=1e-3)


@pytest.mark.parametrize("values", [[3, 3], [0, 1e-200], [0.1 + 0.2] * 2])
def test_a_constant_says_nothing_later_either(values: list[float]) -> None:
    features = Features(["a", "b"], {"same": values})
    encoding = encoding_of(features)
    assert not encoding.encode(["a", "b"], features).numbers.any()
    assert not encoding.encode(["c"], Features(["c"], {"same": [9]})).numbers.any()


def test_missing_and_unknown_values_have_rows_of_their_own() -> None:
    features = Features(["a", "b"], {"city": ["Rome", None], "tags": [["x", "y"], []]})
    encoding = encoding_of(features)
    rome, none = encoding.encode(["a", "b"], features).codes[:, 1:].tolist()
    assert none == [MISSING, MISSING, 0]
    assert rome == [3, 3, 4]  # each column has a table of its own
    later = Features(["c"], {"city": ["Oslo"], "tags": [["y", "z", "x"]]})
    assert encoding.encode(["c"], later).codes.tolist() == [[UNKNOWN, UNKNOWN, rome[2], UNKNOWN]]
    assert encoding.encode(["a"], None).codes[0, 1:].tolist() == [MISSING, MISSING, 0]


def test_rare_values_of_a_huge_category_are_unknown() -> None:
    n = 100_000
    values = [f"v{k}" for k in range(n)]
    features = Features(range(2 * n), {"huge": values + values[:10] * (n // 10)})
    encoding = Encoding.of(None, features, 1_000)
    codes = encoding.encode(features.keys, features).codes[:, 0]
    assert encoding.fields[0].n_rows == 1_003
    assert (codes[:10] > MISSING).all()
    assert (codes[1_000:n] == UNKNOWN).all()


def test_columns_are_those_of_training() -> None:
    features = Features(["a"], {"city": ["Rome"]})
    encoding = encoding_of(features)
    with pytest.raises(ValueError, match="got age"):
        encoding.encode(["a"], Features(["a"], {"age": [1]}))
    with pytest.raises(ValueError, match="got none named city"):
        encoding.encode(["a"], Features(["a"], {}))


def test_a_column_without_values_is_of_the_kind_of_training() -> None:
    """A new item may lack all tags: nothing in the column tells that it holds lists."""
    features = Features(["a", "b"], {"tags": [["x"], []], "city": ["Rome", "Oslo"], "age": [1, 2]})
    encoding = encoding_of(features)
    lacking = Features(["new"], {"tags": [None], "city": [None], "age": [1.5]})
    assert encoding.encode(["new"], lacking).codes.tolist() == [[UNKNOWN, MISSING, MISSING]]
    no_rows = Features([], {"tags": [], "city": [], "age": []})
    assert encoding.encode(["a"], no_rows).codes[0, 1:].tolist() == [MISSING, MISSING]
    without_age = Features(["a"], {"tags": [[]], "city": ["x"], "age": [None]})
    with pytest.raises(ValueError, match="age: expected a finite number, got None in row 0"):
        encoding.encode(["a"], without_age)
    other_kind = Features(["a"], {"tags": [None], "city": [["Rome"]], "age": [1]})
    with pytest.raises(ValueError, match=r"got city \(categories\)"):
        encoding.encode(["a"], other_kind)


@pytest.mark.parametrize("values", [[0, 1e-37], [0, 1]])
def test_a_number_far_from_those_of_training_is_finite(values: list[float]) -> None:
    features = Features(["a", "b"], {"size": values})
    far = Features(["c", "d"], {"size": [3e38, -3e38]})
    assert encoding_of(features).encode(["c", "d"], far).numbers.tolist() == [[1e6], [-1e6]]


def test_an_encoding_is_json() -> None:
    import json

    keys = ["a", 7, (1, "b"), b"c"]
    features = Features(
        keys, {"age": [1, 2, 3, 4], "city": ["x", None, 5, "y"], "t": [[1], [], [2], []]}
    )
    encoding = encoding_of(features)
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    for one, two in zip(encoding.encode(keys, features), again.encode(keys, features), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_data_frame_is_its_columns(library: str) -> None:
    frames = pytest.importorskip(library, reason=f"needs {library}")
    columns = {"age": [24.0, 53.0], "city": ["Rome", None], "tags": [["tea"], []]}
    frame = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[library]
    found = Features(["ann", "bob"], getattr(frames, frame)(columns))
    plain = Features(["ann", "bob"], columns)
    assert found.kinds == plain.kinds
    assert found.columns["age"].tolist() == [24.0, 53.0]
    assert found.columns["city"] == plain.columns["city"]
    assert found.columns["tags"] == plain.columns["tags"]


def test_a_category_that_has_no_hash_is_named() -> None:
    """A tuple has one only if all in it have."""
    with pytest.raises(TypeError, match=r"^v: expected hashable keys, got tuple in row 1"):
        Features(["a", "b"], {"v": [(1, 2), (1, [3])]}, kinds={"v": "category"})


@pytest.mark.parametrize(
    ("kinds", "error", "match"),
    [
        (["number"], TypeError, r"^kinds: expected a mapping of columns, got list"),
        (5, TypeError, r"^kinds: expected a mapping of columns, got int"),
        ("number", TypeError, r"^kinds: expected a mapping of columns, got str"),
        ({"v": ""}, ValueError, r"^kinds\['v'\]: expected one of .*, got ''"),
        ({"v": None}, TypeError, r"^kinds\['v'\]: expected one of .*, got NoneType"),
        ({5: "number"}, ValueError, r"^kinds: expected names of columns, got 5"),
    ],
)
def test_kinds_of_another_form(kinds: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Features(["x"], {"v": [1]}, kinds=kinds)
