"""Pooling against pure NumPy: a gather and add.reduceat."""

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

ROWS, DIM, BAGS, LENGTH = 200_000, 64, 20_000, 20


@pytest.fixture(scope="module")
def table() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((ROWS, DIM), dtype=np.float32)


@pytest.mark.parametrize("mode", ["sum", "weighted"])
@pytest.mark.parametrize("engine", ["vecrecall", "numpy"])
def test_pool(benchmark, table, mode: str, engine: str) -> None:
    benchmark.group = f"{mode} of {BAGS} bags of {LENGTH} rows, table {ROWS} x {DIM}"
    rng = np.random.default_rng(2)
    rows = vr.Ragged(rng.integers(0, ROWS, BAGS * LENGTH), np.arange(BAGS + 1) * LENGTH)
    weights = rng.random(BAGS * LENGTH) if mode == "weighted" else None

    def with_numpy(dtype: npt.DTypeLike = np.float32) -> npt.NDArray[np.floating]:
        gathered = table[rows.values].astype(dtype, copy=False)
        if weights is not None:
            gathered = gathered * weights.astype(dtype)[:, None]
        return np.add.reduceat(gathered, rows.offsets[:-1], axis=0)

    # The same order of float64 additions, then one rounding: the same bits.
    expected = with_numpy(np.float64).astype(np.float32)
    assert np.array_equal(vr.pool(table, rows, weights), expected)
    if engine == "vecrecall":
        benchmark(vr.pool, table, rows, weights)
    else:
        benchmark(with_numpy)
