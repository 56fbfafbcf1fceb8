"""`python -m benchmarks.compare`: failures of workloads, options, missing data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import __main__ as compare
from benchmarks.compare import data
from benchmarks.compare.workload import (
    Measurement,
    Workload,
    WorkloadError,
    raise_if_wrong,
    require_times,
)
from vecrecall.cli.bench.machine import Limits, Machine


def a_measurement(name: str) -> Measurement:
    return {"workload": name, "peers": {}, "absent": {}}


def fails_late(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    yield a_measurement("first")
    raise_if_wrong(["numpy: expected the exact lists, got others"])
    yield a_measurement("never")


def succeeds(args: argparse.Namespace, machine: Machine) -> list[Measurement]:
    return [a_measurement("last")]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the figures of two workloads go, the first of which fails in the middle."""
    path = tmp_path / "found.json"
    workloads = {"merge": Workload("", fails_late, []), "pool": Workload("", succeeds, [])}
    monkeypatch.setattr(compare, "WORKLOADS", workloads)
    limits = Machine("a model", 2, "baseline", 2, Limits(1.0, 4.0, 1.0))
    monkeypatch.setattr(compare.machine, "measure", lambda threads: limits)
    return path


@pytest.mark.parametrize("only", [[], ["--only", "numpy"]])
def test_some_peers_tell_no_target(
    only: list[str], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"rows": 1_000_000, "dim": 64, "bags": 100_000, "length": 20}
    workload = Workload("", lambda *_: [a_measurement("pool") | sizes], ["numpy"])
    monkeypatch.setattr(compare, "WORKLOADS", {"pool": workload})
    monkeypatch.setattr("sys.argv", ["compare", "pool", "--json", str(target), *only])
    assert compare.main() == 0
    assert bool(json.loads(target.read_text())["targets"]) is not bool(only)


def test_what_was_measured_before_a_failure_is_kept(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare", "merge", "pool", "--json", str(target)])
    assert compare.main() == 1
    assert capsys.readouterr().err == "merge: numpy: expected the exact lists, got others\n"
    found: dict[str, Any] = json.loads(target.read_text())
    assert [measurement["workload"] for measurement in found["measurements"]] == ["first", "last"]


def test_all_is_well(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["compare", "pool", "--json", str(target)])
    assert compare.main() == 0
    assert [
        measurement["workload"] for measurement in json.loads(target.read_text())["measurements"]
    ] == ["last"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pool", "--only", "polars"], "--only: expected one of vecrecall, torch EmbeddingBag, "),
        (
            ["filters", "--only", "numpy"],
            "--only: expected none, these workloads have no peers, got",
        ),
        (["polars"], "WORKLOAD: expected one of search, "),
        (
            ["search", "--threads", "1025"],
            "argument --threads: expected a whole number from 1 to 1024",
        ),
        (["search", "--batch", "513"], "--batch: expected at most 512 queries, got 513"),
        (["search", "--plot", "."], "--plot: expected the package matplotlib, got none"),
    ],
)
def test_options_that_cannot_be(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["compare", *arguments])
    monkeypatch.setattr(compare.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^2$"):
        compare.parse()
    assert f"error: {message}" in capsys.readouterr().err


def test_peers_of_any_of_the_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["compare", "merge", "pool", "--only", "polars"])
    assert compare.parse().only == ["polars"]


def test_nothing_to_compare_with() -> None:
    measurement = a_measurement("any") | {
        "absent": {"vecrecall": "failed (getting ready): MemoryError"}
    }
    with pytest.raises(WorkloadError, match=r"^vecrecall: expected times, failed .*: MemoryError$"):
        require_times(measurement, "vecrecall")


def options(**others: Any) -> argparse.Namespace:
    about = {"data": ["gone", "small"], "items": None, "quick": False, "seed": 0}
    return argparse.Namespace(**{**about, **others})


@pytest.fixture
def two_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name one whose package is missing, and one of 30 items, however many are asked for."""

    def gone(n: int, d: int, rng: np.random.Generator) -> tuple[data.F32, data.F32]:
        raise ModuleNotFoundError(name="a_package")

    def small(n: int, d: int, rng: np.random.Generator) -> tuple[data.F32, data.F32]:
        return data.gaussian(30, d, rng)

    monkeypatch.setattr(data, "DATA", {"gone": (gone, 9, 2), "small": (small, 30, 2)})


@pytest.mark.usefixtures("two_data_sets")
def test_data_sets_that_are_not_installed_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    ((name, items, queries),) = data.requested_data(options())
    assert capsys.readouterr().out == "\ngone: not installed (a_package)\n"
    assert (name, items.shape, queries.shape) == ("small", (30, 2), (data.QUERIES, 2))


@pytest.mark.usefixtures("two_data_sets")
@pytest.mark.parametrize("quick", [False, True])
def test_so_many_items_as_are_asked_for(quick: bool) -> None:
    ((_, items, _),) = data.requested_data(options(data=["small"], items=20, quick=quick))
    assert len(items) == 20


@pytest.mark.usefixtures("two_data_sets")
@pytest.mark.parametrize("workload", ["search", "churn"])
def test_fewer_items_hold_for_each_work(workload: str) -> None:
    args = options(data=["small"], items=20, k=[21], batch=[1], exact=True, only=["numpy"])
    machine = Machine("a model", 2, "baseline", 2, Limits(1.0, 4.0, 1.0))
    with pytest.raises(WorkloadError, match=r"^-k: expected at most .* items, got 21$"):
        list(compare.WORKLOADS[workload].run(args, machine))


@pytest.mark.usefixtures("two_data_sets")
@pytest.mark.parametrize(
    ("workload", "items", "expected"),
    [("filters", 20, "more than 500"), ("recall", 9, "at least 10")],
)
def test_too_few_items(workload: str, items: int, expected: str) -> None:
    args = options(data=["small"], items=items, k=[1], batch=[1], threads=1)
    machine = Machine("a model", 2, "baseline", 2, Limits(1.0, 4.0, 1.0))
    with pytest.raises(WorkloadError, match=rf"^--items: expected {expected}, got {items}$"):
        list(compare.WORKLOADS[workload].run(args, machine))
