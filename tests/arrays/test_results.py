"""Results as users read them: one query's list, lists, tables, distances, copies."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparison import FIELDS, arrays, assert_same_bits, assert_same_float32, replaced
from datasets import normal

import vecrecall as vr
from vecrecall.policies import RRF, Priority

NQ, K = 4, 5
# By hand: a full list, one with a score of -inf that is no padding, an empty one, one of one item.
IDS = np.array([[7, 3, 9, 1, 4], [2, 8, -1, -1, -1], [-1] * 5, [6, -1, -1, -1, -1]])
SCORES = np.array(
    [[4.5, 4, 2, 2, -1], [0.25, *[-np.inf] * 4], [-np.inf] * 5, [-3, *[-np.inf] * 4]], np.float32
)
COUNTS = np.array([5, 2, 0, 1], np.int32)
PAIRS: list[list[tuple[int, float]]] = [
    [(7, 4.5), (3, 4.0), (9, 2.0), (1, 2.0), (4, -1.0)],
    [(2, 0.25), (8, -np.inf)],
    [],
    [(6, -3.0)],
]


def found() -> vr.SearchResult:
    return vr.SearchResult(IDS.copy(), SCORES.copy(), COUNTS.copy())


def grouped(**options: Any) -> vr.GroupResult:
    return vr.merge_groups(found(), [0, 2, 2, 4], K + 1, **options)


def merged(**options: Any) -> vr.MergeResult:
    other = ([[3, 5], [8, 2], [-1, -1], [1, 6]], [[9.0, 8.0], [1.0, 0.5], [0.0, 0.0], [2.0, 1.0]])
    return vr.merge({"a": found(), "b": other}, 3, RRF(), **options)


RESULTS: dict[str, Callable[[], Any]] = {
    "search": found,
    "groups": grouped,
    "merge": merged,
    "merge without provenance": lambda: merged(provenance=False),
}
every_result = pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)


def assert_equal(a: Any, b: Any) -> None:
    """The same class and bits."""
    assert type(a) is type(b)
    for name in FIELDS[type(a)]:
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        assert x is None or (x.dtype == y.dtype and x.shape == y.shape)
        assert x is None or x.tobytes() == y.tobytes(), name


# --- one query's list


@every_result
def test_the_length_is_the_number_of_queries(make: Callable[[], Any]) -> None:
    result = make()
    assert len(result) == len(result.counts) == len(list(result))


def test_no_tuple() -> None:
    """Three queries are not three arrays."""
    result = found()[:3]
    a, b, c = result
    assert [a.to_list(), b.to_list(), c.to_list()] == PAIRS[:3]
    assert not isinstance(result, tuple)


def test_one_query_has_no_padding() -> None:
    result = found()
    for i, one in enumerate(result):
        n = len(PAIRS[i])
        assert type(one) is vr.RankedList
        for same in (one, result[i], result[np.int64(i)], result[i - NQ]):
            assert len(same) == n
            assert same.ids.dtype == np.int64
            np.testing.assert_array_equal(same.ids, IDS[i, :n])
            assert_same_float32(same.scores, SCORES[i, :n])
            assert same.to_list() == list(same) == PAIRS[i]


def test_lists_are_views() -> None:
    result = found()
    result[0].ids[0] = 99
    next(iter(result)).scores[1] = 3
    result[:1].scores[0, 2] = 2.5
    assert result.to_list()[0][:3] == [(99, 4.5), (3, 3.0), (9, 2.5)]


def test_a_list_is_a_sequence_of_pairs() -> None:
    one = found()[0]
    assert (one[0], one[-1]) == ((7, 4.5), (4, -1.0))
    assert [type(part) for part in one[1]] == [int, float]
    assert {type(part) for pair in one for part in pair} == {int, float}
    assert dict(one) == dict(PAIRS[0])
    assert one[1:3].to_list() == PAIRS[0][1:3]
    assert type(one[1:3]) is vr.RankedList
    for place in (5, -6):
        with pytest.raises(IndexError, match=f"^place: expected -5 to 4, got {place}$"):
            one[place]
    with pytest.raises(TypeError, match=r"^place: expected a whole number or a slice, got str$"):
        one["ids"]  # type: ignore[call-overload]
    assert not found()[2]
    assert found()[2].to_list() == []


def test_one_group() -> None:
    result = grouped()
    for one, n, rows, best in zip(
        result, [7, 0, 1], [[1] * 7, [], [1]], [[0, 0, 0, 0, 1, 0, 1], [], [3]], strict=True
    ):
        assert type(one) is vr.GroupList
        assert len(one) == len(one.n_rows) == len(one.best_row) == min(n, K + 1)
        assert one.n_rows.tolist() == rows[: K + 1]
        assert one.best_row.tolist() == best[: K + 1]
    assert result[0][1:3].best_row.tolist() == result.best_row[0, 1:3].tolist()


def test_one_merged_list() -> None:
    result = merged()
    assert result.ranks is not None
    assert result.channel_scores is not None
    for i, one in enumerate(result):
        n = result.counts[i]
        assert type(one) is vr.MergedList
        assert one.to_list() == list(
            zip(result.ids[i, :n].tolist(), result.scores[i, :n].tolist(), strict=True)
        )
        assert one.channels.tolist() == result.channels[i, :n].tolist()
        assert one.ranks is not None
        assert one.channel_scores is not None
        assert one.ranks.tolist() == result.ranks[i, :n].tolist()
        assert one.channel_scores.tobytes() == result.channel_scores[i, :n].tobytes()
        assert one.unfilled.tolist() == result.unfilled[i].tolist()
    first = result[0][:1]
    assert first.ids.tolist() == [3]  # the second of a, the first of b
    assert first.ranks is not None
    assert first.ranks.tolist() == [[2, 1]]
    assert first.unfilled.tolist() == [0, 0]
    quotas = vr.merge({"a": found()}, 9, Priority({"a": 7}))
    assert [one.unfilled.tolist() for one in quotas] == [[2], [5], [7], [6]]
    bare = merged(provenance=False)[0]
    assert (bare.ranks, bare.channel_scores) == (None, None)
    assert len(bare.channels) == 3


@pytest.mark.parametrize("i", [4, -5, 2**70])
def test_there_is_no_such_query(i: int) -> None:
    with pytest.raises(IndexError, match=f"^query: expected -4 to 3, got {i}$"):
        found()[i]


@pytest.mark.parametrize("i", ["ids", 1.0, None, (0, 1), [0, 1], np.array([0, 1])])
def test_what_is_no_number_of_a_query(i: Any) -> None:
    with pytest.raises(TypeError, match=f"^query: .* a slice, got {type(i).__name__}$"):
        found()[i]


@every_result
@pytest.mark.parametrize(
    "some", [slice(None), slice(1, 3), slice(None, None, -1), slice(-2, None), slice(3, 1)]
)
def test_some_of_the_queries(make: Callable[[], Any], some: slice) -> None:
    result = make()
    part = result[some]
    assert type(part) is type(result)
    for name in FIELDS[type(result)]:
        field = getattr(result, name)
        if field is None:
            assert getattr(part, name) is None
        else:
            np.testing.assert_array_equal(getattr(part, name), field[some])
    assert part.to_list() == result.to_list()[some]


def test_what_some_of_the_queries_know() -> None:
    index = vr.FlatIndex(np.eye(3), metric="l2")
    result = index.search(np.eye(3), 2, stats=True)
    assert result[1:].metric == "l2"
    assert result[1:].stats is None  # it was the work for all of them


def test_no_queries() -> None:
    result = vr.FlatIndex(np.eye(3, dtype=np.float32), metric="l2").search(np.empty((0, 3)), 4)
    assert (len(result), list(result), result.to_list()) == (0, [], [])
    assert result.distances().shape == (0, 4)
    with pytest.raises(IndexError, match=r"^query: "):
        result[0]
    assert repr(result) == "SearchResult(0 queries, k=4)"


# --- what a caller has made


def test_padding_within_a_list_is_left_out() -> None:
    """As where lists are merged, an id of -1 is no item, wherever it stands."""
    result = vr.SearchResult(
        np.array([[-1, 5, -1, 6]]), np.array([[9, 8, np.nan, 7]], np.float32), np.array([4])
    )
    assert result[0].to_list() == result.to_list()[0] == [(5, 8.0), (6, 7.0)]
    assert next(iter(result)).ids.tolist() == [5, 6]
    assert vr.merge({"a": result}, 2, RRF())[0].ids.tolist() == [5, 6]


def test_what_converts_to_the_arrays() -> None:
    for ids, scores, counts in (
        (IDS.astype(np.int32), SCORES.astype(np.float64), COUNTS.astype(np.int64)),
        (IDS.tolist(), SCORES.tolist(), COUNTS.tolist()),
        (np.asfortranarray(IDS), np.repeat(SCORES, 2, axis=1)[:, ::2], COUNTS[::-1].copy()[::-1]),
    ):
        result: Any = vr.SearchResult(ids, scores, counts)  # type: ignore[arg-type]
        assert result.to_list() == [one.to_list() for one in result] == PAIRS
        assert [result[i].to_list() for i in range(NQ)] == PAIRS
        assert result[1:].to_list() == PAIRS[1:]
        assert result == found()


READS: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "to_list": lambda r: r.to_list(),
    "one": lambda r: r[1],
    "distances": lambda r: r.distances(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"scores": SCORES[:, :3]}, r"^result: expected ids and scores of shape \(nq, k\)"),
        ({"ids": IDS.astype(float)}, r"^result\.ids: expected integers"),
        ({"scores": SCORES.astype(str)}, r"^result\.scores: expected floats"),
        ({"counts": np.array([9, 9, 9, 9])}, r"^result\.counts: expected counts from 0 to 5"),
        ({"counts": np.array([-1, -1, -1, -1])}, r"^result\.counts: expected counts from 0 to 5"),
        ({"scores": SCORES * np.float32(np.nan)}, r"^result\.scores: expected numbers, got NaN"),
    ],
)
def test_arrays_that_make_no_lists(
    read: Callable[[Any], Any], parts: dict[str, Any], message: str
) -> None:
    result = replaced(vr.SearchResult(IDS, SCORES, COUNTS, metric="l2"), **parts)
    with pytest.raises((TypeError, ValueError), match=message):
        read(result)


# --- equality and copies


@every_result
def test_results_are_equal_if_their_arrays_are(make: Callable[[], Any]) -> None:
    result = make()
    assert result == make()
    for name in FIELDS[type(result)]:
        field = getattr(result, name)
        if field is not None:
            other = field.copy()
            other.flat[0] += 1
            assert result != replaced(result, **{name: other})
            assert result[0] == make()[0]
    assert result != result[:1]
    assert result[0] != result[1]
    assert result != arrays(result)
    assert result != 5
    for value in (result, result[0]):
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


def test_provenance_makes_a_difference() -> None:
    assert merged() != merged(provenance=False)
    assert merged()[0] != merged(provenance=False)[0]
    assert found() != vr.GroupResult(*arrays(found()), IDS, IDS)  # type: ignore[arg-type]


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda x, p=protocol: pickle.loads(pickle.dumps(x, p))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@every_result
@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
def test_copies(make: Callable[[], Any], way: Callable[[Any], Any]) -> None:
    result = make()
    result.metric, result.stats = "l2", vr.SearchStats(5, 4, "int8")
    again = way(result)
    assert_equal(again, result)
    assert (again.metric, again.stats) == ("l2", result.stats)
    assert type(again.stats) is vr.SearchStats
    assert way(result[0]) == result[0]
    assert type(way(result[0])) is type(result[0])


def test_a_deep_copy_shares_nothing() -> None:
    result = found()
    again = copy.deepcopy(result)
    again.ids[:] = 0
    assert result == found()


def test_arrays_go_out_of_band() -> None:
    buffers: list[Any] = []
    result = found()
    small = pickle.dumps(result, 5, buffer_callback=buffers.append)
    assert [len(b.raw()) for b in buffers] == [part.nbytes for part in arrays(result)]
    assert pickle.loads(small, buffers=buffers) == result


# --- repr


def test_reprs() -> None:
    assert repr(found()) == "SearchResult(4 queries, k=5)"
    assert repr(found()[:1]) == "SearchResult(1 query, k=5)"
    assert repr(grouped()) == "GroupResult(3 groups, k=6)"
    assert repr(merged()) == "MergeResult(4 queries, k=3)"
    assert repr(found()[1]) == "RankedList([(2, 0.25), (8, -inf)])"
    assert repr(found()[2]) == "RankedList([])"
    assert repr(found()[0]) == "RankedList([(7, 4.5), (3, 4.0), (9, 2.0), ... 5 items])"
    above = vr.FlatIndex(np.eye(2)).search_above(np.eye(2)[:1], 0.0)
    assert repr(above) == "AboveResult(1 query, 2 items)"
    long = vr.SearchResult(*(np.zeros((10**5, 100), t) for t in "qf"), np.zeros(10**5, "i"))
    assert len(repr(long)) < 50
    assert repr(vr.SearchResult([], [], [])) == "SearchResult(0 queries, k=?)"  # type: ignore[arg-type]


# --- lists and tables


def test_lists_are_of_python_numbers() -> None:
    lists = found().to_list()
    assert lists == PAIRS
    assert {type(x) for row in lists for pair in row for x in pair} == {int, float}
    assert {type(row) for row in lists} == {list}
    assert {type(pair) for row in lists for pair in row} == {tuple}


# The expected rows of a table, by a loop over the arrays.
def expected_rows(result: Any) -> list[dict[str, Any]]:
    rows = []
    names = [n for n in FIELDS[type(result)] if n not in ("counts", "unfilled")]
    for q in range(len(result.ids)):
        for place in range(result.counts[q]):
            row: dict[str, Any] = {"query": q, "rank": place + 1}
            for name in names:
                if getattr(result, name) is not None:
                    value = getattr(result, name)[q, place]
                    row[{"ids": "id", "scores": "score"}.get(name, name)] = value.tolist()
            rows.append(row)
    return rows


def assert_same_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [list(row) for row in found] == [list(row) for row in expected]
    for a, b in zip(found, expected, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)  # NaN is equal to NaN


@every_result
def test_arrow_tables(make: Callable[[], Any]) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    result = make()
    table = result.to_arrow()
    assert isinstance(table, pa.Table)
    assert_same_rows(table.to_pylist(), expected_rows(result))
    types = {field.name: field.type for field in table.schema}
    assert (types["query"], types["rank"], types["id"]) == (pa.int64(),) * 3
    assert types["score"] == pa.float32()
    if "ranks" in types:
        assert types["ranks"] == pa.list_(pa.int32(), 2)
        assert types["channel_scores"] == pa.list_(pa.float32(), 2)
    table.validate(full=True)
    empty = result[:0].to_arrow()
    assert empty.num_rows == 0
    assert empty.schema == table.schema


def test_names_of_columns() -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    first = ["query", "rank", "id", "score"]
    assert found().to_arrow().column_names == first
    assert grouped().to_arrow().column_names == [*first, "n_rows", "best_row"]
    assert merged().to_arrow().column_names == [*first, "channels", "ranks", "channel_scores"]
    assert merged(provenance=False).to_arrow().column_names == [*first, "channels"]


@every_result
def test_data_frames(make: Callable[[], Any]) -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    result = make()
    frame = result.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert_same_rows(frame.to_dict("records"), expected_rows(result))
    assert frame.index.tolist() == list(range(len(frame)))
    assert (frame["id"].dtype, frame["score"].dtype) == (np.int64, np.float32)
    assert list(result[:0].to_pandas().columns) == list(frame.columns)


def test_tables_of_lists_of_different_lengths(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(normal(rng, 50, 3))
    above = index.search_above(normal(rng, 7, 3), 1.0)
    rows = [
        {"query": q, "rank": r + 1, "id": int(i), "score": float(s)}
        for q in range(7)
        for r, (i, s) in enumerate(zip(above.ids[q], above.scores[q], strict=True))
    ]
    assert 0 < len(rows) < 350
    assert [[(row["id"], row["score"]) for row in rows if row["query"] == q] for q in range(7)] == (
        above.to_list()
    )
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    assert_same_rows(above.to_arrow().to_pylist(), rows)
    pytest.importorskip("pandas", reason="needs pandas")
    assert_same_rows(above.to_pandas().to_dict("records"), rows)


def test_polars_takes_the_tables() -> None:
    pl = pytest.importorskip("polars", reason="needs polars")
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    assert_same_rows(pl.from_arrow(merged().to_arrow()).to_dicts(), expected_rows(merged()))


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [("pyarrow", "to_arrow", "arrow"), ("pandas", "to_pandas", "pandas")],
)
def test_what_is_missing_is_named(module: str, call: str, extra: str) -> None:
    """Neither library is imported before it is needed; where there is none, an extra brings it."""
    code = f"""
