"""Without Ray, after its end, and what is left behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_cases import processes, same, start_ray
from waiting import until

import vecrecall as vr
from vecrecall.distributed import ClosedError, build_shards, connect

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def test_importing_brings_no_ray() -> None:
    code = """
    import sys
    sys.modules["ray"] = None
    import vecrecall.distributed as d
    for call in (lambda: d.connect("x"), lambda: d.build_shards("x.npy", "y", n_shards=1)):
        try:
            call()
        except ImportError as error:
            assert "vecrecall[ray]" in str(error), error
        except FileNotFoundError:
            pass
    try:
        d.recall_users(None, "x", 3)
    except ImportError as error:
        assert "vecrecall[ray]" in str(error), error
    else:
        raise AssertionError
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_nothing_is_left_behind(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1])
    with connect(tmp_path / "s", num_cpus=0.5) as index:
        index.update(items[0][:1], [5])
        assert processes("Replica")
        assert ray.available_resources().get("CPU", 0) < 2
    until(lambda: not processes("Replica") and not processes("Writer"), 20)
    until(lambda: ray.available_resources().get("CPU", 0) == 2, 20)
    assert not list((tmp_path / "s").rglob("*.part"))


def test_shutdown_and_reconnect(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    """The last test of this file ends the Ray of the others, and starts another one."""
    x, ids = items
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1])
    index = connect(tmp_path / "s", num_cpus=0.1)
    index.update(x[:1] * 7, [20_000])
    ray.shutdown()
    start = time.monotonic()
    for call in (
        lambda: index.search(x[:1], 3),
        lambda: index.update(x[:1], [1]),
        lambda: len(index),
    ):
        with pytest.raises(ClosedError, match="connect again"):
            call()
    assert time.monotonic() - start < 1
    assert not ray.is_initialized(), "no call has started another one"
    index.close()
    start_ray(ray)
    with pytest.raises(ClosedError):
        index.search(x[:1], 3)
    one = vr.FlatIndex(x, ids)
    one.update(x[:1] * 7, [20_000])
    with connect(tmp_path / "s", num_cpus=0.1) as again:
        same(again.search(x[:9], 20), one.search(x[:9], 20))
