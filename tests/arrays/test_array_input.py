"""Objects that stand for an array or for ragged rows, and the errors for those that do not.

Fakes raise what the libraries raise, so that these tests need none of them; where one is installed,
the last tests ask it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

D = 3
RNG = np.random.default_rng(5)
ITEMS = RNG.integers(-9, 10, (8, D)).astype(np.float32)  # exact in every narrow float
QUERIES = ITEMS[:2] + 1


class Fake:
    """An object of another library, whose conversion to an array does as told."""

    def __init__(self, convert: Callable[[], Any], **attributes: Any) -> None:
        self._convert = convert
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return self._convert()[i]

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return np.asarray(self._convert(), dtype)


def failing(error: Exception) -> Fake:
    def convert() -> Any:
        raise error

    return Fake(convert)


ON_DEVICE = TypeError(
    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
    "memory first."
)
WITH_GRADIENT = RuntimeError(
    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
)
SPARSE = TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")
ON_CUPY = TypeError(
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)
REASONS: dict[str, Exception] = {
    "device": ON_DEVICE,
    "gradient": WITH_GRADIENT,
    "sparse": SPARSE,
    "cupy": ON_CUPY,
    "value": ValueError("cannot be an array today"),
    "key": KeyError("rows"),
    "without a text": ZeroDivisionError(),
}
INDEX = vr.FlatIndex(ITEMS)
RRF = vr.policies.RRF()
CHANNEL = ([[1, 2]], [[2.0, 1.0]])


def batch(name: str, value: Any) -> Any:
    fields = {"history_weights": {"history": [[1], [2]]}, "tag_weights": {"tags": [[1], [2]]}}
    return vr.RequestBatch(**{name: value, **fields.get(name, {})})


ARGUMENTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "FlatIndex": ("vectors", vr.FlatIndex),
    "bias": ("bias", lambda v: vr.FlatIndex(ITEMS, bias=v)),
    "ids": ("ids", lambda v: vr.FlatIndex(ITEMS, v)),
    "search": ("queries", lambda v: INDEX.search(v, 2)),
    "score": ("queries", lambda v: INDEX.score(v, [[1]])),
    "topk": ("queries", lambda v: vr.topk(v, ITEMS, 2)),
    "topk items": ("items", lambda v: vr.topk(QUERIES, v, 2)),
    "assign": ("points", lambda v: vr.assign(v, ITEMS)),
    "centroids": ("centroids", lambda v: vr.assign(ITEMS, v)),
    "KMeans": ("X", lambda v: vr.KMeans(2).fit(v)),
    "allow": ("allow", lambda v: INDEX.search(QUERIES, 2, allow=v)),
    "mask": ("ids", INDEX.mask),
    "vectors": ("ids", INDEX.vectors),
    "exclude": ("exclude", lambda v: INDEX.search(QUERIES, 2, exclude=v)),
    "exclude, rows": (r"exclude(, row 0)?", lambda v: INDEX.search(QUERIES, 2, exclude=[v, v])),
    "candidates": ("candidates", lambda v: INDEX.score(QUERIES, v)),
    "pool": ("table", lambda v: vr.pool(v, [[0]])),
    "pool rows": ("rows", lambda v: vr.pool(ITEMS, v)),
    "pool weights": ("weights", lambda v: vr.pool(ITEMS, [[0], [1]], v)),
    "pool weights, rows": (r"weights(, row 0)?", lambda v: vr.pool(ITEMS, [[0], [1]], [v, v])),
    "blocks": (r"blocks\[1\]", lambda v: vr.concat_blocks([ITEMS, v])),
    "merge ids": (r"channels\['a'\].ids", lambda v: vr.merge({"a": (v, [[1.0]])}, 1, RRF)),
    "merge scores": (r"channels\['a'\].scores", lambda v: vr.merge({"a": ([[1]], v)}, 1, RRF)),
    "merge exclude": ("exclude", lambda v: vr.merge({"a": CHANNEL}, 1, RRF, exclude=v)),
    "groups": ("groups", lambda v: vr.merge_groups(INDEX.search(QUERIES, 2), v, 2)),
    "caps": ("groups", lambda v: vr.Caps([1, 2], v, 1)),
    "recall_at_k": ("found", lambda v: vr.recall_at_k(v, [[1]])),
    "hit_rate_at_k": ("relevant", lambda v: vr.hit_rate_at_k([[1]], v)),
    "ndcg_at_k": ("found", lambda v: vr.ndcg_at_k(v, [[1]])),
    "gains": ("gains", lambda v: vr.ndcg_at_k([[1], [2]], [[1], [2]], gains=v)),
    "gains, rows": (r"gains(, row 0)?", lambda v: vr.ndcg_at_k([[1]], [[1]], gains=[v])),
    "user_ids": ("user_ids", lambda v: batch("user_ids", v)),
    "history": ("history", lambda v: batch("history", v)),
    "history_weights": ("history_weights", lambda v: batch("history_weights", v)),
    "tags": ("tags", lambda v: batch("tags", v)),
    "tag_weights": ("tag_weights", lambda v: batch("tag_weights", v)),
    "seen": ("seen", lambda v: batch("seen", v)),
    "clusters": ("clusters", lambda v: batch("clusters", v)),
    "user vectors": (r"vectors\['u'\]", lambda v: batch("vectors", {"u": v})),
    "rule_groups": ("interests", lambda v: vr.rule_groups(v, depth=1, min_size=1)),
    "Precomputed": ("ids", lambda v: vr.channels.Precomputed([1, 2], v)),
    "Ragged": ("values", lambda v: vr.Ragged(v, [0, 2])),
    "offsets": ("offsets", lambda v: vr.Ragged([1, 2], v)),
    "from_lists": ("lists", vr.Ragged.from_lists),
}
arguments = pytest.mark.parametrize(("name", "call"), ARGUMENTS.values(), ids=ARGUMENTS)


@arguments
@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_what_an_object_says_of_itself_is_passed_on(
    name: str, call: Callable[[Any], Any], reason: Exception
) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}.*: expected .* got ") as caught:
        call(failing(reason))
    text = str(caught.value)
    words = " ".join(str(reason).split()) or "ZeroDivisionError"
    assert words in text
    cause: BaseException | None = caught.value
    while cause is not None and cause is not reason:
        cause = cause.__cause__
    assert cause is reason


WRONG: dict[str, Any] = {
    "text": "abc",
    "bytes": b"abc",
    "bytearray": bytearray(b"abc"),
    "mapping": {"a": 1},
    "complex": np.ones(D, complex),
    "object": object(),
    "class": int,
    "masked": np.ma.masked_array([1, 2, 3], [False, True, False]),
    "masked rows": [np.ma.masked_array([1, 2, 3], [False, True, False])] * 2,
    "far integers": [[2**64] * D] * 2,
    "nothing in rows": [[None] * D] * 2,
    "text in rows": [["a"] * D] * 2,
    "mappings as rows": [{1: 2}, {3: 4}],
}


@arguments
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_every_error_says_what_came(name: str, call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}.*: expected .*got "):
        call(value)


def rows_of_objects() -> npt.NDArray[Any]:
    rows = np.empty(2, object)
    rows[:] = [np.ones(D), np.ones(D)]
    return rows


@pytest.mark.parametrize("name", ["FlatIndex", "search", "topk items", "assign", "pool", "ids"])
def test_arrays_of_arrays(name: str) -> None:
    argument, call = ARGUMENTS[name]
    words = r"got dtype object \(ndarray at place 0\); np\.stack makes one"
    with pytest.raises(TypeError, match=rf"{argument}: .*{words}"):
        call(rows_of_objects())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([[1.0, None]], object), r"dtype object \(NoneType at place \(0, 1\)\)"),
        ([[1.0, None]], r"list \(NoneType at place \(0, 1\)\)"),
        (np.array([[1.0, "a"]], object), r"dtype object \(str at place \(0, 1\)\)"),
        (np.array([[1.0, True]], object), r"dtype object \(bool at place \(0, 1\)\)"),
        (np.ones((2, D), object), r"dtype object; np\.stack .* astype"),
        ([[1, 2**64]], r"list \(18446744073709551616 at place \(0, 1\) fits no integer"),
        ([[1.0] * D, [1.0]], r"ragged or mixed rows \(row 0 has shape \(3,\), row 1 .* \(1,\)\)"),
        ([np.ones(D), np.ones(D), 1.0], r"ragged or mixed rows \(.*row 2 has shape \(\)\)"),
        ([[[1.0], [1.0, 2.0]]], r"ragged or mixed rows \(row 0 is itself ragged\)"),
        ("abc", "got str"),
        (b"abc", "got bytes"),
        ({1.0}, "got set"),
    ],
)
def test_what_is_no_matrix(value: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"vectors: expected .*{words}"):
        vr.FlatIndex(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2**64], r"18446744073709551616 at place 1"),
        ([2**64, 1], r"18446744073709551616 at place 0"),
        ([2**63, 1], r"9223372036854775808 at place 0"),
        ([-1, 2**63], r"9223372036854775808 at place 1"),  # NumPy makes floats of these
        ([0, -(2**63) - 1], r"-9223372036854775809 at place 1"),
        (np.array([1, 2**63], np.uint64), r"9223372036854775808 at place 1"),
        (np.array([1, 2**70], object), r"1180591620717411303424 at place 1"),
        ((1, 10**400), r"10{400} at place 1"),
    ],
)
@pytest.mark.parametrize("name", ["ids", "mask", "allow", "exclude, rows", "user_ids"])
def test_integers_beyond_int64(name: str, value: Any, words: str) -> None:
    argument, call = ARGUMENTS[name]
    with pytest.raises(ValueError, match=rf"{argument}: expected integers that fit int64.*{words}"):
        call(value)


def test_places_in_a_matrix_of_ids() -> None:
    with pytest.raises(ValueError, match=r"\.ids: .* got 9223372036854775808 at place \(0, 1\)"):
        vr.merge({"a": ([[1, 2**63]], [[1.0, 2.0]])}, 1, RRF)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "<i4", ">i4", "i8", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_integers_and_booleans_are_vectors(dtype: Any, order: Any) -> None:
    whole = RNG.integers(0, 2, (8, D)).astype(dtype, order)
    expected = vr.FlatIndex(whole.astype(np.float32)).search(ITEMS, 5)
    found = vr.FlatIndex(whole).search(ITEMS, 5)
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.scores.tolist() == expected.scores.tolist()
    asked = INDEX.search(whole, 5)
    assert asked.scores.tolist() == INDEX.search(whole.astype(np.float32), 5).scores.tolist()
    assert vr.FlatIndex(whole.tolist()).vectors([3]).tolist() == whole[3:4].tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_wide_integers_are_rounded_once(dtype: Any) -> None:
    # Between two float32, a bit above their middle: float64 would round it to the middle first.
    value = 2**60 + 2**36 + 1
    row = vr.FlatIndex(np.array([[value]], dtype)).vectors([0])
    assert int(row[0, 0]) == 2**60 + 2**37


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
@pytest.mark.parametrize("make", [np.asarray, list, tuple], ids=["array", "list", "tuple"])
def test_one_query_of_d_numbers(dtype: Any, make: Callable[[Any], Any]) -> None:
    one = make(QUERIES[0].astype(dtype))
    expected = INDEX.search(QUERIES[:1], 3)
    for found in (INDEX.search(one, 3), vr.topk(one, ITEMS, 3)):
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.scores.tolist() == expected.scores.tolist()
        assert found.counts.tolist() == [3]
    assert INDEX.search(one, 3, exclude=[expected.ids[0, :1]]).ids[0, 0] == expected.ids[0, 1]
    scores = INDEX.score(one, [expected.ids[0]])
    assert scores.values.tolist() == expected.scores[0].tolist()
    near = vr.assign(one, ITEMS, m=2)
    assert near.labels.tolist() == vr.assign(QUERIES[:1], ITEMS, m=2).labels.tolist()


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_one_query_of_another_width(width: int) -> None:
    words = rf"expected shape \(n, 3\) or \(3,\), got \({width},\)"
    for name in ("search", "score", "topk"):
        with pytest.raises(ValueError, match=f"queries: {words}"):
            ARGUMENTS[name][1](np.ones(width, np.float32))
    with pytest.raises(ValueError, match=f"points: {words}"):
        vr.assign([1.0] * width, ITEMS)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.ones((2, 4)), r"shape \(n, 3\) or \(3,\), got \(2, 4\)"),
        (np.ones((1, 1, 3)), r"real numbers of shape \(n, 3\) or \(3,\), got shape"),
        ([[1j, 2, 3]], r"real numbers of shape \(n, 3\) or \(3,\), got "),
        ([], r"real numbers of shape \(n, 3\) or \(3,\), got shape \(0,\)"),
    ],
    ids=["width", "dimensions", "kind", "empty"],
)
def test_messages_of_queries_name_both_shapes(value: Any, got: str) -> None:
    for name in ("search", "score", "topk"):
        with pytest.raises((TypeError, ValueError), match=f"^queries: expected {got}"):
            ARGUMENTS[name][1](value)
    with pytest.raises((TypeError, ValueError), match=f"^queries: expected {got}"):
        INDEX.search_above(value, 0)


def test_one_row_is_no_table() -> None:
    for name in ("FlatIndex", "topk items", "centroids", "KMeans", "pool", "user vectors"):
        with pytest.raises(ValueError, match=rf"{ARGUMENTS[name][0]}: .* got shape \(3,\)"):
            ARGUMENTS[name][1](np.ones(D))


class NarrowDtype:
    is_floating_point = True
    itemsize = 2

    def __repr__(self) -> str:
        return "torch.bfloat16"


def narrow(values: npt.NDArray[np.float32], then: Exception | None = None) -> Fake:
    """Make a tensor of bfloat16, which only its method `float` converts."""
    unsupported = failing(TypeError("Got unsupported ScalarType BFloat16"))
    unsupported.__dict__["dtype"] = NarrowDtype()
    wide = failing(then) if then else values
    unsupported.__dict__["float"] = lambda: wide
    return unsupported


def test_narrow_tensors_are_widened() -> None:
    expected = INDEX.search(QUERIES, 3)
    assert INDEX.search(narrow(QUERIES), 3).ids.tolist() == expected.ids.tolist()
    rows = [narrow(q) for q in QUERIES]
    assert INDEX.search(rows, 3).scores.tolist() == expected.scores.tolist()
    assert vr.FlatIndex(narrow(ITEMS)).search(QUERIES, 3).ids.tolist() == expected.ids.tolist()


@pytest.mark.parametrize("reason", [ON_DEVICE, WITH_GRADIENT])
def test_narrow_tensors_say_what_to_call(reason: Exception) -> None:
    with pytest.raises(TypeError, match=r"queries: .*(\.cpu\(\)|\.detach\(\))"):
        INDEX.search(narrow(QUERIES, reason), 3)


class ByDlpack:
    """An object that gives away its memory, and has no other way."""

    def __init__(self, a: npt.NDArray[Any], error: Exception | None = None) -> None:
        self._a, self._error = a, error

    def __dlpack__(self, **options: Any) -> Any:
        if self._error:
            raise self._error
        return self._a.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._a.__dlpack_device__()


def test_memory_by_dlpack() -> None:
    expected = INDEX.search(QUERIES, 3)
    assert INDEX.search(ByDlpack(QUERIES), 3).ids.tolist() == expected.ids.tolist()
    with pytest.raises(TypeError, match=r"queries: .*ByDlpack.* on another device") as caught:
        INDEX.search(ByDlpack(QUERIES, BufferError("on another device")), 3)
    assert isinstance(caught.value.__cause__, BufferError)


class Sorted:
    """A set of a caller's class, in an order of its own."""

    def __init__(self, *members: int) -> None:
        self._members = members

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[int]:
        return iter(self._members)

    def __contains__(self, member: object) -> bool:
        return member in self._members


