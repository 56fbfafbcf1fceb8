"""`vr.assign` against a float64 oracle: labels and score bits; sums in the same pass; residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import adversary
import cluster_reference as oracle
import fp_control
import numpy as np
import numpy.typing as npt
import pytest
import reference
from cluster_cases import CASES
from comparison import ISAS, METRICS, Metric, assert_same_float32, forced_isa
from datasets import HARD, normal

import vecrecall as vr

F32 = npt.NDArray[np.float32]
Rng = np.random.Generator
THREADS = (1, 2, 5)
SIZES = (1, 2, 5, 6, 7, 15, 16, 17, 63, 64, 65)
WIDTHS = (1, 3, 4, 5, 8, 16, 17, 63, 64, 65, 384)


def everywhere() -> Iterator[int]:
    """All instruction sets, forced, with each number of threads."""
    for isa in ISAS:
        with forced_isa(isa):
            yield from THREADS


def check_result(found: Any, expected: oracle.Assigned) -> None:
    assert isinstance(found, vr.Assignment)
    assert found.labels.dtype == np.int32
    assert found.labels.shape == expected.labels.shape
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert_same_float32(found.scores, expected.scores)


def check(points: F32, centroids: F32, metric: Metric, m: int = 1) -> oracle.Assigned:
    """The oracle's labels and bits on all instruction sets and numbers of threads."""
    expected = oracle.assign(points, centroids, m, metric)
    for threads in everywhere():
        found = vr.assign(points, centroids, m=m, metric=metric, threads=threads)
        check_result(found, expected)
    return expected


# The oracle itself


def test_the_oracle_by_hand() -> None:
    points = np.array([[0, 0], [3, 4], [1, 0]], np.float32)
    centroids = np.array([[3, 4], [1, 0], [1, 0], [-5, 0]], np.float32)
    l2 = oracle.assign(points, centroids, 2, "l2")
    assert l2.labels.tolist() == [[1, 2], [0, 1], [1, 2]]
    assert l2.scores.tolist() == [[-1, -1], [0, -20], [0, 0]]
    ip = oracle.assign(points, centroids, 1, "ip")
    assert ip.labels.tolist() == [[0], [0], [0]]
    cosine = oracle.assign(points, centroids, 1, "cosine")
    assert cosine.labels.tolist() == [[-1], [0], [1]]
    assert cosine.scores.tolist() == [[-np.inf], [1], [1]]


@pytest.mark.parametrize("metric", METRICS)
def test_the_oracle_scores_as_the_other_oracle(metric: Metric, rng: Rng) -> None:
    points, centroids = CASES["mixed_scales"](rng, 40, 9, 21)
    matrix = reference.scores(points, centroids, metric)
    found = reference.to_float32(oracle.exact_scores(points, centroids, metric))
    assert_same_float32(found, matrix)


# Labels and scores


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", WIDTHS)
def test_sizes_and_widths(d: int, metric: Metric, rng: Rng) -> None:
    pairs = [(n, SIZES[-1 - i]) for i, n in enumerate(SIZES)]
    pairs += [(n, SIZES[(3 * i + d) % len(SIZES)]) for i, n in enumerate(SIZES)]
    for n, k in pairs if d < 384 else pairs[::4]:
        check(*CASES["gaussian"](rng, n, k, d), metric)


