"""How each library builds an index of items, and finds the k best items of a batch of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vecrecall._runtime import set_isa, set_num_threads
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex

F32 = npt.NDArray[np.float32]
Metric = Literal["ip", "cosine", "l2"]
Search = Callable[[F32, int], Any]

SCORES = 1 << 27  # in a matrix of torch at a time: 512 MB in float32
NEAR = (
    1 << 24
)  # the same for NumPy and scikit-learn, which are twice as fast on scores in the cache


def _no_search_param(value: int) -> None:
    """Do nothing: there is no search parameter."""


class BuiltIndex(NamedTuple):
    """An index, ready to search.

    Attributes
    ----------
    search : callable
        Maps queries and k to ids, one row per query.
    set : callable
        Sets the peer's search parameter.
    """

    search: Search
    set: Callable[[int], None] = _no_search_param


def build_ours(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build a `FlatIndex`."""
    set_num_threads(threads)
    index = FlatIndex(items, metric=metric)
    return BuiltIndex(lambda q, k: index.search(q, k).ids)


def build_ours_lists(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build an `IVFIndex`, which probes as many lists as it has found to be enough."""
    set_num_threads(threads)
    index = IVFIndex(items, metric=metric)
    return BuiltIndex(lambda q, k: index.search(q, k).ids)


def restricted_builder(isa: str) -> Callable[[F32, Metric, int], BuiltIndex]:
    """Return what builds a `FlatIndex` in a process restricted to an instruction set."""

    def build(items: F32, metric: Metric, threads: int) -> BuiltIndex:
        set_isa(isa)
        return build_ours(items, metric, threads)

    return build


def _scored(
    step: int, k_best: Callable[[F32, int], npt.NDArray[Any]], queries: F32, k: int
) -> npt.NDArray[Any]:
    """Search a batch in parts of `step` queries, at least one at a time."""
    step = max(1, step)
    parts = [k_best(queries[at : at + step], k) for at in range(0, len(queries), step)]
    return np.concatenate(parts)


def _largest(scores: F32, k: int) -> npt.NDArray[np.int64]:
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def build_numpy(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Keep the items for a matrix product and a partition."""
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


def build_scikit_learn(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Keep the items for pairwise kernels and a partition."""
    from sklearn.metrics.pairwise import euclidean_distances, linear_kernel

    lengths = np.einsum("ij,ij->i", items, items)[None] if metric == "l2" else None

    def k_best(q: F32, k: int) -> npt.NDArray[np.int64]:
        if lengths is None:
            return np.argpartition(linear_kernel(q, items), -k, axis=1)[:, -k:]
        distances = euclidean_distances(q, items, Y_norm_squared=lengths, squared=True)
        return np.argpartition(distances, k - 1, axis=1)[:, :k]

    return BuiltIndex(lambda q, k: _scored(NEAR // len(items), k_best, q, k))


def torch_builder(dtype: str) -> Callable[[F32, Metric, int], BuiltIndex]:
    """Return a builder for products and ``torch.topk`` in a data type of torch."""

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


def faiss_builder(
    recipe: Callable[[int], str], search_param: str = "", settings: tuple[int, ...] = ()
) -> Callable[[F32, Metric, int], BuiltIndex]:
    """Return a builder by a recipe of the index factory of FAISS, for a number of items."""

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


def build_faiss_flat(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build an ``IndexFlat``."""
    return faiss_builder(lambda n: "Flat")(items, metric, threads)


def build_faiss_flat_avx2(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build an ``IndexFlat`` in a process restricted to AVX2."""
    import faiss

    config = getattr(faiss, "SIMDConfig", None)  # not in older versions
    if config is not None and config.get_level_name() != "AVX2":
        raise RuntimeError(f"expected AVX2, FAISS runs on {config.get_level_name()}")
    return build_faiss_flat(items, metric, threads)


def build_faiss_panorama(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build a Panorama index, which prunes by partial distances."""
    import faiss

    faiss.omp_set_num_threads(threads)
    make = faiss.IndexFlatL2Panorama if metric == "l2" else faiss.IndexFlatIPPanorama
    d = items.shape[1]
    index = make(d, min(8, d))
    index.add(items)
    return BuiltIndex(lambda q, k: index.search(q, k)[1])


def build_hnswlib_brute(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build a ``BFIndex``."""
    import hnswlib

    index = hnswlib.BFIndex(space="l2" if metric == "l2" else "ip", dim=items.shape[1])
    index.init_index(max_elements=len(items))
    index.add_items(items)
    return BuiltIndex(lambda q, k: index.knn_query(q, k=k, num_threads=threads)[0])


def build_hnswlib_graph(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build an HNSW graph."""
    import hnswlib

    index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=16, ef_construction=200)
    index.add_items(items, num_threads=threads)

    def search(q: F32, k: int) -> Any:
        index.set_ef(max(k, chosen[0]))  # it must not be less than k
        return index.knn_query(q, k=k, num_threads=threads)[0]

    chosen = [0]

    def set_ef(ef: int) -> None:
        chosen[0] = ef

    return BuiltIndex(search, set_ef)


def build_usearch_exact(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Keep the items for the exact search of usearch."""
    from usearch.index import search

    name = "l2sq" if metric == "l2" else "ip"

    def k_best(q: F32, k: int) -> npt.NDArray[Any]:
        # A single query gives a one-dimensional array of keys.
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


def build_scann_brute(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build a brute-force searcher."""
    searcher = _scann_searcher(_scann_builder(items, metric).score_brute_force(), threads)

    def search(q: F32, k: int) -> Any:
        if len(q) == 1:
            return searcher.search(q[0], final_num_neighbors=k)[0][None]
        return searcher.search_batched_parallel(q, final_num_neighbors=k)[0]

    return BuiltIndex(search)


def build_scann_tree(items: F32, metric: Metric, threads: int) -> BuiltIndex:
    """Build a tree with quantized scores and reordering."""
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
        ids = searcher.search(q[0], **more)[0]  # fewer than k where the leaves hold no more
        return np.pad(ids.astype(np.int64), (0, k - len(ids)), constant_values=-1)[None]

    def set_percent(value: int) -> None:
        percent[0] = value

    return BuiltIndex(search, set_percent)


def faiss_ivf_recipe(n: int) -> str:
    """Return the recipe with as many lists as FAISS advises."""
    return f"IVF{max(1, int(4 * n**0.5))},Flat"
