"""The libraries that are compared, each with one or more of its search methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vecrecall._runtime import available_isas
from vecrecall.cli.bench import indexes
from vecrecall.cli.bench.indexes import F32, BuiltIndex, Metric

OURS = "vecrecall"


class Peer(NamedTuple):
    """A library and one of its search methods.

    Under ``"cosine"`` rows and queries have length one.

    Attributes
    ----------
    package, module : str
        The package to install, and the module to import.
    exact : bool
        Whether its lists are exact except for near ties in float32.
    build : callable
        Maps items, metric and threads to a `BuiltIndex`.
    search_param : str
        Name of the search parameter, or an empty string.
    settings : tuple of int
        Values of the search parameter, the default first.
    slow : bool
        Whether building takes minutes for a million items.
    width : int
        Bytes per number that a search reads, if it reads all items; otherwise 0.
    environment : dict
        Environment variables of its process.
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


# The code of FAISS, and of the BLAS in its package, as on a machine without AVX-512.
_AVX2 = {"FAISS_SIMD_LEVEL": "AVX2", "FAISS_OPT_LEVEL": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}

RESTRICTED = {f"vecrecall-{isa}": isa for isa in ("avx512vnni", "avx2")}
"""By name, the instruction sets to which the library is restricted on a machine that has more."""

PEERS = {
    OURS: Peer("vecrecall", "vecrecall", True, indexes.build_ours, width=1),
    **{
        name: Peer("vecrecall", "vecrecall", True, indexes.restricted_builder(isa), width=1)
        for name, isa in RESTRICTED.items()
    },
    "numpy": Peer("numpy", "numpy", True, indexes.build_numpy),
    "faiss-flat": Peer("faiss-cpu", "faiss", True, indexes.build_faiss_flat),
    "faiss-flat-avx2": Peer(
        "faiss-cpu", "faiss", True, indexes.build_faiss_flat_avx2, environment=_AVX2,
    ),
    "faiss-panorama": Peer("faiss-cpu", "faiss", True, indexes.build_faiss_panorama),
    "hnswlib-brute": Peer("hnswlib", "hnswlib", True, indexes.build_hnswlib_brute),
    "usearch-exact": Peer("usearch", "usearch.index", True, indexes.build_usearch_exact),
    "scann-brute": Peer("scann", "scann", True, indexes.build_scann_brute),
    "torch-float32": Peer("torch", "torch", True, indexes.torch_builder("float32")),
    "scikit-learn": Peer(
        "scikit-learn", "sklearn.metrics.pairwise", True, indexes.build_scikit_learn,
    ),
    "vecrecall-ivf": Peer("vecrecall", "vecrecall", False, indexes.build_ours_lists, width=0),
    "torch-bfloat16": Peer("torch", "torch", False, indexes.torch_builder("bfloat16"), width=2),
    "faiss-sq8": Peer("faiss-cpu", "faiss", False, indexes.faiss_builder(lambda n: "SQ8"), width=1),
    "faiss-ivf": Peer(
        "faiss-cpu", "faiss", False, indexes.faiss_builder(indexes.faiss_ivf_recipe, "nprobe"),
        "nprobe", (64, 16, 32, 128, 256, 512), slow=True, width=0,
    ),
    "hnswlib-graph": Peer(
        "hnswlib", "hnswlib", False, indexes.build_hnswlib_graph, "ef",
        (300, 100, 200, 500, 800, 1200), slow=True, width=0,
    ),
    "scann-tree": Peer(
        "scann", "scann", False, indexes.build_scann_tree, "leaves %",
        (10, 2, 5, 20, 40), slow=True, width=0,
    ),
}  # fmt: skip
"""By name. The first is the one that the others are compared with."""

FORCED = (*RESTRICTED, "faiss-flat-avx2")
"""Peers restricted to an instruction set, for the record: no alternatives where there are more."""


def same_as_ours() -> set[str]:
    """Return the restricted peers that are the library as it is here, or cannot run here."""
    lower = available_isas()[1:]
    return {name for name, isa in RESTRICTED.items() if isa not in lower}
