"""One run of k-means: first centres, rounds, and when to stop."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.random  # here, not at first use, as in _coerce
import numpy.typing as npt

from vecrecall import _coerce, _core, index

if TYPE_CHECKING:
    from vecrecall.kmeans import KMeans

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

METRICS = {name: index.METRICS[name] for name in ("l2", "cosine")}

# k-means++ passes over its rows once a cluster: from a sample where there are many more.
SAMPLE_PER_CLUSTER = 50
SAMPLE_AT_LEAST = 20_000
TRIALS = 2  # draws a centre, of which the better stays


class Draws:
    """Uniform numbers in [0, 1), from a raw stream that NumPy promises never to change."""

    def __init__(self, seed: object) -> None:
        self._generator = np.random.PCG64(_coerce.whole(seed, "seed", 0))

    def uniform(self, n: int) -> F64:
        """Draw `n` numbers."""
        raw: npt.NDArray[np.uint64] = self._generator.random_raw(n)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def order(self, n: int) -> I64:
        """Shuffle the numbers below n."""
        return np.argsort(self._generator.random_raw(n), kind="stable")

    def subset(self, n: int, size: int) -> I64:
        """Choose different numbers below n, ascending."""
        if 2 * size > n:
            left = np.ones(n, bool)
            left[self.subset(n, n - size)] = False
            return np.flatnonzero(left)
        chosen = np.empty(0, np.int64)
        while chosen.size < size:
            more = (self.uniform(size) * n).astype(np.int64)
            chosen = np.concatenate([chosen, more])
            chosen = chosen[np.sort(np.unique(chosen, return_index=True)[1])]
        return np.sort(chosen[:size])


class Batches:
    """Centres as means of all points that they were ever given.

    Parameters
    ----------
    centers : ndarray of float32, shape (k, d)
    counts : ndarray of int, shape (k,), optional
        Of how many points they are the means; none at first, so that a centre's first points
        replace it.
    """

    def __init__(self, centers: F32, counts: I64 | None = None) -> None:
        self.centers = centers
        self.counts = np.zeros(len(centers), np.int64) if counts is None else counts
        self.sums = centers.astype(np.float64) * self.counts[:, None]

    def add(self, sums: F64, counts: I64, cosine: bool) -> None:
        """Give the centres more points; one whose sum has no direction stays as it is."""
        with _core.FpEnvironment():
            self.sums = self.sums + sums
            self.counts = self.counts + counts
            divisor = (lengths(self.sums) if cosine else self.counts.astype(np.float64))[:, None]
            means = self.centers.astype(np.float64)
            np.divide(self.sums, divisor, out=means, where=divisor > 0)
            self.centers = means.astype(np.float32)


class Run:
    """One call of `fit` or `partial_fit`: parameters that were looked at, and the points.

    Parameters
    ----------
    model : KMeans
    x : array_like of float, shape (n, d)
    dim : int, optional
        The width that `x` must have.
    """

    def __init__(self, model: "KMeans", x: npt.ArrayLike, dim: int | None = None) -> None:
        self.k = _coerce.positive_int(model.n_clusters, "n_clusters")
        self._code = _coerce.choice(model.metric, "metric", METRICS)
        self._cosine = model.metric == "cosine"
        self.threads = _coerce.threads(model.threads)
        self.max_iter = _coerce.positive_int(model.max_iter, "max_iter")
        self._tol = _coerce.nonnegative(model.tol, "tol")
        self.callback = _callback(model.callback)
        self.points = _coerce.vectors(x, "X", dim)
        self._usable = self._with_direction()
        self.core = _core.Lloyd(self.points, self._code, self.threads)

    def _with_direction(self) -> I64 | None:
        """List the rows that take part, None for all."""
        if not self._cosine:
            return None
        zero = _core.zero_rows(self.points).astype(bool)
        return np.flatnonzero(~zero) if zero.any() else None

    @property
    def _n_usable(self) -> int:
        return len(self.points) if self._usable is None else self._usable.size

    def need(self, n: int) -> None:
        """Refuse fewer than `n` points that take part."""
        if self._n_usable < n:
            kind = "points" if self._usable is None else "points that are not zero"
            raise ValueError(f"X: expected at least n_clusters={n} {kind}, got {self._n_usable}")

    def first_centers(self, init: object, draws: Draws) -> F32:
        """Draw the first centres, or take those that are given."""
        if isinstance(init, str):
            draw = _coerce.choice(
                init, "init", {"k-means++": self._plus_plus, "random": self._uniform}
            )
            centers = self.points[draw(draws)]
        else:
            centers = _coerce.vectors(init, "init", self.points.shape[1])
            if len(centers) != self.k:
                raise ValueError(f"init: expected {self.k} centres, got {len(centers)}")
        return _normalized(centers) if self._cosine else centers

    def _plus_plus(self, draws: Draws) -> I64:
        size = max(SAMPLE_PER_CLUSTER * self.k, SAMPLE_AT_LEAST)
        rows = self._usable if self._n_usable <= size else self._subset(draws, size)
        points = self.points if rows is None else self.points[rows]
        uniform = draws.uniform(self.k * TRIALS).reshape(self.k, TRIALS)
        drawn = _core.plus_plus(points, uniform, self._code, self.threads)
        return drawn if rows is None else rows[drawn]

    def _uniform(self, draws: Draws) -> I64:
        return self._subset(draws, self.k)

    def _subset(self, draws: Draws, size: int) -> I64:
        places = draws.subset(self._n_usable, size)
        return places if self._usable is None else self._usable[places]

    def lloyd(self, centers: F32) -> tuple[F32, int]:
        """Iterate over all points; returns the centres and the number of rounds."""
        enough = self._enough()
        for done in range(1, self.max_iter + 1):
            centers, inertia, moved, relabelled = self.core.step(centers)
            if self.callback is not None:
                self.callback(done, inertia)
            if moved <= enough or not relabelled:
                break
        return centers, done

    def mini_batches(self, batches: Batches, size: int, draws: Draws) -> tuple[F32, int]:
        """Pass over all points in batches; returns the centres and the number of passes."""
        enough = self._enough()
        for done in range(1, self.max_iter + 1):
            before = batches.centers
            order = draws.order(len(self.points))
            parts = (order[start : start + size] for start in range(0, order.size, size))
            inertia = math.fsum([self.add_batch(batches, self.points[part]) for part in parts])
            if self.callback is not None:
                self.callback(done, inertia)
            if _total(np.square(batches.centers.astype(np.float64) - before)) <= enough:
                break
        return batches.centers, done

    def add_batch(self, batches: Batches, points: F32) -> float:
        """Update by a batch; returns its inertia before, or 0 where no callback asks for it."""
        labels, scores, sums, counts = _core.assign_sums(
            points, batches.centers, self._code, self.threads
        )
        batches.add(sums, counts, self._cosine)
        if self.callback is None:
            return 0.0
        best = 1.0 if self._cosine else 0.0
        return _total(best - scores[labels >= 0].astype(np.float64))

    def _enough(self) -> float:
        """Multiply `tol` and the mean variance of the features."""
        if self._tol == 0:
            return 0.0
        first = self.points[:1] if self._usable is None else self.points[self._usable[:1]]
        _, _, sums, counts = _core.assign_sums(self.points, first, self._code, self.threads)
        n, dim = int(counts[0]), int(sums.shape[1])
        with _core.FpEnvironment():
            mean = sums / n
            if self._cosine:
                return self._tol * max(0.0, 1.0 - _total(np.square(mean))) / dim
            return self._tol * self.core.assign(mean.astype(np.float32))[2] / n / dim


def lengths(rows: F64) -> F64:
    """Take Euclidean lengths, adding in order: a sum of NumPy's has an order of the machine's."""
    norms: F64 = np.sqrt(np.cumsum(np.square(rows), axis=1)[:, -1])
    return norms


def _normalized(centers: F32) -> F32:
    _coerce.directions(centers, "init")
    with _core.FpEnvironment():
        wide = centers.astype(np.float64)
        return (wide / lengths(wide)[:, None]).astype(np.float32)


def _total(numbers: F64) -> float:
    return math.fsum(numbers.ravel().tolist())


def _callback(x: object) -> Callable[[int, float], object] | None:
    if x is not None and not callable(x):
        raise TypeError(f"callback: expected a callable, got {type(x).__name__}")
    return x
