"""Merging against vectorised NumPy: one sort by user and id for the whole batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from vecrecall.policies import RRF, Interleave, Maximum, Policy, Priority, Quota, WeightedSum

ITEMS, USERS, CHANNELS = 1_000_000, 256, 8
NAMES = [f"c{c}" for c in range(CHANNELS)]
SIZES = [(200, 200), (500, 500)]
POLICIES: dict[str, Policy] = {
    "WeightedSum": WeightedSum(normalize="minmax"),
    "Maximum": Maximum(normalize="max"),
    "Interleave": Interleave(),
    "Priority": Priority(dict.fromkeys(NAMES, 30)),
    "Quota": Quota(None),
}

Lists = dict[str, vr.SearchResult]
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def channel_lists(width: int) -> Lists:
    """Half of a list from what all channels may find for the user, half from all items."""
    rng = np.random.default_rng(1)
    common = rng.integers(0, ITEMS, (USERS, 2 * width))
    lists = {}
    for name in NAMES:
        # More than enough: the last of equal ids stay, at random places.
        shared = rng.permuted(common, axis=1)[:, : width // 2]
        own = rng.integers(0, ITEMS, (USERS, 2 * width))
        ids = np.empty((USERS, width), np.int64)
        for u in range(USERS):
            distinct = list(dict.fromkeys([*shared[u].tolist(), *own[u].tolist()]))
            ids[u] = rng.permutation(distinct[:width])
        scores = -np.sort(-rng.standard_normal((USERS, width)).astype(np.float32))
        lists[name] = vr.SearchResult(ids, scores, np.full(USERS, width, np.int32))
    return lists


def rrf_with_numpy(lists: Lists, k: int) -> Found:
    """Reciprocal rank fusion of full lists; a stable sort keeps the channels' order in the sums."""
    ids = np.concatenate([found.ids for found in lists.values()], axis=1)
    users, places = ids.shape
    width = places // len(lists)
    terms = np.tile(1 / (60 + np.arange(1.0, width + 1)), (users, len(lists))).ravel()
    keys = (np.arange(users)[:, None] * ITEMS + ids).ravel()
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    # bincount adds in order, where reduceat may add in pairs
    owner = np.cumsum(np.r_[False, keys[1:] != keys[:-1]])
    sums = np.bincount(owner, terms[order]).astype(np.float32)
    user, item = np.divmod(keys[starts], ITEMS)
    best = np.lexsort((item, -sums, user))
    first = np.searchsorted(user, np.arange(users))
    chosen = best[first[:, None] + np.arange(k)]
    return item[chosen], sums[chosen]


@pytest.fixture(scope="module", params=SIZES, ids=[f"{w}to{k}" for w, k in SIZES])
def case(request: pytest.FixtureRequest) -> tuple[Lists, int]:
    width, k = request.param
    return channel_lists(width), k


@pytest.mark.parametrize("engine", ["vecrecall", "provenance", "numpy"])
def test_rrf(benchmark, case: tuple[Lists, int], engine: str) -> None:
    lists, k = case
    width = lists["c0"].ids.shape[1]
    benchmark.group = f"RRF of {CHANNELS} x {width} to {k}, {USERS} users, one thread"
    found = vr.merge(lists, k, RRF(), provenance=False, threads=1)
    ids, scores = rrf_with_numpy(lists, k)
    assert np.array_equal(found.ids, ids)
    assert np.array_equal(found.scores, scores)
    if engine == "numpy":
        benchmark(rrf_with_numpy, lists, k)
    else:
        benchmark(vr.merge, lists, k, RRF(), provenance=engine == "provenance", threads=1)


@pytest.mark.parametrize("provenance", [True, False], ids=["provenance", "plain"])
@pytest.mark.parametrize("name", POLICIES)
def test_policy(benchmark, case: tuple[Lists, int], name: str, provenance: bool) -> None:
    lists, k = case
    width = lists["c0"].ids.shape[1]
    benchmark.group = f"{name} of {CHANNELS} x {width} to {k}, {USERS} users, one thread"
    found = benchmark(vr.merge, lists, k, POLICIES[name], provenance=provenance, threads=1)
    assert (found.counts == k).all()
    assert all(len(set(row)) == k for row in found.ids.tolist())
