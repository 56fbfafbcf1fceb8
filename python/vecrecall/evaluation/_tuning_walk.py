"""Which settings of a search are measured: a doubling grid, and bisection in it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vecrecall.adapters.backends._protocol import SearchParam

FINEST = 20  # a value is found to a twentieth of itself, or exactly
PATIENCE = 4  # doublings with no gain after which a value has done all that it will
GAIN = 0.05  # more than so much of what is found, or of what is missing, is a gain
LEAP = 256  # how many times the value with the last gain the largest may be, to be tried after all
AS_FAST = 1.1  # times as slow, as far as timings can tell


class TuningPoint(NamedTuple):
    """Recall and time of a search at one setting.

    Attributes
    ----------
    setting : dict of str to int
    recall : float
        As `recall_at_k` tells it.
    ms_per_query : float
        Milliseconds: the time of a batch of all queries, divided by their number.
    """

    setting: dict[str, int]
    recall: float
    ms_per_query: float


Measure = Callable[[dict[str, int]], TuningPoint]
Params = Mapping[str, SearchParam]


def reaching(measure: Measure, params: Params, target: float) -> list[TuningPoint]:
    """Find settings that reach the target: those of which one may be the cheapest.

    Parameters
    ----------
    measure : callable
        What a search does at a setting; asking twice for the same one is free.
    params : mapping of str to SearchParam
        From the lowest value worth a try; that of the largest effect first.
    target : float

    Returns
    -------
    list of TuningPoint
        The others than the first value ascending, the first descending; empty where nothing
        reaches the target.
    """
    point = measure({name: param.low for name, param in params.items()})
    if point.recall >= target or not params:
        return [point] if point.recall >= target else []
    first = next(iter(params))
    before = -1.0
    while _gains(before, point.recall, target):  # one value may let another do more
        before = point.recall
        for names in (*zip(params), tuple(params)):
            climbed = _climb(measure, point, params, names, target)
            if climbed[-1].recall >= target:
                second = next((name for name in (*names, *params) if name != first), None)
                return _corners(measure, climbed[-1], params, first, second, target)
            point = next(p for p in climbed if not _gains(p.recall, climbed[-1].recall, target))
    end = params[first].high
    if end <= LEAP * point.setting[first]:  # of few queries the last item may come late
        point = measure({**point.setting, first: end})
    return [_smallest(measure, point, params, first, target)] if point.recall >= target else []


def _climb(
    measure: Measure, point: TuningPoint, params: Params, names: tuple[str, ...], target: float
) -> list[TuningPoint]:
    """Double values until they are enough, or there is no gain any more."""
    points = [point]
    while point.recall < target:
        doubled = {name: min(params[name].high, 2 * point.setting[name]) for name in names}
        stalled = len(points) > PATIENCE and not _gains(
            points[-1 - PATIENCE].recall, point.recall, target
        )
        if stalled or doubled.items() <= point.setting.items():
            break
        point = measure({**point.setting, **doubled})
        points.append(point)
    return points


def _without_excess(
    measure: Measure, point: TuningPoint, params: Params, target: float
) -> TuningPoint:
    """Halve the others than the first value as far as that is still enough."""
    for name in [*params][:0:-1]:
        while point.setting[name] > params[name].low:
            half = max(params[name].low, point.setting[name] // 2)
            trial = measure({**point.setting, name: half})
            if trial.recall < target:
                break
            point = trial
    return point


def _corners(
    measure: Measure,
    point: TuningPoint,
    params: Params,
    first: str,
    second: str | None,
    target: float,
) -> list[TuningPoint]:
    """Find the smallest first value for each second one, while it gets smaller and no slower."""
    corners: list[TuningPoint] = []
    while point.recall >= target:
        corner = _smallest(measure, point, params, first, target)
        corner = _without_excess(measure, corner, params, target)
        if corners and corner.ms_per_query > AS_FAST * corners[-1].ms_per_query:
            break
        corners.append(corner)
        value = corner.setting[first]
        if second is None or value == params[first].low:
            break
        if corner.setting[second] == params[second].high:
            break
        larger = min(params[second].high, 2 * corner.setting[second])
        point = measure({**corner.setting, first: value - _step(value), second: larger})
    return corners


def _smallest(
    measure: Measure, point: TuningPoint, params: Params, name: str, target: float
) -> TuningPoint:
    """Halve a value that is enough while it is, then the interval behind it."""
    low, high = params[name].low - 1, point.setting[name]  # what fails, and what is enough
    halving = True
    while high - low > _step(high):
        middle = max(low + 1, high // 2) if halving else (low + high) // 2
        trial = measure({**point.setting, name: middle})
        if trial.recall >= target:
            point, high = trial, middle
        else:
            low, halving = middle, False
    return point


def _step(value: int) -> int:
    return max(1, value // FINEST)


def _gains(before: float, after: float, target: float) -> bool:
    """Tell whether more than next to nothing was found in between."""
    return after - before > GAIN * min(before, target - before)
