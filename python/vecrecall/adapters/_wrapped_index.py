"""An index of another library, searched by our conventions."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.adapters._completion import FetchPlan, ListCompleter
from vecrecall.adapters._filters import AllowSet, Filters
from vecrecall.adapters._items import Items
from vecrecall.adapters.backends._protocol import Backend, SearchParam, Setting
from vecrecall.arrays import _ids, _ragged_checks, _scalars, _validation
from vecrecall.arrays._ragged import Ragged, RaggedLike
from vecrecall.arrays._results import SearchResult, scatter
from vecrecall.arrays._typing import F32, I64
from vecrecall.search._flat_index import INVALID, FlatIndex, valid_queries
from vecrecall.search._masks import Mask, allowed, mask
from vecrecall.search._neighbors import self_join
from vecrecall.search._protocol import Allow, Ids, Invalid, Metric, Neighbors, Progress


class WrappedIndex:
    """An index of FAISS, hnswlib, usearch or ScaNN that searches as a `FlatIndex` does.

    `wrap` makes it, and says what it does. It cannot be pickled: save the library's index by the
    library's own means, and wrap it where it is loaded. Copies are the index itself, which never
    changes.

    Attributes
    ----------
    setting : dict of str to int
        What searches use in place of the index's own values; see `with_params`.
    search_params : dict of str to SearchParam
        The settings that there are, each with its range (``low``, ``high``).
    """

    def __init__(
        self,
        backend: Backend,
        items: Items,
        exact: FlatIndex | None,
        metric: Metric,
        setting: Setting,
        view_of: "WrappedIndex | None" = None,
    ) -> None:
        self._view_of = view_of
        self._backend = backend
        self._items = items
        self._exact = exact
        self._metric: Metric = metric
        self._completer = ListCompleter(backend, items, exact, metric, setting)
        self.setting = dict(setting)
        self._library_setting = {name: v for name, v in setting.items() if name != "reorder"}
        self._reorder = setting.get("reorder", 1)
        self.search_params: dict[str, SearchParam] = dict(backend.search_params)
        if exact is not None:
            self.search_params["reorder"] = SearchParam(1, max(1, len(items)), "times k")

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        exclude: RaggedLike | None = None,
        allow: Allow | None = None,
        min_score: float | None = None,
        invalid: Invalid = "raise",
        stats: bool = False,
        threads: int | None = None,
    ) -> SearchResult:
        """Find `k` good items of every query; which ones is the wrapped index's own affair.

        Parameters
        ----------
        queries, k, exclude, allow, min_score, invalid, threads
            As of `FlatIndex.search`.
        stats : bool
            Taken as by any `SearchableIndex`; libraries do not count, so the result's ``stats``
            stay None.

        Returns
        -------
        SearchResult
            Score descending, then id ascending; padded with id -1 and score -inf. A list that
            the library could not fill within bounds says so by its count.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or the wrapped index has grown or shrunk.
        """
        q = _validation.check_query_matrix(queries, "queries", self.dim)
        k = _scalars.check_list_length(k, len(q))
        leave_empty = _scalars.check_choice(invalid, "invalid", INVALID)
        _scalars.check_bool(stats, "stats")
        n_threads = _scalars.check_threads(threads)
        floor = -np.inf if min_score is None else _scalars.check_float(min_score, "min_score")
        seen = None if exclude is None else _ragged_checks.check_ragged(exclude, "exclude", len(q))
        sets = [] if allow is None else allowed(self, allow, len(q))
        self._check_size()
        served = self._served(q, leave_empty)
        filters = Filters.of(self._items, k, len(q), seen, sets)
        if served is not None:
            q, filters = q[served], filters.take(np.flatnonzero(served))
        found = self._completer.fill(q, k, filters, floor, self._plan(k), n_threads)
        if min_score is not None:
            found = _cut(found, floor)
        found.metric = self._metric
        return found if served is None else scatter(found, served, len(served))

    def with_params(self, **setting: int) -> "WrappedIndex":
        """Make a view of this index that searches with another setting.

        Parameters
        ----------
        **setting : int
            Values for some of the `search_params`, for example ``nprobe=32``; the others stay. With
            `vectors`, ``reorder`` is how many candidates per entry of the list are reranked.

        Returns
        -------
        WrappedIndex
            The library's index is shared, and its own values are not changed.

        Raises
        ------
        TypeError, ValueError
            If a name is not one of the search_params, or a value is out of its range.
        """
        values = dict(self.setting)
        for name, value in setting.items():
            if name not in self.search_params:
                known = ", ".join(self.search_params) or "none, since it has no settings"
                raise ValueError(f"{name}: expected a setting of this index ({known}), got {name}")
            param = self.search_params[name]
            values[name] = _scalars.check_int_between(value, name, param.low, param.high)
        return WrappedIndex(
            self._backend, self._items, self._exact, self._metric, values, self._mask_owner()
        )

    def score(
        self, queries: npt.ArrayLike, candidates: RaggedLike, *, threads: int | None = None
    ) -> Ragged:
        """Score given items exactly, as `FlatIndex.score` does; needs `vectors`."""
        return self._need_exact("score").score(queries, candidates, threads=threads)

    def neighbors(
        self,
        k: int,
        *,
        min_score: float | None = None,
        progress: Progress | None = None,
        path: str | Path | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the `k` nearest others of every item, as `FlatIndex.neighbors`; needs `vectors`."""
        self._need_exact("neighbors")
        return self_join(self, k, min_score, progress, path, threads)

    def mask(self, ids: Ids) -> Mask:
        """Make a set of ids to pass as ``allow``, as `FlatIndex.mask` does."""
        return mask(self, ids)

    def contains(self, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which of many ids the index has, as `FlatIndex.contains` does."""
        return self._items.find(_ids.check_integers(ids, "ids")) >= 0

    def vectors(self, ids: npt.ArrayLike) -> F32:
        """Copy out the rows of given ids, as `FlatIndex.vectors` does; needs `vectors`."""
        return self._need_exact("vectors").vectors(ids)

    @property
    def exact(self) -> FlatIndex | None:
        """The exact index of its `vectors` as they were given, None without them."""
        return self._exact

    @property
    def ids(self) -> I64:
        """The items' ids, in the order of the wrapped index's rows, shape (n,)."""
        return self._items.ids.copy()

    @property
    def dim(self) -> int:
        """The vectors' width."""
        return self._backend.dim

    @property
    def metric(self) -> Metric:
        """The metric's name."""
        return self._metric

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, id: object) -> bool:
        return _ids.is_id(id) and bool(self.contains(np.array([id], np.int64))[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how the index gets to another process."""
        library = self._backend.library
        raise TypeError(
            f"pickle: expected an index of vecrecall, got one of {library}; save it as {library} "
            "does, and wrap it again where it is loaded"
        )

    def __copy__(self) -> "WrappedIndex":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "WrappedIndex":
        return self

    def __repr__(self) -> str:
        at = "".join(f", {name}={value}" for name, value in self.setting.items())
        exact = ", reranked" if self._exact is not None else ""
        return (
            f"WrappedIndex({self._backend.library}, {_scalars.counted(len(self), 'item')}, "
            f"dim {self.dim}, "
            f"metric {self.metric!r}{at}{exact})"
        )

    def _ask_once(self, q: F32, k: int, threads: int) -> SearchResult:
        """Search for finite queries with a direction; what the library leaves short stays so."""
        return self._completer.ask_once(q, k, self._plan(k), threads)

    def _frozen(self) -> "WrappedIndex":
        return self  # its items stay the same

    def _searched_by(self) -> str:
        return f"{self._backend.library} {sorted(self.setting.items())}"

    def _mask_owner(self) -> "WrappedIndex":
        return self if self._view_of is None else self._view_of

    def _allow(self, ids: I64, complement: bool) -> AllowSet:
        return AllowSet(self._items, self._backend, ids, complement)

    def _need_exact(self, what: str) -> FlatIndex:
        if self._exact is None:
            raise ValueError(f"{what}: expected an index wrapped with `vectors`, got one without")
        return self._exact

    def _plan(self, k: int) -> FetchPlan:
        return FetchPlan(k * self._reorder, self._library_setting)

    def _check_size(self) -> None:
        size = self._backend.size()
        if size != len(self):
            raise ValueError(
                f"index: expected the {len(self)} items that it had when it was wrapped, "
                f"got {size}; wrap it again"
            )

    def _served(self, q: F32, leave_empty: bool) -> npt.NDArray[np.bool_] | None:
        """Tell which queries have an answer, None for all."""
        served = valid_queries(q, leave_empty)
        if self._metric == "cosine":
            zero = _core.zero_rows(q).astype(bool)
            if zero.any():
                served = ~zero if served is None else served & ~zero
        return served


def _cut(found: SearchResult, floor: float) -> SearchResult:
    """Drop entries below the floor, which are each list's last."""
    keep = (found.ids >= 0) & (found.scores.astype(np.float64) >= floor)
    ids, scores = np.where(keep, found.ids, -1), np.where(keep, found.scores, -np.inf)
    return SearchResult(ids, scores.astype(np.float32), keep.sum(axis=1, dtype=np.int32))
