"""Statements about the vectors of news, each with its figures and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo.news.families import Sample
from vecrecall.cli.demo.news.headlines import Headlines, same_topic
from vecrecall.train import Embedding

Report = dict[str, Any]
FloatArray = npt.NDArray[np.float64]

LIMIT = 3.0
"""Standard errors by which a figure must differ for a verdict."""

HELD, UNCLEAR, FAILED = "held", "unclear", "not held"

PLACES = "places that texts name together lie near each other on the map"
DOCUMENTS = "the nearest paragraph is of the same article more often than one at random"
HEADLINES = "a new headline is nearest to headlines of its article's topic"
TITLES = "a network trained on headlines finds the topic more often than pooled vectors of words"
ENCODER = "an encoder of texts finds the article more often than pooled vectors of words"


def of_places(parts: Mapping[str, Report]) -> dict[str, Report]:
    """Judge whether the map is found, in the world and within the country.

    Parameters
    ----------
    parts : mapping of str to dict
        As `geography.compare` returns them.

    Returns
    -------
    dict
        Findings by name. Without those of parts that have too few cities.
    """
    return {
        f"places_{name}": {
            "claim": f"{PLACES} ({name})",
            "verdict": HELD if part["held"] else FAILED,
            "figures": {
                figure: part[figure] for figure in ("correlation", "nearest_km", "random_km")
            },
            "text": f"rank correlation of cosine and distance {part['correlation']:.2f} "
            f"(p {part['correlation_p']:.3f}), the cities of the {part['neighbors']} nearest "
            f"vectors are {part['nearest_km']:,.0f} km away on average, random ones "
            f"{part['random_km']:,.0f} km (p {part['nearest_p']:.3f})",
        }
        for name, part in parts.items()
        if part["held"] is not None
    }


def of_documents(embeddings: Mapping[str, Embedding], sample: Sample) -> dict[str, Report]:
    """Judge how often the nearest paragraph is of the same article.

    Parameters
    ----------
    embeddings : mapping of str to Embedding
        By the way that texts are encoded; keys are numbers of paragraphs.
    sample : Sample

    Returns
    -------
    dict
        Findings by name.
    """
    known = [
        place
        for place, row in enumerate(sample.rows)
        if all(row in embedding for embedding in embeddings.values())
    ]
    owners = sample.articles[known]
    if len(np.unique(owners)) < 2:
        return {}
    rows = [sample.rows[place] for place in known]
    rates = {
        name: _by_article(_nearest_is_of_same(embedding, rows, owners), owners)
        for name, embedding in embeddings.items()
    }
    same = (owners[:, None] == owners).sum(axis=1) - 1
    chance = _by_article(same / (len(owners) - 1), owners)
    found = {
        f"documents_{name}": {
            "claim": f"{DOCUMENTS} ({name})",
            **_judged({"share": rate, "chance": chance}, f"by {name}", "at random"),
        }
        for name, rate in rates.items()
    }
    if len(rates) > 1:
        (first, best), (second, other) = list(rates.items())[:2]
        pair = {f"share_{first}": best, f"share_{second}": other}
        found["encoder"] = {"claim": ENCODER, **_judged(pair, f"by {first}", f"by {second}")}
    return found


def of_headlines(embeddings: Mapping[str, Embedding], headlines: Headlines) -> dict[str, Report]:
    """Judge how often the headline nearest to one that was held out is of the same topic.

    Parameters
    ----------
    embeddings : mapping of str to Embedding
        By the way that headlines are encoded; keys are rows of `headlines`.
    headlines : Headlines

    Returns
    -------
    dict
        Findings by name.
    """
    topics, held_out = headlines.topics, headlines.held_out
    if not held_out.any() or held_out.all():
        return {}
    shares = np.bincount(topics[~held_out], minlength=int(topics.max()) + 1) / (~held_out).sum()
    chance = shares[topics[held_out]]
    rows = range(len(topics))
    rates = {
        name: same_topic(headlines, embedding.aligned(rows)).astype(np.float64)
        for name, embedding in embeddings.items()
    }
    found = {
        f"headlines_{name}": {
            "claim": f"{HEADLINES} ({name})",
            **_judged({"share": rate, "chance": chance}, f"by {name}", "at random"),
        }
        for name, rate in rates.items()
    }
    if len(rates) > 1:
        (first, best), (second, other) = list(rates.items())[:2]
        pair = {f"share_{first}": best, f"share_{second}": other}
        found["titles"] = {"claim": TITLES, **_judged(pair, f"by {first}", f"by {second}")}
    return found


def _judged(figures: dict[str, FloatArray], mine: str, other: str) -> Report:
    """Compare two figures of the same articles: those of one article are not independent."""
    (first, ours), (second, theirs) = figures.items()
    differences = ours - theirs
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    mean = float(differences.mean())
    return {
        "verdict": HELD if mean > LIMIT * error else FAILED if mean < -LIMIT * error else UNCLEAR,
        "figures": {
            first: float(ours.mean()),
            second: float(theirs.mean()),
            "articles": len(differences),
            "difference": mean,
            "standard_error": error,
        },
        "text": f"{ours.mean():.3f} {mine}, {theirs.mean():.3f} {other} (difference {mean:+.3f} "
        f"± {error:.3f}, {len(differences)} articles)",
    }


def _nearest_is_of_same(
    embedding: Embedding, rows: list[int], owners: npt.NDArray[np.int64]
) -> FloatArray:
    index = Embedding(rows, embedding.vectors(rows), metric="cosine").to_index(ids=None)
    own = np.arange(len(rows))
    found = index.search(index.vectors(own), 1, exclude=own[:, None])
    return np.asarray(owners[found.ids[:, 0]] == owners, np.float64)


def _by_article(values: FloatArray, owners: npt.NDArray[np.int64]) -> FloatArray:
    _, numbers = np.unique(owners, return_inverse=True)
    return np.asarray(np.bincount(numbers, values) / np.bincount(numbers))
