"""A table of neighbors in a folder, saved at once or built block by block.

While a table is built, its manifest says that it is not complete, and finished blocks are in
``blocks/``, each a saved folder of its own: an interrupted build leaves them for the next.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import F32, I64
from vecrecall.storage import _array_folder
from vecrecall.storage._atomic import MANIFEST
from vecrecall.storage._npy import Pieces

_KIND = "NeighborTable"
_BLOCK = "NeighborTable block"
_ARRAYS: dict[str, np.dtype[Any]] = {
    "items": np.dtype(np.int64),
    "offsets": np.dtype(np.int64),
    "ids": np.dtype(np.int64),
    "scores": np.dtype(np.float32),
}
HASHED_ROWS = 4096


class Block(NamedTuple):
    """The lists of some items in a row."""

    lengths: I64
    ids: I64
    scores: F32


class Build:
    """The build of one table in a folder: new, begun or complete.

    Parameters
    ----------
    path : Path
    about : dict
        What the table is made of; a table begun before must agree.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self._about = about
        self.complete = False
        if (path / MANIFEST).exists():
            self.complete = self._agrees(_array_folder.load(path, _KIND, mmap=True).about)
        elif _array_folder.is_new(path):
            _array_folder.replace(path, _KIND, {**about, "complete": False}, {})
        else:
            raise ValueError(f"path: expected a table or an empty folder, got other files: {path}")
        if self.complete:
            _remove_blocks(path)  # of a build that was killed when all but this was done

    def has(self, start: int) -> bool:
        """Tell whether the block that starts at an item is there, without a changed bit."""
        try:
            self._block(start)
        except (FileNotFoundError, ValueError):
            return False  # it is made again
        return True

    def put(self, start: int, block: Block) -> None:
        """Keep a block."""
        folder = self._folder(start)
        shutil.rmtree(folder, ignore_errors=True)  # of one that is damaged
        _array_folder.save(folder, _BLOCK, {"of": self._about["of"]}, block._asdict())

    def finish(self, items: I64) -> None:
        """Turn the blocks into one table."""
        starts = range(0, len(items), self._about["rows"])
        lengths = [self._block(s, mmap=True).lengths for s in starts]
        offsets = offsets_of(np.concatenate([np.empty(0, np.int64), *lengths]))
        size = (int(offsets[-1]),)
        arrays: dict[str, npt.NDArray[Any] | Pieces] = {
            "items": items,
            "offsets": offsets,
            "ids": Pieces(_ARRAYS["ids"], size, (self._block(s).ids for s in starts)),
            "scores": Pieces(_ARRAYS["scores"], size, (self._block(s).scores for s in starts)),
        }
        _replace(self.path, self._about, arrays)

    def _block(self, start: int, mmap: bool = False) -> Block:
        """Read a block; one that is only mapped is not compared with its checksum."""
        folder = self._folder(start)
        about, arrays = _array_folder.load(folder, _BLOCK, mmap=mmap, verify=not mmap)
        if about.get("of") != self._about["of"] or arrays.keys() != set(Block._fields):
            raise ValueError(f"path: expected a block of this table, got another in {folder}")
        return Block(**arrays)

    def _folder(self, start: int) -> Path:
        return _blocks(self.path) / f"{start:012d}"

    def _agrees(self, manifest: Mapping[str, Any]) -> bool:
        """Tell whether the table is complete; one of something else is an error."""
        if "of" not in manifest:
            raise ValueError(
                f"path: expected a table that was built, got one that was saved in {self.path}"
            )
        for name, value in self._about.items():
            if manifest.get(name) != value:
                what = "index" if name == "of" else name
                raise ValueError(
                    f"path: expected a table of {what} {value!r}, "
                    f"got one of {what} {manifest.get(name)!r} in {self.path}"
                )
        return bool(manifest.get("complete"))


@contextlib.contextmanager
def build(path: Path, about: dict[str, Any]) -> Iterator[Build]:
    """Begin or go on with a table, while no other build writes into its folder."""
    with _array_folder.exclusive(path):
        yield Build(path, about)


def save(path: Path, items: I64, ids: Ragged, scores: F32) -> None:
    """Write a table that is in memory."""
    arrays = {"items": items, "offsets": ids.offsets, "ids": ids.values, "scores": scores}
    with _array_folder.exclusive(path):
        _replace(path, {"n": len(items)}, arrays)


def load(path: Path, *, mmap: bool = True, verify: bool = False) -> tuple[I64, Ragged, Ragged]:
    """Open a complete table: items, ids and scores."""
    about, arrays = _array_folder.load(path, _KIND, mmap=mmap, verify=verify)
    if about.get("complete") is not True:
        raise ValueError(f"path: expected a complete table, got one that was interrupted in {path}")
    if arrays.keys() != _ARRAYS.keys():
        raise ValueError(
            f"path: expected the arrays {sorted(_ARRAYS)}, got {sorted(arrays)} in {path}"
        )
    for name, dtype in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise ValueError(
                f"path: expected a row of {dtype} for {name}, "
                f"got {arrays[name].dtype} of shape {arrays[name].shape} in {path}"
            )
    items, offsets, ids, scores = (arrays[name] for name in _ARRAYS)
    try:
        if len(offsets) != len(items) + 1:
            raise ValueError(f"offsets: expected {len(items) + 1} values, got {len(offsets)}")
        return items, Ragged(ids, offsets), Ragged(scores, offsets)
    except ValueError as error:
        raise ValueError(f"path: expected a whole table in {path}, got {error}") from error


def _replace(path: Path, about: dict[str, Any], arrays: _array_folder.Arrays) -> None:
    """Put a complete table in place, and remove what a build has left."""
    _array_folder.replace(path, _KIND, {**about, "complete": True}, arrays)
    _remove_blocks(path)


def _blocks(path: Path) -> Path:
    return path / "blocks"


def _remove_blocks(path: Path) -> None:
    shutil.rmtree(_blocks(path), ignore_errors=True)


class _Index(Protocol):
    """A digest that tells one index from another."""

    @property
    def ids(self) -> I64: ...
    def vectors(self, ids: npt.ArrayLike) -> F32: ...
    def score(self, queries: npt.ArrayLike, candidates: RaggedLike) -> Ragged: ...
    def _searched_by(self) -> str: ...


def fingerprint(index: _Index) -> str:
    """Tell indexes apart by ids, vectors and the items' scores with themselves (for the bias)."""
    digest = hashlib.blake2b(index._searched_by().encode(), digest_size=16)
    items = index.ids
    for start in range(0, len(items), HASHED_ROWS):
        own = items[start : start + HASHED_ROWS]
        vectors = index.vectors(own)
        scores = index.score(vectors, Ragged(own, np.arange(len(own) + 1)))
        for array in (own, vectors, scores.values):
            digest.update(array.tobytes())
    return digest.hexdigest()
