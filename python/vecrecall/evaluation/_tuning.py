"""The cheapest setting of an approximate index that finds enough."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall._extras import needed
from vecrecall.adapters import WrappedIndex, wrap
from vecrecall.adapters._labels import check_vectors
from vecrecall.adapters._wrap import Vectors, exact_index, given_vectors
from vecrecall.adapters.backends._protocol import SearchParam
from vecrecall.arrays import _scalars, _validation
from vecrecall.arrays._results import SearchResult
from vecrecall.arrays._typing import F32
from vecrecall.evaluation._metrics import recall_at_k
from vecrecall.evaluation._tuning_walk import AS_FAST, reaching
from vecrecall.evaluation._tuning_walk import TuningPoint as TuningPoint
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex
from vecrecall.search._protocol import Metric
from vecrecall.search._reloading import ReloadingIndex
from vecrecall.storage._figures import save_figure

QUICK = 0.1  # seconds: what takes less is timed three times
ROUNDS = 5  # timings of each candidate, in turn


class TuningWarning(RuntimeWarning):
    """No setting was found that reaches the target."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """The cheapest setting that reaches a target, and all that were measured.

    Attributes
    ----------
    setting : dict of str to int
        A value for each of the index's `search_params`; empty where there is nothing to set.
    recall : float
        Measured at this setting.
    ms_per_query : float
        Milliseconds: the time of a batch of all queries, divided by their number.
    exact_ms_per_query : float
        The same for the exact scan that the lists were compared with.
    target : float
    reached : bool
        False where no setting reaches the target; `setting` is then that with the best recall.
    curve : list of TuningPoint
        Every setting that was measured, values ascending, those of the first parameter within those
        of the others.
    index : WrappedIndex or IVFIndex
        The index at this setting: a wrapped one as another object, an `IVFIndex` itself.
    """

    setting: dict[str, int]
    recall: float
    ms_per_query: float
    exact_ms_per_query: float
    target: float
    reached: bool
    curve: list[TuningPoint]
    index: WrappedIndex | IVFIndex

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw recall over time, the points of the first parameter joined.

        Parameters
        ----------
        path : str or Path, optional
            Write an image; its suffix names the format: ``.png``, ``.svg``, ``.pdf``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        figure = needed("matplotlib.figure", "demo", "Tuning.plot").Figure(layout="constrained")
        axes = figure.subplots()
        for others, points in self._lines().items():
            times = [p.ms_per_query for p in points]
            label = ", ".join(f"{name}={value}" for name, value in others) or "this index"
            axes.plot(times, [p.recall for p in points], "o-", label=label)
        axes.axhline(self.target, color="#c0392b", linestyle="--")
        axes.plot(
            self.exact_ms_per_query, 1.0, "s", linestyle="none", color="#555555", label="exact scan"
        )
        axes.plot(
            self.ms_per_query, self.recall, "o", linestyle="none",
            markersize=12, fillstyle="none", color="#c0392b",
        )  # fmt: skip
        axes.annotate(
            "\n".join(f"{name}={value}" for name, value in self.setting.items()),
            (self.ms_per_query, self.recall), (9, -9), textcoords="offset points", va="top",
            color="#c0392b", bbox={"color": "white", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("ms per query")
        axes.set_ylabel("recall")
        axes.legend()
        if path is not None:
            save_figure(figure, _scalars.check_path(path, "path"))
        return figure

    def _lines(self) -> dict[tuple[tuple[str, int], ...], list[TuningPoint]]:
        """Put the points that differ in the first parameter only together."""
        lines: dict[tuple[tuple[str, int], ...], list[TuningPoint]] = {}
        for point in self.curve:
            lines.setdefault(tuple(point.setting.items())[1:], []).append(point)
        return lines


def tune(
    index: Any,
    queries: npt.ArrayLike,
    k: int,
    target: float,
    *,
    vectors: Vectors | None = None,
    metric: Metric | None = None,
    threads: int | None = None,
) -> Tuning:
    """Find the cheapest search setting of an index that reaches a target of recall.

    Parameters
    ----------
    index : WrappedIndex, IVFIndex, or an index that `wrap` takes
        The last is measured as it is, without reranking; wrap it with its vectors for that. An
        `IVFIndex` probes from then on as many lists by default as were found.
    queries : array_like of real numbers, shape (nq, d), or (d,) for one
        At least one; a few hundred that are like those to come.
    k : int
        List length, >= 1.
    target : float
        The recall to reach, above 0 and at most 1.
    vectors : array_like of float, shape (n, d), FlatIndex or ReloadingIndex, optional
        The items' own vectors, as `wrap` takes them, for the exact lists. Not needed where the
        index was wrapped with them, or the library gives them back; some are compared with what
        it holds. Not taken with an `IVFIndex`, which has them.
    metric : str, optional
        ``"ip"``, ``"cosine"`` or ``"l2"``, as `wrap` takes it; default that of the index.
    threads : int, optional
        For all searches, the timed ones too; default `get_num_threads`.

    Returns
    -------
    Tuning

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or `vectors` are needed or seen to be others.

    Warns
    -----
    TuningWarning
        If no setting reaches the target.

    Notes
    -----
    Recall is against `FlatIndex` on the same queries, so it will be a little lower on others. The
    library is asked once for each query: `WrappedIndex.search` also completes short lists.

    The first parameter is doubled from its lowest value until the target is reached, or until four
    doublings have found less than a twentieth of what is missing; then the others are, and all
    together. The interval behind the last doubling of the first is halved down to a twentieth of
    the value, and others that are larger than that needs are halved back. A second parameter
    (candidates that are reranked) is doubled further as long as it lets the first be smaller and
    the search is no slower, and the fastest of these pairs is taken, by the median of five timings
    in turn. So the setting of a single parameter is the same in every run, and that of two may
    differ where two are as fast. Only where nothing reaches the target is ``exact`` of usearch set
    to 1. Of an `IVFIndex` the number of lists is computed, by `IVFIndex.tuned_for`; the powers of
    two below it are measured for the curve.

    Examples
    --------
    >>> import faiss, numpy as np, vecrecall as vr
    >>> x = np.random.default_rng(0).standard_normal((2000, 8), dtype=np.float32)
    >>> library = faiss.index_factory(8, "IVF16,Flat")
    >>> library.train(x)
    >>> library.add(x)
    >>> found = vr.tune(library, x[:100] + 0.1, k=10, target=0.9, vectors=x)
    >>> found.reached, list(found.setting), found.recall >= 0.9
    (True, ['nprobe'], True)
    """
    wrapped = _wrapped(index, metric)
    q = _validation.check_queries(queries, "queries", wrapped.dim)
    if not len(q):
        raise ValueError(f"queries: expected at least one row, got shape {q.shape}")
    if wrapped.metric == "cosine":
        _validation.check_directions(q, "queries")
    k = _scalars.check_list_length(k, len(q))
    share = _share(target)
    n_threads = _scalars.check_threads(threads)
    if isinstance(wrapped, WrappedIndex):
        wrapped._check_size()
    if not len(wrapped):
        raise ValueError("index: expected one with items, got an empty one")
    if isinstance(wrapped, IVFIndex):
        if vectors is not None:
            raise ValueError("vectors: expected none with an IVFIndex, which has them")
        return _tune_lists(wrapped, q, k, share, n_threads)
    exact = _exact(wrapped, vectors)
    truth, exact_ms = _timed(lambda: exact.search(q, k, threads=n_threads), len(q))
    meter = _Meter(wrapped, q, k, truth, n_threads)
    candidates = _candidates(meter, wrapped, k, share)
    curve = sorted(meter.points.values(), key=lambda p: tuple(p.setting.values())[::-1])
    if candidates:
        best = meter.fastest(candidates)
    else:
        best = max(curve, key=lambda point: point.recall)
        warnings.warn(
            f"tune: expected a setting that reaches recall {share}, got {best.recall:.4f} at best",
            TuningWarning,
            stacklevel=2,
        )
    chosen = wrapped.with_params(**best.setting)
    return Tuning(*best, exact_ms, share, bool(candidates), curve, chosen)


def _tune_lists(index: IVFIndex, q: F32, k: int, share: float, threads: int) -> Tuning:
    """Set the number of lists that an index probes, and measure it and smaller ones."""
    truth, exact_ms = _timed(lambda: index.search(q, k, probes="exact", threads=threads), len(q))
    chosen = index.tuned_for(q, share, k=k, threads=threads)
    curve = []
    for probes in (*(1 << bit for bit in range((chosen - 1).bit_length())), chosen):
        search = partial(index.search, q, k, probes=probes, threads=threads)
        found, ms = _timed(search, len(q))
        curve.append(TuningPoint({"probes": probes}, recall_at_k(found, truth), ms))
    return Tuning(*curve[-1], exact_ms, share, True, curve, index)


class _Meter:
    """Searches at any setting, against known lists.

    Attributes
    ----------
    points : dict of tuple of int to TuningPoint
        What was measured, by the values of the setting.
    """

    def __init__(
        self, index: WrappedIndex, q: F32, k: int, truth: SearchResult, threads: int
    ) -> None:
        self._index = index
        self._q = q
        self._k = k
        self._truth = truth
        self._threads = threads
        self.points: dict[tuple[int, ...], TuningPoint] = {}

    def measure(self, setting: dict[str, int]) -> TuningPoint:
        """Search at a setting, unless it was done before."""
        key = tuple(setting.values())
        if key not in self.points:
            if not self.points:
                self._run(setting)  # to warm up
            found, ms = _timed(lambda: self._run(setting), len(self._q))
            self.points[key] = TuningPoint(setting, recall_at_k(found, self._truth), ms)
        return self.points[key]

    def fastest(self, candidates: list[TuningPoint]) -> TuningPoint:
        """Time them in turn; the first of those that are as fast."""
        if len(candidates) == 1:
            return candidates[0]
        times = [[self._once(point.setting) for point in candidates] for _ in range(ROUNDS)]
        middle = np.median(times, axis=0)
        chosen = int(np.argmax(middle <= AS_FAST * middle.min()))
        return candidates[chosen]._replace(ms_per_query=float(middle[chosen]))

    def _run(self, setting: dict[str, int]) -> SearchResult:
        return self._index.with_params(**setting)._ask_once(self._q, self._k, self._threads)

    def _once(self, setting: dict[str, int]) -> float:
        """Tell the milliseconds per query of a single search."""
        return _clocked(lambda: self._run(setting), len(self._q))[1]


def _timed(search: Callable[[], SearchResult], n: int) -> tuple[SearchResult, float]:
    """Search, and tell the milliseconds per query; what is quick is timed three times."""
    found, ms = _clocked(search, n)
    if ms * n < 1e3 * QUICK:
        ms = float(np.median([ms, _clocked(search, n)[1], _clocked(search, n)[1]]))
    return found, ms


def _clocked(search: Callable[[], SearchResult], n: int) -> tuple[SearchResult, float]:
    start = time.perf_counter()
    found = search()
    return found, (time.perf_counter() - start) * 1e3 / n


def _wrapped(index: Any, metric: Metric | None) -> WrappedIndex | IVFIndex:
    if isinstance(index, FlatIndex | ReloadingIndex) and not isinstance(index, IVFIndex):
        raise TypeError(
            "index: expected an IVFIndex or an index that wrap takes, "
            f"got a {type(index).__name__}, which has no setting"
        )
    if not isinstance(index, WrappedIndex | IVFIndex):
        return wrap(index, metric=metric)
    if metric is not None and metric != index.metric:
        raise ValueError(f"metric: expected {index.metric!r}, as the index has, got {metric!r}")
    return index


def _share(target: float) -> float:
    share = _scalars.check_float(target, "target")
    if not 0 < share <= 1:
        raise ValueError(f"target: expected a number above 0 and at most 1, got {share}")
    return share


def _exact(index: WrappedIndex, vectors: Vectors | None) -> FlatIndex:
    """Find or make the exact index of the same items."""
    if vectors is None and index._exact is not None:
        return index._exact
    if vectors is None:
        vectors = index._backend.read(index._items.labels)
    if vectors is None:
        raise ValueError(
            "vectors: expected the items' vectors, since this index does not give them back, "
            "got none"
        )
    given = given_vectors(index._backend, index.metric, vectors)
    exact = exact_index(given, index._items, index.metric)
    check_vectors(index._backend, index.metric, index._items, given)
    return exact


def _candidates(meter: _Meter, index: WrappedIndex, k: int, target: float) -> list[TuningPoint]:
    """Walk over the settings; one of a scan, where there is one, is the last resort."""
    search_params = {} if index._backend.exact({}) else index.search_params
    ranges = {
        name: _range(param, k, len(index))
        for name, param in search_params.items()
        if param.counts != "scan"
    }
    scans = {name: param for name, param in search_params.items() if param.counts == "scan"}
    off = {name: param.low for name, param in scans.items()}
    found = reaching(lambda setting: meter.measure({**setting, **off}), ranges, target)
    if found or not scans:
        return found
    # The number of reranked candidates still matters.
    idle = {name: r.low for name, r in ranges.items() if r.counts != "times k"}
    ranges = {name: r for name, r in ranges.items() if name not in idle}
    on = {name: param.high for name, param in scans.items()}
    return reaching(lambda setting: meter.measure({**idle, **setting, **on}), ranges, target)


def _range(param: SearchParam, k: int, n: int) -> SearchParam:
    """Leave out values that do what others do."""
    if param.counts == "candidates":
        return param._replace(low=min(max(param.low, k), param.high))
    if param.counts == "times k":
        return param._replace(high=min(param.high, max(param.low, -(-n // k))))
    return param
