"""`FlatIndex.add` without ids: the new ones follow the largest in the index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, assert_same_bits
from index_model import Model

import vecrecall as vr

F32 = npt.NDArray[np.float32]
D = 5
LARGEST = np.iinfo(np.int64).max


def rows(n: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).standard_normal((n, D), dtype=np.float32)


def test_an_empty_index_starts_at_zero() -> None:
    index = vr.FlatIndex(rows(0))
    assert index.add(rows(3)).tolist() == [0, 1, 2]
    assert index.add(rows(2)).tolist() == [3, 4]
    assert index.ids.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ids", [[5, 100, 7], range(3), [0], [2**40, 3]])
def test_after_the_largest_of_any_ids(ids: Any) -> None:
    index = vr.FlatIndex(rows(len(ids)), ids=list(ids))
    added = index.add(rows(4, 1))
    assert added.dtype == np.int64
    assert added.tolist() == [max(ids) + 1 + i for i in range(4)]
    assert index.ids.tolist() == [*ids, *added.tolist()]
    np.testing.assert_array_equal(index.vectors(added), rows(4, 1))


def test_given_ids_are_counted() -> None:
    index = vr.FlatIndex(rows(2))
    assert index.add(rows(2), [50, 9]) is None  # type: ignore[func-returns-value]
    assert index.add(rows(1)).tolist() == [51]
    index.update(rows(2), [51, 70])
    assert index.add(rows(1)).tolist() == [71]


def test_no_rows() -> None:
    index = vr.FlatIndex(rows(2))
    none = index.add(rows(0))
    assert (none.dtype, none.shape, len(index)) == (np.int64, (0,), 2)
    full = vr.FlatIndex(rows(1), ids=[LARGEST])
    assert full.add(rows(0)).shape == (0,)


def test_ids_of_removed_items_are_free() -> None:
    index = vr.FlatIndex(rows(5))
    index.remove([4, 3, 0])
    assert index.add(rows(2)).tolist() == [3, 4]
    index.remove(index.ids)
    assert index.add(rows(1)).tolist() == [0]


def test_items_left_out_when_it_was_built_keep_their_ids() -> None:
    """Rows of the caller's table, then rows added to it, have the ids of its row numbers."""
    table = rows(4)
    table[3] = np.nan
    index = vr.FlatIndex(table, invalid="skip")
    assert index.skipped.tolist() == [3]
    assert index.add(rows(2)).tolist() == [4, 5]


@pytest.mark.parametrize("mmap", [True, False])
def test_a_loaded_index_goes_on(tmp_path: Path, mmap: bool) -> None:
    index = vr.FlatIndex(rows(3), ids=[8, 2, 5])
    index.add(rows(2))
    index.remove([10])
    index.save(tmp_path)
    assert vr.FlatIndex.load(tmp_path, mmap=mmap).add(rows(2)).tolist() == [10, 11]


def test_where_int64_ends() -> None:
    index = vr.FlatIndex(rows(2), ids=[3, LARGEST - 2])
    with pytest.raises(
        ValueError, match=f"^ids: no room for 3 ids after the largest, {LARGEST - 2}$"
    ):
        index.add(rows(3))
    assert len(index) == 2
    assert index.add(rows(2)).tolist() == [LARGEST - 1, LARGEST]
    with pytest.raises(ValueError, match=f"^ids: no room for 1 id after the largest, {LARGEST}$"):
        index.add(rows(1))
    index.add(rows(1), [7])
    assert 7 in index


@pytest.mark.parametrize(
    ("vectors", "bias", "message"),
    [
        (np.full((1, D), np.nan), None, "vectors: expected finite values"),
        (np.ones((1, D + 1)), None, f"vectors: expected shape .*{D}"),
        (np.ones((2, D)), [1.0], "bias: expected"),
        (np.ones((1, D)), [np.inf], "bias: expected finite values"),
        (np.zeros((1, D)), None, "vectors: row 0 is all zeros"),
    ],
)
def test_an_error_takes_no_ids(vectors: Any, bias: Any, message: str) -> None:
    index = vr.FlatIndex(rows(2), metric="cosine")
    with pytest.raises(ValueError, match="^" + message):
        index.add(vectors, bias=bias)
    assert index.ids.tolist() == [0, 1]
    assert index.add(rows(1)).tolist() == [2]


@pytest.mark.parametrize("metric", METRICS)
def test_searches_are_those_of_a_model(metric: Metric, rng: np.random.Generator) -> None:
    """Any order of updates, with and without ids, over blocks, merges and rebuilds."""
    index, model = vr.FlatIndex(rows(0), metric=metric), Model(metric, D)
    for step in range(40):
        n = int(rng.choice([1, 30, 2048, 2500]))
        vectors = rng.standard_normal((n, D), dtype=np.float32)
        largest = int(model.ids.max(initial=-1))
        kind = rng.choice(["plain", "ids", "update", "remove"], p=[0.5, 0.2, 0.1, 0.2])
        if kind == "plain":
            bias = rng.standard_normal(n).astype(np.float32) if step % 3 else None
            ids = index.add(vectors, bias=bias)
            assert ids.tolist() == list(range(largest + 1, largest + 1 + n))
            model.put(vectors, ids, bias)
        elif kind == "remove":
            gone = np.append(rng.permutation(model.ids)[: n // 2], model.ids[-1:])
            index.remove(gone)
            model.remove(gone)
        else:
            ids = largest + 3 + rng.permutation(n) if kind == "ids" else rng.permutation(9 * n)[:n]
            (index.add if kind == "ids" else index.update)(vectors, ids)
            model.put(vectors, ids, None)
        if step % 10 == 9:
            index.compact()
        assert index.ids.tolist() == model.ids.tolist()
    queries = rng.standard_normal((2, D), dtype=np.float32)
    assert_same_bits(index.search(queries, 30), *model.search(queries, 30))


def test_threads_get_ids_of_their_own() -> None:
    index = vr.FlatIndex(rows(3))

    def work(seed: int) -> list[int]:
        taken: list[int] = []
        for i in range(60):
            mine = rows(1 + i % 3, 1000 * seed + i)
            ids = index.add(mine)
            np.testing.assert_array_equal(index.vectors(ids), mine)
            assert np.array_equal(ids, ids[0] + np.arange(len(ids)))
            taken += ids.tolist()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [i for found in pool.map(work, range(4)) for i in found]
    assert sorted(taken) == list(range(3, 3 + len(taken)))
    assert len(index) == 3 + len(taken)