import sys, numpy as np, vecrecall as vr
result = vr.FlatIndex(np.eye(2)).search(np.eye(2), 1)
result.to_list(), repr(result), list(result)
assert not {{"pyarrow", "pandas"}} & set(sys.modules)
sys.modules[{module!r}] = None
try:
    result.{call}()
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{call} needs {module}: pip install 'vecrecall[{extra}]'\n"


# --- distances


def test_distances_are_euclidean(rng: np.random.Generator) -> None:
    """By the sum of squares in float64, which the score is rounded from once."""
    items, queries = normal(rng, 300, 17), normal(rng, 6, 17)
    items[:3] = queries[:3]
    exclude = [[], [*range(10, 300)], [*range(300)], [], [], []]
    result = vr.FlatIndex(items, metric="l2").search(queries, 40, exclude=exclude)
    distances, squares = result.distances(), result.distances(squared=True)
    assert distances.shape == squares.shape == (6, 40)
    assert distances.dtype == squares.dtype == np.float32
    assert result.counts.tolist() == [40, 10, 0, 40, 40, 40]
    for q in range(6):
        n = result.counts[q]
        wide = queries[q].astype(np.float64) - items[result.ids[q, :n]].astype(np.float64)
        exact = np.square(wide).sum(axis=1)
        # one rounding of the score, u = 2**-24 relative, and one of the root of it
        np.testing.assert_allclose(squares[q, :n], exact, rtol=1.01 * 2**-24)
        np.testing.assert_allclose(distances[q, :n], np.sqrt(exact), rtol=2 * 2**-24)
        assert (distances[q, n:] == np.inf).all()
        assert (squares[q, n:] == np.inf).all()
        assert (np.diff(distances[q, :n]) >= 0).all()
    assert not np.signbit(distances).any()
    assert distances[0, 0] == 0
    assert distances[1, 0] == 0


