"""The checks that every wrapped index must pass, whatever its library."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

ROUNDING = 2.0**-24  # of float32, relative


def items(n: int = 400, d: int = 12, seed: int = 0) -> np.ndarray:
    """Draw rows of different lengths, the last 40 of them copies of others: ties."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * rng.uniform(0.5, 2, (n, 1))
    x[-40:] = x[:40]
    return x.astype(np.float32)


def queries(nq: int = 30, d: int = 12, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((nq, d)).astype(np.float32)


def filters(ids: np.ndarray, nq: int, seed: int = 2) -> list[dict[str, Any]]:
    """List arguments of a search, alone and together."""
    rng = np.random.default_rng(seed)
    exclude = [rng.choice(ids, rng.integers(0, 60)).tolist() for _ in range(nq)]
    exclude[0] = ids.tolist()  # nothing is left
    exclude[1] = [10**9]  # not an item
    some, few = rng.choice(ids, 150, replace=False), rng.choice(ids, 7, replace=False)
    return [
        {},
        {"exclude": exclude},
        {"allow": some},
        {"allow": few},
        {"allow": few, "exclude": exclude},
        {"min_score": 0.5},
        {"min_score": 0.5, "exclude": exclude, "allow": some},
        {"threads": 1},
        {"threads": 2},
    ]


def check_exact(index: vr.WrappedIndex, flat: vr.FlatIndex, q: np.ndarray) -> None:
    """Expect the lists of `flat`, bit for bit."""
    n = len(flat)
    for k in (1, 9, n - 30, n, n + 5):
        for arguments in filters(flat.ids, len(q)):
            _same(index.search(q, k, **arguments), flat.search(q, k, **arguments))
        masks = [index.mask(flat.ids[i::3]) for i in range(len(q))]
        own = [flat.mask(flat.ids[i::3]) for i in range(len(q))]
        _same(index.search(q, k, allow=masks), flat.search(q, k, allow=own))
        _same(index.search(q, k, allow=~masks[0]), flat.search(q, k, allow=~own[0]))


def check_lists(
    index: vr.WrappedIndex, flat: vr.FlatIndex, q: np.ndarray, tolerance: float
) -> None:
    """Expect full lists that hold what they may, ranked, with scores near those of `flat`."""
    for k in (1, 9, 60):
        for arguments in filters(flat.ids, len(q)):
            found = index.search(q, k, **arguments)
            best = flat.search(q, k, **arguments)
            if "min_score" not in arguments:  # near the bound a graph may miss items
                np.testing.assert_array_equal(found.counts, best.counts)
            _check_members(found, len(flat), arguments)
            _check_scores(found, flat, q, tolerance)


def check_queries(index: vr.WrappedIndex, q: np.ndarray) -> None:
    """Expect that the layout and type of queries make no difference."""
    found = index.search(q, 9)
    wide = np.repeat(q, 2, axis=0)
    for same in (np.asfortranarray(q), q.astype(np.float64), wide[::2], q.tolist()):
        _same(index.search(np.asarray(same), 9), found)
    none = index.search(q[:0], 9)
    assert none.ids.shape == (0, 9)
    one = index.search(q[3:4], 9)
    np.testing.assert_array_equal(one.ids, found.ids[3:4])


def check_zero_query(index: vr.WrappedIndex, q: np.ndarray) -> None:
    """Expect an empty list for a query without direction, the others as they are."""
    found = index.search(q, 9)
    with_zero = q.copy()
    with_zero[4] = 0
    part = index.search(with_zero, 9)
    assert part.counts[4] == 0
    assert (part.ids[4] == -1).all()
    others = np.arange(len(q)) != 4
    np.testing.assert_array_equal(part.ids[others], found.ids[others])


def _same(found: vr.SearchResult, expected: vr.SearchResult) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert found.scores.tobytes() == expected.scores.tobytes()
    np.testing.assert_array_equal(found.counts, expected.counts)


def _check_members(found: vr.SearchResult, n: int, arguments: dict[str, Any]) -> None:
    valid = np.arange(found.ids.shape[1]) < found.counts[:, None]
    assert ((found.ids >= 0) == valid).all()
    assert (found.scores[~valid] == -np.inf).all()
    for row, (ids, count) in enumerate(zip(found.ids, found.counts, strict=True)):
        ids = ids[:count]
        assert np.unique(ids).size == count
        if "exclude" in arguments:
            assert not np.isin(ids, arguments["exclude"][row]).any()
        if "allow" in arguments:
            assert np.isin(ids, arguments["allow"]).all()
        scores = found.scores[row, :count]
        assert (scores[:-1] >= scores[1:]).all()
        assert (scores >= arguments.get("min_score", -np.inf)).all()


def _check_scores(
    found: vr.SearchResult, flat: vr.FlatIndex, q: np.ndarray, tolerance: float
) -> None:
    lists = [ids[:count].tolist() for ids, count in zip(found.ids, found.counts, strict=True)]
    exact = flat.score(q, lists).values
    valid = found.ids >= 0
    assert np.abs(found.scores[valid] - exact).max(initial=0) <= tolerance


def float32_tolerance(x: np.ndarray, q: np.ndarray, metric: str) -> float:
    """Bound the error of scores whose sums are of float32.

    A sum of d products is off by at most (d + 2) u |q| |x|; the norms of squared distances as
    well; normalizing adds d / 2 + 3 of these to each side, ``1 - s`` one of ``1 + |s|``.
    """
    longest = np.linalg.norm(x, axis=1).max() * np.linalg.norm(q, axis=1).max()
    size = {"ip": 1 + longest, "cosine": 2.0, "l2": 4 * max(longest, 1) ** 2}[metric]
    return float((2 * x.shape[1] + 16) * ROUNDING * size)


def check_ids_and_vectors(library: Any, x: np.ndarray) -> None:
    """Vectors and ids that cannot belong to an index of these 400 items."""
    with pytest.raises(ValueError, match="ids: expected 400 ids"):
        vr.wrap(library, np.arange(399))
    with pytest.raises(ValueError, match="ids: expected ids >= 0"):
        vr.wrap(library, np.arange(400) - 1)
    with pytest.raises(ValueError, match="ids: duplicate id"):
        vr.wrap(library, np.zeros(400, np.int64))
    with pytest.raises(ValueError, match="vectors: expected 400 rows"):
        vr.wrap(library, vectors=x[1:])


def check_views_at_once(search: Callable[[int, int], np.ndarray], expected: dict[int, Any]) -> None:
    """Searches with several values of a setting in threads: each finds what its value finds.

    `search(value, turn)` gives ids; each value has two threads.
    """
    wrong: list[int] = []

    def search_on(value: int) -> None:
        truth = [set(row) for row in expected[value].tolist()]
        for turn in range(30):
            if [set(row) for row in search(value, turn).tolist()] != truth:
                wrong.append(value)

    threads = [threading.Thread(target=search_on, args=(value,)) for value in [*expected] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
