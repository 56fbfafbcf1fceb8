"""The channels over clusters against plain-Python oracles."""

from __future__ import annotations

import time
from typing import Any

import channel_oracle as oracle
import numpy as np
import pytest
import reference
from comparison import METRICS, Metric, assert_same_bits
from datasets import normal
from feed_reference import FeedReference
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.channels import (
    ClusterCandidates,
    ClusterFeedChannel,
    CrossTag,
    GroupProfile,
    UserToItem,
)

SEEDS = st.integers(0, 2**32)
N = 6  # clusters


def some(rng: np.random.Generator, users: int, pool: Any, most: int) -> list[list[int]]:
    return [rng.choice(pool, rng.integers(0, most + 1)).tolist() for _ in range(users)]


@given(
    seed=SEEDS,
    users=st.integers(0, 5),
    k=st.integers(1, 20),
    n_candidates=st.sampled_from([1, 8, 100]),
    metric=st.sampled_from(METRICS),
    any_seen=st.booleans(),
)
def test_cluster_candidates(
    seed: int, users: int, k: int, n_candidates: int, metric: Metric, any_seen: bool
) -> None:
    rng = np.random.default_rng(seed)
    items, ids = normal(rng, 40, 4), rng.permutation(1000)[:40].astype(np.int64)
    items[5:8] = items[0]
    centers = normal(rng, N, 4)
    centers[2] = 0
    stored = [oracle.search(c[None], items, ids, n_candidates, metric, []) for c in centers]
    clusters = some(rng, users, np.arange(-1, N), 3)
    seen = some(rng, users, ids, 15) if any_seen else [[]] * users
    channel = ClusterCandidates(
        vr.FlatIndex(items, ids, metric=metric), centers, n_candidates=n_candidates
    )
    batch = vr.RequestBatch(clusters=clusters, seen=seen if any_seen else None)
    rows = [
        oracle.joined([(1.0, stored[c]) for c in own if c >= 0], "max", set(seen[user]))
        for user, own in enumerate(clusters)
    ]
    assert_same_bits(channel.recall(batch, k), *oracle.as_lists(rows, k))


def test_labels_that_were_merged_away_have_no_list(rng: np.random.Generator) -> None:
    users = np.concatenate([normal(rng, 20, 3) + 9, normal(rng, 20, 3) - 9, normal(rng, 2, 3)])
    groups = vr.UserGroups.fit(users, 3, random_state=1).merge_small(5)
    used = groups.labels_in_use
    (gone,) = set(range(3)) - set(used.tolist())
    index = vr.FlatIndex(normal(rng, 50, 3), metric="cosine")
    channel = ClusterCandidates(index, groups)
    found = channel.recall(vr.RequestBatch(clusters=used), 10)
    assert_same_bits(found, *index.search(groups.centers[used], 10))
    with pytest.raises(ValueError, match=f"clusters: expected one of 2 .* got {gone} in row 1"):
        channel.recall(vr.RequestBatch(clusters=[[int(used[0])], [-1, gone]]), 10)


@given(
    seed=SEEDS,
    users=st.integers(0, 5),
    k=st.integers(1, 12),
    several=st.booleans(),
    any_seen=st.booleans(),
)
def test_cluster_feed(seed: int, users: int, k: int, several: bool, any_seen: bool) -> None:
    rng = np.random.default_rng(seed)
    feed, plain = vr.ClusterFeed(N, half_life=8, capacity=50), FeedReference(N, 8, 50)
    # Ages are whole half-lives and weights small integers: scores are exact, and ties are ties.
    clicks = (
        rng.integers(0, N, 60).tolist(),
        rng.integers(0, 20, 60).tolist(),
        (8.0 * rng.integers(0, 4, 60)).tolist(),
        None,
        rng.integers(1, 4, 60).astype(float).tolist(),
    )
    feed.observe(*clicks)
    plain.observe(*clicks)
    now = 32.0
    pairs = [
        [(item, oracle.f32(float(s))) for item, s in plain.top(cluster, now).items()]
        for cluster in range(N)
    ]
    clusters = some(rng, users, np.arange(-1, N), 3 if several else 1)
    seen = some(rng, users, np.arange(20), 10) if any_seen else [[]] * users
    batch = vr.RequestBatch(clusters=clusters, seen=seen if any_seen else None)
    rows = [
        oracle.joined([(1.0, pairs[c]) for c in own if c >= 0], "max", set(seen[user]))
        for user, own in enumerate(clusters)
    ]
    expected = oracle.as_lists(rows, k)
    for moment in (now, lambda: now):
        assert_same_bits(ClusterFeedChannel(feed, now=moment).recall(batch, k), *expected)


