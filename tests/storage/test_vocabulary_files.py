"""Saved vocabularies, by themselves and with an index: mapped, checked, replaced as one."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hostile_files import assert_changed_bits_are_found, write_manifest

import vecrecall as vr
from vecrecall.storage import _npy

KEYS: dict[str, list[Any]] = {
    "str": ["tea", "", "Grüße", "茶" * 50, "\ud800", "x\0"],
    "bytes": [b"", b"\0", b"\xff" * 9],
    "int": [-(2**63), 0, 2**63 - 1],
    "UUID": [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1)],
    "no": [],
}


def file_of(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}-*.npy"))


def arrays_of(folder: Path) -> dict[str, bytes]:
    return {file.name.partition("-")[0]: file.read_bytes() for file in folder.glob("*.npy")}


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("kind", KEYS)
def test_round_trips(tmp_path: Path, kind: str, mmap: bool) -> None:
    keys = KEYS[kind]
    vr.Vocabulary(keys).save(tmp_path)
    before = arrays_of(tmp_path)
    loaded = vr.Vocabulary.load(str(tmp_path), mmap=mmap, verify=mmap)
    assert list(loaded) == keys
    assert loaded.ids(keys[::-1]).tolist() == list(range(len(keys)))[::-1]
    loaded.save(tmp_path)  # over the files that it may have mapped
    assert arrays_of(tmp_path) == before, "the same bits"
    more = [uuid.UUID(int=77)] if kind == "UUID" else [type(keys[0])(77) if keys else "new"]
    assert loaded.add([*more, *keys]).tolist() == [len(keys), *range(len(keys))]
    assert list(loaded) == keys + more
    assert list(vr.Vocabulary.load(tmp_path)) == keys, "what is added is in memory alone"
    loaded.save(tmp_path)
    assert list(vr.Vocabulary.load(tmp_path, verify=True)) == keys + more


def test_one_that_grew_is_saved_as_one_that_was_made_at_once(tmp_path: Path) -> None:
    keys = [f"item {i}" for i in range(3000)]
    grown = vr.Vocabulary()
    for start in range(0, 3000, 70):
        grown.add(keys[max(0, start - 50) : start + 70])
    grown.save(tmp_path / "grown")
    vr.Vocabulary(keys).save(tmp_path / "whole")
    assert arrays_of(tmp_path / "grown") == arrays_of(tmp_path / "whole")


def test_what_is_mapped_is_no_copy(tmp_path: Path) -> None:
    vr.Vocabulary([f"item {i}" for i in range(5000)]).save(tmp_path)
    loaded = vr.Vocabulary.load(tmp_path)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("the system does not list what is mapped")
    mapped = [line for line in maps.read_text().splitlines() if str(tmp_path) in line]
    assert len(mapped) == 4
    assert all(" r--" in line for line in mapped)
    assert loaded.ids(["item 4999"]).tolist() == [4999]
    assert not any(array.flags.owndata for array in loaded._state.tables[0])


def test_every_changed_bit_is_found(tmp_path: Path, rng: np.random.Generator) -> None:
    vr.Vocabulary([f"item {i}" for i in range(40)]).save(tmp_path)
    assert_changed_bits_are_found(vr.Vocabulary, tmp_path, rng)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("order", np.array([0, 1, 3]), "order: expected numbers below 3"),
        ("order", np.array([0, 1]), "offsets: expected 3 and as many hashes as in order, 2"),
        ("offsets", np.array([0, 2, 1, 6]), "offsets: expected those of str keys, got others"),
        ("offsets", np.array([0, 1, 2, 7]), "offsets: expected 0 first and 6 last, got 0 and 7"),
        ("offsets", np.array([-1, 1, 2, 6]), "offsets: expected 0 first and 6 last, got -1 and 6"),
        ("hashes", np.zeros(3, np.int64), "hashes: expected a row of uint64, got int64"),
        ("text", np.zeros((7, 2), np.uint8), r"text: expected a row of uint8, got .* \(7, 2\)"),
    ],
)
def test_arrays_that_cannot_be(
    tmp_path: Path, name: str, array: npt.NDArray[Any], message: str
) -> None:
    vr.Vocabulary(["a", "bc", "def"]).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    file = file_of(tmp_path, name)
    file.unlink()
    manifest["arrays"][name] = _npy.write(file, array)._asdict()
    write_manifest(tmp_path, manifest)
    with pytest.raises(ValueError, match=f"path: expected a whole vocabulary in .*, got {message}"):
        vr.Vocabulary.load(tmp_path)


def test_keys_that_repeat_are_found_by_verify(tmp_path: Path) -> None:
    """Though every checksum is right."""
    vr.Vocabulary(["aa", "bb"]).save(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    file = file_of(tmp_path, "text")
    text = np.load(file)
    text[2:4] = text[:2]
    file.unlink()
    manifest["arrays"]["text"] = _npy.write(file, text)._asdict()
    write_manifest(tmp_path, manifest)
    assert vr.Vocabulary.load(tmp_path).keys([0, 1]) == ["aa", "aa"]
    with pytest.raises(
        ValueError, match="hashes: expected to find every key by them, got none for id"
    ):
        vr.Vocabulary.load(tmp_path, verify=True)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    vr.Vocabulary(["aa", "bb"]).save(tmp_path)
    file = file_of(tmp_path, "text")
    text = np.load(file)
    text[2] = 255
    np.save(file, text)
    loaded = vr.Vocabulary.load(tmp_path)
    assert loaded.keys([0]) == ["aa"]
    with pytest.raises(ValueError, match="utf-8"):
        loaded.keys([1])


def index_of(n: int = 3) -> vr.FlatIndex:
    return vr.FlatIndex(np.eye(n, dtype=np.float32))


def test_with_an_index(tmp_path: Path) -> None:
    index, vocabulary = index_of(), vr.Vocabulary(["a", "b", "c"])
    assert index.vocabulary is None
    index.save(tmp_path)
    assert vr.FlatIndex.load(tmp_path).vocabulary is None
    with pytest.raises(ValueError, match="path: expected a saved Vocabulary or something saved wi"):
        vr.Vocabulary.load(tmp_path)
    index.save(tmp_path, vocabulary=vocabulary)
    assert index.vocabulary is vocabulary
    for mmap in (True, False):
        loaded = vr.FlatIndex.load(tmp_path, mmap=mmap, verify=mmap)
        assert loaded.vocabulary is not None
        found = loaded.search([[0, 2, 1]], 2)
        assert loaded.vocabulary.decode(found) == [[("b", 2.0), ("c", 1.0)]]
        assert list(vr.Vocabulary.load(tmp_path, mmap=mmap, verify=mmap)) == ["a", "b", "c"]
    loaded.add(np.ones((1, 3)), loaded.vocabulary.add(["d"]))
    loaded.save(tmp_path)  # keeps it
    again = vr.FlatIndex.load(tmp_path, verify=True)
    assert again.vocabulary is not None
    assert again.vocabulary.decode(again.search([[1, 1, 1]], 1)) == [[("d", 3.0)]]
    files = len(list(tmp_path.iterdir()))
    again.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == files, "what was replaced is swept away"
    index_of().save(tmp_path)
    assert vr.FlatIndex.load(tmp_path).vocabulary is None
    assert not list(tmp_path.glob("vocabulary_*"))


def test_an_index_whose_ids_have_no_keys(tmp_path: Path) -> None:
    index = index_of()
    index.add(np.ones((1, 3)), [7])
    with pytest.raises(
        ValueError, match=r"^vocabulary: expected a key for each id, got none for 7"
    ):
        index.save(tmp_path / "index", vocabulary=vr.Vocabulary(["a", "b", "c"]))
    with pytest.raises(TypeError, match=r"^vocabulary: expected a Vocabulary, got list"):
        index.save(tmp_path / "index", vocabulary=["a"])  # type: ignore[arg-type]
    assert index.vocabulary is None
    assert not (tmp_path / "index").exists()


def test_a_reloading_index_has_the_keys_of_its_version(tmp_path: Path) -> None:
    vocabulary = vr.Vocabulary(["a", "b", "c"])
    index_of().save(tmp_path, vocabulary=vocabulary)
    served = vr.ReloadingIndex(tmp_path)
    assert served.vocabulary is not None
    assert list(served.vocabulary) == ["a", "b", "c"]
    vocabulary.add(["d"])
    index_of(3).save(tmp_path, vocabulary=vocabulary)
    assert served.refresh()
    assert list(served.vocabulary) == ["a", "b", "c", "d"]
    index_of().save(tmp_path)
    assert served.refresh()
    assert served.vocabulary is None


def test_parts_that_no_index_has(tmp_path: Path) -> None:
    index_of().save(tmp_path, vocabulary=vr.Vocabulary(["a", "b", "c"]))
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    own = manifest["parts"]["vocabulary"]
    for parts, message in (
        ({"other": own}, "path: expected parts of an index, got 'other' in"),
        ([own], "path: expected parts with names, got"),
        ({"vocabulary": 5}, "path: expected parts with names, got"),
        ({"vocabulary": {}}, "path: expected a manifest with arrays, got None"),
        ({"vocabulary": {**own, "keys": "int"}}, "path: expected a whole vocabulary in .*offsets"),
        ({"vocabulary": {**own, "keys": "float"}}, "got keys: expected one of .*, got 'float'"),
        ({"vocabulary": {**own, "arrays": {}}}, "got arrays: expected"),
    ):
        write_manifest(tmp_path, {**manifest, "parts": parts})
        with pytest.raises(ValueError, match=message):
            vr.FlatIndex.load(tmp_path)
    del manifest["parts"]
    write_manifest(tmp_path, manifest)
    assert vr.FlatIndex.load(tmp_path).vocabulary is None


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="path: expected a saved Vocabulary or an empty folder"):
        vr.Vocabulary(["a"]).save(tmp_path)
    index_of().save(tmp_path / "index")
    with pytest.raises(ValueError, match="path: expected a saved Vocabulary, got 'FlatIndex'"):
        vr.Vocabulary(["a"]).save(tmp_path / "index")
    vr.Vocabulary(["a"]).save(tmp_path / "keys")
    with pytest.raises(ValueError, match="path: expected a saved FlatIndex, got 'Vocabulary'"):
        vr.FlatIndex.load(tmp_path / "keys")
