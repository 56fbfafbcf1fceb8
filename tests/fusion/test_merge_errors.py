"""Bad input to `vr.merge`: an error that names the argument or channel, and what came."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall import policies

BAD = (TypeError, ValueError)
NAN, INF = math.nan, math.inf


def arrays(nq: int = 3, width: int = 4) -> tuple[Any, Any]:
    ids = np.arange(nq * width).reshape(nq, width)
    return ids, -ids.astype(np.float32)


def merge(**arguments: Any) -> Any:
    """Two channels, `i2i` and `dssm`, of three queries; or what is given instead."""
    given: dict[str, Any] = {
        "channels": {"i2i": arrays(), "dssm": arrays(width=6)},
        "k": 5,
        "policy": policies.RRF(),
        **arguments,
    }
    return vr.merge(given.pop("channels"), given.pop("k"), given.pop("policy"), **given)


def raises(call: Callable[[], Any], *words: str, error: Any = BAD) -> None:
    """The call raises, and the message has these words (or `a|b`)."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert re.search(rf"(?<![\w.])({word})(?!\w|\.\d)", message), (word, message)


def test_the_good_arguments_are_good() -> None:
    assert merge().counts.tolist() == [5, 5, 5]


# --- channels


@pytest.mark.parametrize("value", [None, [arrays()], arrays(), "i2i", 5, {1, 2}])
def test_no_mapping(value: Any) -> None:
    raises(lambda: merge(channels=value), "channels", error=TypeError)


def test_no_channels() -> None:
    raises(lambda: merge(channels={}), "channels", "one|1", error=ValueError)


@pytest.mark.parametrize("n", [65, 200])
def test_too_many_channels(n: int) -> None:
    channels = {f"c{c}": arrays() for c in range(n)}
    raises(lambda: merge(channels=channels), "64", str(n), error=ValueError)


NOT_CHANNELS: dict[str, Any] = {
    "nothing": None,
    "an array": arrays()[0],
    "a Ragged": vr.Ragged([1, 2], [0, 1, 1, 2]),
    "a triple that is no result": (*arrays(), arrays()[0]),
    "one of a pair": (arrays()[0],),
    "text": "ab",
    "a mapping": {"ids": arrays()[0], "scores": arrays()[1]},
    "a pair of Ragged and array": (vr.Ragged(np.arange(12), [0, 4, 8, 12]), arrays()[1]),
    "float ids": (arrays()[0].astype(float), arrays()[1]),
    "text ids": (arrays()[0].astype(str), arrays()[1]),
    "object scores": (arrays()[0], arrays()[1].astype(object)),
    "text scores": (arrays()[0], arrays()[1].astype(str)),
    "complex scores": (arrays()[0], arrays()[1].astype(complex)),
    "bool scores": (arrays()[0], arrays()[1].astype(bool)),
    "Ragged of bool scores": (vr.Ragged([1], [0, 1, 1, 1]), vr.Ragged([True], [0, 1, 1, 1])),
    "no ids": (None, arrays()[1]),
    "ragged lists": ([[1], [1, 2], []], [[1.0], [1.0, 2.0], []]),
    "one dimension": (np.arange(3), np.zeros(3, np.float32)),
    "three dimensions": (np.zeros((3, 1, 1), int), np.zeros((3, 1, 1), np.float32)),
    "other widths": (arrays(width=4)[0], arrays(width=5)[1]),
    "other rows": (arrays(3)[0], arrays(2)[1]),
    "swapped": (arrays()[1], arrays()[0]),
    "Ragged of other lengths": (
        vr.Ragged([1, 2, 3], [0, 1, 2, 3]),
        vr.Ragged(np.zeros(3, np.float32), [0, 2, 2, 3]),
    ),
    "Ragged of other sizes": (
        vr.Ragged([1, 2, 3], [0, 1, 2, 3]),
        vr.Ragged(np.zeros(2, np.float32), [0, 1, 2, 2]),
    ),
    "Ragged of float ids": (
        vr.Ragged([1.0, 2.0, 3.0], [0, 1, 2, 3]),
        vr.Ragged(np.zeros(3, np.float32), [0, 1, 2, 3]),
    ),
    "counts over the width": vr.SearchResult(*arrays(), np.array([4, 5, 4], np.int32)),
    "counts of other rows": vr.SearchResult(*arrays(), np.array([4, 4], np.int32)),
}


@pytest.mark.parametrize("value", NOT_CHANNELS.values(), ids=NOT_CHANNELS)
def test_what_is_no_channel(value: Any) -> None:
    raises(lambda: merge(channels={"i2i": arrays(), "dssm": value}), "dssm")


