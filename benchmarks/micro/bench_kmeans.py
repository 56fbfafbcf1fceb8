"""Lloyd's iterations against pure NumPy, from the same centers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro import numpy_clusters
from benchmarks.micro.numpy_clusters import wide
from benchmarks.micro.numpy_lists import F32, I64

N, DIM, ROUNDS = 30_000, 64, 5


@pytest.fixture(scope="module")
def points() -> F32:
    """Points without clusters: no cluster becomes empty, and labels change in every round."""
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


def assert_rounds(points: F32, start: F32, metric: Literal["l2", "cosine"]) -> None:
    """Check NumPy's rounds in float32 one by one, since a differing label changes later rounds."""
    rows, centers = points, start
    if metric == "cosine":
        rows, centers = numpy_clusters.unit(points), numpy_clusters.unit(start)
    for _ in range(ROUNDS):
        labels = numpy_clusters.assign(rows, centers, metric=metric)
        expected = numpy_clusters.assign(wide(rows), wide(centers), metric=metric)
        numpy_clusters.assert_nearest(labels, expected, rows, centers, metric)
        centers = numpy_clusters.means(rows, labels[:, 0], len(start), metric)
        assert_means(centers, rows, labels[:, 0], metric)
    found, last = numpy_clusters.lloyd(points, start, ROUNDS, metric)
    np.testing.assert_array_equal(found, centers)
    expected = numpy_clusters.assign(wide(rows), wide(centers), metric=metric)
    numpy_clusters.assert_nearest(last[:, None], expected, rows, centers, metric)


def assert_means(centers: F32, rows: F32, labels: I64, metric: str) -> None:
    """Means of float32 sums.

    A sum of n terms errs by at most n units, 2**-24, of the sum of their sizes; a block more or
    less and three more roundings come to it. A sum whose values are off by a vector e has a
    direction that is off by 2 |e| over its length at most, and dividing by the length errs by
    d / 2 units and some.
    """
    k, d = centers.shape
    sums, sizes = (numpy_clusters.cluster_sums(a, labels, k) for a in (wide(rows), wide(abs(rows))))
    counts = np.bincount(labels, minlength=k)[:, None]
    near = (counts + N / numpy_clusters.BLOCK + 3) * 2.0**-24
    if metric == "cosine":
        expected = numpy_clusters.unit(sums)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        allowed = 2 * near * np.linalg.norm(sizes, axis=1, keepdims=True) / lengths
        allowed += (d + 4) * 2.0**-24
    else:
        expected, allowed = sums / counts, near * sizes / counts
    assert (np.abs(centers - expected) <= allowed).all()


@pytest.mark.parametrize("k", [50, 200], ids="{}clusters".format)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_lloyd(compare_engines: Any, points: F32, k: int, metric: Literal["l2", "cosine"]) -> None:
    start = points[np.random.default_rng(2).choice(N, k, replace=False)]
    model = vr.KMeans(k, metric=metric, init=start, max_iter=ROUNDS, tol=0)

    def check() -> None:
        model.fit(points)
        centers, labels = numpy_clusters.lloyd(wide(points), start, ROUNDS, metric)
        assert model.n_iter_ == ROUNDS
        np.testing.assert_array_equal(model.labels_, labels)
        # Means of the same points, below 2 in size: sums in another order move their rounding by
        # one unit at most. Earlier rounds affect only the labels.
        np.testing.assert_allclose(model.cluster_centers_, centers, rtol=0, atol=2**-23)
        assert_rounds(points, start, metric)

    compare_engines(
        {
            "vecrecall": lambda: model.fit(points),
            "numpy": lambda: numpy_clusters.lloyd(points, start, ROUNDS, metric),
        },
        check,
        points=N,
        dims=DIM,
        clusters=k,
        rounds=ROUNDS,
        metric=metric,
        products=(ROUNDS + 1) * N * DIM * k,
    )
