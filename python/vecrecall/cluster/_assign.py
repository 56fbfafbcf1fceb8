"""The nearest centroids of points, and what is left of a point without its centroid."""

from collections.abc import Iterator
from typing import Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._ragged_ops import blocks
from vecrecall.arrays._row_types import check_point_rows
from vecrecall.arrays._typing import F32, Array
from vecrecall.search._flat_index import METRICS
from vecrecall.search._protocol import Metric


class Assignment(NamedTuple):
    """The nearest centroids of each point, best first: score descending, then label ascending.

    Attributes
    ----------
    labels : ndarray of int32, shape (n, m)
        Row numbers of centroids; -1 for a point that has no direction under cosine.
    scores : ndarray of float32, shape (n, m)
        Scores, larger is better; -inf where the label is -1.
    """

    labels: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


class ClusterSums(NamedTuple):
    """The sums of the points of each cluster.

    Attributes
    ----------
    sums : ndarray of float64, shape (k, d)
        Sums of the points; under cosine of the points divided by their lengths.
    counts : ndarray of int64, shape (k,)
        How many points; those labeled -1 are in none.
    """

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


@overload
def assign(
    points: npt.ArrayLike,
    centroids: npt.ArrayLike,
    *,
    m: int = ...,
    metric: Metric = ...,
    sums: Literal[False] = ...,
    threads: int | None = ...,
) -> Assignment: ...


@overload
def assign(
    points: npt.ArrayLike,
    centroids: npt.ArrayLike,
    *,
    m: int = ...,
    metric: Metric = ...,
    sums: Literal[True],
    threads: int | None = ...,
) -> tuple[Assignment, ClusterSums]: ...


def assign(
    points: npt.ArrayLike,
    centroids: npt.ArrayLike,
    *,
    m: int = 1,
    metric: Metric = "l2",
    sums: bool = False,
    threads: int | None = None,
) -> Assignment | tuple[Assignment, ClusterSums]:
    """Find the `m` nearest centroids of every point.

    Parameters
    ----------
    points : array_like of real numbers, shape (n, d), or (d,) for one
        C-contiguous arrays of float32, float16 and bfloat16 (of `ml_dtypes`) are used as they are,
        others are converted once.
    centroids : array_like of float, shape (k, d)
        At least `m`.
    m : int
        How many centroids a point gets.
    metric : {"l2", "ip", "cosine"}
        Minus the squared Euclidean distance, inner product, or cosine. Larger is better.
    sums : bool
        Also add up the points of each cluster in the same pass; needs ``m=1``.
    threads : int, optional
        Threads for this call; default `get_num_threads`.

    Returns
    -------
    Assignment, or (Assignment, ClusterSums) with ``sums=True``
        Exact: labels and the bits of scores are those of a `FlatIndex` over the centroids; ties
        go to the lowest label. Sums are added in row order, in float64. Neither depends on the
        number of threads or the instruction set. Points of half precision give the bits of the same
        points in float32. A zero point under cosine has no nearest
        centroid: its labels are -1, its scores -inf, and it is in no sum.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, `m` is more than the number of centroids, a value is
        NaN or infinite, or a centroid is zero under cosine; the message names the first such row.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> points = np.array([[0, 1], [4, 4], [0, 3]], np.float32)
    >>> near, total = vr.assign(points, np.array([[0, 0], [4, 5]], np.float32), sums=True)
    >>> near.labels.ravel().tolist(), near.scores.ravel().tolist()
    ([0, 1, 0], [-1.0, -1.0, -9.0])
    >>> total.sums.tolist(), total.counts.tolist()
    ([[0.0, 4.0], [4.0, 4.0]], [2, 1])
    """
    code = _scalars.check_choice(metric, "metric", METRICS)
    n_threads = _scalars.check_threads(threads)
    c = _validation.check_vectors(centroids, "centroids")
    # The core finds what is not finite, in the same pass.
    x = check_point_rows(points, "points", c.shape[1])
    nearest = _scalars.check_positive_int(m, "m")
    if nearest > len(c):
        if not len(c):
            raise ValueError("centroids: expected at least one, got none")
        raise ValueError(f"m: expected at most {len(c)}, the number of centroids, got {nearest}")
    if metric == "cosine":
        _validation.check_directions(c, "centroids")
    if not _scalars.check_bool(sums, "sums"):
        return Assignment(*_core.assign(x, c, nearest, code, n_threads))
    if nearest > 1:
        raise ValueError(f"sums: expected False with m > 1, got True with m = {nearest}")
    labels, scores, totals, counts = _core.assign_sums(x, c, code, n_threads)
    return Assignment(labels, scores), ClusterSums(totals, counts.astype(np.int64))


