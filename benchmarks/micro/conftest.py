"""Comparisons of engines: vecrecall and NumPy in one group, with the same answers.

A benchmark takes the fixture `compare_engines` and calls it once. It runs once for each engine,
`vecrecall` and `numpy`; `pytest.mark.parametrize("compare_engines", [...], indirect=True)` names
others. A group is a test with its parameters but without the engine: its name stays the same as
long as the test's does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

NUMPY, OURS = "numpy", "vecrecall"
# Seconds per benchmark that has five runs by then. The default of pytest-benchmark, 1, would make
# the whole take minutes longer.
MAX_TIME = "0.2"
ROUNDS = 7  # where every round needs a new object


class EngineComparison:
    """The benchmark of one engine in a group."""

    def __init__(self, benchmark: Any, engine: str, engines: set[str], checked: set[str]) -> None:
        self.benchmark = benchmark
        self.engine = engine
        self.engines = engines
        self.checked = checked

    def __call__(
        self,
        runs: Mapping[str, Callable[..., Any]],
        check: Callable[[], None],
        *,
        fresh: Mapping[str, Callable[[], Any]] | None = None,
        **about: int | str,
    ) -> None:
        """Check the answers, then time this engine.

        `fresh` makes what a run changes: it is called before every round, and the run gets what it
        made. `about` says what is timed, for runs that are saved.
        """
        assert set(runs) == self.engines, "a run for each engine of the test"
        group = self.benchmark.group
        if group not in self.checked:  # once per group; after a failure for every engine
            check()
            self.checked.add(group)
        self.benchmark.extra_info.update(about)
        run = runs[self.engine]
        if fresh is None:
            self.benchmark(run)
            return
        make = fresh[self.engine]
        self.benchmark.pedantic(run, setup=lambda: ((make(),), {}), rounds=ROUNDS)


@pytest.fixture(scope="session")
def checked_groups() -> set[str]:
    """Groups whose answers were found to be the same."""
    return set()


@pytest.fixture(params=[OURS, NUMPY])
def compare_engines(
    request: pytest.FixtureRequest, benchmark: Any, checked_groups: set[str]
) -> EngineComparison:
    engines = engines_of(request.node)
    benchmark.group = group_of(request.node, request.param)
    return EngineComparison(benchmark, request.param, engines, checked_groups)


def engines_of(test: pytest.Item) -> set[str]:
    """Return the engines of a test; fail if it does not compare with NumPy."""
    engines = [OURS, NUMPY]
    for mark in test.iter_markers("parametrize"):
        if mark.args[0] == "compare_engines":
            engines = [*mark.args[1]]
    if engines.count(NUMPY) != 1 or engines.count(OURS) != 1 or len(set(engines)) < len(engines):
        pytest.fail(
            f"{test.name}: expected {OURS!r}, {NUMPY!r} and others, each once, got {engines}",
            pytrace=False,
        )
    return set(engines)


def group_of(test: pytest.Item, engine: str) -> str:
    """Name a group by file, test (if its name differs) and parameters."""
    parts = test.callspec.id.split("-")  # type: ignore[attr-defined]  # it has parameters
    parts.remove(engine)
    file = test.path.stem.removeprefix("bench_")
    name = test.originalname.removeprefix("test_")  # type: ignore[attr-defined]
    return " ".join([f"{file}:", *[name] * (name != file), *parts])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse a benchmark without a baseline, as soon as it is collected."""
    if "compare_engines" not in inspect.signature(metafunc.function).parameters:
        pytest.fail(
            f"{metafunc.function.__name__}: expected the fixture compare_engines, which compares "
            "with NumPy",
            pytrace=False,
        )
    engines_of(metafunc.definition)


def pytest_configure(config: pytest.Config) -> None:
    """Shorten the default time, but not one that is given."""
    if config.getoption("benchmark_max_time", None) == "1.0":
        config.option.benchmark_max_time = MAX_TIME
