"""Converters of command-line arguments for argparse, whose errors name the expected value."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path


def whole_number(low: int = 1, high: int = sys.maxsize) -> Callable[[str], int]:
    """Return a converter to whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        # Digits only: int() also accepts spaces, underscores and signs.
        value = int(text) if text.isascii() and text.isdigit() else low - 1
        if not low <= value <= high:
            expected = (
                f"from {low} to {high}" if high < sys.maxsize or value > high else f">= {low}"
            )
            raise argparse.ArgumentTypeError(f"expected a whole number {expected}, got {text}")
        return value

    return read


def positive_seconds(text: str) -> float:
    """Convert to a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds > 0, got {text}")
    return value


def seconds(text: str) -> float:
    """Convert to a number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds >= 0, got {text}")
    return value


def new_file(text: str) -> Path:
    """Convert to the path of a file that can be written.

    It is checked first, so that a long run does not fail at its end.
    """
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that exists, got {text}")
    return path.absolute()


def new_folder(text: str) -> Path:
    """Convert to a folder that exists or can be made."""
    path = Path(text)
    if not path.is_dir() and (path.exists() or not path.parent.is_dir()):
        raise argparse.ArgumentTypeError(f"expected a folder, or one to make, got {text}")
    return path.absolute()
