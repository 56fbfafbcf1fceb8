"""Clicks of the users of a cluster, as they age."""

from vecrecall.feed._cluster_feed import ClusterFeed

__all__ = ["ClusterFeed"]
