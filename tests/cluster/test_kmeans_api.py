"""`vr.KMeans` by scikit-learn's habits: what its tools do with a model works with this one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import assert_same_float32
from datasets import normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]

METHODS = ("predict", "transform", "score")


@pytest.fixture
def points(rng: np.random.Generator) -> F32:
    return normal(rng, 300, 7)


def test_parameters_are_stored_as_they_come() -> None:
    init = [[0.0, 1.0]]
    model = vr.KMeans("many", metric="no", init=init, random_state=-1)  # type: ignore[arg-type]
    assert model.get_params()["init"] is init
    assert list(model.get_params()) == [
        "n_clusters", "metric", "init", "n_init", "max_iter", "batch_size", "reassignment_ratio",
        "tol", "random_state", "callback", "threads",
    ]  # fmt: skip
    assert model.get_params(deep=False) == model.get_params()


def test_set_params() -> None:
    model = vr.KMeans(3)
    assert model.set_params(n_clusters=5, metric="cosine") is model
    assert (model.n_clusters, model.metric) == (5, "cosine")
    with pytest.raises(ValueError, match=r"params: expected names among n_clusters, .*'n_jobs'"):
        model.set_params(n_clusters=7, n_jobs=3)
    assert model.n_clusters == 5


def test_repr_shows_what_is_not_default() -> None:
    assert repr(vr.KMeans(8)) == "KMeans(n_clusters=8)"
    model = vr.KMeans(8, metric="cosine", tol=0.5, max_iter=25)
    assert repr(model) == "KMeans(n_clusters=8, metric='cosine', tol=0.5)"
    assert repr(vr.KMeans(1, init=[[2.0]])) == "KMeans(n_clusters=1, init=[[2.0]])"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [ValueError, AttributeError, vr.NotFittedError])
def test_not_fitted(method: str, error: type[Exception], points: F32) -> None:
    with pytest.raises(error, match="KMeans: expected a fitted model"):
        getattr(vr.KMeans(2), method)(points)
    assert not hasattr(vr.KMeans(2), "cluster_centers_")


def test_fitted_attributes(points: F32) -> None:
    model = vr.KMeans(4)
    assert model.fit(points, "not looked at") is model
    assert model.cluster_centers_.dtype == np.float32
    assert model.cluster_centers_.shape == (4, 7)
    assert model.labels_.dtype == np.int32
    assert model.labels_.shape == (300,)
    assert type(model.inertia_) is float
    assert type(model.n_iter_) is int
    assert model.n_features_in_ == 7


def test_methods_agree(points: F32) -> None:
    model = vr.KMeans(4, random_state=3).fit(points)
    np.testing.assert_array_equal(model.predict(points), model.labels_)
    np.testing.assert_array_equal(vr.KMeans(4, random_state=3).fit_predict(points), model.labels_)
    assert_same_float32(vr.KMeans(4, random_state=3).fit_transform(points), model.transform(points))
    assert model.score(points) == -model.inertia_
    distances = model.transform(points)
    wide = points.astype(np.float64)[:, None] - model.cluster_centers_
    # One rounding of the square to float32, one of its root: less than two units.
    expected = np.sqrt((wide**2).sum(axis=2)).astype(np.float32)
    np.testing.assert_array_max_ulp(distances, expected, maxulp=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), model.labels_)


def test_cosine(points: F32) -> None:
    points[[4, 9]] = 0
    model = vr.KMeans(3, metric="cosine").fit(points)
    np.testing.assert_allclose(np.linalg.norm(model.cluster_centers_, axis=1), 1, rtol=1e-6)
    assert np.flatnonzero(model.labels_ < 0).tolist() == [4, 9]
    np.testing.assert_array_equal(model.predict(points), model.labels_)
    distances = model.transform(points)
    assert (distances[[4, 9]] == 1).all()
    lengths = np.linalg.norm(points.astype(np.float64), axis=1)
    cosines = points @ model.cluster_centers_.T.astype(np.float64)
    cosines /= np.where(lengths > 0, lengths, 1)[:, None]
    # A score near 1 is within 2^-25 of the cosine, a center's length within 2^-23 of one.
    np.testing.assert_allclose(distances, 1 - cosines, atol=2e-7)


def test_the_points_are_not_copied(points: F32, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    lloyd = vr._core.Lloyd

    def watched(x: F32, *how: Any) -> Any:
        taken.append(x)
        return lloyd(x, *how)

    monkeypatch.setattr(vr._core, "Lloyd", watched)
    points.flags.writeable = False
    vr.KMeans(3).fit(points)
    assert taken[0] is points


def test_callback_hears_every_round(points: F32) -> None:
    heard: list[tuple[int, float]] = []
    for batch_size in (None, 50):
        heard.clear()
        model = vr.KMeans(
            4, max_iter=5, tol=0, batch_size=batch_size, callback=lambda *r: heard.append(r)
        ).fit(points)
        assert [round_ for round_, _ in heard] == list(range(1, model.n_iter_ + 1))
        assert all(type(inertia) is float and inertia > 0 for _, inertia in heard)
        quiet = vr.KMeans(4, max_iter=5, tol=0, batch_size=batch_size).fit(points)
        assert_same_float32(quiet.cluster_centers_, model.cluster_centers_)


def test_a_callback_may_end_the_fit(points: F32) -> None:
    def stop(done: int, inertia: float) -> None:
        raise KeyboardInterrupt

    model = vr.KMeans(3, callback=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(points)
    assert not hasattr(model, "cluster_centers_")


def test_partial_fit_is_the_mean_of_all_batches(rng: np.random.Generator) -> None:
    # Far apart, so that no point changes sides, and integers, so that sums are exact.
    batches = [
        (rng.integers(0, 9, (40, 3)) + 1000 * (np.arange(40) % 2)[:, None]).astype(np.float32)
        for _ in range(5)
    ]
    model = vr.KMeans(2, init=batches[0][:2])
    for i, batch in enumerate(batches):
        assert model.partial_fit(batch) is model
        assert model.n_iter_ == i + 1
        np.testing.assert_array_equal(model.labels_, np.arange(40) % 2)
    every = np.concatenate(batches).astype(np.float64)
    for side in (0, 1):
        expected = (every[side::2].sum(axis=0) / 100).astype(np.float32)
        assert_same_float32(model.cluster_centers_[side], expected)


def test_partial_fit_goes_on_from_fit(rng: np.random.Generator) -> None:
    first = np.array([[0, 0], [0, 2], [90, 90]], np.float32)
    model = vr.KMeans(2, init=first[[0, 2]]).fit(first)
    model.partial_fit(np.array([[0, 4], [92, 90]], np.float32))
    assert model.cluster_centers_.tolist() == [[0, 2], [91, 90]]
    assert model.labels_.tolist() == [0, 1]


def test_a_second_fit_starts_afresh(points: F32) -> None:
    model = vr.KMeans(3, batch_size=40).fit(points)
    once = model.cluster_centers_
    assert_same_float32(model.fit(points).cluster_centers_, once)


def test_pickle_and_copies(points: F32) -> None:
    model = vr.KMeans(3, batch_size=64, random_state=2).fit(points)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_same_float32(twin.transform(points), model.transform(points))
        np.testing.assert_array_equal(
            twin.partial_fit(points).cluster_centers_,
            copy.deepcopy(model).partial_fit(points).cluster_centers_,
        )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters: expected a whole number >= 1, got 0"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters: expected a whole number"),
        ({"n_clusters": 301}, ValueError, "X: expected at least n_clusters=301 points, got 300"),
        ({"metric": "ip"}, ValueError, "metric: expected one of 'l2', 'cosine', got 'ip'"),
        (
            {"init": "best"},
            ValueError,
            r"init: expected one of 'k-means\+\+', 'random', got 'best'",
        ),
        ({"init": np.ones((2, 7))}, ValueError, "init: expected 3 centers, got 2"),
        ({"init": np.ones((3, 6))}, ValueError, r"init: expected shape \(n, 7\), got \(3, 6\)"),
        ({"init": np.full((3, 7), np.inf)}, ValueError, "init: expected finite values"),
        ({"init": np.zeros((3, 7)), "metric": "cosine"}, ValueError, "init: row 0 is all zeros"),
        ({"max_iter": 0}, ValueError, "max_iter: expected a whole number >= 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number >= 1, got 0"),
        ({"tol": -1.0}, ValueError, "tol: expected a finite number >= 0, got -1.0"),
        ({"tol": "low"}, TypeError, "tol: expected a number, got str"),
        ({"random_state": "x"}, TypeError, "random_state: expected a whole number >= 0, got str"),
        ({"random_state": -1}, ValueError, "random_state: expected a whole number >= 0, got -1"),
        ({"n_init": 0}, ValueError, "n_init: expected a whole number >= 1, got 0"),
        ({"n_init": "best"}, ValueError, "n_init: expected one of 'auto', got 'best'"),
        ({"n_init": None}, TypeError, "n_init: expected a whole number >= 1, got NoneType"),
        ({"callback": 3}, TypeError, "callback: expected a callable, got int"),
        ({"threads": 0}, ValueError, "threads: expected a whole number >= 1, got 0"),
    ],
)
def test_bad_parameters(
    changes: dict[str, Any], error: type[Exception], message: str, points: F32
) -> None:
    with pytest.raises(error, match=message):
        vr.KMeans(**{"n_clusters": 3, **changes}).fit(points)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict", "fit_transform"])
def test_bad_points(method: str) -> None:
    for bad, error, message in (
        (np.ones(3), ValueError, "X: expected .* got shape"),
        (np.ones((3, 2), complex), TypeError, "X: expected real numbers"),
        (np.array([[0.0], [np.nan]]), ValueError, "X: expected finite values, .* in row 1"),
        (np.empty((0, 2)), ValueError, "X: expected at least n_clusters=2 points, got 0"),
    ):
        with pytest.raises(error, match=message):
            getattr(vr.KMeans(2), method)(bad)
    few = np.array([[0, 0], [0, 1], [0, 0]], np.float32)
    with pytest.raises(ValueError, match="n_clusters=2 points that are not zero, got 1"):
        getattr(vr.KMeans(2, metric="cosine"), method)(few)


def test_a_fitted_model_knows_its_width_and_clusters(points: F32) -> None:
    model = vr.KMeans(3).fit(points)
    for method in (*METHODS, "partial_fit"):
        with pytest.raises(ValueError, match=r"X: expected shape \(n, 7\), got \(300, 6\)"):
            getattr(model, method)(points[:, :6])
    with pytest.raises(ValueError, match="n_clusters: expected 3, as fitted, got 4"):
        model.set_params(n_clusters=4).partial_fit(points)


def test_clone(points: F32) -> None:
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")
    model = vr.KMeans(3, init=points[:3], random_state=7, callback=print).fit(points)
    twin = base.clone(model)
    assert type(twin) is vr.KMeans
    assert not hasattr(twin, "cluster_centers_")
    assert twin.callback is print
    assert_same_float32(twin.init, points[:3])
    assert base.is_clusterer(model)


def test_pipeline(points: F32) -> None:
    pipeline = pytest.importorskip("sklearn.pipeline", reason="needs scikit-learn")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), vr.KMeans(3, random_state=1))
    labels = steps.fit_predict(points)
    scaled = preprocessing.StandardScaler().fit_transform(points)
    np.testing.assert_array_equal(labels, vr.KMeans(3, random_state=1).fit(scaled).labels_)
    np.testing.assert_array_equal(steps.predict(points), labels)
    assert steps.transform(points).shape == (300, 3)
    assert steps.set_params(kmeans__n_clusters=4).fit_transform(points).shape == (300, 4)
    before = pipeline.make_pipeline(vr.KMeans(3), preprocessing.StandardScaler())
    assert before.fit_transform(points).shape == (300, 3)


def test_grid_search(points: F32) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="needs scikit-learn")
    search = selection.GridSearchCV(
        vr.KMeans(2), {"n_clusters": [1, 6], "random_state": [0, 1]}, cv=3
    )
    search.fit(points)
    assert search.best_params_["n_clusters"] == 6
    assert search.score(points) == search.best_estimator_.score(points)


def test_check_is_fitted(points: F32) -> None:
    validation = pytest.importorskip("sklearn.utils.validation", reason="needs scikit-learn")
    exceptions = pytest.importorskip("sklearn.exceptions")
    with pytest.raises(exceptions.NotFittedError):
        validation.check_is_fitted(vr.KMeans(2))
    validation.check_is_fitted(vr.KMeans(2).fit(points))


def test_centers_set_from_outside() -> None:
    points = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    model = vr.KMeans(4).fit(points)
    labels, distances = model.predict(points), model.transform(points)
    for centers in (
        model.cluster_centers_.astype(float),
        np.asfortranarray(model.cluster_centers_),
        model.cluster_centers_.tolist(),
    ):
        model.cluster_centers_ = centers  # type: ignore[assignment]
        assert model.predict(points).tolist() == labels.tolist()
        assert model.transform(points).tolist() == distances.tolist()
    for bad in (np.zeros((4, 2)), np.full((4, 3), np.nan)):
        model.cluster_centers_ = bad  # type: ignore[assignment]
        for call in (model.predict, model.transform, model.score):
            with pytest.raises(ValueError, match="cluster_centers_: expected"):
                call(points)
