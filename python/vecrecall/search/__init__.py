"""Exact search: indexes, masks, tables of neighbors."""
