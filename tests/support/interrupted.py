"""The programs of test_interrupts.py, each in an interpreter of its own: interrupted.py KIND NAME.

A call is measured first, made long enough for that, then interrupted after a quarter of its
time. It must end before most of it is done. A busy machine may delay a signal, so there are some
attempts; a call that does not hear signals ends late in all of them.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from comparison import FIELDS

import vecrecall as vr
from vecrecall._core import CancelToken

SECONDS = 300  # of a hang
ENOUGH = 0.2  # seconds that a call must take to be interrupted
SHARE = 0.6  # of its work that it may have done
ATTEMPTS = 7
LONGEST = 5.0  # seconds of a call that is made longer from attempt to attempt
D = 32


class Stop(BaseException):
    """Raised by a handler."""


@dataclass
class Call:
    """A call, by what it needs: made again for each time where the call changes it.

    `state` is compared before and after an interruption, `found` after a call that was none.
    """

    make: Callable[[int], Any]
    call: Callable[[Any], object]
    state: Callable[[Any], object] = lambda made: None
    changes: bool = False


def normal(n: int, d: int = D, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def items_of(index: vr.FlatIndex) -> object:
    return index.ids, index.vectors(index.ids)


def index_and(n: int, more: int) -> tuple[vr.FlatIndex, Any, Any]:
    rows = normal(n + more)
    ids = np.random.default_rng(2).permutation(n + more)
    return vr.FlatIndex(rows[:n], ids[:n]), rows[n:], ids[n:]


def search_of(**options: Any) -> Call:
    return Call(
        lambda size: (vr.FlatIndex(normal(50_000)), normal(1000 * size, seed=2)),
        lambda made: made[0].search(made[1], 10, **options),
        lambda made: made[0].ids,
    )


INNER = ("_batches", "_draws")  # objects without an equality


def model_of(made: tuple[vr.KMeans, Any]) -> object:
    return [(name, value) for name, value in sorted(vars(made[0]).items()) if name not in INNER]


def fit_of(points: int, **options: Any) -> Call:
    """Of a model that was fitted to something else before: it must stay that."""
    return Call(
        lambda size: (
            vr.KMeans(50, tol=0, **options).fit(normal(500)),
            normal(points * size, seed=3),
        ),
        lambda made: made[0].fit(made[1]) and None,
        model_of,
        changes=True,
    )


def fitted(size: int) -> tuple[vr.KMeans, Any]:
    return vr.KMeans(500, init="random", max_iter=1).fit(normal(2000)), normal(30_000 * size)


def clicked(size: int) -> tuple[vr.ClusterFeed, Any]:
    feed = vr.ClusterFeed(20, half_life=10, capacity=5000)
    rng = np.random.default_rng(1)
    feed.observe(*rng.integers(0, [[20], [9000]], (2, 200_000)), np.arange(200_000) / 1e4,
                 rng.integers(0, 5000, 200_000))  # fmt: skip
    return feed, np.arange(500 * size) % 20


def lists(rows: int, k: int, seed: int) -> vr.SearchResult:
    ids = np.sort(np.random.default_rng(seed).integers(0, 100_000, (rows, 2 * k)), axis=1)
    ids = ids[:, ::2] * 2 + np.arange(k) % 2
    scores = np.broadcast_to(np.linspace(9, 1, k, dtype=np.float32), (rows, k)).copy()
    return vr.SearchResult(ids, scores, np.full(rows, k, np.int32))


def files_of(made: tuple[vr.FlatIndex, Path]) -> object:
    return sorted(path.name for path in made[1].rglob("*.part"))


def saved(size: int) -> tuple[vr.FlatIndex, Path]:
    index, path = vr.FlatIndex(normal(200_000 * size)), Path(tempfile.mkdtemp())
    index.save(path)
    return index, path


CALLS: dict[str, Call] = {
    "build": Call(
        lambda size: (normal(100_000 * size), np.random.default_rng(1).permutation(100_000 * size)),
        lambda made: vr.FlatIndex(*made, metric="l2").search(made[0][:20], 10),
    ),
    "search": search_of(),
    "search on one thread": search_of(threads=1),
    "search with a mask": search_of(allow=np.arange(0, 50_000, 3)),
    "search for long lists": Call(
        lambda size: (vr.FlatIndex(normal(100_000)), normal(4 * size, seed=2)),
        lambda made: made[0].search(made[1], 100_000),
    ),
    "search for one long list": Call(
        lambda size: (vr.FlatIndex(normal(400_000 * size)), normal(1, seed=2)),
        lambda made: made[0].search(made[1], len(made[0])),
    ),
    "topk": Call(
        lambda size: (normal(2000 * size), normal(50_000, seed=2)),
        lambda made: vr.topk(*made, 10),
    ),
    "score": Call(
        lambda size: (
            vr.FlatIndex(normal(200_000), np.random.default_rng(2).permutation(200_000)),
            normal(size, seed=2),
            [np.arange(200_000)] * size,
        ),
        lambda made: made[0].score(*made[1:]),
    ),
    "neighbors": Call(
        lambda size: vr.FlatIndex(normal(8000 * size)), lambda index: index.neighbors(10)
    ),
    "neighbors in a folder": Call(
        lambda size: (vr.FlatIndex(normal(8000 * size)), Path(tempfile.mkdtemp())),
        lambda made: made[0].neighbors(10, path=made[1]),
        files_of,
        changes=True,
    ),
    "add": Call(
        lambda size: index_and(20_000, 100_000 * size),
        lambda made: made[0].add(*made[1:]),
        lambda made: items_of(made[0]),
        changes=True,
    ),
    "update": Call(
        lambda size: (
            index_and(200_000 * size, 0)[0],
            normal(200_000 * size, seed=3),
            np.arange(200_000 * size),
        ),
        lambda made: made[0].update(*made[1:]),
        lambda made: items_of(made[0]),
        changes=True,
    ),
    "save": Call(
        lambda size: saved(size),
        lambda made: made[0].save(made[1]),
        lambda made: (
            vr.FlatIndex.load(made[1], verify=True).ids,
            len(list(made[1].iterdir())),
        ),
    ),
    "load": Call(saved, lambda made: vr.FlatIndex.load(made[1], verify=True).ids),
    "assign": Call(
        lambda size: (normal(50_000 * size), normal(1000, seed=2)), lambda made: vr.assign(*made)
    ),
    "assign to many": Call(
        lambda size: (normal(10_000 * size), normal(1000, seed=2)),
        lambda made: vr.assign(*made, m=20),
    ),
    "sums of one cluster": Call(
        lambda size: (normal(500_000 * size), normal(1, seed=2)),
        lambda made: vr.assign(*made, sums=True),
    ),
    "residuals": Call(
        lambda size: (normal(300_000 * size), normal(10, seed=2), np.arange(300_000 * size) % 10),
        lambda made: vr.residuals(*made),
    ),
    "fit": fit_of(50_000, init="random", max_iter=20),
    "fit of mini-batches": fit_of(50_000, init="random", max_iter=10, batch_size=1000),
    "fit after k-means++": fit_of(20_000, max_iter=5),
    "partial_fit": Call(
        fitted,
        lambda made: (
            made[0].partial_fit(made[1]),
            made[0]._batches.counts,
        ),
        model_of,
        changes=True,
    ),
    "predict": Call(fitted, lambda made: made[0].predict(made[1])),
    "transform": Call(fitted, lambda made: made[0].transform(made[1])),
    "score of k-means": Call(fitted, lambda made: made[0].score(made[1])),
    "pool": Call(
        lambda size: (normal(200_000), np.arange(2_000_000 * size).reshape(-1, 20) * 7 % 200_000),
        lambda made: vr.pool(*made),
    ),
    "pool of one bag": Call(
        lambda size: (normal(200_000), (np.arange(4_000_000 * size) * 7 % 200_000)[None]),
        lambda made: vr.pool(*made, mode="mean"),
    ),
    "merge": Call(
        lambda size: {str(c): lists(3000 * size, 100, c) for c in range(6)},
        lambda made: vr.merge(made, 100, vr.policies.RRF()),
    ),
    "merge of one row": Call(
        lambda size: {str(c): lists(1, 300_000 * size, c) for c in range(4)},
        lambda made: vr.merge(made, 1000, vr.policies.RRF()),
    ),
    "top": Call(clicked, lambda made: made[0].top(made[1], 50, now=30)),
    "related": Call(
        clicked, lambda made: made[0].related(made[1], np.arange(made[1].size), 50, now=30)
    ),
}


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, vr.Ragged):
        return isinstance(b, vr.Ragged) and same((a.offsets, a.values), (b.offsets, b.values))
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))  # type: ignore[arg-type]
    if type(a) in FIELDS:
        names = FIELDS[type(a)]
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in names)
    if hasattr(a, "scores") and hasattr(a, "ids"):
        return same((a.ids, a.scores), (b.ids, b.scores))  # type: ignore[attr-defined]
    return isinstance(a, (vr.KMeans, vr.FlatIndex)) or a == b


@contextmanager
def alarm(seconds: float, handler: Callable[..., object]) -> Iterator[None]:
    """Have a signal come, once."""
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def stop(*_: object) -> None:
    raise Stop


def measured(of: Call, size: int = 1) -> tuple[int, float, tuple[object, object]]:
    """Make the call long enough; returns its size, its seconds, what it gives and the state."""
    while True:
        made = of.make(size)
        if not of.changes:
            of.call(made)  # the first may take longer
        begin = time.perf_counter()
        found = of.call(made)
        seconds = time.perf_counter() - begin
        if seconds >= ENOUGH:
            return size, seconds, (found, of.state(made))
        size = int(size * min(8, max(2, 1.5 * ENOUGH / seconds)))


def attempts(of: Call) -> Iterator[tuple[int, float, tuple[object, object]]]:
    """For each attempt a size, the seconds it takes as the machine is now, and what is expected.

    What slowed the measuring may be over in the attempt, so later ones expect less time.
    """
    size = 1
    for attempt in range(ATTEMPTS):
        size, seconds, expected = measured(of, size)
        yield size, seconds / 2 ** (attempt % 4), expected


def call(name: str) -> None:
    """A handler that raises ends the call and leaves its objects; the next call is right."""
    of, size = CALLS[name], 1
    for _ in range(ATTEMPTS):  # each measured again, as the machine is now
        size, seconds, expected = measured(of, size)
        made = of.make(size)
        before = of.state(made)
        begin = time.perf_counter()
        try:
            with alarm(seconds / 4, stop):
                of.call(made)
        except Stop:
            late = time.perf_counter() - begin > SHARE * seconds
            state = of.state(made)
            ended = same(state, expected[1]) and not same(state, before)
            if late or ended:
                # The time until a signal is heard is a smaller part of more.
                size *= 2 if seconds < LONGEST else 1
                continue
            assert same(state, before), "the state is another"
            assert same((of.call(made), of.state(made)), expected), "the next call is wrong"
            return
    raise AssertionError(f"{name}: heard no signal in time")


def stopped(work: Callable[[], object]) -> bool:
    """Whether a call was told to stop."""
    try:
        work()
    except RuntimeError as error:
        if str(error) != "the call was told to stop":
            raise
        return True
    return False


def canceled(name: str) -> None:
    """As a signal does, a token that another thread cancels ends the call; then all calls in it."""
    of, size = CALLS[name], 1
    for _ in range(ATTEMPTS):
        size, seconds, expected = measured(of, size)
        made = of.make(size)
        before = of.state(made)
        token = CancelToken()
        timer = threading.Timer(seconds / 4, token.cancel)
        with token:
            timer.start()
            begin = time.perf_counter()
            in_time = stopped(partial(of.call, made)) and (
                time.perf_counter() - begin < SHARE * seconds
            )
            timer.join()
            if not in_time:
                size *= 2 if seconds < LONGEST else 1
                continue
            assert stopped(partial(of.call, made)), "the next call in the token is not stopped"
        assert same(of.state(made), before), "the state is another"
        assert same((of.call(made), of.state(made)), expected), "the call after it is wrong"
        return
    raise AssertionError(f"{name}: was not stopped in time")


def returns(name: str) -> None:
    """A handler that returns is called while the work is in progress, which goes on."""
    of, size = CALLS[name], 1
    for _ in range(ATTEMPTS):
        size, seconds, expected = measured(of, size)
        made = of.make(size)
        called: list[float] = []
        begin = time.perf_counter()
        with alarm(seconds / 4, lambda *_, to=called: to.append(time.perf_counter())):  # type: ignore[misc]
            found = of.call(made)
        assert same((found, of.state(made)), expected), "the signal has changed what is found"
        if called and called[0] - begin < SHARE * seconds:
            return
        size *= 2 if seconds < LONGEST else 1
    raise AssertionError(f"{name}: called no handler in time")


def ctrl_c() -> None:
    """Ctrl-C as it is, and the pool afterwards."""
    index, queries = vr.FlatIndex(normal(50_000)), normal(2_000_000)
    expected = index.search(queries[:50], 5)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        index.search(queries, 5)
    except KeyboardInterrupt:
        assert same(index.search(queries[:50], 5), expected)
        return
    raise AssertionError("heard no signal")


def other_threads_go_on() -> None:
    """Signals end what the main thread does; a search meanwhile is whole and right."""
    index, queries = vr.FlatIndex(normal(50_000)), normal(5000, seed=4)
    expected, found = index.search(queries, 10), []
    thread = threading.Thread(target=lambda: found.append(index.search(queries, 10)))
    thread.start()
    try:
        with alarm(0.1, stop):
            while True:
                index.search(queries, 10)
    except Stop:
        thread.join()
        assert same(found[0], expected)


def busy_interpreter() -> None:
    """Where other threads hold the interpreter's lock, a signal is heard all the same."""
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            sum(range(1000))

    spinning = threading.Thread(target=spin)
    spinning.start()
    try:
        call("search")
    finally:
        ended.set()
        spinning.join()


