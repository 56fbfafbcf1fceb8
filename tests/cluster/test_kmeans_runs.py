"""Several runs of `vr.KMeans` (`n_init`), and where its draws come from (`random_state`)."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from comparison import ISAS, assert_same_float32, forced_isa
from datasets import normal

import vecrecall as vr
from vecrecall.cluster import _lloyd

F32 = npt.NDArray[np.float32]
Metric = Literal["l2", "cosine"]
metrics = pytest.mark.parametrize("metric", ["l2", "cosine"])


def check_same(found: vr.KMeans, expected: vr.KMeans) -> None:
    """Two fits that are equal in every bit."""
    assert_same_float32(found.cluster_centers_, expected.cluster_centers_)
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    assert found.inertia_ == expected.inertia_
    assert found.n_iter_ == expected.n_iter_


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[F32]:
    """The first centers of every run, as they are drawn."""
    drawn: list[F32] = []
    first_centers = _lloyd.Run.first_centers

    def noted(self: _lloyd.Run, draws: Any) -> F32:
        drawn.append(first_centers(self, draws))
        return drawn[-1]

    monkeypatch.setattr(_lloyd.Run, "first_centers", noted)
    return drawn


# n_init


@metrics
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_the_best_run_counts(
    init: Any, weighted: bool, metric: Metric, starts: list[F32], rng: np.random.Generator
) -> None:
    """Each run is a fit of its own from the same first centers, in every bit."""
    points = normal(rng, 400, 5)
    weights = rng.random(400) * (rng.random(400) < 0.7) if weighted else None
    found = vr.KMeans(12, metric=metric, init=init, n_init=7).fit(points, sample_weight=weights)
    firsts = list(starts)
    assert len(firsts) == 7
    runs = [
        vr.KMeans(12, metric=metric, init=first).fit(points, sample_weight=weights)
        for first in firsts
    ]
    inertias = [run.inertia_ for run in runs]
    best = int(np.argmin(inertias))
    assert len(set(inertias)) > 1
    if metric == "l2":
        check_same(found, runs[best])
    else:  # given centers are normalized once more
        assert found.inertia_ == pytest.approx(inertias[best], rel=1e-6)
    np.testing.assert_array_equal(found.predict(points), found.labels_)


def test_runs_know_nothing_of_each_other(starts: list[F32]) -> None:
    """A run that begins with the labels that another has ended with does not end for that."""
    how: dict[str, Any] = {"max_iter": 2, "tol": 0}
    for state in range(100):
        steps = np.random.default_rng(state).integers(1, 20, (20, 1))
        points = np.cumsum(steps, axis=0).astype(np.float32)
        starts.clear()
        model = vr.KMeans(2, init="random", n_init=10, random_state=state, **how).fit(points)
        runs = [vr.KMeans(2, init=first, **how).fit(points) for first in starts[:10]]
        check_same(model, runs[int(np.argmin([run.inertia_ for run in runs]))])


def test_more_runs_go_on_where_fewer_end(starts: list[F32], rng: np.random.Generator) -> None:
    points = normal(rng, 300, 5)
    inertias, drawn = [], []
    for n in (1, 2, 5):
        inertias.append(vr.KMeans(9, n_init=n, init="random").fit(points).inertia_)
        drawn.append(np.stack(starts))
        starts.clear()
    assert [len(some) for some in drawn] == [1, 2, 5]
    assert_same_float32(drawn[0], drawn[2][:1])
    assert_same_float32(drawn[1], drawn[2][:2])
    assert inertias[0] >= inertias[1] >= inertias[2] < inertias[0]


def test_of_equal_runs_the_first_counts(rng: np.random.Generator) -> None:
    points = rng.permutation(np.arange(20)).astype(np.float32)[:, None]
    one = vr.KMeans(20, init="random").fit(points)
    assert one.inertia_ == 0
    check_same(vr.KMeans(20, init="random", n_init=4).fit(points), one)


@metrics
@pytest.mark.parametrize("how", [{}, {"batch_size": 300, "max_iter": 3}, {"init": "random"}])
def test_runs_are_the_same_everywhere(
    metric: Metric, how: dict[str, Any], rng: np.random.Generator
) -> None:
    points = normal(rng, 2000, 6)
    expected = vr.KMeans(15, metric=metric, n_init=4, threads=1, **how).fit(points)
    assert expected.inertia_ <= vr.KMeans(15, metric=metric, **how).fit(points).inertia_
    for isa in ISAS:
        with forced_isa(isa):
            for threads in (1, 2, 5):
                model = vr.KMeans(15, metric=metric, n_init=4, threads=threads, **how)
                check_same(model.fit(points), expected)
                check_same(model.fit(points), expected)


@pytest.mark.parametrize(
    ("how", "runs"),
    [
        ({"init": "random"}, 10),
        ({"init": "random", "batch_size": 50}, 3),
        ({}, 1),
        ({"batch_size": 50}, 1),
        ({"init": "given"}, 1),
    ],
)
def test_auto_is_that_of_scikit_learn(
    how: dict[str, Any], runs: int, rng: np.random.Generator
) -> None:
    points = normal(rng, 200, 4)
    if how.get("init") == "given":
        how = {"init": points[:6]}
    heard: list[int] = []
    found = vr.KMeans(6, n_init="auto", callback=lambda i, _: heard.append(i), **how).fit(points)
    assert heard.count(1) == runs
    check_same(found, vr.KMeans(6, n_init=runs, **how).fit(points))


def test_by_default_there_is_one_run(starts: list[F32], rng: np.random.Generator) -> None:
    points = normal(rng, 200, 4)
    for init in ("k-means++", "random"):
        starts.clear()
        vr.KMeans(6, init=init).fit(points)
        assert len(starts) == 1


def test_given_centers_are_one_run(rng: np.random.Generator) -> None:
    points = normal(rng, 200, 4)
    expected = vr.KMeans(6, init=points[:6]).fit(points)
    with pytest.warns(RuntimeWarning, match="n_init: expected 1 where init gives") as heard:
        found = vr.KMeans(6, init=points[:6], n_init=4).fit(points)
    assert heard[0].filename == __file__
    check_same(found, expected)


def test_partial_fit_draws_one_start(starts: list[F32], rng: np.random.Generator) -> None:
    vr.KMeans(6, n_init=4).partial_fit(normal(rng, 50, 3))
    assert len(starts) == 1


def test_an_interrupted_run_leaves_the_model(rng: np.random.Generator) -> None:
    points = normal(rng, 200, 4)
    model = vr.KMeans(6).fit(points)
    before = copy.deepcopy(model)
    heard: list[int] = []

    def stop(i: int, _: float) -> None:
        heard.append(i)
        if heard.count(1) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(n_init=5, callback=stop).fit(points)
    check_same(model, before)


@pytest.mark.usefixtures("starts")
def test_elbow_and_groups_take_runs(rng: np.random.Generator) -> None:
    points = normal(rng, 300, 4)
    groups = vr.UserGroups.fit(points, 8, n_init=5, init="random")
    model = vr.KMeans(8, n_init=5, init="random").fit(points)
    assert_same_float32(groups.centers, model.cluster_centers_)
    pytest.importorskip("kneed")
    curve = vr.elbow(points, [2, 4, 8], n_init=5, init="random")
    assert curve.inertias[-1] == model.inertia_
    pytest.importorskip("scipy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a refresh starts from given centers, and runs once
        groups.refresh(points)


# random_state


def twins(kind: str) -> tuple[Any, Any]:
    made: list[Any] = []
    for _ in range(2):
        if kind == "RandomState":
            made.append(np.random.RandomState(3))
        else:
            made.append(np.random.Generator(getattr(np.random, kind)(3)))
    return made[0], made[1]


KINDS = ["RandomState", "PCG64", "MT19937", "Philox", "SFC64"]


def test_whole_numbers_of_any_type(rng: np.random.Generator) -> None:
    points = normal(rng, 200, 4)
    for batch_size in (None, 50):
        expected = vr.KMeans(6, random_state=5, batch_size=batch_size).fit(points)
        for same in (np.int64(5), np.uint8(5)):
            model = vr.KMeans(6, random_state=same, batch_size=batch_size)  # type: ignore[arg-type]
            check_same(model.fit(points), expected)
            check_same(model.fit(points), expected)
    vr.KMeans(6, random_state=2**70).fit(points)
    for wrong, error in ((-1, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError)):
        with pytest.raises(error, match="random_state: expected a whole number >= 0"):
            vr.KMeans(6, random_state=wrong).fit(points)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_gives_each_fit_what_comes_next(kind: str, rng: np.random.Generator) -> None:
    points = normal(rng, 300, 4)
    one, other = twins(kind)
    first = vr.KMeans(9, random_state=one)
    second = vr.KMeans(9, random_state=other)
    fits = [copy.deepcopy(first.fit(points)) for _ in range(3)]
    for fit in fits:
        check_same(second.fit(points), fit)
    assert not np.array_equal(fits[0].cluster_centers_, fits[1].cluster_centers_)
    assert not np.array_equal(fits[1].cluster_centers_, fits[2].cluster_centers_)


def test_the_seed_is_raw(rng: np.random.Generator) -> None:
    """From streams that no version of NumPy changes."""
    points = normal(rng, 300, 4)
    raw = int(np.random.PCG64(8).random_raw())
    found = vr.KMeans(9, random_state=np.random.default_rng(8)).fit(points)
    check_same(found, vr.KMeans(9, random_state=raw).fit(points))
    found = vr.KMeans(9, random_state=np.random.RandomState(8)).fit(points)
    check_same(found, vr.KMeans(9, random_state=3751350723).fit(points))  # which NumPy has frozen


@pytest.mark.parametrize("none", [None, np.random])
def test_none_is_the_global_generator(none: Any, rng: np.random.Generator) -> None:
    points = normal(rng, 300, 4)
    model = vr.KMeans(9, random_state=none)
    before = np.random.get_state()
    try:
        np.random.seed(4)
        fits = [model.fit(points).cluster_centers_ for _ in range(2)]
        np.random.seed(4)
        for fit in fits:
            assert_same_float32(model.fit(points).cluster_centers_, fit)
    finally:
        np.random.set_state(before)
    assert not np.array_equal(*fits)


def test_a_fit_that_fails_takes_nothing_from_a_generator(rng: np.random.Generator) -> None:
    points = normal(rng, 300, 4)
    one, other = twins("PCG64")
    model = vr.KMeans(9, random_state=one)
    for bad in (points[:3], points.astype(complex)):
        with pytest.raises((TypeError, ValueError)):
            model.fit(bad)
    check_same(model.fit(points), vr.KMeans(9, random_state=other).fit(points))


@pytest.mark.parametrize("kind", KINDS[:2])
def test_copies_and_parameters(kind: str, rng: np.random.Generator) -> None:
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")
    points = normal(rng, 300, 4)
    one, other = twins(kind)
    model = vr.KMeans(9, random_state=one)
    assert model.get_params()["random_state"] is one
    twin = base.clone(model)
    check_same(twin.fit(points), vr.KMeans(9, random_state=other).fit(points))
    check_same(model.fit(points), twin)
    assert kind in repr(model)


def test_partial_fit_draws_from_a_generator_once(rng: np.random.Generator) -> None:
    points = normal(rng, 300, 4)
    one, other = twins("PCG64")
    model = vr.KMeans(9, random_state=one)
    for start in range(0, 300, 50):
        model.partial_fit(points[start : start + 50])
    other.bit_generator.random_raw()
    assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize("kind", [*KINDS, "None"])
def test_groups_remember_what_was_drawn(
    kind: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    pytest.importorskip("scipy")
    points = normal(rng, 300, 4)
    given = None if kind == "None" else twins(kind)[0]
    groups = vr.UserGroups.fit(points, 9, random_state=given, batch_size=50)
    groups.save(tmp_path / "groups")
    again = vr.UserGroups.load(tmp_path / "groups")
    assert_same_float32(again.refresh(points)[0].centers, groups.refresh(points)[0].centers)


def test_elbow_by_a_generator(rng: np.random.Generator) -> None:
    pytest.importorskip("kneed")
    points = normal(rng, 300, 4)
    curves = [vr.elbow(points, [2, 5, 9], random_state=twin) for twin in twins("PCG64")]
    assert curves[0].inertias.tolist() == curves[1].inertias.tolist()
