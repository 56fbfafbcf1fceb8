"""Points in half precision: assigned and clustered as the same points in float32, in every bit."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import cluster_reference as oracle
import numpy as np
import numpy.typing as npt
import pytest
from cluster_cases import CASES
from comparison import ISAS, METRICS, Metric, assert_same_float32, forced_isa
from datasets import HARD
from half import HALVES, fitting, of_type, widened

import vecrecall as vr
from vecrecall import _core
from vecrecall.cluster._lloyd import Run

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator


def check_assign(
    points: F32, name: str, centroids: F32, metric: Metric, m: int = 1, threads: int = 1
) -> None:
    expected = oracle.assign(points, centroids, m, metric)
    given = of_type(points, name)
    for isa in ISAS:
        with forced_isa(isa):
            found = vr.assign(given, centroids, m=m, metric=metric, threads=threads)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert_same_float32(found.scores, expected.scores)


def check_sums(points: F32, name: str, centroids: F32, metric: Metric) -> None:
    found = vr.assign(of_type(points, name), centroids, metric=metric, sums=True)
    expected = vr.assign(points, centroids, metric=metric, sums=True)
    np.testing.assert_array_equal(found[0].labels, expected[0].labels)
    assert found[1].sums.tobytes() == expected[1].sums.tobytes()
    np.testing.assert_array_equal(found[1].counts, expected[1].counts)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
def test_all_widths(metric: Metric, name: str, rng: Rng) -> None:
    for d in range(1, 71):
        points, centroids = CASES["gaussian"](rng, 70, 9, d)
        check_assign(widened(points, name), name, centroids, metric)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_all_widths(metric: Metric, name: str, isa: str, rng: Rng) -> None:
    for d in range(1, 71):
        points, centroids = CASES["gaussian"](rng, 40, 9, d)
        check_sums(widened(points, name), name, centroids, metric)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", HARD)
def test_hard_points(kind: str, metric: Metric, name: str, rng: Rng) -> None:
    centroids, points = HARD[kind](rng, 17, 70, 19)
    centroids[~centroids.any(axis=1)] = 1.0
    points = widened(fitting(points, name), name)
    for m, threads in ((1, 1), (3, 2), (9, 2)):  # 9: by an index over the centroids
        check_assign(points, name, centroids, metric, m, threads)


@pytest.mark.parametrize("name", HALVES)
def test_one_point(name: str, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 3, 9, 7)
    points = widened(points, name)
    for given in (of_type(points[0], name), of_type(points[:1], name), points[0].tolist()):
        found = vr.assign(given, centroids)
        assert found.labels.tolist() == oracle.assign(points[:1], centroids).labels.tolist()
    with pytest.raises(ValueError, match=r"points: expected .*\(n, 7\) or \(7,\)"):
        vr.assign(of_type(points[:, :6], name), centroids)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("m", [1, 9])
def test_points_that_are_not_finite(m: int, name: str, isa: str, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 200, 9, 5)
    points = widened(points, name)
    points[150, 1], points[133, 4] = np.nan, -np.inf
    with pytest.raises(ValueError, match=r"points: expected finite values, got .* in row 133"):
        vr.assign(of_type(points, name), centroids, m=m)


@pytest.mark.parametrize("name", HALVES)
def test_points_are_not_copied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = of_type(np.eye(20, 4), name)
    points.flags.writeable = False
    seen: list[Any] = []
    core = _core.assign

    def assign(given: Any, *args: Any) -> Any:
        seen.append(given)
        return core(given, *args)

    monkeypatch.setattr(_core, "assign", assign)
    vr.assign(points, np.eye(4, dtype=np.float32))
    assert np.shares_memory(seen[0], points)
    assert np.shares_memory(Run(vr.KMeans(3), points).points, points)


# k-means


def blobs(rng: Rng, n: int, d: int, name: str) -> F32:
    middles = rng.standard_normal((7, d)) * 3
    points = middles[rng.integers(0, 7, n)] + rng.standard_normal((n, d))
    points[::50] = 0  # under cosine without a direction
    return widened(points.astype(np.float32), name)


def assert_same_models(found: vr.KMeans, expected: vr.KMeans) -> None:
    assert found.cluster_centers_.dtype == np.float32
    assert_same_float32(found.cluster_centers_, expected.cluster_centers_)
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    assert (found.inertia_, found.n_iter_) == (expected.inertia_, expected.n_iter_)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize(
    ("k", "options"),
    [
        (6, {}),
        (140, {}),  # k-means++ in rounds
        (6, {"init": "random", "n_init": 2}),
        (6, {"batch_size": 100, "max_iter": 3}),
        (40, {"batch_size": 100, "max_iter": 3, "reassignment_ratio": 0.9}),
    ],
)
def test_models(
    k: int, options: dict[str, Any], metric: Literal["l2", "cosine"], name: str, isa: str, rng: Rng
) -> None:
    points = blobs(rng, 700, 11, name)
    weights = rng.integers(0, 3, len(points)).astype(np.float64)
    for weighed in (None, weights):
        models = [
            vr.KMeans(k, metric=metric, threads=2, **options).fit(given, sample_weight=weighed)
            for given in (of_type(points, name), points)
        ]
        assert_same_models(*models)
    half, wide = of_type(points[:99], name), points[:99]
    np.testing.assert_array_equal(models[0].predict(half), models[1].predict(wide))
    assert_same_float32(models[0].transform(half), models[1].transform(wide))
    assert models[0].score(half, sample_weight=weights[:99]) == models[1].score(
        wide, sample_weight=weights[:99]
    )
    assert_same_models(models[0].partial_fit(half), models[1].partial_fit(wide))


@pytest.mark.parametrize("name", HALVES)
def test_points_that_are_few(name: str) -> None:
    points = of_type(np.array([[0, 1]] * 5 + [[0.0, -1]], np.float32), name)
    with pytest.warns(vr.ConvergenceWarning, match=r"distinct clusters \(2\)"):
        vr.KMeans(3, random_state=1).fit(points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vr.KMeans(2, random_state=1).fit(points).inertia_ == 0
    points[4, 0] = np.inf
    with pytest.raises(ValueError, match=r"X: expected finite values, got .* in row 4"):
        vr.KMeans(2).fit(points)
