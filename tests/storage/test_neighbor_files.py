"""Tables of neighbors on disk: saved and built by the stack that keeps an index."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import assert_same_float32
from hostile_files import assert_changed_bits_are_found, write_manifest

import vecrecall as vr
from vecrecall.storage import _npy


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecrecall.search._neighbors.BLOCK_ROWS", 16)


@pytest.fixture
def index(rng: np.random.Generator) -> vr.FlatIndex:
    return vr.FlatIndex(rng.standard_normal((60, 6)), rng.permutation(1000)[:60])


def assert_same_table(found: vr.NeighborTable, expected: vr.NeighborTable) -> None:
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.ids.offsets, expected.ids.offsets)
    np.testing.assert_array_equal(found.ids.values, expected.ids.values)
    np.testing.assert_array_equal(found.scores.offsets, expected.scores.offsets)
    assert_same_float32(np.asarray(found.scores.values), np.asarray(expected.scores.values))


def file_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}-*.npy"))


NAMES = ["ids", "items", "manifest.json", "offsets", "scores"]


def names_of(folder: Path) -> list[str]:
    return sorted(file.name.partition("-")[0] for file in folder.iterdir())


@pytest.mark.parametrize("mmap", [True, False])
def test_round_trips(tmp_path: Path, index: vr.FlatIndex, mmap: bool) -> None:
    built = vr.NeighborTable.build(index, 7, min_score=0.5)
    tables = {
        "built": built,
        "given": vr.NeighborTable([3, 1], [[9, 2**62], []], [[np.inf, -0.0], []]),
        "reweighted": built.reweighted({"heat": np.arange(60)}),
        "empty": vr.NeighborTable([], [], []),
    }
    for name, table in tables.items():
        table.save(tmp_path / name)
        loaded = vr.NeighborTable.load(str(tmp_path / name), mmap=mmap, verify=mmap)
        assert_same_table(loaded, table)
        loaded.save(tmp_path / name)  # over the files that it may have mapped
        assert_same_table(vr.NeighborTable.load(tmp_path / name), table)
        assert_same_table(loaded, table)
        assert names_of(tmp_path / name) == NAMES


def test_a_save_replaces_any_other_table(tmp_path: Path, index: vr.FlatIndex) -> None:
    small = vr.NeighborTable([1], [[2]], [[0.5]])
    vr.NeighborTable.build(index, 3, path=tmp_path / "built")
    stopped(index, tmp_path / "begun")
    assert (tmp_path / "begun" / "blocks").is_dir()
    for name in ("built", "begun"):
        small.save(tmp_path / name)
        assert_same_table(vr.NeighborTable.load(tmp_path / name, verify=True), small)
        assert names_of(tmp_path / name) == NAMES
        with pytest.raises(ValueError, match=r"^path: .* got one that was saved in "):
            vr.NeighborTable.build(index, 3, path=tmp_path / name)


class StopError(Exception):
    pass


def stopped(index: vr.FlatIndex, path: Path, after: int = 32) -> None:
    """Begin a table and leave it after so many items."""

    def progress(done: int, total: int) -> None:
        if done >= after:
            raise StopError

    with pytest.raises(StopError):
        vr.NeighborTable.build(index, 3, path=path, progress=progress)


def searched_by(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Count the items that are searched for from now on."""
    counts: list[int] = []
    search = vr.FlatIndex.search

    def counted(self: vr.FlatIndex, queries: Any, *given: Any, **options: Any) -> Any:
        counts.append(len(queries))
        return search(self, queries, *given, **options)

    monkeypatch.setattr(vr.FlatIndex, "search", counted)
    while True:
        yield sum(counts)


