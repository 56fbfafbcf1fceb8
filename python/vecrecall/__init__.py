"""Exact vector recall for recommender serving.

The package answers four questions fast and with the same bits everywhere: which items are
nearest (`FlatIndex`, `IVFIndex`, `topk`), what vector stands for a bag of rows (`pool`), what
several ranked lists say together (`merge` by the policies of `vecrecall.policies`,
`merge_shards`, `merge_groups`), and which users belong together (`assign`, `KMeans`,
`UserGroups`, `rule_groups`).
"""

from importlib.metadata import version as _version

from vecrecall import adapters, channels, policies
from vecrecall._public import stamp as _stamp
from vecrecall._runtime import (
    available_isas,
    get_num_threads,
    isa,
    set_isa,
    set_num_threads,
    unavailable_isas,
)
from vecrecall.adapters import WrappedIndex, wrap
from vecrecall.arrays import (
    AboveResult,
    GroupList,
    GroupResult,
    MergedList,
    MergeResult,
    Ragged,
    RankedList,
    RecallStats,
    Rounding,
    SearchResult,
    SearchStats,
    concat_blocks,
    pool,
)
from vecrecall.channels._breaker import BreakerState, CircuitBreaker
from vecrecall.channels._recaller import ChannelWarning, Recaller
from vecrecall.channels._requests import RequestBatch
from vecrecall.cluster import (
    Assignment,
    ClusterSums,
    ConvergenceWarning,
    Elbow,
    KMeans,
    NotFittedError,
    RefreshReport,
    RuleGroups,
    UserGroups,
    assign,
    elbow,
    from_residuals,
    residuals,
    rule_groups,
)
from vecrecall.evaluation import (
    Tuning,
    TuningPoint,
    TuningWarning,
    hit_rate_at_k,
    ndcg_at_k,
    recall_at_k,
    tune,
)
from vecrecall.feed import ClusterFeed
from vecrecall.fusion import Caps, merge, merge_groups, merge_shards
from vecrecall.search import (
    FlatIndex,
    IVFIndex,
    IVFStats,
    Mask,
    Neighbors,
    NeighborTable,
    ReloadingIndex,
    SearchableIndex,
    Vocabulary,
    topk,
)

__version__ = _version("vecrecall")

__all__ = [
    "AboveResult",
    "Assignment",
    "BreakerState",
    "Caps",
    "ChannelWarning",
    "CircuitBreaker",
    "ClusterFeed",
    "ClusterSums",
    "ConvergenceWarning",
    "Elbow",
    "FlatIndex",
    "GroupList",
    "GroupResult",
    "IVFIndex",
    "IVFStats",
    "KMeans",
    "Mask",
    "MergeResult",
    "MergedList",
    "NeighborTable",
    "Neighbors",
    "NotFittedError",
    "Ragged",
    "RankedList",
    "RecallStats",
    "Recaller",
    "RefreshReport",
    "ReloadingIndex",
    "RequestBatch",
    "Rounding",
    "RuleGroups",
    "SearchResult",
    "SearchStats",
    "SearchableIndex",
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
    "hit_rate_at_k",
    "isa",
    "merge",
    "merge_groups",
    "merge_shards",
    "ndcg_at_k",
    "policies",
    "pool",
    "recall_at_k",
    "residuals",
    "rule_groups",
    "set_isa",
    "set_num_threads",
    "topk",
    "tune",
    "unavailable_isas",
    "wrap",
]

_stamp(globals())
