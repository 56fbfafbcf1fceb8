"""Types of users and items: keys that stand for all with the same attributes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import NoneType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.train._column_names import Columns, column_names
from vecrecall.train._columns import Column, check_length, check_optional_keys, check_times
from vecrecall.train._embedding import Embedding

Type: TypeAlias = tuple[Hashable, ...]


@dataclass(frozen=True)
class Types:
    """Types of users or items by their attributes: the same attributes, the same type.

    A type is a tuple of the name and one value for each attribute, such as ``("user", 2, "FR")``.
    Types are keys as any others. In the lists of `user_sequences` they stand next to the items,
    and `sequences` gives them vectors in the items' space; `vectors` then finds one for a user
    who has no history.

    Parameters
    ----------
    name : str
        First of each tuple: it keeps the types of users and of items apart.
    columns : tuple of str
        The attributes, in order.
    edges : mapping of str to tuple of float
        For attributes that are numbers, the ascending, finite borders between bins. Bin ``i`` has
        the numbers from edge ``i - 1`` to below edge ``i``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    See Also
    --------
    user_sequences, sequences

    References
    ----------
    Grbovic and Cheng, "Real-time Personalization using Embeddings for Search Ranking at Airbnb",
    KDD 2018, section 3.2.

    Examples
    --------
    >>> from vecrecall.train import Types
    >>> ages, countries = [18, 25, 40, 61], ["FR", "FR", None, "IN"]
    >>> types = Types.fit("user", {"age": ages, "country": countries}, bins={"age": 2})
    >>> types.edges
    {'age': (32.5,)}
    >>> types.assign({"age": [30, 50], "country": ["IN", None]})
    [('user', 0, 'IN'), ('user', 1, None)]
    """

    name: str
    columns: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name: expected a str, got {type(self.name).__name__}")
        object.__setattr__(self, "columns", _names(self.columns))
        if not isinstance(self.edges, Mapping):
            raise TypeError(
                f"edges: expected a mapping of columns, got {type(self.edges).__name__}"
            )
        for name in self.edges:
            if name not in self.columns:
                raise ValueError(f"edges: expected names of columns, got {name!r}")
        object.__setattr__(self, "edges", {n: _edges(of, n) for n, of in self.edges.items()})

    @classmethod
    def fit(
        cls,
        name: str,
        columns: Columns,
        *,
        bins: Mapping[str, int] | None = None,
    ) -> Types:
        """Find the bins of the attributes that are numbers: quantiles of the column.

        Parameters
        ----------
        name : str
        columns : mapping of str to column, or data frame
            By attribute its values, from the most to the least telling: where a type is not known,
            `vectors` leaves out the last ones first. Equally long.
        bins : mapping of str to int, optional
            Number of bins for each attribute that is a number or a date. All others are
            categories.

        Returns
        -------
        Types
            Equal numbers share a bin, so that there may be fewer; a constant column has one.

        Raises
        ------
        TypeError, ValueError
            If a column is not as described, with its name and row. In a column of numbers a
            missing value or NaN is an error; among categories a missing one is a category.
        """
        if not isinstance(bins, (Mapping, NoneType)):
            raise TypeError(f"bins: expected a mapping of columns, got {type(bins).__name__}")
        wanted = dict(bins or {})
        names = tuple(column_names(columns))
        if unknown := [key for key in wanted if key not in names]:
            raise ValueError(f"bins: expected names of columns, got {unknown[0]!r}")
        edges = {}
        for key, n in wanted.items():
            n = _scalars.check_positive_int(n, f"bins[{key!r}]")
            edges[key] = _quantiles(check_times(columns[key], key), n)
        found = cls(name, names, edges)
        found.assign(columns)
        return found

    def assign(self, columns: Columns) -> list[Type]:
        """Return the type of each row.

        Parameters
        ----------
        columns : mapping of str to column, or data frame, n rows
            By attribute; further ones are not used. Values that `fit` has not seen are fine.

        Returns
        -------
        list of tuple, n of them

        Raises
        ------
        TypeError, ValueError
            If a column is missing or not as described, with its name and row.
        """
        values: list[list[Any]] = []
        names = column_names(columns)
        for name in self.columns:
            if name not in names:
                raise ValueError(f"columns: expected {name!r}, got {', '.join(map(str, names))}")
            values.append(self._values(name, columns[name]))
            check_length(values[-1], name, len(values[0]))
        return [(self.name, *row) for row in zip(*values, strict=True)]

    def vectors(self, embedding: Embedding, columns: Columns) -> npt.NDArray[np.float32]:
        """Find a vector for each row by its type.

        Parameters
        ----------
        embedding : Embedding
            With types among its keys, as `sequences` gives it.
        columns : mapping of str to column, or data frame, n rows

        Returns
        -------
        ndarray of float32, shape (n, d)
            Of length one. A type without a vector gets the mean of the types that agree with it
            in the attributes before the last, the last two, and so on; if all fail, the mean of
            all types. Zero if the embedding has no type of this name.

        Raises
        ------
        TypeError, ValueError
            As `assign` does.
        """
        if not isinstance(embedding, Embedding):
            raise TypeError(f"embedding: expected an Embedding, got {type(embedding).__name__}")
        rows = self.assign(columns)
        own = [key for key in embedding if self._is_own(key)]
        units = _unit(embedding.vectors(own).astype(np.float64))
        sums: dict[Type, npt.NDArray[np.float64]] = {}
        for key, vector in zip(own, units, strict=True):
            assert isinstance(key, tuple)
            for length in range(1, len(key) + 1):
                prefix = key[:length]
                sums[prefix] = sums[prefix] + vector if prefix in sums else vector
        nothing = np.zeros(embedding.dim)
        found = [
            next((sums[row[:n]] for n in range(len(row), 0, -1) if row[:n] in sums), nothing)
            for row in rows
        ]
        return _unit(np.array(found).reshape(-1, embedding.dim)).astype(np.float32)

    def _is_own(self, key: object) -> bool:
        return isinstance(key, tuple) and len(key) == 1 + len(self.columns) and key[0] == self.name

    def _values(self, name: str, column: Column) -> list[Any]:
        if name not in self.edges:
            return check_optional_keys(column, name)
        bins = np.searchsorted(self.edges[name], check_times(column, name), side="right")
        return list(bins.tolist())


def _names(columns: object) -> tuple[str, ...]:
    """Return the names of attributes, also from a list of JSON."""
    if isinstance(columns, (str, bytes)) or not isinstance(columns, Iterable):
        shown = repr(columns) if isinstance(columns, str) else type(columns).__name__
        raise TypeError(f"columns: expected names, got {shown}")
    names = tuple(columns)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"columns: expected names, got {type(name).__name__}")
    if not names:
        raise ValueError("columns: expected at least one attribute, got none")
    if len(set(names)) < len(names):
        raise ValueError(f"columns: expected different names, got {names}")
    return names


def _edges(edges: object, name: str) -> tuple[float, ...]:
    """Return the borders of an attribute's bins, also from a list of JSON."""
    of = f"edges[{name!r}]"
    if isinstance(edges, (str, bytes, Mapping)) or not isinstance(edges, Iterable):
        raise TypeError(f"{of}: expected numbers, got {type(edges).__name__}")
    found = tuple(_scalars.check_float(edge, of) for edge in edges)
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{of}: expected finite numbers, got {found}")
    if any(not low < high for low, high in pairwise(found)):
        raise ValueError(f"{of}: expected ascending numbers, got {found}")
    return found


def _quantiles(numbers: npt.NDArray[np.float64], bins: int) -> tuple[float, ...]:
    if not numbers.size:
        return ()
    bins = min(bins, numbers.size)  # as many tell all numbers apart
    inner = np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1])
    return tuple(np.unique(inner[inner > numbers.min()]).tolist())


def _unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