KINDS: dict[str, Callable[[list[int]], Any]] = {
    "list": list,
    "tuple": tuple,
    "array": lambda row: np.array(row, np.int16),
    "set": set,
    "frozenset": frozenset,
    "keys": lambda row: dict.fromkeys(row).keys(),
    "values": lambda row: dict(enumerate(row)).values(),
    "deque": deque,
    "memoryview": lambda row: memoryview(np.array(row)),
    "another class": lambda row: Sorted(*row),
    "tensor": lambda row: Fake(lambda: np.array(row)),
    "dlpack": lambda row: ByDlpack(np.array(row)),
}
ROWS = [[0, 3, 5], [], [2]]
OUTER: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "values": lambda rows: dict(enumerate(rows)).values(),
    "deque": deque,
}


@pytest.mark.parametrize("outer", OUTER.values(), ids=OUTER)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_of_every_kind(
    kind: Callable[[list[int]], Any], outer: Callable[[list[Any]], Any]
) -> None:
    if kind is KINDS["dlpack"]:
        rows = outer([kind(row) if row else row for row in ROWS])  # it has no length
        with pytest.raises(TypeError, match=r"exclude: .* got ByDlpack as row 0"):
            INDEX.search(ITEMS[:3], 5, exclude=rows)
        return
    rows = outer([kind(row) for row in ROWS])
    expected = INDEX.search(ITEMS[:3], 5, exclude=vr.Ragged.from_lists(ROWS))
    assert INDEX.search(ITEMS[:3], 5, exclude=rows).ids.tolist() == expected.ids.tolist()
    made = vr.RequestBatch(history=rows, tags=rows, clusters=rows, seen=rows, tag_groups=rows)
    for field in (made.history, made.tags, made.clusters, made.seen, made.tag_groups):
        assert field is not None
        assert [row.tolist() for row in field] == ROWS
    assert vr.pool(ITEMS, rows).tolist() == vr.pool(ITEMS, ROWS).tolist()
    assert INDEX.score(ITEMS[:3], rows).lengths.tolist() == [3, 0, 1]
    assert vr.recall_at_k([*rows], ROWS) == 1
    assert [row.tolist() for row in vr.Ragged.from_lists(rows)] == ROWS


