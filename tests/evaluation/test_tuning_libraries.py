"""`vr.tune` on hnswlib, usearch and ScaNN: what it tells is what the library itself does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

pytestmark = pytest.mark.libraries

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
K = 10
SUM = 1e-12  # two means of 80 shares each, in float64
SPACES = {"ip": "ip", "l2": "l2sq", "cosine": "cos"}  # what usearch calls them
DISTANCES = {"ip": "dot_product", "l2": "squared_l2"}  # and ScaNN


@pytest.fixture(scope="module")
def data() -> tuple[F32, F32]:
    """3000 items and 80 queries without clusters, which are hard for every index."""
    rng = np.random.default_rng(5)
    items = rng.standard_normal((3000, 16), dtype=np.float32)
    return items, rng.standard_normal((80, 16), dtype=np.float32)


def hnswlib_graph(x: F32, space: str = "l2", labels: Any = None) -> Any:
    hnswlib = pytest.importorskip("hnswlib", reason="tunes its index")
    index = hnswlib.Index(space, x.shape[1])
    index.init_index(len(x), M=8, ef_construction=60, random_seed=1)
    index.add_items(x, labels, num_threads=1)
    return index


def hnswlib_scan(x: F32, space: str = "l2") -> Any:
    hnswlib = pytest.importorskip("hnswlib", reason="tunes its index")
    index = hnswlib.BFIndex(space, x.shape[1])
    index.init_index(len(x))
    index.add_items(x)
    return index


def usearch_graph(x: F32, metric: str = "l2", dtype: str = "f32", **options: int) -> Any:
    usearch = pytest.importorskip("usearch.index", reason="tunes its index")
    index = usearch.Index(ndim=x.shape[1], metric=SPACES[metric], dtype=dtype, **options)
    index.add(np.arange(len(x)), x, threads=1)
    return index


def scann_searcher(x: F32, metric: str = "l2", kind: str = "tree reordered") -> Any:
    pybind = pytest.importorskip("scann.scann_ops.py.scann_ops_pybind", reason="tunes its searcher")
    builder = pybind.builder(x, K, DISTANCES[metric])
    if "tree" in kind:
        builder = builder.tree(50, 5, training_sample_size=len(x))
    if "floats" in kind:
        return builder.score_brute_force(quantize=False).build()
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
    return (builder.reorder(3 * K) if "reordered" in kind else builder).build()


def by_hnswlib(index: Any, q: F32, ef: int) -> I64:
    index.set_ef(ef)
    found: I64 = index.knn_query(q, k=K, num_threads=1)[0].astype(np.int64)
    return found


def by_usearch(index: Any, q: F32, expansion_search: int, exact: int = 0) -> I64:
    index.expansion_search = expansion_search
    found: I64 = index.search(q, K, threads=1, exact=bool(exact)).keys.astype(np.int64)
    return found


def by_scann(
    index: Any, q: F32, leaves_to_search: int = -1, pre_reorder_num_neighbors: int = -1
) -> I64:
    found: I64 = index.search_batched(q, K, pre_reorder_num_neighbors, leaves_to_search)[0]
    return found.astype(np.int64)


CASES = {
    "hnswlib": (hnswlib_graph, by_hnswlib, ["ef"]),
    "usearch": (usearch_graph, by_usearch, ["expansion_search", "exact"]),
    "usearch bf16": (
        lambda x, metric: usearch_graph(x, metric, "bf16"),
        by_usearch,
        ["expansion_search", "exact"],
    ),
    "scann tree": (
        lambda x, metric: scann_searcher(x, metric, "tree of floats"),
        by_scann,
        ["leaves_to_search"],
    ),
    "scann": (scann_searcher, by_scann, ["leaves_to_search", "pre_reorder_num_neighbors"]),
}


def recall_by_hand(found: I64, items: F32, q: F32, metric: str) -> float:
    """The share of the K best, which NumPy finds in float64."""
    x, y = items.astype(np.float64), q.astype(np.float64)
    scores = y @ x.T if metric == "ip" else -np.square(y[:, None] - x).sum(axis=2)
    best = np.argsort(-scores, axis=1)[:, :K]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found, best, strict=True)]))


@pytest.mark.parametrize("target", [0.3, 0.9])
@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_told_is_what_the_library_does(
    data: tuple[F32, F32], case: str, metric: str, target: float
) -> None:
    items, queries = data
    build, search, names = CASES[case]
    index = build(items, metric)
    found = vr.tune(index, queries, K, target, vectors=items)
    assert found.reached
    assert list(found.setting) == names
    assert found.setting == found.index.setting
    # In no list does the K-th score come within float32's rounding of the next.
    by_hand = recall_by_hand(search(index, queries, **found.setting), items, queries, metric)
    assert by_hand == pytest.approx(found.recall, abs=SUM)
    assert found.recall >= target
    first = names[0]
    line = [p for p in found.curve if {**p.setting, first: 0} == {**found.setting, first: 0}]
    values = [point.setting[first] for point in line]
    assert values == sorted(set(values))
    place = values.index(found.setting[first])
    assert place == 0 or line[place - 1].recall < target
    # With larger other values the next smaller first one fails; so it does with these.
    short = [
        point.setting[first]
        for point in found.curve
        if point.recall < target and all(point.setting[n] >= found.setting[n] for n in names[1:])
    ]
    assert place == 0 or values[place] - max(short) <= max(1, values[place] // 20)


@pytest.mark.parametrize("case", CASES)
def test_no_value_below_what_lists_need_anyway(data: tuple[F32, F32], case: str) -> None:
    items, queries = data
    build, _, names = CASES[case]
    found = vr.tune(build(items, "l2"), queries, K, 0.9, vectors=items)
    lowest = {n: 1 if n == "leaves_to_search" else 0 if n == "exact" else K for n in names}
    assert found.curve[0].setting == lowest
    assert all(point.setting[name] >= lowest[name] for point in found.curve for name in names)
    assert all(point.setting.get("exact", 0) == 0 for point in found.curve)


@pytest.mark.parametrize("case", CASES)
def test_wrapped_with_vectors(data: tuple[F32, F32], case: str) -> None:
    items, queries = data
    build, _, names = CASES[case]
    index = vr.wrap(build(items, "l2"), np.arange(len(items)) + 7, vectors=items)
    found = vr.tune(index, queries, K, 0.95)
    assert found.reached
    assert sorted(found.setting) == sorted([*names, "reorder"])
    assert found.setting == found.index.setting
    assert found.recall >= 0.95
    ids = found.index.search(queries, K).ids
    by_hand = recall_by_hand(ids - 7, items, queries, "l2")
    assert by_hand == pytest.approx(found.recall, abs=SUM)


@pytest.mark.parametrize("space", ["ip", "l2", "cosine"])
def test_hnswlib_gives_its_vectors_back(data: tuple[F32, F32], space: Any) -> None:
    items, queries = data
    labels = np.random.default_rng(3).permutation(9000)[: len(items)]
    index = hnswlib_graph(items, space, labels)
    read_back = vr.tune(index, queries, K, 0.95)
    assert read_back.reached
    given = vr.tune(index, queries, K, 0.95, vectors=vr.FlatIndex(items, labels, metric=space))
    assert read_back.setting == given.setting
    assert [p.recall for p in read_back.curve] == [p.recall for p in given.curve]
    ascending = items[np.argsort(labels)]
    named = vr.wrap(index, labels)
    for found in (
        vr.tune(index, queries, K, 0.95, vectors=ascending),
        vr.tune(named, queries, K, 0.95),
        vr.tune(named, queries, K, 0.95, vectors=items),
    ):
        assert [p.recall for p in found.curve] == [p.recall for p in read_back.curve]


def test_usearch_gives_its_vectors_back_where_they_are_float32(data: tuple[F32, F32]) -> None:
    items, queries = data
    index = usearch_graph(items)
    read_back = vr.tune(index, queries, K, 0.95)
    given = vr.tune(index, queries, K, 0.95, vectors=items)
    assert [p.recall for p in read_back.curve] == [p.recall for p in given.curve]
    with pytest.raises(ValueError, match=r"^vectors: expected the items' vectors, since this"):
        vr.tune(usearch_graph(items, dtype="bf16"), queries, K, 0.95)


def test_deleted_items_are_not_asked_for(data: tuple[F32, F32]) -> None:
    items, queries = data
    index = hnswlib_graph(items)
    for label in range(0, len(items), 3):
        index.mark_deleted(label)
    found = vr.tune(index, queries, K, 0.95)
    assert found.reached
    kept = np.arange(len(items))[np.arange(len(items)) % 3 != 0]
    places = np.searchsorted(kept, by_hnswlib(index, queries, **found.setting))
    by_hand = recall_by_hand(places, items[kept], queries, "l2")
    assert by_hand == pytest.approx(found.recall, abs=SUM)


@pytest.mark.parametrize("reranked", [False, True])
def test_scans_have_nothing_to_tune(data: tuple[F32, F32], reranked: bool) -> None:
    items, queries = data
    for library, metric in ((hnswlib_scan(items), None), (hnswlib_scan(items, "ip"), "ip")):
        index = vr.wrap(library, metric=metric, vectors=items) if reranked else library
        found = vr.tune(index, queries, K, 1.0, vectors=items, metric=metric)
        assert (found.setting, found.recall, len(found.curve)) == ({}, 1.0, 1)


@pytest.mark.parametrize("reranked", [False, True])
def test_a_scan_of_scann(data: tuple[F32, F32], reranked: bool) -> None:
    items, queries = data
    library = scann_searcher(items, "ip", "floats")
    index = vr.wrap(library, vectors=items) if reranked else library
    found = vr.tune(index, queries, K, 1.0, vectors=items)
    assert (found.setting, found.recall, len(found.curve)) == ({}, 1.0, 1)


def test_a_lossy_scan_is_reranked(data: tuple[F32, F32]) -> None:
    items, queries = data
    library = scann_searcher(items, "l2", "codes")
    with pytest.warns(vr.TuningWarning, match=r"reaches recall 0.99, got 0\.\d+ at best"):
        assert vr.tune(library, queries, K, 0.99, vectors=items).setting == {}
    found = vr.tune(vr.wrap(library, vectors=items), queries, K, 0.99)
    assert found.reached
    assert list(found.setting) == ["reorder"]
    assert found.setting["reorder"] > 1


def test_a_view_that_scans_is_tuned_from_the_start(data: tuple[F32, F32]) -> None:
    items, queries = data
    for dtype in ("f32", "bf16"):
        index = vr.wrap(usearch_graph(items, dtype=dtype))
        found = vr.tune(index.with_params(exact=1), queries, K, 0.8, vectors=items)
        assert found.setting == vr.tune(index, queries, K, 0.8, vectors=items).setting
        assert found.setting["exact"] == 0


def islands(data: tuple[F32, F32]) -> F32:
    """Groups far apart, between which a sparse graph has no way."""
    items = data[0].copy()
    items[:, 0] += 1000 * (np.arange(len(items)) % 3)
    return items


def test_a_scan_is_the_last_resort_of_usearch(data: tuple[F32, F32]) -> None:
    items, queries = islands(data), islands(data)[:80] + np.float32(0.1)
    index = usearch_graph(items, connectivity=3, expansion_add=4)
    found = vr.tune(index, queries, K, 0.99, vectors=items)
    assert found.reached
    assert found.setting == {"expansion_search": K, "exact": 1}
    assert [p.setting["exact"] for p in found.curve] == [0] * (len(found.curve) - 1) + [1]
    assert max(point.recall for point in found.curve[:-1]) < 0.99
    true = recall_by_hand(by_usearch(index, queries, **found.setting), items, queries, "l2")
    assert true == pytest.approx(found.recall, abs=SUM)


def test_a_scan_of_rounded_vectors_is_reranked(data: tuple[F32, F32]) -> None:
    items, queries = islands(data), islands(data)[:80] + np.float32(0.1)
    library = usearch_graph(items, dtype="bf16", connectivity=3, expansion_add=4)
    with pytest.warns(vr.TuningWarning, match=r"^tune: expected a setting that reaches"):
        alone = vr.tune(library, queries, K, 0.99, vectors=items)
    assert not alone.reached
    assert alone.setting["exact"] == 1
    found = vr.tune(vr.wrap(library, vectors=items), queries, K, 0.99)
    assert found.reached
    assert found.setting["exact"] == 1
    assert found.setting["reorder"] > 1


def test_what_cannot_be_tuned(data: tuple[F32, F32]) -> None:
    items, queries = data
    with pytest.raises(ValueError, match=r"^metric: expected 'ip' or 'cosine', since this kind"):
        vr.tune(hnswlib_scan(items, "ip"), queries, K, 0.9, vectors=items)
    with pytest.raises(ValueError, match=r"^vectors: expected the items' vectors, since this"):
        vr.tune(hnswlib_scan(items), queries, K, 0.9)
    with pytest.raises(ValueError, match=r"^vectors: expected those that the index holds, got ano"):
        vr.tune(hnswlib_graph(items), queries, K, 0.9, vectors=items[::-1])
