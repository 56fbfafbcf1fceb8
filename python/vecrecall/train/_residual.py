"""Residual embeddings: the center of a category, and what a row adds to it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars, _validation
from vecrecall.cluster._assign import from_residuals
from vecrecall.cluster._kmeans import KMeans
from vecrecall.storage import _array_folder
from vecrecall.train._columns import (
    Column,
    check_counts,
    check_length,
    is_missing,
    number,
    numbering,
    values_of,
)
from vecrecall.train._embedding import (
    Embedding,
    Metric,
    about,
    keys_from_arrays,
    keys_to_arrays,
)

KIND = "ResidualEmbedding"

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ResidualReport:
    """How much tighter the categories are; means over the rows that have one.

    Attributes
    ----------
    rows : int
        Number of rows with a category.
    without_category : int
        Number of rows without, which keep their vectors.
    categories : int
    cohesion_before, cohesion_after : float
        Mean cosine of a row and the center of its category; 0 counts where either is zero.
    length_before, length_after : float
        Mean length of the residuals without and with the penalty.
    """

    rows: int
    without_category: int
    categories: int
    cohesion_before: float
    cohesion_after: float
    length_before: float
    length_after: float


class ResidualRecall(NamedTuple):
    """How many targets are among the nearest rows of their items.

    Attributes
    ----------
    recall : float
        Over all pairs; NaN without any.
    rare_recall : float
        Over the pairs whose target is rare; NaN without any.
    n_pairs, n_rare : int
    """

    recall: float
    rare_recall: float
    n_pairs: int
    n_rare: int


class ResidualEmbedding:
    """Vectors as centers of categories plus penalized residuals; `residual` makes it.

    Attributes
    ----------
    embedding : Embedding
        The vectors, ``vecrecall.from_residuals(residuals, centers, labels)``.
    centers : ndarray of float32, shape (n_categories, d)
    residuals : ndarray of float32, shape (n, d)
        What each row adds to its center; the whole vector of a row without a category.
    labels : ndarray of int32, shape (n,)
        Each row's category; -1 for none.
    categories : list of hashable
        The name of each label: the given category, or the number of the cluster.
    counts : ndarray of float64, shape (n,)
        How often each key was seen.
    report : ResidualReport
    """

    def __init__(
        self,
        ids: list[Hashable],
        centers: Rows,
        residuals: Rows,
        labels: Labels,
        categories: list[Hashable],
        counts: Weights,
        metric: Metric,
        report: ResidualReport,
        about: Mapping[str, Any],
    ) -> None:
        self.centers = centers
        self.residuals = residuals
        self.labels = labels
        self.categories = categories
        self.counts = counts
        self.report = report
        matrix = from_residuals(residuals, centers, labels)
        self.embedding = Embedding(ids, matrix, metric=metric, about=about)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.embedding)

    def __repr__(self) -> str:
        of = f"{len(self)} x {self.embedding.dim} in {len(self.categories)} categories"
        return f"<ResidualEmbedding of {of}, {self.embedding.metric}>"

    def center(self, category: Hashable) -> Rows:
        """Return the center of a category: the vector for a key of it that was never seen.

        Parameters
        ----------
        category : hashable

        Returns
        -------
        ndarray of float32, shape (d,)

        Raises
        ------
        KeyError
            If there is no such category.
        """
        if category not in self.categories:
            raise KeyError(f"category: no center for {category!r}")
        return np.array(self.centers[self.categories.index(category)])

    def recall(
        self, items: Column, targets: Column, *, k: int = 100, max_count: float | None = None
    ) -> ResidualRecall:
        """Measure how many targets are among the `k` nearest rows of their items.

        Parameters
        ----------
        items, targets : column of hashable, m of them
            Pairs that should be near, for example what a user clicked and clicked next, which
            were not trained on. An item is not among its own neighbors.
        k : int
        max_count : float, optional
            A target is rare if its count is at most this; default the median of `counts`.

        Returns
        -------
        ResidualRecall
            To be compared with that of ``residual(..., penalty=0)``, the vectors as they were.

        Raises
        ------
        KeyError
            If a key has no vector.
        """
        begin, end = self.embedding.rows(items), self.embedding.rows(targets)
        check_length(end, "targets", len(begin))
        most = np.median(self.counts) if max_count is None else max_count
        rows, place = np.unique(begin, return_inverse=True)
        index = self.embedding.to_index(ids=np.arange(len(self)), invalid="skip")
        found = index.search(
            self.embedding.matrix[rows], k, exclude=rows[:, None].tolist(), invalid="empty"
        ).ids
        hits = np.array([end[i] in found[place[i]] for i in range(len(end))], bool)
        rare = self.counts[end] <= most
        return ResidualRecall(_mean(hits), _mean(hits[rare]), len(hits), int(rare.sum()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder of `.npy` files and a JSON manifest, in one step.

        Parameters
        ----------
        path : str or path-like
            An empty folder, one to be made, or a saved one of this kind, which is replaced.

        Raises
        ------
        TypeError
            If a key or category cannot be saved, as of `Embedding.save`.
        OSError
            If the folder cannot be written.
        """
        names = keys_to_arrays(self.categories)
        arrays: dict[str, npt.NDArray[Any]] = {
            "centers": self.centers,
            "residuals": self.residuals,
            "labels": self.labels,
            "counts": self.counts,
            **keys_to_arrays(self.embedding.ids),
            **{name.replace("key", "category"): array for name, array in names.items()},
        }
        about = {
            "metric": self.embedding.metric,
            "about": self.embedding.about,
            "report": asdict(self.report),
        }
        _array_folder.save(Path(path), KIND, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResidualEmbedding:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        ResidualEmbedding

        Raises
        ------
        ValueError
            If the folder holds something else, or a file is damaged.
        FileNotFoundError
            If it does not exist.
        """
        content, arrays = _array_folder.load(Path(path), KIND, verify=True)
        names = {
            name.replace("category", "key"): array
            for name, array in arrays.items()
            if name.startswith("category")
        }
        return cls(
            keys_from_arrays(arrays, path),
            arrays["centers"],
            arrays["residuals"],
            arrays["labels"],
            keys_from_arrays(names, path),
            arrays["counts"],
            content["metric"],
            ResidualReport(**content["report"]),
            content["about"],
        )


def residual(
    embedding: Embedding | npt.ArrayLike,
    *,
    categories: Column | None = None,
    n_clusters: int | None = None,
    penalty: float = 1.0,
    counts: Column | None = None,
    seed: int = 0,
) -> ResidualEmbedding:
    """Draw rows towards the center of their category, rare ones most (residual embeddings).

    Parameters
    ----------
    embedding : Embedding or array_like of float, shape (n, d)
        An array counts as an embedding by cosine whose keys are the rows. Under cosine each row
        is divided by its length first.
    categories : column of hashable, n of them, optional
        Each row's category. A missing one (None or NaN): the row keeps its vector.
    n_clusters : int, optional
        Instead of categories, so many clusters of the rows (`vecrecall.KMeans`).
    penalty : float
        At least 0. A row that was seen `penalty` times stands half way between its center and
        where it was; 0 leaves all rows where they were.
    counts : column of float, n of them, optional
        How often each key was seen, >= 0; default 1. A row that was never seen stands at its
        center.
    seed : int
        Of the clusters' first centers.

    Returns
    -------
    ResidualEmbedding

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or not exactly one of `categories` and `n_clusters` is
        given.

    Notes
    -----
    With the vector ``x`` of a row, its count ``n``, its category's center ``c`` and the penalty
    ``p``, the residuals ``r`` and given categories' centers are those that minimize, over all rows,

        ``sum(n * |x - c - r|^2 + p * |r|^2)``

    The gradient by ``r`` is zero at ``r = (x - c) * n / (n + p)``. With these residuals the sum is
    ``sum(p * n / (n + p) * |x - c|^2)``, so that ``c`` is the mean of its category's rows weighted
    by ``n / (n + p)``: once in effect for a frequent row, hardly for a rare one. It is a ridge
    regression of vectors that were measured ``n`` times each; ``p`` stands for the noise of one
    measurement over the spread of the category. In a category of which no row was seen, ``c`` is
    the plain mean. Clusters are found with the same weights, and their centers are `KMeans`'; a row
    that moves towards its nearest center stays in its cluster.

    Alibaba's res-embedding learns residuals with the click model, mixes centers over a graph of
    items and proves that a small radius of an interest group bounds the generalization error; this
    takes vectors that are trained already.

    References
    ----------
    G. Zhou, K. Wu, W. Bian, Z. Yang, X. Zhu, K. Gai, "Res-embedding for Deep Learning Based
    Click-Through Rate Prediction Modeling", DLP-KDD 2019.

    Examples
    --------
    >>> from vecrecall.train import Embedding, residual
    >>> items = Embedding(list("abc"), [[1, 0], [3, 0], [9, 9]], metric="l2")
    >>> model = residual(items, categories=["x", "x", None], counts=[3, 3, 5], penalty=3)
    >>> model.centers.tolist(), model.residuals.tolist()
    ([[2.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0], [9.0, 9.0]])
    >>> model.embedding.matrix.tolist()
    [[1.5, 0.0], [2.5, 0.0], [9.0, 9.0]]
    """
    if (categories is None) == (n_clusters is None):
        got = "neither" if categories is None else "both"
        raise ValueError(f"categories, n_clusters: expected one of the two, got {got}")
    rows, given = _rows(embedding)
    times = np.ones(len(rows)) if counts is None else check_counts(counts, "counts", len(rows))
    strength = _scalars.check_nonnegative(penalty, "penalty")
    seed = _scalars.check_int(seed, "seed", 0)
    shares = _shares(times, strength)
    if categories is not None:
        labels, names = _given(categories, len(rows))
        centers = _means(rows, labels, shares, len(names))
    else:
        labels, centers = _clusters(rows, given.metric, shares, n_clusters, seed)
        names = list(range(len(centers)))
    own = np.concatenate([centers, np.zeros((1, rows.shape[1]), np.float32)])[labels]  # -1: zero
    kept = np.where(labels < 0, 1, shares)[:, None]
    residuals = ((rows.astype(np.float64) - own) * kept).astype(np.float32)
    settings = {"penalty": strength, "n_clusters": n_clusters, "seed": seed}
    data = {"rows": len(rows), "dim": rows.shape[1], "categories": len(names)}
    made = about("residual", settings, data, [])
    made["of"] = given.about
    report = _report(rows, own, residuals, labels, len(names))
    return ResidualEmbedding(
        given.ids, centers, residuals, labels, names, times, given.metric, report, made
    )


def _rows(embedding: Any) -> tuple[Rows, Embedding]:
    """Return the rows, under cosine divided by their lengths, and what they are rows of."""
    if not isinstance(embedding, Embedding):
        matrix = _validation.check_vectors(embedding, "embedding")
        embedding = Embedding(range(len(matrix)), matrix, metric="cosine")
    rows = _validation.check_vectors(embedding.matrix, "embedding")
    if embedding.metric == "cosine":
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        rows = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return rows, embedding


def _shares(counts: Weights, penalty: float) -> Weights:
    """Tell how much of its residual each row keeps."""
    if penalty == 0:
        return np.ones(len(counts))
    return np.asarray(counts / (counts + penalty))


def _given(categories: Column, n: int) -> tuple[Labels, list[Hashable]]:
    """Return labels in the order in which categories first come, -1 for a missing one."""
    values = values_of(categories, "categories")
    check_length(values, "categories", n)
    for row, value in enumerate(values):
        if not isinstance(value, Hashable):
            raise TypeError(
                f"categories: expected hashable ones, got {type(value).__name__} in row {row}"
            )
    numbers = numbering(value for value in values if not is_missing(value))
    # A NaN is a key that no other equals.
    labels = number([None if is_missing(value) else value for value in values], numbers)
    return labels.astype(np.int32), list(numbers)


def _means(rows: Rows, labels: Labels, weights: Weights, k: int) -> Rows:
    """Average the rows of each category, by their weights where it has any."""
    totals = np.bincount(labels[labels >= 0], weights[labels >= 0], k)
    unseen = np.append(totals == 0, False)[labels]
    used = np.where(unseen, 1.0, weights)
    order = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
    sums = np.zeros((k, rows.shape[1]))
    np.add.at(sums, labels[order], rows[order] * used[order, None])
    sizes = np.bincount(labels[order], used[order], k)
    return (sums / sizes[:, None]).astype(np.float32)


def _clusters(
    rows: Rows, metric: Metric, weights: Weights, n_clusters: int | None, seed: int
) -> tuple[Labels, Rows]:
    """Cluster the rows; those without a direction are in no cluster under cosine."""
    used = rows.any(axis=1) if metric == "cosine" else np.ones(len(rows), bool)
    seen = weights[used] if weights[used].any() else np.ones(int(used.sum()))
    k = _scalars.check_positive_int(n_clusters, "n_clusters")
    if k > used.sum():
        raise ValueError(f"n_clusters: expected at most {used.sum()}, the rows, got {k}")
    model = KMeans(k, random_state=seed).fit(rows[used], sample_weight=seen)
    labels = np.full(len(rows), -1, np.int32)
    labels[used] = model.labels_
    return labels, model.cluster_centers_


def _report(
    rows: Rows, own: Rows, residuals: Rows, labels: Labels, categories: int
) -> ResidualReport:
    used = labels >= 0
    before, center, after = rows[used], own[used], residuals[used]
    return ResidualReport(
        rows=int(used.sum()),
        without_category=int((~used).sum()),
        categories=categories,
        cohesion_before=_mean(_cosines(before, center)),
        cohesion_after=_mean(_cosines(center + after, center)),
        length_before=_mean(np.linalg.norm(before.astype(np.float64) - center, axis=1)),
        length_after=_mean(np.linalg.norm(after.astype(np.float64), axis=1)),
    )


def _cosines(a: Rows, b: Rows) -> Weights:
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.asarray((x * y).sum(axis=1) / np.where(lengths > 0, lengths, 1))


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if values.size else float("nan")
