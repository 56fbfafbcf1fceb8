"""Services in processes of their own: signals, kills, slow clients, tokens, logs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import CONFIG, DIM, KEYS, USER_KEYS, Running, other_system, running, write_plain
from waiting import until

from vecrecall.cli.main import main
from vecrecall.serve._lifeline import output_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.slow,
]

ROW = [9.0] * DIM


@contextlib.contextmanager
def connected(service: Running, content: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock:
        sock.sendall(content)
        yield sock


def closed_by_server(sock: socket.socket, seconds: float) -> bool:
    sock.settimeout(seconds)
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_is_on_time_whatever_clients_do(config: Path, workers: int) -> None:
    head = b"POST /v1/recall HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"
    arguments = ("--drain", "1", "--workers", str(workers))
    with running(config, *arguments) as service, contextlib.ExitStack() as clients:
        for content in (b"", b"GET /he", b"POST / HTTP/1.1\r\nHost: a\r\n", head):
            for _ in range(3):
                clients.enter_context(connected(service, content))
        service.post("/v1/recall", users=USER_KEYS)
        start = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - start < 1 + 4  # the drain, and the end of processes


def test_threads_that_compute_give_way() -> None:
    """Those of Python do not: they hold the interpreter, which the others would wait for."""
    program = (
        "import os, threading, numpy as np, vecrecall as vr\n"
        "from vecrecall.serve._server import settle\n"
        "rows = np.random.default_rng(0).standard_normal((50_000, 64), dtype=np.float32)\n"
        "vr.FlatIndex(rows).search(rows[:64], 10)\n"
        "done = threading.Event()\n"
        "threading.Thread(target=done.wait).start()\n"
        "settle()\n"
        "python = {thread.native_id for thread in threading.enumerate()}\n"
        "for task in map(int, os.listdir('/proc/self/task')):\n"
        "    print(task in python, os.getpriority(os.PRIO_PROCESS, task))\n"
        "done.set()\n"
    )
    own = {**os.environ, "VECRECALL_NUM_THREADS": "3"}
    lines = subprocess.run(
        [sys.executable, "-c", program], env=own, capture_output=True, check=True, timeout=60
    ).stdout.decode()
    here = os.getpriority(os.PRIO_PROCESS, 0)
    of_python = [int(line.split()[1]) for line in lines.splitlines() if line.startswith("True")]
    others = [int(line.split()[1]) for line in lines.splitlines() if line.startswith("False")]
    assert of_python == [here] * 2
    assert len(others) >= 2  # helpers
    assert all(nice == min(here + 8, 19) for nice in others)


def test_a_fold_has_only_what_others_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import json, os, sys, time\n"
        "late, wanted = time.monotonic() + 20, json.loads(sys.argv[1])['wanted']\n"
        "while os.sched_getscheduler(0) != wanted and time.monotonic() < late:\n"
        "    time.sleep(0.01)\n"
        "print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))\n"
    )
    (tmp_path / "tells_its_policy.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for idle, policy in ((True, os.SCHED_IDLE), (False, os.sched_getscheduler(0))):
        said = output_of("tells_its_policy", {"wanted": policy}, idle=idle, seconds=60)
        assert list(map(int, said.split())) == [policy, 19]


def test_the_end_waits_for_requests_in_progress(config: Path) -> None:
    body = json.dumps({"users": USER_KEYS[:1], "k": 5}).encode()
    head = b"POST /v1/recall HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    with running(config, "--drain", "20") as service, connected(service, head + body[:5]) as sock:
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
        sock.sendall(body[5:])
        data = b""
        while some := sock.recv(1 << 16):
            data += some
        # It came while the service was ending: it is told so, or answered.
        assert data.split()[1] in (b"200", b"503")
        assert service.process.wait(30) == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_told_so(config: Path, chunked: bool) -> None:
    """A connection that ends while the client is still sending would be reset."""
    with running(config) as service:
        for size in (1_000_001, 3_000_000, 15_000_000):
            body = b" " * size
            for _ in range(5):
                content = iter([body[:500_000], body[500_000:]]) if chunked else body
                status, reply = service.request("POST", "/v1/recall", content)
                assert (status, reply["error"]["expected"]) == (413, "at most 1000000 bytes")
        with connected(service) as sock:  # one that asks first
            sock.sendall(b"POST /v1/recall HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n")
            sock.sendall(b"Content-Length: 3000000\r\n\r\n")
            assert sock.recv(1 << 16).split()[1] == b"413"


def test_a_large_body_that_comes_slowly(config: Path) -> None:
    config.write_text(f"{CONFIG}\n[server]\nbody_timeout = 0.5\n")
    head = b"POST /v1/recall HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n{"
    with running(config) as service, connected(service, head) as sock:
        assert sock.recv(1 << 16).split()[1] == b"413"


def test_slow_clients_are_cut_off(config: Path) -> None:
    times = "header_timeout = 0.5\nbody_timeout = 0.5\nwrite_timeout = 0.5\nkeep_alive = 0.5\n"
    config.write_text(f"{CONFIG}\n[server]\n{times}")
    head = b"POST /v1/recall HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
    with running(config) as service:
        for content in (
            b"",
            b"GET /healthz HTTP/1.1\r\nHo",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            with connected(service, content) as sock:
                assert closed_by_server(sock, 5)
        with connected(service, head) as sock:
            assert sock.recv(1 << 16).split()[1] == b"408"
            assert closed_by_server(sock, 5)
        with connected(service) as sock:  # headers byte by byte
            with contextlib.suppress(OSError):
                for n in range(100):
                    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "[n % 30 : n % 30 + 1])
                    time.sleep(0.02)
            assert closed_by_server(sock, 5)
        assert service.request("GET", "/healthz")[0] == 200


def resident(service: Running) -> int:
    """Return the bytes of memory of a service of one process."""
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_headers_have_a_size(config: Path) -> None:
    """However they are large; memory stays flat."""
    get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
    large = b"x" * (1 << 20)
    with running(config) as service:
        for content in (
            get + b"X: " + large,
            get + b"X: " + large + b"\r\n\r\n",
            get + b"X: " + large[: 70 << 10] + b"\r\n\r\n",  # one packet
            get + b"X: 1\r\n" * 100_000,
            b"GET /" + large,
            get + large,  # a name
        ):
            with contextlib.suppress(ConnectionError), connected(service) as sock:
                sock.sendall(content)
                answer = sock.recv(1 << 16)
                assert answer == b"" or answer.split()[1] in (b"431", b"400")
                assert closed_by_server(sock, 5)
        with connected(service, get + b"X: " + large[: 70 << 10]) as sock:
            assert sock.recv(1 << 16).startswith(b"HTTP/1.1 431 ")
        before = resident(service)
        for _ in range(40):
            with contextlib.suppress(ConnectionError), connected(service) as sock:
                sock.sendall(get + b"X: " + large)
                sock.recv(1 << 16)
        assert resident(service) - before < 10 << 20  # of 40 MiB that came
        with connected(service, get + b"X: " + large[: 60 << 10] + b"\r\n\r\n" + get) as sock:
            assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_a_reply_that_is_not_read(tmp_path: Path) -> None:
    """The connection is cut off: what the system has buffered comes, and no more."""
    items = np.random.default_rng(0).standard_normal((5000, DIM), dtype=np.float32)
    config = write_plain(tmp_path, items, limits="[server]\nwrite_timeout = 0.5\n")
    body = json.dumps({"vectors": [ROW] * 1000, "k": 1000}).encode()
    head = b"POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    with running(config) as service, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", service.port))
        sock.sendall(head + body)
        data = sock.recv(400)
        assert data.startswith(b"HTTP/1.1 200")
        length = int(data.lower().partition(b"content-length: ")[2].split()[0])
        time.sleep(1.5)
        with contextlib.suppress(ConnectionError):
            while some := sock.recv(1 << 20):
                data += some
        assert len(data) < length / 2
        assert service.request("GET", "/healthz")[0] == 200


def test_tokens(config: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with running(config, "--token-file", str(token), token="s3cret") as service:
        assert service.post("/v1/recall", users=USER_KEYS[:1], k=3)
        for wrong in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic s3cret"}):
            service._headers = wrong
            for method, path in (("POST", "/v1/recall"), ("GET", "/metrics"), ("GET", "/nothing")):
                assert service.request(method, path, {})[0] == 401
            assert service.request("GET", "/healthz")[0] == 200
            assert service.request("GET", "/readyz")[0] == 200


def test_what_cannot_start(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    def fails(*arguments: str) -> str:
        assert main(["serve", *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("vecrecall serve: error: ")
        return line

    monkeypatch.delenv("VECRECALL_TOKEN", raising=False)
    source = ("--config", str(config))
    assert "expected one of FOLDER and --config FILE" in fails()
    assert "expected one of FOLDER and --config FILE" in fails(str(tmp_path), *source)
    assert "got no service.json" in fails(str(tmp_path))
    assert f"expected a folder, got a file at {config}" in fails(str(config))
    assert "expected a folder, got nothing at gone" in fails("gone")
    assert "No such file" in fails("--config", str(tmp_path / "none"))
    assert "a loopback address without a token" in fails(*source, "--host", "0.0.0.0")
    assert "a loopback address without a token" in fails(*source, "--host", "::")
    (tmp_path / "empty").write_text(" \n")
    assert "got an empty file" in fails(*source, "--token-file", str(tmp_path / "empty"))
    assert "No such file" in fails(*source, "--token-file", str(tmp_path / "none"))
    assert "expected seconds >= 0, got -1" in fails(*source, "--drain", "-1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        assert "in use" in fails(*source, "--port", taken)
    config.write_text("x = 1")
    assert "x: expected a known field, got 'x'" in fails(*source)
    (tmp_path / "service.json").write_text("{}")
    assert "expected format 1, got None" in fails(str(tmp_path))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_artifacts_that_cannot_be_loaded(config: Path, workers: str) -> None:
    (config.parent / "even.json").write_text("{}")
    service = Running(config, "--workers", workers)
    try:
        assert service.process.wait(60) == 2  # bad input
        assert "filters.even" in service.log.read_text().splitlines()[-1]
    finally:
        service.kill()


def test_logs(config: Path) -> None:
    with running(config) as service:
        service.post("/v1/recall", users=USER_KEYS[:1])
        service.request("POST", "/v1/recall", b"{")
        assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert any(line["message"] == "ready" and line["version"] == 1 for line in lines)
    assert [line["port"] for line in lines if line["message"] == "listening"] == [service.port]
    requests = [line for line in lines if line["message"] == "request"]
    recalls = [line for line in requests if line["path"] == "/v1/recall"]
    assert [line["status"] for line in recalls] == [200, 400]
    assert all(len(line["id"]) == 32 and line["seconds"] > 0 for line in recalls)
    assert not [line for line in lines if line["level"] == "error"]


class Model:
    """The items that a service must have, from its acknowledgments."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.items: dict[str, list[float]] = {}  # acknowledged
        self.unknown: dict[str, list[list[float] | None]] = {}  # may be so, or as before
        self.clicks = 0
        self.maybe_clicks = 0
        self.acknowledged = 0
        self.lock = threading.Lock()

    def work(self, service: Running, name: str, ended: threading.Event) -> None:
        """Change items of this client's own until the end."""
        n = 0
        rng = random.Random(f"{name}{self.rng.random()}")
        while not ended.is_set():
            key = f"{name}-{rng.randrange(40)}"
            n += 1
            vector = [round(rng.uniform(1, 2), 3) for _ in range(DIM)]
            if rng.random() < 0.3:
                fields: dict[str, Any] = {
                    "operation": "remove",
                    "items": [key],
                    "missing": "ignore",
                }
                value = None
            else:
                fields = {"operation": "update", "items": [key], "vectors": {"tower": [vector]}}
                value = vector
            try:
                status, reply = service.request("POST", "/v1/items", fields, timeout=20)
            except (OSError, ValueError, HTTPException) as error:
                status, reply = 0, str(error)
            with self.lock:
                if status == 200:
                    self.acknowledged += 1
                    self.unknown.pop(key, None)
                    if value is None:
                        self.items.pop(key, None)
                    else:
                        self.items[key] = value
                else:
                    assert status in (0, 503), reply
                    self.unknown.setdefault(key, []).append(value)
                    time.sleep(0.02)

    def check(self, service: Running) -> None:
        """Compare all items of the clients."""
        reply = service.post("/v1/search", vectors=[[1.0] * DIM], k=999)
        found = dict(zip(reply["items"][0], reply["scores"][0], strict=True))
        keys = {key for key in found if not key.startswith("item-")}
        for key in {*self.items, *self.unknown, *keys}:
            possible = [self.items.get(key), *self.unknown.get(key, [])]
            scores = [
                None if v is None else float(np.float32(np.sum(np.float32(v).astype(np.float64))))
                for v in possible
            ]
            assert found.get(key) in scores, (key, found.get(key), scores)


