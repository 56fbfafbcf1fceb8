"""The libraries that build, save and load an index, and their calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall.cli.bench.peers import OURS

F32 = npt.NDArray[np.float32]
K = 10


class Vecrecall:
    """`FlatIndex`, loaded memory-mapped."""

    def __init__(self, threads: int) -> None:
        vr.set_num_threads(threads)

    def build(self, items: F32) -> Any:
        return vr.FlatIndex(items)

    def save(self, index: Any, path: Path) -> None:
        index.save(path)

    def load(self, path: Path, dim: int) -> Any:
        return vr.FlatIndex.load(path)

    def search(self, index: Any, queries: F32) -> Any:
        return index.search(queries, K).ids


class Faiss:
    """`IndexFlatIP`."""

    flags = 0

    def __init__(self, threads: int) -> None:
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)

    def build(self, items: F32) -> Any:
        index = self.faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        return index

    def save(self, index: Any, path: Path) -> None:
        self.faiss.write_index(index, str(path))

    def load(self, path: Path, dim: int) -> Any:
        return self.faiss.read_index(str(path), self.flags)

    def search(self, index: Any, queries: F32) -> Any:
        return index.search(queries, K)[1]


class FaissMapped(Faiss):
    """`IndexFlatIP`, loaded memory-mapped."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.flags = self.faiss.IO_FLAG_MMAP_IFC


class Hnswlib:
    """`BFIndex`, which scans all items."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def build(self, items: F32) -> Any:
        import hnswlib

        index = hnswlib.BFIndex(space="ip", dim=items.shape[1])
        index.init_index(max_elements=len(items))
        index.add_items(items)
        return index

    def save(self, index: Any, path: Path) -> None:
        index.save_index(str(path))

    def load(self, path: Path, dim: int) -> Any:
        import hnswlib

        index = hnswlib.BFIndex(space="ip", dim=dim)
        index.load_index(str(path))
        return index

    def search(self, index: Any, queries: F32) -> Any:
        return index.knn_query(queries, k=K, num_threads=self.threads)[0]


class Peer(NamedTuple):
    """A package, and its calls."""

    package: str
    calls: Callable[[int], Any]


PEERS = {
    OURS: Peer("vecrecall", Vecrecall),
    "faiss-flat": Peer("faiss-cpu", Faiss),
    "faiss-flat, mapped": Peer("faiss-cpu", FaissMapped),
    "hnswlib-brute": Peer("hnswlib", Hnswlib),
}
