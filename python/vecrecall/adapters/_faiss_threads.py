"""FAISS's number of threads, which OpenMP keeps for each of a program's own threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def faiss_threads(faiss: Any, threads: int) -> Iterator[None]:
    """Run the body with this number, and leave it as it was."""
    before = faiss.omp_get_max_threads()
    if before == threads:
        yield
        return
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
