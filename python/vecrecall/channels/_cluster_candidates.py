"""Clusters, offline: the items nearest to the center of a user's cluster."""

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._results import SearchResult
from vecrecall.channels._cluster_lists import ClusterLists
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._search import checked_queries, search
from vecrecall.cluster._user_groups import UserGroups
from vecrecall.search._protocol import SearchableIndex


class ClusterCandidates(CheckedOnArrival):
    """The items nearest to each cluster's center, found once and read by the cluster's users.

    Parameters
    ----------
    index : SearchableIndex
        The items. It is searched here and not kept.
    centers : UserGroups or array_like of float, shape (n_clusters, d)
        Clusters are numbered by row; those of `UserGroups` have their labels.
    n_candidates : int
        The length of each cluster's list: as many as users shall get, and in addition as many
        as they may have seen.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    The lists of several clusters are joined, an item with its largest score. Seen items are
    left out, and later entries move up, as far as the lists go. To bring lists up to date, make
    the channel again.

    In the news recommender that this library follows a job matched the centers with the candidate
    articles on a schedule; a user read the list of the nearest center, or of several.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[3, 0], [0, 2], [2, 1]], np.float32))
    >>> channel = vr.channels.ClusterCandidates(index, np.eye(2))
    >>> batch = vr.RequestBatch(clusters=[[0], [0, 1], [-1]], seen=[[0], [], []])
    >>> channel.recall(batch, 2).ids.tolist()
    [[2, 1], [0, 1], [-1, -1]]
    """

    def __init__(
        self,
        index: SearchableIndex,
        centers: UserGroups | npt.ArrayLike,
        *,
        n_candidates: int = 1000,
    ) -> None:
        most = _scalars.check_positive_int(n_candidates, "n_candidates")
        if isinstance(centers, UserGroups):
            labels = centers.labels_in_use.astype(np.int64)
            queries = checked_queries(index, centers.centers[labels], "centers")
        else:
            queries = checked_queries(index, centers, "centers")
            labels = np.arange(len(queries))
        self._lists = ClusterLists(labels, search(index, queries, most, None))

    def _check_attributes(self) -> None:
        expect(self._lists, ClusterLists, "lists")

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Look up the lists of each user's clusters.

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
            If the batch has no clusters, or one that has no center.
        """
        rows = self._lists.rows(batch, self)
        return self._lists.joined(rows, _scalars.check_list_length(k, len(batch)), batch.seen)
