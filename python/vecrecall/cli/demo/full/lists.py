"""The lists of all channels for a split, from the cache where they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from vecrecall.channels._protocol import Channel
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import merging
from vecrecall.cli.demo.evaluation import BATCH, Lists, recall_all
from vecrecall.cli.demo.full.cache import Entries
from vecrecall.cli.demo.full.cache import Made as Entry
from vecrecall.cli.demo.full.channels import Made
from vecrecall.cli.demo.full.data import Split
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.cli.demo.full.training import data_of


def recall(
    made: Made, split: Split, plan: Plan, seed: int, cache: Entries, progress: Progress
) -> dict[str, Lists]:
    """Recall for all evaluated users by every channel.

    Parameters
    ----------
    made : Made
    split : Split
    plan : Plan
    seed : int
    cache : Entries
    progress : Progress

    Returns
    -------
    dict of str to Lists
    """
    dataset = split.dataset

    def make(_: object) -> Entry:
        with progress.step(f"recall {split.name}", len(made.specs)) as step:
            replayed = made.in_replay(dataset)
            found = {}
            for name, channel in replayed.items():
                step.detail(name)
                found[name] = _recall(channel, made, split)
                step.advance()
        return {"names": list(found)}, _stacked(found)

    times = [np.concatenate(dataset.times), dataset.asked]
    data = [*data_of(split, False), *times]
    settings = {"seed": seed, "plan": asdict(plan), "channels": made.specs}
    about, arrays = cache.entry(f"lists-{split.name}", settings, data, make)
    names = about["names"]
    ids, scores = (np.split(arrays[key], len(names)) for key in ("ids", "scores"))
    return {
        name: Lists(own.astype(np.int64), its, None)
        for name, own, its in zip(names, ids, scores, strict=True)
    }


def _recall(channel: Channel, made: Made, split: Split) -> Lists:
    batches = made.profiles.batches(split.dataset.evaluated, BATCH)
    return recall_all(channel, batches, merging.DEPTH, lambda n: None)


def _stacked(found: Mapping[str, Lists]) -> dict[str, np.ndarray]:
    return {
        "ids": np.concatenate([own.ids for own in found.values()]).astype(np.int32),
        "scores": np.concatenate([own.scores for own in found.values()]),
    }
