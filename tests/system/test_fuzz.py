"""Random calls: an answer equal to the oracle's, or an exception, never anything else.

`VECRECALL_FUZZ_ROUNDS` and `VECRECALL_FUZZ_SEED` make it longer or different.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import fuzzing
import numpy as np
import pytest
import reference
from comparison import ISAS, METRICS, assert_same_bits, assert_same_float32, forced_isa, replaced
from fuzzing import WRONG, Rng, chance, pick

import vecrecall as vr

ROUNDS = int(os.environ.get("VECRECALL_FUZZ_ROUNDS", "3000"))
SEED = int(os.environ.get("VECRECALL_FUZZ_SEED", "1"))
REFUSALS = (TypeError, ValueError, IndexError, KeyError, MemoryError, OverflowError)


def is_wrong(*meanings: Any) -> bool:
    return any(meaning is WRONG for meaning in meanings)


def answer(call: Callable[[], Any], *meanings: Any) -> Any:
    """The answer, or None where an argument is wrong and the call says so."""
    if is_wrong(*meanings):
        with pytest.raises(REFUSALS):
            call()
        return None
    return call()


def as_argument(drawn: Any) -> Any:
    """Values and offsets become a Ragged."""
    return vr.Ragged(*drawn) if isinstance(drawn, tuple) else drawn


def sizes(rng: Rng) -> tuple[int, int, int]:
    n = int(pick(rng, [0, 1, 2, 16, 17, 64, 65, 300, 2049, rng.integers(1, 200)]))
    return int(rng.integers(0, 9)), n, int(rng.integers(1, 20))


def built(rng: Rng, n: int, d: int) -> tuple[vr.FlatIndex, Any, Any, str] | None:
    """An index with its items, ids and metric, or None if it was refused."""
    value, items = fuzzing.vectors(rng, n, d)
    given_ids, ids = fuzzing.distinct_ids(rng, n)
    given_metric, metric = fuzzing.choice(rng, METRICS)
    if chance(rng, 0.2):
        given_ids, ids = None, np.arange(n)
    if items is not WRONG and metric == "cosine" and not items.any(1).all():
        items = WRONG  # a zero item has no cosine
    copy = chance(rng, 0.5)

    def call() -> vr.FlatIndex:
        return vr.FlatIndex(value, given_ids, metric=given_metric, copy=copy)

    index = answer(call, items, ids, metric)
    return None if index is None else (index, items, ids, metric)


def fuzz_search(rng: Rng) -> bool:
    nq, n, d = sizes(rng)
    made = built(rng, n, d)
    if made is None:
        return False
    index, items, ids, metric = made
    value, queries = fuzzing.vectors(rng, nq, d, fixed_width=True)
    given_k, k = fuzzing.number(rng, 2 * n + 3)
    filters: dict[str, Any] = {}
    meanings: dict[str, Any] = {}
    if chance(rng, 0.4):
        drawn, meanings["exclude"] = fuzzing.lists(rng, nq, -3, 2 * n + 5, fixed_rows=True)
        filters["exclude"] = as_argument(drawn)
    if chance(rng, 0.4):
        some = rng.permutation(ids)[: rng.integers(0, n + 1)]
        filters["allow"] = pick(rng, [some, index.mask(some), [index.mask(some)] * nq])
        if nq == 0:
            filters["allow"] = some
        meanings["allow"] = [some.tolist()] * nq
    if chance(rng, 0.3):
        limit = pick(rng, [0.0, -np.inf, np.inf, -1, 1e300, float(rng.standard_normal())])
        filters["min_score"] = meanings["min_score"] = limit

    def call() -> Any:
        return index.search(value, given_k, threads=pick(rng, [None, 1, 3]), **filters)

    found = answer(call, queries, k, *meanings.values())
    if found is None:
        return False
    expected = reference.search(queries, items, k, ids=ids, metric=metric, **meanings)
    assert_same_bits(found, *expected)
    return True


def fuzz_score(rng: Rng) -> bool:
    nq, n, d = sizes(rng)
    made = built(rng, n, d)
    if made is None:
        return False
    index, items, ids, metric = made
    value, queries = fuzzing.vectors(rng, nq, d, fixed_width=True)
    if queries is not WRONG and metric == "cosine":
        value = queries = np.ones((nq, d), np.float32)  # a zero query has no score
    drawn, candidates = fuzzing.lists(rng, nq, -3, 2 * n + 5, fixed_rows=True)
    found = answer(lambda: index.score(value, as_argument(drawn)), queries, candidates)
    if found is None:
        return False
    matrix = reference.scores(queries, items, metric)
    places = {int(item): place for place, item in enumerate(ids)}
    assert len(found) == nq
    for i, row in enumerate(candidates):
        expected = [matrix[i, places[c]] if c in places else -np.inf for c in row]
        assert_same_float32(np.asarray(found[i]), np.array(expected, np.float32))
    return True


def fuzz_topk(rng: Rng) -> bool:
    nq, n, d = sizes(rng)
    given_queries, queries = fuzzing.vectors(rng, nq, d, fixed_width=True)
    given_items, items = fuzzing.vectors(rng, n, d)
    given_k, k = fuzzing.number(rng, 2 * n + 3)
    given_metric, metric = fuzzing.choice(rng, ["ip", "l2"])
    found = answer(
        lambda: vr.topk(given_queries, given_items, given_k, metric=given_metric),
        *(queries, items, k, metric),
    )
    if found is None:
        return False
    assert_same_bits(found, *reference.search(queries, items, k, metric=metric))
    return True


def fuzz_ids_and_vectors(rng: Rng) -> bool:
    made = built(rng, *sizes(rng)[1:])
    if made is None:
        return False
    index, items, ids, _ = made
    assert len(index) == len(items)
    assert sorted(index.ids.tolist()) == sorted(ids.tolist())
    places = rng.integers(0, len(ids), rng.integers(0, 6)) if len(ids) else np.arange(0)
    wanted = np.array(ids, np.int64)[places]
    vectors = index.vectors(fuzzing.laid_out(rng, wanted))
    assert_same_float32(vectors, items[places])
    unknown = max(ids.tolist(), default=0) + 1
    assert unknown not in index
    answer(lambda: index.vectors([*wanted.tolist(), unknown]), WRONG)
    answer(lambda: index.mask(pick(rng, fuzzing.JUNK)), WRONG)
    return True


def fuzz_pool(rng: Rng) -> bool:
    bags, n, d = sizes(rng)
    value, table = fuzzing.vectors(rng, n, d, largest=1e30)  # no sum is infinite
    drawn, rows = fuzzing.lists(rng, bags, -1, n)
    if table is WRONG:
        drawn = rows = [list(range(n))]  # so that every row is looked at
    mode, meant_mode = fuzzing.choice(rng, ["sum", "mean", "max"])
    options: dict[str, Any] = {}
    weights: Any = None
    if not is_wrong(rows) and meant_mode != "max" and chance(rng, 0.5):
        weights = [rng.integers(-4, 5, len(row)) / 4 for row in rows]
        drawn_weights = fuzzing.compressed(rng, weights, pick(rng, ["f4", "f8", ">f4"]))
        options["weights"] = pick(rng, [weights, as_argument(drawn_weights), drawn_weights[0]])
    if table is not WRONG and chance(rng, 0.3):
        options["first"] = int(rng.integers(1, 5))
    found = answer(
        lambda: vr.pool(value, as_argument(drawn), mode=mode, **options), table, rows, meant_mode
    )
    if found is None:
        return False
    expected = reference.pool(table, rows, weights, mode=mode, first=options.get("first"))
    assert_same_float32(found + 0.0, expected)
    return True


def fuzz_concat_blocks(rng: Rng) -> bool:
    n = int(rng.integers(0, 20))
    drawn = [fuzzing.vectors(rng, n, int(rng.integers(1, 9))) for _ in range(rng.integers(1, 4))]
    meanings = [meaning for _, meaning in drawn]
    found = answer(lambda: vr.concat_blocks([value for value, _ in drawn]), *meanings)
    if found is None:
        return False
    assert_same_float32(found, np.concatenate(meanings, axis=1))
    return True


def random_result(rng: Rng, nq: int) -> tuple[Any, Any]:
    """A result and its meaning, sometimes with a part that is wrong."""
    n, d = int(rng.integers(1, 30)), 3
    queries = rng.integers(-2, 3, (nq, d)).astype(np.float32)
    items = rng.integers(-2, 3, (n, d)).astype(np.float32)
    lists = reference.search(queries, items, int(rng.integers(1, 12)), min_score=-3.0)
    if chance(rng, 0.8):
        laid_out = [fuzzing.laid_out(rng, part) for part in lists]
        return vr.SearchResult(*laid_out), lists
    bad: list[Any] = list(lists)
    part = int(rng.integers(3))
    right = lists[part]
    replacements = [right.astype("c8"), right[..., None], right.astype("U4"), None]
    if part == 2:
        replacements += [right + 2**20, right - 2**20]
    bad[part] = pick(rng, replacements)
    return vr.SearchResult(*bad), WRONG


def fuzz_merge_groups(rng: Rng) -> bool:
    nq = int(rng.integers(1, 12))
    result, lists = random_result(rng, nq)
    given_groups, groups = fuzzing.offsets(rng, nq)
    given_k, k = fuzzing.number(rng, 30)
    given_how, how = fuzzing.choice(rng, ["max", "sum"])
    found = answer(
        lambda: vr.merge_groups(result, given_groups, given_k, aggregate=given_how),
        *(lists, groups, k, how),
    )
    if found is None:
        return False
    expected = reference.merge_groups(lists, groups, k, how)
    assert_same_bits(found, *expected[:3])
    np.testing.assert_array_equal(found.n_rows, expected.n_rows)
    np.testing.assert_array_equal(found.best_row, expected.best_row)
    return True


def fuzz_merge_shards(rng: Rng) -> bool:
    nq = int(rng.integers(1, 6))
    drawn = [random_result(rng, nq) for _ in range(rng.integers(1, 5))]
    for shard, (result, lists) in enumerate(drawn):
        if lists is not WRONG:  # disjoint ids
            lists.ids[lists.ids >= 0] += 1000 * shard
            drawn[shard] = (replaced(result, ids=lists.ids), lists)
    given_k, k = fuzzing.number(rng, 60)
    found = answer(
        lambda: vr.merge_shards([result for result, _ in drawn], given_k),
        *(k, *(lists for _, lists in drawn)),
    )
    if found is None:
        return False
    assert_same_bits(found, *reference.merge_shards([lists for _, lists in drawn], k))
    return True


def fuzz_ragged(rng: Rng) -> bool:
    total = int(rng.integers(0, 12))
    values = rng.integers(0, 99, total).astype(pick(rng, ["i8", "i4", "f4", "f8"]))
    given, meaning = fuzzing.offsets(rng, total)
    found = answer(lambda: vr.Ragged(fuzzing.laid_out(rng, values), given), meaning)
    if found is None:
        return False
    expected = [values[a:b].tolist() for a, b in pairwise(meaning)]
    assert [found[i].tolist() for i in range(len(found))] == expected
    return True


FUZZERS = [
    fuzz_search,
    fuzz_score,
    fuzz_topk,
    fuzz_ids_and_vectors,
    fuzz_pool,
    fuzz_concat_blocks,
    fuzz_merge_groups,
    fuzz_merge_shards,
    fuzz_ragged,
]


@pytest.mark.parametrize("fuzzer", FUZZERS, ids=lambda fuzzer: fuzzer.__name__)
def test_random_calls(fuzzer: Callable[[Rng], bool], capsys: pytest.CaptureFixture[str]) -> None:
    answered = 0
    for round_ in range(ROUNDS):
        print(f"seed {SEED}, round {round_}")
        rng = np.random.default_rng([SEED, round_])
        with forced_isa(pick(rng, ISAS)):
            answered += fuzzer(rng)
        capsys.readouterr()  # keep the last round only
    assert answered >= ROUNDS // 5
