"""Lists of all users and neighbors of all items, by Ray Data and Ray tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vecrecall._extras import needed
from vecrecall.arrays import _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged_ops import offsets_of, take_rows
from vecrecall.arrays._results import MergeResult, SearchResult
from vecrecall.arrays._typing import I64
from vecrecall.channels._recaller import Recaller
from vecrecall.channels._requests import RequestBatch
from vecrecall.distributed import _manifest, _pickling, _ray
from vecrecall.distributed._build import Tasks
from vecrecall.distributed._joins import cut, search_widening
from vecrecall.distributed._manifest import Manifest
from vecrecall.distributed._shard import Shard
from vecrecall.fusion._shards import merge_shards
from vecrecall.search._ivf_index import load_index
from vecrecall.search._protocol import Progress, SearchableIndex
from vecrecall.storage import _atomic

_FIELDS = (
    *("user_ids", "history", "history_weights", "tags", "tag_weights", "tag_groups"),
    *("clusters", "seen"),
)
_BLOCK = 4096  # items whose neighbors one task finds


def recall_users(
    dataset: Any,
    recaller: Recaller | SearchableIndex | str | Path,
    k: int,
    *,
    columns: Mapping[str, str] | None = None,
    vectors: Mapping[str, str] | None = None,
    path: str | Path | None = None,
    batch_size: int = 1024,
    concurrency: int = 1,
    num_cpus: float = 1,
    memory: int | None = None,
) -> Any:
    """Recall items for every user of a dataset, by Ray Data.

    Parameters
    ----------
    dataset : ray.data.Dataset, str or Path
        One row per user; a path is that of Parquet files.
    recaller : Recaller, index, str or Path
        What is asked. Indexes in it are loaded and unchanged, see `dumps`, or sharded. A path is
        that of a saved index or of `build_shards`; users are then searched by the vector.
    k : int
        The length of the lists, >= 1.
    columns : mapping of str to str, optional
        Columns of the dataset by the fields of `RequestBatch`; default those of the same names.
    vectors : mapping of str to str, optional
        Columns of vectors, by their names in the batch; default a column ``vector``, where there is
        one, by this name. An index or a path takes one column.
    path : str or Path, optional
        Write Parquet files into this folder. Otherwise nothing is done until the result is read.
    batch_size : int
        Users of a batch.
    concurrency : int
        Processes, each of which maps the indexes once.
    num_cpus, memory
        Of each process.

    Returns
    -------
    ray.data.Dataset
        The rows of the dataset without vectors, each with ``items`` and ``scores``, best first; of
        a `Recaller` also ``channels`` (bit ``c`` of an item is set where channel ``c`` held it),
        and ``ranks`` (from 1, 0 where it is absent), for each item one per channel.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or an index cannot be pickled by its path.
    """
    data = _ray_data("recall_users")
    k = _scalars.check_positive_int(k, "k")
    batch_size = _scalars.check_positive_int(batch_size, "batch_size")
    n = _scalars.check_positive_int(concurrency, "concurrency")
    cpus = _scalars.check_nonnegative(num_cpus, "num_cpus")
    rows = data.read_parquet(str(dataset)) if isinstance(dataset, (str, Path)) else dataset
    if not isinstance(rows, data.Dataset):
        raise TypeError(
            f"dataset: expected a ray.data.Dataset or a path, got {type(dataset).__name__}"
        )
    names = rows.schema().names
    fields = _fields(columns, names)
    named = {"vector": "vector"} if vectors is None and "vector" in names else dict(vectors or {})
    for name, column in named.items():
        if column not in names:
            raise ValueError(f"vectors: expected a column {column!r} for {name!r}, got {names}")
    asked = str(Path(recaller).absolute()) if isinstance(recaller, (str, Path)) else recaller
    _check_asked(asked, named)
    arguments = (_pickling.dumps(asked), k, fields, named)
    options: dict[str, Any] = {"num_cpus": cpus}
    if memory is not None:
        options["memory"] = _scalars.check_positive_int(memory, "memory")
    lists = rows.map_batches(
        _Recall,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        batch_format="pyarrow",
        concurrency=n,
        **options,
    )
    if path is not None:
        lists.write_parquet(str(_scalars.check_path(path, "path").absolute()))
        return data.read_parquet(str(Path(path).absolute()))
    return lists


def neighbors(
    path: str | Path,
    k: int,
    out: str | Path,
    *,
    min_score: float | None = None,
    num_cpus: float = 1,
    memory: int | None = None,
    progress: Progress | None = None,
    timeout: float = 3600.0,
) -> None:
    """Find the `k` nearest others of every item of an index in shards, by Ray tasks.

    Parameters
    ----------
    path : str or Path
        Of `build_shards`.
    k : int
        Longest list, >= 1.
    out : str or Path
        A new folder, into which Parquet files are written, or one where this was interrupted.
        Columns: ``item``, and of each the lists ``items`` and ``scores``, best first.
    min_score : float, optional
        As of `FlatIndex.neighbors`.
    num_cpus, memory, progress, timeout
        As of `build_shards`. A task maps all shards.

    Raises
    ------
    DistributedError
        As of `build_shards`; `ShardError` also where changes that are made meanwhile have become a
        part of a shard's files.
    OSError, ValueError
        As of `build_shards`, or if `out` has neighbors of others, or of other changes.

    Notes
    -----
    The lists are those of the index with the changes that are there when it is called, also of a
    call that goes on. If changes have come since it was interrupted, `out` must be a new folder.
    """
    k = _scalars.check_positive_int(k, "k")
    floor = None if min_score is None else _scalars.check_float(min_score, "min_score")
    _scalars.check_callable(progress, "progress")
    folder = _scalars.check_path(path, "path").absolute()
    target = _scalars.check_path(out, "out").absolute()
    manifest = _manifest.read(folder)
    needed("pyarrow.parquet", "arrow", "neighbors")
    tasks = Tasks(num_cpus, memory, _scalars.check_duration(timeout, "timeout"), progress)
    found = [_size_and_position(folder, manifest, n) for n in range(manifest.n_shards)]
    positions = tuple(position for _, position in found)
    target.mkdir(parents=True, exist_ok=True)
    _check_same(target, {"build": manifest.build, "k": k, "min_score": floor}, positions)
    calls = []
    for shard, (n, _) in enumerate(found):
        calls += [
            (str(folder), manifest, positions, shard, first, k, floor, str(file))
            for first in range(0, n, _BLOCK)
            if not (file := target / f"{shard:05d}-{first:010d}.parquet").exists()
        ]
    tasks.total = len(calls)
    for _ in tasks.run(_neighbors_of_block, calls):
        pass


class _Recall:
    """The worker of Ray Data, made once in each process."""

    def __init__(
        self, asked: bytes, k: int, fields: dict[str, str], vectors: dict[str, str]
    ) -> None:
        self._asked = _pickling.loads(asked)
        if isinstance(self._asked, str):
            self._asked = _index_at(Path(self._asked))
        self._k = k
        self._fields = fields
        self._vectors = vectors

    def __call__(self, table: Any) -> Any:
        """Recall for the users of a batch."""
        fields: dict[str, Any] = {
            name: table[column].combine_chunks() for name, column in self._fields.items()
        }
        vectors = {
            name: _validation.check_matrix(table[column], f"column {column!r}")
            for name, column in self._vectors.items()
        }
        batch = RequestBatch(**fields, vectors=vectors)
        if isinstance(self._asked, Recaller):
            found: Any = self._asked.recall(batch, self._k)
        else:
            (queries,) = vectors.values()
            found = self._asked.search(queries, self._k, exclude=batch.seen)
        kept = [name for name in table.column_names if name not in self._vectors.values()]
        return _with_lists(table.select(kept), found)


class _Shards:
    """All shards of a path in one process, for tasks that search them without actors."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.shards = [_shard(path, manifest, n) for n in range(manifest.n_shards)]
        self._probes, self._n_lists = manifest.probes, manifest.n_lists

    def rewind(self, positions: Sequence[int]) -> None:
        """Have each shard with the changes up to one, and no others."""
        for shard, position in zip(self.shards, positions, strict=True):
            shard.rewind(position)

    def search(
        self, queries: Any, k: int, *, exclude: Any = None, min_score: float | None = None
    ) -> SearchResult:
        """Search all shards, one after the other; lists as an index of all items does."""
        if not self._probes:
            return self._merged(queries, k, exclude=exclude, min_score=min_score)
        n = len(queries)
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", n)

        def searched(rows: I64, probes: int) -> SearchResult:
            own = None if seen is None else take_rows(seen, rows)
            return self._merged(queries[rows], k, exclude=own, probes=probes)

        none = np.empty(0, np.int64)
        found, _ = search_widening(searched, n, k, self._probes, self._n_lists, none)
        cut(found, -np.inf if min_score is None else min_score)
        return found

    def _merged(self, queries: Any, k: int, **options: Any) -> SearchResult:
        return merge_shards([s.index.search(queries, k, **options) for s in self.shards], k)


