"""`ClusterFeed`: by examples, against the oracle, with other threads, on disk, on bad input."""

from __future__ import annotations

import datetime
import json
import math
import re
import threading
from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import arrays, assert_same_bits
from feed_reference import FeedReference, assert_ranked
from hypothesis import example, given, settings
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.arrays import _scalars, _validation
from vecrecall.storage import _array_folder

BAD = (TypeError, ValueError)
NAN, INF = math.nan, math.inf


def feed_of(*clicks: tuple[int, float], half_life: float = 10, capacity: int = 100) -> Any:
    """One cluster with these clicks: item and time."""
    feed = vr.ClusterFeed(1, half_life=half_life, capacity=capacity)
    feed.observe([0] * len(clicks), [item for item, _ in clicks], [t for _, t in clicks])
    return feed


def ranked(feed: vr.ClusterFeed, now: float, k: int = 10, **how: Any) -> list[tuple[int, float]]:
    """Read the list of cluster 0."""
    r = feed.top([0], k, now, **how)
    n = r.counts[0]
    return list(zip(r.ids[0, :n].tolist(), r.scores[0, :n].tolist(), strict=True))


# --- examples


def test_counts_halve() -> None:
    feed = feed_of((1, 0), (1, 10), (2, 10), (3, 30))
    assert ranked(feed, 30) == [(3, 1.0), (1, 0.375), (2, 0.25)]


def test_any_order_of_arrival() -> None:
    assert ranked(feed_of((1, 10), (1, 0), (1, 20)), 20) == [(1, 1.75)]
    assert ranked(feed_of((1, 20), (1, 10), (1, 0)), 20) == [(1, 1.75)]


def test_a_click_of_the_future_counts_as_one_of_now() -> None:
    feed = feed_of((1, 0), (2, 10), (2, 5), (3, -10))
    assert ranked(feed, 0) == [(2, 2.0), (1, 1.0), (3, 0.5)]
    assert ranked(feed, 10) == [(2, pytest.approx(1 + 2**-0.5)), (1, 0.5), (3, 0.25)]


def test_ties_go_by_id() -> None:
    assert ranked(feed_of((9, 0), (3, 0), (5, 0)), 5, k=2) == [
        (3, pytest.approx(2**-0.5)),
        (5, pytest.approx(2**-0.5)),
    ]


def test_clusters_are_apart() -> None:
    feed = vr.ClusterFeed(3, half_life=1, capacity=5)
    feed.observe([0, 2, 2], [7, 7, 8], [0, 0, 0], weights=[1, 2, 3])
    r = feed.top([2, 1, 0, 2], 2, 0)
    assert_same_bits(
        r,
        np.array([[8, 7], [-1, -1], [7, -1], [8, 7]]),
        np.array([[3, 2], [-INF, -INF], [1, -INF], [3, 2]], np.float32),
        [2, 0, 1, 2],
    )


def test_excluded_items_do_not_shorten_lists() -> None:
    feed = feed_of((1, 3), (2, 2), (3, 1), (4, 0))
    assert [i for i, _ in ranked(feed, 3, k=2, exclude=[[1, 3, 77, -1]])] == [2, 4]


def test_weight_0_makes_an_item_known() -> None:
    feed = vr.ClusterFeed(1, half_life=1, capacity=5)
    feed.observe([0, 0, 0], [1, 2, 2], [0, 0, 2000], weights=[0, 1, 0])
    assert ranked(feed, 0) == [(2, 1.0), (1, 0.0)]


def test_the_weakest_leaves_a_full_cluster() -> None:
    feed = feed_of((1, 0), (2, 1), (3, 2), (1, 3), (4, 4), capacity=3)
    assert {i for i, _ in ranked(feed, 4)} == {1, 3, 4}


def test_of_equals_the_highest_id_leaves() -> None:
    feed = feed_of((5, 0), (7, 0), (6, 0), (1, 0), capacity=3)
    assert {i for i, _ in ranked(feed, 0)} == {1, 5, 6}


def test_a_late_newcomer_takes_the_weakest_place_until_the_next() -> None:
    feed = feed_of((1, 1000), (2, 1001), (3, 0), capacity=2)
    assert {i for i, _ in ranked(feed, 1001)} == {2, 3}
    feed.observe([0], [4], [1])
    assert {i for i, _ in ranked(feed, 1001)} == {2, 4}


def test_a_lost_item_starts_from_nothing() -> None:
    feed = feed_of((1, 0), (1, 0), (2, 5), (2, 5), (2, 5), (3, 5), (1, 5), capacity=2)
    assert ranked(feed, 5) == [(2, 3.0), (1, 1.0)]


