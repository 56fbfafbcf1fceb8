"""`vecrecall.wrap` over FAISS, by what it promises."""

from __future__ import annotations

import functools
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32
from datasets import HARD, normal

import vecrecall as vr

pytestmark = pytest.mark.libraries

faiss = pytest.importorskip("faiss", reason="needs faiss-cpu")

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Rng = np.random.Generator
N, DIM, NQ = 600, 16, 7
UNIT = 2.0**-24  # half the distance from 1 to the next float32

EXACT = ("Flat", "IDMap,Flat", "IDMap2,Flat")
APPROXIMATE = (
    "IDMap2,HNSW16",
    "HNSW16",
    "HNSW16_SQ8",
    "IVF8,Flat",
    "IDMap,IVF8,Flat",
    "IVF8,PQ4x4",
    "IVF8,SQ8",
    "IVF8_HNSW4,Flat",
    "IVF8,PQ4x4fs",
    "IVF8,LSQ2x4",
    "SQ8",
    "SQfp16",
    "PQ4x4",
    "PQ4x4fs",
    "PQ4x4,RFlat",
    "IVF8,PQ4x4,RFlat",
    "IDMap,IVF8,PQ4x4,RFlat",
    "OPQ4_16,IVF8,PQ4x4",
    "PCA8,Flat",
    "IDMap,PCA8,Flat",
    "IDMap,PCA8,IVF8,Flat",
    "PCA8,HNSW16",
    "NSG16",
    "LSH",
)
# Their scores are of the vectors as they are, in float32.
IN_FLOAT32 = ("Flat", "IDMap2,HNSW16", "HNSW16", "IVF8,Flat", "IVF8_HNSW4,Flat", "NSG16")
KINDS = [
    (kind, metric)
    for kind in (*EXACT, *APPROXIMATE)
    for metric in ("ip", "l2")
    if (kind, metric) != ("LSH", "ip")
]


def unit(x: F32) -> F32:
    wide = x.astype(np.float64)
    return (wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))).astype(np.float32)


@functools.cache
def trained(kind: str, dim: int, l2: bool) -> Any:
    index = faiss.index_factory(dim, kind, faiss.METRIC_L2 if l2 else faiss.METRIC_INNER_PRODUCT)
    if kind.startswith("OPQ"):  # its 50 rounds take seconds
        opq = faiss.downcast_VectorTransform(index.chain.at(0))
        opq.niter = opq.niter_pq = opq.niter_pq_0 = 1
    index.train(normal(np.random.default_rng(0), N, dim))
    return faiss.serialize_index(index)


def library(kind: str, x: F32, metric: Metric, labels: I64 | None = None) -> Any:
    """Make a FAISS index of rows; IDMap gets labels that say nothing about the rows."""
    index = faiss.deserialize_index(trained(kind, x.shape[1], metric == "l2"))
    stored = unit(x) if metric == "cosine" else x
    if labels is not None:
        index.add_with_ids(stored, labels)
    else:
        index.add(stored)
    return index


def labels_for(kind: str, rng: Rng, n: int) -> I64 | None:
    return rng.permutation(10 * n)[:n].astype(np.int64) if kind.startswith("IDMap") else None


