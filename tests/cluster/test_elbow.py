"""`vr.elbow`: the curve, the number that is chosen, and the plot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import vecrecall as vr

needs_kneed = pytest.mark.usefixtures("_kneed")


@pytest.fixture
def _kneed() -> None:
    pytest.importorskip("kneed", reason="needs kneed")


def blobs(rng: np.random.Generator, k: int) -> npt.NDArray[np.float32]:
    """Points around corners that are all equally far from each other."""
    centers = np.eye(6)[:k] * 20
    return np.concatenate([c + rng.standard_normal((60, 6)) for c in centers]).astype(np.float32)


@needs_kneed
def test_the_number_of_blobs_is_found(rng: np.random.Generator) -> None:
    points = blobs(rng, 5)
    found = vr.elbow(points, [9, 1, 2, 3, 4, 5, 6, 7, 8, 5], random_state=2)
    assert found.n_clusters == 5
    assert found.candidates.tolist() == list(range(1, 10))
    assert found.inertias.dtype == np.float64
    for k, inertia in zip(found.candidates, found.inertias, strict=True):
        assert inertia == vr.KMeans(int(k), random_state=2).fit(points).inertia_


@needs_kneed
def test_without_a_knee_the_candidate_farthest_from_the_chord(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Blind:
        knee = None

        def __init__(self, *args: object, **kwargs: object) -> None: ...

    monkeypatch.setattr("kneed.KneeLocator", Blind)
    points = np.array([[0], [1], [10], [11], [20], [21]], np.float32)
    found = vr.elbow(points, [1, 3, 6], init="random", random_state=3)
    chord = np.interp(found.candidates, [1, 6], found.inertias[[0, -1]])
    assert found.n_clusters == found.candidates[np.argmax(chord - found.inertias)] == 3


@needs_kneed
def test_a_flat_curve_gives_the_smallest() -> None:
    assert vr.elbow(np.ones((20, 2), np.float32), [2, 4, 6]).n_clusters == 2


@needs_kneed
def test_parameters_reach_kmeans(rng: np.random.Generator) -> None:
    points = blobs(rng, 3)
    found = vr.elbow(points, [1, 2, 3, 4], metric="cosine", batch_size=50, random_state=5)
    last = vr.KMeans(4, metric="cosine", batch_size=50, random_state=5).fit(points)
    assert found.inertias[-1] == last.inertia_
    with pytest.raises(TypeError, match="n_cluster"):
        vr.elbow(points, [1, 2, 3], n_clusters=3)


@needs_kneed
def test_plot(tmp_path: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    vr.elbow(blobs(rng, 3), range(1, 6)).plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@needs_kneed
def test_bad_input(rng: np.random.Generator) -> None:
    points = blobs(rng, 1)
    for few in ([3, 4], [3, 3, 3, 4], [], [0, 1, 2]):
        with pytest.raises(ValueError, match="candidates: expected at least three different"):
            vr.elbow(points, np.array(few, np.int64))
    with pytest.raises(TypeError, match="candidates: expected integers"):
        vr.elbow(points, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="X: expected at least n_clusters=100 points, got 60"):
        vr.elbow(points, [1, 2, 100])


def test_a_missing_module_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kneed", None)
    with pytest.raises(ImportError, match=r"elbow needs kneed: .*vecrecall\[cluster\]"):
        vr.elbow(np.ones((9, 2), np.float32), [1, 2, 3])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    curve = vr.Elbow(np.array([1, 2, 3]), np.array([3.0, 1.0, 0.5]), 2)
    with pytest.raises(ImportError, match=r"Elbow.plot needs matplotlib: .*vecrecall\[demo\]"):
        curve.plot("curve.png")
