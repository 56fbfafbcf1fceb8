"""Capacity by frequency: more dimensions for frequent rows, fewer for rare ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._ragged_ops import blocks
from vecrecall.storage import _array_folder
from vecrecall.train._capacity_index import (
    CapacityIndex,
    cut_rows,
    make_shard,
    multiplied,
    unit_rows,
)
from vecrecall.train._capacity_report import CapacityReport, make_report
from vecrecall.train._columns import Column, check_counts, number, numbering, values_of
from vecrecall.train._embedding import (
    Embedding,
    Metric,
    about,
    index_ids,
    keys_from_arrays,
    keys_to_arrays,
    reading,
)
from vecrecall.train._folders import load_folder

KIND = "CapacityEmbedding"


class CapacityEmbedding:
    """Vectors whose width follows the frequency of their keys; `capacity` makes it.

    Attributes
    ----------
    ids : list of hashable
        In the order of the embedding that was cut.
    metric : {"ip", "cosine", "l2"}
    rotation : ndarray of float32, shape (d, d)
        Orthogonal, but for its rounding: the axes of the rows, as columns, the strongest first.
    parts : list of Embedding
        One per width, the widest first: rows times the rotation's first columns. Under cosine of
        rows divided by their lengths, so that their metric is ip. Under l2 with one column more
        where rows were cut: the length of what was cut away.
    report : CapacityReport
    about : dict
    """

    def __init__(
        self,
        ids: list[Any],
        rotation: npt.NDArray[np.float32],
        parts: Sequence[Embedding],
        report: CapacityReport,
        metric: Metric,
        about: Mapping[str, Any],
    ) -> None:
        self.ids = ids
        self.rotation = rotation
        self.parts = list(parts)
        self.report = report
        self.about = dict(about)
        self.metric: Metric = metric

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.ids)

    def __repr__(self) -> str:
        parts = " + ".join(
            f"{n} x {width}" for n, width in zip(self.report.rows, self.report.widths, strict=True)
        )
        return f"<CapacityEmbedding of {parts}, {self.metric}, from {self.dim} dimensions>"

    @property
    def dim(self) -> int:
        """The width before the cut, which queries have."""
        return len(self.rotation)

    @property
    def projections(self) -> list[npt.NDArray[np.float32]]:
        """The matrix that cuts to each width, shape (d, width): columns of the rotation."""
        return [self.rotation[:, :width] for width in self.report.widths]

    def reconstructed(self) -> Embedding:
        """Bring the cut rows back to full width: their projections on the axes that were kept.

        Returns
        -------
        Embedding
            In the order of `ids`; under cosine of rows divided by their lengths, so that those that
            were cut are shorter than 1.
        """
        matrix = np.empty((len(self), self.dim), np.float32)
        row_of = numbering(self.ids)
        for part, projection in zip(self.parts, self.projections, strict=True):
            matrix[number(part.ids, row_of)] = multiplied(
                part.matrix[:, : projection.shape[1]], projection.T
            )
        return Embedding(self.ids, matrix, metric=self.metric, about=self.about)

    def to_index(self, *, threads: int | None = None) -> CapacityIndex:
        """Build an exact index with a shard per width.

        Parameters
        ----------
        threads : int, optional

        Returns
        -------
        CapacityIndex
            Items are known by the ids that `Embedding.to_index` of the uncut embedding gives them:
            the keys where all are ints >= 0, else the rows, so that ``ids[i]`` is the key. Rows
            that are zero under cosine are left out.
        """
        row_of, numbers = numbering(self.ids), index_ids(self.ids)
        shards, usable = [], np.ones(len(self), bool)
        for part, width in zip(self.parts, self.report.widths, strict=True):
            places, rows = number(part.ids, row_of), part.matrix
            if self.metric == "cosine":
                usable[places] = rows.any(axis=1)
                places, rows = places[usable[places]], rows[usable[places]]
            if len(rows):
                shards.append(make_shard(rows, width, numbers[places], part.metric, threads))
        return CapacityIndex(
            shards, self.rotation, numbers[usable], np.sort(numbers[~usable]), self.metric
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder of `.npy` files and a JSON manifest, in one step.

        Parameters
        ----------
        path : str or path-like
            An empty folder, one to be made, or a saved one of this kind, which is replaced.

        Raises
        ------
        TypeError
            If a key cannot be saved, as of `Embedding.save`.
        OSError
            If the folder cannot be written.
        """
        row_of = numbering(self.ids)
        arrays: dict[str, npt.NDArray[Any]] = {
            "rotation": self.rotation,
            "values": np.concatenate([part.matrix.ravel() for part in self.parts]),
            "rows": np.concatenate([number(part.ids, row_of) for part in self.parts]),
            **keys_to_arrays(self.ids),
        }
        about = {
            "metric": self.metric,
            "about": self.about,
            "report": asdict(self.report),
            "columns": [part.dim for part in self.parts],
        }
        _array_folder.save(_scalars.check_path(path, "path"), KIND, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CapacityEmbedding:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        CapacityEmbedding

        Raises
        ------
        ValueError
            If the folder holds something else, or a file is damaged.
        FileNotFoundError
            If it does not exist.
        """
        content, arrays = load_folder(_scalars.check_path(path, "path"), KIND)
        with reading("a CapacityEmbedding", path):
            return cls._read(content, arrays, path)

    @classmethod
    def _read(
        cls,
        content: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        path: str | os.PathLike[str],
    ) -> CapacityEmbedding:
        ids = keys_from_arrays(arrays, path)
        report = CapacityReport(**content["report"])
        kind = _kind(content["metric"])
        parts, row, place = [], 0, 0
        for columns, n in zip(content["columns"], report.rows, strict=True):
            keys = [ids[i] for i in arrays["rows"][row : row + n].tolist()]
            matrix = arrays["values"][place : place + n * columns].reshape(n, columns)
            parts.append(Embedding(keys, matrix, metric=kind, about=content["about"]))
            row, place = row + n, place + matrix.size
        return cls(ids, arrays["rotation"], parts, report, content["metric"], content["about"])


def capacity(
    embedding: Embedding,
    counts: Column | Mapping[Any, float],
    *,
    widths: Sequence[int] = (64, 32, 16),
    shares: Sequence[float] | None = None,
    thresholds: Sequence[float] | None = None,
    count_exponent: float = 1.0,
) -> CapacityEmbedding:
    """Give frequent rows more dimensions and rare ones fewer (capacity by frequency).

    Rows are rotated to their own axes, the strongest first, and cut: those of the most frequent
    keys to the largest width, the next ones to the next. The memory falls by what `report` says,
    and a search over the cut rows is exact.

    Parameters
    ----------
    embedding : Embedding
    counts : column of float, n of them, or mapping of key to float
        How often each key was seen, >= 0. A key that a mapping lacks counts 0.
    widths : sequence of int
        Decreasing. One that is larger than the embedding's stands for the whole width.
    shares : sequence of float, optional
        Which part of the rows each width gets, >= 0, with the sum 1. Default in proportion to
        1 / width, so that each width takes as much memory as any other. Rows are ranked by count;
        of equal counts, the first rows come first.
    thresholds : sequence of float, optional
        Instead of `shares`, the least count of each width but the last, decreasing. Equal counts
        get equal widths.
    count_exponent : float
        At least 0. The axes are those of the rows weighted by their counts to this power: with 1
        they keep most of what is clicked, and so of queries that are made of it; with 0 every row
        counts once, which is better for the rare ones.

    Returns
    -------
    CapacityEmbedding

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; a wrong count is named by its row in the embedding.

    Notes
    -----
    The rotation is of the eigenvectors of the weighted sum of ``x x^T`` over the rows (under cosine
    divided by their lengths), a principal component analysis without centering. Of all projections
    to w dimensions, that to the first w axes leaves the smallest weighted sum of squared errors.
    Where no row has a weight, every row counts once. Inner products with
    an uncut row are kept; a cut row loses its part on the weaker axes, but not its length: see
    `CapacityIndex`.

    Google's multi-size embeddings learn the vectors at their widths and search for the widths; this
    cuts vectors that are trained already, by widths that are given. There is no chance in it, so no
    seed.

    References
    ----------
    M. R. Joglekar, C. Li, M. Chen, T. Xu, X. Wang, J. K. Adams, P. Khaitan, J. Liu, Q. V. Le,
    "Neural Input Search for Large Scale Recommendation Models", KDD 2020. A. A. Ginart,
    M. Naumov, D. Mudigere, J. Yang, J. Zou, "Mixed Dimension Embeddings with Application to
    Memory-Efficient Recommendation Systems", ISIT 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from vecrecall.train import Embedding, capacity
    >>> rng = np.random.default_rng(0)
    >>> items = Embedding(range(1000), rng.standard_normal((1000, 16)))
    >>> small = capacity(items, rng.zipf(1.5, 1000), widths=(16, 8, 4))
    >>> small
    <CapacityEmbedding of 143 x 16 + 286 x 8 + 571 x 4, cosine, from 16 dimensions>
    >>> small.to_index().search(items.matrix[:1], 3).ids.shape
    (1, 3)
    """
    if not isinstance(embedding, Embedding):
        raise TypeError(f"embedding: expected an Embedding, got {type(embedding).__name__}")
    matrix, metric = _validation.check_vectors(embedding.matrix, "embedding"), embedding.metric
    if metric == "cosine":
        matrix = unit_rows(matrix)
    times = _counts(counts, embedding)
    sizes = _widths(widths)
    bucket = _buckets(times, sizes, shares, thresholds)
    kept_widths = [min(width, embedding.dim) for width in sizes]
    exponent = _scalars.check_nonnegative(count_exponent, "count_exponent")
    rotation = _axes(matrix, _weights(times, exponent))
    turned = multiplied(matrix, rotation)
    finite = np.isfinite(turned).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise ValueError(f"embedding: expected lengths that fit float32, got a longer row {row}")
    settings = {
        "widths": list(sizes),
        "shares": _listed(shares),
        "thresholds": _listed(thresholds),
        "count_exponent": exponent,
    }
    made = about("capacity", settings, {"rows": len(embedding), "dim": embedding.dim}, [])
    made["cut"] = embedding.about
    parts, rows_of = [], []
    for place, width in enumerate(kept_widths):
        rows = np.flatnonzero(bucket == place)
        rows_of.append(rows)
        keys = [embedding.ids[row] for row in rows]
        cut = cut_rows(turned[rows], width, metric)
        parts.append(Embedding(keys, cut, metric=_kind(metric), about=made))
    report = make_report(parts, kept_widths, rows_of, times, turned)
    return CapacityEmbedding(list(embedding.ids), rotation, parts, report, metric, made)


def _kind(metric: Metric) -> Metric:
    """Return the metric of parts."""
    return "ip" if metric == "cosine" else metric


def _counts(counts: Any, embedding: Embedding) -> npt.NDArray[np.float64]:
    """Return the counts of the rows, in their order."""
    values = counts
    if isinstance(counts, Mapping):
        values = [counts.get(key, 0) for key in embedding.ids]
    return check_counts(values, "counts", len(embedding))


def _widths(widths: Sequence[int]) -> list[int]:
    found = [_scalars.check_positive_int(width, "widths") for width in values_of(widths, "widths")]
    if not found or any(a <= b for a, b in pairwise(found)):
        raise ValueError(f"widths: expected decreasing numbers, at least one, got {found}")
    return found


def _buckets(
    counts: npt.NDArray[np.float64], widths: list[int], shares: Any, thresholds: Any
) -> npt.NDArray[np.int64]:
    """Find each row's width by its number, 0 for the widest."""
    if shares is not None and thresholds is not None:
        raise ValueError("shares, thresholds: expected at most one of the two, got both")
    if thresholds is not None:
        least = check_counts(thresholds, "thresholds", len(widths) - 1)
        if (np.diff(least) >= 0).any():
            raise ValueError(f"thresholds: expected decreasing numbers, got {least.tolist()}")
        return np.asarray((counts[:, None] < least).sum(axis=1), np.int64)
    parts = 1 / np.array(widths, np.float64)
    if shares is not None:
        parts = check_counts(shares, "shares", len(widths))
        if abs(parts.sum() - 1) > len(parts) * 2.0**-23:  # they may come as float32
            raise ValueError(f"shares: expected numbers >= 0 with the sum 1, got {_listed(shares)}")
    ends = np.rint(np.cumsum(parts) / parts.sum() * len(counts)).astype(np.int64)
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.asarray(np.searchsorted(ends[:-1], ranks, side="right"), np.int64)


def _weights(counts: npt.NDArray[np.float64], exponent: float) -> npt.NDArray[np.float64]:
    """Return the weights of rows, of which the largest is 1."""
    most = counts.max(initial=0)
    return np.asarray((counts / most) ** exponent) if most > 0 else np.ones(len(counts))


def _axes(
    matrix: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Find the axes of the weighted rows, as columns, the strongest first."""
    moments = np.zeros((matrix.shape[1],) * 2)
    for block in blocks(*matrix.shape):
        rows = matrix[block].astype(np.float64)
        moments += (rows * weights[block, None]).T @ rows
    _, vectors = np.linalg.eigh(moments)
    axes = vectors[:, ::-1]
    signs = np.where(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))] < 0, -1, 1)
    return np.ascontiguousarray(axes * signs, np.float32)


def _listed(numbers: Any) -> list[float] | None:
    return None if numbers is None else [float(number) for number in values_of(numbers, "numbers")]
