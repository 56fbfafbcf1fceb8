"""Sizes of a `CapacityEmbedding` before and after its cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged_ops import blocks
from vecrecall.train._embedding import Embedding


@dataclass(frozen=True)
class CapacityReport:
    """Sizes of a `CapacityEmbedding`; lists have an entry per width, the widest first.

    Attributes
    ----------
    widths : list of int
    rows : list of int
        Number of rows.
    least_counts, most_counts : list of float
        Of the rows; 0 where there are none.
    kept : list of float
        Share of the rows' squared lengths that the cut keeps, from 0 to 1; under cosine of rows
        divided by their lengths. 1 where there are no rows.
    row_bytes : list of int
        Of the vectors.
    rotation_bytes : int
        Of the rotation that all widths share.
    bytes_before, bytes_after : int
        Of all vectors at full width; of the cut ones and the rotation.
    """

    widths: list[int]
    rows: list[int]
    least_counts: list[float]
    most_counts: list[float]
    kept: list[float]
    row_bytes: list[int]
    rotation_bytes: int
    bytes_before: int
    bytes_after: int

    @property
    def saved(self) -> float:
        """Share of the bytes that is saved; negative where the rotation costs more than that."""
        return 1 - self.bytes_after / self.bytes_before if self.bytes_before else 0.0

    def __str__(self) -> str:
        """Lay out the report as a table."""
        lines = ["width     rows   counts           kept    bytes"]
        for width, n, low, high, kept, size in zip(
            *(self.widths, self.rows, self.least_counts, self.most_counts),
            *(self.kept, self.row_bytes),
            strict=True,
        ):
            counts = f"{low:g} to {high:g}" if n else "-"
            lines.append(f"{width:5} {n:8}   {counts:14} {kept:6.1%} {size:8}")
        lines.append(
            f"{self.bytes_before} bytes before, {self.bytes_after} after with the rotation: "
            f"{self.saved:.1%} saved"
        )
        return "\n".join(lines)


def make_report(
    parts: list[Embedding],
    widths: list[int],
    rows_of: list[npt.NDArray[np.int64]],
    counts: npt.NDArray[np.float64],
    turned: npt.NDArray[np.float32],
) -> CapacityReport:
    """Measure the parts, their rows and what of the rotated rows they keep."""
    n, dim = turned.shape
    sizes = [part.matrix.nbytes for part in parts]
    return CapacityReport(
        widths=widths,
        rows=[len(part) for part in parts],
        least_counts=[float(counts[rows].min()) if rows.size else 0.0 for rows in rows_of],
        most_counts=[float(counts[rows].max()) if rows.size else 0.0 for rows in rows_of],
        kept=[_kept(turned[rows], width) for rows, width in zip(rows_of, widths, strict=True)],
        row_bytes=sizes,
        rotation_bytes=4 * dim * dim,
        bytes_before=4 * n * dim,
        bytes_after=sum(sizes) + 4 * dim * dim,
    )


def _kept(rows: npt.NDArray[np.float32], width: int) -> float:
    """Tell which share of the squared lengths lies on the first axes."""
    squares = np.zeros(rows.shape[1])
    for block in blocks(*rows.shape):
        squares += np.square(rows[block], dtype=np.float64).sum(axis=0)
    return float(squares[:width].sum() / squares.sum()) if squares.any() else 1.0
