"""Data on which int8 codes do not select: a search must cost little more than one without."""

import numpy as np
import numpy.typing as npt
import pytest

from vecrecall import _core

F32 = npt.NDArray[np.float32]
N, DIM, K, BATCH = 100_000, 64, 100, 64


def tiny_spread(rng: np.random.Generator) -> F32:
    """Rows that differ from one another in their last bits only."""
    return (1 + 1e-6 * rng.standard_normal((N, DIM))).astype(np.float32)


def one_huge_dimension(rng: np.random.Generator) -> F32:
    """Steps so wide that all other dimensions become zeros."""
    items = rng.standard_normal((N, DIM), dtype=np.float32)
    items[:, 3] *= 10_000
    return items


def equal_rows(rng: np.random.Generator) -> F32:
    """Every item ties with every other."""
    return np.repeat(rng.standard_normal((1, DIM), dtype=np.float32), N, axis=0)


@pytest.mark.parametrize("codes", [True, False], ids=["int8", "float32"])
@pytest.mark.parametrize("make", [tiny_spread, one_huge_dimension, equal_rows])
def test_fallback(benchmark, make, codes: bool) -> None:
    benchmark.group = f"top-{K} of {N} x {DIM}, batch {BATCH}, {make.__name__}"
    rng = np.random.default_rng(1)
    items = make(rng)
    queries = rng.standard_normal((BATCH, DIM), dtype=np.float32)
    indexes = [
        _core.FlatIndex(items, None, _core.Metric.ip, None, False, with_codes, 2).snapshot()
        for with_codes in (True, False)
    ]
    answers = [index.search(queries, K, None, None, -np.inf, 2) for index in indexes]
    for a, b in zip(answers[0][:3], answers[1][:3], strict=True):
        assert np.array_equal(a, b)
    index = indexes[0 if codes else 1]
    benchmark(index.search, queries, K, None, None, -np.inf, 2)
