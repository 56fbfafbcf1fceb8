"""Files that appear whole: `.npy` arrays beside a JSON manifest."""

import json
import os
import stat
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
    try:
        with temporary.open("wb") as file:
            content(file)
        temporary.replace(path)
    except BaseException:  # a signal's, too
        temporary.unlink(missing_ok=True)
        raise


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a `.npy` file."""
    write(path, lambda file: np.save(file, array))


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a folder."""
    text = json.dumps(manifest, indent=1) + "\n"
    write(folder / MANIFEST, lambda file: file.write(text.encode()))


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; what is none is an error: a pipe would wait for a writer."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"path: expected a regular file, got something else: {path}")
    return os.fdopen(descriptor, "rb")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder: ASCII text, as it is written, without repeated names."""
    with open_regular(folder / MANIFEST) as file:
        text = file.read(LONGEST_MANIFEST + 1)
    if len(text) > LONGEST_MANIFEST:
        raise ValueError(
            f"path: expected a manifest of at most {LONGEST_MANIFEST} bytes, got more in {folder}"
        )
    try:
        manifest = json.loads(text.decode("ascii"), object_pairs_hook=_named)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"path: expected a JSON manifest, got other text in {folder}") from error
    if _levels(manifest) > DEEPEST_MANIFEST:  # Python's own limit may be met later on
        raise ValueError(f"path: expected a JSON manifest, got one nested too deep in {folder}")
    if not isinstance(manifest, dict):
        raise ValueError(f"path: expected a manifest with names, got {manifest!r} in {folder}")
    return manifest


def _named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: readers could take one or the other."""
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("expected names that differ")
    return named


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
