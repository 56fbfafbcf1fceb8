"""Indexes of other libraries: made from ours, made with our kernels, and read."""
