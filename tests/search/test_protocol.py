"""`SearchableIndex`: what `FlatIndex`, `IVFIndex`, `WrappedIndex` and `ReloadingIndex` share."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr

INDEXES = [vr.FlatIndex, vr.IVFIndex, vr.WrappedIndex, vr.ReloadingIndex]
METHODS = ["search", "score", "neighbors", "mask", "vectors", "contains"]


def parameters(method: Any) -> list[inspect.Parameter]:
    """Names, kinds, defaults and types, without `self`."""
    return list(inspect.signature(method).parameters.values())[1:]


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize("name", METHODS)
def test_one_signature(kind: Any, name: str) -> None:
    own = parameters(getattr(kind, name))
    if kind is vr.IVFIndex and name in ("search", "neighbors"):  # all else is as of the others
        (probes,) = [p for p in own if p.name == "probes"]
        assert (probes.kind, probes.default) == (probes.KEYWORD_ONLY, None)
        own.remove(probes)
    assert own == parameters(getattr(vr.SearchableIndex, name))


def test_the_signature_of_a_search() -> None:
    expected = ["queries", "k", "exclude", "allow", "min_score", "invalid"]
    expected += ["stats", "threads"]
    assert [p.name for p in parameters(vr.SearchableIndex.search)] == expected
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters(vr.SearchableIndex.search)[2:])


def test_reloading_reads_take_what_those_of_a_flat_index_take() -> None:
    """Nothing that reads a `FlatIndex` is missing."""
    writers = {"add", "update", "remove", "compact", "save", "load"}
    for name, member in vars(vr.FlatIndex).items():
        if name.startswith("_") or name in writers:
            continue
        if isinstance(member, property):
            assert isinstance(vars(vr.ReloadingIndex)[name], property)
        else:
            assert parameters(getattr(vr.ReloadingIndex, name)) == parameters(member), name


@pytest.fixture
def indexes(tmp_path: Path) -> list[Any]:
    faiss = pytest.importorskip("faiss", reason="needs an index to wrap")
    vectors = np.random.default_rng(0).standard_normal((50, 4), dtype=np.float32)
    flat = vr.FlatIndex(vectors)
    library = faiss.IndexFlatIP(4)
    library.add(vectors)
    flat.save(tmp_path)
    lists = vr.IVFIndex(vectors, n_lists=5)
    lists.tuned_for(vectors, 1.0, k=len(vectors))  # all lists
    return [flat, vr.wrap(library, vectors=vectors), vr.ReloadingIndex(tmp_path), lists]


def test_instances(indexes: list[Any]) -> None:
    assert all(isinstance(index, vr.SearchableIndex) for index in indexes)
    assert not isinstance(object(), vr.SearchableIndex)
    assert not isinstance([1, 2], vr.SearchableIndex)
    assert not isinstance(vr.NeighborTable([1], [[]], [[]]), vr.SearchableIndex)


def test_the_same_answers(indexes: list[Any]) -> None:
    """Code that is written for the protocol cannot tell them apart where a scan is exact."""

    def everything(index: vr.SearchableIndex) -> list[Any]:
        query = np.arange(4.0)
        mask = ~index.mask([1, 2])
        found = index.search(query, 5, exclude=[[3]], allow=mask, min_score=-9.0, invalid="empty")
        ids, scores = index.neighbors(3)
        return [
            *(found.ids.tolist(), found.scores.tolist(), found.counts.tolist()),
            *(ids.values.tolist(), scores.values.tolist()),
            index.score(query, [[1, 99]]).values.tolist(),
            index.vectors([4]).tolist(),
            index.contains([4, 99]).tolist(),
            *(4 in index, 99 in index, len(index), index.dim, index.metric, index.ids.tolist()),
        ]

    expected = everything(indexes[0])
    for index in indexes[1:]:
        assert everything(index) == expected
