"""Bad input to every public call: a TypeError or ValueError that names the argument.

Where the contract is silent on which of the two it is, or on the wording, both pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import replaced

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Call = Callable[[Any], Any]
BAD = (TypeError, ValueError)
D = 4


def items(n: int = 50, dtype: Any = np.float32) -> npt.NDArray[Any]:
    return np.random.default_rng(1).standard_normal((n, D)).astype(dtype)


def flat(**arguments: Any) -> vr.FlatIndex:
    given: dict[str, Any] = {"vectors": items(), **arguments}
    return vr.FlatIndex(given.pop("vectors"), given.pop("ids", None), **given)


def search(**arguments: Any) -> Any:
    given: dict[str, Any] = {"queries": items(3), "k": 5, **arguments}
    return flat().search(given.pop("queries"), given.pop("k"), **given)


def above(**arguments: Any) -> Any:
    given: dict[str, Any] = {"queries": items(3), "min_score": 0.0, **arguments}
    return flat().search_above(given.pop("queries"), given.pop("min_score"), **given)


def topk(**arguments: Any) -> Any:
    given: dict[str, Any] = {"queries": items(3), "items": items(), "k": 5, **arguments}
    return vr.topk(given.pop("queries"), given.pop("items"), given.pop("k"), **given)


def pool(**arguments: Any) -> Any:
    given: dict[str, Any] = {"table": items(), "rows": [[0, 1], [2]], **arguments}
    return vr.pool(given.pop("table"), given.pop("rows"), given.pop("weights", None), **given)


def result(**parts: Any) -> vr.SearchResult:
    """Three rows of two places, or what is given instead."""
    good = vr.SearchResult(
        np.array([[1, 2], [3, -1], [-1, -1]]),
        np.array([[2, 1], [1, -np.inf], [-np.inf, -np.inf]], np.float32),
        np.array([2, 1, 0], np.int32),
    )
    return replaced(good, **parts)  # type: ignore[no-any-return]


def merge_groups(**arguments: Any) -> Any:
    given: dict[str, Any] = {"result": result(), "groups": [0, 1, 3], "k": 2, **arguments}
    return vr.merge_groups(given.pop("result"), given.pop("groups"), given.pop("k"), **given)


def raises(argument: str, call: Call, value: Any, *also: str) -> None:
    """The call raises, and the message has the argument's name and these words (or `a|b`)."""
    with pytest.raises(BAD) as caught:
        call(value)
    message = str(caught.value)
    for word in (argument, *also):
        assert re.search(rf"(?<![\w.])({word})(?!\w|\.\d)", message), (word, message)


def test_the_good_arguments_are_good() -> None:
    assert len(flat()) == 50
    assert search().counts.tolist() == [5, 5, 5]
    assert topk().counts.tolist() == [5, 5, 5]
    assert pool().shape == (2, D)
    assert merge_groups().counts.tolist() == [2, 1]
    assert vr.merge_shards([result()], 2).counts.tolist() == [2, 1, 0]


# Every argument that takes vectors.
VECTORS: dict[str, tuple[str, Call]] = {
    "FlatIndex": ("vectors", lambda v: flat(vectors=v)),
    "FlatIndex borrowed": ("vectors", lambda v: flat(vectors=v, copy=False)),
    "search": ("queries", lambda v: search(queries=v)),
    "search_above": ("queries", lambda v: above(queries=v)),
    "score": ("queries", lambda v: flat().score(v, [[1]] * 50)),
    "topk queries": ("queries", lambda v: topk(queries=v)),
    "topk items": ("items", lambda v: topk(items=v)),
    "pool": ("table", lambda v: pool(table=v, rows=[list(range(50))])),
    "concat_blocks": ("blocks", lambda v: vr.concat_blocks([items(), v])),
}
vectors = pytest.mark.parametrize(("argument", "call"), VECTORS.values(), ids=VECTORS)


@vectors
def test_vectors_that_are_fine(argument: str, call: Call) -> None:
    for dtype in (np.float16, np.float32, np.float64, np.longdouble, ">f4", "<f8"):
        call(items(dtype=dtype))
    call(items().tolist())


