"""Memory of an index and of a search.

The index little more than its codes, the search what its candidate buffers take, never nq x n.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from comparison import METRICS, Metric

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

# The resident set from the page tables: other counts of it lag by some pages a thread. A mapping of
# its own for every larger array keeps what an earlier one left from being used again, unseen.
BORROWED = """
import sys
from pathlib import Path
import numpy as np
import vecrecall as vr

def resident():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))

metric, with_bias, n, d = sys.argv[1], sys.argv[2] == "bias", int(sys.argv[3]), int(sys.argv[4])
rng = np.random.default_rng(1)
vectors = np.tile(rng.standard_normal((4096, d), dtype=np.float32), (n // 4096, 1))
bias = rng.standard_normal(n) if with_bias else None
few = 8192  # builds once, so that threads and what is made once are there
vr.FlatIndex(vectors[:few], metric=metric, bias=bias[:few] if with_bias else None, copy=False)
before = resident()
index = vr.FlatIndex(vectors, metric=metric, bias=bias, copy=False)
print(resident() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="how the resident set is measured"
)
@pytest.mark.parametrize("bias", ["none", "bias"])
@pytest.mark.parametrize("metric", METRICS)
def test_a_borrowing_index_takes_its_codes_and_little_more(metric: Metric, bias: str) -> None:
    """2^21 items: whole huge pages for every array, so that rounding to pages adds nothing.

    2 % of the codes are then 1.3 MB, of which liveness bits and the blocks' bounds take 0.3 MB; the
    rest is for the heap and what threads keep of it.
    """
    n, d = 2**21, 30
    run = subprocess.run(
        [sys.executable, "-c", BORROWED, metric, bias, str(n), str(d)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    assert run.returncode == 0, run.stderr
    codes = n * 32  # d, padded to 4
    # A float32 length or offset, and the float64 bias, which no float32 could stand in for.
    extra = ((4 if metric != "ip" else 0) + (8 if bias == "bias" else 0)) * n
    taken = int(run.stdout)
    assert codes <= taken <= 1.02 * codes + extra, (taken - codes) / n


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_a_search_needs_no_score_matrix() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr
    # A candidate is at most 16 bytes, a query's buffer at most max(4k, 4096) candidates and one
    # block of 2048: 98 MB if all 1000 are alive at once. A float32 matrix would be 1600 MB.
    assert int(run.stdout) < 200e6


ABOVE = """
import resource
import sys
import numpy as np
import vecrecall as vr

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

nq, floor, limit = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(1)
index = vr.FlatIndex(rng.standard_normal((400_000, 4), dtype=np.float32))
queries = rng.standard_normal((nq, 4), dtype=np.float32)
index.search_above(queries[:20], 100.0, threads=2)
before = peak()
found = index.search_above(queries, floor, limit=limit, threads=2)
print(peak() - before, found.ids.values.nbytes + found.scores.values.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
@pytest.mark.parametrize(
    ("nq", "floor", "limit"),
    [(3000, "9", 2**62), (60, "-inf", 2**62), (3000, "-inf", 100)],
    ids=["few of many", "all", "limit"],
)
def test_a_search_above_a_score_needs_its_result_and_little_more(
    nq: int, floor: str, limit: int
) -> None:
    """A float32 score matrix would take 4.8 GB; lists of all items, 60 queries 0.3 GB.

    2^21 entries of 16 bytes are held, in vectors of twice that room, and half as many of tasks
    in progress: 100 MB. The longest list takes less: 400,000 entries. The rest is 4 MB of hits a
    thread.
    """
    run = subprocess.run(
        [sys.executable, "-c", ABOVE, str(nq), floor, str(limit)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    taken, result = map(int, run.stdout.split())
    assert taken < result + 130e6, (taken, result)
