"""Saves versions to one path until it is killed: racing_saver.py WHAT FOLDER FIRST STEP."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np

import vecrecall as vr

N, DIM = 700, 6


def version(number: int) -> vr.FlatIndex:
    """Make an index of so many rows, in such a way, that no other version has its bits."""
    n = N + number % 3
    rows = np.random.default_rng(number).standard_normal((n, DIM), dtype=np.float32)
    bias = np.full(n, number % 7, np.float32) if number % 2 else None
    return vr.FlatIndex(rows, number * 1000 + np.arange(n), bias=bias, threads=1)


def table(number: int) -> vr.NeighborTable:
    """Make a table of so many rows that no other version has its bits."""
    n = N + number % 3
    items = number * 1000 + np.arange(n)
    rows = vr.Ragged(items[::-1], np.arange(n + 1))
    scores = np.random.default_rng(number).standard_normal(n, dtype=np.float32)
    return vr.NeighborTable(items, rows, vr.Ragged(scores, rows.offsets))


def vocabulary(number: int) -> vr.Vocabulary:
    """Make a vocabulary of so many keys that no other version has them."""
    return vr.Vocabulary([f"{number} {i}" for i in range(N + number % 3)])


def keyed(number: int) -> vr.FlatIndex:
    """Make an index whose ids have keys."""
    rows = version(number).vectors(version(number).ids)
    return vr.FlatIndex(rows, threads=1)


def save_keyed(number: int, folder: str) -> None:
    keyed(number).save(folder, vocabulary=vocabulary(number), threads=1)


SAVES: dict[str, Callable[[int, str], object]] = {
    "index": lambda number, folder: version(number).save(folder, threads=1),
    "index with a vocabulary": save_keyed,
    "table": lambda number, folder: table(number).save(folder),
    "vocabulary": lambda number, folder: vocabulary(number).save(folder),
}


def main(what: str, folder: str, first: int, step: int) -> None:
    for number in itertools.count(first, step):
        SAVES[what](number, folder)
        if number == first:
            print("saved", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
