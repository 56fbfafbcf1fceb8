"""Random requests: no 500, every refusal says where, and memory does not grow."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import DIM, KEYS, USER_KEYS, write_system
from service_client import Client

PATHS = ("/v1/recall", "/v1/search", "/v1/items", "/v1/events", "/v1/filters", "/v1/versions")
FIELDS = (
    *("users", "history", "history_weights", "tags", "tag_weights", "tag_groups", "vectors"),
    *("clusters", "seen", "filters", "k", "explain", "deadline", "index", "exclude", "min_score"),
    *("operation", "items", "missing", "times", "weights", "feed", "name", "folder", "since"),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, 2**63, 2**64, 10**30, -(2**63)]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*KEYS[:3], *USER_KEYS[:3], "tower", "kind", "even", "add", "remove", "set"]),
    st.sampled_from(["update", "delete", "publish", "rollback", "fold", "error", "ignore"]),
)
ROWS = st.lists(st.floats(width=32), min_size=DIM, max_size=DIM)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.lists(st.lists(SCALARS, max_size=3), max_size=3),
    st.lists(ROWS, max_size=3),
    st.dictionaries(st.sampled_from(["tower", "kind", "other"]), st.lists(ROWS, max_size=3)),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=3),
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)

# Nearly right ones, of which one field is replaced.
RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("/v1/recall", {"users": USER_KEYS[:2], "k": 3}),
    ("/v1/recall", {"history": [[KEYS[0]], []], "clusters": [0, 1], "seen": [[], []]}),
    ("/v1/recall", {"vectors": {"tower": [[1.0] * DIM]}, "filters": ["even"], "explain": True}),
    ("/v1/search", {"vectors": [[1.0] * DIM], "k": 3, "exclude": [[KEYS[1]]], "min_score": 0.5}),
    ("/v1/items", {"operation": "update", "items": [KEYS[5]], "vectors": {"tower": [[1.0] * DIM]}}),
    ("/v1/items", {"operation": "remove", "items": [KEYS[6]], "missing": "ignore"}),
    ("/v1/events", {"items": [KEYS[7]], "clusters": [0], "times": [1.0], "weights": [1.0]}),
    ("/v1/filters", {"name": "mine", "operation": "set", "items": [KEYS[8]]}),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(write_system(tmp_path_factory.mktemp("fuzz")))
    yield client
    client.close()


def send(client: Client, path: str, body: bytes) -> None:
    response = client.http.post(path, content=body)
    assert response.status_code in (200, 400, 404, 409, 413), (path, body, response.text)
    if response.status_code != 200:
        error = response.json()["error"]
        assert error["message"]
        assert error["field"], (path, body, error)


CALM = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@CALM
@given(path=st.sampled_from(PATHS), body=BODIES)
def test_random_fields(shared: Client, path: str, body: Any) -> None:
    send(shared, path, json.dumps(body).encode())


@CALM
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=50))
def test_random_bytes(shared: Client, path: str, body: bytes) -> None:
    send(shared, path, body)


@settings(CALM, max_examples=400)
@given(right=st.sampled_from(RIGHT), name=st.sampled_from(FIELDS), value=VALUES, data=st.data())
def test_nearly_right_requests(
    shared: Client, right: Any, name: str, value: Any, data: st.DataObject
) -> None:
    path, fields = right
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(fields)))
    send(shared, path, json.dumps({**fields, name: value}).encode())


@CALM
@given(right=st.sampled_from(RIGHT), data=st.data())
def test_cut_and_damaged_requests(shared: Client, right: Any, data: st.DataObject) -> None:
    path, fields = right
    body = bytearray(json.dumps(fields).encode())
    del body[data.draw(st.integers(0, len(body))) :]
    for _ in range(data.draw(st.integers(0, 2))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    send(shared, path, bytes(body))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_memory_is_flat(shared: Client) -> None:
    """Thousands of good and bad requests leave nothing behind."""

    def resident() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * 4096

    requests = [(path, json.dumps(fields).encode()) for path, fields in RIGHT]
    requests += [("/v1/recall", b'{"users": [%d]}'), ("/v1/nothing", b""), ("/v1/search", b"{")]

    def some(n: int) -> None:
        for i in range(n):
            path, body = requests[i % len(requests)]
            shared.http.post(path, content=body)

    some(300)
    before = resident()
    some(1000)
    assert resident() - before < 12 << 20  # 12 kB per request
