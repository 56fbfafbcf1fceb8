"""Loads while processes save to the same path, and are killed now and then."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import racing_saver
from comparison import arrays, assert_same_bits, assert_same_float32

import vecrecall as vr

SECONDS = 4.0
SAVERS = 2
LIVES = 4  # of each saver
LIFE = 1_000_000  # the numbers of one life

QUERIES = np.random.default_rng(5).standard_normal((2, racing_saver.DIM), dtype=np.float32)


@contextmanager
def saver(what: str, path: Path, first: int) -> Iterator[None]:
    """Let a process save from a version on, until it is killed: in the midst of a save."""
    program = Path(__file__).parents[1] / "support" / "racing_saver.py"
    arguments = [what, str(path), str(first), str(SAVERS)]
    process = subprocess.Popen([sys.executable, str(program), *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"saved\n"  # the first
        yield
        assert process.poll() is None, "it saves until it is killed"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def number_of(index: vr.FlatIndex) -> int:
    """Tell which version it is; everything must be of that version."""
    number = int(index.ids[0]) // 1000
    expected = racing_saver.version(number)
    np.testing.assert_array_equal(index.ids, expected.ids)
    assert_same_float32(index.vectors(index.ids), expected.vectors(expected.ids))
    assert_same_bits(index.search(QUERIES, 20), *arrays(expected.search(QUERIES, 20)))
    return number


def number_of_keyed(index: vr.FlatIndex) -> int:
    """Tell which version it is; the index and its keys must be of that version."""
    assert index.vocabulary is not None
    number = number_of_vocabulary(index.vocabulary)
    expected = racing_saver.keyed(number)
    assert_same_float32(index.vectors(index.ids), expected.vectors(expected.ids))
    return number


def number_of_table(table: vr.NeighborTable) -> int:
    number = int(table.items[0]) // 1000
    expected = racing_saver.table(number)
    assert table.items.tolist() == expected.items.tolist()
    assert table.ids.offsets.tolist() == expected.ids.offsets.tolist()
    assert table.ids.values.tolist() == expected.ids.values.tolist()
    assert_same_float32(np.asarray(table.scores.values), expected.scores.values)
    return number


def number_of_vocabulary(vocabulary: vr.Vocabulary) -> int:
    number = int(vocabulary.keys([0])[0].split()[0])
    expected = list(racing_saver.vocabulary(number))
    assert list(vocabulary) == expected
    assert vocabulary.ids(expected).tolist() == list(range(len(expected)))
    return number


READS: dict[str, tuple[Any, Callable[[Any], int]]] = {
    "index": (vr.FlatIndex, number_of),
    "index with a vocabulary": (vr.FlatIndex, number_of_keyed),
    "table": (vr.NeighborTable, number_of_table),
    "vocabulary": (vr.Vocabulary, number_of_vocabulary),
}


@pytest.mark.parametrize("what", READS)
def test_a_load_finds_one_of_the_versions(tmp_path: Path, what: str) -> None:
    kind, number_in = READS[what]
    racing_saver.SAVES[what](0, str(tmp_path))
    ended = threading.Event()

    def load(reader: int) -> list[int]:
        numbers: list[int] = []
        kept: list[Any] = []
        for turn in range(10**9):
            if ended.is_set():
                break
            mmap, verify = bool((turn + reader) % 2), turn % 3 == 0
            kept = [*kept[-5:], kind.load(tmp_path, mmap=mmap, verify=verify)]
            numbers.append(number_in(kept[-1]))
        for loaded in kept:  # mapped from files that are long gone
            number_in(loaded)
        return numbers

    def follow() -> list[int]:
        if kind is not vr.FlatIndex:
            return load(2)
        served, numbers = vr.ReloadingIndex(tmp_path), []
        while not ended.is_set():
            served.refresh()
            numbers.append(number_in(served.index))
        return numbers

    def save(which: int) -> None:
        for life in range(LIVES):
            with saver(what, tmp_path, SAVERS * LIFE * life + SAVERS + which):
                time.sleep(SECONDS / LIVES)

    with ThreadPoolExecutor(SAVERS + 3) as pool:
        savers = [pool.submit(save, which) for which in range(SAVERS)]
        readers = [pool.submit(load, 0), pool.submit(load, 1), pool.submit(follow)]
        try:
            for future in savers:
                future.result()
        finally:
            ended.set()
        found = [future.result() for future in readers]
    for numbers in found:
        for which in range(SAVERS):
            of_one = [number for number in numbers if number % SAVERS == which]
            assert of_one == sorted(of_one), "a saver's versions come in their order"
    assert len({number for numbers in found for number in numbers}) > 2
    last = kind.load(tmp_path, verify=True)
    number_in(last)
    last.save(tmp_path)  # which sweeps away what the killed savers left
    manifest = (tmp_path / "manifest.json").read_text()
    assert all(file.name in manifest for file in tmp_path.iterdir() if file.suffix != ".json")
