"""Factors of the matrix of users and items, by a truncated singular value decomposition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.train import _embedding
from vecrecall.train._columns import Column, check_keys, check_numbers, number, numbering
from vecrecall.train._embedding import Embedding
from vecrecall.train._training import Arrays, Progress, Stop, Training


class Factors(NamedTuple):
    """Users and items in one space, compared by inner product.

    Attributes
    ----------
    users : Embedding
        The sum of the user's items, each times its weight.
    items : Embedding
        Orthonormal columns: the directions in which users differ most, the first most of all.
        Where the matrix has a lower rank, the columns beyond it are zero in both.
    """

    users: Embedding
    items: Embedding


def factors(
    users: Column,
    items: Column,
    *,
    weights: Column | None = None,
    dim: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Factors:
    """Factorize the matrix of users and items (PureSVD).

    The matrix has a row per user and a column per item, and is zero where a user has no item. Its
    best approximation of rank `dim` is the inner products of users and items. A user who comes
    later, or has new items, is the sum of their items: ``vr.pool(items.matrix, rows)``.

    Parameters
    ----------
    users, items : columns of hashable, n of each
        Row ``i`` says that a user has an item.
    weights : column of float, optional
        What the matrix has there; those of equal pairs are added up. By default it is 1, however
        often a pair occurs.
    dim : int
        Number of factors; at most one less than there are users and items.
    seed : int
        Of the first vector of the iteration. One seed gives the same bits on one machine; if the
        matrix has a lower rank than `dim`, with SciPy 1.17 or newer only.
    progress : callable, optional
        Called with a `TrainingProgress` several times per second. There is one epoch, whose share
        is not known.
    stop : threading.Event or callable, optional
        Once it is set or true, the iteration ends with a `TrainingStoppedError`: there are no
        factors before its end, and no checkpoints.

    Returns
    -------
    Factors
        The pair ``users, items`` of Embeddings, metric ``"ip"``, with keys in the order in which
        they first came.

    Raises
    ------
    TypeError, ValueError
        If a column is not as described, with its name and row, or has fewer than two keys.
    TrainingStoppedError
        If a stop was asked for.
    ImportError
        If scipy is missing (``pip install 'vecrecall[train]'``).

    References
    ----------
    Cremonesi, Koren and Turrin, "Performance of Recommender Algorithms on Top-N Recommendation
    Tasks", RecSys 2010 (PureSVD).

    Examples
    --------
    >>> import scipy
    >>> from vecrecall.train import factors
    >>> users = ["ann", "ann", "bob", "bob", "cid", "cid", "cid"]
    >>> items = ["tea", "milk", "tea", "milk", "nail", "saw", "tea"]
    >>> found = factors(users, items, dim=2)
    >>> [key for key, _ in found.items.nearest("nail", k=1)]
    ['saw']
    """
    user_keys = check_keys(users, "users")
    item_keys = check_keys(items, "items", len(user_keys))
    values = None if weights is None else check_numbers(weights, "weights", len(user_keys))
    dim = _scalars.check_positive_int(dim, "dim")
    seed = _scalars.check_int(seed, "seed", 0)
    rows, columns = numbering(user_keys), numbering(item_keys)
    for name, found in (("users", rows), ("items", columns)):
        if len(found) < 2:
            raise ValueError(f"{name}: expected at least 2 different keys, got {len(found)}")
    shape = (len(rows), len(columns))
    matrix = _matrix(number(user_keys, rows), number(item_keys, columns), values, shape)
    solved = _Solved(np.empty((0, 0)))
    training = Training("factors", 1, progress, stop)
    rank = min(dim, min(shape) - 1)

    def solve(epoch: int) -> float:
        solved.table = _right_vectors(matrix, rank, seed, lambda: training.step(0.0))
        return float(1 - np.square(matrix @ solved.table).sum() / np.square(matrix.data).sum())

    training.run(solved, solve)
    settings = {"dim": dim, "weights": weights is not None, "seed": seed}
    sizes = {"rows": len(user_keys), "users": shape[0], "items": shape[1], "pairs": matrix.nnz}
    about = {
        **_embedding.about("factors", settings, sizes, ["scipy"]),
        **training.about(),
    }
    return Factors(
        Embedding(list(rows), matrix @ solved.table, metric="ip", about=about),
        Embedding(list(columns), solved.table, metric="ip", about=about),
    )


class _Solved:
    """The result of the one epoch."""

    def __init__(self, table: npt.NDArray[np.float64]) -> None:
        self.table = table

    def arrays(self) -> Arrays:
        return {"table": self.table}

    def result(self, into: Arrays | None = None) -> Arrays:
        return self.arrays()

    def restore(self, arrays: Any) -> None:
        self.table = arrays["table"]


def _matrix(
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32] | None,
    shape: tuple[int, int],
) -> Any:
    """Build a sparse matrix; equal pairs are added up, or count once without values."""
    sparse = needed("scipy.sparse", "train", "factors")
    data = np.ones(len(rows)) if values is None else values.astype(np.float64)
    found = sparse.csr_array(sparse.coo_array((data, (rows, columns)), shape=shape))
    if values is None:
        found.data[:] = 1
    if not found.data.any():
        raise ValueError("weights: expected some that are not zero, got zeros only")
    return found


def _right_vectors(
    matrix: Any, rank: int, seed: int, step: Callable[[], None]
) -> npt.NDArray[np.float64]:
    """Compute the right singular vectors, those of the largest values first, else zeros."""
    is_wide = matrix.shape[0] < matrix.shape[1]
    narrow = matrix.T if is_wide else matrix
    own, _ = np.linalg.qr(_gram_vectors(narrow, rank, seed, step))
    # Values by the products themselves: as roots of eigenvalues, half of their digits are lost.
    others, values, turn = np.linalg.svd(narrow @ own, full_matrices=False)
    found = others if is_wide else own @ turn.T
    is_zero = values <= np.finfo(np.float64).eps * max(matrix.shape) * values[0]
    found[:, is_zero] = 0  # any direction would do, so that the one found says nothing
    return np.ascontiguousarray(found)


def _gram_vectors(
    narrow: Any, rank: int, seed: int, step: Callable[[], None]
) -> npt.NDArray[np.float64]:
    """Compute eigenvectors of the products of a matrix's columns, which are never all in memory."""
    linalg = needed("scipy.sparse.linalg", "train", "factors")
    base: Any = linalg.LinearOperator
    size = narrow.shape[1]

    class Gram(base):  # type: ignore[misc]
        """The products, which report each use, so that the iteration can be ended."""

        def _matvec(self, x: Any) -> Any:
            step()
            return narrow.T @ (narrow @ x)

    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {"v0": rng.standard_normal(size)}
    if "rng" in inspect.signature(linalg.eigsh).parameters:  # of SciPy 1.17
        options["rng"] = rng  # for starts again, once a rank below is used up
    _, found = linalg.eigsh(Gram(np.float64, (size, size)), k=rank, **options)
    return np.asarray(found)
