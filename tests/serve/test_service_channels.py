"""Channels of every kind by configuration, compared with those of the library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from served import DIM, ITEMS, N
from service_client import Client

import vecrecall as vr
from vecrecall.serve import _answers, _parts

TAGS = np.random.default_rng(4).standard_normal((40, DIM), dtype=np.float32)
GROUPS = np.arange(N) % 7
HOT = np.arange(N)[::-3]

CONFIG = """
depth = 60
parallel = 3

[indexes.main]
path = "index"

[channels.tags]
kind = "user_to_item"
index = "main"
tag_table = "tags.npy"

[channels.cross]
kind = "cross_tag"
index = "main"
tag_table = "tags.npy"
tags_per_group = 2
depth = 20

[channels.live]
kind = "item_to_item"
index = "main"
n_neighbors = 25
min_score = 0.5
history_length = 2
decay = 0.5
aggregate = "max"
exclude_history = false

[channels.hot]
kind = "popularity"
file = "hot.npz"
deadline = 0.2

[policy]
name = "Quota"
shares = { tags = 2, cross = 1, live = 1, hot = 1 }
minimum = { hot = 2 }

[[caps]]
file = "groups.npz"
limit = 4
"""

REQUEST: dict[str, Any] = {
    "history": [[3, 200, 7], [], [9]],
    "history_weights": [[1.0, 0.5, 2.0], [], [0.25]],
    "tags": [[1, 2, 30, 5], [7], []],
    "tag_weights": [[1.0, 2.0, 0.5, 4.0], [1.0], []],
    "tag_groups": [[0, 0, 1, 0], [5], []],
    "seen": [[3], [1, 2, 12345], []],
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    vr.FlatIndex(ITEMS, metric="cosine").save(tmp_path / "index")
    np.save(tmp_path / "tags.npy", TAGS)
    np.savez(tmp_path / "hot.npz", ids=HOT)
    np.savez(tmp_path / "groups.npz", ids=np.arange(N), groups=GROUPS)
    path = tmp_path / "service.toml"
    path.write_text(CONFIG)
    client = Client(path)
    yield client
    client.close()


def expected(k: int, channels: Any = None) -> list[list[int]]:
    index = vr.FlatIndex(ITEMS, metric="cosine")
    live = vr.channels.LiveNeighbors(index, n_neighbors=25, min_score=0.5)
    own = {
        "tags": vr.channels.UserToItem(index, tag_table=TAGS),
        "cross": vr.channels.CrossTag(index, TAGS, tags_per_group=2),
        "live": vr.channels.ItemToItem(
            live, history_length=2, decay=0.5, aggregate="max", exclude_history=False
        ),
        "hot": vr.channels.Precomputed.for_all(HOT),
    }
    policy = vr.policies.Quota({"tags": 2, "cross": 1, "live": 1, "hot": 1}, minimum={"hot": 2})
    recaller = vr.Recaller(
        channels or own,
        policy,
        depth={"tags": 60, "cross": 20, "live": 60, "hot": 60},
        caps=[vr.Caps(np.arange(N), GROUPS, 4)],
    )
    merged = recaller.recall(vr.RequestBatch(**REQUEST), k)
    return [row[:n].tolist() for row, n in zip(merged.ids, merged.counts, strict=True)]


def test_channels_policies_depths_and_caps(client: Client) -> None:
    for k in (5, 28, 100):
        reply = client.post("/v1/recall", **REQUEST, k=k)
        assert reply["items"] == expected(k), k
        assert reply["missing"] == {}
    assert max(map(len, reply["items"])) == 28  # four of each of seven groups


def test_bad_tags(client: Client) -> None:
    for fields, field in (
        ({"tags": [[1, 2, 40, 5], [7], []]}, "tags[0][2]"),
        ({"tags": [[1, -2, 3, 5], [7], []]}, "tags[0][1]"),
        ({"tags": [["a", 2, 3, 5], [7], []]}, "tags[0][0]"),
        ({"tag_weights": [[1.0], [1.0], []]}, "tag_weights[0]"),
        ({"tag_weights": [[1.0] * 4, [-1e308], []]}, "tag_weights[1][0]"),
        ({"tag_groups": [[0] * 4, [], []]}, "tag_groups[1]"),
        ({"history_weights": [[1.0, 1e16, 2.0], [], [0.25]]}, "history_weights[0][1]"),
        ({"vectors": {"main": [[1.0] * DIM] * 3}}, "vectors.main"),
        ({"clusters": [0, 0, 0]}, "clusters"),
    ):
        error = client.refused(400, "/v1/recall", {**REQUEST, **fields})
        assert error["field"] == field, (fields, error)


def test_messages_have_numbers_as_json_has_them(client: Client) -> None:
    large = {**REQUEST, "history_weights": [[1.0, 1e16, 2.0], [], [0.25]]}
    message = client.refused(400, "/v1/recall", large)["message"]
    assert message == "history_weights[0][1]: expected a number of at most 1e+15, got 1e+16"
    error = client.refused(400, "/v1/items", {"operation": "add", "items": []})
    assert error["message"] == "items: expected a list of length >= 1, got one of length 0"


def test_a_tower_makes_vectors_of_what_is_known_alone() -> None:
    """A history of unknown items is one of which nothing is known."""

    class Tower:
        def encode_users(self, histories: list[list[str]]) -> Any:
            return np.array([[len(history), 1.0] for history in histories], np.float32)

    system: Any = SimpleNamespace(
        config=SimpleNamespace(towers={"tower": SimpleNamespace(vector=None)}),
        parts=SimpleNamespace(towers={"tower": Tower()}),
        keys=lambda ids: [f"item-{n}" for n in ids],
    )
    history = vr.Ragged.from_lists([[3, -1, 4], [-1, -1], [], [5]])
    rows = np.zeros((4, 2), np.float32)
    rows[3] = 7.0  # known
    _answers._fill_by_tower(system, "tower", history, rows)
    assert rows.tolist() == [[2.0, 1.0], [0.0, 0.0], [0.0, 0.0], [7.0, 7.0]]


def test_filters_of_channels_that_search(client: Client) -> None:
    """The neighbors of a history are found among the items of a filter alone."""
    few = list(range(0, N, 5))
    client.post("/v1/filters", name="few", items=few)
    reply = client.post("/v1/recall", **REQUEST, k=20, filters=["few"], explain=True)
    assert reply["missing"] == {}
    assert {item for row in reply["items"] for item in row} <= set(few)
    index = vr.FlatIndex(ITEMS, metric="cosine")
    own = index.search(ITEMS[[9]], 25, exclude=[[9]], allow=few, min_score=0.5)
    assert set(own[0].ids.tolist()) <= set(reply["items"][2])


def test_policies_take_all_of_their_arguments(tmp_path: Path) -> None:
    index = vr.FlatIndex(ITEMS, metric="l2")
    index.save(tmp_path / "index")
    channel = '[channels.{0}]\nkind = "user_to_item"\nindex = "main"\nvector = "{0}"\n'
    text = '[indexes.main]\npath = "index"\n' + "".join(map(channel.format, "ab"))
    policy = (
        '[policy]\nname = "Maximum"\nabsent = "min"\nnormalize = "max"\nweights = { a = 2, b = 1 }'
    )
    (tmp_path / "service.toml").write_text(text + policy)
    vectors = {"a": ITEMS[[0]], "b": 3 * ITEMS[[1]]}
    recaller = vr.Recaller(
        {name: vr.channels.UserToItem(index, vector=name) for name in vectors},
        vr.policies.Maximum({"a": 2, "b": 1}, normalize="max", absent="min"),
    )
    own = recaller.recall(vr.RequestBatch(vectors=vectors), 10)
    client = Client(tmp_path / "service.toml")
    given = {name: rows.tolist() for name, rows in vectors.items()}
    reply = client.post("/v1/recall", vectors=given, k=10)
    assert reply["items"] == own.ids.tolist()
    client.close()


def test_profiles_of_users_grouped_by_their_vectors(tmp_path: Path) -> None:
    """Without labels of users their groups are those of their known vectors."""
    from vecrecall.train import Embedding

    users = np.random.default_rng(5).standard_normal((50, DIM), dtype=np.float32)
    users[7] = 0  # nothing is known of it
    groups = vr.UserGroups.fit(np.delete(users, 7, axis=0), 4, random_state=0)
    groups.save(tmp_path / "groups")
    vr.FlatIndex(ITEMS).save(tmp_path / "index")
    Embedding(list(range(50)), users).save(tmp_path / "users")
    (tmp_path / "service.toml").write_text(
        '[users]\nvectors = { tower = "users" }\n[indexes.main]\npath = "index"\n'
        '[groupings.type]\ngroups = "groups"\nvector = "tower"\n'
        '[channels.profile]\nkind = "profile"\ngrouping = "type"\n'
        'channel = { kind = "user_to_item", index = "main", vector = "tower" }\n'
    )
    client = Client(tmp_path / "service.toml")
    reply = client.post("/v1/recall", users=[3, 7, 20], k=5)
    index = vr.FlatIndex(ITEMS)
    labels = groups.assign(users).labels[:, 0]
    for user, found in zip((3, 20), (reply["items"][0], reply["items"][2]), strict=True):
        mean = users[(labels == labels[user]) & users.any(axis=1)].mean(axis=0, dtype=np.float64)
        assert found == index.search(mean.astype(np.float32), 5).ids[0].tolist()
    assert reply["items"][1] == []
    client.close()


def test_a_slow_channel_is_left_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and the rest is merged; a request may have a deadline of its own."""

    class Slow:
        def recall(self, batch: Any, k: int) -> Any:
            time.sleep(1.0)
            raise AssertionError

    original = _parts.make_channel

    def make(spec: Any, parts: Any) -> Any:
        return Slow() if spec.__struct_config__.tag == "popularity" else original(spec, parts)

    monkeypatch.setattr(_parts, "make_channel", make)
    client.system._recallers = {}
    start = time.monotonic()
    reply = client.post("/v1/recall", **REQUEST, k=10)
    assert time.monotonic() - start < 0.9
    assert reply["missing"] == {"hot": "late"}
    none = vr.channels.Precomputed.for_all(np.empty(0, np.int64))
    index = vr.FlatIndex(ITEMS, metric="cosine")
    live = vr.channels.LiveNeighbors(index, n_neighbors=25, min_score=0.5)
    channels = {
        "tags": vr.channels.UserToItem(index, tag_table=TAGS),
        "cross": vr.channels.CrossTag(index, TAGS, tags_per_group=2),
        "live": vr.channels.ItemToItem(
            live, history_length=2, decay=0.5, aggregate="max", exclude_history=False
        ),
        "hot": none,
    }
    assert reply["items"] == expected(10, channels)
    text = client.http.get("/metrics").text
    assert 'vecrecall_channel_errors_total{channel="hot",reason="late"} 1.0' in text
    start = time.monotonic()
    client.post("/v1/recall", **REQUEST, k=10, deadline=0.1)
    assert time.monotonic() - start < 0.9
