"""Merges that the literature knows by other names, as it defines them; and the default one."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall import policies

F64 = np.float64
Channels = dict[str, Any]
Scored = dict[int, float]


def draw(rng: np.random.Generator, low: float) -> list[Scored]:
    """Three lists with some items in common, best first."""
    lists = []
    for _ in range(3):
        ids = rng.permutation(12)[: rng.integers(1, 9)].tolist()
        scores = np.sort(rng.uniform(low, 9, len(ids)).astype(np.float32))[::-1].tolist()
        lists.append(dict(zip(ids, scores, strict=True)))
    return lists


def channels(lists: list[Scored]) -> Channels:
    return {
        name: ([list(scored)], [list(scored.values())])
        for name, scored in zip("abc", lists, strict=True)
    }


def scaled(scored: Scored) -> Scored:
    """Scores from 0 to 1."""
    low, high = min(scored.values()), max(scored.values())
    return {
        item: (F64(s) - F64(low)) / (F64(high) - F64(low)) if high > low else 1.0
        for item, s in scored.items()
    }


def expect(found: vr.MergeResult, scores: dict[int, float]) -> None:
    """Every item with its score, to the rounding of float32."""
    count = int(found.counts[0])
    assert sorted(found.ids[0, :count].tolist()) == sorted(scores)
    for item, score in zip(found.ids[0, :count].tolist(), found.scores[0].tolist(), strict=False):
        # One rounding to float32, and a dozen of float64 before.
        assert score == pytest.approx(scores[item], rel=2.0**-24 + 2.0**-48, abs=2.0**-48)


def assert_same(found: vr.MergeResult, other: vr.MergeResult) -> None:
    for name in ("ids", "scores", "counts", "channels", "ranks", "channel_scores", "unfilled"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("normalize", ["none", "minmax"])
def test_comb_sum_and_comb_max(rng: np.random.Generator, normalize: Any) -> None:
    for _ in range(50):
        lists = draw(rng, low=0.0)
        used = [scaled(scored) for scored in lists] if normalize == "minmax" else lists
        held = {item: [s[item] for s in used if item in s] for s in used for item in s}
        merged = vr.merge(channels(lists), 20, policies.WeightedSum(normalize=normalize))
        expect(merged, {item: float(sum(values)) for item, values in held.items()})
        merged = vr.merge(channels(lists), 20, policies.Maximum(normalize=normalize))
        expect(merged, {item: float(max(values)) for item, values in held.items()})


@pytest.mark.parametrize("on_duplicate", ["refill", "skip"])
def test_round_robin(rng: np.random.Generator, on_duplicate: Any) -> None:
    for _ in range(50):
        lists = draw(rng, low=-5.0)
        expected: list[int] = []
        if on_duplicate == "skip":
            for turn in zip_longest(*lists):
                expected += [i for i in dict.fromkeys(turn) if i is not None and i not in expected]
        else:
            left = [list(scored) for scored in lists]
            while any(left):
                for own in left:
                    while own and own[0] in expected:
                        del own[0]
                    expected += own[:1]
        found = vr.merge(channels(lists), 20, policies.Interleave(on_duplicate=on_duplicate))
        assert found.ids[0, : found.counts[0]].tolist() == expected


def test_reciprocal_ranks_are_the_default(rng: np.random.Generator) -> None:
    for _ in range(20):
        lists = draw(rng, low=-5.0)
        exclude = [list(lists[0])[:1]]
        found = vr.merge(channels(lists), 6, exclude=exclude)
        named = vr.merge(channels(lists), 6, policies.RRF(), exclude=exclude)
        assert_same(found, named)
        scores = dict.fromkeys(sorted({i for scored in lists for i in scored}), 0.0)
        for scored in lists:
            for rank, item in enumerate(scored, start=1):
                scores[item] += 1 / (60 + rank)
        expect(vr.merge(channels(lists), 20), scores)


def test_a_recaller_without_a_policy() -> None:
    given = {
        "a": vr.channels.Precomputed.for_all([1, 2, 3]),
        "b": vr.channels.Precomputed.for_all([4, 3]),
    }
    batch = vr.RequestBatch(user_ids=[7, 8])
    found = vr.Recaller(given, depth=3).recall(batch, 4)
    named = vr.Recaller(given, policies.RRF(), depth=3).recall(batch, 4)
    assert_same(found, named)
    assert found.ids[0].tolist() == [3, 1, 4, 2]


def test_the_documentation_has_the_names() -> None:
    for text, names in (
        (policies, ("CombSUM", "CombMAX", "round-robin", "reciprocal rank fusion", "Fox, Shaw")),
        (policies.WeightedSum, ("CombSUM", "Fox, Shaw")),
        (policies.Maximum, ("CombMAX", "Fox, Shaw")),
        (policies.Interleave, ("Round-robin", "Voorhees")),
        (policies.RRF, ("Reciprocal rank fusion", "Cormack")),
    ):
        assert text.__doc__ is not None
        for name in names:
            assert name in text.__doc__
