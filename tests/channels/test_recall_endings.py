"""A process ends although a channel does not, and cleanly: its threads are left behind nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fork

PROGRAM = Path(__file__).parents[1] / "support" / "recall_endings.py"


def end(name: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "with_a_channel_that_waits",
        "with_a_channel_that_spins",
        "with_a_search_that_was_late",
        "with_a_search_in_progress",
        "with_searches_that_go_on",
        "with_asyncio",
    ],
)
def test_a_process_ends(name: str) -> None:
    assert end(name) == ""


def test_a_process_ends_with_its_own_code() -> None:
    end("by_an_error", code=3)


def test_a_recall_at_exit() -> None:
    assert end("recalling_at_exit") == "expected no recall while the interpreter exits\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_ends_the_wait_and_the_channel() -> None:
    end("by_ctrl_c")
    end("by_a_signal_that_does_not_wake")