@pytest.mark.parametrize("half_life", [1e-300, 1e-3, 1.0, 3600.0, 1e300])
def test_unix_times(half_life: float) -> None:
    feed = feed_of((1, 1.7e9), (2, 1.7e9 + 1), (1, 1.7e9), half_life=half_life)
    later = 2.0 ** -min(1 / half_life, 2000)
    expected = [(1, 2 * later), (2, 1.0)]
    expected.sort(key=lambda pair: -np.float32(pair[1]))
    found = ranked(feed, 1.7e9 + 1)
    assert [i for i, _ in found] == [i for i, _ in expected]
    assert [s for _, s in found] == pytest.approx([s for _, s in expected], rel=1e-7)


@pytest.mark.parametrize("now", [2000.0, 1e6, 1e9, 1e300])
def test_an_idle_cluster_keeps_its_order(now: float) -> None:
    feed = feed_of((1, 0), (2, 1), (3, 0), (3, 0), (3, 0), half_life=1)
    assert [i for i, _ in ranked(feed, 2)] == [3, 2, 1]
    assert ranked(feed, now) == [(3, 0.0), (2, 0.0), (1, 0.0)]


def test_a_jump_of_a_million_half_lives() -> None:
    feed = feed_of((1, 0), (1, 0), (2, 1e6), (1, 1e6), (1, 3), (3, 5), half_life=1)
    assert ranked(feed, 1e6) == [(1, 1.0), (2, 1.0), (3, 0.0)]


def test_the_largest_times_and_counts() -> None:
    big = 1.7e308
    feed = feed_of((1, -big), (2, big), (1, -big), half_life=big)
    assert ranked(feed, big) == [(2, 1.0), (1, 0.5)]
    feed = vr.ClusterFeed(1, half_life=1, capacity=2)
    feed.observe([0] * 3, [1, 1, 2], [0, 0, 0], weights=[big, big, 1])
    largest = float(np.finfo(np.float32).max)
    assert ranked(feed, 0) == [(1, largest), (2, 1.0)]
    assert ranked(feed, -5000) == [(1, largest), (2, 1.0)]


def test_one_click_from_the_far_future_does_not_spoil_what_is_dropped() -> None:
    feed = feed_of((1, 0), (2, 1e18), (3, 2), (4, 3), (5, 4), half_life=1, capacity=3)
    assert {i for i, _ in ranked(feed, 4)} == {2, 4, 5}


def test_datetimes() -> None:
    feed = vr.ClusterFeed(1, half_life=np.timedelta64(2, "m"), capacity=5)
    assert feed.half_life == 120
    times = np.array(["2024-01-01T00:00:00.000", "2024-01-01T00:02:00.500"], "M8[ms]")
    feed.observe([0, 0], [1, 2], times)
    expected = [(2, 1.0), (1, 0.5)]
    assert ranked(feed, np.datetime64("2024-01-01T00:02")) == expected  # type: ignore[arg-type]
    seconds = np.datetime64("2024-01-01T00:02").astype("M8[s]").astype(np.int64)
    assert ranked(feed, int(seconds)) == expected


NOON = datetime.datetime(2024, 1, 1, 12, 0, 0, 250_000)
ZONE = datetime.timezone(datetime.timedelta(hours=-5))
NOON_SECONDS = 1_704_110_400.25


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON, NOON_SECONDS),  # UTC, as datetime64
        (NOON.replace(tzinfo=datetime.timezone.utc), NOON_SECONDS),
        (NOON.replace(tzinfo=ZONE), NOON_SECONDS + 5 * 3600),
        (NOON.date(), NOON_SECONDS - 12 * 3600 - 0.25),
        (np.datetime64(NOON), NOON_SECONDS),
        (np.datetime64("2024-01"), NOON_SECONDS - 12 * 3600 - 0.25),
        (np.datetime64("2024"), NOON_SECONDS - 12 * 3600 - 0.25),
        (np.datetime64(2**63 - 1, "as"), 2**63 / 1e18),
        (np.datetime64(-(2**63) + 1, "ns"), -(2**63) / 1e9),
        (np.datetime64(2**62, "W"), 2.0**62 * 604800),
        (np.datetime64(2**62, "M"), 2.0**62 * 2_629_746),
        (np.datetime64(-(2**62), "Y"), -(2.0**62) * 31_556_952),
        (np.datetime64(7, "25s"), 175.0),
    ],
)
def test_points_in_time(now: Any, expected: float) -> None:
    assert _scalars.check_timestamp(now, "now") == pytest.approx(expected, rel=1e-15)
    found = _validation.check_times([now, now], "times", 2)
    assert found.tolist() == [_scalars.check_timestamp(now, "now")] * 2
    column = np.empty(2, object)
    column[:] = [now, now]
    assert _validation.check_times(column, "times", 2).tolist() == found.tolist()


