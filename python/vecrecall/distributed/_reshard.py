"""The items of an index in shards, in another number of shards."""

from pathlib import Path

from vecrecall.arrays import _scalars
from vecrecall.distributed import _manifest
from vecrecall.distributed._build import Lists, Plan, Tasks, build
from vecrecall.distributed._routing import WAYS, By
from vecrecall.distributed._shard import Shard
from vecrecall.distributed._sources import ShardPiece
from vecrecall.search._ivf_index import IVFIndex
from vecrecall.search._protocol import Progress


def reshard(
    path: str | Path,
    new_path: str | Path,
    n_shards: int,
    *,
    by: By | None = None,
    num_cpus: float = 1,
    memory: int | None = None,
    progress: Progress | None = None,
    timeout: float = 3600.0,
) -> None:
    """Write the items of an index in shards into another number of shards, by Ray tasks.

    Parameters
    ----------
    path : str or Path
        Of `build_shards`, with all changes that were acknowledged. Changes that are made meanwhile
        may be missing in the new shards.
    new_path : str or Path
        A new folder, or one where this was interrupted, which goes on.
    n_shards : int
        1 to 4096.
    by : {"hash", "range"}, optional
        Default as before.
    num_cpus, memory, progress, timeout
        As of `build_shards`. A task holds the rows of a shard about twice.

    Raises
    ------
    DistributedError, OSError, ValueError
        As of `build_shards`; `ShardError` for a shard that cannot be read.

    Notes
    -----
    Lists keep their centers, and rows their type. ``index.swap(new_path)`` then serves the new
    shards.
    """
    folder = _scalars.check_path(path, "path").absolute()
    target = _scalars.check_path(new_path, "new_path").absolute()
    n_shards = _scalars.check_int_between(n_shards, "n_shards", 1, _manifest.MOST_SHARDS)
    manifest = _manifest.read(folder)
    way = manifest.routing.by if by is None else _scalars.check_choice(by, "by", WAYS)
    _scalars.check_callable(progress, "progress")
    lists = None
    if manifest.form == "ivf":
        first = Shard(folder, manifest, 0).index
        assert isinstance(first, IVFIndex)
        lists = Lists(first.centers, first.spreads, manifest.probes)
    plan = Plan(manifest.form, manifest.metric, way, n_shards, None, None, 0, "raise")
    pieces = [ShardPiece(str(folder), manifest, n) for n in range(manifest.n_shards)]
    timeout = _scalars.check_duration(timeout, "timeout")
    build(pieces, target, plan, Tasks(num_cpus, memory, timeout, progress), lists)
