"""The channels that merged items come from: described, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import Lists, held_by

NAMED = 3
"""Number of channels that are named, those that rank an item highest; the others are counted."""


def describe_ranks(ranks: Mapping[str, int]) -> str:
    """Describe which channels held an item, and at which ranks.

    Parameters
    ----------
    ranks : mapping of str to int
        Only the channels that held it, the highest rank first.

    Returns
    -------
    str
    """
    words = [f"{name} rank {rank}" for name, rank in ranks.items()]
    more = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {more} more" if more > 0 else "")


def ranks_of(names: Sequence[str], ranks: IntArray) -> dict[str, int]:
    """Map the channels that held an item to its ranks, the highest rank first.

    Parameters
    ----------
    names : sequence of str
    ranks : ndarray, shape (n_channels,)
        0 where the item is absent.

    Returns
    -------
    dict of str to int
    """
    held = [(int(rank), name) for name, rank in zip(names, ranks, strict=True) if rank > 0]
    return {name: rank for rank, name in sorted(held, key=lambda pair: pair[0])}


def contribution(
    names: Sequence[str], merged: Lists, held_out: Sequence[IntArray]
) -> dict[str, dict[str, float]]:
    """Compute each channel's shares of the merged lists.

    Parameters
    ----------
    names : sequence of str
        Names of the channels, in the order of the merge.
    merged : Lists
        With ranks.
    held_out : sequence of ndarray
        The items to find for each user.

    Returns
    -------
    dict
        By channel the shares: ``held`` of the items, ``alone`` of the items that no other channel
        held, ``found`` of the held-out items among them.
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
    """Compare the lists of channels in pairs.

    Parameters
    ----------
    lists : mapping of str to Lists

    Returns
    -------
    dict
        ``[a][b]`` is the share of the items in lists of ``a`` that are in the list of ``b`` for the
        same user.
    """
    width = 1 + max((int(own.ids.max(initial=-1)) for own in lists.values()), default=0)
    held = [own.ids >= 0 for own in lists.values()]
    keys = [
        (np.arange(len(own.ids))[:, None] * width + own.ids)[known]
        for own, known in zip(lists.values(), held, strict=True)
    ]
    # Each pair of a user and an item gets a place, so that comparing two channels needs no search.
    pairs = np.unique(np.concatenate(keys))
    places = [np.zeros(pairs.size, np.bool_) for _ in keys]
    for own, mask in zip(keys, places, strict=True):
        mask[pairs.searchsorted(own)] = True
    return {
        a: {
            b: int((mine & other).sum()) / max(1, int(mine.sum()))
            for b, other in zip(lists, places, strict=True)
        }
        for a, mine in zip(lists, places, strict=True)
    }
