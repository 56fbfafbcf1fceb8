"""Weights of points in `vr.KMeans`: like repeated points; and what scikit-learn expects."""

from __future__ import annotations

import pickle
import sys
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from comparison import ISAS, assert_same_float32, forced_isa
from datasets import normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Metric = Literal["l2", "cosine"]
metrics = pytest.mark.parametrize("metric", ["l2", "cosine"])


@pytest.mark.parametrize("init", ["k-means++", "given"])
def test_whole_weights_are_repeated_points(init: str, rng: np.random.Generator) -> None:
    """Of small integers every sum is exact, so that every bit is the same."""
    points = rng.integers(-30, 30, (400, 5)).astype(np.float32)
    weights = rng.integers(0, 5, 400)
    how: dict[str, Any] = {"init": points[:9] if init == "given" else init, "random_state": 3}
    found = vr.KMeans(9, **how).fit(points, sample_weight=weights)
    repeated = np.repeat(points, weights, axis=0)
    right = vr.KMeans(9, **how).fit(repeated)
    assert_same_float32(found.cluster_centers_, right.cluster_centers_)
    np.testing.assert_array_equal(np.repeat(found.labels_, weights), right.labels_)
    np.testing.assert_array_equal(found.labels_, right.predict(points))
    assert found.inertia_ == pytest.approx(right.inertia_, rel=1e-9)
    assert found.score(points, sample_weight=weights) == pytest.approx(-right.inertia_, rel=1e-9)


@metrics
@pytest.mark.parametrize("how", [{}, {"batch_size": 64}, {"init": "random"}])
def test_points_of_weight_0_have_no_influence(
    metric: Metric, how: dict[str, Any], rng: np.random.Generator
) -> None:
    points = normal(rng, 500, 6)
    weights = rng.random(500) * (rng.random(500) < 0.5)
    used = weights > 0
    wild = points.copy()
    wild[~used] *= 1000
    model = vr.KMeans(7, metric=metric, random_state=1, **how)
    right = model.fit(points[used], sample_weight=weights[used]).cluster_centers_
    found = model.fit(wild, sample_weight=weights)
    assert_same_float32(found.cluster_centers_, right)
    np.testing.assert_array_equal(found.labels_, found.predict(wild))


@metrics
@pytest.mark.parametrize("batch_size", [None, 100])
def test_weights_of_one_and_scaled_weights(
    metric: Metric, batch_size: int | None, rng: np.random.Generator
) -> None:
    """A power of two changes no bit; the sums of directions times one neither."""
    points = normal(rng, 600, 5)
    model = vr.KMeans(8, metric=metric, random_state=2, batch_size=batch_size)
    plain = model.fit(points).cluster_centers_
    if batch_size is None:
        assert_same_float32(model.fit(points, sample_weight=np.ones(600)).cluster_centers_, plain)
        assert_same_float32(model.fit(points, sample_weight=1).cluster_centers_, plain)
    weights = rng.random(600)
    once = model.fit(points, sample_weight=weights).cluster_centers_
    assert_same_float32(model.fit(points, sample_weight=weights / 4).cluster_centers_, once)


@metrics
def test_the_same_bits_everywhere(metric: Metric, rng: np.random.Generator) -> None:
    points, weights = normal(rng, 3000, 6), rng.random(3000)
    for how in ({}, {"batch_size": 500}):
        bits = None
        for isa in ISAS:
            with forced_isa(isa):
                for threads in (1, 3):
                    model = vr.KMeans(150, metric=metric, max_iter=3, threads=threads, **how)  # type: ignore[arg-type]
                    found = model.fit(points, sample_weight=weights).cluster_centers_
                    bits = found if bits is None else bits
                    assert_same_float32(found, bits)


