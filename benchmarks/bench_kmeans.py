"""Lloyd's iterations against pure NumPy, from the same centres."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import vecrecall as vr
from benchmarks import numpy_clusters
from benchmarks.numpy_clusters import wide
from benchmarks.numpy_lists import F32

N, DIM, ROUNDS = 30_000, 64, 5


@pytest.fixture(scope="module")
def points() -> F32:
    """Without groups: no cluster is ever empty, and labels change in every round."""
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


@pytest.mark.parametrize("k", [50, 200], ids="{}clusters".format)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_lloyd(race: Any, points: F32, k: int, metric: Literal["l2", "cosine"]) -> None:
    start = points[np.random.default_rng(2).choice(N, k, replace=False)]
    model = vr.KMeans(k, metric=metric, init=start, max_iter=ROUNDS, tol=0)

    def check() -> None:
        model.fit(points)
        centers, labels = numpy_clusters.lloyd(wide(points), start, ROUNDS, metric)
        assert model.n_iter_ == ROUNDS
        np.testing.assert_array_equal(model.labels_, labels)
        # Means below 2 in size: sums in another order move their rounding by one unit at most,
        # and that of one round those of the next by no more.
        np.testing.assert_allclose(model.cluster_centers_, centers, rtol=0, atol=2**-22)

    race(
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