@pytest.mark.parametrize("n", SIZES)
def test_every_pair_of_sizes(n: int, rng: Rng) -> None:
    for k in SIZES:
        check(*CASES["duplicates"](rng, n, k, 5), "l2")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, metric: Metric, rng: Rng) -> None:
    for n, k, d in ((150, 70, 19), (66, 17, 64), (9, 130, 3)):
        points, centroids = CASES[name](rng, n, k, d)
        check(points, centroids, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_hard_data_in_both_roles(name: str, metric: Metric, rng: Rng) -> None:
    queries, items = HARD[name](rng, 67, 150, 19)
    check(queries, items, metric, m=3)
    queries[~queries.any(axis=1)] = 1.0
    check(items, queries, metric)


TRAPS = [
    "clustered",
    "half_way",
    "last_bit",
    "rounded_ties",
    "common_offset",
    "huge_centroid",
    "mixed_scales",
    "mixed_columns",
    "all_extreme",
    "around_one_of_few",
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", TRAPS)
def test_more_of_the_worst_cases(name: str, metric: Metric, rng: Rng) -> None:
    check(*CASES[name](rng, 300, 260, 40), metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "all_extreme", "common_offset", "mixed_scales"])
def test_wide_rows(name: str, metric: Metric, rng: Rng) -> None:
    """Sums of more products of codes than small integers and float32 hold exactly."""
    for n, k, d in ((20, 35, 1000), (65, 17, 1040), (67, 70, 2048)):
        check(*CASES[name](rng, n, k, d), metric, m=2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["all_extreme", "mixed_scales"])
def test_the_widest_rows(name: str, metric: Metric, rng: Rng) -> None:
    check(*CASES[name](rng, 3, 5, 70_000), metric, m=2)
    check(*CASES[name](rng, 3, 3, 140_000), metric)  # 127 * 127 * d is above 2^31


@pytest.mark.parametrize(
    ("kind", "metric"), [("first", "ip"), ("norm", "l2"), ("cosine", "cosine")]
)
@pytest.mark.parametrize("d", [32, 256])
def test_float32_sums_that_all_err_one_way(kind: str, metric: Metric, d: int, rng: Rng) -> None:
    trap = adversary.trap(rng, 1500, d, kind)
    check(trap.query, trap.items, metric, m=7)
    points = np.concatenate([trap.query, -trap.query, normal(rng, 9, d)])
    check(points, trap.items, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "build",
    [adversary.missed_items, adversary.midpoints, adversary.along_the_codes_errors],
)
def test_codes_that_miss_all_they_can(
    build: Callable[..., tuple[F32, F32]], metric: Metric, rng: Rng
) -> None:
    for d in (7, 64, 200):
        points, centroids = build(rng, 20, 300, d)
        check(points, centroids, metric)
        check(centroids, points, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["clustered", "common_offset", "huge_point", "last_bit"])
def test_more_points_than_one_thread_takes_at_once(name: str, metric: Metric, rng: Rng) -> None:
    check(*CASES[name](rng, 9001, 33, 11), metric)


@pytest.mark.parametrize("metric", METRICS)
def test_many_centroids_and_few_points(metric: Metric, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 5, 66_000, 6)
    points[:2] = 9 * points[:2]
    centroids[65_999] = points[0]
    centroids[[65_600, 200]] = points[1]
    expected = check(points, centroids, metric, m=3)
    if metric == "l2":
        assert expected.labels[0, 0] == 65_999
        assert expected.labels[1, :2].tolist() == [200, 65_600]


@pytest.mark.parametrize("metric", METRICS)
def test_one_centroid(metric: Metric, rng: Rng) -> None:
    for n in (0, 1, 65):
        points, centroids = CASES["gaussian"](rng, n, 1, 9)
        assert (check(points, centroids, metric).labels == 0).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [1, 3])
def test_no_points(m: int, metric: Metric, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 0, 5, 4)
    for threads in everywhere():
        found = vr.assign(points, centroids, m=m, metric=metric, threads=threads)
        assert found.labels.shape == found.scores.shape == (0, m)
        assert found.labels.dtype == np.int32
        assert found.scores.dtype == np.float32


def test_a_zero_centroid_is_one_like_others(rng: Rng) -> None:
    for metric in ("l2", "ip"):
        for shift in (0, 5):
            points, centroids = CASES["gaussian"](rng, 70, 20, 6)
            points -= np.float32(shift)
            centroids += np.float32(shift)
            centroids[[3, 11]] = 0
            check(points, centroids, metric, m=4)


def test_zero_points(rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 131, 40, 6)
    points[::3] = 0
    points[::9] = -0.0
    for metric in METRICS:
        for m in (1, 40):
            expected = check(points, centroids, metric, m)
            if metric == "cosine":
                assert (expected.labels[::3] == -1).all()
                assert (expected.scores[::3] == -np.inf).all()
    assert (check(0 * points, centroids, "cosine").labels == -1).all()


def test_l2_is_the_default(rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 50, 9, 6)
    check_result(vr.assign(points, centroids), oracle.assign(points, centroids))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "duplicates", "mixed_scales", "partly_overflowing"])
@pytest.mark.parametrize("m", [1, 2, 5, 64, 70])
def test_m_nearest_as_an_index_finds_them(m: int, name: str, metric: Metric, rng: Rng) -> None:
    points, centroids = CASES[name](rng, 66, 70, 12)
    points[5] = 0
    check(points, centroids, metric, m)
    lists = vr.FlatIndex(centroids, metric=metric).search(points, m)
    found = vr.assign(points, centroids, m=m, metric=metric)
    np.testing.assert_array_equal(found.labels, lists.ids)
    assert_same_float32(found.scores, lists.scores)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("m", [2, 8, 9])
