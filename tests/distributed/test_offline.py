"""Lists of users and neighbors of items in Parquet files, and what is sent to other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.distributed import build_shards, connect, dumps, loads, neighbors, recall_users

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def users_of(ray: Any, items: Items, n: int = 50) -> Any:
    x, ids = items
    rows = [
        {"user": i, "vector": x[i], "seen": ids[i : i + i % 4].tolist() or [0]} for i in range(n)
    ]
    return ray.data.from_items(rows)


def lists_of(rows: Any) -> tuple[list[int], list[list[int]], list[list[float]]]:
    taken = sorted(rows.take_all(), key=lambda row: row["user"])
    return (
        [row["user"] for row in taken],
        [list(row["items"]) for row in taken],
        [list(row["scores"]) for row in taken],
    )


def expected_of(index: Any, items: Items, k: int) -> list[list[int]]:
    x, ids = items
    seen = [ids[i : i + i % 4].tolist() or [0] for i in range(50)]
    return index.search(x[:50], k, exclude=seen).ids.tolist()


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_recall_users_of_shards(
    ray: Any, tmp_path: Path, npy: Any, items: Items, kind: Any
) -> None:
    pytest.importorskip("ray.data")
    _x, _ids = items
    build_shards(npy[0], tmp_path / "s", n_shards=3, ids=npy[1], index=kind)
    with connect(tmp_path / "s", num_cpus=0.1) as index:
        expected = expected_of(index, items, 8)
    rows = recall_users(
        users_of(ray, items), tmp_path / "s", 8, path=tmp_path / "out", batch_size=20, num_cpus=0.5
    )
    users, found, scores = lists_of(rows)
    assert users == list(range(50))
    assert found == expected
    assert all(s == sorted(s, reverse=True) for s in scores)
    assert list((tmp_path / "out").glob("*.parquet"))


def test_recall_users_by_a_recaller(ray: Any, tmp_path: Path, items: Items) -> None:
    pytest.importorskip("ray.data")
    x, ids = items
    made = vr.FlatIndex(x, ids)
    made.save(tmp_path / "i")
    index = vr.FlatIndex.load(tmp_path / "i")

    def recaller(of: Any) -> vr.Recaller:
        return vr.Recaller(
            {
                "user": vr.channels.UserToItem(of, vector="vector"),
                "items": vr.channels.ItemToItem(vr.channels.LiveNeighbors(of)),
            }
        )

    rows = recall_users(
        users_of(ray, items), recaller(index), 8, columns={"seen": "seen", "history": "seen"},
        num_cpus=0.5,
    )  # fmt: skip
    _, found, _ = lists_of(rows)
    seen = [ids[i : i + i % 4].tolist() or [0] for i in range(50)]
    batch = vr.RequestBatch(history=seen, seen=seen, vectors={"vector": x[:50]})
    expected = recaller(made).recall(batch, 8)
    assert found == [[i for i in row if i >= 0] for row in expected.ids.tolist()]
    row = sorted(rows.take_all(), key=lambda row: row["user"])[0]
    assert len(row["channels"]) == len(row["items"])
    assert np.stack(list(row["ranks"])).shape == (len(row["items"]), 2)
    with pytest.raises(TypeError, match="not loaded; save it"):
        recall_users(users_of(ray, items), recaller(made), 8)
    with pytest.raises(ValueError, match="columns"):
        recall_users(users_of(ray, items), recaller(index), 8, columns={"seen": "none"})
    with pytest.raises(TypeError, match="dataset"):
        recall_users([1, 2], recaller(index), 8)
    with pytest.raises(FileNotFoundError):
        recall_users(users_of(ray, items), tmp_path / "none", 8)


def test_recall_users_checks_before_it_asks(ray: Any, tmp_path: Path, items: Items) -> None:
    pytest.importorskip("ray.data")
    vr.FlatIndex(*items).save(tmp_path / "i")
    index = vr.FlatIndex.load(tmp_path / "i")
    users = users_of(ray, items, 3)
    two = {"a": "vector", "b": "vector"}
    for asked in (tmp_path / "i", index):
        with pytest.raises(ValueError, match=r"vectors: expected one column .*, got none"):
            recall_users(users.drop_columns(["vector"]), asked, 8)
        with pytest.raises(ValueError, match=r"vectors: expected one column .*, got \['vector'"):
            recall_users(users, asked, 8, vectors=two)
    for wrong in (5, None, vr.FlatIndex):
        with pytest.raises(TypeError, match="recaller: expected a Recaller, an index or the path"):
            recall_users(users, wrong, 8)  # type: ignore[arg-type]


def test_neighbors(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    x, ids = items
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1], metric="cosine")
    neighbors(tmp_path / "s", 4, tmp_path / "out", min_score=0.2)
    files = sorted((tmp_path / "out").glob("*.parquet"))
    files[0].unlink()
    neighbors(tmp_path / "s", 4, tmp_path / "out", min_score=0.2)  # only what is missing
    found: dict[int, list[int]] = {}
    for file in files:
        table = pq.read_table(file).to_pydict()
        found.update(zip(table["item"], table["items"], strict=True))
    one = vr.FlatIndex(x, ids, metric="cosine")
    expected = one.neighbors(4, min_score=0.2)
    assert found == {i: row.tolist() for i, row in zip(ids.tolist(), expected.ids, strict=True)}
    with pytest.raises(ValueError, match="neighbors of others"):
        neighbors(tmp_path / "s", 5, tmp_path / "out", min_score=0.2)


def test_neighbors_after_changes(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    """Ray gives the tasks of a call to processes that have those of a call before."""
    pq = pytest.importorskip("pyarrow.parquet")
    x, ids = items
    build_shards(npy[0], tmp_path / "s", n_shards=2, ids=npy[1])
    one = vr.FlatIndex(x, ids)

    def check(out: Path) -> None:
        neighbors(tmp_path / "s", 3, out)
        tables = [pq.read_table(file).to_pydict() for file in sorted(out.glob("*.parquet"))]
        found = {i: row for of in tables for i, row in zip(of["item"], of["items"], strict=True)}
        rows = one.neighbors(3).ids
        assert found == {i: row.tolist() for i, row in zip(one.ids.tolist(), rows, strict=True)}

    check(tmp_path / "before")
    with connect(tmp_path / "s", num_cpus=0.1) as index:
        for of in (index, one):
            of.add(x[:30] * 3, np.arange(20_000, 20_030))
            of.remove(ids[:10])
    check(tmp_path / "after")
    with pytest.raises(ValueError, match="out: expected a new folder since the index has changed"):
        neighbors(tmp_path / "s", 3, tmp_path / "before")


def test_pickles_by_path(ray: Any, tmp_path: Path, items: Items) -> None:
    x, ids = items
    with pytest.raises(TypeError, match="not loaded; save it to a path that all nodes read"):
        dumps(vr.FlatIndex(x, ids))
    for kind in (vr.FlatIndex, vr.IVFIndex):
        path = tmp_path / kind.__name__
        kind(x, ids).save(path)
        index = kind.load(path)
        data = dumps({"index": index, "channel": vr.channels.UserToItem(index, vector="u")})
        assert len(data) < 2000
        arrived = loads(data)["index"]
        assert type(arrived) is kind
        assert arrived.search(x[:3], 5) == index.search(x[:3], 5)
        assert loads(data)["index"]._core is arrived._core, "mapped once a process"
        index.remove(ids[:1])
        with pytest.raises(TypeError, match="changed since it was loaded"):
            dumps(index)
        index.save(path)
        with pytest.raises(TypeError, match="changed since"):
            dumps(index)
        dumps(kind.load(path))
    file = tmp_path / "FlatIndex"
    data = dumps(vr.FlatIndex.load(file))
    vr.FlatIndex(-x, ids).save(file)
    with pytest.raises(ValueError, match="got another in"):
        loads(data)
