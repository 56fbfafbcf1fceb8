"""One run of k-means: first centers, rounds, and when to stop."""

import math
import warnings
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._conversion import contiguous
from vecrecall.arrays._typing import F32, F64, I32, I64
from vecrecall.cluster._draws import Draws
from vecrecall.cluster._features import check_points
from vecrecall.cluster._plus_plus import plus_plus
from vecrecall.search import _flat_index

_T = TypeVar("_T", bound=np.generic)

METRICS = {name: _flat_index.METRICS[name] for name in ("l2", "cosine")}

# k-means++ draws from a sample of the rows where there are many more.
SAMPLE_PER_CLUSTER = 50
SAMPLE_AT_LEAST = 20_000

# Mini-batches look for starved clusters once they had so many points for each.
RESEED_AFTER = 10

# Runs from centers drawn uniformly where `n_init` is "auto", as in scikit-learn.
AUTO_RUNS = 10
AUTO_RUNS_OF_BATCHES = 3


class Batches(CheckedOnArrival):
    """Centers as means of all points that they were ever given.

    Parameters
    ----------
    centers : ndarray of float32, shape (k, d)
    counts : ndarray of float64 or int64, shape (k,), optional
        Of how many points they are the means, or how much these weigh; none at first, so that a
        center's first points replace it.
    """

    def __init__(self, centers: F32, counts: F64 | I64 | None = None) -> None:
        self.centers = centers
        self.counts = np.zeros(len(centers)) if counts is None else counts.astype(np.float64)
        self.sums = centers.astype(np.float64) * self.counts[:, None]
        self._since = 0  # points since starved centers were looked for

    def _check_attributes(self) -> None:
        self.centers = _validation.check_vectors(self.centers, "centers")
        k, dim = self.centers.shape
        self.counts = check_masses(self.counts, "counts", k)
        sums: F64 = expect(self.sums, np.ndarray, "sums")
        if sums.dtype != np.float64 or sums.shape != (k, dim) or not np.isfinite(sums).all():
            raise ValueError(f"sums: expected finite float64 of shape ({k}, {dim}), got others")
        self.sums = contiguous(sums, np.float64)
        self._since = _scalars.check_int(self._since, "points", 0)

    def add(self, sums: F64, counts: F64, cosine: bool) -> None:
        """Give the centers more points; one whose sum has no direction stays as it is."""
        with _core.FpEnvironment():
            self.sums = self.sums + sums
            self.counts = self.counts + counts
            divisor = (lengths(self.sums) if cosine else self.counts)[:, None]
            means = self.centers.astype(np.float64)
            np.divide(self.sums, divisor, out=means, where=divisor > 0)
            self.centers = means.astype(np.float32)

    def is_due(self, n: int) -> bool:
        """Tell whether to look for starved centers with the next `n` points."""
        self._since += n
        due = not self.counts.all() or self._since >= RESEED_AFTER * len(self.counts)
        self._since = 0 if due else self._since
        return due

    def starved(self, ratio: float, most: int) -> I64:
        """List centers with less than this part of the largest count, at most the `most` least."""
        few = np.flatnonzero(self.counts < ratio * self.counts.max())
        if few.size > most:
            few = np.sort(np.argsort(self.counts, kind="stable")[:most])
        return few

    def reseed(self, labels: I64, centers: F32) -> None:
        """Replace centers; each counts like the least of the others, lest it be starved again."""
        counts, sums, moved = self.counts.copy(), self.sums.copy(), self.centers.copy()
        counts[labels] = np.delete(self.counts, labels).min()
        moved[labels] = centers
        sums[labels] = centers.astype(np.float64) * counts[labels, None]
        self.counts, self.sums, self.centers = counts, sums, moved


class Outcome(NamedTuple):
    """The result of one run; `batches` of mini-batches alone."""

    batches: Batches | None
    centers: F32
    rounds: int
    labels: I32
    inertia: float


