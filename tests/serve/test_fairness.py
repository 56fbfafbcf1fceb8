"""Who waits for whom: small requests meet, large ones take turns, gone ones are dropped."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import CONFIG, ITEMS, USER_KEYS, USER_VECTORS, other_system  # skips without packages
from service_client import Client

import httpx2 as httpx  # isort: skip
from vecrecall.serve import _parts, _scheduler
from vecrecall.serve._errors import RequestError
from vecrecall.serve._jobs import Found, Job, Piece
from vecrecall.serve._scheduler import TOGETHER, Scheduler


class Desk:
    """A scheduler whose work is counted and takes as long as it is told to."""

    def __init__(self, seconds_per_user: float = 0.001, **limits: Any) -> None:
        self.calls: list[list[tuple[str, int, int]]] = []
        self.seconds = seconds_per_user
        self.during: Callable[[], object] = lambda: None
        options = {"queue": 1000, "queue_work": 10**9, "piece_seconds": 0.01, **limits}
        self.scheduler = Scheduler(self._execute, lambda job: None, **options)

    def _execute(self, pieces: list[Piece]) -> list[Any]:
        self.during()
        self.calls.append([(str(p.job.request), p.start, p.stop) for p in pieces])
        self._pass(self.seconds * sum(map(len, pieces)))
        return [
            Found({"items": b",".join(b"%d" % n for n in range(p.start, p.stop))}, {})
            for p in pieces
        ]

    def _pass(self, seconds: float) -> None:
        time.sleep(seconds)

    def job_submitted(self, name: str, users: int) -> Job:
        job = self.job(name, users)
        self.scheduler.submit(job)
        return job

    def job(self, name: str, users: int, k: int = 10, seconds: float = 60.0, key: str = "") -> Job:
        loop = asyncio.get_running_loop()
        now = loop.time()
        return Job("search", name, users, k, 1, key, now + seconds, loop.create_future(), now)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


async def answers(*jobs: Job) -> list[bytes]:
    replies = await asyncio.gather(*(job.answer for job in jobs))
    return [b",".join(reply.fields["items"]) for reply in replies]


def whole(users: int) -> bytes:
    return b",".join(b"%d" % n for n in range(users))


def test_small_requests_meet_and_large_ones_take_turns() -> None:
    async def work() -> None:
        desk = Desk()
        jobs = [desk.job("large", 1000), desk.job("other large", 400)]
        jobs += [desk.job(f"small {n}", 1 + n % 3) for n in range(20)]
        for job in jobs:
            desk.scheduler.submit(job)
        desk.scheduler.start()
        assert await answers(*jobs) == [whole(job.users) for job in jobs]
        first = desk.calls[0]
        assert [name for name, _, _ in first[:-1]] == [f"small {n}" for n in range(20)]
        assert first[-1][0] == "other large", "the one that ends first"
        assert first[-1][2] <= 10
        await desk.scheduler.stop()

    run(work)


def test_no_large_request_waits_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter one passes a longer one, unless that has come much earlier."""

    async def work() -> None:
        desk = Desk()
        monkeypatch.setattr(Desk, "_pass", lambda self, seconds: None)
        desk.scheduler.start()
        now = asyncio.get_running_loop().time()
        jobs = []
        # By the first guess a user takes 1 ms: alone, at a sixteenth, these take 16 s and 1.6 s.
        for name, users, before in (
            ("long", 1000, 0.0),
            ("short", 100, 0.0),
            ("short again", 100, 0.0),
            ("long, of before", 1000, 15.0),
        ):
            job = desk.job(name, users)
            job.arrived = now - before
            jobs.append(job)
        for job in jobs:
            desk.scheduler.submit(job)
        assert await answers(*jobs) == [whole(job.users) for job in jobs]
        users = {str(job.request): job.users for job in jobs}
        ended = [name for call in desk.calls for name, _, stop in call if stop == users[name]]
        assert ended == ["long, of before", "short", "short again", "long"]
        await desk.scheduler.stop()

    run(work)


def test_a_small_request_does_not_wait_for_all_of_a_large_one() -> None:
    async def work() -> None:
        desk = Desk()
        large = desk.job("large", 2000)
        desk.scheduler.submit(large)
        desk.scheduler.start()
        loop = asyncio.get_running_loop()
        waits = []
        for n in range(10):
            await asyncio.sleep(0.02)
            start = loop.time()
            small = desk.job(f"small {n}", 1)
            desk.scheduler.submit(small)
            await small.answer
            waits.append(loop.time() - start)
        assert not large.answer.done()
        assert sorted(waits)[5] < 0.2  # of the 2 seconds that the large one takes
        large.answer.cancel()
        await desk.scheduler.stop()

    run(work)


