"""The parts of a data set: interactions, attributes, a graph."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.train._columns import (
    Column,
    check_keys,
    check_length,
    check_numbers,
    check_times,
    check_unique,
    values_of,
)

Times: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who chose what, when.

    Parameters
    ----------
    users, items : column of hashable
        One row for each interaction; a pair may come again.
    times : column of numbers or datetime64
        Rows need not be in order of time; rows with equal times count in the order of the rows.
    weights : column of numbers, optional
        Such as ratings.
    source : str
        Where the rows come from, for messages.

    Attributes
    ----------
    users, items : list of hashable
    times : ndarray, shape (n,)
        Integers, float64 or datetime64, as they were given.
    weights : ndarray of float32, shape (n,), or None
    source : str

    Raises
    ------
    TypeError, ValueError
        If columns differ in length, a key is missing or not hashable, or a time or a weight is not
        finite; names the column and the row.

    Examples
    --------
    >>> from vecrecall.datasets import Interactions
    >>> clicks = Interactions(["ann", "bob", "ann"], ["x", "y", "y"], [1, 2, 3])
    >>> len(clicks), clicks.users, clicks.times.tolist()
    (3, ['ann', 'bob', 'ann'], [1, 2, 3])
    """

    users: list[Any]
    items: list[Any]
    times: Times
    weights: npt.NDArray[np.float32] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        users = check_keys(self.users, "users")
        _set(self, "users", users)
        _set(self, "items", check_keys(self.items, "items", len(users)))
        _set(self, "times", _times(self.times, len(users)))
        if self.weights is not None:
            _set(self, "weights", check_numbers(self.weights, "weights", len(users)))

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return _named(self, f"{len(self)} rows", self.source)


