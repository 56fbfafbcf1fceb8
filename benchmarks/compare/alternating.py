"""Alternating timings in one process, to compare the cost of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
LEAST, MOST = 5, 2000  # rounds


def time_alternately(
    calls: Mapping[str, Callable[[int], object]], seconds: float
) -> dict[str, F64]:
    """Time each call in each round, for about `seconds` in all.

    A call receives the number of its round, so that all can use the same part of the data. The
    order rotates, so that the state of the caches favors none of them.
    """
    names = list(calls)
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < LEAST or (time.perf_counter() < end and len(rounds) < MOST):
        round_number = len(rounds)
        taken = dict.fromkeys(names, 0.0)
        for place in range(len(names)):
            name = names[(round_number + place) % len(names)]
            start = time.perf_counter()
            calls[name](round_number)
            taken[name] = time.perf_counter() - start
        rounds.append([taken[name] for name in names])
    columns = np.array(rounds).T
    return {name: columns[place] for place, name in enumerate(names)}


class MedianInterval(NamedTuple):
    """A median with its 95 % confidence interval."""

    median: float
    low: float
    high: float

    def format(self, digits: int) -> str:
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def median_interval(values: F64) -> MedianInterval:
    """Compute the interval for any distribution; the number of values below is binomial."""
    ordered = np.sort(values)
    n = len(ordered)
    reach = 0.98 * np.sqrt(n)  # 1.96 standard deviations of a binomial of 1/2
    low = max(0, int(np.floor(n / 2 - reach)))
    high = min(n - 1, int(np.ceil(n / 2 + reach)))
    return MedianInterval(float(np.median(ordered)), float(ordered[low]), float(ordered[high]))
