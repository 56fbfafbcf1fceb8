"""Signals end heavy calls, whose objects and files are then as they were.

Each case runs in an interpreter of its own (`interrupted.py`). No time is a limit: what ends a call
too late has done all of its work by then, which the case tells from the work it has left undone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import interrupted
import pytest

import vecrecall as vr

pytestmark = [pytest.mark.slow, pytest.mark.fork]

SUPPORT = Path(__file__).parents[1] / "support"

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def run(*arguments: str, isa: str = "") -> None:
    """Run a scenario, which ends by an assertion where something is wrong."""
    command = [sys.executable, str(SUPPORT / "interrupted.py"), *arguments]
    env = {**os.environ, "VECRECALL_ISA": isa} if isa else None
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=env
    )
    assert done.returncode == 0, done.stderr


@posix
@pytest.mark.parametrize("name", sorted(interrupted.CALLS))
def test_a_signal_ends_a_call_and_leaves_everything(name: str) -> None:
    run("call", name)


@pytest.mark.parametrize(
    "name",
    [
        *("search", "search on one thread", "search for one long list", "topk", "score", "update"),
        *("pool", "pool of one bag", "merge", "merge of one row", "top", "related", "fit"),
    ],
)
def test_a_token_ends_a_call_and_leaves_everything(name: str) -> None:
    run("canceled", name)


@posix
@pytest.mark.parametrize("name", ["search", "search on one thread", "fit"])
def test_a_signal_during_tiles(name: str) -> None:
    """Frames of signals are larger where the matrix unit is in use."""
    if "amx" in vr.unavailable_isas():
        pytest.skip(f"no amx: {vr.unavailable_isas()['amx']}")
    run("call", name, isa="amx")
    run("returns", name, isa="amx")


@posix
@pytest.mark.parametrize("name", ["search", "search on one thread", "fit", "update"])
def test_a_handler_that_returns_lets_the_work_go_on(name: str) -> None:
    run("returns", name)


@posix
@pytest.mark.parametrize("name", sorted(interrupted.SCENARIOS))
def test_signals(name: str) -> None:
    run("scenario", name)
