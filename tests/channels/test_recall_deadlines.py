"""`vr.Recaller` with workers and deadlines: what is missing, and what one channel does to others.

Channels wait for events: a deadline of a few milliseconds is only given to one that is held, and
what must be in time has no deadline.
"""

from __future__ import annotations

import contextvars
import copy
import datetime
import gc
import logging
import pickle
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from channel_cases import (
    SECONDS,
    Broken,
    Echo,
    Fixed,
    Held,
    Polite,
    Returning,
    assert_equal_merges,
    world,
)
from waiting import until

import vecrecall as vr
from vecrecall.channels import _channel_pool, time_left
from vecrecall.policies import RRF, Interleave, Priority

BATCH = vr.RequestBatch(user_ids=[1, 2], seen=[[3], [10, 12]])
SOON = 0.02


@pytest.fixture
def held() -> Iterator[Held]:
    channel = Held([5, 6])
    yield channel
    channel.let_go.set()


def stats_of(result: vr.MergeResult) -> vr.RecallStats:
    assert result.stats is not None
    return result.stats


def late_calls(recaller: vr.Recaller) -> dict[str, int]:
    lines = recaller._asker()._pool._lines
    return {name: len(line.late) for name, line in lines.items()}


def at_rest(recaller: vr.Recaller) -> bool:
    """All workers are free, and each channel has what is its own."""
    pool = recaller._asker()._pool
    lines = pool._lines.values()
    idle = all(not (line.waiting or line.running or line.late) for line in lines)
    return idle and pool._free == pool._most_late and pool._spare == max(pool._free - len(lines), 0)


# --- the result


@pytest.mark.parametrize("workers", range(1, 9))
def test_workers_and_deadlines_change_no_bit(rng: np.random.Generator, workers: int) -> None:
    channels, batch = world(rng)
    caps = vr.Caps(np.arange(400), np.arange(400) % 7, 3)
    for policy in (RRF(), Interleave(), Priority(dict.fromkeys(channels, 4))):
        expected = vr.Recaller(channels, policy, caps=caps, depth={"i2i": 30}).recall(batch, 20)
        recaller = vr.Recaller(
            channels,
            policy,
            caps=caps,
            depth={"i2i": 30},
            workers=workers,
            deadlines={"hot": 500.0},
            breaker=vr.CircuitBreaker(),
        )
        for deadline in (None, 1000.0, datetime.timedelta(hours=1), 1e300):
            found = recaller.recall(batch, 20, deadline=deadline)
            assert_equal_merges(found, expected)
            assert stats_of(found).missing == stats_of(found).errors == {}
    assert at_rest(recaller)


def test_a_late_channel_is_left_out(held: Held) -> None:
    channels = {"a": Fixed([1, 2]), "held": held, "c": Fixed([4])}
    expected = vr.Recaller({**channels, "held": Fixed([])}, Interleave()).recall(BATCH, 4)
    recaller = vr.Recaller(channels, Interleave(), workers=3, deadlines={"held": SOON})
    found = recaller.recall(BATCH, 4)
    assert_equal_merges(found, expected)
    stats = stats_of(found)
    assert stats.missing == {"held": "late"}
    assert stats.errors == {}
    assert list(stats.seconds) == list(stats.counts) == ["a", "held", "c"]
    assert {name: counts.tolist() for name, counts in stats.counts.items()} == {
        "a": [2, 2],
        "held": [0, 0],
        "c": [1, 1],
    }
    assert stats.seconds["held"] > 0


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("options", [{}, {"workers": 1}, {"deadlines": 1000.0}])
def test_no_channel_in_time(held: Held, on_error: Any, options: Any) -> None:
    recaller = vr.Recaller({"a": held, "b": held}, on_error=on_error, **options)
    found = recaller.recall(BATCH, 3, deadline=SOON)
    assert found.ids.tolist() == [[-1] * 3] * 2
    assert found.counts.tolist() == [0, 0]
    assert found.to_list() == [[], []]
    missing = stats_of(found).missing
    assert list(missing) == ["a", "b"]
    assert missing == {"a": "late", "b": "queued" if options == {"workers": 1} else "late"}
    assert (stats_of(found).seconds["b"] == 0) == (options == {"workers": 1})