def all_scores(points: Array, centroids: F32, metric: _core.Metric, threads: int) -> F32:
    """Score every point by every centroid, in the order of these; -inf where none has a score."""
    labels, ranked = _core.assign(points, centroids, len(centroids), metric, threads)
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, labels, ranked, axis=1)
    scores[labels[:, 0] < 0] = -np.inf
    return scores


def residuals(
    points: npt.ArrayLike, centroids: npt.ArrayLike, labels: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Subtract from each point its centroid.

    Parameters
    ----------
    points : array_like of float, shape (n, d)
    centroids : array_like of float, shape (k, d)
    labels : array_like of int, shape (n,) or (n, 1)
        Each point's centroid; -1 leaves a point as it is.

    Returns
    -------
    ndarray of float32, shape (n, d)
        The differences, each rounded once.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a difference does not fit float32.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> points = np.array([[1, 2], [5, 5]], np.float32)
    >>> vr.residuals(points, np.array([[4, 4]], np.float32), [-1, 0]).tolist()
    [[1.0, 2.0], [1.0, 1.0]]
    """
    x = _validation.check_vectors(points, "points")
    result = np.empty(x.shape, np.float32)
    for rows, own in _own_centroids(centroids, labels, x.shape, 0.0):
        # One float32 operation gives the bits that float64 rounded once would give.
        with _core.FpEnvironment(), np.errstate(over="ignore"):
            np.subtract(x[rows], own, out=result[rows])
    return _fitting(result, "points", "differences from centroids")


def from_residuals(
    residuals: npt.ArrayLike, centroids: npt.ArrayLike, labels: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Add to each residual its centroid, the reverse of `residuals`.

    Parameters
    ----------
    residuals : array_like of float, shape (n, d)
    centroids : array_like of float, shape (k, d)
    labels : array_like of int, shape (n,) or (n, 1)
        As given to `residuals`.

    Returns
    -------
    ndarray of float32, shape (n, d)
        The sums, each rounded once: the points but for what their residuals have lost by
        rounding.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a sum does not fit float32.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> rest = np.array([[1, 2], [1, 1]], np.float32)
    >>> vr.from_residuals(rest, np.array([[4, 4]], np.float32), [-1, 0]).tolist()
    [[1.0, 2.0], [5.0, 5.0]]
    """
    r = _validation.check_vectors(residuals, "residuals")
    result = np.empty(r.shape, np.float32)
    for rows, own in _own_centroids(centroids, labels, r.shape, -0.0):  # x + -0.0 is x, also -0.0
        with _core.FpEnvironment(), np.errstate(over="ignore"):
            np.add(r[rows], own, out=result[rows])
    return _fitting(result, "residuals", "sums with centroids")


def _own_centroids(
    centroids: npt.ArrayLike, labels: npt.ArrayLike, shape: tuple[int, ...], none: float
) -> Iterator[tuple[slice, F32]]:
    """Copy each point's centroid, a block at a time; `none` fills the rows of those without."""
    n, dim = shape
    c = _validation.check_vectors(centroids, "centroids", dim)
    numbers = _ids.check_labels(labels, "labels", n, len(c))
    for rows in blocks(n, dim):
        if len(c):
            own = c[numbers[rows]]
            own[numbers[rows] < 0] = none
        else:
            own = np.full((rows.stop - rows.start, dim), none, np.float32)
        yield rows, own


def _fitting(result: F32, name: str, what: str) -> F32:
    row = _core.first_nonfinite_row(result)
    if row >= 0:
        raise ValueError(f"{name}: expected {what} that fit float32, got an overflow in row {row}")
    return result
