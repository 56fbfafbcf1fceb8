"""Top-K without an index kept."""

import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._row_types import check_rows
from vecrecall.search._flat_index import METRICS, usable_rows
from vecrecall.search._protocol import Metric


def topk(
    queries: npt.ArrayLike,
    items: npt.ArrayLike,
    k: int,
    *,
    metric: Metric = "ip",
    threads: int | None = None,
) -> SearchResult:
    """Find the `k` best items of every query without keeping an index.

    Parameters
    ----------
    queries : array_like of real numbers, shape (nq, d), or (d,) for one
    items : array_like of real numbers, shape (n, d)
        Item ids are row numbers. Half precision is taken as it lies.
    k : int
        List length, >= 1.
    metric : {"ip", "cosine", "l2"}
    threads : int, optional

    Returns
    -------
    SearchResult
        The same bits as ``FlatIndex(items, metric=metric).search(queries, k)``.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr
    >>> vr.topk(np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32), 1).ids.tolist()
    [[0]]
    """
    code = _scalars.check_choice(metric, "metric", METRICS)
    x = check_rows(items, "items").values
    usable_rows(x, None, metric, False, "items")
    q = _validation.check_queries(queries, "queries", x.shape[1])
    k = _scalars.check_list_length(k, len(q))
    return SearchResult(*_core.topk(q, x, code, k, _scalars.check_threads(threads)), metric)
