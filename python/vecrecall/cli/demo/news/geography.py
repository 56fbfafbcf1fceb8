"""Nearness of vectors held against nearness on the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo.news.gazetteer import Cities

FloatArray = npt.NDArray[np.float64]
Report = dict[str, Any]

NEIGHBORS = 5
"""Number of nearest vectors whose distance on the map counts."""

PERMUTATIONS = 999

LEVEL = 0.01
"""The finding is held if both figures are as good in fewer permutations than this share."""

MIN_CITIES = 10
"""With fewer cities nothing is concluded."""


def compare(cities: Cities, vectors: npt.NDArray[np.float32], seed: int) -> Report:
    """Compare the cosines of place vectors with distances on the map.

    Both figures, the rank correlation over all pairs and the mean distance to the cities of the
    nearest vectors, are compared with those of vectors that are dealt to the cities at random: the
    pairs of a city are not independent, so that a test over pairs would be too sure of itself.

    Parameters
    ----------
    cities : Cities
    vectors : ndarray of float32, shape (n, d)
        In the order of `cities`.
    seed : int
        Of the permutations.

    Returns
    -------
    dict
        ``held`` is None with fewer than `MIN_CITIES` cities.
    """
    report: Report = {"cities": len(cities), "neighbors": NEIGHBORS, "permutations": PERMUTATIONS}
    if len(cities) < MIN_CITIES:
        return {**report, "held": None}
    kilometers = cities.kilometers()
    cosines = _cosines(vectors)
    ranks = _pair_ranks(cosines), _pair_ranks(kilometers)
    nearest = nearest_rows(cosines)
    found = _figures(*ranks, kilometers, nearest, np.arange(len(cities)))
    rng = np.random.default_rng(seed)
    dealt = np.array(
        [
            _figures(*ranks, kilometers, nearest, rng.permutation(len(cities)))
            for _ in range(PERMUTATIONS)
        ]
    )
    # Both are better if lower. The data themselves count as one permutation, so p is never 0.
    p_values = (1 + (dealt <= found).sum(axis=0)) / (1 + PERMUTATIONS)
    return {
        **report,
        "correlation": found[0],
        "correlation_p": float(p_values[0]),
        "nearest_km": found[1],
        "nearest_p": float(p_values[1]),
        "random_km": float(dealt[:, 1].mean()),
        "held": bool((p_values < LEVEL).all()),
    }


def nearest_rows(cosines: FloatArray) -> npt.NDArray[np.int64]:
    """Return for each place the rows of its nearest others, the nearest first.

    Parameters
    ----------
    cosines : ndarray of float64, shape (n, n)

    Returns
    -------
    ndarray of int64, shape (n, NEIGHBORS)
    """
    others = cosines - np.diag(np.full(len(cosines), np.inf))
    return np.asarray(np.argsort(-others, axis=1, kind="stable")[:, :NEIGHBORS])


def _cosines(vectors: npt.NDArray[np.float32]) -> FloatArray:
    rows = vectors.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.asarray(rows @ rows.T)


def _pair_ranks(values: FloatArray) -> FloatArray:
    """Return the ranks of all pairs, centered and scaled so that a sum of products correlates."""
    upper = np.triu_indices(len(values), 1)
    pairs = values[upper]
    ordered = np.sort(pairs)
    # Equal values share the mean of their ranks.
    places = np.searchsorted(ordered, pairs) + np.searchsorted(ordered, pairs, "right")
    centered = places - places.mean()
    length = np.linalg.norm(centered)
    ranks = np.zeros_like(values)
    ranks[upper] = centered / (length or 1)
    return np.asarray(ranks + ranks.T)


def _figures(
    cosine_ranks: FloatArray,
    distance_ranks: FloatArray,
    kilometers: FloatArray,
    nearest: npt.NDArray[np.int64],
    city_of: npt.NDArray[np.int64],
) -> tuple[float, float]:
    """Return correlation and mean distance if row ``i`` is the vector of city ``city_of[i]``."""
    dealt = distance_ranks[np.ix_(city_of, city_of)]
    correlation = float((cosine_ranks * dealt).sum() / 2)  # each pair stands twice
    return correlation, float(kilometers[city_of[:, None], city_of[nearest]].mean())
