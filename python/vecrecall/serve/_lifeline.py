"""A process that ends when the one that started it has ended, however that did."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

_NICE = 19  # the lowest priority: where all processors are busy, a sixtieth of one


def output_of(module: str, own: dict[str, Any], *, idle: bool, seconds: float) -> str:
    """Run ``python -m module JSON`` in one thread behind others, and return what it prints.

    Parameters
    ----------
    module : str
    own : dict
        What it is given.
    idle : bool
        Give it next to nothing where all processors are busy (on Linux).
    seconds : float
        As long as it may take.

    Raises
    ------
    OSError
        If it fails, with the last line that it says.
    TimeoutError
        If it takes longer; it is ended.
    """
    alive, held = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps({**own, "alive": alive})],
        env={**os.environ, "VECRECALL_NUM_THREADS": "1"},
        pass_fds=[alive],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(alive)
    _put_behind(process.pid, idle)  # here, so that its imports wait for others too
    with process:
        try:
            printed, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeoutError(f"{module} takes longer than {seconds:g} seconds") from None
        finally:
            os.close(held)
    if process.returncode:
        last = said.strip().rpartition("\n")[2]
        raise OSError(f"{module} ended with {process.returncode}: {last}")
    return printed


def _put_behind(number: int, idle: bool) -> None:
    """Let others go before a process.

    An idle one is interrupted as soon as another wakes. One that has only a low priority may end
    its slice of a few milliseconds first, each time, as Linux schedules today.
    """
    with contextlib.suppress(OSError):  # it has ended, or the system forbids it
        os.setpriority(os.PRIO_PROCESS, number, _NICE)
    if idle and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(number, os.SCHED_IDLE, os.sched_param(0))


def end_with(alive: int) -> None:
    """End this process by SIGTERM, once no process holds the other end of a pipe."""

    def wait() -> None:
        os.read(alive, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
