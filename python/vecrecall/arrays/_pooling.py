"""From rows of a table to one vector per bag: items from tags, users from profiles."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _ragged_checks, _scalars, _validation
from vecrecall.arrays._conversion import members
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._ragged_ops import row_of_each
from vecrecall.arrays._row_types import check_rows

_HUGE = 1e100  # weights beyond it: a sum of 2**31 such terms of float32 rows is within float64

_MODES = {"sum": _core.Pooling.sum, "mean": _core.Pooling.mean, "max": _core.Pooling.max}


def pool(
    table: npt.ArrayLike,
    rows: RaggedLike,
    weights: RaggedLike | npt.ArrayLike | None = None,
    *,
    mode: Literal["sum", "mean", "max"] = "sum",
    first: int | None = None,
    normalize: bool = False,
    threads: int | None = None,
) -> npt.NDArray[np.float32]:
    """Combine rows of a table into one vector per bag.

    Parameters
    ----------
    table : array_like of float, shape (n, d)
        The vectors. Rows that no bag uses are not looked at. float32, float16 and bfloat16 (of
        `ml_dtypes`) are taken as they lie where they are C-contiguous, others are converted once.
    rows : ragged of int
        For each bag its row numbers; -1 (unknown) is skipped.
    weights : ragged or array_like of float, optional
        One finite weight for each value of `rows`, in the same order; default 1.
    mode : {"sum", "mean", "max"}
        ``"mean"`` divides by the sum of the weights, where a zero sum gives zeros; ``"max"`` is
        taken element by element and has no weights.
    first : int, optional
        Use only the first so many valid entries of a bag.
    normalize : bool
        Divide each result by its Euclidean length; a zero vector stays zero.
    threads : int, optional

    Returns
    -------
    ndarray of float32, shape (len(rows), d)
        Accumulated in float64 in entry order, rounded once: what float32 cannot hold becomes
        infinite. An empty bag gives zeros. A table of half precision gives the bits of the same
        table in float32.

    Raises
    ------
    IndexError
        If a row number is neither -1 nor a row of the table.
    TypeError, ValueError
        If an argument is not as described, or a used row has NaN or infinity.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> table = np.array([[1, 0], [0, 2], [4, 4]], np.float32)
    >>> vr.pool(table, [[0, 1], [-1, 2], []]).tolist()
    [[1.0, 2.0], [4.0, 4.0], [0.0, 0.0]]
    """
    x = check_rows(table, "table").values
    bags = _ragged_checks.check_ragged(rows, "rows")
    code = _scalars.check_choice(mode, "mode", _MODES)
    if weights is not None and mode == "max":
        raise ValueError("weights: expected none with mode 'max', got some")
    w = (
        None
        if weights is None
        else _ragged_checks.check_entry_weights(weights, "weights", bags, "`rows`")
    )
    normalize = _scalars.check_bool(normalize, "normalize")
    if normalize and w is not None:
        w = _within_range(w, bags)
    limit = -1 if first is None else _scalars.check_positive_int(first, "first")
    limit = min(limit, np.iinfo(np.int64).max)
    return _core.pool(
        x, bags.values, bags.offsets, w, code, limit,
        normalize, _scalars.check_threads(threads),
    )  # fmt: skip


def _within_range(weights: npt.NDArray[np.float64], bags: Ragged) -> npt.NDArray[np.float64]:
    """Scale the weights of bags whose sums might overflow: their directions stay the same.

    By powers of two, so that the bits of what is normalized do, too.
    """
    sizes = np.abs(weights)
    if not weights.size or sizes.max() < _HUGE:
        return weights
    users = row_of_each(bags)
    largest = np.zeros(len(bags))
    np.maximum.at(largest, users, sizes)
    exponents = np.where(largest < _HUGE, 0, np.frexp(largest)[1])
    return np.ldexp(weights, -exponents[users])


def concat_blocks(
    blocks: Sequence[npt.ArrayLike], weights: npt.ArrayLike | None = None
) -> npt.NDArray[np.float32]:
    """Concatenate vectors side by side, each block scaled by the square root of its weight.

    One inner product of two such vectors is then the weighted sum of the blocks' inner products
    (the "bnb" vectors of a news recommender: tags, topics and categories in one).

    Parameters
    ----------
    blocks : sequence of array_like of float, shapes (n, d_b)
        At least one block.
    weights : array_like of float, shape (n_blocks,), optional
        Finite, >= 0; default 1.

    Returns
    -------
    ndarray of float32, shape (n, sum of d_b)
        Scaled in float64, rounded once.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> vr.concat_blocks([np.ones((1, 2)), np.ones((1, 1))], weights=[4, 1]).tolist()
    [[2.0, 2.0, 1.0]]
    """
    matrices = members(blocks)
    if matrices is None:
        raise TypeError(f"blocks: expected a sequence of matrices, got {type(blocks).__name__}")
    if not matrices:
        raise ValueError("blocks: expected at least one matrix, got none")
    parts = [_validation.check_vectors(b, f"blocks[{i}]") for i, b in enumerate(matrices)]
    for i, part in enumerate(parts):
        if len(part) != len(parts[0]):
            raise ValueError(
                f"blocks[{i}]: expected {_scalars.counted(len(parts[0]), 'row')}, got {len(part)}"
            )
    w = (
        np.ones(len(parts))
        if weights is None
        else _validation.check_weights(weights, "weights", len(parts))
    )
    if (w < 0).any():
        raise ValueError(f"weights: expected numbers >= 0, got {w.min()}")
    with _core.FpEnvironment():
        wide = np.concatenate(
            [
                part.astype(np.float64) * weight
                for part, weight in zip(parts, np.sqrt(w), strict=True)
            ],
            axis=1,
        )
    narrow, row = _core.narrow(np.ascontiguousarray(wide))
    if row >= 0:
        raise ValueError(
            f"weights: expected products that fit float32, got an overflow in row {row}"
        )
    return narrow
