"""Random arguments, right and wrong, each with what it means.

A generator gives `(value, meaning)`; the meaning is the plain value that the oracle takes, or
`WRONG` if the call must refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Array = npt.NDArray[Any]
Drawn = tuple[Any, Any]

WRONG: Final = "wrong"
FLOATS: list[Any] = [np.float32, np.float32, np.float64, np.float16, np.longdouble, ">f4", ">f8"]
NOT_NUMBERS: list[Any] = [np.complex64, object, "U3", "M8[s]"]
INTS: list[Any] = [np.int64, np.int64, np.int32, np.int16, np.uint8, np.uint64, ">i8", ">i4"]
NOT_INTS: list[Any] = [np.float32, np.float64, np.complex128, bool, "U3", "M8[s]"]
JUNK: list[Any] = [None, 1.5, -1, "a", b"\0", object(), {1: 2}, [None], [[[1]]], float("nan")]


def chance(rng: Rng, p: float) -> bool:
    return bool(rng.random() < p)


def pick(rng: Rng, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def laid_out(rng: Rng, a: Array) -> Array:
    """The same values in memory of another layout."""
    match int(rng.integers(7)):
        case 0:
            return np.asfortranarray(a)
        case 1:
            backwards = tuple(slice(None, None, -1) for _ in a.shape)
            return a[backwards].copy()[backwards]
        case 2:
            return np.repeat(a, 3, axis=-1)[..., ::3]
        case 3 if not a.dtype.hasobject:
            buffer = bytearray(a.nbytes + 1)
            view = np.ndarray(a.shape, a.dtype, buffer, offset=1)
            view[...] = a
            return view
        case 4:
            frozen = a.copy()
            frozen.flags.writeable = False
            return frozen
        case 5:
            return a.astype(a.dtype.newbyteorder())
        case _:
            return a


def values(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Finite float32 of one of several kinds."""
    match int(rng.integers(4)):
        case 0:
            return rng.integers(-2, 3, shape).astype(np.float32)
        case 1:
            bits = rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)
            return np.where(np.isfinite(bits), bits, np.float32(1))
        case 2 if shape[0] > 0:
            return np.broadcast_to(rng.standard_normal(shape, np.float32)[:1], shape)
        case _:
            return rng.standard_normal(shape, np.float32)


def vectors(rng: Rng, n: int, d: int, *, fixed_width: bool = False, largest: float = 3e38) -> Drawn:
    """`n` vectors of width `d`; with `fixed_width` any other width is wrong."""
    a = values(rng, (n, d)).clip(-largest, largest)
    with np.errstate(over="ignore"):
        a = a.astype(pick(rng, FLOATS))
    a[~np.isfinite(a)] = 1  # what overflows float16
    with np.errstate(under="ignore"):
        meaning: Any = np.array(a, np.float32, order="C")
    value: Any = laid_out(rng, a)
    if chance(rng, 0.15):
        meaning = WRONG
        match int(rng.integers(5)):
            case 0:
                value = np.zeros((n, d), pick(rng, NOT_NUMBERS))
            case 1:
                value = laid_out(
                    rng,
                    np.ones(
                        pick(rng, [(n, d, 1), (2, n, d)] + [(), (d,)] * (not fixed_width)), "f4"
                    ),
                )
            case 2 if fixed_width:
                value = laid_out(rng, np.ones((n, d + int(rng.integers(1, 9))), np.float32))
            case 3 if n > 0:
                value = a.copy()
                value[rng.integers(n), rng.integers(d)] = pick(rng, [np.nan, np.inf, -np.inf])
            case _:
                value = pick(rng, JUNK)
    return value, meaning


def distinct_ids(rng: Rng, n: int) -> Drawn:
    """Ids for `n` items."""
    dtype = pick(rng, INTS)
    ids = rng.permutation(max(2 * n, 1))[:n]
    if np.dtype(dtype).itemsize == 8 and chance(rng, 0.5):
        ids = ids * 2**40
    if n > 100:
        dtype = np.int64  # the smaller ones do not hold them
    a = ids.astype(dtype)
    if chance(rng, 0.85):
        return laid_out(rng, a) if chance(rng, 0.7) else a.tolist(), ids
    match int(rng.integers(5)):
        case 0:
            return np.arange(n + 1), WRONG
        case 1 if n > 0:
            return a.astype(pick(rng, NOT_INTS)), WRONG
        case 2 if n > 0:
            return np.where(np.arange(n) == rng.integers(n), -int(rng.integers(1, 9)), ids), WRONG
        case 3 if n > 1:
            return np.where(np.arange(n) == 0, ids[-1], ids), WRONG
        case _:
            return pick(rng, JUNK[1:]), WRONG  # None means no ids


def number(rng: Rng, top: int) -> Drawn:
    """A count from one upwards."""
    if chance(rng, 0.9):
        n = int(rng.integers(1, top + 1))
        return pick(rng, [n, np.int64(n), np.uint8(min(n, 255)) if n < 256 else n]), n
    return pick(rng, [0, -1, -(2**40), 1.5, "2", None, [3], np.float32(2)]), WRONG


def choice(rng: Rng, good: Sequence[str]) -> Drawn:
    """One of the names."""
    if chance(rng, 0.95):
        name = pick(rng, good)
        return name, name
    return pick(rng, ["", "x", None, 3, good[0].upper(), object()]), WRONG


def lists(rng: Rng, rows: int, low: int, high: int, *, fixed_rows: bool = False) -> Drawn:
    """Numbers from `low` to below `high` for each row, in any form."""
    if chance(rng, 0.1):
        return pick(rng, [[[0.5]] * max(rows, 1), *JUNK[1:]]), WRONG
    if fixed_rows and chance(rng, 0.05):
        return [[0]] * (rows + 1), WRONG
    meaning = [rng.integers(low, high, rng.integers(0, 8)).tolist() for _ in range(rows)]
    if chance(rng, 0.3):
        return meaning, meaning
    if chance(rng, 0.5):
        arrays = [np.array(row, pick(rng, ["i8", "i4", ">i8"])) for row in meaning]
        return [laid_out(rng, a) for a in arrays], meaning
    return compressed(rng, meaning), meaning


def compressed(rng: Rng, rows: Sequence[Sequence[float]], dtype: Any = np.int64) -> Drawn:
    """Values and offsets of the rows."""
    flat = np.array([v for row in rows for v in row], dtype)
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return laid_out(rng, flat), laid_out(rng, offsets)


def offsets(rng: Rng, total: int) -> Drawn:
    """Offsets of rows that hold `total` values."""
    cuts = np.sort(rng.integers(0, total + 1, rng.integers(0, 6)))
    good = np.concatenate([[0], cuts, [total]])
    if chance(rng, 0.7):
        return laid_out(rng, good.astype(pick(rng, ["i8", "i8", "i4", ">i8"]))), good.tolist()
    bad = good.copy()
    match int(rng.integers(5)):
        case 0:
            bad[int(rng.integers(len(bad)))] += pick(rng, [-1, 2**40, -(2**62)])
            valid = bad[0] == 0 and bad[-1] == total and bool((np.diff(bad) >= 0).all())
            return bad, bad.tolist() if valid else WRONG
        case 1:
            return good.astype(pick(rng, NOT_INTS)), WRONG
        case 2:
            return good[:, None], WRONG
        case 3:
            return good[1:] + 1, WRONG
        case _:
            return pick(rng, JUNK), WRONG