def test_distances_as_others_have_them(rng: np.random.Generator) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="needs scikit-learn")
    items, queries = normal(rng, 200, 5), normal(rng, 9, 5)
    model = neighbors.NearestNeighbors(n_neighbors=7, algorithm="kd_tree").fit(items)
    theirs, ids = model.kneighbors(queries)
    result = vr.FlatIndex(items, metric="l2").search(queries, 7)
    np.testing.assert_array_equal(result.ids, ids)
    np.testing.assert_allclose(result.distances(), theirs, rtol=1e-5)
    faiss = pytest.importorskip("faiss", reason="needs faiss")
    index = faiss.IndexFlatL2(5)
    index.add(items)
    squares, ids = index.search(queries, 7)
    np.testing.assert_array_equal(result.ids, ids)
    np.testing.assert_allclose(result.distances(squared=True), squares, rtol=1e-5)


def test_distances_of_every_l2_result(rng: np.random.Generator) -> None:
    items, queries = normal(rng, 60, 4), normal(rng, 6, 4)
    index = vr.FlatIndex(items, metric="l2")
    whole = index.search(queries, 8)
    expected = whole.distances()
    shards = [
        vr.FlatIndex(items[a : a + 20], np.arange(a, a + 20), metric="l2").search(queries, 8)
        for a in (0, 20, 40)
    ]
    queries[5] = np.nan
    for result in (
        vr.topk(queries[:5], items, 8, metric="l2"),
        vr.merge_shards(shards, 8)[:5],
        index.search(queries, 8, invalid="empty")[:5],
        vr.SearchResult(*arrays(whole), metric="l2")[:5],
        vr.SearchResult(*arrays(whole), "l2")[:5],
        pickle.loads(pickle.dumps(whole))[:5],
        vr.merge_groups(whole, [0, 1, 2, 3, 4, 5, 6], 8)[:5],
    ):
        assert_same_float32(result.distances(), expected[:5])
    empty = index.search(queries, 8, invalid="empty")
    assert (empty.distances()[5] == np.inf).all()
    nearest = vr.merge_groups(whole, [0, 6], 1)
    assert nearest.distances()[0, 0] == expected.min()