def test_means_and_inertia_by_hand() -> None:
    points = np.array([[0.0], [3.0], [10.0]], np.float32)
    found = vr.KMeans(2, init=points[[0, 2]]).fit(points, sample_weight=[1, 2, 0.5])
    assert found.cluster_centers_.tolist() == [[2.0], [10.0]]
    assert found.inertia_ == 4 + 2
    found.partial_fit(np.array([[2.0]]), sample_weight=[3])
    assert found.cluster_centers_.tolist() == [[2.0], [10.0]]
    found.partial_fit(np.array([[11.0]]), sample_weight=[0.5])
    assert found.cluster_centers_.tolist() == [[2.0], [10.5]]


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict", "fit_transform", "score"])
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0] * 8, ValueError, r"sample_weight: expected shape \(9,\), got \(8,\)"),
        ([[1.0]] * 9, ValueError, r"sample_weight: expected shape \(9,\), got \(9, 1\)"),
        ([1.0] * 8 + [-1], ValueError, "sample_weight: expected numbers >= 0.* -1.0 in row 8"),
        ([np.nan] + [1.0] * 8, ValueError, "sample_weight: expected finite"),
        ([np.inf] + [1.0] * 8, ValueError, "sample_weight: expected finite"),
        (["a"] * 9, TypeError, "sample_weight: expected 9 real numbers"),
        ("a", TypeError, "sample_weight: expected a number"),
    ],
)
def test_bad_weights(
    method: str, weights: Any, error: type[Exception], message: str, rng: np.random.Generator
) -> None:
    points = normal(rng, 9, 2)
    model = vr.KMeans(2).fit(points)
    with pytest.raises(error, match=message):
        getattr(model, method)(points, sample_weight=weights)


def test_fewer_points_with_a_weight_than_clusters(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"n_clusters=3 points, of a weight above 0, got 2"):
        vr.KMeans(3).fit(normal(rng, 5, 2), sample_weight=[0, 1, 0, 2, 0])


@metrics
@pytest.mark.parametrize("whole", [True, False], ids=["fit", "partial_fit"])
def test_starved_clusters_are_moved(metric: Metric, whole: bool, rng: np.random.Generator) -> None:
    """Starts that no point is near: without re-seeding they stay forever."""
    points = np.abs(normal(rng, 400, 4))
    start = np.concatenate([points[:1], -1000 - np.abs(normal(rng, 5, 4))])
    used = {}
    for ratio in (0.0, 0.01):
        model = vr.KMeans(
            6, metric=metric, init=start, batch_size=100, reassignment_ratio=ratio, max_iter=5
        )
        if whole:
            model.fit(points)
        else:
            for first in range(0, 400, 100):
                model.partial_fit(points[first : first + 100])
        used[ratio] = np.unique(model.predict(points)).size
    assert used[0.0] < used[0.01] == 6


@metrics
def test_a_warning_where_fewer_points_differ(metric: Metric) -> None:
    exceptions = pytest.importorskip("sklearn.exceptions")
    points = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    for kind in (vr.ConvergenceWarning, exceptions.ConvergenceWarning):
        with pytest.warns(kind, match=r"clusters \(3\) found smaller than n_clusters \(4\)"):
            vr.KMeans(4, metric=metric).fit(points)


def test_not_fitted_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    exceptions = pytest.importorskip("sklearn.exceptions")
    for kind in (vr.NotFittedError, exceptions.NotFittedError):
        with pytest.raises(kind) as caught:
            vr.KMeans(2).predict(np.zeros((2, 2)))
        again = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(again, kind)
        assert again.args == caught.value.args
    monkeypatch.delitem(sys.modules, "sklearn.exceptions")
    with pytest.raises(vr.NotFittedError) as plain:
        vr.KMeans(2).predict(np.zeros((2, 2)))
    assert type(plain.value) is vr.NotFittedError


class OnlyAnArray:
    """Converts, and does nothing else that NumPy asks for."""

    def __init__(self, values: list[float]) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self.values

    def __array_function__(self, *_: Any) -> Any:
        raise TypeError("no function")


def test_weights_that_only_convert() -> None:
    points = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    given: Any = OnlyAnArray([1, 3, 1, 1])
    found = vr.KMeans(2).fit(points, sample_weight=given)
    expected = vr.KMeans(2).fit(points, sample_weight=[1, 3, 1, 1])
    np.testing.assert_array_equal(found.cluster_centers_, expected.cluster_centers_)
