"""Points and centroids on which a fast assignment is likely to go wrong.

`CASES[name](rng, n, k, d)` returns float32 `(points, centroids)`; there are no zero centroids.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from datasets import BIGGEST, SMALLEST, narrow, normal, without_zero_rows

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator
Data = tuple[F32, F32]
Builder = Callable[[Rng, int, int, int], Data]


def gaussian(rng: Rng, n: int, k: int, d: int) -> Data:
    return normal(rng, n, d), normal(rng, k, d)


def clustered(rng: Rng, n: int, k: int, d: int) -> Data:
    """Every point close to one centroid."""
    centroids = 10 * normal(rng, k, d)
    return centroids[rng.integers(0, k, n)] + normal(rng, n, d), centroids


def lognormal_lengths(rng: Rng, n: int, k: int, d: int) -> Data:
    rows = normal(rng, n + k, d) * rng.lognormal(0, 3, (n + k, 1)).astype(np.float32)
    return rows[:n], rows[n:]


def cauchy(rng: Rng, n: int, k: int, d: int) -> Data:
    rows = narrow(rng.standard_cauchy((n + k, d)))
    return rows[:n], rows[n:]


def tiny(rng: Rng, n: int, k: int, d: int) -> Data:
    """Every l2 and ip score rounds to zero: all is a tie."""
    points, centroids = gaussian(rng, n, k, d)
    return points * np.float32(1e-30), centroids * np.float32(1e-30)


def subnormal_scores(rng: Rng, n: int, k: int, d: int) -> Data:
    """Ordinary vectors with l2 and ip scores below the smallest normal number."""
    points, centroids = gaussian(rng, n, k, d)
    return points * np.float32(3e-21), centroids * np.float32(3e-21)


def large(rng: Rng, n: int, k: int, d: int) -> Data:
    """Scores of about 1e36 times d: float32 holds them, but not for long."""
    points, centroids = gaussian(rng, n, k, d)
    return points * np.float32(1e18), centroids * np.float32(1e18)


def partly_overflowing(rng: Rng, n: int, k: int, d: int) -> Data:
    """Some scores are infinite, so that labels are decided by a tie of infinities."""
    points, centroids = gaussian(rng, n, k, d)
    scale = np.exp2(rng.integers(60, 66, (k, 1))).astype(np.float32)
    return points, centroids * scale * np.float32(0.5)


def near_overflow(rng: Rng, n: int, k: int, d: int) -> Data:
    """Differences that float32 does not hold."""
    rows = without_zero_rows(narrow(rng.uniform(-1, 1, (n + k, d)) * BIGGEST))
    return rows[:n], rows[n:]


def subnormals(rng: Rng, n: int, k: int, d: int) -> Data:
    rows = (rng.integers(-(2**10), 2**10, (n + k, d)) * SMALLEST).astype(np.float32)
    rows[:, 0] = SMALLEST
    return rows[:n], rows[n:]


def subnormal_gaps(rng: Rng, n: int, k: int, d: int) -> Data:
    """Ordinary points; centroids that differ by less than the smallest normal number."""
    points, centroids = subnormals(rng, n, k, d)
    return points * np.float32(2.0**120) * np.float32(2.0**20), centroids


def duplicates(rng: Rng, n: int, k: int, d: int) -> Data:
    """Every centroid several times, in no order."""
    points, centroids = gaussian(rng, n, k, d)
    return points, centroids[rng.integers(0, k // 3 + 1, k)]


def half_way(rng: Rng, n: int, k: int, d: int) -> Data:
    """Points exactly between two centroids; every third a last bit aside."""
    centroids = without_zero_rows((2 * rng.integers(-50, 50, (k, d))).astype(np.float32))
    pairs = rng.integers(0, k, (n, 2))
    points = (centroids[pairs[:, 0]] + centroids[pairs[:, 1]]) / np.float32(2)
    points[::3] = np.nextafter(points[::3], np.float32(np.inf))
    return points, centroids


def at_centroids(rng: Rng, n: int, k: int, d: int) -> Data:
    _, centroids = gaussian(rng, 0, k, d)
    return centroids[rng.integers(0, k, n)].copy(), centroids


def last_bit(rng: Rng, n: int, k: int, d: int) -> Data:
    """Centroids that differ in the last bit of one value; points near them and far away."""
    points, centroids = gaussian(rng, n, 1, d)
    centroids = np.repeat(centroids, k, axis=0)
    columns = rng.integers(0, d, k)
    steps = rng.choice(np.array([-np.inf, np.inf], np.float32), k)
    at = np.arange(k), columns
    centroids[at] = np.nextafter(centroids[at], steps)
    points[::2] = centroids[0] + np.float32(1e-6) * points[::2]
    return points, centroids


def rounded_ties(rng: Rng, n: int, k: int, d: int) -> Data:
    """Scores that differ in float64 and are equal in float32, the best of them last."""
    points = np.zeros((n, d), np.float32)
    points[:, 0] = rng.integers(1, 9, n)
    centroids = np.zeros((k, d), np.float32)
    centroids[:, 0] = -8
    centroids[:, -1] = np.sort(rng.integers(1, 5, k))[::-1] * 2.0**-13
    return points, centroids


def all_equal(rng: Rng, n: int, k: int, d: int) -> Data:
    row = normal(rng, 1, d)
    return np.repeat(row, n, axis=0), np.repeat(row, k, axis=0)


def common_offset(rng: Rng, n: int, k: int, d: int) -> Data:
    points, centroids = gaussian(rng, n, k, d)
    return points + np.float32(1e4), centroids + np.float32(1e4)


def opposite_offsets(rng: Rng, n: int, k: int, d: int) -> Data:
    """Nearly equal huge distances."""
    points, centroids = gaussian(rng, n, k, d)
    return points - np.float32(1e4), centroids + np.float32(1e4)


def huge_centroid(rng: Rng, n: int, k: int, d: int) -> Data:
    points, centroids = gaussian(rng, n, k, d)
    centroids[k // 2] *= 1e12
    return points, centroids


def huge_point(rng: Rng, n: int, k: int, d: int) -> Data:
    points, centroids = gaussian(rng, n, k, d)
    points[n // 2] *= 1e12
    return points, centroids


def mixed_scales(rng: Rng, n: int, k: int, d: int) -> Data:
    """Neighbors forty powers of ten apart, in every tile of points and of centroids."""
    scales = 10.0 ** rng.uniform(-20, 18, (n + k, 1))
    rows = without_zero_rows(narrow(normal(rng, n + k, d) * scales))
    return rows[:n], rows[n:]


def mixed_columns(rng: Rng, n: int, k: int, d: int) -> Data:
    """Most of what decides is in dimensions that a code of eight bits does not show."""
    scale = 10.0 ** rng.uniform(-6, 6, d)
    rows = without_zero_rows(narrow(normal(rng, n + k, d) * scale))
    return rows[:n], rows[n:]


def all_extreme(rng: Rng, n: int, k: int, d: int) -> Data:
    """Codes of full size and nearly one sign: the largest sums of integers that there can be."""
    rows = np.ones((n + k, d), np.float32) * rng.choice(np.array([-1, 1], np.float32), (n + k, 1))
    rows[np.arange(n + k), rng.integers(0, d, n + k)] *= -1
    rows[:, 0] *= rng.choice(np.array([1, 1 - 2.0**-20], np.float32), n + k)
    return 127 * rows[:n], 127 * rows[n:]


def integers(rng: Rng, n: int, k: int, d: int) -> Data:
    """Few different scores."""
    rows = without_zero_rows(rng.integers(-2, 3, (n + k, d)).astype(np.float32))
    return rows[:n], rows[n:]


def around_one_of_few(rng: Rng, n: int, k: int, d: int) -> Data:
    """A tight bundle of centroids far from the origin, and single ones far from it."""
    points, centroids = gaussian(rng, n, k, d)
    bundle = 100 * normal(rng, 1, d)
    centroids[::2] = bundle + np.float32(1e-4) * centroids[::2]
    points[::2] = bundle + np.float32(1e-4) * points[::2]
    return points, centroids


CASES: dict[str, Builder] = {
    builder.__name__: builder
    for builder in (
        gaussian,
        clustered,
        lognormal_lengths,
        cauchy,
        tiny,
        subnormal_scores,
        large,
        partly_overflowing,
        near_overflow,
        subnormals,
        subnormal_gaps,
        duplicates,
        half_way,
        at_centroids,
        last_bit,
        rounded_ties,
        all_equal,
        common_offset,
        opposite_offsets,
        huge_centroid,
        huge_point,
        mixed_scales,
        mixed_columns,
        all_extreme,
        integers,
        around_one_of_few,
    )
}
