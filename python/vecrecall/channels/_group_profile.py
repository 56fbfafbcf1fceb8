"""Group profile: the list of a pseudo-user that is made of a whole group."""

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._candidate_lists import join_searched
from vecrecall.arrays._pooling import pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of, row_of_each, take_rows
from vecrecall.arrays._results import SearchResult, put_lists
from vecrecall.arrays._typing import I64
from vecrecall.channels._cluster_lists import ClusterLists
from vecrecall.channels._protocol import Channel, check_channel
from vecrecall.channels._requests import RequestBatch


class GroupProfile(CheckedOnArrival):
    """The list that a channel gives to a group's pseudo-user, for every member of the group.

    Parameters
    ----------
    channel : Channel
        How to recall for a pseudo-user: `UserToItem`, `CrossTag` or any other.
    profiles : RequestBatch
        The pseudo-users, one row per group, without ``seen``; groups are numbered by row.
        `pseudo_users` makes them of users, `UserGroups.profile` makes their vectors.
    n_candidates : int
        The length of the list that is found once for each group, here.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the channel cannot recall for `profiles`.

    Notes
    -----
    The lists of several groups are joined, an item with its largest score. Seen items
    never shorten a list: where the stored ones may not suffice, `channel` is asked again for that
    user, without the seen items.

    In the news recommender that this library follows all profiles of a group were pooled into one,
    which then went through user2vec or crosstag.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), metric="cosine")
    >>> u2i = vr.channels.UserToItem(index, tag_table=np.eye(2, dtype=np.float32))
    >>> users = vr.RequestBatch(tags=[[0], [0, 1], [1]])
    >>> groups = vr.channels.GroupProfile.pseudo_users(users, [0, 0, 1], 2)
    >>> channel = vr.channels.GroupProfile(u2i, groups)
    >>> channel.recall(vr.RequestBatch(clusters=[0, 1, -1], seen=[[2], [], []]), 1).ids.tolist()
    [[0], [1], [-1]]
    """

    def __init__(
        self, channel: Channel, profiles: RequestBatch, *, n_candidates: int = 1000
    ) -> None:
        self._most = n_candidates
        self._channel = channel
        self._profiles = profiles
        self._check_arguments()
        found = channel.recall(profiles, self._most)
        self._lists = ClusterLists(np.arange(len(profiles)), found)

    def _check_arguments(self) -> None:
        expect(self._profiles, RequestBatch, "profiles")
        if self._profiles.seen is not None:
            raise ValueError("profiles: expected no seen, which members have, got some")
        self._most = _scalars.check_positive_int(self._most, "n_candidates")

    def _check_attributes(self) -> None:
        self._check_arguments()
        check_channel(self._channel, "channel")
        n = len(self._profiles)
        if len(expect(self._lists, ClusterLists, "lists")) != n:
            raise ValueError(f"lists: expected {n}, one a profile, got {len(self._lists)}")

    @staticmethod
    def pseudo_users(users: RequestBatch, labels: npt.ArrayLike, n_groups: int) -> RequestBatch:
        """Pool the profiles of each group's users.

        Parameters
        ----------
        users : RequestBatch
            With ``tags``, perhaps ``tag_weights`` and ``tag_groups``, or with ``vectors``.
        labels : array_like of int, shape (len(users),)
            Each user's group, 0 to ``n_groups - 1``; -1 for none.
        n_groups : int

        Returns
        -------
        RequestBatch
            One row per group: each tag once in a category, with the sum of its weights (of one
            each, where there are none), the heaviest first; vectors summed and divided by their
            lengths.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import vecrecall as vr
        >>> users = vr.RequestBatch(tags=[[4, 5], [5], [6]])
        >>> pooled = vr.channels.GroupProfile.pseudo_users(users, [0, 0, -1], 2)
        >>> [row.tolist() for row in pooled.tags], pooled.tag_weights.values.tolist()
        ([[5, 4], []], [2.0, 1.0])
        """
        n = _scalars.check_positive_int(n_groups, "n_groups")
        own = _ids.check_labels(labels, "labels", len(users), n)
        if users.tags is None and not users.vectors:
            raise ValueError("users: expected a batch with tags or vectors, got neither")
        order = np.argsort(own, kind="stable")
        sizes = np.bincount(own[own >= 0], minlength=n)
        members = Ragged._of(order[np.count_nonzero(own < 0) :], offsets_of(sizes))
        vectors = {name: pool(x, members, normalize=True) for name, x in users.vectors.items()}
        if users.tags is None:
            return RequestBatch(vectors=vectors)
        tags, weights, categories = _pooled_tags(users.tags, users, own, n)
        return RequestBatch(tags=tags, tag_weights=weights, tag_groups=categories, vectors=vectors)

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Look up the lists of each user's groups.

        Parameters
        ----------
        batch : RequestBatch
            With ``clusters``, -1 for none; perhaps ``seen``.
        k : int

        Returns
        -------
        SearchResult
            An empty list for a user in no group.

        Raises
        ------
        ValueError
            If the batch has no clusters, or one that has no profile.
        """
        rows = self._lists.rows(batch, self)
        k = _scalars.check_list_length(k, len(batch))
        found = self._lists.joined(rows, k, batch.seen)
        short = self._perhaps_short(rows, found, k, batch.seen)
        if short.size:
            longer = self._ask(take_rows(rows, short), k, batch.seen, short)
            put_lists(found, short, longer)
        return found

    def _perhaps_short(self, rows: Ragged, found: SearchResult, k: int, seen: Ragged | None) -> I64:
        """Find the users to whom the ends of the stored lists may matter."""
        n_seen = 0 if seen is None else seen.lengths
        cut = self._lists.lengths(rows.values) == self._most
        users = row_of_each(rows)
        n_cut = np.bincount(users[cut], minlength=len(rows))
        # A full list from one group is right. One from several may lack better items of a group
        # whose stored items are all seen.
        doubtful = (found.counts < k) | (rows.lengths > 1)
        return np.flatnonzero(doubtful & (n_cut > 0) & (k + n_seen > self._most))

    def _ask(self, rows: Ragged, k: int, seen: Ragged | None, users: I64) -> SearchResult:
        """Recall for the groups of some users, without what these have seen."""
        known = rows.values >= 0
        places = row_of_each(rows)[known]
        excluded = None if seen is None else take_rows(seen, users[places])
        asked = self._profiles._take(rows.values[known], excluded)
        found = self._channel.recall(asked, k)
        offsets = offsets_of(np.bincount(places, minlength=len(rows)))
        return join_searched(found, np.ones(places.size), offsets, k, "max", None)


def _pooled_tags(
    tags: Ragged, users: RequestBatch, labels: I64, n_groups: int
) -> tuple[Ragged, Ragged, Ragged | None]:
    """Sum the weights of each group's tags."""
    group = np.repeat(labels, tags.lengths)
    keep = (group >= 0) & (tags.values >= 0)
    group, tag = group[keep], tags.values[keep]
    weight = np.ones(tag.size) if users.tag_weights is None else users.tag_weights.values[keep]
    category = np.full(tag.size, -1) if users.tag_groups is None else users.tag_groups.values[keep]
    order = np.lexsort((category, tag, group))
    group, tag, category = group[order], tag[order], category[order]
    new = np.ones(tag.size, np.bool_)
    new[1:] = (np.diff(group) != 0) | (np.diff(tag) != 0) | (np.diff(category) != 0)
    # Sums go in the order of the users: `order` is stable, and bincount adds one by one.
    total = np.bincount(new.cumsum() - 1, weight[order], np.count_nonzero(new)).astype(np.float64)
    group, tag, category = group[new], tag[new], category[new]
    heaviest = np.lexsort((category, tag, -total, group))
    offsets = offsets_of(np.bincount(group, minlength=n_groups))
    categories = None if users.tag_groups is None else Ragged._of(category[heaviest], offsets)
    return Ragged._of(tag[heaviest], offsets), Ragged._of(total[heaviest], offsets), categories