def in_a_forked_child() -> None:
    vr.topk(normal(300), normal(30_000), 5, threads=2)
    child = multiprocessing.get_context("fork").Process(target=call, args=("search",))
    child.start()
    child.join(SECONDS / 2)
    child.kill()
    child.join()
    assert child.exitcode == 0


def a_handler_that_searches() -> None:
    """It meets no lock of the call that it interrupts, and changes nothing of what that finds."""
    of = CALLS["add"]
    for size, seconds, expected in attempts(of):
        made, found = of.make(size), []

        def searched(index: vr.FlatIndex = made[0], queries: Any = made[1][:9]) -> vr.SearchResult:
            return index.search(queries, 4, allow=index.ids)

        before = searched()
        with alarm(seconds / 4, lambda *_, to=found, one=searched: to.append(one())):  # type: ignore[misc]
            of.call(made)
        assert same((None, of.state(made)), expected)
        if found:
            (one,) = found
            assert same(one, before) or same(one, searched())  # it may come late
            return
    raise AssertionError("no handler came in between")


def a_handler_that_updates() -> None:
    """To change what is being changed is an error, where it would have to wait forever."""
    of = CALLS["add"]
    for size, seconds, _ in attempts(of):
        made, new = of.make(size), 10**9
        try:
            with alarm(seconds / 4, lambda *_, i=made[0], new=new: i.add(normal(1), [new])):  # type: ignore[misc]
                of.call(made)
        except RuntimeError as error:
            assert "callback" in str(error)  # noqa: PT017  # there may be none
            assert len(made[0]) == 20_000
            made[0].add(normal(1), [new])
            return
    raise AssertionError("no handler came in between")


