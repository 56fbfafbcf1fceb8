"""The ways to recall: each turns users into ranked lists of items that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

import vecrecall as vr
from vecrecall.demo.data import Dataset, IntArray
from vecrecall.demo.embeddings import (
    FIRST_TAGS,
    ITEM2VEC,
    PROFILE_ITEMS,
    USER_DECAY,
    FloatArray,
    Vectors,
)

# All chosen on the validation split that `embeddings` describes.
SEEDS = 10
"""i2i starts from so many of a user's last items."""

SEED_DECAY = 0.85
"""In i2i a list weighs this much less than that of the next newer item."""

DEPTH = 1000
"""Each of the lists that i2i joins has at least this length."""

HEAT_WEIGHT = 1.0
"""What an item's heat, from 0 to 1, adds to a cosine of tags, which alone cannot tell apart the
many items of the same tags. Without it the hit rate at 50 was 0.07 in validation, with it 0.45."""


class Channel(Protocol):
    """One way to recall."""

    @property
    def name(self) -> str:
        """A short name."""

    @property
    def about(self) -> str:
        """What the channel does, in one line."""

    def recall(self, users: IntArray, k: int) -> vr.SearchResult:
        """Give each user a list of `k` items."""


@dataclass(frozen=True)
class UserToItem:
    """The items whose vectors are nearest to the user's.

    Attributes
    ----------
    name, about : str
    index : FlatIndex
    vectors : ndarray, shape (n_users, d)
    seen : sequence of ndarray
        For each user the items to leave out.
    """

    name: str
    about: str
    index: vr.FlatIndex
    vectors: FloatArray
    seen: Sequence[IntArray]

    def recall(self, users: IntArray, k: int) -> vr.SearchResult:
        """Search with the vector of each user."""
        return self.index.search(self.vectors[users], k, exclude=[self.seen[u] for u in users])


@dataclass(frozen=True)
class ItemToItem:
    """The neighbours of each of the user's last items, joined by item.

    Attributes
    ----------
    name, about : str
    index : FlatIndex
    vectors : ndarray, shape (n_items, d)
    seeds : sequence of ndarray
        For each user the items to start from, newest first.
    seen : sequence of ndarray
        For each user the items to leave out.
    """

    name: str
    about: str
    index: vr.FlatIndex
    vectors: FloatArray
    seeds: Sequence[IntArray]
    seen: Sequence[IntArray]

    def recall(self, users: IntArray, k: int) -> vr.SearchResult:
        """Search with all seeds of all users at once, then sum each user's weighted lists."""
        seeds = vr.Ragged.from_lists([self.seeds[u] for u in users])
        seen = [self.seen[u] for u, n in zip(users, seeds.lengths, strict=True) for _ in range(n)]
        found = self.index.search(self.vectors[seeds.values], max(k, DEPTH), exclude=seen)
        age = np.arange(seeds.values.size) - np.repeat(seeds.offsets[:-1], seeds.lengths)
        weights = (SEED_DECAY**age).astype(np.float32)
        weighted = found._replace(scores=found.scores * weights[:, None])
        joined = vr.merge_groups(weighted, seeds.offsets, k, how="sum")
        return vr.SearchResult(joined.ids, joined.scores, joined.counts)


def popularity(dataset: Dataset) -> Channel:
    """Make the baseline: the items that most users have in their training part.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    Channel
    """
    counts = dataset.item_counts[:, None].astype(np.float32)
    return UserToItem(
        name="popularity",
        about="the baseline: the items of most users",
        index=vr.FlatIndex(counts),
        vectors=np.ones((len(dataset.users), 1), np.float32),
        seen=dataset.histories,
    )


def item2vec_channels(dataset: Dataset, vectors: Vectors) -> list[Channel]:
    """Make i2i and u2i over item2vec vectors.

    Parameters
    ----------
    dataset : Dataset
    vectors : Vectors

    Returns
    -------
    list of Channel
    """
    # Items too rare to train are zero: no cosine, so left out.
    index = vr.FlatIndex(vectors.items, metric="cosine", invalid="empty")
    known = vectors.known_items
    seeds = [history[known[history]][: -SEEDS - 1 : -1] for history in dataset.histories]
    return [
        ItemToItem(
            name="i2i-item2vec",
            about=f"neighbours of the last {SEEDS} items by cosine of item2vec "
            f"(items of {ITEM2VEC.min_count} users or more), lists summed, newer ones weigh more",
            index=index,
            vectors=vectors.items,
            seeds=seeds,
            seen=dataset.histories,
        ),
        UserToItem(
            name="u2i-item2vec",
            about="neighbours of the sum of the user's item2vec vectors, "
            f"each {USER_DECAY} times the weight of the next newer one",
            index=index,
            vectors=vectors.users,
            seen=dataset.histories,
        ),
    ]


def tag2vec_channel(dataset: Dataset, vectors: Vectors) -> Channel:
    """Make u2i over tag2vec vectors (user2vec).

    Parameters
    ----------
    dataset : Dataset
    vectors : Vectors

    Returns
    -------
    Channel
    """
    heat = np.log1p(dataset.item_counts)
    return UserToItem(
        name="u2i-tag2vec",
        about=f"user2vec: the tags of the last {PROFILE_ITEMS} items, against the sums of items' "
        f"first {FIRST_TAGS} tags; heat (logarithm of the item's users) breaks the many ties",
        index=vr.FlatIndex(
            vectors.items,
            metric="cosine",
            bias=HEAT_WEIGHT * heat / heat.max(),
            invalid="empty",
        ),
        vectors=vectors.users,
        seen=dataset.histories,
    )
