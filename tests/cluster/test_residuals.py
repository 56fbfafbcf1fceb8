"""`vr.residuals` and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import assert_same_float32
from datasets import normal

import vecrecall as vr


def test_there_and_back(rng: np.random.Generator) -> None:
    points, centroids = normal(rng, 200, 9), normal(rng, 7, 9)
    labels = rng.integers(-1, 7, 200)
    known = labels >= 0
    rest = vr.residuals(points, centroids, labels)
    wide = points.astype(np.float64)
    wide[known] -= centroids[labels[known]]
    assert_same_float32(rest, wide.astype(np.float32))
    back = vr.from_residuals(rest, centroids, labels[:, None].astype(np.int32))
    wide = rest.astype(np.float64)
    wide[known] += centroids[labels[known]]
    assert_same_float32(back[known], wide[known].astype(np.float32))
    assert_same_float32(back[~known], points[~known])
    # A residual has lost half a unit at most, the sum another half: of the largest of the three.
    largest = np.abs([points, rest, back]).max()
    assert np.abs(back - points).max() <= np.spacing(largest)


def test_a_label_of_none_leaves_every_bit() -> None:
    points = np.array([[-0.0, 0.0, 1e-45]], np.float32)
    for turn in (vr.residuals, vr.from_residuals):
        for centroids in (np.ones((1, 3), np.float32), np.ones((0, 3), np.float32)):
            assert_same_float32(turn(points, centroids, [-1]), points)


def test_labels_of_an_assignment(rng: np.random.Generator) -> None:
    points, centroids = normal(rng, 50, 5), normal(rng, 4, 5)
    near = vr.assign(points, centroids)
    rest = vr.residuals(points, centroids, near.labels).astype(np.float64)
    # Scores are rounded once, residuals per element: 1e-6 relative is 8 units of float32.
    np.testing.assert_allclose(-(rest**2).sum(axis=1), near.scores[:, 0], rtol=1e-6)


@pytest.mark.parametrize("turn", [vr.residuals, vr.from_residuals])
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            [0, 2],
            ValueError,
            r"labels: expected labels from 0 to 1, or -1 for none, got 2 in row 1",
        ),
        ([-2, 0], ValueError, "labels: expected .* got -2 in row 0"),
        ([0], ValueError, r"labels: expected 2 labels, one per row, got shape \(1,\)"),
        (
            [[0, 1], [1, 0]],
            ValueError,
            r"labels: expected 2 labels, one per row, got shape \(2, 2\)",
        ),
        ([0.0, 1.0], TypeError, "labels: expected integers"),
    ],
)
def test_bad_labels(turn: Any, labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        turn(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), labels)


def test_bad_vectors() -> None:
    big = np.full((1, 2), 3e38, np.float32)
    with pytest.raises(ValueError, match=r"points: expected differences .* overflow in row 0"):
        vr.residuals(big, -big, [0])
    with pytest.raises(ValueError, match=r"residuals: expected sums .* overflow in row 0"):
        vr.from_residuals(big, big, [0])
    with pytest.raises(ValueError, match=r"centroids: expected shape \(n, 2\)"):
        vr.residuals(big, np.ones((1, 3), np.float32), [0])
    with pytest.raises(ValueError, match="points: expected finite values, got NaN"):
        vr.residuals(np.array([[np.nan]]), np.ones((1, 1)), [0])