def who_waits_for_an_update_hears() -> None:
    """Updates wait for each other, and that too ends with a signal."""
    of = CALLS["add"]
    for size, seconds, _ in attempts(of):
        made = of.make(size)
        thread = threading.Thread(target=of.call, args=(made,))
        thread.start()
        time.sleep(seconds / 10)
        try:
            with alarm(seconds / 8, stop):
                made[0].add(normal(1), [10**9])
        except Stop:
            waits = thread.is_alive()
            thread.join()
            # Otherwise it came when both updates were done, and tells nothing.
            if waits and len(made[0]) == 20_000 + len(made[1]):
                return
        thread.join()
    raise AssertionError("the second update has waited for the first one")


def clicks_are_taken_in_order() -> None:
    """An interrupted batch of clicks has left its beginning in the feed, whole runs of 2**18."""
    n, run = 40 << 18, 1 << 18
    clusters, items, times = np.arange(n) % 5, np.arange(n) % 1000, np.zeros(n)
    for attempt in range(ATTEMPTS):
        feed = vr.ClusterFeed(5, half_life=1, capacity=1000)
        try:
            with alarm(0.3 / 2**attempt, stop):
                feed.observe(clusters, items, times)
        except Stop:
            taken = int(feed.top(range(5), 1000, 0).scores.clip(0).sum(dtype=np.float64))
            if taken in (0, n):
                continue
            assert taken % run == 0
            prefix = vr.ClusterFeed(5, half_life=1, capacity=1000)
            prefix.observe(clusters[:taken], items[:taken], times[:taken])
            assert same(feed.top(range(5), 1000, 0), prefix.top(range(5), 1000, 0))
            return
    raise AssertionError("heard no signal in time")


SCENARIOS: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        ctrl_c,
        other_threads_go_on,
        busy_interpreter,
        in_a_forked_child,
        a_handler_that_searches,
        a_handler_that_updates,
        who_waits_for_an_update_hears,
        clicks_are_taken_in_order,
    )
}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    kind, name = sys.argv[1:]
    if kind == "scenario":
        SCENARIOS[name]()
    else:
        {"call": call, "canceled": canceled, "returns": returns}[kind](name)
