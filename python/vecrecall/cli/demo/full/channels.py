"""The channels of every family and grouping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vecrecall.channels import _specs
from vecrecall.channels._protocol import Channel
from vecrecall.channels._specs import Parts, Spec
from vecrecall.cli.demo import channels as light
from vecrecall.cli.demo import groups
from vecrecall.cli.demo.channels import BASELINE
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import FloatArray
from vecrecall.cli.demo.full.families import Found
from vecrecall.cli.demo.full.grouping import Grouping, feed_of
from vecrecall.cli.demo.profiles import Profiles, first_tags, of_histories
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._neighbor_table import NeighborTable

I2I = {
    "item2vec": "neighbors of the last items by item2vec, times the root of their heat",
    "tag2vec": "by the sums of their first genres (tag2vec), plus heat",
    "fine2vec": "by the finer genres of the knowledge graph, plus heat",
    "media2vec": "by directors (media2vec), plus heat",
    "loc2vec": "by countries (loc2vec), plus heat",
    "entity": "by TransE on the knowledge graph, plus heat",
    "title2vec": "by titles (LSTM), plus heat",
    "doc": "by texts (sentence encoder), plus heat",
    "dssm": "by the item tower of DSSM, times heat",
    "lstm": "by the item tower of the LSTM model, times heat",
}
"""Families with a channel item to item."""

U2I = {
    "svd": ("u2i-svd", "factors of the last 20 items"),
    "tag2vec": ("user2vec", "the genres of the last 50 items, plus heat"),
    "fine2vec": ("user2vec-fine", "the finer genres of the last 50 items, plus heat"),
    "fine2vec-all": ("user2vec-fine-all", "the same with all of them and not the first three"),
    "item2vec": ("u2i-item2vec", "the sum of the item2vec vectors of the history"),
    "dssm": ("u2i-dssm", "the user tower of DSSM: history and features"),
    "mean": ("u2i-mean", "the last items by their mean, then layers (YouTube)"),
    "lstm": ("u2i-lstm", "the last items by an LSTM"),
    "cnn": ("u2i-cnn", "the last items by convolutions"),
    "attention": ("u2i-attention", "the last items by attention"),
}
"""Families with a channel user to item."""

LEARNED = (
    "u2i-svd",
    "u2i-item2vec",
    "u2i-dssm",
    "u2i-mean",
    "u2i-lstm",
    "u2i-cnn",
    "u2i-attention",
)
"""Learned channels user to item, which must find more than popularity."""

VARIANTS = ("user2vec-fine-all",)
"""Channels that are there to be compared with another, and are not merged."""

LIGHT = (
    *("i2i-item2vec", "u2i-svd", "u2i-item2vec", "crosstag", "cluster-bnb", "cluster-tag2vec"),
    *("feed-bnb", "feed-tag2vec", "feed-rules", "profile-bnb", "i2i-tag2vec", "user2vec"),
)
"""Channels that the light demo has, too."""

TOWERS = ("dssm", "mean", "lstm", "cnn", "attention")
TAGS = ("tag2vec", "fine2vec", "fine2vec-all", "media2vec", "loc2vec", "title2vec", "doc", "entity")
"""Families in which the cosine alone does not tell many items apart, so that heat is added."""

# Chosen by recall at 100 of item to item on the validation split, seed 0, from 0 to 2.
HEAT = {
    "entity": 2.0,  # 0.345; 0.294 with 0.5, 0.071 without
    "title2vec": 2.0,  # 0.363; 0.338 with 1, 0.122 without
    "fine2vec": 2.0,  # 0.343; 0.335 with 1, 0.091 without
    "fine2vec-all": 2.0,  # as with the first three only
    "loc2vec": 2.0,  # 0.325 with 1, 0.139 without
    "doc": 0.2,  # 0.375; 0.364 with 0.5, 0.169 without
}
"""Weight of heat where it differs from that of the light demo: 1, which is best for genres (0.389)
and directors (0.570)."""

TOWER_NEIGHBORS = 100
"""Similar items per item by the item tower of DSSM: 0.583; 0.578 with 300."""

TOWER_HEAT = 1.0
"""Cosines in tables of item towers are multiplied by this power of the similar item's heat."""

