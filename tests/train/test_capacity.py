"""Capacity by frequency: the cut rows against NumPy, their search against brute force."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr
from vecrecall.storage import _array_folder
from vecrecall.train import CapacityEmbedding, CapacityReport, Embedding, capacity

Metric = Literal["ip", "cosine", "l2"]
METRICS: tuple[Metric, ...] = ("ip", "cosine", "l2")
F64 = npt.NDArray[np.float64]


def planted(seed: int, n: int = 600, d: int = 24, rank: int = 6) -> npt.NDArray[np.float32]:
    """Rows near a subspace that no axis of theirs shows."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    rows = rng.standard_normal((n, d)) * np.where(np.arange(d) < rank, 1, 0.02)
    return (rows @ turn).astype(np.float32)


def example(metric: Metric, seed: int = 0) -> tuple[Embedding, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    matrix = planted(seed) + 0.3 * rng.standard_normal((600, 24)).astype(np.float32)
    ids = rng.permutation(9000)[:600]
    return Embedding(ids, matrix, metric=metric), rng.zipf(1.4, 600)


def scores(queries: npt.ArrayLike, rows: npt.ArrayLike, metric: Metric) -> F64:
    """Score in float64."""
    return cut_scores(queries, rows, rows, metric)


def cut_scores(
    queries: npt.ArrayLike, rows: npt.ArrayLike, cut: npt.ArrayLike, metric: Metric
) -> F64:
    """Score in float64 by the inner products with cut rows and the lengths of uncut ones."""
    q, x = np.asarray(queries, np.float64), np.asarray(rows, np.float64)
    products = q @ np.asarray(cut, np.float64).T
    a, b = np.linalg.norm(q, axis=1)[:, None], np.linalg.norm(x, axis=1)
    if metric == "l2":
        return np.asarray(2 * products - a**2 - b**2)
    return np.asarray(products / (a * b)) if metric == "cosine" else products


def cut_by_hand(small: CapacityEmbedding, embedding: Embedding) -> F64:
    """Project each row on the axes that it keeps, in float64."""
    cut = np.empty(embedding.matrix.shape)
    for part, projection in zip(small.parts, small.projections, strict=True):
        rows = embedding.rows(part.ids)
        axes = projection.astype(np.float64)
        cut[rows] = embedding.matrix[rows] @ axes @ axes.T
    return cut


def tolerance(queries: npt.ArrayLike, rows: npt.ArrayLike, metric: Metric) -> float:
    """Bound the roundings, as the docstring of `CapacityIndex` has it.

    Rows and queries are rounded twice, when they are rotated and when they are divided by their
    lengths, and the score once: five times 2**-24 of the scale. Rounding the rotation changes
    lengths, which l2 compares squared, by at most sqrt(d) * 2**-24.
    """
    q, x = np.asarray(queries, np.float64), np.asarray(rows, np.float64)
    lengths = np.linalg.norm(q, axis=1).max(), np.linalg.norm(x, axis=1).max()
    scale = {"ip": lengths[0] * lengths[1], "cosine": 1.0, "l2": sum(lengths) ** 2}[metric]
    return float((5 + 2 * np.sqrt(q.shape[1])) * 2.0**-24 * scale)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("exponent", [0, 0.5, 1])
def test_rows_are_their_best_projections(metric: Metric, exponent: float) -> None:
    """Compare with singular vectors, which are found in another way."""
    embedding, _ = example(metric)
    counts = np.random.default_rng(1).integers(0, 50, 600)
    small = capacity(embedding, counts, widths=(16, 8, 4), count_exponent=exponent)
    x = embedding.matrix.astype(np.float64)
    y = x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x
    weighted = y * np.sqrt(counts**exponent)[:, None]
    axes = np.linalg.svd(weighted, full_matrices=False)[2]
    again = small.reconstructed()
    assert again.ids == embedding.ids
    for part, projection in zip(small.parts, small.projections, strict=True):
        rows = embedding.rows(part.ids)
        width = projection.shape[1]
        best = y[rows] @ axes[:width].T @ axes[:width]
        size = np.abs(y).max() * 24 * 2.0**-20  # gaps of singular values are over 2**-4 of them
        np.testing.assert_allclose(again.matrix[rows], best, rtol=0, atol=size)
        np.testing.assert_allclose(part.matrix[:, :width], y[rows] @ projection, rtol=0, atol=size)
        if metric == "l2":
            lost = np.linalg.norm(y[rows] - best, axis=1)
            np.testing.assert_allclose(part.matrix[:, width], lost, rtol=0, atol=size)
    np.testing.assert_allclose(small.rotation @ small.rotation.T, np.eye(24), atol=24 * 2.0**-24)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", [1, 2])
def test_lists_are_those_of_brute_force(metric: Metric, seed: int) -> None:
    embedding, counts = example(metric, seed)
    small = capacity(embedding, counts, widths=(24, 8, 3))
    queries = np.random.default_rng(seed).standard_normal((40, 24)).astype(np.float32)
    found = small.to_index().search(queries, 10)
    truth = cut_scores(queries, embedding.matrix, cut_by_hand(small, embedding), metric)
    most = tolerance(queries, embedding.matrix, metric)
    best = -np.sort(-truth, axis=1)[:, :10]
    np.testing.assert_allclose(found.scores, best, rtol=0, atol=most)
    own = np.take_along_axis(truth, embedding.rows(found.ids.ravel()).reshape(40, 10), axis=1)
    np.testing.assert_allclose(found.scores, own, rtol=0, atol=most)
    assert found.metric == metric
    assert all(np.unique(row).size == 10 for row in found.ids)


@pytest.mark.parametrize("metric", METRICS)
def test_an_uncut_embedding_is_searched_as_it_was(metric: Metric) -> None:
    embedding, counts = example(metric)
    index = capacity(embedding, counts, widths=(64,)).to_index()
    found = index.search(embedding.matrix, 5)
    truth = scores(embedding.matrix, embedding.matrix, metric)
    most = tolerance(embedding.matrix, embedding.matrix, metric)
    np.testing.assert_allclose(found.scores, -np.sort(-truth, axis=1)[:, :5], rtol=0, atol=most)


@pytest.mark.parametrize("metric", METRICS)
def test_bits_do_not_depend_on_batch_or_threads(metric: Metric) -> None:
    embedding, counts = example(metric)
    index = capacity(embedding, counts, widths=(24, 8)).to_index()
    queries = embedding.matrix[:50]
    whole = index.search(queries, 7, threads=1)
    for i, query in enumerate(queries):
        one = index.search(query, 7, threads=2)
        assert one.ids[0].tolist() == whole.ids[i].tolist()
        assert one.scores[0].tobytes() == whole.scores[i].tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_filters_reach_all_shards(metric: Metric) -> None:
    embedding, counts = example(metric)
    index = capacity(embedding, counts, widths=(16, 4)).to_index()
    queries = embedding.matrix[:6]
    everything = index.search(queries, 600)
    even = {i for i in index.ids.tolist() if i % 2 == 0}

    def filtered(row: int, keep: Any) -> list[int]:
        return [i for i in everything.ids[row].tolist() if keep(i)][:9]

    seen = everything.ids[:, :3].tolist()
    expected = [filtered(row, lambda i: i in even and i not in seen[row]) for row in range(6)]  # noqa: B023
    mask = index.mask(sorted(even))
    for allow in (mask, sorted(even), even, ~~mask, [mask] * 6):
        assert index.search(queries, 9, exclude=seen, allow=allow).ids.tolist() == expected
    odd = [filtered(row, lambda i: i not in even) for row in range(6)]
    assert index.search(queries, 9, allow=~mask).ids.tolist() == odd
    mixed = index.search(queries, 9, allow=[mask, ~mask] * 3).ids.tolist()
    assert mixed[1] == odd[1]
    assert mixed[2] == filtered(2, lambda i: i in even)
    floor = float(everything.scores[0, 4])
    assert index.search(queries[:1], 20, min_score=floor).counts.tolist() == [5]
    with pytest.raises(ValueError, match="expected a mask of this index"):
        index.search(queries, 9, allow=index.shards[0].mask([1]))


@pytest.mark.parametrize("metric", METRICS)
def test_queries_that_are_not_finite_or_zero(metric: Metric) -> None:
    embedding, counts = example(metric)
    index = capacity(embedding, counts, widths=(16, 4)).to_index()
    queries = embedding.matrix[:4].copy()
    queries[1, 0], queries[2] = np.nan, 0
    with pytest.raises(ValueError, match=r"queries: expected finite values, .* in row 1"):
        index.search(queries, 3)
    found = index.search(queries, 3, invalid="empty", allow=[index.mask(index.ids)] * 4)
    zero = 0 if metric == "cosine" else 3
    assert found.counts.tolist() == [3, 0, zero, 3]
    assert found.ids[3].tolist() == index.search(queries[3], 3).ids[0].tolist()
    assert index.search(np.empty((0, 24), np.float32), 3).ids.shape == (0, 3)
    with pytest.raises(ValueError, match=r"queries: expected shape \(n, 24\)"):
        index.search(queries[:, :23], 3)


@pytest.mark.parametrize("metric", METRICS)
def test_the_index_stands_in_for_a_flat_one(metric: Metric, tmp_path: Path) -> None:
    embedding, counts = example(metric)
    small = capacity(embedding, counts, widths=(16, 4))
    index = small.to_index()
    assert isinstance(index, vr.SearchableIndex)
    assert index.ids.tolist() == embedding.index_ids.tolist()
    assert (len(index), index.dim, index.metric) == (600, 24, metric)
    first = int(index.ids[0])
    assert first in index
    assert index.contains([first, 9999]).tolist() == [True, False]
    np.testing.assert_array_equal(
        index.vectors(index.ids[::-1]), small.reconstructed().matrix[::-1]
    )
    with pytest.raises(KeyError, match="9999"):
        index.vectors([9999])
    found = index.search(embedding.matrix[:3], 4, stats=True)
    given = index.score(embedding.matrix[:3], [[*row, 9999] for row in found.ids.tolist()])
    for scored, row in zip(given, found.scores, strict=True):
        assert scored.tolist() == [*row.tolist(), -np.inf]
    assert found.stats is not None
    assert found.stats.items_scanned + found.stats.rows_reranked >= 600
    table = vr.NeighborTable.build(index, 3)
    assert len(table) == 600
    assert index.neighbors(3, path=tmp_path).ids[5].tolist() == index.neighbors(3).ids[5].tolist()
    for twin in (pickle.loads(pickle.dumps(index)), copy.copy(index), copy.deepcopy(index)):
        again = twin.search(embedding.matrix[:3], 4)
        assert again.scores.tobytes() == found.scores.tobytes()


def test_channels_recall_from_it() -> None:
    embedding, counts = example("cosine")
    index = capacity(embedding, counts, widths=(16, 4)).to_index()
    near = vr.channels.LiveNeighbors(index, vectors=embedding.matrix, ids=embedding.index_ids)
    recaller = vr.Recaller(
        {
            "user": vr.channels.UserToItem(index, vector="tower"),
            "item": vr.channels.ItemToItem(near),
        },
        vr.policies.RRF(),
    )
    history = [[int(i)] for i in embedding.index_ids[:5]]
    batch = vr.RequestBatch(vectors={"tower": embedding.matrix[:5]}, history=history, seen=history)
    found = recaller.recall(batch, 10)
    assert found.counts.tolist() == [10] * 5
    assert all(own[0] not in row for own, row in zip(history, found.ids.tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_memory_falls_and_what_matters_is_kept(seed: int) -> None:
    """Rows near a subspace of 6 dimensions lose little by a cut to 6 of their own axes.

    Measured with these seeds: recall at least 0.998; of the first 6 dimensions as they are, 0.28 to
    0.41.
    """
    matrix = planted(seed, n=2000)
    embedding = Embedding(range(2000), matrix, metric="ip")
    small = capacity(embedding, np.arange(2000), widths=(24, 6), shares=(0.1, 0.9))
    queries = matrix[:200]
    truth = embedding.to_index().search(queries, 10)
    kept = vr.recall_at_k(small.to_index().search(queries, 10).ids, truth.ids, k=10)
    plain = vr.FlatIndex(np.where(np.arange(24) < 6, matrix, 0)).search(queries, 10)
    assert kept > 0.98
    assert kept > vr.recall_at_k(plain.ids, truth.ids, k=10) + 0.5
    assert small.report.saved > 0.65
    assert small.report.kept[1] > 0.99


def test_the_report_says_what_the_arrays_take() -> None:
    embedding, counts = example("ip")
    small = capacity(embedding, counts, widths=(20, 8, 4), shares=(0.25, 0.25, 0.5))
    report = small.report
    assert report.rows == [150, 150, 300]
    assert report.row_bytes == [part.matrix.nbytes for part in small.parts]
    assert report.rotation_bytes == small.rotation.nbytes
    assert report.bytes_before == embedding.matrix.nbytes
    assert report.bytes_after == 4 * (150 * 20 + 150 * 8 + 300 * 4 + 24 * 24)
    assert report.saved == 1 - report.bytes_after / report.bytes_before
    # An index keeps rows, and int8 codes of as many rows as fill steps of 64.
    sizes = [shard._arrays() for shard in small.to_index().shards]
    assert [arrays["rows"].nbytes for arrays in sizes] == report.row_bytes
    assert [arrays["codes"].nbytes for arrays in sizes] == [192 * 20, 192 * 8, 320 * 4]
    whole = embedding.to_index()._arrays()
    assert whole["rows"].nbytes + whole["codes"].nbytes == report.bytes_before + 640 * 24
    ordered = np.sort(counts)[::-1]
    assert report.most_counts == [ordered[0], ordered[150], ordered[300]]
    assert report.least_counts == [ordered[149], ordered[299], ordered[599]]
    x = embedding.matrix @ small.rotation
    for part, kept in zip(small.parts, report.kept, strict=True):
        rows = x[embedding.rows(part.ids)].astype(np.float64)
        expected = (rows[:, : part.dim] ** 2).sum() / (rows**2).sum()
        assert kept == pytest.approx(expected, rel=24 * 2.0**-23)
    assert "saved" in str(report)
    assert str(report).count("\n") == 4


def widths_of(small: CapacityEmbedding) -> list[int]:
    found = {key: part.dim for part in small.parts for key in part.ids}
    return [found[key] for key in small.ids]


@pytest.mark.parametrize(
    ("counts", "options", "expected"),
    [
        ([5, 1, 9, 0], {}, [2, 1, 4, 1]),  # 1/4 : 1/2 : 1 of four rows, rounded
        ([5, 1, 9, 0], {"shares": (0.5, 0.25, 0.25)}, [4, 2, 4, 1]),
        ([3, 3, 3, 3], {"shares": (0.25, 0.25, 0.5)}, [4, 2, 1, 1]),
        ([0, 0, 0, 0], {"shares": (0.25, 0.25, 0.5)}, [4, 2, 1, 1]),
        ([1, 2, 3, 4], {"shares": (0, 0, 1)}, [1, 1, 1, 1]),
        ([1, 2, 3, 4], {"shares": (1, 0, 0)}, [4, 4, 4, 4]),
        ([1, 2, 3, 4], {"shares": (0.5, 0, 0.5)}, [1, 1, 4, 4]),
        ([5, 5, 2, 0], {"thresholds": (5, 2)}, [4, 4, 2, 1]),
        ([5, 5, 2, 0], {"thresholds": (99, 98)}, [1, 1, 1, 1]),
        ([5, 5, 5, 5], {"thresholds": (5, 2)}, [4, 4, 4, 4]),
        ([2**53, 2**53 - 1, 1, 0], {"thresholds": (2**53, 1)}, [4, 2, 2, 1]),
    ],
)
def test_which_row_gets_which_width(
    counts: list[int], options: dict[str, Any], expected: list[int]
) -> None:
    embedding = Embedding(list("abcd"), np.eye(4), metric="ip")
    small = capacity(embedding, counts, widths=(4, 2, 1), **options)
    assert widths_of(small) == expected
    assert [len(part) for part in small.parts] == [expected.count(width) for width in (4, 2, 1)]
    index = small.to_index()
    assert sorted(index.ids.tolist()) == [0, 1, 2, 3]
    assert index.search(np.ones(4), 4).counts.tolist() == [4]


def test_widths_beyond_the_embedding_are_the_whole_width() -> None:
    embedding = Embedding(range(4), np.eye(4), metric="cosine")
    small = capacity(embedding, [4, 3, 2, 1], widths=(64, 32, 2), shares=(0.25, 0.25, 0.5))
    assert [part.dim for part in small.parts] == [4, 4, 2]
    assert small.report.widths == [4, 4, 2]
    found = small.to_index().search(np.eye(4)[:2], 1)
    assert found.ids.tolist() == [[0], [1]]
    np.testing.assert_allclose(found.scores, 1, rtol=0, atol=5 * 2.0**-24)


def test_counts_by_key() -> None:
    embedding = Embedding(list("abcd"), np.eye(4), metric="ip")
    small = capacity(embedding, Counter("aaddb"), widths=(2, 1), thresholds=(2,))
    assert widths_of(small) == [2, 1, 1, 2]


@pytest.mark.parametrize("kind", ["numpy", "pandas", "polars", "pyarrow"])
def test_counts_of_all_kinds(kind: str) -> None:
    module = pytest.importorskip(kind)
    column = (module.Series if hasattr(module, "Series") else module.array)([1, 5, 2, 9])
    small = capacity(Embedding(list("abcd"), np.eye(4)), column, widths=(2, 1), thresholds=(5,))
    assert widths_of(small) == [1, 2, 1, 2]


def test_one_row_and_none() -> None:
    one = capacity(Embedding(["a"], [[3.0, 4.0]], metric="ip"), [1], widths=(2, 1))
    assert one.to_index().search([3.0, 4.0], 2).scores[0, 0] == pytest.approx(25, rel=2.0**-21)
    none = capacity(Embedding([], np.empty((0, 3))), [], widths=(2, 1))
    assert (len(none), none.report.saved) == (0, 0.0)
    index = none.to_index()
    assert len(index) == 0
    assert index.search(np.ones(3), 2).ids.tolist() == [[-1, -1]]
    assert none.reconstructed().matrix.shape == (0, 3)


def test_rows_that_the_cut_leaves_zero_are_skipped_under_cosine() -> None:
    matrix = np.array([[9, 0], [9, 0], [0, 1], [0, 0]], np.float32)
    for metric, skipped in (("cosine", [2, 3]), ("ip", []), ("l2", [])):
        embedding = Embedding(list("abcd"), matrix, metric=metric)  # type: ignore[arg-type]
        index = capacity(embedding, [9, 9, 1, 1], widths=(2, 1), thresholds=(5,)).to_index()
        assert index.skipped.tolist() == skipped
        assert index.ids.tolist() == [i for i in range(4) if i not in skipped]
        assert len(index) == 4 - len(skipped)


@pytest.mark.parametrize(
    ("counts", "options", "error", "message"),
    [
        ([1, 2, 3], {}, ValueError, r"counts: expected 4 rows, got 3"),
        ([1, 2, float("nan"), 4], {}, ValueError, r"counts: .* got nan in row 2"),
        ([1, None, 3, 4], {}, ValueError, r"counts: .* got None in row 1"),
        ([1, -2, 3, 4], {}, ValueError, r"counts: expected a number >= 0, got -2 in row 1"),
        (["1", 2, 3, 4], {}, TypeError, r"counts: expected numbers, got str in row 0"),
        ({"b": -1}, {}, ValueError, r"counts: expected a number >= 0, got -1 in row 1"),
        ([1, 2, 3, 4], {"count_exponent": -1}, ValueError, r"count_exponent: "),
        ([1, 2, 3, 4], {"count_exponent": "1"}, TypeError, r"count_exponent: "),
        ([1, 2, 3, 4], {"widths": ()}, ValueError, r"widths: expected decreasing"),
        ([1, 2, 3, 4], {"widths": (1, 2)}, ValueError, r"widths: expected decreasing"),
        ([1, 2, 3, 4], {"widths": (2, 2)}, ValueError, r"widths: expected decreasing"),
        ([1, 2, 3, 4], {"widths": (2, 0)}, ValueError, r"widths: "),
        ([1, 2, 3, 4], {"widths": (2, 1.5)}, TypeError, r"widths: "),
        ([1, 2, 3, 4], {"shares": (0.5,)}, ValueError, r"shares: expected 2 rows, got 1"),
        ([1, 2, 3, 4], {"shares": (0.5, 0.6)}, ValueError, r"shares: .* sum 1"),
        ([1, 2, 3, 4], {"shares": (1.5, -0.5)}, ValueError, r"shares: expected a number >= 0"),
        ([1, 2, 3, 4], {"thresholds": (3, 2)}, ValueError, r"thresholds: expected 1 row, got 2"),
        (
            [1, 2, 3, 4],
            {"widths": (3, 2, 1), "thresholds": (2, 2)},
            ValueError,
            r"thresholds: expected decreasing",
        ),
        (
            [1, 2, 3, 4],
            {"shares": (0.5, 0.5), "thresholds": (3,)},
            ValueError,
            r"shares, thresholds: expected at most one",
        ),
    ],
)
def test_bad_arguments(
    counts: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    embedding = Embedding(list("abcd"), np.eye(4))
    with pytest.raises(error, match=message):
        capacity(embedding, counts, **{"widths": (2, 1), **options})


def test_bad_embeddings() -> None:
    with pytest.raises(TypeError, match="embedding: expected an Embedding, got ndarray"):
        capacity(np.eye(3), [1, 2, 3])  # type: ignore[arg-type]
    spoiled = Embedding([1, 2], [[1.0], [2.0]])
    spoiled.matrix[1] = np.nan
    with pytest.raises(ValueError, match=r"embedding: expected finite values, .* in row 1"):
        capacity(spoiled, [1, 2])


@pytest.mark.parametrize("metric", METRICS)
def test_saved_and_loaded(metric: Metric, tmp_path: Path) -> None:
    matrix = example(metric)[0].matrix
    embedding = Embedding([("item", i) for i in range(600)], matrix, metric=metric)
    small = capacity(embedding, np.arange(600), widths=(64, 8, 4), thresholds=(1000, 300))
    small.save(tmp_path / "small")
    again = CapacityEmbedding.load(tmp_path / "small")
    assert repr(again) == repr(small)
    assert (again.ids, again.report, again.about) == (small.ids, small.report, small.about)
    assert isinstance(again.report, CapacityReport)
    for a, b in zip(again.parts, small.parts, strict=True):
        assert a.ids == b.ids
        np.testing.assert_array_equal(a.matrix, b.matrix)
    found = [one.to_index().search(matrix[:20], 5) for one in (small, again)]
    assert found[0].scores.tobytes() == found[1].scores.tobytes()
    with pytest.raises(ValueError, match="expected a saved Embedding, got 'CapacityEmbedding'"):
        Embedding.load(tmp_path / "small")


def test_one_call_gives_the_bits_of_another() -> None:
    embedding, counts = example("cosine")
    first, second = (capacity(embedding, counts, widths=(8, 4)) for _ in range(2))
    assert first.rotation.tobytes() == second.rotation.tobytes()
    for a, b in zip(first.parts, second.parts, strict=True):
        assert a.matrix.tobytes() == b.matrix.tobytes()


def test_rows_that_are_too_long_to_be_rotated() -> None:
    items = Embedding([1, 2], [[1.0, 1.0], [3e38, 3e38]], metric="ip")
    with pytest.raises(ValueError, match=r"embedding: expected lengths that fit float32, .* row 1"):
        capacity(items, [1, 2], widths=(2, 1))


def test_no_number_is_read_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = np.empty

    def poisoned(*args: Any, **options: Any) -> Any:
        found = empty(*args, **options)
        if found.dtype.kind == "f":
            found.fill(np.nan)
        return found

    monkeypatch.setattr(np, "empty", poisoned)
    items = Embedding(list("abcdef"), np.eye(6), metric="ip")
    index = capacity(items, range(6), widths=(6, 2)).to_index()
    assert index.search(items.matrix, 2).ids.shape == (6, 2)


def test_memory_stays_near_that_of_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held at once: the rows divided by their lengths, the rotated rows, the cut ones, a part."""
    rng = np.random.default_rng(0)
    items = Embedding(range(10_000), rng.standard_normal((10_000, 64)))
    counts = rng.zipf(1.5, 10_000)
    monkeypatch.setattr("vecrecall.arrays._ragged_ops.BLOCK_VALUES", 2**14)
    tracemalloc.start()
    try:
        capacity(items, counts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Keys, counts and ranks come to half of it: 100 bytes for each of the 256 of a vector.
    assert peak < 4 * items.matrix.nbytes


def test_a_folder_with_other_content(tmp_path: Path) -> None:
    _array_folder.save(tmp_path, "CapacityEmbedding", {}, {"rotation": np.eye(2)})
    with pytest.raises(ValueError, match=r"^path: expected a CapacityEmbedding, got "):
        CapacityEmbedding.load(tmp_path)
