"""Try an installed wheel where nothing but NumPy is: check_wheel.py."""

from __future__ import annotations

import tempfile
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

import vecrecall as vr

rng = np.random.default_rng(0)


def check_environment() -> None:
    """Check that the wheel needs NumPy only, and does not have the tests' own module."""
    found = {str(d.metadata["Name"]).lower() for d in distributions()}
    assert found - {"pip", "setuptools"} == {"vecrecall", "numpy"}, found
    files = [path.name for path in Path(vr.__file__).parent.rglob("*")]
    assert [name for name in files if name.endswith(".so")] == [Path(vr._core.__file__).name]
    assert "py.typed" in files
    assert "_core.pyi" in files


def check_search() -> None:
    """The lists of a float64 oracle, from the index, from its files, and merged with themselves."""
    items = rng.integers(-9, 9, (5000, 16)).astype(np.float32)  # sums of integers are exact
    queries = rng.integers(-9, 9, (7, 16)).astype(np.float32)
    scores = queries.astype(np.float64) @ items.T.astype(np.float64)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    index = vr.FlatIndex(items)
    found = index.search(queries, 10)
    np.testing.assert_array_equal(found.ids, expected)
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "items.index")
        loaded = vr.FlatIndex.load(Path(folder) / "items.index")
        np.testing.assert_array_equal(loaded.search(queries, 10).ids, expected)
        del loaded
    merged = vr.merge({"a": found, "b": found}, 10, vr.policies.RRF())
    np.testing.assert_array_equal(merged.ids, expected)


def check_clusters() -> None:
    """Three clouds far apart are three clusters."""
    truth = np.repeat([0, 1, 2], 200)
    points = (rng.standard_normal((600, 8)) + 100 * truth[:, None]).astype(np.float32)
    labels = vr.KMeans(3, init=points[[0, 200, 400]]).fit(points).labels_
    np.testing.assert_array_equal(labels, truth)


check_environment()
check_search()
check_clusters()
print("the wheel works")
