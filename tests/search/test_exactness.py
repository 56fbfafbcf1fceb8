"""Ids and score bits of a search against the oracle, on every instruction set."""

from __future__ import annotations

import functools
import zlib

import adversary
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import ISAS, METRICS, Metric, assert_same_bits, forced_isa
from datasets import HARD, normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]
THREADS = [1, 2, 5]

# Panels of 16 items, groups of 64, blocks of 2048, and first blocks in smaller steps.
EDGES = [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 1023]
EDGES += [1025, 2047, 2048, 2049, 2063, 2064, 2065, 2111, 2112, 2113, 4095, 4096, 4097, 6145]

LARGE = [(name, "ip") for name in HARD]
LARGE += [("gaussian", "l2"), ("common_offset", "l2"), ("cauchy", "l2"), ("falling_norms", "l2")]
LARGE += [("gaussian", "cosine"), ("common_offset", "cosine"), ("duplicate_blocks", "cosine")]


def seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def check(
    index: vr.FlatIndex, queries: F32, matrix: F32, k: int, threads: int | None = None
) -> None:
    """The index finds what the oracle finds in its score matrix."""
    expected = reference.select(matrix, np.arange(matrix.shape[1]), k)
    assert_same_bits(index.search(queries, k, threads=threads), *expected)


@functools.cache
def small_case(name: str, metric: Metric) -> tuple[F32, F32, F32]:
    queries, items = HARD[name](seeded(name), 7, 2200, 19)
    return queries, items, reference.scores(queries, items, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_hard_data(name: str, metric: Metric, isa: str, threads: int) -> None:
    queries, items, matrix = small_case(name, metric)
    index = vr.FlatIndex(items, metric=metric, threads=threads)
    for k in (1, 10, 150, 2199, 2203):
        check(index, queries, matrix, k, threads)


@pytest.mark.parametrize(("name", "metric"), LARGE)
def test_hard_data_in_many_blocks(name: str, metric: Metric, rng: np.random.Generator) -> None:
    queries, items = HARD[name](rng, 3, 150_000, 32)
    matrix = reference.scores(queries, items, metric)
    expected = reference.select(matrix, np.arange(len(items)), 100)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(items, metric=metric, copy=False)
            for threads in THREADS:
                assert_same_bits(index.search(queries, 100, threads=threads), *expected)
                alone = index.search(queries[1:2], 100, threads=threads)
                assert_same_bits(alone, *(part[1:2] for part in expected))


TRAPS: list[tuple[str, Metric]] = [
    ("first", "ip"),
    ("bias", "ip"),
    ("norm", "l2"),
    ("cosine", "cosine"),
]


@pytest.mark.parametrize(("kind", "metric"), TRAPS)
@pytest.mark.parametrize("d", [16, 64, 300])
def test_roundings_that_all_go_the_wrong_way(
    d: int, kind: str, metric: Metric, isa: str, rng: np.random.Generator
) -> None:
    query, items, bias, good = adversary.trap(rng, 5000, d, kind)
    expected = reference.search(query, items, len(good), metric=metric, bias=bias)
    assert sorted(expected.ids[0].tolist()) == good.tolist()
    index = vr.FlatIndex(items, metric=metric, bias=bias)
    for nq in (1, 7):
        for threads in THREADS:
            found = index.search(np.repeat(query, nq, axis=0), len(good), threads=threads)
            assert_same_bits(found, *(np.repeat(part, nq, axis=0) for part in expected))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [*range(1, 71), 223, 384, 768, 1536])
def test_widths(d: int, metric: Metric, rng: np.random.Generator) -> None:
    queries, items = normal(rng, 7, d), normal(rng, 83, d)
    matrix = reference.scores(queries, items, metric)
    for isa in ISAS:
        with forced_isa(isa):
            check(vr.FlatIndex(items, metric=metric), queries, matrix, 20)


