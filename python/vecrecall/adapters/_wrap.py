"""From an index of another library to one that searches as ours do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.adapters._items import Items
from vecrecall.adapters._labels import aligned
from vecrecall.adapters._wrapped_index import WrappedIndex
from vecrecall.adapters.backends._faiss import FaissBackend
from vecrecall.adapters.backends._hnswlib import hnswlib_backend
from vecrecall.adapters.backends._protocol import Backend
from vecrecall.adapters.backends._scann import ScannBackend
from vecrecall.adapters.backends._usearch import UsearchBackend
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._flat_index import METRICS, FlatIndex
from vecrecall.search._ivf_index import IVFIndex
from vecrecall.search._protocol import Metric, frozen
from vecrecall.search._reloading import ReloadingIndex

Vectors = npt.ArrayLike | FlatIndex | ReloadingIndex

# By the top-level module that an index's class comes from.
_BACKENDS: dict[str, Callable[[Any], Backend]] = {
    "faiss": FaissBackend,
    "hnswlib": hnswlib_backend,
    "scann": ScannBackend,
    "usearch": UsearchBackend,
}


def wrap(
    index: Any,
    ids: npt.ArrayLike | None = None,
    *,
    metric: Metric | None = None,
    vectors: Vectors | None = None,
) -> WrappedIndex:
    """Make an index of FAISS, hnswlib, usearch or ScaNN search as a `FlatIndex` does.

    Parameters
    ----------
    index : object
        A trained, filled index of float vectors. It is not copied and must not change: where its
        number of items does, searches raise.
    ids : array_like of int, shape (n,), optional
        The item ids of its rows; default the index's own labels. Where a library does not keep
        the order of rows (hnswlib, usearch, FAISS IVF without an IDMap), these are either its
        labels, in the order of `vectors`, or the labels are 0 to n - 1, and label j stands for
        ``ids[j]``. Where it could be both, the vectors decide, else it is the latter.
    metric : str, optional
        ``"ip"``, ``"cosine"`` or ``"l2"``; default that of the index. hnswlib's BFIndex does not
        tell whether it is ``"ip"`` or ``"cosine"``. ``"cosine"`` is also possible over an index by
        inner product whose rows have length one: queries are then divided by their lengths.
    vectors : array_like of float, shape (n, d), FlatIndex or ReloadingIndex, optional
        The items' own vectors, in the order of the ids, or of the ascending labels where no ids
        are given and the library keeps no order (an index has its own ids, and is taken as it is
        now, whatever updates it later). C-contiguous float32 is borrowed, and must not change.
        Some are compared with what the index holds, where it gives that back. With them what the
        library finds gets exact scores, the order of ties is by id, and a list that filters leave
        short, after the library was asked twice for more, comes from an exact scan.

    Returns
    -------
    WrappedIndex

    Raises
    ------
    TypeError
        If the index is not of one of these libraries, or is a binary one.
    ValueError
        If it is untrained, or the ids, the metric or the vectors do not suit it.

    Notes
    -----
    Scores are larger for better items. Without `vectors` they are the library's own, of float32
    or less: FAISS's squared distances with their sign changed, and 1 minus the distance of
    libraries that return ``1 - score``, with the error that this brings.

    `exclude`, `allow` and `min_score` hold in every list; `min_score` cuts the list that would have
    come without it, so what the library overlooks stays overlooked. Where the library has a filter
    of its own it is used; where not, and for ids excluded per query, it is asked for more
    candidates, four times as many in each of at most six rounds (two with `vectors`). Entries still
    missing then show in ``counts``. Exact indexes (FAISS Flat, hnswlib BFIndex, ScaNN brute force)
    with `vectors` give the lists of `FlatIndex`, bit for bit: where rounding leaves it open which
    items are the best, more candidates are reranked.

    Examples
    --------
    >>> import faiss, numpy as np, vecrecall as vr
    >>> x = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> library = faiss.IndexFlatL2(2)
    >>> library.add(x)
    >>> index = vr.wrap(library, ids=[10, 20, 30], vectors=x)
    >>> r = index.search(np.array([[1, 0]], np.float32), 2, exclude=[[10]])
    >>> r.ids.tolist(), r.scores.tolist()
    ([[30, 20]], [[-1.0, -2.0]])
    """
    backend = _backend(index)
    chosen = _metric(backend, metric)
    numbers = None if ids is None else _given_ids(ids, backend.size())
    given = None if vectors is None else given_vectors(backend, chosen, vectors)
    if isinstance(given, FlatIndex):
        _check_ids(given, backend.labels() if numbers is None else numbers)
    items = aligned(backend, chosen, numbers, given)
    exact = None if given is None else exact_index(given, items, chosen)
    return WrappedIndex(backend, items, exact, chosen, {})


def given_vectors(backend: Backend, metric: Metric, vectors: Vectors) -> F32 | FlatIndex:
    """Check that vectors suit an index, whichever of its items each is of."""
    given = frozen(vectors)
    if not isinstance(given, FlatIndex):
        rows = _validation.check_vectors(given, "vectors", backend.dim)
        if len(rows) != backend.size():
            raise ValueError(
                f"vectors: expected {backend.size()} rows, one per item, got {len(rows)}"
            )
        if metric == "cosine":
            _validation.check_directions(rows, "vectors")
        return rows
    if given._has_bias:
        raise ValueError("vectors: expected items without a bias, which the library does not know")
    if given.metric != metric or given.dim != backend.dim:
        raise ValueError(
            f"vectors: expected an index of metric {metric!r} and width {backend.dim}, "
            f"got {given.metric!r} and {given.dim}"
        )
    if isinstance(given, IVFIndex):
        given._usual = _core.EXACT_PROBES  # a view of our own
    return given


def exact_index(given: F32 | FlatIndex, items: Items, metric: Metric) -> FlatIndex:
    """Make the exact index of the items, unless it is there."""
    if isinstance(given, FlatIndex):
        _check_ids(given, items.ids)
        return given
    return FlatIndex(given, items.ids, metric=metric, copy=False)


def _backend(index: Any) -> Backend:
    for kind in type(index).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _BACKENDS:
            return _BACKENDS[library](index)
    *others, last = _BACKENDS
    module = type(index).__module__.removeprefix("builtins")
    raise TypeError(
        f"index: expected an index of {', '.join(others)} or {last}, "
        f"got {module}{'.' if module else ''}{type(index).__qualname__}"
    )


def _given_ids(ids: npt.ArrayLike, n: int) -> I64:
    numbers = _ids.check_ids(ids, "ids", n)
    if numbers.size and numbers.min() < 0:
        raise ValueError(f"ids: expected ids >= 0, got {numbers.min()}")
    return numbers


def _metric(backend: Backend, metric: Metric | None) -> Metric:
    if metric is None:
        if not backend.tells_metric:
            raise ValueError(
                "metric: expected 'ip' or 'cosine', since this kind of index does not tell it, "
                "got None"
            )
        return backend.metric
    _scalars.check_choice(metric, "metric", METRICS)
    if metric != backend.metric and (metric, backend.metric) != ("cosine", "ip"):
        raise ValueError(f"metric: expected {backend.metric!r}, as the index has, got {metric!r}")
    return metric


def _check_ids(vectors: FlatIndex, ids: I64) -> None:
    if not np.array_equal(np.sort(vectors.ids), np.sort(ids)):
        raise ValueError("vectors: expected an index of the same ids, got other ids")
