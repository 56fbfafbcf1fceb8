"""Changes of what is served, as they are written to the log.

A change names items by their keys, not by ids, so that it can be applied to another version too.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from vecrecall.arrays._typing import F32

Key = int | str


class Rows(Struct, frozen=True, array_like=True):
    """A matrix of float32."""

    dim: int
    data: bytes

    @classmethod
    def of(cls, matrix: F32) -> Rows:
        """Pack a matrix."""
        return cls(matrix.shape[1], np.ascontiguousarray(matrix, "<f4").tobytes())

    def matrix(self) -> F32:
        """Unpack it."""
        return np.frombuffer(self.data, "<f4").astype(np.float32).reshape(-1, self.dim)


class Put(Struct, frozen=True, tag="put"):
    """Add items, or add and replace them, in some indexes.

    Attributes
    ----------
    bias : dict of str to list of float
        By index; 0 in others.
    strict : bool
        None of the items is there yet.
    """

    items: list[Key]
    vectors: dict[str, Rows]
    bias: dict[str, list[float]]
    strict: bool


class Remove(Struct, frozen=True, tag="remove"):
    """Remove items from all indexes."""

    items: list[Key]
    strict: bool


class Clicks(Struct, frozen=True, tag="clicks"):
    """Clicks for one feed."""

    feed: str
    clusters: list[int]
    items: list[Key]
    times: list[float]
    users: list[int] | None
    weights: list[float] | None


class SetFilter(Struct, frozen=True, tag="filter"):
    """Change a named filter."""

    name: str
    operation: Literal["set", "add", "remove", "delete"]
    items: list[Key]


class Events(Struct, frozen=True, tag="events"):
    """Clicks for several feeds, taken as one."""

    clicks: list[Clicks]


class Switch(Struct, frozen=True, tag="switch"):
    """Serve another version from here on."""

    version: int


Change = Put | Remove | Events | SetFilter | Switch

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Change)


def packed(change: Change) -> bytes:
    """Return a change as a record of the log."""
    return _ENCODER.encode(change)


def unpacked(record: bytes) -> Change:
    """Return the change of a record."""
    return _DECODER.decode(record)