def test_distances_of_a_wrapped_index(rng: np.random.Generator) -> None:
    faiss = pytest.importorskip("faiss", reason="needs faiss")
    items, queries = normal(rng, 60, 4), normal(rng, 6, 4)
    library = faiss.IndexFlatL2(4)
    library.add(items)
    expected = vr.FlatIndex(items, metric="l2").search(queries, 8).distances()
    assert_same_float32(vr.wrap(library, vectors=items).search(queries, 8).distances(), expected)
    np.testing.assert_allclose(
        vr.wrap(library).search(queries, 8, min_score=-50).distances(), expected, rtol=1e-4
    )
    # By products instead of differences a distance to itself may come out below 0.
    own = vr.wrap(library).search(items, 1)
    assert (own.distances() >= 0).all()


def test_a_score_above_zero_is_a_distance_of_zero() -> None:
    ids, scores = np.array([[1, 2]]), np.array([[1e-6, -4.0]], np.float32)
    result = vr.SearchResult(ids, scores, np.array([2], np.int32), metric="l2")
    assert result.distances().tolist() == [[0.0, 2.0]]


def biased() -> vr.FlatIndex:
    return vr.FlatIndex(np.eye(3), metric="l2", bias=[0.0, 1.0, 2.0])


def with_later_bias() -> vr.FlatIndex:
    index = vr.FlatIndex(np.eye(3), metric="l2")
    index.add(np.ones((1, 3)), [9], bias=[0.5])
    return index


