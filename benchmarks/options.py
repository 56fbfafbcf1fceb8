"""Options that the command lines of the benchmarks share, and what they accept."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path


def whole(low: int = 1) -> Callable[[str], int]:
    """Whole numbers from `low` on."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"expected a whole number >= {low}, got {text}")
        return value

    return read


def seconds(text: str) -> float:
    """Some time."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds > 0, got {text}")
    return value


def new_file(text: str) -> Path:
    """Where a file can be made: an hour of measuring should not end with what could be known."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that exists, got {text}")
    return path


def new_folder(text: str) -> Path:
    """A folder that is there or can be made."""
    path = Path(text)
    if not path.is_dir() and (path.exists() or not path.parent.is_dir()):
        raise argparse.ArgumentTypeError(f"expected a folder, or one to make, got {text}")
    return path


def add_common(parser: argparse.ArgumentParser, repeats: int) -> None:
    """How to measure, and where to write what was found."""
    add = parser.add_argument
    add("--threads", type=whole(), default=2)
    add("--repeats", type=whole(), default=repeats, help="turns (default: %(default)s)")
    add("--seed", type=whole(0), default=0)
    add("--json", type=new_file, metavar="FILE", help="write the figures here")
