"""`FlatIndex.neighbors` and `NeighborTable`: the self-join, its files, and its reweighting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_float32
from datasets import HARD, normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecrecall.search._neighbors.BLOCK_ROWS", 16)


def expected_lists(
    items: F32, ids: npt.NDArray[np.int64], k: int, metric: str, **options: Any
) -> reference.Lists:
    own = [[i] for i in ids]
    return reference.search(items, items, k, ids=ids, metric=metric, exclude=own, **options)


def check(found: vr.Neighbors, expected: reference.Lists) -> None:
    assert found.ids.values.dtype == np.int64
    assert found.ids.lengths.tolist() == expected.counts.tolist()
    assert found.scores.offsets.tolist() == found.ids.offsets.tolist()
    held = np.arange(expected.ids.shape[1]) < expected.counts[:, None]
    np.testing.assert_array_equal(found.ids.values, expected.ids[held])
    assert_same_float32(np.asarray(found.scores.values), expected.scores[held])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "grid", "duplicate_blocks"])
@pytest.mark.parametrize("k", [1, 7, 200])
def test_every_item_against_all_others(
    name: str, metric: Metric, k: int, rng: np.random.Generator
) -> None:
    items = HARD[name](rng, 1, 77, 5)[1]
    items = items[items.any(axis=1)]
    ids = rng.permutation(10**6)[: len(items)].astype(np.int64)
    bias = normal(rng, 1, len(items))[0] * 3
    index = vr.FlatIndex(items, ids, metric=metric, bias=bias)
    check(index.neighbors(k), expected_lists(items, ids, k, metric, bias=bias))


@pytest.mark.parametrize("metric", METRICS)
def test_itself_is_left_out_among_duplicates(metric: Metric) -> None:
    items = np.ones((40, 3), np.float32)
    items[30] = 5  # under ip no item is in the list of the own duplicates' first
    ids = np.arange(40, dtype=np.int64)[::-1].copy()
    index = vr.FlatIndex(items, ids, metric=metric)
    check(index.neighbors(4), expected_lists(items, ids, 4, metric))


def test_min_score_over_the_score_of_an_item_with_itself(rng: np.random.Generator) -> None:
    items = normal(rng, 50, 4)
    ids = np.arange(50)
    for floor in (-1.0, 0.5, 3.0, 1e9):
        expected = expected_lists(items, ids, 60, "ip", min_score=floor)
        check(vr.FlatIndex(items).neighbors(60, min_score=floor), expected)
    index = vr.FlatIndex(items, metric="cosine")
    check(
        index.neighbors(20, min_score=0.6),
        expected_lists(items, ids, 20, "cosine", min_score=0.6),
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_items(n: int, tmp_path: Path) -> None:
    index = vr.FlatIndex(np.ones((n, 2), np.float32))
    expected = expected_lists(np.ones((n, 2), np.float32), np.arange(n), 3, "ip")
    check(index.neighbors(3), expected)
    check(index.neighbors(3, path=tmp_path), expected)
    assert len(vr.NeighborTable.load(tmp_path)) == n


def test_progress() -> None:
    calls: list[tuple[int, int]] = []
    vr.FlatIndex(np.eye(40, dtype=np.float32)).neighbors(
        2, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(16, 40), (32, 40), (40, 40)]


class StopError(Exception):
    pass


def stop_after(items: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= items:
            raise StopError

    return progress


@pytest.mark.parametrize("stop", [16, 32, 60])
def test_an_interrupted_table_goes_on(
    stop: int, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = normal(rng, 60, 6)
    index = vr.FlatIndex(items, np.arange(100, 160))
    path = tmp_path / "a" / "table"
    with pytest.raises(StopError):
        index.neighbors(5, min_score=0.5, progress=stop_after(stop), path=path)
    with pytest.raises(ValueError, match="path: expected a complete table, got one that was inter"):
        vr.NeighborTable.load(path)
    (path / "blocks" / f"ids-{stop:012d}.npy.part").write_bytes(b"half a file")

    searched = []
    search = vr.FlatIndex.search

    def counted(self: vr.FlatIndex, queries: Any, *args: Any, **options: Any) -> Any:
        searched.append(len(queries))
        return search(self, queries, *args, **options)

    monkeypatch.setattr(vr.FlatIndex, "search", counted)
    found = index.neighbors(5, min_score=0.5, path=path)
    assert sum(searched) == 60 - stop
    expected = expected_lists(items, np.arange(100, 160), 5, "ip", min_score=0.5)
    check(found, expected)
    check(index.neighbors(5, min_score=0.5, path=path), expected)
    assert sum(searched) == 60 - stop
    names = sorted(p.name.partition("-")[0] for p in path.iterdir())
    assert names == ["ids", "items", "manifest.json", "offsets", "scores"]
    table = vr.NeighborTable.load(path)
    check(vr.Neighbors(table.ids, table.scores), expected)
    assert table.items.tolist() == list(range(100, 160))
    assert np.load(next(path.glob("ids-*.npy"))).tolist() == found.ids.values.tolist()


def test_a_folder_of_something_else(tmp_path: Path, rng: np.random.Generator) -> None:
    items = normal(rng, 40, 6)
    path = tmp_path / "table"
    vr.FlatIndex(items).neighbors(5, path=path)
    other = items.copy()
    other[39, 5] += 1
    bias = np.zeros(40)
    bias[7] = 1
    for index, k, floor, name in (
        (vr.FlatIndex(items), 6, None, "k"),
        (vr.FlatIndex(items), 5, 0.5, "min_score"),
        (vr.FlatIndex(items, metric="l2"), 5, None, "metric"),
        (vr.FlatIndex(items[:39]), 5, None, "n"),
        (vr.FlatIndex(other), 5, None, "index"),
        (vr.FlatIndex(items, np.arange(1, 41)), 5, None, "index"),
        (vr.FlatIndex(items, bias=bias), 5, None, "index"),
    ):
        with pytest.raises(ValueError, match=f"^path: expected a table of {name} .*, got one of"):
            index.neighbors(k, min_score=floor, path=path)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="path: expected a table or an empty folder, got other"):
        vr.FlatIndex(items).neighbors(5, path=strange)
    assert [p.name for p in strange.iterdir()] == ["notes.txt"]
    with pytest.raises(FileNotFoundError):
        vr.NeighborTable.load(strange)
    for text in ("no JSON", "[1]"):
        (path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"^path: expected a "):
            vr.NeighborTable.load(path)


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    vr.FlatIndex(np.eye(20, dtype=np.float32)).neighbors(3, min_score=0.25, path=tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {name: manifest[name] for name in ("k", "min_score", "metric", "n", "complete")} == {
        "k": 3, "min_score": 0.25, "metric": "ip", "n": 20, "complete": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "k: expected a whole number >= 1, got 0"),
        ({"k": 2.5}, TypeError, "k: expected a whole number >= 1, got float"),
        ({"k": 1, "min_score": "a"}, TypeError, "min_score: expected a number, got str"),
        ({"k": 1, "progress": 3}, TypeError, "progress: expected a callable, got int"),
        ({"k": 1, "threads": 0}, ValueError, "threads: expected a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        vr.FlatIndex(np.eye(2, dtype=np.float32)).neighbors(**options)


def test_reweighted(rng: np.random.Generator) -> None:
    items = normal(rng, 50, 6)
    ids = rng.permutation(1000)[:50].astype(np.int64)
    table = vr.NeighborTable.build(vr.FlatIndex(items, ids, metric="cosine"), 9, min_score=0.1)
    heat, ctr = rng.integers(0, 3, 50), rng.random(50)
    found = table.reweighted({"heat": heat, "ctr": ctr})
    place = {item: i for i, item in enumerate(ids.tolist())}
    for before_ids, before, after_ids, after in zip(
        table.ids, table.scores, found.ids, found.scores, strict=True
    ):
        expected = [
            (-float(np.float32(float(s) * (float(heat[place[i]]) * float(ctr[place[i]])))), i)
            for i, s in zip(before_ids.tolist(), before, strict=True)
        ]
        assert [i for _, i in sorted(expected)] == after_ids.tolist()
        assert [-s for s, _ in sorted(expected)] == after.tolist()
    assert table.reweighted({}).scores.values.tolist() == table.scores.values.tolist()
    assert repr(table) == f"NeighborTable(50 items, {table.ids.values.size} neighbors)"


@pytest.mark.parametrize(
    ("factors", "error", "message"),
    [
        ([1.0, 1.0], TypeError, "factors: expected a mapping of names to arrays, got list"),
        ({"heat": [1.0]}, ValueError, r"factors\['heat'\]: expected shape \(2,\), got \(1,\)"),
        ({"heat": [1, np.nan]}, ValueError, r"factors\['heat'\]: expected finite numbers, got nan"),
        ({"a": [1, 1e300], "b": [1, 1e300]}, ValueError, r"factors\['b'\]: expected products"),
    ],
)
def test_bad_factors(factors: Any, error: type[Exception], message: str) -> None:
    table = vr.NeighborTable([1, 2], [[2], [1]], [[0.5], [0.5]])
    with pytest.raises(error, match=f"^{message}"):
        table.reweighted(factors)


def test_products_beyond_float32_are_infinite() -> None:
    table = vr.NeighborTable([1, 2, 3], [[2, 3], [1], []], [[3e38, 1.0], [0.5], []])
    found = table.reweighted({"heat": [1, 10, 1e39]})
    assert found.ids[0].tolist() == [2, 3]
    assert found.scores[0].tolist() == [np.inf, np.inf]
    assert found.scores[1].tolist() == [0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1], [[2], []], [[0.5], []]), "items: duplicate id 1"),
        (([1, 2], [[2]], [[0.5]]), "ids: expected 2 rows, got 1"),
        (([1], [[2]], [[0.5, 1]]), r"scores, row 0: expected shape \(1,\), got \(2,\)"),
        (([1], [[2]], [[np.nan]]), "scores: expected float32 numbers, got NaN"),
        (([1], [[2]], [[1e39]]), "scores: expected float32 numbers, got an overflow"),
    ],
)
def test_bad_tables(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        vr.NeighborTable(*arguments)


def test_a_factor_needs_its_item() -> None:
    table = vr.NeighborTable([1, 2], [[2, 3], []], [[0.5, 0.25], []])
    with pytest.raises(ValueError, match=r"^ids: expected ids that are among the items, got 3$"):
        table.reweighted({"heat": [1, 1]})
