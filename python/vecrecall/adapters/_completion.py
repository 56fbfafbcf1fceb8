"""Full lists of another library's search, which is asked again where they are short."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.adapters._filters import Filters
from vecrecall.adapters._items import Items
from vecrecall.adapters._spherical import unit_rows
from vecrecall.adapters.backends._protocol import Backend, Setting
from vecrecall.arrays._results import SearchResult, empty_lists, put_lists
from vecrecall.arrays._typing import F32, F64, I64
from vecrecall.cluster._lloyd import lengths
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._protocol import Metric

Bools = npt.NDArray[np.bool_]

GROWTH = 4  # times as many candidates, or as large a setting, in each further round
ROUNDS = 6
ROUNDS_WITH_VECTORS = 2  # then an exact scan is no dearer
MARGIN = 16  # candidates beyond the list, to prove where it ends in exact scores
ROUNDING: float = 2.0**-24  # of float32, relative
BLOCK_ENTRIES = 2**22  # candidates at a time: 48 MB of labels and scores


class FetchPlan(NamedTuple):
    """How much the library is asked for.

    Attributes
    ----------
    fetch : int
        Candidates per query.
    setting : mapping of str to int
    """

    fetch: int
    setting: Setting


class BatchResult(NamedTuple):
    """The lists of one round of requests.

    Attributes
    ----------
    lists : SearchResult
    short : ndarray of int64
        The queries whose lists are not full, or not proved where they could be.
    padded : ndarray of bool
        For each of them: the library found fewer candidates than it was asked for.
    """

    lists: SearchResult
    short: I64
    padded: Bools


NONE_SHORT = (np.empty(0, np.int64), np.empty(0, np.bool_))


class ListCompleter:
    """Searches until lists are full, within bounds.

    Parameters
    ----------
    backend : Backend
    items : Items
    exact : FlatIndex, optional
        Of the same items: candidates get its scores, and lists that stay short its answer.
    metric : {"ip", "cosine", "l2"}
        That of the results; ``"cosine"`` over a library's ``"ip"`` divides its queries.
    setting : mapping of str to int
        That of its searches.
    """

    def __init__(
        self,
        backend: Backend,
        items: Items,
        exact: FlatIndex | None,
        metric: Metric,
        setting: Setting,
    ) -> None:
        self._backend = backend
        self._items = items
        self._exact = exact
        self._divides = metric != backend.metric
        self._proves = exact is not None and backend.exact(setting)
        self._shortest, self._longest = (
            _extreme_lengths(exact) if exact is not None and self._proves else (0.0, 0.0)
        )

    def fill(
        self, q: F32, k: int, filters: Filters, floor: float, plan: FetchPlan, threads: int
    ) -> SearchResult:
        """Search for `k` items of every query; entries below `floor` may be among them."""
        if len(q) == 0 or filters.most == 0:
            return empty_lists(len(q), k)
        plan = self._first_plan(plan, filters)
        found, rows, padded = self._ask(q, k, filters, floor, plan, threads)
        rounds = ROUNDS if self._exact is None else ROUNDS_WITH_VECTORS
        while rows.size and rounds:
            more = self._more(plan, padded)
            if more is None:
                break
            plan, rounds = more, rounds - 1
            asked = self._ask(q[rows], k, filters.take(rows), floor, plan, threads)
            put_lists(found, rows, asked.lists)
            rows, padded = rows[asked.short], asked.padded
        if rows.size and self._exact is not None:
            put_lists(found, rows, self._scan(q[rows], k, filters.take(rows), threads))
        return found

    def ask_once(self, q: F32, k: int, plan: FetchPlan, threads: int) -> SearchResult:
        """Search without filters, and leave short lists as they are."""
        filters = Filters.of(self._items, k, len(q), None, [])
        plan = self._first_plan(plan, filters)
        return self._ask(q, k, filters, -np.inf, plan, threads).lists

    def _first_plan(self, plan: FetchPlan, filters: Filters) -> FetchPlan:
        """Ask for what filters will probably take away as well."""
        fetch = plan.fetch
        if self._proves:
            fetch += MARGIN
        if filters.exclude is not None:
            fetch += min(int(filters.exclude.lengths.max(initial=0)), max(fetch, 64))
        if filters.allow and filters.selector is None:
            smallest = min(a.size for a in filters.allow if a.size)
            fetch = fetch * len(self._items) * 5 // (smallest * 4) + 32
        return FetchPlan(min(fetch, len(self._items)), plan.setting)

    def _more(self, plan: FetchPlan, padded: Bools) -> FetchPlan | None:
        """Grow what limits the short lists; None when nothing is left to grow."""
        n = len(self._items)
        fetch, setting = plan
        if not padded.all() and fetch < n:
            fetch = min(n, GROWTH * fetch)
        if padded.any() or fetch == plan.fetch:
            setting = self._harder(setting)
        grown = FetchPlan(fetch, setting)
        return None if grown == plan else grown

    def _harder(self, setting: Setting) -> Setting:
        """Raise the first parameter that is not at its highest."""
        own = self._backend.setting()
        for name, param in self._backend.search_params.items():
            now = setting[name] if name in setting else own[name]
            if now < param.high:
                return {**setting, name: min(param.high, max(1, GROWTH * now))}
        return setting

    def _ask(
        self, q: F32, k: int, filters: Filters, floor: float, plan: FetchPlan, threads: int
    ) -> BatchResult:
        """Search once, some queries at a time where there are very many candidates."""
        step = max(1, BLOCK_ENTRIES // plan.fetch)
        if len(q) <= step:
            return self._ask_block(q, k, filters, floor, plan, threads)
        lists, short, padded = empty_lists(len(q), k), [], []
        for start in range(0, len(q), step):
            rows = np.arange(start, min(start + step, len(q)))
            part = self._ask_block(q[rows], k, filters.take(rows), floor, plan, threads)
            put_lists(lists, rows, part.lists)
            short.append(start + part.short)
            padded.append(part.padded)
        return BatchResult(lists, np.concatenate(short), np.concatenate(padded))

    def _ask_block(
        self, q: F32, k: int, filters: Filters, floor: float, plan: FetchPlan, threads: int
    ) -> BatchResult:
        asked = unit_rows(q) if self._divides else q
        labels, own = self._backend.search(
            asked, plan.fetch, plan.setting, filters.selector, threads
        )
        ids = self._items.ids_of(labels)
        scores = own
        if self._exact is not None:
            offsets = np.arange(len(q) + 1) * ids.shape[1]
            flat = self._exact._now().score(q, ids.ravel(), offsets, threads)
            scores = flat.reshape(ids.shape)
        exclude, allow = filters.core()
        found = _core.rank_candidates(ids, scores, k, exclude, allow, threads)
        lists, shortest = SearchResult(*found[:3]), found[3]
        if shortest >= filters.most and not self._proves:
            return BatchResult(lists, *NONE_SHORT)
        padded = labels[:, -1] < 0
        lacking = self._lacking(lists, filters, floor)
        if self._proves:
            end = filters.selected(len(self._items)) - 1
            complete = labels[:, end] >= 0 if end < plan.fetch else False
            lacking |= ~(complete | self._proved(q, lists, own, floor))
        short = np.flatnonzero(lacking)
        return BatchResult(lists, short, padded[short])

    def _lacking(self, lists: SearchResult, filters: Filters, floor: float) -> Bools:
        """Tell which lists are not full though there may be more."""
        lacking: Bools = lists.counts < filters.wanted
        if floor > -np.inf:
            # Candidates not fetched are no better than the last one that was.
            last = lists.scores[np.arange(len(lacking)), np.maximum(lists.counts, 1) - 1]
            lacking &= (lists.counts == 0) | (last.astype(np.float64) >= floor)
        return lacking

    def _proved(self, q: F32, lists: SearchResult, own: F32, floor: float) -> Bools:
        """Tell which lists of an exact library cannot be changed by what was not fetched."""
        full = lists.counts == lists.ids.shape[1]
        end = np.where(full, lists.scores[:, -1], -np.inf).astype(np.float64)
        with np.errstate(invalid="ignore"):  # an infinite score with no bound proves nothing
            proved: Bools = np.maximum(end, floor) > own[:, -1] + self._error(q)
        return proved

    def _error(self, q: F32) -> F64:
        """Bound how far float32 scores are from exact ones.

        With u = 2**-24, sums of d products in any order are off by at most ``1.01 d u |q| |x|``,
        or ``1.01 (d + 3) u (|q| + |x|)**2`` for squared distances from norms and products; lengths
        divided out before, and a score stored as ``1 - s``, add less than that again. Numbers below
        2**-126 may become zero, which changes no term by more than ``(|q| + |x| + 1) 2**-123``.
        Where a term can overflow, or a length to divide by can leave float32's range when it is
        squared and multiplied by another, the score may be anything.
        """
        assert self._exact is not None
        own = lengths(q.astype(np.float64))
        factor = (2 * q.shape[1] + 16) * ROUNDING
        if self._exact.metric == "cosine":
            low, high = np.minimum(own, self._shortest), np.maximum(own, self._longest)
            return np.where((low > 2.0**-31) & (high < 2.0**31), 2 * factor, np.inf)
        both = own + self._longest
        l2 = self._exact.metric == "l2"
        largest = np.square(both) if l2 else own * self._longest
        error = (largest if l2 else largest + 1) * factor + q.shape[1] * (both + 1) * 2.0**-123
        return np.where(largest < 2.0**126, error, np.inf)

    def _scan(self, q: F32, k: int, filters: Filters, threads: int) -> SearchResult:
        """Answer by the exact index."""
        assert self._exact is not None
        exclude, sets = filters.core()
        bits = [_core.IdMask(ids, complement) for ids, complement in sets] or None
        now = self._exact._now()
        found = now.search(q, k, exclude, bits, -np.inf, _core.EXACT_PROBES, threads)
        return SearchResult(*found[:3])


def _extreme_lengths(index: FlatIndex) -> tuple[float, float]:
    """Find the lengths of the shortest and the longest row."""
    shortest, longest = np.inf, 0.0
    ids = index.ids
    for start in range(0, len(ids), 2**16):
        rows = index.vectors(ids[start : start + 2**16]).astype(np.float64)
        squares = np.einsum("ij,ij->i", rows, rows)
        shortest, longest = min(shortest, squares.min()), max(longest, squares.max())
    return float(np.sqrt(shortest)), float(np.sqrt(longest))
