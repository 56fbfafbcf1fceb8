"""hnswlib: exact indexes of what its graphs hold, and graphs over our items."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.adapters._flat import Items, items_of
from vecrecall.arrays import _scalars
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._reloading import ReloadingIndex

MOST_LINKS = 10_000  # hnswlib takes no more
LARGEST = 2**31 - 1


def to_hnswlib(
    index: FlatIndex | ReloadingIndex,
    *,
    M: int = 16,  # noqa: N803 - hnswlib's name
    ef_construction: int = 200,
    seed: int = 100,
    threads: int | None = None,
) -> Any:
    """Build a graph of hnswlib over the items.

    Parameters
    ----------
    index : FlatIndex or ReloadingIndex
        Without a bias, which hnswlib cannot express.
    M : int
        Links per item, 2 to 10,000.
    ef_construction : int
        How widely links are searched for.
    seed : int
        Of the items' levels, >= 0. With one thread the same seed gives the same graph.
    threads : int, optional
        Threads for the build; default `get_num_threads`.

    Returns
    -------
    hnswlib.Index
        Its space has the metric's name and its labels are the ids. It has room for these items:
        ``resize_index`` makes more. Under cosine hnswlib keeps rows divided by their length.

    Raises
    ------
    ImportError
        If hnswlib is not installed.
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    hnswlib's distances are 1 minus our score under ip and cosine, and minus our score under l2.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr, vecrecall.adapters.hnswlib as adapter
    >>> graph = adapter.to_hnswlib(vr.FlatIndex(np.eye(3, dtype=np.float32), ids=[7, 8, 9]))
    >>> graph.knn_query(np.array([[1, 0, 2]], np.float32), k=2)[0].tolist()
    [[9, 7]]
    """
    hnswlib = needed("hnswlib", "hnswlib", "to_hnswlib")
    whole, (ids, rows) = items_of(index)
    links = _scalars.check_int_between(M, "M", 2, MOST_LINKS)
    width = _scalars.check_int_between(ef_construction, "ef_construction", 1, LARGEST)
    first = _scalars.check_int_between(seed, "seed", 0, LARGEST)
    n_threads = _scalars.check_threads(threads)
    graph = hnswlib.Index(space=whole.metric, dim=whole.dim)
    graph.init_index(max(len(ids), 1), M=links, ef_construction=width, random_seed=first)
    if len(ids):
        graph.add_items(rows, ids, num_threads=n_threads)
    return graph


def from_hnswlib(index: Any) -> FlatIndex:
    """Make an exact index of the vectors that an hnswlib index holds.

    Parameters
    ----------
    index : hnswlib.Index
        A `BFIndex` gives no vectors back.

    Returns
    -------
    FlatIndex
        Its metric has the space's name, its ids are the labels, ascending. Items that were marked
        as deleted are not in it. Under cosine the vectors are those that hnswlib keeps, divided
        by their length.

    Raises
    ------
    ImportError
        If hnswlib is not installed.
    TypeError, ValueError
        If `index` is not as described, was neither initialized nor loaded, or holds a label over
        ``2**63 - 1``, a vector with NaN or infinity, or under cosine a zero vector.

    Examples
    --------
    >>> import hnswlib, numpy as np, vecrecall.adapters.hnswlib as adapter
    >>> theirs = hnswlib.Index(space="l2", dim=2)
    >>> theirs.init_index(max_elements=9)
    >>> theirs.add_items(np.array([[1, 0], [3, 3]], np.float32), [4, 5])
    >>> r = adapter.from_hnswlib(theirs).search(np.array([[2, 3]], np.float32), 1)
    >>> r.ids.tolist(), r.scores.tolist()
    ([[5]], [[-1.0]])
    """
    hnswlib = needed("hnswlib", "hnswlib", "from_hnswlib")
    if isinstance(index, hnswlib.BFIndex):
        raise TypeError("index: expected an hnswlib.Index, got a BFIndex, which gives no vectors")
    if not isinstance(index, hnswlib.Index):
        raise TypeError(f"index: expected an hnswlib.Index, got {type(index).__name__}")
    if not index.max_elements:
        raise ValueError("index: expected one with items, got one before init_index or load_index")
    ids, rows = _held(index, _labels(index))
    try:
        return FlatIndex(rows, ids, metric=index.space)
    except ValueError as error:
        raise ValueError(f"index: expected usable items; of what it holds, {error}") from None


def _labels(index: Any) -> npt.NDArray[np.int64]:
    labels = np.sort(np.array(index.get_ids_list(), np.uint64))
    if labels.size and labels[-1] > np.iinfo(np.int64).max:
        raise ValueError(f"index: expected labels that fit int64, got {labels[-1]}")
    return labels.astype(np.int64)


def _held(index: Any, labels: npt.NDArray[np.int64]) -> Items:
    """Copy out what is not deleted; hnswlib tells a deleted label only by refusing it."""
    if not labels.size:
        return labels, np.empty((0, index.dim), np.float32)
    try:
        return labels, index.get_items(labels)
    except RuntimeError:
        if labels.size == 1:
            return labels[:0], np.empty((0, index.dim), np.float32)
    parts = [_held(index, half) for half in np.array_split(labels, 2)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
