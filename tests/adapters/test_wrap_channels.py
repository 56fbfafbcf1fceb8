"""A wrapped exact index stands in for `FlatIndex` in every channel: the same lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits
from datasets import normal

import vecrecall as vr
from vecrecall.channels import (
    ClusterCandidates,
    CrossTag,
    GroupProfile,
    ItemToItem,
    LiveNeighbors,
    UserToItem,
)

pytestmark = pytest.mark.libraries

faiss = pytest.importorskip("faiss", reason="needs faiss-cpu")

N, DIM, USERS, TAGS, CLUSTERS = 400, 8, 30, 12, 5
Channel = Callable[["Case", Any], Any]


class Case:
    """Items, an exact and a wrapped index of them, and users who have seen the best of them."""

    def __init__(self, rng: np.random.Generator, metric: Metric) -> None:
        self.items = normal(rng, N, DIM)
        self.items[100:140] = self.items[7]
        ids = rng.permutation(10**6)[:N]
        rows = self.items.astype(np.float64)
        if metric == "cosine":
            rows /= np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        library = faiss.IndexFlatL2(DIM) if metric == "l2" else faiss.IndexFlatIP(DIM)
        library.add(rows.astype(np.float32))
        self.flat = vr.FlatIndex(self.items, ids, metric=metric)
        self.wrapped = vr.wrap(library, ids, metric=metric, vectors=self.items)
        self.table = normal(rng, TAGS, DIM)
        self.centers = normal(rng, CLUSTERS, DIM)

        def some(pool: Any, most: int) -> list[Any]:
            return [rng.permutation(pool)[: rng.integers(0, most)].tolist() for _ in range(USERS)]

        vectors = normal(rng, USERS, DIM)
        vectors[3], vectors[4] = 0, self.items[7]
        tags = some(TAGS, 6)
        best = self.flat.search(vectors, 90).ids
        self.profiles = vr.RequestBatch(tags=tags[:CLUSTERS])
        self.batch = vr.RequestBatch(
            history=some([*ids, 10**7], 9),
            tags=tags,
            tag_groups=[[tag % 3 for tag in row] for row in tags],
            vectors={"user": vectors},
            clusters=some(np.arange(CLUSTERS), 3),
            seen=[rng.permutation(row[row >= 0])[: rng.integers(0, 90)] for row in best],
        )


CHANNELS: dict[str, Channel] = {
    "user to item": lambda case, index: UserToItem(index, vector="user"),
    "user to item by tags": lambda case, index: UserToItem(index, tag_table=case.table),
    "item to item, live": lambda case, index: ItemToItem(LiveNeighbors(index, n_neighbors=40)),
    "item to item": lambda case, index: ItemToItem(vr.NeighborTable.build(index, 40)),
    "cross tag": lambda case, index: CrossTag(index, case.table, tags_per_group=2),
    "cluster candidates": lambda case, index: ClusterCandidates(index, case.centers),
    "group profile": lambda case, index: GroupProfile(
        UserToItem(index, tag_table=case.table), case.profiles, n_candidates=25
    ),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CHANNELS)
def test_channels(name: str, metric: Metric, rng: np.random.Generator) -> None:
    case = Case(rng, metric)
    make = CHANNELS[name]
    expected, found = make(case, case.flat), make(case, case.wrapped)
    for k in (1, 20, N + 5):
        lists = expected.recall(case.batch, k)
        assert lists.counts.max() > 0
        assert_same_bits(found.recall(case.batch, k), *arrays(lists))


@pytest.mark.parametrize("metric", METRICS)
def test_neighbors(metric: Metric, rng: np.random.Generator) -> None:
    case = Case(rng, metric)
    for k, floor in ((1, None), (30, None), (N, None), (30, float(np.median(
        case.flat.neighbors(30).scores.values)))):  # fmt: skip
        expected = case.flat.neighbors(k, min_score=floor)
        found = case.wrapped.neighbors(k, min_score=floor)
        np.testing.assert_array_equal(found.ids.offsets, expected.ids.offsets)
        np.testing.assert_array_equal(found.ids.values, expected.ids.values)
        np.testing.assert_array_equal(
            found.scores.values.view(np.uint32), expected.scores.values.view(np.uint32)
        )


@pytest.mark.parametrize("metric", METRICS)
def test_the_recaller(metric: Metric, rng: np.random.Generator) -> None:
    case = Case(rng, metric)
    results = [
        vr.Recaller(
            {name: make(case, index) for name, make in CHANNELS.items()}, vr.policies.RRF()
        ).recall(case.batch, 50)
        for index in (case.flat, case.wrapped)
    ]
    assert results[0].counts.min() > 0
    assert_same_bits(results[1], *arrays(results[0]))
    np.testing.assert_array_equal(results[1].channels, results[0].channels)
    np.testing.assert_array_equal(results[1].ranks, results[0].ranks)
