"""Folders that were saved, told from files and folders of something else."""

from __future__ import annotations

from pathlib import Path

from vecrecall.storage import _array_folder
from vecrecall.storage._atomic import MANIFEST


def load_folder(
    path: Path, kind: str, *, mmap: bool = False, name: str = "path"
) -> _array_folder.Content:
    """Read a saved folder, with its checksums unless it is mapped.

    Parameters
    ----------
    path : Path
    kind : str
        What was saved there.
    mmap : bool
    name : str
        Of the caller's argument, for messages.

    Raises
    ------
    ValueError
        If the path is of something else, or a file is damaged.
    FileNotFoundError
        If it does not exist.
    """
    check_saved(path, MANIFEST, f"a saved {kind}", name)
    try:
        return _array_folder.load(path, kind, mmap=mmap, verify=not mmap)
    except ValueError as error:
        if name == "path":
            raise
        raise ValueError(str(error).replace("path:", f"{name}:", 1)) from error


def check_saved(path: Path, file: str, expected: str, name: str = "path") -> None:
    """Refuse a path that exists without the file that a save writes last."""
    if not path.exists() or (path / file).exists():
        return
    got = f"a folder without {file}" if path.is_dir() else "a file"
    raise ValueError(f"{name}: expected {expected}, got {got}: {path}")


def check_folder(path: Path, name: str) -> None:
    """Refuse a path that exists and is no folder."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{name}: expected a folder, got a file {path}")
