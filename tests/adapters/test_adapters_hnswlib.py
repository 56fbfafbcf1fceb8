"""`vecrecall.adapters.hnswlib`, on the real hnswlib."""

from __future__ import annotations

import doctest
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, assert_same_bits, assert_same_float32

import vecrecall as vr

hnswlib = pytest.importorskip("hnswlib", reason="needs hnswlib")

from vecrecall.adapters import hnswlib as adapter  # noqa: E402 - the examples need hnswlib

F32 = npt.NDArray[np.float32]
DIM = 12
UNIT = 2.0**-24  # half the distance from 1 to the next float32


def items(rng: np.random.Generator, n: int = 500) -> F32:
    return rng.standard_normal((n, DIM), dtype=np.float32)


def graph(space: str, x: F32, labels: Any = None, room: int = 1000) -> Any:
    index = hnswlib.Index(space=space, dim=DIM)
    index.init_index(room)
    index.add_items(x, labels)
    return index


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_there_and_back_every_bit_is_the_same(rng: np.random.Generator, metric: Metric) -> None:
    x, q = items(rng), items(rng, n=30)
    ids = np.sort(rng.permutation(2**62 + np.arange(500)))
    ours = vr.FlatIndex(x, ids, metric=metric)
    back = adapter.from_hnswlib(adapter.to_hnswlib(ours))
    assert back.metric == metric
    np.testing.assert_array_equal(back.ids, ids)
    assert_same_float32(back.vectors(ids), x)
    assert_same_bits(back.search(q, 20), *ours.search(q, 20))


def test_under_cosine_rows_come_back_with_length_one(rng: np.random.Generator) -> None:
    x, q = items(rng), items(rng, n=30)
    ours = vr.FlatIndex(x, metric="cosine")
    back = adapter.from_hnswlib(adapter.to_hnswlib(ours))
    assert back.metric == "cosine"
    # hnswlib divides in float32: the sum of squares errs by d roundings of half weight, then
    # a root, a reciprocal and a product by one each; the cosines of such rows by twice that.
    rows = (DIM / 2 + 4) * UNIT
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        back.vectors(back.ids), wide / np.linalg.norm(wide, axis=1, keepdims=True), rtol=rows
    )
    found, expected = back.search(q, 500), ours.search(q, 500)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=2 * rows)


@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_finds_what_the_index_finds(rng: np.random.Generator, metric: Metric) -> None:
    x, q = items(rng), items(rng, n=20)
    ids = rng.permutation(500) * 3
    ours = vr.FlatIndex(x, ids, metric=metric)
    theirs = adapter.to_hnswlib(ours, M=24, ef_construction=300, threads=1)
    theirs.set_ef(500)
    assert (theirs.space, theirs.dim, theirs.M, theirs.ef_construction) == (metric, DIM, 24, 300)
    assert theirs.get_max_elements() == theirs.get_current_count() == 500
    labels, distances = theirs.knn_query(q, k=10)
    expected = ours.search(q, 10)
    # With ef as large as the index a search looks at all that links lead to: nearly everything.
    assert np.mean(labels == expected.ids) > 0.99
    scores = ours.score(q, labels.astype(np.int64)).values.reshape(labels.shape)
    found = -distances if metric == "l2" else 1 - distances
    # Sums of d float32 terms that add up to no more than the distance, or by Cauchy and Schwarz
    # the product of the lengths: d + 3 roundings of that. Under cosine lengths are 1, each by
    # d / 2 + 4 roundings, and 1 minus the score and back are two of at most 1 more.
    lengths = np.linalg.norm(q, axis=1, keepdims=True) * np.linalg.norm(x, axis=1)
    size = {"ip": lengths.max(), "cosine": 1.0, "l2": -scores.min()}[metric]
    np.testing.assert_allclose(found, scores, rtol=0, atol=(2 * DIM + 13) * UNIT * (1 + size))


