"""Exact vector recall for recommender serving.

The package answers three questions faster than float32 arithmetic allows and with the same bits
everywhere: which items are nearest (`FlatIndex`, `topk`), what vector stands for a bag of rows
(`pool`), and what several ranked lists say together (`merge` by the policies of
`vecrecall.policies`, `merge_shards`, `merge_groups`).
"""

from importlib.metadata import version as _version

from vecrecall import channels, policies
from vecrecall.caps import Caps
from vecrecall.feed import ClusterFeed
from vecrecall.index import FlatIndex, topk
from vecrecall.masks import Mask
from vecrecall.merging import merge, merge_groups, merge_shards
from vecrecall.neighbors import Neighbors, NeighborTable
from vecrecall.pooling import concat_blocks, pool
from vecrecall.ragged import Ragged
from vecrecall.recaller import ChannelWarning, Recaller, RecallStats
from vecrecall.requests import RequestBatch
from vecrecall.results import GroupResult, MergeResult, SearchResult, SearchStats
from vecrecall.runtime import available_isas, get_num_threads, isa, set_isa, set_num_threads

__version__ = _version("vecrecall")

__all__ = [
    "Caps",
    "ChannelWarning",
    "ClusterFeed",
    "FlatIndex",
    "GroupResult",
    "Mask",
    "MergeResult",
    "NeighborTable",
    "Neighbors",
    "Ragged",
    "RecallStats",
    "Recaller",
    "RequestBatch",
    "SearchResult",
    "SearchStats",
    "__version__",
    "available_isas",
    "channels",
    "concat_blocks",
    "get_num_threads",
    "isa",
    "merge",
    "merge_groups",
    "merge_shards",
    "policies",
    "pool",
    "set_isa",
    "set_num_threads",
    "topk",
]
