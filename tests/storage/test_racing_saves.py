"""Loads while processes save to the same path, and are killed now and then."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import racing_saver
from comparison import assert_same_bits, assert_same_float32

import vecrecall as vr

SECONDS = 4.0
SAVERS = 2
LIVES = 4  # of each saver
LIFE = 1_000_000  # the numbers of one life

QUERIES = np.random.default_rng(5).standard_normal((2, racing_saver.DIM), dtype=np.float32)


@contextmanager
def saver(path: Path, first: int) -> Iterator[None]:
    """Let a process save from a version on, until it is killed: in the midst of a save."""
    program = Path(__file__).parents[1] / "support" / "racing_saver.py"
    process = subprocess.Popen(
        [sys.executable, str(program), str(path), str(first), str(SAVERS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "saved\n"  # its imports are over
        yield
        assert process.poll() is None, "it saves until it is killed"
    finally:
        process.kill()
        process.communicate()


def number_of(index: vr.FlatIndex) -> int:
    """Tell which version it is; everything must be of that version."""
    number = int(index.ids[0]) // 1000
    expected = racing_saver.version(number)
    np.testing.assert_array_equal(index.ids, expected.ids)
    assert_same_float32(index.vectors(index.ids), expected.vectors(expected.ids))
    assert_same_bits(index.search(QUERIES, 20), *expected.search(QUERIES, 20))
    return number


def test_a_load_finds_one_of_the_versions(tmp_path: Path) -> None:
    racing_saver.version(0).save(tmp_path)
    over = threading.Event()

    def load(reader: int) -> list[int]:
        numbers, kept = [], []
        for turn in range(10**9):
            if over.is_set():
                break
            mmap, verify = bool((turn + reader) % 2), turn % 3 == 0
            kept = [*kept[-5:], vr.FlatIndex.load(tmp_path, mmap=mmap, verify=verify)]
            numbers.append(number_of(kept[-1]))
        for index in kept:  # mapped from files that are long gone
            number_of(index)
        return numbers

    def follow() -> list[int]:
        served, numbers = vr.ReloadingIndex(tmp_path), []
        while not over.is_set():
            served.refresh()
            numbers.append(number_of(served.index))
        return numbers

    def save(which: int) -> None:
        for life in range(LIVES):
            with saver(tmp_path, SAVERS * LIFE * life + SAVERS + which):
                time.sleep(SECONDS / LIVES)

    with ThreadPoolExecutor(SAVERS + 3) as pool:
        savers = [pool.submit(save, which) for which in range(SAVERS)]
        readers = [pool.submit(load, 0), pool.submit(load, 1), pool.submit(follow)]
        try:
            for future in savers:
                future.result()
        finally:
            over.set()
        found = [future.result() for future in readers]
    for numbers in found:
        for which in range(SAVERS):
            of_one = [number for number in numbers if number % SAVERS == which]
            assert of_one == sorted(of_one), "a saver's versions come in their order"
    assert len({number for numbers in found for number in numbers}) > 2
    last = vr.FlatIndex.load(tmp_path, verify=True)
    number_of(last)
    last.save(tmp_path)  # which sweeps away what the killed savers left
    assert len(list(tmp_path.glob("*.npy"))) == len(last._now().parts()) + 1
