"""Saves versions of an index to one path until it is killed: racing_saver.py FOLDER FIRST STEP."""

from __future__ import annotations

import itertools
import sys

import numpy as np

import vecrecall as vr

N, DIM = 700, 6


def version(number: int) -> vr.FlatIndex:
    """Make an index of so many rows, in such a way, that no other version has its bits."""
    n = N + number % 3
    rows = np.random.default_rng(number).standard_normal((n, DIM), dtype=np.float32)
    bias = np.full(n, number % 7, np.float32) if number % 2 else None
    return vr.FlatIndex(rows, number * 1000 + np.arange(n), bias=bias, threads=1)


def main(folder: str, first: int, step: int) -> None:
    for number in itertools.count(first, step):
        version(number).save(folder, threads=1)
        if number == first:
            print("saved", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
