"""No item's score lies outside the interval that a scan certifies, and the intervals are useful."""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import reference
from conftest import ISAS, METRICS, Metric
from datasets import HARD

from vecrecall import _core

F32 = npt.NDArray[np.float32]
CODES = pytest.mark.parametrize("codes", [False, True], ids=["float32", "int8"])


def intervals(
    isa: str, items: F32, metric: Metric, codes: bool, query: F32, bias: F32 | None = None
) -> tuple[F32, F32]:
    wide = None if bias is None else bias.astype(np.float64)
    return _core.scan_intervals(isa, items, wide, _core.Metric[metric], codes, query[None])


@CODES
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_scores_lie_within(name: str, metric: Metric, codes: bool) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    queries, items = HARD[name](rng, 3, 2200, 37)
    for bias in (None, rng.standard_normal(len(items)).astype(np.float32)):
        exact = reference.scores(queries, items, metric, bias)
        for query, scores in zip(queries, exact, strict=True):
            if metric == "cosine" and not query.any():
                continue
            for isa in ISAS:
                low, high = intervals(isa, items, metric, codes, query, bias)
                outside = np.flatnonzero((scores < low) | (scores > high))
                assert not outside.size, (isa, outside[:5], low[outside[:5]], high[outside[:5]])


@CODES
@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("name", ["gaussian", "common_offset", "cancelling", "all_exponents"])
def test_real_scores_lie_within(name: str, metric: Metric, codes: bool) -> None:
    """The same against exact rational arithmetic, which rounds nowhere.

    An end was rounded to float32 once: a real score may pass it by half a spacing of floats.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    queries, items = HARD[name](rng, 1, 70, 9)
    low, high = intervals(ISAS[0], items, metric, codes, queries[0])
    q = [Fraction(float(v)) for v in queries[0]]
    for item, lo, hi in zip(items, low, high, strict=True):
        x = [Fraction(float(v)) for v in item]
        products = sum((a * b for a, b in zip(q, x, strict=True)), Fraction())
        squares = sum(((a - b) ** 2 for a, b in zip(q, x, strict=True)), Fraction())
        real = products if metric == "ip" else -squares
        if np.isfinite(lo):
            assert real >= Fraction(float(np.nextafter(lo, np.float32(-np.inf))))
        if np.isfinite(hi):
            assert real <= Fraction(float(np.nextafter(hi, np.float32(np.inf))))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("isa", ISAS)
def test_float32_bound_is_close(isa: str, metric: Metric) -> None:
    """Rounding of d + 2 terms at 2^-24 each, of values up to |q| |x|, on either side."""
    rng = np.random.default_rng(5)
    queries, items = HARD["gaussian"](rng, 1, 500, 64)
    low, high = intervals(isa, items, metric, False, queries[0])
    reach = 1.0
    if metric != "cosine":
        reach = float(np.linalg.norm(queries[0]) * np.linalg.norm(items, axis=1).max())
    if metric == "l2":
        reach = 2 * (reach + float((items.astype(np.float64) ** 2).sum(1).max()))
    assert (high.astype(np.float64) - low).max() <= 2 * 2 * 70 * 2.0**-24 * reach


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("isa", ISAS)
def test_int8_bound_selects(isa: str, metric: Metric) -> None:
    """On Gaussian data an interval is a small part of the spread of the scores.

    A code misses at most half a step, 1/254 of the largest of a block's values (1/126 for the query
    where its codes have 7 bits); the largest is below 5 deviations here.
    """
    rng = np.random.default_rng(6)
    d = 64
    queries, items = HARD["gaussian"](rng, 1, 500, d)
    low, high = intervals(isa, items, metric, True, queries[0])
    scale = {"ip": 1.0, "l2": 2.0, "cosine": 1.0 / d}[metric]
    half_steps = np.sqrt(d) * (5 / 254 + 5 / 126)  # of items and query, times the other's length
    length = 1.5 * np.sqrt(d)
    assert (high.astype(np.float64) - low).max() <= 2 * scale * half_steps * length
