"""Training of vectors for items and tags, and pooling into vectors for items and users."""

from __future__ import annotations

import logging
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._pooling import pool
from vecrecall.cli.demo.data import Dataset, IntArray

FloatArray = npt.NDArray[np.float32]
OnEpoch = Callable[[], None]


@dataclass(frozen=True)
class Word2VecSettings:
    """Hyper-parameters of a skip-gram model, under the names of gensim."""

    vector_size: int
    window: int
    epochs: int
    min_count: int
    sample: float
    alpha: float
    negative: int = 5


# Chosen on the validation split of MovieLens. With 15 epochs at alpha=0.05, item to item without
# heat has a hit rate at 50 of 0.67, and popularity 0.41. With rare films (min_count=1) it is 0.52,
# since their vectors are noise; with sample=1e-3, the default of gensim, 0.64 in 1.5 times the
# time; with window=5 0.56, since the order within a session matters little. 10 epochs at 0.075 find
# as much in 2/3 of the time.
ITEM2VEC = Word2VecSettings(
    vector_size=32, window=20, epochs=10, min_count=5, sample=1e-4, alpha=0.075
)
TAG2VEC = Word2VecSettings(
    vector_size=16, window=10, epochs=5, min_count=1, sample=1e-3, alpha=0.025
)

FIRST_TAGS = 3
"""Number of tags, the first ones, that make an item's vector; they describe it best."""

PROFILE_ITEMS = 50
"""Number of last items whose tags a user's tag profile counts."""

USER_DECAY = 0.95
"""Weight of an item in a user vector, relative to the next newer one."""

SVD_SIZE = 64
"""Factors of the matrix of users and items: a hit rate at 50 of 0.68; 0.66 with 20."""

SVD_HISTORY = 20
"""Number of last items in the user's vector: 0.63 with all."""

SVD_DECAY = 0.9
"""Weight of an item in this vector, relative to the next newer one."""

_MAX_SENTENCE = 10_000  # gensim drops the rest of longer ones


@dataclass(frozen=True)
class Vectors:
    """Items and users in one space; rows without data are zero."""

    items: FloatArray
    users: FloatArray

    @property
    def known_items(self) -> npt.NDArray[np.bool_]:
        """Mask of the items with a vector."""
        return np.asarray(self.items.any(axis=1))


@dataclass(frozen=True)
class Trained:
    """Trained vectors; None where the data do not allow them."""

    item2vec: Vectors | None
    tag2vec: Vectors | None
    svd: Vectors | None


Train = Callable[[Dataset, int, OnEpoch], Vectors | None]


def train_splits(
    train: Train, splits: Sequence[Dataset], seed: int, on_epoch: OnEpoch
) -> list[Vectors | None]:
    """Train on several splits in parallel, each in a thread of its own.

    Parameters
    ----------
    train : callable
        `item2vec` or `tag2vec`.
    splits : sequence of Dataset
    seed : int
    on_epoch : callable
        Called after each epoch of each split.

    Returns
    -------
    list of Vectors or None
    """
    stopped = threading.Event()

    def go_on() -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        on_epoch()

    with _quiet("gensim"), ThreadPoolExecutor(len(splits)) as executor:
        futures = [executor.submit(train, split, seed, go_on) for split in splits]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stopped.set()  # an interrupt waits for one epoch at most
            raise


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
        Item vectors of length one; user vectors are normalized sums that decay with age. None if
        fewer than two items are frequent enough to train.
    """
    histories = [[str(item) for item in history] for history in dataset.histories]
    trained = _train(histories, ITEM2VEC, seed, on_epoch)
    if trained is None:
        return None
    words, table = trained
    rows = np.full((len(dataset.items), 1), -1, np.int64)
    rows[[int(word) for word in words], 0] = np.arange(len(words))
    items = pool(table, rows, normalize=True)
    newest_first = [history[::-1] for history in dataset.histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in newest_first]
    return Vectors(items, pool(items, newest_first, weights, normalize=True))


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
        An item is the sum of its first tags. A user is the normalized sum of the profile's tags,
        weighted by the number of last items with the tag. None if there are fewer than two tags.
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
    items = pool(table, [[row_of[tag] for tag in item_tags] for item_tags in tags])
    profiles = [_profile(history, tags, row_of) for history in dataset.histories]
    rows = [list(profile.keys()) for profile in profiles]
    weights = [list(profile.values()) for profile in profiles]
    return Vectors(items, pool(table, rows, weights, normalize=True))


def svd(dataset: Dataset, seed: int) -> Vectors | None:
    """Factorize the matrix of users and items, with a one for each pair of the training part.

    Parameters
    ----------
    dataset : Dataset
    seed : int

    Returns
    -------
    Vectors, optional
        An item is its row of the right singular vectors. A user is the normalized sum of the rows
        of the last items, which decays with age. None if there are fewer than two users or items.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    shape = (len(dataset.users), len(dataset.items))
    if min(shape) < 2:
        return None
    items = np.concatenate(dataset.histories)
    offsets = np.cumsum([0, *(history.size for history in dataset.histories)])
    matrix = csr_array((np.ones(items.size), items, offsets), shape=shape)
    start = np.random.default_rng(seed).standard_normal(min(shape))
    _, _, factors = svds(matrix, k=min(SVD_SIZE, min(shape) - 1), v0=start)
    table = np.ascontiguousarray(factors.T, np.float32)
    latest = [history[: -SVD_HISTORY - 1 : -1] for history in dataset.histories]
    weights = [SVD_DECAY ** np.arange(history.size) for history in latest]
    return Vectors(table, pool(table, latest, weights, normalize=True))


def _profile(
    history: IntArray, tags: Sequence[tuple[str, ...]], row_of: dict[str, int]
) -> Counter[int]:
    return Counter(row_of[tag] for item in history[-PROFILE_ITEMS:] for tag in tags[item])


def _train(
    sentences: list[list[str]], settings: Word2VecSettings, seed: int, on_epoch: OnEpoch
) -> tuple[list[str], FloatArray] | None:
    """Train word vectors; return None if fewer than two words are frequent enough."""
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
            workers=1,  # results of several workers would depend on their timing
            hashfxn=_stable_hash,
            callbacks=[_EpochCallback(on_epoch)],
            **vars(settings),
        )
    return list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32)


def _stable_hash(word: str) -> int:
    """Replace the hash of Python, which differs between processes."""
    return zlib.crc32(word.encode())


class _EpochCallback:
    """Callbacks of gensim during training."""

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
    """Suppress a library's warnings (few words, short sentences)."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