def test_points_in_time_of_pandas() -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    texts = ["2024-01-01T12:00:00.250", "2024-07-01T00:00:00.000"]
    naive = pd.DatetimeIndex(texts)
    utc = naive.as_unit("ns").tz_localize("UTC")
    seconds = [NOON_SECONDS, 1_719_792_000.0]
    berlin = utc.tz_convert("Europe/Berlin")
    for times in (naive, utc, berlin, pd.Series(naive), pd.Series(berlin), list(berlin),
                  berlin.to_numpy(object), pd.Series(berlin).astype("category")):  # fmt: skip
        assert _validation.check_times(times, "times", 2).tolist() == seconds
    for moment, wanted in zip(berlin, seconds, strict=True):
        assert _scalars.check_timestamp(moment, "now") == wanted
    for bad in ([NOON, pd.NaT], [pd.NaT, pd.NaT], pd.Series(utc).where([True, False])):
        assert np.isnan(_validation.check_times(bad, "times", 2)[1])
    assert _scalars.check_duration(pd.Timedelta("90min"), "half_life") == 5400
    assert _scalars.check_duration(pd.Timedelta(1, "ns"), "half_life") == 1e-9
    for nat in (pd.NaT, pd.NA):
        raises(lambda nat=nat: _scalars.check_timestamp(nat, "now"), "now", "NaT")
        raises(lambda nat=nat: _scalars.check_duration(nat, "poll"), "poll", "NaT")


def test_times_of_arrow() -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    aware = [NOON.replace(tzinfo=datetime.timezone.utc)] * 2
    for kind in (pa.timestamp("us"), pa.timestamp("ms", "UTC")):
        times = pa.array(aware, type=kind)
        assert _validation.check_times(times, "times", 2).tolist() == [NOON_SECONDS] * 2
        assert (
            _validation.check_times(pa.chunked_array([times]), "times", 2).tolist()
            == [NOON_SECONDS] * 2
        )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.timedelta64(1, "M"), ["months"]),
        (np.timedelta64(1, "Y"), ["years"]),
        (np.int64(1).view("m8"), ["unit"]),  # NumPy 2.5 warns where the unit is left out
        (np.timedelta64("NaT", "s"), ["NaT"]),
        (datetime.timedelta(0), ["0.0"]),
        (datetime.timedelta(hours=-1), ["-3600.0"]),
        (NOON, ["datetime"]),
    ],
)
def test_durations_of_no_use(value: Any, words: list[str]) -> None:
    raises(lambda: _scalars.check_duration(value, "half_life"), "half_life", *words)


@pytest.mark.parametrize("times", [[NOON, None], [NOON, 5.0], [NOON, datetime.timedelta(1)]])
def test_mixed_times(times: list[Any]) -> None:
    raises(lambda: _validation.check_times(times, "times", 2), "times", "place 1")


def test_a_feed_by_datetimes() -> None:
    feed = vr.ClusterFeed(1, half_life=datetime.timedelta(hours=1), capacity=5)
    feed.observe([0, 0], [1, 2], [NOON, NOON.replace(tzinfo=ZONE)])
    assert ranked(feed, NOON + datetime.timedelta(hours=2)) == [(2, 1.0), (1, 0.25)]  # type: ignore[arg-type]
    channel = vr.channels.ClusterFeedChannel(feed, now=NOON)
    assert channel.recall(vr.RequestBatch(clusters=[[0]]), 1).scores.tolist() == [[1.0]]


def test_related_by_hand() -> None:
    feed = vr.ClusterFeed(2, half_life=10, capacity=9)
    #        user 1        user 2        user 3, who never saw 5
    items = [5, 6, 7, 5, 7, 8, 7]
    times = [0, 10, 20, 20, 10, 20, 20]
    feed.observe([0] * 7, items, times, users=[1, 1, 1, 2, 2, 3, 3])
    feed.observe([1] * 2, [5, 9], [20, 20], users=[1, 1])
    r = feed.related([0, 0, 1, 0], [5, 8, 5, 77], 3, now=20)
    assert_same_bits(
        r,
        np.array([[7, 6, -1], [7, -1, -1], [9, -1, -1], [-1] * 3]),
        np.array([[2, 0.5, -INF], [1, -INF, -INF], [1, -INF, -INF], [-INF] * 3], np.float32),
        [2, 1, 1, 0],
    )


def test_histories_keep_the_latest_items() -> None:
    feed = vr.ClusterFeed(1, half_life=10, capacity=9, history=2)
    feed.observe([0] * 4, [1, 2, 3, 4], [3, 1, 2, 0], users=[1] * 4)
    assert feed.related([0], [1], 3, 3).ids.tolist() == [[3, -1, -1]]
    assert feed.related([0, 0], [2, 4], 1, 3).counts.tolist() == [0, 0]


def test_the_user_silent_for_longest_is_forgotten() -> None:
    feed = vr.ClusterFeed(1, half_life=10, capacity=9, max_users=2)
    feed.observe([0] * 5, [1, 2, 1, 3, 4], [0] * 5, users=[1, 1, 2, 2, 1])
    feed.observe([0, 0], [1, 5], [0, 0], users=[3, 3])
    assert feed.related([0], [1], 4, 0).ids.tolist() == [[2, 4, 5, -1]]


