"""The memory of a search is bounded by its candidate buffers, never by nq x n."""

from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

SCRIPT = """
import resource
import numpy as np
import vecrecall as vr

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

rng = np.random.default_rng(1)
index = vr.FlatIndex(rng.standard_normal((400_000, 4), dtype=np.float32))
queries = rng.standard_normal((1000, 4), dtype=np.float32)
index.search(queries[:20], 10)
before = peak()
index.search(queries, 10)
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_a_search_needs_no_score_matrix() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr
    # A candidate is at most 16 bytes, a query's buffer at most max(4k, 4096) candidates and one
    # block of 2048: 98 MB if all 1000 are alive at once. A float32 matrix would be 1600 MB.
    assert int(run.stdout) < 200e6
