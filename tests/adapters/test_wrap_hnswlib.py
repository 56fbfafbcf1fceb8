"""hnswlib's indexes by our conventions."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from wrap_checks import (
    check_exact,
    check_ids_and_vectors,
    check_lists,
    check_queries,
    check_views_at_once,
    check_zero_query,
    float32_tolerance,
    items,
    queries,
)

import vecrecall as vr

pytestmark = pytest.mark.libraries

hnswlib = pytest.importorskip("hnswlib", reason="wraps its indexes")

METRICS = ["ip", "cosine", "l2"]


def graph(space: str, x: np.ndarray, labels: Any = None, ef: int = 50) -> Any:
    index = hnswlib.Index(space, x.shape[1])
    index.init_index(len(x) + 10, M=16, ef_construction=200, random_seed=1)
    index.add_items(x, labels, num_threads=1)
    index.set_ef(ef)
    return index


def scan(space: str, x: np.ndarray, labels: Any = None) -> Any:
    index = hnswlib.BFIndex(space, x.shape[1])
    index.init_index(len(x) + 10)
    index.add_items(x, labels)
    return index


@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_gives_full_lists_with_near_scores(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(graph(metric, x))
    assert (index.metric, index.dim, len(index)) == (metric, 12, 400)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, float32_tolerance(x, q, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_make_a_graphs_scores_exact(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(graph(metric, x), vectors=x)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, 0.0)
    check_queries(index, q)


@pytest.mark.parametrize("metric", METRICS)
def test_a_scan_with_vectors_gives_the_lists_of_a_flat_index(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(scan(metric, x), metric=metric, vectors=x)
    check_exact(index, vr.FlatIndex(x, metric=metric), q)
    check_queries(index, q)


def test_a_direction_whose_squared_length_overflows() -> None:
    # The library makes zeros of such a row, so that its scores bound nothing.
    x, q = items(), queries()
    x[18] *= np.float32(1e19)
    flat = vr.FlatIndex(x, metric="cosine")
    assert (flat.search(q, 1).ids == 18).any()
    index = vr.wrap(scan("cosine", x), metric="cosine", vectors=x)
    check_exact(index, flat, q)


@pytest.mark.parametrize("metric", METRICS)
def test_a_scan_without_vectors(metric: str) -> None:
    # The library leaves queries under cosine as they are; the wrapper does not.
    x, q = items(), 3 * queries()
    index = vr.wrap(scan(metric, x), metric=metric)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, float32_tolerance(x, q, metric))


@pytest.mark.parametrize("make", [graph, scan])
def test_a_zero_query_under_cosine(make: Any) -> None:
    x = items()
    check_zero_query(vr.wrap(make("cosine", x), metric="cosine"), queries())
    check_zero_query(vr.wrap(make("cosine", x), metric="cosine", vectors=x), queries())


@pytest.mark.parametrize("make", [graph, scan])
def test_cosine_over_products_of_unit_rows(make: Any) -> None:
    x, q = items(), 5 * queries()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    flat = vr.FlatIndex(x, metric="cosine")
    index = vr.wrap(make("ip", unit), metric="cosine", vectors=x)
    check_lists(index, flat, q, 0.0)
    check_lists(
        vr.wrap(make("ip", unit), metric="cosine"), flat, q, float32_tolerance(x, q, "cosine")
    )


def test_l2_of_unit_rows_is_not_taken_for_products() -> None:
    x = np.eye(8, dtype=np.float32)
    index = vr.wrap(scan("l2", x), vectors=x)
    assert index.metric == "l2"
    assert index.search(2 * x[:1], 2).scores.tolist() == [[-1.0, -5.0]]


def test_a_scan_by_products_does_not_tell_its_metric() -> None:
    with pytest.raises(ValueError, match="metric: expected 'ip' or 'cosine'"):
        vr.wrap(scan("ip", items()))
    with pytest.raises(ValueError, match="metric: expected 'ip' or 'cosine'"):
        vr.wrap(scan("cosine", items()))


@pytest.mark.parametrize(("space", "metric"), [("ip", "cosine"), ("cosine", "ip")])
def test_vectors_show_a_scan_under_the_wrong_metric(space: str, metric: Any) -> None:
    x = items()
    with pytest.raises(ValueError, match="vectors: expected those that the index holds"):
        vr.wrap(scan(space, x), metric=metric, vectors=x)


@pytest.mark.parametrize("k", [20, 395, 400, 500])
def test_more_than_the_graph_gives(k: int) -> None:
    # Two islands in a sparse graph, deleted items between them: no query reaches everything.
    rng = np.random.default_rng(3)
    x = rng.standard_normal((400, 4)).astype(np.float32)
    x[200:] += 1000
    library = hnswlib.Index("l2", 4)
    library.init_index(400, M=2, ef_construction=4, random_seed=1)
    library.add_items(x, num_threads=1)
    library.set_ef(400)
    gone = np.arange(0, 400, 50)
    for label in gone:
        library.mark_deleted(label)
    with pytest.raises(RuntimeError, match="contiguous"):
        library.knn_query(x[:8], k=392)
    index = vr.wrap(library)
    assert len(index) == 392
    assert 50 not in index
    q = x[rng.permutation(400)[:40]]
    found = index.search(q, k)
    assert found.counts.max() <= 392
    assert not np.isin(found.ids, gone).any()
    if k >= 392:
        assert found.counts.max() < 392
    for row in range(40):  # as many as the library gives one at a time, the same ones
        count = found.counts[row]
        labels, distances = library.knn_query(q[row : row + 1], k=count)
        assert set(labels[0].tolist()) == set(found.ids[row, :count].tolist())
        np.testing.assert_array_equal(-distances[0], found.scores[row, :count])
        if count < min(k, 392):
            with pytest.raises(RuntimeError, match="contiguous"):
                library.knn_query(q[row : row + 1], k=count + 1)
    kept = np.delete(np.arange(400), gone)
    with_vectors = vr.wrap(library, vectors=x[kept])
    flat = vr.FlatIndex(x[kept], kept, metric="l2")
    if k >= 392:  # what the graph does not reach comes from a scan
        np.testing.assert_array_equal(with_vectors.search(q, k).ids, flat.search(q, k).ids)


def test_ef_is_an_argument_and_left_as_it_was() -> None:
    x, q = items(2000, 16), queries(60, 16)
    library = graph("l2", x, ef=10)
    index = vr.wrap(library)
    assert index.search_params == {"ef": (1, 2000, "candidates")}
    expected = {}
    for ef in (10, 40, 2000):
        library.set_ef(ef)
        expected[ef] = library.knn_query(q, k=10)[0]
    library.set_ef(10)
    assert not np.array_equal(expected[10], expected[2000])
    views = {10: index, 40: index.with_params(ef=40), 2000: index.with_params(ef=2000)}
    check_views_at_once(lambda value, turn: views[value].search(q, 10).ids, expected)
    assert library.ef == 10


def test_labels_of_any_order() -> None:
    x, q = items(), queries()
    labels = np.random.default_rng(5).permutation(4000)[:400] + 7
    order = np.argsort(labels)
    flat = vr.FlatIndex(x, labels, metric="l2")
    for library in (graph("l2", x, labels), scan("l2", x, labels)):
        check_lists(vr.wrap(library, vectors=x[order]), flat, q, 0.0)
        check_lists(vr.wrap(library, labels, vectors=x), flat, q, 0.0)
        check_lists(vr.wrap(library, vectors=flat), flat, q, 0.0)
        index = vr.wrap(library)
        np.testing.assert_array_equal(index.ids, np.sort(labels))
        with pytest.raises(ValueError, match="vectors: expected those that the index holds"):
            vr.wrap(library, vectors=x)
        with pytest.raises(ValueError, match="ids: expected the 400 labels"):
            vr.wrap(library, labels + 1)


@pytest.mark.parametrize("make", [graph, scan])
def test_ids_that_are_the_labels_in_order(make: Any) -> None:
    x, q = items(), queries()
    labels = 2**63 - 1200 + 3 * np.arange(400)
    index = vr.wrap(make("l2", x, labels), labels, vectors=x)
    check_lists(index, vr.FlatIndex(x, labels, metric="l2"), q, 0.0)


def test_labels_up_to_n_stand_for_ids() -> None:
    x, q = items(), queries()
    ids = np.random.default_rng(6).permutation(10**6)[:400]
    flat = vr.FlatIndex(x, ids, metric="ip")
    mixed = np.random.default_rng(7).permutation(400)
    for library in (graph("ip", x), graph("ip", x[mixed], mixed), scan("ip", x[mixed], mixed)):
        check_lists(vr.wrap(library, ids, metric="ip", vectors=x), flat, q, 0.0)


@pytest.mark.parametrize("make", [graph, scan])
def test_vectors_decide_what_a_permutation_means(make: Any) -> None:
    x, q = items(), queries()
    ids = np.random.default_rng(8).permutation(400)
    library = make("l2", x, ids)  # row i has the label ids[i]
    flat = vr.FlatIndex(x, ids, metric="l2")
    check_lists(vr.wrap(library, ids, vectors=x), flat, q, 0.0)
    check_lists(vr.wrap(library, ids, vectors=flat), flat, q, 0.0)
    library = make("l2", x)  # label j stands for ids[j]
    check_lists(vr.wrap(library, ids, vectors=x), flat, q, 0.0)
    near = vr.wrap(library, ids)
    check_lists(near, flat, q, float32_tolerance(x, q, "l2"))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [graph, scan])
def test_other_vectors_are_refused(make: Any, metric: Any) -> None:
    x = items()
    moved = np.roll(x, 1, axis=0)
    with pytest.raises(ValueError, match=r"vectors: expected those .* for id \d+, in row \d+"):
        vr.wrap(make(metric, x), metric=metric, vectors=moved)
    flat = vr.FlatIndex(moved, metric=metric)
    with pytest.raises(ValueError, match=r"vectors: expected those .* for id \d+, in row \d+"):
        vr.wrap(make(metric, x), metric=metric, vectors=flat)


def test_an_index_that_was_never_initialized() -> None:
    with pytest.raises(ValueError, match="index: expected an initialized one"):
        vr.wrap(hnswlib.Index("l2", 4))
    library = hnswlib.BFIndex("l2", 4)
    with pytest.raises(ValueError, match="index: expected an initialized one"):
        vr.wrap(library)
    library.init_index(10)  # still possible
    library.add_items(np.eye(4, dtype=np.float32))
    assert len(vr.wrap(library)) == 4


@pytest.mark.parametrize("kind", ["Index", "BFIndex"])
def test_an_empty_index(kind: str) -> None:
    library = getattr(hnswlib, kind)("ip", 4)
    library.init_index(10)
    for vectors in (None, np.empty((0, 4), np.float32)):
        index = vr.wrap(library, metric="ip", vectors=vectors)
        found = index.search(np.ones((2, 4), np.float32), 3)
        assert found.counts.tolist() == [0, 0]
        assert (found.ids == -1).all()


def test_nothing_is_asked_that_ends_the_process() -> None:
    # The library reads past the end of narrower queries; a process of its own shows a crash.
    code = """
