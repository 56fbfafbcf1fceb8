"""The comparison of engines: answers are found to be the same before anything is timed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.micro import conftest as guard  # whole: pytest takes its names for hooks
from benchmarks.micro.conftest import EngineComparison, engines_of


class Timer:
    """A stand-in for the fixture of pytest-benchmark that records the results of timed runs."""

    def __init__(self, group: str = "a group") -> None:
        self.group = group
        self.extra_info: dict[str, Any] = {}
        self.timed: list[Any] = []

    def __call__(self, run: Any) -> None:
        self.timed.append(run())


RUNS = {"vecrecall": lambda: "ours", "numpy": lambda: "theirs"}


def test_answers_come_first() -> None:
    timer, order = Timer(), []
    compare_engines = EngineComparison(timer, "numpy", set(RUNS), set())
    compare_engines(
        {**RUNS, "numpy": lambda: order.append("timed")}, lambda: order.append("checked")
    )
    assert order == ["checked", "timed"]


@pytest.mark.parametrize("engine", list(RUNS))
def test_wrong_answers_are_not_timed(engine: str) -> None:
    timer = Timer()
    checked: set[str] = set()

    def check() -> None:
        raise AssertionError("other ids")

    for _ in range(2):  # a check that failed is made again
        with pytest.raises(AssertionError, match="other ids"):
            EngineComparison(timer, engine, set(RUNS), checked)(RUNS, check)
    assert timer.timed == []


def test_a_group_is_checked_once() -> None:
    checks: list[int] = []
    checked: set[str] = set()
    timers = [Timer("a"), Timer("a"), Timer("b")]
    for timer, engine in zip(timers, ["vecrecall", "numpy", "numpy"], strict=True):
        EngineComparison(timer, engine, set(RUNS), checked)(RUNS, lambda: checks.append(1))
    assert len(checks) == 2
    assert [timer.timed for timer in timers] == [["ours"], ["theirs"], ["theirs"]]


def test_every_engine_has_a_run() -> None:
    with pytest.raises(AssertionError, match="a run for each engine"):
        EngineComparison(Timer(), "numpy", {*RUNS, "blas"}, set())(RUNS, lambda: None)


def marked(engines: list[str]) -> Any:
    mark = SimpleNamespace(args=("compare_engines", engines))
    return SimpleNamespace(name="test_x", iter_markers=lambda name: [mark])


@pytest.mark.parametrize(
    "engines", [["vecrecall"], ["numpy"], ["numpy", "numpy", "vecrecall"], ["vecrecall", "torch"]]
)
def test_a_benchmark_has_one_baseline(engines: list[str]) -> None:
    with pytest.raises(pytest.fail.Exception, match="expected 'vecrecall', 'numpy' and others"):
        engines_of(marked(engines))


def test_other_engines() -> None:
    assert engines_of(marked(["vecrecall", "numpy", "blas"])) == {"vecrecall", "numpy", "blas"}


def test_a_benchmark_without_compare_engines_is_refused() -> None:
    def test_alone(benchmark: Any) -> None:
        raise AssertionError("never run")

    metafunc: Any = SimpleNamespace(function=test_alone)
    with pytest.raises(
        pytest.fail.Exception, match="test_alone: expected the fixture compare_engines"
    ):
        guard.pytest_generate_tests(metafunc)
