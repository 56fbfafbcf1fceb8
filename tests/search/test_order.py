"""Rows that an index keeps by length, on which everything else must not depend.

The rows differ much in length, and each lies in them many times: at every `k` here but the last
there are ties across the end of the list, which ids decide, in blocks that are kept far apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_bits

import vecrecall as vr

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
N, NQ, D, TIMES = 8 * 2048 + 77, 5, 12, 37  # at least the eight blocks that are worth ordering
LISTS = [1, 10, 1000, N - 1, N]


def tied_rows(rng: np.random.Generator) -> tuple[F32, F32, F32, I64]:
    """Queries, rows and their bias in equal parts, ids in no order."""
    distinct = -(-N // TIMES)
    rows = rng.standard_normal((distinct, D)) * rng.lognormal(0, 2, (distinct, 1))
    which = rng.permutation(np.repeat(np.arange(distinct), TIMES)[:N])
    bias = rng.standard_normal(distinct)[which].astype(np.float32)
    queries = rng.standard_normal((NQ, D)).astype(np.float32)
    ids = rng.permutation(10 * N)[:N].astype(np.int64)
    return queries, rows[which].astype(np.float32), bias, ids


@pytest.mark.parametrize("biased", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("metric", METRICS)
def test_ties_and_masks(
    metric: Metric, biased: bool, isa: str, threads: int, rng: np.random.Generator
) -> None:
    queries, items, bias, ids = tied_rows(rng)
    given = bias if biased else None
    index = vr.FlatIndex(items, ids, metric=metric, bias=given)
    matrix = reference.scores(queries, items, metric, given)
    everything = np.ones((NQ, N), np.bool_)
    ranked = reference.select(matrix, ids, N, everything).ids
    ordered = np.sort(matrix)
    assert all((ordered[:, -k] == ordered[:, -k - 1]).all() for k in LISTS[:-1])

    best = [row[: 100 * i : 2] for i, row in enumerate(ranked)]  # half of a run of ties
    allowed = [np.sort(row[rng.random(N) < 0.5]) for row in ranked]
    few = ranked[0][5:1500:3]  # the best of one query, of the others anything
    choices: list[dict[str, Any]] = [
        {},
        {"exclude": best},
        {"allow": [index.mask(row) for row in allowed]},
        {"allow": ~index.mask(few)},
        {"exclude": best, "allow": [~index.mask(row) & index.mask(few) for row in allowed]},
    ]
    outside = [~np.isin(ids, row) for row in best]
    inside = [np.isin(ids, row) for row in allowed]
    some = np.isin(ids, few)
    keeps = [
        everything,
        np.array(outside),
        np.array(inside),
        np.array([~some] * NQ),
        np.array([a & ~b & some for a, b in zip(outside, inside, strict=True)]),
    ]
    for options, keep in zip(choices, keeps, strict=True):
        full = reference.select(matrix, ids, N, keep)
        for k in LISTS:
            found = index.search(queries, k, threads=threads, **options)
            counts = np.minimum(full.counts, k)
            assert_same_bits(found, full.ids[:, :k], full.scores[:, :k], counts)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_the_rows_are_kept_by_length(metric: Metric, rng: np.random.Generator) -> None:
    """Else the tests above would say nothing: in the order given no block can be passed over."""
    queries, items, _, ids = tied_rows(rng)
    passed = {}
    for copy in (True, False):
        index = vr.FlatIndex(items, ids, metric=metric, copy=copy)
        stats = index.search(queries, 1, stats=True, threads=1).stats
        assert stats is not None
        passed[copy] = stats.items_scanned < NQ * N
    assert passed == {True: True, False: False}
