"""Longer measurements, each a program of its own."""
