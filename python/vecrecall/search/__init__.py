"""Exact search: indexes, masks, tables of neighbors."""

from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._masks import Mask
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._neighbors import Neighbors
from vecrecall.search._reloading import ReloadingIndex
from vecrecall.search._topk import topk

__all__ = ["FlatIndex", "Mask", "NeighborTable", "Neighbors", "ReloadingIndex", "topk"]
