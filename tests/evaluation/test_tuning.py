"""`vr.tune` on FAISS: the setting reaches its target by an independent count, and no less does."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

pytestmark = pytest.mark.libraries

faiss = pytest.importorskip("faiss", reason="needs faiss")

F32 = npt.NDArray[np.float32]
K = 10
INNER = faiss.METRIC_INNER_PRODUCT
L2 = faiss.METRIC_L2


@pytest.fixture(scope="module")
def data() -> tuple[F32, F32]:
    """4000 items and 80 queries without clusters, which are hard for every index."""
    rng = np.random.default_rng(5)
    items = rng.standard_normal((4000, 16), dtype=np.float32)
    return items, rng.standard_normal((80, 16), dtype=np.float32)


def build(recipe: str, items: F32, metric: int = L2) -> Any:
    faiss.omp_set_num_threads(1)  # its idle threads spin, which takes long on a busy machine
    index = faiss.index_factory(items.shape[1], recipe, metric)
    index.train(items)
    index.add(items)
    return index


def truth(items: F32, queries: F32, metric: int) -> list[set[int]]:
    """The K best by NumPy, in float64."""
    x, q = items.astype(np.float64), queries.astype(np.float64)
    scores = q @ x.T if metric == INNER else -np.square(q[:, None] - x).sum(axis=2)
    return [{*row} for row in np.argsort(-scores, axis=1)[:, :K].tolist()]


def recall_by_hand(found: npt.NDArray[np.int64], true: list[set[int]]) -> float:
    hits = sum(len({*row} & t) for row, t in zip(found.tolist(), true, strict=True))
    return hits / (K * len(true))


def set_by_hand(index: Any, setting: dict[str, int]) -> None:
    space = faiss.ParameterSpace()
    for name, value in setting.items():
        space.set_index_parameter(index, "k_factor_rf" if name == "k_factor" else name, value)


@pytest.mark.parametrize("metric", [INNER, L2], ids=["ip", "l2"])
@pytest.mark.parametrize("target", [0.3, 0.8, 0.95, 1.0])
@pytest.mark.parametrize(("recipe", "param"), [("IVF64,Flat", "nprobe"), ("HNSW16", "efSearch")])
def test_the_smallest_value_that_reaches(
    data: tuple[F32, F32], recipe: str, param: str, target: float, metric: int
) -> None:
    items, queries = data
    index = build(recipe, items, metric)
    found = vr.tune(index, queries, K, target, vectors=items)
    assert found.reached
    assert list(found.setting) == [param]
    true = truth(items, queries, metric)
    set_by_hand(index, found.setting)
    # In no list does the K-th score come within float32's rounding of the next.
    assert recall_by_hand(index.search(queries, K)[1], true) == found.recall
    assert found.recall >= target
    assert recall_by_hand(found.index.search(queries, K).ids, true) >= target
    values = [point.setting[param] for point in found.curve]
    assert values == sorted(set(values))
    place = values.index(found.setting[param])
    assert place == 0 or found.curve[place - 1].recall < target
    assert place == 0 or values[place] - values[place - 1] <= max(1, values[place] // 20)


def test_reranked_candidates_of_a_lossy_index(data: tuple[F32, F32]) -> None:
    items, queries = data
    index = build("IVF32,PQ8x4,RFlat", items)
    found = vr.tune(index, queries, K, 0.9, vectors=items)
    assert found.reached
    assert list(found.setting) == ["nprobe", "k_factor"]
    assert found.setting["k_factor"] > 1
    set_by_hand(index, found.setting)
    ids = index.search(queries, K)[1]
    assert recall_by_hand(ids, truth(items, queries, L2)) == found.recall >= 0.9


@pytest.mark.parametrize("recipe", ["IVF32,PQ8x4", "PQ8x4"])
def test_reorder_where_the_index_was_wrapped_with_vectors(
    data: tuple[F32, F32], recipe: str
) -> None:
    items, queries = data
    index = vr.wrap(build(recipe, items), ids=np.arange(7, 4007), vectors=items)
    found = vr.tune(index, queries, K, 0.95)
    assert found.reached
    assert list(found.setting) == [*(["nprobe"] if "IVF" in recipe else []), "reorder"]
    assert found.setting["reorder"] > 1
    assert found.index.setting == found.setting
    assert index.setting == {}
    ids = found.index.search(queries, K).ids
    assert recall_by_hand(ids - 7, truth(items, queries, L2)) == found.recall >= 0.95


def test_a_view_is_tuned_from_the_start(data: tuple[F32, F32]) -> None:
    items, queries = data
    index = vr.wrap(build("IVF64,Flat", items), vectors=items)
    found = vr.tune(index.with_params(nprobe=64, reorder=9), queries, K, 0.8)
    assert found.setting == vr.tune(index, queries, K, 0.8).setting
    assert found.setting["reorder"] == 1


@pytest.mark.parametrize("reranked", [False, True])
def test_an_exact_index_has_nothing_to_tune(data: tuple[F32, F32], reranked: bool) -> None:
    items, queries = data
    library = build("Flat", items)
    index = vr.wrap(library, vectors=items) if reranked else library
    found = vr.tune(index, queries, K, 1.0)
    assert found.reached
    assert found.setting == {}
    assert [point.setting for point in found.curve] == [{}]
    assert found.recall == 1


@pytest.mark.parametrize("recipe", ["IVF32,PQ8x4", "PQ8x4"])
def test_a_target_out_of_reach(data: tuple[F32, F32], recipe: str) -> None:
    items, queries = data
    message = r"^tune: expected a setting that reaches recall 0.99, got 0\.\d+ at best"
    with pytest.warns(vr.TuningWarning, match=message):
        found = vr.tune(build(recipe, items), queries, K, 0.99, vectors=items)
    assert not found.reached
    assert found.recall == max(point.recall for point in found.curve) < 0.99
    best = next(point for point in found.curve if point.recall == found.recall)
    assert found.setting == best.setting == found.index.setting


def test_short_lists_are_not_completed(data: tuple[F32, F32]) -> None:
    """Where they are, many more lists are probed, and one would look like enough."""
    items, queries = data
    index = vr.wrap(build("IVF200,Flat", items), vectors=items)
    k = 300
    completed = index.with_params(nprobe=1).search(queries, k)
    assert vr.recall_at_k(completed, vr.FlatIndex(items, metric="l2").search(queries, k)) > 0.4
    found = vr.tune(index, queries, k, 0.4)
    assert found.curve[0].recall < 0.2
    assert found.setting["nprobe"] > 1


def test_the_setting_is_the_same_in_every_run(data: tuple[F32, F32]) -> None:
    items, queries = data
    for recipe in ("IVF64,Flat", "HNSW16"):
        index = build(recipe, items)
        runs = [vr.tune(index, queries, K, 0.9, vectors=items, threads=t) for t in (1, 2, 2)]
        assert runs[0].setting == runs[1].setting == runs[2].setting
        recalls = [[(p.setting, p.recall) for p in run.curve] for run in runs]
        assert recalls[0] == recalls[1] == recalls[2]


def test_cosine_over_inner_products(data: tuple[F32, F32]) -> None:
    items, queries = data
    items = items / np.linalg.norm(items, axis=1, keepdims=True)
    index = build("IVF64,Flat", items, INNER)
    found = vr.tune(index, queries * 3, K, 0.9, vectors=items, metric="cosine")
    assert found.index.metric == "cosine"
    assert found.setting == vr.tune(index, queries, K, 0.9, vectors=items).setting


def test_where_the_true_lists_come_from(data: tuple[F32, F32]) -> None:
    items, queries = data
    graph = build("HNSW16", items)
    read_back = vr.tune(graph, queries, K, 0.9)
    exact = vr.FlatIndex(items, metric="l2")
    wrapped = vr.wrap(graph)
    for found in (
        vr.tune(graph, queries, K, 0.9, vectors=exact),
        vr.tune(wrapped, queries, K, 0.9, vectors=items),
    ):
        assert found.setting == read_back.setting
        assert [p.recall for p in found.curve] == [p.recall for p in read_back.curve]
    lists = build("IVF64,Flat", items)
    assert vr.tune(lists, queries, K, 0.9, vectors=exact).setting == (
        vr.tune(lists, queries, K, 0.9).setting
    )
    lists = build("IVF64,SQ8", items)
    with pytest.raises(ValueError, match=r"^vectors: expected the items' vectors, since this"):
        vr.tune(lists, queries, K, 0.9)
    with pytest.raises(ValueError, match=r"^vectors: expected 4000 rows, one per item, got 3999"):
        vr.tune(lists, queries, K, 0.9, vectors=items[1:])


def test_fewer_items_than_places(data: tuple[F32, F32]) -> None:
    items, queries = data
    found = vr.tune(build("HNSW16", items[:7]), queries, 20, 1.0)
    assert (found.setting, found.recall) == ({"efSearch": 7}, 1.0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": 0}, ValueError, "target: expected a number above 0 and at most 1, got 0.0"),
        ({"target": 1.01}, ValueError, "target: expected a number above 0 and at most 1, got 1.01"),
        ({"target": np.nan}, ValueError, "target: expected a number, got NaN"),
        ({"target": "1"}, TypeError, "target: expected a number, got str"),
        ({"k": 0}, ValueError, "k: expected a whole number >= 1, got 0"),
        ({"threads": 0}, ValueError, "threads: expected a whole number >= 1, got 0"),
        ({"queries": np.ones((0, 16))}, ValueError, "queries: expected at least one row"),
        (
            {"queries": np.ones((2, 3))},
            ValueError,
            "queries: expected shape (n, 16) or (16,), got (2, 3)",
        ),
        ({"queries": np.full((1, 16), np.inf)}, ValueError, "queries: expected finite values"),
        ({"metric": "ip"}, ValueError, "metric: expected 'l2', as the index has, got 'ip'"),
        ({"index": 3}, TypeError, "index: expected an index of faiss"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapped", [False, True])
def test_bad_input(
    data: tuple[F32, F32],
    wrapped: bool,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    library = build("HNSW16", data[0][:50])
    index = vr.wrap(library) if wrapped else library
    arguments = {"index": index, "queries": data[1], "k": K, "target": 0.9, **change}
    with pytest.raises(error, match="^" + re.escape(message)):
        vr.tune(**arguments)


def test_what_cannot_be_tuned(data: tuple[F32, F32]) -> None:
    items, queries = data
    empty = faiss.index_factory(16, "HNSW16")
    with pytest.raises(ValueError, match=r"^index: expected one with items, got an empty one"):
        vr.tune(empty, queries, K, 0.9)
    library = build("HNSW16", items[:50])
    index = vr.wrap(library)
    library.add(items[50:60])
    with pytest.raises(ValueError, match=r"^index: expected the 50 items that it had"):
        vr.tune(index, queries, K, 0.9)
    units = items[:200] / np.linalg.norm(items[:200], axis=1, keepdims=True)
    directions = build("IVF4,Flat", units, INNER)
    queries = np.concatenate([queries, np.zeros((1, 16), np.float32)])
    with pytest.raises(ValueError, match=r"^queries: row 80 is all zeros"):
        vr.tune(directions, queries, K, 0.9, vectors=units, metric="cosine")


@pytest.mark.parametrize("recipe", ["IVF32,PQ8x4,RFlat", "IVF32,Flat", "Flat"])
def test_plot(data: tuple[F32, F32], recipe: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    items, queries = data
    found = vr.tune(build(recipe, items), queries, K, 0.8, vectors=items)
    figure = found.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    drawn = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert sum(len(line.get_xdata()) for line in drawn) == len(found.curve)
    assert len(found.plot().axes) == 1


def test_a_missing_module_names_the_extra(
    data: tuple[F32, F32], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = vr.tune(build("Flat", data[0]), data[1], K, 0.8)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"Tuning.plot needs matplotlib: .*vecrecall\[demo\]"):
        found.plot()
