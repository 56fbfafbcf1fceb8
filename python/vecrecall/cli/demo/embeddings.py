"""Vectors of items and tags by `vecrecall.train`, pooled into vectors of items and users."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._pooling import pool
from vecrecall.channels._specs import ITEM_DECAY, PROFILE_ITEMS
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.train import Embedding, TrainingProgress, factors, sequences

FloatArray = npt.NDArray[np.float32]
OnEpoch = Callable[[], None]


@dataclass(frozen=True)
class SequenceSettings:
    """Hyper-parameters of `vecrecall.train.sequences`."""

    dim: int
    window: int
    epochs: int
    min_count: int
    sample: float
    learning_rate: float
    negative: int = 5


# Chosen on the validation split of MovieLens. With 15 epochs at learning_rate=0.05, item to item
# without heat has a hit rate at 50 of 0.67, and popularity 0.41. With rare films (min_count=1) it
# is 0.52, since their vectors are noise; with sample=1e-3, the default, 0.64 in 1.5 times the time;
# with window=5 0.56, since the order within a session matters little. 10 epochs at 0.075 find as
# much in 2/3 of the time.
ITEM2VEC = SequenceSettings(
    dim=32, window=20, epochs=10, min_count=5, sample=1e-4, learning_rate=0.075
)
TAG2VEC = SequenceSettings(
    dim=16, window=10, epochs=5, min_count=1, sample=1e-3, learning_rate=0.025
)

FIRST_TAGS = 3
"""Number of tags, the first ones, that make an item's vector; they describe it best."""

USER_DECAY = ITEM_DECAY
"""Weight of an item in a user vector, relative to the next newer one."""

SVD_SIZE = 64
"""Factors of the matrix of users and items: a hit rate at 50 of 0.68; 0.66 with 20."""

SVD_HISTORY = 20
"""Number of last items in the user's vector: 0.63 with all."""

SVD_DECAY = 0.9
"""Weight of an item in this vector, relative to the next newer one."""


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


class Train(Protocol):
    """`item2vec` or `tag2vec`."""

    def __call__(
        self, dataset: Dataset, seed: int, on_epoch: OnEpoch, stop: threading.Event | None = None
    ) -> Vectors | None:
        """Train on one split."""


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
    stop = threading.Event()
    with ThreadPoolExecutor(len(splits)) as executor:
        futures = [executor.submit(train, split, seed, on_epoch, stop) for split in splits]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()  # the executor waits for all threads
            raise


def item2vec(
    dataset: Dataset, seed: int, on_epoch: OnEpoch, stop: threading.Event | None = None
) -> Vectors | None:
    """Train item vectors on the users' training histories, and pool user vectors from them.

    Parameters
    ----------
    dataset : Dataset
    seed : int
    on_epoch : callable
        Called after each of ``ITEM2VEC.epochs`` epochs.
    stop : threading.Event, optional
        Ends the training within a second, once it is set.

    Returns
    -------
    Vectors, optional
        Item vectors of length one; user vectors are normalized sums that decay with age. None if
        fewer than two items are frequent enough to train.
    """
    histories = [history.tolist() for history in dataset.histories]
    trained = _train(histories, ITEM2VEC, seed, on_epoch, stop)
    if trained is None:
        return None
    rows = trained.rows(range(len(dataset.items)), missing="ignore")
    items = pool(trained.matrix, rows[:, None], normalize=True)
    newest_first = [history[::-1] for history in dataset.histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in newest_first]
    return Vectors(items, pool(items, newest_first, weights, normalize=True))


def tag2vec(
    dataset: Dataset,
    seed: int,
    on_epoch: OnEpoch,
    stop: threading.Event | None = None,
    *,
    first: int | None = FIRST_TAGS,
) -> Vectors | None:
    """Train tag vectors on the tags of the users' training histories; pool items and users.

    Parameters
    ----------
    dataset : Dataset
    seed : int
    on_epoch : callable
        Called after each of ``TAG2VEC.epochs`` epochs.
    stop : threading.Event, optional
        Ends the training within a second, once it is set.

    first : int, optional
        Number of an item's tags that count, the first ones; None counts all.

    Returns
    -------
    Vectors, optional
        An item is the sum of its first tags. A user is the normalized sum of the profile's tags,
        weighted by the number of last items with the tag. None if there are fewer than two tags.
    """
    tags = [item_tags[:first] for item_tags in dataset.tags]
    sentences = [
        list(chain.from_iterable(tags[item] for item in history)) for history in dataset.histories
    ]
    trained = _train(sentences, TAG2VEC, seed, on_epoch, stop)
    if trained is None:
        return None
    items = pool(trained.matrix, [trained.rows(item_tags) for item_tags in tags])
    profiles = [_profile(history, tags) for history in dataset.histories]
    rows = [trained.rows(list(profile)) for profile in profiles]
    weights = [list(profile.values()) for profile in profiles]
    return Vectors(items, pool(trained.matrix, rows, weights, normalize=True))


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
    if min(len(dataset.users), len(dataset.items)) < 2:
        return None
    users = np.repeat(np.arange(len(dataset.users)), [h.size for h in dataset.histories])
    films = factors(users, np.concatenate(dataset.histories), dim=SVD_SIZE, seed=seed).items
    table = films.vectors(range(len(dataset.items)))
    latest = [history[: -SVD_HISTORY - 1 : -1] for history in dataset.histories]
    weights = [SVD_DECAY ** np.arange(history.size) for history in latest]
    return Vectors(table, pool(table, latest, weights, normalize=True))


def _profile(history: IntArray, tags: Sequence[tuple[str, ...]]) -> Counter[str]:
    return Counter(tag for item in history[-PROFILE_ITEMS:] for tag in tags[item])


def _train(
    lists: Sequence[Sequence[Hashable]],
    settings: SequenceSettings,
    seed: int,
    on_epoch: OnEpoch,
    stop: threading.Event | None,
) -> Embedding | None:
    """Train vectors; return None if no list has two keys that are frequent enough."""
    counts = Counter(chain.from_iterable(lists))
    frequent = {key for key, count in counts.items() if count >= settings.min_count}
    if len(frequent) < 2 or all(sum(key in frequent for key in keys) < 2 for keys in lists):
        return None
    reported = 0

    def report(progress: TrainingProgress) -> None:
        nonlocal reported
        for _ in range(reported, progress.epoch):
            on_epoch()
        reported = progress.epoch

    return sequences(lists, **vars(settings), seed=seed, progress=report, stop=stop)