def test_different_shapes_are_both_named() -> None:
    value = (arrays(3, 4)[0], arrays(3, 5)[1])
    raises(lambda: merge(channels={"i2i": value}), "i2i", "4", "5", error=ValueError)


@pytest.mark.parametrize("first", ["i2i", "dssm"])
def test_different_numbers_of_queries(first: str) -> None:
    both = {"i2i": arrays(3), "dssm": vr.Ragged([1, 2], [0, 1, 2])}
    both["dssm"] = (both["dssm"], vr.Ragged(np.zeros(2, np.float32), [0, 1, 2]))
    other = "dssm" if first == "i2i" else "i2i"
    channels = {first: both[first], other: both[other]}
    raises(lambda: merge(channels=channels), other, "2", "3", error=ValueError)


def pair(form: str, ids: Any, scores: Any) -> Any:
    if form == "result":
        return vr.SearchResult(ids, scores, np.full(len(ids), ids.shape[1], np.int32))
    if form == "ragged":
        offsets = np.arange(len(ids) + 1) * ids.shape[1]
        return vr.Ragged(ids.ravel(), offsets), vr.Ragged(scores.ravel(), offsets)
    return ids, scores


forms = pytest.mark.parametrize("form", ["arrays", "result", "ragged"])


@forms
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_that_are_no_number(form: str, dtype: Any) -> None:
    ids, scores = arrays(30, 5)
    scores = scores.astype(dtype)
    scores[17, 3] = scores[21, 0] = NAN
    channels = {"i2i": arrays(30), "dssm": pair(form, ids, scores)}
    for policy in (policies.RRF(), policies.Interleave(), policies.Maximum()):
        raises(lambda p=policy: merge(channels=channels, policy=p), "dssm", "17", error=ValueError)
    ids[17, 3] = ids[21, 0] = -1  # no item, so no score
    merge(channels=channels)


@forms
def test_a_bad_score_is_found_wherever_it_is(form: str) -> None:
    """In a repeat, in an excluded item, past `k`: what is wrong does not hide."""
    ids, scores = np.array([[1, 1, 2, 3]]), np.zeros((1, 4), np.float32)
    for place in range(4):
        bad = scores.copy()
        bad[0, place] = NAN
        channels = {"dssm": pair(form, ids, bad)}
        raises(lambda c=channels: merge(channels=c, k=1, exclude=[[2]]), "dssm", error=ValueError)


def test_scores_that_overflow_float32() -> None:
    ids, scores = arrays(30, 5)
    scores = scores.astype(np.float64)
    scores[17, 3] = 1e39
    raises(lambda: merge(channels={"i2i": (ids, scores)}), "i2i", "17", error=ValueError)


# --- plain arguments


@pytest.mark.parametrize("k", [0, -1, -(2**63), 1.5, 5.0, "5", None, True, [5]])
def test_k(k: Any) -> None:
    raises(lambda: merge(k=k), "k")


def test_k_that_no_memory_holds() -> None:
    raises(lambda: merge(k=2**62), "k", error=ValueError)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads(threads: Any) -> None:
    raises(lambda: merge(threads=threads), "threads")


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_provenance(value: Any) -> None:
    raises(lambda: merge(provenance=value), "provenance", error=TypeError)


@pytest.mark.parametrize("policy", [None, "rrf", 5, policies.RRF, {"RRF": {}}, object()])
def test_policy(policy: Any) -> None:
    raises(lambda: merge(policy=policy), "policy", error=TypeError)


@pytest.mark.parametrize("rows", [0, 1, 2, 4])
def test_exclude_of_other_rows(rows: int) -> None:
    raises(lambda: merge(exclude=[[1]] * rows), "exclude", "3", str(rows), error=ValueError)
    ragged = vr.Ragged.from_lists([[1]] * rows)
    raises(lambda: merge(exclude=ragged), "exclude", "3", str(rows), error=ValueError)


@pytest.mark.parametrize("value", ["abc", 5, [1, 2, 3], [[1.5]] * 3, [["a"]] * 3, {1: [2]}])
def test_exclude_of_other_things(value: Any) -> None:
    raises(lambda: merge(exclude=value), "exclude")


# --- caps


def caps(**arguments: Any) -> Any:
    given: dict[str, Any] = {"ids": [1, 2, 3], "groups": [7, 7, 8], "limit": 2, **arguments}
    return merge(caps=vr.Caps(given["ids"], given["groups"], given["limit"]))


