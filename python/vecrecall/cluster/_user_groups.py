"""Groups of users whose labels keep their meaning: frozen centers, refreshed one to one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall._extras import needed
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._conversion import aligned
from vecrecall.arrays._pooling import pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import F32, F64, I32, I64
from vecrecall.cluster._assign import Assignment, all_scores, assign
from vecrecall.cluster._kmeans import KMeans, Metric
from vecrecall.cluster._lloyd import METRICS, Batches
from vecrecall.storage import _array_folder

_KIND = "UserGroups"
_REMEMBERED = ("max_iter", "batch_size", "tol", "random_state")


class RefreshReport(NamedTuple):
    """The changes of a refresh; rows are labels.

    Attributes
    ----------
    moved : float
        The share of the given users whose label by the new centers is another than by the old.
    shifts : ndarray of float64, shape (n_groups,)
        How far each center moved: Euclidean distance, under cosine 1 - cosine; NaN for a label
        that is not in use.
    sizes_before, sizes_after : ndarray of int64, shape (n_groups,)
        How many of the given users each label has by the old centers, and by the new.
    appeared, vanished : ndarray of int32
        Labels that have users only after, and only before.
    """

    moved: float
    shifts: F64
    sizes_before: I64
    sizes_after: I64
    appeared: I32
    vanished: I32


class UserGroups:
    """Clusters of users with frozen centers; made by `fit` or `load`, never changed.

    Its arrays are read-only, those of copies and of what was pickled, too.

    A ranker learns from the label, so that a label must mean the same for a long time: new and
    changed users get the label of the nearest frozen center, and `refresh` matches new centers to
    old labels one to one.

    Attributes
    ----------
    centers : ndarray of float32, shape (n_groups, d)
        One row per label; NaN for a label that is not in use.
    labels : ndarray of int32, shape (n,)
        Of the users that the groups were fitted to or last refreshed with; -1 for a zero vector
        under cosine.
    labels_in_use : ndarray of int32
        Labels that were not merged away, ascending.
    sizes : ndarray of int64, shape (n_groups,)
        How many of `labels` each label has.
    metric : {"l2", "cosine"}
    version : int
        1 after `fit`; one more after each `refresh` and each `merge_small` that merges.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> users = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    >>> groups = vr.UserGroups.fit(users, 2)
    >>> new, report = groups.refresh(users + 1)
    >>> new.version, report.moved, np.array_equal(new.labels, groups.labels)
    (2, 0.0, True)
    """

    def __init__(
        self, centers: F32, labels: I32, metric: Metric, version: int, kmeans: dict[str, Any]
    ) -> None:
        for array in (centers, labels):
            array.flags.writeable = False
        self.centers = centers
        self.labels = labels
        self.metric = metric
        self.version = version
        self._kmeans = kmeans
        self.labels_in_use: I32 = np.flatnonzero(_core.finite_rows(centers)).astype(np.int32)
        self.labels_in_use.flags.writeable = False
        # Of labels that are equally near, those with users come first.
        empty = self.sizes[self.labels_in_use] == 0
        self._order: I32 = self.labels_in_use[np.argsort(empty, kind="stable")]
        self._used_centers = centers[self._order]

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies as a load does: flags of arrays are not copied, and nothing is trusted."""
        about = {"metric": self.metric, "version": self.version, "kmeans": self._kmeans}
        arrays = {"centers": self.centers, "labels": self.labels}
        return type(self)._restored, (about, arrays)

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        n_groups: int,
        *,
        metric: Metric = "l2",
        **kmeans: Any,
    ) -> "UserGroups":
        """Cluster users.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
            One row per user.
        n_groups : int
        metric : {"l2", "cosine"}
        **kmeans : object
            What else `KMeans` takes. `refresh` uses the same `max_iter`, `batch_size` and `tol`,
            and `random_state` or what `fit` took from it.

        Returns
        -------
        UserGroups

        Raises
        ------
        TypeError, ValueError
            As `KMeans.fit` does.
        """
        x = _validation.check_vectors(vectors, "vectors")
        groups = _scalars.check_positive_int(n_groups, "n_groups")
        KMeans._check_names(kmeans, ("n_clusters", "metric"))
        if len(x) < groups:
            raise ValueError(f"vectors: expected at least n_groups={groups} rows, got {len(x)}")
        model = KMeans(groups, metric=metric, **kmeans).fit(x)
        return cls(model.cluster_centers_, model.labels_, metric, 1, _remembered(model))

    @property
    def sizes(self) -> I64:
        """How many of `labels` each label has, shape (n_groups,)."""
        return _sizes(self.labels, len(self.centers))

    def __len__(self) -> int:
        return len(self.centers)

    def __repr__(self) -> str:
        return (
            f"UserGroups({self.labels_in_use.size} of {len(self)} labels in use, "
            f"metric {self.metric!r}, version {self.version})"
        )

    def assign(
        self, vectors: npt.ArrayLike, m: int = 1, *, threads: int | None = None
    ) -> Assignment:
        """Find the `m` nearest groups of new or changed users, by the frozen centers.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
        m : int
            At most the number of labels in use.
        threads : int, optional

        Returns
        -------
        Assignment
            As `vecrecall.assign` gives it; but of labels that are equally near, those that have
            users (see `sizes`) come first, then the lowest.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        x = _validation.check_queries(vectors, "vectors", self.centers.shape[1])
        if _scalars.check_positive_int(m, "m") > self.labels_in_use.size:
            most = self.labels_in_use.size
            raise ValueError(f"m: expected at most {most}, the number of labels in use, got {m}")
        near = assign(x, self._used_centers, m=m, metric=self.metric, threads=threads)
        return near._replace(labels=_renamed(near.labels, self._order))

    def refresh(self, vectors: npt.ArrayLike, **kmeans: Any) -> "tuple[UserGroups, RefreshReport]":
        """Cluster all users again, starting from these centers, and match the labels one to one.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
            All users as they are now, at least as many as labels are in use. In the same order
            as `labels`, if there are as many: of labels that are equally near, a user has that.
        **kmeans : object
            Arguments of `KMeans` other than `n_clusters`, `metric` and `init`, where they differ
            from `fit`.

        Returns
        -------
        (UserGroups, RefreshReport)
            Each new center has the label of an old one, so that the squared distances between
            them (under cosine 1 - cosine) add up to the least; of equal sums, the one in which
            more centers keep the label that they had. The labels in use stay the same. A user
            between centers that are equally near keeps the label held before; a label that no
            user has any more keeps its center.

        Raises
        ------
        ImportError
            If scipy is not installed: ``pip install 'vecrecall[cluster]'``.
        TypeError, ValueError
            If an argument is not as described.
        """
        solver = needed("scipy.optimize", "cluster", "UserGroups.refresh").linear_sum_assignment
        x = _validation.check_vectors(vectors, "vectors", self.centers.shape[1])
        used = self._order
        KMeans._check_names(kmeans, ("n_clusters", "metric", "init"))
        if len(x) < used.size:
            raise ValueError(
                f"vectors: expected at least {used.size} rows, one per label in use, got {len(x)}"
            )
        parameters = {"metric": self.metric, **self._kmeans, **kmeans}
        model = KMeans(used.size, init=self._used_centers, **parameters)
        held = model._held = self._held(x)
        model.fit(x)
        cost = _dissimilarities(self._used_centers, model.cluster_centers_, self.metric)
        new = _matched(solver, cost, _sizes(model.labels_, used.size) > 0)
        found = cost[np.arange(used.size), new]
        centers, shifts = np.full_like(self.centers, np.nan), np.full(len(self), np.nan)
        centers[used] = model.cluster_centers_[new]
        shifts[used] = found if self.metric == "cosine" else np.sqrt(found)
        names = np.empty_like(used)
        names[new] = used
        labels = _renamed(model.labels_, names)
        groups = UserGroups(centers, labels, self.metric, self.version + 1, _remembered(model))
        return groups, _report(_renamed(held, used), groups, shifts)

    def _held(self, x: F32) -> I32:
        """Find each user's label by these centers, as its place in `_order`.

        Where users are as many as `labels`, those tell which of equally near ones it is; if they
        are others, one is as good as another.
        """
        code, threads = METRICS[self.metric], _core.num_threads()
        before = None
        if len(x) == len(self.labels):
            places = np.full(len(self) + 1, -1, np.int32)  # the last for label -1
            places[self._order] = np.arange(self._order.size)
            before = places[self.labels]
        return _core.assign_sums(x, self._used_centers, code, threads, None, before)[0][:, 0]

    def merge_small(self, min_size: int) -> "UserGroups":
        """Merge groups of too few users into the most similar ones.

        The smallest group first (the lowest label of equals) joins the one with the nearest
        center, which becomes the mean of both, weighted by their sizes, until no group is too
        small or only one is left. Other labels keep their meaning; the merged ones are in use no
        longer.

        Parameters
        ----------
        min_size : int
            Users that a group must have, by `sizes`; at least 1.

        Returns
        -------
        UserGroups
            These, where no group is too small.

        Raises
        ------
        TypeError, ValueError
            If `min_size` is not as described.
        """
        least = _scalars.check_positive_int(min_size, "min_size")
        centers, sizes = self.centers.copy(), self.sizes
        used, targets = self.labels_in_use, np.arange(len(self), dtype=np.int32)
        while used.size > 1 and sizes[used].min() < least:
            label = used[sizes[used].argmin()]
            used = used[used != label]
            near, _ = _core.assign(
                centers[[label]], centers[used], 1, METRICS[self.metric], _core.num_threads()
            )
            target = used[near[0, 0]]
            joined = Batches(centers[[target]], sizes[[target]])
            own = Batches(centers[[label]], sizes[[label]])
            joined.add(own.sums, own.counts, self.metric == "cosine")
            centers[target], centers[label] = joined.centers[0], np.nan
            sizes[target] += sizes[label]
            targets[targets == label] = target
        if used.size == self.labels_in_use.size:
            return self
        labels = _renamed(self.labels, targets)
        return UserGroups(centers, labels, self.metric, self.version + 1, self._kmeans)

    def profile(
        self, vectors: npt.ArrayLike, labels: npt.ArrayLike, *, threads: int | None = None
    ) -> F32:
        """Pool the vectors of each group into those of pseudo-users.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
            Of any kind: those that were clustered or others, for example tag vectors.
        labels : array_like of int, shape (n,)
            Each user's group; -1 for none.
        threads : int, optional

        Returns
        -------
        ndarray of float32, shape (n_groups, d)
            Sums divided by their lengths; zeros for a group without users.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        x = _validation.check_vectors(vectors, "vectors")
        own = _ids.check_labels(labels, "labels", len(x), len(self))
        order = np.argsort(own, kind="stable")
        members = order[np.count_nonzero(own < 0) :]
        offsets = offsets_of(_sizes(own, len(self)))
        return pool(x, Ragged._of(members, offsets), normalize=True, threads=threads)

    def save(self, path: str | Path) -> None:
        """Write the groups into a folder: `.npy` arrays and a JSON manifest.

        Parameters
        ----------
        path : str or Path
            A folder, created with its parents where there is none; groups in it are replaced.
        """
        about = {"metric": self.metric, "version": self.version, "kmeans": self._kmeans}
        arrays = {"centers": self.centers, "labels": self.labels}
        _array_folder.save(_scalars.check_path(path, "path"), _KIND, about, arrays)

    @classmethod
    def load(cls, path: str | Path) -> "UserGroups":
        """Read groups that `save` has written.

        Parameters
        ----------
        path : str or Path
            The folder.

        Returns
        -------
        UserGroups

        Raises
        ------
        FileNotFoundError
            If there are no groups in the folder.
        ValueError
            If something else is in it.
        """
        about, arrays = _array_folder.load(_scalars.check_path(path, "path"), _KIND, verify=True)
        return cls._restored(about, arrays, "path", str(path))

    @classmethod
    def _restored(
        cls,
        about: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        name: str = "pickle",
        place: str = "it",
    ) -> "UserGroups":
        """Make groups of untrusted data; messages begin with `name`."""
        missing = [n for n in ("metric", "version", "kmeans") if n not in about]
        missing += [n for n in ("centers", "labels") if n not in arrays]
        if missing:
            raise ValueError(f"{name}: expected whole groups, got none of {missing} in {place}")
        metric, version, kmeans = about["metric"], about["version"], about["kmeans"]
        if not isinstance(metric, str) or metric not in METRICS:
            raise ValueError(f"{name}: expected one of {list(METRICS)}, got {metric!r} in {place}")
        if type(version) is not int or version < 1:
            raise ValueError(f"{name}: expected a version >= 1, got {version!r} in {place}")
        if not isinstance(kmeans, dict) or not kmeans.keys() <= set(_REMEMBERED):
            raise ValueError(f"{name}: expected options {_REMEMBERED}, got {kmeans!r} in {place}")
        centers, labels = (aligned(arrays[n]) for n in ("centers", "labels"))
        _check_arrays(centers, labels, name, place)
        return cls(centers, labels, cast(Metric, metric), version, kmeans)


