"""Saved indexes: the same bits after a round trip, and nothing but errors from damaged files."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rights
import save_killer
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32
from hostile_files import assert_changed_bits_are_found, opened, use_everything, write_manifest
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.storage import _npy

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator
D = 9

# From this many items on, rows whose lengths differ much are kept by length.
ORDERED = 7 * 2048 + 1


def normal(rng: Rng, n: int, d: int = D) -> F32:
    return rng.standard_normal((n, d)).astype(np.float32)


def make(rng: Rng, kind: str, metric: Metric) -> vr.FlatIndex:
    """Make an index of every kind of parts."""
    if kind == "empty":
        return vr.FlatIndex(np.empty((0, D), np.float32), metric=metric)
    if kind == "ordered":
        lengths = rng.pareto(1.5, (ORDERED, 1)).astype(np.float32)
        return vr.FlatIndex(normal(rng, ORDERED) * lengths, metric=metric)
    n = 300
    if kind == "plain":
        return vr.FlatIndex(normal(rng, n), metric=metric)
    if kind == "bias":
        return vr.FlatIndex(normal(rng, n), metric=metric, bias=rng.standard_normal(n))
    ids = rng.permutation(10**12 + np.arange(n))
    index = vr.FlatIndex(normal(rng, n), ids, metric=metric)
    if kind == "updated":
        index.add(normal(rng, 70), np.arange(70), bias=rng.standard_normal(70))
        index.remove(ids[::50])
        index.update(normal(rng, 2), [3, 900])
    return index


KINDS = ("plain", "bias", "ids", "updated", "empty", "ordered")


def assert_same_index(found: vr.FlatIndex, expected: vr.FlatIndex, rng: Rng) -> None:
    assert found.metric == expected.metric
    assert found.dim == expected.dim
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.skipped, expected.skipped)
    assert_same_float32(found.vectors(found.ids), expected.vectors(found.ids))
    queries = normal(rng, 20, found.dim)
    for k in (1, 10, 400):
        assert_same_bits(found.search(queries, k), *arrays(expected.search(queries, k)))
    some = expected.ids[::3]
    filters: dict[str, Any] = {"allow": some, "exclude": [some[:5]] * 20, "min_score": -1.0}
    assert_same_bits(
        found.search(queries, 10, **filters), *arrays(expected.search(queries, 10, **filters))
    )


@pytest.fixture
def saved(rng: Rng, tmp_path: Path) -> Path:
    """An index on disk that has every optional array."""
    ordered = make(rng, "ordered", "l2")
    index = vr.FlatIndex(
        ordered.vectors(ordered.ids),
        rng.permutation(len(ordered)),
        metric="l2",
        bias=rng.standard_normal(len(ordered)),
    )
    index.save(tmp_path / "index")
    assert {"ids", "bias", "order", "row_terms", "codes"} < set(names_of(tmp_path / "index"))
    return tmp_path / "index"


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_round_trips(rng: Rng, tmp_path: Path, kind: str, metric: Metric, mmap: bool) -> None:
    index = make(rng, kind, metric)
    index.save(tmp_path)
    loaded = vr.FlatIndex.load(str(tmp_path), mmap=mmap, verify=mmap)
    assert_same_index(loaded, index, rng)
    loaded.save(tmp_path)  # over the files that it may have mapped
    assert_same_index(vr.FlatIndex.load(tmp_path, mmap=mmap), index, rng)
    assert_same_index(loaded, index, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_updates_of_a_loaded_index(rng: Rng, tmp_path: Path, kind: str) -> None:
    index = make(rng, kind, "ip")
    index.save(tmp_path)
    loaded = vr.FlatIndex.load(tmp_path)
    on_disk = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for step in range(6):  # until what was mapped is gone
        more, ids = normal(rng, 100), 2 * 10**12 + step * 100 + np.arange(100)
        gone = rng.permutation(index.ids)[: len(index) // 3]
        for one in (index, loaded):
            one.add(more, ids)
            one.remove(gone)
        assert_same_index(loaded, index, rng)
    for one in (index, loaded):
        one.compact()
    assert_same_index(loaded, index, rng)
    assert on_disk == {file: file.read_bytes() for file in tmp_path.iterdir()}


def test_skipped_items_are_remembered(rng: Rng, tmp_path: Path) -> None:
    vectors = normal(rng, 10)
    vectors[[2, 7]] = np.nan
    index = vr.FlatIndex(vectors, invalid="skip")
    index.save(tmp_path)
    assert vr.FlatIndex.load(tmp_path).skipped.tolist() == [2, 7]


def test_what_is_mapped_is_no_copy(rng: Rng, tmp_path: Path) -> None:
    vr.FlatIndex(normal(rng, 5000, 64)).save(tmp_path)
    loaded = vr.FlatIndex.load(tmp_path)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("the system does not list what is mapped")
    mapped = [line for line in maps.read_text().splitlines() if str(tmp_path) in line]
    assert {"rows", "codes"} <= {line.rpartition("/")[2].rpartition("-")[0] for line in mapped}
    assert all(" r--" in line for line in mapped)
    assert len(loaded) == 5000


def file_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}-*.npy"))


def names_of(folder: Path) -> list[str]:
    return sorted(file.name.rpartition("-")[0] for file in folder.glob("*.npy"))


def test_a_missing_file(saved: Path) -> None:
    for name in [*names_of(saved), "manifest"]:
        file = saved / "manifest.json" if name == "manifest" else file_of(saved, name)
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(FileNotFoundError, match=name):
            vr.FlatIndex.load(saved)
        file.mkdir()
        with pytest.raises((OSError, ValueError), match=name):
            vr.FlatIndex.load(saved)
        file.rmdir()
        file.write_bytes(content)
    vr.FlatIndex.load(saved)


def test_pipes_in_place_of_files(saved: Path) -> None:
    for name in [*names_of(saved), "manifest"]:
        file = saved / "manifest.json" if name == "manifest" else file_of(saved, name)
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(ValueError, match=f"path: expected a regular file, got .*{name}"):
            vr.FlatIndex.load(saved)
        with pytest.raises(ValueError, match=f"path: expected a regular file, got .*{name}"):
            vr.ReloadingIndex(saved)
        file.unlink()
        file.write_bytes(content)
    vr.FlatIndex.load(saved)


@pytest.mark.parametrize("mmap", [True, False])
def test_files_of_another_length(saved: Path, mmap: bool) -> None:
    for name in names_of(saved):
        file = file_of(saved, name)
        content = file.read_bytes()
        for changed in (b"", content[:5], content[:64], content[:-1], content + b"\0"):
            file.write_bytes(changed)
            with pytest.raises(ValueError, match=f"path: expected .* bytes, got .*{name}"):
                vr.FlatIndex.load(saved, mmap=mmap)
        file.write_bytes(content)
    manifest = saved / "manifest.json"
    content = manifest.read_bytes()
    for end in range(0, len(content) - 2, 97):
        manifest.write_bytes(content[:end])
        with pytest.raises(ValueError, match="path: expected a JSON manifest"):
            vr.FlatIndex.load(saved, mmap=mmap)


def test_files_that_hold_another_array(saved: Path) -> None:
    for name in names_of(saved):
        file = file_of(saved, name)
        content = file.read_bytes()
        array = np.load(file)
        others = [array.view(f"<V{array.itemsize}"), np.array([object()])]
        if array.size:
            others += [array[:-1], array.astype(np.complex64), array[None]]
        for other in others:
            np.save(file, other, allow_pickle=True)
            with pytest.raises(ValueError, match=f"path: expected .*{name}"):
                vr.FlatIndex.load(saved)
        file.write_bytes(content)
    file_of(saved, "ids").write_bytes(file_of(saved, "bias").read_bytes())
    with pytest.raises(ValueError, match=r"path: expected the header of .*ids"):
        vr.FlatIndex.load(saved)


def test_every_changed_bit_is_found(rng: Rng, saved: Path) -> None:
    assert_changed_bits_are_found(vr.FlatIndex, saved, rng)


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "zeros": lambda size: bytes(size),
    "ones": lambda size: b"\xff" * size,
    "infinities": lambda size: (b"\0\0\x80\x7f" * (size // 4 + 1))[:size],
    "large": lambda size: (b"\xff\xff\xff\x7e" * (size // 4 + 1))[:size],
    "random": lambda size: np.random.default_rng(1).bytes(size),
}


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("metric", METRICS)
def test_no_bytes_lead_astray(rng: Rng, tmp_path: Path, metric: Metric, content: str) -> None:
    make(rng, "ordered", metric).save(tmp_path)
    for name in names_of(tmp_path):
        file = file_of(tmp_path, name)
        kept = file.read_bytes()
        start = 128  # behind the header
        file.write_bytes(kept[:start] + HOSTILE[content](len(kept) - start))
        index = opened(tmp_path)
        if index is not None:
            assert len(index) == ORDERED
            use_everything(index, rng, tmp_path / "again")
        file.write_bytes(kept)
    for name in ("rows", "codes", "row_terms"):  # all that is not looked at
        for file in tmp_path.glob(f"{name}-*.npy"):
            kept = file.read_bytes()
            file.write_bytes(kept[:128] + HOSTILE[content](len(kept) - 128))
    use_everything(vr.FlatIndex.load(tmp_path), rng, tmp_path / "again")


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("ids", 5, -1, "ids: expected ids >= 0, got -1"),
        ("order", 3, ORDERED, f"order: expected each place once, below {ORDERED}"),
        ("order", 3, 2**32 - 1, "order: expected each place once"),
        ("center", 1, np.nan, "center: expected finite values, got"),
        ("block_bounds", 4, np.nan, "block_bounds: expected numbers, got"),
        ("code_bounds", 4, 0, "code_bounds: expected lengths, and steps > 0, got 0"),
        ("code_bounds", 7, -1, "code_bounds: expected lengths, and steps > 0, got -1"),
    ],
)
def test_numbers_that_cannot_be(
    saved: Path, name: str, place: int, value: float, message: str
) -> None:
    file = file_of(saved, name)
    array = np.load(file)
    array[place] = value
    np.save(file, array)
    with pytest.raises(ValueError, match=f"path: expected a whole index in .*, got {message}"):
        vr.FlatIndex.load(saved)


def cone(rng: Rng, n: int) -> F32:
    """Rows that lie mostly along their center, wide enough to be scanned without that part."""
    return normal(rng, n, 130) / 3 + 1


@pytest.mark.parametrize("metric", METRICS)
def test_a_bias_has_the_place_of_the_part_along_the_center(
    rng: Rng, tmp_path: Path, metric: Metric
) -> None:
    rows, bias = cone(rng, 2100), rng.standard_normal(2100)
    index = vr.FlatIndex(rows, metric=metric, bias=bias)
    index.save(tmp_path / "biased")
    assert "along" not in names_of(tmp_path / "biased")
    assert_same_index(vr.FlatIndex.load(tmp_path / "biased", verify=True), index, rng)
    plain = vr.FlatIndex(rows, metric=metric)
    plain.add(rows[:5], bias=np.ones(5))
    plain.save(tmp_path / "later")
    assert "along" not in names_of(tmp_path / "later")
    assert_same_index(vr.FlatIndex.load(tmp_path / "later", verify=True), plain, rng)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_within_a_cone(rng: Rng, tmp_path: Path, metric: Metric) -> None:
    index = vr.FlatIndex(cone(rng, 2100), metric=metric)
    index.save(tmp_path)
    assert ("along" in names_of(tmp_path)) == (metric != "l2")
    loaded = vr.FlatIndex.load(tmp_path, verify=True)
    queries = cone(rng, 3)
    found = loaded.search(queries, 5, stats=True)
    assert found.stats is not None
    assert found.stats.precision == "int8"
    again = index.search(queries, 5, stats=True)
    assert found.stats == again.stats  # the same bounds as before
    assert_same_bits(found, *arrays(again))
    more, bias = cone(rng, 2100), np.ones(7)
    for one in (index, loaded):
        one.add(more)
    assert_same_index(loaded, index, rng)
    assert_same_index(loaded, vr.FlatIndex(loaded.vectors(loaded.ids), metric=metric), rng)
    for one in (index, loaded):
        one.add(more[:7], bias=bias)  # whose place the parts along the center have
    assert_same_index(loaded, index, rng)


@pytest.mark.parametrize("content", HOSTILE)
def test_no_parts_along_the_center_lead_astray(rng: Rng, tmp_path: Path, content: str) -> None:
    vr.FlatIndex(cone(rng, 2100)).save(tmp_path)
    file = file_of(tmp_path, "along")
    kept = file.read_bytes()
    file.write_bytes(kept[:128] + HOSTILE[content](len(kept) - 128))
    use_everything(vr.FlatIndex.load(tmp_path), rng, tmp_path / "again")


@pytest.mark.parametrize(
    ("metric", "n", "message"),
    [("ip", 6, "along: expected 7 values, got 6"), ("l2", 7, "along: expected none under l2")],
)
def test_parts_along_the_center_that_cannot_be(
    rng: Rng, tmp_path: Path, metric: Metric, n: int, message: str
) -> None:
    vr.FlatIndex(cone(rng, 7), metric=metric).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    other = _npy.write(tmp_path / "along-000000000000.npy", np.ones(n, np.float32))
    manifest["arrays"]["along"] = other._asdict()
    write_manifest(tmp_path, manifest)
    with pytest.raises(ValueError, match=message):
        vr.FlatIndex.load(tmp_path)


def test_parts_along_a_center_without_direction(rng: Rng, tmp_path: Path) -> None:
    vr.FlatIndex(cone(rng, 7)).save(tmp_path)
    file = file_of(tmp_path, "center")
    kept = file.read_bytes()
    file.write_bytes(kept[:128] + bytes(len(kept) - 128))
    message = "along: expected none where the center is zero, got 7 values"
    with pytest.raises(ValueError, match=message):
        vr.FlatIndex.load(tmp_path)


@pytest.mark.parametrize(("name", "dtype"), [("ids", "i8"), ("bias", "f8"), ("order", "u4")])
def test_arrays_of_no_values(rng: Rng, tmp_path: Path, name: str, dtype: str) -> None:
    index = make(rng, "plain", "l2")
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    empty = _npy.write(tmp_path / f"{name}-000000000000.npy", np.empty(0, dtype))
    manifest["arrays"][name] = empty._asdict()
    write_manifest(tmp_path, manifest)
    assert_same_index(vr.FlatIndex.load(tmp_path), index, rng)  # they count as missing


def test_rows_of_no_values(small: Path) -> None:
    manifest = json.loads(json.dumps(SMALL))
    for name, shape in (("rows", (4, 0)), ("center", (0,))):
        file = small / f"{name}-000000000000.npy"
        file.unlink(missing_ok=True)
        manifest["arrays"][name] = _npy.write(file, np.empty(shape, "f4"))._asdict()
    write_manifest(small, manifest)
    with pytest.raises(ValueError, match="rows: expected at least one column, got none"):
        vr.FlatIndex.load(small)


def test_two_rows_with_one_place(saved: Path) -> None:
    file = file_of(saved, "order")
    array = np.load(file)
    array[3] = array[4]
    np.save(file, array)
    with pytest.raises(ValueError, match="order: expected each place once"):
        vr.FlatIndex.load(saved)


def test_ids_that_repeat(saved: Path) -> None:
    file = file_of(saved, "ids")
    array = np.load(file)
    array[3] = array[4]
    np.save(file, array)
    loaded = vr.FlatIndex.load(saved)
    with pytest.raises(ValueError, match="ids: duplicate id"):
        loaded.vectors([1])


def test_ids_that_repeat_are_found_by_verify(tmp_path: Path) -> None:
    """Though every checksum is right."""
    vr.FlatIndex(np.eye(3, dtype=np.float32), [5, 6, 7]).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    file = file_of(tmp_path, "ids")
    file.unlink()
    manifest["arrays"]["ids"] = _npy.write(file, np.array([5, 6, 5]))._asdict()
    write_manifest(tmp_path, manifest)
    message = "path: expected a whole index in .*, got ids: duplicate id"
    with pytest.raises(ValueError, match=message):
        vr.FlatIndex.load(tmp_path, verify=True)


SMALL: dict[str, Any] = {}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    vr.FlatIndex(np.eye(4, dtype=np.float32), [3, 1, 2, 0], metric="l2").save(folder)
    SMALL.update(json.loads((folder / "manifest.json").read_bytes()))
    return folder


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["ip", "../x", "/etc/passwd", "rows-000000000000.npy", "|O", "<f8", "<M8"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_hostile_manifests(small: Path, data: st.DataObject) -> None:
    manifest = json.loads(json.dumps(SMALL))
    at: Any = manifest
    while True:  # somewhere in it
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        inner = at[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        at = inner
    if data.draw(st.booleans()) or isinstance(at, list):
        at[key] = data.draw(JSON)
    else:
        del at[key]
    write_manifest(small, manifest)
    index = opened(small)
    if index is not None:
        use_everything(index, np.random.default_rng(0), small.parent / "again")


@given(shape=st.lists(st.integers(0, 2**70) | st.integers(-3, 9), max_size=4))
def test_hostile_shapes(small: Path, shape: list[int]) -> None:
    for name in SMALL["arrays"]:
        if shape == SMALL["arrays"][name]["shape"]:
            continue
        manifest = json.loads(json.dumps(SMALL))
        manifest["arrays"][name]["shape"] = shape
        write_manifest(small, manifest)
        with pytest.raises(ValueError, match=f"path: expected .*{name}"):
            vr.FlatIndex.load(small)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"a": 1, "a": 1}',
        '{"a": "\xe9"}',
        "null",
        '"x"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "{",
        "\ud800",
        "9" * 9999,
    ],
)
def test_manifests_that_are_none(small: Path, text: str) -> None:
    (small / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ValueError, match="path: expected a"):
        vr.FlatIndex.load(small)


def test_a_manifest_beyond_reason(small: Path) -> None:
    write_manifest(small, SMALL)
    with (small / "manifest.json").open("a") as file:
        file.write(" " * (1 << 20))
    with pytest.raises(ValueError, match="path: expected a manifest of at most 1048576 bytes"):
        vr.FlatIndex.load(small)


@pytest.mark.parametrize("place", ["extra", "kind", "arrays"])
def test_manifests_that_are_nested(small: Path, place: str) -> None:
    """Up to what Python can read, and so deep that it can read but not write it."""
    limit = sys.getrecursionlimit()
    for depth in (8, 100, *range(limit - 80, limit + 2)):
        text = json.dumps({**SMALL, place: "here"}).replace('"here"', "[" * depth + "]" * depth)
        (small / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="path: expected a JSON manifest"):
            vr.FlatIndex.load(small)


def test_newer_and_older_formats(small: Path) -> None:
    for form in (1, 2, 7, 6.0, "6", None):
        write_manifest(small, {**SMALL, "format": form})
        with pytest.raises(ValueError, match=f"path: expected format 6, got {form!r}"):
            vr.FlatIndex.load(small)
    write_manifest(small, {**SMALL, "kind": "ClusterFeed"})
    with pytest.raises(ValueError, match="path: expected a saved FlatIndex, got 'ClusterFeed'"):
        vr.FlatIndex.load(small)


@pytest.mark.parametrize("left_out", ["rows", "center", "block_bounds", "row_terms", "skipped"])
def test_arrays_that_are_not_named(small: Path, left_out: str) -> None:
    arrays = {name: of for name, of in SMALL["arrays"].items() if name != left_out}
    write_manifest(small, {**SMALL, "arrays": arrays})
    with pytest.raises(ValueError, match=f"path: expected .*{left_out}"):
        vr.FlatIndex.load(small)


def test_arrays_that_no_index_has(small: Path) -> None:
    arrays = {("cows" if name == "ids" else name): of for name, of in SMALL["arrays"].items()}
    write_manifest(small, {**SMALL, "arrays": arrays})
    with pytest.raises(ValueError, match="path: expected arrays of an index, got 'cows' in "):
        vr.FlatIndex.load(small)


@pytest.mark.parametrize("path", [3, None, b"folder", ["folder"], "a\0b"])
def test_what_is_no_path(path: Any) -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    feed = vr.ClusterFeed(1, half_life=1.0, capacity=1)
    groups = vr.UserGroups.fit(np.eye(3, dtype=np.float32), 2)
    calls: list[Callable[[Any], object]] = [
        index.save,
        vr.FlatIndex.load,
        vr.ReloadingIndex,
        feed.save,
        vr.ClusterFeed.load,
        groups.save,
        vr.UserGroups.load,
        vr.NeighborTable([1], [[2]], [[0.5]]).save,
        vr.NeighborTable.load,
        vr.Vocabulary(["a"]).save,
        vr.Vocabulary.load,
    ]
    kind, message = (ValueError, "no null character") if path == "a\0b" else (TypeError, "a str or")
    for call in calls:
        with pytest.raises(kind, match=f"^path: expected {message}.*, got "):
            call(path)


def test_paths_that_are_files(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    index = vr.FlatIndex(np.eye(2, dtype=np.float32))
    for path in (file, file / "inside"):
        with pytest.raises(OSError, match="file"):
            index.save(path)
        with pytest.raises(OSError, match="file"):
            vr.FlatIndex.load(path)
    assert file.read_text() == "mine"
    with pytest.raises(FileNotFoundError, match=r"/nothing'$"):
        vr.FlatIndex.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="path: expected a saved FlatIndex or an empty folder"):
        index.save(tmp_path)
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(TypeError):
        index.save(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="verify: expected"):
        vr.FlatIndex.load(tmp_path, verify="yes")  # type: ignore[arg-type]


@pytest.fixture
def mortal() -> Iterator[None]:
    """Root reads and writes everywhere by two of its rights, which this thread gives up."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root may write everywhere")
    before = rights.effective()
    rights.use(before & ~rights.OF_ACCESS)
    try:
        yield
    finally:
        rights.use(before)


