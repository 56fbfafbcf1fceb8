"""Data on which a fast scan is likely to go wrong: `HARD[name](rng, nq, n, d)`.

Each builder returns float32 `(queries, items)`, without zero rows among the items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Rng = np.random.Generator
Data = tuple[F32, F32]
Builder = Callable[[Rng, int, int, int], Data]

BIGGEST = float(np.finfo(np.float32).max)
SMALLEST = 2.0**-149


def normal(rng: Rng, n: int, d: int) -> F32:
    return rng.standard_normal((n, d), dtype=np.float32)


def narrow(values: F64) -> F32:
    """Into float32; what would overflow is cut to the largest value."""
    return values.clip(-BIGGEST, BIGGEST).astype(np.float32)


def without_zero_rows(items: F32) -> F32:
    items[~items.any(axis=1), 0] = 1.0
    return items


def gaussian(rng: Rng, nq: int, n: int, d: int) -> Data:
    return normal(rng, nq, d), normal(rng, n, d)


def lognormal_norms(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, n, d)
    return queries, items * rng.lognormal(0, 2, (n, 1)).astype(np.float32)


def cauchy(rng: Rng, nq: int, n: int, d: int) -> Data:
    return narrow(rng.standard_cauchy((nq, d))), narrow(rng.standard_cauchy((n, d)))


def equal_rows(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, 1, d)
    return queries, np.repeat(items, n, axis=0)


def one_ulp(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Equal rows but for one unit in the last place of one value."""
    queries, items = equal_rows(rng, nq, n, d)
    rows, columns = np.arange(n), rng.integers(0, d, n)
    towards = rng.choice(np.array([-np.inf, np.inf], np.float32), n)
    items[rows, columns] = np.nextafter(items[rows, columns], towards)
    return queries, items


