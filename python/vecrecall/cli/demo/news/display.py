"""Prints the report of the demo on news."""

from __future__ import annotations

from typing import Any

from vecrecall.cli._output import Output
from vecrecall.cli._tables import Cell, format_number
from vecrecall.cli.demo.news.clicks import BASELINE, CUTOFFS

Report = dict[str, Any]

ABOVE = "bold green"
VERDICTS = {"held": "bold green", "not held": "bold red", "unclear": "yellow"}

NEAREST = {
    "words": "Nearest words",
    "places": "Nearest places",
    "titles": "Nearest titles",
    "headlines": "Nearest headlines by pooled words",
    "items": "Nearest news by clicks",
    "documents": "Nearest texts by the encoder",
    "paragraphs": "Nearest paragraphs by pooled words",
}


def show(output: Output, report: Report) -> None:
    """Print the report.

    Parameters
    ----------
    output : Output
    report : dict
        With the keys of `keys.KEYS`.
    """
    _show_data(output, report)
    for family, entries in report["nearest"].items():
        _show_nearest(output, NEAREST[family], entries)
    _show_topics(output, report.get("topics", []))
    _show_findings(output, report.get("findings", {}))
    _show_channels(output, report.get("channels", {}), report["data"])
    _show_trainings(output, report)


def _show_data(output: Output, report: Report) -> None:
    data = report["data"]
    output.heading("Data")
    counts = (
        f"{value:,} {name.replace('_', ' ')}" for name, value in data.items() if name != "source"
    )
    output.line(f"{data['source']}: {', '.join(counts)}")
    for name, reason in report["skipped"].items():
        output.line(f"No {name}: {reason}.", "yellow")


def _show_nearest(output: Output, title: str, entries: list[Report]) -> None:
    if not entries:
        return
    output.heading(title)
    if max(len(entry["of"]) for entry in entries) < 12:
        output.table(
            ["of", "nearest"],
            [[entry["of"], " ".join(near["text"] for near in entry["near"])] for entry in entries],
            left=2,
        )
        return
    for entry in entries:
        output.line(entry["of"], "bold")
        for near in entry["near"][:3]:
            output.line(f"  {near['score']:.2f}  {near['text']}")


def _show_topics(output: Output, topics: list[Report]) -> None:
    if not topics:
        return
    output.heading("Topics of the articles")
    output.line("; ".join(f"{' '.join(one['words'])} ({one['articles']})" for one in topics))


def _show_findings(output: Output, findings: Report) -> None:
    if not findings:
        return
    output.heading("Findings")
    for finding in findings.values():
        output.line(f"{finding['verdict']}: {finding['claim']}", VERDICTS[finding["verdict"]])
        output.line(f"  {finding['text']}")


def _show_channels(output: Output, channels: Report, data: Report) -> None:
    if not channels:
        return
    output.heading(f"Hit rate on the last click of {data['users_evaluated']:,} users")
    for name, channel in channels.items():
        output.line(f"{name}: {channel['about']}")
    output.line()
    baseline = channels[BASELINE]["hit_rate"]
    rows = []
    for name, channel in channels.items():
        cells: list[str | Cell] = [name]
        for k in map(str, CUTOFFS):
            rate, error = channel["hit_rate"][k], channel["standard_error"][k]
            style = ABOVE if rate > baseline[k] else ""
            cells.append(Cell(f"{rate:.3f} ± {error:.3f}", style))
        rows.append(cells)
    output.table(["channel", *(f"hit rate@{k}" for k in CUTOFFS)], rows)


def _show_trainings(output: Output, report: Report) -> None:
    output.heading("Trainings")
    rows = [
        [
            family,
            training["trainer"],
            f"{training['vectors']:,} x {training['dim']}",
            *(_costs(training) if "seconds" in training else ("", "", "now")),
        ]
        for family, training in report["trainings"].items()
    ]
    output.table(["family", "by", "vectors", "seconds", "peak MiB", "made"], rows, left=2)
    output.line(
        f"{report['timings']['total_s']:.1f} s in all, "
        f"{report['memory']['peak_bytes'] / 2**20:,.0f} MiB of memory at the peak"
    )


def _costs(training: Report) -> tuple[str, str, str]:
    return (
        format_number(training["seconds"]),
        f"{training['peak_bytes'] / 2**20:,.0f}",
        "earlier" if training["reused"] else "now",
    )