@pytest.mark.usefixtures("mortal")
def test_folders_without_permission(tmp_path: Path) -> None:
    index = vr.FlatIndex(np.eye(2, dtype=np.float32))
    path = tmp_path / "index"
    index.save(path)
    before = {file: file.read_bytes() for file in path.iterdir()}
    path.chmod(0o500)
    with pytest.raises(PermissionError):
        index.save(path)
    with pytest.raises(PermissionError):
        index.save(path / "deeper" / "new")
    assert len(vr.FlatIndex.load(path)) == 2
    path.chmod(0)
    for call in (index.save, vr.FlatIndex.load, vr.ReloadingIndex):
        with pytest.raises(PermissionError):
            call(path)
    path.chmod(0o700)
    assert {file: file.read_bytes() for file in path.iterdir()} == before
    index.save(path)


@pytest.mark.usefixtures("mortal")
def test_files_without_permission(rng: Rng, saved: Path) -> None:
    for name in [*names_of(saved), "manifest"]:
        file = saved / "manifest.json" if name == "manifest" else file_of(saved, name)
        file.chmod(0)
        for mmap in (True, False):
            with pytest.raises(PermissionError, match=name):
                vr.FlatIndex.load(saved, mmap=mmap)
        file.chmod(0o600)
    saved.joinpath("manifest.json").chmod(0)
    before = sorted(saved.iterdir())
    with pytest.raises(PermissionError, match="manifest"):  # whose it is cannot be told
        make(rng, "plain", "ip").save(saved)
    assert sorted(saved.iterdir()) == before


