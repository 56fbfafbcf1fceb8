"""Indexes of other libraries: wrapped to search as ours do, and built from our kernels."""

from vecrecall.adapters import faiss, hnswlib
from vecrecall.adapters._wrap import wrap
from vecrecall.adapters._wrapped_index import WrappedIndex

__all__ = ["WrappedIndex", "faiss", "hnswlib", "wrap"]
