"""A split prepared for recall: its channels, and the requests of its users."""

from __future__ import annotations

from dataclasses import dataclass

from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import channels, embeddings, groups, profiles
from vecrecall.cli.demo.data import Dataset, IntArray
from vecrecall.cli.demo.embeddings import Train, Trained, Vectors
from vecrecall.cli.demo.evaluation import BATCH, sample
from vecrecall.cli.demo.profiles import Profiles


@dataclass(frozen=True)
class System:
    """The parts that answer requests for one split.

    Attributes
    ----------
    dataset : Dataset
    trained : Trained
    channels : dict of str to Channel
    profiles : Profiles
    groups : Groups, optional
    """

    dataset: Dataset
    trained: Trained
    channels: dict[str, Channel]
    profiles: Profiles
    groups: groups.Groups | None

    @property
    def live(self) -> dict[str, Channel]:
        """The channels as in production: the feeds themselves, not their earlier lists."""
        return {
            name: channel.live if isinstance(channel, groups.ReplayedFeed) else channel
            for name, channel in self.channels.items()
        }

    @property
    def batches(self) -> list[RequestBatch]:
        """The requests of the evaluated users."""
        return self.profiles.batches(self.dataset.evaluated, BATCH)

    @property
    def singles(self) -> list[RequestBatch]:
        """Requests with one user each, of the users who are timed."""
        return self.profiles.batches(sample(self.dataset.evaluated), 1)

    @property
    def held_out(self) -> list[IntArray]:
        """The items to find for each evaluated user."""
        return [self.dataset.held_out[user] for user in self.dataset.evaluated]


def build(splits: list[Dataset], seed: int, progress: Progress) -> list[System]:
    """Train the vectors that the data allow, and make channels and profiles.

    Parameters
    ----------
    splits : list of Dataset
    seed : int
    progress : Progress

    Returns
    -------
    list of System
        One per split.
    """
    items, tags = (
        _train(name, train, epochs, splits, seed, progress)
        for name, train, epochs in (
            ("item2vec", embeddings.item2vec, embeddings.ITEM2VEC.epochs),
            ("tag2vec", embeddings.tag2vec, embeddings.TAG2VEC.epochs),
        )
    )
    systems = []
    with progress.step("factors, groups, lists", len(splits)) as step:
        for split, item2vec, tag2vec in zip(splits, items, tags, strict=True):
            trained = Trained(item2vec, tag2vec, embeddings.svd(split, seed))
            known = profiles.build(split, trained)
            grouped = None
            if item2vec is not None and tag2vec is not None:
                grouped = groups.build(split, item2vec, tag2vec, seed)
            made = channels.build(split, trained, grouped, known.tags)
            systems.append(System(split, trained, made, known, grouped))
            step.advance()
    return systems


def _train(
    name: str, train: Train, epochs: int, splits: list[Dataset], seed: int, progress: Progress
) -> list[Vectors | None]:
    with progress.step(f"train {name}", epochs * len(splits)) as step:
        return embeddings.train_splits(train, splits, seed, step.advance)