class _Model(Protocol):
    """The attributes of a model that a run reads: its parameters as given, and its labels."""

    @property
    def n_clusters(self) -> object: ...
    @property
    def metric(self) -> object: ...
    @property
    def init(self) -> object: ...
    @property
    def n_init(self) -> object: ...
    @property
    def batch_size(self) -> object: ...
    @property
    def threads(self) -> object: ...
    @property
    def max_iter(self) -> object: ...
    @property
    def tol(self) -> object: ...
    @property
    def reassignment_ratio(self) -> object: ...
    @property
    def callback(self) -> object: ...
    @property
    def _held(self) -> I32 | None: ...


class Run:
    """One call of `fit` or `partial_fit`: parameters that were looked at, and the points.

    Parameters
    ----------
    model : KMeans
    x : array_like of float, shape (n, d)
    sample_weight : array_like of float, shape (n,), optional
        Points of weight 0 take no part: `points` and all that goes by them lacks those.
    dim : int, optional
        The width that `x` must have.
    """

    def __init__(
        self,
        model: _Model,
        x: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        dim: int | None = None,
    ) -> None:
        self.k = _scalars.check_positive_int(model.n_clusters, "n_clusters")
        self._code = _scalars.check_choice(model.metric, "metric", METRICS)
        self._cosine = model.metric == "cosine"
        self._init = model.init
        self._n_init = _check_n_init(model.n_init)
        size = model.batch_size
        self._batch_size = None if size is None else _scalars.check_positive_int(size, "batch_size")
        self.threads = _scalars.check_threads(model.threads)
        self.max_iter = _scalars.check_positive_int(model.max_iter, "max_iter")
        self._tol = _scalars.check_nonnegative(model.tol, "tol")
        self._ratio = _scalars.check_nonnegative(model.reassignment_ratio, "reassignment_ratio")
        self.callback = _scalars.check_callable(model.callback, "callback")
        self.given = self.points = check_points(x, dim, type(model).__name__)
        self._weights = _validation.check_sample_weight(
            sample_weight, "sample_weight", len(self.given)
        )
        self._all_weights = self._weights
        if self._weights is not None and not self._weights.all():
            kept = np.flatnonzero(self._weights)
            self.points, self._weights = self.given[kept], self._weights[kept]
        self._usable = self._with_direction()
        self._held = model._held
        self._lloyd = self._new_lloyd()

    def _new_lloyd(self) -> _core.Lloyd:
        return _core.Lloyd(self.points, self._code, self.threads, self._weights, self._held)

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
        if self._n_usable < n and self._held is None:
            kind = "points" if self._usable is None else "points that are not zero"
            kind += "" if len(self.points) == len(self.given) else ", of a weight above 0"
            none = len(self.given) > len(self.points) == 0
            raise ValueError(
                f"X: expected at least n_clusters={n} {kind}, got {self._n_usable}"
                + (" (all weights are zero)" if none else "")
            )

    def fit(self, draws: Draws) -> Outcome:
        """Run as often as `n_init` says, and return the outcome of least inertia, the first such.

        Each run takes up the draws where the one before has left them.
        """
        runs = self._n_runs()
        best = self._fit_once(draws)
        for _ in range(1, runs):
            self._lloyd = self._new_lloyd()  # which knows no labels of the run before
            best = min(best, self._fit_once(draws), key=lambda outcome: outcome.inertia)
        return best

    def _n_runs(self) -> int:
        if self._n_init is None:
            if not isinstance(self._init, str) or self._init != "random":
                return 1
            return AUTO_RUNS if self._batch_size is None else AUTO_RUNS_OF_BATCHES
        if self._n_init > 1 and not isinstance(self._init, str):
            warnings.warn(
                f"n_init: expected 1 where init gives the centers, got {self._n_init}; one run is "
                "made",
                RuntimeWarning,
                stacklevel=4,
            )
            return 1
        return self._n_init

    def _fit_once(self, draws: Draws) -> Outcome:
        centers = self.first_centers(draws)
        batches = None
        if self._batch_size is None:
            centers, rounds = self.lloyd(centers)
        else:
            batches = Batches(centers)
            centers, rounds = self._mini_batches(batches, self._batch_size, draws)
        return Outcome(batches, centers, rounds, *self.final(centers))

    def first_centers(self, draws: Draws) -> F32:
        """Draw the first centers, or take those that are given."""
        init = self._init
        if isinstance(init, str):
            draw = _scalars.check_choice(
                init, "init", {"k-means++": self._plus_plus, "random": self._uniform}
            )
            centers = self.points[draw(draws)]
        else:
            centers = _validation.check_vectors(init, "init", self.points.shape[1])
            if len(centers) != self.k:
                raise ValueError(f"init: expected {self.k} centers, got {len(centers)}")
        return _normalized(centers) if self._cosine else centers

    def _plus_plus(self, draws: Draws) -> I64:
        rows, weights = self._sample(draws, max(SAMPLE_PER_CLUSTER * self.k, SAMPLE_AT_LEAST))
        points = self.points if rows is None else self.points[rows]
        drawn = plus_plus(points, self.k, weights, self._code, draws, self.threads)
        return drawn if rows is None else rows[drawn]

    def _sample(self, draws: Draws, size: int) -> tuple[I64 | None, F64 | None]:
        """List at most `size` rows that take part, None for all, and their weights."""
        if self._n_usable > size:
            if self._weights is None:
                return self._subset(draws, size), None
            places = draws.by_weight(self._usable_weights(), size)
            rows, counts = np.unique(places, return_counts=True)
            if rows.size >= self.k:
                return self._at(rows), counts.astype(np.float64)
        return self._usable, None if self._weights is None else self._usable_weights()

    def _uniform(self, draws: Draws) -> I64:
        return self._subset(draws, self.k)

    def _subset(self, draws: Draws, size: int) -> I64:
        if self._weights is None:
            return self._at(draws.subset(self._n_usable, size))
        return self._at(draws.subset_by_weight(self._usable_weights(), size))

    def _at(self, places: I64) -> I64:
        """Look up rows by their places among those that take part."""
        return places if self._usable is None else self._usable[places]

    def _usable_weights(self) -> F64:
        weights = np.ones(len(self.points)) if self._weights is None else self._weights
        return weights if self._usable is None else weights[self._usable]

    def lloyd(self, centers: F32) -> tuple[F32, int]:
        """Iterate over all points; returns the centers and the number of rounds."""
        enough = self._enough
        for done in range(1, self.max_iter + 1):
            centers, inertia, moved, relabeled = self._lloyd.step(centers)
            if self.callback is not None:
                self.callback(done, inertia)
            if moved <= enough or not relabeled:
                break
        return centers, done

    def _mini_batches(self, batches: Batches, size: int, draws: Draws) -> tuple[F32, int]:
        """Pass over all points in batches; returns the centers and the number of passes."""
        enough = self._enough
        for done in range(1, self.max_iter + 1):
            before = batches.centers
            order = draws.order(len(self.points))
            parts = (order[start : start + size] for start in range(0, order.size, size))
            inertia = math.fsum([self.add_batch(batches, draws, part) for part in parts])
            if self.callback is not None:
                self.callback(done, inertia)
            if _total(np.square(batches.centers.astype(np.float64) - before)) <= enough:
                break
        return batches.centers, done

    def add_batch(self, batches: Batches, draws: Draws, rows: I64 | None = None) -> float:
        """Update by rows, all by default.

        Returns their inertia before, or 0 where no callback asks for it.
        """
        points = self.points if rows is None else self.points[rows]
        weights, held = _of(self._weights, rows), _of(self._held, rows)
        labels, scores, sums, counts = _core.assign_sums(
            points, batches.centers, self._code, self.threads, weights, held
        )
        due = batches.is_due(len(points))
        batches.add(sums, counts, self._cosine)
        used = np.flatnonzero(labels[:, 0] >= 0)
        if due and self._held is None:
            self._reseed(batches, draws, points[used], _of(weights, used))
        if self.callback is None:
            return 0.0
        losses = (1.0 if self._cosine else 0.0) - scores[used, 0].astype(np.float64)
        return _total(losses if weights is None else losses * weights[used])

    def _reseed(self, batches: Batches, draws: Draws, points: F32, weights: F64 | None) -> None:
        """Move starved centers to points of a batch."""
        labels = batches.starved(self._ratio, len(points) // 2)
        if not labels.size:
            return
        if weights is None:
            rows = draws.subset(len(points), labels.size)
        else:
            rows = draws.subset_by_weight(weights, labels.size)
        batches.reseed(labels, _normalized(points[rows]) if self._cosine else points[rows])

    def n_different(self) -> int:
        """Count the points that take part and differ, under cosine their directions."""
        points = self.points if self._usable is None else self.points[self._usable]
        return len(np.unique(_normalized(points) if self._cosine else points, axis=0))

    def final(self, centers: F32) -> tuple[I32, float]:
        """Label all points that were given; returns the inertia, too."""
        labels, _, inertia = self._lloyd.assign(centers)
        if len(self.points) < len(self.given):
            labels = _core.assign(self.given, centers, 1, self._code, self.threads)[0][:, 0]
        return labels, inertia

    def masses(self, labels: I32) -> F64:
        """Add up the weights of the points with each label, of all that were given."""
        used = labels >= 0
        weights = None if self._all_weights is None else self._all_weights[used]
        return np.bincount(labels[used], weights, self.k).astype(np.float64)

    @cached_property
    def _enough(self) -> float:
        """Multiply `tol` and the mean variance of the features."""
        if self._tol == 0 or self._n_usable == 0:
            return 0.0
        first = self.points[:1] if self._usable is None else self.points[self._usable[:1]]
        _, _, sums, counts = _core.assign_sums(
            self.points, first, self._code, self.threads, self._weights
        )
        n, dim = float(counts[0]), int(sums.shape[1])
        with _core.FpEnvironment():
            mean = sums / n
            if self._cosine:
                return self._tol * max(0.0, 1.0 - _total(np.square(mean))) / dim
            core = self._lloyd
            if self._held is not None:  # one center has none of the labels that are held
                core = _core.Lloyd(self.points, self._code, self.threads)
            return self._tol * core.assign(mean.astype(np.float32))[2] / n / dim


def _of(values: npt.NDArray[_T] | None, rows: Any) -> npt.NDArray[_T] | None:
    return values if values is None or rows is None else values[rows]


def check_masses(x: object, name: str, k: int) -> F64:
    """Coerce what `k` clusters weigh to finite float64 of at least 0."""
    masses = _validation.check_weights(x, name, k)
    if masses.min(initial=0) < 0:
        raise ValueError(f"{name}: expected numbers >= 0, got {masses.min()}")
    return masses


def lengths(rows: F64) -> F64:
    """Take Euclidean lengths, adding in order: a sum of NumPy's has an order of the machine's."""
    norms: F64 = np.sqrt(np.cumsum(np.square(rows), axis=1)[:, -1])
    return norms


def _normalized(centers: F32) -> F32:
    _validation.check_directions(centers, "init")
    with _core.FpEnvironment():
        wide = centers.astype(np.float64)
        return (wide / lengths(wide)[:, None]).astype(np.float32)


def _total(numbers: F64) -> float:
    return math.fsum(numbers.ravel().tolist())


def _check_n_init(x: object) -> int | None:
    """Return the number of runs, None for "auto"."""
    if isinstance(x, str):
        return _scalars.check_choice(x, "n_init", {"auto": None})
    return _scalars.check_positive_int(x, "n_init")
