"""The oracle for centroids and groups: plain float64 NumPy and plain Python over `reference.py`.

Vectors come in as float32 arrays without NaN and infinities. Nothing here checks its input.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import reference

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

PAIRS = 2**20  # values of a block of pairs: 8 MB in float64


class Assigned(NamedTuple):
    """Labels and scores, (n, m)."""

    labels: I32
    scores: F32


class Sums(NamedTuple):
    """The sums of the points of each cluster, and the bound on any order of summing."""

    sums: F64
    counts: I64
    bound: F64


class Step(NamedTuple):
    """One iteration of Lloyd: centers before their rounding; labels and inertia of those given."""

    centers: F64
    labels: I32
    inertia: float
    bound: F64  # how far a center summed in another order may be, before its rounding


def exact_scores(points: F32, centroids: F32, metric: str) -> F64:
    """The (n, k) scores before their rounding to float32."""
    out = np.empty((len(points), len(centroids)))
    k, d = centroids.shape
    step = max(1, PAIRS // max(1, k * d))
    for start in range(0, len(points), step):
        some = points[start : start + step].astype(np.float64)
        left = np.repeat(some.T, k, axis=1)
        right = np.tile(centroids.T.astype(np.float64), (1, len(some)))
        if metric == "l2":
            score = 0.0 - reference.squared_differences(left, right)
        else:
            score = reference.products(left, right)
        if metric == "cosine":
            lengths = np.sqrt(reference.squares(left)) * np.sqrt(reference.squares(right))
            with np.errstate(invalid="ignore"):
                score = score / lengths
        out[start : start + step] = score.reshape(len(some), k)
    return out


def assign(points: F32, centroids: F32, m: int = 1, metric: str = "l2") -> Assigned:
    """The m best centroids of every point: float32 score descending, then label ascending."""
    matrix = reference.to_float32(exact_scores(points, centroids, metric))
    lost = without_direction(points, metric)
    matrix[lost] = -np.inf
    labels = np.argsort(-matrix, axis=1, kind="stable")[:, :m].astype(np.int32)
    scores = np.take_along_axis(matrix, labels, axis=1)
    labels[lost] = -1
    return Assigned(labels, scores)


def without_direction(points: F32, metric: str) -> npt.NDArray[np.bool_]:
    """The points that no centroid gets."""
    return np.asarray(~points.any(axis=1) & (metric == "cosine"))


def directions(points: F32) -> F64:
    """Every row divided by its length; zero rows stay."""
    wide = points.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    lengths[lengths == 0] = 1.0
    rows: F64 = wide / lengths
    return rows


def sums(points: F32, labels: I32, k: int, metric: str = "l2") -> Sums:
    """Sums by `math.fsum`, of rows, or of directions under cosine; label -1 is in none.

    Adding c values in any order is off by at most (c - 1) * 2^-53 of the sum of their sizes, and
    somewhat above in second order; a direction is off by what d squares, a root and a division
    are.
    """
    rows = directions(points) if metric == "cosine" else points.astype(np.float64)
    d = points.shape[1]
    out = Sums(np.zeros((k, d)), np.zeros(k, np.int64), np.zeros((k, d)))
    for label in range(k):
        members = rows[labels == label]
        out.sums[label] = [math.fsum(column) for column in members.T.tolist()]
        out.counts[label] = len(members)
        errors = len(members) + 2 + (d + 8 if metric == "cosine" else 0)
        out.bound[label] = errors * 2.0**-53 * np.abs(members).sum(axis=0)
    return out


def losses(points: F32, centers: F32, labels: I32, metric: str) -> F64:
    """The part of each point in the inertia: squared distance or 1 - cosine; 0 if it is lost."""
    left = points.T.astype(np.float64)
    right = centers[labels].T.astype(np.float64)
    if metric == "l2":
        return reference.squared_differences(left, right)
    lengths = np.sqrt(reference.squares(left)) * np.sqrt(reference.squares(right))
    with np.errstate(invalid="ignore"):
        cosines = reference.products(left, right) / lengths
    return np.where(labels < 0, 0.0, 1.0 - cosines)


def lloyd_step(points: F32, centers: F32, metric: str = "l2") -> Step:
    """One iteration; every empty cluster takes, in order, the farthest point that is left.

    The point leaves its cluster. No cluster may lose its last point by that: what becomes of it
    then is not promised.
    """
    labels = assign(points, centers, 1, metric).labels[:, 0]
    far = losses(points, centers, labels, metric)
    moved = labels.copy()
    k = len(centers)
    empty = np.setdiff1d(np.arange(k), labels)
    takers = np.argsort(-far, kind="stable")[: len(empty)]
    moved[takers] = empty
    summed = sums(points, moved, k, metric)
    assert summed.counts.all()
    divisor = summed.counts[:, None].astype(np.float64)
    if metric == "cosine":
        divisor = np.sqrt((summed.sums**2).sum(axis=1, keepdims=True))
    return Step(summed.sums / divisor, labels, math.fsum(far.tolist()), summed.bound / divisor)


def lloyd(points: F32, centers: F32, rounds: int, metric: str = "l2") -> Step:
    """Iterate until no label changes, at most `rounds` times; centers are rounded to float32."""
    labels = None
    for _ in range(rounds):
        step = lloyd_step(points, centers, metric)
        centers = reference.to_float32(step.centers)
        if labels is not None and np.array_equal(labels, step.labels):
            break
        labels = step.labels
    final = assign(points, centers, 1, metric).labels[:, 0]
    inertia = math.fsum(losses(points, centers, final, metric).tolist())
    return Step(centers.astype(np.float64), final, inertia, step.bound)


def rule_groups(
    interests: Sequence[Sequence[int]], depth: int, min_size: int
) -> tuple[list[int], list[list[int]]]:
    """The label of every user, and the interests of every label."""
    held = [tuple(dict.fromkeys(row))[:depth] for row in interests]
    for length in range(max(map(len, held), default=0), 0, -1):
        sizes = Counter(held)
        held = [
            label[:-1] if len(label) == length and sizes[label] < min_size else label
            for label in held
        ]
    known = sorted(set(held))
    numbers = {label: number for number, label in enumerate(known)}
    return [numbers[label] for label in held], [list(label) for label in known]
