"""Named arrays in a folder: `.npy` files and a JSON manifest that says which of them count.

A save writes new files next to the old ones and then replaces the manifest by a rename: interrupted
at any moment, it leaves what was there before.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vecrecall.storage import _npy
from vecrecall.storage._atomic import MANIFEST, named_errors, read_manifest
from vecrecall.storage._npy import Stored

if sys.platform != "win32":
    import fcntl

FORMAT = 3
_ARRAY = re.compile(r"[a-z_]+-[0-9a-f]{12}\.npy")
_OURS = re.compile(rf"{_ARRAY.pattern}|{re.escape(MANIFEST)}-[0-9a-f]{{12}}\.part")

Manifest = dict[str, Any]


def save(
    path: Path, kind: str, about: Mapping[str, object], arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write arrays and what is to be known about them; a folder of another kind is an error."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with named_errors(path), _alone(path):
            _check_ours(path, kind)
            try:
                _commit(path, {"kind": kind, "format": FORMAT, **about}, arrays)
            finally:
                _sweep(path)
        for folder in made:
            _flush_folder(folder.parent)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # which goes only where nothing is in it
        raise


def load(
    path: Path, kind: str, *, mmap: bool = False, verify: bool = False
) -> tuple[Manifest, dict[str, npt.NDArray[Any]]]:
    """Read what `save` wrote: the manifest and the arrays, or maps of them."""
    while True:
        manifest = _manifest(path, kind)
        try:
            return manifest, {
                name: _npy.read(path, of, mmap, verify)
                for name, of in _named(path, manifest).items()
            }
        except FileNotFoundError:
            if _manifest(path, kind) == manifest:
                raise  # else another save has replaced the files


def _commit(path: Path, manifest: Manifest, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    turn = uuid.uuid4().hex[:12]  # tells one save's files from another's
    stored = {n: _npy.write(path / f"{n}-{turn}.npy", a) for n, a in arrays.items()}
    manifest = {
        **manifest,
        "library": version("vecrecall"),
        "arrays": {name: of._asdict() for name, of in stored.items()},
    }
    manifest["checksum"] = _sum(manifest)
    temporary = path / f"{MANIFEST}-{turn}.part"
    with named_errors(temporary), temporary.open("x", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path / MANIFEST)
    _flush_folder(path)


def _sweep(path: Path) -> None:
    """Remove the files of other saves than the one that counts, also of interrupted ones."""
    kept = set()
    if (path / MANIFEST).exists():
        kept = {of.file for of in _named(path, read_manifest(path)).values()}
    for file in path.iterdir():
        if _OURS.fullmatch(file.name) and file.name not in kept:
            file.unlink(missing_ok=True)


def _check_ours(path: Path, kind: str) -> None:
    """Refuse to write among the files of others."""
    if (path / MANIFEST).exists():
        _named(path, _manifest(path, kind))
    elif not all(_OURS.fullmatch(file.name) for file in path.iterdir()):
        raise ValueError(f"path: expected a saved {kind} or an empty folder, got {path}")


def _manifest(path: Path, kind: str) -> Manifest:
    manifest = read_manifest(path)
    found, form = manifest.get("kind"), manifest.get("format")
    if found != kind:
        raise ValueError(f"path: expected a saved {kind}, got {found!r} in {path}")
    if type(form) is not int or form != FORMAT:
        raise ValueError(f"path: expected format {FORMAT}, got {form!r} in {path}")
    checksum = manifest.pop("checksum", None)
    if checksum != _sum(manifest):
        raise ValueError(
            f"path: expected the checksum {_sum(manifest)}, got {checksum!r} in {path / MANIFEST}"
        )
    return manifest


def _sum(manifest: Manifest) -> str:
    """Add up a manifest, without its own checksum."""
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=_npy.DIGEST_BYTES).hexdigest()


def _named(path: Path, manifest: Manifest) -> dict[str, Stored]:
    """Read what a manifest says of the arrays."""
    arrays = manifest.get("arrays")
    if not isinstance(arrays, dict):
        raise ValueError(f"path: expected a manifest with arrays, got {arrays!r} in {path}")
    return {name: _stored(path, name, of) for name, of in arrays.items()}


def _stored(path: Path, name: str, of: object) -> Stored:
    """Read what a manifest says of one array."""
    if not isinstance(of, dict) or set(of) != set(Stored._fields):
        raise ValueError(f"path: expected {Stored._fields} of {name}, got {of!r} in {path}")
    file, dtype, shape, checksum = (of[field] for field in Stored._fields)
    if not isinstance(file, str) or not _ARRAY.fullmatch(file):
        raise ValueError(f"path: expected the name of a file for {name}, got {file!r} in {path}")
    if dtype not in _npy.DTYPES:
        raise ValueError(f"path: expected a dtype of numbers for {name}, got {dtype!r} in {path}")
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**63 for n in shape)
    if not whole or len(shape) > _npy.MOST_AXES:
        raise ValueError(f"path: expected a shape for {name}, got {shape!r} in {path}")
    if not isinstance(checksum, str):
        raise ValueError(f"path: expected a checksum for {name}, got {checksum!r} in {path}")
    return Stored(file, dtype, tuple(shape), checksum)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let other saves wait: each would sweep away the files of the other."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    _locks.add(descriptor)
    try:
        with contextlib.suppress(OSError):  # not every network file system can
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        _locks.discard(descriptor)
        os.close(descriptor)


# Of saves in progress. A forked child would hold the lock for its life if its parent is killed.
_locks: set[int] = set()


def _let_go_in_child() -> None:
    while _locks:
        os.close(_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _flush_folder(path: Path) -> None:
    """Have the names of a folder on the disk."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