NO_DISTANCES: dict[str, tuple[Callable[[], Any], str]] = {
    "ip": (lambda: vr.FlatIndex(np.eye(3)).search(np.eye(3), 2), "got one of 'ip'"),
    "cosine": (lambda: vr.topk(np.eye(3), np.eye(3), 2, metric="cosine"), "got one of 'cosine'"),
    "a bias": (lambda: biased().search(np.eye(3), 2), "got one of none: scores have a bias"),
    "a later bias": (lambda: with_later_bias().search(np.eye(3), 2), "scores have a bias"),
    "made without": (found, r"SearchResult\(\.\.\.\) was made without metric='l2'"),
    "merged": (merged, "got a MergeResult, whose scores are no distances"),
    "shards of two metrics": (
        lambda: vr.merge_shards(
            [vr.topk(np.eye(3), np.eye(3), 1, metric="l2"), replaced(found()[:3], ids=IDS[:3] + 9)],
            1,
        ),
        "got one of none: scores have a bias or are of shards with several metrics",
    ),
    "sums": (
        lambda: vr.merge_groups(
            vr.topk(np.eye(3), np.eye(3), 2, metric="l2"), [0, 3], 2, aggregate="sum"
        ),
        "got one of none: scores are sums,",
    ),
}


@pytest.mark.parametrize(("make", "message"), NO_DISTANCES.values(), ids=NO_DISTANCES)
def test_no_distances(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(
        ValueError, match=f"^distances: expected a result of metric 'l2', .*{message}"
    ):
        make().distances()


def test_distances_of_a_group_of_another_metric() -> None:
    result = vr.topk(np.eye(3), np.eye(3), 2, metric="cosine")
    assert vr.merge_groups(result, [0, 3], 2).metric == "cosine"


def test_bad_arguments_of_distances() -> None:
    result = vr.topk(np.eye(3), np.eye(3), 2, metric="l2")
    with pytest.raises(TypeError, match=r"^squared: expected True or False, got 1$"):
        result.distances(squared=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        result.distances(True)  # type: ignore[misc]


# --- stats


def test_stats_stay_on_the_result(rng: np.random.Generator) -> None:
    items, queries = normal(rng, 500, 6), normal(rng, 3, 6)
    index = vr.FlatIndex(items)
    queries[1] = np.nan
    plain = index.search(queries, 4, invalid="empty")
    told = index.search(queries, 4, invalid="empty", stats=True)
    assert plain.stats is None
    assert type(told.stats) is vr.SearchStats
    assert told.stats.rows_reranked >= 8
    assert told == plain
    assert_same_bits(told, *arrays(plain))


def test_results_that_are_changed_while_they_are_merged() -> None:
    """A channel's result may get other arrays at any time: those of the merge stay alive."""
    n = 3000
    queries = np.random.default_rng(3).standard_normal((n, 4), dtype=np.float32)
    index = vr.FlatIndex(queries)
    kept = index.search(queries, 60)

    class Shared:
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            return kept

    recaller = vr.Recaller({"a": Shared()}, RRF())
    batch = vr.RequestBatch(user_ids=np.arange(n))
    expected = recaller.recall(batch, 60)
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            kept.ids, kept.scores = kept.ids.copy(), kept.scores.copy()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(5):
            assert recaller.recall(batch, 60) == expected
    finally:
        done.set()
        thread.join()