def test_one_seed_and_thread_give_one_graph(rng: np.random.Generator) -> None:
    ours = vr.FlatIndex(items(rng))

    def levels(seed: int) -> bytes:
        state = adapter.to_hnswlib(ours, seed=seed, threads=1).__getstate__()[0]
        return bytes(state["data_level0"].tobytes()) + state["element_levels"].tobytes()

    assert levels(5) == levels(5)
    assert levels(5) != levels(6)


def test_deleted_items_stay_behind(rng: np.random.Generator) -> None:
    x = items(rng)
    theirs = graph("l2", x, np.arange(500) * 2)
    for label in (0, 2, 40, 998):
        theirs.mark_deleted(label)
    back = adapter.from_hnswlib(theirs)
    kept = np.setdiff1d(np.arange(500), [0, 1, 20, 499])
    np.testing.assert_array_equal(back.ids, kept * 2)
    assert_same_float32(back.vectors(back.ids), x[kept])
    theirs.unmark_deleted(40)
    assert 40 in adapter.from_hnswlib(theirs)


def test_all_items_deleted(rng: np.random.Generator) -> None:
    theirs = graph("ip", items(rng, n=3))
    for label in range(3):
        theirs.mark_deleted(label)
    assert len(adapter.from_hnswlib(theirs)) == 0


def test_empty_indexes() -> None:
    back = adapter.from_hnswlib(adapter.to_hnswlib(vr.FlatIndex(np.empty((0, DIM), np.float32))))
    assert (len(back), back.dim) == (0, DIM)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"M": 1}, ValueError, "M: expected a whole number >= 2, got 1"),
        ({"M": 2.5}, TypeError, "M: expected a whole number >= 2, got float"),
        ({"ef_construction": 0}, ValueError, "ef_construction: expected a whole number >= 1"),
        ({"seed": -1}, ValueError, "seed: expected a whole number >= 0, got -1"),
        ({"threads": 0}, ValueError, "threads: expected a whole number >= 1, got 0"),
    ],
)
def test_bad_options(
    rng: np.random.Generator, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        adapter.to_hnswlib(vr.FlatIndex(items(rng, n=4)), **options)


def test_only_plain_items_go_there(rng: np.random.Generator) -> None:
    x = items(rng, n=5)
    with pytest.raises(ValueError, match="index: expected items without a bias"):
        adapter.to_hnswlib(vr.FlatIndex(x, bias=np.ones(5)))
    with pytest.raises(TypeError, match="index: expected a FlatIndex, got list"):
        adapter.to_hnswlib([x])  # type: ignore[arg-type]


def test_what_cannot_come_back(rng: np.random.Generator) -> None:
    x = items(rng, n=4)

    def refused(theirs: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=f"^index: {message}"):
            adapter.from_hnswlib(theirs)

    refused(hnswlib.BFIndex("l2", DIM), TypeError, "expected an hnswlib.Index, got a BFIndex")
    refused(x, TypeError, "expected an hnswlib.Index, got ndarray")
    refused(hnswlib.Index("l2", DIM), ValueError, "expected one with items, got one before init")
    large = graph("ip", x, np.array([1, 2, 2**63, 3], np.uint64))
    refused(large, ValueError, "expected labels that fit int64, got 9223372036854775808")
    x[2] = 0
    refused(graph("cosine", x), ValueError, "expected usable items; .* row 2 is all zeros")
    x[2] = np.nan
    refused(graph("l2", x), ValueError, "expected usable items; .* NaN or infinity in row 2")


def test_without_hnswlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    for call in (
        lambda: adapter.from_hnswlib(None),
        lambda: adapter.to_hnswlib(vr.FlatIndex(np.eye(3, dtype=np.float32))),
    ):
        with pytest.raises(ImportError, match=r"needs hnswlib: pip install 'vecrecall\[hnswlib\]'"):
            call()


def test_the_examples_run() -> None:
    failed, attempted = doctest.testmod(adapter)
    assert attempted > 0
    assert not failed
