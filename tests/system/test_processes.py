"""The package with fork and spawn, in servers, and among many threads.

Each scenario runs in an interpreter of its own, with a watchdog: a deadlock fails and shows where.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import process_scenarios
import pytest

import vecrecall as vr

pytestmark = pytest.mark.fork

SUPPORT = Path(__file__).parents[1] / "support"
# Beyond the scenario's own limit and that of a child which it waits for.
SECONDS = 3 * process_scenarios.SECONDS

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system has not")


# The default, and the set whose registers the system gives to a process on request.
every_set = pytest.mark.parametrize("isa", ["", "amx"], ids=["default", "amx"])


def run(scenario: str, isa: str = "") -> None:
    if isa in vr.unavailable_isas():
        pytest.skip(f"no {isa}: {vr.unavailable_isas()[isa]}")
    process = subprocess.Popen(
        # Python warns of a fork with threads: that it works is what is tested.
        [
            *(sys.executable, "-W", "ignore:This process:DeprecationWarning"),
            *(SUPPORT / "process_scenarios.py", scenario),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "VECRECALL_ISA": isa} if isa else None,
    )
    try:
        _, errors = process.communicate(timeout=SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, errors


@forks
@every_set
@pytest.mark.parametrize("scenario", ["fork_before_use", "fork_after_use", "fork_of_a_fork"])
def test_fork(scenario: str, isa: str) -> None:
    run(scenario, isa)


@forks
@every_set
@pytest.mark.parametrize(
    "scenario",
    [
        "fork_during_first_use",
        "fork_during_first_look_up",
        "fork_while_searching",
        "fork_while_recalling",
        "fork_while_updating",
        "fork_while_adding_keys",
        "fork_while_observing",
        "fork_while_saving",
        "fork_while_refreshing",
    ],
)
def test_fork_with_other_threads(scenario: str, isa: str) -> None:
    run(scenario, isa)


def test_use_imports_nothing() -> None:
    """A child that is forked during an import may wait for the lock of that module forever."""
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "first_use.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # New functions of the package belong into that program, which uses them: they import nothing.
    assert done.stdout.splitlines() == ["imported", "unused"]


@forks
def test_workers_of_a_parent_that_has_loaded() -> None:
    run("preload")


@every_set
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method: str, isa: str) -> None:
    if method != "spawn" and not hasattr(os, "fork"):
        pytest.skip("needs fork, which this system has not")
    run(f"pool_{method}", isa)


@every_set
def test_many_threads(isa: str) -> None:
    run("many_threads", isa)


def test_asyncio() -> None:
    run("asyncio_to_thread")


@forks
def test_idle_threads_sleep() -> None:
    run("idle")


def test_an_interpreter_without_its_lock_gets_one() -> None:
    """The package does not declare that it runs without the interpreter's lock."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("needs a free-threaded build of Python")
    run("lock_of_the_interpreter")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.close()
            raise


def _answer(path: Path) -> dict[str, int]:
    connection = _UnixConnection(path)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.status == 200
    answer: dict[str, int] = json.loads(response.read())
    connection.close()
    return answer


@forks
def test_gunicorn_with_preload(tmp_path: Path) -> None:
    """Workers have the index that the parent built; each adds to its own copy alone."""
    if importlib.util.find_spec("gunicorn") is None:
        pytest.skip("needs gunicorn")
    path = tmp_path / "socket"
    command = [
        *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "2"),
        *("--bind", f"unix:{path}", "--chdir", str(SUPPORT), "preloaded_service:application"),
    ]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)
    try:
        deadline = time.monotonic() + SECONDS
        answers: list[dict[str, int]] = []
        while len({a["worker"] for a in answers}) < 2 or len(answers) < 20:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            assert server.poll() is None, (tmp_path / "log").read_text()
            try:
                answers.append(_answer(path))
            except (FileNotFoundError, ConnectionError):
                time.sleep(0.01)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    for worker in {a["worker"] for a in answers}:
        sizes = [a["items"] for a in answers if a["worker"] == worker]
        assert sizes == list(range(1001, 1001 + len(sizes)))
    assert {a["parent"] for a in answers} == {server.pid}
    assert len({a["best"] for a in answers}) == 1