SOAK = "VECRECALL_SOAK_SECONDS" in os.environ


def administer(service: Any, sources: list[str], ended: threading.Event) -> None:
    """Publish, roll back and fold in turns: all changes are applied to what is published."""
    rng = random.Random(0)
    while not ended.wait(0.2):
        fields = rng.choice(
            [
                {"operation": "publish", "folder": rng.choice(sources), "since": 0},
                {"operation": "rollback"},
                {"operation": "fold"},
            ]
        )
        with contextlib.suppress(OSError, ValueError, HTTPException):
            status, reply = service.request("POST", "/v1/versions", fields, timeout=20)
            assert status in (200, 409, 503), reply


@pytest.mark.parametrize(("workers", "kills"), [(1, 20), (2, 100)] if SOAK else [(1, 3), (2, 12)])
def test_kills_lose_nothing_that_was_acknowledged(config: Path, workers: int, kills: int) -> None:
    """Random kill -9 of the writer and of workers (of the only process with one) during updates.

    With two workers the log is short, with one versions come and go.
    """
    if workers == 2:
        config.write_text(f"{CONFIG}\n[state]\nfold_bytes = 20000\nkeep_bytes = 0\n")
    sources = [str(config), str(other_system(config.parent / "other"))]
    model = Model(workers)
    rng = random.Random(workers)
    arguments = ("--workers", str(workers), "--log-level", "error")
    service = Running(config, *arguments)
    current = [service]

    class Following:
        """The service of the moment."""

        def request(self, *args: Any, **kwargs: Any) -> Any:
            return current[0].request(*args, **kwargs)

    try:
        service.wait_ready()
        ended = threading.Event()
        threads = [
            threading.Thread(target=model.work, args=[Following(), f"c{n}", ended])
            for n in range(3)
        ]
        if workers == 1:
            threads.append(threading.Thread(target=administer, args=[Following(), sources, ended]))
        for thread in threads:
            thread.start()
        for kill in range(kills):
            until(lambda kill=kill: model.acknowledged > kill, 60)  # type: ignore[misc]
            time.sleep(rng.uniform(0.02, 0.3))
            children = current[0].children()
            if workers == 1:
                current[0].process.kill()
                current[0].process.wait()
                again = Running(config, *arguments)
                current[0] = again
                again.wait_ready()
            elif children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(children), signal.SIGKILL)
        ended.set()
        for thread in threads:
            thread.join()
        until(lambda: ready(current[0]), 60)
        for _ in range(2 * workers):  # of all workers
            model.check(current[0])
        assert model.acknowledged >= kills
        assert current[0].stop() == 0
        again = Running(config, *arguments)
        current[0] = again
        again.wait_ready()
        model.check(again)
    finally:
        current[0].kill()


