"""The checks of merged lists in ``benchmarks.compare``."""

from __future__ import annotations

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.compare.workloads.merge import PEERS, channel_lists, problems
from benchmarks.compare.workloads.merge_truth import Truth

USERS, WIDTH, K = 3, 40, 120
LISTS = channel_lists(USERS, WIDTH, seed=0)
TRUTH = Truth(LISTS, K)
SCORES = TRUTH.sums_of(TRUTH.ids).astype(np.float32)
TIES = np.argwhere(SCORES[:, 1:] == SCORES[:, :-1])
FALLS = np.argwhere(SCORES[:, 1:] < SCORES[:, :-1])


def swapped(user: int, place: int) -> np.ndarray:
    ids = TRUTH.ids.copy()
    ids[user, [place, place + 1]] = ids[user, [place + 1, place]]
    return ids


def test_by_hand() -> None:
    ids = {"a": [[7, 3, 9]], "b": [[3, 8, 7]]}
    scores = np.zeros((1, 3), np.float32)
    lists = {
        name: vr.SearchResult(np.array(row), scores, np.array([3], np.int32))
        for name, row in ids.items()
    }
    truth = Truth(lists, 3)
    # 3: 1/62 + 1/61; 7: 1/61 + 1/63; 8: 1/62; 9: 1/63
    assert truth.ids.tolist() == [[3, 7, 8]]
    assert truth.best[0] == pytest.approx([1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62], rel=2**-50)
    assert truth.sums_of(np.array([[9, 1, 10]])).tolist() == [[1 / 63, 0, 0]]


@pytest.mark.parametrize("name", ["vecrecall", "vecrecall with provenance", "numpy", "dict"])
def test_peers_with_our_ties(name: str) -> None:
    assert problems(TRUTH, {name: PEERS[name].fuse(LISTS, K)}) == []


def test_order_counts() -> None:
    user, place = FALLS[0]
    for name in ("vecrecall", "ranx"):
        [problem] = problems(TRUTH, {name: swapped(user, place)})
        assert problem == (
            f"{name}: expected the best items in order, 2 of {USERS * K} places are wrong"
        )
        assert problems(TRUTH, {name: np.sort(TRUTH.ids, axis=1)}) != []
    assert TRUTH.same_ranks(swapped(user, place)) == 1 - 2 / (USERS * K)


def test_ties_may_change_places_elsewhere() -> None:
    user, place = TIES[0]
    assert problems(TRUTH, {"ranx": swapped(user, place), "polars": swapped(user, place)}) == []
    assert len(problems(TRUTH, {"vecrecall": swapped(user, place), "dict": TRUTH.ids})) == 1


def test_an_item_twice() -> None:
    user, place = TIES[0]  # the scores alone would allow it
    ids = TRUTH.ids.copy()
    ids[user, place + 1] = ids[user, place]
    assert len(problems(TRUTH, {"ranx": ids})) == 1


@pytest.mark.parametrize("ids", [TRUTH.ids[:, 1:], TRUTH.ids[1:], np.full_like(TRUTH.ids, -1)])
@pytest.mark.parametrize("name", ["vecrecall", "polars"])
def test_other_lists(name: str, ids: np.ndarray) -> None:
    assert len(problems(TRUTH, {name: ids})) == 1
