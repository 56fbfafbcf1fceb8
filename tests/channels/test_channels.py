"""The channels against plain-Python oracles; what a user has seen never shortens a list."""

from __future__ import annotations

from typing import Any

import channel_oracle as oracle
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, arrays, assert_same_bits
from datasets import normal
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.channels import CrossTag, ItemToItem, LiveNeighbors, Precomputed, UserToItem

F32 = npt.NDArray[np.float32]
SEEDS = st.integers(0, 2**32)


class Bare:
    """No more of an index than channels may ask for."""

    def __init__(self, index: vr.FlatIndex) -> None:
        self._index = index

    def search(self, queries: Any, k: int, *, exclude: Any = None) -> vr.SearchResult:
        return self._index.search(queries, k, exclude=exclude)


def some(rng: np.random.Generator, users: int, pool: Any, most: int) -> list[list[int]]:
    """Draw up to `most` for each user, sometimes one twice."""
    return [rng.choice(pool, rng.integers(0, most + 1)).tolist() for _ in range(users)]


def floats(rng: np.random.Generator, rows: list[list[int]]) -> list[list[float]]:
    return [(rng.integers(1, 9, len(row)) / 4).tolist() for row in rows]


def random_table(rng: np.random.Generator, ids: Any) -> dict[int, oracle.Pairs]:
    table = {}
    for item in ids:
        similar = rng.permutation(ids)[: rng.integers(0, 12)]
        scores = np.sort(rng.integers(1, 6, len(similar)) / 7).astype(np.float32)[::-1]
        table[int(item)] = list(zip(similar.tolist(), scores.tolist(), strict=True))
    return table


def neighbor_table(table: dict[int, oracle.Pairs]) -> vr.NeighborTable:
    return vr.NeighborTable(
        list(table),
        [[item for item, _ in row] for row in table.values()],
        [[score for _, score in row] for row in table.values()],
    )


