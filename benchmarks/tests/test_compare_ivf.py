"""The work ``ivf`` of ``benchmarks.compare``: sweeps, recalls, filters, plots, a small run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from benchmarks.compare import data
from benchmarks.compare.report import recall_curves
from benchmarks.compare.workload import WorkloadError
from benchmarks.compare.workloads import ivf, ivf_peers, ivf_sweep
from benchmarks.compare.workloads.ivf_peers import EXCLUDED, FLAT, PEERS, Filter
from vecrecall.cli.bench.machine import Limits, Machine
from vecrecall.cli.bench.peers import OURS

K = 5
MACHINE = Machine("a model", 2, "baseline", 2, Limits(1.0, 4.0, 1.0))
RNG = np.random.default_rng(0)
ITEMS = RNG.standard_normal((2000, 8), dtype=np.float32)
QUERIES = RNG.standard_normal((24, 8), dtype=np.float32)


@pytest.fixture(autouse=True)
def same_threads_after() -> Iterator[None]:
    """Restore the threads, which builds set; they usually run in processes of their own."""
    before = vr.get_num_threads()
    yield
    vr.set_num_threads(before)


def test_lists_that_are_not_full_count_half() -> None:
    truth = np.array([[1, 2], [3, 4], [5, 6]])
    assert ivf_sweep.recall_of(np.array([[2, 1], [3, 9]]), truth) == 0.75
    assert ivf_sweep.recall_of(np.array([[1, 2], [3, -1]]), truth) == 0.375


def test_items_that_are_not_wanted_are_left_out() -> None:
    allowed = np.array([False, True, False, True, True])
    found = np.array([[0, 1, 2, 3], [4, -1, 0, -1]])
    assert Filter(allowed=allowed).kept(found, 2).tolist() == [[1, 3], [4, -1]]
    excluded = Filter(excluded=np.array([[1, 9], [4, 0]]))
    assert excluded.kept(found, 2).tolist() == [[0, 2], [-1, -1]]
    assert excluded.rows(slice(1, 2)).kept(found[1:], 3).tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("name", list(PEERS))
@pytest.mark.parametrize("kind", list(ivf.FILTERS))
def test_every_peer_finds_all_at_its_largest_setting(name: str, kind: str) -> None:
    """Or almost all, where it quantizes."""
    if name.startswith("faiss"):
        pytest.importorskip("faiss")
    elif not name.startswith("vecrecall"):
        pytest.importorskip(name)
    flat = vr.FlatIndex(ITEMS)
    allowed = RNG.random(len(ITEMS)) < ivf_peers.SHARE
    best = flat.search(QUERIES, EXCLUDED + K).ids
    wanted = {
        "none": (Filter(), best[:, :K]),
        "allow": (
            Filter(allowed=allowed),
            flat.search(QUERIES, K, allow=np.flatnonzero(allowed)).ids,
        ),
        "exclude": (Filter(excluded=best[:, :EXCLUDED]), best[:, EXCLUDED:]),
    }
    some, truth = wanted[kind]
    search = PEERS[name].build(ITEMS, 1)
    params = PEERS[name].params(len(ITEMS), K)
    setting = {param: limits.high for param, limits in params.items()}
    for part in (slice(0, 24), slice(3, 4)):  # a batch, and one query
        found = np.asarray(search(QUERIES[part], K, setting, some.rows(part)), np.int64)
        assert found.shape == (part.stop - part.start, K)
        assert (found >= 0).all(), setting
        if part.stop - part.start > 1:
            assert ivf_sweep.recall_of(found, truth[part]) >= 0.9, setting


class Runner:
    """Lists of which a setting finds so many of ten, at so many seconds."""

    def __init__(self, truth: Any) -> None:
        self.pipes: dict[str, None] = {"faiss-ivf": None}
        self.times: dict[str, list[float]] = {}
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[int] = []
        self.truth, self.missing = truth, 10**6

    def time(self, name: str, task: ivf_sweep.Task, label: str) -> None:
        probes = task.setting["nprobe"]
        self.asked.append(probes)
        found = self.truth.copy()
        found[:, min(10, probes) :] = self.missing
        self.times[label], self.answers[label] = [float(probes)], found


def test_the_sweep_finds_the_cheapest_setting() -> None:
    truth = np.arange(30).reshape(3, 10)
    runner: Any = Runner(truth)
    sweep = ivf_sweep.Sweep(runner, 10_000, {(10, "none"): truth})
    for recall, probes in ((0.9, 9), (0.95, 10), (0.3, 3)):
        point = sweep.cheapest("faiss-ivf", 10, "none", recall)
        assert point is not None
        assert (point.setting, point.recall) == ({"nprobe": probes}, probes / 10)
    assert len(runner.asked) == len(set(runner.asked))
    runner.missing = -1  # lists that are not full
    short = ivf_sweep.Sweep(runner, 10_000, {(10, "none"): truth})
    for recall in (0.95, 0.8):
        point = short.cheapest("faiss-ivf", 10, "none", recall)
        assert point is not None
        assert point.setting == {"nprobe": 10}
    runner.pipes = {}
    gone = ivf_sweep.Sweep(runner, 10_000, {(10, "none"): truth})
    assert gone.cheapest("faiss-ivf", 10, "none", 0.5) is None


def options(**changed: Any) -> argparse.Namespace:
    values: dict[str, Any] = {"data": ["small"], "items": None, "seed": 0, "quick": True}
    values |= {"threads": 1, "k": [K]}
    values |= {"batch": [1, 8], "repeats": 1, "limit": 100.0, "only": ["hnswlib"]}
    return argparse.Namespace(**{**values, **changed})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "DATA", {"small": (data.clustered, 3000, 8)})


@pytest.mark.usefixtures("small")
def test_a_small_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = list(ivf.run(options(), MACHINE))
    build, *others = found
    assert build["part"] == "build"
    assert {OURS, FLAT} <= build["peers"].keys()
    exact = [each for each in others if each["recall"] == 1.0]
    assert [each["batch"] for each in exact] == [1, 8]
    rest = [each for each in others if each["recall"] < 1.0]
    assert len(rest) == len(ivf.FILTERS) * len(ivf.QUICK_RECALLS) * 2
    for each in rest:
        for name in (OURS, FLAT):
            assert each["peers"][name]["recall"] >= each["recall"]
            assert all(seconds > 0 for seconds in each["peers"][name]["seconds"])
        assert each["peers"][FLAT]["recall"] == 1.0
    printed = capsys.readouterr().out
    for text in ("build, s", "10% allowed", "the best 500 of each query excluded", "probes exact"):
        assert text in printed
    pytest.importorskip("matplotlib")
    recall_curves.draw(found, MACHINE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recall-time-small.png"]


@pytest.mark.usefixtures("small")
def test_too_few_items() -> None:
    with pytest.raises(WorkloadError, match=r"^-k: expected fewer for 3,000 items, got 400$"):
        list(ivf.run(options(k=[400]), MACHINE))


def test_lists_that_are_not_exact_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ivf.Problem(
        {"items": 9, "dim": 2, "data": "x"}, Path(), {(1, "none"): np.array([[3]])}
    )
    runner: Any = SimpleNamespace(absent={}, times={OURS: [1.0], FLAT: [1.0]}, answers={})
    runner.answers = {OURS: np.array([[4]]), FLAT: np.array([[3]])}
    runner.run = lambda tasks, repeats, long: None
    with pytest.raises(WorkloadError, match=r"^vecrecall: expected the exact lists, got others$"):
        list(ivf.proved(problem, runner, 1, options(batch=[1])))
