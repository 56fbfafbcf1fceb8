"""Residual embeddings: the closed form against descent, categories in noise, the rare rows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from vecrecall.storage import _array_folder
from vecrecall.train import Embedding, ResidualEmbedding, residual

Metric = Literal["ip", "cosine", "l2"]
F64 = npt.NDArray[np.float64]


def planted(seed: int) -> tuple[F64, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Items around the centers of 12 categories, the less exact the rarer they were seen."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 12, 800)
    counts = rng.zipf(1.5, 800)
    spread = np.sqrt(0.25 + 9 / counts)[:, None]
    rows = rng.standard_normal((12, 16))[labels] + spread * rng.standard_normal((800, 16))
    return rows, labels, counts


def purity(matrix: npt.NDArray[Any], labels: npt.NDArray[Any]) -> F64:
    """Tell which share of each row's 10 nearest others by cosine has its label, with NumPy."""
    rows = matrix / np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1)[:, :10]
    return np.asarray((labels[nearest] == labels[:, None]).mean(axis=1))


def descended(x: F64, labels: npt.NDArray[Any], counts: npt.NDArray[Any], penalty: float) -> F64:
    """Minimize the sum of the docstring by turns, and return centers plus residuals."""
    k, r = labels.max() + 1, np.zeros_like(x)
    for _ in range(3000):
        weights = [np.where(labels == label, counts, 0) for label in range(k)]
        c = np.stack([w @ (x - r) / w.sum() for w in weights])[labels]
        n = counts[:, None]
        r = n * (x - c) / (n + penalty)
    return c + r


@pytest.mark.parametrize("penalty", [0.5, 3.0, 20.0])
def test_the_closed_form_is_where_descent_ends(penalty: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    labels, counts = rng.integers(0, 4, 40), rng.integers(0, 9, 40)
    model = residual(
        Embedding(range(40), x, metric="l2"), categories=labels, counts=counts, penalty=penalty
    )
    expected = descended(x.astype(np.float64), labels, counts, penalty)
    # Centers, residuals and their sums are rounded to float32 once each; numbers are below 4.
    np.testing.assert_allclose(model.embedding.matrix, expected, rtol=0, atol=3 * 4 * 2.0**-24)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbors_are_of_the_category_and_rare_rows_gain_most(seed: int) -> None:
    """Measured with these seeds: 0.44 to 0.54 before, 0.99 after; of the rare, 0.26 to 0.33."""
    rows, labels, counts = planted(seed)
    model = residual(Embedding(range(800), rows), categories=labels, counts=counts, penalty=9)
    before, after = purity(rows, labels), purity(model.embedding.matrix, labels)
    rare = counts <= np.median(counts)
    assert after.mean() > before.mean() + 0.4
    assert after[rare].mean() > before[rare].mean() + 0.5
    gain = after - before
    assert gain[rare].mean() > gain[~rare].mean() + 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_recall_of_the_rare_rises(seed: int) -> None:
    """Measured with these seeds: 0.15 to 0.21 before, 0.98 after; of all, 0.27 to 0.34 and 0.87."""
    rows, labels, counts = planted(seed)
    rng = np.random.default_rng(seed)
    items = rng.integers(0, 800, 600)
    targets = [int(rng.choice(np.flatnonzero(labels == labels[item]))) for item in items]
    given: dict[str, Any] = {"categories": labels, "counts": counts}
    before, after = (
        residual(Embedding(range(800), rows), penalty=penalty, **given).recall(items, targets, k=60)
        for penalty in (0, 9)
    )
    assert after.rare_recall > before.rare_recall + 0.5
    assert after.recall > before.recall + 0.3
    assert (before.n_pairs, before.n_rare) == (after.n_pairs, after.n_rare)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_recall_is_that_of_brute_force(metric: Metric) -> None:
    rows, labels, counts = planted(3)
    model = residual(rows, categories=labels, counts=counts)
    rng = np.random.default_rng(3)
    items, targets = rng.integers(0, 800, (2, 500))
    x = model.embedding.matrix.astype(np.float64)
    scores = 2 * x @ x.T - (x**2).sum(axis=1) if metric == "l2" else x @ x.T
    if metric == "cosine":
        scores /= np.linalg.norm(x, axis=1)
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1)[:, :50]
    hits = (nearest[items] == targets[:, None]).any(axis=1)
    rare = counts[targets] <= 3
    found = model.recall(items, targets, k=50, max_count=3, metric=metric)
    assert found == (hits.mean(), hits[rare].mean(), 500, rare.sum())
    if metric == "cosine":
        assert model.recall(items, targets, k=50, max_count=3) == found
    assert model.recall(items[:1], items[:1], k=799).recall == 0.0  # not its own neighbor
    assert np.isnan(model.recall([], []).recall)
    with pytest.raises(KeyError, match="no vector for 800"):
        model.recall([1, 800], [2, 3])
    with pytest.raises(ValueError, match="targets: expected 2 rows, got 1"):
        model.recall([1, 2], [3])


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_the_report_is_what_numpy_finds(metric: Metric) -> None:
    rows, labels, counts = planted(4)
    model = residual(
        Embedding(range(800), rows, metric=metric), categories=labels, counts=counts, penalty=4
    )
    x = rows / np.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows
    keep = (counts / (counts + 4))[:, None]
    centers = np.stack(
        [(x * keep)[labels == i].sum(0) / keep[labels == i].sum() for i in range(12)]
    )
    own = centers[labels]
    after = own + (x - own) * keep

    def cohesion(y: F64) -> float:
        lengths = np.linalg.norm(y, axis=1) * np.linalg.norm(own, axis=1)
        return float(((y * own).sum(axis=1) / lengths).mean())

    report = model.report
    assert (report.rows, report.without_category, report.categories) == (800, 0, 12)
    # float32 rows and centers: a few roundings of 16 dimensions.
    near = 16 * 2.0**-22
    assert report.cohesion_before == pytest.approx(cohesion(x), rel=near)
    assert report.cohesion_after == pytest.approx(cohesion(after), rel=near)
    assert report.length_before == pytest.approx(np.linalg.norm(x - own, axis=1).mean(), rel=near)
    length_after = np.linalg.norm((x - own) * keep, axis=1).mean()
    assert report.length_after == pytest.approx(length_after, rel=near)
    assert report.cohesion_after > report.cohesion_before + 0.2
    order = list(dict.fromkeys(labels.tolist()))
    assert model.categories == order
    np.testing.assert_allclose(model.centers, centers[order], rtol=0, atol=4 * 2.0**-22)


