"""The memory that an index says it has, compared with its arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vecrecall as vr

ROWS = np.random.default_rng(0).standard_normal((5000, 20), dtype=np.float32)


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("kind", [vr.FlatIndex, vr.IVFIndex])
def test_it_is_that_of_the_saved_arrays(
    kind: type[vr.FlatIndex], metric: str, extra: bool, tmp_path: Path
) -> None:
    """Up to what is not saved: a bit per row, statistics of blocks and centers, a table of ids."""
    ids = np.arange(5000)[::-1] * 3 if extra else None
    bias = np.ones(5000) if extra else None
    rows = ROWS + 5 if extra else ROWS  # within a cone
    index = kind(rows, ids, metric=metric, bias=bias)  # type: ignore[arg-type]
    saved = sum(array.nbytes for array in index._arrays().values())
    assert saved * 0.95 <= index.nbytes <= saved * 1.05 + 5000 * 16
    index.save(tmp_path)
    assert abs(vr.ReloadingIndex(tmp_path).nbytes - index.nbytes) <= 5000 * 16


def test_it_follows_updates() -> None:
    index = vr.FlatIndex(ROWS)
    before = index.nbytes
    index.add(ROWS[:500])
    assert index.nbytes >= before + 500 * 20 * 5
    index.remove(np.arange(5400))
    index.compact()
    assert index.nbytes < before / 10
    assert vr.FlatIndex(np.empty((0, 4), np.float32)).nbytes < 10_000
