"""The run of the full demo, from the data to the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from vecrecall.cli._output import Output
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import DemoError, evaluation, provenance
from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import Lists
from vecrecall.cli.demo.full import (
    channels,
    evidence,
    grouping,
    lists,
    merges,
    plots,
    report,
    saved,
)
from vecrecall.cli.demo.full.cache import Entries
from vecrecall.cli.demo.full.channels import Made
from vecrecall.cli.demo.full.data import Split, Splits, splits
from vecrecall.cli.demo.full.display import show
from vecrecall.cli.demo.full.families import Found
from vecrecall.cli.demo.full.grouping import Grouping
from vecrecall.cli.demo.full.measures import measure_all
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.cli.demo.full.second import train_both
from vecrecall.cli.demo.memory import Peak
from vecrecall.cli.demo.merging import Tuned
from vecrecall.cli.demo.report import Report
from vecrecall.cli.demo.run import require, write_json
from vecrecall.datasets import RecommenderData

NEEDED = ("gensim", "kneed", "pandas", "rich", "scipy", "torch")


@dataclass(frozen=True)
class Options:
    """Options of the full demo.

    Attributes
    ----------
    json : Path, optional
        Where to write the report as JSON.
    seed : int
    plot : Path, optional
        Where to write the plots as PNG.
    cache : Path, optional
        Where to keep what was trained; default that of `cache.Cache`.
    save : Path, optional
        Where to write everything that serving needs.
    load : callable, optional
        Returns the data; default MovieLens 100K.
    plan : Plan
    """

    json: Path | None = None
    seed: int = 0
    plot: Path | None = None
    cache: Path | None = None
    save: Path | None = None
    load: Callable[[], RecommenderData] | None = None
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class _System:
    """A split with all that was made of it."""

    split: Split
    found: dict[str, Found]
    grouped: dict[str, Grouping]
    made: Made
    lists: dict[str, Lists]

    @property
    def held_out(self) -> list[IntArray]:
        dataset = self.split.dataset
        return [dataset.held_out[user] for user in dataset.evaluated]

    @property
    def merged(self) -> dict[str, Lists]:
        """The lists of the channels that are merged."""
        return {name: own for name, own in self.lists.items() if name not in channels.VARIANTS}


def run(options: Options) -> Report:
    """Train, recall, merge, measure, and print the report.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        With the keys of `keys.KEYS`.

    Raises
    ------
    DemoError
        If a package is missing or a file cannot be written.
    """
    begin = perf_counter()
    require("full", *NEEDED, *(("matplotlib",) if options.plot else ()))
    cache = Entries(options.cache)
    with Progress(keep=True) as progress:
        parted = _load(options, progress)
        result, test, tuned = _work(parted, options, cache, progress)
        if options.plot:
            with progress.step("plot"):
                plots.save(result, options.plot)
        if options.save:
            with progress.step("save"):
                _save(options.save, test, tuned)
    result["timings"]["peak_mb"] = (Peak.of_process() + cache.peak_of_other) / 2**20
    result["timings"]["total_s"] = perf_counter() - begin
    show(Output(), result)
    if options.json:
        write_json(options.json, result)
    return result


def _load(options: Options, progress: Progress) -> Splits:
    from vecrecall.datasets import load_ml100k

    with progress.step("read and split"):
        try:
            data = (options.load or load_ml100k)()
        except (ImportError, FileNotFoundError, ValueError) as error:
            raise DemoError(str(error)) from error
        return splits(data, options.plan.cold_share, options.seed)


def _work(
    parted: Splits, options: Options, cache: Entries, progress: Progress
) -> tuple[Report, _System, Tuned]:
    plan, seed = options.plan, options.seed
    both = (parted.test, parted.validation)
    found, skipped = train_both(parted, plan, seed, cache, progress)
    test, validation = (
        _system(split, own, options, cache, progress)
        for split, own in zip(both, found, strict=True)
    )
    tuned = merges.tune(
        validation.merged, validation.held_out, plan, cache, progress, list(test.merged)
    )
    best = merges.best(tuned)
    with progress.step("measure"):
        result = _measure(test, tuned, best)
        judged = evidence.collect(
            test.split,
            test.found,
            test.grouped,
            measure_all(test.lists, test.held_out),
            cache.costs,
            seed,
        )
    cold = channels.cold(test.found, test.split.dataset)
    counts = test.split.dataset.item_counts
    return (
        {
            "data": report.data(test.split, parted.cold),
            "settings": report.settings(plan, seed),
            "definitions": evaluation.DEFINITIONS,
            "families": report.families(test.found),
            "skipped": skipped,
            **result,
            "groups": report.groups(test.grouped),
            "best_merge": best,
            "overlap": provenance.overlap(_first(test.lists)),
            "cold": report.cold_table(cold, parted.cold, counts),
            "findings": [finding.as_dict() for finding in judged],
            "environment": report.environment(),
            "timings": report.timings(
                cache.costs,
                [f"{one.claim}: {one.cost}" for one in judged if one.cost],
                progress.seconds,
            ),
        },
        test,
        tuned[best],
    )


def _system(
    split: Split, found: dict[str, Found], options: Options, cache: Entries, progress: Progress
) -> _System:
    dataset, seed = split.dataset, options.seed
    with progress.step(f"group {split.name}"):
        grouped = grouping.build(dataset, found, seed)
        made = channels.build(dataset, found, grouped)
    own = lists.recall(made, split, options.plan, seed, cache, progress)
    return _System(split, found, grouped, made, own)


def _measure(test: _System, tuned: Mapping[str, Tuned], best: str) -> Report:
    held_out, n_items = test.held_out, len(test.split.dataset.items)
    measured = measure_all(test.lists, held_out)
    merged = {name: merges.merged(test.merged, own.policy) for name, own in tuned.items()}
    whole = measure_all(merged, held_out)
    adds = merges.left_out(test.merged, tuned[best], best, whole[best], held_out)
    return {
        "channels": report.channel_table(test.made.about, measured, test.lists, n_items, adds),
        "merges": report.merge_table(tuned, whole, measured[BASELINE], merged, n_items),
        "targets": report.targets(measured, whole[best]),
    }


def _first(found: Mapping[str, Lists]) -> dict[str, Lists]:
    """Cut lists to what is measured."""
    k = max(evaluation.CUTOFFS)
    return {name: Lists(own.ids[:, :k], own.scores[:, :k], None) for name, own in found.items()}


def _save(folder: Path, test: _System, tuned: Tuned) -> None:
    dataset = test.split.dataset
    labels = (dataset.users, dataset.items, dataset.titles)
    saved.save(folder, test.made, test.found, test.grouped, tuned, labels)
