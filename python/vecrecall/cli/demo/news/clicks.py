"""Clicks on news: words of titles, items of histories, documents of abstracts, and hit rates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._pooling import pool
from vecrecall.channels import ItemToItem, Precomputed, UserToItem
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.cli.demo.news import report
from vecrecall.cli.demo.news.families import DOCUMENTS, Sample, encode_documents, pool_words
from vecrecall.cli.demo.news.trainer import Trainer
from vecrecall.datasets import MindData
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.train import Embedding

Report = dict[str, Any]
IntArray = npt.NDArray[np.int64]

WORDS: dict[str, Any] = {"dim": 64, "window": 5, "epochs": 5, "min_count": 2, "subwords": True}
ITEMS: dict[str, Any] = {
    "dim": 64,
    "window": 10,
    "epochs": 10,
    "min_count": 2,
    "learning_rate": 0.05,
}

CUTOFFS = (10, 50)
BASELINE = "popularity"
NEIGHBORS = 100
HISTORY = 20  # clicks, the last ones, from which item to item starts
DECAY = 0.9  # weight of a click relative to the next newer one
BATCH = 1024
FREQUENT = 200  # words and news, among which those are drawn whose neighbors are shown

ABOUT = {
    "i2i-items": f"neighbors of the last {HISTORY} clicks by item2vec",
    "u2i-items": "neighbors of the sum of the item2vec vectors of the clicks, older ones less",
    "i2i-titles": f"neighbors of the last {HISTORY} clicks by pooled vectors of the titles' words",
    "u2i-titles": "neighbors of the sum of these vectors of the clicks, older ones less",
    BASELINE: "the baseline: the news with the most clicks",
}
"""A description of each channel."""

_WORD = re.compile(r"\w+")
_CHARACTERS = 128  # of an abstract, the first ones, that are encoded


@dataclass(frozen=True)
class Clicks:
    """Clicks by user, the last one held out.

    Attributes
    ----------
    users : list of str
        By time of their first click.
    catalog : list of str
        All news: those of the file, then those that were only clicked.
    histories : list of ndarray of int64
        Rows of the catalog, oldest first, each once; nothing held out is among them.
    held_out : ndarray of int64
        The last click of each evaluated user.
    evaluated : ndarray of int64
        The users with two clicks or more.
    titles : dict of str to str
        Of all news; empty where there is none.
    """

    users: list[str]
    catalog: list[str]
    histories: list[IntArray]
    held_out: IntArray
    evaluated: IntArray
    titles: dict[str, str]

    @cached_property
    def lists(self) -> list[list[str]]:
        """The histories as ids of news."""
        return [[self.catalog[row] for row in history] for history in self.histories]


def split(data: MindData) -> Clicks:
    """Hold out the last click of each user.

    Parameters
    ----------
    data : MindData

    Returns
    -------
    Clicks
    """
    assert data.items is not None
    catalog = list(dict.fromkeys([*data.items.keys, *data.interactions.items]))
    row_of = {key: row for row, key in enumerate(catalog)}
    clicks: dict[str, dict[int, None]] = {}
    for place in np.argsort(data.interactions.times, kind="stable").tolist():
        own = clicks.setdefault(data.interactions.users[place], {})
        own.setdefault(row_of[data.interactions.items[place]])
    by_user = [np.array(list(own), np.int64) for own in clicks.values()]
    evaluated = [user for user, own in enumerate(by_user) if len(own) > 1]
    histories = [own[:-1] if len(own) > 1 else own for own in by_user]
    return Clicks(
        list(clicks),
        catalog,
        histories,
        np.array([by_user[user][-1] for user in evaluated], np.int64),
        np.array(evaluated, np.int64),
        dict(zip(catalog, data.items.column("title", catalog, default=""), strict=True)),
    )


def train(trainer: Trainer, data: MindData, clicks: Clicks, seed: int) -> dict[str, Embedding]:
    """Train the families that the data allow.

    Parameters
    ----------
    trainer : Trainer
    data : MindData
    clicks : Clicks
    seed : int

    Returns
    -------
    dict of str to Embedding
        ``words`` by word, the others by id of news.
    """
    titles = [words_of(clicks.titles[key]) for key in clicks.catalog]
    words = trainer.sequences("words", titles, WORDS, seed)
    items = trainer.sequences("items", clicks.lists, ITEMS, seed)
    found = {
        "words": words,
        "items": items,
        "titles": None if words is None else pool_words(words, titles, clicks.catalog),
        "documents": encode_documents(trainer, _abstracts(data, seed)),
    }
    return {family: embedding for family, embedding in found.items() if embedding is not None}


def words_of(title: str) -> list[str]:
    """Split a title into words of lower case.

    Parameters
    ----------
    title : str

    Returns
    -------
    list of str
    """
    return _WORD.findall(title.lower())


def _abstracts(data: MindData, seed: int) -> Sample:
    """Draw abstracts, each of an article of its own."""
    assert data.items is not None
    texts = dict(zip(data.items.keys, data.items.column("abstract"), strict=True))
    keys = [key for key, text in texts.items() if text.strip()]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(keys))[:DOCUMENTS]).tolist()
    rows = [keys[place] for place in drawn]
    return Sample(rows, np.arange(len(rows)), [texts[row][:_CHARACTERS] for row in rows])


def measure(clicks: Clicks, embeddings: Mapping[str, Embedding]) -> dict[str, Report]:
    """Measure how often each channel finds the last click.

    Parameters
    ----------
    clicks : Clicks
    embeddings : mapping of str to Embedding

    Returns
    -------
    dict
        By channel, as in `ABOUT`; empty without a user of two clicks.
    """
    if not clicks.evaluated.size:
        return {}
    histories = [clicks.histories[user] for user in clicks.evaluated]
    counts = np.bincount(np.concatenate(clicks.histories), minlength=len(clicks.catalog))
    channels: dict[str, Channel] = {
        BASELINE: Precomputed.for_all(np.arange(len(clicks.catalog)), counts)
    }
    vectors = {}
    for family in ("items", "titles"):
        if family in embeddings:
            table = embeddings[family].aligned(clicks.catalog)
            index = Embedding(range(len(table)), table).to_index(invalid="skip")
            neighbors = NeighborTable.build(index, NEIGHBORS)
            channels[f"i2i-{family}"] = ItemToItem(neighbors, history_length=HISTORY, decay=DECAY)
            channels[f"u2i-{family}"] = UserToItem(index, vector=family)
            vectors[family] = _pooled(table, histories)
    batches = _batches(clicks, histories, vectors)
    return {
        name: {"about": ABOUT[name], **_rates(channels[name], batches, clicks.held_out)}
        for name in ABOUT
        if name in channels
    }


def _pooled(
    table: npt.NDArray[np.float32], histories: Sequence[IntArray]
) -> npt.NDArray[np.float32]:
    newest_first = [history[::-1] for history in histories]
    weights = [DECAY ** np.arange(len(history)) for history in histories]
    return pool(table, newest_first, weights, normalize=True)


def _batches(
    clicks: Clicks,
    histories: Sequence[IntArray],
    vectors: Mapping[str, npt.NDArray[np.float32]],
) -> list[RequestBatch]:
    found = []
    for begin in range(0, len(histories), BATCH):
        part = slice(begin, begin + BATCH)
        found.append(
            RequestBatch(
                user_ids=clicks.evaluated[part],
                history=[history[::-1] for history in histories[part]],
                vectors={name: rows[part] for name, rows in vectors.items()},
                seen=histories[part],
            )
        )
    return found


def _rates(channel: Channel, batches: Sequence[RequestBatch], held_out: IntArray) -> Report:
    ids = np.concatenate([channel.recall(batch, max(CUTOFFS)).ids for batch in batches])
    found = (ids == held_out[:, None]).cumsum(axis=1)[:, np.array(CUTOFFS) - 1]
    rates = found.mean(axis=0)
    errors = np.sqrt(rates * (1 - rates) / len(held_out))
    names = [str(k) for k in CUTOFFS]
    return {
        "hit_rate": dict(zip(names, rates.tolist(), strict=True)),
        "standard_error": dict(zip(names, errors.tolist(), strict=True)),
    }


def describe(data: MindData, clicks: Clicks) -> Report:
    """Count users, news and clicks.

    Parameters
    ----------
    data : MindData
    clicks : Clicks

    Returns
    -------
    dict
    """
    words = Counter(word for title in clicks.titles.values() for word in words_of(title))
    return {
        "source": data.interactions.source,
        "users": len(clicks.histories),
        "users_evaluated": len(clicks.evaluated),
        "news": len(clicks.catalog),
        "clicks": len(data.interactions),
        "words": words.total(),
        "distinct_words": len(words),
    }


def nearest(
    data: MindData, clicks: Clicks, embeddings: Mapping[str, Embedding], seed: int
) -> dict[str, list[Report]]:
    """List the neighbors of frequent words, of news with many clicks, and of some abstracts.

    Parameters
    ----------
    data : MindData
    clicks : Clicks
    embeddings : mapping of str to Embedding
    seed : int

    Returns
    -------
    dict
        By family.
    """
    assert data.items is not None
    counts = Counter(chain.from_iterable(clicks.lists))
    popular = [key for key, _ in counts.most_common(FREQUENT)]
    titles: dict[Any, str] = {key: title or key for key, title in clicks.titles.items()}
    abstracts = dict(zip(data.items.keys, data.items.column("abstract"), strict=True))
    words = embeddings["words"].ids if "words" in embeddings else []
    candidates: dict[str, tuple[list[Any], dict[Any, str] | None]] = {
        "words": ([word for word in words if len(str(word)) > 3][:FREQUENT], None),
        "items": (popular, titles),
        "titles": (popular, titles),
        "documents": (list(abstracts), abstracts),
    }
    found = {}
    for family, (keys, shown_as) in candidates.items():
        if family in embeddings:
            known = [key for key in keys if key in embeddings[family]]
            n = report.SHOWN if family == "words" else report.SHOWN_TEXTS
            drawn = report.draw(known, n, seed)
            found[family] = report.nearest(embeddings[family], drawn, shown_as)
    return found
