"""Common parts of the channels over clusters: a user's clusters, and their lists."""

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._arrival import CheckedOnArrival, expect
from vecrecall.arrays._candidate_lists import CandidateLists
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import I64
from vecrecall.channels._requests import RequestBatch


class ClusterLists(CheckedOnArrival):
    """One stored list per cluster.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n,)
        The clusters.
    found : SearchResult
        Their lists.
    """

    def __init__(self, numbers: I64, found: SearchResult) -> None:
        held = found.ids >= 0
        self._n = len(numbers)
        self._lengths = held.sum(axis=1)
        ids = Ragged._of(found.ids[held], offsets_of(self._lengths))
        self._lists = CandidateLists(numbers, "centers", ids, found.scores[held])

    def _check_attributes(self) -> None:
        found = expect(self._lists, CandidateLists, "lists")
        self._n = _scalars.check_int(self._n, "clusters", 0)
        if found.sizes != (self._n, self._n):
            raise ValueError(f"lists: expected {self._n} keys and lists, got {found.sizes}")
        if not np.array_equal(expect(self._lengths, np.ndarray, "lengths"), found.lengths):
            raise ValueError("lengths: expected those of the lists, got others")
        self._lengths = found.lengths

    def __len__(self) -> int:
        return self._n

    def rows(self, batch: RequestBatch, channel: object) -> Ragged:
        """Find the lists of each user, -1 for none."""
        clusters = batch.need("clusters", channel)
        rows = self._lists.find(clusters.values)
        refuse(clusters, (rows < 0) & (clusters.values != -1), f"one of {self._n} clusters")
        return Ragged._of(rows, clusters.offsets)

    def lengths(self, rows: I64) -> I64:
        """Count the entries of lists, 0 for those of -1."""
        return np.append(self._lengths, 0)[rows]

    def joined(self, rows: Ragged, k: int, seen: Ragged | None) -> SearchResult:
        """Join the lists of each user, an item with its largest score, without what is seen."""
        return self._lists.best(rows, k, seen)


def refuse(clusters: Ragged, unknown: npt.NDArray[np.bool_], expected: str) -> None:
    """Name the first unknown cluster, and whose it is."""
    places = np.flatnonzero(unknown)
    if places.size:
        row = int(clusters.offsets.searchsorted(places[0], side="right")) - 1
        raise ValueError(
            f"clusters: expected {expected}, or -1 for none, "
            f"got {clusters.values[places[0]]} in row {row}"
        )
