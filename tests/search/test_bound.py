"""No item's score lies outside the interval that a scan certifies, and the intervals are useful."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable

import adversary
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import ISAS, METRICS, Metric, forced_isa
from datasets import HARD, cone

from vecrecall import _core

scan = pytest.importorskip(
    "vecrecall._scan_intervals",
    reason="needs a build with VECRECALL_TEST_MODULE=ON, as ./run test makes one",
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
CODES = pytest.mark.parametrize("codes", [False, True], ids=["float32", "int8"])


def intervals(
    isa: str, items: F32, metric: Metric, codes: bool, query: F32, bias: F32 | F64 | None = None
) -> tuple[F32, F32]:
    scan.set_isa(_core.isa())  # which the module has a copy of
    wide = None if bias is None else bias.astype(np.float64)
    ends = [  # alone and in a batch: different kernels, both must be right
        scan.scan_intervals(isa, items, wide, _core.Metric[metric], codes, queries)
        for queries in (query[None], np.repeat(query[None], 7, axis=0))
    ]
    low = np.concatenate([low for low, _ in ends]).max(axis=0)
    return low, np.concatenate([high for _, high in ends]).min(axis=0)


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


Builder = Callable[[np.random.Generator, int, int, int], tuple[F32, F32]]
HARD_NAMES = ["gaussian", "lognormal_norms", "cauchy", "one_ulp", "huge_dimension", "huge_row"]
HARD_NAMES += ["denormals", "common_offset", "cone", "canceling", "half_way", "infinite_terms"]
HARD_NAMES += ["overflowing", "vanishing", "largest_values", "all_exponents"]
REAL: dict[str, Builder] = {name: HARD[name] for name in HARD_NAMES}
REAL["midpoints"] = adversary.midpoints
REAL["along_the_codes_errors"] = adversary.along_the_codes_errors
QUERY_CODES = [127, 63]  # what the codes of a query go up to, by instruction set
WIDTHS = [1, 3, 9, 33, 64, 130, 770]


def sums(terms: F64) -> F64:
    """Of each row, rounded once."""
    return np.array([math.fsum(row) for row in terms.tolist()])


def real_scores(query: F32, items: F32, metric: Metric, bias: F64 | None) -> tuple[F64, F64]:
    """Bounds in float64 of what the scores would be without any rounding.

    A product of two float32 is exact in float64: 48 bits, and exponents far from its limits. So the
    inner product, and the distance as q^2 - 2qx + x^2, are sums of exact terms, the bias being one
    more; `math.fsum` rounds such a sum once, to the nearest float64, however its terms cancel. An
    end of an interval is a float64 rounded to float32, and rounding is monotonic: what holds of the
    real score holds of these, rounded likewise, and no tolerance is needed. The cosine has three
    such sums, two divisions and a root, each within 2^-53 of itself.
    """
    q, x = query.astype(np.float64), items.astype(np.float64)
    terms, slack = q * x, np.zeros(len(x))
    if metric == "l2":
        terms = np.hstack([np.broadcast_to(-q * q, x.shape), 2 * terms, -x * x])
    if metric == "cosine":
        cosine = sums(terms) / np.sqrt(sums(x * x)) / np.sqrt(sums(q[None] ** 2))
        terms, slack = cosine[:, None], np.abs(cosine) * 2.0**-50
    added = np.zeros(len(x)) if bias is None else bias
    return (
        sums(np.column_stack([terms, added, -slack])),
        sums(np.column_stack([terms, added, slack])),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("name", REAL)
def test_real_scores_lie_within(
    name: str, d: int, metric: Metric, rng: np.random.Generator
) -> None:
    """The same of scores that were never rounded, on every instruction set from the codes on."""
    queries, items = REAL[name](rng, 2, 70, d)
    size = float(np.median(np.abs(real_scores(queries[0], items, metric, None)[0])))
    spread = rng.standard_normal(70) * rng.choice([1e-3, 1.0, 1e3], 70)
    for query in queries:
        if metric == "cosine" and not query.any():
            continue
        for bias in (None, spread * min(size, 1e30)):
            real = real_scores(query, items, metric, bias)
            smallest, largest = (reference.to_float32(end) for end in real)
            for isa, codes in itertools.product(ISAS, [False, True]):
                with forced_isa(isa):
                    low, high = intervals(isa, items, metric, codes, query, bias)
                outside = np.flatnonzero((largest < low) | (smallest > high))
                assert not outside.size, (isa, codes, outside[:5], low[outside], high[outside])


def largest_share(isa: str, query: F32, items: F32, metric: Metric, codes: bool) -> float:
    """How much of its bound the error of a scan really reaches, on some item; never all of it."""
    with forced_isa(isa):
        ends = intervals(isa, items, metric, codes, query)
    low, high = (end.astype(np.float64) for end in ends)
    real, largest = real_scores(query, items, metric, None)
    assert (reference.to_float32(largest) >= low).all()
    assert (reference.to_float32(real) <= high).all()
    return float((np.abs(real - (low + high) / 2) / ((high - low) / 2)).max())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("isa", ISAS)
def test_the_int8_bound_cannot_be_smaller(
    isa: str, metric: Metric, rng: np.random.Generator
) -> None:
    """On the worst data the error is the bound, so that one smaller by 2 % fails.

    Each of its two parts in turn is as large as Cauchy and Schwarz allow while the other is zero,
    but for one dimension in d: sqrt((d - 1) / d) of it. Terms for rounding are 2^-10 of it here.
    """
    d = 64
    queries, items = adversary.missed_items(rng, 3, 70, d)
    for query in queries:
        assert largest_share(isa, query, items, metric, True) > 0.98
    shares = []
    for largest in QUERY_CODES:
        queries, items = adversary.missed_queries(rng, 3, 70, d, largest)
        shares.append(min(largest_share(isa, q, items, metric, True) for q in queries))
    assert max(shares) > 0.98


@pytest.mark.parametrize("metric", ["ip", "cosine"])
@pytest.mark.parametrize("isa", ISAS)
def test_int8_bound_within_a_cone_is_that_of_what_is_left(
    isa: str, metric: Metric, rng: np.random.Generator
) -> None:
    """The part along the center, here nearly all of the query, adds nothing but rounding.

    A code misses half a step in each of d dimensions, which meets what is left of the query; the
    query's codes (of 6 bits on some sets) miss half a step of theirs, which meets the residuals. In
    float32 about ten roundings of sums up to 2 are 2^-19, and the rows have length about one.
    """
    d = 384
    queries, items = cone(rng, 1, 700, d, spread=0.05)
    low, high = intervals(isa, items, metric, True, queries[0])
    rows, query = items.astype(np.float64), queries[0].astype(np.float64)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        query /= np.linalg.norm(query)
    center = rows.mean(axis=0)
    residuals = rows - center
    left = query - query @ center / (center @ center) * center
    step = np.abs(residuals).max() / 127
    missed = np.sqrt(d) / 2 * step
    missed_of_query = np.sqrt(d) / 2 * np.abs(left).max() / min(QUERY_CODES)
    lengths = np.linalg.norm(residuals, axis=1).max() + missed
    bound = np.linalg.norm(left) * missed + missed_of_query * lengths + 2.0**-19
    assert (high.astype(np.float64) - low).max() <= 2 * 1.001 * bound
    really_missed = np.linalg.norm(residuals - step * np.rint(residuals / step), axis=1).max()
    assert np.linalg.norm(query) * really_missed > 2 * bound  # what the whole query would cost


TRAPS: list[tuple[str, Metric, int]] = [("first", "ip", 4), ("norm", "l2", 4)]
TRAPS += [("cosine", "cosine", 4), ("first", "ip", 300), ("cosine", "cosine", 300)]


@pytest.mark.parametrize(("kind", "metric", "d"), TRAPS)
@pytest.mark.parametrize("isa", ISAS)
def test_the_float32_bound_cannot_be_much_smaller(
    isa: str, kind: str, metric: Metric, d: int, rng: np.random.Generator
) -> None:
    """It holds for sums in any order; a register adds a sixteenth of the terms or more in one lane.

    All of these go wrong by half a spacing (of numbers below one, under cosine: a quarter). In few
    dimensions it is one rounding of some d + 4, and the bound takes all to be twice as bad.
    """
    lost = adversary.trap(rng, 1000, d, kind)
    share = largest_share(isa, lost.query[0], lost.items, metric, False)
    assert share > 0.9 / (16 if metric == "ip" or d < 16 else 32)


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
