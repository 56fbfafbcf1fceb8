"""`vr.Vocabulary` compared with a dict: keys to ids and back, from whatever holds keys."""

from __future__ import annotations

import copy
import enum
import itertools
import pickle
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.arrays import _key_table

ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates and null characters too
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "str": ANY_TEXT,
    "bytes": st.binary(max_size=20),
    "int": st.integers(-(2**63), 2**63 - 1),
    "UUID": st.uuids(),
}
kinds = pytest.mark.parametrize("kind", KEYS)


class Model:
    """A model of a vocabulary, by a dict."""

    def __init__(self) -> None:
        self.ids: dict[Any, int] = {}

    def add(self, keys: list[Any]) -> list[int]:
        return [self.ids.setdefault(key, len(self.ids)) for key in keys]


def check(vocabulary: vr.Vocabulary, model: Model, strangers: list[Any]) -> None:
    known = list(model.ids)
    assert len(vocabulary) == len(known)
    assert list(vocabulary) == known
    assert [type(key) for key in vocabulary] == [type(key) for key in known]
    assert vocabulary.keys(np.arange(len(known))) == known
    assert vocabulary.ids(known).tolist() == list(range(len(known)))
    asked = [*strangers, *known[::-2], *strangers]
    expected = [model.ids.get(key, -1) for key in asked]
    assert vocabulary.ids(asked, missing="ignore").tolist() == expected
    for key in asked[:5]:
        assert (key in vocabulary) == (key in model.ids)


