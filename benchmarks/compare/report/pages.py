"""python -m benchmarks.compare.report.pages: the tables and plots of the docs, from results.

Without --docs the tables are printed. Pages whose workloads are in none of the files stay, and so
do sections of a page but the one that is named: each is of another machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.compare.report import chart, lists, recall_curves, tables
from vecrecall.cli.bench.machine import Machine
from vecrecall.storage._atomic import write_report

Found = dict[str, Any]
SECTION = "measured"
KEYS = {"machine", "versions", "repeats", "measurements", "targets"}
PAGES: dict[str, Callable[[Found], Iterable[str]]] = {
    "explanation/benchmarks.md": tables.sections,
    "how-to/choose-an-index.md": lists.sections,
}
IMAGES, CHART = "images", "search-and-peers.png"


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or insert them and write the plots."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.report.pages", description=__doc__
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="files of --json of compare"
    )
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="the folder of the pages")
    parser.add_argument(
        "--section",
        default=SECTION,
        metavar="NAME",
        help="where in the pages, between <!-- NAME: begin --> and <!-- NAME: end --> "
        "(default: %(default)s, the only one with plots)",
    )
    args = parser.parse_args(argv)
    try:
        runs = [read(path) for path in args.files]
        pages = {
            name: "\n\n".join(text for run in runs for text in make(run))
            for name, make in PAGES.items()
        }
        if args.docs is None:
            print("\n\n".join(filter(None, pages.values())))
            return 0
        changed = {args.docs / name: insert(args.docs / name, text, args.section)
                   for name, text in pages.items() if text}  # fmt: skip
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for path, document in changed.items():
        write_report(path, document.encode())
    if args.section == SECTION:
        for run in runs:
            draw(run, args.docs / IMAGES)
    return 0


def read(path: Path) -> Found:
    """Read a file of results."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"expected a file that can be read: {error}") from None
    if not isinstance(found, dict) or not found.keys() >= KEYS:
        raise ValueError(f"{path}: expected a file of --json of compare, got something else")
    return found


def marks(section: str) -> tuple[str, str]:
    """Return what a section of a page begins and ends with."""
    return f"<!-- {section}: begin -->", f"<!-- {section}: end -->"


def insert(path: Path, text: str, section: str) -> str:
    """Return a page with the text of a section replaced."""
    first, last = marks(section)
    before, begin, rest = path.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path}: expected {first} and {last} in the page")
    return f"{before}{begin}\n{text}\n{end}{after}"


def draw(run: Found, folder: Path) -> None:
    """Write the plots of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = Machine.from_json(run["machine"])
    chart.draw(run["measurements"], machine, folder / CHART)
    if any(measurement["workload"] == "ivf" for measurement in run["measurements"]):
        recall_curves.draw(run["measurements"], machine, folder)


if __name__ == "__main__":
    sys.exit(main())
