"""The indexes that are swept to a recall: their search parameters, and their raw calls.

A library is called as its users call it, without the adapters of vecrecall. Where it has no filter
that is faster, it is asked for more items, of which those that are not wanted are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall.adapters.backends._protocol import SearchParam
from vecrecall.adapters.faiss import train_ivf
from vecrecall.cli.bench.peers import OURS

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Setting = Mapping[str, int]
FLAT = "vecrecall-flat"
EXACT: Setting = {"exact": 1}  # of ours: as many lists as prove the answer
EXCLUDED, SHARE = 500, 0.1
MOST = 4096  # candidates of a graph search


class Filter(NamedTuple):
    """The items that queries may get: those of a mask, or all but some of each query."""

    allowed: npt.NDArray[np.bool_] | None = None
    excluded: I64 | None = None

    def rows(self, part: slice) -> Filter:
        return self if self.excluded is None else Filter(None, self.excluded[part])

    def asked(self, k: int) -> int:
        """Return how many items are asked for where the library has no filter."""
        if self.allowed is not None:
            return asked_for(k, "allow", len(self.allowed))
        return k if self.excluded is None else k + EXCLUDED

    def kept(self, ids: npt.NDArray[Any], k: int) -> I64:
        """Return the first `k` wanted ids of each row, padded with -1."""
        found = np.asarray(ids).astype(np.int64)
        out = found < 0
        if self.allowed is not None:
            out |= ~self.allowed[found]
        elif self.excluded is not None:
            for row, names, left_out in zip(found, self.excluded, out, strict=True):
                left_out |= np.isin(row, names)
        order = np.argsort(out, axis=1, kind="stable")[:, :k]
        kept: I64 = np.take_along_axis(np.where(out, -1, found), order, 1)
        return kept


def asked_for(k: int, kind: str, n: int) -> int:
    """Return how many of `n` items leave `k` for almost all queries after others are left out."""
    if kind == "allow":  # twice as many as on average, and more where k is small
        return min(n, int(2 * k / SHARE) + 100)
    return k + EXCLUDED if kind == "exclude" else k


Search = Callable[[F32, int, Setting, Filter], npt.NDArray[Any]]


class Peer(NamedTuple):
    """An index of a library.

    Attributes
    ----------
    package : str
    build : callable
        Maps items and threads to a search.
    params : callable
        Maps the number of items, and of those that are asked for, to the ranges of the search
        parameters.
    """

    package: str
    build: Callable[[F32, int], Search]
    params: Callable[[int, int], dict[str, SearchParam]]


def n_lists(n: int) -> int:
    """Return the number of lists that FAISS advises."""
    return max(1, int(4 * n**0.5))


def asks_for_more(search: Callable[[F32, int, Setting], npt.NDArray[Any]]) -> Search:
    """Filter what a search without filters finds."""

    def filtered(q: F32, k: int, setting: Setting, some: Filter) -> npt.NDArray[Any]:
        if some.allowed is None and some.excluded is None:
            return search(q, k, setting)
        return some.kept(search(q, some.asked(k), setting), k)

    return filtered


def ours(items: F32, threads: int) -> Search:
    vr.set_num_threads(threads)
    return _with_filters(vr.IVFIndex(items))


def flat(items: F32, threads: int) -> Search:
    vr.set_num_threads(threads)
    return _with_filters(vr.FlatIndex(items))


def _with_filters(index: vr.FlatIndex) -> Search:
    masks: list[vr.Mask] = []

    def search(q: F32, k: int, setting: Setting, some: Filter) -> npt.NDArray[Any]:
        options: dict[str, Any] = {"probes": setting["probes"]} if "probes" in setting else {}
        if "exact" in setting:
            options["probes"] = "exact"
        if some.allowed is not None:
            if not masks:
                masks.append(index.mask(np.flatnonzero(some.allowed)))
            options["allow"] = masks[0]
        elif some.excluded is not None:
            offsets = np.arange(len(q) + 1) * some.excluded.shape[1]
            options["exclude"] = vr.Ragged(some.excluded.reshape(-1), offsets)
        return index.search(q, k, **options).ids

    return search


def faiss_ivf(items: F32, threads: int) -> Search:
    """Train by our kernels, which is faster and finds as much."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = train_ivf(items, n_lists(len(items)), threads=threads)
    return _faiss(index, lambda setting, **sel: faiss.SearchParametersIVF(**setting, **sel))


