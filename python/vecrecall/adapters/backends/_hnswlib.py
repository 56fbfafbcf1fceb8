"""hnswlib: its graph and its brute-force index, and a search by each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall.adapters.backends._gate import Gate
from vecrecall.adapters.backends._protocol import Answer, SearchParam, Setting
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._protocol import Metric

METRICS: dict[str, Metric] = {"ip": "ip", "cosine": "cosine", "l2": "l2"}
WIDEST = 2**16  # widths that are tried where an index does not tell its own
TOO_MANY = 2**44  # elements; no address space has room for them, of whatever width
AT_ONCE = 2**12  # vectors that are read at a time


def hnswlib_backend(index: Any) -> "HnswBackend | BruteForceBackend":
    """Choose by the kind of index."""
    import hnswlib

    return BruteForceBackend(index) if isinstance(index, hnswlib.BFIndex) else HnswBackend(index)


class HnswBackend:
    """An hnswlib graph, whose `ef` becomes an argument of the search.

    Parameters
    ----------
    index : hnswlib.Index
    """

    library = "hnswlib"
    ordered = False
    tells_metric = True

    def __init__(self, index: Any) -> None:
        if not index.max_elements:
            raise _uninitialized()
        self._index = index
        self.metric: Metric = METRICS[index.space]
        self.dim: int = index.dim
        self._labels = self._find_labels()
        self._gone: int = index.element_count - len(self._labels)
        self.search_params: Mapping[str, SearchParam] = {
            "ef": SearchParam(1, max(1, len(self._labels)), "candidates")
        }
        self._ef = Gate(lambda: int(index.ef), index.set_ef)

    def size(self) -> int:
        """Count the items; those that are marked as deleted stay in the library's count."""
        return int(self._index.element_count) - self._gone

    def labels(self) -> I64:
        """List the labels of items that are not marked as deleted."""
        return self._labels

    def setting(self) -> dict[str, int]:
        """Read the index's own ef."""
        return {"ef": self._ef.own()}

    def exact(self, setting: Setting) -> bool:
        """Say no: a graph leaves items out."""
        return False

    def selector(self, labels: I64, complement: bool) -> None:
        """There is only a Python function called for every candidate, which is slower."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search; a query with fewer than `k` items in reach gets what there is."""
        with self._ef.with_value(setting.get("ef")):
            try:
                labels, distances = self._ask(queries, k, threads)
            except RuntimeError:  # one of the queries at least
                labels, distances = self._each(queries, k)
        return _answer(labels, distances, self.metric)

    def read(self, labels: I64) -> F32:
        """Copy out vectors; under cosine they have length one."""
        return np.asarray(self._index.get_items(labels), np.float32).reshape(-1, self.dim)

    def _ask(self, queries: F32, k: int, threads: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self._index.knn_query(queries, k=k, num_threads=threads)
        return found

    def _each(self, queries: F32, k: int) -> tuple[I64, F32]:
        """Search for each query alone, as far as it goes."""
        labels = np.full((len(queries), k), -1)
        distances = np.full((len(queries), k), np.inf, np.float32)
        reach = k
        for row in range(len(queries)):
            query = queries[row : row + 1]
            reach, found = self._most(query, k, reach)
            if found is not None:
                labels[row, :reach], distances[row, :reach] = found[0][0], found[1][0]
        return labels, distances

    def _most(self, query: F32, k: int, guess: int) -> tuple[int, tuple[Any, Any] | None]:
        """Find the largest number of items, up to `k`, that the library gives for a query.

        The graph was walked to its end when there were too few, so that a larger ef does not help.
        What the query before had is tried first.
        """
        most, best, beyond = 0, None, k + 1
        tried = max(1, guess)
        while most + 1 < beyond:
            try:
                best = self._ask(query, tried, 1)
                most = tried
                tried = most + 1 if most == guess else (most + beyond) // 2
            except RuntimeError:
                beyond = tried
                tried = (most + beyond) // 2
        return most, best

    def _find_labels(self) -> I64:
        """List the labels whose vectors can be read, ascending; of deleted ones they cannot."""
        listed = np.sort(np.asarray(self._index.get_ids_list(), np.uint64))
        there = np.ones(len(listed), bool)
        pending = [(s, min(s + AT_ONCE, len(listed))) for s in range(0, len(listed), AT_ONCE)]
        while pending:
            start, end = pending.pop()
            try:
                self._index.get_items(listed[start:end])
            except RuntimeError:
                if end - start == 1:
                    there[start] = False
                else:
                    middle = (start + end) // 2
                    pending += [(start, middle), (middle, end)]
        return signed(listed[there])


class BruteForceBackend:
    """An hnswlib scan.

    The index tells neither its width nor its space: they are found by what it does. It leaves
    queries as they are under cosine, so that it is one by inner product over normalized rows.

    Parameters
    ----------
    index : hnswlib.BFIndex
    """

    library = "hnswlib"
    ordered = False

    def __init__(self, index: Any) -> None:
        if not _is_initialized(index):
            raise _uninitialized()
        self._index = index
        self.dim = _width(index)
        self._labels, self.metric = self._look()
        self.tells_metric = self.metric == "l2"
        self.search_params: Mapping[str, SearchParam] = {}

    def size(self) -> int:
        """Count the items."""
        n: int = self._index.get_current_count()
        return n

    def labels(self) -> I64:
        """List the labels."""
        return self._labels

    def setting(self) -> dict[str, int]:
        """There is none."""
        return {}

    def exact(self, setting: Setting) -> bool:
        """Say yes: it is a scan."""
        return True

    def selector(self, labels: I64, complement: bool) -> None:
        """There is only a Python function called for every item, which is slower."""

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search."""
        labels, distances = self._index.knn_query(queries, k=k, num_threads=threads)
        return _answer(labels, distances, self.metric)

    def read(self, labels: I64) -> None:
        """Say that the library does not give them back."""

    def _look(self) -> tuple[I64, Metric]:
        """Ask for everything by zeros, whose products are 0 and so all distances 1.

        Squared distances are 1 where all rows have that length; they are far from a far query,
        while of a query and its opposite one has a product >= 0, a distance <= 1, with some row.
        """
        n = self.size()
        if not n:
            return np.empty(0, np.int64), "ip"
        ends = np.zeros((2, self.dim), np.float32)
        ends[:, 0] = 1000, -1000
        labels, distances = self._index.knn_query(np.zeros((1, self.dim), np.float32), k=n)
        nearest = self._index.knn_query(ends, k=1)[1]
        products = (distances == 1).all() and nearest.min() <= 1
        return np.sort(signed(labels[0])), "ip" if products else "l2"


def signed(labels: Any) -> I64:
    """Convert a library's unsigned labels."""
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"index: expected labels that fit int64, got {labels.max()} in the index")
    return np.asarray(labels.astype(np.int64))


def _answer(labels: Any, distances: Any, metric: Metric) -> Answer:
    """Make scores of distances, which are ``1 - score`` or squared lengths."""
    scores = np.subtract(np.float32(metric != "l2"), distances)
    return Answer(labels.view(np.int64), scores)


def _uninitialized() -> ValueError:
    return ValueError("index: expected an initialized one, got one before `init_index`")


def _is_initialized(index: Any) -> bool:
    """Tell whether a BFIndex may be asked anything: the library would end the process.

    It refuses to be initialized twice; if this is the first time there is no memory for it, and
    it stays as it was.
    """
    try:
        index.init_index(max_elements=TOO_MANY)
    except RuntimeError as error:
        return "already" in str(error)
    raise AssertionError("memory for 2**44 elements")


def _width(index: Any) -> int:
    """Find how wide rows must be to be added, by adding none."""
    for width in range(1, WIDEST + 1):
        try:
            index.add_items(np.empty((0, width), np.float32))
        except RuntimeError:
            continue
        return width
    raise ValueError(f"index: expected one at most {WIDEST} wide, got a wider one")
