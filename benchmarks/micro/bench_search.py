"""Top-K against pure NumPy: matrix product, argpartition, sort of the k best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import (
    F32,
    I64,
    Lists,
    NumpyIndex,
    assert_near_above,
    assert_near_lists,
    assert_same_lists,
    errors,
    exact_search,
    packed,
    unpacked,
)

N, DIM, K = 100_000, 64, 100
FILTERED = 64  # queries per search with a filter


def vectors(n: int, seed: int) -> F32:
    return np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)


@pytest.fixture(scope="module")
def items() -> F32:
    return vectors(N, 1)


@pytest.fixture(scope="module", params=["ip", "l2", "cosine"])
def both(request: pytest.FixtureRequest, items: F32) -> tuple[vr.FlatIndex, NumpyIndex]:
    metric = request.param
    return vr.FlatIndex(items, metric=metric, copy=False), NumpyIndex(items, metric)


@pytest.fixture(scope="module")
def by_ip(items: F32) -> tuple[vr.FlatIndex, NumpyIndex]:
    return vr.FlatIndex(items, copy=False), NumpyIndex(items)


def size(queries: int, scored: int = N) -> dict[str, Any]:
    return {
        "items": N,
        "dims": DIM,
        "k": K,
        "queries": queries,
        "products": queries * scored * DIM,
    }


@pytest.mark.parametrize("batch", [1, 16, 256], ids="batch{}".format)
def test_topk(
    compare_engines: Any, items: F32, both: tuple[vr.FlatIndex, NumpyIndex], batch: int
) -> None:
    ours, theirs = both
    queries = vectors(batch, 2)

    def check() -> None:
        expected = exact_search(queries, items, K, theirs.metric)
        assert_same_lists(ours.search(queries, K), expected)
        assert_near_lists(theirs.search(queries, K), expected, queries, items, theirs.metric)

    compare_engines(
        {
            "vecrecall": lambda: ours.search(queries, K),
            "numpy": lambda: theirs.search(queries, K),
        },
        check,
        metric=theirs.metric,
        **size(batch),
    )


def test_no_index(compare_engines: Any, items: F32) -> None:
    """`topk`, which prepares the items for one call."""
    queries = vectors(16, 3)

    def with_numpy() -> Lists:
        return NumpyIndex(items).search(queries, K)

    def check() -> None:
        expected = exact_search(queries, items, K)
        assert_same_lists(vr.topk(queries, items, K), expected)
        assert_near_lists(with_numpy(), expected, queries, items)

    compare_engines(
        {"vecrecall": lambda: vr.topk(queries, items, K), "numpy": with_numpy},
        check,
        **size(16),
    )


def test_exclude(compare_engines: Any, items: F32, by_ip: tuple[vr.FlatIndex, NumpyIndex]) -> None:
    """Exclude the 500 best items of every query."""
    ours, theirs = by_ip
    queries = vectors(FILTERED, 3)
    seen = ours.search(queries, 500).ids

    def check() -> None:
        expected = exact_search(queries, items, K, exclude=seen)
        assert_same_lists(ours.search(queries, K, exclude=seen), expected)
        found = theirs.search(queries, K, exclude=seen)
        assert_near_lists(found, expected, queries, items)
        assert not (found.ids[:, :, None] == seen[:, None]).any()

    compare_engines(
        {
            "vecrecall": lambda: ours.search(queries, K, exclude=seen),
            "numpy": lambda: theirs.search(queries, K, exclude=seen),
        },
        check,
        excluded=seen.shape[1],
        **size(FILTERED),
    )


def test_allow(compare_engines: Any, items: F32, by_ip: tuple[vr.FlatIndex, NumpyIndex]) -> None:
    """Allow a tenth of the items; NumPy multiplies only by these rows."""
    ours, theirs = by_ip
    queries = vectors(FILTERED, 4)
    allowed = np.flatnonzero(np.random.default_rng(5).random(N) < 0.1)
    mask = ours.mask(allowed)

    def check() -> None:
        expected = exact_search(queries, items, K, allow=allowed)
        assert_same_lists(ours.search(queries, K, allow=mask), expected)
        found = theirs.search(queries, K, allow=allowed)
        assert_near_lists(found, expected, queries, items)
        assert np.isin(found.ids, allowed).all()

    compare_engines(
        {
            "vecrecall": lambda: ours.search(queries, K, allow=mask),
            "numpy": lambda: theirs.search(queries, K, allow=allowed),
        },
        check,
        allowed=len(allowed),
        **size(FILTERED, len(allowed)),
    )


def numpy_above(index: NumpyIndex, queries: F32, floor: float) -> Lists:
    """Find the items that reach a score: so few that sorting is cheaper than a selection."""
    ids = np.full((len(queries), K), -1)
    scores = np.full((len(queries), K), -np.inf, np.float32)
    for q in range(len(queries)):  # a row of scores at a time stays in the cache
        row = index.scores(queries[q : q + 1])[0].astype(np.float32, copy=False)
        columns = np.flatnonzero(row >= floor)
        found, own = unpacked(np.sort(packed(row[columns], columns))[:K])
        ids[q, : len(found)], scores[q, : len(found)] = found, own
    return Lists(ids, scores)


def test_min_score(
    compare_engines: Any, items: F32, by_ip: tuple[vr.FlatIndex, NumpyIndex]
) -> None:
    """A minimum score that about fifty items per query reach."""
    ours, theirs = by_ip
    queries = vectors(FILTERED, 6)
    floor = float(np.median(ours.search(queries, 50).scores[:, -1]))

    def check() -> None:
        wide = NumpyIndex(items.astype(np.float64))
        expected = numpy_above(wide, queries.astype(np.float64), floor)
        assert (expected.ids < 0).any()
        assert (expected.ids[:, 0] >= 0).all()
        assert_same_lists(ours.search(queries, K, min_score=floor), expected)
        found = numpy_above(theirs, queries, floor)
        assert_near_above(found, expected, queries, items, floor)

    compare_engines(
        {
            "vecrecall": lambda: ours.search(queries, K, min_score=floor),
            "numpy": lambda: numpy_above(theirs, queries, floor),
        },
        check,
        **size(FILTERED),
    )


@pytest.mark.parametrize("n_above", [10, 1000, 30_000], ids="n_above{}".format)
def test_above(
    compare_engines: Any, items: F32, by_ip: tuple[vr.FlatIndex, NumpyIndex], n_above: int
) -> None:
    """All items that reach a score: `n_above` per query on average."""
    ours, theirs = by_ip
    queries = vectors(FILTERED, 9)
    floor = float(np.sort(theirs.scores(queries), axis=None)[-n_above * FILTERED])

    def above(index: NumpyIndex, q: Any) -> list[tuple[I64, F32]]:
        found = []
        for i in range(len(q)):
            row = index.scores(q[i : i + 1])[0].astype(np.float32, copy=False)
            columns = np.flatnonzero(row >= floor)
            found.append(unpacked(np.sort(packed(row[columns], columns))))
        return found

    def check() -> None:
        wide = above(NumpyIndex(items.astype(np.float64)), queries.astype(np.float64))
        found = ours.search_above(queries, floor)
        near = errors(queries, items, "ip")
        rows = zip(
            queries, found.ids, found.scores, wide, above(theirs, queries), near, strict=True
        )
        for query, ids, scores, (wide_ids, wide_scores), (their_ids, _), error in rows:
            np.testing.assert_array_equal(ids, wide_ids)
            np.testing.assert_array_equal(scores, wide_scores)
            # float32 sums decide differently only near the minimum score.
            apart = np.setxor1d(their_ids, ids)
            exact = items[apart].astype(np.float64) @ query
            assert (np.abs(exact - floor) <= error).all()

    compare_engines(
        {
            "vecrecall": lambda: ours.search_above(queries, floor),
            "numpy": lambda: above(theirs, queries),
        },
        check,
        **{**size(FILTERED), "k": n_above},
    )


def test_score(compare_engines: Any, items: F32, by_ip: tuple[vr.FlatIndex, NumpyIndex]) -> None:
    """Score 500 candidates per query; equal numbers spare NumPy a loop over queries."""
    ours, theirs = by_ip
    queries, wanted = vectors(FILTERED, 7), 500
    candidates = np.random.default_rng(8).integers(0, N, (FILTERED, wanted))
    rows = vr.Ragged(candidates.ravel(), np.arange(FILTERED + 1) * wanted)

    def numpy_score(x: Any, q: Any, numbers: I64) -> Any:
        return np.matmul(x[numbers], q[:, :, None])[:, :, 0]

    def check() -> None:
        exact = numpy_score(items.astype(np.float64), queries.astype(np.float64), candidates)
        found = ours.score(queries, rows).values.reshape(exact.shape)
        # Sums may cancel: d units of float64 of their terms, and one unit of float32.
        terms = DIM * np.abs(queries).max() * np.abs(items).max()
        atol = DIM * 2.0**-53 * terms
        np.testing.assert_allclose(found, exact, rtol=2**-23, atol=atol)
        near = errors(queries, items, "ip")[:, None]
        assert (np.abs(numpy_score(theirs.items, queries, candidates) - exact) <= near).all()

    compare_engines(
        {
            "vecrecall": lambda: ours.score(queries, rows),
            "numpy": lambda: numpy_score(theirs.items, queries, candidates),
        },
        check,
        **size(FILTERED, wanted),
    )