import hnswlib, numpy as np, vecrecall as vr
for kind in (hnswlib.Index, hnswlib.BFIndex):
    library = kind("cosine", 300)
    library.init_index(5)
    library.add_items(np.eye(5, 300, dtype=np.float32))
    index = vr.wrap(library, metric="cosine")
    for width in (1, 299, 301):
        try:
            index.search(np.ones((3, width), np.float32), 2)
        except ValueError as error:
            print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == 2 * [
        f"queries: expected shape (n, 300) or (300,), got (3, {width})" for width in (1, 299, 301)
    ]


def test_deleted_from_a_scan() -> None:
    x = items()
    library = scan("l2", x)
    library.delete_vector(17)
    kept = np.delete(np.arange(400), 17)
    index = vr.wrap(library, vectors=x[kept])
    check_exact(index, vr.FlatIndex(x[kept], kept, metric="l2"), queries())


@pytest.mark.parametrize("make", [graph, scan])
def test_an_index_that_has_grown(make: Any) -> None:
    x = items()
    library = make("l2", x)
    index = vr.wrap(library)
    library.add_items(x[:1], [999])
    with pytest.raises(ValueError, match="index: expected the 400 items"):
        index.search(queries(), 3)


@pytest.mark.parametrize("make", [graph, scan])
def test_labels_beyond_int64(make: Any) -> None:
    library = make("l2", items(3, 4), np.array([1, 2**63, 5], np.uint64))
    with pytest.raises(ValueError, match="index: expected labels that fit int64"):
        vr.wrap(library)


def test_arguments_that_do_not_suit() -> None:
    x = items()
    library = graph("l2", x)
    with pytest.raises(ValueError, match="metric: expected 'l2'"):
        vr.wrap(library, metric="ip")
    check_ids_and_vectors(library, x)
    with pytest.raises(ValueError, match=r"vectors: expected shape \(n, 12\)"):
        vr.wrap(library, vectors=x[:, 1:])
    with pytest.raises(ValueError, match="metric: expected rows of length one"):
        vr.wrap(graph("ip", x), metric="cosine")
    with pytest.raises(TypeError, match=r"index: expected an index of faiss, hnswlib, .* got "):
        vr.wrap(object())
    with pytest.raises(ValueError, match="nprobe: expected a setting of this index"):
        vr.wrap(library).with_params(nprobe=3)
    with pytest.raises(ValueError, match="ef"):
        vr.wrap(library).with_params(ef=401)
