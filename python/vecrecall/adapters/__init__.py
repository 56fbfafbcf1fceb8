"""Indexes of other libraries: wrapped to search as ours do, and built from our kernels."""

from vecrecall.adapters.wrapped import WrappedIndex
from vecrecall.adapters.wrapping import wrap

__all__ = ["WrappedIndex", "wrap"]
