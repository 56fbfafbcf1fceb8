"""Cohesion of categories and recall of rare rows, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged_ops import blocks

Rows = npt.NDArray[np.float32]


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


def make_report(
    rows: Rows, centers: Rows, residuals: Rows, labels: npt.NDArray[np.int32]
) -> ResidualReport:
    """Compare rows and centers plus residuals with the centers."""
    used = np.flatnonzero(labels >= 0)
    measured = np.empty((4, used.size))
    for block in blocks(used.size, rows.shape[1]):
        at = used[block]
        own = centers[labels[at]].astype(np.float64)
        before, after = rows[at].astype(np.float64), residuals[at].astype(np.float64)
        measured[:2, block] = _cosines(before, own), _cosines(own + after, own)
        measured[2:, block] = np.linalg.norm(before - own, axis=1), np.linalg.norm(after, axis=1)
    cohesion_before, cohesion_after, length_before, length_after = map(mean, measured)
    return ResidualReport(
        rows=used.size,
        without_category=len(rows) - used.size,
        categories=len(centers),
        cohesion_before=cohesion_before,
        cohesion_after=cohesion_after,
        length_before=length_before,
        length_after=length_after,
    )


def _cosines(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return np.asarray((x * y).sum(axis=1) / np.where(lengths > 0, lengths, 1))


def mean(values: npt.NDArray[Any]) -> float:
    """Average, NaN without any."""
    return float(values.mean()) if values.size else float("nan")
