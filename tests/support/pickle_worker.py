"""Functions that other processes call with an index that was pickled to them."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

import vecrecall as vr


def digest(index: vr.FlatIndex, queries: Any) -> str:
    """Search, and add up the bits of what is found."""
    found = index.search(queries, 10, threads=1)
    return hashlib.blake2b(found.ids.tobytes() + found.scores.tobytes()).hexdigest()


def files_of(index: vr.FlatIndex) -> dict[str, str | None]:
    """Name the file that each of the arrays is mapped from."""
    return {name: file_of(array) for name, array in index._arrays().items()}


def searched(index: vr.FlatIndex, queries: Any) -> tuple[int, dict[str, str | None], str]:
    return os.getpid(), files_of(index), digest(index, queries)


def returned(index: Any) -> Any:
    return index


def file_of(array: Any) -> str | None:
    """Name the file that an array is mapped from."""
    while array is not None:
        if isinstance(array, np.memmap):
            return str(array.filename)
        array = getattr(array, "base", None)
    return None


def private() -> int:
    """Count the bytes of memory that no other process has."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def search_in_shared_memory(
    answers: Connection, name: str, places: list[tuple[int, int]], data: bytes, queries: Any
) -> None:
    """Unpickle over a block of shared memory; send by how much own memory has grown."""
    warm = vr.FlatIndex(np.ones((5000, 64), np.float32))
    warm.search(np.ones((len(queries), 64), np.float32), 10, threads=1)
    block = SharedMemory(name)
    before = private()
    index = pickle.loads(data, buffers=[block.buf[a:b].toreadonly() for a, b in places])
    found = digest(index, queries)
    index.search(queries[:1], len(index) // 8, threads=1)  # looks at every row
    answers.send((private() - before, found))
    del index
    gc.collect()
    block.close()
