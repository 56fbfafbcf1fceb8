"""Files that appear whole, errors that name them; manifests read without trust in them."""

import contextlib
import json
import mmap  # noqa: F401  # NumPy would import it at first use, during which no fork is safe
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST = "manifest.json"
LONGEST_MANIFEST = 1 << 20
DEEPEST_MANIFEST = 8


class Writer:
    """A file to which NumPy writes as to any: what it does itself loses the system's reason."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes | memoryview) -> int:
        """Write some bytes."""
        return self._file.write(data)


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Say in errors of the system which file they are about, where they do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write(path: Path, content: Callable[[BinaryIO], object]) -> None:
    """Make a file appear whole on the disk, or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        with named_errors(path):
            with temporary.open("wb") as file:
                content(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()  # a full disk would stay full
        raise


def write_report(path: Path, content: bytes) -> None:
    """Write what a user asked for: a file as `write` does, but into a pipe, device or link."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        with named_errors(path):
            path.write_bytes(content)
    else:
        write(path, lambda file: file.write(content))


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
    path = folder / MANIFEST
    try:
        with named_errors(path), open_regular(path) as file:
            text = file.read(LONGEST_MANIFEST + 1)
    except FileNotFoundError as error:
        if folder.exists():
            raise
        raise FileNotFoundError(error.errno, error.strerror, str(folder)) from None
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
