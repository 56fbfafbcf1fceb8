"""In which shard an id is."""

from typing import Literal, NamedTuple

import numpy as np

from vecrecall.arrays._typing import I64

By = Literal["hash", "range"]
WAYS: dict[str, By] = {"hash": "hash", "range": "range"}


class Routing(NamedTuple):
    """Sends every id to one shard.

    Attributes
    ----------
    by : {"hash", "range"}
    n_shards : int
    bounds : tuple of int
        By range: the first id of each shard but the first, ascending.
    """

    by: By
    n_shards: int
    bounds: tuple[int, ...] = ()

    def shards(self, ids: I64) -> I64:
        """Tell the number of the shard of every id."""
        if self.n_shards == 1:
            return np.zeros(ids.size, np.int64)
        if self.by == "hash":
            found: I64 = (_mixed(ids) % np.uint64(self.n_shards)).astype(np.int64)
            return found
        return np.searchsorted(np.array(self.bounds, np.int64), ids, side="right").astype(np.int64)

    def split(self, ids: I64) -> list[tuple[int, I64]]:
        """List the shards that have some of the ids, each with the places of these."""
        if not ids.size:
            return []  # `np.split` makes one part of nothing
        shards = self.shards(ids)
        order = np.argsort(shards, kind="stable")
        numbers, starts = np.unique(shards[order], return_index=True)
        return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def bounds_for(sample: I64, n_shards: int) -> tuple[int, ...]:
    """Cut the range of ids so that shards get about as many of the sample each."""
    ids = np.sort(sample)
    if not ids.size:
        return tuple(range(1, n_shards))
    places = np.arange(1, n_shards) * ids.size // n_shards
    return tuple(int(i) for i in ids[places])


def _mixed(ids: I64) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]":
    """Spread ids evenly: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    z = ids.astype(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