def test_parts_fit_into_the_library() -> None:
    rows, _, counts = planted(0)
    embedding = Embedding([f"i{i}" for i in range(800)], rows, metric="l2")
    model = residual(embedding, n_clusters=12, counts=counts, penalty=3)
    assert (model.centers.shape, model.centers.dtype) == ((12, 16), np.float32)
    assert (model.residuals.shape, model.residuals.dtype) == ((800, 16), np.float32)
    assert (model.labels.shape, model.labels.dtype) == ((800,), np.int32)
    matrix = model.embedding.matrix
    joined = vr.from_residuals(model.residuals, model.centers, model.labels)
    assert joined.tobytes() == matrix.tobytes()
    rest = vr.residuals(matrix, model.centers, model.labels)
    size = np.abs(matrix).max() * 2.0**-23
    np.testing.assert_allclose(rest, model.residuals, rtol=0, atol=size)
    near = vr.assign(matrix, model.centers)
    assert near.labels[:, 0].tolist() == model.labels.tolist(), "rows stay in their clusters"
    assert (
        vr.assign(embedding.matrix, model.centers).labels[:, 0].tolist()
        == near.labels[:, 0].tolist()
    )
    groups = vr.UserGroups.fit(matrix, 12, init=model.centers)
    assert (len(groups), groups.labels.shape, groups.labels.dtype) == (12, (800,), np.int32)
    assert groups.assign(model.centers).labels.shape == (12, 1)
    assert len(vr.UserGroups.fit(model.residuals, 5)) == 5
    assert model.embedding.ids == embedding.ids
    assert model.embedding.to_index().search(matrix[:3], 1).ids[:, 0].tolist() == [0, 1, 2]


def test_without_a_penalty_rows_stay() -> None:
    rows, labels, _ = planted(0)
    embedding = Embedding(range(800), rows, metric="ip")
    model = residual(embedding, categories=labels, penalty=0, counts=np.zeros(800))
    size = np.abs(rows).max() * 2.0**-22
    np.testing.assert_allclose(model.embedding.matrix, embedding.matrix, rtol=0, atol=size)
    means = np.stack([embedding.matrix[labels == i].mean(axis=0) for i in model.categories])
    np.testing.assert_allclose(model.centers, means, rtol=0, atol=size)


