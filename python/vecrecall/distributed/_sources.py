"""Rows of (id, vector) in files, in pieces that a task reads by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _ids, _scalars
from vecrecall.arrays._row_types import RowType, check_rows
from vecrecall.arrays._typing import F64, I64, Array
from vecrecall.distributed._manifest import Manifest
from vecrecall.distributed._shard import Shard
from vecrecall.search._flat_index import FlatIndex

PIECE_BYTES = 64 << 20  # of vectors; a task holds a few times as much


class Rows(NamedTuple):
    """Some rows of a source, as the core takes them."""

    ids: I64
    vectors: Array
    bias: F64 | None = None


class Piece(Protocol):
    """Rows that one task reads."""

    def key(self) -> list[Any]:
        """Tell it from others, also from the same files with other content."""

    def rows(self) -> int:
        """Count them."""

    def row_type(self) -> RowType:
        """Tell in what type they are read without loss of what an index keeps."""

    def read(self, dtype: RowType) -> Rows:
        """Read them, rounded to a type."""

    def place(self, row: int) -> str:
        """Say where one of them is, for an error."""


class Columns(NamedTuple):
    """The names of the columns of a table."""

    id: str
    vector: str


class NpyPiece(NamedTuple):
    """Rows of a `.npy` file: of vectors, or of a structured array that has ids too.

    Without either ids are the places of the rows in the source, which begin with `offset`.
    """

    file: str
    first: int
    end: int
    offset: int
    ids_file: str | None
    columns: Columns

    def key(self) -> list[Any]:
        """Tell it from others."""
        files = [self.file, *([] if self.ids_file is None else [self.ids_file])]
        return [*map(_stamp, files), self.first, self.end, self.offset, *self.columns]

    def rows(self) -> int:
        """Count them."""
        return self.end - self.first

    def row_type(self) -> RowType:
        """Tell half precision."""
        of = _mapped(Path(self.file)).dtype
        values = of[self.columns.vector].base if of.names is not None else of
        return "float16" if values == np.float16 else "float32"

    def read(self, dtype: RowType) -> Rows:
        """Read them."""
        mapped = _mapped(Path(self.file))
        part = mapped[self.first : self.end]
        if mapped.dtype.names is not None:
            ids, vectors = (part[name] for name in self.columns)
        else:
            vectors = part
            places = np.arange(self.first, self.end) + self.offset
            ids = places if self.ids_file is None else _mapped(Path(self.ids_file))[places]
        rows = check_rows(np.array(vectors), "vectors", dtype=dtype).values
        return Rows(_ids.check_ids(np.array(ids), "ids", len(rows)), rows)

    def place(self, row: int) -> str:
        """Say where one of them is."""
        return f"row {self.first + row} of {self.file}"


class ArrowPiece(NamedTuple):
    """A fragment of an Arrow dataset."""

    fragment: Any
    columns: Columns

    def key(self) -> list[Any]:
        """Tell it from others."""
        path = getattr(self.fragment, "path", "")
        groups = [group.id for group in getattr(self.fragment, "row_groups", None) or []]
        stamp = _stamp(path) if path and Path(path).exists() else [path]
        return [*stamp, groups, self.rows(), *self.columns]

    def rows(self) -> int:
        """Count them."""
        return int(self.fragment.count_rows())

    def row_type(self) -> RowType:
        """Tell half precision."""
        of = self.fragment.physical_schema.field(self.columns.vector).type
        return "float16" if str(getattr(of, "value_type", of)) == "halffloat" else "float32"

    def read(self, dtype: RowType) -> Rows:
        """Read them."""
        table = self.fragment.to_table(columns=list(self.columns))
        ids = np.asarray(table[self.columns.id].to_numpy())
        rows = _vectors_of(table[self.columns.vector].combine_chunks(), len(table), dtype)
        return Rows(_ids.check_ids(ids, "ids", len(rows)), rows)

    def place(self, row: int) -> str:
        """Say where one of them is; Parquet files have rows in groups."""
        groups = [group.id for group in getattr(self.fragment, "row_groups", None) or []]
        of = f" of row group {groups[0]}" if len(groups) == 1 else ""
        return f"row {row}{of} of {getattr(self.fragment, 'path', 'the dataset')}"


class ShardPiece(NamedTuple):
    """Items of a shard of an index that is there already."""

    path: str
    manifest: Manifest
    number: int

    def key(self) -> list[Any]:
        """Tell it from others."""
        return [self.path, self.manifest.build, self.number]

    def rows(self) -> int:
        """Count them."""
        return len(self._now())

    def row_type(self) -> RowType:
        """Tell the type of the shards."""
        return self.manifest.dtype

    def read(self, dtype: RowType) -> Rows:
        """Read them."""
        index = self._now()
        ids = index.ids
        rows = check_rows(index.vectors(ids), "vectors", dtype=dtype).values
        return Rows(ids, rows, _biases(index))

    def place(self, row: int) -> str:
        """Say where one of them is."""
        return f"item {row} of shard {self.number} of {self.path}"

    def _now(self) -> FlatIndex:
        shard = Shard(Path(self.path), self.manifest, self.number)
        shard.advance()
        return shard.index._frozen()


def pieces_of(source: object, ids: object, columns: Columns) -> list[Piece]:
    """Cut a source into pieces.

    Parameters
    ----------
    source : str, Path, sequence of these, or pyarrow.dataset.Dataset
    ids : str, Path or None
        A `.npy` file of the ids of `.npy` vectors.
    columns : Columns
    """
    if isinstance(source, (str, Path)):
        files = _files(_scalars.check_path(source, "source"))
    elif isinstance(source, Sequence) and source:
        files = [_scalars.check_path(file, "source") for file in source]
    else:
        files = []
    if not files:
        return _of_dataset(source, columns)
    kinds = {file.suffix for file in files}
    if kinds == {".npy"}:
        file = None if ids is None else _scalars.check_path(ids, "ids")
        return _of_npy(files, file, columns)
    if kinds & {".npy"}:
        raise ValueError("source: expected .npy files alone or none, got some and others")
    if ids is not None:
        raise ValueError("ids: expected a file only with .npy vectors, got one with a table")
    dataset = needed("pyarrow.dataset", "arrow", "build_shards of a table")
    return _of_dataset(dataset.dataset([str(file) for file in files], format="parquet"), columns)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return [path]
    found = sorted(file for end in ("npy", "parquet") for file in path.rglob(f"*.{end}"))
    if not found:
        raise ValueError(f"source: expected .npy or .parquet files, got none in {path}")
    return found


def _of_npy(files: list[Path], ids: Path | None, columns: Columns) -> list[Piece]:
    pieces: list[Piece] = []
    offset = 0
    for file in files:
        mapped = _mapped(file)
        names = mapped.dtype.names
        if names is None and mapped.ndim != 2:
            raise ValueError(f"source: expected rows of vectors, got {mapped.shape} in {file}")
        if names is not None and not set(columns) <= set(names):
            raise ValueError(f"source: expected fields {list(columns)}, got {names} in {file}")
        width = mapped.dtype.itemsize if mapped.ndim == 1 else mapped.shape[1] * 4
        step = max(1, PIECE_BYTES // max(1, width))
        for first in range(0, len(mapped), step):
            end = min(len(mapped), first + step)
            pieces.append(NpyPiece(
                str(file.absolute()), first, end, offset,
                None if ids is None else str(ids.absolute()), columns,
            ))  # fmt: skip
        offset += len(mapped)
    if ids is not None and _mapped(ids).shape != (offset,):
        raise ValueError(f"ids: expected {offset}, one per vector, got {_mapped(ids).shape}")
    return pieces


def _of_dataset(source: object, columns: Columns) -> list[Piece]:
    get = getattr(source, "get_fragments", None)
    names = getattr(getattr(source, "schema", None), "names", None)
    if get is None or names is None:
        raise TypeError(
            "source: expected a path of .npy or Parquet files, a sequence of these or a "
            f"pyarrow.dataset.Dataset, got {type(source).__name__}"
        )
    for name in columns:
        if name not in names:
            raise ValueError(f"source: expected a column {name!r}, got {names}")
    pieces: list[Piece] = []
    for fragment in get():
        split = getattr(fragment, "split_by_row_group", None)
        parts = [fragment] if split is None else split()
        pieces += [ArrowPiece(part, columns) for part in parts]
    return pieces


def _stamp(file: str) -> list[Any]:
    about = Path(file).stat()
    return [file, about.st_size, about.st_mtime_ns]


def _mapped(file: Path) -> "npt.NDArray[Any]":
    try:
        mapped: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"source: expected a .npy file of numbers, got {error}: {file}") from None
    return mapped


def _vectors_of(column: Any, n: int, dtype: RowType) -> Array:
    """Read a column of lists of one length."""
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    lengths = getattr(column, "value_lengths", None)
    if lengths is not None and column.null_count == 0 and n:
        widths = np.unique(lengths().to_numpy(zero_copy_only=False))
        if widths.size > 1:
            raise ValueError(f"vectors: expected rows of one length, got {widths.tolist()[:3]}")
    if column.null_count or (n and values.size % n):
        raise ValueError("vectors: expected a vector in every row, got null or other lengths")
    return check_rows(values.reshape(n, -1 if n else 0), "vectors", dtype=dtype).values


def _biases(index: FlatIndex) -> F64 | None:
    """Read what is added to the scores of items, in the order of `ids`."""
    if not index._has_bias:
        return None
    arrays = index._arrays()
    bias: F64 = arrays["bias"]
    if "order" not in arrays:
        return bias
    placed = np.empty_like(bias)
    placed[arrays["order"]] = bias
    return placed
