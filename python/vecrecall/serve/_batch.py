"""Columns of users' requests: all fields that the channels of a system read, for every user.

Each request has the same columns, with nothing in those that it leaves out. So requests that come
at the same time are put into one batch, and a part of a large request is a batch too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.channels._requests import RequestBatch


@dataclass(frozen=True)
class Columns:
    """A row per user.

    Attributes
    ----------
    users : ndarray of int64, shape (n,)
        Numbers of known users, -1 for others.
    ragged : dict of str to Ragged
        ``history``, ``tags``, ``tag_groups``, ``seen`` (integers).
    weights : dict of str to Ragged
        ``history`` and ``tags`` (float64).
    vectors : dict of str to ndarray of float32, shape (n, d)
        Zeros for a user without.
    clusters : dict of str to Ragged of int64
        By grouping.
    """

    users: I64
    ragged: dict[str, Ragged]
    weights: dict[str, Ragged]
    vectors: dict[str, F32]
    clusters: dict[str, Ragged]

    def __len__(self) -> int:
        return self.users.size

    def part(self, start: int, stop: int) -> Columns:
        """Return some rows."""
        if (start, stop) == (0, len(self)):
            return self
        return Columns(
            self.users[start:stop],
            {name: rows(value, start, stop) for name, value in self.ragged.items()},
            {name: rows(value, start, stop) for name, value in self.weights.items()},
            {name: value[start:stop] for name, value in self.vectors.items()},
            {name: rows(value, start, stop) for name, value in self.clusters.items()},
        )


def joined(parts: Sequence[Columns]) -> Columns:
    """Put requests with the same columns one after the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]

    def ragged(of: str) -> dict[str, Ragged]:
        return {name: stacked([getattr(p, of)[name] for p in parts]) for name in getattr(first, of)}

    return Columns(
        np.concatenate([part.users for part in parts]),
        ragged("ragged"),
        ragged("weights"),
        {name: np.concatenate([p.vectors[name] for p in parts]) for name in first.vectors},
        ragged("clusters"),
    )


def rows(ragged: Ragged, start: int, stop: int) -> Ragged:
    """Return the rows from `start` to `stop`."""
    offsets = ragged.offsets[start : stop + 1]
    return Ragged._of(ragged.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def stacked(parts: Sequence[Ragged]) -> Ragged:
    """Put the rows of several one after the other."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Ragged._of(np.concatenate([part.values for part in parts]), offsets_of(lengths))


def ones_like(ragged: Ragged) -> Ragged:
    """Return a weight of 1 for each value."""
    ones: F64 = np.ones(ragged.values.size)
    return Ragged._of(ones, ragged.offsets)


def no_rows(n: int) -> Ragged:
    """Return `n` empty rows of integers."""
    return Ragged._of(np.zeros(0, np.int64), np.zeros(n + 1, np.int64))


class SystemBatch(RequestBatch):
    """A batch in which users have a cluster in each of several groupings.

    Parameters
    ----------
    columns : Columns

    Attributes
    ----------
    groupings : mapping of str to Ragged of int64
        The clusters of each user, by grouping.
    """

    groupings: Mapping[str, Ragged]

    def __init__(self, columns: Columns) -> None:
        ragged, weights = columns.ragged, columns.weights
        super().__init__(
            user_ids=columns.users,
            history=ragged.get("history"),
            history_weights=weights.get("history"),
            tags=ragged.get("tags"),
            tag_weights=weights.get("tags"),
            tag_groups=ragged.get("tag_groups"),
            vectors=columns.vectors,
            seen=ragged["seen"],
        )
        object.__setattr__(self, "groupings", columns.clusters)
