"""Indexes in shards on the machines of a Ray cluster.

It needs Ray, which ``pip install 'vecrecall[ray]'`` brings; nothing else of the library imports it.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.distributed._build import build_shards
from vecrecall.distributed._errors import (
    ChangeError,
    ClosedError,
    DistributedError,
    MissingShardsError,
    PlacementError,
    ShardError,
)
from vecrecall.distributed._offline import neighbors, recall_users
from vecrecall.distributed._pickling import dumps, loads
from vecrecall.distributed._reads import ShardStats
from vecrecall.distributed._reshard import reshard
from vecrecall.distributed._serve import app
from vecrecall.distributed._sharded_index import ShardedIndex, connect

__all__ = [
    "ChangeError",
    "ClosedError",
    "DistributedError",
    "MissingShardsError",
    "PlacementError",
    "ShardError",
    "ShardStats",
    "ShardedIndex",
    "app",
    "build_shards",
    "connect",
    "dumps",
    "loads",
    "neighbors",
    "recall_users",
    "reshard",
]

_stamp(globals())
