"""Data on which every rounding of a float32 sum goes the wrong way.

Half the spacing of float32 in [1, 2) is `HALF`. Next to a sum in that range a term of 0.99 `HALF`
is lost, and one of 1.01 `HALF` counts double. So a scan puts a `good` row, of many terms that are
lost, too low by nearly as much as any bound on rounding allows, and a decoy too high by as much:
in truth all the good rows are better, in float32 all the decoys are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
HALF = 2.0**-24
START = 1 + 2.0**-10  # room for decoys to start lower and still above one


class Trap(NamedTuple):
    query: F32
    items: F32
    bias: F32 | None
    good: npt.NDArray[np.int64]


def trap(rng: np.random.Generator, n: int, d: int, kind: str) -> Trap:
    """Kinds: where the large part of the sum comes from (`first`, `bias`, `norm`, `cosine`)."""
    good = np.sort(rng.permutation(n)[: n // 50])
    is_good = np.isin(np.arange(n), good)
    steps = 0.01 * d + 4  # what decoys start lower by, in spacings: more than their terms add
    lower = np.where(is_good, 0, steps * 2 * HALF)
    terms = np.where(is_good, 0.99, 1.01) * HALF
    query = np.full(d, 2.0**-12)
    items = np.empty((n, d))
    items[:] = terms[:, None] / query
    bias = None
    if kind == "first":
        query[0] = 1
        items[:, 0] = START - lower
    elif kind == "bias":
        bias = (START - lower).astype(np.float32)
    elif kind == "norm":  # l2: -|x|^2 / 2 comes first
        query[0] = 0
        items[:, 0] = np.sqrt(2 * (START + lower))
    else:  # cosine: all is below one, where the spacing is half as wide
        items /= 2
        query[0], query[1] = 1, 0
        items[:, 0] = 0.99 - lower / 2
        items[:, 1] = np.sqrt(1 - (items * items).sum(axis=1) + items[:, 1] ** 2)
    # as many rows on the other side, so that the mean of the items is of no help
    items[rng.permutation(np.flatnonzero(~is_good))[: n // 2]] *= -1
    return Trap(query.astype(np.float32)[None, :], items.astype(np.float32), bias, good)


MISS = 0.5 - 2.0**-8  # of a code's step: nearly all that rounding to the nearest code can miss


def signs(rng: np.random.Generator, n: int, d: int) -> F64:
    """Rows of +1 and -1, each followed by its opposite: a mean of exactly zero, so no center."""
    half = rng.choice(np.array([-1.0, 1.0]), (n // 2, d))
    return np.stack([half, -half], axis=1).reshape(-1, d)


def missed_items(rng: np.random.Generator, nq: int, n: int, d: int) -> tuple[F32, F32]:
    """Items whose codes miss all that they can, and queries along what they miss.

    With 127 in the first dimension a step is one. A query of equal values has exact codes.
    """
    base = rng.integers(1, 126, d) + MISS
    base[0] = 127
    rows = signs(rng, n, d)
    queries = 100 * rows[:nq]
    queries[:, 0] = 0
    return queries.astype(np.float32), (rows * base).astype(np.float32)


def missed_queries(
    rng: np.random.Generator, nq: int, n: int, d: int, largest: int
) -> tuple[F32, F32]:
    """The same with the parts swapped: exact items along what the codes of a query miss.

    `largest` is what the codes of a query go up to, so that their step is one.
    """
    rows = signs(rng, n, d)
    queries = rng.integers(1, largest - 1, (nq, d)) * rng.choice([-1, 1], (nq, d))
    queries = queries + MISS * rows[:nq]
    queries[:, 0] = largest
    return queries.astype(np.float32), (127 * rows).astype(np.float32)


def midpoints(rng: np.random.Generator, nq: int, n: int, d: int) -> tuple[F32, F32]:
    """Every value of items and queries lies half-way between two codes."""
    rows = signs(rng, n + n % 2, d)[:n] * (rng.integers(0, 127, d) + 0.5)
    rows[:, 0] = np.sign(rows[:, 0]) * 127
    queries = rng.integers(-127, 126, (nq, d)) + 0.5
    queries[:, 0] = 127
    return queries.astype(np.float32), (rows / 8).astype(np.float32)


def along_the_codes_errors(rng: np.random.Generator, nq: int, n: int, d: int) -> tuple[F32, F32]:
    """Gaussian items about a center; each query along what the codes of one item miss."""
    items = (rng.standard_normal((n, d)) + 3).astype(np.float32)
    residuals = items - items.mean(axis=0, dtype=np.float64)
    step = np.abs(residuals).max() / 127
    missed = residuals - step * np.rint(residuals / step)
    missed[:, 0] += 1e-6  # at d = 1 an item may be coded exactly
    return missed[:nq].astype(np.float32), items
