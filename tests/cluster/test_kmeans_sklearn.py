"""`vr.KMeans` by scikit-learn's own checks, by its data frames, and without scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import assert_same_float32
from datasets import normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Check = Callable[[Any], None]

MODELS = {
    "plain": vr.KMeans(3),
    "cosine": vr.KMeans(3, metric="cosine"),
    "batches": vr.KMeans(3, batch_size=7),
    "runs": vr.KMeans(3, init="random", n_init="auto"),
}

EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "it compares the rows in one order with the rows in another, and centers are drawn by row; "
        "in one order they are the same bits: test_whole_weights_are_repeated_points"
    ),
    "check_complex_data": (
        "it wants a ValueError; complex numbers are a TypeError here wherever vectors are taken"
    ),
    "check_dtype_object": (
        "it wants arrays of objects converted; they are a TypeError here wherever vectors are taken"
    ),
}

# In addition to those of `check_estimator`: scikit-learn's checks of its own clusterers.
MORE_CHECKS = [
    "check_clusterer_compute_labels_predict",
    "check_clustering",
    "check_dataframe_column_names_consistency",
    "check_estimators_partial_fit_n_features",
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


def every_check() -> Iterator[Any]:
    try:
        from sklearn.utils.estimator_checks import estimator_checks_generator
    except ImportError:  # before 1.6, or none at all
        yield pytest.param(None, None, marks=pytest.mark.skip("needs scikit-learn >= 1.6"))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that KMeans has no base class of scikit-learn's
        for name, model in MODELS.items():
            checks = estimator_checks_generator(
                model, expected_failed_checks=EXPECTED_FAILED_CHECKS, mark="xfail"
            )
            for i, found in enumerate(checks):
                (own, check), marks = getattr(found, "values", found), getattr(found, "marks", ())
                title = getattr(check, "func", check).__name__
                yield pytest.param(own, check, marks=marks, id=f"{name}-{i}-{title}")


@pytest.mark.parametrize(("model", "check"), list(every_check()))
@pytest.mark.filterwarnings("ignore")  # of duplicate points in the data of some
def test_check_estimator(model: vr.KMeans, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(model)


def test_few_checks_may_fail() -> None:
    assert len(EXPECTED_FAILED_CHECKS) <= 3
    assert all(EXPECTED_FAILED_CHECKS.values())


@pytest.mark.parametrize("name", MORE_CHECKS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_clusterers_and_transformers(model: str, name: str) -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks", reason="needs scikit-learn")
    if not hasattr(checks, name):
        pytest.skip(f"no {name} in this scikit-learn")
    for library in ("pandas", "polars"):
        if library in name:
            pytest.importorskip(library)
    getattr(checks, name)("KMeans", MODELS[model])


def test_exceptions_are_as_their_reasons_say(rng: np.random.Generator) -> None:
    for bad in (normal(rng, 9, 3).astype(complex), normal(rng, 9, 3).astype(object)):
        with pytest.raises(TypeError, match="X: expected real numbers"):
            vr.KMeans(2).fit(bad)


# Messages: ours, and behind it what scikit-learn's tools look for


@pytest.mark.parametrize(
    ("method", "bad", "ours", "theirs"),
    [
        ("predict", (4, 2), r"shape \(n, 3\), got \(4, 2\)", "X has 2 features, but KMeans is exp"),
        ("partial_fit", (4, 5), r"shape \(n, 3\), got \(4, 5\)", "X has 5 features, but KMeans is"),
        ("transform", (3,), r"\(n, 3\), got shape \(3,\)", "Reshape your data"),
        ("fit", (3,), r"\(n, d\), got shape \(3,\)", "Reshape your data"),
        ("fit", (4, 0), r"one column, got shape \(4, 0\)", r"0 feature\(s\) \(shape=\(4, 0\)\)"),
        ("fit", (2, 2, 2), r"shape \(n, d\), got shape \(2, 2, 2\)$", ""),
    ],
)
@pytest.mark.parametrize("make", [np.ones, lambda shape: np.ones(shape).tolist()])
def test_messages_about_shapes(
    method: str, bad: tuple[int, ...], ours: str, theirs: str, make: Any, rng: np.random.Generator
) -> None:
    model = vr.KMeans(2).fit(normal(rng, 9, 3))
    with pytest.raises(ValueError, match=f"^X: expected .*{ours}.*{theirs}"):
        getattr(model, method)(make(bad))


def test_weights_that_are_all_zero(rng: np.random.Generator) -> None:
    message = "n_clusters=2 points, of a weight above 0, got 0 .all weights are zero"
    for call in (vr.KMeans(2).fit, vr.KMeans(2).partial_fit):
        with pytest.raises(ValueError, match=message):
            call(normal(rng, 9, 3), sample_weight=np.zeros(9))


# Names of features


def frame(library: str, points: F32, names: list[Any]) -> Any:
    module = pytest.importorskip(library)
    columns = dict(zip(names, points.T, strict=True))
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_feature_names(library: str, rng: np.random.Generator) -> None:
    # a column may be called like an attribute that another library's frames have
    names = ["columns", "column_names", "c"]
    points = normal(rng, 50, 3)
    named = frame(library, points, names)
    model = vr.KMeans(4).fit(named)
    assert model.feature_names_in_.dtype == object
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == 3
    assert_same_float32(model.cluster_centers_, vr.KMeans(4).fit(points).cluster_centers_)
    np.testing.assert_array_equal(model.predict(named), model.labels_)
    assert pickle.loads(pickle.dumps(model)).feature_names_in_.tolist() == names
    other = frame(library, points, ["columns", "column_names", "d"])
    swapped = frame(library, points, ["column_names", "columns", "c"])
    for call in (model.predict, model.transform, model.score, model.partial_fit):
        with pytest.raises(ValueError, match=r"^X: .*passed during fit[^-]*unseen.*\n- d\n.*\n- c"):
            call(other)
        with pytest.raises(ValueError, match="names must be in the same order as they were in fit"):
            call(swapped)
        with pytest.warns(UserWarning, match="X does not have valid feature names, but KMeans"):
            call(points)
    model.partial_fit(named)
    assert model.feature_names_in_.tolist() == names
    model.fit(points)
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(AttributeError, match="feature_names_in_: expected a KMeans fitted to a da"):
        _ = model.feature_names_in_
    with pytest.warns(UserWarning, match="X has feature names, but KMeans was fitted without"):
        model.predict(named)


def test_the_warning_names_the_line_of_the_caller(rng: np.random.Generator) -> None:
    points = normal(rng, 50, 3)
    model = vr.KMeans(4).fit(frame("pandas", points, ["a", "b", "c"]))
    for method in ("predict", "transform", "score", "partial_fit"):
        with pytest.warns(UserWarning, match="valid feature names") as heard:
            getattr(model, method)(points)
        assert [warning.filename for warning in heard] == [__file__]


def test_names_that_are_no_text(rng: np.random.Generator) -> None:
    pandas = pytest.importorskip("pandas")
    points = normal(rng, 50, 3)
    for names in ([0, 1, 2], [("a", 1), ("a", 2), ("b", 1)]):
        model = vr.KMeans(4).fit(pandas.DataFrame(points, columns=names))
        assert not hasattr(model, "feature_names_in_")
        model.predict(points)
    with pytest.raises(TypeError, match=r"^X: .*\['int', 'str'\].*only supported if all input fea"):
        vr.KMeans(4, callback=lambda *_: pytest.fail("fitted in vain")).fit(
            pandas.DataFrame(points, columns=["a", 1, "b"])
        )
    assert not hasattr(vr.KMeans(4), "feature_names_in_")


def test_get_feature_names_out(rng: np.random.Generator) -> None:
    points = normal(rng, 50, 3)
    with pytest.raises(vr.NotFittedError):
        vr.KMeans(4).get_feature_names_out()
    model = vr.KMeans(4).fit(points)
    names = model.get_feature_names_out()
    assert names.dtype == object
    assert names.tolist() == ["kmeans0", "kmeans1", "kmeans2", "kmeans3"]
    assert model.set_params(n_clusters=9).get_feature_names_out().tolist() == names.tolist()
    assert model.get_feature_names_out(["a", "b", "c"]).tolist() == names.tolist()
    for wrong in (["a", "b"], "abc"):
        with pytest.raises(ValueError, match="input_features: expected 3 names, got"):
            model.get_feature_names_out(wrong)
    model.fit(frame("pandas", points, ["a", "b", "c"]))
    model.get_feature_names_out(np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        model.get_feature_names_out(["a", "c", "b"])

    class Centers(vr.KMeans):
        pass

    assert Centers(1).fit(points).get_feature_names_out().tolist() == ["centers0"]


# Data frames as output


def test_output_as_pandas(rng: np.random.Generator) -> None:
    pandas = pytest.importorskip("pandas")
    points = normal(rng, 50, 3)
    table = pandas.DataFrame(points, columns=list("abc"), index=np.arange(50) * 2 + 7)
    right = vr.KMeans(4).fit(points).transform(points)
    model = vr.KMeans(4)
    assert model.set_output(transform="pandas") is model
    for found in (model.fit_transform(table), model.transform(table)):
        expected = pandas.DataFrame(right, index=table.index, columns=model.get_feature_names_out())
        pandas.testing.assert_frame_equal(found, expected)
    assert model.fit(points).transform(points).index.tolist() == list(range(50))
    assert type(model.predict(points)) is np.ndarray
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again.transform(points), pandas.DataFrame)
    assert model.set_output() is model
    assert isinstance(model.transform(points), pandas.DataFrame)
    assert_same_float32(model.set_output(transform="default").transform(points), right)


def test_output_as_polars(rng: np.random.Generator) -> None:
    polars = pytest.importorskip("polars")
    points = normal(rng, 50, 3)
    model = vr.KMeans(4).set_output(transform="polars")
    found = model.fit_transform(points)
    assert isinstance(found, polars.DataFrame)
    assert found.columns == model.get_feature_names_out().tolist()
    assert set(found.dtypes) == {polars.Float32}
    assert_same_float32(found.to_numpy(), model.set_output(transform="default").transform(points))


def test_output_by_the_settings_of_scikit_learn(rng: np.random.Generator) -> None:
    sklearn = pytest.importorskip("sklearn")
    base = pytest.importorskip("sklearn.base")
    pandas = pytest.importorskip("pandas")
    points = normal(rng, 50, 3)
    model = vr.KMeans(4).fit(points)
    own = vr.KMeans(4).fit(points).set_output(transform="default")
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(model.transform(points), pandas.DataFrame)
        assert type(own.transform(points)) is np.ndarray
    assert type(model.transform(points)) is np.ndarray
    twin = base.clone(model.set_output(transform="pandas"))
    assert isinstance(twin.fit_transform(points), pandas.DataFrame)
    twin.set_output(transform="default")
    assert isinstance(model.transform(points), pandas.DataFrame)


def test_what_set_output_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vr.KMeans(1)
    with pytest.raises(ValueError, match="transform: expected one of 'default', 'pandas', 'polars"):
        model.set_output(transform="arrow")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"transform: expected one of .*, got bool"):
        model.set_output(transform=True)  # type: ignore[arg-type]
    for library in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, library, None)
        model.set_output(transform=library)  # type: ignore[arg-type]
        with pytest.raises(ImportError, match=rf"needs {library}: pip install {library}"):
            model.fit_transform(np.ones((3, 2), np.float32))


# Tools


def test_pipelines_name_what_comes_out(rng: np.random.Generator) -> None:
    pytest.importorskip("pandas")
    pipeline = pytest.importorskip("sklearn.pipeline", reason="needs scikit-learn")
    compose = pytest.importorskip("sklearn.compose")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    table = frame("pandas", normal(rng, 60, 3), list("abc"))
    line = pipeline.make_pipeline(preprocessing.StandardScaler(), vr.KMeans(2))
    found = line.set_output(transform="pandas").fit_transform(table)
    assert found.columns.tolist() == line.get_feature_names_out().tolist() == ["kmeans0", "kmeans1"]
    assert line[-1].feature_names_in_.tolist() == list("abc")
    parts = compose.ColumnTransformer(
        [("near", vr.KMeans(2), ["a", "b"]), ("left", "passthrough", ["c"])]
    ).set_output(transform="pandas")
    names = ["near__kmeans0", "near__kmeans1", "left__c"]
    assert parts.fit_transform(table).columns.tolist() == names
    assert "KMeans" in line._repr_html_()


def test_pipelines_pass_weights_on(rng: np.random.Generator) -> None:
    pipeline = pytest.importorskip("sklearn.pipeline", reason="needs scikit-learn")
    points, weights = normal(rng, 60, 3), rng.random(60)
    line = pipeline.make_pipeline("passthrough", vr.KMeans(5))
    line.fit(points, kmeans__sample_weight=weights)
    right = vr.KMeans(5).fit(points, sample_weight=weights)
    assert_same_float32(line[-1].cluster_centers_, right.cluster_centers_)


def test_metadata_routing(rng: np.random.Generator) -> None:
    sklearn = pytest.importorskip("sklearn")
    pipeline = pytest.importorskip("sklearn.pipeline")
    base = pytest.importorskip("sklearn.base")
    points, weights = normal(rng, 60, 3), rng.random(60)
    right = vr.KMeans(5).fit(points, sample_weight=weights)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = vr.KMeans(5).set_fit_request(sample_weight="mass")
        asked.set_score_request(sample_weight=True).set_partial_fit_request(sample_weight=True)
        line = pipeline.make_pipeline(base.clone(asked))
        line.fit(points, mass=weights)
        assert_same_float32(line[-1].cluster_centers_, right.cluster_centers_)
        score = right.score(points, sample_weight=weights)
        assert line.score(points, sample_weight=weights) == score != line.score(points)
        silent = pipeline.make_pipeline(vr.KMeans(5)).fit(points)
        assert silent.score(points) == vr.KMeans(5).fit(points).score(points)
        with pytest.raises(ValueError, match="explicitly set as requested or not requested"):
            silent.fit(points, sample_weight=weights)
        with pytest.raises(TypeError, match="sample_weight"):
            pipeline.make_pipeline(vr.KMeans(5).set_fit_request(sample_weight=False)).fit(
                points, sample_weight=weights
            )
        pickle.loads(pickle.dumps(asked)).get_metadata_routing()


def test_searches(rng: np.random.Generator) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="needs scikit-learn")
    points = normal(rng, 90, 3)
    grid = {"n_clusters": [2, 5], "n_init": [1, 3], "metric": ["l2"], "random_state": [0, None]}
    search = selection.GridSearchCV(vr.KMeans(1), grid, cv=3).fit(
        frame("pandas", points, list("xyz"))
    )
    assert search.best_params_["n_clusters"] == 5
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scores = selection.cross_val_score(vr.KMeans(3), points, cv=3)
    parts = selection.KFold(3).split(points)
    right = [vr.KMeans(3).fit(points[fit]).score(points[held]) for fit, held in parts]
    assert scores.tolist() == right


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocked())
"""

USE = """
import pickle, sys
import numpy as np, vecrecall as vr

points = np.random.default_rng(1).standard_normal((60, 4)).astype(np.float32)
model = vr.KMeans(3, n_init=2, random_state=np.random.default_rng(2))
for method in (model.predict, model.transform, model.score, model.get_feature_names_out):
    try:
        method(points)
    except vr.NotFittedError:
        continue
    raise AssertionError(method)
model.fit(points, sample_weight=np.ones(60)).partial_fit(points[:5])
model.set_params(**model.get_params()).set_output(transform="default")
pickle.loads(pickle.dumps(model)).fit_transform(points)
vr.KMeans(3, metric="cosine", batch_size=20, init="random", n_init="auto").fit_predict(points)
print(model.predict(points).shape, model.score(points) < 0, "KMeans" in repr(model))
print(model.get_feature_names_out().tolist(), "sklearn" in sys.modules)
"""


@pytest.mark.parametrize("code", [BLOCKED + USE, USE], ids=["absent", "perhaps installed"])
def test_without_scikit_learn(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == "(60,) True True\n['kmeans0', 'kmeans1', 'kmeans2'] False\n"
