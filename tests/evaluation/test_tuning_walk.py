"""The walk over the settings, on recalls and times that are given by formulas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def test_the_smallest_value_of_one_param(need: int) -> None:
    course = Course(lambda p: min(1.0, p / need))
    (found,) = reaching(course, {"p": SearchParam(1, 1000, "parts")}, 1.0)
    chosen = found.setting["p"]
    # Exactly where a twentieth is less than 2, else within a twentieth.
    assert need <= chosen <= max(need, 20 / 19 * need)
    assert chosen == need or need >= 38
    below = [p for (p,) in course.points if p < chosen]
    assert all(course.points[(p,)].recall < 1 for p in below)
    assert len(course.points) < 20


def test_a_param_starts_at_its_lowest_value() -> None:
    course = Course(lambda p: 1.0)
    (found,) = reaching(course, {"p": SearchParam(10, 1000, "parts")}, 0.9)
    assert found.setting == {"p": 10}
    assert len(course.points) == 1


def test_without_a_param() -> None:
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
def test_two_params_come_near_the_cheapest_pair(price: float, target: float) -> None:
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


def test_a_second_param_without_effect_stays_lowest() -> None:
    course = Course(lambda p, s: min(1.0, p / 300))
    (found,) = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 1.0
    )
    assert found.setting["s"] == 1
    assert 300 <= found.setting["p"] <= 300 * 20 / 19
    assert sum(s > 1 for _, s in course.points) == 1


def test_a_second_param_without_effect_does_not_hide_what_the_first_can_do() -> None:
    """Recall that stands still for a while ends no climb."""
    course = Course(lambda p, s: 0.5 if 10 <= p < 100 else min(1.0, p / 200) if p > 9 else p / 20)
    (found,) = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.9
    )
    assert 180 <= found.setting["p"] <= 180 * 20 / 19


def test_a_third_param_where_two_do_not_reach() -> None:
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


@pytest.mark.parametrize("need", [1, 3, 20, 64, 100])
def test_values_that_do_nothing_without_each_other(need: int) -> None:
    course = Course(lambda p, s: min(p, s) / need)
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 1.0
    )
    assert found
    for point in found:
        assert need <= point.setting["p"] <= max(need, 20 / 19 * need)
        assert need <= point.setting["s"] < 2 * need
    assert len(course.points) < 40


def test_a_value_that_grew_for_nothing_goes_back() -> None:
    """The second grows alone to 64, of which 32 are enough once the first has grown too."""
    course = Course(lambda p, s: 0.5 + (0.2 if p == 1 else 0.5) * min(1.0, s / 64))
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.74
    )
    assert (1, 64) in course.points
    assert [point.setting for point in found] == [{"p": 2, "s": 32}]


def test_values_that_take_turns() -> None:
    """Each stands still before the target until the other has grown, and again."""
    course = Course(lambda p, s: min(1.0, p / (10 if s < 4 else 100)) * min(1.0, s / (2 + p / 9)))
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.99
    )
    assert found
    assert all(course.recall(*point.setting.values()) >= 0.99 for point in found)


@given(st.data())
def test_any_monotone_recall(data: st.DataObject) -> None:
    """A setting found reaches the target; less of the first value, or half of another, does not."""
    sizes = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=3))
    halves = data.draw(st.lists(st.floats(0.1, 50), min_size=len(sizes), max_size=len(sizes)))
    target = data.draw(st.floats(0.01, 1.0))

    def recall(*values: int) -> float:
        pairs = zip(values, halves, strict=True)
        return math.prod(value / (value + half) for value, half in pairs)

    course = Course(recall, lambda *values: float(math.prod(values)))
    params = {str(i): SearchParam(1, size, "parts") for i, size in enumerate(sizes)}
    found = reaching(course, params, target)
    if recall(*sizes) * 0.75 > target:
        assert found
    for point in found:
        assert point.recall >= target
        first, *others = point.setting.values()
        assert first == 1 or recall(first - max(1, first // 20), *others) < target
        for i, value in enumerate(others):
            halved = [*others[:i], value // 2, *others[i + 1 :]]
            assert value == 1 or recall(first, *halved) < target
    firsts = [point.setting["0"] for point in found]
    assert firsts == sorted(set(firsts), reverse=True)


def test_what_gets_slower_ends_the_search() -> None:
    course = Course(lossy, lambda p, s: 10.0 ** min(s, 9))
    found = reaching(
        course, {"p": SearchParam(1, 1000, "parts"), "s": SearchParam(1, 1000, "parts")}, 0.5
    )
    assert len(found) == 1
