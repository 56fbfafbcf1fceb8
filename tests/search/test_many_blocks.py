"""So many rows that several threads and blocks take part: every plan of a search, with all filters.

`test_exactness.py` has hard data of that size; here are metrics, bias, filters and batches.
"""

from __future__ import annotations

import functools
import itertools
import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import ISAS, Metric, assert_same_bits, forced_isa
from datasets import HARD

import vecrecall as vr

F32 = npt.NDArray[np.float32]
N, D, K = 150_000, 16, 100  # 74 blocks: from 64 on a batch guesses thresholds

# Few queries read the panels one by one; some are a batch whose items the threads share. 300 are
# two groups: threads take queries of their own when there are two, and share items when five.
BATCHES = [1, 5, 40, 300]
THREADS = [1, 2, 5]

CASES: list[tuple[str, Metric, bool]] = [
    ("gaussian", "l2", False),
    ("gaussian", "cosine", False),
    ("gaussian", "ip", True),
    ("lognormal_norms", "ip", False),
    ("lognormal_norms", "l2", True),
    ("duplicate_blocks", "cosine", True),
]

FILTERED = [1, 10]  # queries that are filtered
FILTERS: list[tuple[str, Metric, bool, set[str]]] = [
    (*CASES[case], filters)
    for case in (0, 1, 2)
    for filters in ({"exclude"}, {"allow"}, {"min_score"})
]
FILTERS += [(*CASES[case], {"exclude", "allow", "min_score"}) for case in (3, 4, 5)]


class Data(NamedTuple):
    queries: F32
    items: F32
    bias: F32 | None


@functools.lru_cache(maxsize=1)
def data(name: str, metric: Metric, biased: bool) -> Data:
    rng = np.random.default_rng(zlib.crc32(f"{name} {metric} {biased}".encode()))
    queries, items = HARD[name](rng, max(BATCHES), N, D)
    bias = rng.standard_normal(N).astype(np.float32) * np.float32(0.1) if biased else None
    return Data(queries, items, bias)


@pytest.mark.parametrize(("name", "metric", "biased"), CASES)
def test_every_plan(name: str, metric: Metric, biased: bool) -> None:
    queries, items, bias = data(name, metric, biased)
    expected = reference.search_many(queries, items, K, metric=metric, bias=bias)
    for isa, copy in itertools.product(ISAS, [True, False]):
        with forced_isa(isa):
            index = vr.FlatIndex(items, metric=metric, bias=bias, copy=copy)
            # borrowed rows of unlike length are not in order, and l2 then scores many exactly
            plans = itertools.product(BATCHES if copy else BATCHES[:2], THREADS)
            for batch, threads in plans:
                found = index.search(queries[:batch], K, threads=threads)
                assert_same_bits(found, *(part[:batch] for part in expected))


@pytest.mark.parametrize(("name", "metric", "biased", "filters"), FILTERS)
def test_filters(
    name: str, metric: Metric, biased: bool, filters: set[str], rng: np.random.Generator
) -> None:
    """The best are excluded, a share too large to be scored directly is allowed, lists are cut."""
    queries, items, bias = data(name, metric, biased)
    queries = queries[: max(FILTERED)]
    best = reference.search_many(queries, items, 3 * K, metric=metric, bias=bias)
    keep = np.ones((len(queries), N), np.bool_)
    options: dict[str, Any] = {}
    if "exclude" in filters:
        options["exclude"] = [rng.permutation(row)[: 2 * K] for row in best.ids]
        for kept, ids in zip(keep, options["exclude"], strict=True):
            kept[ids] = False
    sets = rng.random((3, N)) < np.array([[0.5], [0.9], [0.02]])
    if "allow" in filters:
        which = np.arange(len(queries)) % 3  # one mask each, of three that differ
        keep &= sets[which]
    limit = float(best.scores[0, K // 2]) if "min_score" in filters else -np.inf
    expected = reference.search_many(
        queries, items, K, metric=metric, bias=bias, keep=keep, min_score=limit
    )
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(items, metric=metric, bias=bias)
            if "allow" in filters:
                masks = [index.mask(np.flatnonzero(allowed)) for allowed in sets]
            for batch, threads in itertools.product(FILTERED, THREADS):
                given = {option: lists[:batch] for option, lists in options.items()}
                if "allow" in filters:
                    given["allow"] = [masks[i] for i in which[:batch]]
                if "min_score" in filters:
                    given["min_score"] = limit
                found = index.search(queries[:batch], K, threads=threads, **given)
                assert_same_bits(found, *(part[:batch] for part in expected))


def test_exclude_in_every_plan(rng: np.random.Generator) -> None:
    """Two of three of the best are excluded, other ones for each query of a batch."""
    queries, items, bias = data(*CASES[0])
    best = reference.search_many(queries, items, 3 * K, metric="l2", bias=bias)
    excluded = np.sort(rng.permuted(np.tile(np.arange(3 * K), (len(queries), 1)), axis=1)[:, K:])
    left = np.ones(best.ids.shape, np.bool_)
    np.put_along_axis(left, excluded, False, axis=1)
    exclude = np.take_along_axis(best.ids, excluded, axis=1)
    expected = best.ids[left].reshape(-1, K), best.scores[left].reshape(-1, K)
    counts = np.full(len(queries), K)
    for isa in ISAS:
        with forced_isa(isa):
            index = vr.FlatIndex(items, metric="l2")
            for batch, threads in itertools.product(BATCHES, THREADS):
                given = exclude[:batch].tolist()
                found = index.search(queries[:batch], K, exclude=given, threads=threads)
                assert_same_bits(found, *(part[:batch] for part in expected), counts[:batch])
