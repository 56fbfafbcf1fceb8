"""Data on which every rounding of a float32 sum goes the wrong way.

Half the spacing of float32 in [1, 2) is `HALF`. Beside a sum in that range a term of 0.99 `HALF`
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
