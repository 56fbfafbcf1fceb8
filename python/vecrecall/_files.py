"""Files that appear whole: `.npy` arrays beside a JSON manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

MANIFEST = "manifest.json"
LONGEST_MANIFEST = 1 << 20
DEEPEST_MANIFEST = 8


def write(path: Path, content: Callable[[BinaryIO], object]) -> None:
    """Make a file appear whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        content(file)
    temporary.replace(path)


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a `.npy` file."""
    write(path, lambda file: np.save(file, array))


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a folder."""
    text = json.dumps(manifest, indent=1) + "\n"
    write(folder / MANIFEST, lambda file: file.write(text.encode()))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = json.loads(file.read(LONGEST_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"path: expected a JSON manifest, got other text in {folder}") from error
    if _levels(manifest) > DEEPEST_MANIFEST:  # Python's own limit may be met later on
        raise ValueError(f"path: expected a JSON manifest, got one nested too deep in {folder}")
    if not isinstance(manifest, dict):
        raise ValueError(f"path: expected a manifest with names, got {manifest!r} in {folder}")
    return manifest


def _levels(value: object) -> int:
    """Count how deep lists and dicts lie in each other."""
    levels, inside = 0, [value]
    while inside:
        levels += 1
        inside = [
            inner
            for outer in inside
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return levels
