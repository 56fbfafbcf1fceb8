"""Pooling of bags of different lengths against pure NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import F32, I64, Floats

ROWS, DIM, BAGS, LONGEST, FIRST = 100_000, 64, 10_000, 39, 5
MODES = ["sum", "mean", "max", "weighted", "first"]


def numpy_pool(table: Floats, values: I64, offsets: I64, weights: Any, mode: str) -> Floats:
    """Add the j-th rows of all bags at once, the longest bags first, so that they are a prefix.

    Five times as fast as np.add.reduceat over all rows gathered, and as fast as gathering
    them alone: what is added to stays in the cache. It adds in the order of entries.
    """
    if mode == "first":
        values, offsets = first_valid(values, offsets)
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    starts, left = offsets[:-1][order], -lengths[order]
    sums = np.zeros((len(lengths), table.shape[1]), table.dtype)
    for j in range(-left[0]):
        bags = np.searchsorted(left, -j)
        places = starts[:bags] + j
        rows = table[values[places]]
        if mode == "max":
            np.maximum(sums[:bags], rows, out=sums[:bags]) if j else np.copyto(sums[:bags], rows)
            continue
        if weights is not None:
            rows *= weights[places, None]
        sums[:bags] += rows
    if mode == "mean":
        sums /= np.maximum(-left, 1)[:, None]
    pooled = np.empty_like(sums)
    pooled[order] = sums
    return pooled


def first_valid(values: I64, offsets: I64) -> tuple[I64, I64]:
    """Return bags of the first few entries of every bag that are not -1."""
    valid = np.r_[0, np.cumsum(values >= 0)]  # number of valid entries before each place
    before = np.repeat(valid[offsets[:-1]], np.diff(offsets))
    used = (values >= 0) & (valid[:-1] - before < FIRST)
    counted = np.r_[0, np.cumsum(used)]
    return values[used], counted[offsets]


@pytest.fixture(scope="module")
def table() -> F32:
    return np.random.default_rng(1).standard_normal((ROWS, DIM), dtype=np.float32)


@pytest.mark.parametrize("mode", MODES)
def test_pool(compare_engines: Any, table: F32, mode: str) -> None:
    rng = np.random.default_rng(2)
    offsets = np.r_[0, np.cumsum(rng.integers(0, LONGEST + 1, BAGS))]
    values = rng.integers(0, ROWS, offsets[-1])
    if mode == "first":
        values[rng.random(len(values)) < 0.1] = -1
    weights = rng.random(len(values)) if mode == "weighted" else None
    narrow = None if weights is None else weights.astype(np.float32)
    bags = vr.Ragged(values, offsets)
    options: dict[str, Any] = {"mode": mode} if mode in ("sum", "mean", "max") else {}
    if mode == "first":
        options["first"] = FIRST

    def ours() -> F32:
        return vr.pool(table, bags, weights, **options)

    def with_numpy() -> Floats:
        return numpy_pool(table, values, offsets, narrow, mode)

    def check() -> None:
        # The same float64 operations in the same order, rounded once, give the same bits.
        wide = numpy_pool(table.astype(np.float64), values, offsets, weights, mode)
        np.testing.assert_array_equal(ours(), wide.astype(np.float32))
        # Sums of m float32 products err by m + 1 units of the sum of their sizes; a weight that is
        # rounded, a mean's division and the rounding of what they are compared with add one each.
        sizes = numpy_pool(np.abs(table).astype(np.float64), values, offsets, weights, mode)
        units = 0 if mode == "max" else np.diff(offsets)[:, None] + 4
        assert (np.abs(with_numpy() - wide) <= units * 2.0**-24 * sizes).all()

    compare_engines(
        {"vecrecall": ours, "numpy": with_numpy},
        check,
        bags=BAGS,
        entries=len(values),
        rows=ROWS,
        dims=DIM,
    )


# A table that no cache holds: half of the bytes is what half precision saves.
@pytest.mark.parametrize("compare_engines", ["vecrecall", "float32", "numpy"], indirect=True)
def test_half_precision(compare_engines: Any) -> None:
    """`float32` is ours from the same table in float32."""
    rng = np.random.default_rng(3)
    rows, bags, length = 1_000_000, 20_000, 20
    half = rng.standard_normal((rows, DIM), dtype=np.float32).astype(np.float16)
    wide = half.astype(np.float32)
    offsets = np.arange(bags + 1) * length
    values = rng.integers(0, rows, offsets[-1])
    chosen = vr.Ragged(values, offsets)

    def with_numpy() -> Floats:
        return np.add.reduceat(half.take(values, axis=0).astype(np.float32), offsets[:-1], axis=0)

    def check() -> None:
        sums = vr.pool(half, chosen)
        assert sums.tobytes() == vr.pool(wide, chosen).tobytes()
        # As above: float32 sums of so many terms.
        sizes = np.add.reduceat(np.abs(wide[values]).astype(np.float64), offsets[:-1], axis=0)
        assert (np.abs(with_numpy() - sums) <= (length + 1) * 2.0**-24 * sizes).all()

    compare_engines(
        {
            "vecrecall": lambda: vr.pool(half, chosen),
            "float32": lambda: vr.pool(wide, chosen),
            "numpy": with_numpy,
        },
        check,
        bags=bags,
        entries=len(values),
        rows=rows,
        dims=DIM,
    )
