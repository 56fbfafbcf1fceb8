"""Columns of any library: what trainers make of them, and how they refuse them."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.train import _columns as of

DATES = [datetime.datetime(1970, 1, 2), datetime.datetime(2026, 5, 1, 12, 30, 15)]
SECONDS = [86400.0, (DATES[1] - datetime.datetime(1970, 1, 1)).total_seconds()]
EAST = datetime.timezone(datetime.timedelta(hours=2))


def as_arrow(values: list[Any]) -> Any:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    return pyarrow.chunked_array([values[:1], values[1:]])


def as_pandas(values: list[Any]) -> Any:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    return pandas.Series(values, index=range(7, 7 + len(values)))


def as_polars(values: list[Any]) -> Any:
    polars = pytest.importorskip("polars", reason="needs polars")
    return polars.Series(values)


LIBRARIES = [list, tuple, iter, np.array, as_arrow, as_pandas, as_polars]
FRAMES = [as_arrow, as_pandas, as_polars]


@pytest.mark.parametrize("column", LIBRARIES)
@pytest.mark.parametrize("values", [["b", "a", "b"], [3, -1, 2**62], [0.5, 2.0, -0.0]])
def test_keys_are_python_objects(column: Any, values: list[Any]) -> None:
    found = of.check_keys(column(values), "users", 3)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("column", [list, *FRAMES])
def test_a_missing_key_is_named(column: Any) -> None:
    with pytest.raises(ValueError, match=r"^users: expected a key in each row, got .* in row 1$"):
        of.check_keys(column(["a", None]), "users")


@pytest.mark.parametrize("missing", [np.nan, float("nan"), np.float32("nan")])
def test_nan_is_no_key(missing: float) -> None:
    with pytest.raises(ValueError, match=r"^users: expected a key in each row, got nan in row 2$"):
        of.check_keys(["a", "b", missing], "users")


def test_keys_that_have_no_hash() -> None:
    with pytest.raises(TypeError, match=r"^users: expected hashable keys, got list in row 1$"):
        of.check_keys([(1, 2), [1, 2]], "users")


@pytest.mark.parametrize(
    ("column", "got"),
    [
        ("abc", "str"),
        (b"abc", "bytes"),
        ({"a": 1}, "dict"),
        ({1, 2}, "set"),
        (5, "int"),
        (None, "NoneType"),
        (np.array(5), r"shape \(\)"),
        (np.ones((2, 3)), r"shape \(2, 3\)"),
    ],
)
def test_no_column(column: Any, got: str) -> None:
    for check in (of.check_keys, of.check_numbers, of.check_times, of.check_lists, of.check_texts):
        with pytest.raises(TypeError, match=rf"^x: expected (a|one) column, got {got}$"):
            check(column, "x")


def test_a_data_frame_is_no_column() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    with pytest.raises(TypeError, match=r"^x: expected one column, got shape \(2, 1\)$"):
        of.check_keys(pandas.DataFrame({"a": [1, 2]}), "x")


@pytest.mark.parametrize(
    "check", [of.check_keys, of.check_numbers, of.check_times, of.check_optional_keys]
)
def test_lengths(check: Any) -> None:
    for column in ([1, 2], np.arange(2)):
        with pytest.raises(ValueError, match=r"^items: expected 3 rows, got 2$"):
            check(column, "items", 3)


@pytest.mark.parametrize("column", LIBRARIES)
@pytest.mark.parametrize("values", [[1, 2, -3], [0.25, 1e30, -7.5], [True, False, True]])
def test_numbers(column: Any, values: list[Any]) -> None:
    found = of.check_numbers(column(values), "x", 3)
    assert found.dtype == np.float32
    assert found.tolist() == np.array(values, np.float32).tolist()


@pytest.mark.parametrize("column", [list, np.array, as_pandas, as_polars, as_arrow])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1e39])
def test_numbers_that_are_not_finite(column: Any, wrong: float) -> None:
    with pytest.raises(ValueError, match=r"^age: expected a finite number, got .* in row 2$"):
        of.check_numbers(column([1.0, 2.0, wrong, 3.0]), "age")


@pytest.mark.parametrize("column", [list, as_arrow, as_polars, as_pandas])
def test_a_missing_number(column: Any) -> None:
    with pytest.raises(ValueError, match=r"^age: expected a finite number, got .* in row 1$"):
        of.check_numbers(column([1.5, None, 2.5]), "age")


def test_a_missing_number_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    with pytest.raises(ValueError, match=r"^age: expected a finite number, got <NA> in row 1$"):
        of.check_numbers(pandas.array([1, None], "Int64"), "age")


@pytest.mark.parametrize(
    ("values", "got"), [(["1"], "str"), ([1 + 2j], "complex"), ([b"1"], "bytes"), ([[1]], "list")]
)
def test_no_numbers(values: list[Any], got: str) -> None:
    with pytest.raises(TypeError, match=rf"^age: expected numbers, got {got} in row 0$"):
        of.check_numbers(values, "age")


def test_a_number_of_too_many_digits() -> None:
    with pytest.raises(ValueError, match=r"^age: expected a finite number, got inf in row 1$"):
        of.check_numbers([1, 10**400], "age")


@pytest.mark.parametrize("column", [list, as_arrow, as_pandas, as_polars])
def test_dates_are_seconds(column: Any) -> None:
    assert of.check_times(column(DATES), "times", 2).tolist() == SECONDS


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_numpy(unit: str) -> None:
    assert of.check_times(np.array(DATES, f"M8[{unit}]"), "times").tolist() == SECONDS


@pytest.mark.parametrize("column", [list, as_arrow, as_pandas, as_polars])
def test_zones(column: Any) -> None:
    there = [date.replace(tzinfo=datetime.timezone.utc).astimezone(EAST) for date in DATES]
    assert of.check_times(column(there), "times").tolist() == SECONDS


def test_days() -> None:
    days = [datetime.date(1970, 1, 3), datetime.date(1969, 12, 31)]
    assert of.check_times(days, "times").tolist() == [2 * 86400, -86400]


def test_times_as_numbers_keep_their_digits() -> None:
    seconds = [1_767_225_600, 1_767_225_601]  # float32 has the same number for both
    for column in (seconds, np.array(seconds)):
        assert of.check_times(column, "times").tolist() == seconds


@pytest.mark.parametrize("column", [list, np.array, as_arrow, as_pandas, as_polars])
def test_a_missing_time(column: Any) -> None:
    values = np.array([*DATES, None], "M8[us]") if column is np.array else column([*DATES, None])
    with pytest.raises(ValueError, match=r"^times: expected a time, got NaT in row 2$"):
        of.check_times(values, "times")


def test_dates_among_other_things() -> None:
    with pytest.raises(TypeError, match=r"^times: expected dates, got int in row 1$"):
        of.check_times([DATES[0], 5], "times")
    with pytest.raises(
        TypeError,
        match=r"^times: expected numbers, or dates .*, got timedelta in row 0$",
    ):
        of.check_times([datetime.timedelta(1)], "times")


LISTS = [["a", "b"], [], ["c"]]


@pytest.mark.parametrize("column", [list, tuple, as_arrow, as_pandas, as_polars])
def test_lists(column: Any) -> None:
    assert of.check_lists(column(LISTS), "tags", 3) == LISTS


def test_lists_of_other_kinds() -> None:
    rows = vr.Ragged.from_lists([[3, 1], [], [2]])
    assert of.check_lists(rows, "tags") == [[3, 1], [], [2]]
    assert of.check_lists([np.array([1, 2]), (3,), iter("ab")], "tags") == [[1, 2], [3], ["a", "b"]]
    assert of.check_lists([["a"], None, float("nan")], "tags") == [["a"], [], []]


@pytest.mark.parametrize("column", [as_arrow, as_pandas, as_polars])
def test_a_missing_list_is_empty(column: Any) -> None:
    assert of.check_lists(column([["a"], None]), "tags") == [["a"], []]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_key_in_a_list(missing: Any) -> None:
    match = rf"^tags: expected a key, got {missing!r} in row 1, place 2$"
    with pytest.raises(ValueError, match=match):
        of.check_lists([["a"], ["b", "c", missing]], "tags")


def test_no_lists() -> None:
    with pytest.raises(TypeError, match=r"^tags: expected lists, got str in row 1$"):
        of.check_lists([["a"], "abc"], "tags")
    with pytest.raises(TypeError, match=r"^tags: expected hashable keys, got dict in row 0, plac"):
        of.check_lists([["a", {}]], "tags")


def test_texts() -> None:
    assert of.check_texts(np.array(["", "ä"]), "titles", 2) == ["", "ä"]
    for wrong, got in ((None, "NoneType"), (5, "int"), (b"a", "bytes")):
        with pytest.raises(TypeError, match=rf"^titles: expected texts, got {got} in row 1$"):
            of.check_texts(["a", wrong], "titles")


def test_keys_that_may_be_missing() -> None:
    assert of.check_optional_keys(["a", None, float("nan")], "genre") == ["a", None, None]
    with pytest.raises(TypeError, match=r"^genre: expected hashable keys, got list in row 1$"):
        of.check_optional_keys([None, []], "genre")


def test_unique() -> None:
    of.check_unique(["a", 1, "1"], "ids")
    with pytest.raises(ValueError, match=r"^ids: duplicate key 'a' in rows 0 and 2$"):
        of.check_unique(["a", "b", "a"], "ids")


def test_numbers_of_keys() -> None:
    numbering = of.numbering(["b", "a", "b", "c"])
    assert numbering == {"b": 0, "a": 1, "c": 2}
    assert of.number(["c", "?", "b"], numbering).tolist() == [2, -1, 0]


def test_tuples_of_what_has_no_hash() -> None:
    with pytest.raises(TypeError, match=r"^ids: expected hashable keys, got tuple in row 1$"):
        of.check_keys(["a", ("b", [1])], "ids")
    with pytest.raises(TypeError, match=r"^ids: expected hashable keys, got tuple in row 1$"):
        of.check_optional_keys(["a", ("b", [1])], "ids")
    with pytest.raises(TypeError, match=r"^tags: expected hashable keys, got tuple in row 0, plac"):
        of.check_lists([[("b", [1])]], "tags")


def test_scalars_of_other_libraries() -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    words = pyarrow.array(["a", "b"])
    assert of.check_keys(list(words), "ids") == ["a", "b"]
    assert of.check_lists([words, list(words)], "tags") == [["a", "b"]] * 2
    with pytest.raises(ValueError, match=r"^ids: expected a key in each row, got None in row 0"):
        of.check_keys([pyarrow.scalar(None)], "ids")
    with pytest.raises(ValueError, match=r"^tags: expected a key, got None in row 0, place 1"):
        of.check_lists([pyarrow.array(["a", None])], "tags")


def test_tensors_are_numbers() -> None:
    torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')
    assert of.check_keys(torch.tensor([3, 3]), "ids") == [3, 3]
    assert of.check_keys(list(torch.tensor([3, 3])), "ids") == [3, 3]
    assert of.check_lists([torch.tensor([1, 1])], "tags") == [[1, 1]]


@pytest.mark.parametrize("check", [of.check_numbers, of.check_counts, of.check_times])
@pytest.mark.parametrize("kind", ["i8", "f4"])
def test_masked_numbers_are_missing(check: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=r"^x: expected a finite number, got None in row 1"):
        check(np.ma.array([1, 2], kind, mask=[False, True]), "x")


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_in_lists_and_under_masks(unit: str) -> None:
    days = np.array(["1970-01-02", "1970-01-03"], f"M8[{unit}]")
    assert of.check_times(list(days), "x").tolist() == [86400, 2 * 86400]
    assert of.check_times(np.ma.array(days), "x").tolist() == [86400, 2 * 86400]
    with pytest.raises(ValueError, match=r"^x: expected a time, got NaT in row 1"):
        of.check_times(np.ma.array(days, mask=[False, True]), "x")
    with pytest.raises(ValueError, match=r"^x: expected a time, got NaT in row 0"):
        of.check_times([np.datetime64("NaT", unit), days[0]], "x")
