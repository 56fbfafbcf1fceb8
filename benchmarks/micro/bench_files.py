"""Saving and loading against .npy files of the rows and ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from benchmarks.micro.numpy_lists import (
    F32,
    NumpyIndex,
    assert_near_lists,
    assert_same_lists,
    exact_search,
)

N, DIM, K = 100_000, 64, 100
SIZE = {"items": N, "dims": DIM, "bytes": N * DIM * 4}


@pytest.fixture(scope="module")
def items() -> F32:
    return np.random.default_rng(1).standard_normal((N, DIM), dtype=np.float32)


@pytest.fixture
def query() -> F32:
    return np.random.default_rng(2).standard_normal((1, DIM), dtype=np.float32)


def numpy_save(folder: Path, items: F32) -> None:
    """Write to the disk before it returns, as `save` does, but without replacing anything."""
    folder.mkdir(exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {"items": items, "ids": np.arange(len(items))}
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array)
            os.fsync(file.fileno())


def numpy_load(folder: Path) -> F32:
    np.load(folder / "ids.npy", mmap_mode="r")
    mapped: F32 = np.load(folder / "items.npy", mmap_mode="r")
    return mapped


@pytest.fixture(scope="module")
def saved(items: F32, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("saved")
    vr.FlatIndex(items, copy=False).save(folder / "index")
    numpy_save(folder / "numpy", items)
    return folder / "index", folder / "numpy"


def test_save(compare_engines: Any, items: F32, query: F32, tmp_path: Path) -> None:
    index = vr.FlatIndex(items, copy=False)

    def ours() -> None:
        index.save(tmp_path / "index")

    def check() -> None:
        ours()
        loaded = vr.FlatIndex.load(tmp_path / "index")
        np.testing.assert_array_equal(loaded.vectors(np.arange(N)), items)
        assert_same_lists(loaded.search(query, K), exact_search(query, items, K))
        numpy_save(tmp_path / "numpy", items)
        np.testing.assert_array_equal(numpy_load(tmp_path / "numpy"), items)

    compare_engines(
        {"vecrecall": ours, "numpy": lambda: numpy_save(tmp_path / "numpy", items)}, check, **SIZE
    )


def compare_load(
    compare_engines: Any, saved: tuple[Path, Path], items: F32, query: F32, search: bool
) -> None:
    index, arrays = saved

    def ours() -> Any:
        loaded = vr.FlatIndex.load(index)
        return loaded.search(query, K) if search else loaded

    def with_numpy() -> Any:
        loaded = numpy_load(arrays)
        return NumpyIndex(loaded).search(query, K) if search else loaded

    def check() -> None:
        expected = exact_search(query, items, K)
        loaded = vr.FlatIndex.load(index)
        np.testing.assert_array_equal(loaded.vectors(np.arange(N)), items)
        assert_same_lists(loaded.search(query, K), expected)
        rows = numpy_load(arrays)
        np.testing.assert_array_equal(rows, items)
        assert_near_lists(NumpyIndex(rows).search(query, K), expected, query, items)

    compare_engines({"vecrecall": ours, "numpy": with_numpy}, check, **SIZE)


def test_load(compare_engines: Any, saved: tuple[Path, Path], items: F32, query: F32) -> None:
    """Memory-mapped: only the checked arrays are read."""
    compare_load(compare_engines, saved, items, query, search=False)


def test_load_and_search(
    compare_engines: Any, saved: tuple[Path, Path], items: F32, query: F32
) -> None:
    """Until the first answer, from files in the cache of the system."""
    compare_load(compare_engines, saved, items, query, search=True)
