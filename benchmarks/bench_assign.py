"""Assignment against pure NumPy: a matrix product, the squared lengths, argmin."""

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

F32 = npt.NDArray[np.float32]
SIZES = [(50_000, 64, 100), (20_000, 64, 1024), (10_000, 384, 256)]
CHECKED = 2000
BLOCK = 4096  # points a product, so that the scores stay near

engines = pytest.mark.parametrize("engine", ["vecrecall", "numpy"])


def points_and_rows(n: int, d: int, k: int) -> tuple[F32, F32]:
    """Gaussian points, and some of them as centroids."""
    rng = np.random.default_rng(1)
    points = rng.standard_normal((n, d), dtype=np.float32)
    return points, points[rng.choice(n, k, replace=False)]


@pytest.fixture(scope="module", params=SIZES, ids=["x".join(map(str, size)) for size in SIZES])
def case(request: pytest.FixtureRequest) -> tuple[F32, F32]:
    return points_and_rows(*request.param)


def numpy_assign(points: F32, centroids: F32, m: int = 1) -> npt.NDArray[np.int64]:
    """The m nearest by |c|^2 - 2 xc, in the type of the points."""
    half = (centroids * centroids).sum(axis=1) / 2
    labels = np.empty((len(points), m), np.int64)
    for start in range(0, len(points), BLOCK):
        far = half - points[start : start + BLOCK] @ centroids.T
        if m == 1:
            labels[start : start + BLOCK, 0] = far.argmin(axis=1)
            continue
        near = np.argpartition(far, m, axis=1)[:, :m]
        order = np.argsort(np.take_along_axis(far, near, 1), axis=1, kind="stable")
        labels[start : start + BLOCK] = np.take_along_axis(near, order, 1)
    return labels


def numpy_sums(
    points: F32, centroids: F32
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The sums of each cluster's points in float64, added in row order, and their counts."""
    labels = numpy_assign(points, centroids)[:, 0]
    k = len(centroids)
    sums = [np.bincount(labels, column, minlength=k) for column in points.T]
    return np.stack(sums, axis=1), np.bincount(labels, minlength=k)


@pytest.mark.parametrize("m", [1, 4])
@engines
def test_assign(benchmark, case: tuple[F32, F32], m: int, engine: str) -> None:
    points, centroids = case
    benchmark.group = f"{m} of {len(centroids)} centroids, {len(points)} x {points.shape[1]}"
    # Random distances lie further apart than their rounding to float32 moves them.
    found = vr.assign(points[:CHECKED], centroids, m=m).labels
    expected = numpy_assign(points[:CHECKED].astype(np.float64), centroids.astype(np.float64), m)
    assert np.array_equal(found, expected)
    if engine == "vecrecall":
        benchmark(vr.assign, points, centroids, m=m)
    else:
        benchmark(numpy_assign, points, centroids, m)


@engines
def test_sums(benchmark, case: tuple[F32, F32], engine: str) -> None:
    points, centroids = case
    benchmark.group = f"sums of {len(centroids)} clusters, {len(points)} x {points.shape[1]}"
    _, found = vr.assign(points[:CHECKED], centroids, sums=True)
    some = points[:CHECKED].astype(np.float64)
    sums, counts = numpy_sums(some, centroids.astype(np.float64))
    assert np.array_equal(found.counts, counts)
    assert np.array_equal(found.sums, sums)  # the same order of float64 additions
    if engine == "vecrecall":
        benchmark(vr.assign, points, centroids, sums=True)
    else:
        benchmark(numpy_sums, points, centroids)