COLD = {
    "types": ("cold-types", "types of users by gender, age and occupation (Airbnb), plus heat"),
    "dssm": ("cold-dssm", "the user tower of DSSM, without history"),
}


@dataclass(frozen=True)
class Made:
    """Channels and their parts.

    Attributes
    ----------
    profiles : Profiles
        The users' requests.
    first_tags : ndarray, shape (n_items,)
        The number of each item's first tag, -1 without tags.
    counts : ndarray, shape (n_items,)
        Number of users by item.
    clock : float
        The time of the last click.
    indexes, tables : dict
    centers, labels, feeds : dict
        By grouping.
    specs : dict of str to Spec
        By channel.
    about : dict of str to str
    """

    profiles: Profiles
    first_tags: IntArray
    counts: IntArray
    clock: float
    indexes: dict[str, FlatIndex] = field(default_factory=dict)
    tables: dict[str, NeighborTable] = field(default_factory=dict)
    centers: dict[str, FloatArray] = field(default_factory=dict)
    labels: dict[str, IntArray] = field(default_factory=dict)
    feeds: dict[str, ClusterFeed] = field(default_factory=dict)
    specs: dict[str, Spec] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def channels(self) -> dict[str, Channel]:
        """Make all channels, in the order of `specs`."""
        return self._make(self.specs)

    def in_replay(self, dataset: Dataset) -> dict[str, Channel]:
        """Make the channels as they were at each user's time: feeds know no later click.

        Parameters
        ----------
        dataset : Dataset

        Returns
        -------
        dict of str to Channel
        """
        live = self._make({n: spec for n, spec in self.specs.items() if spec["kind"] != "feed"})
        return {
            name: live[name]
            if name in live
            else groups.replayed(dataset, self.labels[spec["grouping"]])
            for name, spec in self.specs.items()
        }

    def _make(self, specs: Mapping[str, Spec]) -> dict[str, Channel]:
        parts = Parts(
            indexes=self.indexes,
            tables=self.tables,
            centers=self.centers,
            labels=self.labels,
            feeds=self.feeds,
            clocks=dict.fromkeys(self.feeds, self.clock),
            vectors=self.profiles.vectors,
            tags=self.profiles.tags,
            counts=self.counts,
        )
        return {name: _specs.make(spec, parts) for name, spec in specs.items()}


def build(dataset: Dataset, found: Mapping[str, Found], grouped: Mapping[str, Grouping]) -> Made:
    """Describe the channels that the families and groupings allow.

    Parameters
    ----------
    dataset : Dataset
    found : mapping of str to Found
        By family.
    grouped : mapping of str to Grouping

    Returns
    -------
    Made
    """
    vectors = {
        name: own.users for name, own in found.items() if name in U2I and own.users is not None
    }
    genre = first_tags(dataset)
    made = Made(
        of_histories(dataset.histories, genre, vectors),
        genre,
        dataset.item_counts,
        float(max(times.max() for times in dataset.times if times.size)),
    )
    for name, own in found.items():
        _add_family(made, dataset, name, own)
    for name, grouping in grouped.items():
        _add_grouping(made, dataset, name, grouping)
    _add(made, BASELINE, {"kind": "popularity"}, "the baseline: the items with the most users")
    return made


def _add(made: Made, name: str, spec: Spec, about: str) -> None:
    made.specs[name], made.about[name] = spec, about


