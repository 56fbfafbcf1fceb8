"""How many clusters: where more of them stop helping much."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.cluster._kmeans import KMeans
from vecrecall.cluster._sklearn import ConvergenceWarning
from vecrecall.storage._figures import save_figure


class Elbow(NamedTuple):
    """The curve of inertia over the number of clusters, and the number at its elbow.

    Attributes
    ----------
    candidates : ndarray of int64, shape (c,)
        Numbers of clusters, ascending.
    inertias : ndarray of float64, shape (c,)
    n_clusters : int
        The candidate at the elbow.
    """

    candidates: npt.NDArray[np.int64]
    inertias: npt.NDArray[np.float64]
    n_clusters: int

    def plot(self, path: str | Path) -> None:
        """Write the curve as an image.

        Parameters
        ----------
        path : str or Path
            Its suffix names the format: ``.png``, ``.svg``, ``.pdf``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        figure = needed("matplotlib.figure", "demo", "Elbow.plot").Figure(layout="constrained")
        axes = figure.subplots()
        axes.plot(self.candidates, self.inertias, "o-", color="#1b6ca8")
        axes.axvline(self.n_clusters, color="#c0392b", linestyle="--")
        axes.annotate(
            str(self.n_clusters), (self.n_clusters, 1), (4, -12),
            xycoords=("data", "axes fraction"), textcoords="offset points", color="#c0392b",
        )  # fmt: skip
        axes.set_xlabel("clusters")
        axes.set_ylabel("inertia")
        save_figure(figure, _scalars.check_path(path, "path"))


def elbow(X: npt.ArrayLike, candidates: Sequence[int] | npt.ArrayLike, **kmeans: Any) -> Elbow:
    """Fit `KMeans` with several numbers of clusters, and choose one at the elbow of the inertia.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
    candidates : array_like of int, shape (c,)
        At least three different numbers of clusters.
    **kmeans : object
        Other arguments of `KMeans` than `n_clusters`.

    Returns
    -------
    Elbow
        With the knee that kneed finds; where it finds none, with the candidate farthest below the
        straight line between the ends of the curve.

    Raises
    ------
    ImportError
        If kneed is not installed: ``pip install 'vecrecall[cluster]'``.
    TypeError, ValueError
        If an argument is not as described, or `KMeans` refuses it.

    Notes
    -----
    Each point of the curve is one run of k-means, or the best of `n_init`, and may be a poor
    optimum: look at the plot.
    Kneedle: Satopaa, Albrecht, Irwin and Raghavan (2011).

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> corners = np.repeat([[0, 0], [0, 9], [9, 0]], 20, axis=0)
    >>> noise = np.random.default_rng(0).normal(size=corners.shape)
    >>> vr.elbow(corners + noise, range(1, 9), random_state=1).n_clusters
    3
    """
    locator = needed("kneed", "cluster", "elbow").KneeLocator
    KMeans._check_names(kmeans, ("n_clusters",))
    points = _validation.check_vectors(X, "X")
    numbers = _ids.check_integers(candidates, "candidates")
    numbers = np.unique(numbers)
    if numbers.size < 3 or numbers[0] < 1:
        raise ValueError(
            f"candidates: expected at least three different numbers >= 1, got {numbers.tolist()}"
        )
    # The largest first: it is the one that there may be too few points for.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where more clusters stop helping
        fitted = [KMeans(int(k), **kmeans).fit(points).inertia_ for k in numbers[::-1]]
    inertias = np.array(fitted[::-1])
    return Elbow(numbers, inertias, _knee(locator, numbers, inertias))


def _knee(locator: Any, x: npt.NDArray[np.int64], y: npt.NDArray[np.float64]) -> int:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # it warns where it finds none, and divides by a flat curve
        knee = locator(x, y, curve="convex", direction="decreasing").knee
    if knee is not None:
        return int(knee)
    chord = y[0] + (y[-1] - y[0]) * ((x - x[0]) / (x[-1] - x[0]))
    return int(x[np.argmax(chord - y)])
