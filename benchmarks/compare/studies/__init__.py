"""Longer studies, each a program of its own."""
