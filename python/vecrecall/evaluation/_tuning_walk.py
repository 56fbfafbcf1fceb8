"""Which settings of a search are measured, on the way to those that find enough."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vecrecall.adapters.backends._protocol import SearchParam

FINEST = 20  # a value is found to a twentieth of itself, or exactly
HASTE = 2  # doublings with no gain after which the second setting grows instead of the first
PATIENCE = 4  # doublings with no gain after which a search has found all that it will
GAIN = 0.05  # more than so much of what is found, or of what is missing, is a gain
LEAP = 16  # how much farther than that the largest value may be, to be tried after all
HOPELESS = 3.0  # times as slow: more than what half the first setting will save


class TuningPoint(NamedTuple):
    """What a search does at one setting.

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


def reaching(
    measure: Measure, search_params: Mapping[str, SearchParam], target: float
) -> list[TuningPoint]:
    """Find settings that reach the target: those of which one may be the cheapest.

    Parameters
    ----------
    measure : callable
        What a search does at a setting; asking twice for the same one is free.
    search_params : mapping of str to SearchParam
        From the lowest value worth a try; that of the largest effect first.
    target : float

    Returns
    -------
    list of TuningPoint
        The others than the first setting ascending, the first descending; empty where nothing
        reaches the target.
    """
    setting = {name: knob.low for name, knob in search_params.items()}
    if not search_params:
        point = measure(setting)
        return [point] if point.recall >= target else []
    first, *others = search_params
    values = _doubling(search_params[first])
    for second in others:
        stairs = _Stairs(
            measure, setting, (first, values), (second, _doubling(search_params[second]))
        )
        if corners := stairs.corners(target):
            return corners
        setting[second] = stairs.enough
    line = _Line(measure, setting, first, values, target)
    place = line.to_the_end()
    return [] if place is None else [line.smallest(place)]


class _Line:
    """Settings that differ in the first value only, with which recall grows."""

    def __init__(
        self,
        measure: Measure,
        setting: Mapping[str, int],
        name: str,
        values: Sequence[int],
        target: float,
    ) -> None:
        self._measure = measure
        self._setting = dict(setting)
        self._name = name
        self._values = values
        self._target = target

    def point(self, place: int) -> TuningPoint:
        """Measure at one of the values."""
        return self._at(self._values[place])

    def reaches(self, place: int) -> bool:
        """Tell whether one of the values is enough."""
        return self.point(place).recall >= self._target

    def climb(self, place: int, patience: int) -> int:
        """Go up until it is enough, or there is no gain any more."""
        recalls = [self.point(place).recall]
        while recalls[-1] < self._target and place + 1 < len(self._values):
            if _stalled(recalls, self._target, patience):
                break
            place += 1
            recalls.append(self.point(place).recall)
        return place

    def descend(self, place: int) -> int:
        """Go down from what is enough, as far as it is."""
        while place and self.reaches(place - 1):
            place -= 1
        return place

    def to_the_end(self) -> int | None:
        """Find the first of the values that is enough, None if there is none within reach."""
        place = self.climb(0, PATIENCE)
        if not self.reaches(place) and self._values[-1] <= LEAP * self._values[place]:
            place = len(self._values) - 1
        return self.descend(place) if self.reaches(place) else None

    def smallest(self, place: int) -> TuningPoint:
        """Halve the interval from the last value that is too small to the first that is not."""
        high = self._values[place]
        low = self._values[place - 1] if place else high
        while high - low > max(1, high // FINEST):
            middle = (low + high) // 2
            if self._at(middle).recall >= self._target:
                high = middle
            else:
                low = middle
        return self._at(high)

    def _at(self, value: int) -> TuningPoint:
        return self._measure({**self._setting, self._name: value})


class _Stairs:
    """Two settings: as the second grows, a smaller first one is enough.

    Attributes
    ----------
    enough : int
        Beyond this value of the second nothing more was found.
    """

    def __init__(
        self,
        measure: Measure,
        setting: Mapping[str, int],
        first: tuple[str, Sequence[int]],
        second: tuple[str, Sequence[int]],
    ) -> None:
        self._measure = measure
        self._setting = dict(setting)
        self._first = first
        self._second = second
        self.enough = second[1][0]

    def corners(self, target: float) -> list[TuningPoint]:
        """Find the smallest first value for each second one, while it gets smaller."""
        corners: list[tuple[_Line, int]] = []
        recalls: list[float] = []
        start = 0
        name, values = self._second
        for step, value in enumerate(values):
            line = _Line(self._measure, {**self._setting, name: value}, *self._first, target)
            if corners:
                last, place = corners[-1]
                # What was enough still is. Is the value below it, or at least nearer to it?
                if place == 0 or _stalled(
                    [p.point(place - 1).recall for p in (last, line)], target
                ):
                    break
                corners.append((line, line.descend(place)))
                continue
            place = line.climb(start, HASTE)
            if line.reaches(place):
                corners.append((line, line.descend(place)))
                continue
            start = max(start, place - HASTE)
            recalls.append(line.point(place).recall)
            stalled = _stalled(recalls, target, HASTE)
            self.enough = values[step - HASTE] if stalled else value
            if stalled:
                break
        return self._refined(corners)

    def _refined(self, corners: Sequence[tuple[_Line, int]]) -> list[TuningPoint]:
        """Make the first values exact; what is slow, or no smaller than the one before, goes."""
        points = [line.point(place) for line, place in corners]
        limit = HOPELESS * min((point.ms_per_query for point in points), default=0.0)
        kept: list[TuningPoint] = []
        for (line, place), point in zip(corners, points, strict=True):
            if point.ms_per_query <= limit:
                exact = line.smallest(place)
                name = self._first[0]
                if not kept or exact.setting[name] < kept[-1].setting[name]:
                    kept.append(exact)
        return kept


def _doubling(knob: SearchParam) -> list[int]:
    values = [knob.low]
    while values[-1] < knob.high:
        values.append(min(knob.high, 2 * values[-1]))
    return values


def _stalled(recalls: Sequence[float], target: float, patience: int = 1) -> bool:
    """Tell whether the last so many steps have found next to nothing more."""
    if len(recalls) <= patience:
        return False
    before = recalls[-1 - patience]
    return recalls[-1] - before <= GAIN * min(before, target - before)