def test_unknown_users_only_count() -> None:
    feed = vr.ClusterFeed(1, half_life=10, capacity=9)
    feed.observe([0, 0, 0], [1, 2, 3], [0, 0, 0], users=[-1, -1, 4])
    assert feed.related([0], [1], 1, 0).counts.tolist() == [0]
    assert len(ranked(feed, 0)) == 3


# --- clocks that are wrong

HOUR, WEEK, T = 3600.0, 7 * 86400.0, 1.7e9


def example_feed(**how: Any) -> vr.ClusterFeed:
    feed = vr.ClusterFeed(2, **{"half_life": HOUR, "capacity": 100, **how})
    feed.observe([0, 0, 1], [1, 2, 3], [T - 60, T - 90, T - 30], users=[1, 1, 2])
    return feed


@pytest.mark.parametrize("ahead", [WEEK, 128 * HOUR, 1000 * T, 1e300])
def test_a_click_ahead_does_not_silence_a_channel(ahead: float) -> None:
    feed = example_feed()
    feed.observe([0], [9], [T + ahead])
    scores = feed.top([0], 3, T).scores[0]
    np.testing.assert_allclose(scores, [1, 2 ** (-1 / 60), 2 ** (-1 / 40)], rtol=1e-6)
    popular = vr.SearchResult(
        np.array([[7, 8]] * 2), np.array([[2, 1]] * 2, np.float32), np.array([2, 2], np.int32)
    )
    channel = vr.channels.ClusterFeedChannel(feed, now=T)
    batch = vr.RequestBatch(clusters=[[0], [1]])
    merged = vr.merge({"feed": channel.recall(batch, 3), "popular": popular}, 3, vr.policies.RRF())
    assert merged.ids.tolist() == [[7, 9, 1], [3, 7, 8]]


def test_a_click_ahead_decays_once_its_time_has_come() -> None:
    feed = example_feed()
    feed.observe([0, 0], [9, 1], [T + WEEK] * 2)
    assert ranked(feed, T) == [(1, pytest.approx(1 + 2 ** (-1 / 60))), (9, 1.0),
                               (2, pytest.approx(2 ** (-1 / 40)))]  # fmt: skip
    assert ranked(feed, T + WEEK)[:2] == [(1, 1.0), (9, 1.0)]
    assert ranked(feed, T + WEEK + HOUR)[:2] == [(1, 0.5), (9, 0.5)]


def test_clicks_ahead_in_any_order(rng: np.random.Generator) -> None:
    clicks = [(1, -60), (1, WEEK), (1, 999 * T), (1, -500), (2, 30), (2, 5), (2, -9), (3, WEEK)]
    wanted = None
    for _ in range(20):
        order = rng.permutation(len(clicks))
        feed = feed_of(*((clicks[i][0], T + clicks[i][1]) for i in order), half_life=HOUR)
        found = [
            feed.top([0], 3, now).scores.tolist() + feed.top([0], 3, now).ids.tolist()
            for now in (T - 600, T, T + 6, T + 2 * WEEK, 2e12)
        ]
        wanted = wanted or found
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_busy_item_keeps_its_count_with_any_number_of_clicks_ahead(
    rng: np.random.Generator,
) -> None:
    """Of 3000 clicks an hour on one item one in a hundred is ahead by anything up to years."""
    n = 9000
    times = T - np.sort(rng.random(n))[::-1] * 3 * HOUR
    wrong = rng.random(n) < 0.01
    ahead = np.exp(rng.uniform(np.log(10 * HOUR), np.log(T * 1000), n))
    feed = vr.ClusterFeed(1, half_life=HOUR, capacity=3)
    feed.observe(np.zeros(n, np.int64), np.ones(n, np.int64), times + wrong * ahead)
    ordinary = (2 ** ((times[~wrong] - T) / HOUR)).sum()
    ((_, score),) = ranked(feed, T)
    assert 0.99 * ordinary <= score <= (ordinary + wrong.sum()) * (1 + 1e-6)


def test_clicks_ahead_do_not_push_others_out(rng: np.random.Generator) -> None:
    """A full cluster forgets items that only a wrong clock has clicked, as it forgets others."""
    feed = vr.ClusterFeed(1, half_life=HOUR, capacity=50)
    feed.observe([0] * 10, range(10), T + np.arange(10))
    for i in range(100):  # among clicks of the present
        feed.observe([0, 0], [1000 + i, i % 10], [T * 1000 + i, T + 10 + i])
    later = T + 3 * HOUR
    feed.observe([0] * 60, range(100, 160), later + np.arange(60))
    held = {item for item, _ in ranked(feed, later + 60, k=50)}
    assert not held & set(range(1000, 1100))
    assert held >= set(range(120, 160))


def test_other_clusters_and_items_keep_their_bits() -> None:
    a, b = example_feed(), example_feed()
    b.observe([0] * 30, [9] * 30, T * 1000 + np.arange(30.0))
    for feed in (a, b):
        feed.observe([0, 1, 0], [1, 3, 2], [T, T + 1, T + 2])
    assert_same_bits(a.top([1], 5, T), *arrays(b.top([1], 5, T)))
    assert_same_bits(a.top([0], 5, T), *arrays(b.top([0], 5, T, exclude=[[9]])))