def test_good_caps_are_good() -> None:
    assert caps().counts.tolist() == [5, 5, 5]
    assert caps(ids=[], groups=[]).counts.tolist() == [5, 5, 5]
    merge(caps=[])
    both = (vr.Caps([1], [1], 1), vr.Caps(np.array([1], np.int32), [1], np.int64(1)))
    assert merge(caps=deque(both)).ids.tolist() == merge(caps=both).ids.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ids": [1, 5, 2, 5], "groups": [7, 7, 8, 9]}, ["ids", "5"]),
        ({"ids": [5, 5, 1]}, ["ids", "5"]),  # even in one group
        ({"groups": [7, 7]}, ["groups", "3", "2"]),
        ({"ids": []}, ["groups|ids", "0", "3"]),
        ({"limit": -1}, ["limit", "-1"]),
        ({"limit": 1.5}, ["limit"]),
        ({"limit": None}, ["limit"]),
        ({"limit": True}, ["limit"]),
        ({"limit": "2"}, ["limit"]),
        ({"ids": [1.0, 2.0, 3.0]}, ["ids"]),
        ({"ids": [[1], [2], [3]]}, ["ids"]),
        ({"ids": [1, -1, 3]}, ["ids", "-1"]),
        ({"ids": "abc"}, ["ids"]),
        ({"groups": [1.0, 2.0, 3.0]}, ["groups"]),
        ({"groups": ["x", "y", "z"]}, ["groups"]),
    ],
)
def test_caps(arguments: dict[str, Any], words: list[str]) -> None:
    raises(lambda: caps(**arguments), *words)


@pytest.mark.parametrize("value", [5, "caps", ([1], [1], 1), {1: 1}, [None], [[1], [1]]])
def test_caps_of_other_things(value: Any) -> None:
    raises(lambda: merge(caps=value), "caps", error=TypeError)


# --- policies: names of channels

# Every argument that is a mapping by channel: the policy with it, its name, a valid value.
BY_CHANNEL: dict[str, tuple[Callable[[Any], Any], str, Any]] = {
    "RRF": (lambda v: policies.RRF(v), "weights", 0.5),
    "WeightedSum": (lambda v: policies.WeightedSum(v), "weights", 0.5),
    "Maximum": (lambda v: policies.Maximum(v), "weights", 0.5),
    "Interleave": (lambda v: policies.Interleave(v), "weights", 2),
    "Priority fix": (lambda v: policies.Priority(v), "quotas", 2),
    "Priority cumulative": (lambda v: policies.Priority(v, mode="cumulative"), "quotas", 2),
    "Quota": (lambda v: policies.Quota(v), "shares", 0.5),
}
BOUNDS: dict[str, tuple[Callable[[Any], Any], str, Any]] = {
    "minimum": (lambda v: policies.Quota({"i2i": 1, "dssm": 1}, minimum=v), "minimum", 1),
    "maximum": (lambda v: policies.Quota({"i2i": 1, "dssm": 1}, maximum=v), "maximum", 9),
}
by_channel = pytest.mark.parametrize(
    ("make", "argument", "good"), BY_CHANNEL.values(), ids=BY_CHANNEL
)
with_bounds = pytest.mark.parametrize(
    ("make", "argument", "good"),
    [*BY_CHANNEL.values(), *BOUNDS.values()],
    ids=[*BY_CHANNEL, *BOUNDS],
)
Make = Callable[[Any], Any]


@with_bounds
def test_good_mappings_are_good(make: Make, argument: str, good: Any) -> None:
    assert merge(policy=make({"i2i": good, "dssm": good})).counts.tolist() == [5, 5, 5]
    numpy_number = np.float64(good) if isinstance(good, float) else np.int64(good)
    merge(policy=make({"dssm": numpy_number, "i2i": good}))


@with_bounds
def test_names_that_are_no_channel(make: Make, argument: str, good: Any) -> None:
    values = {"i2i": good, "dssm": good, "heat": good}
    raises(lambda: merge(policy=make(values)), argument, "heat", error=ValueError)
    values = {"i2i": good, "DSSM": good}  # what is missing, or what is too much
    raises(lambda: merge(policy=make(values)), argument, "DSSM|dssm", error=ValueError)


@by_channel
def test_channels_left_out(make: Make, argument: str, good: Any) -> None:
    raises(lambda: merge(policy=make({"i2i": good})), argument, "dssm", error=ValueError)
    raises(lambda: merge(policy=make({})), argument, "i2i|dssm", error=ValueError)


@with_bounds
@pytest.mark.parametrize("value", [[0.5, 0.5], (1, 1), 1.0, "i2i", {"i2i", "dssm"}])
def test_what_is_no_mapping(make: Make, argument: str, good: Any, value: Any) -> None:
    raises(lambda: merge(policy=make(value)), argument, error=TypeError)


