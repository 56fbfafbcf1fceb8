"""`vr.merge`: every policy on lists small enough to follow by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.policies import RRF, Interleave, Maximum, Policy, Priority, Quota, WeightedSum

A = ([[1, 2, 3, 4]], [[4.0, 3.0, 2.0, 1.0]])
B = ([[3, 5, 1, -1, 6]], [[0.5, 0.5, -0.5, np.nan, -0.5]])
LISTS: dict[str, Any] = {"a": A, "b": B}


def merged(
    policy: Policy, k: int = 6, lists: dict[str, Any] = LISTS, **arguments: Any
) -> list[int]:
    found = vr.merge(lists, k, policy, **arguments)
    n = int(found.counts[0])
    assert found.ids[0, n:].tolist() == [-1] * (k - n)
    assert found.scores[0, n:].tolist() == [-np.inf] * (k - n)
    return found.ids[0, :n].tolist()


@pytest.mark.parametrize(
    ("policy", "ids"),
    [
        (RRF(), [1, 3, 2, 5, 4, 6]),  # 4 and 6: rank 4 in one channel each
        (RRF({"a": 0, "b": 1}), [3, 5, 1, 6, 2, 4]),
        (WeightedSum(), [1, 2, 3, 4, 5, 6]),
        (WeightedSum({"a": 0, "b": 2}), [3, 5, 1, 2, 4, 6]),  # absent from b: its lowest
        (WeightedSum(normalize="minmax"), [3, 1, 5, 2, 4, 6]),
        (Maximum(normalize="max"), [1, 3, 5, 2, 4, 6]),
        (Interleave(), [1, 3, 2, 5, 4, 6]),
        (Interleave({"a": 2, "b": 1}), [1, 2, 3, 4, 5, 6]),
        (Interleave(on_duplicate="skip"), [1, 3, 2, 5, 4, 6]),
        (Priority({"a": 2, "b": 2}), [1, 2, 3, 5, 4, 6]),
        (Priority({"a": 2, "b": 3}, mode="cumulative", backfill=False), [1, 2, 3]),
        (Quota(None), [1, 2, 5, 3, 4, 6]),
        (Quota({"a": 1, "b": 2}, maximum={"b": 1}), [1, 2, 5, 3, 4]),
    ],
)
def test_policies(policy: Policy, ids: list[int]) -> None:
    assert merged(policy) == ids
    many = {name: (np.repeat(i, 40, 0), np.repeat(s, 40, 0)) for name, (i, s) in LISTS.items()}
    for threads in (1, 2):
        found = vr.merge(many, 6, policy, threads=threads)
        assert (found.ids == vr.merge(LISTS, 6, policy).ids).all()


def test_channels_of_one_weight() -> None:
    """Every item is in one channel: its score is that channel's term for its rank."""
    lengths = {"a": 1, "b": 3, "c": 4, "d": 5}
    weights = {"a": 2.0, "b": 1.0, "c": 2.0, "d": 1.0}
    ids = {name: np.arange(n) + 10 * c for c, (name, n) in enumerate(lengths.items())}
    lists = {name: (row[None], np.zeros((1, row.size), np.float32)) for name, row in ids.items()}
    m = vr.merge(lists, 13, RRF(weights))
    scores = dict(zip(m.ids[0].tolist(), m.scores[0], strict=True))
    for name, row in ids.items():
        terms = (weights[name] / (60 + 1 + np.arange(row.size))).astype(np.float32)
        np.testing.assert_array_equal([scores[i] for i in row.tolist()], terms)


def test_provenance() -> None:
    found = vr.merge(LISTS, 3, RRF())
    assert found.channels.tolist() == [[3, 3, 1]]
    assert found.ranks is not None
    assert found.channel_scores is not None
    assert found.ranks.tolist() == [[[1, 3], [3, 1], [2, 0]]]
    np.testing.assert_array_equal(found.channel_scores, [[[4.0, -0.5], [2.0, 0.5], [3.0, np.nan]]])
    less = vr.merge(LISTS, 3, RRF(), provenance=False)
    assert less.ranks is None
    assert less.channel_scores is None
    assert less.channels.tolist() == found.channels.tolist()


