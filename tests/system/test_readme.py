"""The README: its examples print what it says, and its links lead to files."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))),
]


def test_the_examples_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.findall(r"(?:<!-- needs: (\w+) -->\n)?```pycon\n(.*?)```", README, re.DOTALL)
    assert len(found) == 4
    missing = [needs for needs, _ in found if needs and importlib.util.find_spec(needs) is None]
    blocks = [block for needs, block in found if needs not in missing]
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, "README.md", "README.md", 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append, clear_globs=False)
    assert result.failed == 0, "".join(said)
    assert result.attempted > 10
    monkeypatch.chdir(tmp_path)  # serving: goes on with the names of the blocks before
    (serving,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    try:
        exec(serving, test.globs)
        assert test.globs["serving"].version
    finally:
        if "serving" in test.globs:
            test.globs["serving"].close()
    if missing:
        pytest.skip(f"blocks that need {', '.join(missing)} were left out")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_links_into_the_repository_lead_to_files(page: str) -> None:
    """Pages of the site link files outside of docs/ by the address of the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(
        r"github\.com/vecrecall/vecrecall/(?:tree|blob)/main/([^)#\s]+)", text
    ):
        assert (ROOT / target).exists(), target
