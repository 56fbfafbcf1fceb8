"""The ways to recall: each turns a batch of users into ranked lists of items.

A channel is any object with a method ``recall(batch, k) -> SearchResult``. Those here leave out
what a user has seen inside their search, so that their lists stay full.
"""

from vecrecall.channels._search import Index
from vecrecall.channels.cluster_candidates import ClusterCandidates
from vecrecall.channels.cluster_feed import ClusterFeedChannel
from vecrecall.channels.cross_tag import CrossTag
from vecrecall.channels.group_profile import GroupProfile
from vecrecall.channels.item_to_item import ItemToItem, LiveNeighbors
from vecrecall.channels.precomputed import Precomputed
from vecrecall.channels.user_to_item import UserToItem

__all__ = [
    "ClusterCandidates",
    "ClusterFeedChannel",
    "CrossTag",
    "GroupProfile",
    "Index",
    "ItemToItem",
    "LiveNeighbors",
    "Precomputed",
    "UserToItem",
]