class Clock:
    """Time that passes only by work, so that shares are exact."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(_scheduler.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(Desk, "_pass", self._pass)

    def _pass(self, seconds: float) -> None:
        self.now += seconds


async def share_of_large(first: int, each: int) -> float:
    """Return the share of the time of a large request while others send small ones.

    So many wait first, and so many come during each call.
    """
    desk = Desk()
    large = desk.job("large", 200)
    small = [desk.job("small", 1) for _ in range(first)]
    loop = asyncio.get_running_loop()

    def come() -> None:
        if not large.answer.done():
            small.extend(desk.job_submitted("small", 1) for _ in range(each))

    desk.during = lambda: loop.call_soon_threadsafe(come)
    for job in (*small, large):
        desk.scheduler.submit(job)
    desk.scheduler.start()
    await large.answer
    await asyncio.gather(*(job.answer for job in small))
    await desk.scheduler.stop()
    assert all(len(call) <= TOGETHER + 1 for call in desk.calls)
    users = 0
    for call in desk.calls:
        users += sum(stop - start for _, start, stop in call)
        if call[-1][2] == 200:
            return 200 / users
    raise AssertionError("the large request was not answered")


def test_large_requests_get_a_quarter_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        Clock(monkeypatch)
        # A piece of 10 ms is paid for by 30 ms of small ones, here by two turns of 20 ms.
        assert 0.18 < await share_of_large(first=20, each=20) < 0.25

    run(work)


def test_large_requests_get_on_where_small_ones_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """More small ones wait than a turn takes, always: large ones give way, but not forever."""

    async def work() -> None:
        Clock(monkeypatch)
        # A piece of 10 ms is paid for by 150 ms, here by three turns of 64 ms.
        assert 0.04 < await share_of_large(first=3 * TOGETHER, each=TOGETHER) < 0.07

    run(work)


def test_a_pause_is_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that took long once does not make the next ones tiny."""

    async def work() -> None:
        Clock(monkeypatch)
        desk = Desk()
        desk.scheduler.start()
        await answers(desk.job_submitted("before", 10))
        desk.seconds = 10.0
        await answers(desk.job_submitted("pause", 10))
        desk.seconds = 0.001
        await answers(desk.job_submitted("after", 100))
        assert desk.calls[2][0][2] >= 7  # of 10 users of 1 ms
        await desk.scheduler.stop()

    run(work)


def test_requests_of_other_kinds_do_not_share_a_scan() -> None:
    async def work() -> None:
        desk = Desk()
        jobs = [desk.job(f"{n}", 1, key=str(n % 2)) for n in range(10)]
        for job in jobs:
            desk.scheduler.submit(job)
        desk.scheduler.start()
        await answers(*jobs)
        assert [[int(name) % 2 for name, _, _ in call] for call in desk.calls] == [[0] * 5, [1] * 5]
        await desk.scheduler.stop()

    run(work)


def test_the_queue_has_a_bound() -> None:
    async def work() -> None:
        desk = Desk(queue=3, queue_work=10_000)
        gone = desk.job("gone", 1)
        jobs = [gone, desk.job("a", 1), desk.job("b", 1)]
        for job in jobs:
            desk.scheduler.submit(job)
        with pytest.raises(RequestError) as error:
            desk.scheduler.submit(desk.job("c", 1))
        assert error.value.status == 503
        assert int(error.value.headers["Retry-After"]) >= 1
        gone.answer.cancel()  # makes room
        with pytest.raises(RequestError):
            desk.scheduler.submit(desk.job("much", 1000))
        late = desk.job("d", 900)
        desk.scheduler.submit(late)
        assert desk.scheduler.waiting_work == 9020
        desk.scheduler.start()
        await answers(*jobs[1:], late)
        assert (desk.scheduler.waiting, desk.scheduler.waiting_work) == (0, 0)
        assert all(name != "gone" for call in desk.calls for name, _, _ in call)
        await desk.scheduler.stop()

    run(work)


