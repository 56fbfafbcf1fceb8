"""The programs of test_processes.py, each in an interpreter of its own: process_scenarios.py NAME.

A process that takes too long prints what all its threads do and is killed, its children too.
"""

from __future__ import annotations

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import numpy as np
from comparison import arrays

import vecrecall as vr

# A machine may pause; what is tested takes a second or two.
SECONDS = 300
K = 20
D = 8
BATCH = 50

rng = np.random.default_rng(1)
queries = rng.standard_normal((5, D), dtype=np.float32)


def watch() -> None:
    """Python's own handlers run between two instructions; faulthandler's run in a deadlock too."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(SECONDS)


def vectors(n: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, D), dtype=np.float32)


def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
    return vectors(BATCH, 1000 + number), number * BATCH + np.arange(BATCH)


def index_of_batches(n: int) -> vr.FlatIndex:
    return vr.FlatIndex(np.concatenate([batch(number)[0] for number in range(n)]))


def same(a: vr.SearchResult, b: vr.SearchResult) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(arrays(a), arrays(b), strict=True))


def check_whole(index: vr.FlatIndex) -> None:
    """It has whole batches, and answers as an index that was just built with them."""
    ids = index.ids
    assert set(np.unique(ids // BATCH, return_counts=True)[1].tolist()) == {BATCH}
    fresh = vr.FlatIndex(index.vectors(ids), ids)
    assert same(fresh.search(queries, K), index.search(queries, K, threads=3))
    few = index.mask(ids[::7])
    assert same(fresh.search(queries, K, allow=ids[::7]), index.search(queries, K, allow=few))


def change(index: vr.FlatIndex, new: int) -> None:
    """Every kind of update, and the batches are as before."""
    index.add(*batch(new))
    index.update(*batch(new))
    check_whole(index)
    index.remove(batch(new)[1])
    index.compact()
    check_whole(index)


def start(work: Callable[[], object]) -> int:
    child = os.fork()
    if child != 0:
        return child
    signal.alarm(SECONDS)  # a child inherits the handler only
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def forked(work: Callable[[], object]) -> None:
    assert os.waitpid(start(work), 0)[1] == 0


@contextmanager
def alongside(*works: Callable[[], object]) -> Iterator[None]:
    """Other threads do these things again and again."""
    rounds = [0] * len(works)
    stop = threading.Event()

    def repeat(i: int) -> None:
        while not stop.is_set():
            works[i]()
            rounds[i] += 1

    with ThreadPoolExecutor(len(works)) as executor:
        futures = [executor.submit(repeat, i) for i in range(len(works))]
        try:
            while min(rounds) < 2 and not any(f.done() for f in futures):
                time.sleep(0.001)
            yield
        finally:
            stop.set()
    for future in futures:
        future.result()


def fork_before_use() -> None:
    """A child has the pool to itself, and so has its parent."""
    items = vectors(20_000)
    forked(lambda: vr.topk(queries, items, K, threads=4))
    found = vr.topk(queries, items, K, threads=4)
    forked(lambda: assert_found(found, items))
    assert_found(found, items)


def assert_found(found: vr.SearchResult, items: np.ndarray) -> None:
    assert same(found, vr.topk(queries, items, K, threads=4))


def fork_after_use() -> None:
    items = vectors(20_000)
    found = vr.topk(queries, items, K, threads=4)
    for _ in range(10):
        forked(lambda: assert_found(found, items))
        assert_found(found, items)


def fork_of_a_fork() -> None:
    """With use in between, and without."""
    items = vectors(20_000)
    found = vr.topk(queries, items, K, threads=4)

    def use() -> None:
        assert_found(found, items)

    forked(lambda: (use(), forked(use)))
    forked(lambda: forked(use))


def fork_during_first_use() -> None:
    """The parent has used nothing: its children fork while a thread of theirs begins."""
    items = vectors(20_000)

    def search() -> vr.SearchResult:
        return vr.topk(queries, items, K, threads=3)

    def use() -> None:
        thread = threading.Thread(target=search)
        thread.start()
        forked(search)
        thread.join()

    for _ in range(20):
        forked(use)


def fork_during_first_look_up() -> None:
    """The table of ids is made when an id is first looked for."""
    items, ids = vectors(50_000), np.random.default_rng(3).permutation(50_000)
    exclude = [ids[:9].tolist()] * len(queries)
    expected = vr.FlatIndex(items, ids).search(queries, K, exclude=exclude)

    for _ in range(10):
        index = vr.FlatIndex(items, ids)

        def check(index: vr.FlatIndex = index) -> None:
            assert same(expected, index.search(queries, K, exclude=exclude))

        thread = threading.Thread(target=check)
        thread.start()
        forked(check)
        thread.join()
        check()


def fork_while_searching() -> None:
    """In the midst of long searches, many times."""
    items = vectors(60_000)
    index = vr.FlatIndex(items)
    many = np.random.default_rng(4).standard_normal((64, D), dtype=np.float32)
    mask = index.mask(np.arange(0, 60_000, 3))
    plain = index.search(many, K)
    masked = index.search(queries, K, allow=mask)

    def check() -> None:
        assert same(plain, index.search(many, K, threads=2))
        assert same(masked, index.search(queries, K, allow=mask))

    with alongside(check, check, lambda: index.search(many, K, allow=~mask, threads=4)):
        for _ in range(60):
            forked(check)


class Missing:
    """A channel that is never in time."""

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        while vr.channels.time_left() > 0:
            time.sleep(0.0005)
        raise TimeoutError


def fork_while_recalling() -> None:
    """A child has workers and breakers of its own, whatever its parent's do."""
    index = vr.FlatIndex(vectors(20_000))
    channels: dict[str, vr.channels.UserToItem | Missing] = {
        "near": vr.channels.UserToItem(index, vector="v"),
        "missing": Missing(),
    }
    breaker = vr.CircuitBreaker(failures=10**6)
    options = {"workers": 4, "deadlines": {"missing": 0.003}, "breaker": breaker}
    recaller = vr.Recaller(channels, **options)  # type: ignore[arg-type]
    users = vr.RequestBatch(vectors={"v": queries})
    plain = vr.Recaller({"near": channels["near"]}).recall(users, K)

    def check() -> None:
        for found in (recaller.recall(users, K), asyncio.run(recaller.arecall(users, K))):
            assert found.ids.tobytes() == plain.ids.tobytes()
            assert found.scores.tobytes() == plain.scores.tobytes()
            assert found.stats is not None
            assert set(found.stats.missing) == {"missing"}

    def check_child() -> None:
        assert recaller.breakers["missing"].failures == 0
        check()
        assert recaller.breakers["missing"].failures <= 2

    with alongside(check, lambda: recaller.recall(users, K), lambda: recaller.breakers):
        for _ in range(30):
            forked(check_child)


