"""Trains vectors for items and tags, and pools them into vectors for items and users."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall.demo.data import Dataset, IntArray

FloatArray = npt.NDArray[np.float32]
OnEpoch = Callable[[], None]


@dataclass(frozen=True)
class Word2VecSettings:
    """Hyper-parameters of a skip-gram model, named as gensim names them."""

    vector_size: int
    window: int
    epochs: int
    min_count: int
    sample: float
    alpha: float
    negative: int = 5


# Chosen on a validation split cut from MovieLens' training part: each user's last 5 training films.
# There i2i has a hit rate at 50 of 0.67, and popularity 0.41. With rare films (min_count=1) it is
# 0.52, for their vectors are noise; with gensim's sample=1e-3 0.64 in 1.5 times the time; with
# window=5 0.56, for order within a session says little; with 5 epochs 0.57.
ITEM2VEC = Word2VecSettings(
    vector_size=32, window=20, epochs=15, min_count=5, sample=1e-4, alpha=0.05
)
TAG2VEC = Word2VecSettings(
    vector_size=16, window=10, epochs=5, min_count=1, sample=1e-3, alpha=0.025
)

FIRST_TAGS = 3
"""An item is the sum of its first tags only, which describe it best."""

PROFILE_ITEMS = 50
"""A user's tag profile counts the tags of so many last items."""

USER_DECAY = 0.95
"""In a user vector an item weighs this much less than the next newer one."""

_MAX_SENTENCE = 10_000  # gensim cuts off the rest of longer ones


@dataclass(frozen=True)
class Vectors:
    """Items and users in one space, both zero where nothing is known."""

    items: FloatArray
    users: FloatArray

    @property
    def known_items(self) -> npt.NDArray[np.bool_]:
        """Which items have a vector."""
        return np.asarray(self.items.any(axis=1))


def item2vec(dataset: Dataset, seed: int, on_epoch: OnEpoch) -> Vectors | None:
    """Train item vectors on the users' training histories, and pool user vectors from them.

    Parameters
    ----------
    dataset : Dataset
    seed : int
    on_epoch : callable
        Called after each of ``ITEM2VEC.epochs`` epochs.

    Returns
    -------
    Vectors, optional
        Unit item vectors; user vectors are sums that decay with age, normalised. None if fewer
        than two items are frequent enough to train.
    """
    histories = [[str(item) for item in history] for history in dataset.histories]
    trained = _train(histories, ITEM2VEC, seed, on_epoch)
    if trained is None:
        return None
    words, table = trained
    rows = np.full((len(dataset.items), 1), -1, np.int64)
    rows[[int(word) for word in words], 0] = np.arange(len(words))
    items = vr.pool(table, rows, normalize=True)
    newest_first = [history[::-1] for history in dataset.histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in newest_first]
    return Vectors(items, vr.pool(items, newest_first, weights, normalize=True))


def tag2vec(dataset: Dataset, seed: int, on_epoch: OnEpoch) -> Vectors | None:
    """Train tag vectors on the tags of the users' training histories; pool items and users.

    Parameters
    ----------
    dataset : Dataset
    seed : int
    on_epoch : callable
        Called after each of ``TAG2VEC.epochs`` epochs.

    Returns
    -------
    Vectors, optional
        An item is the sum of its first tags, a user the sum of the profile's tags weighted by how
        many of the last items have them, normalised. None if there are fewer than two tags.
    """
    tags = [item_tags[:FIRST_TAGS] for item_tags in dataset.tags]
    sentences = [
        list(chain.from_iterable(tags[item] for item in history)) for history in dataset.histories
    ]
    trained = _train(sentences, TAG2VEC, seed, on_epoch)
    if trained is None:
        return None
    words, table = trained
    row_of = {word: row for row, word in enumerate(words)}
    items = vr.pool(table, [[row_of[tag] for tag in item_tags] for item_tags in tags])
    profiles = [_profile(history, tags, row_of) for history in dataset.histories]
    rows = [list(profile.keys()) for profile in profiles]
    weights = [list(profile.values()) for profile in profiles]
    return Vectors(items, vr.pool(table, rows, weights, normalize=True))


def _profile(
    history: IntArray, tags: Sequence[tuple[str, ...]], row_of: dict[str, int]
) -> Counter[int]:
    return Counter(row_of[tag] for item in history[-PROFILE_ITEMS:] for tag in tags[item])


def _train(
    sentences: list[list[str]], settings: Word2VecSettings, seed: int, on_epoch: OnEpoch
) -> tuple[list[str], FloatArray] | None:
    """Train words; None if fewer than two are frequent enough."""
    from gensim.models import Word2Vec

    counts = Counter(chain.from_iterable(sentences))
    if sum(count >= settings.min_count for count in counts.values()) < 2:
        return None
    pieces = [
        sentence[start : start + _MAX_SENTENCE]
        for sentence in sentences
        for start in range(0, len(sentence), _MAX_SENTENCE)
    ]
    with _quiet("gensim"):
        model = Word2Vec(
            pieces,
            sg=1,
            seed=seed,
            workers=1,  # more would race, and no run could be repeated
            hashfxn=_stable_hash,
            callbacks=[_EpochCallback(on_epoch)],
            **vars(settings),
        )
    return list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32)


def _stable_hash(word: str) -> int:
    """Replace Python's hash, which differs from process to process."""
    return zlib.crc32(word.encode())


class _EpochCallback:
    """What gensim calls while it trains."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self._on_epoch = on_epoch

    def on_train_begin(self, model: object) -> None:
        pass

    def on_train_end(self, model: object) -> None:
        pass

    def on_epoch_begin(self, model: object) -> None:
        pass

    def on_epoch_end(self, model: object) -> None:
        self._on_epoch()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's warnings (few words, short sentences) out of the output."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
