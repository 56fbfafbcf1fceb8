"""`vr.tune` on an `IVFIndex`: the fewest lists that hold the share, by an independent count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, assert_same_bits

import vecrecall as vr

F32 = npt.NDArray[np.float32]
K = 10


@pytest.fixture(scope="module")
def data() -> tuple[F32, F32]:
    """4000 items and 60 queries without clusters, so that each list holds some of a query's."""
    rng = np.random.default_rng(5)
    items = rng.standard_normal((4000, 16), dtype=np.float32)
    return items, rng.standard_normal((60, 16), dtype=np.float32)


def share_of(index: vr.IVFIndex, items: F32, queries: F32, probes: int) -> float:
    """Count by hand the items of the exact lists that are found."""
    exact = vr.FlatIndex(items, metric=index.metric).search(queries, K).ids
    found = index.search(queries, K, probes=probes).ids
    hits = sum(len({*a} & {*b}) for a, b in zip(exact.tolist(), found.tolist(), strict=True))
    return hits / exact.size


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("target", [0.5, 0.9, 1.0])
def test_the_fewest_lists(data: tuple[F32, F32], metric: Metric, target: float) -> None:
    items, queries = data
    index = vr.IVFIndex(items, metric=metric, n_lists=30)
    found = vr.tune(index, queries, K, target)
    probes = found.setting["probes"]
    assert found.index is index
    assert index.probes == probes
    assert found.reached
    assert found.recall == pytest.approx(share_of(index, items, queries, probes), abs=1e-12)
    assert found.recall >= target
    assert share_of(index, items, queries, probes - 1) < target
    default = index.search(queries, K)
    chosen = index.search(queries, K, probes=probes)
    assert_same_bits(default, chosen.ids, chosen.scores, chosen.counts)


def test_the_curve(data: tuple[F32, F32]) -> None:
    items, queries = data
    index = vr.IVFIndex(items, n_lists=30)
    found = vr.tune(index, queries, K, 0.95)
    values = [point.setting["probes"] for point in found.curve]
    assert values == [*(p for p in (1, 2, 4, 8, 16) if p < values[-1]), index.probes]
    for point in found.curve:
        expected = share_of(index, items, queries, point.setting["probes"])
        assert point.recall == pytest.approx(expected, abs=1e-12)
        assert point.ms_per_query > 0
    assert (found.recall, found.ms_per_query) == found.curve[-1][1:]
    assert found.exact_ms_per_query > 0


def test_it_stays_with_the_index(data: tuple[F32, F32], tmp_path: Path) -> None:
    items, queries = data
    index = vr.IVFIndex(items, n_lists=30)
    before = index.probes
    probes = vr.tune(index, queries, K, 1.0).setting["probes"]
    assert probes != before
    index.save(tmp_path / "index")
    assert vr.IVFIndex.load(tmp_path / "index").probes == probes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"queries": np.zeros((0, 16))}, "queries: expected at least one row"),
        ({"queries": np.zeros((2, 15))}, "queries: "),
        ({"target": 0.0}, "target: expected a number above 0 and at most 1"),
        ({"target": 1.5}, "target: expected a number above 0 and at most 1"),
        ({"k": 0}, "k: "),
        ({"metric": "l2"}, "metric: expected 'ip', as the index has, got 'l2'"),
        ({"vectors": np.eye(16)}, "vectors: expected none with an IVFIndex"),
    ],
)
def test_wrong_arguments(data: tuple[F32, F32], changed: dict[str, Any], message: str) -> None:
    items, queries = data
    index = vr.IVFIndex(items, n_lists=30)
    before = index.probes
    options: dict[str, Any] = {"queries": queries, "k": K, "target": 0.9, **changed}
    with pytest.raises(ValueError, match=f"^{message}"):
        vr.tune(index, **options)
    assert index.probes == before


def test_no_items() -> None:
    index = vr.IVFIndex(np.empty((0, 3), np.float32))
    with pytest.raises(ValueError, match=r"^index: expected one with items, got an empty one"):
        vr.tune(index, np.ones((1, 3)), 1, 0.9)


@pytest.mark.libraries
def test_lists_among_the_vectors_of_a_wrapped_index_are_exact(data: tuple[F32, F32]) -> None:
    """Whatever they probe by default: what an approximate index is compared with is exact."""
    faiss = pytest.importorskip("faiss", reason="needs faiss")
    items, queries = data
    lists, flat = vr.IVFIndex(items, n_lists=30), vr.FlatIndex(items)
    assert lists.tuned_for(queries, 0.1) < lists.n_lists
    library = faiss.IndexFlatIP(16)
    library.add(items)
    wrapped = vr.wrap(library, vectors=lists)
    exclude = flat.search(queries, 3000).ids.tolist()  # so that only a scan fills the lists
    expected = flat.search(queries, K, exclude=exclude)
    found = wrapped.search(queries, K, exclude=exclude)
    assert_same_bits(found, expected.ids, expected.scores, expected.counts)
    assert wrapped.exact is not None
    expected = flat.search(queries, K)
    found = wrapped.exact.search(queries, K)
    assert_same_bits(found, expected.ids, expected.scores, expected.counts)
    assert vr.tune(library, queries, K, 1.0, vectors=lists).recall == 1.0
    default = lists.search(queries, K)  # the caller's own index is as before
    assert not np.array_equal(default.ids, expected.ids)
