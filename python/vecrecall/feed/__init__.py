"""What the users of a cluster click, as it ages."""

from vecrecall.feed._cluster_feed import ClusterFeed

__all__ = ["ClusterFeed"]
