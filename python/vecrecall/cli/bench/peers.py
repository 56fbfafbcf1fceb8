"""Who is compared: how each builds its index, and finds the k best of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall._runtime import set_isa, set_num_threads
from vecrecall.search._flat_index import FlatIndex

F32 = npt.NDArray[np.float32]
Metric = Literal["ip", "cosine", "l2"]
Search = Callable[[F32, int], Any]

OURS = "vecrecall"
SCORES = 1 << 27  # of a matrix that torch keeps at a time: 512 MB in float32
NEAR = 1 << 24  # the same for NumPy and scikit-learn: they take half as long where scores are near


def _no_search_param(value: int) -> None:
    """Set nothing: there is no search_param."""


class BuiltIndex(NamedTuple):
    """An index that is built.

    Attributes
    ----------
    search : callable
        From queries and k to ids, a row a query.
    set : callable
        Takes a value of the peer's search_param.
    """

    search: Search
    set: Callable[[int], None] = _no_search_param


class Peer(NamedTuple):
    """A way to find the best items. Under ``"cosine"`` rows and queries have length one.

    Attributes
    ----------
    package, module : str
        What is installed, and what is imported.
    exact : bool
        Whether its lists are exact, near ties in float32 aside.
    build : callable
        From items, metric and threads to a `BuiltIndex`.
    search_param : str
        What can be set of a search.
    settings : tuple of int
        Values of the search_param, the default first.
    slow : bool
        Whether building takes minutes for a million items.
    width : int
        Bytes a number of what a search reads, where it reads all items; else 0.
    environment : dict
        Variables of its process.
    """

    package: str
    module: str
    exact: bool
    build: Callable[[F32, Metric, int], BuiltIndex]
    search_param: str = ""
    settings: tuple[int, ...] = ()
    slow: bool = False
    width: int = 4
    environment: dict[str, str] = {}  # noqa: RUF012  # never changed


def _ours(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    set_num_threads(threads)
    index = FlatIndex(items, metric=metric)
    return BuiltIndex(lambda q, k: index.search(q, k).ids)


def _ours_avx2(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    set_isa("avx2")
    return _ours(items, metric, threads)


def _scored(
    step: int, k_best: Callable[[F32, int], npt.NDArray[Any]], queries: F32, k: int
) -> npt.NDArray[Any]:
    """Go through a batch in parts of so many queries, or one at a time."""
    step = max(1, step)
    parts = [k_best(queries[at : at + step], k) for at in range(0, len(queries), step)]
    return np.concatenate(parts)


def _largest(scores: F32, k: int) -> npt.NDArray[np.int64]:
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def _numpy(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    transposed = items.T
    # Under l2: 2 q.x - x.x, which orders the items as -|q - x|^2 does.
    lengths = np.einsum("ij,ij->i", items, items) if metric == "l2" else None

    def k_best(q: F32, k: int) -> npt.NDArray[np.int64]:
        if lengths is None:
            return _largest(q @ transposed, k)
        scores: F32 = np.matmul(np.add(q, q), transposed)
        scores -= lengths
        return _largest(scores, k)

    return BuiltIndex(lambda q, k: _scored(NEAR // len(items), k_best, q, k))


def _scikit_learn(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    from sklearn.metrics.pairwise import euclidean_distances, linear_kernel

    lengths = np.einsum("ij,ij->i", items, items)[None] if metric == "l2" else None

    def k_best(q: F32, k: int) -> npt.NDArray[np.int64]:
        if lengths is None:
            return np.argpartition(linear_kernel(q, items), -k, axis=1)[:, -k:]
        distances = euclidean_distances(q, items, Y_norm_squared=lengths, squared=True)
        return np.argpartition(distances, k - 1, axis=1)[:, :k]

    return BuiltIndex(lambda q, k: _scored(NEAR // len(items), k_best, q, k))


def _torch(dtype: str) -> Callable[[F32, Metric, int], BuiltIndex]:
    def build(items: F32, metric: Metric, threads: int) -> BuiltIndex:
        import torch

        torch.set_num_threads(threads)
        rows = torch.from_numpy(items)
        lengths = (rows * rows).sum(1).to(getattr(torch, dtype)) if metric == "l2" else None
        transposed = rows.to(getattr(torch, dtype)).T

        def k_best(q: F32, k: int) -> npt.NDArray[Any]:
            queries = torch.from_numpy(q).to(transposed.dtype)
            if lengths is None:
                scores = queries @ transposed
            else:
                scores = torch.addmm(lengths, queries, transposed, alpha=2, beta=-1)
            found: npt.NDArray[Any] = torch.topk(scores, k).indices.numpy()
            return found

        return BuiltIndex(lambda q, k: _scored(SCORES // len(items), k_best, q, k))

    return build


def _faiss_code(metric: Metric) -> Any:
    import faiss

    return faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT


def _faiss(
    recipe: Callable[[int], str], search_param: str = "", settings: tuple[int, ...] = ()
) -> Callable[[F32, Metric, int], BuiltIndex]:
    """Build by a recipe of FAISS' index factory for so many items."""

    def build(items: F32, metric: Metric, threads: int) -> BuiltIndex:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(items.shape[1], recipe(len(items)), _faiss_code(metric))
        index.train(items[:: max(1, len(items) // 200_000)])
        index.add(items)

        def set_search_param(value: int) -> None:
            setattr(index, search_param, value)

        return BuiltIndex(
            lambda q, k: index.search(q, k)[1],
            set_search_param if search_param else _no_search_param,
        )

    return build


def _faiss_flat(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    return _faiss(lambda n: "Flat")(items, metric, threads)


def _faiss_flat_avx2(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    import faiss

    config = getattr(faiss, "SIMDConfig", None)  # not in older versions
    if config is not None and config.get_level_name() != "AVX2":
        raise RuntimeError(f"expected AVX2, FAISS runs on {config.get_level_name()}")
    return _faiss_flat(items, metric, threads)


def _faiss_panorama(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    import faiss

    faiss.omp_set_num_threads(threads)
    make = faiss.IndexFlatL2Panorama if metric == "l2" else faiss.IndexFlatIPPanorama
    d = items.shape[1]
    index = make(d, min(8, d))
    index.add(items)
    return BuiltIndex(lambda q, k: index.search(q, k)[1])


def _hnswlib_brute(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    import hnswlib

    index = hnswlib.BFIndex(space="l2" if metric == "l2" else "ip", dim=items.shape[1])
    index.init_index(max_elements=len(items))
    index.add_items(items)
    return BuiltIndex(lambda q, k: index.knn_query(q, k=k, num_threads=threads)[0])


def _hnswlib_graph(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    import hnswlib

    index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=16, ef_construction=200)
    index.add_items(items, num_threads=threads)

    def search(q: F32, k: int) -> Any:
        index.set_ef(max(k, chosen[0]))  # it does not take less than k
        return index.knn_query(q, k=k, num_threads=threads)[0]

    chosen = [0]

    def set_ef(ef: int) -> None:
        chosen[0] = ef

    return BuiltIndex(search, set_ef)


def _usearch_exact(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    from usearch.index import search

    name = "l2sq" if metric == "l2" else "ip"

    def k_best(q: F32, k: int) -> npt.NDArray[Any]:
        # One list of keys where there is one query.
        return np.atleast_2d(search(items, q, k, name, exact=True, threads=threads).keys)

    return BuiltIndex(k_best)


def _scann_searcher(builder: Any, threads: int) -> Any:
    searcher = builder.build()
    searcher.set_num_threads(threads)
    return searcher


def _scann_builder(items: F32, metric: Metric) -> Any:
    from scann import scann_ops_pybind

    name = "squared_l2" if metric == "l2" else "dot_product"
    return scann_ops_pybind.builder(items, 100, name)


def _scann_brute(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    searcher = _scann_searcher(_scann_builder(items, metric).score_brute_force(), threads)

    def search(q: F32, k: int) -> Any:
        if len(q) == 1:
            return searcher.search(q[0], final_num_neighbors=k)[0][None]
        return searcher.search_batched_parallel(q, final_num_neighbors=k)[0]

    return BuiltIndex(search)


def _scann_tree(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    leaves = max(1, int(len(items) ** 0.5))
    builder = _scann_builder(items, metric).set_n_training_threads(threads)
    builder = builder.tree(leaves, max(1, leaves // 10), training_sample_size=len(items))
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)
    searcher = _scann_searcher(builder, threads)
    percent = [10]

    def search(q: F32, k: int) -> npt.NDArray[Any]:
        more = {
            "final_num_neighbors": k,
            "pre_reorder_num_neighbors": 4 * k,
            "leaves_to_search": max(1, leaves * percent[0] // 100),
        }
        if len(q) > 1:
            found: npt.NDArray[Any] = searcher.search_batched_parallel(q, **more)[0]
            return found
        ids = searcher.search(q[0], **more)[0]  # fewer, where the leaves hold no more
        return np.pad(ids.astype(np.int64), (0, k - len(ids)), constant_values=-1)[None]

    def set_percent(value: int) -> None:
        percent[0] = value

    return BuiltIndex(search, set_percent)


def _lists(n: int) -> str:
    """As many lists as FAISS advises, and points to train them by."""
    return f"IVF{max(1, int(4 * n**0.5))},Flat"


# FAISS' own code, and the BLAS that it brings, as on a machine without AVX-512.
_AVX2 = {"FAISS_SIMD_LEVEL": "AVX2", "FAISS_OPT_LEVEL": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}

PEERS = {
    OURS: Peer("vecrecall", "vecrecall", True, _ours, width=1),
    "vecrecall-avx2": Peer("vecrecall", "vecrecall", True, _ours_avx2, width=1),
    "numpy": Peer("numpy", "numpy", True, _numpy),
    "faiss-flat": Peer("faiss-cpu", "faiss", True, _faiss_flat),
    "faiss-flat-avx2": Peer("faiss-cpu", "faiss", True, _faiss_flat_avx2, environment=_AVX2),
    "faiss-panorama": Peer("faiss-cpu", "faiss", True, _faiss_panorama),
    "hnswlib-brute": Peer("hnswlib", "hnswlib", True, _hnswlib_brute),
    "usearch-exact": Peer("usearch", "usearch.index", True, _usearch_exact),
    "scann-brute": Peer("scann", "scann", True, _scann_brute),
    "torch-float32": Peer("torch", "torch", True, _torch("float32")),
    "scikit-learn": Peer("scikit-learn", "sklearn.metrics.pairwise", True, _scikit_learn),
    "torch-bfloat16": Peer("torch", "torch", False, _torch("bfloat16"), width=2),
    "faiss-sq8": Peer("faiss-cpu", "faiss", False, _faiss(lambda n: "SQ8"), width=1),
    "faiss-ivf": Peer(
        "faiss-cpu", "faiss", False, _faiss(_lists, "nprobe"), "nprobe",
        (64, 16, 32, 128, 256, 512), slow=True, width=0,
    ),
    "hnswlib-graph": Peer(
        "hnswlib", "hnswlib", False, _hnswlib_graph, "ef", (300, 100, 200, 500, 800, 1200),
        slow=True, width=0,
    ),
    "scann-tree": Peer(
        "scann", "scann", False, _scann_tree, "leaves %", (10, 2, 5, 20, 40), slow=True,
        width=0,
    ),
}  # fmt: skip
"""By name; the first is what the others are compared with."""

FORCED = ("vecrecall-avx2", "faiss-flat-avx2")
"""Libraries told to run on less than the machine has: for the record, nobody would use them."""
