"""`.npy` files: written to the disk whole, read without trust in what they say."""

import hashlib
import io
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall.storage._atomic import Writer, named_errors, open_regular

# The dtypes of files: numbers, never objects.
DTYPES = ("<f2", "<f4", "<f8", "<i4", "<i8", "<u2", "<u4", "<u8", "|u1")
MOST_AXES = 2
DIGEST_BYTES = 16
CHUNK = 1 << 20
PIECE = 1 << 24


class Stored(NamedTuple):
    """The entry of a manifest for an array."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    checksum: str


class Pieces(NamedTuple):
    """An array that is never whole in memory."""

    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    parts: Iterable[npt.NDArray[Any]]  # its values, one part after the other


class _Summed(Writer):
    """A file that adds up what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return super().write(data)


def write(path: Path, array: npt.NDArray[Any] | Pieces) -> Stored:
    """Write a new file and have it on the disk."""
    with named_errors(path), path.open("xb") as file:
        summed = _Summed(file)
        if isinstance(array, Pieces):
            summed.write(_header(array.dtype.str, array.shape))
            for part in array.parts:
                summed.write(np.ascontiguousarray(part, array.dtype).data)
        else:
            np.save(summed, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return Stored(path.name, array.dtype.str, array.shape, summed.digest.hexdigest())


def read(folder: Path, stored: Stored, mmap: bool, verify: bool) -> npt.NDArray[Any]:
    """Read an array or map it; what is in the file must be what is said of it.

    The header is compared with the one that it should be, not read: nothing in it can do harm.
    """
    path = folder / stored.file
    with named_errors(path), open_regular(path) as file:
        header = _header(stored.dtype, stored.shape)
        count = math.prod(stored.shape)
        expected = len(header) + count * np.dtype(stored.dtype).itemsize
        size = os.fstat(file.fileno()).st_size
        if size != expected:
            raise ValueError(f"path: expected {expected} bytes, got {size} in {path}")
        if file.read(len(header)) != header:
            raise ValueError(
                f"path: expected the header of an array {stored.dtype} {stored.shape}, "
                f"got another in {path}"
            )
        if verify:
            _check_sum(file, stored, path)
            file.seek(len(header))
        if mmap and count > 0:
            mapped = np.memmap(file, stored.dtype, "r", len(header), stored.shape)
            mapped.filename = str(path)  # by which joblib has its workers map it too
            return np.asarray(mapped)
        return _values(file, np.empty(count, stored.dtype), path).reshape(stored.shape)


def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


def _values(file: BinaryIO, array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Read a flat array, piece by piece: a signal waits for no more than one."""
    left = array.view(np.uint8).data
    while left:
        got = file.readinto(left[:PIECE])  # type: ignore[attr-defined]  # as all binary files have
        if not got:
            raise ValueError(f"path: expected {array.nbytes} bytes, got fewer in {path}")
        left = left[got:]
    return array


def _check_sum(file: BinaryIO, stored: Stored, path: Path) -> None:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    if digest.hexdigest() != stored.checksum:
        raise ValueError(
            f"path: expected the checksum {stored.checksum}, got {digest.hexdigest()} in {path}"
        )
