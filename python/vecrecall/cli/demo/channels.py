"""The channels of the demo, over the vectors that `embeddings` has trained."""

from __future__ import annotations

import numpy as np

from vecrecall.channels import CrossTag, ItemToItem, Precomputed, UserToItem
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.channels._specs import PROFILE_ITEMS
from vecrecall.cli.demo import groups
from vecrecall.cli.demo.data import Dataset
from vecrecall.cli.demo.embeddings import (
    FIRST_TAGS,
    ITEM2VEC,
    SVD_HISTORY,
    SVD_SIZE,
    USER_DECAY,
    FloatArray,
    Trained,
    Vectors,
)
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._neighbor_table import NeighborTable

# All chosen on the validation split, which the hit rates at 50 in comments refer to.
BASELINE = "popularity"

NEIGHBORS = 300
"""Similar items per item in the i2i table of item2vec: 0.66; 0.65 with 100 or 1000."""

TAG_NEIGHBORS = 100
"""Similar items per item for tag2vec: 0.46; 0.43 with 300, of which the last have other tags."""

I2I_HISTORY = 20
"""Number of a user's last items that i2i starts from."""

I2I_DECAY = 0.85
"""Weight of a list in i2i, relative to that of the next newer item."""

HEAT_POWER = 0.5
"""Cosines in the i2i table of item2vec are multiplied by this power of the similar item's heat, the
logarithm of its users from 0 to 1: 0.68, without it 0.66."""

HEAT_WEIGHT = 1.0
"""Weight of heat, which is added to a cosine of tags. The cosine alone does not distinguish the
many items with the same tags: user2vec 0.45, without heat 0.07."""

GROUP_ITEMS = 10
"""Number of items, the latest ones of a tag, in a vector of crosstag."""

ABOUT = {
    "i2i-item2vec": f"neighbors of the last {I2I_HISTORY} items by cosine of item2vec (items of "
    f"{ITEM2VEC.min_count} users or more) times the root of their heat, the logarithm of their "
    "users; lists summed, newer ones weigh more",
    "u2i-svd": f"{SVD_SIZE} factors of the matrix of users and items, without order except that "
    f"the user's vector is that of the last {SVD_HISTORY} items; inner product",
    "u2i-item2vec": "neighbors of the sum of the user's item2vec vectors, "
    f"each {USER_DECAY} times the weight of the next newer one",
    "crosstag": f"the last {PROFILE_ITEMS} items by their first tag (genre): of each the last "
    f"{GROUP_ITEMS} make one item2vec vector and one search; an item's best score counts",
    "cluster-bnb": "the items nearest to the center of the user's group, found once per group; "
    "groups by k-means of bnb vectors (tags, item2vec and genres concatenated), as many as the "
    "elbow suggests",
    "cluster-tag2vec": "the same by tag2vec only",
    "feed-bnb": "real time: the clicks of the group before the user's held-out items, old clicks "
    "counting less; the groups are those of cluster-bnb",
    "feed-tag2vec": "the same for the groups of cluster-tag2vec",
    "feed-rules": f"the same for users who share their {groups.RULE_DEPTH} most frequent genres, "
    f"or fewer genres where less than {groups.RULE_SIZE} users do",
    "profile-bnb": "crosstag for the pooled profiles of the user's bnb group",
    "i2i-tag2vec": f"neighbors of the last {I2I_HISTORY} items by cosine of the sums of their "
    f"first {FIRST_TAGS} tags, plus heat; lists summed, newer ones weigh more",
    "user2vec": f"the tags of the last {PROFILE_ITEMS} items, compared with the sums of the items' "
    f"first {FIRST_TAGS} tags; heat breaks the many ties",
    BASELINE: "the baseline: the items with the most users",
}
"""A description of each channel, in the order of merging: the strongest first."""


def build(
    dataset: Dataset,
    trained: Trained,
    grouped: groups.Groups | None,
    tags: RequestBatch,
) -> dict[str, Channel]:
    """Make the channels that the data allow.

    Parameters
    ----------
    dataset : Dataset
    trained : Trained
    grouped : Groups, optional
    tags : RequestBatch
        All users, for the profiles of groups.

    Returns
    -------
    dict of str to Channel
        In the order of `ABOUT`.
    """
    found: dict[str, Channel] = {BASELINE: _popularity(dataset)}
    if trained.svd is not None:
        found["u2i-svd"] = UserToItem(FlatIndex(trained.svd.items), vector="svd")
    if trained.item2vec is not None:
        found.update(_item2vec(dataset, trained.item2vec, any(dataset.tags)))
    if trained.tag2vec is not None:
        found.update(_tag2vec(dataset, trained.tag2vec))
    crosstag = found.get("crosstag")
    if grouped is not None and isinstance(crosstag, CrossTag):
        weights = {"tag2vec": HEAT_WEIGHT, "bnb": groups.BNB_HEAT}
        heats = {name: weight * heat(dataset) for name, weight in weights.items()}
        found.update(groups.channels(dataset, grouped, heats, crosstag, tags))
    return {name: found[name] for name in ABOUT if name in found}


def _popularity(dataset: Dataset) -> Channel:
    counts = dataset.item_counts
    return Precomputed.for_all(np.arange(counts.size), counts)


def item2vec_index(vectors: Vectors) -> FlatIndex:
    """Index item2vec without the items too rare to train, whose zero rows have no cosine."""
    return FlatIndex(vectors.items, metric="cosine", invalid="skip")


def i2i_item2vec(dataset: Dataset, table: NeighborTable) -> ItemToItem:
    """Make the channel over a table of neighbors by item2vec."""
    return ItemToItem(hot_table(dataset, table), history_length=I2I_HISTORY, decay=I2I_DECAY)


def hot_table(dataset: Dataset, table: NeighborTable) -> NeighborTable:
    """Multiply the scores of a table by a power of the similar item's heat."""
    return table.reweighted({"heat": heat(dataset)[table.items] ** HEAT_POWER})


def _item2vec(dataset: Dataset, vectors: Vectors, crosstag: bool) -> dict[str, Channel]:
    index = item2vec_index(vectors)
    found: dict[str, Channel] = {
        "i2i-item2vec": i2i_item2vec(dataset, NeighborTable.build(index, NEIGHBORS)),
        "u2i-item2vec": UserToItem(index, vector="item2vec"),
    }
    if crosstag:
        # The items themselves take the place of a user's tags, in categories by their first tag.
        found["crosstag"] = CrossTag(index, vectors.items, tags_per_group=GROUP_ITEMS)
    return found


def _tag2vec(dataset: Dataset, vectors: Vectors) -> dict[str, Channel]:
    index = tag2vec_index(dataset, vectors)
    table = NeighborTable.build(index, TAG_NEIGHBORS)
    return {
        "i2i-tag2vec": ItemToItem(table, history_length=I2I_HISTORY, decay=I2I_DECAY),
        "user2vec": UserToItem(index, vector="tag2vec"),
    }


def tag2vec_index(dataset: Dataset, vectors: Vectors) -> FlatIndex:
    """Index tag2vec; heat tells items with the same tags apart."""
    bias = HEAT_WEIGHT * heat(dataset)
    return FlatIndex(vectors.items, metric="cosine", bias=bias, invalid="skip")


def heat(dataset: Dataset) -> FloatArray:
    """Return the logarithm of each item's number of users, scaled to at most 1."""
    found = np.log1p(dataset.item_counts)
    return np.asarray(found / found.max(), np.float32)
