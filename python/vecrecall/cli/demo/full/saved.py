"""A folder with everything that serving needs, written and read without torch.

``service.json`` says which channels there are, of which parts they are made, and how they are
merged; the parts are folders next to it. See docs/reference/saved-system.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vecrecall.arrays._ragged import Ragged
from vecrecall.arrays._results import MergeResult
from vecrecall.channels._recaller import Recaller
from vecrecall.channels._specs import Spec, named
from vecrecall.cli.demo import DemoError, merging
from vecrecall.cli.demo.data import Label
from vecrecall.cli.demo.full.channels import Made
from vecrecall.cli.demo.full.families import Found
from vecrecall.cli.demo.full.grouping import Grouping
from vecrecall.cli.demo.merging import Tuned
from vecrecall.cli.demo.profiles import of_histories
from vecrecall.feed._cluster_feed import ClusterFeed
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._neighbor_table import NeighborTable
from vecrecall.search._vocabulary import Vocabulary
from vecrecall.storage import _array_folder
from vecrecall.storage._atomic import write_report
from vecrecall.train import Embedding

FILE = "service.json"
FORMAT = 1
KIND = "SavedSystem"


@dataclass(frozen=True)
class SavedSystem:
    """A recommender's recall, read from a folder.

    Attributes
    ----------
    items, users : Vocabulary
        The labels of the source.
    titles : list of str
        Of the items.
    made : Made
    recaller : Recaller
    """

    items: Vocabulary
    users: Vocabulary
    titles: list[str]
    made: Made
    recaller: Recaller

    def recall(self, users: Sequence[Label], k: int) -> MergeResult:
        """Recall for known users.

        Parameters
        ----------
        users : sequence of int or str
            Labels of users, as the source has them.
        k : int

        Returns
        -------
        MergeResult
            ``items.decode`` gives the labels of its ids.

        Raises
        ------
        KeyError
            If a user is unknown.
        """
        return self.recaller.recall(self.made.profiles.batch(self.users.ids(users)), k)


def save(
    folder: Path,
    made: Made,
    found: Mapping[str, Found],
    grouped: Mapping[str, Grouping],
    tuned: Tuned,
    labels: tuple[list[Label], list[Label], list[str]],
) -> None:
    """Write a system.

    Parameters
    ----------
    folder : Path
        Made if need be. ``service.json`` is written last.
    made : Made
    found : mapping of str to Found
        By family, for the exported towers.
    grouped : mapping of str to Grouping
    tuned : Tuned
        The policy; channels of weight 0 are left out.
    labels : (list, list, list of str)
        Users, items, titles.

    Raises
    ------
    DemoError
        If a file cannot be written.
    """
    weights = {name: value for name, value in tuned.values.items() if value}
    specs = {name: made.specs[name] for name in weights}
    users, items, titles = labels
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).unlink(missing_ok=True)  # never one that names parts of others
        _save_parts(folder, made, _needed(specs), items, users)
        for name in named(specs, "grouping"):
            fitted = grouped[name].fitted
            if fitted is not None:
                fitted.save(folder / "groups" / name)
        towers = _save_towers(folder, found)
        about = {
            "format": FORMAT,
            "channels": specs,
            "policy": {"name": type(tuned.policy).__name__, "values": weights},
            "depth": merging.DEPTH,
            "clock": made.clock,
            "vectors": sorted(named(specs, "vector")),
            "towers": towers,
            "titles": titles,
        }
        text = json.dumps(about, indent=2, ensure_ascii=False)
        write_report(folder / FILE, f"{text}\n".encode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DemoError(f"{folder}: {reason or error}") from error


def load(folder: Path) -> SavedSystem:
    """Read a system that `save` wrote.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    SavedSystem

    Raises
    ------
    FileNotFoundError
        If there is no system in the folder.
    ValueError
        If it is of another format.
    """
    about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if about.get("format") != FORMAT:
        raise ValueError(f"{folder / FILE}: expected format {FORMAT}, got {about.get('format')!r}")
    specs: dict[str, Spec] = about["channels"]
    content = _array_folder.load(folder / "profiles", KIND, verify=True).arrays
    histories = Ragged(content["items"], content["offsets"])
    vectors = {name: Embedding.load(folder / "users" / name).matrix for name in about["vectors"]}
    profiles = of_histories(list(histories), content["first_tags"], vectors)
    own = Made(
        profiles, content["first_tags"], content["counts"], about["clock"], specs=dict(specs)
    )
    for name in sorted(named(specs, "index")):
        own.indexes[name] = FlatIndex.load(folder / "indexes" / name)
    for name in sorted(named(specs, "table")):
        own.tables[name] = NeighborTable.load(folder / "tables" / name)
    for name in sorted(named(specs, "grouping")):
        grouping = _array_folder.load(folder / "labels" / name, KIND, verify=True).arrays
        own.labels[name], own.centers[name] = grouping["labels"], grouping["centers"]
        own.feeds[name] = ClusterFeed.load(folder / "feeds" / name)
    policy = merging.FAMILIES[about["policy"]["name"]].make(about["policy"]["values"])
    recaller = Recaller(own.channels(), policy, depth=about["depth"])
    return SavedSystem(
        Vocabulary.load(folder / "items"),
        Vocabulary.load(folder / "user_keys"),
        about["titles"],
        own,
        recaller,
    )


def _save_parts(
    folder: Path, own: Made, needed: Mapping[str, set[str]], items: list[Label], users: list[Label]
) -> None:
    keys = Vocabulary(items)
    keys.save(folder / "items")
    Vocabulary(users).save(folder / "user_keys")
    for name in needed["index"]:
        own.indexes[name].save(folder / "indexes" / name, vocabulary=keys)
    for name in needed["table"]:
        own.tables[name].save(folder / "tables" / name)
    for name in needed["vector"]:
        Embedding(users, own.profiles.vectors[name]).save(folder / "users" / name)
    for name in needed["grouping"]:
        grouping: dict[str, npt.NDArray[Any]] = {
            "labels": own.labels[name],
            "centers": own.centers[name],
        }
        _array_folder.save(folder / "labels" / name, KIND, {}, grouping)
        own.feeds[name].save(folder / "feeds" / name)
    oldest_first = Ragged.from_lists([history[::-1] for history in own.profiles.history])
    arrays: dict[str, npt.NDArray[Any]] = {
        "items": oldest_first.values,
        "offsets": oldest_first.offsets,
        "first_tags": own.first_tags,
        "counts": own.counts,
    }
    _array_folder.save(folder / "profiles", KIND, {}, arrays)


def _save_towers(folder: Path, found: Mapping[str, Found]) -> list[str]:
    names = [name for name, own in found.items() if own.files]
    for name in names:
        place = folder / "towers" / name
        place.mkdir(parents=True, exist_ok=True)
        for file, content in found[name].files.items():
            write_report(place / file, content)
    return names


def _needed(specs: Mapping[str, Spec]) -> dict[str, set[str]]:
    return {key: named(specs, key) for key in ("index", "table", "vector", "grouping")}
