"""The thread pool beside fork, beside other threads, and at rest.

Each script runs in an interpreter of its own, with a watchdog, so a deadlock is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from conftest import assert_same_bits
from datasets import HARD, normal

import vecrecall as vr

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self/task")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PRELUDE = """
import os, signal, sys, threading, time, warnings
import numpy as np

# Python warns of a fork beside threads: that it works is what is tested
warnings.simplefilter("ignore", DeprecationWarning)

def tasks():
    return len(os.listdir("/proc/self/task"))

before_import = tasks() if sys.platform.startswith("linux") else 0
import vecrecall as vr

rng = np.random.default_rng(1)
items = rng.standard_normal((60_000, 16), dtype=np.float32)
queries = rng.standard_normal((9, 16), dtype=np.float32)

def search():
    return vr.topk(queries, items, 20, threads=4)

def same(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))

def forked(work):
    "True if a child did the work within 300 seconds: a machine may pause."
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(300)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0
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


@forks
def test_fork_before_use() -> None:
    code = """
results = []
assert forked(lambda: same(search(), search()))
parent = search()
assert forked(lambda: same(parent, search()))
"""
    run(code)


@forks
def test_fork_after_use() -> None:
    code = """
index = vr.FlatIndex(items)
expected = index.search(queries, 20, threads=4)
for _ in range(10):
    assert forked(lambda: same(expected, index.search(queries, 20, threads=4)))
    assert same(expected, index.search(queries, 20, threads=4))
"""
    run(code)


@forks
def test_fork_of_a_fork() -> None:
    code = """
expected = search()
assert forked(lambda: same(expected, search()) and forked(lambda: same(expected, search())))
assert forked(lambda: forked(lambda: same(expected, search())))
"""
    run(code)


@forks
def test_fork_while_another_thread_searches() -> None:
    code = """
index = vr.FlatIndex(items)
expected = index.search(queries, 20, threads=4)
stop = threading.Event()
wrong = []
searches = 0

def work():
    global searches
    while not stop.is_set():
        searches += 1
        if not same(expected, index.search(queries, 20, threads=4)):
            wrong.append(1)

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
while searches < 3:
    time.sleep(0.001)
for _ in range(30):
    assert forked(lambda: same(expected, index.search(queries, 20, threads=4)))
stop.set()
for thread in threads:
    thread.join()
assert not wrong
"""
    run(code)


@linux
def test_an_idle_pool_sleeps() -> None:
    code = """
for _ in range(20):
    search()
time.sleep(0.2)  # threads may look for more work for a moment before they sleep
start = time.process_time()
time.sleep(1.0)
print(time.process_time() - start)
"""
    # One spinning thread would take up to a second, half of it on a busy machine; at rest the
    # interpreter takes about a millisecond.
    assert float(run(code)) < 0.1


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
