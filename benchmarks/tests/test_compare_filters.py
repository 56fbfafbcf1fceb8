"""The checks of filtered searches and of updated indexes in ``benchmarks.compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.compare.workload import WorkloadError
from benchmarks.compare.workloads import churn, filters

BATCH, K = 4, 5
RNG = np.random.default_rng(0)
ITEMS = RNG.standard_normal((700, 8), dtype=np.float32)
QUERIES = RNG.standard_normal((3 * BATCH, 8), dtype=np.float32)
DATA = filters.prepare(ITEMS, QUERIES, K, seed=0)


def other_ids(found: vr.SearchResult) -> vr.SearchResult:
    ids = found.ids.copy()
    ids[-1, -2:] = ids[-1, [-1, -2]]
    return vr.SearchResult(ids, found.scores, found.counts)


def other_scores(found: vr.SearchResult) -> vr.SearchResult:
    scores = found.scores.copy()
    scores[-1, -1] = np.nextafter(scores[-1, -1], np.float32(np.inf))
    return vr.SearchResult(found.ids, scores, found.counts)


OTHERS = pytest.mark.parametrize("other", [other_ids, other_scores])
Change = Callable[[vr.SearchResult], vr.SearchResult]


def test_right_filters() -> None:
    filters.check(DATA, filters.searches(DATA, BATCH, K, 1), BATCH, K)


@OTHERS
@pytest.mark.parametrize("name", list(filters.TITLES))
def test_one_wrong_list_of_the_last_batch(name: str, other: Change) -> None:
    ways = filters.searches(DATA, BATCH, K, 1)
    right = ways[name]
    ways[name] = lambda round_number: (
        other(right(round_number)) if round_number == 2 else right(round_number)
    )
    with pytest.raises(WorkloadError, match=r": expected the best remaining items, got others$"):
        filters.check(DATA, ways, BATCH, K)


class Last:
    """An index whose last answer is another."""

    def __init__(self, other: Change) -> None:
        self.index, self.other, self.left = vr.FlatIndex(ITEMS), other, 3

    def search(self, *arguments: Any, **options: Any) -> vr.SearchResult:
        found = self.index.search(*arguments, **options)
        self.left -= 1
        return found if self.left else self.other(found)


@OTHERS
def test_one_wrong_list_after_updates(other: Change) -> None:
    args = argparse.Namespace(threads=1, quick=True)
    updated: Any = Last(other)
    with pytest.raises(WorkloadError, match=r"^updates: expected the lists of a fresh index"):
        churn.searched(vr.FlatIndex(ITEMS), updated, QUERIES, K, BATCH, args)
