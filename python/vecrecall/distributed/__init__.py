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
from vecrecall.distributed._sharded_index import ShardedIndex, ShardStats, connect

__all__ = [
    "ChangeError",
    "ClosedError",
    "DistributedError",
    "MissingShardsError",
    "PlacementError",
    "ShardError",
    "ShardStats",
    "ShardedIndex",
    "build_shards",
    "connect",
]

_stamp(globals())
