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

__all__ = [
    "AboveResult",
    "GroupList",
    "GroupResult",
    "MergeResult",
    "MergedList",
    "Ragged",
    "RankedList",
    "RecallStats",
    "SearchResult",
    "SearchStats",
    "concat_blocks",
    "pool",
]
