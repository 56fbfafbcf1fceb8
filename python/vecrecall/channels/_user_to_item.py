"""User to item: the items nearest to the user's vector."""

import numpy.typing as npt

from vecrecall.arrays._arrival import CheckedOnArrival
from vecrecall.arrays._pooling import pool
from vecrecall.arrays._results import SearchResult
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._search import checked, checked_queries, search
from vecrecall.search._protocol import SearchableIndex


class UserToItem(CheckedOnArrival):
    """Items nearest to a user vector, given by name or pooled from the user's tags.

    Parameters
    ----------
    index : SearchableIndex
        The items.
    vector : str, optional
        Search with ``batch.vectors[vector]``, for example the user tower of a two-tower model.
    tag_table : array_like of float, shape (n_tags, d), optional
        Search with user2vec: the sum of the rows that ``batch.tags`` names, each times its
        ``tag_weights``, divided by its Euclidean length.

    Raises
    ------
    TypeError, ValueError
        If not exactly one of `vector` and `tag_table` is given, or it is not as described.

    Notes
    -----
    A user whose vector is zero, or who has no known tag, gets an empty list under every metric:
    the items that a search for zeros would return are arbitrary.

    The news recommender that this library follows searches items by tag vectors this way, and
    items by the vectors of the two towers of DSSM.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> index = vr.FlatIndex(np.array([[1, 0], [0, 1], [1, 1]], np.float32), metric="cosine")
    >>> channel = vr.channels.UserToItem(index, tag_table=np.eye(2, dtype=np.float32))
    >>> batch = vr.RequestBatch(tags=[[0], []], seen=[[0], []])
    >>> channel.recall(batch, 2).ids.tolist()
    [[2, 1], [-1, -1]]
    """

    def __init__(
        self,
        index: SearchableIndex,
        *,
        vector: str | None = None,
        tag_table: npt.ArrayLike | None = None,
    ) -> None:
        if (vector is None) == (tag_table is None):
            got = "neither" if vector is None else "both"
            raise ValueError(f"vector, tag_table: expected one of the two, got {got}")
        if vector is not None and not isinstance(vector, str):
            raise TypeError(f"vector: expected a name, got {type(vector).__name__}")
        self._index = checked(index)
        self._source = (
            vector if vector is not None else checked_queries(index, tag_table, "tag_table")
        )

    def _check_attributes(self) -> None:
        checked(self._index)
        if not isinstance(self._source, str):
            self._source = checked_queries(self._index, self._source, "tag_table")

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Search with the vector of each user.

        Parameters
        ----------
        batch : RequestBatch
            With ``vectors[vector]``, or with ``tags`` and perhaps ``tag_weights``.
        k : int

        Returns
        -------
        SearchResult

        Raises
        ------
        ValueError
            If the batch lacks the field.
        """
        if isinstance(self._source, str):
            nonzero = batch._nonzero.get(self._source)
            if nonzero is not None:
                return self._index.search(nonzero, k, exclude=batch.seen)
            queries = batch.need_vectors(self._source, self)
        else:
            tags = batch.need("tags", self)
            queries = pool(self._source, tags, batch.tag_weights, normalize=True)
        return search(self._index, queries, k, batch.seen)