@dataclass(frozen=True, eq=False)
class Attributes:
    """Columns that describe users, or items.

    Parameters
    ----------
    keys : column of hashable
        All different.
    columns : mapping of str to column
        A row for each key: numbers, texts, or lists. Where a value is missing, loaders have None
        among numbers, an empty text, an empty list.

    Attributes
    ----------
    keys : list of hashable
    columns : dict of str to list

    Raises
    ------
    TypeError, ValueError
        If a key is missing or stands twice, or a column has another length; names the column.

    Examples
    --------
    >>> from vecrecall.datasets import Attributes
    >>> films = Attributes([7, 9], {"genres": [["Drama"], []], "year": [1994, None]})
    >>> films.column("year")
    [1994, None]
    >>> films.column("genres", [9, 8, 7], default=[])
    [[], [], ['Drama']]
    """

    keys: list[Any]
    columns: dict[str, list[Any]]

    def __post_init__(self) -> None:
        keys = check_keys(self.keys, "keys")
        check_unique(keys, "keys")
        if not isinstance(self.columns, Mapping):
            got = type(self.columns).__name__
            raise TypeError(f"columns: expected a mapping of names to columns, got {got}")
        columns = {str(name): values_of(column, name) for name, column in self.columns.items()}
        for name, values in columns.items():
            check_length(values, name, len(keys))
        _set(self, "keys", keys)
        _set(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return _named(self, f"{len(self)} keys", ", ".join(self.columns))

    def column(self, name: str, keys: Column | None = None, default: Any = None) -> list[Any]:
        """Return a column, for other keys or in another order if asked for.

        Parameters
        ----------
        name : str
        keys : column of hashable, optional
            Default the keys of the attributes.
        default : object
            The value for a key that has no row.

        Returns
        -------
        list
            One value for each key.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if name not in self.columns:
            known = ", ".join(map(repr, self.columns)) or "none"
            raise KeyError(f"no column {name!r}; the columns are {known}")
        values = self.columns[name]
        if keys is None:
            return list(values)
        row_of = {key: row for row, key in enumerate(self.keys)}
        rows = (row_of.get(key) for key in values_of(keys, "keys"))
        return [default if row is None else values[row] for row in rows]


@dataclass(frozen=True, eq=False)
class Triples:
    """A knowledge graph: facts of the form (head, relation, tail).

    Parameters
    ----------
    heads, relations, tails : column of hashable
        Of equal length.

    Attributes
    ----------
    heads, relations, tails : list of hashable

    Raises
    ------
    TypeError, ValueError
        If columns differ in length, or a key is missing or not hashable; names the column and the
        row.

    Examples
    --------
    >>> from vecrecall.datasets import Triples
    >>> graph = Triples(["Alien", "Scott"], ["by", "made"], ["Scott", "Alien"])
    >>> graph.tails_of("by", "made")
    {'Alien': ['Scott']}
    """

    heads: list[Any]
    relations: list[Any]
    tails: list[Any]

    def __post_init__(self) -> None:
        heads = check_keys(self.heads, "heads")
        _set(self, "heads", heads)
        _set(self, "relations", check_keys(self.relations, "relations", len(heads)))
        _set(self, "tails", check_keys(self.tails, "tails", len(heads)))

    def __len__(self) -> int:
        return len(self.heads)

    def __repr__(self) -> str:
        return _named(self, f"{len(self)} triples", "")

    def tails_of(
        self, relation: Hashable, inverse: Hashable | None = None
    ) -> dict[Hashable, list[Any]]:
        """Follow a relation from each head.

        Parameters
        ----------
        relation : hashable
        inverse : hashable, optional
            The relation that says the same from tail to head; its triples are followed backward.

        Returns
        -------
        dict of hashable to list
            The tails of each head that has any, once each, in the order of the triples.

        Raises
        ------
        KeyError
            If no triple has the relation, or none has the inverse.
        """
        found: dict[Hashable, dict[Any, None]] = {}
        seen = set()
        for head, name, tail in zip(self.heads, self.relations, self.tails, strict=True):
            if name == relation:
                found.setdefault(head, {})[tail] = None
                seen.add(name)
            if inverse is not None and name == inverse:
                found.setdefault(tail, {})[head] = None
                seen.add(name)
        for name in (relation, inverse):
            if name is not None and name not in seen:
                raise KeyError(f"no triple has the relation {name!r}")
        return {head: list(tails) for head, tails in found.items()}


@dataclass(frozen=True, eq=False)
class RecommenderData:
    """All that is known for a recommender.

    Attributes may have keys without interactions (new items), and interactions keys without
    attributes: `Attributes.column` gives those its default.

    Parameters
    ----------
    interactions : Interactions
    users, items : Attributes, optional
    graph : Triples, optional
    links : mapping of hashable to hashable, optional
        The entity of the graph for items that have one.

    Raises
    ------
    TypeError
        If a part is no such table, or the keys of attributes have another type than those of the
        interactions, as 7 and "7".

    Examples
    --------
    >>> from vecrecall.datasets import Attributes, Interactions, RecommenderData, Triples
    >>> data = RecommenderData(
    ...     Interactions(["ann"], ["x"], [1]),
    ...     items=Attributes(["x", "z"], {"title": ["Alien", "Up"]}),
    ...     graph=Triples(["e1", "e1"], ["by", "from"], ["Scott", "UK"]),
    ...     links={"x": "e1"},
    ... )
    >>> data.related("by")
    [['Scott'], []]
    """

    interactions: Interactions
    users: Attributes | None = None
    items: Attributes | None = None
    graph: Triples | None = None
    links: dict[Any, Any] | None = None

    def __post_init__(self) -> None:
        _check_part(self.interactions, Interactions, "interactions")
        for name, kind in (("users", Attributes), ("items", Attributes), ("graph", Triples)):
            if getattr(self, name) is not None:
                _check_part(getattr(self, name), kind, name)
        _check_types(self.users, self.interactions.users, "users")
        _check_types(self.items, self.interactions.items, "items")
        if self.links is not None:
            _set(self, "links", dict(self.links))

    def __repr__(self) -> str:
        parts = {"users": self.users, "items": self.items, "graph": self.graph}
        known = [f"{name}={part!r}" for name, part in parts.items() if part is not None]
        links = [f"links of {len(self.links)} items"] if self.links is not None else []
        return f"{type(self).__name__}({', '.join([repr(self.interactions), *known, *links])})"

    def related(
        self,
        relation: Hashable,
        inverse: Hashable | None = None,
        items: Column | None = None,
    ) -> list[list[Any]]:
        """Follow a relation of the graph from each item's entity.

        Parameters
        ----------
        relation : hashable
        inverse : hashable, optional
            See `Triples.tails_of`.
        items : column of hashable, optional
            Default the keys of `items`.

        Returns
        -------
        list of list
            For each item the entities at the other end, once each; empty for an item without a
            link or without the relation.

        Raises
        ------
        KeyError
            If no triple has the relation.
        ValueError
            If there is no graph, or no items are given and there are no attributes of items.
        """
        if self.graph is None or self.links is None:
            raise ValueError("the data have no graph with links of items to it")
        if items is None:
            if self.items is None:
                raise ValueError(
                    "items: expected a column, as the data have no attributes of items"
                )
            items = self.items.keys
        found = self.graph.tails_of(relation, inverse)
        return [found.get(self.links.get(item), []) for item in values_of(items, "items")]


def _set(table: object, name: str, value: object) -> None:
    object.__setattr__(table, name, value)


def _named(table: object, size: str, more: str) -> str:
    return f"{type(table).__name__}({size}{', ' if more else ''}{more})"


def _times(column: Column, length: int) -> Times:
    """Check times, and keep them exact: integers above 2**53 and nanoseconds too."""
    dates = np.asarray(column) if hasattr(column, "__array__") else None
    if dates is not None and dates.dtype.kind == "M":  # of Arrow and polars too
        column = dates
    checked = check_times(column, "times", length)
    exact = np.asarray(column)
    return exact if exact.dtype.kind in "iuM" else checked


def _check_part(part: object, kind: type, name: str) -> None:
    if not isinstance(part, kind):
        raise TypeError(f"{name}: expected {kind.__name__}, got {type(part).__name__}")


def _check_types(attributes: Attributes | None, keys: Sequence[Hashable], name: str) -> None:
    """Let keys that can never be equal not pass for unknown ones."""
    if attributes is None or not attributes.keys or not keys:
        return
    texts, of_interactions = (
        {isinstance(key, str) for key in values} for values in (attributes.keys, keys)
    )
    if texts.isdisjoint(of_interactions):
        raise TypeError(
            f"{name}: the interactions have keys like {keys[0]!r}, the attributes like "
            f"{attributes.keys[0]!r}, which are never equal"
        )
