"""Arrays that all rooms share: rows of different lengths, results, pooled vectors."""

from vecrecall.arrays._pooling import concat_blocks, pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._results import (
    AboveResult,
    GroupResult,
    MergeResult,
    SearchResult,
    SearchStats,
)

__all__ = [
    "AboveResult",
    "GroupResult",
    "MergeResult",
    "Ragged",
    "SearchResult",
    "SearchStats",
    "concat_blocks",
    "pool",
]
