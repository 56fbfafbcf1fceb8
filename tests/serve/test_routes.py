"""The answers of the routes, compared with the library, and bad requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import HISTORIES, ITEMS, KEYS, LABELS, USER_KEYS, USER_VECTORS, N
from service_client import Client

import vecrecall as vr

ROW = [0.5] * ITEMS.shape[1]


def expected_search(queries: Any, k: int, **options: Any) -> Any:
    found = vr.FlatIndex(ITEMS).search(np.asarray(queries, np.float32), k, **options)
    rows = zip(found.ids, found.scores, found.counts, strict=True)
    lists = [([KEYS[i] for i in ids[:n]], scores[:n].tolist()) for ids, scores, n in rows]
    return {"items": [ids for ids, _ in lists], "scores": [scores for _, scores in lists]}


def expected_recall(
    history: Any, vectors: Any, clusters: Any, seen: Any, k: int, clicks: Any = ()
) -> vr.MergeResult:
    index = vr.FlatIndex(ITEMS)
    feed = vr.ClusterFeed(3, half_life=100.0, capacity=1000)
    if clicks:
        feed.observe(*zip(*clicks, strict=True))
    now = max([0.0, *(time for _, _, time in clicks)])
    counts = np.bincount(np.concatenate(HISTORIES), minlength=N)
    channels = {
        "u2i": vr.channels.UserToItem(index, vector="tower"),
        "i2i": vr.channels.ItemToItem(vr.NeighborTable.build(index, 20)),
        "feed": vr.channels.ClusterFeedChannel(feed, now=now),
        "hot": vr.channels.Precomputed.for_all(np.arange(N), counts),
    }
    policy = vr.policies.RRF({"u2i": 3, "i2i": 2, "feed": 2, "hot": 1})
    batch = vr.RequestBatch(
        history=history, vectors={"tower": vectors}, clusters=clusters, seen=seen
    )
    return vr.Recaller(channels, policy, depth=50).recall(batch, k)


def same(reply: Any, merged: vr.MergeResult) -> None:
    rows = zip(merged.ids, merged.scores, merged.counts, strict=True)
    lists = [([KEYS[i] for i in ids[:n]], scores[:n].tolist()) for ids, scores, n in rows]
    assert reply["items"] == [ids for ids, _ in lists]
    assert reply["scores"] == [scores for _, scores in lists]


def test_search(unchanged: Any) -> None:
    reply = unchanged.post("/v1/search", vectors=USER_VECTORS.tolist(), k=7)
    assert reply == {**expected_search(USER_VECTORS, 7), "version": 1}
    seen = [[KEYS[n], "unknown", KEYS[n + 1]] for n in range(len(USER_VECTORS))]
    reply = unchanged.post("/v1/search", index="tower", vectors=USER_VECTORS.tolist(), exclude=seen)
    exclude = [[n, n + 1] for n in range(len(USER_VECTORS))]
    assert reply == {**expected_search(USER_VECTORS, 10, exclude=exclude), "version": 1}
    even = list(range(0, N, 2))
    reply = unchanged.post("/v1/search", vectors=USER_VECTORS.tolist(), k=N, filters=["even"])
    assert reply == {**expected_search(USER_VECTORS, N, allow=even), "version": 1}
    reply = unchanged.post("/v1/search", vectors=USER_VECTORS.tolist(), k=N, min_score=2.5)
    assert reply == {**expected_search(USER_VECTORS, N, min_score=2.5), "version": 1}
    assert unchanged.post("/v1/search", vectors=[])["items"] == []


def test_recall_of_known_users(unchanged: Any) -> None:
    reply = unchanged.post("/v1/recall", users=USER_KEYS, k=9)
    history = [row[::-1] for row in HISTORIES]
    merged = expected_recall(history, USER_VECTORS, [[label] for label in LABELS], history, 9)
    same(reply, merged)
    assert reply["missing"] == {}


def test_recall_of_what_the_request_says(unchanged: Any) -> None:
    history = [[3, 200], [], [7]]
    vectors = USER_VECTORS[:3] * 2
    fields = {
        "history": [[KEYS[i] for i in row] for row in history],
        "vectors": {"tower": vectors.tolist()},
        "clusters": [0, [1, 2], -1],
        "seen": [[KEYS[1]], [], ["never seen"]],
    }
    reply = unchanged.post("/v1/recall", **fields, k=20)
    same(reply, expected_recall(history, vectors, [[0], [1, 2], [-1]], [[1], [], []], 20))
    by_name = {**fields, "clusters": {"kind": fields["clusters"]}}
    assert unchanged.post("/v1/recall", **by_name, k=20) == reply


def test_recall_of_new_users(unchanged: Any) -> None:
    """Without anything known of them they get what everybody gets."""
    reply = unchanged.post("/v1/recall", users=["stranger", USER_KEYS[0]], k=5)
    none = vr.Ragged.from_lists([[], HISTORIES[0][::-1]])
    vectors = np.stack([np.zeros_like(USER_VECTORS[0]), USER_VECTORS[0]])
    same(reply, expected_recall(none, vectors, [[-1], [LABELS[0]]], none, 5))


def test_explain(unchanged: Any) -> None:
    reply = unchanged.post("/v1/recall", users=USER_KEYS[:2], k=4, explain=True)
    history = [row[::-1] for row in HISTORIES[:2]]
    clusters = [[label] for label in LABELS[:2]]
    merged = expected_recall(history, USER_VECTORS[:2], clusters, history, 4)
    assert reply["channels"] == ["u2i", "i2i", "feed", "hot"]
    assert merged.ranks is not None
    assert merged.channel_scores is not None
    assert reply["ranks"] == merged.ranks.tolist()
    scores = np.array(reply["channel_scores"], np.float64)  # null is NaN
    np.testing.assert_array_equal(scores, merged.channel_scores.astype(np.float64))


def test_filtered_lists_are_full(unchanged: Any) -> None:
    reply = unchanged.post("/v1/recall", users=USER_KEYS, k=50, filters=["even"])
    for items, row in zip(reply["items"], HISTORIES, strict=True):
        assert len(items) == 50
        assert all(int(key.removeprefix("item-")) % 2 == 0 for key in items)
        assert not {KEYS[i] for i in row} & set(items)


def test_clicks_are_seen_at_once(client: Any) -> None:
    clicks = [(0, 250, 5.0), (0, 251, 6.0), (1, 252, 7.0)]
    client.post(
        "/v1/events",
        clusters=[c for c, _, _ in clicks],
        items=[KEYS[i] for _, i, _ in clicks],
        times=[t for _, _, t in clicks],
    )
    history = [row[::-1] for row in HISTORIES]
    clusters = [[label] for label in LABELS]
    merged = expected_recall(history, USER_VECTORS, clusters, history, 30, clicks)
    same(client.post("/v1/recall", users=USER_KEYS, k=30), merged)
    client.post("/v1/events", users=[USER_KEYS[2]], items=[KEYS[253]], times=[8.0])
    clicks.append((LABELS[2], 253, 8.0))
    merged = expected_recall(history, USER_VECTORS, clusters, history, 30, clicks)
    same(client.post("/v1/recall", users=USER_KEYS, k=30), merged)


def test_items_come_and_go(client: Any) -> None:
    query = (100 * ITEMS[0]).tolist()
    before = client.post("/v1/search", vectors=[query], k=2)
    vectors = {"tower": [query, ROW]}
    added = client.post("/v1/items", operation="add", items=["new", "other"], vectors=vectors)
    assert added == {"position": 1, "items": 2}
    assert client.post("/v1/search", vectors=[query], k=1)["items"] == [["new"]]
    error = client.refused(
        409, "/v1/items", {"operation": "add", "items": ["x", "new"], "vectors": vectors}
    )
    assert error["field"] == "items[1]"
    client.post("/v1/items", operation="update", items=["new"], vectors={"tower": [ROW]})
    assert client.post("/v1/search", vectors=[query], k=2) == before
    client.post("/v1/items", operation="remove", items=["new", "other"])
    error = client.refused(404, "/v1/items", {"operation": "remove", "items": [KEYS[0], "new"]})
    assert (error["field"], error["got"]) == ("items[1]", "new")
    client.post("/v1/items", operation="remove", items=["new"], missing="ignore")


def test_a_removed_item_comes_from_no_channel(client: Any) -> None:
    first = client.post("/v1/recall", users=USER_KEYS, k=50)["items"]
    gone = sorted({key for row in first for key in row[:10]})
    client.post("/v1/items", operation="remove", items=gone)
    after = client.post("/v1/recall", users=USER_KEYS, k=50)["items"]
    assert not {key for row in after for key in row} & set(gone)
    assert all(len(row) == 50 for row in after)
    client.post("/v1/items", operation="add", items=gone[:1], vectors={"tower": [ROW]})
    reply = client.post("/v1/search", vectors=[ROW], k=300)
    assert gone[0] in reply["items"][0]


def test_filters_change(client: Any) -> None:
    client.post("/v1/filters", name="mine", items=["later", KEYS[4]])
    fields = {"vectors": [ROW], "filters": ["mine"], "k": 5}
    assert client.post("/v1/search", **fields)["items"] == [[KEYS[4]]]
    client.post(
        "/v1/items", operation="add", items=["later"], vectors={"tower": [[9.0] * len(ROW)]}
    )
    assert client.post("/v1/search", **fields)["items"] == [["later", KEYS[4]]]
    client.post("/v1/filters", name="mine", operation="remove", items=[KEYS[4]])
    client.post("/v1/filters", name="mine", operation="add", items=[KEYS[6]])
    assert set(client.post("/v1/search", **fields)["items"][0]) == {"later", KEYS[6]}
    both = {**fields, "filters": ["mine", "even"]}
    assert client.post("/v1/search", **both)["items"] == [[KEYS[6]]]
    client.post("/v1/filters", name="mine", operation="delete")
    assert client.refused(400, "/v1/search", fields)["field"] == "filters[0]"
    error = client.refused(404, "/v1/filters", {"name": "mine", "operation": "delete"})
    assert error["field"] == "name"


RECALL: list[tuple[int, Any, str]] = [
    (400, b"", "body"),
    (400, b"{", "body"),
    (400, b'{"users": ["user-1"', "body"),
    (400, b"\xff\xfe", "body"),
    (400, b"[" * 100_000, "body"),
    (400, b'{"k": NaN}', "k"),
    (400, b'{"vectors": {"tower": [[1, 2, NaN]]}}', "vectors.tower[0][2]"),
    (400, b'{"vectors": {"tower": [[1, -Infinity]]}}', "vectors.tower[0][1]"),
    (400, b'{"vectors": {"tower": [[nan]]}}', "body"),
    (400, b'{"vectors": {"tower": [["-inf", 1]]}}', "vectors.tower[0][0]"),
    (400, b"NaN", "body"),
    (400, b'{"vectors": {"tower": [[1e999]]}}', "vectors.tower[0][0]"),
    (400, b'{"users": ["\\ud800"]}', "body"),
    (400, [], "body"),
    (400, {}, "users"),
    (400, {"users": ["a"], "top": 3}, "top"),
    (400, {"users": ["a"], "k": 0}, "k"),
    (400, {"users": ["a"], "k": -5}, "k"),
    (400, {"users": ["a"], "k": 1.5}, "k"),
    (400, {"users": ["a"], "k": True}, "k"),
    (400, {"users": ["a"], "k": "10"}, "k"),
    (400, {"users": ["a"], "k": 2**80}, "k"),
    (400, {"users": ["a"], "k": -(2**80)}, "k"),
    (400, {"users": [2**80]}, "users[0]"),
    (400, {"users": ["a"], "history": [[-1]]}, "history[0][0]"),
    (400, {"users": ["a" * 1001]}, "users[0]"),
    (400, {"users": ["a"], "channels": ["u2i"]}, "channels"),
    (400, {"users": ["a"], "explain": "yes"}, "explain"),
    (400, {"users": ["a"], "deadline": 1e300}, "deadline"),
    (400, {"users": ["a"], "🍵": 1}, "🍵"),
    (400, {"users": ["a"], "k": 1001}, "k"),
    (400, {"users": [1]}, "users[0]"),
    (400, {"users": [["a"]]}, "users[0]"),
    (400, {"users": ["a"], "history": []}, "history"),
    (400, {"users": ["a"], "history": ["item-1"]}, "history[0]"),
    (400, {"users": ["a", "b"], "history": [[], ["item-1", 7]]}, "history[1][1]"),
    (400, {"users": ["a"], "seen": [[], []]}, "seen"),
    (400, {"users": ["a"], "history_weights": [[1.0]]}, "history_weights"),
    (400, {"history": [["item-1"]], "history_weights": [[1.0, 2.0]]}, "history_weights[0]"),
    (400, {"users": ["a"], "vectors": {"tower": [ROW[1:]]}}, "vectors.tower[0]"),
    (400, {"users": ["a"], "vectors": {"tower": [["x"] * 8]}}, "vectors.tower[0][0]"),
    (400, {"users": ["a"], "vectors": {"tower": [[None] * 8]}}, "vectors.tower[0][0]"),
    (400, {"users": ["a"], "vectors": {"tower": [[1e39] * 8]}}, "vectors.tower[0][0]"),
    (400, {"users": ["a"], "vectors": {"tower": [ROW, ROW]}}, "vectors.tower"),
    (400, {"users": ["a"], "vectors": {"other": [ROW]}}, "vectors.other"),
    (400, {"users": ["a"], "vectors": {"tower": [["NaN"] * 8]}}, "vectors.tower[0][0]"),
    (400, {"users": ["a"], "tags": [[1]]}, "tags"),
    (400, {"users": ["a"], "clusters": [3]}, "clusters[0]"),
    (400, {"users": ["a"], "clusters": [[0, 3]]}, "clusters[0][1]"),
    (400, {"users": ["a"], "clusters": [-2]}, "clusters[0]"),
    (400, {"users": ["a"], "clusters": {"other": [0]}}, "clusters.other"),
    (400, {"users": ["a"], "filters": ["odd"]}, "filters[0]"),
    (400, {"users": ["a"], "deadline": 0}, "deadline"),
    (400, {"users": ["a"], "deadline": -1}, "deadline"),
    (413, {"users": ["a"] * 2001, "k": 1}, "users"),
    (413, {"users": ["a"] * 51, "k": 1000}, "body"),
    (413, b" " * 1_000_001, "body"),
]


@pytest.mark.parametrize(("status", "body", "field"), RECALL)
def test_bad_recalls(unchanged: Any, status: int, body: Any, field: str) -> None:
    error = unchanged.refused(status, "/v1/recall", body)
    assert error["field"] == field
    assert error["message"].startswith(f"{field}: expected ")
    assert error["expected"]
    assert error["got"]


OTHERS: list[tuple[int, str, Any, str]] = [
    (400, "/v1/search", {}, "vectors"),
    (400, "/v1/search", {"vectors": [ROW], "index": "other"}, "index"),
    (400, "/v1/search", {"vectors": [[]]}, "vectors[0]"),
    (400, "/v1/search", {"vectors": [[3e38] * 8]}, "vectors"),
    (400, "/v1/search", {"vectors": [ROW], "exclude": [[], []]}, "exclude"),
    (400, "/v1/search", {"vectors": [ROW], "min_score": "0"}, "min_score"),
    (400, "/v1/search", {"vectors": [ROW], "probes": 3}, "probes"),
    (413, "/v1/search", {"vectors": [ROW] * 60, "k": 1000}, "body"),
    (400, "/v1/items", {"operation": "drop", "items": ["a"]}, "operation"),
    (400, "/v1/items", {"operation": "add", "items": []}, "items"),
    (400, "/v1/items", {"operation": "add", "items": ["a"]}, "vectors"),
    (400, "/v1/items", {"operation": "add", "items": ["a"], "vectors": {"x": [ROW]}}, "vectors.x"),
    (
        *(400, "/v1/items"),
        {"operation": "add", "items": ["a"], "vectors": {"tower": [ROW, ROW]}},
        "vectors.tower",
    ),
    (
        *(400, "/v1/items"),
        {"operation": "add", "items": ["a", "a"], "vectors": {"tower": [ROW, ROW]}},
        "items[1]",
    ),
    (400, "/v1/items", {"operation": "add", "items": [3], "vectors": {"tower": [ROW]}}, "items[0]"),
    (400, "/v1/items", {"operation": "remove", "items": ["a"], "vectors": {}}, "vectors"),
    (
        *(400, "/v1/items"),
        {"operation": "add", "items": ["a"], "vectors": {"tower": [[1.0] * 7 + [-1e16]]}},
        "vectors.tower[0][7]",
    ),
    (404, "/v1/items", {"operation": "remove", "items": ["a"]}, "items[0]"),
    (400, "/v1/events", {"items": [KEYS[0]]}, "users"),
    (400, "/v1/events", {"items": [KEYS[0]], "users": ["stranger"]}, "users"),
    (400, "/v1/events", {"items": [KEYS[0]], "clusters": [3]}, "clusters[0]"),
    (400, "/v1/events", {"items": [KEYS[0]], "clusters": [0, 1]}, "clusters"),
    (400, "/v1/events", {"items": [KEYS[0]], "clusters": [0], "times": [1e300]}, "times[0]"),
    (400, "/v1/events", {"items": [KEYS[0]], "clusters": [0], "weights": [-1]}, "weights[0]"),
    (400, "/v1/events", {"items": [KEYS[0]], "clusters": [0], "feed": "other"}, "feed"),
    (404, "/v1/events", {"items": ["unknown"], "clusters": [0]}, "items[0]"),
    (404, "/v1/filters", {"name": "none", "operation": "add", "items": []}, "name"),
    (400, "/v1/filters", {"name": "", "items": []}, "name"),
    (400, "/v1/filters", {"name": "a", "items": [7]}, "items[0]"),
    (400, "/v1/versions", {"operation": "publish"}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": "/nowhere"}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": "/"}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": "/proc/self/mem"}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": "a" * 5000}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": "a\0b"}, "folder"),
    (400, "/v1/versions", {"operation": "publish", "folder": ""}, "folder"),
    (400, "/v1/versions", {"operation": "rollback", "folder": "/"}, "folder"),
    (400, "/v1/versions", {"operation": "fold", "since": 1}, "since"),
    (400, "/v1/versions", {"operation": "publish", "folder": "/", "since": -1}, "since"),
    (409, "/v1/versions", {"operation": "rollback"}, "operation"),
]


@pytest.mark.parametrize(("status", "path", "body", "field"), OTHERS)
def test_other_bad_requests(unchanged: Any, status: int, path: str, body: Any, field: str) -> None:
    error = unchanged.refused(status, path, body)
    assert error["field"] == field
    assert "expected" in error["message"]
    assert unchanged.system.position == 0, "nothing was changed"


def test_unicode_keys(client: Any) -> None:
    keys = ["\u0000", "🍵", "e\u0301", "é", " ", "a" * 1000]
    vectors = {"tower": [[float(n)] * 8 for n in range(len(keys))]}
    client.post("/v1/items", operation="add", items=keys, vectors=vectors)
    client.post("/v1/filters", name="these", items=keys)
    reply = client.post("/v1/search", vectors=[[1.0] * 8], filters=["these"])
    assert reply["items"] == [keys[::-1]]


def test_paths_methods_and_the_description(client: Any) -> None:
    http = client.http
    assert http.get("/nothing").status_code == 404
    assert http.get("/v1/recall").status_code == 405
    assert http.post("/v1/recall/", json={"users": ["a"]}).status_code == 404
    assert "message" in http.get("/nothing").json()["error"]
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.get("/readyz").json() == {"status": "ready", "version": 1, "position": 0}
    about = http.get("/openapi.json").json()
    assert about["openapi"].startswith("3.1")
    for path, methods in about["paths"].items():
        for method in methods:
            assert http.request(method, path, content=b"").status_code in (200, 400), path
    text = json.dumps(about)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in about["components"]["schemas"]


def test_words_are_listed(unchanged: Any) -> None:
    for path, body, field, words in (
        ("/v1/items", {"operation": "upsert", "items": ["a"]}, "operation", "add remove update"),
        ("/v1/filters", {"name": "a", "operation": "x"}, "operation", "add delete remove set"),
        ("/v1/search", {"vectors": [ROW], "probes": "all"}, "probes", "exact"),
    ):
        error = unchanged.refused(400, path, body)
        expected = "one of " + ", ".join(f"'{word}'" for word in words.split())
        assert (error["field"], error["expected"]) == (field, expected)


def test_request_ids(unchanged: Any) -> None:
    http = unchanged.http
    assert (
        http.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    for bad in ("", "a b", "x" * 129):
        assert http.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"] != bad
    first, second = (http.get("/healthz").headers["x-request-id"] for _ in range(2))
    assert first != second


def test_figures(client: Any) -> None:
    client.post("/v1/recall", users=USER_KEYS[:2], k=3)
    client.post("/v1/items", operation="add", items=["new"], vectors={"tower": [ROW]})
    client.refused(400, "/v1/recall", {})
    text = client.http.get("/metrics").text
    for line in (
        'vecrecall_requests_total{route="/v1/recall",status="200"} 1.0',
        'vecrecall_requests_total{route="/v1/recall",status="400"} 1.0',
        'vecrecall_request_seconds_count{route="/v1/recall"} 2.0',
        'vecrecall_channel_seconds_count{channel="u2i"} 1.0',
        'vecrecall_batch_users_sum{route="recall"} 2.0',
        'vecrecall_changes_total{kind="put"} 1.0',
        "vecrecall_queue_requests 0.0",
        "vecrecall_version 1.0",
        "vecrecall_position 1.0",
        f'vecrecall_index_items{{index="tower"}} {N + 1}.0',
    ):
        assert line in text.splitlines(), line
    assert (
        f'vecrecall_index_bytes{{index="tower"}} {client.system.parts.indexes["tower"].nbytes}.0'
        in text
    )
    client.post("/v1/filters", name="mine", items=[])
    assert 'artifact="filters.mine"' in client.http.get("/metrics").text
    client.post("/v1/filters", name="mine", operation="delete")
    assert 'artifact="filters.mine"' not in client.http.get("/metrics").text
    for artifact in ("items", "indexes.tower", "tables.similar", "feeds.kind", "filters.even"):
        assert f'vecrecall_artifact_age_seconds{{artifact="{artifact}"}}' in text


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[Any]:
    """A service of an index in lists, with a bias."""
    bias = np.linspace(-1, 1, N)
    index = vr.IVFIndex(ITEMS, bias=bias, n_lists=12)
    index.save(tmp_path / "index")
    path = tmp_path / "listed.toml"
    path.write_text(
        '[indexes.main]\npath = "index"\nprobes = 2\n[channels.u2i]\nkind = "user_to_item"\n'
        'index = "main"\nvector = "user"\n'
    )
    client = Client(path)
    yield client
    client.close()


def test_an_index_in_lists(listed: Any) -> None:
    index = vr.IVFIndex(ITEMS, bias=np.linspace(-1, 1, N), n_lists=12)
    for fields, probes in (({}, 2), ({"probes": 5}, 5), ({"probes": "exact"}, "exact")):
        reply = listed.post("/v1/search", vectors=USER_VECTORS.tolist(), **fields)
        expected = index.search(USER_VECTORS, 10, probes=probes)
        assert reply["items"] == expected.ids.tolist(), probes
        assert reply["scores"] == expected.scores.tolist(), probes
    reply = listed.post("/v1/recall", vectors={"user": USER_VECTORS.tolist()}, k=10)
    assert reply["items"] == index.search(USER_VECTORS, 10, probes=2).ids.tolist()
    index.add(ITEMS[:2] * 2, [900, 901])
    vectors = {"main": (ITEMS[:2] * 2).tolist()}
    listed.post("/v1/items", operation="add", items=[900, 901], vectors=vectors)
    listed.post("/v1/items", operation="remove", items=[7])
    index.remove([7])
    for _ in range(2):
        reply = listed.post("/v1/search", vectors=ITEMS[:2].tolist(), probes="exact")
        assert reply["items"] == index.search(ITEMS[:2], 10, probes="exact").ids.tolist()
        listed.post("/v1/versions", operation="fold")
    text = listed.http.get("/metrics").text
    nbytes = listed.system.parts.indexes["main"].nbytes
    assert f'vecrecall_index_bytes{{index="main"}} {float(nbytes)}' in text
    for probes in (0, -1, 1.5, "all", True, [1]):
        error = listed.refused(400, "/v1/search", {"vectors": [ROW], "probes": probes})
        assert error["field"] == "probes"


def test_biases_of_items(listed: Any) -> None:
    fields = {"items": [900, 901], "vectors": {"main": [ROW, ROW]}}
    listed.post("/v1/items", operation="add", **fields, bias={"main": [50.0, -3.5]})
    reply = listed.post("/v1/search", vectors=[ROW], k=N + 2)
    scores = dict(zip(reply["items"][0], reply["scores"][0], strict=True))
    assert (scores[900], scores[901]) == (52.0, -1.5)
    listed.post("/v1/items", operation="update", **fields)
    reply = listed.post("/v1/search", vectors=[ROW], k=N + 2)
    scores = dict(zip(reply["items"][0], reply["scores"][0], strict=True))
    assert (scores[900], scores[901]) == (2.0, 2.0)
    for bias, field in (
        ({"main": [1.0]}, "bias.main"),
        ({"other": [1.0, 1.0]}, "bias.other"),
        ({"main": [1.0, "x"]}, "bias.main[1]"),
        ({"main": [1.0, None]}, "bias.main[1]"),
        ({"main": [1.0, 1e16]}, "bias.main[1]"),
        ([1.0, 1.0], "bias"),
    ):
        body = {"operation": "update", **fields, "bias": bias}
        assert listed.refused(400, "/v1/items", body)["field"] == field, bias
    body = {"operation": "remove", "items": [900], "bias": {}}
    assert listed.refused(400, "/v1/items", body)["field"] == "bias"
