"""Prints the report of the full demo."""

from __future__ import annotations

from vecrecall.cli._output import Output
from vecrecall.cli._tables import Cell
from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.display import ABOVE
from vecrecall.cli.demo.evaluation import CUTOFFS
from vecrecall.cli.demo.full.findings import FAILED, HELD
from vecrecall.cli.demo.full.report import LAST
from vecrecall.cli.demo.report import Report

STYLES = {HELD: ABOVE, FAILED: "yellow"}


def show(output: Output, report: Report) -> None:
    """Print the report.

    Parameters
    ----------
    output : Output
    report : dict
        With the keys of `keys.KEYS`.
    """
    _show_data(output, report)
    _show_trainings(output, report)
    _show_channels(output, report)
    _show_merges(output, report)
    _show_cold(output, report)
    _show_findings(output, report)
    _show_targets(output, report)
    timings = report["timings"]
    output.line(
        f"The whole run took {timings['total_s']:.0f} s, its memory at most "
        f"{timings['peak_mb']:,.0f} MB."
    )


def _show_data(output: Output, report: Report) -> None:
    data, settings = report["data"], report["settings"]
    output.heading("Data")
    output.line(
        f"{data['source']}: {data['interactions']:,} interactions, {data['users']:,} users, "
        f"{data['items']:,} items to recall, {data['tags']:,} genres, {data['triples']:,} triples"
    )
    output.line(
        f"{data['train_interactions']:,} interactions to train on, "
        f"{data['held_out_interactions']:,} held out, the last ones of each user "
        f"({data['held_out_unknown']:,} of them on items that no user has in the training part: "
        "never found, and counted as misses)"
    )
    output.line(f"{data['cold_users']:,} further users without history: {settings['cold']}.")
    output.line(f"Tuning: {settings['tuned']}.")
    for name, reason in report["skipped"].items():
        output.line(f"No {name}: {reason}.", "yellow")


def _show_trainings(output: Output, report: Report) -> None:
    output.heading("Trainings")
    costs = report["timings"]["costs"]
    rows = []
    for name, family in report["families"].items():
        own = [cost for entry, cost in costs.items() if entry in (name, *_entries(name))]
        rows.append(
            [
                name,
                family["about"],
                f"{family['items']:,} x {family['dim']}",
                f"{sum(cost['seconds'] for cost in own):.1f}",
                f"{max((cost['peak_mb'] for cost in own), default=0):,.0f}",
                "yes" if own and all(cost["cached"] for cost in own) else "no",
            ]
        )
    header = ["family", "", "items", "seconds", "peak MB", "cached"]
    output.table(header, rows, left=2)
    output.line(
        "Seconds of all splits together, and the peak of the whole process, when trained.", "dim"
    )


def _entries(name: str) -> tuple[str, str]:
    return f"{name}-test", f"{name}-validation"


def _show_channels(output: Output, report: Report) -> None:
    output.heading(f"Accuracy on the held-out items of {report['data']['users_evaluated']:,} users")
    for name, channel in report["channels"].items():
        output.line(f"{name}: {channel['about']}")
    for definition in report["definitions"].values():
        output.line(definition, "dim")
    output.line()
    _show_accuracy(output, "channel", report["channels"])
    output.line(
        "± is the standard error over users. Over popularity: the difference in "
        f"recall@{LAST} for the same users, in standard errors. Covers: the share of the "
        f"catalog in any user's first {LAST}. Adds: recall@{LAST} that the chosen merge loses "
        "without the channel, in thousandths.",
        "dim",
    )


def _show_accuracy(output: Output, first: str, rows: Report) -> None:
    metrics = [(metric, str(k)) for metric in ("hit_rate", "recall") for k in CUTOFFS]
    header = [first, *(f"{metric.replace('_', ' ')}@{k}" for metric, k in metrics)]
    baseline = rows.get(BASELINE)
    cells: list[list[str | Cell]] = []
    for name, row in rows.items():
        above = baseline is not None and row["over_popularity"][LAST]["z"] > 0
        accuracy = [
            Cell(f"{row[m][k]:.3f} ± {row[f'{m}_se'][k]:.3f}", ABOVE if above else "")
            for m, k in metrics
        ]
        cells.append([name, *accuracy, *_further(row)])
    output.table([*header, "over popularity", "covers", "adds"], cells)


def _further(row: Report) -> list[str]:
    adds = row.get("adds")
    coverage = row.get("coverage")
    return [
        f"{row['over_popularity'][LAST]['z']:+.1f}",
        "" if coverage is None else f"{coverage:.0%}",
        "" if adds is None else f"{1000 * adds['mean']:+.1f} ± {1000 * adds['se']:.1f}",
    ]


def _show_merges(output: Output, report: Report) -> None:
    output.heading("All channels merged")
    for name, merge in report["merges"].items():
        used = {channel: value for channel, value in merge["values"].items() if value}
        values = ", ".join(f"{channel} {value}" for channel, value in used.items())
        output.line(f"{name}: {values}; the other channels have weight 0")
    output.line()
    chosen = report["best_merge"]
    rows = {
        f"{name} (chosen in validation)" if name == chosen else name: merge
        for name, merge in report["merges"].items()
    }
    _show_accuracy(output, "merge", rows)


def _show_cold(output: Output, report: Report) -> None:
    if report["cold"]:
        output.heading(f"{report['data']['cold_users']:,} users without history")
        _show_accuracy(output, "channel", report["cold"])


def _show_findings(output: Output, report: Report) -> None:
    output.heading("Sentences of the article, held against these data")
    for finding in report["findings"]:
        style = STYLES.get(finding["verdict"], "")
        output.line(f"{finding['verdict']}: {finding['claim']}. {finding['text']}", style)
    for text in report["timings"]["findings"]:
        output.line(text, "dim")


def _show_targets(output: Output, report: Report) -> None:
    output.heading("Targets")
    learned = report["targets"]["learned_over_popularity"]
    each = ", ".join(f"{name} {z:+.1f}" for name, z in learned["standard_errors"].items())
    output.line(
        f"{_reached(learned)}: learned channels user to item find more than popularity, by over "
        f"{learned['wanted']:g} standard errors in recall@{LAST}: {each}"
    )
    gain = report["targets"]["merge_over_light"]
    output.line(
        f"{_reached(gain)}: the merge finds at least {gain['wanted']:.0%} more than the best "
        f"channel of the light demo, {gain['best_light']} with recall@{LAST} {gain['recall']:.3f}: "
        f"{gain['gain']:+.1%} ± {gain['gain_se']:.1%}"
    )


def _reached(target: Report) -> str:
    return "reached" if target["reached"] else "not reached"