def test_a_clock_that_is_right_after_all() -> None:
    """After a long silence all clicks are far ahead of what was there."""
    feed = feed_of(*((i, 0.0) for i in range(5)), half_life=1, capacity=5)
    feed.observe([0] * 99, [i % 5 + 10 for i in range(99)], [1000.0 + i for i in range(99)])
    assert {i for i, _ in ranked(feed, 1099)} == set(range(10, 15))


def test_an_upload_by_a_clock_in_milliseconds_pushes_nothing_out() -> None:
    now = 1.7e9
    feed = vr.ClusterFeed(1, half_life=3600, capacity=4)
    feed.observe([0] * 15, [1, 2, 5] * 5, [now - 60] * 15)
    feed.observe([0] * 31, range(100, 131), [now * 1000 + j for j in range(31)])
    assert feed.top([0], 3, now).ids.tolist() == [[1, 2, 5]]


def test_related_takes_a_click_of_the_future_as_one_of_now() -> None:
    feed = example_feed()
    feed.observe([0, 0], [1, 9], [T + WEEK, T - HOUR], users=[3, 3])
    r = feed.related([0], [1], 3, T)
    assert r.ids.tolist() == [[9, 2, -1]]
    np.testing.assert_allclose(r.scores[0, :2], [1, 2 ** (-1 / 60)], rtol=1e-6)


def test_clicks_ahead_on_disk(tmp_path: Path) -> None:
    feed = example_feed(capacity=2)
    feed.observe([0, 0, 1], [9, 2, 9], [T + WEEK, T + 5, T * 1000])
    feed.save(tmp_path)
    loaded = vr.ClusterFeed.load(tmp_path)
    for each in (feed, loaded):
        each.observe([0, 1, 1], [4, 5, 6], [T + 9, T + 9, T + WEEK])
    assert_equal_feeds(feed, loaded)


# --- against the oracle

N = 3
whole_clicks = st.tuples(
    st.integers(0, N - 1),
    st.integers(0, 12),
    st.integers(0, 6).map(float),
    st.integers(-1, 5),
    st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 3.0]),
)
any_clicks = st.tuples(
    st.integers(0, N - 1),
    st.integers(0, 40),
    st.floats(-1e3, 1e6),
    st.integers(0, 9),
    st.floats(1e-3, 1e3),
)


def compare(
    clicks: list[Any], half_life: float, capacity: int, history: int, users: int, cuts: list[int]
) -> None:
    bounds = {"capacity": capacity, "history": history, "max_users": users}
    feed = vr.ClusterFeed(N, half_life=half_life, **bounds)
    oracle = FeedReference(N, half_life, **bounds)
    edges = sorted({0, len(clicks), *(c for c in cuts if c < len(clicks))})
    for a, b in pairwise(edges):
        batch = [list(column) for column in zip(*clicks[a:b], strict=True)]
        feed.observe(*batch)
        oracle.observe(*batch)
    newest = max(click[2] for click in clicks)
    for now in (newest, newest + 300 * half_life, newest - 2.5 * half_life):
        compare_lists(feed, oracle, now, sorted({click[1] for click in clicks})[:6])


def compare_lists(
    feed: vr.ClusterFeed, oracle: FeedReference, now: float, items: list[int]
) -> None:
    for c in range(N):
        for k, exclude in ((3, []), (50, items[:2])):
            r = feed.top([c], k, now, exclude=[exclude])
            assert_ranked(r.ids[0].tolist(), r.scores[0].tolist(), oracle.top(c, now), exclude)
        if not any(cluster.histories for cluster in oracle.clusters):
            continue
        r = feed.related([c] * len(items), items, 7, now)
        for row, item in enumerate(items):
            scores = oracle.related(c, item, now)
            assert_ranked(r.ids[row].tolist(), r.scores[row].tolist(), scores)


@settings(max_examples=60)
@given(
    st.lists(whole_clicks, min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(1, 20),
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.integers(0, 60), max_size=4),
)
@example([(0, 1, 0.0, 1, 1.0), (0, 2, 0.0, 1, 0.0)], 1.0, 1, 1, 1, [])
def test_ties_and_evictions(
    clicks: list[Any], half_life: float, capacity: int, history: int, users: int, cuts: list[int]
) -> None:
    compare(clicks, half_life, capacity, history, users, cuts)


