"""An index that is updated answers as one that was built with the same items."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from comparison import METRICS, Metric, arrays, assert_same_bits, assert_same_float32
from datasets import HARD
from half import HALVES, widened
from index_model import INDEXES, Model, in_all
from probing import within as looked_at_by

import vecrecall as vr

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Rng = np.random.Generator
D = 7


class Pair:
    """An index and its model, changed together."""

    def __init__(
        self,
        rng: Rng,
        metric: Metric,
        kind: str = "gaussian",
        of: type[vr.FlatIndex] = vr.FlatIndex,
        **options: Any,
    ) -> None:
        self.rng, self.kind = rng, kind
        self.model = Model(metric, D)
        n = options.pop("n", 0)
        vectors, ids = self.draw(n), np.arange(n)
        self.index = of(vectors, metric=metric, **options)
        self.put(vectors, ids, None)
        self.next_id = n

    def draw(self, n: int) -> F32:
        return HARD[self.kind](self.rng, 1, max(n, 80), D)[1][:n]

    def put(self, vectors: F32, ids: I64, bias: F32 | None) -> None:
        self.model.put(widened(vectors, self.index.dtype), ids, bias)

    def bias_of(self, n: int) -> F32 | None:
        if self.rng.random() < 0.7:
            return None
        return self.rng.standard_normal(n).astype(np.float32)

    def add(self, n: int) -> None:
        ids = self.next_id + self.rng.permutation(n)
        self.next_id += n
        vectors, bias = self.draw(n), self.bias_of(n)
        self.index.add(vectors, ids, bias=bias)
        self.put(vectors, ids, bias)

    def update(self, n: int) -> None:
        ids = self.rng.permutation(self.next_id + n)[:n]
        self.next_id += n
        vectors, bias = self.draw(n), self.bias_of(n)
        self.index.update(vectors, ids, bias=bias)
        self.put(vectors, ids, bias)

    def remove(self, n: int) -> None:
        ids = self.rng.permutation(self.model.ids)[:n]
        self.index.remove(ids)
        self.model.remove(ids)

    def any_step(self) -> None:
        n = int(self.rng.choice([0, 1, 37, 300, 2048, 2500], p=[0.05, 0.3, 0.25, 0.25, 0.1, 0.05]))
        step = self.rng.choice(["add", "update", "remove"], p=[0.45, 0.2, 0.35])
        getattr(self, step)(n)

    def check(self) -> None:
        """Compare everything that can be asked."""
        index, model, rng = self.index, self.model, self.rng
        ids = model.ids
        assert len(index) == len(ids)
        assert index.ids.tolist() == ids.tolist()
        some = rng.permutation(ids)[:50]
        at = {item: place for place, item in enumerate(ids.tolist())}
        assert_same_float32(index.vectors(some), model.vectors[[at[i] for i in some.tolist()]])
        assert all(i in index for i in some.tolist())
        assert self.next_id + 5 not in index
        queries = self.draw(2)
        for k in (1, 25, len(ids) + 2):
            found = index.search(queries, k, **in_all(index))
            assert_same_bits(found, *model.search(queries, k))
        self.check_filters(queries, some)
        self.check_probes(queries, some)
        candidates = [[*some.tolist(), self.next_id + 5], []]
        found, every = index.score(queries, candidates), model.search(queries, len(ids) + 1)
        listed = dict(zip(*(a[0].tolist() for a in every[:2]), strict=True))
        assert found[0].tolist() == [listed.get(i, -np.inf) for i in candidates[0]]

    def check_filters(self, queries: F32, some: I64) -> None:
        index, model = self.index, self.model
        floor = float(model.search(queries, 9).scores[0, -1])
        seen = [model.search(queries[:1], 10).ids[0].tolist(), some.tolist()]
        found = index.search(queries, 12, exclude=seen, min_score=floor, **in_all(index))
        assert_same_bits(found, *model.search(queries, 12, exclude=seen, min_score=floor))
        allowed = [some.tolist()] * 2
        found = index.search(queries, 12, allow=some, **in_all(index))
        assert_same_bits(found, *model.search(queries, 12, allow=allowed))

    def check_probes(self, queries: F32, some: I64) -> None:
        """Compare searches of some lists with the items of those lists."""
        index, model = self.index, self.model
        if not isinstance(index, vr.IVFIndex):
            return
        seen = [some[:9].tolist()] * 2
        for probes in (1, 3):
            looked_at = looked_at_by(index, queries, probes)
            found = index.search(queries, 12, probes=probes, exclude=seen)
            assert_same_bits(found, *model.search(queries, 12, allow=looked_at, exclude=seen))
        everything = model.search(queries, 12, exclude=seen).counts.tolist()
        assert index.search(queries, 12, exclude=seen).counts.tolist() == everything


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["gaussian", "grid", "cauchy", "equal_rows"])
@pytest.mark.parametrize("of", INDEXES)
def test_any_sequence(
    isa: str, metric: Metric, kind: str, of: type[vr.FlatIndex], rng: Rng
) -> None:
    check_any_sequence(Pair(rng, metric, kind, of, n=int(rng.choice([0, 50, 3000]))))


def check_any_sequence(pair: Pair) -> None:
    for _ in range(7):
        for _ in range(4):
            pair.any_step()
        pair.check()
    pair.index.compact()
    pair.check()


@pytest.mark.parametrize(("metric", "name"), [*zip(METRICS, (*HALVES, "float16"), strict=True)])
@pytest.mark.parametrize("of", INDEXES)
def test_any_sequence_in_half_precision(
    metric: Metric, name: str, of: type[vr.FlatIndex], rng: Rng
) -> None:
    """All vectors come as float32, and are rounded as the oracle rounds them."""
    check_any_sequence(Pair(rng, metric, of=of, n=int(rng.choice([0, 3000])), dtype=name))


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("metric", METRICS)
def test_blocks_fill_up_and_are_merged(metric: Metric, copy: bool, rng: Rng) -> None:
    """So many small additions that segments of 8 blocks and more come about, by length."""
    pair = Pair(rng, metric, "lognormal_norms", n=20_000, copy=copy)
    for n in (700, 1500, 900, 2049, 1, 3000):
        for _ in range(7):
            pair.add(n)
        pair.remove(40)
        pair.check()
    queries = pair.draw(64)
    fresh = vr.FlatIndex(pair.model.vectors, pair.model.ids, metric=metric, bias=pair.model.bias)
    assert_same_bits(pair.index.search(queries, 100), *arrays(fresh.search(queries, 100)))


def test_batches_that_guess_thresholds(threads: int, rng: Rng) -> None:
    """So many blocks that a batch guesses; what is best has just been added, or was removed."""
    n, queries = 140_000, rng.standard_normal((40, D), dtype=np.float32)
    index = vr.FlatIndex(rng.standard_normal((n, D), dtype=np.float32), copy=False)
    best = np.unique(index.search(queries, 60).ids)
    index.remove(best)
    for start in range(n, n + 4000, 100):
        index.add(queries.repeat(3, axis=0)[:100], np.arange(start, start + 100))
    index.remove(np.arange(n + 1000, n + 1100))
    ids = index.ids
    fresh = vr.FlatIndex(index.vectors(ids), ids)
    for k in (1, 100):
        found = index.search(queries, k, threads=threads, stats=True)
        assert_same_bits(found, *arrays(fresh.search(queries, k)))
        assert found.stats is not None
        assert found.stats.items_scanned >= 40 * (n + 4000)  # and so removed rows are there still


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("of", INDEXES)
def test_empty_at_first_and_in_the_end(metric: Metric, of: type[vr.FlatIndex], rng: Rng) -> None:
    pair = Pair(rng, metric, of=of)
    pair.check()
    for _ in range(3):
        pair.add(20)
        pair.check()
        pair.remove(20)
        assert len(pair.index) == 0
        pair.check()
    assert pair.index.neighbors(3).ids.values.size == 0


def test_an_item_that_comes_back_is_the_last(rng: Rng) -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32), ids=[5, 6, 7])
    row = np.ones((1, 3), np.float32)
    index.update(row, [5])
    assert index.ids.tolist() == [5, 6, 7]
    index.remove([5])
    index.add(row, [5])
    assert index.ids.tolist() == [6, 7, 5]
    index.compact()
    assert index.ids.tolist() == [6, 7, 5]


def test_one_item_replaced_many_times(rng: Rng) -> None:
    pair = Pair(rng, "ip", n=500)
    for _ in range(3000):
        row = pair.draw(1)
        pair.index.update(row, [3])
        pair.model.put(row, np.array([3]), None)
    pair.check()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("of", INDEXES)
def test_bias_where_there_was_none(metric: Metric, of: type[vr.FlatIndex], rng: Rng) -> None:
    pair = Pair(rng, metric, of=of, n=3000)
    vectors, ids = pair.draw(5), np.arange(9000, 9005)
    bias = np.array([3, -2, 0, 1e-3, 5], np.float32)
    pair.index.add(vectors, ids, bias=bias)
    pair.model.put(vectors, ids, bias)
    pair.check()
    pair.index.update(vectors, ids)  # the bias of each is 0 again
    pair.model.put(vectors, ids, None)
    pair.check()


def test_other_dtypes_and_layouts(rng: Rng) -> None:
    pair = Pair(rng, "l2", n=100)
    rows = pair.draw(4)
    for given in (rows.astype(np.float64), np.asfortranarray(rows), rows[::-1].copy()[::-1]):
        ids = np.arange(4) + pair.next_id
        pair.next_id += 4
        pair.index.add(given, ids.astype(np.int32).tolist(), bias=np.zeros(4, np.float16))
        pair.model.put(rows, ids, None)
    pair.check()


@pytest.mark.parametrize("of", INDEXES)
def test_masks_stay_right(of: type[vr.FlatIndex], rng: Rng) -> None:
    pair = Pair(rng, "ip", of=of, n=4000)
    how = in_all(pair.index)
    fresh, sport = np.arange(0, 6000, 2), np.arange(1000, 9000, 3)
    masks = {
        "one": (pair.index.mask(fresh), lambda i: i in set(fresh.tolist())),
        "not": (~pair.index.mask(fresh), lambda i: i not in set(fresh.tolist())),
    }
    both = pair.index.mask(fresh) & ~pair.index.mask(sport)
    queries = pair.draw(2)
    for step in (
        pair.any_step,
        lambda: pair.add(700),
        lambda: pair.remove(900),
        pair.index.compact,
    ):
        for _ in range(3):
            step()
        ids = pair.model.ids
        for mask, within in masks.values():
            allowed = [[i for i in ids.tolist() if within(i)]] * 2
            found = pair.index.search(queries, 40, allow=mask, **how)
            assert_same_bits(found, *pair.model.search(queries, 40, allow=allowed))
        allowed = [[i for i in ids.tolist() if i in set(fresh.tolist()) - set(sport.tolist())]] * 2
        found = pair.index.search(queries, 40, allow=[both, both], **how)
        assert_same_bits(found, *pair.model.search(queries, 40, allow=allowed))


ERRORS: list[tuple[str, tuple[Any, ...], type[Exception], str]] = [
    ("add", (np.ones((2, 3), np.float32), [9, 2]), ValueError, r"ids: .* not have, got 2 at row 1"),
    ("add", (np.ones((2, 3), np.float32), [9, 9]), ValueError, r"ids: duplicate id 9,"),
    ("add", (np.ones((1, 3), np.float32), [-1]), ValueError, r"ids: expected ids >= 0, got -1"),
    ("update", (np.ones((2, 3), np.float32), [2, 2]), ValueError, r"ids: duplicate id"),
    ("add", (np.ones((2, 3), np.float32), [9]), ValueError, r"ids: expected 2 ids, one per row"),
    ("add", (np.ones((1, 4), np.float32), [9]), ValueError, r"vectors: expected shape \(n, 3\)"),
    ("add", (np.ones((1, 3), complex), [9]), TypeError, r"vectors: expected real numbers"),
    ("add", (np.full((1, 3), 1e300), [9]), ValueError, r"vectors: .*fit float32.* row 0"),
    ("add", (np.ones((1, 3), np.float32), [9.0]), TypeError, r"ids: expected integers"),
    ("update", (np.full((1, 3), np.nan, np.float32), [2]), ValueError, r"vectors: .*NaN.* row 0"),
    ("update", (np.zeros((1, 3), np.float32), [2]), ValueError, r"vectors: row 0 is all zeros"),
    ("remove", ([1, 77],), KeyError, r"ids: expected ids of the index, got 77"),
    ("remove", ([-1],), KeyError, r"ids: expected ids of the index, got -1"),
    ("remove", ([1.5],), TypeError, r"ids: expected integers"),
    ("remove", (1,), ValueError, r"ids: expected a row of integers"),
]


@pytest.mark.parametrize(("method", "args", "error", "message"), ERRORS)
def test_an_error_leaves_everything_as_it_was(
    method: str, args: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    vectors = np.eye(3, dtype=np.float32)
    index = vr.FlatIndex(vectors, [1, 2, 3], metric="cosine")
    with pytest.raises(error, match=message):
        getattr(index, method)(*args)
    assert index.ids.tolist() == [1, 2, 3]
    assert_same_float32(index.vectors([1, 2, 3]), vectors)


def test_bad_options() -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    row = np.ones((1, 3), np.float32)
    with pytest.raises(ValueError, match=r"bias: expected finite values.* row 0"):
        index.add(row, [9], bias=[np.inf])
    with pytest.raises(ValueError, match=r"bias: expected shape \(1,\)"):
        index.update(row, [9], bias=[1.0, 2.0])
    with pytest.raises(ValueError, match="missing: expected"):
        index.remove([0], missing="skip")  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="threads: expected"):
        index.compact(threads=-1)
    assert len(index) == 3


def test_missing_ids_may_be_ignored() -> None:
    index = vr.FlatIndex(np.eye(3, dtype=np.float32))
    index.remove([2, 50, 2], missing="ignore")
    index.remove([], missing="ignore")
    assert index.ids.tolist() == [0, 1]
    index.add(np.empty((0, 3), np.float32), np.empty(0, np.int64))
    assert index.ids.tolist() == [0, 1]


def test_borrowed_rows_are_let_go_of_when_the_index_is_rebuilt(rng: Rng) -> None:
    vectors = rng.standard_normal((5000, D), dtype=np.float32)
    kept = weakref.ref(vectors)
    index = vr.FlatIndex(vectors, copy=False)
    del vectors
    index.add(np.ones((300, D), np.float32), np.arange(5000, 5300))
    index.remove(np.arange(600))
    gc.collect()
    assert kept() is not None
    index.compact()
    gc.collect()
    assert kept() is None
    assert len(index) == 4700


def test_a_borrowed_row_is_the_callers_until_then(rng: Rng) -> None:
    """Not copied by updates: a change of the array, though not allowed, is seen."""
    vectors = rng.standard_normal((5000, D), dtype=np.float32)
    index = vr.FlatIndex(vectors, copy=False)
    index.add(np.ones((300, D), np.float32), np.arange(5000, 5300))
    index.remove(np.arange(1000))
    vectors[4000] = 17
    assert (index.vectors([4000]) == 17).all()
    index.remove(np.arange(1000, 2000))  # more than a quarter is gone now
    vectors[4000] = 18
    assert (index.vectors([4000]) == 17).all()


def test_neighbors_are_those_of_one_moment(rng: Rng, tmp_path: Any) -> None:
    pair = Pair(rng, "cosine", n=5000)
    expected = pair.index.neighbors(3)

    def meanwhile(done: int, total: int) -> None:
        assert total == 5000
        if done < total:
            pair.index.remove([4999])
            pair.index.update(pair.draw(20), np.arange(20))

    found = pair.index.neighbors(3, progress=meanwhile)
    assert len(pair.index) == 4999
    assert np.array_equal(found.ids.values, expected.ids.values)
    assert_same_float32(found.scores.values, expected.scores.values)


@pytest.mark.parametrize("copy", [True, False])
def test_searches_during_updates(copy: bool, rng: Rng) -> None:
    """Items come in pairs of equal rows; one call adds, replaces or removes both.

    A list of even length then holds both of a pair, side by side, or none.
    """
    n = 4000
    vectors = np.repeat(rng.standard_normal((n, D), dtype=np.float32), 2, axis=0)
    index = vr.FlatIndex(vectors, copy=copy)
    mask = index.mask(np.arange(n))
    stop = threading.Event()

    def search(seed: int) -> int:
        own = np.random.default_rng(seed)
        rounds = 0
        while not stop.is_set() or rounds == 0:
            queries = own.standard_normal((3, D), dtype=np.float32)
            allow = mask if rounds % 2 else None
            ids, scores, counts = arrays(index.search(queries, 20, allow=allow, threads=2))
            assert (counts == 20).all()
            assert (ids[:, ::2] % 2 == 0).all()
            assert np.array_equal(ids[:, 1::2], ids[:, ::2] + 1)
            assert np.array_equal(scores[:, 1::2], scores[:, ::2])
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(search, seed) for seed in range(3)]
        try:
            for _ in range(40):
                some = rng.permutation(n)[: int(rng.integers(1, 600))]
                rows = rng.standard_normal((len(some), D), dtype=np.float32)
                ids = np.concatenate([2 * some, 2 * some + 1])
                index.update(np.concatenate([rows, rows]), ids)
                index.remove(ids)
                index.add(np.concatenate([rows, rows]), ids)
            index.compact()
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert len(index) == 2 * n
