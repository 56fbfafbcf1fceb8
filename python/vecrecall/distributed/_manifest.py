"""The manifest of a sharded index: what its shards are, put in place last."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vecrecall.arrays._row_types import STORED, RowType
from vecrecall.distributed._errors import ShardError
from vecrecall.distributed._routing import WAYS, Routing
from vecrecall.search._flat_index import METRICS
from vecrecall.search._protocol import Metric
from vecrecall.storage import _atomic

KIND = "ShardedIndex"
FORMAT = 1
Kind = Literal["flat", "ivf"]
KINDS: dict[str, Kind] = {"flat": "flat", "ivf": "ivf"}
MOST_SHARDS = 4096
SHARD = "shard.json"


class Manifest(NamedTuple):
    """Facts that all shards have in common.

    Attributes
    ----------
    build : str
        A word for one build: no other has it.
    form : {"flat", "ivf"}
    metric : str
    dim : int
    dtype : {"float32", "float16", "bfloat16"}
        Of rows.
    n_lists : int
        0 where there are none.
    probes : int
        Of a search that does not say it; 0 where there are no lists.
    routing : Routing
    plan : str
        A sum of the arguments of the build.
    """

    build: str
    form: Kind
    metric: Metric
    dim: int
    dtype: RowType
    n_lists: int
    probes: int
    routing: Routing
    plan: str

    @property
    def n_shards(self) -> int:
        """The number of shards."""
        return self.routing.n_shards


def folder_of(path: Path, shard: int) -> Path:
    """Return the folder of a shard."""
    return path / f"shard-{shard:05d}"


def write(path: Path, manifest: Manifest) -> None:
    """Put a manifest in place, which makes the shards an index."""
    routing = manifest.routing
    about = {
        **manifest._asdict(),
        "kind": KIND,
        "format": FORMAT,
        "library": version("vecrecall"),
        "routing": {"by": routing.by, "n_shards": routing.n_shards, "bounds": routing.bounds},
    }
    _write_json(path / _atomic.MANIFEST, about)


def read(path: Path) -> Manifest:
    """Read a manifest, without trust in it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is something else, damaged or of another version.
    """
    about = _atomic.read_manifest(path)
    if about.get("kind") != KIND:
        raise ValueError(
            f"path: expected a saved {KIND} (of build_shards), got {about.get('kind')!r} in {path}"
        )
    if about.get("format") != FORMAT:
        raise ValueError(
            f"path: expected format {FORMAT} of this version of the library, "
            f"got {about.get('format')!r} in {path}"
        )
    checksum = about.pop("checksum", None)
    if checksum != sum_of(about):
        raise ValueError(f"path: expected a manifest without changes, got a damaged one in {path}")
    try:
        return _manifest(about)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: expected a manifest of shards, got {error!r} in {path}") from None


def _manifest(about: dict[str, Any]) -> Manifest:
    by, n, bounds = (about["routing"][name] for name in ("by", "n_shards", "bounds"))
    numbers = [n, about["dim"], about["n_lists"], about["probes"], *bounds]
    if not all(type(x) is int and 0 <= x < 2**63 for x in numbers) or not 1 <= n <= MOST_SHARDS:
        raise ValueError("numbers that are none")
    if about["metric"] not in METRICS or not about["dim"]:
        raise ValueError("no metric or no width")
    if about["dtype"] not in STORED:
        raise ValueError("rows of no known type")
    if len(bounds) != (n - 1 if by == "range" else 0) or sorted(bounds) != bounds:
        raise ValueError("bounds of other shards")
    return Manifest(
        str(about["build"]),
        KINDS[about["form"]],
        about["metric"],
        about["dim"],
        about["dtype"],
        about["n_lists"],
        about["probes"],
        Routing(WAYS[by], n, tuple(bounds)),
        str(about["plan"]),
    )


def write_shard(folder: Path, build: str, shard: int, base: str) -> None:
    """Say to which build a shard belongs, once it is whole.

    Parameters
    ----------
    folder : Path
    build : str
    shard : int
    base : str
        A word for the saved index.
    """
    about = {"kind": "shard", "format": FORMAT, "build": build, "shard": shard, "base": base}
    _write_json(folder / SHARD, about)


def is_built(folder: Path, build: str, shard: int) -> bool:
    """Tell a shard of this build that is whole."""
    try:
        check_shard(folder, build, shard)
    except ShardError:
        return False
    return True


def check_shard(folder: Path, build: str, shard: int) -> str:
    """Return the word for the saved index of a shard that is whole and of this build."""
    name = f"shard {shard}"
    try:
        with _atomic.open_regular(folder / SHARD) as file:
            about = json.loads(file.read(_atomic.LONGEST_MANIFEST).decode("ascii"))
        checksum = about.pop("checksum", None)
        if checksum != sum_of(about):
            raise ValueError(f"expected the checksum {sum_of(about)}, got {checksum}")
    except FileNotFoundError:
        raise ShardError(f"{name}: expected the folder of a shard, got none at {folder}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise ShardError(f"{name}: expected a whole shard, got {error} in {folder}") from None
    if (about.get("build"), about.get("shard")) != (build, shard):
        raise ShardError(
            f"{name}: expected shard {shard} of build {build}, got shard {about.get('shard')} of "
            f"build {about.get('build')} in {folder}"
        )
    return str(about.get("base"))


def sum_of(about: object) -> str:
    """Add up something that JSON can hold."""
    text = json.dumps(about, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write_json(path: Path, about: dict[str, Any]) -> None:
    about = {**about, "checksum": sum_of(about)}
    text = json.dumps(about, indent=1) + "\n"
    _atomic.write(path, lambda file: file.write(text.encode("ascii")))
