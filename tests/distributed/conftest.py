"""One local Ray of two CPUs for all tests of this folder, which is ended with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import start_ray


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    module = pytest.importorskip("ray", reason="ray is not installed (the extra 'ray')")
    start_ray(module)
    yield module
    module.shutdown()


@pytest.fixture(scope="session")
def items() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vectors with many ties, and ids in no order."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3000, 12)).astype(np.float32)
    x[::5] = x[0]  # ties across shards
    x[7::31] = np.round(x[7::31])
    ids = rng.permutation(10_000)[:3000].astype(np.int64)
    return x, ids


@pytest.fixture(scope="session")
def npy(
    tmp_path_factory: pytest.TempPathFactory,
    items: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("source")
    np.save(folder / "vectors.npy", items[0])
    np.save(folder / "ids.npy", items[1])
    return folder / "vectors.npy", folder / "ids.npy"
