"""usearch's index by our conventions."""

from pathlib import Path
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

usearch = pytest.importorskip("usearch.index", reason="wraps its index")

NAMES = {"ip": "ip", "cosine": "cos", "l2": "l2sq"}


def graph(metric: str, x: np.ndarray, keys: Any = None, dtype: Any = "f32", **options: Any) -> Any:
    index = usearch.Index(ndim=x.shape[1], metric=NAMES[metric], dtype=dtype, **options)
    index.add(np.arange(len(x)) if keys is None else keys, x, threads=2)
    return index


@pytest.mark.parametrize("metric", NAMES)
def test_full_lists_with_near_scores(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(graph(metric, x))
    assert (index.metric, index.dim, len(index)) == (metric, 12, 400)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, float32_tolerance(x, q, metric))


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("dtype", ["f32", None, "f16", "f64"])
def test_vectors_make_scores_exact(metric: str, dtype: Any) -> None:
    x, q = items(), queries()
    index = vr.wrap(graph(metric, x, dtype=dtype), vectors=x)
    check_lists(index, vr.FlatIndex(x, metric=metric), q, 0.0)
    check_queries(index, q)


@pytest.mark.parametrize("metric", NAMES)
def test_vectors_kept_in_half_precision(metric: str) -> None:
    # Both sides are rounded to 8 bits (bfloat16): each product is off by 2**-7 or less, relative,
    # and a squared distance, whose differences are off by 2**-8 (|q| + |x|), by twice that.
    x, q = items(), queries()
    size = float32_tolerance(x, q, metric) / ((2 * 12 + 16) * 2.0**-24)
    index = vr.wrap(graph(metric, x, dtype="bf16"))
    check_lists(index, vr.FlatIndex(x, metric=metric), q, size * 2.0**-7)


@pytest.mark.parametrize("metric", NAMES)
def test_a_scan_with_vectors_gives_the_lists_of_a_flat_index(metric: str) -> None:
    x, q = items(), queries()
    index = vr.wrap(graph(metric, x), vectors=x).with_params(exact=1)
    check_exact(index, vr.FlatIndex(x, metric=metric), q)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_scores_that_overflow_prove_nothing(metric: str) -> None:
    x, q = items(), queries()
    x[18] *= np.float32(1e19)
    q[:5] *= np.float32(-1e19)
    index = vr.wrap(graph(metric, x), vectors=x).with_params(exact=1)
    assert np.isneginf(index._backend.search(q, len(x), {"exact": 1}, None, 1).scores).any()
    check_exact(index, vr.FlatIndex(x, metric=metric), q)