def duplicate_blocks(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Runs of 37 equal rows, and the first half of the runs a second time at the end."""
    queries, rows = gaussian(rng, nq, n // 74 + 1, d)
    runs = np.repeat(rows, 37, axis=0)
    return queries, np.concatenate([runs, runs])[:n]


def huge_dimension(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, n, d)
    items[:, d // 2] *= 1e6
    queries[::2, d // 2] *= 1e-6
    return queries, items


def huge_row(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, n, d)
    items[n // 3] *= 1e6
    return queries, items


def denormals(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, _ = gaussian(rng, nq, 0, d)
    queries[1::2] *= 1e25
    items = rng.integers(-(2**12), 2**12, (n, d)) * SMALLEST
    items[:, 0] = SMALLEST
    return queries, items.astype(np.float32)


def negative_scores(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, n, d)
    return -np.abs(queries), np.abs(items)


def sparse_rows(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = gaussian(rng, nq, n, d)
    items[rng.random((n, d)) < 0.9] = 0.0
    return queries, without_zero_rows(items)


def ascending(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Each row better than all before it: the threshold never helps."""
    queries, items = gaussian(rng, nq, n, d)
    return queries, items[np.argsort(items @ queries[0])]


def descending(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = ascending(rng, nq, n, d)
    return queries, items[::-1].copy()


def rising_norms(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = lognormal_norms(rng, nq, n, d)
    return queries, items[np.argsort(np.linalg.norm(items, axis=1))]


def falling_norms(rng: Rng, nq: int, n: int, d: int) -> Data:
    queries, items = rising_norms(rng, nq, n, d)
    return queries, items[::-1].copy()


def grid(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Few different scores, so nearly everything is a tie."""
    queries = rng.integers(-1, 2, (nq, d)).astype(np.float32)
    queries[:, 0] = 1.0
    return queries, without_zero_rows(rng.integers(-1, 2, (n, d)).astype(np.float32))


def common_offset(rng: Rng, nq: int, n: int, d: int) -> Data:
    """A tiny spread on a large offset; every other query lies among the items."""
    items = narrow(1000 + 1e-3 * rng.standard_normal((n + nq, d)))
    queries = normal(rng, nq, d)
    queries[1::2] = items[n + 1 :: 2]
    return queries, items[:n]


def cone(rng: Rng, nq: int, n: int, d: int, spread: float = 0.3) -> Data:
    """Items within a narrow cone, as of sentence encoders; queries there, opposite and across."""
    axis = rng.standard_normal(d)
    axis /= np.linalg.norm(axis)
    items = axis + spread * rng.standard_normal((n, d)) / np.sqrt(d)
    queries = axis + spread * rng.standard_normal((nq, d)) / np.sqrt(d)
    queries[1::3] *= -1e-3
    queries[2::3] -= (queries[2::3] @ axis)[:, None] * axis
    return narrow(queries), narrow(items)


def canceling(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Two large terms cancel; the rest, lost next to them in float32, decides."""
    queries, items = gaussian(rng, nq, n, d)
    items *= 1e-3
    large = np.exp2(rng.integers(10, 20, n)).astype(np.float32)
    items[:, 0] = items[:, -1] = large
    queries[:, 0], queries[:, -1] = 1.0, -1.0
    return queries, items


def half_way(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Scores half-way between two float32, or a little off; large values that do not count."""
    queries = np.zeros((nq, d), np.float32)
    queries[:, :3] = 1.0
    items = normal(rng, n, d)
    items[:, 0] = 1.0
    items[:, 1:2] = rng.choice([1, 3, 5, 7], (n, 1)) * 2.0**-24
    items[:, 2:3] = rng.choice([-1, 0, 1], (n, 1)) * 2.0**-45
    return queries, items


def overflowing(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Scores from finite to far beyond float32: ties of infinities at both ends."""
    queries, items = gaussian(rng, nq, n, d)
    powers = rng.uniform(10, 30, (n, 1))
    return queries * np.float32(1e15), narrow(items * 10.0**powers)


def infinite_terms(rng: Rng, nq: int, n: int, d: int) -> Data:
    """Terms that overflow float32 cancel exactly in float64 and leave an ordinary score."""
    queries, items = gaussian(rng, nq, n, d)
    partner = 8 if d > 8 else d // 2
    items[:, 0] = narrow(1e30 * rng.random(n) + 1e29)
    items[:, partner] = -items[:, 0]
    queries[:, 0] = queries[:, partner] = 1e30
    return queries, without_zero_rows(items)


def vanishing(rng: Rng, nq: int, n: int, d: int) -> Data:
    """All scores but a few round to zero."""
    queries, items = gaussian(rng, nq, n, d)
    items *= 1e-30
    items[::101] *= 1e10
    return queries * np.float32(1e-25), items


def largest_values(rng: Rng, nq: int, n: int, d: int) -> Data:
    signs = rng.choice(np.array([-BIGGEST, 0, 0, BIGGEST], np.float32), (n + nq, d))
    signs = without_zero_rows(signs)
    return signs[n:] * np.float32(2.0**-120), signs[:n]


def all_exponents(rng: Rng, nq: int, n: int, d: int) -> Data:
    powers = rng.uniform(-145, 126, (n + nq, d))
    values = narrow(rng.standard_normal((n + nq, d)) * np.exp2(powers))
    values = without_zero_rows(values)
    return values[n:], values[:n]


HARD: dict[str, Builder] = {
    builder.__name__: builder
    for builder in (
        gaussian,
        lognormal_norms,
        cauchy,
        equal_rows,
        one_ulp,
        duplicate_blocks,
        huge_dimension,
        huge_row,
        denormals,
        negative_scores,
        sparse_rows,
        ascending,
        descending,
        rising_norms,
        falling_norms,
        grid,
        common_offset,
        cone,
        canceling,
        half_way,
        overflowing,
        infinite_terms,
        vanishing,
        largest_values,
        all_exponents,
    )
}
