"""What ``vecrecall bench`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS, PEERS
from vecrecall.cli.bench.report import figure, table
from vecrecall.cli.bench.search import SLOW

Report = dict[str, Any]

UNSTEADY = 2
SAMPLED = "a sample of the vectors"


def median_ms(peer: dict[str, Any], batch: int) -> float:
    """Tell a peer's median time.

    Parameters
    ----------
    peer : dict
        Of the report.
    batch : int

    Returns
    -------
    float
        Milliseconds a query.
    """
    return float(np.median(peer["ms"][str(batch)]))


def show(report: Report) -> str:
    """Draw the table, and say what is missing.

    Parameters
    ----------
    report : dict
        With the keys of `command.KEYS`.

    Returns
    -------
    str
    """
    data, peers = report["data"], report["peers"]
    batches = sorted({int(batch) for peer in peers.values() for batch in peer["ms"]})
    head = ["ms a query (times ours)", *(f"batch {batch}" for batch in batches)]
    timed = [name for name, peer in peers.items() if peer["ms"]]
    timed.sort(key=lambda name: (name != OURS, not peers[name]["exact"], _slowest(peers[name])))
    rows = [[_title(report, name), *_cells(peers[name], batches)] for name in timed]
    return "\n".join(
        [
            f"top-{data['k']} of {data['items']:,} x {data['dim']} ({data['vectors']}), "
            f"metric {data['metric']}",
            _about_queries(data),
            Machine.from_json(report["machine"]).describe(),
            "",
            table([*head, "recall", "build, s", "MB"], rows),
            "",
            *_notes(report),
        ]
    )


def _slowest(peer: dict[str, Any]) -> float:
    return median_ms(peer, max(map(int, peer["ms"])))


def _title(report: Report, name: str) -> str:
    peer = PEERS[name]
    setting = report["peers"][name]["setting"]
    search_param = "" if setting is None else f", {peer.search_param} {setting}"
    return f"{name} {report['versions'][peer.package]}{search_param}{'' if peer.exact else ' ~'}"


def _cells(peer: dict[str, Any], batches: list[int]) -> list[str]:
    cells = []
    for batch in batches:
        if str(batch) not in peer["ms"]:
            cells.append("failed")
            continue
        ratio = peer["times_ours"].get(str(batch))
        times = "" if ratio is None else f" ({figure(ratio)}x)"
        cells.append(f"{figure(median_ms(peer, batch))}{times}")
    size = peer["megabytes"]
    return [
        *cells,
        f"{peer['recall']:.4f}",
        f"{peer['build_s']:.2f}",
        "" if size is None else f"{size:.0f}",
    ]


def _about_queries(data: Report) -> str:
    if data["queries_from"] != SAMPLED:
        return f"{data['queries']} queries from {data['queries_from']} (a sample, if it has more)"
    return (
        f"{data['queries']} queries are {SAMPLED}, as they are: most find themselves first, "
        "which is easy for approximate searches"
    )


def _notes(report: Report) -> Iterator[str]:
    if any(not peer["exact"] for peer in report["peers"].values()):
        yield "~ approximate. recall: the share of the exact lists, near ties counted as found"
    if report["checked"] < report["data"]["queries"]:
        yield f"recall: of the first {report['checked']} queries, for more would take long"
    yield from report["wrong"]
    unsteady = [name for name, peer in report["peers"].items() if _spread(peer) > UNSTEADY]
    if unsteady:
        yield (
            f"some turns took {UNSTEADY} times as long as others, is the machine busy? "
            f"{', '.join(unsteady)}"
        )
    if not report["together"]:
        yield "one peer after the other, since memory would not hold all: ratios are less certain"
    if report["not_installed"]:
        names = ", ".join(report["not_installed"])
        yield f"not installed: {names} (pip install 'vecrecall[bench]')"
    if report["left_out"]:
        names = ", ".join(report["left_out"])
        yield f"left out, since building takes long: {names} (--approximate)"
    for name, reason in report["failed"].items():
        yield f"{name}: {reason}"
    yield (
        f"medians of {report['repeats']} turns, one where a call takes over {SLOW:.0f} s; at most "
        f"{report['limit_s']:.0f} s for an answer"
    )


def _spread(peer: dict[str, Any]) -> float:
    """Compare the slowest turn with the fastest, at the batch where they differ most."""
    return max((max(times) / min(times) for times in peer["ms"].values()), default=1.0)
