"""Files of an index with anything in them, and what may follow from that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def opened(folder: Path, **options: bool) -> vr.FlatIndex | None:
    """Open an index, or see that the message says where the damage is."""
    try:
        return vr.FlatIndex.load(folder, **options)
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
    for step in steps:
        try:
            step()
        except (KeyError, ValueError):  # of ids that repeat, of rows that are not finite
            continue