def test_m_nearest_of_many(m: int, name: str, metric: Metric, isa: str, rng: Rng) -> None:
    # Many more groups of centroids than m; two tiles of points, the second not full.
    points, centroids = CASES[name](rng, 90, 300, 20)
    lists = vr.FlatIndex(centroids, metric=metric).search(points, m)
    found = vr.assign(points, centroids, m=m, metric=metric)
    np.testing.assert_array_equal(found.labels, lists.ids)
    assert_same_float32(found.scores, lists.scores)


@pytest.mark.parametrize("metric", METRICS)
def test_less_is_the_prefix_of_more(metric: Metric, isa: str, rng: Rng) -> None:
    points, centroids = CASES["integers"](rng, 300, 90, 4)
    most = vr.assign(points, centroids, m=90, metric=metric)
    for m in (1, 2, 7, 33, 89):
        less = vr.assign(points, centroids, m=m, metric=metric)
        np.testing.assert_array_equal(less.labels, most.labels[:, :m])
        assert_same_float32(less.scores, most.scores[:, :m])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["mixed_scales", "common_offset", "huge_point", "integers"])
def test_a_part_of_the_points_gets_the_same_bits(
    name: str, metric: Metric, isa: str, rng: Rng
) -> None:
    points, centroids = CASES[name](rng, 1000, 40, 10)
    labels, scores = vr.assign(points, centroids, metric=metric, threads=2)
    for start, stop in ((0, 1), (1, 2), (63, 65), (17, 900), (999, 1000), (500, 501)):
        part = vr.assign(points[start:stop], centroids, metric=metric)
        check_result(part, oracle.Assigned(labels[start:stop], scores[start:stop]))
    shuffled = rng.permutation(1000)
    found = vr.assign(points[shuffled], centroids, metric=metric)
    check_result(found, oracle.Assigned(labels[shuffled], scores[shuffled]))


@pytest.mark.parametrize("metric", METRICS)
def test_permuted_centroids_permute_the_labels(metric: Metric, isa: str, rng: Rng) -> None:
    points, centroids = CASES["mixed_columns"](rng, 500, 67, 10)
    order = rng.permutation(67)
    before = vr.assign(points, centroids, m=2, metric=metric)
    after = vr.assign(points, centroids[order], m=2, metric=metric)
    clear = (before.scores[:, 0] != before.scores[:, 1]) & (before.labels[:, 0] >= 0)
    assert clear.any()
    assert_same_float32(after.scores, before.scores)
    np.testing.assert_array_equal(order[after.labels[clear, 0]], before.labels[clear, 0])


def test_a_power_of_two_changes_nothing(isa: str, rng: Rng) -> None:
    points, centroids = CASES["common_offset"](rng, 300, 50, 9)
    labels, scores = vr.assign(points, centroids)
    for power in (-40, 30):
        factor = np.float32(2.0**power)
        found = vr.assign(points * factor, centroids * factor)
        check_result(found, oracle.Assigned(labels, scores * factor * factor))


def test_many_callers_at_once(rng: Rng) -> None:
    work = [CASES["clustered"](rng, 3000, 30, 9) for _ in range(4)]
    expected = [oracle.assign(*pair) for pair in work]
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda i: vr.assign(*work[i % 4], threads=2), range(16)))
    for i, result in enumerate(found):
        check_result(result, expected[i % 4])


# Input


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4"])
def test_other_floats_are_converted_first(dtype: Any, rng: Rng) -> None:
    points = rng.standard_normal((30, 7)).astype(dtype)
    centroids = rng.standard_normal((9, 7)).astype(dtype)
    expected = oracle.assign(points.astype(np.float32), centroids.astype(np.float32))
    check_result(vr.assign(points, centroids), expected)
    check_result(vr.assign(np.asfortranarray(points), centroids[::-1][::-1]), expected)
    check_result(
        vr.assign(points.tolist(), centroids.tolist()),
        oracle.assign(points.astype(np.float32), centroids.astype(np.float32)),
    )


def test_rows_that_may_not_be_written(rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 100, 9, 7)
    before = points.copy(), centroids.copy()
    points.flags.writeable = centroids.flags.writeable = False
    vr.assign(points, centroids)
    assert_same_float32(points, before[0])
    assert_same_float32(centroids, before[1])


# Sums