def test_exclude_and_caps() -> None:
    assert merged(Interleave(), exclude=[[3, 99, -1]]) == [1, 5, 2, 6, 4]
    caps = vr.Caps([1, 3, 5], [7, 7, 7], 1)
    assert merged(Interleave(), caps=caps) == [1, 6, 2, 4]
    assert merged(RRF(), caps=[caps, vr.Caps([2, 4], [-1, -1], 1)]) == [1, 2, 6]
    assert merged(Quota(None), caps=vr.Caps([1, 2, 3, 4, 5, 6], [0] * 6, 0)) == []


def test_unfilled() -> None:
    assert vr.merge(LISTS, 6, Priority({"a": 9, "b": 1})).unfilled.tolist() == [[2, 0]]
    assert vr.merge(LISTS, 8, Quota({"a": 1, "b": 3})).unfilled.tolist() == [[0, 3]]
    assert vr.merge(LISTS, 8, RRF()).unfilled.tolist() == [[0, 0]]


def test_kinds_of_channels() -> None:
    ragged = (vr.Ragged.from_lists([[1, 2], []]), vr.Ragged.from_lists([[1.0, 0.5], []]))
    padded = (np.array([[3], [1]], np.int32), np.array([[2.0], [1.0]], np.float64))
    lists: dict[str, Any] = {"ragged": ragged, "padded": padded}
    found = vr.merge(lists, 2, Interleave())
    assert found.ids.tolist() == [[1, 3], [1, -1]]
    again: dict[str, Any] = {"merged": found, "counted": vr.SearchResult(*padded, np.array([0, 1]))}
    assert vr.merge(again, 2, Interleave()).ids.tolist() == [[1, 3], [1, -1]]


BAD: dict[str, tuple[Any, ...]] = {
    "no mapping": ([A], 2, RRF(), "channels"),
    "no channels": ({}, 2, RRF(), "channels"),
    "many channels": ({str(i): A for i in range(65)}, 2, RRF(), "channels.*65"),
    "shapes": ({"x": ([[1]], [[1.0, 2.0]])}, 2, RRF(), r"channels\['x'\].*\(1, 1\).*\(1, 2\)"),
    "rows": (
        {"x": A, "y": ([[1], [2]], [[1.0], [2.0]])},
        2,
        RRF(),
        r"channels\['y'\].*1 row,.*got 2",
    ),
    "NaN": ({"x": A, "y": ([[1]], [[np.nan]])}, 2, RRF(), r"channels\['y'\].*numbers.*nan"),
    "negative id": ({"y": ([[-2]], [[1.0]])}, 2, RRF(), r"channels\['y'\].*-2"),
    "unknown name": (LISTS, 2, RRF({"a": 1, "b": 1, "c": 1}), "weights.*'c'"),
    "missing name": (LISTS, 2, Quota({"a": 1}), "shares.*'b'"),
    "unknown minimum": (LISTS, 2, Quota(None, {"c": 1}), "minimum.*'c'"),
    "minima": (LISTS, 3, Quota(None, {"a": 2, "b": 2}), "minimum.*3"),
    "policy": (LISTS, 3, RRF, "policy.*RRF"),
    "k": (LISTS, 0, RRF(), "k.*>= 1.*0"),
}


@pytest.mark.parametrize(("lists", "k", "policy", "match"), BAD.values(), ids=BAD)
def test_bad_input(lists: Any, k: Any, policy: Any, match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        vr.merge(lists, k, policy)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1", None, True])
def test_bad_weights(value: Any) -> None:
    for policy in (RRF, WeightedSum, Maximum, Interleave, Priority, Quota):
        with pytest.raises((ValueError, TypeError), match=r"(weights|quotas|shares)\['a'\]"):
            policy({"a": value})


def test_bad_caps() -> None:
    with pytest.raises(ValueError, match=r"ids.*duplicate.*4"):
        vr.Caps([4, 4], [1, 2], 1)
    with pytest.raises(ValueError, match=r"groups.*2.*1"):
        vr.Caps([3, 4], [1], 1)
    with pytest.raises(TypeError, match=r"caps.*int"):
        vr.merge(LISTS, 2, RRF(), caps=[5])  # type: ignore[list-item]
