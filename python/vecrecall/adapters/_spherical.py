"""k-means by inner products: centroids of length one, to which long vectors matter more."""

from collections.abc import Callable

import numpy as np

import vecrecall._core as _core
from vecrecall.arrays._typing import F32, F64
from vecrecall.cluster._lloyd import lengths

_BLOCK = 16_384  # rows at a time in float64


def lloyd(
    x: F32,
    centroids: F32,
    max_iter: int,
    callback: Callable[[int, float], object] | None,
    threads: int,
) -> F32:
    """Iterate from given centroids of length one.

    A centroid becomes the direction of the sum of its vectors, so that their lengths count: under
    the cosine of `KMeans` all would weigh the same, but what queries find by inner product is
    mostly long. The loss, which the callback gets, is the sum of lengths minus inner products. A
    centroid whose sum has no direction takes that of the vector that loses most.
    """
    most = 0.0 if callback is None else float(_lengths(x).sum())
    before = None
    for done in range(1, max_iter + 1):
        labels, scores, sums, _ = _core.assign_sums(x, centroids, _core.Metric.ip, threads)
        if callback is not None:
            callback(done, most - float(scores.sum(dtype=np.float64)))
        if before is not None and np.array_equal(labels, before):
            break
        before = labels
        centroids = unit_rows(sums)
        empty = np.flatnonzero(~centroids.any(axis=1))
        if empty.size:
            worst = np.argsort(scores[:, 0] - _lengths(x), kind="stable")[: empty.size]
            centroids[empty] = unit_rows(x[worst])
    return centroids


def unit_rows(x: F32 | F64) -> F32:
    """Divide rows by their lengths, in float64 and rounded once; zero rows stay."""
    unit = np.empty(x.shape, np.float32)
    with _core.FpEnvironment():
        for start in range(0, len(x), _BLOCK):
            wide = x[start : start + _BLOCK].astype(np.float64)
            length = lengths(wide)[:, None]
            np.divide(wide, length, out=wide, where=length > 0)
            unit[start : start + _BLOCK] = wide
    return unit


def _lengths(x: F32) -> F64:
    parts = [
        lengths(x[start : start + _BLOCK].astype(np.float64)) for start in range(0, len(x), _BLOCK)
    ]
    return np.concatenate(parts)