class Pair:
    """A wrapped index and the exact one of the same items."""

    def __init__(
        self, rng: Rng, kind: str, metric: Metric, *, reranked: bool, ties: bool = False
    ) -> None:
        self.items, self.queries = normal(rng, N, DIM), normal(rng, NQ, DIM)
        if ties:
            self.items[N // 2 : N // 2 + 9] = self.items[0]
        labels = labels_for(kind, rng, N)
        self.library = library(kind, self.items, metric, labels)
        vectors = self.items if reranked else None
        self.wrapped = vr.wrap(self.library, metric=metric, vectors=vectors)
        self.ids = np.arange(N) if labels is None else labels
        self.flat = vr.FlatIndex(self.items, self.ids, metric=metric)


def assert_valid(found: vr.SearchResult, k: int, nq: int = NQ) -> None:
    """Lists in order, each item once, padded at the end."""
    assert found.ids.shape == found.scores.shape == (nq, k)
    for ids, scores, count in zip(*arrays(found), strict=True):
        assert (ids[:count] >= 0).all()
        assert (ids[count:] == -1).all()
        assert (scores[count:] == -np.inf).all()
        assert np.unique(ids[:count]).size == count
        np.testing.assert_array_equal(np.lexsort((ids[:count], -scores[:count])), np.arange(count))


# Exact indexes


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("metric", METRICS)
def test_exact_kinds_answer_as_flat_index(kind: str, metric: Metric, rng: Rng) -> None:
    pair = Pair(rng, kind, metric, reranked=True, ties=True)
    wrapped, flat, q = pair.wrapped, pair.flat, pair.queries
    q[2] = pair.items[0]  # a tie of ten items
    best = flat.search(q, 120).ids
    some = rng.permutation(pair.ids)[:90]
    floor = float(flat.search(q, 9).scores[0, -1])
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"exclude": best}, {"exclude": best}),
        ({"exclude": best[:, :3]}, {"exclude": best[:, :3]}),
        ({"exclude": [pair.ids, [], [1, 10**9, -5], *[[]] * (NQ - 3)]},) * 2,
        ({"allow": some},) * 2,
        ({"allow": []},) * 2,
        ({"allow": [*some.tolist(), some[0], 10**12, -1]},) * 2,
        ({"allow": wrapped.mask(some)}, {"allow": flat.mask(some)}),
        ({"allow": ~wrapped.mask(some)}, {"allow": ~flat.mask(some)}),
        ({"allow": ~wrapped.mask([])}, {"allow": ~flat.mask([])}),
        ({"allow": ~wrapped.mask(pair.ids)}, {"allow": ~flat.mask(pair.ids)}),
        (
            {"allow": [~wrapped.mask(row) if row[0] % 2 else wrapped.mask(row) for row in best]},
            {"allow": [~flat.mask(row) if row[0] % 2 else flat.mask(row) for row in best]},
        ),
        ({"min_score": floor},) * 2,
        ({"min_score": np.nextafter(floor, np.inf)},) * 2,
        ({"min_score": np.inf},) * 2,
        (
            {"min_score": floor, "exclude": best[:, :5], "allow": ~wrapped.mask(best[0, 5:7])},
            {"min_score": floor, "exclude": best[:, :5], "allow": ~flat.mask(best[0, 5:7])},
        ),
    ]
    for ours, theirs in calls:
        for k in (1, 5, 14, 100, N - 1, N + 50):
            expected = flat.search(q, k, **theirs)
            assert_same_bits(wrapped.search(q, k, **ours), *arrays(expected))
        one = wrapped.search(q, 5, **ours, threads=1)
        assert_same_bits(wrapped.search(q, 5, **ours, threads=2), *arrays(one))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_hard_data(name: str, metric: Metric, rng: Rng) -> None:
    # More queries than FAISS takes one by one (20): products by BLAS, distances from norms.
    queries, items = HARD[name](rng, 24, 500, 12)
    wrapped = vr.wrap(library("Flat", items, metric), metric=metric, vectors=items)
    flat = vr.FlatIndex(items, metric=metric)
    best = flat.search(queries, 60).ids
    for part in (slice(0, 24), slice(0, 3)):
        q = queries[part]
        for k in (1, 10, 500):
            assert_same_bits(wrapped.search(q, k), *arrays(flat.search(q, k)))
            given = {"exclude": best[part]}
            assert_same_bits(wrapped.search(q, k, **given), *arrays(flat.search(q, k, **given)))
        allow = best[0, ::2]
        assert_same_bits(wrapped.search(q, 9, allow=allow), *arrays(flat.search(q, 9, allow=allow)))


@pytest.mark.parametrize("offset", [1e2, 1e3, 1e4])
def test_distances_far_from_the_origin(offset: float, rng: Rng) -> None:
    # |q|^2 + |x|^2 - 2 q.x in float32 is off by far more than the distances differ.
    items = (normal(rng, 2000, DIM) + np.float32(offset)).astype(np.float32)
    queries = (normal(rng, 32, DIM) + np.float32(offset)).astype(np.float32)
    wrapped = vr.wrap(library("Flat", items, "l2"), vectors=items)
    flat = vr.FlatIndex(items, metric="l2")
    assert_same_bits(wrapped.search(queries, 10), *arrays(flat.search(queries, 10)))


def test_distances_that_vanish_term_by_term() -> None:
    # Terms of 0.6 of the least float32 round up, terms of 0.4 to nothing: the library has them in
    # the wrong order, and further apart than any relative error.
    least = 2.0**-149
    items = np.full((100, 64), np.sqrt(0.6 * least), np.float32)
    items[40:, 1:] = 0
    items[40:, 0] = np.sqrt((41 + np.arange(60) / 3) * least)
    index = library("Flat", items, "l2")
    query = np.zeros((1, 64), np.float32)
    own = index.search(query, 100)[0]
    assert own[0, 0] < own[0, -1]
    wrapped = vr.wrap(index, vectors=items)
    flat = vr.FlatIndex(items, metric="l2")
    assert flat.search(query, 1).ids.item() == 0
    assert wrapped._backend.search(query, 1, {}, None, 1).labels.item() != 0
    assert_same_bits(wrapped.search(query, 5), *arrays(flat.search(query, 5)))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e18])
