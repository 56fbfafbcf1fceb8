"""python -m benchmarks.compare.readme FILE: tables for the README, from what compare wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.compare import cluster_peers, merge
from benchmarks.compare.works import Case, middle
from vecrecall.bench.machine import Machine
from vecrecall.bench.peers import OURS, PEERS
from vecrecall.bench.report import figure, table

Found = dict[str, Any]
APPROXIMATE = {name for name, peer in cluster_peers.PEERS.items() if not peer.exact}


def main(file: str) -> None:
    """Print a table for each data set and k, for assignments and fits, and for merges."""
    try:
        found: Found = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"{file}: expected what --json of benchmarks.compare wrote: {error}"
        ) from None
    searches = [case for case in found["cases"] if case["work"] == "search"]
    for _, group in groupby(searches, key=lambda case: (case["data"], case["k"])):
        print(*search(list(group), found["versions"]), sep="\n")
    clusters = [case for case in found["cases"] if case["work"] in ("assign", "kmeans")]
    if clusters:
        print("Nearest centroids and k-means, seconds (times vecrecall's):\n")
        packages = {name: peer.package for name, peer in cluster_peers.PEERS.items()}
        print(side_by_side(clusters, packages, found["versions"], size_of_clusters, 1), end="\n\n")
    merges = [case for case in found["cases"] if case["work"] == "merge"]
    if merges:
        print("Reciprocal rank fusion, microseconds a user (times vecrecall's), one thread:\n")
        packages = {name: peer.package for name, peer in merge.PEERS.items()}
        print(side_by_side(merges, packages, found["versions"], size_of_merge, 1e6), end="\n\n")
    print(*targets(found["targets"]), sep="\n")
    print(f"{Machine.from_json(found['machine']).describe()} Medians of {found['repeats']} turns.")


def search(cases: list[Case], versions: dict[str, str]) -> Iterator[str]:
    """Every peer at every batch; approximate ones at their default setting."""
    last = cases[-1]
    yield (
        f"Top-{last['k']} of {last['items']:,} x {last['dim']} ({last['data']}) by inner product, "
        "milliseconds a query (times vecrecall's):\n"
    )
    labels = [label for label in last["peers"] if is_default(last["peers"][label])]
    labels.sort(key=lambda label: middle(last, label) or 0)
    rows = [[name_of(label, last, versions), *cells(label, cases)] for label in labels]
    yield table(["", *(f"batch {case['batch']}" for case in cases), "recall"], rows)
    yield ""
    better = [text for case in cases for text in faster(case)]
    if better:
        yield f"Faster than vecrecall here: {'; '.join(better)}.\n"
    missing = {name: why for case in cases for name, why in case["absent"].items()}
    if missing:
        yield f"Missing: {'; '.join(f'{name} {why}' for name, why in missing.items())}.\n"


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


def side_by_side(
    cases: list[Case], packages: dict[str, str], versions: dict[str, str], size: Any, unit: float
) -> str:
    """A line a case, a column a peer; the best time is bold, ours or not, of exact peers."""
    names = [name for name in packages if any(name in case["peers"] for case in cases)]
    heads = [
        f"{name} {versions.get(packages[name], '')}".strip()
        + ", approximate" * (name in APPROXIMATE)
        for name in names
    ]
    rows = []
    for case in cases:
        times = {name: middle(case, name) for name in names}
        best = min(t for name, t in times.items() if t is not None and name not in APPROXIMATE)
        row = [size(case)]
        for seconds in times.values():
            if seconds is None:
                row.append("")
                continue
            ratio = seconds / (times[OURS] or seconds)
            shown = figure(seconds / case.get("users", 1) * unit)
            row.append(f"**{shown}**" if seconds == best else f"{shown} ({figure(ratio)}x)")
        rows.append(row)
    return table(["", *heads], rows)


def size_of_clusters(case: Case) -> str:
    return cluster_peers.Case(*(case[name] for name in cluster_peers.Case._fields)).title()


def size_of_merge(case: Case) -> str:
    return f"{case['channels']} x {case['width']} to {case['k']}"


def targets(judged: list[Found]) -> Iterator[str]:
    """Those that were missed: they belong in the README, too."""
    for row in judged:
        if row["met"] is False:
            measured = figure(row["measured"])
            yield f"Missed: {row['case']}, {row['what']}: {measured}, target {row['target']}."
    yield ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
