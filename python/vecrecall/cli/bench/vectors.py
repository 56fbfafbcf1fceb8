"""Vectors from untrusted files, and for the processes of peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vecrecall.arrays import _validation
from vecrecall.cli.bench.indexes import F32, Metric

NUMBERS = 1 << 22  # written at a time


def read(path: Path, name: str, metric: Metric, dim: int | None = None) -> F32:
    """Map a ``.npy`` file of rows into memory, and check it.

    Parameters
    ----------
    path : Path
    name : str
        Name of the argument, for messages.
    metric : str
        Under ``"cosine"`` no row may be zero.
    dim : int, optional
        Expected number of columns.

    Returns
    -------
    ndarray of float32, shape (n, d)

    Raises
    ------
    ValueError, TypeError
        If the file does not exist, is not a ``.npy`` file, or does not hold finite rows of
        numbers. Objects are never unpickled.
    """
    if not path.exists():
        raise ValueError(f"{name}: no such file: {path}")
    if not path.is_file():
        raise ValueError(f"{name}: expected a .npy file, got something else: {path}")
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: expected a .npy file of numbers, got {path}: {reason}") from None
    rows = _validation.check_vectors(np.asarray(mapped), name, dim)
    if not len(rows):
        raise ValueError(f"{name}: expected at least one row, got shape {rows.shape}")
    if metric == "cosine":
        _validation.check_directions(rows, name)
    return rows


def write(rows: F32, path: Path, metric: Metric) -> None:
    """Write rows for the peers: normalized to length one under ``"cosine"``.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
    path : Path
    metric : str

    Raises
    ------
    OSError
        If the disk is full.
    """
    # Not through a memory map, where a full disk would end the process.
    with path.open("wb") as file:
        kind = {"descr": rows.dtype.str, "fortran_order": False, "shape": rows.shape}
        np.lib.format.write_array_header_1_0(file, kind)
        step = max(1, NUMBERS // rows.shape[1])
        for at in range(0, len(rows), step):
            part = rows[at : at + step]
            if metric == "cosine":
                wide = part.astype(np.float64)  # squares of float32 may overflow
                part = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
            file.write(np.ascontiguousarray(part).data)


def sample(rows: F32, count: int, seed: int) -> F32:
    """Sample rows as queries: all of them, in order, if there are no more than `count`.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
    count : int
        Maximum number of rows.
    seed : int

    Returns
    -------
    ndarray of float32, shape (min(n, count), d)
    """
    if len(rows) <= count:
        return rows
    return rows[np.random.default_rng(seed).choice(len(rows), count, replace=False)]
