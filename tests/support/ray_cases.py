"""A local Ray, its processes, and results that are compared bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import vecrecall as vr

OBJECT_STORE = 200 << 20
ROOT = Path(__file__).parents[2]
# A worker that knew another folder first would import a tree without the extension there.
IMPORTED_FROM = str(Path(vr.__file__).parents[1])


def start_ray(module: Any) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # on a busy machine actors would starve
    module.init(
        address="local",  # another cluster may run here
        num_cpus=2,
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([IMPORTED_FROM, str(ROOT)])}},
    )


def processes(kind: str) -> list[int]:
    """List the processes of actors of a kind, by what Ray calls them; of this test alone."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            name = (folder / "cmdline").read_bytes()
            if name.startswith(f"ray::{kind}".encode()) and os.getpid() in ancestors(folder):
                found.append(int(folder.name))
        except (OSError, ValueError):  # it has just ended
            continue
    return found


def ancestors(folder: Path) -> set[int]:
    """List the parents of a process, their parents and so on."""
    found: set[int] = set()
    while folder.name not in ("0", "1"):
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        found.add(parent)
        folder = folder.with_name(str(parent))
    return found


def same(got: vr.SearchResult, expected: vr.SearchResult) -> None:
    """Compare bit for bit."""
    np.testing.assert_array_equal(got.ids, expected.ids)
    np.testing.assert_array_equal(got.scores.view(np.int32), expected.scores.view(np.int32))
    np.testing.assert_array_equal(got.counts, expected.counts)
    assert got.metric == expected.metric