def test_the_feed_is_read_at_each_request() -> None:
    feed = vr.ClusterFeed(1, half_life=10, capacity=9)
    channel = ClusterFeedChannel(feed)
    batch = vr.RequestBatch(clusters=[0])
    assert channel.recall(batch, 1).counts.tolist() == [0]
    feed.observe([0], [7], [time.time()])
    found = channel.recall(batch, 1)
    assert found.ids.tolist() == [[7]]
    assert 0.5 < found.scores[0, 0] <= 1
    clock = iter([np.datetime64("2020-01-01T00:00:10"), np.datetime64("2020-01-01T00:00:20")])
    feed = vr.ClusterFeed(1, half_life=np.timedelta64(10, "s"), capacity=9)
    feed.observe([0], [7], [np.datetime64("2020-01-01")])
    channel = ClusterFeedChannel(feed, now=lambda: next(clock))
    assert [channel.recall(batch, 1).scores.item() for _ in range(2)] == [0.5, 0.25]


def test_an_idle_cluster_keeps_its_order() -> None:
    feed = vr.ClusterFeed(1, half_life=1, capacity=9)
    feed.observe([0, 0, 0], [1, 2, 3], [0, 2, 1])
    found = ClusterFeedChannel(feed, now=5000).recall(vr.RequestBatch(clusters=[[-1, 0]]), 3)
    assert found.ids.tolist() == [[2, 3, 1]]


@given(
    seed=SEEDS,
    users=st.integers(0, 5),
    k=st.integers(1, 25),
    n_candidates=st.sampled_from([1, 8, 20, 100]),
    crosstag=st.booleans(),
    any_seen=st.booleans(),
)
def test_group_profile_is_a_search_for_each_member(
    seed: int, users: int, k: int, n_candidates: int, crosstag: bool, any_seen: bool
) -> None:
    rng = np.random.default_rng(seed)
    items, ids = normal(rng, 40, 4), rng.permutation(1000)[:40].astype(np.int64)
    table = normal(rng, 7, 4)
    bags = [rng.permutation(7)[: rng.integers(0, 6)].tolist() for _ in range(N)]
    weights = [(rng.integers(1, 9, len(bag)) / 4).tolist() for bag in bags]
    categories = [rng.integers(-1, 3, len(bag)).tolist() for bag in bags]
    profiles = vr.RequestBatch(tags=bags, tag_weights=weights, tag_groups=categories)
    index = vr.FlatIndex(items, ids, metric="cosine")
    inner: Any = (
        CrossTag(index, table, tags_per_group=2) if crosstag else UserToItem(index, tag_table=table)
    )
    seen = some(rng, users, ids, 30) if any_seen else [[]] * users

    def complete(group: int) -> oracle.Pairs:
        queries = (
            oracle.strongest_tags(bags[group], categories[group], weights[group], 2)
            if crosstag
            else [list(zip(bags[group], weights[group], strict=True))]
        )
        lists = [
            (1.0, oracle.search(oracle.pooled(table, bag), items, ids, 40, "cosine", []))
            for bag in queries
        ]
        return oracle.joined(lists, "max", set())

    clusters = some(rng, users, np.arange(-1, N), 3)
    rows = [
        oracle.joined([(1.0, complete(c)) for c in own if c >= 0], "max", set(seen[user]))
        for user, own in enumerate(clusters)
    ]
    channel = GroupProfile(inner, profiles, n_candidates=n_candidates)
    batch = vr.RequestBatch(clusters=clusters, seen=seen if any_seen else None)
    assert_same_bits(channel.recall(batch, k), *oracle.as_lists(rows, k))


class Counting:
    """How often, and for how many rows, a channel was asked."""

    def __init__(self, channel: Any) -> None:
        self.channel, self.rows = channel, list[int]()

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        self.rows.append(len(batch))
        return self.channel.recall(batch, k)  # type: ignore[no-any-return]


def test_a_group_is_searched_once_while_its_list_suffices(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(normal(rng, 500, 4), metric="cosine")
    inner = Counting(UserToItem(index, vector="v"))
    vectors = normal(rng, 3, 4)
    channel = GroupProfile(inner, vr.RequestBatch(vectors={"v": vectors}), n_candidates=100)
    best = index.search(vectors[:1], 95).ids[0]
    channel.recall(vr.RequestBatch(clusters=[0, 1, 2, 0], seen=[best[:50], [], [], []]), 50)
    assert inner.rows == [3]
    found = channel.recall(vr.RequestBatch(clusters=[1, 0], seen=[[], best]), 50)
    assert inner.rows == [3, 1]
    assert found.counts.tolist() == [50, 50]


@given(seed=SEEDS, weighted=st.booleans(), grouped=st.booleans())
def test_pseudo_users_sum_tags(seed: int, weighted: bool, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    bags = some(rng, 12, np.arange(-1, 5), 6)
    weights = [(rng.integers(0, 9, len(bag)) / 4).tolist() for bag in bags]
    categories = [rng.integers(-1, 2, len(bag)).tolist() for bag in bags]
    labels = rng.integers(-1, N, 12)
    vectors = normal(rng, 12, 3)
    found = GroupProfile.pseudo_users(
        vr.RequestBatch(
            tags=bags,
            tag_weights=weights if weighted else None,
            tag_groups=categories if grouped else None,
            vectors={"v": vectors},
        ),
        labels,
        N,
    )
    assert found.tags is not None
    assert found.tag_weights is not None
    assert (found.tag_groups is not None) == grouped
    for group in range(N):
        total: dict[tuple[int, int], float] = {}
        for user in np.flatnonzero(labels == group):
            for tag, weight, category in zip(
                bags[user], weights[user], categories[user], strict=True
            ):
                if tag >= 0:
                    key = (tag, category if grouped else -1)
                    total[key] = total.get(key, 0) + (weight if weighted else 1)
        ordered = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))
        assert found.tags[group].tolist() == [tag for (tag, _), _ in ordered]
        assert found.tag_weights[group].tolist() == [weight for _, weight in ordered]
        if found.tag_groups is not None:
            assert found.tag_groups[group].tolist() == [category for (_, category), _ in ordered]
        members = [np.flatnonzero(labels == group).tolist()]
        assert_same = reference.pool(vectors, members, None, normalize=True)
        np.testing.assert_array_equal(found.vectors["v"][[group]], assert_same)