@pytest.fixture(params=["all bits", "two bits of a hash"])
def hashing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few hashes nearly all keys share one with others."""
    whole = _key_table.hash_keys
    if request.param != "all bits":
        monkeypatch.setattr(_key_table, "hash_keys", lambda *given: whole(*given) & np.uint64(3))


@kinds
@pytest.mark.usefixtures("hashing")
@given(data=st.data())
def test_as_a_dict(kind: str, data: st.DataObject) -> None:
    rows = st.lists(KEYS[kind], max_size=12)
    model, vocabulary = Model(), vr.Vocabulary()
    for step in range(data.draw(st.integers(1, 6))):
        keys = data.draw(rows)
        keys += data.draw(st.permutations([*keys, *list(model.ids)[:3]]))
        if step == 0 and keys:
            unique = list(dict.fromkeys(keys))
            vocabulary = vr.Vocabulary(unique)
            model.add(unique)
        ids = vocabulary.add(keys)
        assert ids.dtype == np.int64
        assert ids.tolist() == model.add(keys)
        check(vocabulary, model, data.draw(rows))
    for same in (pickle.loads(pickle.dumps(vocabulary)), copy.deepcopy(vocabulary)):
        check(same, model, data.draw(rows))
        assert same.add(list(model.ids)).tolist() == list(range(len(model.ids)))


@pytest.mark.usefixtures("hashing")
def test_keys_that_are_nearly_equal() -> None:
    """Of all lengths around those of words, with another byte at any place."""
    keys = ["", "\0", "\0\0", "a\0", "a"]
    for length in (7, 8, 9, 15, 16, 17, 40):
        text = "x" * length
        keys += [text, *(text[:i] + "y" + text[i + 1 :] for i in range(length))]
    keys = list(dict.fromkeys(keys))
    vocabulary = vr.Vocabulary(keys)
    assert vocabulary.ids(keys[::-1]).tolist() == list(range(len(keys)))[::-1]
    others = [key + "z" for key in keys if key + "z" not in keys]
    assert (vocabulary.ids(others, missing="ignore") == -1).all()


def test_a_long_key_among_short_ones() -> None:
    long = "ö" * 300_000
    vocabulary = vr.Vocabulary(["a", long, "b"])
    assert vocabulary.ids([long, "b", long[:-1]], missing="ignore").tolist() == [1, 2, -1]
    assert vocabulary.keys([1]) == [long]


def test_many_keys(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """In more than one step of everything, and with additions of every size."""
    monkeypatch.setattr(_key_table, "STEP", 1000)
    monkeypatch.setattr(_key_table, "_COPIED_BYTES", 500)
    monkeypatch.setattr("vecrecall.search._vocabulary._ITERATED", 700)
    keys = [f"item {i * 7919 % 100_003}" for i in range(20_000)]
    model, vocabulary = Model(), vr.Vocabulary()
    start = 0
    for size in (1, 2, 1, 500, 1, 1, 1, 9000, 3, 40, 10_000):
        some = keys[start : start + size]
        assert vocabulary.add(some).tolist() == model.add(some)
        start += size
        sizes = [len(table) for table in vocabulary._state.tables]
        assert all(a >= 2 * b for a, b in itertools.pairwise(sizes))
    asked = [keys[i] for i in rng.integers(0, start, 30_000)]
    assert vocabulary.ids(asked).tolist() == [model.ids[key] for key in asked]
    assert list(vocabulary) == keys[:start]
    ids = rng.integers(0, start, 5000)
    assert vocabulary.keys(ids) == [keys[i] for i in ids]


@kinds
def test_what_a_key_takes(kind: str) -> None:
    make: dict[str, Callable[[int], Any]] = {
        "str": lambda i: f"ключ {i:04d}",  # 13 bytes in UTF-8
        "bytes": lambda i: b"%013d" % i,
        "int": int,
        "UUID": lambda i: uuid.UUID(int=i),
    }
    width = {"str": 13, "bytes": 13, "int": 8, "UUID": 16}[kind]
    grown, keys = vr.Vocabulary(), [make[kind](i) for i in range(1000)]
    for start in range(0, 1000, 10):
        grown.add(keys[start : start + 10])
    for vocabulary in (grown, vr.Vocabulary(keys)):
        tables = vocabulary._state.tables
        taken = sum(array.nbytes for table in tables for array in table)
        assert taken == 1000 * (width + 24) + 16 * len(tables)


def pandas_of(keys: list[Any], dtype: Any = None) -> Any:
    return pytest.importorskip("pandas").Series(keys, dtype=dtype, index=range(5, 5 + len(keys)))


def arrow_of(keys: list[Any], kind: str | None = None) -> Any:
    pa = pytest.importorskip("pyarrow")
    return pa.array(keys, None if kind is None else getattr(pa, kind)())


def polars_of(keys: list[Any], dtype: str | None = None) -> Any:
    pl = pytest.importorskip("polars")
    return pl.Series(keys, dtype=None if dtype is None else getattr(pl, dtype))


def chunked(keys: list[Any]) -> Any:
    pa = pytest.importorskip("pyarrow")
    return pa.chunked_array([keys[:2], [], keys[2:]], pa.string())


TEXTS = ["tea", "", "Grüße", "jam", "a longer key than a word", "茶", "x\0y"]
ASCII = ["tea", "", "milk", "jam", "a longer key than a word", "x\0y"]
TEXT_HOLDERS: dict[str, Callable[[list[str]], Any]] = {
    "tuple": tuple,
    "generator": iter,
    "dict view": lambda keys: dict.fromkeys(keys).keys(),
    "numpy": np.array,
    "numpy, every second": lambda keys: np.repeat(np.array(keys), 2)[::2],
    "numpy, swapped": lambda keys: np.array(keys).astype(np.array(keys).dtype.newbyteorder()),
    "numpy objects": lambda keys: np.array(keys, object),
    "numpy strings": lambda keys: np.array(keys, np.dtypes.StringDType()),
    "numpy text in a list": lambda keys: list(map(np.str_, keys)),
    "pandas objects": lambda keys: pandas_of(keys, object),
    "pandas strings": lambda keys: pandas_of(keys, "string"),
    "pandas arrow": lambda keys: pandas_of(keys, "string[pyarrow]"),
    "pandas category": lambda keys: pandas_of(keys, "category"),
    "pandas index": lambda keys: pytest.importorskip("pandas").Index(keys),
    "arrow": arrow_of,
    "arrow, a slice": lambda keys: arrow_of(["before", *keys, "behind"])[1:-1],
    "arrow large": lambda keys: arrow_of(keys, "large_string"),
    "arrow view": lambda keys: arrow_of(keys, "string_view"),
    "arrow dictionary": lambda keys: arrow_of(keys).dictionary_encode(),
    "arrow chunks": chunked,
    "polars": polars_of,
    "polars, a slice": lambda keys: polars_of(["before", *keys])[1:],
    "polars category": lambda keys: polars_of(keys, "Categorical"),
}


@pytest.mark.parametrize("texts", [TEXTS, ASCII], ids=["any", "ascii"])
@pytest.mark.parametrize("holder", TEXT_HOLDERS)
def test_text_from_everywhere(holder: str, texts: list[str]) -> None:
    if holder == "numpy strings" and not hasattr(np, "dtypes"):
        pytest.skip("this NumPy has no such strings")
    held = TEXT_HOLDERS[holder](texts)
    vocabulary = vr.Vocabulary(held)
    assert list(vocabulary) == texts
    assert {type(key) for key in vocabulary} == {str}
    held = TEXT_HOLDERS[holder](texts[::-1])
    assert vocabulary.ids(held).tolist() == list(range(len(texts)))[::-1]


UUIDS = [uuid.UUID(int=i * 2**100 + 5) for i in range(5)]
OTHERS: dict[str, tuple[list[Any], Callable[[list[Any]], Any]]] = {
    "bytes, numpy": ([b"a", b"bc", b""], np.array),
    "bytes, arrow": ([b"a", b"bc", b"\xff\0"], arrow_of),
    "bytes, large arrow": ([b"a", b"bc", b""], lambda keys: arrow_of(keys, "large_binary")),
    "bytes, polars": ([b"a", b"bc", b""], polars_of),
    "bytes of one width": (
        [b"ab", b"cd"],
        lambda keys: arrow_of(keys).cast(pytest.importorskip("pyarrow").binary(2)),
    ),
    "ints, numpy": ([5, -1, 2**63 - 1], np.array),
    "ints, small": ([5, 1, 200], lambda keys: np.array(keys, np.uint8)),
    "ints, swapped": ([5, 1, 200], lambda keys: np.array(keys, ">i4")),
    "ints, numpy in a list": ([5, -1], lambda keys: list(map(np.int32, keys))),
    "ints, range": ([5, 6, 7], lambda keys: range(5, 8)),
    "ints, pandas": ([5, -1], pandas_of),
    "ints, pandas with a mask": ([5, -1], lambda keys: pandas_of(keys, "Int64")),
    "ints, arrow": ([5, -1], arrow_of),
    "ints, polars": ([5, -1], polars_of),
    "UUIDs, numpy": (UUIDS, lambda keys: np.array(keys, object)),
    "UUIDs, pandas": (UUIDS, pandas_of),
    "UUIDs, arrow": (
        UUIDS,
        lambda keys: arrow_of([key.bytes for key in keys]).cast(
            pytest.importorskip("pyarrow").uuid()
        ),
    ),
    "UUIDs, polars": (UUIDS, lambda keys: polars_of(keys, "Object")),
}


@pytest.mark.parametrize("holder", OTHERS)
def test_other_keys_from_everywhere(holder: str) -> None:
    keys, hold = OTHERS[holder]
    vocabulary = vr.Vocabulary(hold(keys))
    assert list(vocabulary) == keys
    assert {type(key) for key in vocabulary} == {type(keys[0])}
    assert vocabulary.ids(hold(keys)).tolist() == list(range(len(keys)))


def test_subclasses_count_as_their_base() -> None:
    class Color(str, enum.Enum):
        RED = "red"

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "loud"

        def __len__(self) -> int:
            return 99

    vocabulary = vr.Vocabulary([Color.RED, Loud("ü"), Loud("b")])
    assert list(vocabulary) == ["red", "ü", "b"]
    assert vocabulary.ids(["b", "red"]).tolist() == [2, 0]
    assert list(vr.Vocabulary([*enum.IntEnum("Size", "S"), 7])) == [1, 7]


EMPTY: dict[str, Any] = {
    "list": [],
    "tuple": (),
    "iterator": iter([]),
    "numpy": np.array([]),
    "numpy text": np.array([], "U3"),
    "numpy integers": np.array([], np.int64),
}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
def test_no_keys(empty: Any) -> None:
    vocabulary = vr.Vocabulary(empty)
    assert len(vocabulary) == 0
    assert list(vocabulary) == []
    assert repr(vocabulary) == "Vocabulary(0 keys)"
    assert "a" not in vocabulary
    assert vocabulary.ids([]).dtype == np.int64
    assert vocabulary.ids(["a"], missing="ignore").tolist() == [-1]
    assert vocabulary.keys([-1]) == [None]
    assert vocabulary.add([5]).tolist() == [0]  # the kind is free until then
    assert repr(vocabulary) == "Vocabulary(1 int key)"
    assert vocabulary.ids([]).tolist() == []
    assert vocabulary.add([]).tolist() == []


def test_empty_columns() -> None:
    for held in (arrow_of([], "string"), chunked([]), polars_of([], "String")):
        assert len(vr.Vocabulary(held)) == 0
    assert len(vr.Vocabulary(pandas_of([], "string"))) == 0


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "none": (None, TypeError, "a sequence of str, bytes, int or uuid.UUID keys, got NoneType"),
    "a str": ("tea", TypeError, "a sequence of .* keys, got str"),
    "bytes": (b"tea", TypeError, "a sequence of .* keys, got bytes"),
    "a number": (5, TypeError, "a sequence of .* keys, got int"),
    "a set": ({"a"}, TypeError, "a sequence of .* keys, got set"),
    "a dict": ({"a": 1}, TypeError, "a sequence of .* keys, got dict"),
    "floats": ([1.5], TypeError, "str, bytes, int or uuid.UUID keys, got float at place 0"),
    "nan": (["a", float("nan")], TypeError, "got a missing value at place 1"),
    "none in a list": (["a", None], TypeError, "got a missing value at place 1"),
    "a bool": ([1, True], TypeError, "got bool at place 1"),
    "tuples": ([("a", 1)], TypeError, "got tuple at place 0"),
    "lists": ([["a"]], TypeError, "got list at place 0"),
    "an object": ([object()], TypeError, "got object at place 0"),
    "a bytearray": ([bytearray(b"a")], TypeError, "got bytearray at place 0"),
    "mixed": (["a", "b", 1], TypeError, "keys of one kind, got str at place 0 and int at place 2"),
    "str and bytes": ([b"a", "a"], TypeError, "got bytes at place 0 and str at place 1"),
    "str and UUID": ([str(UUIDS[0]), UUIDS[0]], TypeError, "got str at place 0 and UUID at place"),
    "large": ([1, 2**63], ValueError, "integers that fit int64, got 9223372036854775808 at place"),
    "small": ([-(2**63) - 1], ValueError, "integers that fit int64, got -9223372036854775809"),
    "large unsigned": (np.array([2**63], np.uint64), ValueError, "integers that fit int64"),
    "two axes": (np.array([["a"]]), ValueError, r"a row of keys, got shape \(1, 1\)"),
    "no axis": (np.array("a"), ValueError, r"a row of keys, got shape \(\)"),
    "float array": (np.ones(3), TypeError, "got dtype float64"),
    "bool array": (np.ones(3, bool), TypeError, "got dtype bool"),
    "times": (np.zeros(3, "M8[s]"), TypeError, r"got dtype datetime64\[s\]"),
    "durations": ([np.timedelta64(1, "s")], TypeError, "got timedelta64 at place 0"),
    "masked": (np.ma.masked_array(["a"]), TypeError, "got a masked array"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_key(bad: str) -> None:
    keys, error, message = BAD[bad]
    vocabulary = vr.Vocabulary(["a"])
    for call in (vr.Vocabulary, vocabulary.add, vocabulary.ids):
        with pytest.raises(error, match=f"^keys: expected .*{message}"):
            call(keys)
    assert list(vocabulary) == ["a"]


def test_columns_with_missing_values() -> None:
    pandas = pytest.importorskip("pandas")
    for column in (
        arrow_of(["a", None]),
        arrow_of(["before", "a", None])[1:],
        polars_of(["a", None]),
        pandas.Series(["a", None], dtype="string"),
        pandas.Series(["a", None], dtype=object),
        pandas.Series([1, pandas.NA], dtype="Int64"),
        pandas.Series(["a", None], dtype="category"),
    ):
        with pytest.raises(TypeError, match=r"^keys: expected .*got a missing value at place 1"):
            vr.Vocabulary(column)
    for other in (arrow_of([1.5]), arrow_of([True]), arrow_of([["a"]]), polars_of([1.5])):
        with pytest.raises(
            TypeError, match=r"^keys: expected str, bytes, int or uuid.UUID keys, g"
        ):
            vr.Vocabulary(other)
    for table in (pandas.DataFrame({"a": ["b"]}), pytest.importorskip("polars").DataFrame()):
        with pytest.raises(TypeError, match=r"^keys: expected a column of .*, got DataFrame"):
            vr.Vocabulary(table)


@pytest.mark.usefixtures("hashing")
def test_a_key_that_stands_twice() -> None:
    with pytest.raises(ValueError, match=r"^keys: duplicate key 'b' at places 1 and 3$"):
        vr.Vocabulary(["a", "b", "c", "b", "c"])
    with pytest.raises(ValueError, match=r"^keys: duplicate key b'' at places 0 and 1$"):
        vr.Vocabulary([b"", b""])


def test_unknown_keys_and_ids() -> None:
    vocabulary = vr.Vocabulary(["a", "b"])
    message = "keys: expected keys of the vocabulary, got 'x' at place 1"
    with pytest.raises(KeyError, match=message):
        vocabulary.ids(["a", "x", "y"])
    for wrong in ([0, 2], [-2], [2**62]):
        with pytest.raises(KeyError, match=f"ids: expected ids .* from 0 to 1, got {wrong[-1]}"):
            vocabulary.keys(wrong)
    with pytest.raises(TypeError, match=r"^ids: expected integers, got"):
        vocabulary.keys(["a"])
    with pytest.raises(ValueError, match=r"^ids: expected a row of integers, got shape \(1, 1\)"):
        vocabulary.keys([[1]])
    with pytest.raises(ValueError, match=r"^missing: expected one of 'raise', 'ignore', got 'no'"):
        vocabulary.ids(["a"], missing="no")  # type: ignore[arg-type]


def test_keys_of_another_kind() -> None:
    vocabulary = vr.Vocabulary(["a", "5"])
    for keys, kind in (([5], "int"), ([b"a"], "bytes"), (UUIDS, "UUID")):
        for call in (vocabulary.add, vocabulary.ids):
            with pytest.raises(TypeError, match=f"^keys: expected str keys as .*, got {kind}$"):
                call(keys)
        assert keys[0] not in vocabulary
    for strange in (None, 1.5, ["a"], ("a",), {"a": 1}, object(), np.array(["a"])):
        assert strange not in vocabulary
    assert len(vocabulary) == 2


@pytest.mark.usefixtures("hashing")
def test_encode() -> None:
    vocabulary = vr.Vocabulary(["a", "b", "c"])
    rows = [["c", "x"], [], ("a",), np.array(["b", "b"]), {"c"}]
    found = vocabulary.encode(rows, missing="ignore")
    assert [row.tolist() for row in found] == [[2], [], [0], [1, 1], [2]]
    assert found.values.dtype == found.offsets.dtype == np.int64
    lists = [["c"], [], ["a", "b"]]
    for held in (
        lists,
        arrow_of(lists),
        arrow_of([["z"], *lists, ["z"]])[1:-1],
        pytest.importorskip("pyarrow").chunked_array([lists[:1], lists[1:]]),
        polars_of(lists),
        pandas_of(lists),
    ):
        assert [row.tolist() for row in vocabulary.encode(held)] == [[2], [], [0, 1]]
    assert len(vocabulary.encode([])) == 0
    assert [row.tolist() for row in vr.Vocabulary().encode([[], []])] == [[], []]
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    seen = vocabulary.encode([["b"]])
    assert vocabulary.decode(index.search([[1, 3, 2]], 2, exclude=seen)) == [[("c", 2), ("a", 1)]]


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ("ab", TypeError, "lists: expected a sequence of rows of keys, got str"),
        (5, TypeError, "lists: expected a sequence of rows of keys, got int"),
        ({"a": ["b"]}, TypeError, "lists: expected a sequence of rows of keys, got dict"),
        (["ab"], TypeError, "lists: expected rows of keys, got str as row 0"),
        ([["a"], None], TypeError, "lists: expected rows of keys, got NoneType as row 1"),
        ([["a"], 5], TypeError, "lists: expected rows of keys, got int as row 1"),
        ([["a"], [5]], TypeError, "lists: expected keys of one kind, got str at place 0 and int"),
        (
            [["a"], ["x"]],
            KeyError,
            "lists: expected keys of the vocabulary, got 'x' at place 0 of row 1",
        ),
        ([[5]], TypeError, "lists: expected str keys as the vocabulary has, got int"),
    ],
)
def test_lists_that_are_none(lists: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        vr.Vocabulary(["a"]).encode(lists)


def expected_lists(result: Any, names: list[Any]) -> list[list[tuple[Any, float]]]:
    """Decode in a loop."""
    return [
        [(names[i], float(s)) for i, s in zip(ids, scores, strict=True) if i >= 0]
        for ids, scores in zip(result.ids, result.scores, strict=True)
    ]


class Lists(NamedTuple):
    ids: Any
    scores: Any


@kinds
def test_decode(kind: str, rng: np.random.Generator) -> None:
    make: dict[str, Callable[[int], Any]] = {
        "str": lambda i: f"item {i}" + "ß" * (i % 3),
        "bytes": lambda i: b"x" * i,
        "int": lambda i: 10**12 - i,
        "UUID": lambda i: uuid.UUID(int=i),
    }
    names = [make[kind](i) for i in range(60)]
    vocabulary = vr.Vocabulary(names[:20])
    for start in (20, 25, 26):
        vocabulary.add(names[start:])  # in several tables
        vocabulary.add(names[: start + 5])
    index = vr.FlatIndex(rng.standard_normal((60, 4)), metric="cosine")
    queries = rng.standard_normal((7, 4))
    queries[3] = 0  # an empty list
    found = index.search(queries, 5, min_score=0.5)
    merged = vr.merge({"a": found, "b": index.search(queries, 9)}, 70, vr.policies.RRF())
    results: list[Any] = [
        found,
        index.search(queries, 100),
        index.search(queries[:0], 3),
        index.search_above(queries, 0.7),
        index.neighbors(3),
        merged,
        vr.merge_groups(found, [0, 2, 7], 4),
    ]
    for result in results:
        expected = expected_lists(result, names)
        decoded = vocabulary.decode(result)
        assert decoded == expected
        assert {type(score) for row in decoded for _, score in row} <= {float}
        if isinstance(result.ids, np.ndarray):
            for row, ids, scores in zip(expected, result.ids, result.scores, strict=True):
                assert vocabulary.decode(Lists(ids, scores)) == row
        keys = vocabulary.decode(result, scores=False)
        assert keys == [[key for key, _ in row] for row in expected]


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (None, TypeError, "result: expected a result with ids and scores, got NoneType"),
        (np.zeros((1, 1)), TypeError, "result: expected a result with ids and scores, got ndarray"),
        (Lists(5, 1.0), TypeError, "result: expected a result .*, got Lists"),
        (Lists(np.zeros(()), np.zeros(())), TypeError, "result: expected a result .*, got Lists"),
        (Lists(np.zeros((1, 3), int), np.zeros((1, 2))), TypeError, "result: expected a result"),
        (Lists(np.zeros((1, 3)), np.zeros((1, 3))), TypeError, "result: expected integers"),
        (Lists(np.array([[0, 7]]), np.zeros((1, 2))), KeyError, "result: expected ids .*, got 7"),
        (Lists(np.array([[0, -2]]), np.zeros((1, 2))), KeyError, "result: expected ids .*, got -2"),
    ],
)
def test_results_that_are_none(result: Any, error: type[Exception], message: str) -> None:
    vocabulary = vr.Vocabulary(["a"])
    with pytest.raises(error, match=message):
        vocabulary.decode(result)
    with pytest.raises(TypeError, match=r"^scores: expected True or False, got"):
        vocabulary.decode(result, scores=1)  # type: ignore[arg-type]


def test_pickles_leave_their_bytes_out_of_band() -> None:
    vocabulary = vr.Vocabulary([f"item {i}" for i in range(5000)])
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(vocabulary, protocol=5, buffer_callback=buffers.append)
    assert len(small) < 2000
    assert sum(buffer.raw().nbytes for buffer in buffers) > 5000 * 30
    same = pickle.loads(small, buffers=buffers)
    assert list(same) == list(vocabulary)
    assert np.shares_memory(same._state.tables[0].text, vocabulary._state.tables[0].text)
    assert same.add(["new"]).tolist() == [5000]
    assert len(vocabulary) == 5000


def test_what_arrives_is_checked() -> None:
    restore, (kind, arrays) = vr.Vocabulary(["a", "bc"]).__reduce__()
    for changed, message in (
        ({"order": np.array([0, 2])}, "order: expected numbers below 2"),
        ({"order": np.array([0, -1])}, "order: expected numbers below 2"),
        ({"offsets": np.array([0, 4, 3])}, "offsets: expected those of str keys"),
        ({"offsets": [0, 1, 3]}, "offsets: expected a row of int64, got None"),
        ({"offsets": np.array([0, 1, 2])}, "offsets: expected 0 first and 3 last, got 0 and 2"),
        ({"offsets": np.array([0, 3])}, "offsets: expected 3"),
        ({"hashes": np.zeros(1, np.uint64)}, "offsets: expected 3 and as many hashes"),
        ({"text": np.zeros(5, np.uint8)}, "offsets: expected 0 first and -3 last"),
        ({"text": np.zeros((2, 2), np.uint8)}, "text: expected a row of uint8"),
        ({"hashes": np.zeros(2)}, "hashes: expected a row of uint64, got float64"),
    ):
        with pytest.raises(ValueError, match=message):
            restore(kind, {**arrays, **changed})
    restore, (kind, three) = vr.Vocabulary(["a", "bc", "d"]).__reduce__()
    with pytest.raises(ValueError, match="offsets: expected those of str keys"):
        restore(kind, {**three, "offsets": np.array([0, 2**62 + 2**61, -(2**62) - 2**61, 4])})
    for wrong in ("int", "UUID", "float", 5, ["str"]):
        with pytest.raises(ValueError, match=r"^(offsets|keys): expected"):
            restore(wrong, arrays)
    with pytest.raises(ValueError, match="order: expected numbers below 2 of keys of a kind"):
        restore(None, arrays)
    with pytest.raises(ValueError, match="arrays: expected"):
        restore(kind, {"text": arrays["text"]})


def test_lookups_during_additions() -> None:
    """Every thread sees whole additions, and ids that stay."""
    vocabulary, model = vr.Vocabulary(), Model()
    batches = [[f"{i} {j}" for j in range(i % 60 + 1)] for i in range(150)]
    ended = threading.Event()

    def look() -> int:
        turns = 0
        while not ended.is_set():
            n = len(vocabulary)
            keys = vocabulary.keys(np.arange(n))
            assert vocabulary.ids(keys).tolist() == list(range(n))
            last = batches[-1] if n == 0 else batches[int(keys[-1].split()[0])]
            assert (vocabulary.ids(last, missing="ignore") >= 0).all() == (n > 0)
            turns += 1
        return turns

    def add(which: int) -> None:
        for batch in batches[which::2]:
            assert len(set(vocabulary.add(batch).tolist())) == len(batch)

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(look), pool.submit(look)]
        writers = [pool.submit(add, 0), pool.submit(add, 1)]
        try:
            for writer in writers:
                writer.result()
        finally:
            ended.set()
        assert all(reader.result() > 0 for reader in readers)
    model.add([key for batch in batches for key in batch])
    assert sorted(vocabulary) == sorted(model.ids)
    in_order = Model()
    in_order.add(list(vocabulary))
    check(vocabulary, in_order, ["x"])


def test_a_path_is_needed(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^path: expected a str or a path, got int"):
        vr.Vocabulary(["a"]).save(5)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        vr.Vocabulary.load(tmp_path)


def test_decode_says_what_the_result_says() -> None:
    """Counts, not ids or scores, tell where a list ends."""
    items = np.eye(4, dtype=np.float32)
    vocabulary = vr.Vocabulary(["a", "b", "c", "d"])
    found = vr.FlatIndex(items).search(items[:2], 3)
    found.counts[:] = [1, 2]
    keys = [[(f"{'abcd'[i]}", score) for i, score in one] for one in found.to_list()]
    assert vocabulary.decode(found) == keys
    assert [len(one) for one in keys] == [1, 2]
    assert vocabulary.decode(vr.SearchResult([[1, 2]], [[1.0, 0.5]], [2])) == [
        [("b", 1.0), ("c", 0.5)]
    ]


def test_missing_values_of_a_dictionary() -> None:
    pa = pytest.importorskip("pyarrow")
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None]))
    with pytest.raises(TypeError, match=r"keys: expected .*, got a missing value at place 1"):
        vr.Vocabulary(column)