def fork_while_updating() -> None:
    index = index_of_batches(60)
    numbers = count(100)

    def update() -> None:
        number = next(numbers)
        index.add(*batch(number))
        index.update(*batch(number))
        index.remove(batch(number)[1])
        if number % 8 == 0:
            index.compact()

    with alongside(update, lambda: index.search(queries, K)):
        for _ in range(60):
            forked(lambda: (check_whole(index), change(index, 10_000)))
    check_whole(index)


def fork_while_adding_keys() -> None:
    held = [vr.Vocabulary()]

    def add() -> None:
        n = len(held[0])
        if n == 30_000:
            held[0], n = vr.Vocabulary(), 0
        held[0].add([f"item {i}" for i in range(n, n + 300)])

    def use() -> None:
        vocabulary = held[0]
        keys = list(vocabulary)
        assert len(keys) % 300 == 0, "all of an addition or nothing"
        assert vocabulary.add([*keys, "new"]).tolist() == list(range(len(keys) + 1))
        assert list(vocabulary) == [*keys, "new"]

    with alongside(add, lambda: list(held[0])):
        for _ in range(30):
            forked(use)


def fork_while_observing() -> None:
    n = 20
    feed = vr.ClusterFeed(n, half_life=1, capacity=1000, history=5, max_users=500)
    clusters, items, users = np.random.default_rng(5).integers(0, [[n], [900], [300]], (3, 3000))
    everywhere, new = np.arange(n), np.full(n, 10_000)

    def observe() -> None:
        feed.observe(clusters, items, np.zeros(3000), users=users)

    def read() -> None:
        feed.related(everywhere, items[:n], K, now=0)
        assert_whole(feed.top(everywhere, 1000, now=0))

    def assert_whole(top: vr.SearchResult) -> None:
        """Clicks of weight 1, at the time of now."""
        scores = top.scores[top.ids >= 0]
        assert (scores == np.rint(scores)).all()
        assert (scores > 0).all()

    def use() -> None:
        read()
        for item in (10_000, 10_001):
            feed.observe(everywhere, new * 0 + item, np.zeros(n), users=everywhere + 1000)
        assert (feed.related(everywhere, new, 1, now=0).ids == 10_001).all()
        top = feed.top(everywhere, 1000, now=0)
        assert_whole(top)
        assert (np.count_nonzero(top.ids == 10_000, axis=1) == 1).all()
        with tempfile.TemporaryDirectory() as folder:
            feed.save(folder)
            assert same(top, vr.ClusterFeed.load(folder).top(everywhere, 1000, now=0))

    observe()
    with alongside(observe, read):
        for _ in range(30):
            forked(use)
    read()


