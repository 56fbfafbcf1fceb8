"""`vr.pool` against its oracle, and `vr.concat_blocks`."""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import assert_same_float32
from datasets import HARD, normal
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Mode = Literal["sum", "mean", "max"]
FETCHED = 1 << 18  # numbers: rows of tables of more are fetched ahead
MODES: tuple[Mode, ...] = ("sum", "mean", "max")
Rows = list[list[int]]
Weights = list[list[float]]


def random_rows(rng: np.random.Generator, bags: int, longest: int, n: int) -> Rows:
    """Bags of any length, some empty, with repeats and -1."""
    lengths = rng.integers(0, longest + 1, bags)
    return [rng.integers(-1, n, length).tolist() for length in lengths]


def random_weights(rng: np.random.Generator, rows: Rows) -> Weights:
    """Weights that are float32 values, so that their products are exact in float64."""
    return [rng.standard_normal(len(row)).astype(np.float32).tolist() for row in rows]


def check(found: Any, expected: F32) -> None:
    """Equal bits, but for the sign of a zero, which is promised for scores only."""
    assert found.dtype == np.float32
    assert_same_float32(found + 0.0, expected)


def check_normalized(found: Any, expected: F32) -> None:
    """The order in which the norm is summed is not promised, its precision is.

    A float64 norm of 40 terms is within 40 * 2^-53 of the other's: far less than half a unit of
    float32, so the one rounding may at most fall on the neighbor.
    """
    assert found.dtype == np.float32
    np.testing.assert_array_max_ulp(found, expected, maxulp=1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("d", [*range(1, 21), 31, 32, 33, 50, 64, 65, 68, 72, 100, 136])
def test_modes_and_widths(d: int, mode: Mode, isa: str, rng: np.random.Generator) -> None:
    table = normal(rng, 50, d)
    rows = random_rows(rng, 40, 9, 50)
    check(vr.pool(table, rows, mode=mode), reference.pool(table, rows, mode=mode))


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("name", ["gaussian", "cauchy", "denormals", "all_exponents", "canceling"])
def test_weights_on_hard_data(
    name: str, mode: Mode, isa: str, threads: int, rng: np.random.Generator
) -> None:
    table = HARD[name](rng, 0, 200, 19)[1].clip(-1e36, 1e36)
    rows = random_rows(rng, 60, 12, 200)
    weights = random_weights(rng, rows)
    expected = reference.pool(table, rows, weights, mode=mode)
    check(vr.pool(table, rows, weights, mode=mode, threads=threads), expected)


def test_many_bags_on_many_threads(isa: str, threads: int, rng: np.random.Generator) -> None:
    table = normal(rng, 3000, 24)
    rows = random_rows(rng, 4000, 20, 3000)
    weights = random_weights(rng, rows)
    expected = reference.pool(table, rows, weights)
    check(vr.pool(table, rows, weights, threads=threads), expected)


@pytest.mark.parametrize("n", [300, FETCHED // 8 + 1])
def test_bags_of_very_different_lengths(
    n: int, isa: str, threads: int, rng: np.random.Generator
) -> None:
    table = normal(rng, n, 8)
    lengths = [0, 9000, 1, *[0] * 5000, 4095, 3, *rng.integers(0, 9, 2000), 10_000, 0]
    rows = [rng.integers(-1, n, length).tolist() for length in lengths]
    check(vr.pool(table, rows, threads=threads), reference.pool(table, rows))


def test_one_long_bag(isa: str, threads: int, rng: np.random.Generator) -> None:
    table = HARD["all_exponents"](rng, 0, 3000, 5)[1].clip(-1e30, 1e30)
    rows = [rng.permutation(3000).tolist()]
    for mode in MODES:
        expected = reference.pool(table, rows, mode=mode)
        check(vr.pool(table, rows, mode=mode, threads=threads), expected)


def test_rows_and_weights_in_every_form(rng: np.random.Generator) -> None:
    table = normal(rng, 30, 6)
    rows = [[3, 4, -1, 3], [], [29], [0, -1]]
    weights = random_weights(rng, rows)
    expected = reference.pool(table, rows, weights)
    flat = np.array([w for row in weights for w in row])
    offsets = np.array([0, 4, 4, 5, 7])
    numbers = np.array([r for row in rows for r in row])
    row_forms: list[Any] = [
        rows,
        [np.array(row, np.int64) for row in rows],
        vr.Ragged.from_lists(rows),
        vr.Ragged(numbers, offsets),
    ]
    weight_forms: list[Any] = [
        flat,
        flat.astype(np.float32),
        flat.tolist(),
        weights,
        [np.array(row, np.float32) for row in weights],
        vr.Ragged(flat, offsets),
        vr.Ragged(flat.astype(np.float32), offsets),
    ]
    for row_form in row_forms:
        for weight_form in weight_forms:
            check(vr.pool(table, row_form, weight_form), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", [1, 2, 3, 100])
def test_first_counts_valid_entries(
    first: int, mode: Mode, isa: str, rng: np.random.Generator
) -> None:
    table = normal(rng, 20, 6)
    rows = [*random_rows(rng, 50, 8, 4), [-1, -1, 5, -1, 6, 7, 8], [-1] * 5, []]
    expected = reference.pool(table, rows, mode=mode, first=first)
    check(vr.pool(table, rows, mode=mode, first=first), expected)
    if mode != "max":
        weights = random_weights(rng, rows)
        expected = reference.pool(table, rows, weights, mode=mode, first=first)
        check(vr.pool(table, rows, weights, mode=mode, first=first), expected)


def test_the_mean_divides_by_the_weights() -> None:
    table = np.array([[1, 2], [3, 8]], np.float32)
    found = vr.pool(table, [[0, 1], [0, 1], [1]], [[1.0, 3.0], [-1.0, 0.5], [4.0]], mode="mean")
    assert found.tolist() == [[2.5, 6.5], [-1, -4], [3, 8]]


def test_weights_that_sum_to_zero_give_zeros(isa: str) -> None:
    table = np.array([[1, 2], [3, 8]], np.float32)
    rows, weights = [[0, 1], [0], [0, 1, -1]], [[2.0, -2.0], [0.0], [1.0, -1.0, 5.0]]
    for normalize in (False, True):
        found = vr.pool(table, rows, weights, mode="mean", normalize=normalize)
        assert found.tolist() == [[0, 0]] * 3


def test_the_weights_of_skipped_entries_do_not_count() -> None:
    table = np.array([[1, 2], [3, 8]], np.float32)
    found = vr.pool(table, [[-1, 0, -1, 1]], [[9.0, 1.0, 9.0, 1.0]], mode="mean")
    assert found.tolist() == [[2, 5]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("normalize", [False, True])
def test_empty_bags_give_zeros(normalize: bool, mode: Mode, isa: str) -> None:
    table = np.ones((3, 5), np.float32)
    found = vr.pool(table, [[], [-1], [-1, -1]], mode=mode, normalize=normalize)
    assert found.tolist() == [[0] * 5] * 3
    none = vr.pool(table, [], mode=mode, normalize=normalize)
    assert none.shape == (0, 5)
    assert none.dtype == np.float32
    empty = vr.pool(np.empty((0, 5), np.float32), [[], [-1]], mode=mode, normalize=normalize)
    assert empty.tolist() == [[0] * 5] * 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 1e30])
def test_normalize(scale: float, mode: Mode, isa: str, rng: np.random.Generator) -> None:
    table = (rng.standard_normal((60, 40)) * scale).astype(np.float32)
    table[0] = 0.0
    rows = [*random_rows(rng, 50, 8, 60), [0], [0, 0]]
    found = vr.pool(table, rows, mode=mode, normalize=True)
    check_normalized(found, reference.pool(table, rows, mode=mode, normalize=True))
    assert found[-1].tolist() == [0] * 40


def test_entry_order_and_one_rounding(isa: str) -> None:
    big = 2.0**60
    table = np.array([[1, 1], [big, 3], [-big, 0.5], [2.0**-24, 2.0**-24]], np.float32)
    rows = [[0, 1, 2], [1, 2, 0], [0, 3, 3, 3], [1, 0, 2]]
    found = vr.pool(table, rows)
    assert found[:, 0].tolist() == [0, 1, 1 + 2.0**-22, 0]


@pytest.mark.parametrize("offset", range(16))
@pytest.mark.parametrize("d", [5, 16, 50, 1030])
def test_tables_that_begin_anywhere(
    d: int, offset: int, isa: str, rng: np.random.Generator
) -> None:
    n = FETCHED // d + 1
    table = normal(rng, n, d)
    moved = np.empty(table.size + offset, np.float32)[offset:].reshape(table.shape)
    moved[:] = table
    rows = random_rows(rng, 20, 30, n)
    check(vr.pool(moved, rows), reference.pool(table, rows))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("d", [1, 7, 8, 12, 64, 100])
def test_no_value_hides_one_that_is_not_finite(
    d: int, mode: Mode, bad: float, isa: str, rng: np.random.Generator
) -> None:
    for column in range(d):
        table = normal(rng, 6, d)
        table[3, column] = bad
        with pytest.raises(ValueError, match="infinity in row 3"):
            vr.pool(table, [[0, 1], [2, 3, 5]], mode=mode)
        vr.pool(table, [[0, 1], [2, 5]], mode=mode)


def test_of_equal_maxima_the_first(isa: str) -> None:
    """Zeros of both signs are equal; on every instruction set the first one stays."""
    table = np.array([[0.0] * 12, [-0.0] * 12], np.float32)
    for rows, negative in (([0, 1], False), ([1, 0], True)):
        assert np.signbit(vr.pool(table, [rows], mode="max")).tolist() == [[negative] * 12]


def test_negative_maxima(isa: str) -> None:
    table = np.array([[-1, -5], [-2, -3]], np.float32)
    assert vr.pool(table, [[0, 1], [1]], mode="max").tolist() == [[-1, -3], [-2, -3]]


@pytest.mark.parametrize("bad", [-2, 5, 2**40, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("mode", MODES)
def test_rows_out_of_range(bad: int, mode: Mode) -> None:
    table = np.ones((5, 3), np.float32)
    with pytest.raises(IndexError, match="rows"):
        vr.pool(table, [[0, 1], [4, bad]], mode=mode)
    with pytest.raises(IndexError, match="rows"):
        vr.pool(table, vr.Ragged(np.array([bad]), np.array([0, 1])), mode=mode, first=1)


def test_max_takes_no_weights() -> None:
    with pytest.raises(ValueError, match="weights"):
        vr.pool(np.ones((5, 3), np.float32), [[0, 1]], [[1.0, 1.0]], mode="max")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4"])
def test_other_tables_are_converted_first(dtype: Any, rng: np.random.Generator) -> None:
    table = rng.standard_normal((20, 7)).astype(dtype)
    rows = random_rows(rng, 10, 5, 20)
    expected = reference.pool(table.astype(np.float32), rows)
    for same in (table, np.asfortranarray(table), table[::-1].copy()[::-1]):
        check(vr.pool(same, rows), expected)


@given(seed=st.integers(0, 2**32), widths=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_concat_blocks_without_weights(seed: int, widths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    blocks = [normal(rng, 6, d) for d in widths]
    assert_same_float32(vr.concat_blocks(blocks), np.concatenate(blocks, axis=1))


def test_concat_blocks_scales_by_the_square_root(rng: np.random.Generator) -> None:
    blocks = [normal(rng, 9, d) for d in (3, 1, 8)]
    found = vr.concat_blocks(blocks, [9.0, 0.0, 0.25])
    # 3, 0 and 0.5 are exact: there is one rounding, whatever the precision of the product
    expected = [blocks[0] * np.float32(3), blocks[1] * np.float32(0), blocks[2] * np.float32(0.5)]
    np.testing.assert_array_equal(found, np.concatenate(expected, axis=1))
    found = vr.concat_blocks(blocks, np.array([2.0, 3.0, 0.7]))
    exact = [b * np.sqrt(w) for b, w in zip(blocks, [2.0, 3.0, 0.7], strict=True)]
    # a root rounded to float32 moves a product by less than one unit, by two below a power of two
    np.testing.assert_array_max_ulp(
        found, np.concatenate(exact, axis=1).astype(np.float32), maxulp=2
    )


def test_one_inner_product_is_the_weighted_sum_of_the_blocks() -> None:
    rng = np.random.default_rng(3)
    users = [rng.integers(-9, 10, (4, d)).astype(np.float32) for d in (5, 2)]
    items = [rng.integers(-9, 10, (30, d)).astype(np.float32) for d in (5, 2)]
    weights = [4.0, 2.25]  # their roots are exact, and so is every sum of these integers
    total = weights[0] * (users[0] @ items[0].T) + weights[1] * (users[1] @ items[1].T)
    found = vr.topk(vr.concat_blocks(users, weights), vr.concat_blocks(items, weights), 30)
    for row, ids, scores in zip(total, found.ids, found.scores, strict=True):
        np.testing.assert_array_equal(row[ids], scores)


def test_concat_blocks_takes_other_floats(rng: np.random.Generator) -> None:
    blocks: list[npt.NDArray[Any]] = [
        rng.standard_normal((4, 3)),
        np.asfortranarray(normal(rng, 4, 2)),
    ]
    expected = np.concatenate([block.astype(np.float32) for block in blocks], axis=1)
    found = vr.concat_blocks(blocks)
    assert_same_float32(found, expected)
    assert found.flags.c_contiguous
    assert_same_float32(vr.concat_blocks(deque(blocks)), expected)
    same = np.stack([found, found])
    assert_same_float32(vr.concat_blocks(same), np.concatenate([found, found], axis=1))
