"""`vr.pool` of tables in half precision: the bits of the same table in float32."""

from __future__ import annotations

from typing import Any, Literal

import half
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import assert_same_float32
from datasets import HARD
from half import HALVES, fitting, of_type, widened

import vecrecall as vr
import vecrecall._core as _core

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator
Mode = Literal["sum", "mean", "max"]
MODES: tuple[Mode, ...] = ("sum", "mean", "max")
LONGEST = 9


def table_of(rng: Rng, kind: str, n: int, d: int, name: str) -> F32:
    """Values that the format has, of which sums stay within float32."""
    return widened(fitting(HARD[kind](rng, 0, n, d)[1], name).clip(-1e36, 1e36), name)


def bags_of(rng: Rng, bags: int, n: int) -> list[list[int]]:
    """Bags of any length, some empty, with repeats and -1."""
    return [rng.integers(-1, n, rng.integers(0, LONGEST + 1)).tolist() for _ in range(bags)]


def check(
    table: F32, name: str, rows: Any, weights: Any = None, mode: Mode = "sum", threads: int = 1
) -> None:
    """By the oracle but for the sign of a zero, and in every bit as float32."""
    found = vr.pool(of_type(table, name), rows, weights, mode=mode, threads=threads)
    assert_same_float32(found, vr.pool(table, rows, weights, mode=mode, threads=threads))
    assert_same_float32(found + 0.0, reference.pool(table, rows, weights, mode=mode))


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("mode", MODES)
def test_all_widths(mode: Mode, name: str, isa: str, rng: Rng) -> None:
    for d in range(1, 71):
        check(table_of(rng, "gaussian", 20, d, name), name, bags_of(rng, 8, 20), mode=mode)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("kind", ["gaussian", "cauchy", "denormals", "all_exponents", "canceling"])
def test_hard_data(kind: str, name: str, isa: str, rng: Rng) -> None:
    table = table_of(rng, kind, 100, 19, name)
    rows = bags_of(rng, 40, 100)
    weights = [rng.standard_normal(len(row)).astype(np.float32).tolist() for row in rows]
    check(table, name, rows, weights)
    check(table, name, rows, mode="max", threads=3)


# All of a format but what is not finite: denormals, zeros of both signs, the largest.
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("mode", MODES)
def test_every_value(mode: Mode, name: str, isa: str) -> None:
    every = np.arange(2**16, dtype=np.uint16)
    table = half.of_bits(every, name)
    table = table[np.isfinite(table)].reshape(-1, 16)
    rows = np.arange(len(table))[:, None]
    check(table, name, rows, mode=mode)
    # One row: what is pooled is the row itself, but for -0, to which +0 was added.
    assert_same_float32(vr.pool(of_type(table, name), rows, mode=mode) + 0.0, table + 0.0)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("d", [3, 17])
def test_rows_that_are_not_finite(d: int, bad: float, name: str, isa: str) -> None:
    table = np.ones((9, d), np.float32)
    table[7, d - 1] = bad
    for mode in MODES:
        with pytest.raises(ValueError, match=r"table: expected finite values, got .* in row 7"):
            vr.pool(of_type(table, name), [[0, 1], [2, 7]], mode=mode)
    assert vr.pool(of_type(table, name), [[0, 1, 8]]).tolist() == [[3.0] * d]


@pytest.mark.parametrize("name", HALVES)
def test_the_table_is_not_copied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = of_type(np.ones((9, 5)), name)
    table.flags.writeable = False
    seen: list[Any] = []
    core = _core.pool

    def pool(given: Any, *args: Any) -> Any:
        seen.append(given)
        return core(given, *args)

    monkeypatch.setattr(_core, "pool", pool)
    vr.pool(table, [[0]])
    assert np.shares_memory(seen[0], table)


@pytest.mark.parametrize("name", HALVES)
def test_tables_that_lie_otherwise(name: str, rng: Rng) -> None:
    wide = table_of(rng, "gaussian", 30, 10, name)
    rows = bags_of(rng, 9, 15)
    expected = vr.pool(wide[::2], rows)
    table = of_type(wide, name)
    swapped = of_type(wide[::2], name)
    swapped = swapped.astype(swapped.dtype.newbyteorder(">")) if name == "float16" else swapped
    for given in (table[::2], np.asfortranarray(table[::2]), swapped):
        assert_same_float32(vr.pool(given, rows), expected)
    shifted = np.empty(wide.size * 2 + 1, np.uint8)[1:].view(table.dtype)  # not aligned
    shifted = shifted.reshape(wide.shape)
    shifted[...] = table
    assert_same_float32(vr.pool(shifted[::2].copy(), rows), expected)
    assert_same_float32(vr.pool(shifted, rows), vr.pool(wide, rows))


def test_integers_of_16_bits_are_integers() -> None:
    assert vr.pool(np.full((2, 3), 0x3F80, np.uint16), [[0, 1]]).tolist() == [[2.0 * 0x3F80] * 3]