def check_sums(points: F32, centroids: F32, metric: Metric) -> None:
    """Labels and scores as without sums, sums within the oracle's bound, the same bits always."""
    expected = oracle.assign(points, centroids, 1, metric)
    right = oracle.sums(points, expected.labels[:, 0], len(centroids), metric)
    bits = None
    for threads in everywhere():
        found, summed = vr.assign(points, centroids, metric=metric, sums=True, threads=threads)
        check_result(found, expected)
        assert isinstance(summed, vr.ClusterSums)
        assert summed.sums.dtype == np.float64
        assert summed.counts.dtype == np.int64
        np.testing.assert_array_equal(summed.counts, right.counts)
        assert summed.sums.shape == right.sums.shape
        assert (np.abs(summed.sums - right.sums) <= right.bound).all()
        bits = summed.sums.view(np.uint64) if bits is None else bits
        np.testing.assert_array_equal(summed.sums.view(np.uint64), bits)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CASES)
def test_sums(name: str, metric: Metric, rng: Rng) -> None:
    check_sums(*CASES[name](rng, 300, 17, 9), metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [1, 8, 65])
def test_sums_of_every_size(d: int, metric: Metric, rng: Rng) -> None:
    for n in (0, 1, 2, 63, 64, 65, 257):
        for k in (1, 16, 65):
            check_sums(*CASES["cauchy"](rng, n, k, d), metric)


@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_many_points(metric: Metric, rng: Rng) -> None:
    points, centroids = CASES["mixed_scales"](rng, 10_011, 7, 5)
    points[::50] = 0
    check_sums(points, centroids, metric)
    check_sums(*CASES["common_offset"](rng, 5000, 1500, 3), metric)


# The floating-point environment


@pytest.mark.skipif(not fp_control.COMPILER, reason="needs a C compiler: none was found")
@pytest.mark.skipif(not fp_control.MODES, reason="this machine's control register is unknown")
@pytest.mark.parametrize("mode", fp_control.MODES)
def test_a_changed_environment(mode: str, tmp_path: Path, rng: Rng) -> None:
    control = fp_control.compiled(tmp_path)
    for name in ("subnormals", "subnormal_gaps", "subnormal_scores", "mixed_scales"):
        points, centroids = CASES[name](rng, 1500, 20, 7)
        for metric in METRICS:
            expected = oracle.assign(points, centroids, 2, metric)
            first = oracle.Assigned(expected.labels[:, :1], expected.scores[:, :1])
            plain = vr.assign(points, centroids, metric=metric, sums=True)[1]
            for threads in everywhere():
                with control.changed(mode):
                    found = vr.assign(points, centroids, m=2, metric=metric, threads=threads)
                    one, summed = vr.assign(
                        points, centroids, metric=metric, sums=True, threads=threads
                    )
                check_result(found, expected)
                check_result(one, first)
                np.testing.assert_array_equal(
                    summed.sums.view(np.uint64), plain.sums.view(np.uint64)
                )


# Residuals


@pytest.mark.parametrize("name", ["gaussian", "mixed_scales", "common_offset", "subnormals"])
def test_residuals_are_rounded_once(name: str, rng: Rng) -> None:
    points, centroids = CASES[name](rng, 90, 12, 7)
    labels = rng.integers(-1, 12, 90).astype(np.int32)
    wide = centroids.astype(np.float64)[labels]
    wide[labels == -1] = 0
    expected = (points - wide).astype(np.float32)
    back = (expected + wide).astype(np.float32)
    for form in (labels, labels[:, None], labels.astype(np.int64)):
        found = vr.residuals(points, centroids, form)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(vr.from_residuals(found, centroids, form), back)


def test_residuals_of_an_assignment(rng: Rng) -> None:
    points, centroids = CASES["clustered"](rng, 200, 12, 7)
    labels = vr.assign(points, centroids).labels
    back = vr.from_residuals(vr.residuals(points, centroids, labels), centroids, labels)
    # x - c is off by half a spacing of float32, and so is the sum
    spread = np.abs(points - centroids[labels[:, 0]]) + np.abs(points)
    assert (np.abs(back - points) <= 2.0**-24 * spread * 1.001).all()


@pytest.mark.parametrize("bad", [-2, 3, 2**31 - 1, 2**40])
def test_labels_out_of_range(bad: int, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 2, 3, 4)
    labels = np.array([0, bad])
    for call in (vr.residuals, vr.from_residuals):
        with pytest.raises(ValueError, match=r"labels.*0.*2.*-1"):
            call(points, centroids, labels)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [[0, 1], [1, 2]], [0.0, 1.0], ["a", "b"], None])
def test_wrong_labels(labels: Any, rng: Rng) -> None:
    points, centroids = CASES["gaussian"](rng, 2, 3, 4)
    for call in (vr.residuals, vr.from_residuals):
        with pytest.raises((TypeError, ValueError), match="labels"):
            call(points, centroids, np.array(labels) if labels else labels)


# Bad input