_opened: dict[tuple[str, str], _Shards] = {}  # what the last task of this process has asked for


def _opened_at(path: str, manifest: Manifest, positions: Sequence[int]) -> _Shards:
    """Return shards with the changes up to some; Ray gives a process tasks of several calls."""
    all_of = _opened.get((path, manifest.build))
    if all_of is None:
        _opened.clear()  # so that a process maps one index at the most
        all_of = _opened[path, manifest.build] = _Shards(Path(path), manifest)
    all_of.rewind(positions)
    return all_of


def _neighbors_of_block(
    path: str,
    manifest: Manifest,
    positions: Sequence[int],
    shard: int,
    first: int,
    k: int,
    floor: float | None,
    file: str,
) -> None:
    """Write the lists of some items of a shard."""
    all_of = _opened_at(path, manifest, positions)
    index = all_of.shards[shard].index
    own = index.ids[first : first + _BLOCK]
    options: dict[str, Any] = {"exclude": own[:, None], "min_score": floor}
    found = all_of.search(index.vectors(own), k, **options)
    pyarrow = needed("pyarrow", "arrow", "neighbors")
    parquet = needed("pyarrow.parquet", "arrow", "neighbors")
    table = _with_lists(pyarrow.table({"item": own}), found)
    _atomic.write(Path(file), lambda to: parquet.write_table(table, to))


