"""FAISS: IVF indexes made by our kernels; flat indexes from and to FAISS."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall._extras import needed
from vecrecall.adapters._flat import Items, items_of
from vecrecall.adapters._spherical import lloyd, unit_rows
from vecrecall.adapters.backends._faiss_threads import FaissThreads
from vecrecall.arrays import _ids, _scalars, _validation
from vecrecall.arrays._typing import F32, I64
from vecrecall.cluster._draws import Draws
from vecrecall.cluster._kmeans import KMeans
from vecrecall.cluster._lloyd import Run
from vecrecall.search._flat_index import METRICS, FlatIndex
from vecrecall.search._protocol import Metric
from vecrecall.search._reloading import ReloadingIndex


def train_ivf(
    vectors: npt.ArrayLike,
    nlist: int,
    *,
    ids: npt.ArrayLike | None = None,
    metric: Metric = "ip",
    storage: str = "Flat",
    max_iter: int = 10,
    points_per_list: int = 256,
    seed: int = 0,
    callback: Callable[[int, float], object] | None = None,
    threads: int | None = None,
) -> Any:
    """Make a FAISS IVF index whose centroids and lists our kernels compute.

    The result is FAISS's own: it searches, saves and loads it, and may add to it.

    Parameters
    ----------
    vectors : array_like of float, shape (n, d)
        The items.
    nlist : int
        Number of inverted lists, at most `n`; unless under ``"l2"`` at most the number of vectors
        that are not zero.
    ids : array_like of int, shape (n,), optional
        Unique ids >= 0; default ``arange(n)``.
    metric : {"ip", "l2", "cosine"}
        The index has FAISS's inner product or L2. FAISS has no cosine: the rows are then stored
        with length one, under inner product. Queries give cosines when they have length one, and
        the same order of items when they do not.
    storage : str
        How lists keep their items, as FAISS's ``index_factory`` calls it: what follows
        ``"IVF{nlist},"``, for example ``"Flat"``, ``"SQ8"``, ``"PQ16"``. FAISS trains the
        encoder. Where it insists on assigning the items itself (fast scan such as ``"PQ16x4fs"``,
        ``"FlatDedup"``) it is an error; ``faiss.IndexIVFPQFastScan(index)`` makes a fast-scan
        index of one with ``"PQ16x4"``.
    max_iter : int
        Iterations of k-means.
    points_per_list : int
        k-means runs on a uniform sample of so many vectors per list, where there are more. The
        defaults of this and `max_iter` are those of FAISS.
    seed : int
        Of the sample and the first centroids, which are drawn from the vectors, >= 0.
    callback : callable, optional
        Called after each iteration with its number, from 1, and the inertia that was found in it.
    threads : int, optional
        Ours and FAISS's; default `get_num_threads`.

    Returns
    -------
    faiss.IndexIVF
        Every item is in the list of its nearest centroid, exactly as `assign` finds it under the
        metric of the index. The centroids of an inner-product index have length one, as those that
        FAISS trains; a zero vector, which all of them suit equally, is in list 0.

    Raises
    ------
    ImportError
        If FAISS is not installed.
    TypeError, ValueError
        If an argument is not as described.
    RuntimeError
        If FAISS cannot train the encoder, for example because ``"PQ16"`` needs 256 vectors.

    Examples
    --------
    >>> import numpy as np, vecrecall.adapters.faiss as adapter
    >>> items = np.array([[0, 1], [0, 2], [9, 9], [8, 9]], np.float32)
    >>> index = adapter.train_ivf(items, 2, ids=[10, 20, 30, 40], metric="l2")
    >>> index.search(np.array([[8, 8]], np.float32), 2)[1].tolist()
    [[40, 30]]
    """
    faiss = needed("faiss", "faiss", "train_ivf")
    _scalars.check_choice(metric, "metric", METRICS)
    n_threads = _scalars.check_threads(threads)
    x = _validation.check_vectors(vectors, "vectors")
    numbers = None if ids is None else _ids.check_ids(ids, "ids", len(x))
    if numbers is not None:
        _core.check_ids(numbers)
    per_list = _scalars.check_positive_int(points_per_list, "points_per_list")
    lists = _n_lists(nlist, x, metric)
    index = _untrained(faiss, x.shape[1], lists, storage, metric)
    if metric == "cosine":
        x = unit_rows(x)
    model = KMeans(
        lists,
        metric="l2" if metric == "l2" else "cosine",
        init="random",
        max_iter=max_iter,
        tol=0,
        random_state=_scalars.check_int(seed, "seed", 0),
        callback=callback,
        threads=n_threads,
    )
    centroids = _centroids(model, x, lists * per_list)
    code = _core.Metric.l2 if metric == "l2" else _core.Metric.ip
    labels = _core.assign(x, centroids, 1, code, n_threads)[0].ravel().astype(np.int64)
    with FaissThreads(faiss, n_threads):
        index.quantizer.add(centroids)
        index.train(x)  # only the encoder: the quantizer has its centroids
        pointers = [None if a is None else faiss.swig_ptr(a) for a in (x, numbers, labels)]
        index.add_core(len(x), *pointers)
    return index


def _n_lists(nlist: object, x: F32, metric: Metric) -> int:
    """Check that there are enough vectors for the centroids."""
    lists = _scalars.check_positive_int(nlist, "nlist")
    usable = len(x)
    of_what = "vectors"
    if metric != "l2":
        usable -= int(np.count_nonzero(_core.zero_rows(x)))
        of_what = f"vectors that are not zero (metric {metric!r})"
    if lists > usable:
        raise ValueError(f"nlist: expected at most {usable}, the number of {of_what}, got {lists}")
    return lists


def _untrained(faiss: Any, dim: int, lists: int, storage: object, metric: Metric) -> Any:
    """Let FAISS make an empty index, of a kind that takes lists computed beforehand."""
    expected = "what FAISS's index_factory takes after 'IVF{nlist},', such as 'Flat' or 'SQ8'"
    if not isinstance(storage, str):
        raise TypeError(f"storage: expected {expected}, got {type(storage).__name__}")
    code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    try:
        index = faiss.index_factory(dim, f"IVF{lists},{storage}", code)
    except RuntimeError as error:
        raise ValueError(
            f"storage: expected {expected}, got {storage!r} for width {dim}"
        ) from error
    if not isinstance(index, faiss.IndexIVF):
        raise ValueError(f"storage: expected that of an IVF index, got {storage!r}")
    if isinstance(index, (faiss.IndexIVFFastScan, faiss.IndexIVFFlatDedup)):
        raise ValueError(
            f"storage: expected one that takes lists computed beforehand, got {storage!r}"
        )
    return index


def _centroids(model: KMeans, x: F32, size: int) -> F32:
    """Run k-means on a sample, without the assignment that `KMeans.fit` ends with."""
    draws = Draws(model.random_state)
    sample = _sample(x, model.metric, size, draws)
    run = Run(model, sample)
    first = run.first_centers(draws)
    if model.metric == "l2":
        return run.lloyd(first)[0]
    return lloyd(sample, first, run.max_iter, run.callback, run.threads)


def _sample(x: F32, metric: Metric, size: int, draws: Draws) -> F32:
    """Draw rows at random; but for L2 without zeros, which have no direction."""
    if metric == "l2":
        return x if len(x) <= size else x[draws.subset(len(x), size)]
    usable = np.flatnonzero(~_core.zero_rows(x).astype(bool))
    if usable.size > size:
        return x[usable[draws.subset(usable.size, size)]]
    return x if usable.size == len(x) else x[usable]


def to_faiss(index: FlatIndex | ReloadingIndex) -> Any:
    """Copy the items into a flat index of FAISS.

    Parameters
    ----------
    index : FlatIndex or ReloadingIndex
        Without a bias, which FAISS cannot express.

    Returns
    -------
    faiss.IndexFlatIP, faiss.IndexFlatL2 or faiss.IndexIDMap2
        The last, around one of the others, unless ids are ``arange(n)``. FAISS has no cosine: the
        rows are then stored with length one, under inner product. Under L2 its distances are ours
        without the minus.

    Raises
    ------
    ImportError
        If FAISS is not installed.
    TypeError, ValueError
        If `index` is not as described.

    Examples
    --------
    >>> import numpy as np, vecrecall as vr, vecrecall.adapters.faiss as adapter
    >>> index = adapter.to_faiss(vr.FlatIndex(np.eye(3, dtype=np.float32), ids=[7, 8, 9]))
    >>> index.search(np.array([[1, 0, 2]], np.float32), 2)[1].tolist()
    [[9, 7]]
    """
    faiss = needed("faiss", "faiss", "to_faiss")
    whole, (ids, rows) = items_of(index)
    if whole.metric == "l2":
        flat = faiss.IndexFlatL2(whole.dim)
    else:
        flat = faiss.IndexFlatIP(whole.dim)
        rows = unit_rows(rows) if whole.metric == "cosine" else rows
    if np.array_equal(ids, np.arange(len(ids))):
        flat.add(rows)
        return flat
    named = faiss.IndexIDMap2(flat)
    named.add_with_ids(rows, ids)
    return named


def from_faiss(index: Any) -> FlatIndex:
    """Make an exact index of the vectors that a FAISS index holds.

    Parameters
    ----------
    index : faiss.Index
        Under inner product or L2, and one that keeps the vectors as they came: flat, IVF flat,
        HNSW, NSG or NNDescent over a flat storage, one that refines its answers by a flat index,
        or an `IndexIDMap` around such an index.

    Returns
    -------
    FlatIndex
        With the ids of the index, ascending where it is IVF; its metric is ``"ip"`` or ``"l2"``.

    Raises
    ------
    ImportError
        If FAISS is not installed.
    TypeError, ValueError
        If `index` is not as described, is not trained, holds an id twice or a negative one, or a
        vector with NaN or infinity.

    Examples
    --------
    >>> import faiss, numpy as np, vecrecall.adapters.faiss as adapter
    >>> theirs = faiss.index_factory(2, "HNSW8")
    >>> theirs.add(np.array([[1, 0], [0, 1], [3, 3]], np.float32))
    >>> adapter.from_faiss(theirs).search(np.array([[2, 3]], np.float32), 1).scores.tolist()
    [[-1.0]]
    """
    faiss = needed("faiss", "faiss", "from_faiss")
    if not isinstance(index, faiss.Index):
        raise TypeError(
            f"index: expected a FAISS index of float vectors, got {type(index).__name__}"
        )
    metric = _metric_of(faiss, index)
    if not index.is_trained:
        raise ValueError(f"index: expected a trained one, got {type(index).__name__} without train")
    ids, rows = _held(faiss, index)
    try:
        return FlatIndex(rows, ids, metric=metric)
    except ValueError as error:
        raise ValueError(f"index: expected usable items; of what it holds, {error}") from None


def _metric_of(faiss: Any, index: Any) -> Metric:
    if index.metric_type == faiss.METRIC_INNER_PRODUCT:
        return "ip"
    if index.metric_type == faiss.METRIC_L2:
        return "l2"
    names = {getattr(faiss, name): name for name in dir(faiss) if name.startswith("METRIC_")}
    found = names.get(index.metric_type, f"number {index.metric_type}")
    raise ValueError(f"index: expected METRIC_INNER_PRODUCT or METRIC_L2, got {found}")


def _held(faiss: Any, index: Any) -> Items:
    """Copy out ids and vectors, through what wraps them."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexIDMap):
        return _renamed(faiss.vector_to_array(index.id_map), *_held(faiss, index.index))
    if isinstance(index, faiss.IndexRefine):
        return _held(faiss, index.refine_index)
    if isinstance(index, (faiss.IndexHNSW, faiss.IndexNSG, faiss.IndexNNDescent)):
        return _held(faiss, index.storage)
    if isinstance(index, faiss.IndexFlat):
        return np.arange(index.ntotal), index.reconstruct_n(0, index.ntotal)
    if type(index) is faiss.IndexIVFFlat:  # those derived from it lay their lists out otherwise
        return _in_lists(index)
    raise ValueError(
        "index: expected one that holds its vectors as they came, not codes or something made of "
        f"them, got {type(index).__name__}"
    )


def _renamed(names: I64, ids: I64, rows: F32) -> Items:
    """Give the items of an index the ids by which an IndexIDMap around it calls them."""
    if not np.array_equal(np.sort(ids), np.arange(names.size)):
        raise ValueError(
            f"index: expected an IndexIDMap that names all items of its index, got {names.size} "
            f"names for {ids.size} items (FAISS cannot remove from this combination)"
        )
    return names[ids], rows


def _in_lists(index: Any) -> Items:
    """Collect what is in the inverted lists, by ascending id."""
    read = needed("faiss.contrib.inspect_tools", "faiss", "from_faiss").get_invlist
    parts = [read(index.invlists, number) for number in range(index.nlist)]
    ids = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts]).view(np.float32)
    order = np.argsort(ids, kind="stable")
    return ids[order], rows[order]
