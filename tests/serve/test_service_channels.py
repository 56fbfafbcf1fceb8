"""Channels of every kind by configuration, compared with those of the library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import DIM, ITEMS, N
from service_client import Client

import vecrecall as vr
from vecrecall.serve import _parts

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