def fork_while_saving() -> None:
    """A child has no part in it: not even the lock that lets other saves wait."""
    index = index_of_batches(2)
    waiting, open_end = os.pipe()

    def save_and_die(folder: str) -> None:
        def interrupted(*given: object, **how: object) -> None:
            if os.fork() == 0:
                os.close(open_end)
                os.read(waiting, 1)  # until the last process that could write is gone
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)

        np.save = interrupted
        index.save(folder)

    with tempfile.TemporaryDirectory() as folder:
        assert os.waitpid(start(lambda: save_and_die(folder)), 0)[1] == signal.SIGKILL
        index.save(folder)
        check_whole(vr.FlatIndex.load(folder, verify=True))
    os.close(open_end)


def fork_while_refreshing() -> None:
    """A child follows the path by itself, from the version that it was forked with."""
    n = 50
    numbers = count(1)

    def save(number: int = 0) -> None:
        version = number or next(numbers)
        vr.FlatIndex(vectors(n, version), version * n + np.arange(n)).save(folder)

    def version(served: vr.ReloadingIndex) -> int:
        found = served.search(queries, K)
        number = int(found.ids[0, 0]) // n
        assert same(
            found, vr.FlatIndex(vectors(n, number), number * n + np.arange(n)).search(queries, K)
        )
        return number

    def newer(served: vr.ReloadingIndex, than: int) -> int:
        while version(served) <= than:
            time.sleep(0.001)
        return version(served)

    def pollers() -> int:
        return sum(thread.name == "vecrecall-reloading" for thread in threading.enumerate())

    def follow() -> None:
        old = version(by_hand)
        by_hand.refresh()
        assert version(by_hand) >= old
        assert pollers() == 1
        last = newer(polled, version(polled))
        forked(lambda: newer(polled, last))
        polled.close()
        assert pollers() == 0
        forked(lambda: (version(polled), pollers() == 0 or os._exit(1)))

    with tempfile.TemporaryDirectory() as folder:
        save()
        by_hand, polled = vr.ReloadingIndex(folder), vr.ReloadingIndex(folder, poll=0.001)
        closed = vr.ReloadingIndex(folder, poll=0.001)
        closed.close()
        with alongside(save, by_hand.refresh, polled.refresh):
            for _ in range(30):
                forked(follow)
        assert pollers() == 1
        old = version(polled)
        save()
        newer(polled, old)
        assert version(closed) == 1
        polled.close()


