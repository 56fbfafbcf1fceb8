"""Embedding: keys of all kinds, vectors by key, indexes, folders."""

from __future__ import annotations

import copy
import json
import pickle
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecrecall.train import (
    CapacityEmbedding,
    Embedding,
    OnnxTower,
    ResidualEmbedding,
    TitleEncoder,
    TwoTower,
)

RNG = np.random.default_rng(3)
MATRIX = RNG.standard_normal((6, 4)).astype(np.float32)
KEYS: dict[str, list[Any]] = {
    "str": ["a", "ä", "", "\ud800", "a\0b", "\U0001f600"],
    "bytes": [b"", b"a", b"\xff\0", b"b", b"c", b"d"],
    "int": [5, 0, 2**62, 7, 9, 1],
    "large int": [-(2**70), 2**70, -1, 0, 1, 2],
    "float": [0.1, -0.5, float("inf"), 1e300, 5e-324, 2.5],
    "bool": [True, False, "x", "y", "z", "w"],
    "uuid": [uuid.UUID(int=n) for n in range(6)],
    "tuple": [("user", 2, None), ("user", 2), (), ((1, "a"), b"c"), ("user", 2.5), (True, "x")],
    "mixed": ["a", 1, b"a", ("a",), uuid.UUID(int=1), 0.5],
}


def some(keys: list[Any] | None = None, **options: Any) -> Embedding:
    return Embedding(list("abcdef") if keys is None else keys, MATRIX, **options)


def assert_same(a: Embedding, b: Embedding) -> None:
    assert a.ids == b.ids
    assert [type(key) for key in a.ids] == [type(key) for key in b.ids]
    assert a.matrix.tobytes() == b.matrix.tobytes()
    assert (a.metric, a.about, a.dim) == (b.metric, b.about, b.dim)
    assert b.rows(a.ids).tolist() == list(range(len(a)))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("mmap", [False, True])
def test_a_folder_gives_the_same_back(kind: str, mmap: bool, tmp_path: Path) -> None:
    saved = some(KEYS[kind], metric="ip", about={"trainer": "x", "losses": [0.5, None]})
    saved.save(tmp_path / "e")
    assert_same(saved, Embedding.load(tmp_path / "e", mmap=mmap))
    names = {file.suffix for file in (tmp_path / "e").iterdir()}
    assert names == {".npy", ".json"}
    for file in (tmp_path / "e").glob("*.npy"):
        np.load(file, allow_pickle=False)
    json.loads((tmp_path / "e" / "manifest.json").read_text())


def test_a_mapped_matrix_is_not_read_into_memory(tmp_path: Path) -> None:
    some().save(tmp_path)
    owners = [Embedding.load(tmp_path, mmap=mmap).matrix for mmap in (False, True)]
    bases = []
    for array in owners:
        base: Any = array
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        bases.append(type(base).__name__)
    assert bases[0] == "ndarray"
    assert bases[1] != "ndarray"


def test_saving_again_replaces(tmp_path: Path) -> None:
    some().save(tmp_path)
    Embedding(["z"], [[1, 2]]).save(tmp_path)
    assert Embedding.load(tmp_path).ids == ["z"]
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_an_empty_embedding(tmp_path: Path) -> None:
    empty = Embedding([], np.empty((0, 3)))
    empty.save(tmp_path)
    assert_same(empty, Embedding.load(tmp_path))
    assert empty.aligned(["a"]).tolist() == [[0, 0, 0]]
    assert (len(empty), list(empty), "a" in empty) == (0, [], False)


