#!/usr/bin/env python3
"""Find words of tools/words.txt in identifiers, comments, docstrings and documentation.

check_words.py [FILE ...]: these files, or all that Git tracks. Prints each place with what to say
instead; the exit code is 1 if there is any. docs/development/style.md has the reasons.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tools/words.txt"
SUFFIXES = {".cpp", ".hpp", ".in", ".md", ".py", ".pyi", ".sh", ".toml", ".txt", ".yml"}


class Rule(NamedTuple):
    """A pattern that is not wanted, and what to say instead."""

    pattern: re.Pattern[str]
    instead: str


class WordList(NamedTuple):
    """The rules, and the beginnings of paths that are not checked."""

    rules: list[Rule]
    exempt: tuple[str, ...]


def read_list(text: str) -> WordList:
    """Read a list of lines `PATTERN -> INSTEAD` and `exempt PATH`.

    A part of an identifier counts as a word: letters may not follow or go before, but an
    underscore may, and so may a change of case. A pattern in capitals or with one matches as it
    stands, another one whatever its first letter is.
    """
    rules, exempt = [], []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, arrow, instead = line.partition(" -> ")
        if arrow:
            rules.append(Rule(_compiled(pattern), instead))
        elif line.startswith("exempt "):
            exempt.append(line.removeprefix("exempt "))
        else:
            raise ValueError(f"{LIST.name}: expected 'PATTERN -> INSTEAD', got {line!r}")
    return WordList(rules, tuple(exempt))


def _compiled(pattern: str) -> re.Pattern[str]:
    first = pattern[0]
    if first.islower():
        whole = f"(?<![A-Za-z]){pattern}|(?<![A-Z]){first.upper()}{pattern[1:]}"
        return re.compile(f"(?:{whole})(?![a-z])")
    return re.compile(f"{pattern}(?![a-z])" if first.isalpha() else pattern)


def found(path: str, text: str, rules: Sequence[Rule]) -> Iterator[str]:
    """Find the places of a file that a rule matches."""
    for number, line in enumerate(text.splitlines(), 1):
        for rule in rules:
            if match := rule.pattern.search(line):
                yield f"{path}:{number}: {match[0].strip()!r}: say {rule.instead}"


def tracked(exempt: tuple[str, ...]) -> list[str]:
    """List the text files that Git knows, but those that are exempt."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [
        path
        for path in listed
        if Path(path).suffix in SUFFIXES and (ROOT / path).is_file() and not path.startswith(exempt)
    ]


def main(paths: Sequence[str]) -> int:
    """Check files; the exit code."""
    words = read_list(LIST.read_text(encoding="utf-8"))
    places = [
        place
        for path in paths or tracked(words.exempt)
        for place in found(path, (ROOT / path).read_text(encoding="utf-8"), words.rules)
    ]
    print("\n".join(places) if places else "no unwanted words")
    return 1 if places else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
