"""Fusion against ranx, which others wrote, where it means the same.

ranx sums in float64 too and does not round; a flat list is 0 there under min-max and 1 here, so
no list is flat; its ties have no defined order, so no channel has any.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from vecrecall import policies

pytestmark = pytest.mark.libraries

numba = pytest.importorskip("numba", reason="needs ranx, which needs numba: pip install ranx")

# As plain Python: compiled, ranx takes half a minute the first time, for a second's work.
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(numba.config, "DISABLE_JIT", True)
    ranx = pytest.importorskip("ranx", reason="needs ranx: pip install ranx")

NQ = 8
Channel = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def channels_of(rng: np.random.Generator, n_channels: int, width: int) -> dict[str, Channel]:
    """Channels of different widths and scales, best item first, that share many items."""
    found = {}
    for c in range(n_channels):
        w = width + 3 * c
        ids = np.stack([rng.permutation(3 * width)[:w] for _ in range(NQ)])
        scores = -np.sort(-rng.standard_normal((NQ, w)).astype(np.float32)) * np.float32(10**c)
        assert (np.diff(scores) < 0).all()
        found[f"c{c}"] = (ids, scores)
    return found


def runs(channels: dict[str, Channel]) -> list[Any]:
    return [
        ranx.Run({
            f"q{q}": {str(i): float(s) for i, s in zip(ids[q], scores[q], strict=True)}
            for q in range(NQ)
        })
        for ids, scores in channels.values()
    ]  # fmt: skip


def check(found: Any, fused: Any, terms: float) -> None:
    """The same items and values, in an order that the values allow.

    Theirs and ours are float64 sums of at most 64 terms, no larger than `terms` together, each
    term rounded four times at most, so they differ by less than 2 * 68 * 2**-53 * terms. Ours is
    then rounded to float32, which adds half a unit in its last place.
    """
    theirs = fused.to_dict()
    for q in range(NQ):
        expected = theirs[f"q{q}"]
        count = found.counts[q]
        ids = [str(i) for i in found.ids[q, :count]]
        assert sorted(ids) == sorted(expected)
        values = np.array([expected[i] for i in ids])
        ours = found.scores[q, :count].astype(np.float64)
        tolerance = 136 * 2.0**-53 * terms + 2.0**-24 * np.abs(values)
        assert (np.abs(ours - values) <= tolerance).all()
        assert (np.diff(values) <= tolerance[1:] + tolerance[:-1]).all()


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)


@pytest.fixture(params=[2, 5], ids="{} channels".format)
def channels(request: pytest.FixtureRequest, rng: np.random.Generator) -> dict[str, Channel]:
    return channels_of(rng, request.param, 20)


@pytest.mark.parametrize("k", [60, 1, 1000])
def test_rrf(channels: dict[str, Channel], k: int) -> None:
    found = vr.merge(channels, 300, policies.RRF(k=k))
    fused = ranx.fuse(runs(channels), norm=None, method="rrf", params={"k": k})
    check(found, fused, len(channels))


def test_weighted_sum_of_minmax(channels: dict[str, Channel]) -> None:
    weights = {name: 0.3 + 0.2 * c for c, name in enumerate(channels)}
    found = vr.merge(channels, 300, policies.WeightedSum(weights, normalize="minmax"))
    params = {"weights": list(weights.values())}
    fused = ranx.fuse(runs(channels), norm="min-max", method="wsum", params=params)
    check(found, fused, sum(weights.values()))


@pytest.mark.parametrize(("ours", "theirs"), [("none", None), ("minmax", "min-max")])
def test_comb_max(channels: dict[str, Channel], ours: Any, theirs: Any) -> None:
    found = vr.merge(channels, 300, policies.Maximum(normalize=ours))
    fused = ranx.fuse(runs(channels), norm=theirs, method="max")
    check(found, fused, 1.0)  # one term, below 1 where it is rounded before the end