@pytest.mark.parametrize("name", ["ids", "scores", "lengths", "manifest.json"])
def test_a_block_with_a_changed_bit_is_made_again(
    tmp_path: Path, index: vr.FlatIndex, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = vr.NeighborTable.build(index, 3)
    stopped(index, tmp_path)
    block = tmp_path / "blocks" / "000000000016"
    file = next(block.glob(f"{name}*"))
    content = bytearray(file.read_bytes())
    content[len(content) - 20] ^= 1
    file.write_bytes(content)
    searched = searched_by(monkeypatch)
    next(searched)
    assert_same_table(vr.NeighborTable.build(index, 3, path=tmp_path), expected)
    assert next(searched) == 16 + 28, "the damaged block and those that were not there"
    assert names_of(tmp_path) == NAMES


def test_a_block_of_another_table_is_made_again(tmp_path: Path, index: vr.FlatIndex) -> None:
    other = vr.FlatIndex(-index.vectors(index.ids)[::-1], index.ids)
    stopped(index, tmp_path / "a")
    stopped(other, tmp_path / "b")
    theirs, own = (tmp_path / name / "blocks" / "000000000000" for name in "ab")
    own.rename(tmp_path / "away")
    theirs.rename(own)
    found = vr.NeighborTable.build(other, 3, path=tmp_path / "b")
    assert_same_table(found, vr.NeighborTable.build(other, 3))


def test_two_builds_in_one_folder(
    tmp_path: Path, index: vr.FlatIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the first and opens what that has made, as a save does."""
    expected = vr.NeighborTable.build(index, 3)
    searched = searched_by(monkeypatch)
    next(searched)
    inside, go_on = threading.Event(), threading.Event()

    def progress(done: int, total: int) -> None:
        inside.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(vr.NeighborTable.build, index, 3, path=tmp_path, progress=progress)
        assert inside.wait(60)
        second = pool.submit(vr.NeighborTable.build, index, 3, path=tmp_path)
        assert not second.done()
        go_on.set()
        for table in (first.result(), second.result()):
            assert_same_table(table, expected)
    assert next(searched) == 60
    assert names_of(tmp_path) == NAMES


def test_a_build_that_was_killed_after_its_end(tmp_path: Path, index: vr.FlatIndex) -> None:
    expected = vr.NeighborTable.build(index, 3, path=tmp_path)
    (tmp_path / "blocks" / "000000000000").mkdir(parents=True)
    assert_same_table(vr.NeighborTable.load(tmp_path), expected)
    assert_same_table(vr.NeighborTable.build(index, 3, path=tmp_path), expected)
    assert names_of(tmp_path) == NAMES


def test_what_a_build_writes_is_on_the_disk(
    tmp_path: Path, index: vr.FlatIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file and folder has been flushed by the time that the build returns."""
    flushed, fsync = set(), os.fsync

    def watch(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    path = tmp_path / "new" / "table"
    vr.NeighborTable.build(index, 3, path=path)
    for written in (tmp_path, path.parent, path, *path.iterdir()):
        assert written.stat().st_ino in flushed, written
    vr.NeighborTable.build(index, 3).save(tmp_path / "saved")
    for written in (tmp_path / "saved").iterdir():
        assert written.stat().st_ino in flushed, written


def test_every_changed_bit_is_found(
    tmp_path: Path, index: vr.FlatIndex, rng: np.random.Generator
) -> None:
    vr.NeighborTable.build(index, 3).save(tmp_path)
    assert_changed_bits_are_found(vr.NeighborTable, tmp_path, rng)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("items", np.array([1, 1]), "items: duplicate id 1"),
        ("items", np.array([1, 2, 3]), "offsets: expected 4 values, got 3"),
        ("items", np.array([1.0, 2.0]), "a row of int64 for items, got float64"),
        ("items", np.zeros((2, 1), np.int64), r"a row of int64 for items, got int64 .* \(2, 1\)"),
        (
            "offsets",
            np.array([0, 3, 2]),
            "offsets: expected .* that do not decrease, got 2 after 3",
        ),
        ("offsets", np.array([0, 1, 9]), "offsets: expected 0 first and 2, the number of values"),
        ("offsets", np.array([-1, 1, 2]), "offsets: expected 0 first"),
        ("ids", np.array([5]), "offsets: expected 0 first and 1, the number of values"),
        ("ids", np.array([5, 6], np.uint32), "a row of int64 for ids, got uint32"),
        ("scores", np.array([1], np.float32), "offsets: expected 0 first and 1"),
        ("scores", np.array([1, np.nan], np.float32), "scores: expected float32 numbers, got NaN"),
        ("scores", np.array([1.0, 2.0]), "a row of float32 for scores, got float64"),
    ],
)
def test_arrays_that_cannot_be(
    tmp_path: Path, name: str, array: npt.NDArray[Any], message: str
) -> None:
    vr.NeighborTable([1, 2], [[5, 6], []], [[1.0, 0.5], []]).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    file = file_of(tmp_path, name)
    file.unlink()
    manifest["arrays"][name] = _npy.write(file, array)._asdict()
    write_manifest(tmp_path, manifest)
    with pytest.raises(ValueError, match=f"^path: expected .*{message}") as caught:
        vr.NeighborTable.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_arrays_that_are_not_those_of_a_table(tmp_path: Path) -> None:
    vr.NeighborTable([1], [[5]], [[1.0]]).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    arrays = manifest["arrays"]
    for changed in (
        {name: of for name, of in arrays.items() if name != "items"},
        {**arrays, "more": arrays["items"]},
    ):
        write_manifest(tmp_path, {**manifest, "arrays": changed})
        with pytest.raises(ValueError, match=r"path: expected the arrays \['ids', 'items', "):
            vr.NeighborTable.load(tmp_path)
    for complete in (False, None, 1, "yes"):
        write_manifest(tmp_path, {**manifest, "complete": complete})
        with pytest.raises(ValueError, match="path: expected a complete table, got one that was"):
            vr.NeighborTable.load(tmp_path)


def test_bad_arguments(tmp_path: Path) -> None:
    table = vr.NeighborTable([1], [[5]], [[1.0]])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="path: expected a saved NeighborTable or an empty folder"):
        table.save(tmp_path)
    vr.FlatIndex(np.eye(2)).save(tmp_path / "index")
    with pytest.raises(ValueError, match="path: expected a saved NeighborTable, got 'FlatIndex'"):
        table.save(tmp_path / "index")
    with pytest.raises(ValueError, match="path: expected a saved NeighborTable, got 'FlatIndex'"):
        vr.NeighborTable.build(vr.FlatIndex(np.eye(2)), 1, path=tmp_path / "index")
    for option in ("mmap", "verify"):
        with pytest.raises(TypeError, match=f"^{option}: expected True or False, got 'yes'"):
            vr.NeighborTable.load(tmp_path, **{option: "yes"})  # type: ignore[arg-type]
