"""Every item's nearest others, and tables of them for item-to-item recall."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from vecrecall.arrays import _scalars
from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import I64
from vecrecall.search._neighbor_files import Block, build, fingerprint, load
from vecrecall.search._protocol import Neighbors, Progress, SearchableIndex

BLOCK_ENTRIES = 2**22  # 50 MB of ids and scores at a time
BLOCK_ROWS = 4096  # from here on a larger batch is not faster


class Joinable(SearchableIndex, Protocol):
    """An index that stays as it is, and can be told from others."""

    def _searched_by(self) -> str:
        """Tell searches apart that may find other items; empty where they are exact."""


def self_join(
    index: Joinable,
    k: int,
    min_score: float | None,
    progress: Progress | None,
    path: str | Path | None,
    threads: int | None,
) -> Neighbors:
    """Do what `FlatIndex.neighbors` promises."""
    items = index.ids
    k = _scalars.check_list_length(k, len(items))
    floor = None if min_score is None else _scalars.check_float(min_score, "min_score")
    _scalars.check_callable(progress, "progress")
    _scalars.check_threads(threads)
    step = min(BLOCK_ROWS, max(1, BLOCK_ENTRIES // (k + 1)))
    steps = _steps(items, step, progress)

    def block(own: I64) -> Block:
        return _block(index, own, k, floor, threads)

    if path is None:
        return _assembled([block(own) for _, own in steps])
    about = {"k": k, "min_score": floor, "metric": index.metric, "n": len(items), "rows": step}
    folder = _scalars.check_path(path, "path")
    with build(folder, {**about, "of": fingerprint(index)}) as table:
        if not table.complete:
            for start, own in steps:
                if not table.has(start):
                    table.put(start, block(own))
            table.finish(items)
        return Neighbors(*load(folder)[1:])


def _steps(items: I64, step: int, progress: Progress | None) -> Iterator[tuple[int, I64]]:
    """Go through the items, some at a time, and say how far it is after each step."""
    for start in range(0, len(items), step):
        own = items[start : start + step]
        yield start, own
        if progress is not None:
            progress(start + len(own), len(items))


def _block(
    index: Joinable, own: I64, k: int, min_score: float | None, threads: int | None
) -> Block:
    """Search for one more than wanted, then leave out the item itself.

    Where it is not in its own list (ties, or longer rows under ip), the list's last is one too
    many.
    """
    wanted = min(k + 1, len(index))
    found = index.search(index.vectors(own), wanted, min_score=min_score, threads=threads)
    keep = (found.ids >= 0) & (found.ids != own[:, None])
    lengths = keep.sum(axis=1)
    keep[lengths > k, -1] = False
    return Block(np.minimum(lengths, k), found.ids[keep], found.scores[keep])


def _assembled(blocks: list[Block]) -> Neighbors:
    lengths = np.concatenate([np.empty(0, np.int64), *(b.lengths for b in blocks)])
    ids = np.concatenate([np.empty(0, np.int64), *(b.ids for b in blocks)])
    scores = np.concatenate([np.empty(0, np.float32), *(b.scores for b in blocks)])
    offsets = offsets_of(lengths)
    return Neighbors(Ragged(ids, offsets), Ragged(scores, offsets))
