"""The walk over the settings, on recalls and times that are given by formulas."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from vecrecall.adapters.backends._protocol import SearchParam
from vecrecall.evaluation._tuning_walk import TuningPoint, reaching

Formula = Callable[..., float]


class Course:
    """A search that is known: what it finds and how long it takes."""

    def __init__(self, recall: Formula, cost: Formula = lambda *values: float(sum(values))) -> None:
        self.recall = recall
        self.cost = cost
        self.points: dict[tuple[int, ...], TuningPoint] = {}

    def __call__(self, setting: dict[str, int]) -> TuningPoint:
        values = tuple(setting.values())
        point = TuningPoint(setting, self.recall(*values), self.cost(*values))
        return self.points.setdefault(values, point)


@pytest.mark.parametrize("need", [1, 2, 3, 5, 16, 31, 32, 33, 39, 41, 100, 700, 999, 1000])
def test_the_smallest_value_of_one_knob(need: int) -> None:
    course = Course(lambda p: min(1.0, p / need))
    (found,) = reaching(course, {"p": SearchParam(1, 1000, "parts")}, 1.0)
    chosen = found.setting["p"]
    # Exactly where a twentieth is less than 2, else within a twentieth.
    assert need <= chosen <= max(need, 20 / 19 * need)
    assert chosen == need or need >= 38
    below = [p for (p,) in course.points if p < chosen]
    assert all(course.points[(p,)].recall < 1 for p in below)
    assert len(course.points) < 20


def test_a_knob_starts_at_its_lowest_value() -> None:
    course = Course(lambda p: 1.0)
    (found,) = reaching(course, {"p": SearchParam(10, 1000, "parts")}, 0.9)
    assert found.setting == {"p": 10}
    assert len(course.points) == 1


def test_without_a_knob() -> None:
    assert reaching(Course(lambda: 0.9), {}, 0.9) == [TuningPoint({}, 0.9, 0.0)]
    assert reaching(Course(lambda: 0.9), {}, 0.91) == []


def test_it_gives_up_where_nothing_is_gained() -> None:
    course = Course(lambda p: min(0.8, p / 100))
    assert reaching(course, {"p": SearchParam(1, 10**9, "parts")}, 0.9) == []
    # 80 is where it ends; four doublings behind it close nothing.
    assert max(course.points)[0] <= 2048


def test_the_end_is_tried_where_it_is_near() -> None:
    """With few queries recall stands still before the last item is found."""
    course = Course(lambda p: 1.0 if p > 3000 else min(0.999, p / 64))
    (found,) = reaching(course, {"p": SearchParam(1, 4096, "parts")}, 1.0)
    assert 3001 <= found.setting["p"] <= 3001 * 20 / 19


def lossy(p: int, s: int) -> float:
    """Found in the lists that are probed, and among the candidates that are reranked."""
    return (1 - 1 / (1 + p)) * (1 - 1 / (1 + s))


@pytest.mark.parametrize("target", [0.5, 0.9])
@pytest.mark.parametrize("price", [0.1, 1, 10, 100])
def test_two_knobs_come_near_the_cheapest_pair(price: float, target: float) -> None:
    def cost(p: int, s: int) -> float:
        return p + price * s

    course = Course(lossy, cost)
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, target
    )
    assert all(point.recall >= target for point in found)
    firsts = [point.setting["p"] for point in found]
    seconds = [point.setting["s"] for point in found]
    assert firsts == sorted(firsts, reverse=True)
    assert seconds == sorted(seconds)
    grid = itertools.product(range(1, 1001), repeat=2)
    cheapest = min(cost(p, s) for p, s in grid if lossy(p, s) >= target)
    # The second value is a power of two, so up to twice as large as it had to be, and the first
    # ends up to a twentieth above the smallest.
    assert min(point.ms_per_query for point in found) <= 2 * cheapest
    assert len(course.points) < 60


def test_a_second_knob_without_effect_stays_lowest() -> None:
    course = Course(lambda p, s: min(1.0, p / 300))
    (found,) = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 1.0
    )
    assert found.setting["s"] == 1
    assert 300 <= found.setting["p"] <= 300 * 20 / 19
    assert sum(s > 1 for _, s in course.points) == 1


def test_a_second_knob_without_effect_does_not_hide_what_the_first_can_do() -> None:
    """Recall that stands still for a while ends the stairs, but not the search."""
    course = Course(lambda p, s: 0.5 if 10 <= p < 100 else min(1.0, p / 200) if p > 9 else p / 20)
    (found,) = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.9
    )
    assert 180 <= found.setting["p"] <= 180 * 20 / 19


def test_a_third_knob_where_two_do_not_reach() -> None:
    course = Course(lambda p, s, t: min(0.7, p / 50) + min(0.3, t / 10))
    search_params = {
        "p": SearchParam(1, 500, "parts"),
        "s": SearchParam(1, 64, "parts"),
        "t": SearchParam(1, 64, "parts"),
    }
    found = reaching(course, search_params, 0.95)
    assert found
    assert {point.setting["s"] for point in found} == {1}
    assert all(point.recall >= 0.95 for point in found)
    assert reaching(Course(lambda p, s, t: min(0.7, p / 50)), search_params, 0.95) == []


def test_what_is_much_slower_is_not_refined() -> None:
    course = Course(lossy, lambda p, s: 10.0 ** min(s, 9))
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.5
    )
    assert len(found) == 1
