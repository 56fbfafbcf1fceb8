"""usearch: its graph, also searched to its end."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall.adapters.backends._gate import Gate
from vecrecall.adapters.backends._hnswlib import signed
from vecrecall.adapters.backends._protocol import Answer, SearchParam, Setting
from vecrecall.arrays import _scalars
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._protocol import Metric

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
    ordered = False
    tells_metric = True

    def __init__(self, index: Any) -> None:
        from usearch.compiled import MetricKind, ScalarKind
        from usearch.index import Index

        if not isinstance(index, Index):
            raise TypeError(f"index: expected a usearch Index, got {_scalars.type_name(index)}")
        if index.dtype == ScalarKind.B1:
            raise TypeError("index: expected one of float vectors, got a binary one, Index of B1")
        named = index.metric
        if not isinstance(named, MetricKind) or named.name not in METRICS:
            name = named.name if isinstance(named, MetricKind) else "a compiled one"
            raise ValueError(f"index: expected metric IP, Cos or L2sq, got {name}")
        self.metric: Metric = METRICS[named.name]
        if self.metric != "cosine" and index.dtype in (ScalarKind.I8, ScalarKind.U8):
            raise ValueError(
                f"index: expected vectors stored as floats for metric {named.name}, got "
                f"{index.dtype.name}, which usearch scales to one length"
            )
        self._index: Any = index
        self._in_float32 = index.dtype == ScalarKind.F32
        self.dim: int = index.ndim
        self.search_params: Mapping[str, SearchParam] = {
            "expansion_search": SearchParam(1, max(1, index.size), "candidates"),
            "exact": SearchParam(0, 1, "scan"),
        }
        self._expansion = Gate(self._get_expansion, self._put_expansion)
        if index.size:
            self._check_metric(named.name)

    def size(self) -> int:
        """Count the vectors."""
        n: int = self._index.size
        return n

    def labels(self) -> I64:
        """List the keys, ascending; they are kept in the order of threads that added them."""
        keys = np.sort(signed(self._keys()))
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if twice.size:
            raise ValueError(
                f"index: expected one vector per key, got several of key {keys[twice[0]]}"
            )
        return keys

    def setting(self) -> dict[str, int]:
        """Read the index's own expansion."""
        return {"expansion_search": self._expansion.own() or DEFAULT_EXPANSION, "exact": 0}

    def exact(self, setting: Setting) -> bool:
        """Tell whether it is asked for a scan, of vectors that are float32."""
        return self._in_float32 and bool(setting.get("exact"))

    def selector(self, labels: I64, complement: bool) -> None:
        """There is none."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search; the library leaves what is past the counts as it was in memory."""
        scan = bool(setting.get("exact"))
        with self._expansion.with_value(setting.get("expansion_search")):
            # Without the layer above, which returns another class for a single query.
            keys, distances, counts, *_ = self._index._compiled.search_many(
                queries, k, exact=scan, threads=min(threads, len(queries))
            )
        labels = keys.view(np.int64)
        if counts.min() < k:
            missing = np.arange(k) >= counts[:, None]
            labels[missing], distances[missing] = -1, np.inf
        return Answer(labels, np.subtract(np.float32(self.metric != "l2"), distances))

    def read(self, labels: I64) -> F32 | None:
        """Copy out vectors that are stored as float32, and found by their keys."""
        if not self._in_float32:
            return None
        rows = self._index.get(labels.astype(np.uint64))
        if any(row is None for row in rows):
            return None
        return np.concatenate(rows).reshape(-1, self.dim)

    def _keys(self) -> Any:
        """List the keys; the library's list is not filled in where keys cannot be looked up."""
        listed = np.asarray(self._index.keys)
        if not listed.size or np.all(self._index.contains(listed)):
            return listed
        zeros = np.zeros((1, self.dim), np.float32)
        return self._index._compiled.search_many(zeros, self.size(), exact=True)[0][0]

    def _check_metric(self, named: str) -> None:
        """Refuse an index that searches by another metric than it names.

        When one loads a file of another metric it keeps the name that it was made with.
        """
        ray = np.ones((1, self.dim), np.float32) / np.float32(np.sqrt(self.dim))
        ends = np.concatenate([0 * ray, ray, -ray, 8 * ray, -8 * ray])
        nearest = self._index._compiled.search_many(ends, 1, threads=1)[1][:, 0]
        seems = _metric_of(*nearest.tolist())
        if seems is not None and seems != METRICS[named]:
            raise ValueError(
                f"index: expected a search by {named}, as the index says, got distances that are "
                f"{seems}; `Index.restore` takes the metric from the file"
            )

    def _get_expansion(self) -> int:
        value: int = self._index.expansion_search
        return value

    def _put_expansion(self, value: int) -> None:
        self._index.expansion_search = value


def _metric_of(zero: float, ray: float, back: float, far: float, far_back: float) -> Metric | None:
    """Tell a metric by the nearest distances to zeros, and to two opposite directions.

    These are of length 1, and of length 8 as `far` ones. A product with zeros is 0, so that its
    distance is 1; the larger of two opposite products is not negative; it grows with the query, a
    cosine does not. Squared distances to zeros are 1 for rows of length one, but these are at
    least 49 from length 8.
    """
    if np.isnan([zero, ray, back, far, far_back]).any():
        return None
    if zero != 1 or min(far, far_back) > 2:
        return "l2"
    product, grown = 1 - min(ray, back), 1 - min(far, far_back)
    if product <= 0:
        return None
    return "cosine" if abs(grown - product) < abs(grown - 8 * product) else "ip"
