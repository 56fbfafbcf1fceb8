"""Random operations on an index and a plain model, bits compared: soak.py SECONDS SEED.

An index lives for some operations; what one does depends on the seed and its number alone, but for
the order in which threads run. A failure prints both and the last operations.
"""

from __future__ import annotations

import collections
import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import reference
from comparison import ISAS, METRICS, arrays, assert_same_bits, assert_same_float32
from datasets import HARD
from index_model import F32, I64, INDEXES, Model, in_all
from pickles import WAYS
from probing import both, within

import vecrecall as vr

OPERATIONS = 80  # of one index
HANGING = 300  # seconds beyond those asked for
BLOCK = 2048
SIZES = (0, 1, 3, 40, 300, 2500, 2 * BLOCK, 15_000)  # the last is kept by length in some kinds
SIZE_ODDS = (0.05, 0.05, 0.1, 0.25, 0.25, 0.15, 0.1, 0.05)


class Allowed(NamedTuple):
    """A mask and what it means."""

    mask: vr.Mask
    holds: Callable[[I64], npt.NDArray[np.bool_]]


class Life:
    """One index, its model, and what has been done to them."""

    def __init__(self, seed: int, number: int, folder: Path) -> None:
        rng = self.rng = np.random.default_rng([seed, number])
        self.log: collections.deque[str] = collections.deque(maxlen=25)
        self.folder = folder
        self.dim = int(rng.integers(2, 34))
        self.kind = str(rng.choice(list(HARD)))
        metric = METRICS[int(rng.integers(3))]
        self.model = Model(metric, self.dim)
        n = int(rng.choice(SIZES, p=SIZE_ODDS))
        ids = rng.permutation(2 * n + 1)[:n] * int(rng.choice([1, 10**9]))
        self.next_id = 1 + max(ids.tolist(), default=0)
        vectors, bias = self.rows(n), self.bias(n)
        copy = bool(rng.random() < 0.5)
        self.of = INDEXES[int(rng.integers(len(INDEXES)))]
        options: dict[str, Any] = {"copy": copy}
        if self.of is vr.IVFIndex and rng.random() < 0.5:
            options["n_lists"] = int(rng.integers(1, 200))
        self.index = self.of(vectors, ids, metric=metric, bias=bias, **options)
        self.model.put(vectors, ids, bias)
        self.masks: list[Allowed] = []
        self.served: vr.ReloadingIndex | None = None
        name = self.of.__name__
        self.note(f"{name}, {n} items {self.kind}, dim {self.dim}, {metric}, {options}")

    def note(self, what: str) -> None:
        self.log.append(what)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def rows(self, n: int) -> F32:
        return HARD[self.kind](self.rng, 1, max(n, 80), self.dim)[1][:n]

    def queries(self, n: int) -> F32:
        found = HARD[self.kind](self.rng, max(n, 2), 80, self.dim)[0][:n]
        if self.chance(0.2) and len(self.model.items):
            found = self.model.vectors[self.rng.integers(0, len(self.model.items), n)]
        return found

    def bias(self, n: int) -> F32 | None:
        return None if self.chance(0.7) else self.rng.standard_normal(n).astype(np.float32)

    def threads(self) -> int:
        return int(self.rng.integers(1, 3))

    def count(self) -> int:
        """Return how many items to change: few as a rule, now and then more than a block."""
        return int(
            self.rng.choice([0, 1, 7, 60, 400, BLOCK + 300], p=[0.05, 0.3, 0.3, 0.2, 0.1, 0.05])
        )

    def some_ids(self, most: int) -> I64:
        return self.rng.permutation(self.model.ids)[: int(self.rng.integers(0, most + 1))]

    def new_ids(self, n: int) -> I64:
        ids = self.next_id + self.rng.permutation(n)
        self.next_id += n + int(self.rng.integers(0, 3))
        return ids

    # Operations that change the index.

    def add(self) -> None:
        n = self.count()
        vectors, ids, bias = self.rows(n), self.new_ids(n), self.bias(n)
        self.note(f"add {n}")
        self.index.add(vectors, ids, bias=bias, threads=self.threads())
        self.model.put(vectors, ids, bias)

    def update(self) -> None:
        old, n = self.some_ids(200), self.count() // 2
        ids = self.rng.permutation(np.concatenate([old, self.new_ids(n)]))
        vectors, bias = self.rows(len(ids)), self.bias(len(ids))
        self.note(f"update {len(old)}, add {n}")
        self.index.update(vectors, ids, bias=bias, threads=self.threads())
        self.model.put(vectors, ids, bias)

    def remove(self) -> None:
        ids = self.some_ids(len(self.model.items) // 2 if self.chance(0.1) else 60)
        self.note(f"remove {len(ids)}")
        self.index.remove(ids, threads=self.threads())
        self.model.remove(ids)

    def remove_what_may_be_missing(self) -> None:
        ids = np.concatenate([self.some_ids(20), self.rng.integers(-3, self.next_id + 9, 20)])
        self.note("remove, missing ids ignored")
        self.index.remove(ids, missing="ignore")
        self.model.remove(ids)

    def compact(self) -> None:
        options = {}
        if self.of is vr.IVFIndex and self.chance(0.3):
            options["retrain"] = True
        self.note(f"compact {options}")
        self.index.compact(threads=self.threads(), **options)

    def save_and_load(self) -> None:
        path, mmap, verify = self.folder / "index", self.chance(0.5), self.chance(0.3)
        self.note(f"save, load mmap={mmap} verify={verify}")
        self.index.save(path, threads=self.threads())
        if self.chance(0.7):
            self.index = self.of.load(path, mmap=mmap, verify=verify)
            self.masks = []
        self.check_all()

    def send(self) -> None:
        """Go on with what arrives of a pickle, or with a copy."""
        way = str(self.rng.choice(sorted(WAYS)))
        self.note(f"send by {way}")
        self.index = WAYS[way](self.index)
        self.masks = []
        self.check_all()

    # Operations that read it.

    def search(self) -> None:
        nq = int(self.rng.choice([0, 1, 2, 9, 70], p=[0.05, 0.4, 0.3, 0.2, 0.05]))
        n = len(self.model.items)
        k = int(self.rng.choice([1, 10, 100, n + 3]))
        queries = self.queries(nq)
        asked, meant = self.filters(nq, queries)
        self.note(f"search {nq} for {k} {sorted(asked)}")
        how = in_all(self.index)
        found = self.index.search(queries, k, threads=self.threads(), **asked, **how)
        assert_same_bits(found, *self.model.search(queries, k, **meant))
        self.search_lists(queries, k, asked, meant)

    def search_lists(
        self, queries: F32, k: int, asked: dict[str, Any], meant: dict[str, Any]
    ) -> None:
        """Look at some of the lists, of an index that has them."""
        if not isinstance(self.index, vr.IVFIndex):
            return
        probes = int(self.rng.choice([1, 2, 5, 40]))
        self.note(f"... probes {probes}")
        meant = both(meant, within(self.index, queries, probes))
        found = self.index.search(queries, k, probes=probes, threads=self.threads(), **asked)
        assert_same_bits(found, *self.model.search(queries, k, **meant))

    def filters(self, nq: int, queries: F32) -> tuple[dict[str, Any], dict[str, Any]]:
        asked: dict[str, Any] = {}
        meant: dict[str, Any] = {}
        ids = self.model.ids
        if self.chance(0.4):
            lists = [[*self.some_ids(30).tolist(), self.next_id + 1] for _ in range(nq)]
            asked["exclude"] = meant["exclude"] = lists
        if self.chance(0.4) and nq:
            masks = [self.mask() for _ in range(nq if self.chance(0.5) else 1)]
            asked["allow"] = masks[0].mask if len(masks) == 1 else [m.mask for m in masks]
            meant["allow"] = [ids[m.holds(ids)].tolist() for m in masks * (nq // len(masks))]
        elif self.chance(0.2):
            asked["allow"] = self.some_ids(100)
            meant["allow"] = [asked["allow"].tolist()] * nq
        if self.chance(0.3) and nq:
            reached = self.model.search(queries[:1], 9).scores[0]
            asked["min_score"] = meant["min_score"] = float(self.rng.choice(reached))
        return asked, meant

    def mask(self) -> Allowed:
        """Take an old mask, a new one, or join some."""
        if len(self.masks) < 2 or self.chance(0.2):
            ids = self.rng.integers(0, self.next_id + 5, int(self.rng.integers(0, 500)))
            if self.chance(0.5) and len(self.model.items):
                ids = self.some_ids(len(self.model.items))
            self.masks.append(Allowed(self.index.mask(ids), lambda x: np.isin(x, ids)))
        a, b = (self.masks[i] for i in self.rng.integers(0, len(self.masks), 2))
        joined = (
            a,
            Allowed(~a.mask, lambda x: ~a.holds(x)),
            Allowed(a.mask & b.mask, lambda x: a.holds(x) & b.holds(x)),
            Allowed(a.mask | ~b.mask, lambda x: a.holds(x) | ~b.holds(x)),
        )[int(self.rng.integers(4))]
        if len(self.masks) < 15:
            self.masks.append(joined)
        return joined

    def score(self) -> None:
        ids, queries = self.model.ids, self.queries(2)
        if self.model.metric == "cosine":
            queries[~queries.any(1)] = 1  # else there is no score
        lists = [[*self.some_ids(80).tolist(), self.next_id + 3], []]
        self.note(f"score {len(lists[0])}")
        found = self.index.score(queries, lists, threads=self.threads())
        at = {item: place for place, item in enumerate(ids.tolist())}
        rows = [at[i] for i in lists[0][:-1]]
        expected = reference.scores(
            queries[:1], self.model.vectors[rows], self.model.metric, self.model.bias[rows]
        )
        assert_same_float32(found[0], np.append(expected[0], np.float32(-np.inf)))
        assert len(found[1]) == 0

    def neighbors(self) -> None:
        n = len(self.model.items)
        if n > 500:
            return
        self.note("neighbors")
        found = self.index.neighbors(3, **in_all(self.index))
        ids, vectors = self.model.ids, self.model.vectors
        if n == 0:
            assert len(found.ids) == 0
            return
        expected = self.model.search(vectors, 3, exclude=[[i] for i in ids.tolist()])
        assert found.ids.lengths.tolist() == expected.counts.tolist()
        held = np.arange(3) < expected.counts[:, None]
        assert found.ids.values.tolist() == expected.ids[held].tolist()
        assert_same_float32(found.scores.values, expected.scores[held])

    def check_all(self) -> None:
        """Compare the items themselves, and one search."""
        index, model = self.index, self.model
        ids = model.ids
        assert index.ids.tolist() == ids.tolist()
        assert len(index) == len(ids)
        assert_same_float32(index.vectors(ids), model.vectors)
        assert self.next_id + 7 not in index
        queries = self.queries(1)
        found = index.search(queries, 12, **in_all(index))
        assert_same_bits(found, *model.search(queries, 12))

    def refuse(self) -> None:
        """Make every kind of mistake, each among right things; all stays as it was."""
        some, ids = self.some_ids(3), self.new_ids(3)
        unknown = self.next_id + 11
        rows = np.concatenate([self.rows(2), np.full((1, self.dim), np.nan, np.float32)])
        good = self.rows(3)
        mistakes: list[tuple[type[Exception], Callable[[], object]]] = [
            (ValueError, lambda: self.index.add(rows, ids)),
            (ValueError, lambda: self.index.update(rows, ids)),
            (ValueError, lambda: self.index.add(good, ids, bias=[0.0, np.inf, 0.0])),
            (ValueError, lambda: self.index.add(good, np.repeat(ids[:1], 3))),
            (ValueError, lambda: self.index.update(good, np.array([*ids[:2], -1]))),
            (ValueError, lambda: self.index.add(good[:, :-1], ids)),
            (KeyError, lambda: self.index.remove([*some.tolist(), unknown])),
            (KeyError, lambda: self.index.vectors([*some.tolist(), unknown])),
            (ValueError, lambda: self.index.search(rows, 3)),
        ]
        if len(some):
            known = np.array([*ids[:2], some[0]])
            mistakes.append((ValueError, lambda: self.index.add(good, known)))
        self.note("mistakes")
        for error, mistake in mistakes:
            try:
                mistake()
            except error:
                continue
            raise AssertionError("a mistake was let through")
        self.check_all()

    def serve(self) -> None:
        """Save where a `ReloadingIndex` looks; it has what was saved, not what was done since."""
        path = self.folder / "served"
        self.note("save, served")
        self.index.save(path)
        if self.served is None:
            options = {"mmap": self.chance(0.5), "verify": self.chance(0.3)}
            self.served = vr.ReloadingIndex(path, allow_empty=True, **options)
        else:
            assert self.served.refresh()
        assert not self.served.refresh()
        queries = self.queries(2)
        index = self.served.index
        found = index.search(queries, 9, **in_all(index))
        assert_same_bits(found, *self.model.search(queries, 9))
        assert self.served.search(queries, 9).counts.tolist() == found.counts.tolist()
        assert self.served.index.ids.tolist() == self.model.ids.tolist()

    def fork(self) -> None:
        """Let a child search and update: it has the same items, and its parent keeps them."""
        self.note("fork")
        self.in_child(lambda: [step(self) for step in (CHECK, *CHANGES, Life.search, CHECK)])
        self.check_all()

    def in_child(self, work: Callable[[], object]) -> None:
        child = os.fork()
        if child == 0:
            signal.alarm(HANGING)
            try:
                work()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, "a child failed"

    def with_readers(self) -> None:
        """Update while two threads search; an answer is that of a moment during the search."""
        self.note("updates during reads")
        queries, k, states = self.queries(2), int(self.rng.integers(1, 40)), []
        allowed = self.mask()
        steps = [CHANGES[i] for i in self.rng.integers(0, len(CHANGES), 6)]
        begun, ended, stop = [0], [0], threading.Event()

        def answer() -> tuple[reference.Lists, reference.Lists]:
            ids = self.model.ids
            allow = [ids[allowed.holds(ids)].tolist()] * 2
            plain = self.model.search(queries, k)
            return plain, self.model.search(queries, k, allow=allow)

        def check(masked: bool, threads: int) -> None:
            first = ended[0]
            allow = allowed.mask if masked else None
            how = in_all(self.index)
            found = self.index.search(queries, k, allow=allow, threads=threads, **how)
            last = begun[0]
            deadline = time.monotonic() + HANGING
            while len(states) <= last and time.monotonic() < deadline:
                time.sleep(0.0005)  # the model is slower than the index
            moments = [state[masked] for state in states[first : last + 1]]
            assert any(same(found, moment) for moment in moments), (first, last)

        def read(number: int) -> int:
            rounds = 0
            while not stop.is_set() or rounds == 0:
                check(bool((rounds + number) % 2), 1 + rounds % 2)
                rounds += 1
            return rounds

        states.append(answer())
        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read, number) for number in range(2)]
            try:
                for number, step in enumerate(steps, 1):
                    begun[0] = number
                    step(self)
                    ended[0] = number
                    states.append(answer())
                    if self.chance(0.1):
                        self.in_child(lambda: (check(False, 2), check(True, 1), CHECK(self)))
            finally:
                states.extend(states[-1:] * len(steps))  # where a step failed, no thread waits
                stop.set()
            for reader in readers:
                reader.result()

    def run(self) -> int:
        operations = int(self.rng.integers(1, OPERATIONS))
        for _ in range(operations):
            vr.set_isa(str(self.rng.choice(ISAS)))
            ODDS[int(self.rng.integers(len(ODDS)))](self)
        self.check_all()
        return operations


CHECK = Life.check_all
CHANGES = (Life.add, Life.update, Life.remove, Life.compact)
ODDS = (
    *(4 * (Life.add, Life.update, Life.remove)),
    *(12 * (Life.search,)),
    *(Life.compact, Life.remove_what_may_be_missing, Life.score, Life.neighbors),
    *(Life.check_all, Life.refuse, Life.save_and_load, Life.serve, Life.fork),
    Life.send,
    Life.with_readers,
)


def same(found: vr.SearchResult, expected: reference.Lists) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(arrays(found), expected, strict=True))


def main(seconds: float, seed: int) -> None:
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(int(seconds) + HANGING)
    os.fsync = lambda descriptor: None  # no time for the disk: a crash of the system is not tested
    end = time.monotonic() + seconds
    lives = operations = 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            life = None
            try:
                life = Life(seed, lives, Path(folder))
                operations += life.run()
            except BaseException:
                print(f"seed {seed}, index {lives}:", *(life.log if life else ()), sep="\n  ")
                raise
        lives += 1
    print(f"seed {seed}: {operations} operations on {lives} indexes")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