def test_a_scan_of_rounded_vectors_proves_nothing() -> None:
    # 300 items whose products differ by less than bfloat16 shows.
    x = np.ones((300, 4), np.float32)
    x[:, 0] -= np.arange(300, dtype=np.float32) * 2.0**-14
    q = np.array([[1, 0, 0, 0]], np.float32)
    index = vr.wrap(graph("ip", x, dtype="bf16"), vectors=x).with_params(exact=1)
    assert index.search(q, 5).ids[0].tolist() != [0, 1, 2, 3, 4]
    reordered = index.with_params(reorder=60)
    assert reordered.search(q, 5).ids[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("vectors", [False, True])
def test_a_zero_query_under_cosine(vectors: bool) -> None:
    x = items()
    index = vr.wrap(graph("cosine", x), vectors=x if vectors else None)
    check_zero_query(index, queries())


def test_expansion_is_an_argument_and_left_as_it_was() -> None:
    x, q = items(3000, 24), queries(40, 24)
    library = graph("l2", x, connectivity=4, expansion_add=16)
    library.expansion_search = 10
    index = vr.wrap(library)
    assert index.search_params == {
        "expansion_search": (1, 3000, "candidates"),
        "exact": (0, 1, "scan"),
    }
    expected = {}
    for value in (10, 50, 3000):
        library.expansion_search = value
        expected[value] = library.search(q, 10, threads=1).keys
    library.expansion_search = 10
    assert not np.array_equal(expected[10], expected[3000])
    views = {10: index}
    views |= {value: index.with_params(expansion_search=value) for value in (50, 3000)}
    check_views_at_once(
        lambda value, turn: views[value].search(q, 10, threads=1 + turn % 3).ids, expected
    )
    assert library.expansion_search == 10


def test_an_expansion_of_0_is_the_librarys_default() -> None:
    library = graph("l2", items())
    library.expansion_search = 0
    assert vr.wrap(library).search(queries(), 5).counts.tolist() == [5] * 30


def test_keys_of_any_order() -> None:
    x, q = items(), queries()
    keys = np.random.default_rng(5).permutation(4000)[:400] + 7
    library = graph("ip", x, keys)
    flat = vr.FlatIndex(x, keys, metric="ip")
    check_lists(vr.wrap(library, vectors=x[np.argsort(keys)]), flat, q, 0.0)
    check_lists(vr.wrap(library, keys, vectors=x), flat, q, 0.0)
    check_lists(vr.wrap(library, vectors=flat), flat, q, 0.0)
    np.testing.assert_array_equal(vr.wrap(library).ids, np.sort(keys))
    with pytest.raises(ValueError, match=r"vectors: expected those .* for id \d+, in row \d+"):
        vr.wrap(library, vectors=x)
    with pytest.raises(ValueError, match="ids: expected the 400 labels"):
        vr.wrap(library, keys + 1)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_a_permutation_as_ids(dtype: str) -> None:
    x, q = items(), queries()
    ids = np.random.default_rng(8).permutation(400)
    flat = vr.FlatIndex(x, ids, metric="l2")
    check_lists(vr.wrap(graph("l2", x, dtype=dtype), ids, vectors=x), flat, q, 0.0)
    library = graph("l2", x, ids, dtype=dtype)
    # The vectors show that these are the keys: those that it holds, or what it finds by them.
    check_lists(vr.wrap(library, ids, vectors=x), flat, q, 0.0)
    check_lists(vr.wrap(library, vectors=flat), flat, q, 0.0)


def test_keys_that_cannot_be_looked_up() -> None:
    x, q = items(), queries()
    library = graph("l2", x, enable_key_lookups=False)
    check_lists(vr.wrap(library, vectors=x), vr.FlatIndex(x, metric="l2"), q, 0.0)


def test_several_vectors_a_key() -> None:
    x = items()
    library = graph("l2", x, np.arange(400) // 2, multi=True)
    with pytest.raises(
        ValueError, match="index: expected one vector per key, got several of key 0"
    ):
        vr.wrap(library)
    library = graph("l2", x, multi=True)  # could have had several
    scan = vr.wrap(library, vectors=x).with_params(exact=1)
    check_exact(scan, vr.FlatIndex(x, metric="l2"), queries())


def test_removed_keys() -> None:
    x = items()
    library = graph("l2", x)
    library.remove(np.arange(0, 400, 7))
    kept = np.delete(np.arange(400), np.arange(0, 400, 7))
    index = vr.wrap(library, vectors=x[kept])
    check_exact(index.with_params(exact=1), vr.FlatIndex(x[kept], kept, metric="l2"), queries())
    check_lists(index, vr.FlatIndex(x[kept], kept, metric="l2"), queries(), 0.0)


@pytest.mark.parametrize("view", [False, True])
def test_a_file(tmp_path: Path, view: bool) -> None:
    x, q = items(), queries()
    graph("l2", x).save(tmp_path / "index")
    library = usearch.Index.restore(tmp_path / "index", view=view)
    check_lists(vr.wrap(library, vectors=x), vr.FlatIndex(x, metric="l2"), q, 0.0)


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("named", NAMES)
@pytest.mark.parametrize("metric", NAMES)
def test_a_file_of_another_metric_than_the_index_says(
    tmp_path: Path, metric: str, named: str, dtype: str
) -> None:
    for x in (items(), np.eye(12, dtype=np.float32)):
        graph(metric, x, dtype=dtype).save(tmp_path / "index")
        library = usearch.Index(ndim=12, metric=NAMES[named])
        library.load(tmp_path / "index")
        if metric == named:
            assert vr.wrap(library).metric == metric
        else:
            with pytest.raises(ValueError, match="index: expected a search by"):
                vr.wrap(library)


def test_an_empty_index() -> None:
    library = usearch.Index(ndim=4, metric="ip")
    for vectors in (None, np.empty((0, 4), np.float32)):
        found = vr.wrap(library, vectors=vectors).search(np.ones((2, 4), np.float32), 3)
        assert found.counts.tolist() == [0, 0]
        assert (found.ids == -1).all()


def test_an_index_that_has_grown() -> None:
    x = items()
    library = graph("l2", x)
    index = vr.wrap(library)
    library.add(999, x[0])
    with pytest.raises(ValueError, match="index: expected the 400 items"):
        index.search(queries(), 3)


def test_keys_beyond_int64() -> None:
    library = graph("l2", items(3, 4), np.array([1, 2**63, 5], np.uint64))
    with pytest.raises(ValueError, match="index: expected labels that fit int64"):
        vr.wrap(library)


def test_kinds_that_do_not_suit() -> None:
    with pytest.raises(TypeError, match="index: expected one of float vectors, got a binary one"):
        vr.wrap(usearch.Index(ndim=16, metric="hamming"))
    with pytest.raises(ValueError, match="index: expected metric IP, Cos or L2sq, got Pearson"):
        vr.wrap(usearch.Index(ndim=16, metric="pearson"))
    with pytest.raises(ValueError, match="index: expected vectors stored as floats for metric IP"):
        vr.wrap(usearch.Index(ndim=16, metric="ip", dtype="i8"))
    with pytest.raises(TypeError, match="index: expected a usearch Index, got Indexes"):
        vr.wrap(usearch.Indexes())


def test_bytes_under_cosine() -> None:
    # Directions in steps of 1/127 a coordinate: |q| |x| of length one differ by sqrt(12)/254 each.
    x, q = items(), queries()
    index = vr.wrap(graph("cosine", x, dtype="i8"))
    check_lists(index, vr.FlatIndex(x, metric="cosine"), q, 2 * 12**0.5 / 127)


def test_arguments_that_do_not_suit() -> None:
    x = items()
    library = graph("ip", x)
    with pytest.raises(ValueError, match="metric: expected 'ip'"):
        vr.wrap(library, metric="l2")
    with pytest.raises(ValueError, match="metric: expected rows of length one"):
        vr.wrap(library, metric="cosine")
    check_ids_and_vectors(library, x)
    with pytest.raises(ValueError, match=r"queries: expected shape \(n, 12\) or \(12,\), got "):
        vr.wrap(library).search(queries()[:, 1:], 3)
    with pytest.raises(ValueError, match="exact"):
        vr.wrap(library).with_params(exact=2)
