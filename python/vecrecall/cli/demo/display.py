"""Draws the run in a terminal: progress while it works, then the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.evaluation import BATCH, CUTOFFS
from vecrecall.cli.demo.provenance import describe_ranks
from vecrecall.cli.demo.report import Report


class Steps:
    """Progress bars, one a step, and how long each step took.

    Parameters
    ----------
    console : Console

    Attributes
    ----------
    seconds : dict
        By step.
    """

    def __init__(self, console: Console) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> Steps:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str, total: int = 1) -> Iterator[Callable[[int], None]]:
        """Show and time a step.

        Parameters
        ----------
        name : str
        total : int
            How much there is to do.

        Yields
        ------
        callable
            To be called with how much more has been done.
        """
        task = self._progress.add_task(name, total=total)
        begin = perf_counter()
        yield lambda n: self._progress.advance(task, n)
        self.seconds[name] = perf_counter() - begin
        self._progress.update(task, completed=total)


def show(console: Console, report: Report) -> None:
    """Print the report.

    Parameters
    ----------
    console : Console
    report : dict
        With the keys of `keys.KEYS`.
    """
    _show_data(console, report)
    for user in report["users"]:
        _show_user(console, user, report["best_merge"])
    _show_channels(console, report)
    _show_merges(console, report)
    _show_contribution(console, report)
    _show_libraries(console, report["libraries"])
    _show_latency(console, report)


def _line(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: titles and file names may look like markup."""
    console.print(Text(text, style=style))


def _show_data(console: Console, report: Report) -> None:
    data, settings = report["data"], report["settings"]
    console.rule("Data")
    _line(
        console,
        f"{data['source']}: {data['interactions']:,} interactions, {data['users']:,} users, "
        f"{data['items']:,} items to recall, {data['tags']:,} tags",
    )
    _line(
        console,
        f"{data['train_interactions']:,} interactions to train on, "
        f"{data['held_out_interactions']:,} held out "
        f"({data['held_out_unknown']:,} of them on items that nobody has in the training part: "
        "never found, and counted as misses)",
    )
    _line(console, f"Split: {settings['split']}.")
    if data["repeats"]:
        _line(console, f"{data['repeats']:,} repeated interactions: only each first one counts.")
    if data["users_too_short"]:
        _line(
            console,
            f"{data['users_too_short']:,} users with fewer than {settings['min_interactions']} "
            "different items are trained on but not evaluated.",
        )
    for name, reason in report["skipped"].items():
        _line(console, f"No {name}: {reason}.", "yellow")


def _show_user(console: Console, user: Report, best: str) -> None:
    console.rule(Text(f"User {user['user']}"))
    table = Table(expand=True, box=None, header_style="bold", padding=(0, 1))
    table.add_column("last, newest first", no_wrap=True, ratio=3, style="dim")
    table.add_column(f"merged ({best})", no_wrap=True, ratio=3)
    table.add_column("held by", ratio=5)
    last, merged = user["last"], user["merged"]
    for row in range(max(len(last), len(merged))):
        table.add_row(
            Text(last[row]["title"]) if row < len(last) else "",
            *(_recommendation(merged[row]) if row < len(merged) else ("", "")),
        )
    console.print(table)
    _line(console, "held out (* above): " + "; ".join(e["title"] for e in user["held_out"]))
    found = (f"{name} {user['found'][name]}" for name in user["found"])
    _line(
        console,
        f"of these {len(user['held_out'])} the first {CUTOFFS[-1]} hold: " + ", ".join(found),
    )


def _recommendation(entry: Report) -> tuple[Text, Text]:
    title = Text(f"* {entry['title']}", "bold green") if entry["held_out"] else Text(entry["title"])
    return title, Text(describe_ranks(entry["ranks"]))


def _show_channels(console: Console, report: Report) -> None:
    console.rule(f"What {report['data']['users_evaluated']:,} users' held-out items show")
    for name, channel in report["channels"].items():
        _line(console, f"{name}: {channel['about']}")
    for definition in report["definitions"].values():
        _line(console, definition, "dim")
    console.print(_accuracy_table("channel", report["channels"], report["channels"][BASELINE]))
    _show_groups(console, report["groups"])


