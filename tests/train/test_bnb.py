"""Vectors of several embeddings next to each other."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from vecrecall.train import Embedding, bnb

RNG = np.random.default_rng(1)
TAGS = Embedding(["a", "b", "c"], RNG.standard_normal((3, 4)))
TOPICS = Embedding(["d", "c", "b"], RNG.standard_normal((3, 2)), metric="l2")
WEIGHTS = {"tags": 4.0, "topics": 0.25}


def unit(e: Embedding, key: str) -> np.ndarray:
    """Return a direction in float64, zero where there is none."""
    if key not in e:
        return np.zeros(e.dim)
    row = e.matrix[e.ids.index(key)].astype(np.float64)
    return row / np.linalg.norm(row)


def test_inner_products_are_weighted_sums_of_cosines() -> None:
    both = bnb({"tags": TAGS, "topics": TOPICS}, weights=WEIGHTS, metric="ip")
    assert both.ids == ["a", "b", "c", "d"]
    assert (both.metric, both.dim, both.matrix.dtype) == ("ip", 6, np.float32)
    expected = [
        [
            4 * unit(TAGS, a) @ unit(TAGS, b) + 0.25 * unit(TOPICS, a) @ unit(TOPICS, b)
            for b in both.ids
        ]
        for a in both.ids
    ]
    # Rows of length 2.1 at most, rounded to float32 twice.
    np.testing.assert_allclose(both.matrix @ both.matrix.T, expected, rtol=0, atol=5 * 2**-21)


def test_a_block_that_lacks_a_key_is_zero() -> None:
    both = bnb({"tags": TAGS, "topics": TOPICS})
    assert not both.vectors(["d"])[0, :4].any()
    assert not both.vectors(["a"])[0, 4:].any()
    np.testing.assert_allclose(np.linalg.norm(both.matrix[:, :4], axis=1), [1, 1, 1, 0], rtol=1e-6)


def test_chosen_keys() -> None:
    both = bnb({"tags": TAGS}, keys=np.array(["c", "?", "a"]))
    assert both.ids == ["c", "?", "a"]
    assert not both.matrix[1].any()
    assert len(both.to_index(invalid="skip")) == 2
    with pytest.raises(ValueError, match="row 1 is all zeros"):
        both.to_index()


def test_a_vector_of_zeros_stays_zero() -> None:
    both = bnb({"x": Embedding(["a", "b"], [[0, 0], [3, 4]])})
    np.testing.assert_allclose(both.matrix, [[0, 0], [0.6, 0.8]], rtol=1e-7)


def test_weights() -> None:
    without = bnb({"tags": TAGS, "topics": TOPICS}, weights={"topics": 0})
    assert not without.matrix[:, 4:].any()
    same = bnb({"tags": TAGS, "topics": TOPICS}, weights={"tags": 1, "topics": 1.0})
    assert same.matrix.tobytes() == bnb({"tags": TAGS, "topics": TOPICS}).matrix.tobytes()
    about = bnb({"tags": TAGS, "topics": TOPICS}, weights=WEIGHTS).about
    assert about["settings"] == {"weights": WEIGHTS, "dims": {"tags": 4, "topics": 2}}
    assert about["data"] == {"tags": 3, "topics": 3}


def test_one_block_finds_what_the_embedding_finds() -> None:
    assert [k for k, _ in bnb({"tags": TAGS}).nearest("a")] == [k for k, _ in TAGS.nearest("a")]


@pytest.mark.parametrize(
    ("blocks", "options", "error", "match"),
    [
        ({}, {}, ValueError, r"^blocks: expected at least one Embedding, got none"),
        ([TAGS], {}, TypeError, r"^blocks: expected a mapping to Embeddings, got list"),
        ({"x": np.eye(2)}, {}, TypeError, r"^blocks\['x'\]: expected an Embedding, got ndarray"),
        ({("x",): TAGS}, {}, TypeError, r"^blocks: expected names, got tuple"),
        ({"x": TAGS}, {"weights": {"y": 1}}, ValueError, r"^weights: expected names of .* got 'y'"),
        ({"x": TAGS}, {"weights": {"x": -1}}, ValueError, r"^weights\['x'\]: expected a finite"),
        ({"x": TAGS}, {"weights": {"x": np.nan}}, ValueError, r"^weights\['x'\]: "),
        ({"x": TAGS}, {"weights": {"x": "1"}}, TypeError, r"^weights\['x'\]: expected a number"),
        ({"x": TAGS}, {"weights": [1]}, TypeError, r"^weights: expected a mapping to numbers"),
        ({"x": TAGS}, {"keys": ["a", "a"]}, ValueError, r"^keys: duplicate key 'a'"),
        ({"x": TAGS}, {"keys": ["a", None]}, ValueError, r"^keys: expected a key .* in row 1"),
        ({"x": TAGS}, {"metric": "dot"}, ValueError, r"^metric: "),
    ],
)
def test_wrong_arguments(
    blocks: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        bnb(blocks, **options)


def test_memory_stays_near_that_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Embedding(range(10_000), np.random.default_rng(0).standard_normal((10_000, 32)))
    whole = bnb({"a": items, "b": items})
    monkeypatch.setattr("vecrecall.arrays._ragged_ops.BLOCK_VALUES", 2**14)
    tracemalloc.start()
    try:
        found = bnb({"a": items, "b": items})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.matrix == whole.matrix).all()
    # Keys and rows come to half of it: 100 bytes for each of the 256 of a vector.
    assert peak < 2 * found.matrix.nbytes
