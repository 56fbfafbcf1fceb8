"""Exact search: indexes, masks, tables of neighbors."""

from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex, IVFStats
from vecrecall.search._masks import Mask
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._protocol import Neighbors, SearchableIndex
from vecrecall.search._reloading import ReloadingIndex
from vecrecall.search._topk import topk
from vecrecall.search._vocabulary import Vocabulary

__all__ = [
    "FlatIndex",
    "IVFIndex",
    "IVFStats",
    "Mask",
    "NeighborTable",
    "Neighbors",
    "ReloadingIndex",
    "SearchableIndex",
    "Vocabulary",
    "topk",
]
