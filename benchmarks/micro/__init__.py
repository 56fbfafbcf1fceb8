"""Benchmarks of all kernels against plain NumPy."""
