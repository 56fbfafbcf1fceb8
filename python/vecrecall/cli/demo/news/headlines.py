"""Headlines, and the topics of the articles below them.

The newspaper has no sections in this copy, so that topics stand for them: clusters of the articles'
texts by the pooled vectors of their words. Headlines are not part of these texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo.news.corpus import Article, Paragraph, content_words
from vecrecall.cli.demo.news.families import pool_words
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.cluster._kmeans import KMeans
from vecrecall.train import Embedding, titles

Report = dict[str, Any]

TOPICS = 12
"""Number of topics."""

HELD_OUT = 0.2
"""Share of the headlines that no trainer sees."""

# With another seed than the demo's the nearest headline is of the topic for 0.32 of the held-out
# ones. With 10 epochs and a dropout of 0.1 it is 0.25, with characters for words 0.28.
TITLES: dict[str, Any] = {"dim": 64, "word_dim": 64, "epochs": 20, "word_dropout": 0.3}

_NAMED = 4  # words that describe a topic


@dataclass(frozen=True)
class Headlines:
    """Headlines with the topics of their articles.

    Attributes
    ----------
    titles : list of list of str
        Their words.
    topics : ndarray of int64
        Of the article of each.
    held_out : ndarray of bool
        Which of them no trainer sees.
    words : list of list of str
        Words by which topics stand out.
    """

    titles: list[list[str]]
    topics: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_]
    words: list[list[str]]

    def describe(self) -> list[Report]:
        """Describe the topics for the report.

        Returns
        -------
        list of dict
        """
        sizes = np.bincount(self.topics, minlength=len(self.words)).tolist()
        return [{"words": words, "articles": n} for words, n in zip(self.words, sizes, strict=True)]


def find_topics(
    paragraphs: Sequence[Paragraph], articles: Sequence[Article], words: Embedding, seed: int
) -> Headlines | None:
    """Cluster articles by their texts.

    Parameters
    ----------
    paragraphs : sequence of sequence of (str, str)
    articles : sequence of Article
    words : Embedding
        By word.
    seed : int
        Of the clusters, and of the headlines that are held out.

    Returns
    -------
    Headlines, optional
        None with fewer than ten articles per topic.
    """
    texts = [
        list(chain.from_iterable(content_words(paragraphs[row]) for row in article.paragraphs))
        for article in articles
    ]
    pooled = pool_words(words, texts, range(len(texts)))
    if len(pooled) < 10 * TOPICS:
        return None
    fitted = KMeans(TOPICS, metric="cosine", random_state=seed).fit(pooled.matrix)
    rows = [int(row) for row in pooled.index_ids]
    topics = fitted.labels_.astype(np.int64)
    return Headlines(
        [articles[row].title for row in rows],
        topics,
        np.random.default_rng(seed).random(len(rows)) < HELD_OUT,
        _outstanding([texts[row] for row in rows], topics),
    )


def train_titles(trainer: Trainer, headlines: Headlines, seed: int) -> Embedding | None:
    """Train vectors of headlines towards the topics of their articles (title2vec).

    Parameters
    ----------
    trainer : Trainer
    headlines : Headlines
        Those held out have no topic in training; they get vectors as new ones would.
    seed : int

    Returns
    -------
    Embedding, optional
        By row of `headlines`. None if torch is not installed.
    """
    if find_spec("torch") is None:
        trainer.skipped["titles"] = 'needs torch: pip install "vecrecall[news]"'
        return None
    texts = [" ".join(title) for title in headlines.titles]
    pairs = zip(headlines.topics.tolist(), headlines.held_out.tolist(), strict=True)
    topics = [[] if held_out else [topic] for topic, held_out in pairs]
    return trainer.embedding(
        "titles",
        {**TITLES, "seed": seed},
        [texts, topics],
        ["torch"],
        lambda checkpoint, progress: titles(
            texts,
            topics,
            tokenize=str.split,
            **TITLES,
            seed=seed,
            progress=progress,
            checkpoint=checkpoint,
        ),
    )


def _outstanding(texts: Sequence[list[str]], topics: npt.NDArray[np.int64]) -> list[list[str]]:
    """Find words whose share in a topic exceeds their share in all texts."""
    overall = Counter(chain.from_iterable(texts))
    total = overall.total()
    found = []
    for topic in range(TOPICS):
        rows = np.flatnonzero(topics == topic).tolist()
        own = Counter(chain.from_iterable(texts[row] for row in rows))
        size = own.total()
        gains = {
            word: count * log(count / size * total / overall[word])
            for word, count in own.items()
            if len(word) > 1
        }
        found.append(sorted(gains, key=lambda word: (-gains[word], word))[:_NAMED])
    return found


def same_topic(headlines: Headlines, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell for each held-out headline whether the nearest other is of the same topic.

    Parameters
    ----------
    headlines : Headlines
    vectors : ndarray of float32, shape (n, d)
        Of all headlines; a zero row has no nearest and is a miss.

    Returns
    -------
    ndarray of bool
        By held-out headline.
    """
    known = np.flatnonzero(~headlines.held_out)
    index = Embedding(known.tolist(), vectors[known], metric="cosine").to_index(invalid="skip")
    asked = np.flatnonzero(headlines.held_out)
    nearest = index.search(vectors[asked], 1, invalid="empty").ids[:, 0]
    return np.asarray((nearest >= 0) & (headlines.topics[nearest] == headlines.topics[asked]))
