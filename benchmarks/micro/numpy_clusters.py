"""Nearest centroids and k-means in plain NumPy: a matrix product, the squared lengths, argmin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.micro.numpy_lists import F32, I64, Floats

BLOCK = 1024  # points per product, so that the scores stay in the cache
FEW = 512  # clusters for which a product with ones and zeros adds faster than bincount


def unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def distances(points: Floats, centroids: Floats, metric: str) -> tuple[Floats, Floats]:
    """Return factors and terms for which the nearest centroid has the least value."""
    if metric == "cosine":
        return -unit(centroids).T, np.zeros(len(centroids), centroids.dtype)
    return -centroids.T, np.einsum("ij,ij->i", centroids, centroids) / 2


def assign(points: Floats, centroids: Floats, m: int = 1, metric: str = "l2") -> I64:
    """Find the m nearest centroids, in the type of the points."""
    factor, offset = distances(points, centroids, metric)
    labels = np.empty((len(points), m), np.int64)
    for start in range(0, len(points), BLOCK):
        far = points[start : start + BLOCK] @ factor
        far += offset
        if m == 1:
            far.argmin(axis=1, out=labels[start : start + BLOCK, 0])
            continue
        near = np.argpartition(far, m, axis=1)[:, :m]
        order = np.argsort(np.take_along_axis(far, near, 1), axis=1)
        labels[start : start + BLOCK] = np.take_along_axis(near, order, 1)
    return labels


def cluster_sums(points: Floats, labels: I64, k: int) -> Floats:
    """Sum the points of each cluster."""
    if k > FEW:
        return np.stack([np.bincount(labels, column, minlength=k) for column in points.T], axis=1)
    sums = np.zeros((k, points.shape[1]), points.dtype)
    for start in range(0, len(points), BLOCK):
        own = labels[start : start + BLOCK]
        ones = np.zeros((k, len(own)), points.dtype)
        ones[own, np.arange(len(own))] = 1
        sums += ones @ points[start : start + BLOCK]
    return sums


def means(points: Floats, labels: I64, k: int, metric: str) -> F32:
    """Compute the centers of labeled points in float32; those of cosine have length one."""
    sums = cluster_sums(points, labels, k)
    if metric == "cosine":
        return unit(sums).astype(np.float32)
    return (sums / np.bincount(labels, minlength=k)[:, None]).astype(np.float32)


def lloyd(points: Floats, centers: F32, rounds: int, metric: str) -> tuple[F32, I64]:
    """Return the centers after `rounds` rounds, and the labels by them."""
    points = unit(points) if metric == "cosine" else points
    centers = unit(centers) if metric == "cosine" else centers
    for _ in range(rounds):
        labels = assign(points, centers.astype(points.dtype), metric=metric)[:, 0]
        centers = means(points, labels, len(centers), metric)
    return centers, assign(points, centers.astype(points.dtype), metric=metric)[:, 0]


def wide(rows: F32) -> npt.NDArray[np.float64]:
    return rows.astype(np.float64)


def assert_nearest(labels: I64, expected: I64, points: F32, centroids: F32, metric: str) -> None:
    """Check labels by float32 products: as near as those of float64, place by place.

    What is compared is c.c / 2 - p.c. A sum of d products in any order errs by at most d u times
    the sum of their sizes (u = 2**-24, to first order), here no more than |p| |c| and |c|^2 / 2;
    what else is rounded a few times is covered by d + 8. Under cosine each value of c / |c| errs by
    d / 2 + 2 units, too: twice d + 8 covers both. Moving each value by no more than e moves the
    j-th least by no more than e, and the value of the label at place j by as much again.
    """
    assert labels.shape == expected.shape
    ordered = np.sort(labels, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all()
    factor, offset = distances(wide(points), wide(centroids), metric)
    assert ((labels >= 0) & (labels < len(offset))).all()
    at = (labels != expected).any(axis=1)  # all others have the same values
    far = wide(points[at]) @ factor + offset
    p, c = np.linalg.norm(wide(points[at]), axis=1), np.linalg.norm(wide(centroids), axis=1).max()
    size, terms = (p, 2) if metric == "cosine" else (p * c + c * c / 2, 1)
    near = 2 * terms * (points.shape[1] + 8) * 2.0**-24 * size[:, None]
    own, least = (np.take_along_axis(far, some[at], 1) for some in (labels, expected))
    assert (np.abs(own - least) <= near).all()