WRONG_DTYPES: dict[str, str] = {
    "c8": "complex64",
    "c16": "complex128",
    "M8[s]": r"datetime64\[s\]",
    "m8[s]": r"timedelta64\[s\]",
    "U4": "<U4",
    "S4": r"\|S4",
    "O": "object",
}


@vectors
@pytest.mark.parametrize(("dtype", "words"), WRONG_DTYPES.items())
def test_wrong_dtypes(argument: str, call: Call, dtype: str, words: str) -> None:
    with pytest.raises(TypeError, match=rf"{argument}.*got dtype {words}"):
        call(np.ones((50, D), int).astype(dtype))


WRONG_THINGS: dict[str, Any] = {
    "objects": np.ones((50, D)).astype(object),
    "nothing": np.full((50, D), None),
    "text": np.full((50, D), "1.0"),
    "bytes": np.full((50, D), b"1.0"),
    "dates": np.zeros((50, D), "datetime64[s]"),
    "records": np.zeros(50, [("a", np.float32), ("b", np.float32)]),
    "records of two": np.zeros((50, D), [("a", np.float32)]),
    "ragged lists": [[1.0] * D] * 49 + [[1.0]],
    "ragged arrays": [np.ones(D), np.ones(D + 1)],
    "lists of text": [["a"] * D] * 50,
    "a string": "vectors",
    "none": None,
    "a number": 1.5,
    "a mapping": {"a": 1.0},
    "a set": {1.0, 2.0},
    "a generator": (float(i) for i in range(3)),
    "an object": object(),
    "masked": np.ma.masked_array(np.ones((50, D), np.float32), np.eye(50, D, dtype=bool)),
    "a Ragged": vr.Ragged(np.ones(5, np.float32), np.array([0, 2, 5])),
}


@vectors
@pytest.mark.parametrize("value", WRONG_THINGS.values(), ids=WRONG_THINGS)
def test_wrong_things(argument: str, call: Call, value: Any) -> None:
    raises(argument, call, value)


@vectors
def test_sparse_matrices(argument: str, call: Call) -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")
    raises(argument, call, sparse.csr_matrix(items()))
    raises(argument, call, sparse.csr_array(items()))


@vectors
@pytest.mark.parametrize("shape", [(), (D + 1,), (50,), (1, 50, D), (50, D, 1), (0,)])
def test_wrong_ranks(argument: str, call: Call, shape: tuple[int, ...]) -> None:
    raises(argument, call, np.ones(shape, np.float32))


@vectors
def test_width_zero(argument: str, call: Call) -> None:
    if argument != "blocks":
        raises(argument, call, np.empty((50, 0), np.float32))


@pytest.mark.parametrize("name", ["search", "search_above", "score", "topk queries"])
@pytest.mark.parametrize("d", [1, 3, 5, 8])
def test_wrong_widths(name: str, d: int) -> None:
    argument, call = VECTORS[name]
    raises(argument, call, np.ones((50, d), np.float32), str(d), str(D))


@vectors
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4"])
def test_not_finite(argument: str, call: Call, value: float, dtype: Any) -> None:
    for column in range(D):
        bad = items(dtype=dtype)
        bad[37, column] = bad[41, 0] = bad[49, 3] = value
        raises(argument, call, bad, "37")
        raises(argument, call, np.asfortranarray(bad), "37")


@vectors
@pytest.mark.parametrize("row", [0, 49])
def test_not_finite_in_the_first_or_last_row(argument: str, call: Call, row: int) -> None:
    bad = items()
    bad[row, D - 1] = np.nan
    raises(argument, call, bad, str(row))


OVERFLOW_FROM = 2.0**128 - 2.0**103  # half-way between the largest float32 and the next


@vectors
@pytest.mark.parametrize("value", [OVERFLOW_FROM, -OVERFLOW_FROM, 1e39, -1.7e308])
@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
def test_values_that_overflow_float32(argument: str, call: Call, value: float, dtype: Any) -> None:
    bad = items(dtype=dtype)
    bad[37, 2] = bad[41, 1] = value
    raises(argument, call, bad, "37")


@vectors
def test_values_that_just_do_not_overflow(argument: str, call: Call) -> None:
    good = items(dtype=np.float64)
    good[37, 2] = np.nextafter(OVERFLOW_FROM, 0)
    good[38, 2] = -np.nextafter(OVERFLOW_FROM, 0)
    good[39, 2] = 1e-300
    call(good)