@settings(max_examples=60)
@given(
    st.lists(any_clicks, min_size=1, max_size=60),
    st.floats(1e-2, 1e7),
    st.integers(1, 50),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_any_times(clicks: list[Any], half_life: float, capacity: int, cuts: list[int]) -> None:
    compare(clicks, half_life, capacity, 3, 5, cuts)


def test_many_clicks(rng: np.random.Generator) -> None:
    n, items = 15_000, 400
    clusters, users = rng.integers(0, N, n), rng.integers(0, 300, n)
    clicked = (items * rng.random(n) ** 3).astype(np.int64)
    times = 1.7e9 + np.sort(rng.random(n)) * 8000 + rng.normal(0, 50, n)
    weights = rng.random(n)
    feed = vr.ClusterFeed(N, half_life=1000, capacity=items, history=7)
    feed.observe(clusters, clicked, times, users, weights)
    oracle = FeedReference(N, 1000, items, 7)
    batch = clusters, clicked, times, users, weights
    oracle.observe(*(column.tolist() for column in batch))
    compare_lists(feed, oracle, 1.7e9 + 8000, [0, 3, 50, 399])


@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_a_million_clicks_on_one_item(weight: float) -> None:
    """Rounding of additions would add up to 1e-11, rounding of factors to 1e-10."""
    n, half_life = 1_000_000, 300_000.0
    feed = vr.ClusterFeed(1, half_life=half_life, capacity=1)
    times = 1.7e9 + np.arange(n, dtype=np.float64)
    feed.observe(np.zeros(n, np.int64), np.zeros(n, np.int64), times, weights=np.full(n, weight))
    state = feed._core.state()
    sums = zip(*(state[name].tolist() for name in ("values", "rests", "times")), strict=True)
    with localcontext() as context:
        context.prec = 50
        factor = Decimal(2) ** (-1 / Decimal(half_life))
        expected = Decimal(weight) * (1 - factor**n) / (1 - factor)
        kept = Decimal(0)
        for value, rest, time in sums:
            age = (Decimal(float(times[-1])) - Decimal(time)) / Decimal(half_life)
            kept += (Decimal(value) + Decimal(rest)) * Decimal(2) ** -age
        assert abs(kept / expected - 1) < Decimal("1e-13")


def test_batches_do_not_matter(rng: np.random.Generator) -> None:
    n = 5000
    batch = (
        rng.integers(0, 40, n),
        rng.integers(0, 500, n),
        rng.random(n) * 50,
        rng.integers(-1, 100, n),
        rng.random(n),
    )
    a, b = (vr.ClusterFeed(40, half_life=5, capacity=30, max_users=20) for _ in range(2))
    a.observe(*batch)
    for start in range(0, n, 3):
        b.observe(*(column[start : start + 3] for column in batch))
    assert_equal_feeds(a, b)


def assert_equal_feeds(a: vr.ClusterFeed, b: vr.ClusterFeed) -> None:
    assert repr(a) == repr(b)
    states = a._core.state(), b._core.state()
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name


def test_threads_do_not_matter(rng: np.random.Generator, threads: int) -> None:
    n = 4000
    feed = vr.ClusterFeed(40, half_life=5, capacity=300)
    clusters, items = rng.integers(0, 40, n), rng.integers(0, 500, n)
    feed.observe(clusters, items, rng.random(n) * 50, rng.integers(0, 100, n))
    rows = np.arange(400) % 40
    assert_same_bits(
        feed.top(rows, 9, 50, threads=threads), *arrays(feed.top(rows, 9, 50, threads=1))
    )
    wanted = feed.related(rows, np.arange(400), 9, 50, threads=1)
    assert_same_bits(feed.related(rows, np.arange(400), 9, 50, threads=threads), *arrays(wanted))


# --- with other threads


def test_readers_with_a_writer() -> None:
    """A list is of whole clicks: items 2i and 2i + 1 come together, once each a batch."""
    feed = vr.ClusterFeed(2, half_life=1e9, capacity=64, max_users=64)
    feed.observe([1], [0], [0], [0])
    stop, faults = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            r = feed.top([0, 1], 64, 0)
            held = r.ids[0, : r.counts[0]].tolist()
            if len(set(held)) != len(held) or (r.scores[0, : r.counts[0]] < 1).any():
                faults.append(held)
            related = feed.related([0] * 4, range(4), 64, 0)
            if (related.ids[:, :1] == np.arange(4)[:, None]).any():
                faults.append(related.ids)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    rng = np.random.default_rng(1)
    for _ in range(200):
        items = rng.integers(0, 100, 200)
        feed.observe(np.zeros(200, np.int64), items, np.zeros(200), rng.integers(0, 90, 200))
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults


# --- on disk


def busy_feed(rng: np.random.Generator) -> vr.ClusterFeed:
    feed = vr.ClusterFeed(5, half_life=0.7, capacity=20, history=4, max_users=15)
    feed.observe(*clicks_for(rng))
    return feed


def clicks_for(rng: np.random.Generator, n: int = 1500) -> tuple[Any, ...]:
    return (
        rng.integers(0, 5, n),
        rng.integers(0, 60, n),
        rng.random(n) * 9,
        rng.integers(-1, 30, n),
        rng.random(n),
    )


def test_a_loaded_feed_goes_on_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    feed = busy_feed(rng)
    feed.save(tmp_path / "feed")
    loaded = vr.ClusterFeed.load(str(tmp_path / "feed"))
    assert_equal_feeds(feed, loaded)
    more = clicks_for(rng)
    feed.observe(*more)
    loaded.observe(*more)
    assert_equal_feeds(feed, loaded)
    assert_same_bits(loaded.top(range(5), 9, 9), *arrays(feed.top(range(5), 9, 9)))


def test_an_empty_feed_on_disk(tmp_path: Path) -> None:
    vr.ClusterFeed(2, half_life=1, capacity=1).save(tmp_path)
    loaded = vr.ClusterFeed.load(tmp_path)
    assert loaded.top([0, 1], 1, 0).counts.tolist() == [0, 0]
    with pytest.raises(ValueError, match="users"):
        loaded.related([0], [0], 1, 0)


def test_a_second_save_replaces_the_first(rng: np.random.Generator, tmp_path: Path) -> None:
    feed = busy_feed(rng)
    feed.save(tmp_path)
    files = len(list(tmp_path.iterdir()))
    feed.observe(*clicks_for(rng))
    feed.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == files
    assert_equal_feeds(vr.ClusterFeed.load(tmp_path), feed)


@pytest.mark.parametrize("after", [0, 1, 5, 13])
def test_an_interrupted_save_leaves_the_old_feed(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    feed = busy_feed(rng)
    feed.save(tmp_path)
    before = vr.ClusterFeed.load(tmp_path)
    feed.observe(*clicks_for(rng))
    calls = iter(range(after))
    save = np.save

    def failing(*arguments: Any, **how: Any) -> None:
        if next(calls, None) is None:
            raise OSError("no space")
        save(*arguments, **how)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", failing)
        with pytest.raises(OSError, match="no space"):
            feed.save(tmp_path)
    assert_equal_feeds(vr.ClusterFeed.load(tmp_path), before)
    feed.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(feed._core.state()) + 1
    assert_equal_feeds(vr.ClusterFeed.load(tmp_path), feed)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.npy").write_text("mine")
    with pytest.raises(ValueError, match="path: expected"):
        vr.ClusterFeed(2, half_life=1, capacity=1).save(tmp_path)
    assert (tmp_path / "mine.npy").read_text() == "mine"


def test_what_is_no_feed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        vr.ClusterFeed.load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="path: expected a JSON"):
        vr.ClusterFeed.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "Other"}))
    with pytest.raises(ValueError, match="path: expected a saved ClusterFeed, got 'Other'"):
        vr.ClusterFeed.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("items", lambda a: a - 1000),
        ("items", lambda a: np.zeros_like(a)),
        ("items", lambda a: a[:-1]),
        ("items", lambda a: a.astype(np.float64)),
        ("values", lambda a: a * np.nan),
        ("rests", lambda a: a[:-1]),
        ("times", lambda a: a[:-1]),
        ("keys", lambda a: a[:-1]),
        ("bases", lambda a: a[:-1]),
        ("presents", lambda a: a * np.nan),
        ("others", lambda a: a[:-1]),
        ("against", lambda a: a[:-1]),
        ("sum_offsets", lambda a: a[:-1]),
        ("newest", lambda a: a * np.inf),
        ("item_offsets", lambda a: a[::-1].copy()),
        ("item_offsets", lambda a: a * 0),
        ("user_offsets", lambda a: a + 1),
        ("history_offsets", lambda a: a[:0]),
        ("history_items", lambda a: a * 0),
        ("last_seen", lambda a: a[1:]),
        ("users", lambda a: a * 0),
    ],
)
def test_broken_arrays(
    rng: np.random.Generator, tmp_path: Path, name: str, change: Callable[[Any], Any]
) -> None:
    busy_feed(rng).save(tmp_path)
    about, arrays = _array_folder.load(tmp_path, "ClusterFeed")
    arrays[name] = change(arrays[name])
    _array_folder.save(tmp_path, "ClusterFeed", about, arrays)
    with pytest.raises(ValueError, match="path: expected the arrays of a feed"):
        vr.ClusterFeed.load(tmp_path)


