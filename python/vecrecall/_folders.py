"""Named arrays in a folder: `.npy` files beside a JSON manifest that says which of them count.

A save writes new files beside the old ones and then replaces the manifest by a rename: interrupted
at any moment, it leaves what was there before.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall._files import MANIFEST, read_manifest

FORMAT = 1
TURN = 12  # digits that tell one save's files from another's


def save(
    path: Path, kind: str, about: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write arrays and what is to be known about them; a folder of another kind is an error."""
    path.mkdir(parents=True, exist_ok=True)
    if (path / MANIFEST).exists():
        _manifest(path, kind)
    elif not all(_is_ours(file.name, arrays) for file in path.iterdir()):
        raise ValueError(f"path: expected a saved {kind} or an empty folder, got {path}")
    turn = uuid.uuid4().hex[:TURN]
    files = {name: f"{name}-{turn}.npy" for name in arrays}
    for name, array in arrays.items():
        with (path / files[name]).open("wb") as file:
            np.save(file, array, allow_pickle=False)
            _flush(file.fileno())
    manifest = {"kind": kind, "format": FORMAT, **about, "files": files}
    temporary = path / f"{MANIFEST}-{turn}.part"
    with temporary.open("w", encoding="utf-8") as text:
        text.write(json.dumps(manifest, indent=1) + "\n")
        text.flush()
        _flush(text.fileno())
    temporary.replace(path / MANIFEST)
    for file_of_old in path.iterdir():
        if _is_ours(file_of_old.name, arrays) and file_of_old.name not in files.values():
            file_of_old.unlink(missing_ok=True)


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read what `save` wrote: the manifest and the arrays."""
    manifest = _manifest(path, kind)
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_file_name(f) for f in files.values()):
        raise ValueError(f"path: expected a manifest with names of files, got {files!r} in {path}")
    arrays = {}
    for name, file in files.items():
        try:
            arrays[name] = np.load(path / file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"path: expected a whole file, got a broken {path / file}") from error
    return manifest, arrays


def _manifest(path: Path, kind: str) -> dict[str, Any]:
    manifest = read_manifest(path)
    found = manifest.get("kind")
    if found != kind:
        raise ValueError(f"path: expected a saved {kind}, got {found!r} in {path}")
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"path: expected format {FORMAT}, got {manifest.get('format')!r} in {path}"
        )
    return manifest


def _is_ours(file: str, names: Iterable[str]) -> bool:
    """Tell the files of a save, also of one that was interrupted, from those of others."""
    match = re.fullmatch(rf"(.+)-[0-9a-f]{{{TURN}}}\.npy|{re.escape(MANIFEST)}-.+\.part", file)
    return match is not None and (match[1] is None or match[1] in names)


def _is_file_name(name: object) -> bool:
    """Tell a plain name from a path that leads elsewhere."""
    return isinstance(name, str) and Path(name).name == name


def _flush(descriptor: int) -> None:
    """Have the data on the disk before the manifest that names it."""
    os.fsync(descriptor)
