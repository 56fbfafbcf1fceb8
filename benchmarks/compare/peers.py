"""Who is compared: how each builds its index, and finds the k best of a batch."""

import importlib.metadata
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Search = Callable[[F32, int], Any]


class Peer(NamedTuple):
    """A way to search by inner product."""

    package: str
    exact: bool
    build: Callable[[F32, int], Search]  # items, threads

    def version(self) -> str:
        return importlib.metadata.version(self.package)


def vecrecall(items: F32, threads: int) -> Search:
    import vecrecall as vr

    vr.set_num_threads(threads)
    index = vr.FlatIndex(items)
    return lambda q, k: index.search(q, k).ids


def vecrecall_avx2(items: F32, threads: int) -> Search:
    import vecrecall as vr

    vr.set_isa("avx2")
    return vecrecall(items, threads)


def with_numpy(items: F32, threads: int) -> Search:
    transposed = items.T

    def search(q: F32, k: int) -> Any:
        scores = q @ transposed
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    return search


def faiss_index(levels: int | None) -> Callable[[F32, int], Search]:
    def build(items: F32, threads: int) -> Search:
        import faiss

        faiss.omp_set_num_threads(threads)
        d = items.shape[1]
        index = faiss.IndexFlatIP(d) if levels is None else faiss.IndexFlatIPPanorama(d, levels)
        index.add(items)
        return lambda q, k: index.search(q, k)[1]

    return build


def faiss_factory(recipe: str, nprobe: int) -> Callable[[F32, int], Search]:
    def build(items: F32, threads: int) -> Search:
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(items.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
        index.train(items[:: max(1, len(items) // 200_000)])
        index.add(items)
        if nprobe:
            index.nprobe = nprobe
        return lambda q, k: index.search(q, k)[1]

    return build


def hnswlib_brute(items: F32, threads: int) -> Search:
    import hnswlib

    index = hnswlib.BFIndex(space="ip", dim=items.shape[1])
    index.init_index(max_elements=len(items))
    index.add_items(items)
    return lambda q, k: index.knn_query(q, k=k, num_threads=threads)[0]


def hnswlib_graph(items: F32, threads: int) -> Search:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=16, ef_construction=200)
    index.add_items(items, num_threads=threads)
    index.set_ef(300)
    return lambda q, k: index.knn_query(q, k=k, num_threads=threads)[0]


def usearch_exact(items: F32, threads: int) -> Search:
    from usearch.index import search

    return lambda q, k: search(items, q, k, "ip", exact=True, threads=threads).keys


def scann_brute(items: F32, threads: int) -> Search:
    import scann

    searcher = scann.scann_ops_pybind.builder(items, 100, "dot_product").score_brute_force().build()
    searcher.set_num_threads(threads)

    def search(q: F32, k: int) -> Any:
        if len(q) == 1:
            return searcher.search(q[0], final_num_neighbors=k)[0][None]
        return searcher.search_batched_parallel(q, final_num_neighbors=k)[0]

    return search


def with_torch(dtype: str) -> Callable[[F32, int], Search]:
    def build(items: F32, threads: int) -> Search:
        import torch

        torch.set_num_threads(threads)
        transposed = torch.from_numpy(items).to(getattr(torch, dtype)).T

        def search(q: F32, k: int) -> Any:
            scores = torch.from_numpy(q).to(transposed.dtype) @ transposed
            return torch.topk(scores, k).indices.numpy()

        return search

    return build


def scikit_learn(items: F32, threads: int) -> Search:
    from sklearn.metrics.pairwise import linear_kernel

    def search(q: F32, k: int) -> Any:
        scores = linear_kernel(q, items)
        return np.argpartition(scores, -k, axis=1)[:, -k:]

    return search


PEERS = {
    "vecrecall": Peer("vecrecall", True, vecrecall),
    "vecrecall-avx2": Peer("vecrecall", True, vecrecall_avx2),
    "numpy": Peer("numpy", True, with_numpy),
    "faiss-flat": Peer("faiss-cpu", True, faiss_index(None)),
    "faiss-panorama": Peer("faiss-cpu", True, faiss_index(8)),
    "hnswlib-brute": Peer("hnswlib", True, hnswlib_brute),
    "usearch-exact": Peer("usearch", True, usearch_exact),
    "scann-brute": Peer("scann", True, scann_brute),
    "torch-float32": Peer("torch", True, with_torch("float32")),
    "scikit-learn": Peer("scikit-learn", True, scikit_learn),
    "torch-bfloat16": Peer("torch", False, with_torch("bfloat16")),
    "hnswlib-graph": Peer("hnswlib", False, hnswlib_graph),
    "faiss-ivf": Peer("faiss-cpu", False, faiss_factory("IVF2048,Flat", 64)),
    "faiss-sq8": Peer("faiss-cpu", False, faiss_factory("SQ8", 0)),
}
