"""Channels for tests of the recaller: real ones, and some that do as they are told."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from comparison import FIELDS
from datasets import normal

import vecrecall as vr
from vecrecall.channels import (
    CrossTag,
    ItemToItem,
    LiveNeighbors,
    Precomputed,
    UserToItem,
    time_left,
)

SECONDS = 60.0  # of a hang: what is waited for takes milliseconds


class Fixed:
    """The same list for every user, whatever was seen; remembers what it was asked."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.asked: list[int] = []

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        self.asked.append(k)
        row = np.array(self.ids[:k])
        n = len(batch)
        scores = np.linspace(1, 0.5, row.size, dtype=np.float32)
        return vr.SearchResult(
            np.tile(row, (n, 1)), np.tile(scores, (n, 1)), np.full(n, row.size, np.int32)
        )


class Broken:
    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        raise KeyError("the model is not there")


class Returning:
    def __init__(self, result: Any) -> None:
        self._result = result

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        return self._result  # type: ignore[no-any-return]


class Held(Fixed):
    """Gives nothing before it is let go, whatever its deadline is."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(ids)
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        self.entered.release()
        assert self.let_go.wait(SECONDS)
        return super().recall(batch, k)

    def wait_for(self, calls: int) -> None:
        """Wait until so many more calls have begun."""
        for _ in range(calls):
            assert self.entered.acquire(timeout=SECONDS)


class Polite:
    """Works until it has no time left, and then says so."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        self.begun.set()
        pause = threading.Event()
        while time_left() > 0:
            pause.wait(0.001)
        self.stopped.set()
        raise TimeoutError("no time is left")


class Echo:
    """Every user gets the own number as the only item."""

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        ids = batch.need("user_ids", self)[:, None]
        return vr.SearchResult(ids, np.ones(ids.shape, np.float32), np.ones(len(batch), np.int32))


def world(rng: np.random.Generator) -> tuple[dict[str, Any], vr.RequestBatch]:
    items, tags = normal(rng, 400, 8), normal(rng, 12, 8)
    index = vr.FlatIndex(items, metric="cosine")
    channels = {
        "i2i": ItemToItem(vr.NeighborTable.build(index, 100), decay=0.8),
        "live": ItemToItem(LiveNeighbors(index, n_neighbors=60)),
        "dssm": UserToItem(index, vector="dssm"),
        "user2vec": UserToItem(index, tag_table=tags),
        "crosstag": CrossTag(index, tags, tags_per_group=2),
        "hot": Precomputed.for_all(np.arange(400)),
    }
    batch = vr.RequestBatch(
        history=[[1, 2], [], [5]],
        tags=[[1, 2, 3], [4], []],
        tag_groups=[[0, 0, 1], [1], []],
        vectors={"dssm": items[[7, 8, 9]]},
        seen=[np.arange(50), [], [5, 7, 300]],
    )
    return channels, batch


def assert_equal_merges(found: vr.MergeResult, expected: vr.MergeResult) -> None:
    assert type(found) is type(expected) is vr.MergeResult
    for name in FIELDS[vr.MergeResult]:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
