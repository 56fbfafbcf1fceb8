"""Residual embeddings: the center of a category, and what a row adds to it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._ragged_ops import blocks
from vecrecall.cluster._kmeans import KMeans
from vecrecall.train._capacity_index import unit_rows
from vecrecall.train._columns import (
    Column,
    check_counts,
    check_optional_keys,
    number,
    numbering,
)
from vecrecall.train._embedding import Embedding, Metric, about
from vecrecall.train._residual_embedding import Labels, ResidualEmbedding, Weights
from vecrecall.train._residual_report import Rows, make_report


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

    Under cosine the result has two uses. By cosine a rare row is nearly as close to everything as
    its center is: rare rows are found more often. By ip (``embedding.to_index(metric="ip")``) a row
    that was drawn to its center is shorter, and its score is the cosine to be expected: all rows
    together are found more often.

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
    residuals = _residuals(rows, centers, labels, shares)
    settings = {"penalty": strength, "n_clusters": n_clusters, "seed": seed}
    data = {"rows": len(rows), "dim": rows.shape[1], "categories": len(names)}
    made = about("residual", settings, data, [])
    made["of"] = given.about
    report = make_report(rows, centers, residuals, labels)
    return ResidualEmbedding(
        given.ids, centers, residuals, labels, names, times, given.metric, report, made
    )


def _rows(embedding: Any) -> tuple[Rows, Embedding]:
    """Return the rows, under cosine divided by their lengths, and what they are rows of."""
    if not isinstance(embedding, Embedding):
        matrix = _validation.check_vectors(embedding, "embedding")
        embedding = Embedding(range(len(matrix)), matrix, metric="cosine")
    rows = _validation.check_vectors(embedding.matrix, "embedding")
    return unit_rows(rows) if embedding.metric == "cosine" else rows, embedding


def _shares(counts: Weights, penalty: float) -> Weights:
    """Tell how much of its residual each row keeps."""
    if penalty == 0:
        return np.ones(len(counts))
    return np.asarray(counts / (counts + penalty))


def _given(categories: Column, n: int) -> tuple[Labels, list[Hashable]]:
    """Return labels in the order in which categories first come, -1 for a missing one."""
    values = check_optional_keys(categories, "categories", n)
    numbers = numbering(value for value in values if value is not None)
    labels = number(values, numbers)
    return labels.astype(np.int32), list(numbers)


def _means(rows: Rows, labels: Labels, weights: Weights, k: int) -> Rows:
    """Average the rows of each category, by their weights where it has any."""
    totals = np.bincount(labels[labels >= 0], weights[labels >= 0], k)
    unseen = np.append(totals == 0, False)[labels]
    used = np.where(unseen, 1.0, weights)
    sums = np.zeros((k, rows.shape[1]))
    known = np.flatnonzero(labels >= 0)
    for block in blocks(known.size, rows.shape[1]):
        at = known[block]
        np.add.at(sums, labels[at], rows[at] * used[at, None])
    sizes = np.bincount(labels[known], used[known], k)
    return (sums / sizes[:, None]).astype(np.float32)


def _residuals(rows: Rows, centers: Rows, labels: Labels, shares: Weights) -> Rows:
    """Subtract centers, and shorten what is left; a row without a category is left as it is."""
    own = np.concatenate([centers, np.zeros((1, rows.shape[1]), np.float32)])  # of label -1
    kept = np.where(labels < 0, 1, shares)
    found = np.empty(rows.shape, np.float32)
    for block in blocks(*rows.shape):
        rest = rows[block].astype(np.float64) - own[labels[block]]
        found[block] = rest * kept[block, None]
    return found


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
