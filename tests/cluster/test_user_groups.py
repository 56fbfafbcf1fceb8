"""`vr.UserGroups`: frozen centers, refreshes that keep labels, merges, profiles, files."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import assert_same_float32
from datasets import normal

import vecrecall as vr
from vecrecall.cluster._kmeans import Metric

F32 = npt.NDArray[np.float32]
BOTH: tuple[Metric, ...] = ("l2", "cosine")


@pytest.fixture
def _scipy() -> None:
    pytest.importorskip("scipy", reason="needs scipy")


def corners(rng: np.random.Generator, sizes: list[int]) -> tuple[F32, npt.NDArray[np.int64]]:
    """Users around corners that are all equally far from each other, and whose they are."""
    own = np.repeat(np.arange(len(sizes)), sizes)
    users = 20 * np.eye(len(sizes))[own] + rng.standard_normal((own.size, len(sizes)))
    order = rng.permutation(own.size)
    return users[order].astype(np.float32), own[order]


def started_at(users: F32, own: npt.NDArray[np.int64], **kmeans: Any) -> vr.UserGroups:
    """Groups whose labels are the numbers of the corners."""
    firsts = [np.flatnonzero(own == c)[0] for c in range(own.max() + 1)]
    return vr.UserGroups.fit(users, len(firsts), init=users[firsts], **kmeans)


@pytest.mark.parametrize("metric", BOTH)
def test_fit_is_kmeans(metric: Metric, rng: np.random.Generator) -> None:
    users = normal(rng, 200, 6)
    groups = vr.UserGroups.fit(users, 5, metric=metric, random_state=3, max_iter=4)
    model = vr.KMeans(5, metric=metric, random_state=3, max_iter=4).fit(users)
    assert_same_float32(groups.centers, model.cluster_centers_)
    np.testing.assert_array_equal(groups.labels, model.labels_)
    np.testing.assert_array_equal(groups.sizes, np.bincount(model.labels_, minlength=5))
    assert (len(groups), groups.version, groups.metric) == (5, 1, metric)
    assert groups.labels_in_use.tolist() == [0, 1, 2, 3, 4]
    assert repr(groups) == f"UserGroups(5 of 5 labels in use, metric {metric!r}, version 1)"


@pytest.mark.parametrize("metric", BOTH)
def test_assign_is_against_the_centers(metric: Metric, rng: np.random.Generator) -> None:
    groups = vr.UserGroups.fit(normal(rng, 200, 6), 5, metric=metric)
    new = normal(rng, 40, 6)
    new[3] = 0
    found = groups.assign(new, m=3, threads=2)
    expected = vr.assign(new, groups.centers, m=3, metric=metric)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert_same_float32(found.scores, expected.scores)


def test_centers_are_frozen(rng: np.random.Generator) -> None:
    groups = vr.UserGroups.fit(normal(rng, 50, 3), 2)
    for array in (groups.centers, groups.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.usefixtures("_scipy")
@pytest.mark.parametrize("metric", BOTH)
def test_refresh_keeps_labels(metric: Metric, rng: np.random.Generator) -> None:
    users, own = corners(rng, [40, 70, 30, 60])
    groups = started_at(users, own, metric=metric)
    np.testing.assert_array_equal(groups.labels, own)
    drifted = users + np.float32(0.5)
    new, report = groups.refresh(drifted)
    np.testing.assert_array_equal(new.labels, own)
    assert (new.version, groups.version) == (2, 1)
    assert report.moved == 0
    assert report.sizes_before.tolist() == report.sizes_after.tolist() == [40, 70, 30, 60]
    assert (report.appeared.size, report.vanished.size) == (0, 0)
    if metric == "l2":  # each of 4 coordinates moved by a half
        np.testing.assert_allclose(report.shifts, 1, rtol=1e-5)
    else:
        cosines = (groups.centers.astype(np.float64) * new.centers).sum(axis=1)
        np.testing.assert_allclose(report.shifts, 1 - cosines, atol=2e-7)


@pytest.mark.usefixtures("_scipy")
def test_refresh_matches_centers_that_changed_places() -> None:
    """Means wander from one corner to the next: the matching, not the order, gives the labels."""
    groups = vr.UserGroups.fit(np.array([[0.0], [10.0]]), 2, init=np.array([[0.0], [10.0]]))
    # Label 0's center takes all users up to 5, label 1's those beyond: they end at 3 and 300.
    new, report = groups.refresh(np.array([[2.0], [4.0], [300.0]]))
    assert new.centers.tolist() == [[3.0], [300.0]]
    assert report.shifts.tolist() == [3.0, 290.0]
    assert new.labels.tolist() == [0, 0, 1]


@pytest.mark.usefixtures("_scipy")
def test_matching_is_the_cheapest_one_to_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, own = corners(rng, [30, 20, 25])
    groups = started_at(users, own)
    fit = vr.KMeans.fit

    def rotated(self: vr.KMeans, X: Any, y: object = None) -> vr.KMeans:  # noqa: N803
        fit(self, X)
        self.cluster_centers_ = np.roll(self.cluster_centers_, 1, axis=0)
        self.labels_ = (self.labels_ + 1) % 3
        return self

    monkeypatch.setattr(vr.KMeans, "fit", rotated)
    new, report = groups.refresh(users)
    np.testing.assert_array_equal(new.labels, own)
    assert_same_float32(new.centers, groups.centers)
    assert report.moved == 0
    assert not report.shifts.any()


@pytest.mark.usefixtures("_scipy")
def test_report_of_users_who_move(rng: np.random.Generator) -> None:
    users, own = corners(rng, [50, 30, 20])
    groups = started_at(users, own)
    now = users.copy()
    now[own == 2] = users[own == 0][:20]  # one corner empties, and its center stays
    new, report = groups.refresh(now)
    assert report.sizes_before.tolist() == [70, 30, 0]
    assert report.sizes_after.tolist() == new.sizes.tolist()
    assert report.appeared.tolist() == report.vanished.tolist() == []
    assert_same_float32(new.centers[2], groups.centers[2])
    assert report.shifts[2] == 0
    before = groups.assign(now).labels[:, 0]
    assert report.moved == np.mean(before != new.labels)


@pytest.mark.usefixtures("_scipy")
def test_refresh_remembers_how_it_was_fitted(rng: np.random.Generator) -> None:
    users = normal(rng, 300, 4)
    groups = vr.UserGroups.fit(users, 4, batch_size=50, max_iter=np.int64(2), random_state=9)
    new, _ = groups.refresh(users)
    how: dict[str, Any] = {
        "init": groups.centers,
        "batch_size": 50,
        "max_iter": 2,
        "random_state": 9,
    }
    again = vr.KMeans(4, **how).fit(users).cluster_centers_
    assert_same_float32(np.sort(new.centers, axis=0), np.sort(again, axis=0))
    heard: list[int] = []
    groups.refresh(users, max_iter=1, batch_size=None, callback=lambda i, _: heard.append(i))
    assert heard == [1]


@pytest.mark.parametrize("metric", BOTH)
def test_merge_small(metric: Metric, rng: np.random.Generator) -> None:
    users, own = corners(rng, [50, 4, 40, 2])
    users[own == 1] += 0.4 * users[own == 2][:4]  # so that 1 is nearest to 2
    users[own == 3] += 0.4 * users[own == 1][:2]  # and 3 to 1, before it is merged
    groups = started_at(users, own, metric=metric)
    assert groups.sizes.tolist() == [50, 4, 40, 2]
    merged = groups.merge_small(7)
    assert merged.version == 2
    assert merged.sizes.tolist() == [50, 0, 46, 0]
    assert merged.labels_in_use.tolist() == [0, 2]
    assert np.isnan(merged.centers[[1, 3]]).all()
    assert_same_float32(merged.centers[0], groups.centers[0])
    if metric == "l2":
        expected = (groups.centers[1:] * groups.sizes[1:, None]).sum(axis=0) / 46
        np.testing.assert_allclose(merged.centers[2], expected, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_allclose(np.linalg.norm(merged.centers[2]), 1, rtol=1e-6)
    np.testing.assert_array_equal(merged.labels, np.where(own == 0, 0, 2))
    np.testing.assert_array_equal(merged.assign(users).labels[:, 0], np.where(own == 0, 0, 2))
    with pytest.raises(ValueError, match="m: expected at most 2"):
        merged.assign(users, m=3)


def test_merge_small_leaves_large_groups_and_the_last(rng: np.random.Generator) -> None:
    users, own = corners(rng, [5, 6, 7])
    groups = started_at(users, own)
    assert groups.merge_small(5) is groups
    alone = groups.merge_small(100)
    assert alone.sizes.tolist().count(18) == 1
    assert alone.labels_in_use.size == 1
    np.testing.assert_allclose(
        alone.centers[alone.labels_in_use[0]], users.mean(axis=0), rtol=1e-5, atol=1e-5
    )


@pytest.mark.usefixtures("_scipy")
def test_refresh_after_a_merge_keeps_the_labels_in_use(rng: np.random.Generator) -> None:
    users, own = corners(rng, [50, 2, 40])
    merged = started_at(users, own).merge_small(3)
    new, report = merged.refresh(users)
    assert new.labels_in_use.tolist() == merged.labels_in_use.tolist()
    assert np.isnan(new.centers[1]).all()
    assert np.isnan(report.shifts).tolist() == [False, True, False]
    assert set(new.labels) == set(merged.labels)
    assert new.version == 3


def test_profile(rng: np.random.Generator) -> None:
    groups = vr.UserGroups.fit(normal(rng, 30, 3), 3)
    other = normal(rng, 20, 5)
    labels = rng.choice([-1, 0, 2], 20)
    found = groups.profile(other, labels)
    assert found.shape == (3, 5)
    assert not found[1].any()
    for label in (0, 2):
        total = other[labels == label].sum(axis=0, dtype=np.float64)
        np.testing.assert_allclose(found[label], total / np.linalg.norm(total), rtol=1e-6)
    with pytest.raises(ValueError, match="labels: expected labels from 0 to 2"):
        groups.profile(other, np.full(20, 3))


@pytest.mark.usefixtures("_scipy")
def test_save_and_load(tmp_path: Path, rng: np.random.Generator) -> None:
    users, own = corners(rng, [50, 2, 40])
    groups = started_at(users, own, metric="cosine", random_state=np.int64(4), batch_size=20)
    for saved in (groups, groups.merge_small(3)):  # the second replaces the first
        saved.save(tmp_path / "groups")
        loaded = vr.UserGroups.load(tmp_path / "groups")
        assert_same_float32(loaded.centers, saved.centers)
        np.testing.assert_array_equal(loaded.labels, saved.labels)
        np.testing.assert_array_equal(loaded.labels_in_use, saved.labels_in_use)
        assert (loaded.version, loaded.metric) == (saved.version, "cosine")
        again, expected = loaded.refresh(users)[0], saved.refresh(users)[0]
        assert_same_float32(again.centers, expected.centers)


def test_load_refuses_what_is_no_save(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(FileNotFoundError):
        vr.UserGroups.load(tmp_path)
    groups = vr.UserGroups.fit(normal(rng, 30, 3), 3)
    groups.save(tmp_path)
    next(tmp_path.glob("labels-*.npy")).write_bytes(b"no")
    with pytest.raises(ValueError, match="path: expected 248 bytes, got 2"):
        vr.UserGroups.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "else"}))
    with pytest.raises(ValueError, match="path: expected a saved UserGroups, got 'else'"):
        vr.UserGroups.load(tmp_path)
    (tmp_path / "manifest.json").write_text("no")
    with pytest.raises(ValueError, match="path: expected a JSON manifest, got other text"):
        vr.UserGroups.load(tmp_path)


def test_bad_input(rng: np.random.Generator) -> None:
    users = normal(rng, 30, 3)
    with pytest.raises(ValueError, match="n_groups: expected a whole number >= 1, got 0"):
        vr.UserGroups.fit(users, 0)
    with pytest.raises(ValueError, match="metric: expected one of 'l2', 'cosine', got 'ip'"):
        vr.UserGroups.fit(users, 2, metric="ip")  # type: ignore[arg-type]
    groups = vr.UserGroups.fit(users, 2)
    with pytest.raises(
        ValueError, match=r"vectors: expected shape \(n, 3\) or \(3,\), got \(30, 2\)"
    ):
        groups.assign(users[:, :2])
    with pytest.raises(ValueError, match="m: expected at most 2"):
        groups.assign(users, m=3)
    with pytest.raises(ValueError, match="min_size: expected a whole number >= 1, got 0"):
        groups.merge_small(0)


def test_refresh_without_scipy_names_the_extra(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = vr.UserGroups.fit(normal(rng, 30, 3), 2)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"refresh needs scipy: .*vecrecall\[cluster\]"):
        groups.refresh(normal(rng, 30, 3))


def test_parameters_that_a_caller_cannot_set(rng: np.random.Generator) -> None:
    users = normal(rng, 30, 3)
    groups = vr.UserGroups.fit(users, 3)
    with pytest.raises(TypeError, match="metric: expected a parameter among"):
        groups.refresh(users, metric="cosine")
    with pytest.raises(TypeError, match="init: expected a parameter among"):
        groups.refresh(users, init=users[:3])
    with pytest.raises(TypeError, match="n_clusters: expected a parameter among"):
        vr.UserGroups.fit(users, 3, n_clusters=2)
    with pytest.raises(ValueError, match="vectors: expected at least n_groups=31 rows, got 30"):
        vr.UserGroups.fit(users, 31)
    with pytest.raises(ValueError, match="vectors: expected at least 3 rows, one per label in use"):
        groups.refresh(users[:2])
    with pytest.raises(ValueError, match="m: expected at most 3, the number of labels in use"):
        groups.assign(users, m=4)
    with pytest.raises(ValueError, match="read-only"):
        groups.labels_in_use[0] = 1


def test_saves_of_another_kind_are_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    vr.ClusterFeed(1, half_life=1, capacity=2).save(tmp_path)
    with pytest.raises(ValueError, match="path: expected a saved UserGroups, got 'ClusterFeed'"):
        vr.UserGroups.fit(normal(rng, 9, 2), 2).save(tmp_path)
    assert vr.ClusterFeed.load(tmp_path).n_clusters == 1


# Equal centers, and labels that no user has any more


@pytest.mark.usefixtures("_scipy")
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("metric", BOTH)
def test_users_who_have_not_changed_keep_labels_when_others_go(
    metric: Metric, batch_size: int | None
) -> None:
    users = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    groups = vr.UserGroups.fit(users, 4, metric=metric, batch_size=batch_size)
    for gone in range(4):
        left = np.repeat(np.arange(4) != gone, 10)
        new, report = groups.refresh(users[left])
        assert report.moved == 0
        np.testing.assert_array_equal(new.labels, groups.labels[left])
        assert_same_float32(new.centers, groups.centers)
        back, report = new.refresh(users)
        assert report.moved == 0
        np.testing.assert_array_equal(back.labels, groups.labels)


@pytest.mark.usefixtures("_scipy")
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("metric", BOTH)
def test_copies_of_one_user_keep_their_label(metric: Metric, rng: np.random.Generator) -> None:
    users = np.repeat(normal(rng, 1, 7), 50, axis=0)
    for n_groups in (1, 3, 50):
        groups = vr.UserGroups.fit(users, n_groups, metric=metric)
        for _ in range(2):
            groups, report = groups.refresh(users)
            assert report.moved == 0
            assert report.sizes_after.tolist() == report.sizes_before.tolist()


@pytest.mark.usefixtures("_scipy")
def test_ties_go_to_the_label_held_before() -> None:
    """Label 1's users move to 0's center, which no user has any more: they stay with 1."""
    groups = vr.UserGroups.fit(np.array([[0.0], [10.0]]), 2, init=np.array([[0.0], [10.0]]))
    new, report = groups.refresh(np.array([[-20.0], [20.0], [6.0], [6.0]]), tol=0)
    assert report.moved == 0
    between = np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    groups = vr.UserGroups(
        np.array([[0, 1], [0, -1]], np.float32), np.array([0, 1, 1], np.int32), "l2", 1, {}
    )
    new, report = groups.refresh(between)
    assert new.labels.tolist() == [0, 1, 1]
    assert report.moved == 0


@pytest.mark.usefixtures("_scipy")
def test_a_center_that_no_user_has_does_not_take_users_of_an_equal_one() -> None:
    centers = np.array([[5.0], [5.0], [9.0]], np.float32)
    groups = vr.UserGroups(centers, np.array([1, 1, 2, 2, 2], np.int32), "l2", 1, {})
    users = np.array([[5.0], [5.0], [9.0]], np.float32)
    assert groups.assign(users).labels.ravel().tolist() == [1, 1, 2]
    new, report = groups.refresh(users)
    assert new.labels.tolist() == [1, 1, 2]
    assert report.moved == 0
    assert not report.shifts.any()


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_read_only(twin: Any, rng: np.random.Generator) -> None:
    groups = twin(vr.UserGroups.fit(normal(rng, 30, 3), 3))
    for array in (groups.centers, groups.labels, groups.labels_in_use):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