def ready(service: Running) -> bool:
    """Tell whether a change is taken."""
    with contextlib.suppress(OSError):
        fields = {"operation": "remove", "items": [KEYS[299]], "missing": "ignore"}
        return service.request("POST", "/v1/items", fields)[0] == 200
    return False


def test_workers_see_a_change_when_it_is_acknowledged(config: Path) -> None:
    """Whichever worker answers, at once."""
    with running(config, "--workers", "3") as service:
        seen = set()
        for n in range(30):
            vectors = {"tower": [[100.0 + n] * DIM]}
            service.post("/v1/items", operation="add", items=[f"n{n}"], vectors=vectors)
            for _ in range(4):
                reply = service.post("/v1/search", vectors=[ROW], k=1)
                assert reply["items"] == [[f"n{n}"]]
            seen.add(service.request("GET", "/readyz")[1]["position"])
        assert max(seen) == 30
        text = service.request("GET", "/metrics")[1].decode()
        assert 'vecrecall_changes_total{kind="put"} 30.0' in text
        assert service.stop() == 0


def test_the_end_of_the_supervisor_ends_all(config: Path) -> None:
    with running(config, "--workers", "2") as service:
        until(lambda: len(service.children()) == 3, 30)
        children = service.children()
        service.process.kill()
        service.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 30)
