"""The contract of the channels, in plain Python: dictionaries and loops over users and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import reference

F32 = npt.NDArray[np.float32]

Pairs = list[tuple[int, float]]


def as_lists(rows: Sequence[Pairs], k: int) -> reference.Lists:
    """Order each user's items and keep the first `k`."""
    out = reference.padded(len(rows), k)
    for i, row in enumerate(rows):
        best = sorted(row, key=lambda pair: (-pair[1], pair[0]))[:k]
        out.counts[i] = len(best)
        for place, (item, score) in enumerate(best):
            out.ids[i, place], out.scores[i, place] = item, score
    return out


def f32(x: float) -> float:
    return float(np.float32(x))


def joined(lists: Sequence[tuple[float, Pairs]], how: str, without: set[int]) -> Pairs:
    """Join weighted lists by item, leaving some out."""
    held: dict[int, list[float]] = {}
    for weight, pairs in lists:
        for item, score in pairs:
            if item not in without:
                held.setdefault(item, []).append(f32(weight * score))
    total: Pairs = []
    for item, scores in held.items():
        value = 0.0
        for score in scores:
            value += score
        total.append((item, f32(value if how == "sum" else max(scores))))
    return total


def pairs_of(lists: reference.Lists, row: int) -> Pairs:
    n = int(lists.counts[row])
    return list(zip(lists.ids[row, :n].tolist(), lists.scores[row, :n].tolist(), strict=True))


def item_to_item(
    table: Mapping[int, Pairs],
    history: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]] | None,
    seen: Sequence[Sequence[int]],
    k: int,
    *,
    history_length: int,
    decay: float,
    how: str,
    exclude_history: bool,
) -> reference.Lists:
    rows = []
    for user, clicks in enumerate(history):
        without = set(seen[user]) | (set(clicks) if exclude_history else set())
        lists = []
        for place, item in enumerate(clicks[:history_length]):
            weight = 1.0 if weights is None else weights[user][place]
            lists.append((decay**place * weight, table.get(item, [])))
        rows.append(joined(lists, how, without))
    return as_lists(rows, k)


def strongest_tags(
    tags: Sequence[int], groups: Sequence[int], weights: Sequence[float], most: int
) -> list[list[tuple[int, float]]]:
    """For each category in ascending order its heaviest tags, the earlier first where equal."""
    by_group: dict[int, list[tuple[int, float]]] = {}
    for tag, group, weight in zip(tags, groups, weights, strict=True):
        if tag >= 0 and group >= 0:
            by_group.setdefault(group, []).append((tag, weight))
    return [sorted(by_group[group], key=lambda pair: -pair[1])[:most] for group in sorted(by_group)]


def pooled(table: F32, tags: Sequence[tuple[int, float]]) -> F32:
    """The normalized weighted sum of tags: (1, d)."""
    rows = [[tag for tag, _ in tags]]
    return reference.pool(table, rows, [[w for _, w in tags]], normalize=True)


def search(
    query: F32, items: F32, ids: npt.NDArray[np.int64], k: int, metric: str, without: Sequence[int]
) -> Pairs:
    """One user's search; a zero query finds nothing."""
    if not query.any():
        return []
    found = reference.search(query, items, k, ids=ids, metric=metric, exclude=[without])
    return pairs_of(found, 0)
