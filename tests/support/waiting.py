"""Waiting for what another thread or process is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; a minute by default, as the machine may be busy."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"nothing happened within {seconds:g} seconds")
        time.sleep(0.005)