def test_a_value_that_just_does_not_overflow_is_the_largest() -> None:
    good = np.full((1, 1), np.nextafter(OVERFLOW_FROM, 0))
    assert vr.FlatIndex(good).vectors([0]).tolist() == [[np.finfo(np.float32).max]]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pool_names_the_row_of_the_table(value: float, mode: str) -> None:
    bad = items()
    bad[37, 1] = value
    raises("table", lambda v: pool(table=v, rows=[[0, 1], [37, 0]], mode=mode), bad, "37")


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_a_weight_of_zero_hides_no_nan(mode: str) -> None:
    bad = items()
    bad[37, 1] = np.nan
    no_weight = {"rows": [[0, 37]], "weights": [[0.0, 0.0]], "mode": mode}
    raises("table", lambda v: pool(table=v, **no_weight), bad, "37")


def test_zero_items_have_no_cosine() -> None:
    bad = items()
    bad[37] = bad[41] = 0.0
    raises("vectors", lambda v: flat(vectors=v, metric="cosine"), bad, "37")
    raises("items", lambda v: topk(items=v, metric="cosine"), bad, "37")


COUNTS: dict[str, tuple[str, Call]] = {
    "search": ("k", lambda v: search(k=v)),
    "search_above": ("limit", lambda v: above(limit=v)),
    "search_above threads": ("threads", lambda v: above(threads=v)),
    "topk": ("k", lambda v: topk(k=v)),
    "merge_shards": ("k", lambda v: vr.merge_shards([result()], v)),
    "merge_groups": ("k", lambda v: merge_groups(k=v)),
    "FlatIndex threads": ("threads", lambda v: flat(threads=v)),
    "search threads": ("threads", lambda v: search(threads=v)),
    "topk threads": ("threads", lambda v: topk(threads=v)),
    "pool threads": ("threads", lambda v: pool(threads=v)),
    "pool first": ("first", lambda v: pool(first=v)),
}
counts = pytest.mark.parametrize(("argument", "call"), COUNTS.values(), ids=COUNTS)


@counts
@pytest.mark.parametrize("value", [-1, 1.5, 2.0, "3", b"3", 1j, [2], (), np.nan, np.array([1, 2])])
def test_counts(argument: str, call: Call, value: Any) -> None:
    raises(argument, call, value)


@counts
def test_counts_of_zero(argument: str, call: Call) -> None:
    if argument != "first":
        raises(argument, call, 0)
        raises(argument, call, np.int64(0))


@counts
def test_numpy_integers_are_counts(argument: str, call: Call) -> None:
    for value in (2, np.int64(2), np.uint8(2)):
        call(value)


@counts
def test_a_bool_is_an_error_or_one(argument: str, call: Call) -> None:
    try:
        found = call(True)
    except BAD:
        raises(argument, call, True)
        return
    if argument == "k":
        assert found.ids.shape[1] == 1


def test_k_none() -> None:
    raises("k", lambda v: search(k=v), None)


