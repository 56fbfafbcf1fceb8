"""Arrays that all rooms share: rows of different lengths, results, pooled vectors."""

from vecrecall.arrays._pooling import concat_blocks, pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ranked_list import GroupList, MergedList, RankedList
from vecrecall.arrays._results import (
    AboveResult,
    GroupResult,
    MergeResult,
    RecallStats,
    SearchResult,
    SearchStats,
)
from vecrecall.arrays._row_types import Rounding

__all__ = [
    "AboveResult",
    "GroupList",
    "GroupResult",
    "MergeResult",
    "MergedList",
    "Ragged",
    "RankedList",
    "RecallStats",
    "Rounding",
    "SearchResult",
    "SearchStats",
    "concat_blocks",
    "pool",
]
