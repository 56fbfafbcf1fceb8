"""FAISS: its kinds of index, and a search by each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecrecall.adapters.backends._faiss_threads import FaissThreads
from vecrecall.adapters.backends._protocol import Answer, SearchParam, Setting
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._protocol import Metric

BITS_AN_ITEM = 64  # as large as the bitmap of a selection may be: as much as the labels


class FaissBackend:
    """A FAISS index of float vectors, by inner product or squared Euclidean distance.

    Parameters
    ----------
    index : faiss.Index
        An IDMap, PreTransform or Refine is looked into.
    """

    library = "faiss"
    tells_metric = True

    def __init__(self, index: Any) -> None:
        import faiss

        if not isinstance(index, (faiss.Index, faiss.IndexBinary)):
            raise TypeError(f"index: expected an index, got {type(index).__name__}")
        if isinstance(index, faiss.IndexBinary):
            raise TypeError(
                f"index: expected one of float vectors, got a binary one, {type(index).__name__}"
            )
        self._faiss = faiss
        self._owner = index  # of what `downcast_index` only points to
        self._chain = _chain(faiss, index)
        outer = self._chain[0]
        if not outer.is_trained:
            raise ValueError(
                f"index: expected a trained one, got {type(outer).__name__} before `train`"
            )
        self._larger_is_better = _is_similarity(faiss, outer)
        self.metric: Metric = "ip" if self._larger_is_better else "l2"
        self.dim: int = outer.d
        is_flat = type(self._chain[-1]) in (faiss.IndexFlat, faiss.IndexFlatIP, faiss.IndexFlatL2)
        self._scans = is_flat and all(isinstance(a, faiss.IndexIDMap) for a in self._chain[:-1])
        # A Flat that is given row numbers themselves scores no others: of 200,000 rows 10% took
        # half the time of a bitmap, 1% a ninth.
        self._looks_up_rows = is_flat and not isinstance(self._chain[-2:][0], faiss.IndexIDMap)
        self.ordered = True
        self.search_params: Mapping[str, SearchParam] = self._find_params()
        self._params: dict[tuple[int, ...], Any] = {}
        self._selects: bool | None = None

    def size(self) -> int:
        """Count the items."""
        n: int = self._chain[0].ntotal
        return n

    def labels(self) -> I64:
        """List the ids of the outermost IDMap, those in the lists of an IVF, or row numbers."""
        for part in self._chain:
            if isinstance(part, self._faiss.IndexIDMap):
                return self._checked(self._faiss.vector_to_array(part.id_map))
            if isinstance(part, self._faiss.IndexIVF):
                return self._checked(self._in_lists(part))
        return np.arange(self.size())

    def setting(self) -> dict[str, int]:
        """Read the index's own values of its search_params."""
        values: dict[str, int] = {}
        for part in self._chain:
            if isinstance(part, self._faiss.IndexRefine):
                values["k_factor"] = int(np.ceil(part.k_factor))
            elif isinstance(part, self._faiss.IndexIVF):
                values["nprobe"] = part.nprobe
            elif isinstance(part, self._faiss.IndexHNSW):
                values["efSearch"] = part.hnsw.efSearch
        return {name: values[name] for name in self.search_params}

    def exact(self, setting: Setting) -> bool:
        """Tell whether the index is a Flat."""
        return self._scans

    def selector(self, labels: I64, complement: bool) -> Any:
        """Make an IDSelector where the kind of index takes one."""
        if self._selects is None:
            self._selects = self._takes_selector()
        if not self._selects:
            return None
        inside = self._as_seen_inside(labels)
        if self._looks_up_rows:
            if complement:
                inside = np.setdiff1d(np.arange(self.size()), inside, assume_unique=True)
            return self._faiss.IDSelectorArray(inside)
        chosen = self._chosen(inside)
        return self._faiss.IDSelectorNot(chosen) if complement else chosen

    def search(
        self, queries: F32, k: int, setting: Setting, selector: object | None, threads: int
    ) -> Answer:
        """Search; distances become scores by their sign."""
        params = self._parameters(setting, selector)
        with FaissThreads(self._faiss, threads):
            scores, labels = self._owner.search(queries, k, params=params)
        if not self._larger_is_better:
            np.negative(scores, out=scores)
        return Answer(labels, scores)

    def read(self, labels: I64) -> F32 | None:
        """Copy out rows of a Flat, also of one within an HNSW, or of an IVF of them, or None."""
        store = self._chain[-1]
        if type(store) is self._faiss.IndexIVFFlat and store is self._chain[0]:
            return self._from_lists(store, labels)
        if isinstance(store, self._faiss.IndexHNSWFlat):
            store = self._faiss.downcast_index(store.storage)
        others = (self._faiss.IndexPreTransform, self._faiss.IndexRefine)
        if not isinstance(store, self._faiss.IndexFlat) or any(
            isinstance(part, others) for part in self._chain
        ):
            return None
        order = np.argsort(own := self.labels(), kind="stable")
        return np.asarray(store.reconstruct_batch(order[np.searchsorted(own[order], labels)]))

    def _takes_selector(self) -> bool:
        """Try one where the kind may take it: several that are an IVF or a Flat do not."""
        kinds = (
            self._faiss.IndexFlat,
            self._faiss.IndexScalarQuantizer,
            self._faiss.IndexIVF,
            self._faiss.IndexHNSW,
        )
        if not isinstance(self._chain[-1], kinds):
            return False
        params = self._parameters({}, self._chosen(np.zeros(1, np.int64)))
        try:
            self._owner.search(np.zeros((1, self.dim), np.float32), 1, params=params)
        except RuntimeError:
            return False
        return True

    def _chosen(self, labels: I64) -> Any:
        """Make a selector of ascending labels.

        Of 200,000 items, a bitmap of many was made 10 to 40 times faster than a set, and searches
        with it were up to twice as fast; a set is for labels that lie far apart. Asking for more
        instead took as long or, mostly, several times longer: in a Flat, an IVF and an HNSW.
        """
        faiss = self._faiss
        end = int(labels.max(initial=0)) + 1
        if end > BITS_AN_ITEM * self.size():
            return faiss.IDSelectorBatch(labels)
        bits = np.zeros(end, np.bool_)
        bits[labels] = True
        return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))

    def _as_seen_inside(self, labels: I64) -> I64:
        """Turn labels into row numbers where an IDMap fails to: for an index within the inner."""
        outer = self._chain[0]
        others = (self._faiss.IndexPreTransform, self._faiss.IndexRefine)
        if not isinstance(outer, self._faiss.IndexIDMap) or not isinstance(self._chain[1], others):
            return labels
        return np.flatnonzero(np.isin(self._faiss.vector_to_array(outer.id_map), labels))

    def _find_params(self) -> dict[str, SearchParam]:
        search_params: dict[str, SearchParam] = {}
        for part in reversed(self._chain):
            if isinstance(part, self._faiss.IndexIVF):
                search_params["nprobe"] = SearchParam(1, part.nlist, "parts")
            elif isinstance(part, self._faiss.IndexHNSW):
                search_params["efSearch"] = SearchParam(1, max(1, part.ntotal), "candidates")
            elif isinstance(part, self._faiss.IndexRefine):
                search_params["k_factor"] = SearchParam(1, max(1, part.ntotal), "times k")
        return search_params

    def _parameters(self, setting: Setting, selector: object | None) -> Any:
        """Make the search's parameters; without a setting and a selector there are none."""
        if not setting and selector is None:
            return None
        values = {**self.setting(), **setting}
        if selector is not None:
            return self._of_part(0, values, selector)
        key = tuple(values.values())
        if key not in self._params:
            self._params[key] = self._of_part(0, values, None)
        return self._params[key]

    def _of_part(self, place: int, values: Setting, selector: object | None) -> Any:
        """Make the parameters of one index in the chain; each kind has a class of its own."""
        faiss = self._faiss
        part = self._chain[place]
        given = {} if selector is None else {"sel": selector}
        if isinstance(part, faiss.IndexIDMap):
            return self._of_part(place + 1, values, selector)
        if isinstance(part, faiss.IndexPreTransform):
            inner = self._of_part(place + 1, values, selector)
            return None if inner is None else faiss.SearchParametersPreTransform(index_params=inner)
        if isinstance(part, faiss.IndexRefine):
            inner = self._of_part(place + 1, values, selector)
            return faiss.IndexRefineSearchParameters(
                k_factor=float(values["k_factor"]), base_index_params=inner
            )
        if isinstance(part, faiss.IndexIVF):
            own = {"max_codes": part.max_codes}
            return faiss.SearchParametersIVF(nprobe=values["nprobe"], **own, **given)
        if isinstance(part, faiss.IndexHNSW):
            own = {
                "check_relative_distance": part.hnsw.check_relative_distance,
                "bounded_queue": part.hnsw.search_bounded_queue,
            }
            return faiss.SearchParametersHNSW(efSearch=values["efSearch"], **own, **given)
        return faiss.SearchParameters(**given) if given else None

    def _in_lists(self, ivf: Any) -> I64:
        """Read the ids of all lists; whether these are row numbers or others nothing tells."""
        self.ordered = False
        lists = ivf.invlists
        parts = [np.empty(0, np.int64)]
        for number in range(ivf.nlist):
            size = lists.list_size(number)
            if size:
                parts.append(self._faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
        return np.sort(np.concatenate(parts))

    def _from_lists(self, ivf: Any, labels: I64) -> F32:
        """Copy vectors out of the lists, where they are in any order."""
        lists = ivf.invlists
        rows = np.empty((labels.size, self.dim), np.float32)
        order = np.argsort(labels)
        for number in range(ivf.nlist):
            size = lists.list_size(number)
            if size:
                ids = self._faiss.rev_swig_ptr(lists.get_ids(number), size)
                codes = self._faiss.rev_swig_ptr(lists.get_codes(number), size * ivf.code_size)
                places = np.searchsorted(labels, ids, sorter=order)
                places = order[np.minimum(places, labels.size - 1)]
                wanted = labels[places] == ids
                rows[places[wanted]] = codes.view(np.float32).reshape(size, self.dim)[wanted]
        return rows

    def _checked(self, labels: I64) -> I64:
        if labels.size and labels.min() < 0:
            raise ValueError(f"index: expected ids >= 0, got {labels.min()} in the index")
        return labels


def _chain(faiss: Any, index: Any) -> list[Any]:
    """List an index and those within it, the outermost first."""
    chain = [faiss.downcast_index(index)]
    while True:
        last = chain[-1]
        if isinstance(last, (faiss.IndexIDMap, faiss.IndexPreTransform)):
            chain.append(faiss.downcast_index(last.index))
        elif isinstance(last, faiss.IndexRefine):
            chain.append(faiss.downcast_index(last.base_index))
        else:
            return chain


def _is_similarity(faiss: Any, index: Any) -> bool:
    if index.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
        raise ValueError(
            "index: expected METRIC_INNER_PRODUCT or METRIC_L2, "
            f"got metric_type {index.metric_type}"
        )
    return bool(index.metric_type == faiss.METRIC_INNER_PRODUCT)