def test_nan_and_infinity_name_the_row() -> None:
    for value in (np.nan, np.inf, -np.inf):
        bad = np.ones((5, 3), np.float32)
        bad[3, 1] = bad[4, 0] = value
        good = np.ones((5, 3), np.float32)
        for sums in (False, True):
            with pytest.raises(ValueError, match=r"points.*row 3"):
                vr.assign(bad, good, sums=sums)
            with pytest.raises(ValueError, match=r"centroids.*row 3"):
                vr.assign(good, bad, sums=sums)


@pytest.mark.parametrize("d", [1, 17, 65])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])  # of the centroids, some out of a scan's range
@pytest.mark.parametrize("metric", METRICS)
def test_the_first_row_that_is_not_finite_is_found_everywhere(
    metric: Metric, scale: float, d: int, rng: Rng
) -> None:
    n, k = 4500, 12  # more rows than one thread takes at once
    points, centroids = normal(rng, n, d), normal(rng, k, d) * np.float32(scale)
    points[rng.choice(n, 50, replace=False)] *= np.float32(1e37)  # finite, but suspicious
    points[100] = 0
    for first in (0, 63, 4096, n - 1):
        bad = points.copy()
        bad[first, rng.integers(d)] = rng.choice(np.array([np.nan, np.inf, -np.inf]))
        bad[first + 1 :: 7] = np.nan
        for threads in everywhere():
            for m in (1, 9):
                with pytest.raises(ValueError, match=rf"^points: .* row {first}$"):
                    vr.assign(bad, centroids, m=m, metric=metric, threads=threads)
            with pytest.raises(ValueError, match=rf"^points: .* row {first}$"):
                vr.assign(bad, centroids, metric=metric, sums=True, threads=threads)


def test_a_zero_centroid_under_cosine_names_the_row() -> None:
    centroids = np.ones((5, 3), np.float32)
    centroids[2:4] = 0
    for n in (0, 4):
        points = np.ones((n, 3), np.float32)
        with pytest.raises(ValueError, match=r"centroids.*row 2"):
            vr.assign(points, centroids, metric="cosine")
        with pytest.raises(ValueError, match=r"centroids.*row 2"):
            vr.assign(points, centroids, metric="cosine", sums=True)


def test_no_centroids() -> None:
    for metric in METRICS:
        with pytest.raises(ValueError, match="centroids"):
            vr.assign(np.ones((4, 3), np.float32), np.ones((0, 3), np.float32), metric=metric)


@pytest.mark.parametrize("m", [0, -1, 6, 2**40])
def test_m_out_of_range(m: int) -> None:
    with pytest.raises(ValueError, match=r"m: .*(>= 1|5)"):
        vr.assign(np.ones((4, 3), np.float32), np.ones((5, 3), np.float32), m=m)


@pytest.mark.parametrize("m", [1.5, "2", None, [1]])
def test_m_of_a_wrong_type(m: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="m"):
        vr.assign(np.ones((4, 3), np.float32), np.ones((5, 3), np.float32), m=m)


def test_sums_need_one_label_a_point() -> None:
    points = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="m"):
        vr.assign(points, points, m=2, sums=True)


def test_widths_that_differ() -> None:
    with pytest.raises(ValueError, match=r"centroids|points"):
        vr.assign(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))


@pytest.mark.parametrize("metric", ["L2", "euclidean", "", None, 2])
def test_unknown_metrics(metric: Any) -> None:
    points = np.ones((4, 3), np.float32)
    with pytest.raises((TypeError, ValueError), match="metric"):
        vr.assign(points, points, metric=metric)


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_bad_threads(threads: Any) -> None:
    points = np.ones((4, 3), np.float32)
    with pytest.raises((TypeError, ValueError), match="threads"):
        vr.assign(points, points, threads=threads)


@pytest.mark.parametrize("argument", ["points", "centroids"])
@pytest.mark.parametrize(
    "value",
    [
        np.ones((4, 3), object),
        np.ones((4, 3), np.complex64),
        np.ones(4, np.float32),
        np.ones((4, 0), np.float32),
        np.full((4, 3), 1e39),
        [[1.0, 2.0, 3.0], [1.0]],
        None,
        "text",
    ],
    ids=["objects", "complex", "one row", "no width", "overflow", "ragged", "none", "text"],
)
def test_what_are_no_vectors(argument: str, value: Any) -> None:
    given: dict[str, Any] = {"points": np.ones((4, 3)), "centroids": np.ones((4, 3))}
    with pytest.raises((TypeError, ValueError), match=argument):
        vr.assign(**given | {argument: value})
