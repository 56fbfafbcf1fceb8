"""The protocol of channels, and checks of a channel and of its result."""

from typing import Protocol

import numpy as np

from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._scalars import type_name
from vecrecall.channels._requests import RequestBatch


class Channel(Protocol):
    """One way to recall."""

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Give each user of the batch a ranked list of at most `k` items."""


def check_channel(channel: object, name: str) -> None:
    """Refuse what has no `recall`."""
    if isinstance(channel, type) or not callable(getattr(channel, "recall", None)):
        raise TypeError(
            f"{name}: expected an object with a method recall(batch, k), got {type_name(channel)}"
        )


def expect_lists(found: object, name: str, rows: int) -> None:
    """Refuse what is no result with a list for each row."""
    if not isinstance(found, SearchResult):
        raise TypeError(f"channel {name!r}: expected a SearchResult, got {type(found).__name__}")
    ids, scores, counts = np.shape(found.ids), np.shape(found.scores), np.shape(found.counts)
    if len(ids) != 2 or ids[0] != rows or scores != ids or counts != ids[:1]:
        raise ValueError(
            f"channel {name!r}: expected ids and scores of shape ({rows}, k) and counts of shape "
            f"({rows},), got {ids}, {scores} and {counts}"
        )
