"""Saved files with anything in them, and what may follow from that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from fuzzing import pick

import vecrecall as vr
from vecrecall.storage import _array_folder, _npy

Rng = np.random.Generator
Array = npt.NDArray[Any]


def write_manifest(folder: Path, manifest: Any) -> None:
    """Write a manifest whose checksum is right, so that what else is wrong in it counts."""
    if isinstance(manifest, dict):
        manifest = {k: v for k, v in manifest.items() if k != "checksum"}
        manifest["checksum"] = _array_folder._sum(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def opened(folder: Path, kind: Any = vr.FlatIndex, **options: bool) -> Any:
    """Open an index, or something else; if not, see that the message says where the damage is."""
    try:
        return kind.load(folder, **options)
    except (OSError, ValueError) as error:
        message = str(error)
    assert "path: expected" in message or str(folder) in message
    return None


def use_everything(index: vr.FlatIndex, rng: Rng, saved: Path) -> None:
    """Do what may read wrong places, or refuse."""
    ids = index.ids
    queries = rng.standard_normal((40, index.dim), dtype=np.float32)
    few = queries[:3]
    steps: list[Callable[[], object]] = [
        lambda: index.search(few, 20_000),
        lambda: index.search(few, 3, exclude=[ids[:3]] * 3),
        lambda: index.search(queries, 100),
        lambda: index.search(queries, 100, exclude=[ids[:3]] * 40, min_score=0.0),
        lambda: index.search(queries, 5, allow=index.mask(ids[:9])),
        lambda: index.search(queries, 5, allow=~index.mask(ids[:9])),
        lambda: index.score(queries, [ids[:50]] * 40),
        lambda: index.vectors(ids[-5:]),
        lambda: index.update(rng.standard_normal((60, index.dim)), np.arange(60) * 7),
        lambda: index.remove(ids[: len(ids) // 20], missing="ignore"),
        lambda: index.search(queries, 5),
        lambda: index.save(saved),
        lambda: index.compact(),
        lambda: index.search(queries, 5),
        lambda: opened(saved, type(index)),
    ]
    if isinstance(index, vr.IVFIndex):
        lists: vr.IVFIndex = index
        steps = [
            lambda: lists.search(few, 5, probes=1),
            lambda: lists.search(queries, 5, probes=2, allow=ids[:30]),
            lambda: lists.search(queries, 5, probes="exact"),
            lambda: lists.tuned_for(few, 0.9),
            lambda: lists.stats,
            *steps,
            lambda: lists.compact(retrain=True),
            lambda: lists.search(queries, 5),
        ]
    take(steps)


def take(steps: list[Callable[[], object]]) -> None:
    for step in steps:
        try:
            step()
        except (KeyError, ValueError):  # of ids that repeat, of rows that are not finite
            continue


def random_values(rng: Rng, like: Array, n: int) -> Array:
    """Values of an array's type, most of which are where something ends."""
    if like.dtype.kind == "f":
        info = np.finfo(like.dtype)
        ends = [0, -0.0, 1, -1, np.nan, np.inf, -np.inf, info.max, info.min, info.tiny, 1e-300]
        with np.errstate(under="ignore"):
            return rng.choice(np.array(ends).astype(like.dtype), n)
    limits = np.iinfo(like.dtype)
    ends = [limits.min, limits.max, limits.max // 2, 0, 1, 2, 127, 128]
    own = like.ravel()[:5].tolist()
    return np.array([pick(rng, [*ends, *own]) for _ in range(n)], like.dtype)


def resized(rng: Rng, array: Array) -> Array:
    """The same or other values in another shape or type."""
    n = int(pick(rng, [0, 1, 2, array.size // 2, array.size + 1, 2 * array.size, 64]))
    match int(rng.integers(5)):
        case 0:
            return np.resize(array, (n, *array.shape[1:]))
        case 1:
            return np.resize(array, (*array.shape[:-1], n if array.ndim == 1 else n % 40))
        case 2:
            return array.reshape(pick(rng, [(-1,), (-1, 1), (1, -1)]))
        case 3:
            with np.errstate(all="ignore"):
                return array.astype(pick(rng, _npy.DTYPES))
        case _:
            return np.zeros(
                pick(rng, [(), (0,), (0, 0), (7, 0), (0, 2**40), (2049, 0)]), array.dtype
            )


def use_index_and_keys(index: vr.FlatIndex, rng: Rng, saved: Path) -> None:
    """Do the same, with keys for ids."""
    found = index.search(rng.standard_normal((3, index.dim)), 20)
    vocabulary = index.vocabulary
    if vocabulary is not None:
        take([lambda: vocabulary.decode(found), lambda: index.save(saved)])
        use_vocabulary(vocabulary, rng, saved.with_name("keys"))
    use_everything(index, rng, saved)


def use_table(table: vr.NeighborTable, rng: Rng, saved: Path) -> None:
    """Look up every list, and what is in none."""
    history: list[Any] = [table.items[:50], table.ids.values[:50], [], [7, 2**62]]
    batch = vr.RequestBatch(history=history, seen=[table.ids.values[:9]] * 4)
    take(
        [
            lambda: vr.channels.ItemToItem(table).recall(batch, 10),
            lambda: table.reweighted({"heat": rng.random(len(table))}),
            lambda: list(zip(table.ids, table.scores, strict=True)),
            lambda: table.save(saved),
            lambda: opened(saved, vr.NeighborTable, verify=True),
        ]
    )


def use_vocabulary(vocabulary: vr.Vocabulary, rng: Rng, saved: Path) -> None:
    """Look up every key, and some that are in none."""
    n = len(vocabulary)
    kinds: list[list[Any]] = [["", "a", "3"], [b"", b"xx3"], [3, -1], [UUID(int=3)]]
    for own in kinds:
        if vocabulary._state.kind in (None, type(own[0]).__name__):
            take(
                [
                    lambda own=own: vocabulary.ids(own, missing="ignore"),  # type: ignore[misc]
                    lambda own=own: vocabulary.add([own[0]] * 3),  # type: ignore[misc]
                ]
            )
    take(
        [
            lambda: vocabulary.keys(np.arange(n)),
            lambda: vocabulary.keys(rng.integers(-1, max(n, 1), 50)),
            lambda: vocabulary.ids(list(vocabulary), missing="ignore"),
            lambda: vocabulary.add(list(vocabulary)),
            lambda: vocabulary.save(saved),
            lambda: opened(saved, vr.Vocabulary),
            lambda: opened(saved, vr.Vocabulary, verify=True),
        ]
    )


def assert_changed_bits_are_found(kind: Any, folder: Path, rng: Rng) -> None:
    """Change single bits of each file; a verified load of the class must refuse every one."""
    for file in folder.iterdir():
        content = bytearray(file.read_bytes())
        for place in {0, len(content) - 1, *rng.integers(len(content), size=8).tolist()}:
            bit = 1 << int(rng.integers(8))
            content[place] ^= bit
            file.write_bytes(content)
            with pytest.raises(ValueError, match="path: expected"):
                kind.load(folder, verify=True)
            content[place] ^= bit
        file.write_bytes(content)
    kind.load(folder, verify=True)
