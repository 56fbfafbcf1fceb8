"""What ``benchmarks.compare`` makes of what it measured: targets."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.compare.report import targets
from vecrecall.cli.bench.machine import Limits, Machine

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
        "faiss-flat": entry("faiss-flat", 1.5),
        "faiss-flat-avx2": entry("faiss-flat-avx2", 0.0625),
        "scann-brute": entry("scann-brute", 0.25),
        "faiss-ivf, nprobe 64": entry("faiss-ivf", 0.03125, 0.9, 64),
    },
)


def found(measurement: dict[str, Any]) -> dict[str, tuple[float | None, bool | None]]:
    return {row.what: (row.measured, row.met) for row in targets.evaluate([measurement], MACHINE)}


def test_search() -> None:
    rate = 1e6 * 64 * 256 / 0.0625 / 1e9
    assert found(MEASUREMENT) == {
        "times FAISS flat": (24.0, True),
        "times the best exact peer": (4.0, False),  # not one told to run on less, none approximate
        "times NumPy": (None, None),
        "of the float32 limit": (pytest.approx(rate / 100), True),
        "of the int8 limit": (pytest.approx(rate / 400), True),
        "AVX2: times FAISS flat with AVX2": (0.5, False),
    }


def test_read_rate() -> None:
    single = searched(1, {"vecrecall": entry("vecrecall", 0.004)})
    assert found(single)["of the read rate, over the codes"] == (pytest.approx(0.8), True)


def test_at_recall_between_settings() -> None:
    graph = {
        f"hnswlib-graph, ef {ef}": entry("hnswlib-graph", seconds, recall, ef)
        for ef, seconds, recall in ((100, 0.1, 0.95), (200, 0.3, 0.99))
    }
    glove = searched(256, {"vecrecall": entry("vecrecall", 0.1), **graph}, "glove-50")
    assert found(glove)["times hnswlib at recall 0.97"] == (pytest.approx(2.0), True)
    del glove["peers"]["hnswlib-graph, ef 200"]
    assert found(glove)["times hnswlib at recall 0.97"] == (None, None)


def test_other_sizes_are_no_targets() -> None:
    assert targets.evaluate([{**MEASUREMENT, "items": 20_000}], MACHINE) == []


def test_targets_that_must_not_be_exceeded() -> None:
    merge = {**targets.MERGE, "absent": {}, "peers": {"vecrecall": {"seconds": [0.01024]}}}
    results = found(merge)
    assert results["microseconds a user, without"] == (pytest.approx(10.0), True)
    assert results["microseconds a user, with provenance"] == (None, None)
    seconds = {"searches": 0.0018, "recall": 0.0025, "beyond": 0.0002}
    peers = {way: {"seconds": [each]} for way, each in seconds.items()}
    recall = {**targets.RECALL, "absent": {}, "peers": peers}
    assert found(recall) == {"microseconds beyond the searches": (pytest.approx(200.0), False)}
