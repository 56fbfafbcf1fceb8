"""usearch: its graph, also searched to its end."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall import _coerce
from vecrecall.adapters._backend import F32, I64, Answer, Knob, Setting
from vecrecall.adapters._gate import Gate
from vecrecall.adapters._hnswlib_backend import signed
from vecrecall.index import Metric

METRICS: dict[str, Metric] = {"IP": "ip", "Cos": "cosine", "L2sq": "l2"}
DEFAULT_EXPANSION = 64  # what the library takes a 0 for


class UsearchBackend:
    """A usearch graph, whose `expansion_search` becomes an argument of the search.

    Parameters
    ----------
    index : usearch.index.Index
        Vectors may be stored in less than float32; by default they are.
    """

    library = "usearch"
    exact = False
    ordered = False
    told = True

    def __init__(self, index: Any) -> None:
        from usearch.compiled import ScalarKind
        from usearch.index import Index

        if not isinstance(index, Index):
            raise TypeError(f"index: expected a usearch Index, got {_coerce.type_name(index)}")
        if index.dtype == ScalarKind.B1:
            raise TypeError("index: expected one of float vectors, got a binary one, Index of B1")
        self._index: Any = index
        kind = self._index.metric_kind.name
        if kind not in METRICS:
            raise ValueError(f"index: expected metric IP, Cos or L2sq, got {kind}")
        self._reads = index.dtype == ScalarKind.F32
        self.metric: Metric = METRICS[kind]
        self.dim: int = index.ndim
        n = max(1, index.size)
        self.knobs: Mapping[str, Knob] = {"expansion_search": Knob(1, n), "exact": Knob(0, 1)}
        self._expansion = Gate(self._get_expansion, self._put_expansion)

    def size(self) -> int:
        """Count the vectors."""
        n: int = self._index.size
        return n

    def labels(self) -> I64:
        """List the keys, ascending; they are kept in the order of threads that added them."""
        keys = np.sort(signed(np.asarray(self._index.keys)))
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if twice.size:
            raise ValueError(
                f"index: expected one vector a key, got several of key {keys[twice[0]]}"
            )
        return keys

    def setting(self) -> dict[str, int]:
        """Read the index's own expansion."""
        return {"expansion_search": self._get_expansion() or DEFAULT_EXPANSION, "exact": 0}

    def selector(self, labels: I64, complement: bool) -> None:
        """There is none."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search; what is past the counts is key 0 at a distance of NaN."""
        values = {**self.setting(), **setting}
        with self._expansion.at(values["expansion_search"]):
            keys, distances, counts, *_ = self._index._compiled.search_many(
                queries, k, exact=bool(values["exact"]), threads=min(threads, len(queries))
            )
        labels = keys.view(np.int64)
        scores = np.subtract(np.float32(self.metric != "l2"), distances)
        if counts.min() < k:
            missing = np.arange(k) >= counts[:, None]
            labels[missing], scores[missing] = -1, -np.inf
        return Answer(labels, scores)

    def read(self, labels: I64) -> F32 | None:
        """Copy out vectors that are stored as float32."""
        if not self._reads:
            return None
        return np.asarray(self._index.get(labels.astype(np.uint64)), np.float32)

    def _get_expansion(self) -> int:
        value: int = self._index.expansion_search
        return value

    def _put_expansion(self, value: int) -> None:
        self._index.expansion_search = value
