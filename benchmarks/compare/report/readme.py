"""python -m benchmarks.compare.report.readme: the tables of docs/explanation/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import operator
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.compare.workloads import cluster_peers, merge, pool
from benchmarks.compare.works import Case, middle
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS, PEERS
from vecrecall.cli.bench.report import figure, table
from vecrecall.storage._atomic import write_report

Found = dict[str, Any]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
BEST = 3  # peers in a line
KEYS = {"machine", "versions", "repeats", "cases", "targets"}
PACKAGES = {
    **{name: peer.package for name, peer in cluster_peers.PEERS.items()},
    **{name: peer.package for name, peer in merge.PEERS.items()},
    **{name: peer.package for name, peer in pool.PEERS.items()},
}


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or put them into a file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.report.readme", description=__doc__
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what --json of compare wrote")
    parser.add_argument(
        "--into", type=Path, metavar="PAGE", help=f"replace what is between {BEGIN} and {END}"
    )
    args = parser.parse_args(argv)
    try:
        found: Found = json.loads(args.file.read_text())
        document = args.into and args.into.read_text()
    except (OSError, ValueError) as error:
        parser.error(f"expected files that can be read: {error}")
    if not isinstance(found, dict) or not found.keys() >= KEYS:
        parser.error(f"{args.file}: expected what --json of compare wrote, got something else")
    text = "\n\n".join(sections(found))
    if not args.into:
        print(text)
        return 0
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        parser.error(f"--into: expected {BEGIN} and {END} in {args.into}")
    write_report(args.into, f"{before}{BEGIN}\n{text}\n{END}{after}".encode())
    return 0


def sections(found: Found) -> Iterator[str]:
    """Tables of searches, of other works, on what they were measured, and what was missed."""
    searches = [case for case in found["cases"] if case["work"] == "search"]
    for _, group in groupby(searches, key=lambda case: (case["data"], case["k"])):
        yield from search(list(group), found["versions"])
    rows = [line for case in found["cases"] for line in others(case)]
    if rows:
        yield "Other work, beside the fastest of its peers (times vecrecall's):"
        yield table(["", "vecrecall", *[""] * BEST], rows)
        yield from missing(case for case in found["cases"] if list(others(case)))
    yield f"{Machine.from_json(found['machine']).describe()} {how(found)}"
    missed = [row for row in found["targets"] if row["met"] is False]
    if missed:
        yield "\n".join(["Short of what we aim at:\n", *map(target, missed)])


def search(cases: list[Case], versions: dict[str, str]) -> Iterator[str]:
    """Every peer at every batch; approximate ones at their default setting."""
    last = cases[-1]
    yield (
        f"Top-{last['k']} of {last['items']:,} x {last['dim']} ({last['data']}) by inner product, "
        "milliseconds a query (times vecrecall's):"
    )
    labels = [label for label in last["peers"] if is_default(last["peers"][label])]
    labels.sort(key=lambda label: middle(last, label) or 0)
    rows = [[name_of(label, last, versions), *cells(label, cases)] for label in labels]
    yield table(["", *(f"batch {case['batch']}" for case in cases), "recall"], rows)
    better = [text for case in cases for text in faster(case)]
    yield f"Faster than vecrecall here: {'; '.join(better) or 'none'}."
    yield from missing(cases)


def missing(cases: Iterable[Case]) -> Iterator[str]:
    """Peers without all of their times, and why."""
    reasons = {name: why for case in cases for name, why in case["absent"].items()}
    if reasons:
        yield f"Missing: {'; '.join(f'{name} {why}' for name, why in reasons.items())}."


def is_default(entry: Found) -> bool:
    return bool(entry["setting"] == next(iter(PEERS[entry["peer"]].settings), None))


def name_of(label: str, case: Case, versions: dict[str, str]) -> str:
    peer = PEERS[case["peers"][label]["peer"]]
    return f"**{label}**" if label == OURS else f"{label} ({versions[peer.package]})"


def cells(label: str, cases: list[Case]) -> list[str]:
    found = []
    for case in cases:
        seconds, ours = middle(case, label), middle(case, OURS)
        if seconds is None or ours is None:
            found.append("failed")
            continue
        ratio = "" if label == OURS else f" ({figure(seconds / ours)}x)"
        found.append(f"{figure(seconds / case['batch'] * 1e3)}{ratio}")
    return [*found, f"{cases[-1]['peers'][label]['recall']:.3f}"]


def faster(case: Case) -> Iterator[str]:
    """Peers, at any setting, that need less time than we do, with what they find for it."""
    ours = middle(case, OURS)
    for label, entry in case["peers"].items():
        seconds = middle(case, label)
        if ours and seconds and seconds < ours:
            ratio = figure(seconds / ours)
            yield f"{label} at batch {case['batch']} ({ratio}x, recall {entry['recall']:.3f})"


def others(case: Case) -> Iterator[list[str]]:
    """Lines of a case that is no search, if the page shows its kind."""
    if case["work"] in ("assign", "kmeans"):
        title = cluster_peers.Case(*(case[name] for name in cluster_peers.Case._fields)).title()
        yield line(f"{title}, seconds", case, 1)
    if case["work"] == "pool":
        yield line(f"{pool.title(case)}, ms", case, 1e3)
    if case["work"] == "merge":
        title = f"RRF of {case['channels']} x {case['width']} to {case['k']}"
        unit = 1e6 / case["users"]
        yield line(f"{title}, microseconds a user, one thread", case, unit)
        if middle(case, merge.WITH_PROVENANCE) is not None:
            yield line("the same with provenance", case, unit, merge.WITH_PROVENANCE)


def line(title: str, case: Case, unit: float, ours: str = OURS) -> list[str]:
    """Our time and the best of the others."""
    own = middle(case, ours) or float("nan")
    peers = {name: middle(case, name) for name in case["peers"] if not name.startswith(OURS)}
    best = sorted((seconds, name) for name, seconds in peers.items() if seconds)[:BEST]
    shown = [
        f"{name} {figure(seconds * unit)} ({figure(seconds / own)}x{worse(case, name)})"
        for seconds, name in best
    ]
    return [title, f"**{figure(own * unit)}**", *shown, *[""] * (BEST - len(shown))]


def worse(case: Case, name: str) -> str:
    """How much less a fit is worth that did not look at all points in every iteration."""
    if case["work"] != "kmeans" or cluster_peers.PEERS[name].exact:
        return ""
    inertias = (case["peers"][label]["inertia"] for label in (name, OURS))
    return f", inertia {figure(operator.truediv(*inertias))}x"


def how(found: Found) -> str:
    """How it was measured, and with which packages beyond those that the searches name."""
    shown = {name for case in found["cases"] if list(others(case)) for name in case["peers"]}
    packages = {PACKAGES[name] for name in shown} - {"", "vecrecall"}
    versions = [f"{name} {found['versions'][name]}" for name in sorted(packages)]
    told = f" With {', '.join(versions)}." if versions else ""
    return (
        f"Medians of {found['repeats']} turns of one run, each peer in a process of its own.{told}"
    )


def target(row: Found) -> str:
    """One that was missed: it belongs on the page, too."""
    return f"- {row['case']}, {row['what']}: {figure(row['measured'])}, target {row['target']}"


if __name__ == "__main__":
    sys.exit(main())