def test_a_channel_that_gives_up_by_itself_is_late() -> None:
    """It raises at its deadline, a little before or after the caller gives it up."""
    recaller = vr.Recaller({"polite": Polite(), "a": Fixed([1])}, deadlines={"polite": 0.002})
    for _ in range(50):
        stats = stats_of(recaller.recall(BATCH, 3))
        assert set(stats.missing.items()) <= {("polite", "late"), ("polite", "queued")}
        assert stats.missing
        assert stats.errors == {}


def test_an_error_after_the_deadline_is_late() -> None:
    """Also where no caller has given the call up by then."""
    pool, ended = _channel_pool.ChannelPool(["polite"], 1), threading.Event()
    call = _channel_pool.Call(
        "polite",
        lambda: Polite().recall(BATCH, 3),
        time.monotonic() + 0.05,
        lambda call: ended.set(),
    )
    pool.submit(call)
    assert ended.wait(SECONDS)
    assert (call.state, call.error) == (_channel_pool.State.LATE, None)


def test_the_shorter_deadline_counts(held: Held) -> None:
    for own, given in ((1000.0, SOON), (SOON, 1000.0)):
        recaller = vr.Recaller({"a": held}, deadlines={"a": own})
        assert stats_of(recaller.recall(BATCH, 3, deadline=given)).missing == {"a": "late"}


def test_stats_are_there_without_being_asked_for() -> None:
    for options in ({"workers": 2}, {"deadlines": 9.0}, {"breaker": vr.CircuitBreaker()}):
        assert stats_of(vr.Recaller({"a": Fixed([1])}, **options).recall(BATCH, 3)).missing == {}  # type: ignore[arg-type]
    plain = vr.Recaller({"a": Fixed([1])})
    assert plain.recall(BATCH, 3).stats is None
    assert stats_of(plain.recall(BATCH, 3, deadline=9.0)).missing == {}


# --- errors


def test_an_error_ends_the_others_and_is_raised() -> None:
    polite = Polite()

    class Late(Broken):
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            assert polite.begun.wait(SECONDS)
            return super().recall(batch, k)

    recaller = vr.Recaller({"polite": polite, "bad": Late()}, workers=2)
    with pytest.raises(KeyError, match="the model is not there") as caught:
        recaller.recall(BATCH, 3)
    assert getattr(caught.value, "__notes__", ["in channel 'bad'"]) == ["in channel 'bad'"]
    assert polite.stopped.wait(SECONDS)
    until(lambda: at_rest(recaller))


class Exits:
    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        raise SystemExit(3)


NAN = vr.SearchResult(
    np.array([[1], [2]]), np.array([[1], [np.nan]], np.float32), np.array([1, 1], np.int32)
)
WIDE = vr.SearchResult(np.zeros((1, 1), int), np.zeros((1, 1), np.float32), np.ones(1, np.int32))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Broken(), KeyError),
        (Exits(), SystemExit),
        (Returning(None), TypeError),
        (Returning(([[1]], [[1.0]])), TypeError),
        (Returning(WIDE), ValueError),
        (Returning(NAN), ValueError),
    ],
)
def test_what_a_channel_does_wrong_harms_no_other(bad: Any, error: type[BaseException]) -> None:
    channels = {"a": Fixed([1, 2]), "bad": bad, "c": Fixed([4])}
    expected = vr.Recaller({**channels, "bad": Fixed([])}).recall(BATCH, 4)
    recaller = vr.Recaller(channels, on_error="skip", workers=2)
    for _ in range(5):
        with pytest.warns(vr.ChannelWarning, match=f"^channel 'bad' is .*{error.__name__}") as seen:
            found = recaller.recall(BATCH, 4, deadline=1000.0)
        assert seen[0].filename == __file__
        assert_equal_merges(found, expected)
        assert stats_of(found).missing == {"bad": "error"}
        assert [type(e) for e in stats_of(found).errors.values()] == [error]
    with pytest.raises(error):
        vr.Recaller(channels, workers=2).recall(BATCH, 4, deadline=1000.0)