def test_sets_come_ascending() -> None:
    members = {2**62, 7, 2**40, 0, 5}
    for row in (members, frozenset(members)):
        history = vr.RequestBatch(history=[row]).history
        assert history is not None
        assert history.values.tolist() == sorted(members)


def test_sets_of_ids() -> None:
    expected = INDEX.search(QUERIES, 5, allow=[1, 4, 6])
    for allow in ({6, 1, 4}, frozenset([4, 1, 6]), INDEX.mask({4, 1, 6})):
        assert INDEX.search(QUERIES, 5, allow=allow).ids.tolist() == expected.ids.tolist()
    index = vr.FlatIndex(ITEMS)
    index.remove({1, 5})
    assert index.ids.tolist() == [0, 2, 3, 4, 6, 7]
    for bad in ({"a"}, {1.5}, {None}, {1, "a"}, {(1, 2)}, {True}):
        with pytest.raises((TypeError, ValueError), match=r"allow: expected .*integers, got "):
            INDEX.search(QUERIES, 5, allow=bad)


def test_sets_have_no_order() -> None:
    with pytest.raises(TypeError, match="ids: expected integers, got set"):
        vr.FlatIndex(ITEMS, {*range(8)})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"exclude: .* got set"):
        INDEX.search(QUERIES, 2, exclude={1, 2})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"weights: .* got set as row 1"):
        vr.pool(ITEMS, [[0], [1]], [[1.0], {2.0}])  # type: ignore[list-item]