def test_keys_that_cannot_be_saved(tmp_path: Path) -> None:
    keys = ["a", "b", "c", frozenset([1]), "d", "e"]
    with pytest.raises(TypeError, match=r"^ids: expected str, .* got frozenset in row 3$"):
        some(keys).save(tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_what_is_no_folder_of_an_embedding(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Embedding.load(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises((OSError, ValueError)):
        Embedding.load(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=r"^path: expected a saved Embedding or an empty folder"):
        some().save(tmp_path / "mine")
    some().to_index().save(tmp_path / "index")
    with pytest.raises(ValueError, match=r"^path: expected a saved Embedding, got 'FlatIndex'"):
        Embedding.load(tmp_path / "index")


@pytest.mark.parametrize("mmap", [False, True])
def test_damaged_files(mmap: bool, tmp_path: Path) -> None:
    """A file that is cut or gone is an error; a changed bit is one unless the file is mapped."""
    some().save(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        for damaged in (whole[:-2], whole + b"x", b""):  # the manifest ends with a line feed
            file.write_bytes(damaged)
            with pytest.raises((ValueError, OSError)):
                Embedding.load(tmp_path, mmap=mmap)
        file.unlink()
        with pytest.raises((ValueError, OSError)):
            Embedding.load(tmp_path, mmap=mmap)
        file.write_bytes(whole)
    assert_same(some(), Embedding.load(tmp_path, mmap=mmap))


def test_a_changed_bit(tmp_path: Path) -> None:
    some().save(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        whole = bytearray(file.read_bytes())
        for place in range(len(whole) - 40, len(whole), 7):
            changed = bytearray(whole)
            changed[place] ^= 4
            file.write_bytes(changed)
            with pytest.raises((ValueError, OSError)):
                Embedding.load(tmp_path)
        file.write_bytes(whole)


def content(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a folder holds, as another writer might leave it."""
    texts = [b'"a"', b'"b"']
    arrays = {
        "matrix": MATRIX[:2],
        "key_offsets": np.cumsum([0, *map(len, texts)]),
        "key_texts": np.frombuffer(b"".join(texts), np.uint8),
    }
    about: dict[str, Any] = {"metric": "ip", "about": {}}
    about.update({name: value for name, value in changes.items() if name in about})
    arrays.update({name: value for name, value in changes.items() if name in arrays})
    removed = changes.get("without")
    return (
        {name: value for name, value in about.items() if name != removed},
        {name: value for name, value in arrays.items() if name != removed},
    )


def texts(*keys: bytes) -> dict[str, Any]:
    return {
        "key_texts": np.frombuffer(b"".join(keys), np.uint8),
        "key_offsets": np.cumsum([0, *map(len, keys)]),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"without": "metric"},
        {"without": "about"},
        {"without": "matrix"},
        {"without": "key_texts"},
        {"without": "key_offsets"},
        {"metric": "L2"},
        {"metric": ["ip"]},
        {"about": [1]},
        {"matrix": MATRIX[:3]},
        {"matrix": MATRIX[0]},
        {"matrix": np.full((2, 4), np.nan, np.float32)},
        {"key_offsets": np.array([0, 3])},
        {"key_offsets": np.array([0, 3, 99, 4])},
        {"key_offsets": np.array([0, 4, 6])},
        {"key_offsets": np.zeros((2, 2), np.int64)},
        texts(b'"a"', b'"a"'),
        texts(b'"a"', b"null"),
        texts(b'"a"', b"NaN"),
        texts(b'"a"', b"{}"),
        texts(b'"a"', b'{"bytes": 5}'),
        texts(b'"a"', b'{"uuid": 5}'),
        texts(b'"a"', b'{"uuid": "x"}'),
        texts(b'"a"', b'{"other": "x"}'),
        texts(b'"a"', b'{"bytes": "a", "uuid": "b"}'),
        texts(b'"a"', b"\xff\xff"),
        texts(b'"a"', b"[" * 100_000),
    ],
)
def test_folders_with_something_else_inside(changes: dict[str, Any], tmp_path: Path) -> None:
    from vecrecall.storage import _array_folder

    about, arrays = content()
    _array_folder.save(tmp_path, "Embedding", about, arrays)
    assert Embedding.load(tmp_path).ids == ["a", "b"]
    about, arrays = content(**changes)
    _array_folder.save(tmp_path, "Embedding", about, arrays)
    with pytest.raises(ValueError, match=r"^path: expected "):
        Embedding.load(tmp_path)


def test_columns_as_ids() -> None:
    assert Embedding(np.arange(3, 9), MATRIX).ids == list(range(3, 9))
    assert type(Embedding(np.arange(6), MATRIX).ids[0]) is int
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    assert Embedding(pandas.Series(list("abcdef")), MATRIX).ids == list("abcdef")


@pytest.mark.parametrize(
    ("ids", "matrix", "error", "match"),
    [
        (["a", "a"], np.eye(2), ValueError, "^ids: duplicate key 'a' in rows 0 and 1"),
        ([1, True], np.eye(2), ValueError, "^ids: duplicate key True in rows 0 and 1"),
        (["a", None], np.eye(2), ValueError, "^ids: expected a key in each row, got None in row 1"),
        (["a", []], np.eye(2), TypeError, "^ids: expected hashable keys, got list in row 1"),
        ("ab", np.eye(2), TypeError, "^ids: expected a column, got str"),
        (["a"], np.eye(2), ValueError, "^matrix: expected 1 row, got 2"),
        (["a", "b"], np.ones(2), ValueError, "^matrix: expected real numbers of shape"),
        (["a"], [["x"]], TypeError, "^matrix: expected real numbers"),
        (["a", "b"], [[1], [np.nan]], ValueError, "^matrix: expected finite .* in row 1"),
        (["a", "b"], [[1], [np.inf]], ValueError, "^matrix: expected finite .* in row 1"),
    ],
)
def test_wrong_arguments(ids: Any, matrix: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Embedding(ids, matrix)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match=r"^metric: "):
        some(metric="dot")
    with pytest.raises(TypeError):
        some(about={"a": object()})


def test_vectors_by_key() -> None:
    e = some()
    assert e.rows(["c", "a", "c"]).tolist() == [2, 0, 2]
    assert e.rows(["c", "?"], missing="ignore").tolist() == [2, -1]
    np.testing.assert_array_equal(e.vectors(["c", "a"]), MATRIX[[2, 0]])
    np.testing.assert_array_equal(e.aligned(["?", "b", "?"]), [np.zeros(4), MATRIX[1], np.zeros(4)])
    assert e.vectors([]).shape == e.aligned([]).shape == (0, 4)
    for method in (e.rows, e.vectors):
        with pytest.raises(KeyError, match=r"keys: no vector for '\?', at place 1"):
            method(["a", "?"])
    with pytest.raises(ValueError, match=r"^missing: "):
        e.rows(["a"], missing="skip")  # type: ignore[arg-type]


def test_aligned_does_not_change_the_embedding() -> None:
    e = some()
    e.aligned(["a", "?"])[:] = 9
    np.testing.assert_array_equal(e.matrix, MATRIX)


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_nearest(metric: Any) -> None:
    wide = MATRIX.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    scores = -((wide[2] - wide) ** 2).sum(axis=1) if metric == "l2" else wide @ wide[2]
    scores[2] = -np.inf
    best = np.argsort(-scores)[:3]
    found = some(metric=metric).nearest("c", 3)
    assert [key for key, _ in found] == ["abcdef"[row] for row in best]
    # Scores of 4 dimensions near 1, rounded to float32 a few times.
    np.testing.assert_allclose([score for _, score in found], scores[best], rtol=1e-5)
    assert len(some(metric=metric).nearest("c", 99)) == 5


def test_nearest_without_a_direction() -> None:
    e = Embedding(["zero", "a", "b"], [[0, 0], [1, 0], [1, 1]])
    assert e.nearest("zero") == []
    assert [key for key, _ in e.nearest("a")] == ["b"]
    with pytest.raises(KeyError):
        e.nearest("?")


@pytest.mark.parametrize(
    ("keys", "ids"),
    [
        ([30, 10, 20, 5, 0, 2**62], [30, 10, 20, 5, 0, 2**62]),
        (list("abcdef"), [0, 1, 2, 3, 4, 5]),
        ([-1, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
        ([True, 5, 2, 3, 4, 6], [0, 1, 2, 3, 4, 5]),
        ([2**63, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_indexes(keys: list[Any], ids: list[int]) -> None:
    e = some(keys, metric="l2")
    index = e.to_index()
    assert (index.metric, index.ids.tolist()) == ("l2", ids)
    assert index.search(MATRIX, 1).ids.ravel().tolist() == ids


def test_options_of_indexes() -> None:
    e = Embedding(["a", "b"], [[0, 0], [1, 2]])
    with pytest.raises(ValueError, match="row 0 is all zeros"):
        e.to_index()
    assert len(e.to_index(invalid="skip")) == 1
    assert e.to_index(metric="ip", ids=[7, 8]).ids.tolist() == [7, 8]


def test_copies_and_pickles(tmp_path: Path) -> None:
    e = some(KEYS["mixed"], about={"trainer": "x"})
    for again in (copy.copy(e), copy.deepcopy(e), pickle.loads(pickle.dumps(e))):
        assert_same(e, again)
    e.save(tmp_path)
    mapped = Embedding.load(tmp_path, mmap=True)
    assert_same(e, pickle.loads(pickle.dumps(mapped)))


def test_about_is_a_copy_in_json() -> None:
    about = {"settings": {"dims": (1, 2)}}
    e = some(about=about)
    about["settings"]["dims"] = (9,)
    assert e.about == {"settings": {"dims": [1, 2]}}
    assert repr(e) == "<Embedding of 6 x 4, cosine, by Embedding>"


@pytest.mark.parametrize("about", [5, "x", {"x": np.int64(3)}, {("a",): 1}])
def test_about_must_be_json(about: Any) -> None:
    with pytest.raises(TypeError, match=r"^about: expected "):
        Embedding(["a"], [[1]], about=about)


def test_a_wrong_mmap(tmp_path: Path) -> None:
    Embedding(["a"], [[1.0]]).save(tmp_path)
    with pytest.raises(TypeError, match=r"^mmap: expected True or False, got 5"):
        Embedding.load(tmp_path, mmap=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind", [Embedding, TwoTower, TitleEncoder, OnnxTower, CapacityEmbedding, ResidualEmbedding]
)
def test_loading_what_is_something_else(kind: Any, tmp_path: Path) -> None:
    for package in {TwoTower: ["torch"], OnnxTower: ["onnxruntime"]}.get(kind, []):
        pytest.importorskip(package)
    expected = rf"^path: expected an? (saved|exported) {kind.__name__}, got "
    with pytest.raises(ValueError, match=expected + "a folder without"):  # an empty one
        kind.load(tmp_path)
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=expected + "a folder without"):
        kind.load(tmp_path)
    with pytest.raises(ValueError, match=expected + "a file: .*note.txt"):
        kind.load(tmp_path / "note.txt")
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "nothing")
