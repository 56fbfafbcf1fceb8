"""From files of rows to saved shards, by Ray tasks."""

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.arrays._row_types import STORED, RowType, check_row_type, widened
from vecrecall.arrays._typing import F32, I64, Array
from vecrecall.distributed import _manifest, _ray
from vecrecall.distributed._errors import DistributedError, PlacementError
from vecrecall.distributed._manifest import KINDS, Kind, Manifest
from vecrecall.distributed._routing import WAYS, By, Routing, bounds_for
from vecrecall.distributed._shard import base_of, word_of
from vecrecall.distributed._sources import Columns, Piece, Rows, pieces_of
from vecrecall.search._flat_index import METRICS, FlatIndex, usable_rows
from vecrecall.search._ivf_index import IVFIndex
from vecrecall.search._protocol import Metric, Progress
from vecrecall.storage import _array_folder, _atomic

STAGING = "building"
_ROWS = "build rows"
_SAMPLE_A_LIST = 64
_FEWEST_A_LIST = 128
_SAMPLED_IDS = 1 << 16
_AT_ONCE = 4  # tasks that wait for each that runs
_INVALID = {"raise": "raise", "skip": "skip"}


class Plan(NamedTuple):
    """The arguments of a build that matter for what is made."""

    form: Kind
    metric: Metric
    by: By
    n_shards: int
    n_lists: int | None
    probes: int | None
    seed: int
    invalid: Literal["raise", "skip"]
    dtype: RowType | None = None
    source: str = ""


class Lists(NamedTuple):
    """The lists that all shards have."""

    centers: F32
    spreads: F32
    probes: int


def build_shards(
    source: Any,
    path: str | Path,
    *,
    n_shards: int,
    by: By = "hash",
    index: Kind = "flat",
    metric: Metric = "ip",
    ids: str | Path | None = None,
    id_column: str = "id",
    vector_column: str = "vector",
    n_lists: int | None = None,
    probes: int | None = None,
    seed: int = 0,
    invalid: Literal["raise", "skip"] = "raise",
    dtype: RowType | npt.DTypeLike | None = None,
    num_cpus: float = 1,
    memory: int | None = None,
    progress: Progress | None = None,
    timeout: float = 3600.0,
) -> None:
    """Build an index in shards by Ray tasks, of rows that no single process has to hold.

    Parameters
    ----------
    source : str, Path, sequence of these, or pyarrow.dataset.Dataset
        `.npy` or Parquet files, folders of these, or an Arrow dataset. Every node reads them.
    path : str or Path
        A new folder, or one where a build of the same arguments was interrupted, which goes on.
        Every node writes to it.
    n_shards : int
        1 to 4096.
    by : {"hash", "range"}
        How ids are spread: evenly, or in ranges of about as many items each.
    index : {"flat", "ivf"}
        `FlatIndex` or `IVFIndex`. The centers of lists are trained once, on a sample, and shared:
        `probes` lists are the same ones in one shard or in many.
    metric : {"ip", "cosine", "l2"}
    ids : str or Path, optional
        A `.npy` file with the id of each row of `.npy` vectors; default 0, 1 and so on.
    id_column, vector_column : str
        The columns of a table, or the fields of a structured `.npy`.
    n_lists, seed : int, optional
        As of `IVFIndex`.
    probes : int, optional
        How many lists a search probes by default; by default found by the sample.
    invalid : {"raise", "skip"}
        As of `FlatIndex`.
    dtype : {"float32", "float16", "bfloat16"}, optional
        What the shards keep rows in, as of `FlatIndex`; rows are rounded when they are read. By
        default float16 where all of the source is, and float32 otherwise.
    num_cpus : float
        CPUs of a task.
    memory : int, optional
        Bytes of a task, as Ray counts them. A task that builds a shard holds its rows about twice.
    progress : callable, optional
        Called as ``progress(done, total)`` with numbers of tasks.
    timeout : float
        Seconds without the end of a task after which the build gives up.

    Raises
    ------
    PlacementError
        If no node has the CPUs or the memory that a task asks for.
    DistributedError
        If no task ends for `timeout` seconds; what is done stays for another call.
    OSError, TypeError, ValueError
        If an argument, a file or a row is not as described, or an id repeats; names the file and
        the row, or the id where it is in two files.

    Notes
    -----
    Rows go through files next to the shards, so that memory for a piece of the source, or for a
    shard, is all that a task needs. A shard is written whole or not at all, and the manifest last.

    Examples
    --------
    See the how-to guide on Ray.
    """
    folder = _scalars.check_path(path, "path").absolute()
    columns = Columns(id_column, vector_column)
    plan = Plan(
        _scalars.check_choice(index, "index", KINDS),
        _checked_metric(metric),
        _scalars.check_choice(by, "by", WAYS),
        _scalars.check_int_between(n_shards, "n_shards", 1, _manifest.MOST_SHARDS),
        None if n_lists is None else _scalars.check_positive_int(n_lists, "n_lists"),
        None if probes is None else _scalars.check_positive_int(probes, "probes"),
        _scalars.check_int_between(seed, "seed", 0, 2**63 - 1),
        _scalars.check_choice(invalid, "invalid", _INVALID),  # type: ignore[arg-type]
        check_row_type(dtype, "dtype"),
    )
    if plan.form == "flat" and (n_lists is not None or probes is not None):
        raise ValueError("n_lists, probes: expected none for an index without lists (index='ivf')")
    _scalars.check_callable(progress, "progress")
    tasks = Tasks(num_cpus, memory, _scalars.check_duration(timeout, "timeout"), progress)
    pieces = pieces_of(source, ids, columns)
    build(pieces, folder, plan, tasks)