def _show_groups(console: Console, groups: Report) -> None:
    if not groups:
        return
    elbows = ", ".join(f"{name} {found['chosen']}" for name, found in groups["elbows"].items())
    _line(console, f"Groups of users at the elbow: {elbows}; by rules {groups['rule_groups']}.")
    _line(console, f"Real time or not: {groups['finding']}.")


def _show_merges(console: Console, report: Report) -> None:
    console.rule("The same, of all channels merged")
    settings = report["settings"]
    _line(
        console,
        f"Each channel gives {settings['merge_depth']} items. Tuning: {settings['tuning']}.",
    )
    for name, merge in report["merges"].items():
        values = ", ".join(f"{channel} {value}" for channel, value in merge["values"].items())
        _line(console, f"{name}: {values}")
    # What has to be beaten, number by number, is the best of the channels.
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
    console.print(_accuracy_table("merge", {**merges, "best single channel": single}, single))


def _accuracy_table(first: str, rows: Report, bar: Report) -> Table:
    """Set out hit rates and recall; green is what is over the bar."""
    table = Table(expand=False)
    table.add_column(first)
    for metric in ("hit rate", "recall"):
        for k in CUTOFFS:
            table.add_column(f"{metric}@{k}", justify="right")
    cells = [(metric, str(k)) for metric in ("hit_rate", "recall") for k in CUTOFFS]
    for name, row in rows.items():
        table.add_row(
            name,
            *(
                Text(
                    f"{row[metric][k]:.3f}",
                    "bold green" if row[metric][k] > bar[metric][k] else "",
                )
                for metric, k in cells
            ),
        )
    return table


def _show_contribution(console: Console, report: Report) -> None:
    console.rule(f"Where the first {CUTOFFS[-1]} of {report['best_merge']} come from")
    table = Table(expand=False)
    table.add_column("channel")
    for name in ("items it held", "it alone", "held-out items it held"):
        table.add_column(name, justify="right")
    for name, share in report["contribution"].items():
        table.add_row(name, *(f"{share[key]:.1%}" for key in ("held", "alone", "found")))
    console.print(table)
    depth = report["settings"]["merge_depth"]
    _line(
        console, f"Held: among the {depth} items that the channel gave, whatever it weighs.", "dim"
    )


def _show_libraries(console: Console, libraries: Report) -> None:
    if not libraries:
        return
    console.rule("i2i-item2vec over other libraries, with exact scores")
    table = Table(expand=False)
    table.add_column("library", no_wrap=True)
    table.add_column("", no_wrap=True)
    cut = str(CUTOFFS[0])
    for name in ("same list", "neighbors", f"hit rate@{cut}"):
        table.add_column(name, justify="right")
    for name, found in libraries.items():
        if "missing" in found:
            continue
        table.add_row(
            name,
            "exact" if found["exact"] else "approximate",
            f"{found['same_lists']:.1%}",
            f"{found['neighbors_recall']:.2%}",
            f"{found['hit_rate'][cut]:.3f}",
        )
    console.print(table)
    _line(
        console,
        "Same list: the share of users who get the exact index's list. Neighbors: the share of "
        "the exact ones in the library's table.",
        "dim",
    )
    for name, found in libraries.items():
        if "missing" in found:
            _line(console, f"{name} is not installed: {found['missing']}", "yellow")


def _show_latency(console: Console, report: Report) -> None:
    timings, environment = report["timings"], report["environment"]
    console.rule("Recall's latency, milliseconds a user")
    table = Table(expand=False)
    table.add_column("")
    for name in (f"batches of {BATCH}", "one user: mean", "median", "p95"):
        table.add_column(name, justify="right")
    for name, latency in timings["latency_ms"].items():
        table.add_row(name, *(f"{value:.3f}" for value in latency.values()))
    console.print(table)
    _line(
        console,
        f"vecrecall {environment['vecrecall']}, {environment['isa']}, "
        f"{environment['threads']} threads. The whole run took {timings['total_s']:.1f} s.",
    )
