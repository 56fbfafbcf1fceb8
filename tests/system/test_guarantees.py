"""The page of guarantees names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/reference/guarantees.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "name"), sorted(set(re.findall(r"`(\w+)::(\w+)`", PAGE))))
def test_a_named_test_exists(file: str, name: str) -> None:
    assert f"\ndef {name}(" in next(TESTS.glob(f"*/{file}.py")).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`cpp/(\w+)`", PAGE))))
def test_a_named_test_of_the_core_exists(name: str) -> None:
    assert any((TESTS / "cpp").glob(f"*/{name}.cpp"))
