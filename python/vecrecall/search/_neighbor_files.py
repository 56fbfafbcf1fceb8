"""A table of neighbors in a folder: `.npy` arrays and a JSON manifest, written block by block.

While it grows, finished blocks are in ``blocks/``; an interrupted run leaves them for the next.
Every file appears whole, by a rename.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import offsets_of
from vecrecall.arrays._typing import F32, I64
from vecrecall.storage._atomic import MANIFEST, read_manifest, write, write_array, write_manifest

HASHED_ROWS = 4096


class Block(NamedTuple):
    """The lists of some items in a row."""

    lengths: I64
    ids: I64
    scores: F32


class Folder:
    """The folder of one table: new, begun or complete.

    Parameters
    ----------
    path : Path
    about : dict
        What the table is made of; a table begun before must agree.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self._about = about
        self._blocks = path / "blocks"
        self.complete = False
        path.mkdir(parents=True, exist_ok=True)
        if (path / MANIFEST).exists():
            self.complete = self._agrees(read_manifest(path))
        elif any(path.iterdir()):
            raise ValueError(f"path: expected a table or an empty folder, got other files: {path}")
        else:
            self._write_manifest(complete=False)

    def has(self, start: int) -> bool:
        """Tell whether the block that starts at an item is there."""
        return self._file("lengths", start).exists()

    def put(self, start: int, block: Block) -> None:
        """Keep a block; its lengths come last and say that the rest is there."""
        self._blocks.mkdir(exist_ok=True)
        write_array(self._file("ids", start), block.ids)
        write_array(self._file("scores", start), block.scores)
        write_array(self._file("lengths", start), block.lengths)

    def finish(self, items: I64) -> None:
        """Turn the blocks into one table."""
        starts = range(0, len(items), self._about["rows"])
        lengths = [np.load(self._file("lengths", s)) for s in starts]
        offsets = offsets_of(np.concatenate([np.empty(0, np.int64), *lengths]))
        write_array(self.path / "items.npy", items)
        write_array(self.path / "offsets.npy", offsets)
        for name, dtype in (("ids", np.dtype(np.int64)), ("scores", np.dtype(np.float32))):
            files = [self._file(name, s) for s in starts]
            _concatenate(files, self.path / f"{name}.npy", dtype, int(offsets[-1]))
        self._write_manifest(complete=True)
        shutil.rmtree(self._blocks, ignore_errors=True)

    def _file(self, name: str, start: int) -> Path:
        return self._blocks / f"{name}-{start:012d}.npy"

    def _agrees(self, manifest: dict[str, Any]) -> bool:
        """Tell whether the table is complete; one of something else is an error."""
        for name, value in self._about.items():
            if manifest.get(name) != value:
                raise ValueError(
                    f"path: expected a table of {name} {value!r}, "
                    f"got one of {name} {manifest.get(name)!r} in {self.path}"
                )
        return bool(manifest.get("complete"))

    def _write_manifest(self, complete: bool) -> None:
        write_manifest(self.path, {**self._about, "complete": complete})


def load(path: Path) -> tuple[I64, Ragged, Ragged]:
    """Open a complete table: items, ids and scores, the last two mapped into memory."""
    if not read_manifest(path).get("complete"):
        raise ValueError(f"path: expected a complete table, got one that was interrupted in {path}")
    items = np.load(path / "items.npy")
    offsets = np.load(path / "offsets.npy")
    ids, scores = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("ids", "scores"))
    return items, Ragged(ids, offsets), Ragged(scores, offsets)


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


def _concatenate(files: list[Path], path: Path, dtype: "np.dtype[Any]", size: int) -> None:
    """Write the arrays of several files as one, a file at a time."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": (size,)}

    def content(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, header)
        for part in files:
            file.write(np.load(part).data)

    write(path, content)
