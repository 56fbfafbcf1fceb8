"""`vr.merge` against its oracle, and what holds for every policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparison import FIELDS, assert_same_bits, assert_same_float32
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_cases import (
    FORMS,
    NORMALIZE,
    Case,
    made,
    oracle,
    random_arguments,
    random_case,
    random_row,
    vecrecall,
)
from merge_reference import POLICIES, Cap, Merged, Policy, ranked

import vecrecall as vr
from vecrecall import policies

by_score = ("RRF", "WeightedSum", "Maximum")
seeds = st.integers(0, 2**32)
every_policy = pytest.mark.parametrize("policy", POLICIES)

# Every way to call each policy that changes what it does, of channels `a`, `b` and `c`.
VARIANTS: dict[str, Policy] = {
    "RRF": Policy("RRF", {}),
    "RRF weighted": Policy("RRF", {"weights": {"a": 1, "b": 0.25, "c": 2}, "k": 3}),
    **{f"WeightedSum {n}": Policy("WeightedSum", {"normalize": n}) for n in NORMALIZE},
    "Maximum": Policy("Maximum", {"weights": {"a": 1, "b": 0.5, "c": 3}}),
    "Interleave refill": Policy("Interleave", {"on_duplicate": "refill"}),
    "Interleave skip": Policy(
        "Interleave", {"weights": {"a": 2, "b": 1, "c": 3}, "on_duplicate": "skip"}
    ),
    "Priority fix": Policy("Priority", {"quotas": {"a": 2, "b": 3, "c": 1}}),
    "Priority cumulative": Policy(
        "Priority", {"quotas": {"a": 2, "b": 3, "c": 8}, "mode": "cumulative"}
    ),
    "Quota": Policy("Quota", {"shares": {"a": 0.5, "b": 0.3, "c": 0.2}}),
}
variants = pytest.mark.parametrize("policy", VARIANTS.values(), ids=VARIANTS)


def check(found: Any, expected: Merged) -> None:
    """Everything is equal, and of the promised types; scores by their bits."""
    assert_same_bits(found, expected.ids, expected.scores, expected.counts)
    for name, dtype in (("channels", np.uint64), ("ranks", np.int32), ("unfilled", np.int32)):
        array = getattr(found, name)
        assert array.dtype == dtype, name
        np.testing.assert_array_equal(array, getattr(expected, name), err_msg=name, strict=True)
    absent = np.isnan(expected.channel_scores)  # whose bits do not matter
    np.testing.assert_array_equal(np.isnan(found.channel_scores), absent)
    cleared = [np.where(absent, np.float32(0), x.channel_scores) for x in (found, expected)]
    assert_same_float32(*cleared)


def assert_same(a: Any, b: Any, rows: slice = slice(None)) -> None:
    """Two answers of the package, the second one for some of the rows of the first."""
    assert type(a) is type(b) is vr.MergeResult
    for name in FIELDS[vr.MergeResult]:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        assert x[rows].tobytes() == y.tobytes(), name


def many_rows(rng: np.random.Generator, policy: Policy, nq: int, k: int = 20) -> Case:
    """Channels `a`, `b` and `c`, `nq` rows each, that share many of their items."""
    case = random_case(rng, policy.name, 3, nq, policy.arguments)
    channels = dict(zip("abc", case.channels.values(), strict=True))
    return replace(case, channels=channels, k=k)


# --- the oracle


@every_policy
@given(seed=seeds)
@settings(max_examples=300)
def test_the_oracle(policy: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, policy)
    forms = rng.permutation(FORMS).tolist()
    check(vecrecall(case, forms), oracle(case))


@every_policy
@pytest.mark.parametrize("n_channels", [1, 2, 63, 64])
def test_few_and_many_channels(policy: str, n_channels: int, rng: np.random.Generator) -> None:
    for _ in range(3):
        case = random_case(rng, policy, n_channels, 3)
        check(vecrecall(case, FORMS), oracle(case))


@every_policy
def test_long_lists(policy: str, rng: np.random.Generator) -> None:
    """Longer than anything small that a kernel may keep, ids from everywhere."""
    names = list("abcd")
    for k in (50, 500, 5000):
        pool = rng.integers(0, 2**63, 1500)
        channels = {}
        for name in names:
            ids = rng.choice(pool, (2, 600))
            scores = rng.standard_normal((2, 600)).astype(np.float32)
            channels[name] = [
                list(zip(i.tolist(), s.tolist(), strict=True))
                for i, s in zip(ids, scores, strict=True)
            ]
        exclude = [rng.choice(pool, 300).tolist() for _ in range(2)]
        groups = Cap(np.unique(pool).tolist(), (np.arange(len(set(pool))) % 97).tolist(), 9)
        arguments = random_arguments(rng, policy, names, k)
        case = Case(channels, k, Policy(policy, arguments), exclude, [groups])
        check(vecrecall(case, FORMS), oracle(case))


@every_policy
def test_ids_that_collide_in_simple_hashes(policy: str, rng: np.random.Generator) -> None:
    """Ids that agree in their low or high bits, as sharded or packed ids do."""
    for step in (2**16, 2**32, 2**48, 2**61 - 1):
        case = random_case(rng, policy, 3, 1)
        pool = [step * i for i in range(min(300, (2**63 - 1) // step))]
        rows = {
            name: [[(int(i), float(i % 7)) for i in rng.permutation(pool)]]
            for name in case.channels
        }
        case = replace(case, channels=rows, exclude=[pool[::5]], k=250, caps=())
        check(vecrecall(case), oracle(case))


# --- shapes and forms


@variants
def test_forms_give_the_same_answer(policy: Policy, rng: np.random.Generator) -> None:
    case = many_rows(rng, policy, 5)
    expected = oracle(case)
    for form in FORMS:
        check(vecrecall(case, [form]), expected)


@variants
def test_no_queries_and_no_items(policy: Policy) -> None:
    for nq in (0, 3):
        case = Case({name: [[]] * nq for name in "abc"}, 4, policy)
        for form in FORMS:
            check(vecrecall(case, [form]), oracle(case))


def test_arrays_of_any_layout(rng: np.random.Generator) -> None:
    ids = rng.permutation(40).reshape(4, 10)
    scores = rng.standard_normal((4, 10)).astype(np.float32)
    expected = vr.merge({"a": (ids, scores)}, 7, policies.WeightedSum())
    wide = np.zeros((8, 20), np.float32)
    wide[::2, ::2] = scores
    for other_ids, other_scores in [
        (np.asfortranarray(ids), np.asfortranarray(scores)),
        (ids.astype(np.int32), wide[::2, ::2]),
        (ids.astype(">u8"), scores.astype(">f4")),
        (ids.tolist(), scores.astype(np.float64).tolist()),
    ]:
        found = vr.merge({"a": (other_ids, other_scores)}, 7, policies.WeightedSum())
        assert_same(found, expected)


def test_what_lies_past_the_counts_is_not_there() -> None:
    result = vr.SearchResult(
        np.array([[1, 2, 3]]), np.array([[3, 2, np.nan]], np.float32), np.array([1], np.int32)
    )
    assert vr.merge({"a": result}, 3, policies.RRF()).ids.tolist() == [[1, -1, -1]]


def test_nothing_is_written_to_the_input(rng: np.random.Generator) -> None:
    ids = rng.integers(-1, 9, (4, 10))
    scores = rng.standard_normal((4, 10)).astype(np.float32)
    for array in (ids, scores):
        array.flags.writeable = False
    before = ids.copy(), scores.copy()
    vr.merge({"a": (ids, scores), "b": (ids, scores)}, 7, policies.RRF(), exclude=ids)
    np.testing.assert_array_equal(ids, before[0])
    np.testing.assert_array_equal(scores, before[1])


def test_a_search_goes_straight_in(rng: np.random.Generator) -> None:
    items = rng.standard_normal((200, 8)).astype(np.float32)
    queries = items[:5]
    channels = {
        metric: vr.FlatIndex(items, metric=metric).search(queries, 20) for metric in ("ip", "l2")
    }
    found = vr.merge(channels, 40, policies.RRF())
    for i in range(5):
        assert set(found.ids[i, : found.counts[i]]) == {
            *channels["ip"].ids[i], *channels["l2"].ids[i]
        }  # fmt: skip
    # and the merge is again a channel: only the row's order counts
    again = vr.merge({"merged": (found.ids, found.scores)}, 40, policies.Interleave())
    np.testing.assert_array_equal(again.ids, found.ids)


# --- properties


def usable_left(case: Case, found: Any, q: int) -> set[int]:
    """The items that query `q` could still take: held, not taken, not excluded, under all caps."""
    taken = found.ids[q, : found.counts[q]].tolist()
    left = {item for rows in case.channels.values() for item, _ in rows[q]} - {-1, *taken}
    left -= set(case.exclude[q] if case.exclude is not None else ())
    for cap in case.caps:
        group = dict(zip(cap.ids, cap.groups, strict=True))
        used = [group[item] for item in taken if item in group]
        left -= {item for item in left if item in group and used.count(group[item]) >= cap.limit}
    return left


@every_policy
@given(seed=seeds)
def test_what_a_list_is(policy: str, seed: int) -> None:
    case = random_case(np.random.default_rng(seed), policy)
    found = vecrecall(case)
    arguments = case.policy.arguments
    for q in range(case.nq):
        count = int(found.counts[q])
        taken = found.ids[q, :count].tolist()
        assert found.ids[q, count:].tolist() == [-1] * (case.k - count)
        assert (found.scores[q, count:] == -np.inf).all()
        assert (found.channels[q, count:] == 0).all()
        assert (found.ranks[q, count:] == 0).all()
        assert np.isnan(found.channel_scores[q, count:]).all()

        assert min(taken, default=0) >= 0
        assert len(set(taken)) == count
        if case.exclude is not None:
            assert not set(taken) & set(case.exclude[q])
        for cap in case.caps:
            group = dict(zip(cap.ids, cap.groups, strict=True))
            groups = [group[item] for item in taken if item in group]
            assert all(groups.count(g) <= cap.limit for g in groups)
        may_be_short = "maximum" in arguments or not arguments.get("backfill", True)
        assert count == case.k or may_be_short or not usable_left(case, found, q)

        scores = found.scores[q, :count]
        if policy in by_score:
            order = sorted(range(count), key=lambda i: (-scores[i], taken[i]))
            assert order == list(range(count))
        else:
            np.testing.assert_array_equal(
                scores, np.float32(1) / np.arange(1, count + 1, dtype="f")
            )


@every_policy
@given(seed=seeds)
def test_provenance_agrees_with_the_input(policy: str, seed: int) -> None:
    case = random_case(np.random.default_rng(seed), policy)
    found = vecrecall(case)
    for c, (name, rows) in enumerate(case.channels.items()):
        for q, row in enumerate(rows):
            channel = ranked(name, row)
            for place in range(found.counts[q]):
                rank = int(found.ranks[q, place, c])
                held = found.ids[q, place] in channel.items
                assert (rank > 0) == held
                assert bool(int(found.channels[q, place]) >> c & 1) == held
                if held:
                    assert channel.items[rank - 1] == found.ids[q, place]
                    assert channel.scores[rank - 1] == found.channel_scores[q, place, c]
                else:
                    assert np.isnan(found.channel_scores[q, place, c])
    assert not (found.channels >> np.uint64(len(case.channels))).any()


@every_policy
@given(seed=seeds)
def test_without_provenance(policy: str, seed: int) -> None:
    case = random_case(np.random.default_rng(seed), policy)
    found, full = vecrecall(case, provenance=False), vecrecall(case, provenance=True)
    assert found.ranks is None
    assert found.channel_scores is None
    for name in ("ids", "scores", "counts", "channels", "unfilled"):
        assert getattr(found, name).tobytes() == getattr(full, name).tobytes(), name


@pytest.mark.parametrize("policy", [p for p in POLICIES if p != "Quota"])
@given(seed=seeds)
def test_a_larger_k_extends_the_list(policy: str, seed: int) -> None:
    case = random_case(np.random.default_rng(seed), policy)
    longest = vecrecall(replace(case, k=130))
    for k in (1, 2, 3, 7, 20, 50):
        found = vecrecall(replace(case, k=k))
        np.testing.assert_array_equal(found.ids, longest.ids[:, :k])
        assert found.scores.tobytes() == longest.scores[:, :k].tobytes()
        np.testing.assert_array_equal(found.counts, np.minimum(longest.counts, k))
        np.testing.assert_array_equal(found.channels, longest.channels[:, :k])
        np.testing.assert_array_equal(found.ranks, longest.ranks[:, :k])


@variants
def test_threads_and_batches(policy: Policy, rng: np.random.Generator) -> None:
    case = many_rows(rng, policy, 700)
    whole = vecrecall(case, FORMS, threads=1)
    for threads in (2, 5, None):
        assert_same(vecrecall(case, FORMS, threads=threads), whole)
    for rows in (slice(0, 1), slice(3, 4), slice(5, 300), slice(699, 700), slice(8, 8)):
        assert_same(whole, vecrecall(case.rows(rows), FORMS, threads=2), rows)
    check(vecrecall(case.rows(slice(0, 40))), oracle(case.rows(slice(0, 40))))


@variants
def test_instruction_sets(policy: Policy, isa: str, rng: np.random.Generator) -> None:
    case = many_rows(rng, policy, 20)
    check(vecrecall(case), oracle(case))


@pytest.mark.parametrize("policy", by_score)
def test_few_of_many(policy: str, isa: str, rng: np.random.Generator) -> None:
    """Far fewer than there are: equal scores, repeats and gaps; then without the best ones."""
    names = list("abcde")
    pool = np.concatenate([rng.integers(0, 2**63, 200), np.arange(200)])
    for k in (1, 7, 40):
        channels = {name: [random_row(rng, 300, pool) for _ in range(4)] for name in names}
        arguments = random_arguments(rng, policy, names, k)
        case = Case(channels, k, Policy(policy, arguments))
        whole = vecrecall(case, FORMS)
        check(whole, oracle(case))
        best = [[i for i in row[: k // 2 + 1] if i >= 0] for row in whole.ids.tolist()]
        case = replace(case, exclude=best)
        check(vecrecall(case, FORMS), oracle(case))


def test_sums_that_are_no_number_do_no_harm() -> None:
    """Infinity minus infinity, from unreal weights: any order, but each item once."""
    rows = [(i, 1e30 if i % 2 else -1e30) for i in range(300)]
    channels = {"a": [rows], "b": [[(i, -s if i % 3 else s) for i, s in rows]]}
    weights = {"a": 1.7e308, "b": 1.7e308}
    found = vecrecall(Case(channels, 400, Policy("WeightedSum", {"weights": weights})))
    assert found.counts.tolist() == [300]
    assert sorted(found.ids[0, :300].tolist()) == list(range(300))


@every_policy
def test_calls_leave_nothing_behind(policy: str, rng: np.random.Generator) -> None:
    cases = [random_case(rng, policy) for _ in range(10)]
    first = [vecrecall(case) for case in cases]
    for case, expected in zip(reversed(cases), reversed(first), strict=True):
        assert_same(vecrecall(case), expected)


# --- policies as objects


@variants
def test_policies_are_frozen_values(policy: Policy) -> None:
    a, b = made(policy), made(policy)
    assert a == b
    assert repr(a).startswith(policy.name)
    with pytest.raises(AttributeError):  # what a frozen dataclass raises is one
        a.anything = 1
    for name in policy.arguments:
        with pytest.raises(AttributeError):
            setattr(a, name, None)


def test_defaults() -> None:
    assert policies.RRF() == policies.RRF(weights=None, k=60)
    assert policies.WeightedSum() == policies.WeightedSum(weights=None, normalize="none")
    assert policies.Maximum() == policies.Maximum(weights=None, normalize="none")
    assert policies.Interleave() == policies.Interleave(weights=None, on_duplicate="refill")
    quotas = {"a": 1}
    assert policies.Priority(quotas) == policies.Priority(quotas, mode="per_channel", backfill=True)
    assert policies.Quota({"a": 1}) == policies.Quota({"a": 1}, minimum=None, maximum=None)


# --- mistakes of other systems


def test_a_round_of_duplicates_is_not_the_end() -> None:
    """A merge that skips duplicates stopped at its first empty round: 5 items, next time 500."""
    start = [(i, 0.0) for i in range(5)]
    rest = [(i, 0.0) for i in range(100, 600)]
    backwards = [*start[2:], *start[:2]]
    channels = {"a": [start + rest], "b": [backwards + rest], "c": [start[::-1] + rest]}
    for on_duplicate in ("skip", "refill"):
        case = Case(channels, 500, Policy("Interleave", {"on_duplicate": on_duplicate}))
        assert vecrecall(case).counts.tolist() == [500]
    # the whole of one channel, many rounds long, is in the other one
    channels = {"a": [start + rest], "b": [rest[::-1] + start + [(7, 0.0)]]}
    case = Case(channels, 1000, Policy("Interleave", {"on_duplicate": "skip"}))
    assert vecrecall(case).counts.tolist() == [506]


@variants
def test_items_of_equal_score_do_not_vanish(policy: Policy) -> None:
    """A merge recognized items by their distance: different ones of the same distance vanished."""
    channels = {c: [[(i + shift, 0.5) for i in range(10)]] for shift, c in enumerate("abc")}
    found = vecrecall(Case(channels, 50, policy))
    assert sorted(found.ids[0, :12].tolist()) == list(range(12))
    assert found.counts.tolist() == [12]


@variants
def test_a_query_of_zeros_gets_no_arbitrary_items(policy: Policy) -> None:
    items = np.eye(4, dtype=np.float32)
    queries = np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    index = vr.FlatIndex(items, metric="cosine")
    found = vr.merge({name: index.search(queries, 2) for name in "abc"}, 3, made(policy))
    assert found.ids[0].tolist() == [-1, -1, -1]
    assert found.counts.tolist() == [0, 2]
    assert not found.channels[0].any()
    assert not found.ranks[0].any()


@pytest.mark.parametrize("policy", [p for n, p in VARIANTS.items() if n != "Quota"])
def test_a_growing_k_does_not_change_the_first_items(policy: Policy) -> None:
    rng = np.random.default_rng(5)
    case = many_rows(rng, policy, 10)
    lists = [vecrecall(replace(case, k=k)).ids for k in (5, 6, 60)]
    np.testing.assert_array_equal(lists[0], lists[1][:, :5])
    np.testing.assert_array_equal(lists[1], lists[2][:, :6])


MISSPELLED = {
    "RRF weights": ("RRF", {"weights": {"i2i": 1, "dsm": 1}}),
    "WeightedSum weights": ("WeightedSum", {"weights": {"i2i": 1, "dsm": 1}}),
    "Maximum weights": ("Maximum", {"weights": {"i2i": 1, "dsm": 1}}),
    "Interleave weights": ("Interleave", {"weights": {"i2i": 1, "dsm": 1}}),
    "Priority quotas": ("Priority", {"quotas": {"i2i": 1, "dsm": 1}}),
    "Quota shares": ("Quota", {"shares": {"i2i": 1, "dsm": 1}}),
    "Quota minimum": ("Quota", {"shares": {"i2i": 1, "dssm": 1}, "minimum": {"dsm": 1}}),
    "Quota maximum": ("Quota", {"shares": {"i2i": 1, "dssm": 1}, "maximum": {"dsm": 1}}),
}


@pytest.mark.parametrize(("name", "arguments"), MISSPELLED.values(), ids=MISSPELLED)
def test_a_misspelled_channel_is_an_error(name: str, arguments: dict[str, Any]) -> None:
    """A misspelled name dropped its channel, and no error said so."""
    rows = {"i2i": [[(1, 0.0)]], "dssm": [[(2, 0.0)]]}
    with pytest.raises(ValueError, match="'dsm'"):
        vecrecall(Case(rows, 2, Policy(name, arguments)))