def _check_arrays(centers: Any, labels: Any, name: str, place: str) -> None:
    for array, dtype, ndim in ((centers, np.float32, 2), (labels, np.int32, 1)):
        fits = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == ndim
        if not fits or not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected centers and labels, got another array in {place}")
    if labels.min(initial=0) < -1 or labels.max(initial=-1) >= len(centers):
        raise ValueError(
            f"{name}: expected labels from -1 to {len(centers) - 1}, got others in {place}"
        )


def _remembered(model: KMeans) -> dict[str, Any]:
    values = {name: getattr(model, name) for name in _REMEMBERED}
    values["random_state"] = model._draws.seed  # a generator could not be saved
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}


def _renamed(labels: I32, names: I32) -> I32:
    """Give labels other names; -1 stays."""
    return np.where(labels >= 0, names[labels], np.int32(-1))


def _matched(solver: Any, cost: F64, alive: npt.NDArray[np.bool_]) -> I64:
    """Match old centers (rows) with new ones (columns): the new one of each old.

    A center without users has not moved and keeps its label; the others are matched at the least
    cost, and among equals by as many as can be to where they came from.
    """
    new = np.arange(len(cost))
    own = np.flatnonzero(alive)
    new[own] = own[solver(cost[np.ix_(own, own)])[1]]
    olds = np.argsort(new)
    for i in np.flatnonzero(new != np.arange(len(new))).tolist():
        other, had = olds[i], new[i]
        if cost[i, i] + cost[other, had] <= cost[i, had] + cost[other, i]:
            new[i], new[other] = i, had
            olds[i], olds[had] = i, other
    return new


def _sizes(labels: npt.NDArray[Any], k: int) -> I64:
    return np.bincount(labels[labels >= 0], minlength=k)


def _dissimilarities(a: F32, b: F32, metric: str) -> F64:
    """Compare rows with rows: squared distances, or 1 - cosine."""
    scores = all_scores(a, b, METRICS[metric], _core.num_threads()).astype(np.float64)
    values = np.maximum((1.0 if metric == "cosine" else 0.0) - scores, 0)
    return np.minimum(values, np.finfo(np.float32).max)  # scipy takes no infinity


def _report(before: I32, groups: UserGroups, shifts: F64) -> RefreshReport:
    old, new = _sizes(before, len(groups)), groups.sizes
    return RefreshReport(
        int(np.count_nonzero(before != groups.labels)) / max(1, before.size),
        shifts,
        old,
        new,
        np.flatnonzero((old == 0) & (new > 0)).astype(np.int32),
        np.flatnonzero((old > 0) & (new == 0)).astype(np.int32),
    )
