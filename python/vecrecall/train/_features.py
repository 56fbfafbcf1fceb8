"""Attributes of users or items: columns next to a column of keys."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Iterable, Mapping
from types import NoneType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.train._column_names import Columns, column_names
from vecrecall.train._columns import (
    Column,
    check_exact_numbers,
    check_keys,
    check_lists,
    check_optional_keys,
    check_unique,
    is_missing,
    number,
    numbering,
    values_of,
)

Kind = Literal["category", "categories", "number"]
KINDS: dict[str, int] = {"category": 0, "categories": 1, "number": 2}
Values: TypeAlias = "list[Hashable] | list[list[Hashable]] | npt.NDArray[np.float64]"


class Features:
    """Attributes of users or items: for each key a row in each column.

    Parameters
    ----------
    keys : sequence of hashable, n of them
        The users or items, each once.
    columns : mapping of str to column, or data frame, optional
        By name, each with n rows. There are three kinds:

        - ``"number"``: finite numbers, which training standardizes;
        - ``"category"``: one hashable value per row; a missing one (None, NaN) is a category;
        - ``"categories"``: a list of hashable values per row, possibly empty or None.
    kinds : mapping of str to {"number", "category", "categories"}, optional
        The kind of the columns named here. A column that is not named is of categories if it holds
        lists, of numbers if it holds int or float, else a category; bool is a category.

    Attributes
    ----------
    keys : list of hashable
    kinds : dict of str to str
        The kind of each column.

    Raises
    ------
    TypeError, ValueError
        If a key is missing or stands twice, a column has another number of rows, or a value does
        not fit its kind: NaN in a column of numbers is an error with the column and the row.

    Examples
    --------
    >>> from vecrecall.train import Features
    >>> users = Features(
    ...     ["ann", "bob"], {"age": [24, 53], "gender": ["F", None], "tags": [["tea", "milk"], []]}
    ... )
    >>> users.kinds
    {'age': 'number', 'gender': 'category', 'tags': 'categories'}
    """

    def __init__(
        self,
        keys: Column,
        columns: Columns | None = None,
        *,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self.keys = check_keys(keys, "keys")
        check_unique(self.keys, "keys")
        self.kinds: dict[str, Kind] = {}
        self.columns: dict[str, Values] = {}
        if not isinstance(kinds, (Mapping, NoneType)):
            raise TypeError(f"kinds: expected a mapping of columns, got {type(kinds).__name__}")
        wanted = dict(kinds or {})
        named = {} if columns is None else columns
        for name in column_names(named):
            if not isinstance(name, str):
                raise TypeError(f"columns: expected names, got {name!r}")
            column = named[name]
            kind = wanted.pop(name) if name in wanted else _kind(column, name)
            _scalars.check_choice(kind, f"kinds[{name!r}]", KINDS)
            self.kinds[name] = kind
            self.columns[name] = _CHECKS[kind](column, name, len(self.keys))
        if wanted:
            raise ValueError(f"kinds: expected names of columns, got {', '.join(map(str, wanted))}")
        self._row_of = numbering(self.keys)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.keys)

    def __repr__(self) -> str:
        of = ", ".join(f"{name}: {kind}" for name, kind in self.kinds.items())
        return f"<Features of {len(self)} keys, {of or 'no columns'}>"

    def rows(self, keys: list[Hashable]) -> Any:
        """Return the rows of keys, -1 for a key without attributes."""
        return number(keys, self._row_of)


def _kind(column: Column, name: str) -> Kind:
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return "number"
    found = [value for value in values_of(column, name) if not is_missing(value)]
    if any(isinstance(value, Iterable) and not isinstance(value, _SINGLE) for value in found):
        return "categories"
    if found and all(_is_number(value) for value in found):
        return "number"
    return "category"


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


_SINGLE = (str, bytes)
_CHECKS: dict[str, Any] = {
    "category": check_optional_keys,
    "categories": check_lists,
    "number": check_exact_numbers,
}