def test_gone_and_late_requests_are_dropped() -> None:
    async def work() -> None:
        desk = Desk()
        jobs = [desk.job(f"{n}", 1) for n in range(400)]
        late = desk.job("late", 1, seconds=0.0)
        large = desk.job("large", 5000)
        for job in (*jobs, late, large):
            desk.scheduler.submit(job)
        for job in jobs[1:]:
            job.answer.cancel()
        desk.scheduler.start()
        assert await answers(jobs[0]) == [b"0"]
        with pytest.raises(RequestError) as error:
            await late.answer
        assert error.value.status == 504
        large.answer.cancel()  # in the middle
        last = desk.job("last", 2)
        desk.scheduler.submit(last)
        await answers(last)
        users = sum(stop - start for call in desk.calls for _, start, stop in call)
        assert users < 60
        await desk.scheduler.stop()

    run(work)


def test_a_long_request_is_not_passed_until_its_deadline() -> None:
    """By ever new shorter ones, of which each is known to take less."""

    async def work() -> None:
        desk = Desk(seconds_per_user=0.0001)
        desk.scheduler.start()
        await answers(desk.job_submitted("known", 100))
        job = desk.job("long", 2500, seconds=6.0)
        desk.scheduler.submit(job)
        passed = 0

        async def others() -> None:
            nonlocal passed
            while not job.answer.done():
                await desk.job_submitted("short", 300).answer
                passed += 1

        await asyncio.gather(job.answer, others(), others())
        assert passed > 2
        await desk.scheduler.stop()

    run(work)


def test_what_is_found_at_the_end_is_not_lost() -> None:
    """Of answers that are handed out in steps, too: each is one, or that the service ends."""

    async def work() -> None:
        desk = Desk()
        loop = asyncio.get_running_loop()
        given = [desk.job_submitted(f"{n}", 1) for n in range(30)]
        first = given[0].answer
        first.add_done_callback(lambda _: loop.create_task(desk.scheduler.stop()))
        desk.scheduler.start()
        done, waiting = await asyncio.wait([job.answer for job in given], timeout=10)
        assert not waiting
        told = [answer.exception() for answer in done if answer.exception() is not None]
        assert all(isinstance(error, RequestError) and error.status == 503 for error in told)
        assert 0 < len(told) < 30

    run(work)


def test_a_large_request_is_told_in_time_that_its_deadline_has_passed() -> None:
    """Not when its turn comes, after another large one."""

    async def work() -> None:
        desk = Desk()
        first = desk.job("first", 2000)
        first.arrived -= 60.0
        desk.scheduler.submit(first)
        late = desk.job("late", 3000, seconds=0.1)
        desk.scheduler.submit(late)
        desk.scheduler.start()
        with pytest.raises(RequestError) as error:
            await late.answer
        assert error.value.status == 504
        assert not first.answer.done()
        assert all(name == "first" for call in desk.calls for name, _, _ in call)
        first.answer.cancel()
        await desk.scheduler.stop()

    run(work)


def test_an_error_of_a_call_is_that_of_its_requests() -> None:
    async def work() -> None:
        desk = Desk()

        def broken(pieces: list[Piece]) -> list[Any]:
            raise MemoryError("too much")

        desk.scheduler._execute = broken
        job = desk.job("a", 1)
        desk.scheduler.submit(job)
        desk.scheduler.start()
        with pytest.raises(MemoryError):
            await job.answer
        desk.scheduler._execute = desk._execute
        again = desk.job("b", 3)
        desk.scheduler.submit(again)
        assert await answers(again) == [whole(3)]
        await desk.scheduler.stop()

    run(work)


async def gathered(client: Any, requests: list[tuple[str, Any]]) -> list[Any]:
    """Send requests that all wait before the first is taken."""
    app = client.http.app
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        return await asyncio.gather(*(http.post(path, json=body) for path, body in requests))