@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_float32_errors_are_within_the_bound(metric: Metric, scale: float, rng: Rng) -> None:
    dim = 37
    items = (normal(rng, 800, dim) + 3) * np.float32(scale)
    for nq in (3, 40):  # one by one, and by BLAS
        queries = (normal(rng, nq, dim) - 2) * np.float32(scale)
        if scale == 1e12:  # products that cancel
            queries[:, ::2] *= -1
        index = library("Flat", items, metric)
        wrapped = vr.wrap(index, vectors=items)
        scores, labels = index.search(queries, len(items))
        own = (-scores if metric == "l2" else scores).astype(np.float64)
        wide_q, wide_x = queries.astype(np.float64), items.astype(np.float64)
        true = (
            np.array(
                [
                    x @ q if metric == "ip" else -((q - x) ** 2).sum(axis=1)
                    for q, x in ((q, wide_x[row]) for q, row in zip(wide_q, labels, strict=True))
                ]
            )
            if metric == "l2"
            else np.take_along_axis(wide_q @ wide_x.T, labels, axis=1)
        )
        error = wrapped._completer._error(queries)
        assert (np.abs(own - true) <= error[:, None]).all()


def test_ties_at_the_end_of_the_list(rng: Rng) -> None:
    items = np.repeat(normal(rng, 10, DIM), 60, axis=0)
    ids = rng.permutation(5000)[:600]
    wrapped = vr.wrap(library("Flat", items, "l2"), ids, vectors=items)
    flat = vr.FlatIndex(items, ids, metric="l2")
    for k in (1, 59, 60, 61, 300):
        found = wrapped.search(items[::60], k)
        assert_same_bits(found, *arrays(flat.search(items[::60], k)))


@pytest.mark.parametrize("kind", ["Flat", "IVF8,PQ4x4", "IDMap,HNSW16"])
def test_a_batch_is_its_queries(kind: str, rng: Rng) -> None:
    pair = Pair(rng, kind, "ip", reranked=True)
    batch = pair.wrapped.search(pair.queries, 8)
    rows = [arrays(pair.wrapped.search(q[None], 8)) for q in pair.queries]
    assert_same_bits(batch, *(np.concatenate(part) for part in zip(*rows, strict=True)))


