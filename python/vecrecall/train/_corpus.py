"""Lists of keys as numbers: what a skip-gram model reads."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Corpus:
    """Lists of the frequent keys, numbered by descending frequency.

    Attributes
    ----------
    keys : list of hashable
        By number; equally frequent ones in the order in which they first came.
    counts : ndarray of int64, shape (n_keys,)
    tokens : ndarray of int32
        The numbers of all lists, one list after the other.
    offsets : ndarray of int64
        List ``i`` is ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    keys: list[Hashable]
    counts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[Sequence[Hashable]], min_count: int) -> Corpus:
        """Give numbers to the keys that are frequent enough, and leave out all others.

        Parameters
        ----------
        lists : sequence of sequence of hashable
        min_count : int

        Returns
        -------
        Corpus

        Raises
        ------
        ValueError
            If there is nothing to learn from: fewer than two frequent keys, or no list with two.
        """
        first: dict[Hashable, int] = {}
        flat = array("i")
        for keys in lists:
            flat.extend(first.setdefault(key, len(first)) for key in keys)
        numbers = np.frombuffer(flat, np.int32) if flat else np.empty(0, np.int32)
        counts = np.bincount(numbers, minlength=len(first))
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] >= min_count]
        if order.size < 2:
            raise ValueError(
                f"lists: expected at least 2 keys that occur min_count={min_count} times or more, "
                f"got {order.size} of {len(first)} keys"
            )
        rank = np.full(len(first), -1, np.int32)
        rank[order] = np.arange(order.size)
        ranks = rank[numbers]
        ends = np.cumsum([0, *map(len, lists)])
        kept = np.concatenate([[0], np.cumsum(ranks >= 0)])[ends]
        if not (np.diff(kept) > 1).any():
            raise ValueError(
                f"lists: expected a list with 2 frequent keys or more, got none of {len(lists)}"
            )
        named = list(first)
        return cls([named[i] for i in order], counts[order], ranks[ranks >= 0], kept)

    def pieces(self, length: int) -> Iterator[npt.NDArray[np.int32]]:
        """Iterate over the lists, the longer ones in pieces of at most this length."""
        for begin, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            for start in range(begin, end, length):
                yield self.tokens[start : min(start + length, end)]

    def chunks(self, length: int, total: int) -> Iterator[list[npt.NDArray[np.int32]]]:
        """Iterate over groups of pieces with about `total` tokens each."""
        chunk: list[npt.NDArray[np.int32]] = []
        size = 0
        for piece in self.pieces(length):
            chunk.append(piece)
            size += piece.size
            if size >= total:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk
