"""`vr.KMeans` against a plain Lloyd in float64, against scikit-learn, and against itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import cluster_reference as oracle
import numpy as np
import numpy.typing as npt
import pytest
from cluster_cases import CASES
from comparison import ISAS, assert_same_float32, forced_isa
from datasets import normal

import vecrecall as vr
from vecrecall import _core

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Rng = np.random.Generator
Metric = Literal["l2", "cosine"]
METRICS: tuple[Metric, ...] = ("l2", "cosine")
metrics = pytest.mark.parametrize("metric", METRICS)
SPACING = 2.0**-23  # of float32 next to one; a rounding is off by half of it


def blobs(rng: Rng, n: int, k: int, d: int, spread: float = 0.1) -> F32:
    """Points around k far centers, in no order, every center in use."""
    centers = 10 * normal(rng, k, d)
    labels = rng.permutation(np.arange(n) % k)
    points: F32 = centers[labels] + np.float32(spread) * normal(rng, n, d)
    return points


def some_rows(rng: Rng, points: F32, k: int) -> F32:
    """Rows to start from."""
    return points[rng.choice(len(points), k, replace=False)]


def once(points: F32, centers: F32, metric: Metric = "l2", rounds: int = 1, **given: Any) -> Any:
    """Lloyd from given centers that does not stop before `rounds` unless no label changes."""
    settings: dict[str, Any] = {"init": centers, "max_iter": rounds, "tol": 0.0, **given}
    return vr.KMeans(len(centers), metric=metric, **settings).fit(points)


def check_same(found: Any, expected: Any) -> None:
    """Two fits that are equal in every bit."""
    assert_same_float32(found.cluster_centers_, expected.cluster_centers_)
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    assert found.inertia_ == expected.inertia_
    assert found.n_iter_ == expected.n_iter_


def check_fit(found: Any, points: F32, metric: Metric) -> None:
    """Labels and inertia belong to the centers, which are sound.

    The inertia may be summed from float32 scores: each is half a spacing off, of its own under
    l2 (of the smallest numbers 2^-150), of 1 under cosine.
    """
    centers = found.cluster_centers_
    assert centers.dtype == np.float32
    assert centers.shape == (found.n_clusters, points.shape[1])
    assert np.isfinite(centers).all()
    assert found.labels_.dtype == np.int32
    labels = oracle.assign(points, centers, 1, metric).labels[:, 0]
    np.testing.assert_array_equal(found.labels_, labels)
    inertia = math.fsum(oracle.losses(points, centers, labels, metric).tolist())
    slack = SPACING * (len(points) if metric == "cosine" else inertia) + len(points) * 2.0**-150
    assert isinstance(found.inertia_, float)
    assert abs(found.inertia_ - inertia) <= slack
    if metric == "cosine":
        # d roundings of at most half a spacing of the whole length
        lengths = np.sqrt((centers.astype(np.float64) ** 2).sum(axis=1))
        assert (np.abs(lengths - 1) <= SPACING).all()


# One iteration


def check_step(points: F32, centers: F32, metric: Metric) -> F32:
    """One step from these centers is the oracle's, but for the order of sums and one rounding.

    Under cosine the divisor is off as well, by d + 8 roundings of float64.
    """
    right = oracle.lloyd_step(points, centers, metric)
    size = np.abs(right.centers)
    bound = 1.001 * SPACING / 2 * size + right.bound + 2.0**-150
    if metric == "cosine":
        bound = bound + (points.shape[1] + 8) * 2.0**-53 + np.abs(right.bound).sum(axis=1).max()
    found = once(points, centers, metric)
    assert (np.abs(found.cluster_centers_ - right.centers) <= bound).all()
    new: F32 = found.cluster_centers_
    return new


STEPS = [
    "gaussian",
    "clustered",
    "lognormal_lengths",
    "cauchy",
    "tiny",
    "subnormals",
    "common_offset",
    "mixed_columns",
    "integers",
    "huge_point",
]


@metrics
@pytest.mark.parametrize("name", STEPS)
def test_steps(name: str, metric: Metric, rng: Rng) -> None:
    for n, k, d in ((300, 7, 5), (200, 17, 33), (65, 1, 16)):
        points, _ = CASES[name](rng, n, k, d)
        points = points[points.any(axis=1)]
        # rows that are equal, and ties of zeros, would leave clusters empty
        distinct = np.unique(points, axis=0)
        centers = some_rows(rng, distinct, k)
        for _ in range(3):
            labels = oracle.assign(points, centers, 1, metric).labels
            if len(np.unique(labels)) < k:
                break
            centers = check_step(points, centers, metric)


def test_one_step_by_hand() -> None:
    points = np.array([[0, 0], [2, 0], [10, 0], [12, 2], [14, 4]], np.float32)
    found = once(points, np.array([[0, 0], [10, 0]], np.float32))
    assert found.cluster_centers_.tolist() == [[1, 0], [12, 2]]
    assert found.labels_.tolist() == [0, 0, 1, 1, 1]
    assert found.inertia_ == 2 + 8 + 0 + 8
    assert found.n_iter_ == 1


def test_one_spherical_step_by_hand() -> None:
    points = np.array([[2, 0], [0, 0], [0, 30], [-5, 0]], np.float32)
    found = once(points, np.array([[1, 1], [-3, 0]], np.float32), "cosine")
    half = np.float32(math.sqrt(0.5))
    assert found.cluster_centers_.tolist() == [[half, half], [-1, 0]]
    assert found.labels_.tolist() == [0, -1, 0, 1]
    assert found.inertia_ == pytest.approx(2 - math.sqrt(2), abs=3 * SPACING)


@metrics
def test_the_core_step_tells_what_it_did(metric: Metric, isa: str, threads: int, rng: Rng) -> None:
    points = blobs(rng, 500, 9, 6)
    centers = some_rows(rng, points, 9)
    if metric == "cosine":
        centers = (oracle.directions(centers)).astype(np.float32)
    run = _core.Lloyd(points, getattr(_core.Metric, metric), threads)
    right = oracle.lloyd_step(points, centers, metric)
    new, inertia, shift, changed = run.step(centers)
    assert changed == 500
    assert inertia == pytest.approx(right.inertia, rel=1e-6)
    moved = ((new.astype(np.float64) - centers) ** 2).sum()
    assert shift == pytest.approx(moved, rel=1e-9)
    after = oracle.assign(points, new, 1, metric).labels[:, 0]
    assert run.step(new)[3] == (after != right.labels).sum()
    labels, scores, _ = run.assign(new)
    np.testing.assert_array_equal(labels, after)
    assert_same_float32(scores, oracle.assign(points, new, 1, metric).scores[:, 0])


@pytest.mark.parametrize("equal", [False, True], ids=["different", "equal-centers"])
@pytest.mark.parametrize(("d", "scale"), [(6, 1.0), (33, 1.0), (6, 1e-15), (6, 1e17), (6, 1e25)])
def test_new_labels_where_some_points_need_no_scan(
    d: int, scale: float, equal: bool, isa: str, threads: int, rng: Rng
) -> None:
    k, tile = 8, 64
    centers = 10 * normal(rng, k, d)
    if equal:
        centers[1] = centers[0]
    safe = centers[rng.integers(2, k, 8 * tile)] + np.float32(0.01) * normal(rng, 8 * tile, d)
    points = 100 * normal(rng, 8 * tile, d)  # farther out than the centers are from each other
    in_tile = np.arange(tile)
    # How many of a tile: points that wait for others outlast tiles of either kind.
    for t, n in enumerate([10, 0, tile, 0, 63, 1, 40, 5]):
        rows = t * tile + in_tile[rng.permutation(tile)[:n]]
        points[rows] = safe[rows]
    points = np.concatenate([points[:-47], points[:64]])  # equal points, and a tile that is short
    moved = centers + np.float32(0.001) * normal(rng, k, d)
    if equal:
        moved[1] = moved[0]
    points, centers, moved = (x * np.float32(scale) for x in (points, centers, moved))
    run = _core.Lloyd(points, _core.Metric.l2, threads)
    run.step(centers)
    labels, scores, _ = run.assign(moved)
    expected = oracle.assign(points, moved, 1, "l2")
    np.testing.assert_array_equal(labels, expected.labels[:, 0])
    assert_same_float32(scores, expected.scores[:, 0])


# Many iterations


@metrics
@pytest.mark.parametrize(
    ("name", "n", "k", "d"),
    [
        ("gaussian", 2000, 20, 8),
        ("gaussian", 700, 65, 65),
        ("integers", 1500, 16, 4),
        ("common_offset", 1500, 16, 7),
        ("lognormal_lengths", 1500, 33, 5),
        ("mixed_columns", 900, 12, 17),
        ("duplicates", 900, 12, 3),
        ("huge_point", 900, 12, 3),
    ],
)
def test_a_run_is_a_chain_of_single_steps(
    name: str, n: int, k: int, d: int, metric: Metric, rng: Rng
) -> None:
    """State kept from one iteration to the next, such as bounds, changes no bit."""
    points, _ = CASES[name](rng, n, k, d)
    start = centers = some_rows(rng, np.unique(points, axis=0), k)
    for rounds in range(1, 16):
        step = once(points, centers, metric)
        if np.array_equal(step.cluster_centers_, centers):
            break
        centers = step.cluster_centers_
        if rounds in (2, 5, 15):
            run = once(points, start, metric, rounds)
            if run.n_iter_ < rounds:
                break
            assert_same_float32(run.cluster_centers_, centers)
            np.testing.assert_array_equal(run.labels_, step.labels_)
            assert run.inertia_ == step.inertia_
    check_fit(step, points, metric)


def rounding_slack(points: F32, found: Any, before: float, metric: Metric) -> float:
    """By how much one iteration may raise the inertia, in spite of all being right.

    l2: the means of the clusters are the best centers. A mean is off by half a spacing of its
    size, and by what n additions in float64 are; a cluster of n points pays n times the square of
    that. Labels go by float32 scores, so a point may go to a center that is farther by half a
    spacing of either distance; and the two inertias may be sums of such scores.
    cosine: an error of a center counts by its square, which is below the rest: labels by scores
    that are half a spacing off each, and two inertias of such scores, of n points.
    """
    if metric == "cosine":
        return 2 * len(points) * SPACING
    size = np.abs(points).astype(np.float64)
    error = SPACING / 2 * size.max(axis=0) + len(points) * 2.0**-53 * size.max(axis=0) + 2.0**-150
    return float(len(points) * ((error**2).sum() + 2.0**-148) + 2 * SPACING * before)


@metrics
@pytest.mark.parametrize("name", STEPS)
def test_inertia_never_increases(name: str, metric: Metric, rng: Rng) -> None:
    points, _ = CASES[name](rng, 800, 1, 6)
    start = some_rows(rng, np.unique(points[points.any(axis=1)], axis=0), 12)
    seen: list[tuple[int, float]] = []
    found = once(points, start, metric, 40, callback=lambda i, inertia: seen.append((i, inertia)))
    inertias = [inertia for _, inertia in seen] + [found.inertia_]
    assert len(seen) == found.n_iter_
    assert [i for i, _ in seen] == list(range(seen[0][0], seen[0][0] + len(seen)))
    for before, after in pairwise(inertias):
        assert after <= before + rounding_slack(points, found, before, metric)
    assert inertias[-1] <= inertias[0]
    check_fit(found, points, metric)


@metrics
def test_the_same_bits_everywhere(metric: Metric, rng: Rng) -> None:
    points = np.concatenate([normal(rng, 3000, 17), CASES["mixed_columns"](rng, 1100, 1, 17)[0]])
    points[::71] = 0
    start = some_rows(rng, points[points.any(axis=1)], 20)
    kinds: dict[str, dict[str, Any]] = {
        "given": {"init": start, "max_iter": 6},
        "k-means++": {"init": "k-means++", "max_iter": 4, "random_state": 5},
        "random": {"init": "random", "max_iter": 4, "random_state": 5},
        "batches": {"batch_size": 257, "max_iter": 2, "random_state": 5},
    }
    for given in kinds.values():
        expected = vr.KMeans(20, metric=metric, threads=1, **given).fit(points)
        check_fit(expected, points, metric)
        for isa in ISAS:
            with forced_isa(isa):
                for threads in (1, 2, 5):
                    found = vr.KMeans(20, metric=metric, threads=threads, **given).fit(points)
                    check_same(found, expected)


@metrics
def test_against_the_plain_lloyd(metric: Metric, rng: Rng) -> None:
    points = blobs(rng, 600, 8, 7, spread=3)
    points[::50] = 0
    start = some_rows(rng, points[points.any(axis=1)], 8)
    right = oracle.lloyd(points, start, 100, metric)
    found = once(points, start, metric, 100)
    np.testing.assert_array_equal(found.labels_, right.labels)
    assert found.inertia_ == pytest.approx(right.inertia, rel=1e-6)
    np.testing.assert_allclose(found.cluster_centers_, right.centers, rtol=1e-5, atol=1e-5)
    check_fit(found, points, metric)


def test_a_power_of_two_changes_nothing(rng: Rng) -> None:
    """The tolerance too is relative to the data."""
    points = normal(rng, 1000, 5)
    start = some_rows(rng, points, 10)
    found = vr.KMeans(10, init=start, tol=1e-2, max_iter=100).fit(points)
    assert 1 < found.n_iter_ < 100
    for power in (-20, 20):
        factor = np.float32(2.0**power)
        other = vr.KMeans(10, init=start * factor, tol=1e-2, max_iter=100).fit(points * factor)
        assert other.n_iter_ == found.n_iter_
        assert_same_float32(other.cluster_centers_, found.cluster_centers_ * factor)
        assert other.inertia_ == found.inertia_ * 4.0**power


def test_lengths_do_not_matter_under_cosine(rng: Rng) -> None:
    points = normal(rng, 500, 5)
    start = some_rows(rng, points, 10)
    factors = np.exp2(rng.integers(-40, 40, (500, 1))).astype(np.float32)
    check_same(once(points * factors, start, "cosine", 20), once(points, start, "cosine", 20))


def test_when_a_run_stops(rng: Rng) -> None:
    points = normal(rng, 1000, 4)
    start = some_rows(rng, points, 8)
    for rounds in (1, 2, 3):
        assert once(points, start, rounds=rounds).n_iter_ == rounds
    assert once(points, start, rounds=50, tol=1e9).n_iter_ == 1
    done = once(points, start, rounds=1000)
    assert done.n_iter_ < 1000
    again = once(points, done.cluster_centers_, rounds=1000)
    assert again.n_iter_ <= 2
    assert_same_float32(again.cluster_centers_, done.cluster_centers_)
    counts = [once(points, start, rounds=300, tol=tol).n_iter_ for tol in (1e-1, 1e-3, 1e-6, 0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@metrics
def test_a_fit_leaves_its_arguments_alone(metric: Metric, rng: Rng) -> None:
    points = normal(rng, 100, 4)
    start = some_rows(rng, points, 8)
    before = points.copy(), start.copy()
    points.flags.writeable = start.flags.writeable = False
    once(points, start, metric, 5)
    assert_same_float32(points, before[0])
    assert_same_float32(start, before[1])


# Compared with scikit-learn


def data_of_scikit_learn(name: str) -> F32:
    if name == "blobs":
        return blobs(np.random.default_rng(7), 3000, 12, 16, spread=4)
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    return np.asarray(getattr(datasets, f"load_{name}")().data, np.float32)


@pytest.mark.parametrize(("name", "k"), [("digits", 10), ("iris", 3), ("blobs", 12)])
def test_scikit_learn_ends_at_the_same_inertia(name: str, k: int, rng: Rng) -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="needs scikit-learn")
    points = data_of_scikit_learn(name)
    start = some_rows(rng, np.unique(points, axis=0), k)
    # it breaks ties as its rounding falls, and the digits are integers
    start += np.float32(0.1) * normal(rng, *start.shape)
    for tol in (0.0, 1e-4):
        peer = cluster.KMeans(k, init=start.astype(np.float64), n_init=1, max_iter=300, tol=tol)
        peer.fit(points.astype(np.float64))
        found = vr.KMeans(k, init=start, max_iter=300, tol=tol).fit(points)
        assert found.inertia_ == pytest.approx(peer.inertia_, rel=1e-5)
        assert found.n_iter_ == peer.n_iter_
        assert found.score(points) == pytest.approx(peer.score(points.astype(np.float64)), rel=1e-5)
        np.testing.assert_array_equal(found.predict(points), found.labels_)


def test_its_clone_and_its_pipeline(rng: Rng) -> None:
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")
    pipeline = pytest.importorskip("sklearn.pipeline", reason="needs scikit-learn")
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="needs scikit-learn")
    points = blobs(rng, 300, 5, 4)
    first = vr.KMeans(5, random_state=3, tol=1e-3).fit(points)
    copy = base.clone(first)
    assert copy.get_params() == first.get_params()
    assert not hasattr(copy, "cluster_centers_")
    check_same(copy.fit(points), first)
    array = base.clone(vr.KMeans(2, init=points[:2]))
    np.testing.assert_array_equal(array.init, points[:2])
    line = pipeline.make_pipeline(preprocessing.StandardScaler(), vr.KMeans(5, random_state=3))
    labels = line.fit_predict(points)
    assert len(np.unique(labels)) == 5
    np.testing.assert_array_equal(line.predict(points), labels)
    assert line.fit_transform(points).shape == (300, 5)
    assert line.score(points) <= 0
    line.set_params(kmeans__n_clusters=3).fit(points)
    assert line.named_steps["kmeans"].cluster_centers_.shape == (3, 4)
    assert "KMeans" in repr(line)


def test_its_grid_search(rng: Rng) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="needs scikit-learn")
    points = blobs(rng, 200, 4, 3)
    search = selection.GridSearchCV(vr.KMeans(2), {"n_clusters": [1, 2, 4]}, cv=3).fit(points)
    assert search.best_params_ == {"n_clusters": 4}


# Habits


def test_parameters() -> None:
    given = {
        "n_clusters": 7,
        "metric": "cosine",
        "init": "random",
        "n_init": 3,
        "max_iter": 9,
        "batch_size": 50,
        "reassignment_ratio": 0.1,
        "tol": 0.5,
        "random_state": 4,
        "callback": None,
        "threads": 2,
    }
    model = vr.KMeans(7)
    defaults = model.get_params()
    assert (
        defaults.items()
        >= {
            "n_clusters": 7,
            "metric": "l2",
            "init": "k-means++",
            "n_init": 1,
            "max_iter": 25,
            "batch_size": None,
            "tol": 1e-4,
            "random_state": 0,
        }.items()
    )
    assert set(defaults) == set(given)
    assert model.set_params(**given) is model
    assert model.get_params() == model.get_params(deep=False) == given
    for name, value in given.items():
        assert getattr(model, name) == value
    with pytest.raises(ValueError, match="clusters"):
        model.set_params(clusters=3)
    assert repr(vr.KMeans(7)) == "KMeans(n_clusters=7)"
    assert repr(vr.KMeans(7, tol=0.5)) == "KMeans(n_clusters=7, tol=0.5)"


def test_a_constructor_only_stores() -> None:
    array: Any = [[1.0, 2.0]]
    assert vr.KMeans(-3, init=array).init is array


@metrics
def test_methods_agree(metric: Metric, rng: Rng) -> None:
    points, new = blobs(rng, 300, 5, 4), blobs(rng, 50, 5, 4)
    points[7] = new[3] = 0
    model = vr.KMeans(5, metric=metric, random_state=1)
    assert model.fit(points, None) is model
    assert model.n_features_in_ == 4
    labels = oracle.assign(new, model.cluster_centers_, 1, metric).labels[:, 0]
    assert model.predict(new).dtype == np.int32
    np.testing.assert_array_equal(model.predict(new), labels)
    np.testing.assert_array_equal(
        vr.KMeans(5, metric=metric, random_state=1).fit_predict(points), model.labels_
    )
    lost = math.fsum(oracle.losses(new, model.cluster_centers_, labels, metric).tolist())
    assert model.score(new) == pytest.approx(-lost, rel=1e-5, abs=1e-5)
    assert model.score(points) == pytest.approx(-model.inertia_, rel=1e-12)
    distances = model.transform(new)
    assert distances.shape == (50, 5)
    if metric == "l2":
        wide = new[:, None].astype(np.float64) - model.cluster_centers_[None]
        # a float32 score, its root, and a rounding: under a spacing each
        np.testing.assert_allclose(distances, np.sqrt((wide**2).sum(axis=2)), rtol=2 * SPACING)
    nearest = distances[labels >= 0].argmin(axis=1)
    np.testing.assert_array_equal(nearest, labels[labels >= 0])
    again = vr.KMeans(5, metric=metric, random_state=1).fit_transform(points)
    np.testing.assert_array_equal(again, model.transform(points))


def test_a_model_that_is_not_fitted(rng: Rng) -> None:
    points = normal(rng, 9, 3)
    model = vr.KMeans(2)
    calls: list[Callable[[F32], Any]] = [model.predict, model.transform, model.score]
    for call in calls:
        for kind in (ValueError, AttributeError):
            with pytest.raises(kind, match="fit"):
                call(points)


def test_seeds(rng: Rng) -> None:
    points = normal(rng, 400, 5)
    for init in ("k-means++", "random"):
        fits = [vr.KMeans(9, init=init, random_state=s, max_iter=2).fit(points) for s in (1, 1, 2)]
        check_same(fits[0], fits[1])
        assert not np.array_equal(fits[0].cluster_centers_, fits[2].cluster_centers_)


def test_other_floats_are_converted_first(rng: Rng) -> None:
    points = rng.standard_normal((200, 5))
    expected = vr.KMeans(4).fit(points.astype(np.float32))
    for same in (points, np.asfortranarray(points), points.tolist()):
        check_same(vr.KMeans(4).fit(same), expected)


# Starts


def test_k_means_plus_plus_is_better_than_random(rng: Rng) -> None:
    points = blobs(rng, 1500, 30, 8)

    def first(init: str, seed: int) -> float:
        seen: list[float] = []
        once(
            points, points[:30], init=init, random_state=seed, callback=lambda _, x: seen.append(x)
        )
        return seen[0]

    spread = [sum(first(init, seed) for seed in range(10)) for init in ("k-means++", "random")]
    assert spread[0] < spread[1] / 5


@metrics
def test_the_start_of_many_clusters_among_many_points(metric: Metric, rng: Rng) -> None:
    points = blobs(rng, 25_000, 100, 4, spread=0.01)
    found = vr.KMeans(100, metric=metric, max_iter=1, random_state=2).fit(points)
    assert len(np.unique(found.labels_)) == 100
    check_same(
        vr.KMeans(100, metric=metric, max_iter=1, random_state=2, threads=5).fit(points), found
    )


def test_draws_of_k_means_plus_plus_go_by_squared_distance() -> None:
    """After row 0 the rows weigh 1 : 4 : 9 : 0; a grid of draws meets each in proportion."""
    points = np.array([[0], [1], [2], [3], [0]], np.float32)
    taken = []
    for draw in (np.arange(1400) + 0.5) / 1400:
        rows = _core.plus_plus(points, np.array([[0.0], [draw]]), _core.Metric.l2, 1)
        assert rows[0] == 0
        taken.append(int(rows[1]))
    assert np.bincount(taken, minlength=5).tolist() == [0, 100, 400, 900, 0]


def test_the_better_of_two_draws_stays() -> None:
    """From 0 the draws 0.5 and 0.05 name 10 and 3: they leave 9 and 49."""
    points = np.array([[0], [3], [10]], np.float32)
    for draws in ([0.5, 0.05], [0.05, 0.5]):
        rows = _core.plus_plus(points, np.array([[0.0, 0.9], draws]), _core.Metric.l2, 1)
        assert rows.tolist() == [0, 2]


@metrics
@pytest.mark.parametrize("trials", [1, 2, 3])
def test_rows_of_k_means_plus_plus(metric: Metric, trials: int, rng: Rng) -> None:
    """No row twice, none that equals another while others are left, none without direction."""
    points = np.repeat(normal(rng, 40, 3), 5, axis=0)
    points[::40] = 0
    different = len(np.unique(points[points.any(axis=1)] if metric == "cosine" else points, axis=0))
    draws = rng.random((different, trials))
    core_metric = getattr(_core.Metric, metric)
    expected = _core.plus_plus(points, draws, core_metric, 1)
    assert len(np.unique(points[expected], axis=0)) == different
    assert metric == "l2" or points[expected].any(axis=1).all()
    for isa in ISAS:
        with forced_isa(isa):
            for threads in (1, 2, 5):
                found = _core.plus_plus(points, draws, core_metric, threads)
                np.testing.assert_array_equal(found, expected)


# Empty clusters, and points that are equal


def test_empty_clusters_take_the_farthest_points() -> None:
    points = np.array([[0], [1], [2], [9], [30], [-20]], np.float32)
    far = np.array([[0], [1000], [2000]], np.float32)
    right = oracle.lloyd_step(points, far)
    assert right.centers.tolist() == [[3], [30], [-20]]
    found = once(points, far)
    assert found.cluster_centers_.tolist() == [[3], [30], [-20]]
    assert found.labels_.tolist() == [0, 0, 0, 0, 1, 2]


def test_of_equally_far_points_the_lowest_row_is_taken() -> None:
    points = np.array([[5], [0], [-5], [5], [0], [-5], [0]], np.float32)
    found = once(points, np.array([[0], [99], [999]], np.float32))
    assert found.cluster_centers_.tolist() == [[0], [5], [-5]]
    with pytest.warns(vr.ConvergenceWarning, match=r"clusters \(3\) found smaller than n_clus"):
        found = once(points, np.array([[77], [0], [999], [99]], np.float32))
    assert found.cluster_centers_.tolist() == [[5], [-1.25], [-5], [5]]


def test_an_empty_spherical_cluster_takes_the_farthest_direction() -> None:
    points = np.array([[9, 0], [0, 0], [8, 2], [0.5, 1], [3, 0]], np.float32)
    found = once(points, np.array([[2, 0], [-1, -3]], np.float32), "cosine")
    right = oracle.lloyd_step(points, np.array([[2, 0], [-1, -3]], np.float32), "cosine")
    np.testing.assert_allclose(found.cluster_centers_, right.centers, rtol=2 * SPACING)
    assert found.labels_.tolist() == [0, -1, 0, 1, 0]


@metrics
def test_steps_with_many_empty_clusters(metric: Metric, rng: Rng) -> None:
    for k, used in ((12, 3), (65, 1), (30, 29)):
        points = normal(rng, 900, 5)
        points[:, 0] += 3
        centers = np.tile(points[:1], (k, 1))
        centers[:used] = points[:used]
        check_step(points, centers, metric)


@metrics
def test_equal_starts_leave_no_cluster_empty(metric: Metric, isa: str, rng: Rng) -> None:
    points = normal(rng, 300, 6)
    found = once(points, np.tile(points[:1], (25, 1)), metric, 30)
    assert len(np.unique(found.labels_)) == 25
    check_fit(found, points, metric)


@metrics
def test_starts_far_away_leave_no_cluster_empty(metric: Metric, rng: Rng) -> None:
    points = np.abs(normal(rng, 300, 6))
    start = np.float32(-1e6) * np.abs(normal(rng, 20, 6))
    found = once(points, start, metric, 30)
    assert len(np.unique(found.labels_)) == 20
    check_fit(found, points, metric)


@metrics
@pytest.mark.parametrize("init", ["k-means++", "random", "given"])
def test_fewer_different_points_than_clusters(init: str, metric: Metric, rng: Rng) -> None:
    for different in (1, 3):
        points = np.repeat(normal(rng, different, 4), 20, axis=0)
        start: Any = points[:6] if init == "given" else init
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = vr.KMeans(6, metric=metric, init=start).fit(points)
        check_fit(found, points, metric)
        assert found.inertia_ == pytest.approx(0, abs=60 * SPACING)


@metrics
@pytest.mark.parametrize("init", ["k-means++", "random", "given", "equal"])
def test_as_many_clusters_as_points(init: str, metric: Metric, rng: Rng) -> None:
    points = normal(rng, 33, 7)
    starts: dict[str, Any] = {"given": points[::-1], "equal": np.tile(points[:1], (33, 1))}
    found = vr.KMeans(33, metric=metric, init=starts.get(init, init), max_iter=50).fit(points)
    check_fit(found, points, metric)
    assert sorted(found.labels_.tolist()) == list(range(33))
    if metric == "l2":
        assert found.inertia_ == 0


def test_one_point_and_one_cluster() -> None:
    for metric in METRICS:
        found = vr.KMeans(1, metric=metric).fit(np.array([[0, 2]], np.float32))
        assert found.labels_.tolist() == [0]
        assert found.inertia_ == 0


def test_directions_that_cancel(rng: Rng) -> None:
    """Their sum has none: whatever the center is, it is sound."""
    rows = normal(rng, 20, 3)
    points = np.concatenate([rows, -rows])
    for init in (rows[:1], rows[:2], "k-means++"):
        k = 1 if len(init) == 1 else 2
        found = vr.KMeans(k, metric="cosine", init=init).fit(points)
        check_fit(found, points, "cosine")


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e15, 1e25, 1e37])
@metrics
def test_scales(scale: float, metric: Metric, rng: Rng) -> None:
    """Where float32 does not hold the squared distances, labels are those of `assign`."""
    points = narrowed = (blobs(rng, 400, 6, 5) * scale).astype(np.float32)
    found = vr.KMeans(6, metric=metric).fit(points)
    assert np.isfinite(found.cluster_centers_).all()
    labels = oracle.assign(narrowed, found.cluster_centers_, 1, metric).labels[:, 0]
    np.testing.assert_array_equal(found.labels_, labels)
    assert len(np.unique(labels)) == 6 or metric == "l2"
    if scale == 1e15 or metric == "cosine":
        check_fit(found, points, metric)


# Mini-batches


@metrics
def test_batches_are_not_much_worse(metric: Metric, rng: Rng) -> None:
    points = blobs(rng, 4000, 10, 6, spread=2)
    whole = vr.KMeans(10, metric=metric, random_state=1).fit(points)
    for size in (200, 1000, 10_000):
        found = vr.KMeans(10, metric=metric, random_state=1, batch_size=size, max_iter=5).fit(
            points
        )
        check_fit(found, points, metric)
        assert found.inertia_ < 2 * whole.inertia_
        again = vr.KMeans(10, metric=metric, random_state=1, batch_size=size, max_iter=5).fit(
            points
        )
        check_same(again, found)
        other = vr.KMeans(10, metric=metric, random_state=2, batch_size=size, max_iter=5).fit(
            points
        )
        assert not np.array_equal(other.cluster_centers_, found.cluster_centers_)


def test_centers_are_running_means_of_their_points(rng: Rng) -> None:
    """Each batch may round a center to float32 once."""
    batches = [normal(rng, 60, 4) for _ in range(12)]
    start = normal(rng, 5, 4)
    start[4] = 1000  # no point is ever near
    model = vr.KMeans(5, init=start, reassignment_ratio=0)
    centers, members = start, np.empty((0, 4), np.float32)
    labels = np.empty(0, np.int32)
    for i, batch in enumerate(batches, 1):
        now = oracle.assign(batch, centers).labels[:, 0]
        members, labels = np.concatenate([members, batch]), np.concatenate([labels, now])
        assert model.partial_fit(batch) is model
        centers = model.cluster_centers_
        right = oracle.sums(members, labels, 5)
        used = right.counts > 0
        means = right.sums[used] / right.counts[used, None]
        assert np.abs(centers[used] - means).max() <= i * SPACING / 2 * np.abs(members).max()
        assert used.tolist() == [True] * 4 + [False]
        assert centers[4].tolist() == [1000] * 4


@metrics
def test_partial_fit_is_the_same_everywhere(metric: Metric, rng: Rng) -> None:
    batches = [blobs(np.random.default_rng(3), 150, 6, 5) + i for i in range(5)]
    bits = None
    for isa in ISAS:
        with forced_isa(isa):
            for threads in (1, 2, 5):
                model = vr.KMeans(6, metric=metric, random_state=4, threads=threads)
                for batch in batches:
                    model.partial_fit(batch)
                found = model.cluster_centers_
                bits = found if bits is None else bits
                assert_same_float32(found, bits)
    # most of every batch goes to a center that is near
    labels = model.predict(batches[0])
    assert len(np.unique(labels)) > 1
    assert model.n_features_in_ == 5


def test_the_first_batch_must_hold_the_centers(rng: Rng) -> None:
    model = vr.KMeans(6)
    with pytest.raises(ValueError, match="6"):
        model.partial_fit(normal(rng, 5, 3))
    model.partial_fit(normal(rng, 6, 3))
    model.partial_fit(normal(rng, 1, 3))
    with pytest.raises(ValueError, match="X"):
        model.partial_fit(normal(rng, 9, 4))


# Bad input


@pytest.mark.parametrize("given", [{}, {"batch_size": 2}, {"init": "random"}])
def test_more_clusters_than_points(given: dict[str, Any], rng: Rng) -> None:
    for n in (0, 1, 4):
        with pytest.raises(ValueError, match=rf"n_clusters=5.*got {n}\b"):
            vr.KMeans(5, **given).fit(normal(rng, n, 3))


def test_under_cosine_zero_points_do_not_count(rng: Rng) -> None:
    points = normal(rng, 9, 3)
    points[::2] = 0
    with pytest.raises(ValueError, match=r"n_clusters=5.*got 4\b"):
        vr.KMeans(5, metric="cosine").fit(points)
    assert vr.KMeans(4, metric="cosine").fit(points).labels_[::2].tolist() == [-1] * 5
    with pytest.raises(ValueError, match=r"n_clusters=1.*got 0\b"):
        vr.KMeans(1, metric="cosine").fit(0 * points)


@metrics
def test_nan_and_infinity_name_the_row(metric: Metric, rng: Rng) -> None:
    good = normal(rng, 9, 3)
    model = vr.KMeans(2, metric=metric).fit(good)
    for value in (np.nan, np.inf, -np.inf):
        bad = good.copy()
        bad[4, 1] = bad[7, 0] = value
        calls: list[Callable[[F32], Any]] = [
            vr.KMeans(2, metric=metric).fit,
            vr.KMeans(2, metric=metric, batch_size=3).fit,
            vr.KMeans(2, metric=metric).partial_fit,
            model.predict,
            model.transform,
            model.score,
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"X.*row 4"):
                call(bad)
        with pytest.raises(ValueError, match=r"init.*row 4"):
            vr.KMeans(9, metric=metric, init=bad).fit(good)


def test_a_zero_start_under_cosine_names_the_row(rng: Rng) -> None:
    points = normal(rng, 9, 3)
    start = points[:4].copy()
    start[2] = 0
    with pytest.raises(ValueError, match=r"init.*row 2"):
        vr.KMeans(4, metric="cosine", init=start).fit(points)
    assert vr.KMeans(4, init=start).fit(points).n_iter_ >= 1


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (4, 2), (4,), (1, 4, 3)])
def test_starts_of_a_wrong_shape(shape: tuple[int, ...], rng: Rng) -> None:
    with pytest.raises(ValueError, match="init"):
        vr.KMeans(4, init=np.ones(shape, np.float32)).fit(normal(rng, 9, 3))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("n_clusters", 0),
        ("n_clusters", -1),
        ("n_clusters", 2.5),
        ("n_clusters", "2"),
        ("metric", "ip"),
        ("metric", "euclidean"),
        ("metric", None),
        ("init", "kmeans"),
        ("init", None),
        ("max_iter", 0),
        ("max_iter", 1.5),
        ("batch_size", 0),
        ("batch_size", -4),
        ("batch_size", 1.5),
        ("tol", -1.0),
        ("tol", np.nan),
        ("tol", "small"),
        ("random_state", -1),
        ("random_state", 0.5),
        ("n_init", 0),
        ("n_init", 1.5),
        ("n_init", "all"),
        ("threads", 0),
        ("callback", 3),
    ],
)
def test_bad_parameters_are_named_by_fit(argument: str, value: Any, rng: Rng) -> None:
    model = vr.KMeans(**({"n_clusters": 2} | {argument: value}))
    with pytest.raises((TypeError, ValueError), match=argument):
        model.fit(normal(rng, 9, 3))


@pytest.mark.parametrize(
    "value",
    [
        np.ones((9, 3), np.complex64),
        np.ones(9, np.float32),
        np.ones((9, 0), np.float32),
        np.full((9, 3), 1e39),
        None,
        "text",
    ],
    ids=["complex", "one row", "no width", "overflow", "none", "text"],
)
def test_what_are_no_vectors(value: Any, rng: Rng) -> None:
    model = vr.KMeans(2).fit(normal(rng, 9, 3))
    calls: list[Callable[[Any], Any]] = [vr.KMeans(2).fit, model.predict, model.transform]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match="X"):
            call(value)


def test_points_of_another_width(rng: Rng) -> None:
    model = vr.KMeans(2).fit(normal(rng, 9, 3))
    calls: list[Callable[[F32], Any]] = [model.predict, model.transform, model.score]
    for call in calls:
        with pytest.raises(ValueError, match=r"X.*3"):
            call(normal(rng, 9, 4))


def test_an_error_of_the_callback_ends_the_fit(rng: Rng) -> None:
    def stop(_: int, __: float) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        vr.KMeans(2, callback=stop).fit(normal(rng, 9, 3))