def preload() -> None:
    """A server loads before it forks its workers: each has a copy of its own."""
    index = index_of_batches(100)
    change(index, 100)

    def serve(worker: int) -> None:
        index.add(*batch(101 + worker))
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(lambda _: check_whole(index), range(8)))
        for _ in range(5):
            change(index, 200)
        assert sorted(set(index.ids // BATCH)) == [*range(100), 101 + worker]

    children = [start(lambda worker=worker: serve(worker)) for worker in range(4)]
    change(index, 300)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert sorted(set(index.ids // BATCH)) == [*range(100)]
    check_whole(index)


in_worker: vr.FlatIndex | None = None


def begin_worker(method: str) -> None:
    global in_worker
    watch()
    if method == "fork":
        assert in_worker is not None
    else:
        assert in_worker is None
        in_worker = vr.FlatIndex(vectors(20_000))


def answer(threads: int) -> tuple[bytes, ...]:
    assert in_worker is not None
    in_worker.update(vectors(3, threads), [10**6, 10**6 + 1, 10**6 + 2])
    in_worker.remove([10**6, 10**6 + 1, 10**6 + 2])
    return tuple(a.tobytes() for a in arrays(in_worker.search(queries, K, threads=threads)))


def pool_of_processes(method: str) -> None:
    """Under fork workers have the parent's index, otherwise one that they build."""
    global in_worker
    index = vr.FlatIndex(vectors(20_000))
    expected = tuple(a.tobytes() for a in arrays(index.search(queries, K, threads=3)))
    in_worker = index if method == "fork" else None
    context = multiprocessing.get_context(method)
    with context.Pool(2, begin_worker, (method,)) as pool:
        assert set(pool.map(answer, [1, 2, 3, 4] * 3, chunksize=1)) == {expected}
    assert same(index.search(queries, K), index.search(queries, K, threads=1))


def pool_fork() -> None:
    pool_of_processes("fork")


def pool_forkserver() -> None:
    pool_of_processes("forkserver")


def pool_spawn() -> None:
    pool_of_processes("spawn")


def many_threads() -> None:
    """All at once, on a pool that does not grow with them."""
    n_threads = 64
    items = vectors(20_000)
    index = vr.FlatIndex(items)
    bags = np.random.default_rng(6).integers(0, 20_000, (400, 10)).tolist()
    found, pooled = index.search(queries, K), vr.pool(items, bags)
    barrier = threading.Barrier(n_threads)
    tasks: list[int] = []

    def work(number: int) -> None:
        barrier.wait()
        for i in range(6):
            if (number + i) % 3 == 0:
                assert vr.pool(items, bags, threads=3).tobytes() == pooled.tobytes()
            else:
                assert same(found, index.search(queries, K, threads=1 + (number + i) % 3))
            if os.path.isdir("/proc/self/task"):  # noqa: PTH112
                tasks.append(len(os.listdir("/proc/self/task")))  # noqa: PTH208

    with ThreadPoolExecutor(n_threads) as executor:
        list(executor.map(work, range(n_threads)))
    # This thread, the callers, and what one call of three threads may start.
    assert max(tasks, default=0) <= 1 + n_threads + max(vr.get_num_threads(), 3) - 1


def asyncio_to_thread() -> None:
    """Each search sees the items of one moment, and the loop does not wait for it."""
    index = vr.FlatIndex(*batch(0))
    grown = vr.FlatIndex(*batch(0))
    states = [grown.search(queries, K)]
    for number in range(1, 6):
        grown.add(*batch(number))
        states.append(grown.search(queries, K))

    async def update() -> None:
        for number in range(1, 6):
            await asyncio.to_thread(index.add, *batch(number))

    async def search() -> vr.SearchResult:
        return await asyncio.to_thread(index.search, queries, K, threads=2)

    async def main() -> list[vr.SearchResult]:
        _, *found = await asyncio.gather(update(), *[search() for _ in range(100)])
        return [*found, await search()]

    *during, last = asyncio.run(main())
    assert all(any(same(f, state) for state in states) for f in during)
    assert same(last, states[-1])


def idle() -> None:
    """Neither the parent's threads nor a child's do anything when nothing is asked of them."""
    index = vr.FlatIndex(vectors(20_000), copy=False)
    feed = vr.ClusterFeed(4, half_life=1, capacity=10)

    def use_and_rest() -> None:
        for _ in range(5):
            index.search(queries, K, threads=4)
            index.update(*batch(0))
            feed.observe([0, 1], [5, 6], [0, 0])
            feed.top([0, 1, 2, 3], 3, now=0, threads=4)
        time.sleep(0.1)  # threads may look for more work for a moment before they sleep
        before = time.process_time()
        time.sleep(0.5)
        # One thread that spins would take 0.5 s, a fifth of that on a busy machine; at rest the
        # interpreter takes a millisecond.
        assert time.process_time() - before < 0.05

    use_and_rest()
    forked(use_and_rest)


def lock_of_the_interpreter() -> None:
    """An interpreter without its lock gets one by importing the package."""
    assert sys._is_gil_enabled()


if __name__ == "__main__":
    watch()
    globals()[sys.argv[1]]()
