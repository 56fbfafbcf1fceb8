"""The checks of assignments and of k-means in ``benchmarks.compare``."""

from __future__ import annotations

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.compare.workloads import cluster_truth
from benchmarks.compare.workloads.cluster_peers import PEERS, ClusteringProblem, Fitted

PROBLEM = ClusteringProblem(points=3000, dim=13, clusters=20, rounds=5)  # more points than a sample
POINTS, CENTROIDS = PROBLEM.data(0)
LABELS = vr.assign(POINTS, CENTROIDS).labels[:, 0]
SECOND = vr.assign(POINTS, CENTROIDS, m=2).labels[:, 1]


def found(ours: np.ndarray, theirs: np.ndarray = LABELS) -> str:
    answers = {"vecrecall": ours, "faiss": theirs}
    return " ".join(cluster_truth.wrong_labels(POINTS, CENTROIDS, answers, seed=0))


def with_second(points: int) -> np.ndarray:
    labels = LABELS.copy()
    labels[:points] = SECOND[:points]
    return labels


def test_right_labels() -> None:
    assert found(LABELS) == ""
    np.testing.assert_array_equal(cluster_truth.nearest(POINTS, CENTROIDS), LABELS)


def test_one_wrong_label_of_a_peer() -> None:
    assert found(LABELS, with_second(1)) == (
        "faiss: expected the nearest centroids, 1 labels are too far"
    )


def test_our_wrong_labels() -> None:
    for wrong in (1, 1000):  # even if a peer errs in the same way
        problem = f"vecrecall: expected the nearest centroids, {wrong} labels are too far"
        assert found(with_second(wrong), with_second(wrong)) == problem


def test_ties_go_to_the_lowest_label() -> None:
    twice = np.concatenate([CENTROIDS, CENTROIDS])
    higher = LABELS + len(CENTROIDS)
    np.testing.assert_array_equal(cluster_truth.nearest(POINTS, twice), LABELS)
    # A peer may take either, we may not.
    problems = cluster_truth.wrong_labels(POINTS, twice, {"vecrecall": LABELS, "torch": higher}, 0)
    assert problems == []
    problems = cluster_truth.wrong_labels(POINTS, twice, {"vecrecall": higher, "torch": LABELS}, 0)
    assert problems == ["vecrecall: expected the nearest centroids, 2000 of 2000 labels are others"]


def test_near_ties_of_float32() -> None:
    # |p| = 1000 and distances of 1: float32 cannot tell 1 from 1.001 by the expanded form.
    points = np.zeros((1, 8), np.float32)
    points[0, 0] = 1000
    centroids = np.repeat(points, 3, axis=0)
    centroids[:, 1] = 1, 1.001, 40
    for label, problems in ((1, 0), (2, 1)):
        answers = {"vecrecall": np.array([0]), "faiss": np.array([label])}
        found = cluster_truth.wrong_labels(points, centroids, answers, 0)
        assert len(found) == problems


@pytest.mark.parametrize(
    "labels", [LABELS[:-1], LABELS - 1, LABELS + 1, LABELS[:, None], LABELS * 1.0]
)
def test_what_are_no_labels(labels: np.ndarray) -> None:
    assert "faiss: expected a label for each of 3000 points" in found(LABELS, labels)
    assert "vecrecall: expected a label for each of 3000 points" in found(labels)


def test_the_share_of_the_same_labels() -> None:
    answers = {"vecrecall": LABELS, "faiss": with_second(300), "torch": LABELS[:-1]}
    assert cluster_truth.same_labels(answers) == {"vecrecall": 1, "faiss": 0.9, "torch": 0}


def fitted(iterations: int) -> Fitted:
    # From rows as centers, the inertia after a few iterations is still far from the best.
    model = vr.KMeans(PROBLEM.clusters, init=CENTROIDS, max_iter=iterations, tol=0).fit(POINTS)
    return Fitted(model.cluster_centers_, model.labels_, model.inertia_)


GOOD = fitted(30)


def inertia(centers: np.ndarray) -> float:
    return cluster_truth.inertias(POINTS, {"any": Fitted(centers)}, PROBLEM.clusters)["any"]


def fits(**answers: Fitted) -> list[str]:
    inertias = cluster_truth.inertias(POINTS, answers, PROBLEM.clusters)
    return cluster_truth.wrong_fits(POINTS, answers, inertias, seed=0)


def test_inertia() -> None:
    wide = POINTS.astype(np.float64)[:, None] - GOOD.centers.astype(np.float64)
    expected = (wide**2).sum(axis=2).min(axis=1).sum()
    # n d sums of positive float64 values, in another order.
    most = POINTS.size * 2.0**-53
    assert inertia(GOOD.centers) == pytest.approx(expected, rel=most)


def test_right_fits() -> None:
    assert fits(vecrecall=GOOD, faiss=Fitted(GOOD.centers)) == []


def test_bad_centers() -> None:
    bad = Fitted(CENTROIDS)  # never moved
    [problem] = fits(vecrecall=GOOD, faiss=bad)
    assert problem.startswith("faiss: expected an inertia of at most 1.003 times the least")
    [problem] = fits(vecrecall=fitted(1), faiss=Fitted(GOOD.centers))
    assert problem.startswith("vecrecall: expected an inertia of at most")
    more = np.concatenate([GOOD.centers, POINTS])  # whose inertia is 0
    for none in (np.full_like(CENTROIDS, np.nan), GOOD.centers[:, :-1], GOOD.centers[0], more):
        [problem] = fits(faiss=Fitted(none), vecrecall=GOOD)
        assert problem == ("faiss: expected an inertia of at most 1.003 times the least, got nan")
    assert fits(vecrecall=GOOD, MiniBatchKMeans=bad) == []  # approximate: shown only


def test_what_we_say_of_our_centers() -> None:
    assert GOOD.inertia is not None
    assert GOOD.labels is not None
    [problem] = fits(vecrecall=GOOD._replace(inertia=GOOD.inertia * (1 + 1e-6)))
    assert problem.startswith("vecrecall: expected an inertia of ")
    labels = GOOD.labels.copy()
    labels[0] = (labels[0] + 1) % PROBLEM.clusters
    [problem] = fits(vecrecall=GOOD._replace(labels=labels))
    assert problem == "vecrecall: expected the nearest centroids, 1 labels are too far"
    [problem] = fits(vecrecall=GOOD._replace(labels=GOOD.labels + 1))
    assert problem == "vecrecall: expected a label for each point, got others"


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.fit])
def test_every_fit_is_a_k_means(name: str) -> None:
    module = {"torch": "torch", "superkmeans": "superkmeans", "faiss-cpu": "faiss"}
    pytest.importorskip(module.get(PEERS[name].package, "sklearn"))
    problem = PROBLEM._replace(rounds=20)
    # Of few points optima differ by some hundredths; centers that never moved are 31 % worse.
    fit = PEERS[name].fit
    assert fit is not None  # of those that are chosen above
    assert inertia(fit(POINTS, problem, 1).centers) < 1.1 * inertia(GOOD.centers)
