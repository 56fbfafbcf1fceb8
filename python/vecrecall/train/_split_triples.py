"""Held-out triples that training does not contain in another form."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.train._columns import Column, numbering
from vecrecall.train._triples import Ints, Triples, check_triples, numbered

Bools = npt.NDArray[np.bool_]
Pair = tuple[Hashable, Hashable]


@dataclass(frozen=True)
class TripleSplit:
    """Rows to train on and rows that are held out.

    Attributes
    ----------
    train, test : ndarray of int64
        Rows in ascending order; together all of them.
    inverses : list of (relation, relation)
        Pairs of which one says backwards what the other says; twice the same for a symmetric one.
    duplicates : list of (relation, relation)
        Pairs of which one says what the other says.
    """

    train: Ints
    test: Ints
    inverses: list[Pair]
    duplicates: list[Pair]


def split_triples(
    heads: Column,
    relations: Column,
    tails: Column,
    *,
    test: float = 0.1,
    overlap: float = 0.5,
    seed: int = 0,
) -> TripleSplit:
    """Hold out triples, each with its inverses and duplicates, which would give it away.

    Two relations are inverse where most triples of the rarer one stand in the other with head and
    tail exchanged, and duplicates where they stand in it as they are. All triples that say the
    same by these are held out together, or none of them. An entity or relation stays in training
    at least once: triples that alone have one are not held out, and where there are few others,
    fewer triples are held out than asked for.

    Parameters
    ----------
    heads, relations, tails : column of hashable, n of each
    test : float
        Share of rows to hold out, between 0 and 1.
    overlap : float
        Two relations are inverse, or duplicates, if more than this share of the rarer one's
        triples stand in the other.
    seed : int

    Returns
    -------
    TripleSplit

    Raises
    ------
    TypeError, ValueError
        If a key is missing or not hashable, or the columns differ in length.

    References
    ----------
    K. Toutanova, D. Chen: Observed versus latent features for knowledge base and text inference.
    CVSC 2015 (the leak by inverse relations).

    F. Akrami, M. S. Saeef, Q. Zhang, W. Hu, C. Li: Realistic Re-evaluation of Knowledge Graph
    Completion Methods. SIGMOD 2020 (inverse and duplicate relations found by their overlap).

    Examples
    --------
    >>> from vecrecall.train import split_triples
    >>> heads = ["Ann", "Bob", "Cid", "Dan", "Ann", "Cid"]
    >>> tails = ["Bob", "Ann", "Dan", "Cid", "Cid", "Ann"]
    >>> relations = ["parent", "child", "parent", "child", "parent", "child"]
    >>> found = split_triples(heads, relations, tails, test=0.34)
    >>> found.inverses
    [('parent', 'child')]
    >>> [(heads[i], tails[i]) for i in found.test]
    [('Ann', 'Cid'), ('Cid', 'Ann')]
    """
    share = _between_0_and_1(test, "test")
    most = _between_0_and_1(overlap, "overlap")
    seed = _scalars.check_int(seed, "seed", 0)
    keys = check_triples(heads, relations, tails)
    entity_of, relation_of = numbering([*keys[0], *keys[2]]), numbering(keys[1])
    triples = numbered(*keys, entity_of, relation_of)
    inverses, duplicates = _overlaps(triples, len(entity_of), len(relation_of), most)
    groups = _groups(triples, len(relation_of), inverses, duplicates)
    wanted = round(share * len(groups))
    held_out = _held_out(triples, groups, wanted, len(entity_of), len(relation_of), seed)
    names = list(relation_of)
    return TripleSplit(
        train=np.flatnonzero(~held_out),
        test=np.flatnonzero(held_out),
        inverses=[(names[a], names[b]) for a, b in inverses],
        duplicates=[(names[a], names[b]) for a, b in duplicates],
    )


def _between_0_and_1(x: float, name: str) -> float:
    value = _scalars.check_float(x, name)
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, got {value}")
    return value


def _overlaps(
    triples: Triples, n_entities: int, n_relations: int, most: float
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Find the pairs of relations that are inverse, and those that are duplicates."""
    unique = np.unique(np.stack(triples), axis=1)
    heads, relations, tails = unique
    sizes = np.bincount(relations, minlength=n_relations)
    forward, backward = heads * n_entities + tails, tails * n_entities + heads
    inverses = _shared(forward, backward, relations, sizes, most)
    duplicates = _shared(forward, forward, relations, sizes, most)
    return inverses, [(a, b) for a, b in duplicates if a != b]


