"""The page of guarantees names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent / "GUARANTEES.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "name"), sorted(set(re.findall(r"`(\w+)::(\w+)`", PAGE))))
def test_a_named_test_exists(file: str, name: str) -> None:
    assert f"\ndef {name}(" in (HERE / f"{file}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`cpp/(\w+)`", PAGE))))
def test_a_named_test_of_the_core_exists(name: str) -> None:
    assert (HERE / "cpp" / f"{name}.cpp").exists()