BAD_ROWS: dict[str, tuple[Any, str]] = {
    "generator": ((row for row in ROWS[:2]), "got generator .*read only once"),
    "generator as row": ([[1], (i for i in [2])], "got generator .*read only once.* as row 1"),
    "iterator as row": ([[1], iter([2])], "got list_iterator .*read only once.* as row 1"),
    "none as row": ([[1], None], "got NoneType as row 1"),
    "number as row": ([[1], 2], "got int as row 1"),
    "number of NumPy as row": ([[1], np.int64(2)], "got int64 as row 1"),
    "text as row": ([[1], "2"], "got str as row 1"),
    "bytes as row": ([[1], b"2"], "got bytes as row 1"),
    "bytearray as row": ([[1], bytearray(b"2")], "got bytearray as row 1"),
    "mapping as row": ([[1], {2: 3}], "got dict as row 1"),
    "mapping": ({0: [1], 1: [2]}, "got dict"),
    "floats in a set": ([[1], {2.0}], "row 1: expected integers, got dtype float64"),
    "text in a set": ([[1], {"a"}], "row 1: expected integers, got dtype <U1"),
    "all sorts in a set": ([[1], {"a", None}], "row 1: expected integers"),
    "far number in a set": ([[1], {2**64, 3}], "row 1: .*fit int64, got 18446744073709551616"),
    "column of numbers": (np.array([1, 2]), "got int64 as row 0"),
    "tensor of numbers": (Fake(lambda: np.array([1, 2])), "got int64 as row 0"),
    "no dimension": (np.array(1), r"got shape \(\)"),
    "cube": (np.ones((2, 1, 1), int), r"row 0: .*got shape \(1, 1\)"),
    "floats": (np.ones((2, 2)), "expected integers, got dtype float64"),
    "device in a row": ([[1], failing(ON_DEVICE)], r"row 1: .*cuda:0 .*Tensor\.cpu\(\)"),
}


