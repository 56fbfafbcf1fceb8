"""Options shared by the command lines of the benchmarks."""

from __future__ import annotations

import argparse

from vecrecall._core import MAX_THREADS
from vecrecall.cli._arguments import new_file, whole_number


def add_common(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Add the options that control the measurement and its file of results."""
    add = parser.add_argument
    add("--threads", type=whole_number(1, MAX_THREADS), default=2)
    add(
        "--repeats",
        type=whole_number(),
        default=repeats,
        help="interleaved rounds (default: %(default)s)",
    )
    add("--seed", type=whole_number(0), default=0)
    add("--json", type=new_file, metavar="FILE", help="write the results here")
