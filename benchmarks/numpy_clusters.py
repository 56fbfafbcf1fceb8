"""Nearest centroids and k-means in plain NumPy: a matrix product, the squared lengths, argmin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.numpy_lists import F32, I64, Floats

BLOCK = 1024  # points a product, so that the scores stay near
FEW = 512  # clusters for which a product with ones and zeros adds faster than bincount


def unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def distances(points: Floats, centroids: Floats, metric: str) -> tuple[Floats, Floats]:
    """What to multiply by and to add, so that the least is the nearest."""
    if metric == "cosine":
        return -unit(centroids).T, np.zeros(len(centroids), centroids.dtype)
    return -centroids.T, np.einsum("ij,ij->i", centroids, centroids) / 2


def assign(points: Floats, centroids: Floats, m: int = 1, metric: str = "l2") -> I64:
    """The m nearest centroids, in the type of the points."""
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
    """What the points of each cluster add up to."""
    if k > FEW:
        return np.stack([np.bincount(labels, column, minlength=k) for column in points.T], axis=1)
    sums = np.zeros((k, points.shape[1]), points.dtype)
    for start in range(0, len(points), BLOCK):
        own = labels[start : start + BLOCK]
        ones = np.zeros((k, len(own)), points.dtype)
        ones[own, np.arange(len(own))] = 1
        sums += ones @ points[start : start + BLOCK]
    return sums


def lloyd(points: Floats, centers: F32, rounds: int, metric: str) -> tuple[F32, I64]:
    """Means kept in float32, of points of length one under cosine; the labels of the last."""
    points = unit(points) if metric == "cosine" else points
    centers = unit(centers) if metric == "cosine" else centers
    for _ in range(rounds):
        labels = assign(points, centers.astype(points.dtype), metric=metric)[:, 0]
        sums = cluster_sums(points, labels, len(centers))
        counts = np.bincount(labels, minlength=len(centers))[:, None]
        centers = (unit(sums) if metric == "cosine" else sums / counts).astype(np.float32)
    return centers, assign(points, centers.astype(points.dtype), metric=metric)[:, 0]


def wide(rows: F32) -> npt.NDArray[np.float64]:
    return rows.astype(np.float64)
