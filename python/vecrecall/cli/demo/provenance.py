"""Where merged items come from: in words, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import Lists, held_by

NAMED = 3
"""So many channels, those that rank an item highest, are named; the others are counted."""


def describe_ranks(ranks: Mapping[str, int]) -> str:
    """Say which channels held an item, and where.

    Parameters
    ----------
    ranks : mapping of str to int
        Only the channels that held it, the one that ranks it highest first.

    Returns
    -------
    str
    """
    words = [f"{name} rank {rank}" for name, rank in ranks.items()]
    more = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {more} more" if more > 0 else "")


def ranks_of(names: Sequence[str], ranks: IntArray) -> dict[str, int]:
    """Name the channels that held one item, the one that ranks it highest first.

    Parameters
    ----------
    names : sequence of str
    ranks : ndarray, shape (n_channels,)
        0 where it is absent.

    Returns
    -------
    dict of str to int
    """
    held = [(int(rank), name) for name, rank in zip(names, ranks, strict=True) if rank > 0]
    return {name: rank for rank, name in sorted(held, key=lambda pair: pair[0])}


def contribution(
    names: Sequence[str], merged: Lists, held_out: Sequence[IntArray]
) -> dict[str, dict[str, float]]:
    """Count what each channel has given to the merged lists.

    Parameters
    ----------
    names : sequence of str
        Of the channels, in the order of the merge.
    merged : Lists
        With ranks.
    held_out : sequence of ndarray
        For each user the items to find.

    Returns
    -------
    dict
        By channel, shares: ``held`` of the items, ``alone`` of those that no other channel held,
        ``found`` of the held-out items among them.
    """
    assert merged.ranks is not None
    held = merged.ranks > 0
    alone = held & (held.sum(axis=2, keepdims=True) == 1)
    found = held[held_by(merged.ids, held_out)]
    entries = max(1, int((merged.ids >= 0).sum()))
    return {
        name: {
            "held": float(held[..., c].sum() / entries),
            "alone": float(alone[..., c].sum() / entries),
            "found": float(found[:, c].sum() / max(1, len(found))),
        }
        for c, name in enumerate(names)
    }


def overlap(lists: Mapping[str, Lists]) -> dict[str, dict[str, float]]:
    """Compare the channels' lists, two at a time.

    Parameters
    ----------
    lists : mapping of str to Lists

    Returns
    -------
    dict
        ``[a][b]``: the share of the items in a's lists that are in b's list for the same user.
    """
    return {
        a: {b: _share(mine.ids, other.ids) for b, other in lists.items()}
        for a, mine in lists.items()
    }


def _share(ids: IntArray, others: IntArray) -> float:
    common = held_by(ids, list(others)).sum()
    return float(common / max(1, np.count_nonzero(ids >= 0)))
