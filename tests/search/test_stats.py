"""Which way a search went: that the codes, the fallback and direct scoring each do run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, arrays, assert_same_bits
from datasets import HARD

import vecrecall as vr

F32 = npt.NDArray[np.float32]
N, D, K = 40_000, 24, 10


def searched(items: F32, queries: F32, k: int = K, **options: object) -> vr.SearchStats:
    """Search, compare with the oracle, and return what was done."""
    index = vr.FlatIndex(items)
    result = index.search(queries, k, stats=True, **options)  # type: ignore[arg-type]
    matrix = reference.scores(queries, items)
    keep = None
    if "allow" in options:
        keep = np.zeros((len(queries), len(items)), bool)
        keep[:, options["allow"]] = True
    assert_same_bits(result, *reference.select(matrix, np.arange(len(items)), k, keep))
    return stats_of(result)


def stats_of(result: vr.SearchResult) -> vr.SearchStats:
    assert result.stats is not None
    return result.stats


@pytest.mark.parametrize("batch", [1, 3, 70, 140])
def test_gaussian_data_is_scanned_by_codes(batch: int, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, batch, N, D)
    stats = searched(items, queries)
    assert stats.precision == "int8"
    assert stats.items_scanned == batch * N
    assert batch * K <= stats.rows_reranked < batch * N // 50


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_scanned_by_codes(metric: Metric, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 4, N, D)
    for bias in (None, rng.standard_normal(N)):
        index = vr.FlatIndex(items, metric=metric, bias=bias)
        stats = stats_of(index.search(queries, K, stats=True))
        assert stats.precision == "int8"
        assert stats.rows_reranked < 4 * N // 50


@pytest.mark.parametrize("batch", [2, 9])
def test_data_finer_than_the_codes_falls_back(batch: int, rng: np.random.Generator) -> None:
    items = (1 + 1e-3 * rng.standard_normal((N, D))).astype(np.float32)
    items[::7] *= 100  # every block has wide steps, most items differ by less
    queries = np.abs(rng.standard_normal((batch, D))).astype(np.float32)
    stats = searched(-items, queries)
    assert stats.precision == "int8 and float32"
    assert stats.items_scanned >= batch * N


def test_one_huge_row_spoils_one_block_only(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 3, N, D)
    items[N // 2] *= 1000
    stats = searched(items, queries)
    assert stats.precision == "int8 and float32"  # its block in float32, the others by codes
    assert stats.rows_reranked < 3 * N // 50


def test_an_overflowing_query_is_answered(rng: np.random.Generator) -> None:
    items = np.full((3000, 4), -3e38, np.float32)
    items[5] = 0
    result = vr.FlatIndex(items, metric="l2").search(np.full((3, 4), 3e38, np.float32), 2)
    assert result.ids.tolist() == [[0, 1]] * 3  # every score is -inf: ids decide
    assert np.isneginf(result.scores).all()
    assert result.counts.tolist() == [2] * 3


def test_long_lists_and_small_masks_are_scored_directly(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 3, N, D)
    stats = searched(items, queries, k=N // 4)
    assert (stats.precision, stats.items_scanned, stats.rows_reranked) == ("none", 0, 3 * N)
    allowed = rng.permutation(N)[: N // 200]
    stats = searched(items, queries, allow=allowed)
    assert (stats.precision, stats.rows_reranked) == ("none", 3 * len(allowed))


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_rows_of_unlike_length_are_kept_by_length(metric: Metric, rng: np.random.Generator) -> None:
    """Searches pass over blocks; ids, vectors, masks, bias and scores know nothing of the order."""
    queries, items = HARD["lognormal_norms"](rng, 5, N, D)
    ids = rng.permutation(10 * N)[:N]
    bias = rng.standard_normal(N)
    plain = vr.FlatIndex(items, ids, metric=metric, bias=bias, copy=False)  # as they lie
    ordered = vr.FlatIndex(items, ids, metric=metric, bias=bias)
    allowed = ids[rng.permutation(N)[: N // 3]]
    for options in ({}, {"allow": allowed}, {"exclude": [ids[:5000]] * 5}):
        expected = plain.search(queries, K, stats=True, **options)  # type: ignore[arg-type]
        found = ordered.search(queries, K, stats=True, **options)  # type: ignore[arg-type]
        assert_same_bits(found, *arrays(expected))
        assert stats_of(found).items_scanned < 5 * N * 0.9
    assert ordered.ids.tolist() == ids.tolist()
    assert np.array_equal(ordered.vectors(ids[:100]), items[:100])
    scores = ordered.score(queries, [ids[:7]] * 5)
    assert np.array_equal(scores.values, plain.score(queries, [ids[:7]] * 5).values)


def test_errors_name_rows_as_given_whatever_the_order(rng: np.random.Generator) -> None:
    _, items = HARD["lognormal_norms"](rng, 1, N, D)
    ids = np.arange(N)
    ids[30_000] = 7
    with pytest.raises(ValueError, match=r"ids: duplicate id 7, in rows 7 and 30000"):
        vr.FlatIndex(items, ids)


def visits(blocks: int) -> npt.NDArray[np.int64]:
    """The order in which a batch search takes the blocks: steps of the golden section."""
    stride = int(0.6180339887 * blocks)
    while np.gcd(stride, blocks) != 1:
        stride += 1
    return np.arange(blocks) * stride % blocks


def test_a_guess_that_was_too_high_is_found_out(rng: np.random.Generator) -> None:
    """Good items in the blocks of the first quarter alone, two each: they promise 288 in all."""
    blocks, k = 144, 100
    n = blocks * 2048
    items = rng.standard_normal((n, 8), dtype=np.float32)
    for block in visits(blocks)[: blocks // 4]:
        items[block * 2048 + rng.choice(2048, 2, replace=False)] += np.float32(20)
    queries = np.abs(rng.standard_normal((8, 8), dtype=np.float32)) + np.float32(1)
    index = vr.FlatIndex(items, copy=False)
    result = index.search(queries, k, stats=True, threads=1)
    assert_same_bits(result, *reference.search_many(queries, items, k))
    assert stats_of(result).items_scanned > 8 * n  # some of it twice


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_in_the_order_of_clusters_are_scanned_once(
    threads: int, rng: np.random.Generator
) -> None:
    centers = rng.standard_normal((150, 16), dtype=np.float32)
    items = np.repeat(centers, 2000, axis=0)
    items += np.float32(0.3) * rng.standard_normal(items.shape, dtype=np.float32)
    queries = centers[:16] + np.float32(0.1)
    index = vr.FlatIndex(items, copy=False)
    result = index.search(queries, 100, stats=True, threads=threads)
    assert_same_bits(result, *reference.search_many(queries, items, 100))
    assert stats_of(result).items_scanned == 16 * len(items)
