"""Finished trainings, kept by content in a folder, so that a second run takes seconds.

An entry is a folder that appears whole, named by its kind and by a fingerprint of data, settings,
versions and the source of the trainers. A training that was interrupted leaves its checkpoint
there, from which the next run continues. The entries that were used last stay, up to a size.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from vecrecall.cli._environment import version_of
from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.memory import Peak
from vecrecall.train import _training

T = TypeVar("T")

VARIABLE = "VECRECALL_CACHE"
"""The environment variable that names the folder."""

MAX_BYTES = 2 * 1024**3
"""Bytes that all entries may take together; those used longest ago are removed beyond it."""

_LEFT_S = 86_400  # what a killed run left half written goes after a day: no save takes as long
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_OURS = re.compile(r"[a-z][a-z0-9_]*-[0-9a-f]{32}(\.checkpoint|\.part-[0-9a-f]{12})?")
_CONTENT, _ABOUT = "content", "entry.json"


@dataclass(frozen=True)
class Cached(Generic[T]):
    """Something made, now or in an earlier run.

    Attributes
    ----------
    value : object
    seconds : float
        That it took to make it, whenever that was; of the last run alone if it was resumed.
    peak_bytes : int
        The peak of the process's memory meanwhile.
    reused : bool
        Whether it was made in an earlier run.
    """

    value: T
    seconds: float
    peak_bytes: int
    reused: bool


class Cache:
    """A folder of things that took long to make.

    Parameters
    ----------
    folder : path-like, optional
        Default the environment variable ``VECRECALL_CACHE``, else ``vecrecall`` in the user's
        folder of caches, ``~/.cache`` or ``XDG_CACHE_HOME``. It is made when something is kept.
        Only entries of a cache are ever removed from it.
    max_bytes : int, default: MAX_BYTES

    Attributes
    ----------
    folder : Path
    max_bytes : int
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, *, max_bytes: int = MAX_BYTES
    ) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        chosen = folder or os.environ.get(VARIABLE) or home / "vecrecall"
        self.folder = Path(chosen).expanduser()
        self.max_bytes = max_bytes

    def get(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], T],
        save: Callable[[T, Path], object],
        load: Callable[[Path], T],
    ) -> Cached[T]:
        """Load what an earlier run has made of the same, or make and keep it.

        Parameters
        ----------
        kind : str
            What it is, in lower-case letters, digits and underscores.
        key : str
            As `key_of` returns it.
        make : callable
            Called with the path of a checkpoint, which a trainer takes as ``checkpoint=``. An
            interrupted training finds it there in the next run.
        save : callable
            Called with what was made and the path of a folder that it makes.
        load : callable
            Called with that path. An entry that it refuses by a ValueError, KeyError, TypeError or
            OSError is made again.

        Returns
        -------
        Cached

        Raises
        ------
        DemoError
            If the folder cannot be used.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"kind: expected lower-case letters, digits and _, got {kind!r}")
        entry = self.folder / f"{kind}-{key}"
        found = _read(entry, load)
        if found is None:
            found = self._make(entry, make, save)
        self._shrink(keep=entry)
        return found

    def _make(
        self, entry: Path, make: Callable[[Path], T], save: Callable[[T, Path], object]
    ) -> Cached[T]:
        checkpoint = entry.with_name(f"{entry.name}.checkpoint")
        with _explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(entry, ignore_errors=True)  # damaged
        begin = time.perf_counter()
        with Peak() as memory:
            value = make(checkpoint)
        made = Cached(value, time.perf_counter() - begin, memory.bytes, reused=False)
        with _explained(self.folder):
            _write(entry, made, save)
        shutil.rmtree(checkpoint, ignore_errors=True)
        return made

    def _shrink(self, keep: Path) -> None:
        """Remove the entries that were used longest ago, while all are too large together."""
        with suppress(OSError):  # another run may remove them at the same time
            os.utime(keep)
        ages, sizes = {}, {}
        for path in self._entries():
            with suppress(OSError):
                ages[path], sizes[path] = path.stat().st_mtime, _size(path)
        total = sum(sizes.values())
        for path in sorted(ages, key=lambda path: ages[path]):
            is_left = ".part-" in path.name and ages[path] < time.time() - _LEFT_S
            if path != keep and (is_left or total > self.max_bytes):
                shutil.rmtree(path, ignore_errors=True)
                total -= sizes[path]

    def _entries(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name)]
        return []


TRAINERS = ("arrays", "cluster", "train")
"""The sources on which trained vectors depend: rooms and modules of the package."""


def key_of(
    settings: Mapping[str, Any],
    *data: Any,
    packages: Sequence[str] = (),
    sources: Sequence[str] = TRAINERS,
) -> str:
    """Return a fingerprint of all that decides what is made.

    Parameters
    ----------
    settings : mapping
        JSON values.
    *data
        Arrays, and lists whose `repr` says what they hold.
    packages : sequence of str
        Whose versions matter, besides this package and NumPy.
    sources : sequence of str
        Whose content matters: a version stays the same while it is worked on.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    versions = {name: version_of(name) for name in ("vecrecall", "numpy", *packages)}
    made_by = {"versions": versions, "sources": _digest(tuple(sources))}
    return _training.fingerprint({"settings": dict(settings), **made_by}, *data)


def _read(entry: Path, load: Callable[[Path], T]) -> Cached[T] | None:
    """Load an entry; None where there is none, or a damaged one."""
    try:
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        seconds, peak_bytes = float(about["seconds"]), int(about["peak_bytes"])
        return Cached(load(entry / _CONTENT), seconds, peak_bytes, reused=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(entry: Path, made: Cached[T], save: Callable[[T, Path], object]) -> None:
    """Make an entry appear whole."""
    part = entry.with_name(f"{entry.name}.part-{uuid.uuid4().hex[:12]}")
    try:
        part.mkdir()
        save(made.value, part / _CONTENT)
        about = {"seconds": made.seconds, "peak_bytes": made.peak_bytes}
        (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        try:
            part.rename(entry)
        except OSError:
            if not entry.exists():  # else another run has made the same meanwhile
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@cache
def _digest(sources: tuple[str, ...]) -> str:
    package = Path(_training.__file__).parents[1]
    files = {path for name in sources for path in (package / name).rglob("*.py")}
    files |= {path for name in sources if (path := package / name).is_file()}
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DemoError(f"{folder}: the cache cannot be written: {reason}") from error
