"""Indexes of other libraries: wrapped to search as ours do, and built from our kernels."""

from vecrecall.adapters import faiss, hnswlib
from vecrecall.adapters.wrapped import WrappedIndex
from vecrecall.adapters.wrapping import wrap

__all__ = ["WrappedIndex", "faiss", "hnswlib", "wrap"]
