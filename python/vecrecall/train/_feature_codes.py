"""Keys and attributes as the numbers that a tower takes; NumPy only, so that a server has it too.

A tower takes two matrices: `codes` (int64), rows of embedding tables, and `numbers` (float32).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.train._columns import check_exact_numbers, check_length
from vecrecall.train._features import Features, Kind
from vecrecall.train._key_json import from_json, to_json

Codes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float32]

PADDING, UNKNOWN, MISSING, FIRST = range(4)
"""Rows of every embedding table: no value, one that training had not, none given, the first."""

LONGEST_LIST = 64
"""So many values of a list count, at most."""

FARTHEST = 1e6
"""So many deviations from the mean count, at most, lest a vector overflow."""


class Field(NamedTuple):
    """Columns of `codes` that are rows of one embedding table."""

    begin: int
    width: int
    n_rows: int
    is_key: bool


class Encoded(NamedTuple):
    """Rows of users or items as a tower takes them."""

    codes: Codes
    numbers: Numbers


@dataclass(frozen=True)
class Values:
    """The known values of a key or category, numbered from `FIRST`."""

    known: Mapping[Hashable, int]

    @classmethod
    def of(cls, values: Iterable[Hashable], most: int | None = None) -> Values:
        """Give numbers to the values that training has, or to the most frequent ones."""
        counts = Counter(values)  # in the order in which they first come
        counts.pop(None, None)
        kept = list(counts) if most is None else [value for value, _ in counts.most_common(most)]
        return cls({value: row for row, value in enumerate(kept, FIRST)})

    @property
    def n_rows(self) -> int:
        """Rows of the embedding table."""
        return FIRST + len(self.known)

    def code(self, value: Hashable) -> int:
        """Return the row of a value."""
        return MISSING if value is None else self.known.get(value, UNKNOWN)

    def codes(self, values: Sequence[Hashable]) -> Codes:
        """Return the rows of values."""
        return np.fromiter((self.code(value) for value in values), np.int64, len(values))

    def key_codes(self, keys: Sequence[Hashable]) -> Codes:
        """Return the rows of keys; None is a key that is not known, as any other."""
        return np.fromiter((self.known.get(key, UNKNOWN) for key in keys), np.int64, len(keys))

    def list_codes(self, lists: Sequence[Sequence[Hashable]], width: int) -> Codes:
        """Return the rows of lists of values, padded; an empty list is a missing value."""
        found = np.full((len(lists), width), PADDING, np.int64)
        for row, values in enumerate(lists):
            codes = [self.code(value) for value in values[:width]] or [MISSING]
            found[row, : len(codes)] = codes
        return found

    def to_json(self, name: str) -> list[Any]:
        """Return the values in order."""
        return [to_json(value, name, row) for row, value in enumerate(self.known)]

    @classmethod
    def from_json(cls, values: list[Any]) -> Values:
        """Read what `to_json` gave."""
        return cls({from_json(value): row for row, value in enumerate(values, FIRST)})


@dataclass(frozen=True)
class Attribute:
    """A column of features, as training had it."""

    name: str
    kind: Kind
    values: Values
    width: int = 1
    mean: float = 0.0
    scale: float = 0.0

    @classmethod
    def of(cls, features: Features, name: str, most: int) -> Attribute:
        """Find the values of a column, or its mean and the inverse of its deviation."""
        column: Any = features.columns[name]
        kind = features.kinds[name]
        if kind == "category":
            return cls(name, kind, Values.of(column, most))
        if kind == "categories":
            width = min(max((len(row) for row in column), default=1) or 1, LONGEST_LIST)
            return cls(name, kind, Values.of((v for row in column for v in row), most), width)
        if not column.size or np.ptp(column) < np.finfo(np.float32).tiny:
            return cls(name, kind, Values({}))  # a scale of 0: a constant says nothing
        return cls(name, kind, Values({}), 1, float(column.mean()), 1 / float(column.std()))

    def column_of(self, features: Features) -> Any:
        """Return the column of this name, which may be without any value to tell its kind by."""
        column: Any = features.columns[self.name]
        if self.kind == features.kinds[self.name]:
            return column
        if self.kind == "number":
            return check_exact_numbers(column, self.name)
        return [[] for _ in column]


@dataclass(frozen=True)
class Encoding:
    """How keys and attributes of users or of items become codes and numbers."""

    keys: Values | None
    attributes: tuple[Attribute, ...]

    @classmethod
    def of(cls, keys: Sequence[Hashable] | None, features: Features | None, most: int) -> Encoding:
        """Learn the values from training data; without `keys` a row is its attributes alone."""
        names = () if features is None else tuple(features.columns)
        known = None if keys is None else Values.of(keys)
        return cls(known, tuple(Attribute.of(features, name, most) for name in names))  # type: ignore[arg-type]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of `codes`."""
        found: list[Field] = []
        if self.keys is not None:
            found.append(Field(0, 1, self.keys.n_rows, True))
        for one in self._of_kinds("category", "categories"):
            begin = found[-1].begin + found[-1].width if found else 0
            found.append(Field(begin, one.width, one.values.n_rows, False))
        return tuple(found)

    @property
    def n_numbers(self) -> int:
        """The columns of `numbers`."""
        return len(self._of_kinds("number"))

    @property
    def n_inputs(self) -> int:
        """The inputs of a tower."""
        return len(self.fields) + self.n_numbers

    def encode(self, keys: Sequence[Hashable], features: Features | None) -> Encoded:
        """Encode rows; a key without attributes has missing ones, and its numbers are the means."""
        self._check(features)
        rows = np.full(len(keys), -1) if features is None else features.rows(list(keys))
        parts = [] if self.keys is None else [self.keys.key_codes(keys)[:, None]]
        for one in self._of_kinds("category", "categories"):
            column: Any = None if features is None else one.column_of(features)
            if one.kind == "category":
                given = [None if row < 0 else column[row] for row in rows.tolist()]
                parts.append(one.values.codes(given)[:, None])
            else:
                lists = [() if row < 0 else column[row] for row in rows.tolist()]
                parts.append(one.values.list_codes(lists, one.width))
        numbers = np.zeros((len(keys), self.n_numbers), np.float32)
        for place, one in enumerate(self._of_kinds("number")):
            if features is not None:
                column = one.column_of(features)
                given = (column[rows[rows >= 0]] - one.mean) * one.scale
                numbers[rows >= 0, place] = np.clip(given, -FARTHEST, FARTHEST)
        empty = np.zeros((len(keys), 0), np.int64)
        return Encoded(np.concatenate([empty, *parts], axis=1), numbers)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "keys": None if self.keys is None else self.keys.to_json("keys"),
            "attributes": [
                {**one.__dict__, "values": one.values.to_json(one.name)} for one in self.attributes
            ],
        }

    @classmethod
    def from_json(cls, of: Mapping[str, Any]) -> Encoding:
        """Read what `to_json` gave."""
        keys = None if of["keys"] is None else Values.from_json(of["keys"])
        attributes = (
            Attribute(**{**one, "values": Values.from_json(one["values"])})
            for one in of["attributes"]
        )
        return cls(keys, tuple(attributes))

    def _of_kinds(self, *kinds: str) -> list[Attribute]:
        return [one for one in self.attributes if one.kind in kinds]

    def _check(self, features: Features | None) -> None:
        if features is None:
            return
        wanted = {one.name: one.kind for one in self.attributes}
        for name, kind in features.kinds.items():
            if wanted.get(name) != kind and not (name in wanted and _is_empty(features, name)):
                raise ValueError(
                    f"features: expected the columns of training ({_listed(wanted)}), "
                    f"got {name} ({kind})"
                )
        for name in wanted:
            if name not in features.kinds:
                raise ValueError(
                    f"features: expected the columns of training ({_listed(wanted)}), "
                    f"got none named {name}"
                )


def _is_empty(features: Features, name: str) -> bool:
    """Tell a column without any value that could tell its kind."""
    column: Any = features.columns[name]
    return features.kinds[name] == "category" and all(value is None for value in column)


def padded_histories(items: Values, histories: Sequence[Sequence[Hashable]], length: int) -> Codes:
    """Return the last known items of each history, oldest first, padded at the end."""
    found = np.full((len(histories), length), PADDING, np.int64)
    for row, history in enumerate(histories):
        known = [items.known[item] for item in history if item in items.known][-length:]
        found[row, : len(known)] = known
    return found


def keys_of(
    histories: Sequence[Any] | None, features: Features | None, keys: Sequence[Hashable] | None
) -> list[Hashable]:
    """Return the keys of rows to encode: those given, those of the features, or unknown ones."""
    if keys is None:
        keys = None if features is None else features.keys
    if keys is None:
        if histories is None:
            raise ValueError("histories: expected histories, user_features or users, got none")
        return [None] * len(histories)
    if histories is not None:
        check_length(histories, "histories", len(keys))
    return list(keys)


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in kinds.items()) or "none"
