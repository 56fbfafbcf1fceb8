"""Any sequence of updates, saves and searches of an IVFIndex, drawn by hypothesis."""

from __future__ import annotations

import copy
import pickle
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
from comparison import METRICS, assert_same_bits
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from index_model import Model
from probing import both, within

import vecrecall as vr

F32 = npt.NDArray[np.float32]
D = 3
FEW = st.integers(0, 80)
MANY = st.sampled_from([0, 1, 2, 5, 70, 300])
KS = st.sampled_from([1, 3, 20, 1000])
SEEDS = st.integers(0, 2**32 - 1)


class Lists(RuleBasedStateMachine):
    """An index and its model, changed together."""

    @initialize(
        n=MANY,
        metric=st.sampled_from(METRICS),
        lists=st.none() | st.integers(1, 60),
        grid=st.booleans(),
        seed=SEEDS,
    )
    def build(self, n: int, metric: str, lists: int | None, grid: bool, seed: int) -> None:
        self.rng, self.grid = np.random.default_rng(seed), grid
        self.model = Model(metric, D)
        rows, ids = self.rows(n), np.arange(n)
        self.index = vr.IVFIndex(rows, metric=metric, n_lists=lists, seed=seed % 3)  # type: ignore[arg-type]
        self.model.put(rows, ids, None)
        self.next_id = n

    def rows(self, n: int) -> F32:
        """Rows of a grid, with many ties and duplicates, or of a few clusters; none is zero."""
        if self.grid:
            rows = self.rng.integers(-2, 3, (n, D)).astype(np.float32)
            rows[~rows.any(1)] = 1
            return rows
        centers = self.rng.integers(-9, 10, (n, D))
        return (centers // 6 * 6 + self.rng.standard_normal((n, D))).astype(np.float32)

    def some_ids(self, n: int) -> npt.NDArray[np.int64]:
        return self.rng.permutation(self.model.ids)[:n]

    @rule(n=MANY, biased=st.booleans())
    def add(self, n: int, biased: bool) -> None:
        rows, ids = self.rows(n), self.next_id + np.arange(n)
        bias = self.rng.standard_normal(n).astype(np.float32) if biased else None
        self.index.add(rows, ids, bias=bias)
        self.model.put(rows, ids, bias)
        self.next_id += n

    @rule(n=FEW)
    def update(self, n: int) -> None:
        ids = self.some_ids(n)
        rows = self.rows(len(ids))
        self.index.update(rows, ids)
        self.model.put(rows, ids, None)

    @rule(n=FEW)
    def remove(self, n: int) -> None:
        ids = self.some_ids(n)
        self.index.remove(ids)
        self.model.remove(ids)

    @rule(retrain=st.booleans())
    def compact(self, retrain: bool) -> None:
        self.index.compact(retrain=retrain)
        assert self.index.stats.not_in_lists == 0

    @rule(mmap=st.booleans(), verify=st.booleans())
    def save_and_load(self, mmap: bool, verify: bool) -> None:
        probes = self.index.probes
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(folder)
            self.index = vr.IVFIndex.load(folder, mmap=mmap, verify=verify)
        assert self.index.probes == probes

    @rule(way=st.sampled_from([copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
    def send(self, way: Any) -> None:
        self.index = way(self.index)

    @precondition(lambda self: len(self.model.items) > 0)
    @rule(recall=st.sampled_from([0.1, 0.9, 1.0]))
    def tune(self, recall: float) -> None:
        self.index.tuned_for(self.rows(5), recall)

    @rule(
        k=KS,
        nq=st.sampled_from([1, 2, 7]),
        probes=st.sampled_from([1, 2, 9, 10**9, "exact"]),
        allow=st.none() | FEW,
        exclude=st.none() | FEW,
        threads=st.integers(1, 3),
    )
    def search(
        self,
        k: int,
        nq: int,
        probes: Any,
        allow: int | None,
        exclude: int | None,
        threads: int,
    ) -> None:
        queries = np.concatenate([self.rows(nq), 0 * self.rows(1)])
        asked: dict[str, Any] = {}
        meant: dict[str, Any] = {}
        if allow is not None:
            asked["allow"] = self.some_ids(allow)
            meant["allow"] = [asked["allow"].tolist()] * len(queries)
        if exclude is not None:
            asked["exclude"] = meant["exclude"] = [self.some_ids(exclude).tolist() for _ in queries]
        if probes != "exact":
            meant = both(meant, within(self.index, queries, probes))
        found = self.index.search(queries, k, probes=probes, threads=threads, **asked)
        assert_same_bits(found, *self.model.search(queries, k, **meant))
        everything = self.model.search(
            queries, k, **{name: value for name, value in meant.items() if name == "exclude"}
        )
        if allow is None:
            full = self.index.search(queries, k, threads=threads, **asked)
            assert full.counts.tolist() == everything.counts.tolist()

    @invariant()
    def same_items(self) -> None:
        if not hasattr(self, "index"):
            return
        assert self.index.ids.tolist() == self.model.ids.tolist()
        stats = self.index.stats
        assert 0 <= stats.not_in_lists <= len(self.index)
        assert stats.list_sizes.sum() + stats.not_in_lists >= len(self.index)
        assert (stats.list_sizes > 0).all()


TestLists = Lists.TestCase