# --- policies: values


@with_bounds
@pytest.mark.parametrize("value", [-1, -0.5, NAN, INF, -INF, "1", None, [1], 1j])
def test_values_that_no_policy_takes(make: Make, argument: str, good: Any, value: Any) -> None:
    raises(lambda: merge(policy=make({"i2i": good, "dssm": value})), argument, "dssm")


@pytest.mark.parametrize("value", [-1, NAN, INF])
def test_bad_weights_say_what_came(value: float) -> None:
    weights = {"i2i": 1, "dssm": value}
    for make in (policies.RRF, policies.WeightedSum, policies.Maximum, policies.Quota):
        word = re.escape(str(value))
        raises(
            lambda m=make: merge(policy=m(weights)),
            "dssm",
            f"(?i:{word})(?:\\.0)?",
            error=ValueError,
        )


@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, True])
def test_interleave_takes_whole_numbers_from_1(value: Any) -> None:
    weights = {"i2i": 1, "dssm": value}
    raises(lambda: merge(policy=policies.Interleave(weights)), "weights", "dssm")


@pytest.mark.parametrize("name", ["Priority fix", "minimum", "maximum"])
@pytest.mark.parametrize("value", [1.5, 2.0, True])
def test_counts_are_whole_numbers(name: str, value: Any) -> None:
    make, argument, good = {**BY_CHANNEL, **BOUNDS}[name]
    raises(lambda: merge(policy=make({"i2i": good, "dssm": value})), argument, "dssm")


@pytest.mark.parametrize("name", ["RRF", "WeightedSum", "Maximum", "Priority fix"])
def test_zero_is_allowed(name: str) -> None:
    make, _, _ = BY_CHANNEL[name]
    assert merge(policy=make({"i2i": 0, "dssm": 0})).counts.tolist() == [5, 5, 5]


def test_shares_of_zero() -> None:
    raises(
        lambda: merge(policy=policies.Quota({"i2i": 0, "dssm": 0.0})), "shares", error=ValueError
    )
    merge(policy=policies.Quota({"i2i": 0, "dssm": 1}))


def test_minima_over_k() -> None:
    shares = {"i2i": 1, "dssm": 1}
    policy = policies.Quota(shares, minimum={"i2i": 3, "dssm": 3})
    raises(lambda: merge(policy=policy), "minimum|minima", "6", "5", error=ValueError)
    merge(policy=policy, k=6)
    raises(lambda: merge(policy=policies.Quota(shares, minimum={"i2i": 6, "dssm": 0})), "6", "5")


def test_a_minimum_over_its_maximum() -> None:
    shares = {"i2i": 1, "dssm": 1}
    minimum, maximum = {"i2i": 0, "dssm": 3}, {"i2i": 5, "dssm": 2}
    call: Callable[[], Any] = lambda: merge(policy=policies.Quota(shares, minimum, maximum))  # noqa: E731
    raises(call, "minimum", "dssm", "3", "2", error=ValueError)


CHOICES: dict[str, tuple[str, Make, list[str]]] = {
    "WeightedSum": ("normalize", lambda v: policies.WeightedSum(normalize=v), ["minmax", "zscore"]),
    "Maximum": ("normalize", lambda v: policies.Maximum(normalize=v), ["minmax", "zscore"]),
    "Interleave": (
        "on_duplicate",
        lambda v: policies.Interleave(on_duplicate=v),
        ["refill", "skip"],
    ),
    "Priority": (
        "mode",
        lambda v: policies.Priority({"i2i": 1, "dssm": 1}, mode=v),
        ["per_channel", "cumulative"],
    ),
}


@pytest.mark.parametrize(("argument", "make", "valid"), CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("value", ["min-max", "", "REFILL", None, 1, True])
def test_unknown_choices(argument: str, make: Make, valid: list[str], value: Any) -> None:
    raises(lambda: merge(policy=make(value)), argument, *valid)


@pytest.mark.parametrize("k", [-1, -0.5, NAN, INF, "60", None])
def test_rrf_k(k: Any) -> None:
    """It is added to ranks from 1: below 0 it could make them 0."""
    raises(lambda: merge(policy=policies.RRF(k=k)), "k")


@pytest.mark.parametrize("value", [None, 1, "no"])
def test_backfill(value: Any) -> None:
    quotas = {"i2i": 1, "dssm": 1}
    raises(lambda: merge(policy=policies.Priority(quotas, backfill=value)), "backfill")