def test_rows_that_were_never_seen_stand_at_their_center() -> None:
    matrix = [[1, 0], [3, 0], [9, 9], [1, 1], [3, 3]]
    model = residual(
        Embedding(range(5), matrix, metric="l2"),
        categories=["x", "x", "x", "unseen", "unseen"],
        counts=[1, 1, 0, 0, 0],
    )
    assert model.centers.tolist() == [[2, 0], [2, 2]]
    assert model.embedding.matrix.tolist() == [[1.5, 0], [2.5, 0], [2, 0], [2, 2], [2, 2]]
    assert model.center("x").tolist() == [2, 0]
    with pytest.raises(KeyError, match="no center for 'y'"):
        model.center("y")


def test_counts_of_one_are_the_default() -> None:
    rows, labels, _ = planted(0)
    first = residual(rows, categories=labels, penalty=2)
    second = residual(rows, categories=labels, penalty=2, counts=np.ones(800))
    assert first.embedding.matrix.tobytes() == second.embedding.matrix.tobytes()


@pytest.mark.parametrize("kind", ["list", "numpy", "pandas", "polars", "pyarrow"])
def test_a_row_without_a_category_keeps_its_vector(kind: str) -> None:
    values: Any = ["a", None, "b", "a"]
    if kind == "numpy":
        values = np.array(["a", np.nan, "b", "a"], object)
    elif kind == "pandas":
        values = pytest.importorskip("pandas").Series(values).astype("category")
    elif kind != "list":
        module = pytest.importorskip(kind)
        values = (module.array if kind == "pyarrow" else module.Series)(values)
    matrix = [[1, 0], [5, 7], [0, 1], [3, 0]]
    model = residual(Embedding(range(4), matrix, metric="ip"), categories=values)
    assert model.labels.tolist() == [0, -1, 1, 0]
    assert model.categories == ["a", "b"]
    assert model.embedding.matrix.tolist() == [[1.5, 0], [5, 7], [0, 1], [2.5, 0]]
    assert (model.report.rows, model.report.without_category) == (3, 1)


def test_no_row_has_a_category() -> None:
    model = residual(Embedding([1, 2], np.eye(2), metric="ip"), categories=[None, None])
    assert model.centers.shape == (0, 2)
    assert model.embedding.matrix.tolist() == np.eye(2).tolist()
    assert np.isnan(model.report.cohesion_before)


def test_under_cosine_lengths_do_not_count() -> None:
    rows, labels, counts = planted(1)
    rows[5] = 0
    long = rows * np.random.default_rng(1).uniform(0.1, 10, (800, 1))
    first = residual(Embedding(range(800), rows), categories=labels, counts=counts)
    second = residual(long, categories=labels, counts=counts)
    np.testing.assert_allclose(
        first.embedding.matrix, second.embedding.matrix, rtol=0, atol=16 * 2.0**-24
    )
    assert first.embedding.metric == second.embedding.metric == "cosine"
    # A zero row has its category's direction, and no cluster where none is given.
    share = counts[5] / (counts[5] + 1)
    own = first.centers[first.labels[5]]
    np.testing.assert_allclose(first.embedding.matrix[5], own * (1 - share), rtol=0, atol=2.0**-22)
    found = residual(rows, n_clusters=4, counts=counts)
    assert found.labels[5] == -1
    assert not found.embedding.matrix[5].any()
    assert found.labels[np.arange(800) != 5].min() == 0


def test_clusters_have_the_same_bits_for_one_seed() -> None:
    rows, _, counts = planted(2)
    first, second, other = (
        residual(rows, n_clusters=12, counts=counts, seed=seed) for seed in (7, 7, 8)
    )
    assert first.embedding.matrix.tobytes() == second.embedding.matrix.tobytes()
    assert first.centers.tobytes() != other.centers.tobytes()
    assert first.categories == list(range(12))


