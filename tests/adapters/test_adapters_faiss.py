"""`vecrecall.adapters.faiss`, on the real FAISS."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32

import vecrecall as vr

faiss = pytest.importorskip("faiss", reason="needs faiss-cpu")

from vecrecall.adapters import faiss as adapter  # noqa: E402 - the examples need FAISS

pytestmark = pytest.mark.libraries

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
N, DIM, LISTS = 3000, 20, 24
ALL = N  # a sample as large as this is everything
UNIT = 2.0**-24  # half the distance from 1 to the next float32


def items(rng: np.random.Generator, n: int = N, d: int = DIM) -> F32:
    """Groups of vectors whose lengths differ."""
    centers = rng.standard_normal((12, d))
    x = centers[rng.integers(0, 12, n)] + 0.4 * rng.standard_normal((n, d))
    return (x * rng.lognormal(0, 0.5, (n, 1))).astype(np.float32)


def centroids_of(index: Any) -> F32:
    return index.quantizer.reconstruct_n(0, index.nlist)


def lists_of(index: Any) -> tuple[I64, I64]:
    """Ids, ascending, and the list of each."""
    held = [
        faiss.rev_swig_ptr(index.invlists.get_ids(i), index.invlists.list_size(i)).copy()
        for i in range(index.nlist)
    ]
    ids = np.concatenate(held)
    order = np.argsort(ids, kind="stable")
    return ids[order], np.repeat(np.arange(index.nlist), [len(a) for a in held])[order]


def stored(x: F32, metric: Metric) -> F32:
    """The rows that an index stores: float64 rounded once, as the adapter promises."""
    if metric != "cosine":
        return x
    wide = x.astype(np.float64)
    length = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return (wide / np.where(length > 0, length, 1)).astype(np.float32)


# train_ivf


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["Flat", "SQ8", "SQfp16", "PQ4x4", "FlatPanorama", "RaBitQ"])
def test_every_vector_is_in_the_list_of_its_nearest_centroid(
    rng: np.random.Generator, metric: Metric, storage: str
) -> None:
    x = items(rng)
    ids = rng.permutation(10**6)[: len(x)].astype(np.int64)
    index = adapter.train_ivf(x, LISTS, ids=ids, metric=metric, storage=storage)
    theirs: Literal["ip", "l2"] = "l2" if metric == "l2" else "ip"
    near = vr.assign(stored(x, metric), centroids_of(index), metric=theirs).labels[:, 0]
    found, lists = lists_of(index)
    order = np.argsort(ids)
    np.testing.assert_array_equal(found, ids[order])
    np.testing.assert_array_equal(lists, near[order])
    assert index.ntotal == len(x)
    assert index.is_trained
    assert (index.metric_type == faiss.METRIC_L2) == (metric == "l2")


@pytest.mark.parametrize("metric", METRICS)
def test_all_lists_together_give_the_exact_answer(rng: np.random.Generator, metric: Metric) -> None:
    x, q, k = items(rng), items(rng, n=50), 30
    index = adapter.train_ivf(x, LISTS, metric=metric)
    index.nprobe = LISTS
    distances, ids = index.search(q, k)
    kept: Literal["ip", "l2"] = "l2" if metric == "l2" else "ip"
    exact = vr.FlatIndex(stored(x, metric), metric=kept)
    scores = exact.score(q, ids).values.reshape(ids.shape)
    theirs = -distances if metric == "l2" else distances
    # A sum of d float32 terms errs by at most d + 3 roundings of the sum of their sizes: two in a
    # squared difference, d in the additions, one in our own score. Sizes add up to the distance,
    # or by Cauchy and Schwarz to no more than the product of the lengths.
    lengths = np.linalg.norm(q, axis=1, keepdims=True) * np.linalg.norm(stored(x, metric), axis=1)
    size = np.abs(scores) if metric == "l2" else lengths
    bound = (DIM + 4) * UNIT * size.max(axis=1, keepdims=True)
    assert (np.abs(theirs - scores) <= bound).all()
    best = exact.search(q, k).scores
    # Choosing by values that err so much loses at most twice that at every place.
    assert (np.abs(np.sort(scores)[:, ::-1] - best) <= 2 * bound).all()


@pytest.mark.parametrize("metric", METRICS)
def test_faiss_saves_and_loads_it(rng: np.random.Generator, metric: Metric, tmp_path: Path) -> None:
    x, q = items(rng), items(rng, n=20)
    index = adapter.train_ivf(x, LISTS, ids=np.arange(N) * 3, metric=metric, storage="SQ8")
    faiss.write_index(index, str(tmp_path / "index"))
    for again in (
        faiss.read_index(str(tmp_path / "index")),
        faiss.deserialize_index(faiss.serialize_index(index)),
    ):
        for one in (index, again):
            one.nprobe = 5
        for found, expected in zip(again.search(q, 10), index.search(q, 10), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_faiss_adds_to_it_and_finds_what_it_added(rng: np.random.Generator) -> None:
    x = items(rng)
    index = adapter.train_ivf(x[:2000], LISTS, metric="l2")
    index.add(x[2000:])
    assert index.ntotal == N
    assert index.search(x, 1)[1].ravel().tolist() == list(range(N))


def test_faiss_makes_a_fast_scan_of_it(rng: np.random.Generator) -> None:
    x = items(rng)
    ids = np.arange(N) * 2
    index = adapter.train_ivf(x, LISTS, ids=ids, metric="l2", storage="PQ4x4")
    fast = faiss.IndexIVFPQFastScan(index)
    assert [fast.invlists.list_size(i) for i in range(LISTS)] == np.bincount(
        lists_of(index)[1], minlength=LISTS
    ).tolist()
    index.nprobe = fast.nprobe = LISTS
    found, expected = fast.search(x[:50], 20)[1], index.search(x[:50], 20)[1]
    # Distances are looked up in tables of 8 bits: most of the answer is the same.
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found, expected, strict=True)]) > 0.8


def test_under_l2_the_centroids_are_those_of_our_k_means(rng: np.random.Generator) -> None:
    x = items(rng)
    index = adapter.train_ivf(x, LISTS, metric="l2", max_iter=4, seed=3, points_per_list=ALL)
    model = vr.KMeans(LISTS, init="random", max_iter=4, tol=0, random_state=3).fit(x)
    assert_same_float32(centroids_of(index), model.cluster_centers_)
    np.testing.assert_array_equal(lists_of(index)[1], model.labels_)


@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_under_inner_product_centroids_are_directions_of_sums(
    rng: np.random.Generator, metric: Metric
) -> None:
    x = items(rng)
    index = adapter.train_ivf(x, LISTS, metric=metric, max_iter=200, points_per_list=ALL)
    labels = lists_of(index)[1]
    sums = np.zeros((LISTS, DIM))
    np.add.at(sums, labels, stored(x, metric).astype(np.float64))
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    # Of numbers of at most 1, rounded once; the float64 sums differ only in their order.
    np.testing.assert_allclose(centroids_of(index), expected, rtol=0, atol=1.01 * UNIT)


@pytest.mark.parametrize("metric", METRICS)
def test_the_callback_sees_the_loss_fall(rng: np.random.Generator, metric: Metric) -> None:
    x = items(rng)
    seen: list[tuple[int, float]] = []
    index = adapter.train_ivf(
        x, LISTS, metric=metric, max_iter=5, callback=lambda *a: seen.append(a), points_per_list=ALL
    )
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5]
    losses = [loss for _, loss in seen]
    assert losses == sorted(losses, reverse=True)
    # The last one is of the centroids before their last update, which lowers it once more.
    rows = stored(x, metric)
    scores = vr.assign(rows, centroids_of(index), metric="l2" if metric == "l2" else "ip").scores
    most = 0.0 if metric == "l2" else np.linalg.norm(rows.astype(np.float64), axis=1).sum()
    last = most - scores.sum(dtype=np.float64)
    assert 0.9 * losses[-1] < last < losses[-1] < losses[0]


def test_what_a_callback_raises_ends_the_training(rng: np.random.Generator) -> None:
    def stop(number: int, loss: float) -> None:
        raise KeyboardInterrupt

    for metric in METRICS:
        with pytest.raises(KeyboardInterrupt):
            adapter.train_ivf(items(rng), LISTS, metric=metric, callback=stop)


@pytest.mark.parametrize("metric", METRICS)
def test_threads_change_nothing_and_seeds_do(rng: np.random.Generator, metric: Metric) -> None:
    x = items(rng)

    def built(threads: int, seed: int) -> bytes:
        index = adapter.train_ivf(
            x, LISTS, metric=metric, points_per_list=50, threads=threads, seed=seed
        )
        return faiss.serialize_index(index).tobytes()

    before = faiss.omp_get_max_threads()
    assert built(1, 0) == built(3, 0)
    assert built(1, 0) != built(1, 1)
    assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize("metric", METRICS)
def test_zero_vectors_are_kept(rng: np.random.Generator, metric: Metric) -> None:
    x = items(rng)
    x[::3] = 0
    index = adapter.train_ivf(x, LISTS, metric=metric, points_per_list=10)
    ids, lists = lists_of(index)
    assert ids.tolist() == list(range(N))
    if metric != "l2":
        assert not lists[::3].any()
        lengths = np.linalg.norm(centroids_of(index).astype(np.float64), axis=1)
        np.testing.assert_allclose(lengths, 1, rtol=0, atol=DIM * UNIT)


@pytest.mark.parametrize("metric", METRICS)
def test_more_lists_than_different_vectors(rng: np.random.Generator, metric: Metric) -> None:
    x = np.repeat(items(rng, n=3), 10, axis=0)
    index = adapter.train_ivf(x, 6, metric=metric)
    assert lists_of(index)[0].tolist() == list(range(30))
    assert np.isfinite(centroids_of(index)).all()
    assert len(adapter.train_ivf(x[::10], 3, metric=metric).search(x, 1)[1]) == 30


def test_opposite_vectors_leave_no_centroid_without_a_direction() -> None:
    """The sum of a list is zero: its centroid takes the vector that lost most."""
    x = np.array([[1, 0], [-1, 0]], np.float32)
    for seed in range(6):
        index = adapter.train_ivf(x, 1, seed=seed, max_iter=1)
        assert np.abs(centroids_of(index)).tolist() == [[1.0, 0.0]]


def test_other_dtypes_are_converted(rng: np.random.Generator) -> None:
    x = items(rng).astype(np.float16)
    a = adapter.train_ivf(x, 4, storage="Flat")
    b = adapter.train_ivf(np.asfortranarray(x.astype(np.float64)), 4)
    np.testing.assert_array_equal(faiss.serialize_index(a), faiss.serialize_index(b))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"nlist": 41}, ValueError, r"nlist: expected at most 40, the number of vectors.*, got 41"),
        ({"nlist": 0}, ValueError, "nlist: expected a whole number >= 1, got 0"),
        ({"ids": [1, 2]}, ValueError, "ids: expected 40 ids, one per row, got 2"),
        ({"ids": [0, *range(39)]}, ValueError, "ids: duplicate id 0"),
        ({"ids": range(-1, 39)}, ValueError, "ids: expected ids >= 0, got -1"),
        ({"ids": [0.5] * 40}, TypeError, "ids: expected integers, got dtype float64"),
        ({"metric": "L2"}, ValueError, "metric: expected one of 'ip', 'cosine', 'l2', got 'L2'"),
        ({"storage": 8}, TypeError, "storage: expected what FAISS's index_factory .*, got int"),
        ({"storage": "PQ3"}, ValueError, "storage: expected .* got 'PQ3' for width 20"),
        ({"storage": "Flat,RFlat"}, ValueError, "storage: expected that of an IVF index, got"),
        ({"storage": "PQ4x4fs"}, ValueError, "storage: expected one that takes lists computed"),
        ({"storage": "FlatDedup"}, ValueError, "storage: expected one that takes lists computed"),
        ({"max_iter": 0}, ValueError, "max_iter: expected a whole number >= 1, got 0"),
        ({"points_per_list": 0}, ValueError, "points_per_list: expected a whole number >= 1"),
        ({"seed": -1}, ValueError, "seed: expected a whole number >= 0, got -1"),
        ({"callback": 3}, TypeError, "callback: expected a callable, got int"),
        ({"threads": 0}, ValueError, "threads: expected a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments(
    rng: np.random.Generator, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        adapter.train_ivf(**{"vectors": items(rng, n=40), "nlist": 4, **change})


@pytest.mark.parametrize("metric", METRICS)
def test_bad_vectors(rng: np.random.Generator, metric: Metric) -> None:
    x = items(rng, n=40)
    x[7, 3] = np.nan
    with pytest.raises(ValueError, match=r"vectors: expected finite values, got NaN .* in row 7"):
        adapter.train_ivf(x, 4, metric=metric)
    with pytest.raises(ValueError, match="nlist: expected at most 0"):
        adapter.train_ivf(x[:0], 1, metric=metric)
    x[4:] = 0
    if metric != "l2":
        with pytest.raises(ValueError, match=r"at most 4, .* not zero \(metric '.*'\), got 5"):
            adapter.train_ivf(x, 5, metric=metric)


def test_what_faiss_cannot_train_is_its_error(rng: np.random.Generator) -> None:
    with pytest.raises(RuntimeError, match="training points"):
        adapter.train_ivf(items(rng, n=40), 4, storage="PQ4")


# to_faiss, from_faiss


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("named", [False, True])
def test_there_and_back_every_bit_is_the_same(
    rng: np.random.Generator, metric: Metric, named: bool
) -> None:
    x, q = items(rng), items(rng, n=30)
    x[5] = -0.0
    ids = rng.permutation(2**40 + np.arange(N)) if named else None
    ours = vr.FlatIndex(x, ids, metric=metric)
    theirs = adapter.to_faiss(ours)
    assert type(theirs) is (
        faiss.IndexIDMap2 if named else {"ip": faiss.IndexFlatIP, "l2": faiss.IndexFlatL2}[metric]
    )
    back = adapter.from_faiss(theirs)
    assert back.metric == metric
    np.testing.assert_array_equal(back.ids, ours.ids)
    assert_same_float32(back.vectors(back.ids), x)
    assert_same_bits(back.search(q, 40), *arrays(ours.search(q, 40)))


def test_cosine_becomes_the_inner_product_of_directions(rng: np.random.Generator) -> None:
    x = items(rng)
    ours = vr.FlatIndex(x, np.arange(N) + 5, metric="cosine")
    back = adapter.from_faiss(adapter.to_faiss(ours))
    assert back.metric == "ip"
    np.testing.assert_array_equal(back.ids, ours.ids)
    assert_same_float32(back.vectors(back.ids), stored(x, "cosine"))


def test_an_empty_index_goes_there_and_back() -> None:
    back = adapter.from_faiss(adapter.to_faiss(vr.FlatIndex(np.empty((0, 3), np.float32))))
    assert (len(back), back.dim) == (0, 3)


def test_only_plain_items_go_there(rng: np.random.Generator) -> None:
    x = items(rng, n=5)
    with pytest.raises(ValueError, match="index: expected items without a bias"):
        adapter.to_faiss(vr.FlatIndex(x, bias=np.zeros(5)))
    with pytest.raises(TypeError, match="index: expected a FlatIndex, got ndarray"):
        adapter.to_faiss(x)  # type: ignore[arg-type]


HOLDERS = [
    "Flat", "IVF8,Flat", "HNSW8", "NSG8,Flat", "IDMap,Flat", "IDMap2,HNSW8", "IDMap,IVF8,Flat",
    "PQ4x4,RFlat", "IVF8,SQ8,RFlat", "IDMap2,SQ8,RFlat",
]  # fmt: skip


@pytest.mark.parametrize("recipe", HOLDERS)
@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_what_holds_vectors_gives_them_back(
    rng: np.random.Generator, recipe: str, metric: Metric
) -> None:
    x = items(rng, n=1000)
    code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    theirs = faiss.index_factory(DIM, recipe, code)
    theirs.train(x)
    ids = np.arange(len(x))
    if "IDMap" in recipe:
        ids = rng.permutation(len(x)) * 7
        theirs.add_with_ids(x, ids)
    else:
        theirs.add(x)
    back = adapter.from_faiss(theirs)
    assert back.metric == metric
    np.testing.assert_array_equal(np.sort(back.ids), np.sort(ids))
    assert_same_float32(back.vectors(ids), x)


def test_ids_in_inverted_lists_are_kept_and_removed_items_are_gone(
    rng: np.random.Generator,
) -> None:
    x = items(rng)
    ids = rng.permutation(N) * 5
    theirs = adapter.train_ivf(x, LISTS, ids=ids)
    theirs.remove_ids(np.sort(ids)[:100])
    back = adapter.from_faiss(theirs)
    assert back.ids.tolist() == np.sort(ids)[100:].tolist()
    assert_same_float32(back.vectors(ids[ids >= 500]), x[ids >= 500])


def test_removing_from_a_flat_index_moves_its_ids_as_in_faiss(rng: np.random.Generator) -> None:
    x = items(rng, n=10)
    theirs = faiss.IndexIDMap2(faiss.IndexFlatIP(DIM))
    theirs.add_with_ids(x, np.arange(10) + 50)
    theirs.remove_ids(np.array([50, 53]))
    back = adapter.from_faiss(theirs)
    assert back.ids.tolist() == [51, 52, 54, 55, 56, 57, 58, 59]
    assert_same_float32(back.vectors(back.ids), x[[1, 2, 4, 5, 6, 7, 8, 9]])


def filled(recipe: str, x: F32, metric: int = 1) -> Any:
    index = faiss.index_factory(x.shape[1], recipe, metric)
    index.train(x)
    index.add(x)
    return index


@pytest.mark.parametrize(
    "recipe",
    ["PQ4x4", "SQ8", "SQfp16", "IVF8,SQ8", "IVF8,PQ4x4", "HNSW8_SQ8", "LSH", "PCA8,Flat",
     "IVF8,FlatDedup", "IVF8,PQ4x4fs"],
)  # fmt: skip
def test_codes_are_not_vectors(rng: np.random.Generator, recipe: str) -> None:
    theirs = filled(recipe, items(rng))
    with pytest.raises(
        ValueError, match=r"index: expected one that holds its vectors .*, got Index"
    ):
        adapter.from_faiss(theirs)


def test_what_cannot_come_back(rng: np.random.Generator) -> None:
    x = items(rng, n=40)

    def refused(theirs: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=f"^index: {message}"):
            adapter.from_faiss(theirs)

    refused(x, TypeError, "expected a FAISS index of float vectors, got ndarray")
    refused(faiss.IndexBinaryFlat(8), TypeError, "expected a FAISS index .* got IndexBinaryFlat")
    refused(
        faiss.index_factory(DIM, "IVF4,Flat"),
        ValueError,
        "expected a trained one, got IndexIVFFlat",
    )
    refused(
        faiss.IndexFlat(DIM, faiss.METRIC_L1), ValueError, "expected METRIC_INNER.* got METRIC_L1"
    )
    lists = adapter.train_ivf(x, 4)
    lists.add_with_ids(x[:1], np.array([3]))
    refused(lists, ValueError, "expected usable items; .* duplicate id 3")
    named = faiss.IndexIDMap2(faiss.IndexFlatL2(DIM))
    named.add_with_ids(x[:2], np.array([4, -1]))
    refused(named, ValueError, "expected usable items; .* ids >= 0, got -1")
    broken = filled("Flat", np.full((3, DIM), np.inf, np.float32))
    refused(broken, ValueError, "expected usable items; .* NaN or infinity in row 0")
    holes = faiss.index_factory(DIM, "IDMap,IVF4,Flat")
    holes.train(x)
    holes.add_with_ids(x, np.arange(40))
    holes.remove_ids(np.arange(3))
    refused(holes, ValueError, "expected an IndexIDMap that names all items of its index")


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    x = np.eye(3, dtype=np.float32)
    for call in (
        lambda: adapter.train_ivf(x, 1),
        lambda: adapter.to_faiss(vr.FlatIndex(x)),
        lambda: adapter.from_faiss(None),
    ):
        with pytest.raises(ImportError, match=r"needs faiss: pip install 'vecrecall\[faiss\]'"):
            call()


def test_the_examples_run() -> None:
    failed, attempted = doctest.testmod(adapter)
    assert attempted > 0
    assert not failed