# --- hanging channels


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_late_calls_are_replaced_and_their_results_dropped(workers: int) -> None:
    """A channel that answers too late answers no request, and the next request has all workers."""

    class Late(Echo):
        def __init__(self) -> None:
            self.held = Held([])

        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            if batch.need("user_ids", self)[0] < 100:
                self.held.recall(batch, k)
            return super().recall(batch, k)

    late = Late()
    recaller = vr.Recaller({"late": late}, workers=workers)
    for user in range(workers):
        found = recaller.recall(vr.RequestBatch(user_ids=[user]), 1, deadline=SOON)
        assert (found.ids.tolist(), stats_of(found).missing) == ([[-1]], {"late": "late"})
        late.held.wait_for(1)
    assert late_calls(recaller) == {"late": workers}
    late.held.let_go.set()
    found = recaller.recall(vr.RequestBatch(user_ids=[100]), 1)
    assert (found.ids.tolist(), stats_of(found).missing) == ([[100]], {})
    until(lambda: at_rest(recaller))


def test_a_channel_whose_calls_are_all_stuck_is_not_asked(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = vr.CircuitBreaker(4, 1000.0)
    channels = {"held": held, "a": Fixed([1])}
    recaller = vr.Recaller(channels, workers=2, breaker=breaker, deadlines={"held": SOON})
    for _ in range(2):
        assert stats_of(recaller.recall(BATCH, 3)).missing == {"held": "late"}
    assert late_calls(recaller) == {"held": 2, "a": 0}
    monkeypatch.setattr(_channel_pool, "_STOPPING_SECONDS", -1.0)
    for _ in range(2):
        found = recaller.recall(BATCH, 3)
        assert (found.ids[0].tolist(), stats_of(found).missing) == ([1, -1, -1], {"held": "stuck"})
        assert stats_of(found).seconds["held"] == 0
    assert recaller.breakers["held"].state == "open"
    assert stats_of(recaller.recall(BATCH, 3)).missing == {"held": "open"}
    held.wait_for(2)
    assert not held.entered.acquire(blocking=False)
    held.let_go.set()
    until(lambda: at_rest(recaller))


def test_calls_that_are_about_to_stop_do_not_make_a_channel_stuck(held: Held) -> None:
    """Many requests that are canceled at once are no fault of a channel."""
    recaller = vr.Recaller({"held": held}, workers=1, deadlines={"held": SOON})
    assert stats_of(recaller.recall(BATCH, 3)).missing == {"held": "late"}
    waiting = threading.Thread(target=held.let_go.set)
    waiting.start()
    found = vr.Recaller({"held": held}, workers=1).recall(BATCH, 3)
    assert stats_of(found).missing == {}
    waiting.join()


def test_threads_are_bounded(held: Held) -> None:
    def threads() -> int:
        return sum(thread.name == "vecrecall-recall" for thread in threading.enumerate())

    before, workers, n = threads(), 3, 2
    channels = {"held": held, **{f"a{i}": Fixed([1]) for i in range(n - 1)}}
    recaller = vr.Recaller(channels, workers=workers, deadlines={"held": SOON})
    for _ in range(4 * workers):
        assert set(stats_of(recaller.recall(BATCH, 3)).missing) == {"held"}
        assert threads() - before <= workers * (n + 1)
    assert late_calls(recaller)["held"] == workers


def test_a_hanging_channel_keeps_no_worker_from_another(held: Held) -> None:
    """With as many workers as channels: here 8 requests wait for one channel at the same time."""
    requests, echo = 8, Fixed([1])
    recaller = vr.Recaller({"held": held, "echo": echo}, workers=3)
    with ThreadPoolExecutor(requests) as pool:
        found = [pool.submit(recaller.recall, BATCH, 3) for _ in range(requests)]
        until(lambda: len(echo.asked) == requests)
        assert recaller._asker()._pool._lines["held"].running == 2
        held.let_go.set()
        for result in found:
            assert stats_of(result.result()).missing == {}
    until(lambda: at_rest(recaller))


@pytest.mark.parametrize("workers", range(1, 9))
def test_at_most_so_many_calls_at_once(workers: int) -> None:
    """As many as there are workers get in, and no more before one gets out."""
    channels = [Held([i]) for i in range(8)]
    entered = threading.Semaphore(0)
    for channel in channels:
        channel.entered = entered
    recaller = vr.Recaller({str(i): c for i, c in enumerate(channels)}, workers=workers)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(recaller.recall, BATCH, 8)
        for _ in range(workers):
            assert entered.acquire(timeout=SECONDS)
        assert not entered.acquire(timeout=0.02)
        assert recaller._asker()._pool._free == 0
        for channel in channels:
            channel.let_go.set()
        assert found.result().counts.tolist() == [7, 8]


class Shared:
    """Lets a few in at once, and remembers the most."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        threading.Event().wait(0.0005)
        with self.lock:
            self.inside -= 1
        return Echo().recall(batch, k)


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_users_of_threads_get_their_own(threads: int, workers: int) -> None:
    """Some answers are late, none goes to another request."""
    shared, echo = Shared(), Echo()
    recaller = vr.Recaller(
        {"shared": shared, "echo": echo}, workers=workers, deadlines={"shared": 0.002}
    )
    start = threading.Barrier(threads)

    def ask(thread: int) -> None:
        start.wait(SECONDS)
        for i in range(30):
            user = 1000 * thread + i
            found = recaller.recall(vr.RequestBatch(user_ids=[user]), 2)
            assert found.ids.tolist() == [[user, -1]]
            missing = stats_of(found).missing
            assert set(missing) <= {"shared"}
            assert found.channels.tolist() == [[2 if missing else 3, 0]]

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(ask, thread) for thread in range(threads)]:
            done.result()
    until(lambda: at_rest(recaller))
    assert shared.most <= 2 * max(workers - 1, 1) + 1  # late ones too


# --- circuit breakers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Switched(Fixed):
    """Raises while it is broken."""

    broken = True

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        found = super().recall(batch, k)
        if self.broken:
            raise ConnectionError("no route")
        return found


@pytest.mark.parametrize("workers", [None, 2])
def test_a_channel_that_keeps_failing(workers: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock, switched = Clock(), Switched([5])
    breaker = vr.CircuitBreaker(3, 10.0, clock)
    channels = {"a": Fixed([1]), "s": switched}
    recaller = vr.Recaller(channels, on_error="skip", workers=workers, breaker=breaker)
    for expected in ["error"] * 3 + ["open"] * 4:
        found = recaller.recall(BATCH, 2)
        assert (found.ids[0].tolist(), stats_of(found).missing) == ([1, -1], {"s": expected})
    assert len(switched.asked) == 3
    assert recaller.breakers == {
        "a": vr.BreakerState("closed", 0, 0.0),
        "s": vr.BreakerState("open", 3, 10.0),
    }
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert caplog.records[0].getMessage().endswith("the last: ConnectionError: no route")
    clock.now = 10.0
    assert recaller.breakers["s"].state == "half_open"
    assert stats_of(recaller.recall(BATCH, 2)).missing == {"s": "error"}
    assert recaller.breakers["s"] == vr.BreakerState("open", 4, 10.0)
    clock.now, switched.broken = 20.0, False
    assert stats_of(recaller.recall(BATCH, 2)).missing == {}
    assert recaller.breakers["s"] == vr.BreakerState("closed", 0, 0.0)


@pytest.mark.parametrize("workers", [None, 2])
def test_errors_are_raised_until_the_breaker_opens(workers: Any) -> None:
    channels = {"a": Fixed([1]), "s": Switched([5])}
    breaker = vr.CircuitBreaker(2, 1000.0)
    recaller = vr.Recaller(channels, workers=workers, breaker=breaker)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            recaller.recall(BATCH, 2)
    assert stats_of(recaller.recall(BATCH, 2)).missing == {"s": "open"}
    assert recaller.breakers["a"].failures == 0


@pytest.mark.parametrize("workers", [None, 2])
def test_bad_lists_are_failures(workers: Any) -> None:
    for bad in (Returning(None), Returning(NAN)):
        recaller = vr.Recaller(
            {"a": Fixed([1]), "bad": bad},
            on_error="skip",
            workers=workers,
            breaker=vr.CircuitBreaker(2, 1000.0),
        )
        missing = [stats_of(recaller.recall(BATCH, 2)).missing for _ in range(3)]
        assert missing == [{"bad": "error"}, {"bad": "error"}, {"bad": "open"}]


def test_late_calls_are_failures_but_not_those_of_hasty_requests(held: Held) -> None:
    breaker = vr.CircuitBreaker(2, 1000.0)
    for own, given, failures in ((1000.0, SOON, 0), (None, SOON, 1), (SOON, 1000.0, 1)):
        deadlines = None if own is None else {"held": own}
        recaller = vr.Recaller({"held": held}, deadlines=deadlines, breaker=breaker)
        assert stats_of(recaller.recall(BATCH, 2, deadline=given)).missing == {"held": "late"}
        assert recaller.breakers["held"].failures == failures


def test_calls_that_never_began_are_no_failures(held: Held) -> None:
    breaker = vr.CircuitBreaker(2, 1000.0)
    recaller = vr.Recaller({"held": held, "b": held}, workers=1, breaker=breaker)
    found = recaller.recall(BATCH, 2, deadline=SOON)
    assert stats_of(found).missing == {"held": "late", "b": "queued"}
    assert [recaller.breakers[name].failures for name in ("held", "b")] == [1, 0]


def test_one_request_is_the_trial(held: Held) -> None:
    clock = Clock()
    breaker = vr.CircuitBreaker(1, 10.0, clock)
    recaller = vr.Recaller({"held": held}, workers=2, breaker=breaker)
    assert stats_of(recaller.recall(BATCH, 2, deadline=SOON)).missing == {"held": "late"}
    held.wait_for(1)
    clock.now = 10.0
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(recaller.recall, BATCH, 2)
        held.wait_for(1)
        for _ in range(3):
            assert stats_of(recaller.recall(BATCH, 2)).missing == {"held": "open"}
        assert recaller.breakers["held"].state == "half_open"
        held.let_go.set()
        assert stats_of(trial.result()).missing == {}
    assert recaller.breakers["held"].state == "closed"


# --- what channels and callers see


def test_time_left() -> None:
    left: list[float] = []

    class Asking(Fixed):
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            left.append(time_left())
            return super().recall(batch, k)

    class Nested(Asking):
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            vr.Recaller({"inner": Asking([1])}, workers=1).recall(batch, k, deadline=5000.0)
            return super().recall(batch, k)

    vr.Recaller({"a": Asking([1])}).recall(BATCH, 2)
    vr.Recaller({"a": Asking([1])}, workers=1).recall(BATCH, 2)
    vr.Recaller({"a": Asking([1])}, deadlines=300.0).recall(BATCH, 2, deadline=4000.0)
    vr.Recaller({"a": Nested([1])}).recall(BATCH, 2, deadline=1000.0)
    assert time_left() == np.inf
    assert left[:2] == [np.inf, np.inf]
    assert 240 < left[2] <= 300
    assert 940 < left[3] <= 1000
    assert 940 < left[4] <= left[3]


def test_a_channel_has_the_context_of_the_caller() -> None:
    request_id = contextvars.ContextVar("request_id", default="none")
    seen = []

    class Reading(Fixed):
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            seen.append(request_id.get())
            request_id.set("of the channel")
            return super().recall(batch, k)

    recaller = vr.Recaller({"a": Reading([1]), "b": Reading([1])}, workers=1)
    for name in ("x", "y"):
        request_id.set(name)
        recaller.recall(BATCH, 2)
        assert request_id.get() == name
    assert seen == ["x", "x", "y", "y"]


def test_nothing_keeps_a_request_alive() -> None:
    """Without the garbage collector, which may come late: a batch may have megabytes."""
    recaller = vr.Recaller({"a": Fixed([1]), "b": Broken()}, on_error="skip", workers=2)
    gc.disable()
    try:
        for _ in range(3):
            batch = vr.RequestBatch(user_ids=[1, 2])
            gone = weakref.ref(batch)
            with pytest.warns(vr.ChannelWarning):
                found = recaller.recall(batch, 3, deadline=1000.0)
            assert stats_of(found).missing == {"b": "error"}
            del batch, found
            until(lambda ref=gone: ref() is None)  # type: ignore[misc]
    finally:
        gc.enable()


@pytest.mark.parametrize("options", [{}, {"workers": 2}])
def test_an_error_that_is_raised_keeps_no_request_alive(options: Any) -> None:
    recaller = vr.Recaller({"a": Fixed([1]), "b": Broken()}, **options)
    gc.disable()
    try:
        batch = vr.RequestBatch(user_ids=[1, 2])
        gone = weakref.ref(batch)
        try:
            recaller.recall(batch, 3)
        except KeyError:
            pass
        else:
            raise AssertionError("it raised nothing")
        del batch
        until(lambda: gone() is None)
    finally:
        gc.enable()


def test_copies_keep_the_settings() -> None:
    breaker = vr.CircuitBreaker(1, 1000.0)
    recaller = vr.Recaller(
        {"a": vr.channels.Precomputed.for_all([1])},
        workers=3,
        deadlines={"a": datetime.timedelta(seconds=2)},
        breaker=breaker,
    )
    permit = recaller._asker()._breakers["a"].admit()
    assert permit is not None
    recaller._asker()._breakers["a"].record(permit, "it broke")
    assert recaller.breakers["a"].state == "open"
    for made in (
        copy.copy(recaller),
        copy.deepcopy(recaller),
        pickle.loads(pickle.dumps(recaller)),
    ):
        assert (made._workers, made._deadlines, made._breaker) == (3, {"a": 2.0}, breaker)
        assert made.breakers["a"].state == "closed"
        assert stats_of(made.recall(BATCH, 2)).missing == {}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": 0}, ValueError, "workers: expected a whole number >= 1, got 0"),
        ({"workers": -2}, ValueError, "workers: expected a whole number >= 1, got -2"),
        ({"workers": True}, TypeError, "workers: expected a whole number >= 1, got True"),
        ({"workers": 2.0}, TypeError, "workers: expected a whole number >= 1, got float"),
        ({"workers": 5000}, ValueError, "workers: expected a whole number from 1 to 1024, got 50"),
        ({"deadlines": 0}, ValueError, "deadlines: expected a finite number > 0, got 0"),
        ({"deadlines": "1"}, TypeError, "deadlines: expected a number, got str"),
        ({"deadlines": [1.0]}, TypeError, "deadlines: expected a number, got list"),
        (
            {"deadlines": {"b": 1.0}},
            ValueError,
            r"deadlines: expected names of channels \('a'\), got 'b'",
        ),
        ({"deadlines": {"a": -1}}, ValueError, r"deadlines\['a'\]: expected a finite number > 0"),
        ({"deadlines": {"a": None}}, TypeError, r"deadlines\['a'\]: expected a number, got None"),
        ({"deadlines": {"a": True}}, TypeError, r"deadlines\['a'\]: expected a number, got bool"),
        ({"breaker": 5}, TypeError, "breaker: expected a CircuitBreaker, got int"),
        ({"breaker": True}, TypeError, "breaker: expected a CircuitBreaker, got bool"),
    ],
)
def test_bad_arguments(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        vr.Recaller({"a": Fixed([1])}, **options)


@pytest.mark.parametrize(
    ("deadline", "error", "message"),
    [
        (0, ValueError, "expected a finite number > 0, got 0"),
        (-0.5, ValueError, "expected a finite number > 0, got -0.5"),
        (np.inf, ValueError, "expected a finite number > 0, got inf"),
        (np.nan, ValueError, "expected a number, got NaN"),
        ("0.1", TypeError, "expected a number, got str"),
        (True, TypeError, "expected a number, got bool"),
        ({"a": 0.1}, TypeError, "expected a number, got dict"),
    ],
)
def test_bad_deadlines(deadline: Any, error: type[Exception], message: str) -> None:
    channel = Fixed([1])
    with pytest.raises(error, match=f"^deadline: {message}"):
        vr.Recaller({"a": channel}).recall(BATCH, 2, deadline=deadline)
    assert channel.asked == []
