"""The targets of ``benchmarks.compare``: measures, bounds, and the file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare.report import targets
from benchmarks.compare.report.measures import MEASURES
from vecrecall.cli.bench.machine import Limits, Machine
from vecrecall.cli.bench.peers import same_as_ours

MACHINE = Machine("a model", 2, "avx512vnni", 2, Limits(float32=100.0, int8=400.0, read=20.0))


def entry(peer: str, seconds: float, recall: float = 1.0, setting: int | None = None) -> Any:
    # The median of three, none of which is the mean.
    times = [seconds, seconds / 2, seconds * 10]
    exact = setting is None
    return {"peer": peer, "setting": setting, "exact": exact, "seconds": times, "recall": recall}


def searched(batch: int, peers: dict[str, Any], data: str = "gaussian-64") -> dict[str, Any]:
    items = {"gaussian-64": 1_000_000, "glove-50": 399_488}[data]
    measurement = {
        "workload": "search",
        "data": data,
        "items": items,
        "dim": 64,
        "k": 100,
        "batch": batch,
    }
    return {**measurement, "peers": peers, "absent": {"usearch-exact": "not installed"}}


MEASUREMENT = searched(
    256,
    {
        "vecrecall": entry("vecrecall", 0.0625),
        "vecrecall-avx2": entry("vecrecall-avx2", 0.125),
        "faiss-flat": entry("faiss-flat", 6.0),
        "faiss-flat-avx2": entry("faiss-flat-avx2", 0.0625),
        "scann-brute": entry("scann-brute", 0.25),
        "faiss-ivf, nprobe 64": entry("faiss-ivf", 0.03125, 0.9, 64),
    },
)


def found(measurement: dict[str, Any]) -> dict[str, tuple[float | None, bool | None]]:
    return {
        row.quantity: (row.measured, row.met) for row in targets.evaluate([measurement], MACHINE)
    }


def test_search() -> None:
    rate = 1e6 * 64 * 256 / 0.0625 / 1e9
    assert found(MEASUREMENT) == {
        "times FAISS flat": (96.0, True),
        "times the best exact peer": (4.0, False),  # not a restricted one, none approximate
        "times NumPy": (None, None),
        "of the float32 limit": (pytest.approx(rate / 100), True),
        "of the int8 limit": (pytest.approx(rate / 400), True),
        "AVX2: times FAISS flat with AVX2": (0.5, False),
        "AMX: times VNNI": (None, None),
    }


def test_restricted_peers_are_no_competitors() -> None:
    """They are the library itself, where a processor has more than they are restricted to."""
    names = {"vecrecall": 0.01, "vecrecall-avx512vnni": 0.02, "faiss": 0.04}
    size = {"points": 500_000, "dim": 64, "clusters": 500}
    peers = {name: {"seconds": [seconds]} for name, seconds in names.items()}
    assert found({"workload": "assign", **size, "absent": {}, "peers": peers}) == {
        "times the best peer": (pytest.approx(4.0), True)
    }
    peers = {name: entry(name, seconds) for name, seconds in names.items() if name != "faiss"}
    by_amx = found(searched(256, peers))
    assert by_amx["AMX: times VNNI"] == (pytest.approx(2.0), True)
    assert by_amx["times the best exact peer"] == (None, None)


def test_what_a_processor_has_needs_no_restriction() -> None:
    peers = {"vecrecall": 0.01, "faiss-flat-avx2": 0.2}
    measurement = searched(256, {name: entry(name, seconds) for name, seconds in peers.items()})
    for isa, times in (("avx2", 20.0), ("avx512vnni", None)):
        rows = targets.evaluate([measurement], MACHINE._replace(isa=isa))
        own = {row.quantity: row.measured for row in rows}["AVX2: times FAISS flat with AVX2"]
        assert own == (None if times is None else pytest.approx(times))


@pytest.mark.parametrize(
    ("isas", "same"),
    [
        (["amx", "avx512vnni", "avx2"], set()),
        (["avx512vnni", "avx512", "avx2"], {"vecrecall-avx512vnni"}),
        (["avx2", "baseline"], {"vecrecall-avx512vnni", "vecrecall-avx2"}),
    ],
)
def test_what_is_restricted_differs(
    monkeypatch: pytest.MonkeyPatch, isas: list[str], same: set[str]
) -> None:
    monkeypatch.setattr("vecrecall.cli.bench.peers.available_isas", lambda: isas)
    assert same_as_ours() == same


def test_read_rate() -> None:
    single = searched(1, {"vecrecall": entry("vecrecall", 0.0032)})
    assert found(single)["of the read rate, over the codes"] == (pytest.approx(1.0), True)


def test_at_recall_between_settings() -> None:
    graph = {
        f"hnswlib-graph, ef {ef}": entry("hnswlib-graph", seconds, recall, ef)
        for ef, seconds, recall in ((100, 0.3, 0.95), (200, 0.7, 0.99))
    }
    glove = searched(256, {"vecrecall": entry("vecrecall", 0.1), **graph}, "glove-50")
    assert found(glove)["times hnswlib at recall 0.97"] == (pytest.approx(5.0), True)
    del glove["peers"]["hnswlib-graph, ef 200"]
    assert found(glove)["times hnswlib at recall 0.97"] == (None, None)


def test_other_sizes_are_no_targets() -> None:
    assert targets.evaluate([{**MEASUREMENT, "items": 20_000}], MACHINE) == []


MERGE = {"workload": "merge", "channels": 8, "width": 200, "k": 200, "users": 1024}
RECALL = {"workload": "recall", "channels": "eight towers", "batch": 1, "items": 1_000_000}


def test_targets_that_must_not_be_exceeded() -> None:
    merge = {**MERGE, "absent": {}, "peers": {"vecrecall": {"seconds": [0.01024]}}}
    results = found(merge)
    assert results["microseconds per user, without"] == (pytest.approx(10.0), True)
    assert results["microseconds per user, with provenance"] == (None, None)
    seconds = {"searches": 0.0018, "recall": 0.0025, "beyond": 0.0002}
    peers = {way: {"seconds": [each]} for way, each in seconds.items()}
    recall = {**RECALL, "absent": {}, "peers": peers}
    assert found(recall) == {"microseconds beyond the searches": (pytest.approx(200.0), False)}


def test_peers_without_provenance_are_compared_with_ours_that_has_it() -> None:
    peers = {"vecrecall": 0.01, "vecrecall with provenance": 0.02, "numpy": 0.2}
    merge = {**MERGE, "peers": {name: {"seconds": [each]} for name, each in peers.items()}}
    assert found(merge)["times numpy"] == (pytest.approx(10.0), True)


def test_inertia_and_values() -> None:
    fit = {"workload": "kmeans", "points": 1_000_000, "dim": 64, "clusters": 500, "rounds": 20}
    peers = {"vecrecall": 1.2, "faiss": 1.0, "superkmeans": 1.1}
    fit["peers"] = {name: {"seconds": [1.0], "inertia": each} for name, each in peers.items()}
    assert found(fit)["inertia, of the least of the others"] == (pytest.approx(1.2), False)
    churn = {"workload": "churn", "data": "gaussian-64", "items": 1_000_000, "k": 100, "batch": 1}
    churn |= {"memory": 1.2, "peers": {"fresh": {"seconds": [2.0]}, "updated": {"seconds": [2.1]}}}
    assert found(churn) == {
        "after updates, of the time of a fresh index": (pytest.approx(1.05), True),
        "memory after updates, of that before": (1.2, True),
    }


def test_the_file_of_targets() -> None:
    assert len(targets.TARGETS) == 120
    assert {target.measure for target in targets.TARGETS} == set(MEASURES)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('measure = "time"', r"x: expected one of at_least and at_most, got \[\]"),
        ('measure = "time", at_least = 1, at_most = 2', "x: expected one of at_least and at_most"),
        ('measure = "speed", at_least = 1', "x: expected one of speedup, .*, got measure speed"),
        ('measure = "speedup", at_least = 1', "x: expected the arguments of speedup: missing"),
        ('measure = "time", units = 1, at_least = 1', "x: expected the arguments of time: got an"),
    ],
)
def test_targets_that_cannot_be_measured(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(f'[[measurement]]\nwhere = {{}}\ntargets = [{{ quantity = "x", {entry} }}]\n')
    with pytest.raises(ValueError, match=f"^{message}"):
        targets.load(path)
