"""Merges worked out by hand: the oracle must get them right, and so must the package."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import merge_cases
import numpy as np
import pytest
from merge_cases import Case
from merge_reference import Cap, Policy

Answer = Callable[[Case], Any]


@pytest.fixture(params=["oracle", "vecrecall"])
def answer(request: pytest.FixtureRequest) -> Answer:
    found: Answer = getattr(merge_cases, request.param)
    return found


def case(
    channels: Mapping[str, Sequence[Any]],
    k: int,
    name: str,
    /,
    *,
    exclude: Sequence[int] | None = None,
    caps: Sequence[Cap] = (),
    **arguments: Any,
) -> Case:
    """One query. An entry is an id, or a pair of id and score; an id alone scores 0."""
    rows = {
        c: [[e if isinstance(e, tuple) else (e, 0.0) for e in row]] for c, row in channels.items()
    }
    return Case(rows, k, Policy(name, arguments), None if exclude is None else [exclude], caps)


def ids(found: Any) -> list[int]:
    """The list of the first query, without its padding."""
    row: list[int] = found.ids[0, : found.counts[0]].tolist()
    return row


def scores(found: Any) -> list[float]:
    row: list[float] = found.scores[0, : found.counts[0]].tolist()
    return row


def float32(*values: float) -> list[float]:
    return [float(np.float32(v)) for v in values]


# --- what a channel says, and what comes back


def test_ranks_skip_padding_and_repeats(answer: Answer) -> None:
    found = answer(case({"a": [-1, 7, 7, -1, 5, 7, 3], "b": [5]}, 6, "RRF", k=1))
    # a: 7 first, 5 second, 3 third; 5 has 1/3 + 1/2, 7 has 1/2, 3 has 1/4
    assert ids(found) == [5, 7, 3]
    assert scores(found) == float32(5 / 6, 1 / 2, 1 / 4)
    assert found.ranks[0].tolist() == [[2, 1], [1, 0], [3, 0], [0, 0], [0, 0], [0, 0]]


def test_a_repeat_keeps_the_score_of_its_first_place(answer: Answer) -> None:
    row = [(7, 1.0), (5, 2.0), (7, 9.0)]
    for policy in ("WeightedSum", "Maximum"):
        found = answer(case({"a": row}, 6, policy))
        assert ids(found) == [5, 7]
        assert scores(found) == [2.0, 1.0]
        assert found.channel_scores[0, :2, 0].tolist() == [2.0, 1.0]
    # the 9 is in no normalization
    assert scores(answer(case({"a": row}, 6, "WeightedSum", normalize="minmax"))) == [1.0, 0.0]


def test_everything_that_comes_back(answer: Answer) -> None:
    row_a, row_b = [(4, 0.5), (2, -1.5)], [(9, 3.0), (4, 3.0)]
    found = answer(case({"a": row_a, "b": row_b, "c": []}, 4, "WeightedSum"))
    assert found.ids.tolist() == [[4, 9, 2, -1]]
    assert found.scores.tolist() == [[3.5, 1.5, -1.5, -math.inf]]  # 9 is not in a: 3 - 1.5
    assert found.counts.tolist() == [3]
    assert found.channels.tolist() == [[0b11, 0b10, 0b01, 0]]
    assert found.ranks.tolist() == [[[1, 2, 0], [0, 1, 0], [2, 0, 0], [0, 0, 0]]]
    nan = math.nan
    np.testing.assert_array_equal(
        found.channel_scores,
        np.array([[[0.5, 3.0, nan], [nan, 3.0, nan], [-1.5, nan, nan], [nan] * 3]]),
    )
    assert found.unfilled.tolist() == [[0, 0, 0]]


def test_channel_63_has_the_highest_bit(answer: Answer) -> None:
    channels = {f"c{c}": [7] if c in (0, 63) else [] for c in range(64)}
    found = answer(case(channels, 1, "RRF"))
    assert found.channels.tolist() == [[2**63 + 1]]


# --- score policies


def test_rrf(answer: Answer) -> None:
    channels = {"a": [10, 11, 12], "b": [12, 13]}
    found = answer(case(channels, 10, "RRF"))
    assert ids(found) == [12, 10, 11, 13]  # 11 and 13 tie: 1/62 each
    assert scores(found) == float32(1 / 63 + 1 / 61, 1 / 61, 1 / 62, 1 / 62)
    found = answer(case(channels, 10, "RRF", weights={"b": 3.0, "a": 0.0}, k=1))
    assert ids(found) == [12, 13, 10, 11]  # no weight, but in the list still
    assert scores(found) == [1.5, 1.0, 0.0, 0.0]
    assert found.channels[0, :4].tolist() == [0b11, 0b10, 0b01, 0b01]


def test_a_weighted_sum(answer: Answer) -> None:
    channels = {"a": [(1, 4.0), (2, 1.0), (3, -2.0)], "b": [(3, 10.0), (4, -1.0)]}
    weights = {"a": 0.5, "b": 0.25}
    found = answer(case(channels, 10, "WeightedSum", weights=weights, absent="zero"))
    assert ids(found) == [1, 3, 2, 4]
    assert scores(found) == [2.0, 1.5, 0.5, -0.25]
    found = answer(case(channels, 10, "WeightedSum", absent="zero"))  # equal weights: 1
    assert ids(found) == [3, 1, 2, 4]
    assert scores(found) == [8.0, 4.0, 1.0, -1.0]
    for absent in (None, "min"):  # the lowest: -0.5 * 2, -0.25 * 1
        found = answer(case(channels, 10, "WeightedSum", weights=weights, absent=absent))
        assert ids(found) == [1, 3, 2, 4]
        assert scores(found) == [1.75, 1.5, 0.25, -1.25]


NORMALIZED = {
    # of the scores 3, 1, -1, -3 (unsorted), the flat 5, 5, one item, and zeros
    "none": ([1, 3, -3, -1], [5, 5], [-2], [0, 0]),
    "minmax": ([2 / 3, 1, 0, 1 / 3], [1, 1], [1], [1, 1]),
    "zscore": ([1 / math.sqrt(5), 3 / math.sqrt(5), -3 / math.sqrt(5), -1 / math.sqrt(5)],
               [0, 0], [0], [0, 0]),
    "max": ([1 / 3, 1, -1, -1 / 3], [1, 1], [-1], [0, 0]),
    "l2": ([1 / math.sqrt(20), 3 / math.sqrt(20), -3 / math.sqrt(20), -1 / math.sqrt(20)],
           [5 / math.sqrt(50)] * 2, [-1], [0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("policy", ["WeightedSum", "Maximum"])
@pytest.mark.parametrize("how", NORMALIZED)
def test_normalization(answer: Answer, policy: str, how: str) -> None:
    channels = {
        "spread": [(0, 1.0), (1, 3.0), (2, -3.0), (3, -1.0)],
        "flat": [(10, 5.0), (11, 5.0)],
        "one": [(20, -2.0)],
        "zeros": [(30, 0.0), (31, -0.0)],
        "empty": [],
    }
    by_id: dict[int, float] = {}
    for name, row in channels.items():  # one by one: none counts anything for another's items
        found = answer(case({name: row}, 20, policy, normalize=how))
        by_id |= zip(ids(found), scores(found), strict=True)
    of_channel = zip((0, 10, 20, 30), NORMALIZED[how], strict=True)
    expected = {first + i: s for first, values in of_channel for i, s in enumerate(values)}
    assert by_id.keys() == expected.keys()
    for item, score in expected.items():
        assert by_id[item] == float(np.float32(score)), item
        assert math.copysign(1, by_id[item]) == (1 if score == 0 else math.copysign(1, score))


def test_normalization_is_per_query(answer: Answer) -> None:
    rows = [[(1, 1.0), (2, 2.0), (3, 3.0)], [(1, 10.0), (2, 30.0), (3, 20.0)], []]
    found = answer(Case({"a": rows}, 3, Policy("WeightedSum", {"normalize": "minmax"})))
    assert found.ids.tolist() == [[3, 2, 1], [2, 3, 1], [-1, -1, -1]]
    assert found.scores[:2].tolist() == [[1, 0.5, 0], [1, 0.5, 0]]


def test_maximum(answer: Answer) -> None:
    channels = {"a": [(1, -4.0), (2, 1.0)], "b": [(1, -6.0), (3, 2.0)]}
    found = answer(case(channels, 10, "Maximum", weights={"a": 1.0, "b": 0.5}))
    # an absent channel is no 0: item 1 has max(-4, -3), not 0
    assert ids(found) == [2, 3, 1]
    assert scores(found) == [1.0, 1.0, -3.0]


def test_sums_are_float64_and_rounded_once_before_the_order(answer: Answer) -> None:
    big = 2.0**60
    row = {"a": [(7, 1.0)], "b": [(7, big)], "c": [(7, -big)], "d": [(7, 0.5)]}
    assert scores(answer(case(row, 1, "WeightedSum"))) == [0.5]  # 1 is lost in big, 0.5 is not
    tiny = 2.0**-30  # lost in float32: a tie, which the smaller id wins
    row = {"a": [(9, 1.0), (5, 1.0)], "b": [(9, tiny)]}
    found = answer(case(row, 2, "WeightedSum"))
    assert ids(found) == [5, 9]
    assert scores(found) == [1.0, 1.0]


def test_overflow_is_an_infinity_and_orders_as_one(answer: Answer) -> None:
    largest = float(np.finfo(np.float32).max)
    row = [(9, largest), (3, largest), (1, -largest), (2, 0.0)]
    found = answer(case({"a": row, "b": row}, 6, "WeightedSum"))
    assert found.ids.tolist() == [[3, 9, 2, 1, -1, -1]]
    assert scores(found) == [math.inf, math.inf, 0.0, -math.inf]


@pytest.mark.parametrize("policy", ["WeightedSum", "Maximum"])
def test_zero_has_one_sign(answer: Answer, policy: str) -> None:
    found = answer(case({"a": [(1, -1.0), (2, -0.0)]}, 2, policy, weights={"a": 0.0}))
    assert ids(found) == [1, 2]
    assert found.scores.view(np.uint32).tolist() == [[0, 0]]


# --- Interleave


def test_snake(answer: Answer) -> None:
    channels = {"a": [1, 2, 3, 4, 5], "b": [11, 12], "c": [21, 22, 23, 24]}
    found = answer(case(channels, 20, "Interleave"))
    assert ids(found) == [1, 11, 21, 2, 12, 22, 3, 23, 4, 24, 5]
    assert scores(found) == float32(*(1 / i for i in range(1, 12)))
    found = answer(case(channels, 7, "Interleave", weights={"c": 3, "a": 2, "b": 1}))
    assert ids(found) == [1, 2, 11, 21, 22, 23, 3]  # k reached within a turn


def test_duplicates_are_refilled_or_skipped(answer: Answer) -> None:
    channels = {"a": [1, 2, 3, 4], "b": [1, 11, 12, 13]}
    found = answer(case(channels, 20, "Interleave", on_duplicate="refill"))
    assert ids(found) == [1, 11, 2, 12, 3, 13, 4]  # b's first turn: 1 is there, so 11
    assert ids(answer(case(channels, 20, "Interleave"))) == ids(found)  # the default
    found = answer(case(channels, 20, "Interleave", on_duplicate="skip"))
    assert ids(found) == [1, 2, 11, 3, 12, 4, 13]  # b's first turn is spent on 1
    channels = {"a": [1, 2, 3, 4], "b": [2, 1, 11, 12]}
    weights = {"a": 1, "b": 2}
    found = answer(case(channels, 20, "Interleave", weights=weights, on_duplicate="refill"))
    # b: 2 and, past 1, 11. a: past 2, 3. b: 12. a: 4
    assert ids(found) == [1, 2, 11, 3, 12, 4]
    found = answer(case(channels, 20, "Interleave", weights=weights, on_duplicate="skip"))
    # b: 2, and 1 is spent. a: 2 is spent. b: 11, 12. a: 3. a: 4
    assert ids(found) == [1, 2, 11, 12, 3, 4]


def test_a_round_of_duplicates_does_not_end_the_rounds(answer: Answer) -> None:
    channels = {"a": [1, 2, 3, 9], "b": [2, 3, 1, 8]}
    found = answer(case(channels, 20, "Interleave", on_duplicate="skip"))
    assert ids(found) == [1, 2, 3, 9, 8]  # the third round was 3 and 1


def test_a_repeat_within_a_channel_is_no_duplicate(answer: Answer) -> None:
    channels = {"a": [1, 1, 1, 2, 3], "b": [11, 12, 13]}
    for mode in ("refill", "skip"):
        found = answer(case(channels, 20, "Interleave", on_duplicate=mode))
        assert ids(found) == [1, 11, 2, 12, 3, 13]


@pytest.mark.parametrize("mode", ["refill", "skip"])
def test_what_may_not_be_taken_uses_up_no_turn(answer: Answer, mode: str) -> None:
    channels = {"a": [1, 2, 3, 4, 5], "b": [11, 12, 13, 14]}
    found = answer(case(channels, 20, "Interleave", exclude=[2, 11], on_duplicate=mode))
    assert ids(found) == [1, 12, 3, 13, 4, 14, 5]
    # 1, 2, 12 and 13 are of one group, two of which may come
    cap = Cap([1, 2, 12, 13], [0, 0, 0, 0], 2)
    found = answer(case(channels, 20, "Interleave", caps=[cap], on_duplicate=mode))
    assert ids(found) == [1, 11, 2, 14, 3, 4, 5]


# --- Priority


def priority(answer: Answer, k: int, quotas: dict[str, int], **more: Any) -> Any:
    channels = {"a": [1, 2, 3, 4], "b": [2, 11, 12, 13], "c": [21]}
    return answer(case(channels, k, "Priority", quotas=quotas, **more))


def test_fixed_quotas(answer: Answer) -> None:
    quotas = {"a": 2, "b": 2, "c": 3}
    found = priority(answer, 20, quotas, backfill=False)
    assert ids(found) == [1, 2, 11, 12, 21]  # b's 2 is there, so its quota goes to 11 and 12
    assert found.unfilled.tolist() == [[0, 0, 2]]
    found = priority(answer, 20, quotas)
    assert ids(found) == [1, 2, 11, 12, 21, 3, 4, 13]
    assert found.unfilled.tolist() == [[0, 0, 2]]
    assert scores(found) == float32(*(1 / i for i in range(1, 9)))


def test_quotas_that_accumulate(answer: Answer) -> None:
    quotas = {"a": 3, "b": 2, "c": 5}
    found = priority(answer, 20, quotas, mode="cumulative", backfill=False)
    assert ids(found) == [1, 2, 3, 21]  # b: 3 of 2 there. c: has 1 for 2 places
    assert found.unfilled.tolist() == [[0, 0, 1]]
    found = priority(answer, 20, {"a": 9, "b": 6, "c": 6}, mode="cumulative", backfill=False)
    assert ids(found) == [1, 2, 3, 4, 11, 12]  # b makes up for a
    assert found.unfilled.tolist() == [[5, 0, 0]]


def test_quotas_over_k(answer: Answer) -> None:
    found = priority(answer, 3, {"a": 2, "b": 100, "c": 100})
    assert ids(found) == [1, 2, 11]
    assert found.unfilled.tolist() == [[0, 0, 0]]  # the list was full: no channel fell short
    found = priority(answer, 5, {"a": 100, "b": 0, "c": 0})
    assert ids(found) == [1, 2, 3, 4, 11]
    assert found.unfilled.tolist() == [[1, 0, 0]]


def test_what_may_not_be_taken_uses_up_no_quota(answer: Answer) -> None:
    quotas = {"a": 2, "b": 2, "c": 1}
    found = priority(answer, 20, quotas, exclude=[1, 11], backfill=False)
    assert ids(found) == [2, 3, 12, 13, 21]
    cap = Cap([1, 2, 11, 13], [5, 5, 6, 6], 1)
    found = priority(answer, 20, quotas, caps=[cap], backfill=False)
    assert ids(found) == [1, 3, 11, 12, 21]


# --- Quota


def slots(answer: Answer, k: int, shares: dict[str, float], **bounds: Any) -> list[int]:
    """The slots of channels that have plenty, seen from what they filled."""
    channels = {name: [100 * c + i for i in range(50)] for c, name in enumerate(shares)}
    found = answer(case(channels, k, "Quota", shares=shares, **bounds))
    assert found.unfilled.tolist() == [[0] * len(shares)]
    return [int((found.channels[0] == 1 << c).sum()) for c in range(len(shares))]


@pytest.mark.parametrize(
    ("k", "shares", "expected"),
    [
        (10, (5, 3, 2), [5, 3, 2]),
        (10, (0.5, 0.25, 0.25), [5, 3, 2]),  # 5, 2.5, 2.5: a tie, channel order
        (10, (1, 1, 1), [4, 3, 3]),
        (11, (1, 1, 1), [4, 4, 3]),
        (7, (60, 30, 10), [4, 2, 1]),  # 4.2, 2.1, 0.7
        (4, (4, 1, 1), [3, 1, 0]),  # 2 2/3, 2/3, 2/3: floats would see different remainders
        (5, (1, 0, 9), [1, 0, 4]),  # 0.5, 0, 4.5: a tie
        (1, (1, 2, 4), [0, 0, 1]),
        (3, (1e-300, 1e-300, 1e-300), [1, 1, 1]),
        (4, (1e300, 0, 1e300), [2, 0, 2]),
    ],
)
def test_shares(answer: Answer, k: int, shares: tuple[float, ...], expected: list[int]) -> None:
    assert slots(answer, k, dict(zip("abc", shares, strict=True))) == expected


@pytest.mark.parametrize(
    ("k", "shares", "bounds", "expected"),
    [
        (10, (8, 1, 1), {"minimum": {"a": 0, "b": 3, "c": 0}}, [6, 3, 1]),  # 7 as 8:1: 6.2, 0.8
        (10, (8, 1, 1), {"maximum": {"a": 5, "b": 10, "c": 10}}, [5, 3, 2]),  # 5 as 1:1
        (9, (8, 1, 0), {"maximum": {"a": 4, "b": 4, "c": 9}}, [4, 4, 1]),  # b only then over
        (10, (9, 1, 0), {"minimum": {"a": 0, "b": 5, "c": 0}, "maximum": {"a": 8, "b": 9, "c": 0}},
         [5, 5, 0]),  # both broken: 8 and 5 are too many, so b's minimum is settled first
        (10, (9, 1, 0), {"minimum": {"a": 0, "b": 2, "c": 0}, "maximum": {"a": 3, "b": 9, "c": 0}},
         [3, 7, 0]),  # both broken: 3 and 2 are too few, so a's maximum is settled first
        (4, (1, 1, 1), {"minimum": {"a": 0, "b": 0, "c": 4}}, [0, 0, 4]),
        (10, (1, 1, 1), {"maximum": {"a": 2, "b": 0, "c": 3}}, [2, 0, 3]),  # hard: five, not ten
        (10, (1, 1, 1), {"minimum": {"c": 5}, "maximum": {"a": 1}}, [1, 4, 5]),  # the rest is free
    ],
)  # fmt: skip
def test_shares_within_bounds(
    answer: Answer, k: int, shares: tuple[float, ...], bounds: dict[str, Any], expected: list[int]
) -> None:
    assert slots(answer, k, dict(zip("abc", shares, strict=True)), **bounds) == expected


def test_equal_shares_by_default(answer: Answer) -> None:
    channels = {"a": list(range(9)), "b": list(range(10, 19))}
    found = answer(case(channels, 4, "Quota", shares=None))
    assert ids(found) == [0, 10, 1, 11]


def test_quota_orders_by_rank_in_the_charged_channel(answer: Answer) -> None:
    channels = {"a": [1, 2, 3], "b": [2, 11, 12, 13], "c": [21]}
    found = answer(case(channels, 6, "Quota", shares={"a": 3, "b": 2, "c": 1}))
    # a: 1, 2, 3. b: past 2, 11 (rank 2) and 12 (rank 3). c: 21
    assert ids(found) == [1, 21, 2, 11, 3, 12]
    assert scores(found) == float32(*(1 / i for i in range(1, 7)))
    assert found.ranks[0].tolist() == [
        [1, 0, 0], [0, 0, 1], [2, 1, 0], [0, 2, 0], [3, 0, 0], [0, 3, 0]
    ]  # fmt: skip


def test_unused_slots_are_split_again(answer: Answer) -> None:
    channels = {"a": [1], "b": list(range(10, 30)), "c": list(range(40, 60))}
    found = answer(case(channels, 12, "Quota", shares={"a": 6, "b": 2, "c": 1}))
    # 8, 2 2/3, 1 1/3: slots 8, 3, 1. a lacks 7: 4 2/3 and 2 1/3, so 5 and 2. Together 1, 8, 3
    assert [int((found.channels[0] == bit).sum()) for bit in (1, 2, 4)] == [1, 8, 3]
    assert found.unfilled.tolist() == [[7, 0, 0]]
    assert ids(found)[:7] == [1, 10, 40, 11, 41, 12, 42]


def test_unused_slots_do_not_break_a_maximum(answer: Answer) -> None:
    channels = {"a": [1], "b": list(range(10, 30)), "c": list(range(40, 60))}
    shares = {"a": 6, "b": 2, "c": 1}
    maximum = {"a": 12, "b": 4, "c": 12}
    found = answer(case(channels, 12, "Quota", shares=shares, maximum=maximum))
    assert [int((found.channels[0] == bit).sum()) for bit in (1, 2, 4)] == [1, 4, 7]
    maximum = {"a": 12, "b": 4, "c": 2}
    found = answer(case(channels, 12, "Quota", shares=shares, maximum=maximum))
    assert [int((found.channels[0] == bit).sum()) for bit in (1, 2, 4)] == [1, 4, 2]


def test_a_share_of_zero_helps_when_no_other_can(answer: Answer) -> None:
    channels = {"a": [1, 2], "b": [11, 12, 13, 14], "c": [21, 22, 23, 24]}
    found = answer(case(channels, 6, "Quota", shares={"a": 1, "b": 0, "c": 0}))
    assert ids(found) == [1, 11, 21, 2, 12, 22]
    assert found.unfilled.tolist() == [[4, 0, 0]]
    found = answer(case(channels, 4, "Quota", shares={"a": 1, "b": 1, "c": 0}))
    assert ids(found) == [1, 11, 2, 12]


def test_an_item_is_charged_to_the_channel_that_took_it(answer: Answer) -> None:
    channels = {"a": [1, 2], "b": [1, 2, 3, 4]}
    shares, maximum = {"a": 1, "b": 1}, {"a": 4, "b": 1}
    found = answer(case(channels, 4, "Quota", shares=shares, maximum=maximum))
    # b holds 1 and 2 too, but has had only 3, its one item
    assert ids(found) == [1, 2, 3]
    assert found.unfilled.tolist() == [[1, 0]]  # of slots 3 and 1


def test_quota_and_what_may_not_be_taken(answer: Answer) -> None:
    channels = {"a": [1, 2, 3, 4], "b": [11, 12, 13, 14]}
    shares = {"a": 1, "b": 1}
    found = answer(case(channels, 4, "Quota", shares=shares, exclude=[1, 12]))
    assert ids(found) == [11, 2, 3, 13]  # ranks 1, 2, 3, 3
    cap = Cap([1, 2, 3, 11], [0, 0, 0, 0], 1)
    found = answer(case(channels, 4, "Quota", shares=shares, caps=[cap]))
    assert ids(found) == [1, 12, 13, 4]  # a: 1, and 4 past the full group; b past 11


# --- exclude and caps


def test_exclusion_changes_no_rank_and_no_normalization(answer: Answer) -> None:
    channels = {"a": [(1, 10.0), (2, 6.0), (3, 2.0)], "b": [(4, 5.0), (2, 5.0)]}
    found = answer(case(channels, 4, "RRF", exclude=[1, 99], k=0))
    assert ids(found) == [2, 4, 3]
    assert scores(found) == float32(1.0, 1.0, 1 / 3)
    assert found.ranks[0, 0].tolist() == [2, 2]
    found = answer(case(channels, 4, "WeightedSum", exclude=[1], normalize="minmax"))
    assert ids(found) == [2, 4, 3]
    assert scores(found) == [1.5, 1.0, 0.0]


def test_several_caps_at_once(answer: Answer) -> None:
    row = [(i, 20.0 - i) for i in range(1, 9)]
    author = Cap([1, 2, 3, 4], [7, 7, 7, 8], 2)
    category = Cap([6, 5, 4, 1], [7, 7, 7, 7], 2)  # the same number, another kind of group
    for policy in ("WeightedSum", "Interleave"):
        # 1, 2 fill the author; 3 is over it; 4 fills the category; 5, 6 are over it; 7, 8 free
        found = answer(case({"a": row}, 8, policy, caps=[author, category]))
        assert ids(found) == [1, 2, 4, 7, 8]
        assert found.ranks[0, :5, 0].tolist() == [1, 2, 4, 7, 8]


def test_a_capped_item_uses_up_no_other_cap(answer: Answer) -> None:
    first = Cap([1, 2], [0, 0], 1)
    second = Cap([2, 3], [0, 0], 1)
    # 2 is over the first cap, so it leaves the second one's place to 3
    found = answer(case({"a": [1, 2, 3]}, 3, "Interleave", caps=[first, second]))
    assert ids(found) == [1, 3]


def test_caps_start_afresh_for_every_query(answer: Answer) -> None:
    rows = [[(1, 0.0), (2, 0.0)]] * 3
    found = answer(Case({"a": rows}, 2, Policy("RRF", {}), caps=[Cap([1, 2], [0, 0], 1)]))
    assert found.ids.tolist() == [[1, -1]] * 3


def test_exclusion_is_per_query(answer: Answer) -> None:
    rows = [[(1, 0.0), (2, 0.0)]] * 3
    found = answer(Case({"a": rows}, 2, Policy("RRF", {}), exclude=[[1], [], [2, 1, 2]]))
    assert found.ids.tolist() == [[2, -1], [1, 2], [-1, -1]]
