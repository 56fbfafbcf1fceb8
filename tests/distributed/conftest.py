"""One local Ray of two CPUs for all tests of this folder, which is ended with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

OBJECT_STORE = 200 << 20
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    module = pytest.importorskip("ray", reason="ray is not installed (the extra 'ray')")
    start_ray(module)
    yield module
    module.shutdown()


def start_ray(module: Any) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    module.init(
        num_cpus=2,
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        runtime_env={
            "env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)])}
        },
    )


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


def same(got: vr.SearchResult, expected: vr.SearchResult) -> None:
    """Compare bit for bit."""
    np.testing.assert_array_equal(got.ids, expected.ids)
    np.testing.assert_array_equal(got.scores.view(np.int32), expected.scores.view(np.int32))
    np.testing.assert_array_equal(got.counts, expected.counts)
    assert got.metric == expected.metric
