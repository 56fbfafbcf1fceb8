"""Hooks of mkdocs.yml: the help of each command, as the commands print it, into their page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

MARKER = re.compile(r"^<!-- help: (vecrecall[ \w-]*) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each marker by a block with the command's help."""
    return MARKER.sub(lambda found: f"```text\n{help_of(found[1])}\n```", markdown)


def help_of(command: str) -> str:
    """Return what a command of the installed package prints with --help."""
    environment = {**os.environ, "COLUMNS": "88", "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", *command.split(), "--help"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} --help: expected exit code 0, got {done.stderr}")
    return done.stdout.rstrip()