@pytest.mark.parametrize("k", [10**15, 2**62, 2**63 - 1, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("name", ["search", "topk", "merge_shards", "merge_groups"])
def test_k_beyond_all_memory(name: str, k: int) -> None:
    call = COUNTS[name][1]
    with pytest.raises((ValueError, TypeError, MemoryError, OverflowError)):
        call(k)


@pytest.mark.parametrize("threads", [2**31, 2**63 - 1, 2**64])
def test_threads_beyond_reason(threads: int) -> None:
    try:
        found = search(threads=threads)
    except OverflowError:
        return
    except BAD:
        raises("threads", lambda v: search(threads=v), threads)
        return
    assert found.ids.tolist() == search().ids.tolist()


CHOICES: dict[str, tuple[str, Call]] = {
    "FlatIndex metric": ("metric", lambda v: flat(metric=v)),
    "topk metric": ("metric", lambda v: topk(metric=v)),
    "FlatIndex invalid": ("invalid", lambda v: flat(invalid=v)),
    "search invalid": ("invalid", lambda v: search(invalid=v)),
    "search_above invalid": ("invalid", lambda v: above(invalid=v)),
    "merge_groups aggregate": ("aggregate", lambda v: merge_groups(aggregate=v)),
    "pool mode": ("mode", lambda v: pool(mode=v)),
}
GOOD_CHOICE = {
    "metric": "cosine",
    "invalid": "'raise', '(skip|empty)'",
    "aggregate": "max",
    "mode": "mean",
}


@pytest.mark.parametrize(("argument", "call"), CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("value", ["", "IP", "unknown", "ip ", "ip\0", None, 1, b"ip", ["ip"]])
def test_choices(argument: str, call: Call, value: Any) -> None:
    raises(argument, call, value)
    with pytest.raises(BAD, match=GOOD_CHOICE[argument]):
        call("unknown")


BAD_IDS: dict[str, Any] = {
    "floats": np.arange(50.0),
    "bools": np.ones(50, bool),
    "complex": np.arange(50).astype(complex),
    "text": np.arange(50).astype(str),
    "dates": np.arange(50).astype("datetime64[s]"),
    "nothing": np.full(50, None),
    "masked": np.ma.masked_array(np.arange(50), np.arange(50) == 3),
    "list of floats": [1.5] * 50,
    "ragged": [[1]] * 49 + [[1, 2]],
    "a number": 5,
    "a string": "ids",
    "two dimensions": np.arange(50)[:, None],
    "beyond int64": np.arange(50, dtype=np.uint64) + np.uint64(2**63),
    "far beyond int64": [2**70] * 50,
}


@pytest.mark.parametrize("value", BAD_IDS.values(), ids=BAD_IDS)
def test_ids(value: Any) -> None:
    raises("ids", lambda v: flat(ids=v), value)
    raises("ids", lambda v: flat().mask(v), value)
    raises("ids", lambda v: flat().vectors(v), value)
    raises("allow", lambda v: search(allow=v), value)
    raises("allow", lambda v: above(allow=v), value)


@pytest.mark.parametrize("n", [0, 1, 49, 51, 100])
def test_ids_of_the_wrong_length(n: int) -> None:
    raises("ids", lambda v: flat(ids=v), np.arange(n), "50", str(n))


@pytest.mark.parametrize("low", [-1, -(2**63)])
def test_negative_ids(low: int) -> None:
    ids = np.arange(50)
    ids[37] = low
    raises("ids", lambda v: flat(ids=v), ids, f"{low}|37")


@pytest.mark.parametrize("places", [(0, 1), (0, 49), (20, 37)])
def test_duplicate_ids(places: tuple[int, int]) -> None:
    ids = np.arange(50) + 1000
    ids[places[1]] = ids[places[0]]
    raises("ids", lambda v: flat(ids=v), ids, f"{ids[places[0]]}|{places[1]}")


@pytest.mark.parametrize("value", [7, -1, 2**70, "a", None, 1.5, [1], float("nan")])
def test_membership_never_fails_badly(value: Any) -> None:
    index = flat(ids=np.arange(100, 150))
    try:
        assert value not in index
    except (*BAD, OverflowError):
        pass


BAD_BIAS: dict[str, Any] = {
    "short": np.ones(49, np.float32),
    "long": np.ones(51, np.float32),
    "none there": np.ones(0, np.float32),
    "two dimensions": np.ones((50, 1), np.float32),
    "number": 1.5,
    "complex": np.ones(50, complex),
    "objects": np.ones(50).astype(object),
    "text": ["a"] * 50,
    "string": "bias",
    "nan": np.where(np.arange(50) == 37, np.nan, 1.0),
    "inf": np.where(np.arange(50) == 37, np.inf, 1.0).astype(np.float32),
    "minus inf": np.where(np.arange(50) == 37, -np.inf, 1.0),
    "masked": np.ma.masked_array(np.ones(50, np.float32), np.arange(50) == 3),
}


@pytest.mark.parametrize("value", BAD_BIAS.values(), ids=BAD_BIAS)
def test_bias(value: Any) -> None:
    raises("bias", lambda v: flat(bias=v), value)


# Every argument that takes ragged ids or row numbers, one list for each of two queries.
RAGGED: dict[str, tuple[str, Call]] = {
    "exclude": ("exclude", lambda v: search(queries=items(2), exclude=v)),
    "exclude above": ("exclude", lambda v: above(queries=items(2), exclude=v)),
    "candidates": ("candidates", lambda v: flat().score(items(2), v)),
    "rows": ("rows", lambda v: pool(rows=v)),
}
ragged = pytest.mark.parametrize(("argument", "call"), RAGGED.values(), ids=RAGGED)
BAD_RAGGED: dict[str, Any] = {
    "a number": 5,
    "a string": "ab",
    "flat": [1, 2],
    "flat array": np.array([1, 2]),
    "half flat": [[1], 2],
    "floats": [[1.5], [2.5]],
    "whole floats": [np.array([1.0]), np.array([2.0])],
    "text": [["a"], ["b"]],
    "strings": ["ab", "cd"],
    "nothing": [[None], [None]],
    "none": [None, None],
    "deep": [[[1]], [[2]]],
    "objects": [[object()], []],
    "masked": np.ma.masked_array([[1, 2], [3, 4]], [[False, True], [False, False]]),
    "Ragged of floats": vr.Ragged(np.array([1.0, 2.0]), np.array([0, 1, 2])),
    "mapping": {0: [1], 1: [2]},
}


@ragged
@pytest.mark.parametrize("value", BAD_RAGGED.values(), ids=BAD_RAGGED)
def test_ragged(argument: str, call: Call, value: Any) -> None:
    raises(argument, call, value)


@pytest.mark.parametrize("name", ["exclude", "candidates"])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_ragged_of_the_wrong_length(name: str, rows: int) -> None:
    argument, call = RAGGED[name]
    for value in ([[1]] * rows, vr.Ragged(np.arange(rows), np.arange(rows + 1))):
        raises(argument, call, value, "2", str(rows))


def test_allow() -> None:
    index = flat()
    mask = index.mask([1, 2])
    for value in (1.5, "ab", [1.5], {"a": 1}, object(), [mask] * 2, [mask] * 4, [mask, mask, 5]):
        raises("allow", lambda v: index.search(items(3), 2, allow=v), value)


def test_masks_combine_with_masks_only() -> None:
    mask: Any = flat().mask([1, 2])
    for other in (5, [1], np.array([1]), None, "a", {1}):
        with pytest.raises(BAD):
            mask & other
        with pytest.raises(BAD):
            mask | other


@pytest.mark.parametrize("value", [np.nan, "a", "0.5", 1j, [0.5], (0.5, 0.5), np.ones(2)])
def test_min_score(value: Any) -> None:
    raises("min_score", lambda v: search(min_score=v), value)
    raises("min_score", lambda v: above(min_score=v), value)


@pytest.mark.parametrize(
    ("value", "also"),
    [
        ([0.1, np.nan, 0.2], "1"),
        ([0.1, 0.2], "3"),
        ([[0.1, 0.2, 0.3]], "3"),
        ([True, False, True], "bool"),
        (["a", "b", "c"], "3"),
        ([[0.1], [0.2, 0.3], 1], "ragged"),
        (None, "NoneType"),
        (True, "bool"),
        (object(), "object"),
    ],
)
def test_min_scores(value: Any, also: str) -> None:
    raises("min_score", lambda v: above(min_score=v), value, also)
    assert len(above(min_score=[-1.0, 0, np.inf]).ids) == 3


def test_unknown_ids_have_no_vectors() -> None:
    with pytest.raises(KeyError, match="1234"):
        flat().vectors([3, 1234])


BAD_WEIGHTS: dict[str, Any] = {
    "short": [1.0, 1.0],
    "long": [1.0] * 4,
    "other lengths": [[1.0], [1.0, 1.0]],
    "too few rows": [[1.0, 1.0]],
    "Ragged of other lengths": vr.Ragged(np.ones(3), np.array([0, 1, 3])),
    "nan": [1.0, np.nan, 1.0],
    "inf": [[1.0, 1.0], [np.inf]],
    "complex": np.ones(3, complex),
    "text": ["a", "b", "c"],
    "string": "abc",
    "objects": np.ones(3).astype(object),
    "two dimensions": np.ones((3, 1)),
    "number": 1.5,
    "masked": np.ma.masked_array(np.ones(3), [False, True, False]),
}


@pytest.mark.parametrize("value", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_pool_weights(value: Any) -> None:
    raises("weights", lambda v: pool(weights=v), value)


BAD_BLOCKS: list[Any] = [[], None, 5, "ab", [items(3), items(4)], [items(3), [1.0]], [5.0]]


@pytest.mark.parametrize("value", BAD_BLOCKS)
def test_concat_blocks(value: Any) -> None:
    raises("blocks", vr.concat_blocks, value)


BAD_BLOCK_WEIGHTS: dict[str, Any] = {
    "short": [1.0],
    "long": [1.0] * 3,
    "negative": [1.0, -1.0],
    "nan": [1.0, np.nan],
    "inf": [np.inf, 1.0],
    "text": ["a", "b"],
    "complex": [1j, 1.0],
    "two dimensions": np.ones((2, 1)),
    "number": 1.5,
}


@pytest.mark.parametrize("value", BAD_BLOCK_WEIGHTS.values(), ids=BAD_BLOCK_WEIGHTS)
def test_concat_blocks_weights(value: Any) -> None:
    raises("weights", lambda v: vr.concat_blocks([items(), items()], v), value)


BAD_GROUPS: dict[str, Any] = {
    "empty": [],
    "not from zero": [1, 3],
    "short of the end": [0, 2],
    "past the end": [0, 4],
    "falling": [0, 2, 1, 3],
    "negative": [0, -1, 3],
    "huge": [0, 2**62, 3],
    "floats": [0.0, 3.0],
    "bools": np.array([False, True]),
    "text": ["0", "3"],
    "none": None,
    "number": 3,
    "two dimensions": [[0, 3]],
}


@pytest.mark.parametrize("value", BAD_GROUPS.values(), ids=BAD_GROUPS)
def test_groups(value: Any) -> None:
    raises("groups", lambda v: merge_groups(groups=v), value)


BAD_RESULTS: dict[str, Any] = {
    "none": None,
    "a number": 5,
    "an array": np.ones((3, 2)),
    "ids of floats": result(ids=np.ones((3, 2))),
    "flat ids": result(ids=np.arange(3)),
    "wide ids": result(ids=np.zeros((3, 3), np.int64)),
    "more ids": result(ids=np.zeros((4, 2), np.int64)),
    "scores of text": result(scores=np.full((3, 2), "a")),
    "scores of nan": result(scores=np.full((3, 2), np.nan, np.float32)),
    "complex scores": result(scores=np.ones((3, 2), complex)),
    "wide scores": result(scores=np.ones((3, 3), np.float32)),
    "counts past the end": result(counts=np.array([2, 3, 0], np.int32)),
    "huge counts": result(counts=np.array([2, 2**31 - 1, 0], np.int32)),
    "negative counts": result(counts=np.array([2, -1, 0], np.int32)),
    "few counts": result(counts=np.array([2, 1], np.int32)),
    "counts of floats": result(counts=np.array([2.0, 1.0, 0.0])),
    "no counts": result(counts=None),
}


@pytest.mark.parametrize("value", BAD_RESULTS.values(), ids=BAD_RESULTS)
def test_results(value: Any) -> None:
    raises("result", lambda v: merge_groups(result=v), value)
    raises("results", lambda v: vr.merge_shards([result(), v], 2), value)


def test_merge_shards() -> None:
    bad: list[Any] = [None, 5, [], result(), {"a": result()}]
    for value in bad:
        raises("results", lambda v: vr.merge_shards(v, 2), value)
    fewer = result(ids=np.array([[1]]), scores=np.ones((1, 1), np.float32), counts=np.array([1]))
    raises("results", lambda v: vr.merge_shards(v, 2), [result(), fewer])


def test_unknown_arguments() -> None:
    for call in (flat, search, topk, pool, merge_groups):
        with pytest.raises(TypeError, match="misspelled"):
            call(misspelled=1)


def test_errors_do_nothing() -> None:
    """After errors of every kind the index answers as before."""
    index = flat()
    expected = index.search(items(3), 5).ids.tolist()
    bad: list[dict[str, Any]] = [{"exclude": [[1]]}, {"allow": 1.5}, {"threads": 0}]
    for arguments in bad:
        with pytest.raises(BAD):
            index.search(items(3), 5, **arguments)
    assert index.search(items(3), 5).ids.tolist() == expected
