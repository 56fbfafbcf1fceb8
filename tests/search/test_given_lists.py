"""Lists around centers that were given: parts of the items have the same lists as all of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

METRICS: Any = ("ip", "cosine", "l2")
RNG = np.random.default_rng(4)
X = RNG.standard_normal((4000, 10)).astype(np.float32)
X[::9] = X[0]  # a list far longer than the average
CENTERS = np.concatenate([X[1:40], 100 * np.ones((3, 10), np.float32)])  # the last get no items
Q = RNG.standard_normal((21, 10)).astype(np.float32)


SPREADS = (np.arange(len(CENTERS)) % 4).astype(np.float32)


def given(rows: slice, metric: Any = "l2", **options: Any) -> vr.IVFIndex:
    ids = np.arange(len(X))[rows]
    return vr.IVFIndex(X[rows], ids, metric=metric, centers=CENTERS, **options)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_parts_have_the_lists_of_all(metric: Any, spread: bool) -> None:
    spreads = SPREADS if spread and metric != "l2" else np.zeros_like(SPREADS)
    whole = given(slice(None), metric, probes=4, spreads=spreads)
    parts = [given(slice(n, None, 3), metric, probes=4, spreads=spreads) for n in range(3)]
    assert whole.probes == 4
    for index in (whole, *parts):
        np.testing.assert_array_equal(index.centers, CENTERS)
        np.testing.assert_array_equal(index.spreads, spreads)
    sizes = sum(part.stats.list_sizes for part in parts)
    np.testing.assert_array_equal(sizes, whole.stats.list_sizes)
    for probes in (1, 2, 7, 41, 500):
        found = [part.search(Q, 30, probes=probes) for part in parts]
        assert vr.merge_shards(found, 30) == whole.search(Q, 30, probes=probes)
        looked = sum(part._now().rows_looked_at(Q, probes, 1) for part in parts)
        np.testing.assert_array_equal(looked, whole._now().rows_looked_at(Q, probes, 2))
    exact = vr.FlatIndex(X, metric=metric).search(Q, 30)
    assert whole.search(Q, 30, probes="exact") == exact
    assert whole.search(Q[:1], 30, probes="exact") == vr.FlatIndex(X, metric=metric).search(
        Q[:1], 30
    )


def test_items_are_in_the_nearest_list() -> None:
    """By an oracle in float64."""
    index = given(slice(None))
    distances = ((X[:, None].astype(float) - CENTERS[None].astype(float)) ** 2).sum(axis=2)
    centers, lists = index._assignment()
    np.testing.assert_array_equal(lists, distances.argmin(axis=1))
    assert (index.stats.list_sizes == 0).any()
    assert index.stats.list_sizes.max() > 4 * len(X) / len(CENTERS)
    looked = index._now().rows_looked_at(Q, 5, 1)
    far = ((Q[:, None].astype(float) - centers[None].astype(float)) ** 2).sum(axis=2)
    best = np.argsort(far, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(looked, index.stats.list_sizes[best].sum(axis=1))


def test_wide_lists_come_first() -> None:
    """A spread counts as much as the score of the center for a query of length one."""
    spreads = np.zeros(len(CENTERS), np.float32)
    spreads[8] = 1e6  # of the long list
    index = given(slice(None), "ip", spreads=spreads)
    _, lists = index._assignment()
    for scale in (1e-20, 1.0, 1e20):
        found = index.search(scale * Q, 5, probes=1)
        assert found.counts.tolist() == [5] * len(Q)
        assert (lists[found.ids] == 8).all()


def test_lists_stay(tmp_path: Path) -> None:
    index = given(slice(None), "cosine", probes=3, spreads=SPREADS)
    for step in range(4):
        index.add(X[:3000] + step, np.arange(3000) + 10_000 * (step + 1))
        index.compact()
    np.testing.assert_array_equal(index.centers, CENTERS)
    assert index.probes == 3
    index.remove(index.ids[:12_000])
    index.compact()
    np.testing.assert_array_equal(index.centers, CENTERS)
    index.save(tmp_path / "i")
    for again in (vr.IVFIndex.load(tmp_path / "i", verify=True), pickle.loads(pickle.dumps(index))):
        np.testing.assert_array_equal(again.centers, CENTERS)
        np.testing.assert_array_equal(again.spreads, SPREADS)
        assert again.search(Q, 9) == index.search(Q, 9)
        assert again.search(Q, 9, probes="exact") == index.search(Q, 9, probes="exact")
        again.add(X[:1], [99_999])
        again.compact()
        np.testing.assert_array_equal(again.centers, CENTERS)
        np.testing.assert_array_equal(again.spreads, SPREADS)
    index.compact(retrain=True)
    assert (index.stats.list_sizes > 0).all()
    assert len(index.spreads) == index.n_lists
    assert (index.spreads > 0).any()


def test_no_items() -> None:
    index = vr.IVFIndex(X[:0], centers=CENTERS)
    np.testing.assert_array_equal(index.centers, CENTERS)
    assert index.search(Q, 3).counts.tolist() == [0] * len(Q)
    index.add(X[:50], np.arange(50))
    index.compact()
    np.testing.assert_array_equal(index.centers, CENTERS)
    assert index.search(Q, 3, probes="exact") == vr.FlatIndex(X[:50]).search(Q, 3)


def test_wrong_centers() -> None:
    for wrong, match in (
        ({"centers": CENTERS, "n_lists": 3}, "n_lists, centers"),
        ({"centers": CENTERS[:, :4]}, "centers"),
        ({"centers": CENTERS[:0]}, "centers"),
        ({"centers": CENTERS * np.nan}, "centers"),
        ({"spreads": SPREADS}, "spreads: expected none without centers"),
        ({"centers": CENTERS, "spreads": SPREADS[1:]}, "spreads"),
        ({"centers": CENTERS, "spreads": SPREADS - 1}, "spreads"),
        ({"centers": CENTERS, "spreads": SPREADS * np.nan}, "spreads"),
        ({"centers": CENTERS, "spreads": SPREADS, "metric": "l2"}, "spreads: .* zeros under l2"),
        ({"probes": 0}, "probes"),
        ({"probes": 1.5}, "probes"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            vr.IVFIndex(X, **wrong)
    assert vr.IVFIndex(X, probes=7).probes == 7
