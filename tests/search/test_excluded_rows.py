"""Excluded ids against the reference: where words, steps and blocks of rows end, in every scan.

Lists are short for so many items, which are scanned; `test_filters.py` has long lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_bits
from datasets import HARD

import vecrecall as vr

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
BLOCK = 2048
D, K = 6, 10
EDGES = [0, 1, 62, 63, 64, 255, 256, BLOCK - 65, BLOCK - 64, BLOCK - 1, BLOCK]


def edges(n: int) -> I64:
    """Rows at both ends of the words, first steps and blocks."""
    rows = np.array([*EDGES, 2 * BLOCK - 1, 2 * BLOCK, n - 6, n - 5, n - 1])
    return np.unique(rows[(rows >= 0) & (rows < n)])


def around_edges(rng: np.random.Generator, nq: int, n: int) -> tuple[F32, F32]:
    """Gaussian rows, of which those at edges and next to them are good for every query."""
    queries, items = HARD["gaussian"](rng, nq, n, D)
    queries = np.abs(queries)
    near = np.unique(np.clip(edges(n)[:, None] + [-1, 0, 1], 0, n - 1))
    items[near] = 3 + np.abs(items[near])
    return queries, items


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 64, 2 * BLOCK + 133])
@pytest.mark.parametrize("nq", [1, 3, 20])
def test_rows_at_edges(n: int, nq: int, isa: str, threads: int, rng: np.random.Generator) -> None:
    queries, items = around_edges(rng, nq, n)
    exclude = [rng.permutation(edges(n))[: len(edges(n)) - i % 3].tolist() for i in range(nq)]
    found = vr.FlatIndex(items).search(queries, K, exclude=exclude, threads=threads)
    assert_same_bits(found, *reference.search(queries, items, K, exclude=exclude))


@pytest.mark.parametrize("metric", METRICS)
def test_with_masks_bias_and_foreign_ids(
    metric: Metric, isa: str, threads: int, rng: np.random.Generator
) -> None:
    n, nq = 2 * BLOCK + 70, 9
    queries, items = around_edges(rng, nq, n)
    ids = rng.permutation(5 * n)[:n].astype(np.int64)
    bias = rng.standard_normal(n)
    index = vr.FlatIndex(items, ids, metric=metric, bias=bias)
    best = index.search(queries, 60).ids
    foreign = np.setdiff1d(np.arange(5 * n), ids)[:40]
    exclude = [
        [*row[::2].tolist(), *row[:8].tolist(), *foreign.tolist(), 2**62, *ids[edges(n)].tolist()]
        for row in best
    ]
    sets = [ids[rng.random(n) < share] for share in (0.9, 0.5, 0.1)]
    masks = [index.mask(allowed) for allowed in sets]
    common: dict[str, Any] = {"ids": ids, "metric": metric, "bias": bias, "exclude": exclude}
    found = index.search(queries, K, exclude=exclude, threads=threads)
    assert_same_bits(found, *reference.search(queries, items, K, **common))
    which = np.arange(nq) % 3
    found = index.search(
        queries, K, exclude=exclude, allow=[masks[i] for i in which], threads=threads
    )
    allow = [sets[i] for i in which]
    assert_same_bits(found, *reference.search(queries, items, K, allow=allow, **common))


@pytest.mark.parametrize("nq", [1, 9])
def test_everything_or_nearly_is_excluded(nq: int, isa: str, rng: np.random.Generator) -> None:
    n = 2 * BLOCK + 133
    queries, items = HARD["gaussian"](rng, nq, n, D)
    left = edges(n)[::3]  # fewer than a list has places
    most = np.setdiff1d(np.arange(n), left)
    exclude = [(np.arange(n), most, most[1:])[i % 3].tolist() for i in range(nq)]
    found = vr.FlatIndex(items).search(queries, K, exclude=exclude)
    expected = reference.search(queries, items, K, exclude=exclude)
    assert expected.counts[0] == 0
    assert_same_bits(found, *expected)


def test_zero_queries_of_cosine_leave_the_rows_to_theirs(
    isa: str, rng: np.random.Generator
) -> None:
    n, nq = BLOCK + 65, 12
    queries, items = around_edges(rng, nq, n)
    queries[::3] = 0
    exclude = vr.FlatIndex(items, metric="cosine").search(rng.permutation(queries), 30).ids.tolist()
    exclude = [[i for i in row if i >= 0] + [q] for q, row in enumerate(exclude)]
    found = vr.FlatIndex(items, metric="cosine").search(queries, K, exclude=exclude)
    keep = np.flatnonzero(queries.any(axis=1))
    expected = reference.search(
        queries[keep], items, K, metric="cosine", exclude=[exclude[q] for q in keep]
    )
    assert found.ids[keep].tolist() == expected.ids.tolist()
    assert found.scores[keep].tobytes() == expected.scores.tobytes()
    assert not found.counts[::3].any()


def test_items_removed_added_again_and_updated(isa: str, rng: np.random.Generator) -> None:
    n, nq = BLOCK + 100, 9
    queries, items = around_edges(rng, nq, n)
    index = vr.FlatIndex(items)
    back = edges(n)
    gone = np.arange(100, 140)
    index.remove(np.concatenate([back, gone]))
    items = items.copy()
    items[back] += rng.standard_normal((len(back), D)).astype(np.float32)
    index.add(items[back], ids=back)  # rows of their own, behind the others
    later = n + np.arange(80)
    added = 3 + np.abs(rng.standard_normal((80, D))).astype(np.float32)
    index.add(added, ids=later)
    ids = np.concatenate([np.setdiff1d(np.arange(n), gone), later])
    rows = np.concatenate([items[ids[:-80]], added])
    exclude = [
        [*rng.permutation(back)[: 4 + q].tolist(), *later[q::2].tolist(), *gone.tolist()]
        for q in range(nq)
    ]
    expected = reference.search(queries, rows, K, ids=ids, exclude=exclude)
    assert_same_bits(index.search(queries, K, exclude=exclude), *expected)


@pytest.mark.parametrize("nq", [2, 9])
def test_scans_in_float32(nq: int, isa: str, threads: int, rng: np.random.Generator) -> None:
    """A scan that starts again in float32 brings no excluded row back."""
    n = 60_000
    items = (1 + 1e-3 * rng.standard_normal((n, 20))).astype(np.float32)
    items[::7] *= 100  # every block has wide steps, most items differ by less
    items = -items
    queries = np.abs(rng.standard_normal((nq, 20))).astype(np.float32)
    index = vr.FlatIndex(items)
    best = reference.search_many(queries, items, 200).ids
    exclude = [rng.permutation(row)[:150].tolist() for row in best]
    keep = np.ones((nq, n), np.bool_)
    for kept, row in zip(keep, exclude, strict=True):
        kept[row] = False
    found = index.search(queries, 50, exclude=exclude, threads=threads, stats=True)
    assert found.stats is not None
    assert found.stats.precision == "int8 and float32"
    assert_same_bits(found, *reference.search_many(queries, items, 50, keep=keep))


@pytest.mark.parametrize("limit", [None, 7])
def test_above_a_score(limit: int | None, isa: str, threads: int, rng: np.random.Generator) -> None:
    n, nq = 2 * BLOCK + 133, 9
    queries, items = around_edges(rng, nq, n)
    exclude = [rng.permutation(edges(n))[: 8 + i % 3].tolist() for i in range(nq)]
    expected = reference.search(queries, items, limit or 50, exclude=exclude)
    floors = expected.scores[:, -1].astype(np.float64)
    found = vr.FlatIndex(items).search_above(
        queries, floors, limit=limit, exclude=exclude, threads=threads
    )
    assert found.ids.lengths.tolist() == expected.counts.tolist() == [limit or 50] * nq
    assert found.ids.values.tolist() == expected.ids.ravel().tolist()
    assert found.scores.values.tobytes() == expected.scores.tobytes()


def test_above_a_score_where_lists_do_not_fit_at_once(rng: np.random.Generator) -> None:
    """Runs that end earlier leave the excluded rows of the queries that are left as they were."""
    n, nq = 5000, 600
    queries, items = HARD["gaussian"](rng, nq, n, 3)
    exclude = [[*range(q, n, 1 + q % 5)] if q % 5 else [q] for q in range(nq)]
    found = vr.FlatIndex(items).search_above(queries, -np.inf, exclude=exclude)
    everything = np.arange(n)
    for q, excluded in enumerate(exclude):
        ids = found.ids.values[found.ids.offsets[q] : found.ids.offsets[q + 1]]
        assert np.array_equal(np.sort(ids), np.setdiff1d(everything, excluded))
