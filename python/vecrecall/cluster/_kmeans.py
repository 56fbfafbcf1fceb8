"""k-means with exact assignments, by scikit-learn's names."""

import warnings
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Literal

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._conversion import contiguous
from vecrecall.arrays._ragged_ops import blocks
from vecrecall.arrays._typing import F32, F64, I32, Array
from vecrecall.cluster._assign import all_scores
from vecrecall.cluster._draws import Draws
from vecrecall.cluster._estimator import Estimator
from vecrecall.cluster._features import Names, check_names, expect_names, names_of
from vecrecall.cluster._lloyd import METRICS, Batches, Outcome, Run, check_masses
from vecrecall.cluster._sklearn import ConvergenceWarning, known_to_sklearn

Metric = Literal["l2", "cosine"]
Init = Literal["k-means++", "random"] | npt.ArrayLike
RandomState = int | np.random.Generator | np.random.RandomState | None


class KMeans(Estimator, CheckedOnArrival):
    """Clusters around means, by Lloyd's iterations or by mini-batches, with exact assignments.

    Parameters
    ----------
    n_clusters : int
        At most the number of points (of those that are not zero under cosine).
    metric : {"l2", "cosine"}
        ``"cosine"`` is spherical k-means: points count as divided by their length and centers
        have length one; zero points have label -1 and take no part.
    init : {"k-means++", "random"} or array_like of float, shape (n_clusters, d)
        The first centers: points drawn by their squared distances (under cosine by 1 - cosine)
        from those drawn before, points drawn uniformly, or given ones. k-means++ keeps the
        better of two draws, the one that leaves the smaller inertia, and draws from a uniform
        sample of ``max(50 * n_clusters, 20_000)`` points where there are more. From 129 clusters
        on, it draws in rounds: by the same distances, but which of two draws is better is told
        from the drawn points nearest to each point.
    n_init : int or "auto"
        How often `fit` runs, from other first centers each time; the run of least inertia counts,
        the first of equals. One run, with a `RuntimeWarning`, where `init` gives the centers.
        ``"auto"`` as in scikit-learn: 10 runs from ``"random"`` centers, 3 with `batch_size`,
        otherwise 1.
    max_iter : int
        Rounds at most: of assignment and update, or with `batch_size` passes over the points.
    batch_size : int, optional
        Update the centers after each batch of so many points, in an order drawn for each pass;
        a center is the mean of all points that it was ever given. None: only after all points.
    reassignment_ratio : float
        A mini-batch moves clusters to points of its own, drawn at random, that had fewer points
        than this part of the largest; 0: never. As in scikit-learn's `MiniBatchKMeans`.
    tol : float
        Stop when the squared movements of the centers in a round add up to no more than this
        part of the features' mean variance.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Of all draws. By an int, >= 0, each `fit` draws the same. Of a generator, each takes what
        comes next; None stands for NumPy's global one, which ``numpy.random.seed`` sets.
    callback : callable, optional
        Called with the number of the round, from 1 in each run, and the inertia that was found in
        it, which is of the centers before their update.
    threads : int, optional
        Default `get_num_threads`. Results do not depend on it.

    Attributes
    ----------
    cluster_centers_ : ndarray of float32, shape (n_clusters, d)
    labels_ : ndarray of int32, shape (n,)
        The points' clusters, by the final centers.
    inertia_ : float
        Sum of squared distances from the centers, or of 1 - cosine, times `sample_weight`; of the
        final centers.
    n_iter_ : int
        Rounds; of `partial_fit` the batches.
    n_features_in_ : int
    feature_names_in_ : ndarray of object, shape (d,)
        Names of the columns, where `fit` was given a data frame with names of type str. Other
        names are an error then; points without names, or with names that `fit` did not see, a
        `UserWarning`.

    Notes
    -----
    One `random_state` gives the same bits on every instruction set and number of threads: draws
    come from the raw stream of ``numpy.random.PCG64`` and sums are added in a fixed order. An empty
    cluster takes the point farthest from its center, the lowest row of equals; in mini-batches it
    waits for `reassignment_ratio`. Points that are C-contiguous and float32, float16 or bfloat16
    (of `ml_dtypes`) are not copied; those of half precision give the bits of the same in float32.

    Distances are float32 scores, so squared distances beyond the range of float32 are infinite or
    zero: scale such data first.

    Lloyd (1982); k-means++: Arthur and Vassilvitskii (2007); spherical: Dhillon and Modha (2001);
    mini-batches: Sculley (2010). It works in scikit-learn's pipelines, searches and `clone`, and
    does not import it.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> points = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    >>> model = vr.KMeans(2, random_state=1).fit(points)
    >>> sorted(model.cluster_centers_.tolist()), model.inertia_
    ([[0.0, 0.5], [9.0, 8.5]], 1.0)
    """

    _held: I32 | None = None  # see `LloydOptions` in the core
    _batches: Batches | None
    _draws: Draws
    _masses: F64  # of the clusters of `labels_`
    cluster_centers_: F32
    labels_: I32
    inertia_: float
    n_iter_: int

    def __init__(
        self,
        n_clusters: int,
        *,
        metric: Metric = "l2",
        init: Init = "k-means++",
        n_init: int | Literal["auto"] = 1,
        max_iter: int = 25,
        batch_size: int | None = None,
        reassignment_ratio: float = 0.01,
        tol: float = 1e-4,
        random_state: RandomState = 0,
        callback: Callable[[int, float], object] | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.reassignment_ratio = reassignment_ratio
        self.tol = tol
        self.random_state = random_state
        self.callback = callback
        self.threads = threads

    def _check_attributes(self) -> None:
        """Check what `fit` has found; it checks the parameters itself."""
        if not self._is_fitted():
            return
        dim = _scalars.check_positive_int(self.n_features_in_, "n_features_in_")
        centers = _validation.check_vectors(self.cluster_centers_, "cluster_centers_", dim)
        labels = expect(self.labels_, np.ndarray, "labels_")
        if labels.dtype != np.int32 or labels.ndim != 1:
            raise ValueError(
                f"labels_: expected a row of int32, got shape {labels.shape} of {labels.dtype}"
            )
        _ids.check_labels(labels, "labels_", labels.size, len(centers))
        self.cluster_centers_, self.labels_ = centers, contiguous(labels, np.int32)
        _scalars.check_float(self.inertia_, "inertia_")
        _scalars.check_int(self.n_iter_, "n_iter_", 0)
        self._masses = check_masses(self._masses, "masses", len(centers))
        expect(self._draws, Draws, "random_state")
        if self._names_in is not None:
            expect_names(self._names_in, dim)
        if self._batches is not None:
            shape = expect(self._batches, Batches, "batches").centers.shape
            if shape != centers.shape:
                raise ValueError(f"batches: expected centers of {centers.shape}, got {shape}")

    def fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> "KMeans":
        """Find the centers of points.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
            At least `n_clusters` points.
        y : object
            Not looked at.
        sample_weight : array_like of float, shape (n,), optional
            How much each point counts, finite and >= 0: one of weight 2 like two points, one of
            weight 0 gets a label and has no influence. Default 1.

        Returns
        -------
        KMeans
            This model.

        Raises
        ------
        TypeError, ValueError
            If a parameter, `X` or `sample_weight` is not as described.

        Warns
        -----
        ConvergenceWarning
            If fewer than `n_clusters` points differ.
        """
        run = Run(self, X, sample_weight)
        run.need(run.k)
        names = names_of(X)
        draws = Draws(self.random_state)
        self._keep(run, run.fit(draws), draws, names)
        self._warn_of_few(run)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> "KMeans":
        """Update the centers by one batch of points.

        Parameters
        ----------
        X : array_like of float, shape (b, d)
            The first batch also gives the first centers and must hold `n_clusters` points. After
            `fit` with all points at once, each center counts as the mean of its cluster.
        y : object
            Not looked at.
        sample_weight : array_like of float, shape (b,), optional
            As `fit` takes it.

        Returns
        -------
        KMeans
            This model; `labels_` and `inertia_` are of the batch, by the new centers.

        Raises
        ------
        TypeError, ValueError
            If a parameter, `X` or `sample_weight` is not as described.
        """
        fitted = self._is_fitted()
        if fitted:
            check_names(X, self._names_in, type(self).__name__, stacklevel=2)
        run = Run(self, X, sample_weight, self.n_features_in_ if fitted else None)
        names = self._names_in if fitted else names_of(X)
        draws = deepcopy(self._draws) if fitted else Draws(self.random_state)
        batches = self._batches_so_far(run) if fitted else self._first_batch(run, draws)
        inertia = run.add_batch(batches, draws)
        rounds = self.n_iter_ + 1 if fitted else 1
        found = Outcome(batches, batches.centers, rounds, *run.final(batches.centers))
        self._keep(run, found, draws, names)
        if run.callback is not None:
            run.callback(self.n_iter_, inertia)
        return self

    def _first_batch(self, run: Run, draws: Draws) -> Batches:
        run.need(run.k)
        return Batches(run.first_centers(draws))

    def _batches_so_far(self, run: Run) -> Batches:
        centers = self._centers()
        if len(centers) != run.k:
            raise ValueError(f"n_clusters: expected {len(centers)}, as fitted, got {run.k}")
        if self._batches is not None:
            return copy(self._batches)  # an interrupted batch leaves them as they are
        return Batches(centers, self._masses)

    def predict(self, X: npt.ArrayLike) -> I32:
        """Find the nearest center of each point.

        Parameters
        ----------
        X : array_like of float, shape (n, d)

        Returns
        -------
        ndarray of int32, shape (n,)
            Labels; -1 for a zero point under cosine.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        TypeError, ValueError
            If `X` is not as described.
        """
        points = self._points(X)
        labels, _ = _core.assign(points, self._centers(), 1, *self._how())
        return labels[:, 0]

    def fit_predict(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> I32:
        """Fit, and return `labels_`."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def transform(self, X: npt.ArrayLike) -> F32:
        """Measure the distance of each point from every center.

        Parameters
        ----------
        X : array_like of float, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, n_clusters)
            Euclidean distances; under cosine 1 - cosine, which is 1 for a zero point. A data frame
            where `set_output` says so.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        TypeError, ValueError
            If `X` is not as described.
        """
        found: F32 = self._contained(self._distances(self._points(X)), X)
        return found

    def _distances(self, points: Array) -> F32:
        centers = self._centers()
        distances = np.empty((len(points), len(centers)), np.float32)
        for block in blocks(len(points), len(centers)):
            scores = all_scores(points[block], centers, *self._how())
            with _core.FpEnvironment():
                if self.metric == "l2":
                    np.sqrt(0 - scores, out=distances[block])
                else:
                    scores[np.isneginf(scores)] = 0  # zero points
                    np.maximum(1 - scores, 0, out=distances[block])
        return distances

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def fit_transform(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> F32:
        """Fit, and return the distances of `transform`."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def score(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Judge the centers by other points.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : object
            Not looked at.
        sample_weight : array_like of float, shape (n,), optional
            As `fit` takes it.

        Returns
        -------
        float
            Minus the inertia of `X`: larger is better.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        TypeError, ValueError
            If `X` or `sample_weight` is not as described.
        """
        points = self._points(X)
        weights = _validation.check_sample_weight(sample_weight, "sample_weight", len(points))
        if weights is not None:
            points, weights = points[weights > 0], weights[weights > 0]
        return -_core.Lloyd(points, *self._how(), weights).assign(self._centers())[2]

    def _centers(self) -> F32:
        """Check centers that were set from outside; those of `fit` are ready."""
        return _validation.check_vectors(
            self.cluster_centers_, "cluster_centers_", self.n_features_in_
        )

    def _how(self) -> tuple[_core.Metric, int]:
        return _scalars.check_choice(self.metric, "metric", METRICS), _scalars.check_threads(
            self.threads
        )

    def _keep(self, run: Run, found: Outcome, draws: Draws, names: Names | None) -> None:
        fitted = {
            "_batches": found.batches,
            "_draws": draws,
            "_masses": run.masses(found.labels),
            "_names_in": names,
            "cluster_centers_": found.centers,
            "labels_": found.labels,
            "inertia_": found.inertia,
            "n_iter_": found.rounds,
            "n_features_in_": run.points.shape[1],
        }
        vars(self).update(fitted)  # at once: no signal comes in between

    def _warn_of_few(self, run: Run) -> None:
        """Warn as scikit-learn does, but not of clusters that are empty for other reasons."""
        found = np.unique(self.labels_[self.labels_ >= 0]).size
        if found == run.k or self._held is not None or run.n_different() >= run.k:
            return
        warnings.warn(
            f"Number of distinct clusters ({found}) found smaller than n_clusters ({run.k}). "
            "Possibly due to duplicate points in X.",
            known_to_sklearn(ConvergenceWarning),
            stacklevel=3,
        )