def _shared(
    left: Ints, right: Ints, relations: Ints, sizes: Ints, most: float
) -> list[tuple[int, int]]:
    """Find the pairs of relations of which one's left ends are mostly the other's right ends."""
    order = np.argsort(right, kind="stable")
    begins = np.searchsorted(right[order], left, "left")
    counts = np.searchsorted(right[order], left, "right") - begins
    first = np.repeat(relations, counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = relations[order[np.repeat(begins, counts) + within]]
    pairs, together = np.unique(first * len(sizes) + second, return_counts=True)
    a, b = pairs // len(sizes), pairs % len(sizes)
    enough = (together > most * np.minimum(sizes[a], sizes[b])) & (a <= b)
    return list(zip(a[enough].tolist(), b[enough].tolist(), strict=True))


def _groups(
    triples: Triples,
    n_relations: int,
    inverses: list[tuple[int, int]],
    duplicates: list[tuple[int, int]],
) -> Ints:
    """Give rows that say the same one number."""
    kind, turned, symmetric = _kinds(n_relations, inverses, duplicates)
    heads, relations, tails = triples
    swap = np.where(symmetric[kind[relations]], heads > tails, turned[relations])
    first, second = np.where(swap, tails, heads), np.where(swap, heads, tails)
    same = np.stack([kind[relations], first, second])
    return np.asarray(np.unique(same, axis=1, return_inverse=True)[1], np.int64).reshape(-1)


def _kinds(
    n_relations: int, inverses: list[tuple[int, int]], duplicates: list[tuple[int, int]]
) -> tuple[Ints, Bools, Bools]:
    """Join relations: their kind, whether they are turned in it, and which kinds are symmetric."""
    near: list[list[tuple[int, bool]]] = [[] for _ in range(n_relations)]
    for pairs, turn in ((inverses, True), (duplicates, False)):
        for a, b in pairs:
            near[a].append((b, turn))
            near[b].append((a, turn))
    kind = np.full(n_relations, -1, np.int64)
    turned, symmetric = np.zeros(n_relations, bool), np.zeros(n_relations, bool)
    for start in range(n_relations):
        if kind[start] >= 0:
            continue
        kind[start] = start
        waiting = [start]
        while waiting:
            a = waiting.pop()
            for b, turn in near[a]:
                if kind[b] < 0:
                    kind[b], turned[b] = start, turned[a] ^ turn
                    waiting.append(b)
                elif turned[b] != turned[a] ^ turn:
                    symmetric[start] = True  # one relation, both ways
    return kind, turned, symmetric


def _held_out(
    triples: Triples, groups: Ints, wanted: int, n_entities: int, n_relations: int, seed: int
) -> Bools:
    """Draw whole groups, as long as training keeps each entity and relation."""
    order = np.argsort(groups, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    entities = np.concatenate([triples.heads, triples.tails])
    uses = np.bincount(entities, minlength=n_entities).tolist()
    relation_uses = np.bincount(triples.relations, minlength=n_relations).tolist()
    heads, relations, tails = (column.tolist() for column in triples)
    held_out = np.zeros(len(groups), bool)
    left = wanted
    for group in np.random.default_rng(seed).permutation(len(rows_of)):
        rows = rows_of[group].tolist()
        if len(rows) > left:
            continue
        ends = [end for row in rows for end in (heads[row], tails[row])]
        kinds = [relations[row] for row in rows]
        if any(uses[end] <= ends.count(end) for end in ends) or any(
            relation_uses[kind] <= kinds.count(kind) for kind in kinds
        ):
            continue
        for end in ends:
            uses[end] -= 1
        for kind in kinds:
            relation_uses[kind] -= 1
        held_out[rows] = True
        left -= len(rows)
        if not left:
            break
    return held_out
