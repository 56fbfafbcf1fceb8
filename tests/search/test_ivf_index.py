"""IVFIndex: exact among the lists that are probed, and altogether when all are or it is proved."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import probing
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits, forced_isa
from datasets import HARD
from hostile_files import write_manifest
from index_model import Model

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator
D = 11
N = 3000


def clustered(rng: Rng, n: int, d: int = D, clusters: int = 40) -> F32:
    centers = 4 * rng.standard_normal((clusters, d))
    rows = centers[rng.integers(0, clusters, n)] + rng.standard_normal((n, d))
    return rows.astype(np.float32)


def one_list_of_half(rng: Rng, n: int) -> F32:
    rows = 20 * rng.standard_normal((n, D))
    rows[: n // 2] = rows[0] + 1e-3 * rng.standard_normal((n // 2, D))
    return rng.permutation(rows.astype(np.float32))


def clusters_of_duplicates(rng: Rng, n: int) -> F32:
    return rng.standard_normal((30, D)).astype(np.float32)[rng.integers(0, 30, n)]


SKEWED = {
    "clustered": clustered,
    "one list of half": one_list_of_half,
    "clusters of duplicates": clusters_of_duplicates,
    "all rows equal": lambda rng, n: np.tile(
        rng.standard_normal((1, D)).astype(np.float32), (n, 1)
    ),
    "gaussian": lambda rng, n: rng.standard_normal((n, D)).astype(np.float32),
}


def queries_for(rng: Rng, rows: F32, n: int = 9) -> F32:
    """Near to items, items themselves, far from everything, and zero."""
    picked = rows[rng.integers(0, len(rows), n)]
    near = picked + 0.1 * rng.standard_normal(picked.shape)
    far = 1e4 * rng.standard_normal((2, rows.shape[1]))
    return np.concatenate([near, picked[:2], far, 0 * far[:1]]).astype(np.float32)


def model_of(rows: F32, metric: str, bias: F32 | None = None) -> Model:
    model = Model(metric, rows.shape[1])
    model.put(rows, np.arange(len(rows)), bias)
    return model


def assert_probes(index: vr.IVFIndex, model: Model, queries: F32, k: int, **filters: Any) -> None:
    """Compare every way to probe with the oracle; `filters` are as it takes them."""
    asked = dict(filters)
    if "allow" in filters:
        asked["allow"] = [index.mask(ids) for ids in filters["allow"]]
    everything = model.search(queries, k, **filters)
    for probes in ("exact", index.n_lists or 1, 10**12):
        assert_same_bits(index.search(queries, k, probes=probes, **asked), *everything)
    for probes in {1, 2, max(1, index.n_lists // 3), max(1, index.n_lists - 1)}:
        meant = probing.both(filters, probing.within(index, queries, probes))
        found = index.search(queries, k, probes=probes, stats=True, **asked)
        assert_same_bits(found, *model.search(queries, k, **meant))
        assert found.stats is not None
        assert found.stats.queries_widened == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", SKEWED)
def test_exact_among_what_is_probed(
    isa: str, threads: int, metric: Metric, kind: str, rng: Rng
) -> None:
    rows = SKEWED[kind](rng, N)
    with_threads = vr.get_num_threads()
    vr.set_num_threads(threads)
    try:
        index = vr.IVFIndex(rows, metric=metric)
        assert_probes(index, model_of(rows, metric), queries_for(rng, rows), 10)
    finally:
        vr.set_num_threads(with_threads)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", HARD)
def test_hard_data(metric: Metric, kind: str, rng: Rng) -> None:
    queries, rows = HARD[kind](rng, 5, 700, 9)
    index = vr.IVFIndex(rows, metric=metric, n_lists=12)
    assert_probes(index, model_of(rows, metric), queries, 7)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 63, 64, 65, 129])
@pytest.mark.parametrize("d", [1, 2, 17])
@pytest.mark.parametrize("metric", METRICS)
def test_few_items_and_dimensions(n: int, d: int, metric: Metric, rng: Rng) -> None:
    rows = (rng.standard_normal((n, d)) + 0.5).astype(np.float32)
    index = vr.IVFIndex(rows, metric=metric, n_lists=50)
    assert index.n_lists <= max(n, 1)
    assert index.stats.list_sizes.sum() == n
    queries = queries_for(rng, rows if n else np.ones((1, d), np.float32))
    assert_probes(index, model_of(rows, metric), queries, 5)


@pytest.mark.parametrize("metric", METRICS)
def test_bias_and_filters(isa: str, metric: Metric, rng: Rng) -> None:
    rows = clustered(rng, N)
    bias = rng.standard_normal(N).astype(np.float32)
    index = vr.IVFIndex(rows, metric=metric, bias=bias, n_lists=60)
    model = model_of(rows, metric, bias)
    queries = queries_for(rng, rows)
    assert_probes(index, model, queries, 20)
    masks = [rng.permutation(N)[: rng.integers(1, 900)].tolist() for _ in queries]
    seen = [rng.permutation(N)[:50].tolist() for _ in queries]
    floor = float(np.median(model.search(queries[:9], 20).scores))
    assert_probes(index, model, queries, 20, allow=masks)
    assert_probes(index, model, queries, 20, exclude=seen)
    assert_probes(index, model, queries, 20, min_score=floor)
    assert_probes(index, model, queries, 20, allow=masks, exclude=seen, min_score=floor)


@pytest.mark.parametrize("metric", METRICS)
def test_same_bits_for_every_set_thread_count_and_batch(metric: Metric, rng: Rng) -> None:
    rows = clustered(rng, 20_000, 24, 300)
    queries = queries_for(rng, rows, 500)
    found = {}
    for isa in vr.available_isas():
        with forced_isa(isa):
            index = vr.IVFIndex(rows, metric=metric, threads=1 + len(found) % 2)
            saved = index._arrays()
            found[isa] = index.search(queries, 10, probes=3, threads=2)
            parts = [index.search(queries[i : i + 7], 10, probes=3) for i in range(0, 500, 7)]
            for i, part in enumerate(parts):
                assert part.ids.tolist() == found[isa].ids[7 * i : 7 * i + 7].tolist()
                assert part.scores.tolist() == found[isa].scores[7 * i : 7 * i + 7].tolist()
            if len(found) == 1:
                first = saved
            assert saved.keys() == first.keys()
            for name, array in saved.items():
                assert array.tobytes() == first[name].tobytes(), name
    for result in found.values():
        assert_same_bits(result, *arrays(next(iter(found.values()))))


def test_lists_of_several_blocks(rng: Rng) -> None:
    """A list of more than 2048 items has several blocks."""
    rows = clustered(rng, 20_000)
    index = vr.IVFIndex(rows, n_lists=3, metric="l2")
    assert index.stats.list_sizes.max() > 2048
    assert_probes(index, model_of(rows, "l2"), queries_for(rng, rows), 30)


@pytest.mark.parametrize("kind", SKEWED)
def test_lists_are_bounded(kind: str, rng: Rng) -> None:
    n = 20_000
    sizes = vr.IVFIndex(SKEWED[kind](rng, n), n_lists=100).stats.list_sizes
    assert sizes.min() >= 1
    assert sizes.sum() == n
    assert sizes.max() <= max(256, 4 * n / 100)
    assert sizes.max() <= max(256, 4 * sizes.mean())


def test_a_list_that_is_split_does_not_leave_others_too_long(rng: Rng) -> None:
    """Half of the items are equal: to split their list makes many lists, and a lower average."""
    rows = rng.standard_normal((20_000, 8)).astype(np.float32)
    rows[:10_000] = rows[0]
    for n_lists in (100, None):
        index = vr.IVFIndex(rows, metric="l2", n_lists=n_lists)
        sizes = index.stats.list_sizes
        assert sizes.sum() == len(rows)
        assert sizes.max() <= max(256, 4 * sizes.mean())
        index.add(np.tile(rows[:1], (3000, 1)))
        index.compact()
        sizes = index.stats.list_sizes
        assert sizes.sum() == len(rows) + 3000
        assert sizes.max() <= max(256, 4 * sizes.mean())


def test_the_default_number_of_lists(rng: Rng) -> None:
    for n, lists in ((100, 1), (1000, 7), (10_000, 78)):
        rows = rng.standard_normal((n, 4)).astype(np.float32)
        assert abs(vr.IVFIndex(rows).n_lists - lists) <= lists // 4


def test_seeds(rng: Rng) -> None:
    rows = clustered(rng, N)
    first, again, other = (vr.IVFIndex(rows, seed=seed)._assignment() for seed in (3, 3, 4))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tolist() == again[1].tolist()
    assert first[0].tobytes() != other[0].tobytes()


def test_items_are_with_their_nearest_center(rng: Rng) -> None:
    rows = SKEWED["gaussian"](rng, N)
    for metric in METRICS:
        index = vr.IVFIndex(rows, metric=metric, n_lists=20)
        assert index.n_lists == 20  # none was split
        centers, lists = index._assignment()
        nearest = vr.assign(rows, centers, metric="cosine" if metric == "cosine" else "l2")
        assert nearest.labels[:, 0].tolist() == lists.tolist()


def spreads_of(index: vr.IVFIndex, rows: F32) -> npt.NDArray[np.float64]:
    """By the definition in the notes of `IVFIndex`, in float64."""
    centers, lists = index._assignment()
    x, c = rows.astype(np.float64), centers.astype(np.float64)
    if index.metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        c /= np.linalg.norm(c, axis=1, keepdims=True)
    lengths = np.linalg.norm(x - c[lists], axis=1)
    n, sampled = len(x), np.arange(min(len(x), 4096)) * len(x) // min(len(x), 4096)
    residuals = (x - c[lists])[sampled]
    queries = x[np.arange(min(n, 128)) * n // min(n, 128)]
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    share = np.sqrt(np.mean((queries @ residuals.T) ** 2) / np.mean(np.sum(residuals**2, axis=1)))
    powers = [np.mean(lengths[lists == i] ** 16) ** (1 / 16) for i in range(len(c))]
    spreads: npt.NDArray[np.float64] = 2.5 * share * np.asarray(powers)
    return spreads


@pytest.mark.parametrize("metric", ["ip", "cosine"])
@pytest.mark.parametrize("n", [100, 3000, 9000])
def test_spreads_are_as_defined(metric: Metric, n: int, rng: Rng) -> None:
    rows = clustered(rng, n) * rng.lognormal(0, 1, (n, 1)).astype(np.float32)
    index = vr.IVFIndex(rows, n_lists=20, metric=metric)
    # Values of residuals and the spreads are rounded to float32, each off by 2^-24 of itself.
    np.testing.assert_allclose(index.spreads, spreads_of(index, rows), rtol=2.0**-22)
    index.add(rows[:50] * 3, np.arange(n, n + 50))
    before = index.spreads
    index.compact()
    np.testing.assert_allclose(
        index.spreads, spreads_of(index, np.concatenate([rows, rows[:50] * 3])), rtol=2.0**-22
    )
    assert before.tobytes() != index.spreads.tobytes()
    assert not vr.IVFIndex(rows, n_lists=20, metric="l2").spreads.any()


def test_proofs_hold_where_queries_are_far_shorter_than_centers() -> None:
    """The query at length one is rounded; a bound that forgets that proves a wrong answer."""
    centers = np.array([[0, 0, 0], [0, 0, 254], [254, 254, 0], [254, 254, 254]], np.float32)
    near = 2e-6 + 1e-7 * np.random.default_rng(0).random(300)
    rows = [[-1e-9, 0, 0]] * 3 + [[v, 0, 254] for v in near] + [[254, 254, 0]] * 5
    rows = np.array(rows + [[254, 254, 254]] * 5, np.float32)
    query = np.array([[-1, -1, 0]], np.float32)
    exact = vr.FlatIndex(rows).search(query, 1)
    for spreads in (None, [1e-30, 0, 0, 0], [1e-6, 0, 1e-3, 0]):
        index = vr.IVFIndex(rows, centers=centers, spreads=spreads, probes=1)
        assert index.search(query, 1, probes="exact") == exact


def test_a_center_without_a_direction(rng: Rng) -> None:
    """It scores 0, whether few centers are scored exactly or all."""
    rows = clustered(rng, 3000)
    centers = np.concatenate([rows[:40], np.zeros((1, D), np.float32)])
    for spread in (0.0, 0.5, 1.5):
        spreads = np.zeros(41, np.float32)
        spreads[40] = spread
        index = vr.IVFIndex(rows, metric="cosine", centers=centers, spreads=spreads, probes=1)
        assert_probes(index, model_of(rows, "cosine"), queries_for(rng, rows, 30), 5)


def test_spreads_of_what_has_none(rng: Rng) -> None:
    alike = np.ones((500, 4), np.float32)
    assert not vr.IVFIndex(alike, n_lists=3).spreads.any()
    assert not vr.IVFIndex(np.zeros((500, 4), np.float32), n_lists=3).spreads.any()
    assert len(vr.IVFIndex(alike[:0]).spreads) == 0
    huge = np.where(rng.random((500, 4)) < 0.5, -3e38, 3e38).astype(np.float32)
    index = vr.IVFIndex(huge, n_lists=3)
    assert np.isfinite(index.spreads).all()
    queries = clustered(rng, 9)[:, :4]
    found = index.search(queries, 5, probes="exact")
    assert_same_bits(found, *arrays(vr.FlatIndex(huge).search(queries, 5)))


def test_lengths_that_differ_need_few_lists(rng: Rng) -> None:
    """Long items near the middle: by their centers alone, their lists would come last."""
    rows = rng.standard_normal((20_000, 16), dtype=np.float32)
    rows *= rng.lognormal(0, 1, (len(rows), 1)).astype(np.float32)
    queries = rng.standard_normal((200, 16), dtype=np.float32)
    index = vr.IVFIndex(rows, n_lists=200)
    index.tuned_for(queries, 0.95)
    looked_at = index._now().rows_looked_at(queries, index.probes, 2).mean()
    assert looked_at < 0.1 * len(rows)


def test_skipped_rows(rng: Rng) -> None:
    rows = clustered(rng, 300)
    rows[7], rows[9, 0] = 0, np.nan
    index = vr.IVFIndex(rows, metric="cosine", invalid="skip")
    assert index.skipped.tolist() == [7, 9]
    assert len(index) == 298
    with pytest.raises(ValueError, match="vectors: expected finite values, got NaN or infinity"):
        vr.IVFIndex(rows)


def test_progress(rng: Rng) -> None:
    steps: list[tuple[int, int]] = []
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) > 3
    count = len(steps)
    index.compact(retrain=True, progress=lambda done, total: steps.append((done, total)))
    assert len(steps) > count

    def stop(done: int, total: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        vr.IVFIndex(rows, progress=stop)
    with pytest.raises(KeyError, match="enough"):
        index.compact(retrain=True, progress=stop)
    assert len(index.search(rows[:2], 3)) == 2


# The default: full lists under filters, and what it is tuned to.


@pytest.mark.parametrize("metric", METRICS)
def test_the_first_default_finds_most(metric: Metric, rng: Rng) -> None:
    rows = clustered(rng, 20_000, 24, 300)
    index = vr.IVFIndex(rows, metric=metric)
    assert 1 <= index.probes < index.n_lists
    sample = rng.permutation(len(rows))[:400]
    own = [[i] for i in sample.tolist()]
    found = index.search(rows[sample], 10, exclude=own)
    exact = index.search(rows[sample], 10, exclude=own, probes="exact")
    assert vr.recall_at_k(found, exact) > 0.92


def test_tuned_for(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, 20_000, 24, 300)
    queries = queries_for(rng, rows, 300)
    index = vr.IVFIndex(rows, metric="l2")
    exact = index.search(queries, 10, probes="exact")
    for recall in (0.5, 0.9, 0.99, 1.0):
        probes = index.tuned_for(queries, recall)
        assert probes == index.probes
        assert vr.recall_at_k(index.search(queries, 10), exact) >= recall
        if probes > 1:
            fewer = index.search(queries, 10, probes=probes - 1)
            assert vr.recall_at_k(fewer, exact) < recall
    assert index.tuned_for(queries, 0.9, k=100) >= index.tuned_for(queries, 0.9, k=1)
    index.save(tmp_path)
    assert vr.IVFIndex.load(tmp_path).probes == index.probes
    assert pickle.loads(pickle.dumps(index)).probes == index.probes
    index.compact(retrain=True)
    assert index.probes == vr.IVFIndex(rows, metric="l2").probes


def test_a_recall_that_is_reached_exactly(rng: Rng) -> None:
    """Of 50 items 28 are 0.56, though 0.56 * 50 is above 28 in floating point."""
    rows = rng.standard_normal((2000, 8)).astype(np.float32)
    index = vr.IVFIndex(rows, n_lists=100)
    for nq in (1, 2, 5, 10):
        queries = rng.standard_normal((nq, 8)).astype(np.float32)
        exact = index.search(queries, 10, probes="exact").ids
        held = [0]
        for probes in range(1, index.n_lists + 1):
            found = index.search(queries, 10, probes=probes).ids
            held.append(sum(len(set(a) & set(b)) for a, b in zip(found, exact, strict=True)))
        for percent in range(1, 101):
            fewest = next(p for p, n in enumerate(held) if n * 100 >= percent * 10 * nq)
            assert index.tuned_for(queries, percent / 100) == fewest


@pytest.mark.parametrize("batch", [1, 13])
def test_filters_never_shorten_lists(batch: int, rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, n_lists=60)
    queries = queries_for(rng, rows, 20)
    index.tuned_for(queries, 0.01)
    assert index.probes == 1
    for k in (1, 10, 300, N, N + 5):
        for start in range(0, len(queries), batch):
            q = queries[start : start + batch]
            seen = [rng.permutation(N)[:500].tolist() for _ in q]
            few = rng.permutation(N)[:200]
            plain = index.search(q, k, stats=True)
            assert plain.counts.tolist() == [min(k, N)] * len(q)
            assert plain.stats is not None
            assert plain.stats.queries_widened == (0 if k == 1 else plain.stats.queries_widened)
            if k >= 300:
                assert plain.stats.queries_widened == len(q)
            excluding = index.search(q, k, exclude=seen)
            assert excluding.counts.tolist() == [min(k, N - 500)] * len(q)
            allowed = index.search(q, k, allow=few)
            assert allowed.counts.tolist() == [min(k, 200)] * len(q)


def test_few_allowed_items_are_all_scored(rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, n_lists=60)
    index.tuned_for(rows[:9], 0.5)
    queries = queries_for(rng, rows)
    few = rng.permutation(N)[:5].tolist()
    found = index.search(queries, 10, allow=few, stats=True)
    exact = vr.FlatIndex(rows).search(queries, 10, allow=few)
    assert_same_bits(found, *arrays(exact))
    assert found.stats is not None
    assert found.stats.queries_widened == len(queries)
    assert found.stats.rows_reranked == 5 * len(queries)


@pytest.mark.parametrize("n", [1, 20, 500, N])
@pytest.mark.parametrize("k", [1, 10, 2 * N])
def test_all_lists_are_counted(n: int, k: int, rng: Rng) -> None:
    """Also where all items are scored at once, without a scan."""
    rows = clustered(rng, n)
    index = vr.IVFIndex(rows, n_lists=min(n, 20))
    queries = queries_for(rng, rows)[:-1]
    stats = index.search(queries, k, probes=index.n_lists, stats=True).stats
    assert stats is not None
    assert 0 < stats.lists_probed <= len(queries) * index.n_lists
    if k > n:
        assert stats.lists_probed == len(queries) * index.n_lists
    assert stats.queries_widened == 0


def test_min_score_widens_nothing(rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, n_lists=60)
    found = index.search(rows[:5], 10, min_score=1e9, stats=True)
    assert found.counts.tolist() == [0] * 5
    assert found.stats is not None
    assert found.stats.queries_widened == 0


def test_a_count_of_probes_widens_nothing(rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, n_lists=60)
    found = index.search(rows[:5], N, probes=2, stats=True)
    assert found.stats is not None
    assert found.stats.lists_probed == 10
    assert found.stats.queries_widened == 0
    assert (found.counts < N).all()


# Updates.


def test_fresh_items_are_never_missed(rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows, metric="l2")
    far = 1000 + rng.standard_normal((50, D)).astype(np.float32)
    ids = index.add(far)
    found = index.search(far, 1, probes=1)
    assert found.ids[:, 0].tolist() == ids.tolist()
    stats = index.stats
    assert (stats.not_in_lists, stats.drift) == (50, 50 / (N + 50))
    index.compact()
    assert index.stats.not_in_lists == 0
    assert index.search(far, 1, probes=1).ids[:, 0].tolist() == ids.tolist()


def test_growth_puts_items_into_lists(rng: Rng) -> None:
    index = vr.IVFIndex(clustered(rng, N))
    for _ in range(18):
        index.add(clustered(rng, 1000))
    assert index.stats.not_in_lists <= 5000
    assert index.n_lists > vr.IVFIndex(clustered(rng, N)).n_lists  # made again
    asked = vr.IVFIndex(clustered(rng, N), n_lists=10)
    for _ in range(12):
        asked.add(clustered(rng, 1000))
    assert asked.n_lists <= 40  # those there were, split where they have grown too long


def test_from_nothing(rng: Rng) -> None:
    index = vr.IVFIndex(np.empty((0, D), np.float32))
    assert (len(index), index.n_lists, index.probes) == (0, 0, 1)
    assert index.stats.drift == 0.0
    assert index.search(np.ones((2, D), np.float32), 3).counts.tolist() == [0, 0]
    assert index.tuned_for(np.ones((2, D), np.float32), 0.9) == 1
    rows = clustered(rng, N)
    for start in range(0, N, 300):
        index.add(rows[start : start + 300])
    assert index.n_lists > 1
    assert_probes(index, model_of(rows, "ip"), queries_for(rng, rows), 10)
    index.remove(index.ids)
    assert index.search(rows[:2], 3, probes="exact").counts.tolist() == [0, 0]
    index.add(rows)
    assert index.search(rows[:2], 3).counts.tolist() == [3, 3]


def test_retraining_follows_the_items(rng: Rng) -> None:
    index = vr.IVFIndex(clustered(rng, N), n_lists=40, metric="l2")
    moved = 500 + clustered(rng, N)
    index.update(moved, np.arange(N))
    index.compact()
    index.compact(retrain=True)
    centers, lists = index._assignment()
    fresh = vr.IVFIndex(moved, n_lists=40, metric="l2")
    assert centers.tobytes() == fresh._assignment()[0].tobytes()
    assert lists.tolist() == fresh._assignment()[1].tolist()
    assert index.probes == fresh.probes
    assert_probes(index, model_of(moved, "l2"), queries_for(rng, moved), 10)


# Files.


def test_files_of_another_kind(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, 300)
    vr.IVFIndex(rows).save(tmp_path / "ivf")
    vr.FlatIndex(rows).save(tmp_path / "flat")
    with pytest.raises(ValueError, match="path: expected a saved FlatIndex, got 'IVFIndex' in"):
        vr.FlatIndex.load(tmp_path / "ivf")
    with pytest.raises(ValueError, match="path: expected a saved IVFIndex, got 'FlatIndex' in"):
        vr.IVFIndex.load(tmp_path / "flat")
    with pytest.raises(ValueError, match="path: expected a saved FlatIndex, got 'IVFIndex' in"):
        vr.FlatIndex(rows).save(tmp_path / "ivf")
    assert len(vr.IVFIndex.load(tmp_path / "ivf", verify=True)) == 300


def test_the_format_before_still_loads(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, 300)
    index = vr.FlatIndex(rows)
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == 6
    for before in (3, 4, 5):
        write_manifest(tmp_path, {**manifest, "format": before})
        loaded = vr.FlatIndex.load(tmp_path, verify=True)
        assert_same_bits(loaded.search(rows[:9], 5), *arrays(index.search(rows[:9], 5)))


def test_lists_of_the_format_before_rank_by_their_centers(rng: Rng, tmp_path: Path) -> None:
    rows, queries = clustered(rng, 3000), clustered(rng, 20)
    index = vr.IVFIndex(rows, n_lists=40)
    assert index.spreads.any()
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["arrays"]["list_spreads"]
    write_manifest(tmp_path, {**manifest, "format": 5})
    loaded = vr.IVFIndex.load(tmp_path)
    assert not loaded.spreads.any()
    given = vr.IVFIndex(rows, centers=index.centers)
    for probes in (1, 5, 1000):
        assert loaded.search(queries, 9, probes=probes) == given.search(queries, 9, probes=probes)


def test_lists_of_one_kind_under_the_name_of_the_other(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, 300)
    for made, other in ((vr.IVFIndex, vr.FlatIndex), (vr.FlatIndex, vr.IVFIndex)):
        made(rows).save(tmp_path / made.__name__)
        manifest = json.loads((tmp_path / made.__name__ / "manifest.json").read_text())
        write_manifest(tmp_path / made.__name__, {**manifest, "kind": other.__name__})
        with pytest.raises(ValueError, match="path: expected"):
            other.load(tmp_path / made.__name__)


def test_a_reloading_index_serves_lists(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows)
    index.save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    assert isinstance(served.index, vr.IVFIndex)
    assert_same_bits(served.search(rows[:9], 5), *arrays(index.search(rows[:9], 5)))
    for probes in (1, 3, 10**12, "exact"):
        found = served.search(rows[:9], 5, probes=probes, exclude=[[0]] * 9, stats=True)
        meant = index.search(rows[:9], 5, probes=probes, exclude=[[0]] * 9, stats=True)
        assert_same_bits(found, *arrays(meant))
        assert found.stats == meant.stats
    with pytest.raises(ValueError, match="probes: expected a whole number >= 1 or 'exact', got 0"):
        served.search(rows[:9], 5, probes=0)


def test_what_is_no_index_is_not_served(rng: Rng, tmp_path: Path) -> None:
    vr.NeighborTable([1], [[2]], [[0.5]]).save(tmp_path)
    message = "path: expected a saved FlatIndex or IVFIndex, got 'NeighborTable' in"
    with pytest.raises(ValueError, match=message):
        vr.ReloadingIndex(tmp_path)


def test_neighbors(rng: Rng, tmp_path: Path) -> None:
    rows = clustered(rng, 2000)
    index = vr.IVFIndex(rows, metric="cosine", n_lists=30)
    exact = vr.FlatIndex(rows, metric="cosine").neighbors(5)
    found = index.neighbors(5, probes="exact")
    assert found.ids.values.tolist() == exact.ids.values.tolist()
    assert found.scores.values.tolist() == exact.scores.values.tolist()
    few = index.neighbors(5, probes=1, path=tmp_path / "few")
    assert few.ids.values.tolist() != exact.ids.values.tolist()
    with pytest.raises(ValueError, match=r"path: expected a table of index '.*', got one of index"):
        index.neighbors(5, probes=2, path=tmp_path / "few")
    assert index.neighbors(5).ids.lengths.tolist() == [5] * 2000


@pytest.mark.parametrize("probes", [None, 1, 3, "exact"])
def test_tables_of_neighbors_probe_as_many(rng: Rng, tmp_path: Path, probes: Any) -> None:
    index = vr.IVFIndex(clustered(rng, 500), n_lists=12)
    index.save(tmp_path / "index")
    wanted = index.neighbors(5, probes=probes)
    for one in (index, vr.ReloadingIndex(tmp_path / "index")):
        table = vr.NeighborTable.build(one, 5, probes=probes, min_score=-1e9)
        assert_same_neighbors(table, wanted)
        assert_same_neighbors(one.neighbors(5, probes=probes), wanted)


def assert_same_neighbors(
    found: vr.NeighborTable | vr.Neighbors, expected: vr.NeighborTable | vr.Neighbors
) -> None:
    for one, other in ((found.ids, expected.ids), (found.scores, expected.scores)):
        assert one.offsets.tolist() == other.offsets.tolist()
        assert one.values.tobytes() == other.values.tobytes()


# Wrong calls.


@pytest.mark.parametrize(
    ("probes", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2.0, TypeError),
        (True, TypeError),
        ("all", ValueError),
        ("Exact", ValueError),
        (np.nan, ValueError),
        ([3], TypeError),
        (b"exact", TypeError),
    ],
)
def test_wrong_probes(probes: Any, error: type[Exception], rng: Rng) -> None:
    index = vr.IVFIndex(clustered(rng, 300))
    message = "probes: expected a whole number >= 1 or 'exact', got "
    with pytest.raises(error, match=message):
        index.search(np.ones((1, D)), 3, probes=probes)
    with pytest.raises(error, match=message):
        index.neighbors(3, probes=probes)
    with pytest.raises(error, match=message):
        vr.NeighborTable.build(index, 3, probes=probes)


def test_integers_of_any_type_are_probes(rng: Rng) -> None:
    rows = clustered(rng, N)
    index = vr.IVFIndex(rows)
    found = index.search(rows[:3], 5, probes=2)
    assert_same_bits(index.search(rows[:3], 5, probes=np.uint8(2)), *arrays(found))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "wrong", "error"),
    [
        ("n_lists", 0, ValueError),
        ("n_lists", -3, ValueError),
        ("n_lists", 2.5, TypeError),
        ("n_lists", True, TypeError),
        ("n_lists", 2**63, ValueError),
        ("seed", -1, ValueError),
        ("seed", 2**63, ValueError),
        ("seed", "7", TypeError),
        ("seed", None, TypeError),
        ("progress", 3, TypeError),
        ("copy", 1, TypeError),
        ("metric", "dot", ValueError),
        ("threads", 0, ValueError),
    ],
)
def test_wrong_arguments(argument: str, wrong: Any, error: type[Exception], rng: Rng) -> None:
    with pytest.raises(error, match=f"{argument}: expected"):
        vr.IVFIndex(clustered(rng, 300), **{argument: wrong})


def test_wrong_tuning(rng: Rng) -> None:
    index = vr.IVFIndex(clustered(rng, 300))
    good = np.ones((2, D))
    for recall in (0, -0.5, 1.5, np.nan, "high", None, True):
        with pytest.raises((TypeError, ValueError), match="recall: expected"):
            index.tuned_for(good, recall)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="queries: expected at least one row"):
        index.tuned_for(good[:0], 0.9)
    with pytest.raises(ValueError, match="queries"):
        index.tuned_for(good[:, 1:], 0.9)
    with pytest.raises(ValueError, match="queries"):
        index.tuned_for(good * np.nan, 0.9)
    with pytest.raises(ValueError, match="k: expected"):
        index.tuned_for(good, 0.9, k=0)


def test_more_lists_than_items(rng: Rng) -> None:
    rows = clustered(rng, 50)
    index = vr.IVFIndex(rows, n_lists=10**6)
    assert index.n_lists == 50
    assert_probes(index, model_of(rows, "ip"), queries_for(rng, rows), 5)


def test_probes_are_of_lists_alone(rng: Rng, tmp_path: Path) -> None:
    flat = vr.FlatIndex(clustered(rng, 30))
    with pytest.raises(TypeError, match="probes"):
        flat.search(np.ones((1, D)), 3, probes=2)  # type: ignore[call-arg]
    flat.save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    for call in (
        lambda: vr.NeighborTable.build(flat, 3, probes=2),
        lambda: vr.NeighborTable.build(served, 3, probes="exact"),
        lambda: served.search(np.ones((1, D)), 3, probes=2),
        lambda: served.neighbors(3, probes=2),
    ):
        with pytest.raises(TypeError, match="probes: expected an IVFIndex to probe, got a FlatInd"):
            call()


def test_what_it_says_of_itself(rng: Rng) -> None:
    index = vr.IVFIndex(clustered(rng, 300), metric="l2")
    assert repr(index) == "IVFIndex(300 items, dim 11, metric 'l2')"
    assert isinstance(index, vr.SearchableIndex)
