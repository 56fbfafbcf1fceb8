"""Prints the report of the demo."""

from __future__ import annotations

from vecrecall.cli._output import Output
from vecrecall.cli._tables import Cell
from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.evaluation import BATCH, CUTOFFS
from vecrecall.cli.demo.provenance import describe_ranks
from vecrecall.cli.demo.report import Report

ABOVE = "bold green"


def show(output: Output, report: Report) -> None:
    """Print the report.

    Parameters
    ----------
    output : Output
    report : dict
        With the keys of `keys.KEYS`.
    """
    _show_data(output, report)
    for user in report["users"]:
        _show_user(output, user, report["best_merge"])
    _show_channels(output, report)
    _show_merges(output, report)
    _show_contribution(output, report)
    _show_libraries(output, report["libraries"])
    _show_latency(output, report)


def _show_data(output: Output, report: Report) -> None:
    data, settings = report["data"], report["settings"]
    output.heading("Data")
    output.line(
        f"{data['source']}: {data['interactions']:,} interactions, {data['users']:,} users, "
        f"{data['items']:,} items to recall, {data['tags']:,} tags"
    )
    output.line(
        f"{data['train_interactions']:,} interactions to train on, "
        f"{data['held_out_interactions']:,} held out "
        f"({data['held_out_unknown']:,} of them on items that no user has in the training part: "
        "never found, and counted as misses)"
    )
    output.line(f"Split: {settings['split']}.")
    if data["repeats"]:
        output.line(f"{data['repeats']:,} repeated interactions: only the first of each counts.")
    if data["users_too_short"]:
        output.line(
            f"{data['users_too_short']:,} users with fewer than {settings['min_interactions']} "
            "different items are trained on but not evaluated."
        )
    for name, reason in report["skipped"].items():
        output.line(f"No {name}: {reason}.", "yellow")


def _show_user(output: Output, user: Report, best: str) -> None:
    output.heading(f"User {user['user']}")
    last, merged = user["last"], user["merged"]
    rows = []
    for row in range(max(len(last), len(merged))):
        rows.append(
            [
                Cell(last[row]["title"] if row < len(last) else "", "dim"),
                *(_recommendation(merged[row]) if row < len(merged) else ("", "")),
            ]
        )
    header = ["last, newest first", f"merged ({best})", "held by"]
    output.table(header, rows, left=3, ratios=(3, 3, 5))
    output.line("held out (* above): " + "; ".join(e["title"] for e in user["held_out"]))
    found = (f"{name} {user['found'][name]}" for name in user["found"])
    output.line(
        f"of these {len(user['held_out'])} the first {CUTOFFS[-1]} contain: " + ", ".join(found)
    )


def _recommendation(entry: Report) -> tuple[Cell, str]:
    title = Cell(f"* {entry['title']}", ABOVE) if entry["held_out"] else Cell(entry["title"])
    return title, describe_ranks(entry["ranks"])


def _show_channels(output: Output, report: Report) -> None:
    output.heading(f"Accuracy on the held-out items of {report['data']['users_evaluated']:,} users")
    for name, channel in report["channels"].items():
        output.line(f"{name}: {channel['about']}")
    for definition in report["definitions"].values():
        output.line(definition, "dim")
    output.line()
    _show_accuracy(output, "channel", report["channels"], report["channels"][BASELINE])
    _show_groups(output, report["groups"])


def _show_groups(output: Output, groups: Report) -> None:
    if not groups:
        return
    elbows = ", ".join(f"{name} {found['chosen']}" for name, found in groups["elbows"].items())
    output.line(f"Groups of users at the elbow: {elbows}; by rules {groups['rule_groups']}.")
    output.line(f"Real time or not: {groups['finding']}.")


def _show_merges(output: Output, report: Report) -> None:
    output.heading("All channels merged")
    settings = report["settings"]
    output.line(
        f"Each channel gives {settings['merge_depth']} items. Tuning: {settings['tuning']}."
    )
    for name, merge in report["merges"].items():
        values = ", ".join(f"{channel} {value}" for channel, value in merge["values"].items())
        output.line(f"{name}: {values}")
    output.line()
    # A merge has to be better than the best channel, number by number.
    channels = report["channels"].values()
    single = {
        metric: {k: max(channel[metric][k] for channel in channels) for k in map(str, CUTOFFS)}
        for metric in ("hit_rate", "recall")
    }
    chosen = report["best_merge"] if report["merges"][report["best_merge"]]["validation"] else None
    merges = {
        f"{name} (chosen)" if name == chosen else name: merge
        for name, merge in report["merges"].items()
    }
    _show_accuracy(output, "merge", {**merges, "best single channel": single}, single)


def _show_accuracy(output: Output, first: str, rows: Report, baseline: Report) -> None:
    """Print hit rates and recall; a terminal shows values above the baseline in green."""
    metrics = [(metric, str(k)) for metric in ("hit_rate", "recall") for k in CUTOFFS]
    header = [first, *(f"{metric.replace('_', ' ')}@{k}" for metric, k in metrics)]
    cells: list[list[str | Cell]] = []
    for name, row in rows.items():
        values = [
            Cell(f"{row[metric][k]:.3f}", ABOVE if row[metric][k] > baseline[metric][k] else "")
            for metric, k in metrics
        ]
        cells.append([name, *values])
    output.table(header, cells)


def _show_contribution(output: Output, report: Report) -> None:
    output.heading(f"Origin of the first {CUTOFFS[-1]} of {report['best_merge']}")
    header = ["channel", "items it held", "it alone", "held-out items it held"]
    rows = [
        [name, *(f"{share[key]:.1%}" for key in ("held", "alone", "found"))]
        for name, share in report["contribution"].items()
    ]
    output.table(header, rows)
    depth = report["settings"]["merge_depth"]
    output.line(f"Held: among the {depth} items of the channel, whatever its weight.", "dim")


def _show_libraries(output: Output, libraries: Report) -> None:
    if not libraries:
        return
    output.heading("i2i-item2vec over other libraries, with exact scores")
    cut = str(CUTOFFS[0])
    rows = [
        [
            name,
            "exact" if found["exact"] else "approximate",
            f"{found['same_lists']:.1%}",
            f"{found['neighbors_recall']:.2%}",
            f"{found['hit_rate'][cut]:.3f}",
        ]
        for name, found in libraries.items()
        if "missing" not in found
    ]
    header = ["library", "", "same list", "neighbors", f"hit rate@{cut}"]
    output.table(header, rows, left=2)
    output.line(
        "Same list: the share of users who get the list of the exact index. Neighbors: the share "
        "of the exact neighbors that are in the library's table.",
        "dim",
    )
    for name, found in libraries.items():
        if "missing" in found:
            output.line(f"{name} is not installed: {found['missing']}", "yellow")


def _show_latency(output: Output, report: Report) -> None:
    timings, environment = report["timings"], report["environment"]
    output.heading("Latency of recall, milliseconds per user")
    header = ["", f"batches of {BATCH}", "one user: mean", "median", "p95"]
    rows = [
        [name, *(f"{value:.3f}" for value in latency.values())]
        for name, latency in timings["latency_ms"].items()
    ]
    output.table(header, rows)
    output.line(
        f"vecrecall {environment['vecrecall']}, {environment['isa']}, "
        f"{environment['threads']} threads. The whole run took {timings['total_s']:.1f} s."
    )
