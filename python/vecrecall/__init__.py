"""Exact vector recall for recommender serving.

The package answers four questions faster than float32 arithmetic allows and with the same bits
everywhere: which items are nearest (`FlatIndex`, `topk`), what vector stands for a bag of rows
(`pool`), what several ranked lists say together (`merge` by the policies of
`vecrecall.policies`, `merge_shards`, `merge_groups`), and which users belong together (`assign`,
`KMeans`, `UserGroups`, `rule_groups`).
"""

from importlib.metadata import version as _version

from vecrecall import adapters, channels, policies
from vecrecall._runtime import available_isas, get_num_threads, isa, set_isa, set_num_threads
from vecrecall.adapters import WrappedIndex, wrap
from vecrecall.arrays._pooling import concat_blocks, pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._results import (
    AboveResult,
    GroupResult,
    MergeResult,
    SearchResult,
    SearchStats,
)
from vecrecall.channels._recaller import ChannelWarning, Recaller, RecallStats
from vecrecall.channels._requests import RequestBatch
from vecrecall.cluster._assign import Assignment, ClusterSums, assign, from_residuals, residuals
from vecrecall.cluster._elbow import Elbow, elbow
from vecrecall.cluster._kmeans import KMeans
from vecrecall.cluster._rule_groups import RuleGroups, rule_groups
from vecrecall.cluster._sklearn import ConvergenceWarning, NotFittedError
from vecrecall.cluster._user_groups import RefreshReport, UserGroups
from vecrecall.evaluation._recall import recall_at_k
from vecrecall.evaluation._tuning import Tuning, TuningPoint, TuningWarning, tune
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.fusion._caps import Caps
from vecrecall.fusion._merge import merge
from vecrecall.fusion._shards import merge_groups, merge_shards
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._masks import Mask
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._neighbors import Neighbors
from vecrecall.search._reloading import ReloadingIndex
from vecrecall.search._topk import topk
from vecrecall.search._vocabulary import Vocabulary

__version__ = _version("vecrecall")

__all__ = [
    "AboveResult",
    "Assignment",
    "Caps",
    "ChannelWarning",
    "ClusterFeed",
    "ClusterSums",
    "ConvergenceWarning",
    "Elbow",
    "FlatIndex",
    "GroupResult",
    "KMeans",
    "Mask",
    "MergeResult",
    "NeighborTable",
    "Neighbors",
    "NotFittedError",
    "Ragged",
    "RecallStats",
    "Recaller",
    "RefreshReport",
    "ReloadingIndex",
    "RequestBatch",
    "RuleGroups",
    "SearchResult",
    "SearchStats",
    "Tuning",
    "TuningPoint",
    "TuningWarning",
    "UserGroups",
    "Vocabulary",
    "WrappedIndex",
    "__version__",
    "adapters",
    "assign",
    "available_isas",
    "channels",
    "concat_blocks",
    "elbow",
    "from_residuals",
    "get_num_threads",
    "isa",
    "merge",
    "merge_groups",
    "merge_shards",
    "policies",
    "pool",
    "recall_at_k",
    "residuals",
    "rule_groups",
    "set_isa",
    "set_num_threads",
    "topk",
    "tune",
    "wrap",
]
