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
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy.typing as npt

from vecrecall.storage import _npy
from vecrecall.storage._atomic import MANIFEST, named_errors, read_manifest
from vecrecall.storage._npy import Pieces, Stored

if sys.platform != "win32":
    import fcntl

FORMAT = 6
# 3 has no lists, 4 no rows but of float32, 5 no spreads of lists
_READABLE = (3, 4, 5, FORMAT)
_ARRAY = re.compile(r"[a-z_]+-[0-9a-f]{12}\.npy")
_OURS = re.compile(rf"{_ARRAY.pattern}|{re.escape(MANIFEST)}-[0-9a-f]{{12}}\.part")

Manifest = dict[str, Any]
Arrays = Mapping[str, npt.NDArray[Any] | Pieces]
T = TypeVar("T")


class Content(NamedTuple):
    """The content of a folder or of a part of it: metadata and arrays."""

    about: Mapping[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


class Part(NamedTuple):
    """Content that is saved with something else, in its folder and replaced as one with it."""

    about: Mapping[str, Any]
    arrays: Arrays


def save(
    path: Path,
    kind: str,
    about: Mapping[str, Any],
    arrays: Arrays,
    parts: Mapping[str, Part] | None = None,
) -> None:
    """Write arrays and what is to be known about them; a folder of another kind is an error."""
    with exclusive(path):
        replace(path, kind, about, arrays, parts)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep a folder for one writer; it is made if need be, and left as it was if that fails."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            yield
        for folder in made:
            flush_folder(folder.parent)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # which goes only where nothing is in it
        raise


def replace(
    path: Path,
    kind: str,
    about: Mapping[str, Any],
    arrays: Arrays,
    parts: Mapping[str, Part] | None = None,
) -> None:
    """Do what `save` does in a folder that is kept for it already."""
    with named_errors(path):
        _check_ours(path, kind)
        try:
            _commit(path, {"kind": kind, "format": FORMAT, **about}, arrays, parts or {})
        finally:
            _sweep(path)


def is_new(path: Path) -> bool:
    """Tell a folder with nothing in it, or nothing but what an interrupted save has left."""
    return all(_OURS.fullmatch(file.name) for file in path.iterdir())


def load(path: Path, kind: str, *, mmap: bool = False, verify: bool = False) -> Content:
    """Read what `save` wrote, without its parts: the manifest and the arrays, or maps of them."""
    return _consistent(path, kind, lambda of: _content(path, of, mmap, verify))


def load_with_parts(
    path: Path, kind: str, *, mmap: bool = False, verify: bool = False
) -> tuple[Content, dict[str, Content]]:
    """Read what `save` wrote, and the parts that were saved with it, all of one moment."""

    def read(of: Manifest) -> tuple[Content, dict[str, Content]]:
        parts = {n: _content(path, part, mmap, verify) for n, part in _parts(path, of).items()}
        return _content(path, of, mmap, verify), parts

    return _consistent(path, kind, read)


def load_part(
    path: Path, kind: str, name: str, *, mmap: bool = False, verify: bool = False
) -> Content:
    """Read what `save` wrote by itself as of this kind, or under this name with something else."""

    def read(of: Manifest) -> Content:
        if of.get("kind") == kind:
            return _content(path, of, mmap, verify)
        parts = _parts(path, of)
        if name not in parts:
            raise ValueError(
                f"path: expected a saved {kind} or something saved with one, "
                f"got a saved {of.get('kind')} that has none in {path}"
            )
        return _content(path, parts[name], mmap, verify)

    return _consistent(path, None, read)


def _consistent(path: Path, kind: str | None, read: Callable[[Manifest], T]) -> T:
    """Read what one manifest names, which another save may replace meanwhile."""
    while True:
        manifest = _manifest(path, kind)
        try:
            return read(manifest)
        except FileNotFoundError:
            if _manifest(path, kind) == manifest:
                raise


def _content(path: Path, of: Manifest, mmap: bool, verify: bool) -> Content:
    named = _named(path, of)
    return Content(of, {n: _npy.read(path, file, mmap, verify) for n, file in named.items()})


def _commit(path: Path, manifest: Manifest, arrays: Arrays, parts: Mapping[str, Part]) -> None:
    turn = uuid.uuid4().hex[:12]  # tells one save's files from another's

    def written(arrays: Arrays, prefix: str) -> dict[str, Any]:
        return {
            n: _npy.write(path / f"{prefix}{n}-{turn}.npy", a)._asdict() for n, a in arrays.items()
        }

    manifest = {**manifest, "library": version("vecrecall"), "arrays": written(arrays, "")}
    if parts:
        manifest["parts"] = {
            name: {**part.about, "arrays": written(part.arrays, f"{name}_")}
            for name, part in parts.items()
        }
    manifest["checksum"] = _sum(manifest)
    temporary = path / f"{MANIFEST}-{turn}.part"
    with named_errors(temporary), temporary.open("x", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path / MANIFEST)
    flush_folder(path)


def _sweep(path: Path) -> None:
    """Remove the files of other saves than the one that counts, also of interrupted ones."""
    kept = _files(path, read_manifest(path)) if (path / MANIFEST).exists() else set()
    for file in path.iterdir():
        if _OURS.fullmatch(file.name) and file.name not in kept:
            file.unlink(missing_ok=True)


def _check_ours(path: Path, kind: str) -> None:
    """Refuse to write among the files of others."""
    if (path / MANIFEST).exists():
        _files(path, _manifest(path, kind))
    elif not is_new(path):
        raise ValueError(f"path: expected a saved {kind} or an empty folder, got {path}")


def _manifest(path: Path, kind: str | None) -> Manifest:
    manifest = read_manifest(path)
    found, form = manifest.get("kind"), manifest.get("format")
    if kind is not None and found != kind:
        raise ValueError(f"path: expected a saved {kind}, got {found!r} in {path}")
    if type(form) is not int or form not in _READABLE:
        raise ValueError(f"path: expected format {FORMAT}, got {form!r} in {path}")
    checksum = manifest.pop("checksum", None)
    if checksum != _sum(manifest):
        raise ValueError(
            f"path: expected the checksum {_sum(manifest)}, got {checksum!r} in {path / MANIFEST}"
        )
    return manifest


def word_of(manifest: Mapping[str, Any]) -> str:
    """Return a word for what was saved: another one for each save."""
    return _sum(manifest)


def _sum(manifest: Mapping[str, Any]) -> str:
    """Add up a manifest, without its own checksum."""
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=_npy.DIGEST_BYTES).hexdigest()


def _parts(path: Path, manifest: Manifest) -> dict[str, Manifest]:
    """Read what a manifest says of the parts that were saved with the rest."""
    parts = manifest.get("parts", {})
    if not isinstance(parts, dict) or not all(isinstance(of, dict) for of in parts.values()):
        raise ValueError(f"path: expected parts with names, got {parts!r} in {path}")
    return parts


def _files(path: Path, manifest: Manifest) -> set[str]:
    """List the files that a manifest names."""
    all_of = (manifest, *_parts(path, manifest).values())
    return {stored.file for of in all_of for stored in _named(path, of).values()}


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


def flush_folder(path: Path) -> None:
    """Have the names of a folder on the disk."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
