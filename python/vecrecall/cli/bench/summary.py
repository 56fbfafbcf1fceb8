"""The table and the notes that ``vecrecall bench`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vecrecall.cli._output import Output
from vecrecall.cli._tables import format_number
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS, PEERS
from vecrecall.cli.bench.search import SLOW

Report = dict[str, Any]

UNSTEADY = 2
SAMPLED = "a sample of the vectors"


def median_ms(peer: dict[str, Any], batch: int) -> float:
    """Return the median time of a peer.

    Parameters
    ----------
    peer : dict
        Of the report.
    batch : int

    Returns
    -------
    float
        Milliseconds per query.
    """
    return float(np.median(peer["ms"][str(batch)]))


def show(output: Output, report: Report) -> None:
    """Print the table, and note which figures are missing or uncertain.

    Parameters
    ----------
    output : Output
    report : dict
        With the keys of `command.KEYS`.
    """
    data, peers = report["data"], report["peers"]
    batches = sorted({int(batch) for peer in peers.values() for batch in peer["ms"]})
    header = ["ms per query (times ours)", *(f"batch {batch}" for batch in batches)]
    timed = [name for name, peer in peers.items() if peer["ms"]]
    timed.sort(key=lambda name: (name != OURS, not peers[name]["exact"], _slowest(peers[name])))
    rows = [[_title(report, name), *_cells(peers[name], batches)] for name in timed]
    output.line(
        f"top-{data['k']} of {data['items']:,} x {data['dim']} ({data['vectors']}), "
        f"metric {data['metric']}"
    )
    output.line(_about_queries(data))
    output.line(Machine.from_json(report["machine"]).describe())
    output.line()
    output.table([*header, "recall", "build, s", "MB"], rows)
    for note in _notes(report):
        output.line(note)


def _slowest(peer: dict[str, Any]) -> float:
    return median_ms(peer, max(map(int, peer["ms"])))


def _title(report: Report, name: str) -> str:
    peer = PEERS[name]
    setting = report["peers"][name]["setting"]
    search_param = "" if setting is None else f", {peer.search_param} {setting}"
    version = report["versions"][peer.package]
    return f"{name} {version}{search_param}{'' if peer.exact else ' ~'}"


def _cells(peer: dict[str, Any], batches: list[int]) -> list[str]:
    cells = []
    for batch in batches:
        if str(batch) not in peer["ms"]:
            cells.append("failed")
            continue
        ratio = peer["times_ours"].get(str(batch))
        times = "" if ratio is None else f" ({format_number(ratio)}x)"
        cells.append(f"{format_number(median_ms(peer, batch))}{times}")
    size = peer["megabytes"]
    return [
        *cells,
        f"{peer['recall']:.4f}",
        f"{peer['build_s']:.2f}",
        "" if size is None else f"{size:.0f}",
    ]


def _about_queries(data: Report) -> str:
    if data["queries_from"] != SAMPLED:
        return f"{data['queries']} queries from {data['queries_from']} (a sample if it has more)"
    return (
        f"{data['queries']} queries are {SAMPLED}, unchanged: most find themselves first, which is "
        "easy for approximate searches"
    )


def _notes(report: Report) -> Iterator[str]:
    if any(not peer["exact"] for peer in report["peers"].values()):
        yield "~ approximate. recall: the share of the exact lists, near ties counted as found"
    if report["checked"] < report["data"]["queries"]:
        yield f"recall: of the first {report['checked']} queries; checking more would take too long"
    yield from report["wrong"]
    unsteady = [name for name, peer in report["peers"].items() if _spread(peer) > UNSTEADY]
    if unsteady:
        yield (
            f"some rounds took {UNSTEADY} times as long as others; is the machine busy? "
            f"{', '.join(unsteady)}"
        )
    if not report["together"]:
        yield "one peer after the other, since memory does not hold all: ratios are less certain"
    if report["not_installed"]:
        names = ", ".join(report["not_installed"])
        yield f"not installed: {names} (pip install 'vecrecall[bench]')"
    if report["left_out"]:
        names = ", ".join(report["left_out"])
        yield f"left out, since building takes long: {names} (--approximate)"
    for name, reason in report["failed"].items():
        yield f"{name}: {reason}"
    yield (
        f"medians of {report['repeats']} rounds, one where a call takes over {SLOW:.0f} s; at most "
        f"{report['limit_s']:.0f} s per answer"
    )


def _spread(peer: dict[str, Any]) -> float:
    """Compare the slowest round with the fastest, at the batch size where they differ most."""
    return max((max(times) / min(times) for times in peer["ms"].values()), default=1.0)
