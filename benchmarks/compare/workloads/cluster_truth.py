"""Checks of labels and centers, by float64 arithmetic independent of the package."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.compare.workloads.cluster_peers import F32, PEERS, Fitted, Labels
from vecrecall.cli.bench.peers import OURS

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
UNIT = 2.0**-24  # the rounding of float32
ROUNDED_TWICE = 2.01 * UNIT  # two values rounded to float32; float64 arithmetic errs by far less
SAMPLE = 2000  # points whose labels are recomputed
SOME = 16  # points whose distances are kept at a time
MANY = 1024  # points per product

# Lloyd's algorithm ends in different local optima from different starts. On the Gaussian points
# that are measured here several seeds, both initializations and all peers ended within 0.06 % of
# each other. A run that ends after a quarter of its 20 iterations is 0.3 % worse.
WORST = 1.003


def nearest(points: F32, centroids: F32) -> I64:
    """Compute the labels of an exact assignment, ties included.

    A score is a sum of squares in eight float64 accumulators, term j in accumulator j mod 8,
    rounded to float32 once. Ties go to the lowest label.
    """
    labels = np.empty(len(points), np.int64)
    across = centroids.astype(np.float64).T[:, None, :]
    for start in range(0, len(points), SOME):
        down = points[start : start + SOME].astype(np.float64).T[:, :, None]
        a = np.zeros((8, down.shape[1], len(centroids)))
        for j in range(0, len(down), 8):
            error = down[j : j + 8] - across[j : j + 8]
            a[: len(error)] += error * error
        sums = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
        labels[start : start + SOME] = sums.astype(np.float32).argmin(axis=1)
    return labels


def distances(points: F32, centroids: F32, labels: Labels) -> F64:
    """Compute squared distances from the centroids of the labels."""
    found = np.empty(len(points))
    for start in range(0, len(points), MANY):
        part = slice(start, start + MANY)
        error = points[part].astype(np.float64) - centroids[labels[part]]
        found[part] = np.einsum("ij,ij->i", error, error)
    return found


def least_distances(points: F32, centers: F32) -> F64:
    """Compute squared distances from the nearest centers."""
    wide = centers.astype(np.float64)
    lengths = np.einsum("ij,ij->i", wide, wide)
    labels = np.empty(len(points), np.int64)
    for start in range(0, len(points), MANY):
        far = points[start : start + MANY].astype(np.float64) @ (-2 * wide.T)
        far += lengths
        far.argmin(axis=1, out=labels[start : start + MANY])
    return distances(points, centers, labels)


def are_labels(labels: Labels, points: int, clusters: int) -> bool:
    whole = np.issubdtype(labels.dtype, np.integer) and labels.shape == (points,)
    return bool(whole and ((labels >= 0) & (labels < clusters)).all())


def same_labels(answers: Mapping[str, Labels]) -> dict[str, float]:
    """Return the shares of labels equal to ours."""
    ours = answers[OURS]
    return {
        name: float(np.mean(labels == ours)) if labels.shape == ours.shape else 0.0
        for name, labels in answers.items()
    }


def wrong_labels(
    points: F32, centroids: F32, answers: Mapping[str, Labels], seed: int
) -> list[str]:
    """Compare our labels with the definition, and those of others with ours."""
    size = len(points), len(centroids)
    problems = [
        f"{name}: expected a label for each of {size[0]} points, below {size[1]}, got others"
        for name, labels in answers.items()
        if not are_labels(labels, *size)
    ]
    if problems:
        return problems
    problems = misplaced(points, centroids, answers[OURS], seed)
    for name, labels in answers.items():
        if name != OURS:
            problems += versus_ours(points, centroids, answers[OURS], labels, name)
    return problems


def misplaced(points: F32, centroids: F32, labels: Labels, seed: int) -> list[str]:
    """Check the distances of all of our labels, and the labels of some points exactly.

    Our order is by scores rounded to float32, so that a chosen centroid may be farther by two such
    roundings.
    """
    least = least_distances(points, centroids)
    own = distances(points, centroids, labels)
    too_far = int((own > least * (1 + ROUNDED_TWICE)).sum())
    if too_far:
        return [f"{OURS}: expected the nearest centroids, {too_far} labels are too far"]
    rng = np.random.default_rng(seed)
    some = rng.choice(len(points), min(SAMPLE, len(points)), replace=False)
    wrong = int((nearest(points[some], centroids) != labels[some]).sum())
    if not wrong:
        return []
    return [f"{OURS}: expected the nearest centroids, {wrong} of {len(some)} labels are others"]


def versus_ours(points: F32, centroids: F32, ours: Labels, theirs: Labels, name: str) -> list[str]:
    """Check labels that differ from ours, up to the error of float32 arithmetic.

    A distance by float32 is |p|^2 - 2 p.c + |c|^2. A sum of d products in any order errs by at most
    d u times the sum of their sizes (u = 2^-24, to first order); the sizes of all three sums are at
    most (|p| + |c|)^2 together, and so are the results on the way, whose additions err by u each.
    (d + 3) u (|p| + |c|)^2 covers that, and both distances may err, in opposite directions.
    """
    at = np.flatnonzero(ours != theirs)
    own, other = (distances(points[at], centroids, labels[at]) for labels in (ours, theirs))
    p = np.linalg.norm(points[at].astype(np.float64), axis=1)
    c = np.linalg.norm(centroids.astype(np.float64), axis=1)
    sizes = (p + c[ours[at]]) ** 2 + (p + c[theirs[at]]) ** 2
    too_far = int((other - own > (points.shape[1] + 3) * UNIT * sizes).sum())
    if not too_far:
        return []
    return [f"{name}: expected the nearest centroids, {too_far} labels are too far"]


def inertias(points: F32, answers: Mapping[str, Fitted], clusters: int) -> dict[str, float]:
    """Sum squared distances from the nearest centers; NaN for a wrong number of centers."""
    shape = clusters, points.shape[1]
    return {
        name: float(least_distances(points, found.centers).sum())
        if found.centers.shape == shape
        else math.nan
        for name, found in answers.items()
    }


def wrong_fits(
    points: F32, answers: Mapping[str, Fitted], measured: Mapping[str, float], seed: int
) -> list[str]:
    """Check our labels and inertia against our centers, and every exact fit against the best."""
    ours = answers[OURS]
    assert ours.labels is not None
    assert ours.inertia is not None
    problems = []
    if are_labels(ours.labels, len(points), len(ours.centers)):
        problems += misplaced(points, ours.centers, ours.labels, seed)
    else:
        problems.append(f"{OURS}: expected a label for each point, got others")
    # A sum of positive values, each rounded to float32.
    if not abs(ours.inertia - measured[OURS]) <= ROUNDED_TWICE * measured[OURS]:
        problems.append(
            f"{OURS}: expected an inertia of {measured[OURS]:.10g}, says {ours.inertia:.10g}"
        )
    least = min((value for value in measured.values() if not math.isnan(value)), default=math.nan)
    problems += [
        f"{name}: expected an inertia of at most {WORST} times the least, got {value / least:.4f}"
        for name, value in measured.items()
        if PEERS[name].exact and not value <= WORST * least
    ]
    return problems
