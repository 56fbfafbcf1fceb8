"""Several ranked lists made one."""

from vecrecall.fusion._caps import Caps
from vecrecall.fusion._merge import merge
from vecrecall.fusion._shards import merge_groups, merge_shards

__all__ = ["Caps", "merge", "merge_groups", "merge_shards"]
