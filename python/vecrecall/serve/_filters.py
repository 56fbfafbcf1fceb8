"""Recall that is limited to some items: by named filters, and without items that were removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import I64
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._masks import Mask

Keep = Callable[[I64], npt.NDArray[np.bool_]]


class FilteredIndex:
    """An index whose searches find some items only.

    Parameters
    ----------
    index : FlatIndex
    allow : callable
        Gives the mask as it is now.
    """

    def __init__(self, index: FlatIndex, allow: Callable[[], Mask]) -> None:
        self._index = index
        self._allow = allow

    def search(self, queries: Any, k: int, **options: Any) -> SearchResult:
        """Search as `FlatIndex.search` does, among the allowed items."""
        return self._index.search(queries, k, allow=self._allow(), **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)


class KeptItems:
    """A channel without the items that are not kept; its lists are as long as it can make them.

    Parameters
    ----------
    channel : Channel
        One with lists that were made before, which know nothing of removed items and of filters.
    keep : callable
        Gives a function of ids that says which are kept, or None for all of them.
    """

    def __init__(self, channel: Channel, keep: Callable[[], Keep | None]) -> None:
        self._channel = channel
        self._keep = keep

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Recall, and ask for longer lists as long as too many items are left out."""
        keep = self._keep()
        if keep is None:
            return self._channel.recall(batch, k)
        asked = k
        while True:
            found = self._channel.recall(batch, asked)
            valid = np.arange(found.ids.shape[1]) < found.counts[:, None]
            kept = valid & keep(found.ids.ravel()).reshape(found.ids.shape)
            counts = kept.sum(axis=1)
            if ((counts >= k) | (found.counts < asked)).all():
                return _first(found, kept, counts, k)
            asked *= 4


def _first(
    found: SearchResult, kept: npt.NDArray[np.bool_], counts: npt.NDArray[np.int64], k: int
) -> SearchResult:
    """Move what is kept up to the beginning of each list, `k` at most."""
    offsets = offsets_of(counts)
    row, column = np.nonzero(kept)
    place = np.arange(row.size) - offsets[row]
    short = place < k
    width = min(k, int(counts.max(initial=0)))
    ids = np.full((len(counts), max(width, 1)), -1, np.int64)
    scores = np.full(ids.shape, -np.inf, np.float32)
    ids[row[short], place[short]] = found.ids[row[short], column[short]]
    scores[row[short], place[short]] = found.scores[row[short], column[short]]
    return SearchResult(ids, scores, np.minimum(counts, k).astype(np.int32), found.metric)
