"""Time, memory and the overhead of a call: shards in actors of one machine, and one index.

``python -m benchmarks.ray.overhead build FOLDER`` makes the files once, ``search`` times them,
``grow`` times calls over 1 to 16 small shards. Calls of all sides alternate; ``empty`` are calls
of as many actors that do nothing, which is what Ray takes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import vecrecall as vr
from vecrecall.distributed import ShardedIndex, build_shards, connect
from vecrecall.distributed._ray import Deadline

BATCHES = (1, 16, 256)
K = 10
_BLOCK = 1 << 18


def start(cpus: int) -> Any:
    """Start a local Ray."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # on a busy machine actors would starve
    import ray

    ray.init(
        address="local",  # another cluster may run here
        num_cpus=cpus, include_dashboard=False, object_store_memory=500 << 20, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}},
    )  # fmt: skip
    return ray


def vectors(path: Path, n: int, dim: int) -> None:
    """Write random vectors, block by block."""
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, dim))
    for first in range(0, n, _BLOCK):
        file[first : first + _BLOCK] = rng.standard_normal(
            (min(_BLOCK, n - first), dim), dtype=np.float32
        )
    file.flush()


def build(folder: Path, n: int, dim: int, shards: int) -> None:
    """Make the files of both sides."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "x.npy").exists():
        vectors(folder / "x.npy", n, dim)
    ray = start(2)
    begun = time.perf_counter()
    build_shards(folder / "x.npy", folder / "shards", n_shards=shards)
    print(f"build_shards: {time.perf_counter() - begun:.1f} s")
    ray.shutdown()
    if not (folder / "one").exists():
        begun = time.perf_counter()
        vr.FlatIndex(np.load(folder / "x.npy", mmap_mode="r"), copy=False).save(folder / "one")
        print(f"one index: {time.perf_counter() - begun:.1f} s")


def timed(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time calls in turns, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Say in milliseconds what is typical."""
    ms = np.array(times) * 1000
    return {
        "best": round(float(ms.min()), 3),
        "p50": round(float(np.percentile(ms, 50)), 3),
        "p99": round(float(np.percentile(ms, 99)), 3),
    }


def memory(process: int) -> dict[str, int]:
    """Read how much memory is a process's own, and how much is of files that it has mapped."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    lines = dict(line.split(":", 1) for line in status)
    return {name: int(lines[name].split()[0]) >> 10 for name in ("RssAnon", "RssFile")}


class Empty:
    """An actor that does nothing."""

    def process(self) -> int:
        """Tell the number of its process."""
        return os.getpid()

    def call(self, asked: bytes) -> bytes:
        """Answer at once."""
        return asked


def empty_actors(ray: Any, n: int) -> list[Any]:
    """Start actors that do nothing."""
    kind = ray.remote(Empty).options(num_cpus=0.01, enable_task_events=False)
    return [kind.remote() for _ in range(n)]


def call_of(ray: Any, actors: list[Any]) -> Callable[[], object]:
    """Return a call of all of them at once."""
    return lambda: ray.get([actor.call.remote(b"") for actor in actors])


def processes_of(index: ShardedIndex) -> list[int]:
    """List the processes of the actors of an index."""
    opened = index._opened(index._view, Deadline(index.timeout))
    return [opened[shard].pid for shard in sorted(opened)]


class Found(NamedTuple):
    """Seconds of calls at one batch: of shards, of one index, and of actors that do nothing."""

    batch: int
    times: dict[str, list[float]]


def search(
    folder: Path, seconds: float, batches: Sequence[int] = BATCHES, threads: int | None = None
) -> Iterator[Found]:
    """Time searches of both sides; at the end print what the actors need."""
    ray = start(2)
    one = vr.FlatIndex.load(folder / "one")
    q = np.random.default_rng(1).standard_normal((max(batches), one.dim), dtype=np.float32)
    try:
        with connect(folder / "shards", timeout=120, threads=threads) as index:
            empty = empty_actors(ray, index.n_shards)
            for batch in batches:
                part = q[:batch]
                if index.search(part, K) != one.search(part, K):
                    raise SystemExit(f"batch {batch}: expected the answer of one index")
                begun = time.perf_counter()
                index.search(part, K)
                rounds = max(3, int(seconds / (2 * (time.perf_counter() - begun)) / len(batches)))
                calls: dict[str, Callable[[], object]] = {
                    "shards": lambda part=part: index.search(part, K),  # type: ignore[misc]
                    "one": lambda part=part: one.search(part, K),  # type: ignore[misc]
                    "empty": call_of(ray, empty),
                }
                yield Found(batch, timed(calls, rounds))
            print(json.dumps({"bytes": index.nbytes, "one": one.nbytes}))
            print(json.dumps({"MB of actors": [memory(pid) for pid in processes_of(index)]}))
            print(json.dumps({"MB of an empty actor": memory(ray.get(empty[0].process.remote()))}))
    finally:
        ray.shutdown()


def grow(folder: Path) -> None:
    """Time calls over 1 to 16 shards of 1000 items."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors(folder / "small.npy", 16_000, 64)
    ray = start(2)
    q = np.random.default_rng(1).standard_normal((1, 64), dtype=np.float32)
    for n in (1, 2, 4, 8, 16):
        build_shards(folder / "small.npy", folder / f"small{n}", n_shards=n)
        with connect(folder / f"small{n}", timeout=120, num_cpus=0.05) as index:
            calls: dict[str, Callable[[], object]] = {
                "search": lambda index=index: index.search(q, K),  # type: ignore[misc]
                "empty": call_of(ray, empty_actors(ray, n)),
            }
            found = {name: summary(t) for name, t in timed(calls, 200).items()}
            print(json.dumps({"shards": n, **found}))
    ray.shutdown()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("build", "search", "grow"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, help="of an actor")
    given = parser.parse_args()
    if given.what == "build":
        build(given.folder, given.items, given.dim, given.shards)
    elif given.what == "search":
        for batch, times in search(given.folder, given.seconds, threads=given.threads):
            found = {name: summary(taken) for name, taken in times.items()}
            print(json.dumps({"batch": batch, "rounds": len(times["one"]), **found}))
    else:
        grow(given.folder)


if __name__ == "__main__":
    main()