def test_clusters_of_rows_that_were_never_seen() -> None:
    rows, _, _ = planted(2)
    model = residual(rows, n_clusters=3, counts=np.zeros(800))
    assert not model.residuals.any()
    assert len(np.unique(model.embedding.matrix, axis=0)) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, r"categories, n_clusters: expected one of the two, got neither"),
        ({"categories": [1, 1, 2], "n_clusters": 2}, ValueError, r"got both"),
        ({"categories": [1, 2]}, ValueError, r"categories: expected 3 rows, got 2"),
        ({"categories": [1, [2], 3]}, TypeError, r"categories: .* got list in row 1"),
        ({"categories": "abc"}, TypeError, r"categories: expected a column, got str"),
        ({"n_clusters": 4}, ValueError, r"n_clusters: expected at most 3"),
        ({"n_clusters": 0}, ValueError, r"n_clusters: "),
        ({"n_clusters": 2.5}, TypeError, r"n_clusters: "),
        ({"n_clusters": 2, "penalty": -1}, ValueError, r"penalty: "),
        ({"n_clusters": 2, "penalty": float("nan")}, ValueError, r"penalty: "),
        ({"n_clusters": 2, "penalty": "1"}, TypeError, r"penalty: "),
        ({"n_clusters": 2, "counts": [1, 2]}, ValueError, r"counts: expected 3 rows, got 2"),
        ({"n_clusters": 2, "counts": [1, 2, -3]}, ValueError, r"counts: .*>= 0, got -3 in row 2"),
        ({"n_clusters": 2, "counts": [1, None, 3]}, ValueError, r"counts: .* got None in row 1"),
        ({"n_clusters": 2, "seed": -1}, ValueError, r"seed: "),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        residual(np.eye(3), **options)


def test_bad_vectors() -> None:
    with pytest.raises(ValueError, match=r"embedding: expected finite values, .* in row 1"):
        residual([[1.0, 2.0], [np.inf, 1.0]], n_clusters=1)
    with pytest.raises((TypeError, ValueError), match="embedding: "):
        residual(["a", "b"], n_clusters=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_saved_and_loaded(metric: Metric, tmp_path: Path) -> None:
    rows, labels, counts = planted(0)
    names = [("genre", int(label)) if label else None for label in labels]
    embedding = Embedding([f"i{i}" for i in range(800)], rows, metric=metric)
    model = residual(embedding, categories=names, counts=counts)
    model.save(tmp_path / "model")
    again = ResidualEmbedding.load(tmp_path / "model")
    assert repr(again) == repr(model)
    assert again.categories == model.categories
    assert again.report == model.report
    assert again.embedding.about == model.embedding.about
    assert again.embedding.ids == embedding.ids
    for name in ("residuals", "centers", "labels", "counts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.embedding.matrix.tobytes() == model.embedding.matrix.tobytes()


def test_recall_without_rows_or_pairs() -> None:
    nothing = residual(Embedding([], np.empty((0, 3))), categories=[])
    for found in (nothing.recall([], []), residual(np.eye(3), n_clusters=2).recall([], [])):
        assert np.isnan([found.recall, found.rare_recall]).all()
        assert (found.n_pairs, found.n_rare) == (0, 0)


def test_what_is_rare_must_be_a_number() -> None:
    model = residual(np.eye(3), n_clusters=2)
    with pytest.raises(TypeError, match=r"^max_count: expected a number, got"):
        model.recall([0], [1], max_count="3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^max_count: expected a number, got NaN"):
        model.recall([0], [1], max_count=float("nan"))


def test_memory_stays_near_that_of_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held at once: the rows divided by their lengths, the residuals, the vectors, and a block."""
    rng = np.random.default_rng(0)
    items = Embedding(range(20_000), rng.standard_normal((20_000, 64)))
    genres = rng.integers(0, 9, 20_000)
    monkeypatch.setattr("vecrecall.arrays._ragged_ops.BLOCK_VALUES", 2**15)
    tracemalloc.start()
    try:
        residual(items, categories=genres)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Keys, labels and counts come to half of it: 100 bytes for each of the 256 of a vector.
    assert peak < 4.5 * items.matrix.nbytes


def test_a_folder_with_other_content(tmp_path: Path) -> None:
    _array_folder.save(tmp_path, "ResidualEmbedding", {}, {"centers": np.eye(2)})
    with pytest.raises(ValueError, match=r"^path: expected a ResidualEmbedding, got "):
        ResidualEmbedding.load(tmp_path)