def _add_family(made: Made, dataset: Dataset, name: str, own: Found) -> None:
    index = made.indexes[name] = index_of(dataset, name, own.items)
    if name in U2I and own.users is not None:
        channel, about = U2I[name]
        _add(made, channel, {"kind": "user_to_item", "index": name, "vector": name}, about)
    if name in I2I:
        made.tables[name] = table_of(dataset, name, index)
        spec: Spec = {
            "kind": "item_to_item",
            "table": name,
            "history_length": light.I2I_HISTORY,
            "decay": light.I2I_DECAY,
        }
        _add(made, f"i2i-{name}", spec, f"item to item {I2I[name]}")
    if name == "item2vec" and any(dataset.tags):
        spec = _cross_tag(name)
        _add(made, "crosstag", spec, "a search for each first genre of the last 50 items")


def _cross_tag(index: str) -> Spec:
    return {"kind": "cross_tag", "index": index, "tags_per_group": light.GROUP_ITEMS}


def index_of(dataset: Dataset, name: str, items: FloatArray) -> FlatIndex:
    """Index a family's items.

    Parameters
    ----------
    dataset : Dataset
    name : str
        Of the family.
    items : ndarray, shape (n_items, d)

    Returns
    -------
    FlatIndex
    """
    if name == "svd":
        return FlatIndex(items)
    if name not in (*TAGS, "types"):  # a type stands for many users, and says as little
        return FlatIndex(items, metric="cosine", invalid="skip")
    bias = HEAT.get(name, light.HEAT_WEIGHT) * light.heat(dataset)
    return FlatIndex(items, metric="cosine", bias=bias, invalid="skip")


def table_of(dataset: Dataset, name: str, index: FlatIndex) -> NeighborTable:
    """Make the table of similar items of a family.

    Parameters
    ----------
    dataset : Dataset
    name : str
        Of the family.
    index : FlatIndex

    Returns
    -------
    NeighborTable
    """
    if name in TAGS:
        return NeighborTable.build(index, light.TAG_NEIGHBORS)
    if name in TOWERS:
        table = NeighborTable.build(index, TOWER_NEIGHBORS)
        return table.reweighted({"heat": light.heat(dataset)[table.items] ** TOWER_HEAT})
    return light.hot_table(dataset, NeighborTable.build(index, light.NEIGHBORS))


def _add_grouping(made: Made, dataset: Dataset, name: str, own: Grouping) -> None:
    made.labels[name], made.centers[name] = own.labels, own.centers
    made.feeds[name] = feed_of(dataset, own.labels)
    index = f"group-{name}"
    heats = {"tag2vec": light.HEAT_WEIGHT, "bnb": groups.BNB_HEAT, "rules": groups.BNB_HEAT}
    bias = heats.get(name, 0.0) * light.heat(dataset)
    made.indexes[index] = FlatIndex(own.items, metric="cosine", bias=bias, invalid="skip")
    words = "users who share their most frequent genres" if name == "rules" else f"{name} groups"
    spec: Spec = {"kind": "cluster", "grouping": name, "index": index}
    _add(made, f"cluster-{name}", spec, f"offline: the items nearest to the center of {words}")
    spec = {"kind": "feed", "grouping": name}
    _add(made, f"feed-{name}", spec, f"real time: what {words} clicked before")
    if name in TOWERS:
        inner: Spec = {"kind": "user_to_item", "index": name, "vector": name}
    elif "crosstag" in made.specs:
        inner = _cross_tag("item2vec")
    else:
        return
    spec = {"kind": "profile", "grouping": name, "channel": inner}
    _add(made, f"profile-{name}", spec, f"the pooled profile of {words}")


def cold(found: Mapping[str, Found], dataset: Dataset) -> dict[str, tuple[FlatIndex, FloatArray]]:
    """Return the index and the user vectors of each channel for users without history.

    Parameters
    ----------
    found : mapping of str to Found
        By family.
    dataset : Dataset

    Returns
    -------
    dict of str to (FlatIndex, ndarray)
    """
    return {
        COLD[name][0]: (index_of(dataset, name, own.items), np.asarray(own.cold, np.float32))
        for name, own in found.items()
        if name in COLD and own.cold is not None
    }