def test_a_file_cut_short(rng: np.random.Generator, tmp_path: Path) -> None:
    busy_feed(rng).save(tmp_path)
    file = next(tmp_path.glob("items-*.npy"))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ValueError, match="path: expected"):
        vr.ClusterFeed.load(tmp_path)


# --- bad input


def raises(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(BAD) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert re.search(rf"(?<![\w.])({re.escape(word)})(?!\w)", message), (word, message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("n_clusters", "capacity", "history", "max_users")
          for value in (0, -1, 1.5, "2", None, True, NAN, 2**31 + 1, 2**70)),
        *(("half_life", value) for value in (0, -1.0, NAN, INF, "1", None, 10**400)),
        ("half_life", np.timedelta64(0, "s")),
        ("half_life", np.timedelta64("NaT", "s")),
    ],
)  # fmt: skip
def test_bad_options(name: str, value: Any) -> None:
    options = {"n_clusters": 2, "half_life": 1.0, "capacity": 3, name: value}
    raises(lambda: vr.ClusterFeed(options.pop("n_clusters"), **options), name)


GOOD = {
    "clusters": [0, 1],
    "items": [1, 2],
    "times": [0.0, 1.0],
    "users": [1, 2],
    "weights": [1, 1],
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("clusters", [0, 2], ["0 to 1", "2", "place 1"]),
        ("clusters", [-1, 0], ["0 to 1", "-1", "place 0"]),
        ("clusters", [0.0, 1.0], ["integers"]),
        ("clusters", [[0, 1]], ["shape (1, 2"]),
        ("items", [1, -2], ["-2", "place 1"]),
        ("items", [1], ["2", "1"]),
        ("items", [1.0, 2.0], ["integers"]),
        ("items", None, []),
        ("times", [0, NAN], ["nan", "place 1"]),
        ("times", [-INF, 0], ["inf", "place 0"]),
        ("times", [0.0], ["(2,", "(1,"]),
        ("times", ["a", "b"], ["numbers"]),
        ("times", np.array(["NaT", "2020"], "M8[s]"), ["nan", "place 0"]),
        ("users", [1, -2], ["-2", "place 1"]),
        ("users", [1], ["2", "1"]),
        ("weights", [1, -0.5], ["-0.5", "place 1"]),
        ("weights", [INF, 1], ["inf", "place 0"]),
        ("weights", [1, NAN], ["nan", "place 1"]),
        ("weights", [1, 1, 1], ["(2,", "(3,"]),
    ],
)
def test_a_bad_batch_leaves_nothing(name: str, value: Any, words: list[str]) -> None:
    feed = vr.ClusterFeed(2, half_life=1, capacity=3)
    raises(lambda: feed.observe(**{**GOOD, name: value}), name, *words)
    assert feed.top([0, 1], 1, 0).counts.tolist() == [0, 0]
    assert not feed._core.knows_users
    feed.observe(**GOOD)  # type: ignore[arg-type]
    assert feed.top([0, 1], 1, 0).counts.tolist() == [1, 1]


