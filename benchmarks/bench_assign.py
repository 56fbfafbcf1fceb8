"""Nearest centroids against pure NumPy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

import vecrecall as vr
from benchmarks import numpy_clusters
from benchmarks.numpy_clusters import wide
from benchmarks.numpy_lists import F32, I64, Floats

SIZES = [(50_000, 64, 100), (20_000, 64, 1024), (10_000, 384, 256)]
CHECKED = 2000


@pytest.fixture(scope="module", params=SIZES, ids="{0[0]}x{0[1]}to{0[2]}".format)
def case(request: pytest.FixtureRequest) -> tuple[F32, F32]:
    """Gaussian points, and some of them as centroids."""
    n, d, k = request.param
    rng = np.random.default_rng(1)
    points = rng.standard_normal((n, d), dtype=np.float32)
    return points, points[rng.choice(n, k, replace=False)]


def size(case: tuple[F32, F32]) -> dict[str, int]:
    (n, d), k = case[0].shape, len(case[1])
    return {"points": n, "dims": d, "centroids": k, "products": n * d * k}


def race_assign(race: Any, case: tuple[F32, F32], m: int, metric: Literal["l2", "cosine"]) -> None:
    points, centroids = case

    def check() -> None:
        # In float64 random distances lie apart: the same labels.
        some = points[:CHECKED]
        found = vr.assign(some, centroids, m=m, metric=metric).labels
        expected = numpy_clusters.assign(wide(some), wide(centroids), m, metric)
        np.testing.assert_array_equal(found, expected)

    race(
        {
            "vecrecall": lambda: vr.assign(points, centroids, m=m, metric=metric),
            "numpy": lambda: numpy_clusters.assign(points, centroids, m, metric),
        },
        check,
        m=m,
        metric=metric,
        **size(case),
    )


@pytest.mark.parametrize("m", [1, 4], ids="m{}".format)
def test_l2(race: Any, case: tuple[F32, F32], m: int) -> None:
    race_assign(race, case, m, "l2")


def test_cosine(race: Any, case: tuple[F32, F32]) -> None:
    race_assign(race, case, 1, "cosine")


def numpy_sums(points: Floats, centroids: Floats) -> tuple[Floats, I64]:
    labels = numpy_clusters.assign(points, centroids)[:, 0]
    k = len(centroids)
    return numpy_clusters.cluster_sums(points, labels, k), np.bincount(labels, minlength=k)


def test_sums(race: Any, case: tuple[F32, F32]) -> None:
    """The nearest centroids, and what the points of each add up to."""
    points, centroids = case

    def check() -> None:
        some = points[:CHECKED]
        _, found = vr.assign(some, centroids, sums=True)
        sums, counts = numpy_sums(wide(some), wide(centroids))
        np.testing.assert_array_equal(found.counts, counts)
        # Two orders of n float64 additions differ by at most 2 n u of the sum of sizes.
        most = CHECKED * 2.0**-52 * CHECKED * float(np.abs(some).max())
        np.testing.assert_allclose(found.sums, sums, rtol=0, atol=most)

    race(
        {
            "vecrecall": lambda: vr.assign(points, centroids, sums=True),
            "numpy": lambda: numpy_sums(points, centroids),
        },
        check,
        **size(case),
    )
