"""Changes of the question that must not change one bit of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32
from datasets import HARD
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr

F32 = npt.NDArray[np.float32]
KINDS = ["gaussian", "grid", "duplicate_blocks", "common_offset", "canceling", "overflowing"]


class Case(NamedTuple):
    queries: F32
    items: F32
    k: int
    metric: Metric
    rng: np.random.Generator

    def answer(self) -> vr.SearchResult:
        return vr.FlatIndex(self.items, metric=self.metric).search(self.queries, self.k)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(KINDS))
    n = draw(st.one_of(st.integers(1, 200), st.integers(2000, 5000)))
    nq, d = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    queries, items = HARD[kind](rng, nq, n, d)
    k = draw(st.one_of(st.integers(1, 30), st.integers(1, n + 5)))
    return Case(queries, items, k, draw(st.sampled_from(METRICS)), rng)


@given(case=cases(), data=st.data())
def test_batch_split(isa: str, case: Case, data: st.DataObject) -> None:
    index = vr.FlatIndex(case.items, metric=case.metric)
    whole = arrays(index.search(case.queries, case.k))
    cut = data.draw(st.integers(0, len(case.queries)))
    for part in (slice(cut), slice(cut, None), slice(cut, cut + 1)):
        found = index.search(case.queries[part], case.k)
        assert_same_bits(found, *(array[part] for array in whole))


@given(case=cases())
def test_batch_composition(isa: str, case: Case) -> None:
    index = vr.FlatIndex(case.items, metric=case.metric)
    whole = arrays(index.search(case.queries, case.k))
    order = case.rng.integers(0, len(case.queries), 17)
    found = index.search(case.queries[order], case.k)
    assert_same_bits(found, *(array[order] for array in whole))


@given(case=cases(), threads=st.integers(1, 9))
def test_threads(isa: str, case: Case, threads: int) -> None:
    index = vr.FlatIndex(case.items, metric=case.metric, threads=threads)
    found = index.search(case.queries, case.k, threads=threads)
    alone = vr.topk(case.queries, case.items, case.k, metric=case.metric, threads=1)
    assert_same_bits(found, *arrays(alone))


@given(case=cases())
def test_row_permutation(isa: str, case: Case) -> None:
    ids = case.rng.permutation(2 * len(case.items))[: len(case.items)]
    order = case.rng.permutation(len(ids))
    one = vr.FlatIndex(case.items, ids, metric=case.metric)
    other = vr.FlatIndex(case.items[order], ids[order], metric=case.metric)
    found = other.search(case.queries, case.k)
    assert_same_bits(found, *arrays(one.search(case.queries, case.k)))


@given(case=cases(), data=st.data())
def test_a_smaller_k_is_a_prefix(isa: str, case: Case, data: st.DataObject) -> None:
    index = vr.FlatIndex(case.items, metric=case.metric)
    ids, scores, counts = arrays(index.search(case.queries, case.k))
    fewer = data.draw(st.integers(1, case.k))
    found = index.search(case.queries, fewer)
    assert_same_bits(found, ids[:, :fewer], scores[:, :fewer], np.minimum(counts, fewer))


@given(case=cases(), shards=st.integers(1, 6))
def test_shards_merge_into_one_index(isa: str, case: Case, shards: int) -> None:
    ids = np.arange(len(case.items))
    owner = case.rng.integers(0, shards, len(ids))
    results = [
        vr.FlatIndex(case.items[owner == s], ids[owner == s], metric=case.metric).search(
            case.queries, case.k
        )
        for s in range(shards)
    ]
    assert_same_bits(vr.merge_shards(results, case.k), *arrays(case.answer()))


@given(case=cases())
def test_more_items_do_not_change_scores(isa: str, case: Case) -> None:
    """Items found among all that belong to the first half are found there alike."""
    half = (len(case.items) + 1) // 2
    index = vr.FlatIndex(case.items, metric=case.metric)
    found = index.search(case.queries, case.k, allow=np.arange(half))
    part = vr.topk(case.queries, case.items[:half], case.k, metric=case.metric)
    assert_same_bits(found, *arrays(part))


@given(case=cases())
def test_no_copy(isa: str, case: Case) -> None:
    expected = case.answer()
    original = case.items.copy()
    case.items.flags.writeable = False
    index = vr.FlatIndex(case.items, metric=case.metric, copy=False)
    assert_same_bits(index.search(case.queries, case.k), *arrays(expected))
    assert_same_float32(case.items, original)


@given(case=cases())
def test_no_call_leaves_state_behind(isa: str, case: Case) -> None:
    index = vr.FlatIndex(case.items, metric=case.metric)
    first = arrays(index.search(case.queries, case.k))
    some = np.arange(0, len(case.items), 2)
    index.search(case.queries[:1], 1, allow=some, min_score=0.0)
    index.search(case.queries, 2 * case.k, exclude=[some] * len(case.queries), stats=True)
    index.score(case.queries[:1], [some])
    assert_same_bits(index.search(case.queries, case.k), *first)
    assert_same_bits(case.answer(), *first)


@given(case=cases())
def test_excluding_is_leaving_out_of_a_longer_list(isa: str, case: Case) -> None:
    n = len(case.items)
    index = vr.FlatIndex(case.items, metric=case.metric)
    exclude = [case.rng.integers(0, n, 5) for _ in case.queries]
    found = index.search(case.queries, case.k, exclude=exclude)
    longer = index.search(case.queries, case.k + 5)
    for i, row in enumerate(longer.ids):
        kept = np.flatnonzero(~np.isin(row[: longer.counts[i]], exclude[i]))[: case.k]
        assert found.counts[i] == len(kept)
        np.testing.assert_array_equal(found.ids[i, : len(kept)], row[kept])
        assert_same_float32(found.scores[i, : len(kept)], longer.scores[i, kept])


def every_second(a: F32) -> F32:
    return np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2]


def backwards(a: F32) -> F32:
    return a[::-1, ::-1].copy()[::-1, ::-1]


def big_endian(a: F32) -> npt.NDArray[Any]:
    return a.astype(">f4")


def read_only(a: F32) -> F32:
    frozen = a.copy()
    frozen.flags.writeable = False
    return frozen


def misaligned(a: F32) -> F32:
    buffer = bytearray(a.nbytes + 1)
    view: F32 = np.frombuffer(buffer, np.float32, a.size, offset=1).reshape(a.shape)
    view[:] = a
    return view


def rows_of_a_wider_array(a: F32) -> F32:
    return np.concatenate([a, a[:, :1]], axis=1)[:, :-1]


def subclass(a: F32) -> npt.NDArray[Any]:
    return a.view(type("Labeled", (np.ndarray,), {}))


Layout = Callable[[F32], npt.NDArray[Any]]
LAYOUTS: list[Layout] = [
    np.asfortranarray,
    every_second,
    backwards,
    big_endian,
    read_only,
    misaligned,
    rows_of_a_wider_array,
    subclass,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@given(case=cases())
def test_layouts(layout: Layout, case: Case) -> None:
    expected = case.answer()
    queries, items = layout(case.queries), layout(case.items)
    for copy in (True, False):
        index = vr.FlatIndex(items, metric=case.metric, copy=copy)
        assert_same_bits(index.search(queries, case.k), *arrays(expected))
        assert_same_bits(index.search(case.queries, case.k), *arrays(expected))
    assert_same_bits(vr.topk(queries, items, case.k, metric=case.metric), *arrays(expected))


def test_a_row_seen_many_times() -> None:
    """Strides of zero."""
    rng = np.random.default_rng(1)
    row = rng.standard_normal((1, 9), dtype=np.float32)
    items, queries = np.broadcast_to(row, (2100, 9)), np.broadcast_to(row[:, :1], (7, 9))
    found = vr.FlatIndex(items, copy=False).search(queries, 50)
    assert_same_bits(found, *arrays(vr.topk(queries.copy(), items.copy(), 50)))


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, ">f8", np.float16])
@given(seed=st.integers(0, 2**32), d=st.integers(1, 30))
def test_other_floats_equal_converted_first(dtype: Any, seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    items, queries = rng.standard_normal((300, d)), rng.standard_normal((5, d)).astype(dtype)
    items += np.copysign(0.5, items)
    if dtype != np.float16:
        items[::3] *= 1e-41  # denormal in float32
    items = items.astype(dtype)
    narrow = items.astype(np.float32)
    for metric in METRICS:
        expected = vr.FlatIndex(narrow, metric=metric).search(queries.astype(np.float32), 40)
        for same in (items, np.asfortranarray(items), items[::-1].copy()[::-1]):
            index = vr.FlatIndex(same, metric=metric)
            assert_same_bits(index.search(queries, 40), *arrays(expected))
            assert_same_float32(index.vectors(np.arange(300)), narrow)


@given(case=cases())
def test_search_on_every_instruction_set(isa: str, case: Case) -> None:
    found = case.answer()
    vr.set_isa("baseline")
    try:
        expected = case.answer()
    finally:
        vr.set_isa(isa)
    assert_same_bits(found, *arrays(expected))
