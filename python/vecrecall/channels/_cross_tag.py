"""Cross-tag: a search for each category of the user's tags."""

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival
from vecrecall.arrays._pooling import pool
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of, repeat_rows, row_of_each
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F64, I64
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._search import checked, checked_queries, search
from vecrecall.fusion._shards import merge_groups
from vecrecall.search._protocol import SearchableIndex


class CrossTag(CheckedOnArrival):
    """One search per category of the user's tags, the lists joined by item.

    A user with tags of m categories is m vectors, so that a strong interest does not drown the
    others. Each category gives its strongest tags; they are pooled as user2vec; the best score
    of an item in the m lists is its score.

    Parameters
    ----------
    index : SearchableIndex
        The items.
    tag_table : array_like of float, shape (n_tags, d)
        The vectors of the tags.
    tags_per_group : int
        How many tags, the heaviest, each category gives.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    A tag that is unknown (-1) or of no category (-1) is left out. Of tags that weigh the same
    the earlier is the stronger. A user without tags gets an empty list.

    The news recommender that this library follows counts a user's tags by category this way; the
    number of searches differs from user to user.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[5, 0], [0, 1], [4, 0]], np.float32), metric="cosine")
    >>> channel = vr.channels.CrossTag(index, np.eye(2, dtype=np.float32), tags_per_group=1)
    >>> batch = vr.RequestBatch(tags=[[0, 1]], tag_groups=[[3, 8]], tag_weights=[[9, 1]])
    >>> channel.recall(batch, 3).scores.tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(
        self, index: SearchableIndex, tag_table: npt.ArrayLike, *, tags_per_group: int = 3
    ) -> None:
        self._index = index
        self._table = checked_queries(index, tag_table, "tag_table")
        self._most = tags_per_group
        self._check_numbers()

    def _check_attributes(self) -> None:
        self._table = checked_queries(self._index, self._table, "tag_table")
        self._check_numbers()

    def _check_numbers(self) -> None:
        checked(self._index)
        self._most = _scalars.check_positive_int(self._most, "tags_per_group")

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Search with every category of every user at once, then join each user's lists.

        Parameters
        ----------
        batch : RequestBatch
            With ``tags`` and ``tag_groups``, perhaps ``tag_weights``.
        k : int

        Returns
        -------
        SearchResult

        Raises
        ------
        ValueError
            If the batch lacks a field.
        """
        tags, groups = batch.need("tags", self), batch.need("tag_groups", self)
        weights = None if batch.tag_weights is None else batch.tag_weights.values
        places, bags, users = strongest(tags, groups.values, weights, self._most)
        rows = Ragged._of(tags.values[places], bags)
        queries = pool(
            self._table, rows, None if weights is None else weights[places], normalize=True
        )
        seen = None if batch.seen is None else repeat_rows(batch.seen, users[1:] - users[:-1])
        found = search(self._index, queries, k, seen)
        joined = merge_groups(found, users, k)
        return SearchResult(joined.ids, joined.scores, joined.counts, joined.metric)


def strongest(tags: Ragged, groups: I64, weights: F64 | None, most: int) -> tuple[I64, I64, I64]:
    """Choose the heaviest tags of each user and category.

    Parameters
    ----------
    tags : Ragged of int64
    groups : ndarray of int64
        The category of each tag.
    weights : ndarray of float64 or None
        The weight of each tag.
    most : int
        Tags of a category.

    Returns
    -------
    places : ndarray of int64
        Of the chosen tags, heaviest first within a category, categories and users ascending.
    bags : ndarray of int64
        Offsets into `places`, one bag a user and category.
    users : ndarray of int64, shape (n_users + 1,)
        Offsets into the bags.
    """
    user = row_of_each(tags)
    known = np.flatnonzero((tags.values >= 0) & (groups >= 0))
    keys = (groups[known], user[known])
    by_group = np.lexsort(keys if weights is None else (-weights[known], *keys))
    places = known[by_group]
    g, u = groups[places], user[places]
    first = np.ones(places.size, np.bool_)
    first[1:] = (g[1:] != g[:-1]) | (u[1:] != u[:-1])
    starts = np.flatnonzero(first)
    lengths = np.append(starts[1:], places.size) - starts
    rank = np.arange(places.size) - np.repeat(starts, lengths)
    return (
        places[rank < most],
        offsets_of(np.minimum(lengths, most)),
        u[starts].searchsorted(np.arange(len(tags) + 1)),
    )