class Tasks:
    """Runs functions as Ray tasks, some at a time, and gives up when none comes to an end.

    Parameters
    ----------
    num_cpus, memory
        Of each task.
    timeout : float
        Seconds.
    progress : callable, optional
    """

    def __init__(
        self, num_cpus: float, memory: int | None, timeout: float, progress: Progress | None
    ) -> None:
        self._asked: dict[str, Any] = {"num_cpus": _scalars.check_nonnegative(num_cpus, "num_cpus")}
        if memory is not None:
            self._asked["memory"] = _scalars.check_positive_int(memory, "memory")
        self._timeout = timeout
        self._progress = progress
        self.done = self.total = 0

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Call a function with each of many arguments, and yield what it returns, in any order."""
        ray = _ray.started()
        self._check_room(ray)
        remote = ray.remote(function).options(max_retries=3, **self._asked)
        waiting = list(reversed(calls))
        most = _AT_ONCE * max(1, int(ray.cluster_resources().get("CPU", 1)))
        pending: set[Any] = set()
        try:
            while waiting or pending:
                while waiting and len(pending) < most:
                    pending.add(remote.remote(*waiting.pop()))
                ready, _ = ray.wait(list(pending), num_returns=1, timeout=self._timeout)
                if not ready:
                    raise DistributedError(
                        f"build_shards: expected a task to end within {self._timeout:g} s, got "
                        f"none; asked for {self._asked}, available {ray.available_resources()}"
                    )
                pending -= set(ready)
                yield _result(ray, ready[0])
                self.step()
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)

    def step(self) -> None:
        """Tell of one more that is done."""
        self.done += 1
        if self._progress is not None:
            self._progress(self.done, self.total)

    def _check_room(self, ray: Any) -> None:
        """Refuse what no node can ever run."""
        names = {"num_cpus": "CPU", "memory": "memory"}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(
            all(node.get(names[name], 0) >= of for name, of in self._asked.items())
            for node in nodes
        ):
            raise PlacementError(
                f"build_shards: expected a node with room for a task of {self._asked}, got nodes "
                f"of {[{n: node.get(n, 0) for n in names.values()} for node in nodes]}"
            )


def build(
    pieces: Sequence[Piece], folder: Path, plan: Plan, tasks: Tasks, lists: Lists | None = None
) -> None:
    """Build shards of pieces of rows; lists that are given are not trained."""
    types = {piece.row_type() for piece in pieces}
    dtype = plan.dtype or (types.pop() if len(types) == 1 else "float32")
    source = _manifest.sum_of([piece.key() for piece in pieces])
    plan = plan._replace(dtype=dtype, source=source)
    word = _manifest.sum_of(plan._asdict())
    with _array_folder.exclusive(folder):
        if (folder / _atomic.MANIFEST).exists():
            if _manifest.read(folder).plan != word:
                raise ValueError(
                    f"path: expected a new folder, got shards of another build in {folder}"
                )
            shutil.rmtree(folder / STAGING, ignore_errors=True)
            return
        staging = folder / STAGING
        build_word = _begin(folder, staging, word)
        tasks.total = len(pieces) + plan.n_shards
        counts = [piece.rows() for piece in pieces]
        sample = _sampled(pieces, counts, plan, dtype, tasks, lists is None)
        manifest = _planned(pieces, sample, plan, dtype, word, build_word)
        known = _known_lists(staging, sample, sum(counts), plan, lists)
        if known is not None:
            manifest = manifest._replace(n_lists=len(known.centers), probes=known.probes)
        _route_all(pieces, staging, manifest, plan, tasks)
        _build_all(len(pieces), folder, manifest, plan, known, tasks)
        _manifest.write(folder, manifest)
        shutil.rmtree(staging, ignore_errors=True)


def _begin(folder: Path, staging: Path, word: str) -> str:
    """Begin a build, or go on with one of the same plan."""
    about = staging / "plan"
    if about.exists():
        begun, build = about.read_text("ascii").split()
        if begun != word:
            raise ValueError(
                f"path: expected a new folder, or an interrupted build of the same arguments and "
                f"source, got one of others in {folder}; remove it"
            )
        return build
    others = [file.name for file in folder.iterdir() if file.name != STAGING]
    if others:
        raise ValueError(f"path: expected a new folder, got {others[0]!r} in {folder}")
    staging.mkdir(exist_ok=True)
    build = uuid.uuid4().hex[:16]
    text = f"{word} {build}".encode("ascii")
    _atomic.write(about, lambda file: file.write(text))
    return build


def _sampled(
    pieces: Sequence[Piece],
    counts: list[int],
    plan: Plan,
    dtype: RowType,
    tasks: Tasks,
    train: bool,
) -> Rows | None:
    """Read rows that are spread over the source, where something is to be learned from them."""
    n = sum(counts)
    wanted = 0
    if plan.form == "ivf" and train:
        wanted = _SAMPLE_A_LIST * _n_lists(plan, n)
    if plan.by == "range":
        wanted = max(wanted, _SAMPLED_IDS)
    if not wanted or not n:
        return None
    places = np.unique(np.arange(min(wanted, n)) * n // min(wanted, n))
    starts = np.concatenate([[0], np.cumsum(counts)])
    own = [places[(places >= a) & (places < b)] - a for a, b in itertools.pairwise(starts)]
    sample = _sample_of(pieces, own, plan, dtype, tasks)
    if not sample.ids.size:  # what is usable is in the pieces that are left
        rest = [np.arange(0 if o.size else c) for o, c in zip(own, counts, strict=True)]
        if any(of.size for of in rest):
            return _sample_of(pieces, rest, plan, dtype, tasks)
    return sample


def _sample_of(
    pieces: Sequence[Piece], places: Sequence[I64], plan: Plan, dtype: RowType, tasks: Tasks
) -> Rows:
    """Read the rows at some places of each piece, where there are any, or others for these."""
    calls = [
        (number, piece, places[number], dtype, plan.metric, plan.invalid)
        for number, piece in enumerate(pieces)
        if places[number].size
    ]
    tasks.total += len(calls)
    parts = dict(tasks.run(_sample_piece, calls))
    rows = [parts[number] for number in sorted(parts)]
    ids, vectors = (np.concatenate([r[i] for r in rows]) for i in (0, 1))
    return Rows(ids, vectors)


def _planned(
    pieces: Sequence[Piece],
    sample: Rows | None,
    plan: Plan,
    dtype: RowType,
    word: str,
    build: str,
) -> Manifest:
    bounds: tuple[int, ...] = ()
    if plan.by == "range":
        ids: I64 = np.empty(0, np.int64) if sample is None else sample.ids
        bounds = bounds_for(ids, plan.n_shards)
    dim = pieces[0].read(dtype).vectors.shape[1] if pieces and sample is None else 0
    if sample is not None:
        dim = sample.vectors.shape[1]
    if not dim:
        raise ValueError("source: expected at least one row of at least one number, got none")
    routing = Routing(plan.by, plan.n_shards, bounds)
    return Manifest(build, plan.form, plan.metric, dim, dtype, 0, 0, routing, word)


def _known_lists(
    staging: Path, sample: Rows | None, n: int, plan: Plan, lists: Lists | None
) -> Lists | None:
    """Train lists, once for all shards."""
    if plan.form == "flat" or lists is not None:
        return lists
    folder = staging / "lists"
    if not (folder / _atomic.MANIFEST).exists():
        assert sample is not None
        if not sample.ids.size:  # one list for all, as shards must not make their own later
            dim = sample.vectors.shape[1]
            return Lists(np.eye(1, dim, dtype=np.float32), np.zeros(1, np.float32), 1)
        options: dict[str, Any] = {"metric": plan.metric, "seed": plan.seed}
        IVFIndex(widened(sample.vectors), n_lists=_n_lists(plan, n), **options).save(folder)
    trained = IVFIndex.load(folder, mmap=False)
    return Lists(trained.centers, trained.spreads, plan.probes or trained.probes)


def _n_lists(plan: Plan, n: int) -> int:
    """Choose as many lists as `IVFIndex` would for all items."""
    return plan.n_lists or max(1, min(int(4 * n**0.5), n // _FEWEST_A_LIST))


def _route_all(
    pieces: Sequence[Piece], staging: Path, manifest: Manifest, plan: Plan, tasks: Tasks
) -> None:
    left = []
    for number, piece in enumerate(pieces):
        if _routed(staging, number).exists():
            tasks.step()
        else:
            left.append((piece, number, str(staging), manifest, plan.invalid))
    for _ in tasks.run(_route_piece, left):
        pass


def _build_all(
    n_pieces: int, folder: Path, manifest: Manifest, plan: Plan, known: Lists | None, tasks: Tasks
) -> None:
    left = []
    for shard in range(manifest.n_shards):
        if _manifest.is_built(_manifest.folder_of(folder, shard), manifest.build, shard):
            tasks.step()
        else:
            left.append((shard, n_pieces, str(folder), manifest, plan.invalid, known))
    for _ in tasks.run(_build_shard, left):
        pass


# In tasks


def _sample_piece(
    number: int,
    piece: Piece,
    places: I64,
    dtype: RowType,
    metric: Metric,
    invalid: Literal["raise", "skip"],
) -> tuple[int, tuple[I64, Array]]:
    """Read the rows at some places, or as many others where some cannot be used."""
    rows = piece.read(dtype)
    if invalid == "raise":
        _check_usable(piece, rows, metric)
    elif (usable := usable_rows(rows.vectors, rows.bias, metric, True)) is not None:
        kept = np.flatnonzero(usable)
        n = min(places.size, kept.size)
        places = kept[np.arange(n) * kept.size // max(n, 1)]
    return number, (rows.ids[places], rows.vectors[places])


def _check_usable(piece: Piece, rows: Rows, metric: Metric) -> None:
    """Refuse a row that cannot be scored."""
    usable = usable_rows(rows.vectors, rows.bias, metric, True)
    if usable is None:
        return
    row = int(np.flatnonzero(~usable)[0])
    values = widened(rows.vectors[row : row + 1])
    zeros = metric == "cosine" and not values.any()
    got = "zeros alone, which have no cosine similarity," if zeros else "NaN or infinity"
    raise ValueError(f"vectors: expected finite values, got {got} in {piece.place(row)}")


def _check_ids(piece: Piece, ids: I64) -> None:
    """Refuse an id that stands in two rows of a piece."""
    twice = _repeated(ids)
    if twice.size:
        first, second = (piece.place(int(row)) for row in twice)
        raise ValueError(f"ids: expected each id once, got {ids[twice[0]]} in {first} and {second}")


def _repeated(ids: I64) -> I64:
    """Find the first two rows of the lowest id that stands twice; none where there is no such."""
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order]) == 0)
    return order[again[0] : again[0] + 2] if again.size else order[:0]


def _route_piece(
    piece: Piece,
    number: int,
    staging: str,
    manifest: Manifest,
    invalid: Literal["raise", "skip"],
) -> None:
    """Write the rows of a piece, in a folder of its own for each shard, all at once."""
    rows = piece.read(manifest.dtype)
    if rows.vectors.shape[1] != manifest.dim:
        raise ValueError(
            f"source: expected vectors of {manifest.dim} numbers, got {rows.vectors.shape[1]}"
        )
    if invalid == "raise":
        _check_usable(piece, rows, manifest.metric)  # here, where rows have their places
    _check_ids(piece, rows.ids)
    folder = _routed(Path(staging), number)
    part = folder.with_name(f"{folder.name}-{uuid.uuid4().hex[:12]}.part")
    for shard, places in manifest.routing.split(rows.ids):
        arrays: dict[str, Any] = {"ids": rows.ids[places], "vectors": rows.vectors[places]}
        if rows.bias is not None:
            arrays["bias"] = rows.bias[places]
        _array_folder.save(part / str(shard), _ROWS, {}, arrays)
    part.mkdir(exist_ok=True)
    try:
        part.replace(folder)
    except OSError:  # another try of the same task was faster
        if not folder.exists():
            raise
        shutil.rmtree(part, ignore_errors=True)


def _build_shard(
    shard: int,
    n_pieces: int,
    path: str,
    manifest: Manifest,
    invalid: Literal["raise", "skip"],
    known: Lists | None,
) -> None:
    """Build one shard of its rows in all pieces, and save it, if no other task has just done so.

    A task whose client was killed can still run when the next client asks for the same.
    """
    folder = _manifest.folder_of(Path(path), shard)
    with _array_folder.exclusive(folder):
        if not _manifest.is_built(folder, manifest.build, shard):
            _save_shard(shard, n_pieces, folder, manifest, invalid, known)


def _save_shard(
    shard: int,
    n_pieces: int,
    folder: Path,
    manifest: Manifest,
    invalid: Literal["raise", "skip"],
    known: Lists | None,
) -> None:
    staging = folder.parent / STAGING
    folders = [_routed(staging, n) / str(shard) for n in range(n_pieces)]
    ids, rows, bias = _gathered(folders, manifest)
    twice = _repeated(ids)
    if twice.size:
        raise ValueError(
            f"ids: expected each id once, got {ids[twice[0]]} in two pieces of the source"
        )
    options: dict[str, Any] = {
        "ids": ids, "metric": manifest.metric, "bias": bias, "invalid": invalid,
        "dtype": manifest.dtype,
    }  # fmt: skip
    index: FlatIndex
    if known is None:
        index = FlatIndex(widened(rows), **options)
    else:
        index = IVFIndex(widened(rows), **known._asdict(), **options)
    base = base_of(folder, 0)
    index.save(base)
    _manifest.write_shard(folder, manifest.build, shard, word_of(base))


def _gathered(folders: list[Path], manifest: Manifest) -> tuple[I64, Array, Any]:
    """Read rows piece after piece into arrays that are made once."""
    parts = [
        _array_folder.load(folder, _ROWS, mmap=True).arrays for folder in folders if folder.exists()
    ]
    n = sum(len(part["ids"]) for part in parts)
    ids = np.empty(n, np.int64)
    rows: Array = np.empty((n, manifest.dim), STORED[manifest.dtype])
    bias = np.zeros(n) if any("bias" in part for part in parts) else None
    at = 0
    for part in parts:
        end = at + len(part["ids"])
        ids[at:end], rows[at:end] = part["ids"], part["vectors"]
        if bias is not None and "bias" in part:
            bias[at:end] = part["bias"]
        at = end
    return ids, rows, bias


def _routed(staging: Path, number: int) -> Path:
    return staging / f"rows-{number:06d}"


def _checked_metric(metric: object) -> Metric:
    _scalars.check_choice(metric, "metric", METRICS)
    return metric  # type: ignore[return-value]


def _result(ray: Any, ref: Any) -> Any:
    """Return what a task returned, or raise what it raised."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise _ray.cause(error) from None
    except ray.exceptions.RayError as error:
        raise DistributedError(f"build_shards: a task ended without a result: {error}") from None
