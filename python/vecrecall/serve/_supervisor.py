"""Several processes: one that writes, workers that answer, and this one that starts them again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vecrecall._runtime import get_num_threads
from vecrecall.serve._config import Config
from vecrecall.serve._metrics import SHARED

log = logging.getLogger("vecrecall.serve")

_PAUSE = 0.05
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0  # before a process is started again
_STABLE = 10.0  # seconds after which an end is not one of the start
_GRACE = 4.0
CONFIG = "config.json"
SOCKET = "writer.sock"
READY = "ready"
"""A file that is there once a worker has been ready."""


@dataclass
class _Child:
    """A process, and when it may be started again."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait: float = _FIRST_WAIT
    not_before: float = 0.0


class Supervisor:
    """Starts processes, and starts those again that end.

    Parameters
    ----------
    config : Config
    sock : socket
        It listens; all workers share it.
    log_level : str
    """

    def __init__(self, config: Config, sock: socket.socket, log_level: str) -> None:
        self._config = config
        self._sock = sock
        self._log_level = log_level
        self._folder = Path(tempfile.mkdtemp(prefix="vecrecall-"))
        self._ends = False
        self._alive, self._held = os.pipe()  # its end tells children that this process has ended
        os.set_inheritable(self._alive, True)
        self._writer = _Child("writer")
        self._workers = [_Child("worker") for _ in range(config.server.workers)]

    def run(self) -> int:
        """Run until a signal comes, or until the writer cannot begin."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        metrics = self._folder / "metrics"
        metrics.mkdir()
        (self._folder / CONFIG).write_bytes(msgspec.json.encode(self._config))
        try:
            self._start(self._writer)
            while not (self._folder / SOCKET).exists() and not self._ends:
                code = self._code(self._writer)
                if code is not None:
                    return code or 1
                time.sleep(_PAUSE)
            while not self._ends:
                self._start_again()
                time.sleep(_PAUSE)
            return 0
        finally:
            self._stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, sig: int, frame: Any) -> None:
        self._ends = True

    def _start_again(self) -> None:
        now = time.monotonic()
        for child in (self._writer, *self._workers):
            code = self._code(child)
            if child.process is not None and code is None:
                continue
            if child.process is not None:
                self._note_end(child, code, now)
            if now >= child.not_before and self._may_start(child):
                self._start(child)

    def _may_start(self, child: _Child) -> bool:
        """Let workers wait for the first one, so that none answers before that is ready."""
        alone = not any(one.process is not None for one in self._workers)
        return child.role == "writer" or alone or (self._folder / READY).exists()

    def _note_end(self, child: _Child, code: int | None, now: float) -> None:
        assert child.process is not None  # it has ended
        about = {"role": child.role, "pid": child.process.pid, "code": code}
        log.error("a process has ended, and is started again", extra={"fields": about})
        stable = now - child.started > _STABLE
        child.wait = _FIRST_WAIT if stable else min(2 * child.wait, _LONGEST_WAIT)
        child.not_before = now + child.wait
        child.process = None

    def _start(self, child: _Child) -> None:
        # The first says that it is alive while it loads; others load before they take connections.
        eager = not any(one.process is not None for one in self._workers)
        if child.role == "worker" and eager:
            (self._folder / READY).unlink(missing_ok=True)
        own = {
            "role": child.role,
            "folder": str(self._folder),
            "socket": self._sock.fileno(),
            "alive": self._alive,
            "eager": eager,
            "log_level": self._log_level,
        }
        command = [sys.executable, "-m", "vecrecall.serve._process", json.dumps(own)]
        environment = {**os.environ, SHARED: str(self._folder / "metrics")}
        threads = self._config.server.threads or max(
            1, get_num_threads() // self._config.server.workers
        )
        environment["VECRECALL_NUM_THREADS"] = str(threads)
        descriptors = (self._sock.fileno(), self._alive)
        child.process = subprocess.Popen(
            command, env=environment, pass_fds=descriptors, stdin=subprocess.DEVNULL
        )
        child.started = time.monotonic()

    def _code(self, child: _Child) -> int | None:
        return None if child.process is None else child.process.poll()

    def _stop(self) -> None:
        """End the workers, and then the writer, which they need until then."""
        late = time.monotonic() + self._config.server.drain + _GRACE
        for some in (self._workers, [self._writer]):
            running = [one.process for one in some if one.process is not None]
            for process in running:
                process.terminate()
            for process in running:
                try:
                    process.wait(max(0.1, late - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        os.close(self._held)
        os.close(self._alive)
        self._sock.close()


def run(config: Config, sock: socket.socket, log_level: str) -> int:
    """Run a service of several processes."""
    return Supervisor(config, sock, log_level).run()