@pytest.mark.parametrize("method", ["top", "related"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clusters", [0, 2]),
        ("clusters", [-1, 0]),
        ("clusters", 0),
        ("clusters", [0.0, 1.0]),
        ("k", 0),
        ("k", 1.5),
        ("k", 2**60),
        ("now", NAN),
        ("now", INF),
        ("now", "now"),
        ("now", np.datetime64("NaT", "s")),
        ("threads", 0),
    ],
)
def test_bad_questions(method: str, name: str, value: Any) -> None:
    feed = vr.ClusterFeed(2, half_life=1, capacity=3)
    feed.observe(**GOOD)  # type: ignore[arg-type]
    question: dict[str, Any] = {"clusters": [0, 1], "k": 1, "now": 0.0, name: value}
    if method == "related":
        question["items"] = [1, 2]
    raises(lambda: getattr(feed, method)(**question), name)


def test_bad_excludes_and_items() -> None:
    feed = vr.ClusterFeed(2, half_life=1, capacity=3)
    feed.observe(**GOOD)  # type: ignore[arg-type]
    raises(lambda: feed.top([0, 1], 1, 0, exclude=[[1]]), "exclude", "2 rows", "1")
    raises(lambda: feed.top([0], 1, 0, exclude=[1]), "exclude")
    raises(lambda: feed.related([0], [-1], 1, 0), "items", "-1", "place 0")
    raises(lambda: feed.related([0], [1, 2], 1, 0), "items")


def test_related_needs_users() -> None:
    feed = vr.ClusterFeed(2, half_life=1, capacity=3)
    feed.observe([0], [1], [0])
    raises(lambda: feed.related([0], [1], 1, 0), "users")


def test_nothing_to_do() -> None:
    feed = vr.ClusterFeed(2, half_life=1, capacity=3)
    feed.observe([], [], [])
    feed.observe([], [], [], [], [])
    assert feed.top([], 3, 0).ids.shape == (0, 3)
    assert repr(feed) == ("ClusterFeed(2, half_life=1.0, capacity=3, history=20, max_users=10000)")


def test_a_click_of_no_weight_holds_no_time() -> None:
    """The count of an item that was only seen with weight 0 begins with the next click."""
    feed = vr.ClusterFeed(1, half_life=1, capacity=10)
    feed.observe([0, 0, 0], [7, 7, 8], [2000.0, 0.0, 0.0], weights=[0, 1, 0.5])
    assert feed.top([0], 2, 0).ids.tolist() == [[7, 8]]
    assert feed.top([0], 2, 0).scores.tolist() == [[1.0, 0.5]]


def test_scores_that_float32_cannot_tell_apart_keep_their_order() -> None:
    feed = vr.ClusterFeed(1, half_life=1, capacity=10)
    feed.observe([0, 0, 0], [5, 9, 2], [0.0] * 3, weights=[1, 1 + 1e-9, 1 + 1e-14])
    assert feed.top([0], 3, 0).ids.tolist() == [[9, 2, 5]]