@given(
    seed=SEEDS,
    users=st.integers(0, 4),
    k=st.integers(1, 30),
    length=st.integers(1, 6),
    decay=st.sampled_from([1.0, 0.5, 0.3]),
    how=st.sampled_from(["sum", "max"]),
    exclude_history=st.booleans(),
    weighted=st.booleans(),
    any_seen=st.booleans(),
)
def test_item_to_item_from_a_table(
    seed: int, users: int, k: int, length: int, decay: float, how: Any,
    exclude_history: bool, weighted: bool, any_seen: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    ids = rng.permutation(10**4)[:40]
    table = random_table(rng, ids)
    history = some(rng, users, [*ids, -1, 10**10], 8)
    weights = floats(rng, history) if weighted else None
    seen = some(rng, users, ids, 15) if any_seen else [[]] * users
    batch = vr.RequestBatch(
        history=history, history_weights=weights, seen=seen if any_seen else None
    )
    channel = ItemToItem(
        neighbor_table(table),
        history_length=length,
        decay=decay,
        aggregate=how,
        exclude_history=exclude_history,
    )
    expected = oracle.item_to_item(
        table, history, weights, seen, k, history_length=length, decay=decay, how=how,
        exclude_history=exclude_history,
    )  # fmt: skip
    assert_same_bits(channel.recall(batch, k), *expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("own_vectors", [False, True])
@pytest.mark.parametrize("how", ["sum", "max"])
@pytest.mark.parametrize("exclude_history", [False, True])
def test_item_to_item_live(
    metric: Metric, own_vectors: bool, how: Any, exclude_history: bool, rng: np.random.Generator
) -> None:
    items, ids = normal(rng, 60, 5), rng.permutation(1000)[:60].astype(np.int64)
    items[10:13] = items[0]
    floor = {"ip": 0.5, "cosine": 0.1, "l2": -9.0}[metric]
    history = some(rng, 7, [*ids, 5000], 6)
    seen = some(rng, 7, ids, 10)
    weights = floats(rng, history)
    index = vr.FlatIndex(items, ids, metric=metric)
    source = (
        LiveNeighbors(Bare(index), n_neighbors=8, min_score=floor, vectors=items, ids=ids)
        if own_vectors
        else LiveNeighbors(index, n_neighbors=8, min_score=floor)
    )
    channel = ItemToItem(
        source, history_length=4, decay=0.5, aggregate=how, exclude_history=exclude_history
    )
    rows = []
    for user, clicks in enumerate(history):
        without = [*seen[user], *(clicks if exclude_history else [])]
        lists = []
        for place, item in enumerate(clicks[:4]):
            if item != 5000:
                query = items[np.flatnonzero(ids == item)]
                found = oracle.search(query, items, ids, 8, metric, [*without, item])
                kept = [(i, s) for i, s in found if s >= floor]
                lists.append((0.5**place * weights[user][place], kept))
        rows.append(oracle.joined(lists, how, set()))
    batch = vr.RequestBatch(history=history, history_weights=weights, seen=seen)
    assert_same_bits(channel.recall(batch, 20), *oracle.as_lists(rows, 20))


def test_live_neighbors_of_the_table_are_the_table(rng: np.random.Generator) -> None:
    index = vr.FlatIndex(normal(rng, 50, 4), metric="cosine")
    batch = vr.RequestBatch(history=[[3], [49], [7]])
    table = vr.NeighborTable.build(index, 10, min_score=0.6)
    live = LiveNeighbors(index, n_neighbors=10, min_score=0.6)
    first, second = (ItemToItem(s).recall(batch, 10) for s in (table, live))
    assert_same_bits(first, *arrays(second))


def test_a_weight_of_zero_and_an_article_of_zeros() -> None:
    items = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    live = ItemToItem(LiveNeighbors(vr.FlatIndex(items), n_neighbors=5))
    batch = vr.RequestBatch(history=[[0, 1], [2], []], history_weights=[[0, 1], [1], []])
    found = live.recall(batch, 2)
    assert found.ids.tolist() == [[2, -1], [-1, -1], [-1, -1]]
    assert found.counts.tolist() == [1, 0, 0]


@pytest.mark.parametrize("metric", METRICS)
def test_user_to_item_by_name(metric: Metric, rng: np.random.Generator) -> None:
    items, ids = normal(rng, 80, 6), rng.permutation(1000)[:80].astype(np.int64)
    vectors = normal(rng, 9, 6)
    vectors[[2, 8]] = 0
    seen = some(rng, 9, ids, 30)
    batch = vr.RequestBatch(vectors={"dssm": vectors, "x": normal(rng, 9, 3)}, seen=seen)
    index = vr.FlatIndex(items, ids, metric=metric)
    rows = [oracle.search(vectors[i : i + 1], items, ids, 20, metric, seen[i]) for i in range(9)]
    for searched in (index, Bare(index)):
        found = UserToItem(searched, vector="dssm").recall(batch, 20)
        assert_same_bits(found, *oracle.as_lists(rows, 20))
    assert found.counts.tolist() == [20, 20, 0, 20, 20, 20, 20, 20, 0]


@pytest.mark.parametrize("metric", METRICS)
def test_user_to_item_by_tags(metric: Metric, rng: np.random.Generator) -> None:
    items, ids = normal(rng, 80, 6), np.arange(80)
    table = normal(rng, 15, 6)
    tags = [*some(rng, 6, [*range(15), -1], 7), [], [-1]]
    weights = floats(rng, tags)
    seen = some(rng, 8, ids, 30)
    index = vr.FlatIndex(items, metric=metric)
    rows = []
    for user in range(8):
        query = reference.pool(table, [tags[user]], [weights[user]], normalize=True)
        rows.append(oracle.search(query, items, ids, 20, metric, seen[user]))
    batch = vr.RequestBatch(tags=tags, tag_weights=weights, seen=seen)
    found = UserToItem(index, tag_table=table).recall(batch, 20)
    assert_same_bits(found, *oracle.as_lists(rows, 20))
    assert found.counts[6:].tolist() == [0, 0]


@given(
    seed=SEEDS,
    users=st.integers(0, 5),
    most=st.integers(1, 4),
    weighted=st.booleans(),
    any_seen=st.booleans(),
)
def test_cross_tag(seed: int, users: int, most: int, weighted: bool, any_seen: bool) -> None:
    rng = np.random.default_rng(seed)
    items, ids = normal(rng, 40, 4), rng.permutation(1000)[:40].astype(np.int64)
    table = normal(rng, 12, 4)
    table[3] = 0
    tags = some(rng, users, [*range(12), -1], 9)
    groups = [rng.integers(-1, 4, len(row)).tolist() for row in tags]
    weights = floats(rng, tags) if weighted else None
    seen = some(rng, users, ids, 15) if any_seen else [[]] * users
    rows = []
    for user in range(users):
        w = weights[user] if weights else [1.0] * len(tags[user])
        lists = []
        for bag in oracle.strongest_tags(tags[user], groups[user], w, most):
            query = oracle.pooled(table, bag)
            lists.append((1.0, oracle.search(query, items, ids, 9, "cosine", seen[user])))
        rows.append(oracle.joined(lists, "max", set()))
    batch = vr.RequestBatch(
        tags=tags, tag_groups=groups, tag_weights=weights, seen=seen if any_seen else None
    )
    channel = CrossTag(vr.FlatIndex(items, ids, metric="cosine"), table, tags_per_group=most)
    assert_same_bits(channel.recall(batch, 9), *oracle.as_lists(rows, 9))


def precomputed_rows(
    table: dict[int, oracle.Pairs],
    default: oracle.Pairs,
    keys: list[list[int]],
    seen: list[list[int]],
) -> list[oracle.Pairs]:
    rows = []
    for user, own in enumerate(keys):
        lists = [(1.0, table[key]) for key in own if key in table] or [(1.0, default)]
        rows.append(oracle.joined(lists, "max", set(seen[user])))
    return rows


@given(seed=SEEDS, users=st.integers(0, 5), k=st.integers(1, 14), any_seen=st.booleans())
def test_precomputed(seed: int, users: int, k: int, any_seen: bool) -> None:
    rng = np.random.default_rng(seed)
    table = random_table(rng, rng.permutation(10**4)[:20])
    ids = list(table)
    default = [(int(item), 0.25) for item in rng.permutation(ids)[:5]]
    lists: Any = ([[i for i, _ in row] for row in table.values()],)
    lists += ([[s for _, s in row] for row in table.values()],)
    options: Any = {"default_ids": [i for i, _ in default], "default_scores": [0.25] * 5}
    seen = some(rng, users, ids, 10) if any_seen else [[]] * users
    given_seen = seen if any_seen else None
    keys = some(rng, users, [*ids, 7], 3)

    users_batch = vr.RequestBatch(user_ids=[(row or [3])[0] for row in keys], seen=given_seen)
    found = Precomputed(ids, *lists, **options).recall(users_batch, k)
    rows = precomputed_rows(table, default, [row[:1] for row in keys], seen)
    assert_same_bits(found, *oracle.as_lists(rows, k))

    clusters_batch = vr.RequestBatch(clusters=keys, seen=given_seen)
    found = Precomputed(ids, *lists, key="clusters").recall(clusters_batch, k)
    assert_same_bits(found, *oracle.as_lists(precomputed_rows(table, [], keys, seen), k))
    found = Precomputed(ids, *lists, key="clusters", **options).recall(clusters_batch, k)
    assert_same_bits(found, *oracle.as_lists(precomputed_rows(table, default, keys, seen), k))


def test_precomputed_from_a_search(rng: np.random.Generator) -> None:
    found = vr.FlatIndex(normal(rng, 6, 3)).search(normal(rng, 4, 3), 9)
    channel = Precomputed([10, 11, 12, 13], found.ids, found.scores)
    again = channel.recall(vr.RequestBatch(user_ids=[10, 11, 12, 13]), 9)
    assert_same_bits(again, *arrays(found))


def test_precomputed_lists_in_disorder() -> None:
    channel = Precomputed([1], [[5, -1, 7, 5, 6]], [[0.25, np.nan, 1, 0.5, 1]])
    found = channel.recall(vr.RequestBatch(user_ids=[1, 1], seen=[[], [7]]), 3)
    assert found.ids.tolist() == [[6, 7, 5], [6, 5, -1]]
    assert found.scores[0].tolist() == [1, 1, 0.5]
    no_scores = Precomputed([1], [[9, 3]]).recall(vr.RequestBatch(user_ids=[1]), 2)
    assert no_scores.ids.tolist() == [[9, 3]]
    assert no_scores.scores.tolist() == [[1, 0.5]]


def test_one_list_for_all() -> None:
    channel = Precomputed.for_all([4, 5, 6])
    assert channel.recall(vr.RequestBatch(seen=[[4], [6, 5]]), 2).ids.tolist() == [[5, 6], [4, -1]]
    assert channel.recall(vr.RequestBatch(), 2).ids.shape == (0, 2)


@pytest.mark.parametrize("n_seen", [0, 50, 900])
def test_seen_items_do_not_shorten_a_list(n_seen: int, rng: np.random.Generator) -> None:
    items = normal(rng, 1000, 8)
    index = vr.FlatIndex(items, metric="cosine")
    tags = normal(rng, 10, 8)
    first = index.search(items[:3], n_seen + 1).ids[:, 1:]
    batch = vr.RequestBatch(
        user_ids=[0, 1, 2],
        history=[[0], [1], [2]],
        tags=[[0, 1], [2], [3]],
        tag_groups=[[0, 1], [0], [0]],
        vectors={"u": items[:3]},
        seen=first,
    )
    channels: list[Any] = [
        ItemToItem(LiveNeighbors(index, n_neighbors=50)),
        ItemToItem(vr.NeighborTable.build(index, 999)),
        UserToItem(index, vector="u"),
        UserToItem(index, tag_table=tags),
        CrossTag(index, tags),
        Precomputed([0, 1, 2], index.search(items[:3], 1000).ids),
        Precomputed.for_all(np.arange(1000)),
    ]
    for channel in channels:
        found = channel.recall(batch, 50)
        assert found.counts.tolist() == [50] * 3
        for user in range(3):
            assert not set(found.ids[user].tolist()) & set(first[user].tolist())


def test_a_larger_k_extends_the_lists(rng: np.random.Generator) -> None:
    items = normal(rng, 300, 6)
    index = vr.FlatIndex(items, metric="cosine")
    batch = vr.RequestBatch(
        history=some(rng, 5, range(300), 6),
        tags=[[0, 1, 2, 3]] * 5,
        tag_groups=[[0, 1, 1, 2]] * 5,
        seen=some(rng, 5, range(300), 40),
    )
    for channel in (
        ItemToItem(LiveNeighbors(index, n_neighbors=30)),
        ItemToItem(vr.NeighborTable.build(index, 30), aggregate="max"),
        CrossTag(index, normal(rng, 4, 6)),
    ):
        short, long = channel.recall(batch, 10), channel.recall(batch, 40)
        np.testing.assert_array_equal(short.ids, long.ids[:, :10])


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (lambda index: UserToItem(index, vector="u"), "UserToItem: expected a batch with vectors"),
        (
            lambda index: UserToItem(index, tag_table=np.eye(3)),
            "UserToItem: .* with tags, got none",
        ),
        (lambda index: CrossTag(index, np.eye(3)), "CrossTag: expected a batch with tag_groups"),
        (lambda index: ItemToItem(LiveNeighbors(index)), "ItemToItem: .* with history, got none"),
        (lambda index: Precomputed([1], [[2]]), "Precomputed: .* with user_ids, got none"),
        (lambda index: Precomputed([1], [[2]], key="clusters"), "Precomputed: .* with clusters"),
    ],
)
def test_a_field_is_missing(channel: Any, message: str) -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    batch = vr.RequestBatch(seen=[[1]])
    if "tag_groups" in message:
        batch = vr.RequestBatch(seen=[[1]], tags=[[1]])
    with pytest.raises(ValueError, match=f"^{message}"):
        channel(index).recall(batch, 3)


