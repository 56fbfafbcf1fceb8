"""One channel over `IVFIndex` and other libraries, compared with the exact index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from vecrecall.adapters import WrappedIndex, wrap
from vecrecall.adapters._spherical import unit_rows
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import channels
from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.embeddings import FloatArray
from vecrecall.cli.demo.evaluation import CUTOFFS, accuracy, recall_all
from vecrecall.cli.demo.report import Report
from vecrecall.cli.demo.system import System
from vecrecall.evaluation._metrics import recall_at_k
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex
from vecrecall.search._neighbor_table import NeighborTable

K = max(CUTOFFS)


class Library(NamedTuple):
    """An index over the same items.

    Attributes
    ----------
    module : str
        The required module, which is also the name of the extra.
    exact : bool
        Whether the search is exact, so that its lists must be those of the exact index.
    made : callable
        Maps the exact index to the other, with its settings: wrapped, if of another library.
    """

    module: str
    exact: bool
    made: Callable[[FlatIndex], WrappedIndex | IVFIndex]


def _lists(index: FlatIndex) -> IVFIndex:
    return IVFIndex(index.vectors(index.ids), index.ids, metric="cosine")


def _faiss_flat(index: FlatIndex) -> WrappedIndex:
    from vecrecall.adapters.faiss import to_faiss

    return wrap(to_faiss(index), metric="cosine", vectors=index)


def _faiss_ivf(index: FlatIndex) -> WrappedIndex:
    from vecrecall.adapters.faiss import train_ivf

    rows = index.vectors(index.ids)
    ivf = train_ivf(rows, _root(len(index)), ids=index.ids, metric="cosine")
    return wrap(ivf, metric="cosine", vectors=index).with_params(nprobe=min(8, ivf.nlist))


def _faiss_hnsw(index: FlatIndex) -> WrappedIndex:
    import faiss

    graph = faiss.IndexHNSWFlat(index.dim, 16, faiss.METRIC_INNER_PRODUCT)
    graph.add(_directions(index))
    return wrap(graph, index.ids, metric="cosine", vectors=index)


def _hnswlib_brute(index: FlatIndex) -> WrappedIndex:
    import hnswlib

    brute = hnswlib.BFIndex(space="cosine", dim=index.dim)
    brute.init_index(max_elements=len(index))
    brute.add_items(index.vectors(index.ids), index.ids)
    return wrap(brute, metric="cosine", vectors=index)


def _hnswlib_graph(index: FlatIndex) -> WrappedIndex:
    from vecrecall.adapters.hnswlib import to_hnswlib

    return wrap(to_hnswlib(index), vectors=index)


def _usearch(index: FlatIndex) -> WrappedIndex:
    from usearch.index import Index

    graph = Index(ndim=index.dim, metric="cos", dtype="f32")
    graph.add(index.ids, index.vectors(index.ids))
    return wrap(graph, vectors=index)


def _scann_brute(index: FlatIndex) -> WrappedIndex:
    return _scann(index, lambda builder: builder.score_brute_force())


def _scann_tree(index: FlatIndex) -> WrappedIndex:
    leaves = _root(len(index))
    return _scann(
        index, lambda builder: builder.tree(leaves, min(8, leaves)).score_ah(2).reorder(4 * K)
    )


def _scann(index: FlatIndex, configure: Callable[[Any], Any]) -> WrappedIndex:
    from scann import scann_ops_pybind

    builder = scann_ops_pybind.builder(_directions(index), K, "dot_product")
    return wrap(configure(builder).build(), index.ids, metric="cosine", vectors=index)


LIBRARIES: Mapping[str, Library] = {
    "faiss Flat": Library("faiss", True, _faiss_flat),
    "hnswlib BFIndex": Library("hnswlib", True, _hnswlib_brute),
    "scann brute force": Library("scann", True, _scann_brute),
    "vecrecall IVFIndex": Library("vecrecall", False, _lists),
    "faiss IVF,Flat": Library("faiss", False, _faiss_ivf),
    "faiss HNSW": Library("faiss", False, _faiss_hnsw),
    "hnswlib Index": Library("hnswlib", False, _hnswlib_graph),
    "usearch": Library("usearch", False, _usearch),
    "scann tree": Library("scann", False, _scann_tree),
}
"""By name, the exact ones first."""


def compare(system: System, progress: Progress) -> Report:
    """Build the channel over each library, and compare its lists with those of the exact index.

    Parameters
    ----------
    system : System
    progress : Progress

    Returns
    -------
    dict
        By library. Empty where the data do not allow the channel.
    """
    vectors = system.trained.item2vec
    if vectors is None:
        return {}
    with progress.step("the same by others", 1 + len(LIBRARIES)) as step:
        index = channels.item2vec_index(vectors)
        truth = _recall(system, index)
        found = {"vecrecall": _compared(system, truth, truth, exact=True)}
        step.advance()
        for name, library in LIBRARIES.items():
            if find_spec(library.module) is None:
                found[name] = {"missing": f"pip install 'vecrecall[{library.module}]'"}
            else:
                own = _recall(system, library.made(index))
                found[name] = _compared(system, own, truth, exact=library.exact)
            step.advance()
    return found


class _Recalled(NamedTuple):
    """The results of the channel over one index."""

    table: NeighborTable
    ids: IntArray


def _recall(system: System, index: FlatIndex | IVFIndex | WrappedIndex) -> _Recalled:
    table = NeighborTable.build(index, channels.NEIGHBORS)
    channel = channels.i2i_item2vec(system.dataset, table)
    return _Recalled(table, recall_all(channel, system.batches, K, lambda _: None).ids)


def _compared(system: System, own: _Recalled, truth: _Recalled, *, exact: bool) -> Report:
    return {
        "exact": exact,
        "same_lists": float((own.ids == truth.ids).all(axis=1).mean()),
        "neighbors_recall": recall_at_k(own.table.ids, truth.table.ids),
        **accuracy(own.ids, system.held_out),
    }


def _root(n: int) -> int:
    return max(1, int(np.sqrt(n)))


def _directions(index: FlatIndex) -> FloatArray:
    return unit_rows(index.vectors(index.ids))
