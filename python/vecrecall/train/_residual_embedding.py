"""Vectors as centers of categories plus residuals."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.cluster._assign import from_residuals
from vecrecall.storage import _array_folder
from vecrecall.train._columns import Column, check_length
from vecrecall.train._embedding import (
    Embedding,
    Metric,
    keys_from_arrays,
    keys_to_arrays,
    reading,
)
from vecrecall.train._folders import load_folder
from vecrecall.train._residual_report import ResidualRecall, ResidualReport, Rows, mean

KIND = "ResidualEmbedding"

Labels = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float64]


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
        self,
        items: Column,
        targets: Column,
        *,
        k: int = 100,
        max_count: float | None = None,
        metric: Metric | None = None,
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
        metric : {"ip", "cosine", "l2"}, optional
            Default that of the embedding.

        Returns
        -------
        ResidualRecall
            To be compared with that of ``residual(..., penalty=0)``, the vectors as they were.

        Raises
        ------
        KeyError
            If a key has no vector.
        TypeError, ValueError
            If an argument is not as described.
        """
        begin, end = self.embedding.rows(items), self.embedding.rows(targets)
        check_length(end, "targets", len(begin))
        if max_count is not None:
            most = _scalars.check_float(max_count, "max_count")
        else:
            most = float(np.median(self.counts)) if len(self) else 0.0
        rows, place = np.unique(begin, return_inverse=True)
        index = self.embedding.to_index(
            ids=np.arange(len(self)), invalid="skip", metric=metric or self.embedding.metric
        )
        found = index.search(
            self.embedding.matrix[rows], k, exclude=rows[:, None].tolist(), invalid="empty"
        ).ids
        hits = np.array([end[i] in found[place[i]] for i in range(len(end))], bool)
        rare = self.counts[end] <= most
        return ResidualRecall(mean(hits), mean(hits[rare]), len(hits), int(rare.sum()))

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
        _array_folder.save(_scalars.check_path(path, "path"), KIND, about, arrays)

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
        content, arrays = load_folder(_scalars.check_path(path, "path"), KIND)
        with reading("a ResidualEmbedding", path):
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
