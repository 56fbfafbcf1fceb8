"""The thread pool with other threads; test_processes.py has it with other processes.

Each script runs in an interpreter of its own, with a watchdog, so a deadlock is a failure.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from comparison import assert_same_bits
from datasets import HARD, normal

import vecrecall as vr

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self/task")

PRELUDE = """
import os, sys
import numpy as np

def tasks():
    return len(os.listdir("/proc/self/task"))

before_import = tasks() if sys.platform.startswith("linux") else 0
import vecrecall as vr

rng = np.random.default_rng(1)
items = rng.standard_normal((60_000, 16), dtype=np.float32)
queries = rng.standard_normal((9, 16), dtype=np.float32)

def search():
    return vr.topk(queries, items, 20, threads=4)
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@linux
def test_import_starts_no_threads() -> None:
    assert run("print(tasks() - before_import)") == "0"


@linux
def test_tiny_work_starts_no_threads() -> None:
    code = """
index = vr.FlatIndex(items[:20, :4])
index.search(queries[:1, :4], 3)
vr.pool(items[:20, :4], [[0, 1]])
print(tasks() - before_import)
"""
    assert run(code) == "0"


@linux
def test_calls_do_not_pile_up_threads() -> None:
    code = """
search()
first = tasks()
for _ in range(50):
    search()
    vr.topk(queries, items, 20, threads=2)
print(tasks() - first)
"""
    assert int(run(code)) <= 0


def test_concurrent_searches(isa: str, rng: np.random.Generator) -> None:
    queries, items = HARD["lognormal_norms"](rng, 40, 20_000, 12)
    matrix = reference.scores(queries, items)
    ids = np.arange(len(items))
    index = vr.FlatIndex(items)
    expected = reference.select(matrix, ids, 30)
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(timeout=600)
        for i in range(12):
            part = slice((5 * number + i) % 30, (5 * number + i) % 30 + 1 + i % 9)
            threads = [None, 1, 2, 5][(number + i) % 4]
            found = index.search(queries[part], 30, threads=threads)
            assert_same_bits(found, *(array[part] for array in expected))

    with ThreadPoolExecutor(8) as executor:
        for future in [executor.submit(work, number) for number in range(8)]:
            future.result(timeout=600)


def test_concurrent_calls_of_every_kind(rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 9, 20_000, 12)
    rows = rng.integers(0, 20_000, (3000, 10)).tolist()
    expected = reference.search(queries, items, 30)
    pooled = reference.pool(items, rows)
    start = threading.Barrier(4)

    def searches() -> None:
        start.wait(timeout=600)
        for _ in range(10):
            assert_same_bits(vr.topk(queries, items, 30, threads=3), *expected)

    def pools() -> None:
        start.wait(timeout=600)
        for _ in range(10):
            np.testing.assert_array_equal(vr.pool(items, rows, threads=3), pooled)

    with ThreadPoolExecutor(4) as executor:
        for future in [executor.submit(work) for work in (searches, pools) * 2]:
            future.result(timeout=600)


def test_a_search_lets_other_threads_run(rng: np.random.Generator) -> None:
    """The main thread wakes up many times within one long search of another thread."""
    items = normal(rng, 200_000, 16)
    index = vr.FlatIndex(items, copy=False)
    queries, seconds = normal(rng, 50, 16), 0.0
    while seconds < 0.2:
        queries = np.concatenate([queries, queries])
        start = time.thread_time()
        index.search(queries, 10, threads=1)
        seconds = time.thread_time() - start
    thread = threading.Thread(target=index.search, args=(queries, 10), kwargs={"threads": 1})
    thread.start()
    wakes = 0
    while thread.is_alive():
        time.sleep(0.002)
        wakes += 1
    # With the lock held throughout there are two at most, one before and one after the search.
    # Without it 0.2 s are a hundred naps of 2 ms; a tenth of that is enough.
    assert wakes >= 10