def test_folders_that_are_made_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are there when the save has ended well, and none when it has not."""
    index = vr.FlatIndex(np.eye(2, dtype=np.float32))
    path = tmp_path / "new" / "newer" / "index"
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", lambda *given, **how: (path / "nothing").stat())
        with pytest.raises(FileNotFoundError):
            index.save(path)
    assert list(tmp_path.iterdir()) == []
    flushed = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    index.save(path)
    folders = [path, *path.parents[:3]]
    assert path.parents[2] == tmp_path
    assert {folder.stat().st_ino for folder in folders} <= set(flushed)
    assert len(vr.FlatIndex.load(path, verify=True)) == 2


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("of", [(os, "fsync"), (np, "save"), (Path, "open"), (Path, "replace")])
def test_a_save_that_fails(
    rng: Rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: tuple[Any, str], new: bool
) -> None:
    path = tmp_path / "index"
    old = make(rng, "plain", "l2")
    if not new:
        old.save(path)
    index = make(rng, "bias", "l2")
    real = getattr(*of)
    for allowed in range(100):
        calls = itertools.count()

        def failing(*given: Any, calls: Any = calls, allowed: int = allowed, **how: Any) -> Any:
            if next(calls) == allowed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*given, **how)

        before = sorted(path.iterdir()) if path.exists() else None
        with monkeypatch.context() as patch:
            patch.setattr(*of, failing)
            try:
                index.save(path)
                break
            except OSError as error:
                code = error.errno
        assert code == errno.ENOSPC
        if path.exists() and next(path.glob("bias-*"), None):
            break  # what failed came after the new index was in place
        assert (sorted(path.iterdir()) if path.exists() else None) == before
        if before:
            assert_same_index(vr.FlatIndex.load(path, verify=True), old, rng)
    else:
        pytest.fail("the save never came to an end")
    assert_same_index(vr.FlatIndex.load(path, verify=True), index, rng)


def test_a_file_that_may_not_grow(rng: Rng, tmp_path: Path) -> None:
    index = vr.FlatIndex(normal(rng, 100, 8))
    index.save(tmp_path)
    before = sorted(tmp_path.iterdir())
    large = vr.FlatIndex(normal(rng, 4000, 8))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            large.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.iterdir()) == before
    assert_same_index(vr.FlatIndex.load(tmp_path, verify=True), index, rng)


def test_too_many_open_files(rng: Rng, tmp_path: Path) -> None:
    """A save needs two descriptors, a load one; with fewer all stays as it was."""
    index, other = make(rng, "bias", "l2"), make(rng, "plain", "l2")
    index.save(tmp_path)
    before = sorted(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(tmp_path, os.O_RDONLY)
    os.close(lowest)
    for free, call in ((0, vr.FlatIndex.load), (0, other.save), (1, other.save)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                call(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        left = sorted(tmp_path.iterdir())
        assert left == before
        assert_same_index(vr.FlatIndex.load(tmp_path, verify=True), index, rng)


def test_a_full_disk(rng: Rng, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system needs the right to mount one")
    try:
        index = vr.FlatIndex(normal(rng, 1000, 64))  # 256 KB and 64 KB of codes
        index.save(tmp_path)
        large = vr.FlatIndex(normal(rng, 4000, 64))
        with pytest.raises(OSError, match="No space left on device"):
            large.save(tmp_path)
        assert_same_index(vr.FlatIndex.load(tmp_path, verify=True), index, rng)
        with pytest.raises(OSError, match="No space left on device"):
            large.save(tmp_path / "new" / "index")
        assert not (tmp_path / "new").exists()
        index.save(tmp_path)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def killed_saves(tmp_path: Path, moments: str, what: str) -> tuple[int, int]:
    """Say how many moments a save has, and at which the new one is in place."""
    killer = Path(__file__).parents[1] / "support" / "save_killer.py"
    done = subprocess.run(
        [sys.executable, str(killer), moments, what, str(tmp_path)],
        env={**os.environ, "VECRECALL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode == save_killer.REFUSED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    moments_in_all, first_new = map(int, done.stdout.split())
    return moments_in_all, first_new


@pytest.mark.parametrize("what", save_killer.SUBJECTS)
def test_a_save_that_is_killed_at_any_call(tmp_path: Path, what: str) -> None:
    calls, first_new = killed_saves(tmp_path, "calls", what)
    assert 50 < first_new < calls


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the ptrace of Linux")
@pytest.mark.parametrize("what", save_killer.SUBJECTS)
def test_a_save_that_is_killed_at_any_system_call(tmp_path: Path, what: str) -> None:
    stops, first_new = killed_saves(tmp_path, "system_calls", what)
    assert 100 < first_new < stops


def test_a_build_that_is_killed_at_any_call(tmp_path: Path) -> None:
    """The next one goes on with what is there."""
    calls, first_complete = killed_saves(tmp_path, "calls", "build")
    assert 50 < first_complete < calls


def test_a_load_while_files_are_replaced(
    rng: Rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(rng, "plain", "ip"), make(rng, "bias", "ip")
    old.save(tmp_path)
    read, turns = _npy.read, iter([None])

    def read_late(*given: Any) -> Any:
        for _ in turns:
            new.save(tmp_path)
        return read(*given)

    monkeypatch.setattr(_npy, "read", read_late)
    assert_same_index(vr.FlatIndex.load(tmp_path), new, rng)


def grown(path: Path, n: int) -> int:
    """Return what so many processes need in all for an index that they have at the same time."""
    worker = Path(__file__).parents[1] / "support" / "sharing_worker.py"
    command = [sys.executable, str(worker), str(path)]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            )
            for _ in range(n)
        ]
        pipes = [(w.stdin, w.stdout) for w in workers if w.stdin and w.stdout]
        assert [out.readline() for _, out in pipes] == [b"ready\n"] * n
        for go, _ in pipes:
            go.write(b"\n")
        return sum(int(out.readline()) for _, out in pipes)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system has no PSS")
def test_processes_share_a_mapped_index(rng: Rng, tmp_path: Path) -> None:
    ids = rng.permutation(250_000)
    vr.FlatIndex(normal(rng, ids.size, 128), ids).save(tmp_path)  # 160 MB of rows and codes
    one, four = grown(tmp_path, 1), grown(tmp_path, 4)
    assert one > 150 << 20
    assert four < 1.3 * one