@pytest.mark.parametrize("kind", ["Flat", "IVF8,Flat"])
def test_blocks_of_queries(kind: str, rng: Rng, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(rng, kind, "l2", reranked=True)
    best = pair.flat.search(pair.queries, 30).ids
    masks = [pair.wrapped.mask(row[3:20]) for row in best]
    whole = pair.wrapped.search(pair.queries, 8, exclude=best[:, ::2], allow=masks)
    monkeypatch.setattr("vecrecall.adapters._completion.BLOCK_ENTRIES", 100)
    again = pair.wrapped.search(pair.queries, 8, exclude=best[:, ::2], allow=masks)
    assert_same_bits(again, *arrays(whole))


@pytest.mark.parametrize("metric", METRICS)
def test_queries_in_every_form(metric: Metric, rng: Rng) -> None:
    pair = Pair(rng, "Flat", metric, reranked=True)
    wrapped, flat = pair.wrapped, pair.flat
    forms: list[Any] = [
        pair.queries.astype(np.float64) * (1 + 1e-12),
        pair.queries.astype(np.float16),
        np.asfortranarray(pair.queries),
        np.repeat(pair.queries, 2, axis=1)[::2, ::2],
        pair.queries.tolist(),
        pair.queries[:0],
    ]
    for q in forms:
        assert_same_bits(wrapped.search(q, 6), *arrays(flat.search(q, 6)))
    q = pair.queries.copy()
    q[1], q[3, 2], q[4, 0] = 0, np.nan, np.inf
    exclude = [[int(i)] for i in pair.ids[:NQ]]
    masks = (
        [wrapped.mask(pair.ids[i : i + 90]) for i in range(NQ)],
        [flat.mask(pair.ids[i : i + 90]) for i in range(NQ)],
    )
    for k in (6, 95):
        found = wrapped.search(q, k, invalid="empty", exclude=exclude, allow=masks[0])
        expected = flat.search(q, k, invalid="empty", exclude=exclude, allow=masks[1])
        assert_same_bits(found, *arrays(expected))
    with pytest.raises(ValueError, match=r"queries: expected finite .* row 3"):
        wrapped.search(q, 6)
    zeros = np.zeros((2, DIM), np.float32)
    assert_same_bits(wrapped.search(zeros, 3), *arrays(flat.search(zeros, 3)))


@pytest.mark.parametrize("kind", ["Flat", "IDMap,Flat", "HNSW16"])
@pytest.mark.parametrize("reranked", [False, True])
def test_an_empty_index(kind: str, reranked: bool) -> None:
    empty = np.empty((0, 4), np.float32)
    wrapped = vr.wrap(faiss.index_factory(4, kind), ids=[], vectors=empty if reranked else None)
    queries = np.ones((2, 4), np.float32)
    assert len(wrapped) == 0
    for kw in ({}, {"exclude": [[1], []]}, {"allow": [1, 2]}, {"allow": ~wrapped.mask([1])}):
        found = wrapped.search(queries, 3, **kw)  # type: ignore[arg-type]
        assert_valid(found, 3, 2)
        assert found.counts.tolist() == [0, 0]


def test_huge_k(rng: Rng) -> None:
    pair = Pair(rng, "Flat", "ip", reranked=True)
    found = pair.wrapped.search(pair.queries[:2], 10**6)
    assert_same_bits(found, *arrays(pair.flat.search(pair.queries[:2], 10**6)))
    with pytest.raises(ValueError, match=r"k: .* is too large"):
        pair.wrapped.search(pair.queries, 2**60)


# All kinds


@pytest.mark.parametrize("reranked", [False, True], ids=["own", "reranked"])
@pytest.mark.parametrize(("kind", "metric"), KINDS)
def test_filters_hold_and_lists_are_full(
    kind: str, metric: Metric, reranked: bool, rng: Rng
) -> None:
    pair = Pair(rng, kind, metric, reranked=reranked)
    wrapped, q, k = pair.wrapped, pair.queries, 12
    best = wrapped.search(q, 60).ids
    some = rng.permutation(pair.ids)[:90]
    masks = [wrapped.mask(rng.permutation(pair.ids)[:90]) for _ in q]
    calls: list[dict[str, Any]] = [
        {},
        {"exclude": best},
        {"allow": some},
        {"allow": ~wrapped.mask(some)},
        {"allow": masks},
        {"exclude": best[:, :20], "allow": some},
    ]
    for kw in calls:
        found = wrapped.search(q, k, **kw)
        assert_valid(found, k)
        assert np.isin(found.ids, pair.ids).all()
        assert found.counts.tolist() == [k] * NQ
        if "exclude" in kw:
            rows = zip(found.ids, kw["exclude"], strict=True)
            assert not any(np.isin(ids, excluded_ids).any() for ids, excluded_ids in rows)
        sets = kw.get("allow")
        if sets is some:
            assert np.isin(found.ids, some).all()
        elif sets is masks:
            for ids, allowed in zip(found.ids, masks, strict=True):
                assert np.isin(ids, allowed._ids).all()
        elif sets is not None:
            assert not np.isin(found.ids, some).any()
        if reranked:
            exact = pair.flat.score(q, vr.Ragged.from_lists(found.ids)).values
            assert_same_float32(found.scores.ravel(), exact)
    floor = float(np.median(best_scores := wrapped.search(q, 60).scores))
    kept = wrapped.search(q, 60, min_score=floor)
    assert_valid(kept, 60)
    assert (kept.scores[kept.ids >= 0] >= floor).all()
    if not set(wrapped.search_params) - {
        "reorder"
    }:  # else lists that may end early are not asked for more
        np.testing.assert_array_equal(kept.counts, (best_scores >= floor).sum(axis=1))


@pytest.mark.parametrize("kind", IN_FLOAT32)
@pytest.mark.parametrize("metric", METRICS)
def test_own_scores_are_near_the_exact_ones(kind: str, metric: Metric, rng: Rng) -> None:
    pair = Pair(rng, kind, metric, reranked=False)
    found = pair.wrapped.search(pair.queries, 20)
    assert_valid(found, 20)
    exact = pair.flat.score(pair.queries, vr.Ragged.from_lists(found.ids)).values
    # Sums of DIM rounded products in any order: DIM u |q| |x|, at most (|q| + |x|)^2 for distances.
    # Another 3 u for rows and queries that were divided by their lengths, and the last rounding.
    lengths = [np.linalg.norm(a.astype(np.float64), axis=1) for a in (pair.queries, pair.items)]
    if metric == "cosine":
        largest: Any = 1.0
    else:
        q, x = lengths[0][:, None], lengths[1].max()
        largest = (q + x) ** 2 if metric == "l2" else q * x
    bound = 1.01 * (DIM + 4) * UNIT * largest
    assert (np.abs(found.scores.astype(np.float64) - exact.reshape(NQ, 20)) <= bound).all()


@pytest.mark.parametrize(("kind", "metric"), KINDS)
def test_a_selector_finds_what_over_fetching_finds(
    kind: str, metric: Metric, rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(rng, kind, metric, reranked=False)
    full = {name: param.high for name, param in pair.wrapped.search_params.items()}
    wrapped = pair.wrapped.with_params(**full)
    some = rng.permutation(pair.ids)[:200]
    found = [wrapped.search(pair.queries, 10, allow=m) for m in (some, ~wrapped.mask(some))]
    monkeypatch.setattr(type(wrapped._backend), "selector", lambda *_: None)
    again = [wrapped.search(pair.queries, 10, allow=m) for m in (some, ~wrapped.mask(some))]
    for a, b in zip(found, again, strict=True):
        if kind in (*EXACT, "IVF8,Flat", "IVF8,SQ8", "SQ8", "SQfp16", "IDMap,IVF8,Flat"):
            # One scorer for all items; products may be summed in another order.
            assert [set(row) for row in a.ids.tolist()] == [set(row) for row in b.ids.tolist()]
        else:
            shared = np.mean([np.isin(x, y).mean() for x, y in zip(a.ids, b.ids, strict=True)])
            assert shared > 0.5  # by chance: 10 of 200


def test_labels_far_apart(rng: Rng) -> None:
    items = normal(rng, 300, DIM)
    labels = np.sort(rng.integers(0, 2**62, 300))
    wrapped = vr.wrap(library("IVF4,Flat", items, "ip", labels)).with_params(nprobe=4)
    flat = vr.FlatIndex(items, labels)
    for allow in (labels[::3], labels[5:7]):
        found = wrapped.search(items[:9], 10, allow=allow)
        np.testing.assert_array_equal(found.ids, flat.search(items[:9], 10, allow=allow).ids)


def test_lists_that_stay_short_say_so(rng: Rng) -> None:
    # A graph of two parts: a search that starts in one never sees the other.
    near, far = normal(rng, 40, 4), normal(rng, 40, 4) + 1000
    index = faiss.IndexHNSWFlat(4, 4)
    index.add(np.concatenate([near, far]))
    levels = faiss.vector_to_array(index.hnsw.levels)
    offsets = faiss.vector_to_array(index.hnsw.offsets)
    links = faiss.vector_to_array(index.hnsw.neighbors)
    for row in range(80):
        mine = links[offsets[row] : offsets[row + 1]]
        mine[(mine >= 0) & ((mine < 40) != (row < 40))] = -1
        mine[:] = np.concatenate([mine[mine >= 0], mine[mine < 0]])
    assert levels.shape == (80,)
    faiss.copy_array_to_vector(links, index.hnsw.neighbors)
    items = np.concatenate([near, far])
    found = vr.wrap(index).search(items[[0, 79]], 60)
    assert_valid(found, 60, 2)
    assert (found.counts < 60).all()
    assert (found.counts > 0).all()
    exact = vr.wrap(index, vectors=items).search(items[[0, 79]], 60)
    flat = vr.FlatIndex(items, metric="l2")
    assert_same_bits(exact, *arrays(flat.search(items[[0, 79]], 60)))


# Settings


@pytest.mark.parametrize("kind", ["IVF8,Flat", "HNSW16", "PCA8,IVF8,PQ4x4,RFlat"])
def test_searches_leave_the_index_as_it_was(kind: str, rng: Rng) -> None:
    pair = Pair(rng, kind, "l2", reranked=False)
    space = faiss.ParameterSpace()
    name = "efSearch" if "HNSW" in kind else "nprobe"
    space.set_index_parameter(pair.library, name, 3)
    before = faiss.serialize_index(pair.library)
    omp = faiss.omp_get_max_threads()
    own = pair.wrapped.search(pair.queries, 5)
    high = pair.wrapped.with_params(**{name: pair.wrapped.search_params[name].high})
    more = high.search(pair.queries, 5, allow=pair.ids[::2], threads=1)
    high.search(pair.queries, 200, exclude=more.ids, threads=omp + 1)
    assert faiss.omp_get_max_threads() == omp
    np.testing.assert_array_equal(faiss.serialize_index(pair.library), before)
    assert pair.wrapped.setting == {}
    assert high.setting == {name: pair.wrapped.search_params[name].high}
    assert_same_bits(pair.wrapped.search(pair.queries, 5), *arrays(own))
    assert_same_bits(pair.wrapped.with_params(**{name: 3}).search(pair.queries, 5), *arrays(own))


def test_a_setting_goes_with_what_the_index_has(rng: Rng) -> None:
    pair = Pair(rng, "IVF8,Flat", "l2", reranked=False)
    faiss.extract_index_ivf(pair.library).nprobe = 8
    whole = pair.wrapped.search(pair.queries, 10)
    faiss.extract_index_ivf(pair.library).max_codes = 50
    limited = pair.wrapped.search(pair.queries, 10)
    assert not np.array_equal(limited.ids, whole.ids)
    assert_same_bits(pair.wrapped.with_params(nprobe=8).search(pair.queries, 10), *arrays(limited))


@pytest.mark.parametrize("kind", ["IVF8,Flat", "IDMap,IVF8,Flat", "HNSW16", "OPQ4_16,IVF8,PQ4x4"])
def test_searches_side_by_side(kind: str, rng: Rng) -> None:
    pair = Pair(rng, kind, "ip", reranked=True)
    name = next(iter(pair.wrapped.search_params))
    views = [pair.wrapped.with_params(**{name: value}) for value in (1, 2, 5, 8)]
    allows = [None, pair.wrapped.mask(pair.ids[::2]), ~pair.wrapped.mask(pair.ids[::3])]
    jobs = [(view, None if a is None else a._ids) for view in views for a in allows]

    def run(job: Any) -> vr.SearchResult:
        return job[0].search(pair.queries, 6, allow=job[1], threads=1)  # type: ignore[no-any-return]

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(10):
            for found, expected in zip(pool.map(run, jobs), alone, strict=True):
                assert_same_bits(found, *arrays(expected))


def test_the_params_of_a_chain(rng: Rng) -> None:
    pair = Pair(rng, "IDMap,PCA8,IVF8,PQ4x4,RFlat", "l2", reranked=True)
    ranges = {name: (param.low, param.high) for name, param in pair.wrapped.search_params.items()}
    assert ranges == {"nprobe": (1, 8), "k_factor": (1, N), "reorder": (1, N)}
    truth = pair.flat.search(pair.queries, 10)
    every = pair.wrapped.with_params(nprobe=8, reorder=60)
    assert_same_bits(every.search(pair.queries, 10), *arrays(truth))
    least = pair.wrapped.with_params(nprobe=1)
    more = pair.wrapped.with_params(nprobe=8, k_factor=20)
    recall = [
        np.isin(view.search(pair.queries, 10).ids, truth.ids).mean() for view in (least, more)
    ]
    assert recall[0] < recall[1]


def test_bad_settings(rng: Rng) -> None:
    ivf = Pair(rng, "IVF8,Flat", "l2", reranked=False).wrapped
    with pytest.raises(ValueError, match=r"efSearch: expected a setting of this index \(nprobe\)"):
        ivf.with_params(efSearch=5)
    with pytest.raises(ValueError, match="reorder: expected a setting"):
        ivf.with_params(reorder=2)
    for value in (0, 9):
        with pytest.raises(ValueError, match="nprobe: expected a whole number"):
            ivf.with_params(nprobe=value)
    for bad in (1.5, "2", True, None):
        with pytest.raises(TypeError, match="nprobe: expected"):
            ivf.with_params(nprobe=bad)  # type: ignore[arg-type]
    flat = Pair(rng, "Flat", "l2", reranked=False).wrapped
    with pytest.raises(ValueError, match=r"nprobe: expected a setting .*none"):
        flat.with_params(nprobe=1)


# Labels, ids and lifetimes


@pytest.mark.parametrize("reranked", [False, True])
def test_an_ivf_with_ids_of_its_own(reranked: bool, rng: Rng) -> None:
    items = normal(rng, 300, DIM)
    labels = np.sort(rng.permutation(5000)[:300])
    wrapped = vr.wrap(
        library("IVF4,Flat", items, "l2", labels), vectors=items if reranked else None
    ).with_params(nprobe=4)
    np.testing.assert_array_equal(wrapped.ids, labels)
    found = wrapped.search(items[:8], 5, exclude=labels[:8, None], allow=labels[:150])
    expected = vr.FlatIndex(items, labels, metric="l2").search(
        items[:8], 5, exclude=labels[:8, None], allow=labels[:150]
    )
    np.testing.assert_array_equal(found.ids, expected.ids)


@pytest.mark.parametrize("kind", ["Flat", "IDMap,Flat", "IVF4,Flat"])
def test_items_that_were_removed(kind: str, rng: Rng) -> None:
    items = normal(rng, 300, DIM)
    index = library(kind, items, "ip", np.arange(300) if kind != "Flat" else None)
    index.remove_ids(np.arange(0, 300, 3))
    left = np.flatnonzero(np.arange(300) % 3)
    ids = np.arange(200) if kind == "Flat" else left
    wrapped = vr.wrap(index, vectors=items[left])
    np.testing.assert_array_equal(wrapped.ids, ids)
    wide = wrapped.with_params(nprobe=4) if "IVF" in kind else wrapped
    expected = vr.FlatIndex(items[left], ids).search(items[:5], 9, allow=ids[::2])
    assert_same_bits(wide.search(items[:5], 9, allow=ids[::2]), *arrays(expected))


@pytest.mark.parametrize("kind", ["Flat", "HNSW16", "IVF4,Flat", "IDMap,Flat"])
def test_ids_given_for_the_rows(kind: str, rng: Rng) -> None:
    items = normal(rng, 300, DIM)
    ids = rng.permutation(10**6)[:300]
    index = library(kind, items, "l2", np.arange(300)[::-1] if kind == "IDMap,Flat" else None)
    wrapped = vr.wrap(index, ids, vectors=items)
    np.testing.assert_array_equal(wrapped.ids, ids)
    assert int(ids[7]) in wrapped
    assert wrapped.contains([int(ids[7]), 10**6, -1]).tolist() == [True, False, False]
    assert 10**6 not in wrapped
    assert True not in wrapped
    np.testing.assert_array_equal(wrapped.vectors(ids[:4]), items[:4])
    high = {name: param.high for name, param in wrapped.search_params.items() if name != "reorder"}
    flat = vr.FlatIndex(items, ids, metric="l2")
    given = {"exclude": ids[:9, None], "allow": ids[:100]}
    assert_same_bits(wrapped.with_params(**high).search(items[:9], 5, **given),
                     *arrays(flat.search(items[:9], 5, **given)))  # fmt: skip
    scores = wrapped.score(items[:1], [ids[:3]])
    assert_same_float32(scores.values, flat.score(items[:1], [ids[:3]]).values)


def test_a_flat_index_as_vectors(rng: Rng) -> None:
    pair = Pair(rng, "IDMap,Flat", "ip", reranked=False)
    order = rng.permutation(N)
    flat = vr.FlatIndex(pair.items[order], pair.ids[order])
    wrapped = vr.wrap(pair.library, vectors=flat)
    exact = flat.search(pair.queries, 20)
    assert_same_bits(wrapped.search(pair.queries, 20), *arrays(exact))
    flat.update(100 * pair.items[:3], pair.ids[:3])  # which the library does not know of
    assert_same_bits(wrapped.search(pair.queries, 20), *arrays(exact))
    with pytest.raises(ValueError, match="vectors: expected an index of the same ids"):
        vr.wrap(pair.library, vectors=vr.FlatIndex(pair.items))
    with pytest.raises(ValueError, match="vectors: expected an index of metric 'ip'"):
        vr.wrap(pair.library, vectors=vr.FlatIndex(pair.items, pair.ids, metric="l2"))
    biased = vr.FlatIndex(pair.items, pair.ids, bias=np.ones(N))
    with pytest.raises(ValueError, match="vectors: expected items without a bias"):
        vr.wrap(pair.library, vectors=biased)


@pytest.mark.parametrize("kind", ["Flat", "IDMap,PCA8,IVF8,PQ4x4,RFlat", "IDMap2,HNSW16"])
def test_the_index_lives_as_long_as_its_wrapping(kind: str, rng: Rng) -> None:
    x = normal(rng, N, DIM)
    labels = labels_for(kind, rng, N)
    wrapped = vr.wrap(library(kind, x, "l2", labels))
    first = wrapped.search(x[:5], 3)
    view = wrapped.with_params(**{name: param.low for name, param in wrapped.search_params.items()})
    allow = wrapped.mask(wrapped.ids[:100])
    wrapped.search(x[:5], 3, allow=allow)
    ids = wrapped.ids
    for _ in range(3):
        gc.collect()
        junk = [library("Flat", normal(rng, N, DIM), "l2") for _ in range(5)]
    assert_same_bits(wrapped.search(x[:5], 3), *arrays(first))
    assert np.isin(wrapped.search(x[:5], 3, allow=allow).ids, ids[:100]).all()
    del wrapped, junk
    gc.collect()
    assert view.search(x[:5], 3).counts.tolist() == [3] * 5


def test_masks_of_two_indexes_do_not_mix(rng: Rng) -> None:
    a, b = (Pair(rng, "Flat", "l2", reranked=False).wrapped for _ in range(2))
    with pytest.raises(ValueError, match="allow: expected a mask of this index"):
        a.search(np.ones((1, DIM), np.float32), 1, allow=b.mask([1]))


# Errors


def small() -> Any:
    index = faiss.IndexFlatIP(2)
    index.add(np.eye(2, dtype=np.float32))
    return index


def untrained() -> Any:
    return faiss.index_factory(4, "IVF2,Flat")


def of_metric(code: int) -> Any:
    index = faiss.IndexFlat(2, code)
    index.add(np.eye(2, dtype=np.float32))
    return index


def repeated() -> Any:
    index = faiss.index_factory(2, "IDMap,Flat")
    index.add_with_ids(np.eye(2, dtype=np.float32), np.array([7, 7]))
    return index


def negative() -> Any:
    index = faiss.index_factory(2, "IDMap,Flat")
    index.add_with_ids(np.eye(2, dtype=np.float32), np.array([7, -7]))
    return index


EYE = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: vr.wrap(untrained()), ValueError, "index: expected a trained one"),
        (lambda: vr.wrap(faiss.IndexBinaryFlat(8)), TypeError, "index: .* binary"),
        (lambda: vr.wrap(of_metric(faiss.METRIC_L1)), ValueError, "index: expected METRIC_INNER"),
        (lambda: vr.wrap(of_metric(faiss.METRIC_Linf)), ValueError, "index: expected METRIC_INNER"),
        (lambda: vr.wrap(repeated()), ValueError, "index: duplicate id 7"),
        (lambda: vr.wrap(negative()), ValueError, "index: expected ids >= 0, got -7"),
        (lambda: vr.wrap(EYE), TypeError, "index: expected an index of faiss.*got numpy.ndarray"),
        (lambda: vr.wrap(None), TypeError, "index: expected an index of faiss.*NoneType"),
        (lambda: vr.wrap(vr.FlatIndex(EYE)), TypeError, "index: expected an index.*FlatIndex"),
        (lambda: vr.wrap(faiss.Clustering(4, 2)), TypeError, "index: expected an index.*Clusterin"),
        (lambda: vr.wrap(small(), metric="l2"), ValueError, "metric: expected 'ip'"),
        (lambda: vr.wrap(of_metric(1), metric="cosine"), ValueError, "metric: expected 'l2'"),
        (lambda: vr.wrap(small(), metric="dot"), ValueError, "metric: expected one of"),  # type: ignore[arg-type]
        (lambda: vr.wrap(small(), [1]), ValueError, "ids: expected 2 ids, one per row, got 1"),
        (lambda: vr.wrap(small(), [1, -1]), ValueError, "ids: expected ids >= 0, got -1"),
        (lambda: vr.wrap(small(), [4, 4]), ValueError, "ids: duplicate id 4"),
        (lambda: vr.wrap(small(), np.array([1, 2**63], np.uint64)), ValueError, "ids: expected"),
        (lambda: vr.wrap(small(), [0.0, 1.0]), TypeError, "ids: expected"),
        (lambda: vr.wrap(small(), vectors=EYE[:1]), ValueError, "vectors: expected 2 rows"),
        (lambda: vr.wrap(small(), vectors=np.eye(3)[:2]), ValueError, "vectors: .* shape"),
        (lambda: vr.wrap(small(), vectors=EYE * np.nan), ValueError, "vectors: .* row 0"),
        (lambda: vr.wrap(small(), vectors=[["a"], ["b"]]), TypeError, "vectors: expected "),
        (
            lambda: vr.wrap(small(), metric="cosine", vectors=EYE * [[1.0], [0.0]]),
            ValueError,
            "vectors: row 1 is all zeros",
        ),
    ],
)  # fmt: skip
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_bad_searches() -> None:
    wrapped = vr.wrap(small())
    for call, error, message in [
        (lambda: wrapped.search(np.eye(3, dtype=np.float32), 1), ValueError, r"queries: .*\(n, 2"),
        (lambda: wrapped.search(EYE, 0), ValueError, "k: expected"),
        (lambda: wrapped.search(EYE, 1, exclude=[[1]]), ValueError, "exclude: expected 2 rows"),
        (lambda: wrapped.search(EYE, 1, min_score=np.nan), ValueError, "min_score: expected"),
        (lambda: wrapped.search(EYE, 1, threads=0), ValueError, "threads: expected"),
        (lambda: wrapped.search(EYE, 1, invalid="no"), ValueError, "invalid: expected"),  # type: ignore[arg-type]
        (lambda: wrapped.search(EYE, 1, allow=[wrapped.mask([1])]), ValueError, "allow: .*masks"),
        (lambda: wrapped.score(EYE, [[1], [0]]), ValueError, "score: .* with `vectors`"),
        (lambda: wrapped.neighbors(1), ValueError, "neighbors: .* with `vectors`"),
        (lambda: wrapped.vectors([0]), ValueError, "vectors: .* with `vectors`"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("kind", ["Flat", "IVF2,Flat"])
def test_an_index_that_has_grown(kind: str, rng: Rng) -> None:
    x = normal(rng, 100, 4)
    index = library(kind, x, "l2")
    wrapped = vr.wrap(index, np.arange(100, 200))
    index.add(x)
    views = [wrapped, wrapped.with_params(nprobe=1) if kind != "Flat" else wrapped.with_params()]
    for view in views:
        with pytest.raises(ValueError, match=r"index: expected the 100 items .* got 200"):
            view.search(x[:2], 3)