INDEX = vr.FlatIndex(np.eye(3, dtype=np.float32))
TABLE = vr.NeighborTable([1], [[2]], [[0.5]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: UserToItem(INDEX), ValueError, "vector, tag_table: .* got neither"),
        (
            lambda: UserToItem(INDEX, vector="u", tag_table=np.eye(3)),
            ValueError,
            "vector, tag_table: .* got both",
        ),
        (lambda: UserToItem(INDEX, vector=3), TypeError, "vector: expected a name, got int"),  # type: ignore[arg-type]
        (lambda: CrossTag(INDEX, np.eye(3), tags_per_group=0), ValueError, "tags_per_group: "),
        (lambda: CrossTag(INDEX, [[np.nan]]), ValueError, "tag_table: expected finite values"),
        (lambda: ItemToItem(INDEX), TypeError, "source: expected a NeighborTable or LiveNei"),  # type: ignore[arg-type]
        (lambda: ItemToItem(TABLE, history_length=0), ValueError, "history_length: expected"),
        (lambda: ItemToItem(TABLE, decay=0), ValueError, "decay: expected a number over 0 and at"),
        (lambda: ItemToItem(TABLE, decay=1.5), ValueError, "decay: expected a number over 0 and"),
        (
            lambda: ItemToItem(TABLE, aggregate="mean"),
            ValueError,
            "aggregate: expected one of 'max', 'sum'",
        ),  # type: ignore[arg-type]
        (lambda: LiveNeighbors(INDEX, n_neighbors=0), ValueError, "n_neighbors: expected"),
        (lambda: LiveNeighbors(Bare(INDEX)), TypeError, "vectors: expected the items' vectors"),
        (
            lambda: LiveNeighbors(INDEX, vectors=np.eye(2), ids=[1, 1]),
            ValueError,
            "ids: duplicate id 1",
        ),
        (lambda: Precomputed([1, 1], [[], []]), ValueError, "keys: duplicate id 1"),
        (lambda: Precomputed([1], [[2], [3]]), ValueError, "ids: expected 1 row, got 2"),
        (lambda: Precomputed([1], [[2]], [[np.nan]]), ValueError, "scores: .* got nan for id 2"),
        (lambda: Precomputed([1], [[2]], [[1, 2]]), ValueError, "scores, row 0: expected shape"),
        (lambda: Precomputed([1], [[2]], key="x"), ValueError, "key: expected one of"),  # type: ignore[arg-type]
        (
            lambda: Precomputed.for_all([1], [1e39]),
            ValueError,
            r"default_scores: .* got 1e\+39 for id 1",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_bad_k(k: Any) -> None:
    batch = vr.RequestBatch(
        user_ids=[1], history=[[1]], tags=[[0]], tag_groups=[[0]], vectors={"u": np.ones((1, 3))}
    )
    channels: list[Any] = [
        ItemToItem(TABLE),
        ItemToItem(LiveNeighbors(INDEX)),
        UserToItem(INDEX, vector="u"),
        CrossTag(INDEX, np.eye(3)),
        Precomputed.for_all([1]),
    ]
    for channel in channels:
        with pytest.raises((ValueError, TypeError), match=r"^k: expected a whole number >= 1"):
            channel.recall(batch, k)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda i, x: UserToItem(i, tag_table=x), "tag_table"),
        (lambda i, x: CrossTag(i, x), "tag_table"),
        (lambda i, x: vr.channels.ClusterCandidates(i, x), "centers"),
    ],
)
def test_vectors_of_another_width_than_the_index(make: Any, name: str) -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match=f"^{name}: expected 3 columns, as the index, got 2$"):
        make(index, np.eye(2, dtype=np.float32))
