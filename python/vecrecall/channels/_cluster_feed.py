"""Clusters, in real time: the items that members of a user's cluster click now."""

import time
from collections.abc import Callable

import numpy as np

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._candidate_lists import join_searched
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each, take_rows
from vecrecall.arrays._results import SearchResult, scatter
from vecrecall.channels._cluster_lists import refuse
from vecrecall.channels._requests import RequestBatch
from vecrecall.feed._cluster_feed import ClusterFeed, Time


class ClusterFeedChannel(CheckedOnArrival):
    """The items that a user's cluster clicks most, recent clicks counting more.

    Parameters
    ----------
    feed : ClusterFeed
        Read at each request, so what another thread observes is recommended at once.
    now : float, datetime64, datetime, pandas.Timestamp or callable
        The time as of which clicks are counted, or what is asked for it at each request; default
        the clock, in seconds since 1970, which suits a feed of points in time.
        A click that is later counts as one of now.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    The lists of several clusters are joined, an item with its largest score. Seen items
    never shorten a list while the clusters have other items.

    In the news recommender that this library follows clicks came from a stream, and this channel
    did better than the nearest items of the centers, `ClusterCandidates`.

    Examples
    --------
    >>> import vecrecall as vr
    >>> feed = vr.ClusterFeed(2, half_life=10, capacity=100)
    >>> feed.observe(clusters=[0, 0, 1], items=[7, 8, 9], times=[0, 10, 10])
    >>> channel = vr.channels.ClusterFeedChannel(feed, now=10)
    >>> batch = vr.RequestBatch(clusters=[[0], [0, 1], [-1]], seen=[[8], [], []])
    >>> channel.recall(batch, 2).ids.tolist()
    [[7, -1], [8, 9], [-1, -1]]
    """

    def __init__(self, feed: ClusterFeed, *, now: Time | Callable[[], Time] = time.time) -> None:
        self._feed = feed
        self._now = now
        self._check_attributes()

    def _check_attributes(self) -> None:
        expect(self._feed, ClusterFeed, "feed")
        now = self._now
        self._now = now if callable(now) else _scalars.check_timestamp(now, "now")

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Ask the feed about each user's clusters.

        Parameters
        ----------
        batch : RequestBatch
            With ``clusters``, -1 for none; perhaps ``seen``.
        k : int

        Returns
        -------
        SearchResult
            An empty list for a user in no cluster.

        Raises
        ------
        ValueError
            If the batch has no clusters, or one that the feed does not have; or if `now` gives
            no finite time.
        """
        clusters = batch.need("clusters", self)
        k = _scalars.check_list_length(k, len(batch))
        n = self._feed.n_clusters
        numbers = clusters.values
        refuse(clusters, (numbers < -1) | (numbers >= n), f"0 to {n - 1}")
        known = numbers >= 0
        users = row_of_each(clusters)[known]
        seen = None if batch.seen is None else take_rows(batch.seen, users)
        now = self._now() if callable(self._now) else self._now
        found = self._feed.top(numbers[known], k, now, exclude=seen)
        per_user = np.bincount(users, minlength=len(batch))
        if per_user.max(initial=0) <= 1:  # no join: it would lose the order of vanishing scores
            return scatter(found, users, len(batch))
        return join_searched(found, np.ones(users.size), offsets_of(per_user), k, "max", None)