@pytest.mark.parametrize(("value", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("name", ["exclude", "candidates", "pool rows", "seen", "history"])
def test_bad_rows(name: str, value: Any, words: str) -> None:
    argument, call = ARGUMENTS[name]
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}[:,].*{words}"):
        call(value)


class Broken:
    """It has a length, and fails when it is read."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("its file is closed")


@pytest.mark.parametrize("value", [Broken(), [[1], Broken()]], ids=["rows", "row"])
def test_rows_that_fail_when_read(value: Any) -> None:
    with pytest.raises(TypeError, match=r"exclude: .*Broken .*its file is closed") as caught:
        INDEX.search(QUERIES, 2, exclude=value)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("values", "offsets"),
    [([1, 2], [0, 5, 9]), ([1, 2], None), ([1], [0, 1, 2]), ([1, 2], [0, 2, 1])],
)
def test_a_ragged_that_was_changed(values: Any, offsets: Any) -> None:
    rows = vr.Ragged([1, 2], [0, 1, 2])
    rows.values = np.array(values)
    rows.offsets = None if offsets is None else np.array(offsets)  # type: ignore[assignment]
    with pytest.raises((TypeError, ValueError), match=r"exclude: expected a sound Ragged.*offsets"):
        INDEX.search(QUERIES, 2, exclude=rows)


class Raises:
    """It raises whatever it is asked."""

    def __index__(self) -> int:
        raise RuntimeError("no number today")

    def __fspath__(self) -> str:
        raise RuntimeError("no path today")

    def __repr__(self) -> str:
        raise RuntimeError("no words today")


SCALARS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "k": ("k", lambda v: INDEX.search(QUERIES, v)),
    "threads": ("threads", lambda v: INDEX.search(QUERIES, 2, threads=v)),
    "stats": ("stats", lambda v: INDEX.search(QUERIES, 2, stats=v)),
    "min_score": ("min_score", lambda v: INDEX.search(QUERIES, 2, min_score=v)),
    "metric": ("metric", lambda v: vr.FlatIndex(ITEMS, metric=v)),
    "path": ("path", lambda v: INDEX.save(v)),
    "n_clusters": ("n_clusters", lambda v: vr.KMeans(v).fit(ITEMS)),
    "depth": ("depth", lambda v: vr.rule_groups([[1]], depth=v, min_size=1)),
    "limit": ("limit", lambda v: vr.Caps([1], [1], v)),
    "index": ("index", lambda v: vr.channels.UserToItem(v, vector="u")),
    "index of tags": ("index", lambda v: vr.channels.CrossTag(v, ITEMS)),
    "index of clusters": ("index", lambda v: vr.channels.ClusterCandidates(v, ITEMS)),
}


NO_SCALARS: dict[str, Any] = {
    "raises": Raises(),
    "object": object(),
    "list": [1],
    "mapping": {1: 2},
    "class": int,
    "complex": 1j,
}


@pytest.mark.parametrize(("name", "call"), SCALARS.values(), ids=SCALARS)
@pytest.mark.parametrize("value", NO_SCALARS.values(), ids=NO_SCALARS)
def test_scalars(name: str, call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected .* got "):
        call(value)


def test_any_depth_will_do() -> None:
    for depth in (2, 2**63, 10**30):
        groups = vr.rule_groups([[7, 3], [7]], depth=depth, min_size=1)
        assert groups.labels.tolist() == [1, 0]


# With the libraries themselves, where they are installed.


def test_pandas() -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    expected = INDEX.search(QUERIES, 3, exclude=[[0, 3], [2]]).ids.tolist()
    for rows in (
        pd.Series([[0, 3], [2]]),
        pd.Series([{3, 0}, {2}], index=[7, 9]),
        [pd.Series([0, 3], index=[5, 6]), pd.Index([2])],
        [pd.array([0, 3], dtype="Int64"), pd.array([2], dtype="Int64")],
        pd.DataFrame({"a": [0, 2], "b": [3, 2]}),
    ):
        assert INDEX.search(QUERIES, 3, exclude=rows).ids.tolist() == expected
    made = vr.RequestBatch(
        user_ids=pd.Series([5, 6]),
        clusters=pd.Series([1, 0], index=[3, 4]),
        tags=pd.Series([[1, 2], [3]]),
        tag_groups=pd.Series([[1, 1], [2]]),
        tag_weights=pd.Series([1.0, 2.0, 3.0]),
    )
    assert made.clusters is not None
    assert made.clusters.values.tolist() == [1, 0]
    assert made.clusters.lengths.tolist() == [1, 1]
    assert made.tag_weights is not None
    assert made.tag_weights[1].tolist() == [3.0]
    assert vr.FlatIndex(pd.DataFrame(ITEMS)).vectors([2]).tolist() == ITEMS[2:3].tolist()


def test_pandas_without_values() -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    words = r"ids: expected integers, got dtype (float64|object) \(.*at place 1\)"
    for column in (pd.array([1, None, 3], dtype="Int64"), pd.Series([1, pd.NA, 3], dtype="Int64")):
        with pytest.raises(TypeError, match=words):
            vr.FlatIndex(ITEMS[:3], column)
    with pytest.raises(TypeError, match=r"vectors: .* got dtype object \(str at place \(0, 1\)\)"):
        vr.FlatIndex(pd.DataFrame({"a": [1.0], "b": ["x"]}))


def test_arrow() -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    expected = INDEX.search(QUERIES, 3, exclude=[[0, 3], [2]]).ids.tolist()
    column = pa.array([[0, 3], [2]])
    for rows in (
        column,
        pa.array([[9, 9], [0, 3], [], [2]])[1:2],
        pa.chunked_array([column[:1], column[1:]]),
        pa.array([[0, 3], [2]], pa.large_list(pa.int16())),
        pa.array([[0, 3], [2, 2]], pa.list_(pa.int64(), 2)),
        list(column),
        [pa.array([0, 3]), pa.array([2])],
    ):
        asked = QUERIES[: len(rows)]
        assert INDEX.search(asked, 3, exclude=rows).ids.tolist() == expected[: len(rows)]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(ITEMS.ravel()), D)
    for given in (vectors, pa.chunked_array([vectors[:3], vectors[3:]])):
        assert vr.FlatIndex(given).vectors([5]).tolist() == ITEMS[5:6].tolist()
    assert vr.FlatIndex(vectors[2:]).vectors([0]).tolist() == ITEMS[2:3].tolist()


def test_arrow_without_values() -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    for column, words in (
        (pa.array([[1], None]), "got a missing row as row 1"),
        (pa.array([[1], [None]]), r"dtype float64 \(a missing value at place 1\)"),
        (pa.array([["a"], ["b"]]), "str at place 0"),
        (pa.array([1, 2]), "got int64 as row 0"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"exclude: .*{words}"):
            INDEX.search(QUERIES, 2, exclude=column)
    with pytest.raises((TypeError, ValueError), match="vectors: "):
        vr.FlatIndex(pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)))


def test_sparse() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")
    for matrix in (
        sparse.csr_array(QUERIES),
        sparse.csr_matrix(QUERIES),
        sparse.coo_array(QUERIES),
    ):
        kind = type(matrix).__name__
        with pytest.raises(TypeError, match=rf"queries: .* got a sparse {kind} .*toarray"):
            INDEX.search(matrix, 2)
        if kind == "coo_array":  # CSR has rows, which test_list_columns.py looks at
            with pytest.raises(TypeError, match=rf"exclude: .* got a sparse {kind} .*Ragged"):
                INDEX.search(QUERIES, 2, exclude=matrix)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_floats_of_ml_dtypes(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    small = RNG.integers(-3, 4, (8, D)).astype(np.float32)
    given = small.astype(getattr(ml_dtypes, name))
    assert vr.FlatIndex(given).vectors([*range(8)]).tolist() == small.tolist()
    assert INDEX.search(given[::2], 3).ids.tolist() == INDEX.search(small[::2], 3).ids.tolist()


def test_torch() -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    expected = INDEX.search(QUERIES, 3)
    tensor = torch.from_numpy(QUERIES)
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int8):
        assert INDEX.search(tensor.to(dtype), 3).scores.tolist() == expected.scores.tolist()
    rows = [torch.tensor([0, 3]), torch.tensor([2])]
    held = INDEX.search(QUERIES, 3, exclude=rows).ids.tolist()
    assert held == INDEX.search(QUERIES, 3, exclude=[[0, 3], [2]]).ids.tolist()
    for given, words in (
        (tensor.clone().requires_grad_(), r"\.detach\(\)"),
        (tensor.bfloat16().requires_grad_(), r"\.detach\(\)"),
        (torch.empty(2, D, device="meta"), r"\.cpu\(\)"),
        (tensor.to_sparse(), r"to_dense\(\)"),
    ):
        with pytest.raises(TypeError, match=f"queries: expected .*{words}"):
            INDEX.search(given, 3)


def test_polars() -> None:
    pl = pytest.importorskip("polars", reason="needs polars")
    expected = INDEX.search(QUERIES, 3, exclude=[[0, 3], [2]]).ids.tolist()
    for rows in (pl.Series([[0, 3], [2]]), [pl.Series([0, 3]), pl.Series([2])]):
        assert INDEX.search(QUERIES, 3, exclude=rows).ids.tolist() == expected
    assert vr.FlatIndex(pl.DataFrame(ITEMS)).vectors([1]).tolist() == ITEMS[1:2].tolist()
    with pytest.raises(TypeError, match=r"ids: .*a missing value at place 1"):
        vr.FlatIndex(ITEMS[:2], pl.Series([1, None]))