def test_gathered_answers_are_those_of_single_requests(client: Any) -> None:
    """Bit for bit, whatever k, filters and sizes meet; bad requests spoil no other."""
    rng = random.Random(0)
    requests: list[tuple[str, Any]] = []
    for n in range(60):
        some = rng.sample(range(len(USER_KEYS)), rng.randrange(1, 6))
        k = rng.choice([1, 3, 10, 10, 40])
        filters = ["even"] if rng.random() < 0.3 else []
        if n % 2:
            users = [USER_KEYS[i] for i in some]
            body = {"users": users, "k": k, "filters": filters, "explain": n % 3 == 0}
            requests.append(("/v1/recall", body))
        else:
            vectors = (USER_VECTORS[some] * (1 + n)).tolist()
            requests.append(("/v1/search", {"vectors": vectors, "k": k, "filters": filters}))
        if n % 7 == 0:
            requests.append(("/v1/search", {"vectors": [[3e38] * 8], "k": k}))
            requests.append(("/v1/recall", {"users": [USER_KEYS[0]], "clusters": [9]}))
    single = [client.http.post(path, json=body) for path, body in requests]
    # In the loop of the service, where the scheduler is.
    replies = client.http.portal.call(gathered, client, requests)
    for (_, body), one, other in zip(requests, single, replies, strict=True):
        assert (one.status_code, one.content) == (other.status_code, other.content), body
    assert {one.status_code for one in single} == {200, 400}
    text = client.http.get("/metrics").text
    most = [line for line in text.splitlines() if line.startswith("vecrecall_batch_requests_sum")]
    scans = [
        line for line in text.splitlines() if line.startswith("vecrecall_batch_requests_count")
    ]
    met = sum(float(line.split()[-1]) for line in most)
    assert met > 1.2 * sum(float(line.split()[-1]) for line in scans), "some requests met"


def test_a_request_that_makes_a_channel_fail_spoils_no_other(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _parts.make_channel

    class Picky:
        def __init__(self, channel: Any) -> None:
            self._channel = channel

        def recall(self, batch: Any, k: int) -> Any:
            if (batch.vectors["tower"] == 7).all(axis=1).any():
                raise RuntimeError
            return self._channel.recall(batch, k)

    def make(spec: Any, parts: Any) -> Any:
        channel = original(spec, parts)
        return Picky(channel) if spec.__struct_config__.tag == "popularity" else channel

    monkeypatch.setattr(_parts, "make_channel", make)
    client.system._recallers = {}
    requests: list[tuple[str, Any]] = [("/v1/recall", {"users": [key]}) for key in USER_KEYS]
    requests[5:5] = [("/v1/recall", {"vectors": {"tower": [[7.0] * 8]}})]
    single = [client.http.post(path, json=body).json() for path, body in requests]
    replies = client.http.portal.call(gathered, client, requests)
    assert [reply.json() for reply in replies] == single
    assert [reply["missing"] for reply in single].count({"hot": "error"}) == 1


def test_a_large_request_is_answered_in_pieces(client: Any) -> None:
    rng = np.random.default_rng(5)
    queries = rng.standard_normal((1500, ITEMS.shape[1])).round(4)
    reply = client.post("/v1/search", vectors=queries.tolist(), k=30)
    for start in range(0, 1500, 500):
        part = client.post("/v1/search", vectors=queries[start : start + 500].tolist(), k=30)
        assert part["items"] == reply["items"][start : start + 500]
        assert part["scores"] == reply["scores"][start : start + 500]


def test_a_client_that_goes(client: Any) -> None:
    """In the middle of a body, and while it waits: nothing fails, nothing is left."""

    async def work() -> None:
        for messages in (
            [{"type": "http.request", "body": b'{"users": ', "more_body": True}],
            [{"type": "http.request", "body": b'{"users": ["a"]}', "more_body": False}],
        ):
            queue = iter([*messages, {"type": "http.disconnect"}])

            async def receive(queue: Any = queue) -> Any:
                return next(queue)

            sent: list[Any] = []

            async def send(message: Any, sent: Any = sent) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/v1/recall",
                "headers": [],
                "query_string": b"",
            }
            await client.http.app(scope, receive, send)
            assert sent[0]["status"] in (200, 499)

    client.http.portal.call(work)
    assert client.post("/v1/recall", users=USER_KEYS[:1])["items"]
    assert client.service.scheduler.waiting == 0


def test_a_large_request_is_answered_by_one_version(config: Path) -> None:
    """Pieces that come after a publication are of the version that the first was answered by."""
    config.write_text(CONFIG + "piece_seconds = 0.0005\n")
    client = Client(config)
    queries = np.random.default_rng(5).standard_normal((400, ITEMS.shape[1])).round(4)
    body = {"vectors": queries.tolist(), "k": 20}
    publish = {"operation": "publish", "folder": str(other_system(config.parent / "other"))}
    before = client.post("/v1/search", **body)
    requests: list[tuple[str, Any]] = [("/v1/search", body)] * 4
    requests[2:2] = [("/v1/versions", publish)]
    replies = client.http.portal.call(gathered, client, requests)
    after = client.post("/v1/search", **body)
    assert after["version"] == replies.pop(2).json()["version"] != before["version"]
    assert after["items"] != before["items"]
    assert all(reply.json() in (before, after) for reply in replies)
    client.close()
