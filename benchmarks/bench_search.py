"""Top-K against pure NumPy: matrix product, argpartition, sort of the k best."""

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

N, DIM, K = 100_000, 64, 100


@pytest.fixture(scope="module")
def items() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


def numpy_topk(q: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    scores = q @ x.T
    best = np.argpartition(-scores, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def numpy_topk_float64(q: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> list[set[int]]:
    return [set(row) for row in numpy_topk(q.astype(np.float64), x.astype(np.float64)).tolist()]


@pytest.mark.parametrize("batch", [1, 16, 256])
@pytest.mark.parametrize("engine", ["vecrecall", "numpy"])
def test_topk(benchmark, items, batch: int, engine: str) -> None:
    benchmark.group = f"top-{K} of {N} x {DIM}, batch {batch}"
    queries = np.random.default_rng(2).standard_normal((batch, DIM), dtype=np.float32)
    index = vr.FlatIndex(items, copy=False)
    # Random scores lie further apart than float32 rounding: both must find the same items.
    found = [set(row) for row in index.search(queries[:16], K).ids.tolist()]
    assert found == numpy_topk_float64(queries[:16], items)
    if engine == "vecrecall":
        benchmark(index.search, queries, K)
    else:
        benchmark(numpy_topk, queries, items)


@pytest.mark.parametrize("engine", ["vecrecall", "numpy"])
def test_exclude(benchmark, items, engine: str) -> None:
    benchmark.group = f"top-{K} of {N} x {DIM}, batch 64, 500 best ids excluded"
    queries = np.random.default_rng(3).standard_normal((64, DIM), dtype=np.float32)
    index = vr.FlatIndex(items, copy=False)
    seen = index.search(queries, 500).ids

    def with_numpy() -> npt.NDArray[np.int64]:
        scores = queries @ items.T
        np.put_along_axis(scores, seen, -np.inf, 1)
        return np.argpartition(-scores, K, axis=1)[:, :K]

    found = index.search(queries, K, exclude=seen).ids
    assert [set(row) for row in found.tolist()] == [set(row) for row in with_numpy().tolist()]
    if engine == "vecrecall":
        benchmark(index.search, queries, K, exclude=seen)
    else:
        benchmark(with_numpy)
