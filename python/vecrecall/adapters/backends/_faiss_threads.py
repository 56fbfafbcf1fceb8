"""FAISS's number of threads, which OpenMP keeps for each of a program's own threads."""

from typing import Any


class FaissThreads:
    """Runs a body with so many threads, and leaves the number as it was."""

    __slots__ = ("_before", "_faiss", "_threads")

    def __init__(self, faiss: Any, threads: int) -> None:
        self._faiss = faiss
        self._threads = threads
        self._before = faiss.omp_get_max_threads()

    def __enter__(self) -> None:
        if self._before != self._threads:
            self._faiss.omp_set_num_threads(self._threads)

    def __exit__(self, *error: object) -> None:
        if self._before != self._threads:
            self._faiss.omp_set_num_threads(self._before)
