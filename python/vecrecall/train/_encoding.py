"""Rows of vectors that an encoder gives batch by batch, kept on the disk as they come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from vecrecall.arrays import _scalars
from vecrecall.storage import _array_folder
from vecrecall.storage._atomic import MANIFEST
from vecrecall.train._folders import check_folder, load_folder
from vecrecall.train._training import (
    PathLike,
    StopAskedError,
    Training,
    TrainingStoppedError,
)

KIND = "EncodingCheckpoint"
_ROWS = "rows.f32"

Rows: TypeAlias = npt.NDArray[np.float32]
Encode: TypeAlias = Callable[[int, int], Rows]


def encode_batches(training: Training, ends: Sequence[int], encode: Encode) -> tuple[Rows, int]:
    """Encode batches until all are done or a stop is asked for.

    Parameters
    ----------
    training : Training
        Of one epoch. Its checkpoint continues after the last finished batch.
    ends : sequence of int
        Where each batch ends, at least one; the first begins with row 0.
    encode : callable
        Called with the first row of a batch and its end; returns its vectors, all of one width.

    Returns
    -------
    (ndarray of float32, shape (ends[-1], d), int)
        The rows, and the number of finished ones.

    Raises
    ------
    TrainingStoppedError
        If a stop was asked for before the first batch was finished.
    ValueError
        If the checkpoint is of other data or settings, or damaged.
    """
    clock, kept = perf_counter(), _Kept(training.checkpoint, training.fingerprint, ends[-1])
    with kept.alone():
        rows, done = kept.load()
        try:
            for begin, end in zip([0, *ends], ends, strict=False):
                if end > done:
                    training.step(begin / ends[-1], force=True)
                    batch = encode(begin, end)
                    if rows is None:
                        rows = np.empty((ends[-1], batch.shape[1]), np.float32)
                    if batch.shape[1] != rows.shape[1]:
                        raise ValueError(
                            f"encoder: expected {rows.shape[1]} columns, as in the rows before "
                            f"row {begin}, got {batch.shape[1]}"
                        )
                    rows[begin:end] = batch
                    kept.save(rows, begin, end)
                    done = end
            training.finished = 1
        except StopAskedError:
            training.stopped = True
        finally:
            training.seconds += perf_counter() - clock
    if rows is None:
        raise TrainingStoppedError(
            f"{training.trainer}: stopped before the first batch was finished"
        )
    if not training.stopped:
        training.step(0.0, force=True)
    return rows, done


class _Kept:
    """The finished rows in a folder, or nothing where there is none.

    The rows lie in a file, to which each batch adds its own; the manifest, replaced after that,
    says how many of them count.
    """

    def __init__(self, path: PathLike | None, fingerprint: str, n: int) -> None:
        self._path = None if path is None else _scalars.check_path(path, "checkpoint")
        self._about: dict[str, Any] = {"fingerprint": fingerprint, "n": n}
        self._digest = hashlib.blake2b(digest_size=16)

    def alone(self) -> AbstractContextManager[None]:
        """Let other runs with this folder wait."""
        if self._path is None:
            return nullcontext()
        check_folder(self._path, "checkpoint")
        return _array_folder.exclusive(self._path)

    def load(self) -> tuple[Rows | None, int]:
        """Read the finished rows and their number."""
        if self._path is None or _array_folder.is_new(self._path):
            return None, 0
        about = load_folder(self._path, KIND, name="checkpoint").about
        if about["fingerprint"] != self._about["fingerprint"]:
            raise ValueError(
                "checkpoint: expected one of the same data and settings, "
                f"got one of others in {self._path}"
            )
        n, done, dim = self._about["n"], about["done"], about["dim"]
        if not done:  # interrupted between the first manifest and the first rows
            return None, 0
        rows, file = np.empty((n, dim), np.float32), self._path / _ROWS
        got = 0
        if file.is_file():
            with file.open("rb") as opened:
                got = opened.readinto(rows[:done].reshape(-1).view(np.uint8).data)
        self._digest.update(rows[:done].data)
        if got != rows[:done].nbytes or self._digest.hexdigest() != about["rows"]:
            raise ValueError(f"checkpoint: expected whole rows, got damaged ones in {self._path}")
        return rows, done

    def save(self, rows: Rows, begin: int, end: int) -> None:
        """Keep the rows of a batch that is finished."""
        if self._path is None:
            return
        batch = rows[begin:end]
        self._digest.update(batch.data)
        if not (self._path / MANIFEST).exists():  # which shows that the folder is ours
            self._commit(0, batch.shape[1], hashlib.blake2b(digest_size=16).hexdigest())
        with _open_rows(self._path / _ROWS) as file:
            file.seek(begin * rows.strides[0])
            file.write(batch.data)
            file.flush()
            os.fsync(file.fileno())
        self._commit(end, batch.shape[1], self._digest.hexdigest())

    def _commit(self, done: int, dim: int, digest: str) -> None:
        assert self._path is not None
        about = {**self._about, "done": done, "dim": dim, "rows": digest}
        _array_folder.replace(self._path, KIND, about, {})


def _open_rows(path: Path) -> BinaryIO:
    """Open a file to write in its middle; it is made if need be."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
