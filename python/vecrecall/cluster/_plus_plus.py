"""k-means++ in rounds: many rows are drawn at once, and judged one after the other."""

import numpy as np
import numpy.typing as npt

import vecrecall._core as _core
from vecrecall.arrays._row_types import widened
from vecrecall.arrays._typing import F64, I64, Array
from vecrecall.cluster._draws import Draws

TRIALS = 2  # draws a center, of which the better stays
FIRST = 64  # centers with a pass over the rows for each draw, which is cheaper for few
NEAR = 4  # drawn rows that a row counts for, when these are judged
GROWTH = 0.5  # a round adds this part of the centers that there are
SPARE = 1.2  # draws in a round, over those that it would need if none was turned down


def plus_plus(
    points: Array, k: int, weights: F64 | None, metric: _core.Metric, draws: Draws, threads: int
) -> I64:
    """Draw `k` rows, each by its squared distance (or 1 - cosine) from those before.

    A round draws rows by their distances at its start. One that was drawn is turned down with the
    share of its distance that was lost since, so that the others are drawn by what is left: see
    Cohen-Addad et al. (2020). Of each two the one stays that leaves the smaller inertia; which rows
    it would serve is looked up among the `NEAR` drawn rows nearest to each.
    """
    first = k if k <= 2 * FIRST else FIRST
    uniform = draws.uniform(first * TRIALS).reshape(first, TRIALS)
    rows = _core.plus_plus(points, uniform, metric, threads, weights)
    if rows.size == k:
        return rows
    run = _Rounds(points, weights, metric, threads, rows)
    while run.rows.size < k and run.total > 0:
        run.draw(min(k - run.rows.size, int(GROWTH * run.rows.size)), draws)
    return np.concatenate([run.rows, run.lowest_left(k - run.rows.size)])


class _Rounds:
    """Rows drawn so far, and how far all rows are from them.

    Distances are scores of the core; all that is added up here is added in order.
    """

    def __init__(
        self, points: Array, weights: F64 | None, metric: _core.Metric, threads: int, rows: I64
    ) -> None:
        self._points = points
        self._weights = np.ones(len(points)) if weights is None else weights
        self._metric = metric
        self._threads = threads
        self._far = np.full(len(points), np.finfo(np.float64).max)
        self.rows = np.empty(0, np.int64)
        self._take(rows)

    def _take(self, rows: I64) -> None:
        self.rows = np.concatenate([self.rows, rows])
        _, near = self._distances(self._points, rows, 1)
        self._far = np.minimum(self._far, near[:, 0])
        self._far[self.rows] = 0
        with _core.FpEnvironment():
            self._passed = np.cumsum(self._far * self._weights)
        self.total = float(self._passed[-1])

    def _distances(
        self, points: Array, rows: I64, m: int, threads: int | None = None
    ) -> tuple[npt.NDArray[np.int32], F64]:
        """Find the `m` nearest of `rows` for each point; a zero point under cosine is at 0."""
        how = self._metric, self._threads if threads is None else threads
        labels, scores = _core.assign(points, widened(self._points[rows]), m, *how)
        best = 1.0 if self._metric == _core.Metric.cosine else 0.0
        distances = np.maximum(best - scores.astype(np.float64), 0)
        distances[labels < 0] = 0
        return labels, np.minimum(distances, np.finfo(np.float32).max)

    def draw(self, wanted: int, draws: Draws) -> None:
        """Draw at most so many more rows, and at least one."""
        n = int(SPARE * TRIALS * wanted) + TRIALS
        places = np.searchsorted(self._passed, draws.uniform(n) * self.total, side="right")
        drawn = np.minimum(places, np.searchsorted(self._passed, self.total))
        with _core.FpEnvironment():
            self._take(drawn[self._choose(drawn, draws.uniform(n), wanted)])

    def _choose(self, drawn: I64, shares: F64, wanted: int) -> list[int]:
        """Take or turn down what was drawn, in order; returns places in `drawn`."""
        gains = _Gains(*self._distances(self._points, drawn, NEAR), self._far, self._weights)
        points, before = self._points[drawn], self._far[drawn]
        now = before.copy()
        taken: list[int] = []
        trials: list[int] = []
        for place in range(drawn.size):
            if shares[place] * before[place] >= now[place]:
                continue
            trials.append(place)
            if len(trials) < TRIALS and place + 1 < drawn.size:
                continue
            best = max(trials, key=gains.of)  # the first of equals
            trials = []
            taken.append(best)
            if len(taken) == wanted:
                break
            gains.take(best)
            now = np.minimum(now, self._distances(points, drawn[[best]], 1, 1)[1][:, 0])
        return taken or trials

    def lowest_left(self, n: int) -> I64:
        """List the lowest rows that were not drawn and can be: nothing is at a distance."""
        left = np.ones(len(self._points), bool)
        left[self.rows] = False
        if self._metric == _core.Metric.cosine:
            left &= ~_core.zero_rows(self._points).astype(bool)
        return np.flatnonzero(left)[:n]


class _Gains:
    """By how much each drawn row would lower the inertia.

    Parameters
    ----------
    labels : ndarray of int32, shape (n, m)
        The drawn rows nearest to each row.
    distances : ndarray of float64, shape (n, m)
    far : ndarray of float64, shape (n,)
        How far each row is now.
    weights : ndarray of float64, shape (n,)
    """

    def __init__(
        self, labels: npt.NDArray[np.int32], distances: F64, far: F64, weights: F64
    ) -> None:
        rows, columns = np.nonzero(distances < far[:, None])
        named = labels[rows, columns]
        order = np.argsort(named, kind="stable")
        self._rows = rows[order]
        self._distances = distances[rows, columns][order]
        self._weights = weights[self._rows]
        self._starts = np.searchsorted(named[order], np.arange(int(labels.max(initial=0)) + 2))
        self._far = far.copy()

    def _served(self, label: int) -> slice:
        if label + 1 >= self._starts.size:
            return slice(0, 0)
        return slice(self._starts[label], self._starts[label + 1])

    def of(self, label: int) -> float:
        """Add up what the rows that it would serve are nearer to it than to any so far."""
        own = self._served(label)
        lower = np.maximum(self._far[self._rows[own]] - self._distances[own], 0)
        return float(np.cumsum(lower * self._weights[own])[-1]) if lower.size else 0.0

    def take(self, label: int) -> None:
        """Count it among those so far."""
        own = self._served(label)
        rows = self._rows[own]
        self._far[rows] = np.minimum(self._far[rows], self._distances[own])
