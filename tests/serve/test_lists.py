"""Lists that channels have made of an index follow its changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import CLUSTERS, DIM, ITEMS, KEYS, LABELS, USER_KEYS, USER_VECTORS, N, write_system
from service_client import Client
from waiting import until

import vecrecall as vr
from vecrecall.serve import _lists
from vecrecall.storage import _array_folder

CONFIG = """
[items]
keys = "items"

[users]
keys = "users"
vectors = { tower = "vectors" }

[indexes.tower]
path = "index"

[groupings.kind]
labels = "labels"

[filters.even]
file = "even.json"

[channels.cluster]
kind = "cluster"
index = "tower"
grouping = "kind"
n_candidates = 40

[channels.profile]
kind = "profile"
grouping = "kind"
n_candidates = 40
channel = { kind = "user_to_item", index = "tower", vector = "tower" }

[policy]
name = "Interleave"
"""
CENTERS = np.random.default_rng(2).standard_normal((CLUSTERS, DIM), dtype=np.float32)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(_lists, "_PAUSE", 0.05)
    path = write_system(tmp_path, CONFIG)
    labels = {"labels": np.array(LABELS), "centers": CENTERS}
    _array_folder.save(tmp_path / "labels", "SavedSystem", {}, labels)
    client = Client(path)
    yield client
    client.close()


def expected(index: vr.FlatIndex, keys: list[str], allow: Any = None) -> list[list[str]]:
    """Return the lists of channels that are made of the index as it is now."""
    allowed = index.ids if allow is None else allow
    part = vr.FlatIndex(index.vectors(allowed), allowed)
    users = vr.RequestBatch(vectors={"tower": USER_VECTORS})
    channels: dict[str, Any] = {
        "cluster": vr.channels.ClusterCandidates(part, CENTERS, n_candidates=40),
        "profile": vr.channels.GroupProfile(
            vr.channels.UserToItem(part, vector="tower"),
            vr.channels.GroupProfile.pseudo_users(users, LABELS, CLUSTERS),
            n_candidates=40,
        ),
    }
    batch = vr.RequestBatch(clusters=LABELS)
    merged = vr.Recaller(channels, vr.policies.Interleave()).recall(batch, 10)
    return [[keys[i] for i in row[:n]] for row, n in zip(merged.ids, merged.counts, strict=True)]


def becomes(client: Client, lists: list[list[str]], **fields: Any) -> None:
    late = time.monotonic() + 20
    while (got := client.post("/v1/recall", users=USER_KEYS, **fields)["items"]) != lists:
        assert time.monotonic() < late, (got, lists)
        time.sleep(0.02)


def test_new_and_changed_items_come_into_lists(client: Client) -> None:
    index = vr.FlatIndex(ITEMS)
    keys = [*KEYS, "new"]
    even = np.arange(0, N, 2)
    becomes(client, expected(index, keys))
    becomes(client, expected(index, keys, even), filters=["even"])
    rows = np.stack([5 * CENTERS[0], 4 * CENTERS[1]])
    client.post(
        "/v1/items",
        operation="update",
        items=["new", KEYS[8]],
        vectors={"tower": rows.tolist()},
    )
    index.update(rows, [N, 8])
    lists = expected(index, keys)
    assert any("new" in row for row in lists)
    becomes(client, lists)
    becomes(client, expected(index, keys, even), filters=["even"])
    client.post("/v1/filters", name="even", operation="add", items=["new"])
    becomes(client, expected(index, keys, np.append(even, N)), filters=["even"])
    client.post("/v1/items", operation="remove", items=["new"])
    index.remove([N])
    becomes(client, expected(index, keys))
    text = client.http.get("/metrics").text
    for name in ("cluster", "profile"):
        assert f'vecrecall_artifact_age_seconds{{artifact="channels.{name}"}}' in text


def test_a_publication_has_lists_of_its_own(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    path = write_system(folder, CONFIG)
    vr.FlatIndex(-ITEMS).save(folder / "index", vocabulary=vr.Vocabulary(KEYS))
    labels = {"labels": np.array(LABELS), "centers": CENTERS}
    _array_folder.save(folder / "labels", "SavedSystem", {}, labels)
    before = client.post("/v1/recall", users=USER_KEYS)["items"]
    client.post("/v1/versions", operation="publish", folder=str(path))
    assert client.post("/v1/recall", users=USER_KEYS)["items"] == expected(
        vr.FlatIndex(-ITEMS), KEYS
    )
    client.post("/v1/versions", operation="rollback")
    assert client.post("/v1/recall", users=USER_KEYS)["items"] == before


def test_the_thread_ends_when_nothing_is_to_do(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lists, "_PAUSE", 0.5)

    def runs() -> bool:
        return any(thread.name == "vecrecall-lists" for thread in threading.enumerate())

    row = {"tower": [[1.0] * DIM]}
    client.post("/v1/items", operation="add", items=["new"], vectors=row)
    assert runs()
    until(lambda: not runs(), 20)


def test_clusters_that_a_channel_does_not_know(client: Client, tmp_path: Path) -> None:
    """A grouping has more of them than its lists: they are none, and spoil nothing of others."""
    labels = {"labels": np.array(LABELS) % 2, "centers": CENTERS}  # no user is in the last
    folder = tmp_path / "other"
    folder.mkdir()
    path = write_system(folder, CONFIG.replace("n_candidates = 40\nchannel", "channel"))
    _array_folder.save(folder / "labels", "SavedSystem", {}, labels)
    client.post("/v1/versions", operation="publish", folder=str(path))
    alone = client.post("/v1/recall", users=USER_KEYS[:1], k=20)
    both = client.post("/v1/recall", users=[*USER_KEYS[:1], "x"], clusters=[0, 2], k=20)
    assert both["items"][0] == alone["items"][0]
    assert both["missing"] == {}
    assert len(both["items"][1]) == 20  # of the center; no user is pooled
    client.refused(400, "/v1/recall", {"users": ["x"], "clusters": [3]})