def _with_lists(table: Any, found: Any) -> Any:
    """Append the lists of a result as columns, without padding."""
    pyarrow = needed("pyarrow", "arrow", "recall_users")
    counts = np.asarray(found.counts, np.int64)
    held = np.arange(found.ids.shape[1]) < counts[:, None]
    offsets = offsets_of(counts)

    def lists(values: Any) -> Any:
        array = pyarrow.array(np.ascontiguousarray(values))
        return pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets), array)

    table = table.append_column("items", lists(found.ids[held]))
    table = table.append_column("scores", lists(found.scores[held]))
    if isinstance(found, MergeResult):
        table = table.append_column("channels", lists(found.channels[held]))
        if found.ranks is not None:
            ranks = found.ranks[held]
            inner = pyarrow.FixedSizeListArray.from_arrays(
                pyarrow.array(ranks.ravel()), ranks.shape[1]
            )
            whole = pyarrow.LargeListArray.from_arrays(pyarrow.array(offsets), inner)
            table = table.append_column("ranks", whole)
    return table


def _fields(columns: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    if columns is None:
        return {name: name for name in _FIELDS if name in names}
    for name, column in columns.items():
        if name not in _FIELDS:
            raise ValueError(f"columns: expected fields of {list(_FIELDS)}, got {name!r}")
        if column not in names:
            raise ValueError(f"columns: expected a column {column!r} for {name!r}, got {names}")
    return dict(columns)


def _check_asked(asked: object, vectors: Mapping[str, str]) -> None:
    """Refuse what no worker could ask."""
    if isinstance(asked, Recaller):
        return
    if isinstance(asked, str):
        _check_index(Path(asked))
    elif isinstance(asked, type) or not callable(getattr(type(asked), "search", None)):
        raise TypeError(
            "recaller: expected a Recaller, an index or the path of a saved one, got "
            f"{_scalars.type_name(asked)}"
        )
    if len(vectors) != 1:
        got = sorted(vectors.values()) or "none"
        raise ValueError(f"vectors: expected one column to search an index with, got {got}")


def _check_index(path: Path) -> None:
    kind = _atomic.read_manifest(path).get("kind")
    if kind not in (_manifest.KIND, "FlatIndex", "IVFIndex"):
        raise ValueError(f"recaller: expected a saved index, got a saved {kind} in {path}")


def _index_at(path: Path) -> Any:
    if _atomic.read_manifest(path).get("kind") != _manifest.KIND:
        return load_index(path)
    return _Shards(path, _manifest.read(path))


def _shard(path: Path, manifest: Manifest, number: int) -> Shard:
    shard = Shard(path, manifest, number)
    shard.advance()
    return shard


def _size_and_position(path: Path, manifest: Manifest, number: int) -> tuple[int, int]:
    """Count the items of a shard, and tell the number of the last change in it."""
    shard = _shard(path, manifest, number)
    return len(shard.index), shard.position


def _check_same(target: Path, about: dict[str, Any], positions: Sequence[int]) -> None:
    """Refuse a folder with the neighbors of something else, or of the same before a change."""
    file = target / "about"
    words = [_manifest.sum_of(of) for of in (about, list(positions))]
    if file.exists():
        begun = file.read_text("ascii").split()
        if begun[:1] != words[:1]:
            raise ValueError(f"out: expected a new folder, got neighbors of others in {target}")
        if begun != words:
            raise ValueError(
                f"out: expected a new folder since the index has changed, got neighbors of before "
                f"in {target}"
            )
        return
    others = [one.name for one in target.iterdir()]
    if others:
        raise ValueError(f"out: expected a new folder, got {others[0]!r} in {target}")
    text = " ".join(words).encode("ascii")
    _atomic.write(file, lambda to: to.write(text))


def _ray_data(what: str) -> Any:
    _ray.started()
    return needed("ray.data", "ray", what)
