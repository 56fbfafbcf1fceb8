"""ScaNN's searchers by our conventions."""

import threading
from typing import Any

import numpy as np
import pytest
from wrap_checks import (
    check_exact,
    check_ids_and_vectors,
    check_lists,
    check_queries,
    float32_tolerance,
    items,
    queries,
)

import vecrecall as vr

pytestmark = pytest.mark.libraries

pybind = pytest.importorskip("scann.scann_ops.py.scann_ops_pybind", reason="wraps its searchers")

NAMES = {"ip": "dot_product", "l2": "squared_l2"}
KINDS = ["scan", "bytes", "codes", "reordered", "tree", "tree of floats", "tree of bytes"]


def searcher(kind: str, metric: str, x: np.ndarray, docids: Any = None) -> Any:
    builder = pybind.builder(x, 10, NAMES[metric])
    if kind.startswith("tree"):
        builder = builder.tree(20, 8, training_sample_size=len(x), min_partition_size=5)
    if kind in ("scan", "tree of floats"):
        builder = builder.score_brute_force(quantize=False)
    elif kind in ("bytes", "tree of bytes"):
        builder = builder.score_brute_force(quantize=True)
    else:
        builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
    if kind in ("reordered", "tree"):
        builder = builder.reorder(50)
    return builder.build(docids=docids)


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("kind", ["scan", "tree of floats"])
def test_full_lists_with_near_scores(kind: str, metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(searcher(kind, metric, x))
    assert (index.metric, index.dim, len(index)) == (metric, 12, 400)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, float32_tolerance(x, q, metric))


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("kind", ["reordered", "tree"])
def test_reordered_scores(kind: str, metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(searcher(kind, metric, x)).with_params(pre_reorder_num_neighbors=400)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, float32_tolerance(x, q, metric))


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_make_scores_exact(kind: str, metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(searcher(kind, metric, x), vectors=x)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, 0.0)
    check_queries(index, q)


@pytest.mark.parametrize("metric", NAMES)
def test_a_scan_with_vectors_gives_the_lists_of_a_flat_index(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(searcher("scan", metric, x), vectors=x)
    check_exact(index, vr.FlatIndex(x, metric=metric), q)


@pytest.mark.parametrize("kind", ["scan", "tree"])
def test_cosine_over_products_of_unit_rows(kind: str) -> None:
    x, q = items(), 5 * queries()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    flat = vr.FlatIndex(x, metric="cosine")
    index = vr.wrap(searcher(kind, "ip", unit), metric="cosine", vectors=x)
    check_lists(index, flat, q, 0.0)
    q[4] = 0
    assert index.search(q, 5).counts.tolist() == [5] * 4 + [0] + [5] * 25
    if kind == "scan":
        check_exact(index, flat, queries())


def test_params_are_those_that_have_a_meaning() -> None:
    x = items()
    search_params = {kind: vr.wrap(searcher(kind, "l2", x)).search_params for kind in KINDS}
    leaves = {"leaves_to_search": (1, 20, "parts")}
    reordered = {"pre_reorder_num_neighbors": (1, 400, "candidates")}
    assert search_params == {
        "scan": {},
        "bytes": {},
        "codes": {},
        "reordered": reordered,
        "tree": leaves | reordered,
        "tree of floats": leaves,
        "tree of bytes": leaves,
    }


def test_more_leaves_find_more() -> None:
    x, q = items(2000, 16), queries(50, 16)
    index = vr.wrap(searcher("tree of floats", "l2", x))
    best = vr.FlatIndex(x, metric="l2").search(q, 10).ids
    recall = [
        np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, best, strict=True)])
        for found in (index.with_params(leaves_to_search=n).search(q, 10) for n in (1, 8, 20))
    ]
    assert recall[0] < recall[1] < recall[2] == 1
    np.testing.assert_array_equal(
        index.search(q, 10).ids, index.with_params(leaves_to_search=8).search(q, 10).ids
    )


def test_lists_longer_than_what_is_reordered() -> None:
    # By itself the library reorders 50, and gives no more.
    x, q = items(), queries()
    library = searcher("reordered", "ip", x)
    assert np.isnan(library.search_batched(q, 100)[1][:, 50:]).all()
    assert (vr.wrap(library).search(q, 100).counts == 100).all()
    assert (vr.wrap(library).search(q, 500).counts == 400).all()