def test_the_profile_of_user_groups_goes_in_as_vectors(rng: np.random.Generator) -> None:
    users = normal(rng, 60, 4)
    groups = vr.UserGroups.fit(users, 3)
    index = vr.FlatIndex(normal(rng, 50, 4), metric="cosine")
    profiles = vr.RequestBatch(vectors={"v": groups.profile(users, groups.labels)})
    channel = GroupProfile(UserToItem(index, vector="v"), profiles)
    found = channel.recall(vr.RequestBatch(clusters=[2, 0, 1]), 7)
    assert_same_bits(found, *index.search(profiles.vectors["v"][[2, 0, 1]], 7))
    pooled = GroupProfile.pseudo_users(vr.RequestBatch(vectors={"v": users}), groups.labels, 3)
    np.testing.assert_array_equal(pooled.vectors["v"], profiles.vectors["v"])


INDEX = vr.FlatIndex(np.eye(3, dtype=np.float32))
FEED = vr.ClusterFeed(3, half_life=1, capacity=9)
BY_VECTOR = UserToItem(INDEX, vector="v")
PROFILES = vr.RequestBatch(vectors={"v": np.eye(3)})
CHANNELS = [
    ClusterCandidates(INDEX, np.eye(3)),
    ClusterFeedChannel(FEED, now=0),
    GroupProfile(BY_VECTOR, PROFILES),
]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: type(c).__name__)
def test_bad_requests(channel: Any) -> None:
    name = type(channel).__name__
    with pytest.raises(ValueError, match=f"^{name}: expected a batch with clusters, got none"):
        channel.recall(vr.RequestBatch(user_ids=[1]), 3)
    for bad in (3, -2, 2**40):
        with pytest.raises(ValueError, match=rf"^clusters: expected .* got {bad} in row 2"):
            channel.recall(vr.RequestBatch(clusters=[[0, 1], [], [-1, bad]]), 3)
    with pytest.raises(ValueError, match=r"^k: "):
        channel.recall(vr.RequestBatch(clusters=[0]), 0)
    assert channel.recall(vr.RequestBatch(clusters=[[]]), 2).ids.tolist() == [[-1, -1]]
    assert channel.recall(vr.RequestBatch(clusters=[]), 2).ids.shape == (0, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ClusterCandidates(INDEX, [[np.nan] * 3]), ValueError, "centers: expected finite"),
        (lambda: ClusterCandidates(INDEX, np.eye(3), n_candidates=0), ValueError, "n_candidates:"),
        (lambda: ClusterFeedChannel(INDEX), TypeError, "feed: expected a ClusterFeed, got FlatI"),  # type: ignore[arg-type]
        (lambda: ClusterFeedChannel(FEED, now=np.inf), ValueError, "now: expected"),
        (
            lambda: ClusterFeedChannel(FEED, now=lambda: np.nan).recall(
                vr.RequestBatch(clusters=[0]), 1
            ),
            ValueError,
            "now: expected",
        ),
        (
            lambda: GroupProfile(BY_VECTOR, np.eye(3)),  # type: ignore[arg-type]
            TypeError,
            "profiles: expected a RequestBatch, got ndarray",
        ),
        (
            lambda: GroupProfile(BY_VECTOR, vr.RequestBatch(tags=[[0]])),
            ValueError,
            "UserToItem: expected a batch with vectors 'v'",
        ),
        (
            lambda: GroupProfile(
                BY_VECTOR, vr.RequestBatch(vectors={"v": np.eye(1, 3)}, seen=[[1]])
            ),
            ValueError,
            "profiles: expected no seen",
        ),
        (lambda: GroupProfile(BY_VECTOR, PROFILES, n_candidates=-1), ValueError, "n_candidates:"),
        (
            lambda: GroupProfile.pseudo_users(vr.RequestBatch(user_ids=[1]), [0], 1),
            ValueError,
            "users: expected a batch with tags or vectors",
        ),
        (
            lambda: GroupProfile.pseudo_users(PROFILES, [0, 1, 2], 2),
            ValueError,
            "labels: expected labels from 0 to 1, .* got 2 in row 2",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()
