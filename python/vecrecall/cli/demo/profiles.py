"""The users' requests to the channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecrecall.arrays._ragged import Ragged
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._specs import item_tags
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import FloatArray, Trained


@dataclass(frozen=True)
class Profiles:
    """The parts of requests, by user.

    Attributes
    ----------
    history : sequence of ndarray
        The items of the training part, newest first.
    latest, genres : sequence of ndarray
        For crosstag: the last items, and the numbers of their first tags, -1 without tags.
    weights : sequence of ndarray
        Weights of the latest items, which decay with age.
    vectors : dict of str to ndarray, shape (n_users, d)
    """

    history: Sequence[IntArray]
    latest: Sequence[IntArray]
    genres: Sequence[IntArray]
    weights: Sequence[FloatArray]
    vectors: dict[str, FloatArray]

    @property
    def tags(self) -> RequestBatch:
        """The request of crosstag for all users."""
        return RequestBatch(tags=self.latest, tag_weights=self.weights, tag_groups=self.genres)

    def batch(self, users: IntArray) -> RequestBatch:
        """Make the request of some users.

        Parameters
        ----------
        users : ndarray

        Returns
        -------
        RequestBatch
        """
        history = Ragged.from_lists([self.history[user] for user in users])
        return RequestBatch(
            user_ids=users,
            history=history,
            tags=[self.latest[user] for user in users],
            tag_weights=[self.weights[user] for user in users],
            tag_groups=[self.genres[user] for user in users],
            vectors={name: vectors[users] for name, vectors in self.vectors.items()},
            seen=history,
        )

    def batches(self, users: IntArray, size: int) -> list[RequestBatch]:
        """Make requests with `size` users each.

        Parameters
        ----------
        users : ndarray
        size : int

        Returns
        -------
        list of RequestBatch
        """
        return [self.batch(users[start : start + size]) for start in range(0, users.size, size)]


def build(dataset: Dataset, trained: Trained) -> Profiles:
    """Make the profiles of all users from their training part.

    Parameters
    ----------
    dataset : Dataset
    trained : Trained

    Returns
    -------
    Profiles
    """
    families = {"item2vec": trained.item2vec, "tag2vec": trained.tag2vec, "svd": trained.svd}
    vectors = {name: found.users for name, found in families.items() if found is not None}
    return of_histories(dataset.histories, first_tags(dataset), vectors)


def first_tags(dataset: Dataset) -> IntArray:
    """Return the number of each item's first tag, -1 without tags."""
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(tags[0], len(numbers)) if tags else -1 for tags in dataset.tags],
        np.int64,
    )


def of_histories(
    histories: Sequence[IntArray], genre: IntArray, vectors: dict[str, FloatArray]
) -> Profiles:
    """Make profiles from histories.

    Parameters
    ----------
    histories : sequence of ndarray
        Items, oldest first.
    genre : ndarray, shape (n_items,)
        The number of each item's first tag, -1 without tags.
    vectors : dict of str to ndarray, shape (n_users, d)

    Returns
    -------
    Profiles
    """
    history = [items[::-1] for items in histories]
    latest, weights, genres = map(list, item_tags(Ragged.from_lists(history), genre))
    return Profiles(history, latest, genres, weights, vectors)
