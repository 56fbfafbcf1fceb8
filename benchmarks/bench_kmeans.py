"""Lloyd's iterations against pure NumPy, from the same centres."""

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from benchmarks.bench_assign import numpy_assign, numpy_sums

F32 = npt.NDArray[np.float32]
N, DIM, ROUNDS = 40_000, 64, 5


def numpy_lloyd(points: F32, centers: F32) -> tuple[F32, npt.NDArray[np.int64]]:
    """Means in float64, kept in float32; then the labels of the last ones."""
    for _ in range(ROUNDS):
        sums, counts = numpy_sums(points, centers.astype(points.dtype))
        centers = (sums / counts[:, None]).astype(np.float32)
    return centers, numpy_assign(points, centers.astype(points.dtype))[:, 0]


def spherical(points: F32, centers: F32) -> tuple[F32, npt.NDArray[np.int64]]:
    """The same for points of length one, whose centres have length one."""
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    centers = centers / np.linalg.norm(centers, axis=1, keepdims=True)
    for _ in range(ROUNDS):
        sums, _ = numpy_sums(points, centers.astype(points.dtype))
        centers = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return centers, numpy_assign(points, centers.astype(points.dtype))[:, 0]


@pytest.fixture(scope="module")
def points() -> F32:
    """Without groups: no cluster is ever empty, and labels change in every round."""
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


@pytest.mark.parametrize("k", [50, 200])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("engine", ["vecrecall", "numpy"])
def test_lloyd(benchmark, points: F32, k: int, metric: str, engine: str) -> None:
    benchmark.group = f"{ROUNDS} rounds of {metric} k-means, {k} clusters, {N} x {DIM}"
    with_numpy = numpy_lloyd if metric == "l2" else spherical
    start = points[np.random.default_rng(2).choice(N, k, replace=False)]
    model = vr.KMeans(k, metric=metric, init=start, max_iter=ROUNDS, tol=0)
    model.fit(points)
    centers, labels = with_numpy(points.astype(np.float64), start)
    assert model.n_iter_ == ROUNDS
    assert np.array_equal(model.labels_, labels)
    np.testing.assert_allclose(model.cluster_centers_, centers, rtol=0, atol=2**-22)
    if engine == "vecrecall":
        benchmark(model.fit, points)
    else:
        benchmark(with_numpy, points, start)
