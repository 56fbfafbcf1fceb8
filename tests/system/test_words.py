"""The checker of words finds what its list names, and nothing else; the tree has none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tool_modules import tool

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/check_words.py"
check_words = tool("check_words")
WORDS = check_words.read_list(check_words.LIST.read_text(encoding="utf-8"))


def places(text: str) -> list[str]:
    return list(check_words.found("file", text, WORDS.rules))


@pytest.mark.parametrize(
    "text",
    [
        "// Two readers beside a writer.",
        "Beside the result, little memory is in use.",
        "def test_readers_beside_a_writer():",
        "rescored_rows = 3",
        "class RowSieve {",
        "int beside2 = 0;",
        "memory of 8 bytes a row",
        "One row a query.",
        "expected one vector a key",
        "expected a score an id",
        "One ranked list a key.",
        "It costs some 40 ns.",
        "Some two minutes for a million rows.",
        "One score a candidate.",
        "found once a group",
        "# The same.",
        '"""What a search returns."""',
        "It is rebuilt. What was removed is gone.",
        "class CodeBound:",
    ],
)
def test_a_planted_word_is_found(text: str) -> None:
    found = places(f"clean\n{text}\nclean")
    assert len(found) == 1
    assert found[0].startswith("file:2: ")


@pytest.mark.parametrize(
    "text",
    [
        "besides, this is a word of its own",
        "give every item a score",
        "give every item a key",
        "one per row",
        "some of 40 rows",
        "gather the lists",
        "# What is it?",
        "| What | Why |",
        "The same bits everywhere.",
        "class QuantizedScoreBound:",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert places(text) == []


def test_a_line_that_is_no_rule() -> None:
    with pytest.raises(ValueError, match="expected 'PATTERN -> INSTEAD', got 'word'"):
        check_words.read_list("word")


def test_files_with_and_without(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_text("x = 1  # beside y\n")
    good.write_text("x = 1  # next to y\n")
    for file, code, said in ((bad, 1, f"{bad}:1: 'beside': say "), (good, 0, "no unwanted words")):
        run = subprocess.run([sys.executable, TOOL, file], capture_output=True, text=True)
        assert run.returncode == code
        assert run.stdout.startswith(said)
