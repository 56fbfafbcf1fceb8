"""Splits of triples: planted inverses, duplicates and symmetric relations do not leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecrecall.train import split_triples

Triples = tuple[list[str], list[str], list[str]]


def planted(seed: int, n: int = 400, share: float = 1.0) -> Triples:
    """Make a graph with an inverse, a duplicate, a symmetric and an independent relation."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, str]] = []
    for _ in range(n):
        a, b = (f"e{i}" for i in rng.choice(60, 2, replace=False))
        kind = rng.integers(4)
        given = rng.random() < share
        if kind == 0:
            rows += [(a, "directed", b)] + [(b, "directed by", a)] * given
        elif kind == 1:
            rows += [(a, "won", b)] + [(a, "nominated", b)] * given
        elif kind == 2:
            rows += [(a, "married", b)] + [(b, "married", a)] * given
        else:
            rows.append((a, "likes", b))
    rows = [rows[i] for i in rng.permutation(len(rows))]
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return heads, relations, tails


def meaning(head: str, relation: str, tail: str) -> tuple[Any, ...]:
    """Say what a planted triple says, whichever way it is put."""
    if relation == "directed by":
        return "directed", tail, head
    if relation == "married":
        return relation, *sorted([head, tail])
    return "won" if relation == "nominated" else relation, head, tail


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [1.0, 0.8])
def test_what_is_held_out_stands_nowhere_in_training(seed: int, share: float) -> None:
    columns = planted(seed, share=share)
    found = split_triples(*columns, test=0.2, seed=seed)
    said = [meaning(*row) for row in zip(*columns, strict=True)]
    assert not {said[i] for i in found.test} & {said[i] for i in found.train}
    assert sorted([*found.train, *found.test]) == list(range(len(said)))
    assert len(found.test) == pytest.approx(0.2 * len(said), abs=1)  # a pair may be one too many
    assert {frozenset(pair) for pair in found.inverses} == {
        frozenset(["directed", "directed by"]),
        frozenset(["married"]),
    }
    assert {frozenset(pair) for pair in found.duplicates} == {frozenset(["won", "nominated"])}


def test_a_split_at_random_would_leak() -> None:
    columns = planted(0)
    said = [meaning(*row) for row in zip(*columns, strict=True)]
    test = np.random.default_rng(0).permutation(len(said))[: len(said) // 5]
    train = set(range(len(said))) - set(test.tolist())
    leaked = {said[i] for i in test} & {said[i] for i in train}
    assert len(leaked) > len(test) / 3


def test_relations_that_rarely_agree_are_not_inverse() -> None:
    found = split_triples(*planted(0, share=0.2), test=0.2)
    # Of directed by, all stand in directed: the rarer relation counts.
    assert ("married", "married") not in found.inverses
    assert len(found.inverses) == 1


def test_chains_of_relations() -> None:
    """An inverse of a duplicate says the same as well."""
    n = 40
    heads = [f"a{i}" for i in range(n)]
    tails = [f"b{i % 7}" for i in range(n)]
    columns = (
        heads + heads + tails + heads,
        ["r"] * n + ["same"] * n + ["back"] * n + ["other"] * n,
        tails + tails + heads + [f"c{i % 5}" for i in range(n)],
    )
    found = split_triples(*columns, test=0.3)
    for i in range(n):
        inside = {row in found.test for row in (i, i + n, i + 2 * n)}
        assert len(inside) == 1


def test_repeated_rows_are_held_out_together() -> None:
    columns = [["a", "a", "b", "c"] * 5, ["r", "s"] * 10, ["b", "c", "c", "a"] * 5]
    found = split_triples(*columns, test=0.3)
    rows = list(zip(*columns, strict=True))
    assert not {rows[i] for i in found.test} & {rows[i] for i in found.train}


@pytest.mark.parametrize("seed", range(3))
def test_training_keeps_each_entity_and_relation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heads, tails = rng.integers(80, size=(2, 150)).tolist()
    relations = rng.integers(20, size=150).tolist()
    found = split_triples(heads, relations, tails, test=0.4, seed=seed)
    assert len(found.test)
    kept = {heads[i] for i in found.train} | {tails[i] for i in found.train}
    assert kept == {*heads, *tails}
    assert {relations[i] for i in found.train} == set(relations)


def test_nothing_is_held_out_where_each_triple_is_needed() -> None:
    found = split_triples(["a", "b"], ["r", "s"], ["c", "d"], test=0.5)
    assert found.test.tolist() == []


def test_the_seed_decides() -> None:
    columns = planted(1)
    one, two, other = (split_triples(*columns, seed=seed).test.tolist() for seed in (1, 1, 2))
    assert one == two != other


def test_columns_of_numpy_and_tuples_as_keys() -> None:
    heads, relations, tails = planted(2)
    expected = split_triples(heads, relations, tails).test.tolist()
    assert split_triples(*map(np.array, (heads, relations, tails))).test.tolist() == expected
    paired = [("e", key) for key in heads], relations, [("e", key) for key in tails]
    assert split_triples(*paired).test.tolist() == expected


@pytest.mark.parametrize(
    ("columns", "options", "error", "message"),
    [
        ((["a"], ["r", "r"], ["b"]), {}, ValueError, "relations: expected 1 row, got 2"),
        ((["a"], ["r"], []), {}, ValueError, "tails: expected 1 row, got 0"),
        (([], [], []), {}, ValueError, "heads: expected at least one triple, got none"),
        ((["a", None], ["r", "r"], ["b", "b"]), {}, ValueError, r"heads: .* row 1"),
        ((["a"], ["r"], [["b"]]), {}, TypeError, r"tails: .* row 0"),
        (("abc", ["r"], ["b"]), {}, TypeError, "heads: expected a column, got str"),
        ((["a"], ["r"], ["b"]), {"test": 1.0}, ValueError, "test: expected a number between"),
        ((["a"], ["r"], ["b"]), {"test": 2}, ValueError, "test: expected a number between"),
        ((["a"], ["r"], ["b"]), {"overlap": 0}, ValueError, "overlap: expected a number between"),
        ((["a"], ["r"], ["b"]), {"seed": -1}, ValueError, "seed: "),
    ],
)
def test_bad_input(
    columns: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        split_triples(*columns, **options)
