"""Saved files with anything in them, and what may follow from that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

import vecrecall as vr
from vecrecall.storage import _array_folder

Rng = np.random.Generator


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
        lambda: opened(saved),
    ]
    take(steps)


def take(steps: list[Callable[[], object]]) -> None:
    for step in steps:
        try:
            step()
        except (KeyError, ValueError):  # of ids that repeat, of rows that are not finite
            continue


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
