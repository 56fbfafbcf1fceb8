"""Pickled arrays are used where they lie: by joblib, in shared memory, as Dask and Ray deliver."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pickle_worker as worker
import pytest
from pickles import behavior, moved, plain, taken_apart

import vecrecall as vr

RNG = np.random.default_rng(9)
N, D = 20_000, 32
X = (RNG.standard_normal((N, D)) * RNG.pareto(1.5, (N, 1))).astype(np.float32)
IDS = RNG.permutation(N) + 5
LONG = 10_000  # bytes: what is shorter may be copied


def every_array() -> vr.FlatIndex:
    """An index that has each of the optional arrays."""
    return vr.FlatIndex(X, IDS, metric="l2", bias=IDS / N)


def in_index(index: vr.FlatIndex) -> list[npt.NDArray[Any]]:
    return list(index._arrays().values())


def in_table(table: vr.NeighborTable) -> list[npt.NDArray[Any]]:
    return [table.items, table.ids.values, table.scores.values]


def in_batch(batch: vr.RequestBatch) -> list[npt.NDArray[Any]]:
    assert batch.user_ids is not None
    assert batch.seen is not None
    return [batch.user_ids, batch.vectors["v"], batch.seen.values]


def a_table() -> vr.NeighborTable:
    offsets = np.arange(0, 5 * N + 1, 5)
    ids = vr.Ragged(RNG.permutation(5 * N), offsets)
    return vr.NeighborTable(IDS, ids, vr.Ragged(RNG.random(5 * N).astype(np.float32), offsets))


SHARED: dict[str, tuple[Callable[[], Any], Callable[[Any], list[npt.NDArray[Any]]]]] = {
    "FlatIndex": (every_array, in_index),
    "NeighborTable": (a_table, in_table),
    "UserGroups": (
        lambda: vr.UserGroups.fit(X, 400, max_iter=1, init="random"),
        lambda groups: [groups.centers, groups.labels],
    ),
    "Ragged": (lambda: vr.Ragged(IDS, [0, 7, N]), lambda rows: [rows.values]),
    "SearchResult": (
        lambda: vr.SearchResult(IDS[None], X[:1, :1].repeat(N, axis=1), np.full(1, N, np.int32)),
        lambda found: [found.ids, found.scores],
    ),
    "RequestBatch": (
        lambda: vr.RequestBatch(
            user_ids=IDS, vectors={"v": X}, seen=vr.Ragged(IDS, np.arange(N + 1))
        ),
        in_batch,
    ),
    "Precomputed": (
        lambda: vr.channels.Precomputed(IDS, IDS[:, None]),
        lambda channel: [
            *(channel._lists._keys._sorted, channel._lists._keys._places),
            *(channel._lists._ids.values, channel._lists._scores),
        ],
    ),
    "CrossTag": (
        lambda: vr.channels.CrossTag(vr.FlatIndex(X[:9]), X),
        lambda channel: [channel._table],
    ),
    "LiveNeighbors": (
        lambda: vr.channels.LiveNeighbors(vr.FlatIndex(X[:9]), vectors=X, ids=IDS),
        lambda source: [source._table._table, source._table._keys._sorted],
    ),
    "KMeans": (
        lambda: vr.KMeans(400, max_iter=1, init="random").fit(X),
        lambda model: [model.cluster_centers_, model.labels_],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHARED)
def test_what_is_delivered_is_used_without_a_copy(kind: str) -> None:
    make, arrays_of = SHARED[kind]
    data, buffers = taken_apart(make())
    assert len(data) < 5000
    delivered = moved(buffers)
    arrays = [a for a in arrays_of(pickle.loads(data, buffers=delivered)) if a.nbytes > LONG]
    assert len(arrays) >= {"FlatIndex": 6, "NeighborTable": 3, "UserGroups": 2}.get(kind, 1)
    for array in arrays:
        assert (
            sum(np.shares_memory(array, place) for place in delivered if place.nbytes > LONG) == 1
        )
        assert not array.flags.writeable


@pytest.mark.parametrize("kind", SHARED)
def test_what_is_sent_is_not_copied_first(kind: str) -> None:
    make, arrays_of = SHARED[kind]
    x = make()
    buffers = [np.frombuffer(buffer, np.uint8) for buffer in taken_apart(x)[1]]
    for array in arrays_of(x):
        if array.nbytes > LONG:
            assert sum(np.shares_memory(array, buffer) for buffer in buffers) == 1


def test_updates_write_nothing_into_what_was_delivered() -> None:
    index = every_array()
    expected = behavior(index, np.random.default_rng(1))
    data, buffers = taken_apart(index)
    delivered = moved(buffers)
    before = [place.tobytes() for place in delivered]
    for place in delivered:
        place.base.flags.writeable = True  # type: ignore[union-attr]  # a write would go through
    arrived, other = (pickle.loads(data, buffers=delivered) for _ in range(2))
    arrived.update(X[:9] + 1, IDS[5:14])
    arrived.remove(IDS[100:300])
    arrived.add(X[:9] + 2, N + 10 + np.arange(9))
    arrived.compact()
    assert [place.tobytes() for place in delivered] == before
    assert behavior(other, np.random.default_rng(1)) == expected


def laid_side_by_side(buffers: list[memoryview]) -> tuple[int, list[tuple[int, int]]]:
    """Find a place for each in one block of memory."""
    starts = np.cumsum([0, *(-(-len(b) // 64) * 64 for b in buffers)]).tolist()
    return starts[-1], [(at, at + len(b)) for at, b in zip(starts, buffers, strict=False)]


def test_an_updated_index_lets_go_of_what_was_delivered() -> None:
    data, buffers = taken_apart(every_array())
    size, places = laid_side_by_side(buffers)
    block = bytearray(size)
    for (a, b), buffer in zip(places, buffers, strict=True):
        block[a:b] = buffer
    arrived = pickle.loads(data, buffers=[memoryview(block)[a:b] for a, b in places])
    gc.collect()
    with pytest.raises(BufferError):
        block.append(0)
    arrived.remove(IDS[:9])
    arrived.compact()
    gc.collect()
    block.append(0)
    assert len(arrived) == N - 9


@pytest.mark.parametrize("shift", [1, 2, 4, 63])
def test_what_lies_as_no_number_can_is_copied(shift: int) -> None:
    for kind, (make, arrays_of) in SHARED.items():
        x = make()
        data, buffers = taken_apart(x)
        delivered = moved(buffers, shift)
        arrived = pickle.loads(data, buffers=delivered)
        for array, sent in zip(arrays_of(arrived), arrays_of(x), strict=True):
            assert array.tobytes() == sent.tobytes()
            assert array.flags.aligned or kind == "SearchResult"
        if kind == "FlatIndex":
            assert behavior(arrived, np.random.default_rng(1)) == behavior(
                x, np.random.default_rng(1)
            )
            assert any(np.shares_memory(arrived._arrays()["codes"], place) for place in delivered)


# --- processes


@pytest.fixture
def block() -> Iterator[list[SharedMemory]]:
    blocks: list[SharedMemory] = []
    yield blocks
    for one in blocks:
        one.close()
        one.unlink()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system has no smaps")
def test_an_index_in_shared_memory(block: list[SharedMemory]) -> None:
    x = RNG.standard_normal((250_000, 128)).astype(np.float32)
    index = vr.FlatIndex(x, metric="cosine")
    data, buffers = taken_apart(index)
    size, places = laid_side_by_side(buffers)
    block.append(SharedMemory(create=True, size=size))
    for (a, b), buffer in zip(places, buffers, strict=True):
        block[0].buf[a:b] = buffer
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(False)
    args = (sender, block[0].name, places, data, x[:9])
    process = context.Process(target=worker.search_in_shared_memory, args=args)
    process.start()
    assert receiver.poll(60)
    grown, found = receiver.recv()
    process.join(60)
    assert process.exitcode == 0
    assert found == worker.digest(index, x[:9])
    assert size > 150 << 20
    assert grown < 15 << 20


def test_shared_memory_stays_as_long_as_an_index_is_in_it(block: list[SharedMemory]) -> None:
    data, buffers = taken_apart(vr.FlatIndex(X))
    size, places = laid_side_by_side(buffers)
    block.append(SharedMemory(create=True, size=size))
    for (a, b), buffer in zip(places, buffers, strict=True):
        block[0].buf[a:b] = buffer
    index = pickle.loads(data, buffers=[block[0].buf[a:b] for a, b in places])
    with pytest.raises(BufferError):
        block[0].close()
    assert len(index.search(X[:1], 3).ids[0]) == 3
    del index
    gc.collect()


# --- joblib


@pytest.mark.parametrize("kind", ["FlatIndex", "NeighborTable", "UserGroups", "RequestBatch"])
def test_joblib_maps_what_it_has_dumped(kind: str, tmp_path: Path) -> None:
    make, arrays_of = SHARED[kind]
    x = make()
    joblib.dump(x, tmp_path / "x.joblib")
    arrived = joblib.load(tmp_path / "x.joblib", mmap_mode="r")
    for array, sent in zip(arrays_of(arrived), arrays_of(x), strict=True):
        assert array.tobytes() == sent.tobytes()
        assert array.nbytes < LONG or worker.file_of(array) == str(tmp_path / "x.joblib")
    if kind == "FlatIndex":
        assert behavior(arrived, np.random.default_rng(1)) == behavior(x, np.random.default_rng(1))


@pytest.fixture
def parallel() -> Any:
    return joblib.Parallel(n_jobs=2, backend="loky", max_nbytes=1000)


def in_workers(parallel: Any, index: vr.FlatIndex) -> list[dict[str, str | None]]:
    """Search in several processes; tell from which files each task had the arrays."""
    call = joblib.delayed(worker.searched)
    found = parallel(call(index, X[i : i + 3]) for i in range(6))
    assert [digest for _, _, digest in found] == [
        worker.digest(index, X[i : i + 3]) for i in range(6)
    ]
    return [files for _, files, _ in found]


def test_joblib_sends_an_index_once_for_all_tasks(parallel: Any) -> None:
    tasks = in_workers(parallel, every_array())
    for name in ("rows", "ids", "codes", "bias", "order", "row_terms"):
        assert tasks[0][name] is not None
        assert len({files[name] for files in tasks}) == 1


def test_joblib_sends_a_mapped_index_by_its_files(parallel: Any, tmp_path: Path) -> None:
    index = every_array()
    index.save(tmp_path / "index")
    joblib.dump(index, tmp_path / "x.joblib")
    for mapped in (
        vr.FlatIndex.load(tmp_path / "index"),
        joblib.load(tmp_path / "x.joblib", mmap_mode="r"),
    ):
        for files in in_workers(parallel, mapped):
            assert all(str(files[name]).startswith(str(tmp_path)) for name in ("rows", "codes"))


def test_joblib_sends_a_mapped_index_whose_files_are_gone(parallel: Any, tmp_path: Path) -> None:
    every_array().save(tmp_path)
    mapped = vr.FlatIndex.load(tmp_path)
    taken_apart(mapped)
    vr.FlatIndex(X[:9]).save(tmp_path)
    assert not any(
        str(f).startswith(str(tmp_path)) for t in in_workers(parallel, mapped) for f in t.values()
    )


def test_joblib_sends_an_updated_index(parallel: Any, tmp_path: Path) -> None:
    every_array().save(tmp_path)
    mapped = vr.FlatIndex.load(tmp_path)
    mapped.update(X[:5] * 2, IDS[7:12])
    in_workers(parallel, mapped)


def test_joblib_brings_back_what_a_worker_returns(parallel: Any) -> None:
    for kind, (make, arrays_of) in SHARED.items():
        x = make()
        (back,) = parallel([joblib.delayed(worker.returned)(x)])
        assert type(back).__name__ == kind
        assert plain(arrays_of(back)) == plain(arrays_of(x))


def test_dask_sends_an_index_to_processes() -> None:
    dask = pytest.importorskip("dask")
    index = every_array()
    tasks = [dask.delayed(worker.searched)(index, X[i : i + 3]) for i in range(2)]
    found = dask.compute(*tasks, scheduler="processes", num_workers=2)
    assert [f[2] for f in found] == [worker.digest(index, X[i : i + 3]) for i in range(2)]