def test_a_tree_that_holds_too_little_in_a_leaf() -> None:
    x, q = items(), queries()
    index = vr.wrap(searcher("tree", "ip", x)).with_params(leaves_to_search=1)
    assert (index.search(q, 390).counts == 390).all()


def test_docids() -> None:
    x, q = items(), queries()
    docids = np.random.default_rng(5).permutation(4000)[:400]
    flat = vr.FlatIndex(x, docids, metric="ip")
    library = searcher("scan", "ip", x, docids.tolist())
    check_exact(vr.wrap(library, vectors=x), flat, q)
    check_exact(vr.wrap(library, docids[::-1], vectors=x), vr.FlatIndex(x, docids[::-1]), q)
    np.testing.assert_array_equal(vr.wrap(library).ids, docids)


def test_docids_that_are_no_ids() -> None:
    x = items()
    library = searcher("scan", "ip", x, [f"item {i}" for i in range(400)])
    with pytest.raises(TypeError, match="index: expected docids that are integers, or none"):
        vr.wrap(library)
    plain = pybind.ScannSearcher(library.searcher)
    check_exact(vr.wrap(plain, vectors=x), vr.FlatIndex(x), queries())
    with pytest.raises(ValueError, match="index: expected docids >= 0, got -1"):
        vr.wrap(searcher("scan", "ip", x, list(range(-1, 399))))


@pytest.mark.parametrize("d", [1, 2, 7, 300])
def test_the_width_is_found(d: int) -> None:
    x = items(50, d)
    index = vr.wrap(searcher("scan", "l2", x))
    assert index.dim == d
    with pytest.raises(ValueError, match="queries: expected shape"):
        index.search(queries(3, d + 1), 2)


@pytest.mark.parametrize("kind", ["codes", "tree"])
def test_the_width_of_other_kinds(kind: str) -> None:
    assert vr.wrap(searcher(kind, "ip", items(400, 13))).dim == 13


@pytest.mark.parametrize("kind", ["scan", "tree"])
def test_threads_at_once(kind: str) -> None:
    x, q = items(2000, 16), queries(70, 16)
    index = vr.wrap(searcher(kind, "l2", x))
    expected = index.search(q, 10, threads=1)
    wrong: list[int] = []

    def search(n: int) -> None:
        for _ in range(20):
            if not np.array_equal(index.search(q, 10, threads=n).ids, expected.ids):
                wrong.append(n)

    threads = [threading.Thread(target=search, args=(n,)) for n in (1, 2, 3, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_file(tmp_path: Any) -> None:
    x, q = items(), queries()
    searcher("tree", "l2", x).serialize(str(tmp_path))
    index = vr.wrap(pybind.load_searcher(str(tmp_path)), vectors=x)
    check_lists(index, vr.FlatIndex(x, metric="l2"), q, 0.0)


@pytest.mark.parametrize("metric", NAMES)
def test_a_searcher_that_configures_itself(metric: str) -> None:
    x, q = items(), queries()
    library = pybind.builder(x, 10, NAMES[metric]).autopilot().build()
    check_lists(vr.wrap(library, vectors=x), vr.FlatIndex(x, metric=metric), q, 0.0)


def test_a_searcher_that_has_grown() -> None:
    x = items()
    library = searcher("scan", "l2", x, list(range(400)))
    index = vr.wrap(library)
    library.upsert([999], x[:1])
    with pytest.raises(ValueError, match="index: expected the 400 items"):
        index.search(queries(), 3)


def test_other_vectors_are_refused() -> None:
    x = items()
    with pytest.raises(ValueError, match=r"vectors: expected those .* for id \d+, in row \d+"):
        vr.wrap(searcher("scan", "ip", x), vectors=np.roll(x, 1, axis=0))
    with pytest.raises(ValueError, match=r"vectors: expected those .* for id \d+, in row \d+"):
        vr.wrap(searcher("scan", "ip", x), metric="cosine", vectors=x)


def test_arguments_that_do_not_suit() -> None:
    x = items()
    library = searcher("tree", "ip", x)
    with pytest.raises(ValueError, match="metric: expected 'ip'"):
        vr.wrap(library, metric="l2")
    check_ids_and_vectors(library, x)
    with pytest.raises(TypeError, match=r"index: expected an index.*got scann_pybind.Scann"):
        vr.wrap(library.searcher)
    with pytest.raises(ValueError, match="leaves_to_search"):
        vr.wrap(library).with_params(leaves_to_search=21)
