"""Columns by name: a mapping, or a data frame of any library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from vecrecall.train._columns import Column

Columns: TypeAlias = "Mapping[str, Column] | Any"
"""Columns by name, or a data frame."""


def column_names(columns: Columns) -> list[str]:
    """Name the columns of a mapping, or of a data frame, of which ``columns[name]`` is one.

    Parameters
    ----------
    columns : mapping of str to column, or data frame of pandas, polars or Arrow

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(columns, Mapping):
        return list(columns)
    for attribute in ("column_names", "columns"):  # Arrow has both, the second for the values
        if hasattr(columns, attribute):
            return list(getattr(columns, attribute))
    raise TypeError(f"columns: expected columns by name, got {type(columns).__name__}")