def faiss_hnsw(items: F32, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(items.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(items)
    return _faiss(index, lambda setting, **sel: faiss.SearchParametersHNSW(**setting, **sel))


def _faiss(index: Any, parameters: Callable[..., Any]) -> Search:
    """Search with selectors, which hold for a whole batch."""
    import faiss

    masks: list[Any] = []

    def search(q: F32, k: int, setting: Setting, some: Filter) -> npt.NDArray[Any]:
        asked, selected = k, {}
        if some.allowed is not None:
            if not masks:
                bits = np.packbits(some.allowed, bitorder="little")
                masks[:] = [faiss.IDSelectorBitmap(bits), bits]
            selected["sel"] = masks[0]
        elif some.excluded is not None and len(q) == 1:
            selected["sel"] = faiss.IDSelectorNot(faiss.IDSelectorBatch(some.excluded[0]))
        elif some.excluded is not None:
            asked = some.asked(k)
        found: npt.NDArray[Any] = index.search(q, asked, params=parameters(setting, **selected))[1]
        return found if asked == k else some.kept(found, k)

    return search


def faiss_fast_scan(items: F32, threads: int) -> Search:
    """Search 4-bit product codes, then refine by the vectors."""
    import faiss

    faiss.omp_set_num_threads(threads)
    recipe = f"IVF{n_lists(len(items))},PQ{max(1, items.shape[1] // 2)}x4fs,RFlat"
    index = faiss.index_factory(items.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    index.train(items[:: max(1, len(items) // 200_000)])
    index.add(items)

    def search(q: F32, k: int, setting: Setting) -> npt.NDArray[Any]:
        lists = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
        params = faiss.IndexRefineSearchParameters(
            k_factor=float(setting["k_factor"]), base_index_params=lists
        )
        found: npt.NDArray[Any] = index.search(q, k, params=params)[1]
        return found

    return asks_for_more(search)


def hnswlib_graph(items: F32, threads: int) -> Search:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=items.shape[1])
    index.init_index(max_elements=len(items), M=16, ef_construction=200)
    index.add_items(items, num_threads=threads)

    def search(q: F32, k: int, setting: Setting) -> npt.NDArray[Any]:
        index.set_ef(max(k, setting["ef"]))
        found: npt.NDArray[Any] = index.knn_query(q, k=k, num_threads=threads)[0]
        return found

    return asks_for_more(search)


def usearch_graph(items: F32, threads: int) -> Search:
    from usearch.index import Index

    index = Index(ndim=items.shape[1], metric="ip", dtype="f32", expansion_add=200)
    index.add(np.arange(len(items)), items, threads=threads)

    def search(q: F32, k: int, setting: Setting) -> npt.NDArray[Any]:
        index.expansion_search = max(k, setting["expansion"])
        return np.atleast_2d(index.search(q, k, threads=threads).keys)

    return asks_for_more(search)


def scann_tree(items: F32, threads: int) -> Search:
    from scann import scann_ops_pybind

    leaves = max(1, int(len(items) ** 0.5))
    builder = scann_ops_pybind.builder(items, 100, "dot_product").set_n_training_threads(threads)
    builder = builder.tree(leaves, max(1, leaves // 10), training_sample_size=len(items))
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)
    searcher = builder.build()
    searcher.set_num_threads(threads)

    def search(q: F32, k: int, setting: Setting) -> npt.NDArray[Any]:
        more = {
            "final_num_neighbors": k,
            "pre_reorder_num_neighbors": k * setting["reorder"],
            "leaves_to_search": setting["leaves"],
        }
        if len(q) > 1:
            found: npt.NDArray[Any] = searcher.search_batched_parallel(q, **more)[0]
            return found
        ids = searcher.search(q[0], **more)[0].astype(np.int64)
        return np.pad(ids, (0, k - len(ids)), constant_values=-1)[None]

    return asks_for_more(search)


def _graph(name: str) -> Callable[[int, int], dict[str, SearchParam]]:
    return lambda n, k: {name: SearchParam(k, max(k, min(n, MOST)), "candidates")}


def _lists(name: str, times: int = 1) -> Callable[[int, int], dict[str, SearchParam]]:
    return lambda n, k: {name: SearchParam(1, times * n_lists(n), "parts")}


def _fast_scan(n: int, k: int) -> dict[str, SearchParam]:
    return {
        "nprobe": SearchParam(1, n_lists(n), "parts"),
        "k_factor": SearchParam(1, 32, "times k"),
    }


def _tree(n: int, k: int) -> dict[str, SearchParam]:
    return {
        "leaves": SearchParam(1, max(1, int(n**0.5)), "parts"),
        "reorder": SearchParam(1, 32, "times k"),
    }


PEERS = {
    OURS: Peer("vecrecall", ours, _lists("probes", 2)),  # long lists are split
    FLAT: Peer("vecrecall", flat, lambda n, k: {}),
    "faiss-ivf": Peer("faiss-cpu", faiss_ivf, _lists("nprobe")),
    "faiss-fast-scan": Peer("faiss-cpu", faiss_fast_scan, _fast_scan),
    "faiss-hnsw": Peer("faiss-cpu", faiss_hnsw, _graph("efSearch")),
    "hnswlib": Peer("hnswlib", hnswlib_graph, _graph("ef")),
    "usearch": Peer("usearch", usearch_graph, _graph("expansion")),
    "scann": Peer("scann", scann_tree, _tree),
}
"""By name. The first is the one that the others are compared with."""
