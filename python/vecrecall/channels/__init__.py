"""The ways to recall: each turns a batch of users into ranked lists of items.

A channel is any object with a method ``recall(batch, k) -> SearchResult``. Those here leave out
what a user has seen inside their search, so that their lists stay full. They search any
`vecrecall.SearchableIndex`; where they do no more than that, an object with its `search` alone
will do.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.channels._channel_pool import time_left
from vecrecall.channels._cluster_candidates import ClusterCandidates
from vecrecall.channels._cluster_feed import ClusterFeedChannel
from vecrecall.channels._cross_tag import CrossTag
from vecrecall.channels._group_profile import GroupProfile
from vecrecall.channels._item_to_item import ItemToItem, LiveNeighbors
from vecrecall.channels._precomputed import Precomputed
from vecrecall.channels._user_to_item import UserToItem

__all__ = [
    "ClusterCandidates",
    "ClusterFeedChannel",
    "CrossTag",
    "GroupProfile",
    "ItemToItem",
    "LiveNeighbors",
    "Precomputed",
    "UserToItem",
    "time_left",
]

_stamp(globals())