@pytest.mark.parametrize("name", ["gaussian", "grid", "ascending"])
@pytest.mark.parametrize("n", EDGES)
def test_block_edges(n: int, name: str, rng: np.random.Generator) -> None:
    queries, items = HARD[name](rng, 7, n, 9)
    matrix = reference.scores(queries, items)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(items)
            for k in {1, 2, n // 2 + 1, max(n - 1, 1), n, n + 3}:
                check(index, queries, matrix, k)


@pytest.mark.parametrize("metric", METRICS)
def test_every_k(metric: Metric, isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["grid"](rng, 3, 131, 5)
    matrix = reference.scores(queries, items, metric)
    index = vr.FlatIndex(items, metric=metric)
    for k in range(1, 135):
        check(index, queries, matrix, k)


@pytest.mark.parametrize("name", ["gaussian", "equal_rows", "grid", "ascending", "common_offset"])
def test_k_beyond_the_candidate_buffer(
    name: str, isa: str, threads: int, rng: np.random.Generator
) -> None:
    queries, items = HARD[name](rng, 2, 20_000, 8)
    matrix = reference.scores(queries, items)
    index = vr.FlatIndex(items)
    for k in (1023, 1024, 1025, 4095, 4096, 4097, 20_000):
        check(index, queries, matrix, k, threads)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("nq", [*range(15), 97])
def test_batches(nq: int, metric: Metric, rng: np.random.Generator) -> None:
    queries, items = HARD["duplicate_blocks"](rng, nq, 4200, 12)
    matrix = reference.scores(queries, items, metric)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(items, metric=metric)
            for threads in THREADS:
                check(index, queries, matrix, 30, threads)


def test_many_queries_on_many_threads(isa: str, threads: int, rng: np.random.Generator) -> None:
    queries, items = HARD["lognormal_norms"](rng, 97, 30_000, 16)
    matrix = reference.scores(queries, items)
    check(vr.FlatIndex(items, threads=threads), queries, matrix, 50, threads)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e20, 5e37])
def test_bias(spread: float, metric: Metric, isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 8, 2100, 11)
    bias = (rng.standard_normal(2100) * spread).astype(np.float32)
    matrix = reference.scores(queries, items, metric, bias)
    assert not np.array_equal(matrix, reference.scores(queries, items, metric))
    index = vr.FlatIndex(items, metric=metric, bias=bias)
    for k in (1, 100, 2100):
        check(index, queries, matrix, k)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["canceling", "overflowing", "half_way", "descending"])
def test_bias_on_hard_data(
    name: str, metric: Metric, threads: int, isa: str, rng: np.random.Generator
) -> None:
    queries, items = HARD[name](rng, 5, 6200, 10)
    bias = rng.choice(np.array([-1.0, -(2.0**-24), 0.0, 0.5], np.float32), len(items))
    matrix = reference.scores(queries, items, metric, bias)
    index = vr.FlatIndex(items, metric=metric, bias=bias)
    check(index, queries, matrix, 77, threads)


def test_ties_are_ordered_by_id_not_by_row(
    isa: str, threads: int, rng: np.random.Generator
) -> None:
    queries, items = HARD["grid"](rng, 5, 5000, 4)
    ids = rng.permutation(10**6)[:5000].astype(np.int64) * (2**43)
    matrix = reference.scores(queries, items)
    index = vr.FlatIndex(items, ids)
    for k in (1, 99, 5000):
        expected = reference.select(matrix, ids, k)
        assert_same_bits(index.search(queries, k, threads=threads), *expected)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_zero_queries_and_zero_items(metric: Metric, isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 6, 2100, 7)
    queries[::2] = 0.0
    queries[2] = -0.0
    items[::3] = 0.0
    items[::6] = -0.0
    matrix = reference.scores(queries, items, metric)
    check(vr.FlatIndex(items, metric=metric), queries, matrix, 1000)


@pytest.mark.parametrize("built_on", ISAS)
def test_an_index_serves_every_instruction_set(
    built_on: str, isa: str, rng: np.random.Generator
) -> None:
    queries, items = HARD["gaussian"](rng, 13, 4500, 21)
    matrix = reference.scores(queries, items)
    with forced_isa(built_on):
        index = vr.FlatIndex(items)
    check(index, queries, matrix, 40)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_topk(name: str, metric: Metric, isa: str) -> None:
    queries, items, matrix = small_case(name, metric)
    for threads in THREADS:
        expected = reference.select(matrix, np.arange(len(items)), 60)
        found = vr.topk(queries, items, 60, metric=metric, threads=threads)
        assert_same_bits(found, *expected)
