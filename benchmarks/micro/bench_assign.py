"""Nearest centroids against pure NumPy."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro import numpy_clusters
from benchmarks.micro.numpy_clusters import wide
from benchmarks.micro.numpy_lists import F32, I64, Floats

SIZES = [(50_000, 64, 100), (20_000, 64, 1024), (10_000, 384, 256)]


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


def compare_assign(
    compare_engines: Any, case: tuple[F32, F32], m: int, metric: Literal["l2", "cosine"]
) -> None:
    points, centroids = case

    def ours() -> vr.Assignment:
        return vr.assign(points, centroids, m=m, metric=metric)

    def with_numpy() -> I64:
        return numpy_clusters.assign(points, centroids, m, metric)

    def check() -> None:
        # Random distances have no ties in float64, so labels are equal.
        expected = numpy_clusters.assign(wide(points), wide(centroids), m, metric)
        np.testing.assert_array_equal(ours().labels, expected)
        numpy_clusters.assert_nearest(with_numpy(), expected, points, centroids, metric)

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        check,
        m=m,
        metric=metric,
        **size(case),
    )


@pytest.mark.parametrize("m", [1, 4], ids="m{}".format)
def test_l2(compare_engines: Any, case: tuple[F32, F32], m: int) -> None:
    compare_assign(compare_engines, case, m, "l2")


def test_cosine(compare_engines: Any, case: tuple[F32, F32]) -> None:
    compare_assign(compare_engines, case, 1, "cosine")


class Sums(NamedTuple):
    labels: I64
    sums: Floats
    counts: I64


def numpy_sums(points: F32, centroids: F32) -> Sums:
    labels, k = numpy_clusters.assign(points, centroids), len(centroids)
    sums = numpy_clusters.cluster_sums(points, labels[:, 0], k)
    return Sums(labels, sums, np.bincount(labels[:, 0], minlength=k))


def assert_sums(found: Any, points: F32, labels: I64, k: int, unit: float) -> None:
    """The sums of labeled points, added in any order with that rounding.

    A sum of n terms errs by at most n units of the sum of their sizes. The expected float64 sum
    errs by far less or, compared with another float64 sum, by as much: twice that.
    """
    counts = np.bincount(labels, minlength=k)
    np.testing.assert_array_equal(found.counts, counts)
    sums, sizes = (
        numpy_clusters.cluster_sums(some, labels, k) for some in (wide(points), wide(abs(points)))
    )
    assert (np.abs(found.sums - sums) <= 2 * unit * counts[:, None] * sizes).all()


def test_sums(compare_engines: Any, case: tuple[F32, F32]) -> None:
    """The nearest centroids, and the sums of their points."""
    points, centroids = case

    def check() -> None:
        assigned, found = vr.assign(points, centroids, sums=True)
        expected = numpy_clusters.assign(wide(points), wide(centroids))
        np.testing.assert_array_equal(assigned.labels, expected)
        assert_sums(found, points, expected[:, 0], len(centroids), 2.0**-53)
        theirs = numpy_sums(points, centroids)
        numpy_clusters.assert_nearest(theirs.labels, expected, points, centroids, "l2")
        assert_sums(theirs, points, theirs.labels[:, 0], len(centroids), 2.0**-24)

    compare_engines(
        {
            "vecrecall": lambda: vr.assign(points, centroids, sums=True),
            "numpy": lambda: numpy_sums(points, centroids),
        },
        check,
        **size(case),
    )
