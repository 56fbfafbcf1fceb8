"""`vr.CircuitBreaker`: its states against a model, its log, and its use by many threads."""

from __future__ import annotations

import copy
import datetime
import logging
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecrecall as vr
from vecrecall.channels._breaker import ChannelBreaker


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Model:
    """The states as the documentation has them, by a list of all that has happened."""

    def __init__(self, failures: int, pause: float) -> None:
        self.failures, self.pause = failures, pause
        self.in_a_row = 0
        self.opened: float | None = None
        self.trial: object | None = None
        self.current: set[object] = set()  # calls whose outcome counts
        self.logged: list[int] = []

    def state(self, now: float) -> str:
        if self.opened is None:
            return "closed"
        over = now >= self.opened + self.pause
        return "half_open" if self.trial is not None or over else "open"

    def admit(self, now: float, call: object) -> bool:
        state = self.state(now)
        if state == "open" or self.trial is not None:
            return False
        if state == "half_open":
            self.trial = call
            self.current = set()
        self.current.add(call)
        return True

    def record(self, now: float, call: object, outcome: str) -> None:
        if call not in self.current:
            return
        self.current.remove(call)
        was_trial = self.trial is call
        if was_trial:
            self.trial = None
        if outcome == "not judged":
            return
        self.in_a_row = self.in_a_row + 1 if outcome == "failure" else 0
        if outcome == "failure" and (was_trial or self.in_a_row >= self.failures):
            self.opened, self.current = now, set()
            self.logged.append(logging.WARNING)
        elif was_trial:
            self.opened, self.current = None, set()
            self.logged.append(logging.INFO)


STEPS = st.lists(
    st.one_of(
        st.just(("admit",)),
        st.tuples(
            st.just("record"),
            st.integers(0, 9),
            st.sampled_from(["success", "failure", "failure", "not judged"]),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 4.0, 9.5, 10.0])),
    ),
    max_size=60,
)


@given(failures=st.integers(1, 4), steps=STEPS)
def test_the_states_are_those_of_the_model(
    caplog: pytest.LogCaptureFixture, failures: int, steps: list[Any]
) -> None:
    caplog.set_level(logging.INFO, "vecrecall")
    caplog.clear()
    clock = Clock()
    breaker = ChannelBreaker("c", vr.CircuitBreaker(failures, 10.0, clock))
    model = Model(failures, 10.0)
    permits: list[tuple[object, int]] = []
    for step in steps:
        if step[0] == "wait":
            clock.now += step[1]
        elif step[0] == "admit":
            call, permit = object(), breaker.admit()
            assert (permit is not None) == model.admit(clock.now, call)
            if permit is not None:
                permits.append((call, permit))
        elif permits:
            call, permit = permits.pop(step[1] % len(permits))
            failure = "it broke" if step[2] == "failure" else None
            breaker.record(permit, failure, judged=step[2] != "not judged")
            model.record(clock.now, call, step[2])
        state = breaker.state()
        assert (state.state, state.failures) == (model.state(clock.now), model.in_a_row)
        if state.state == "open":
            assert model.opened is not None
            assert state.retry_in == pytest.approx(model.opened + 10.0 - clock.now, abs=1e-9)
        else:
            assert state.retry_in == 0
    assert [record.levelno for record in caplog.records] == model.logged


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vecrecall")
    clock = Clock()
    breaker = ChannelBreaker("i2i", vr.CircuitBreaker(2, 30.0, clock))
    for _ in range(2):
        breaker.record(breaker.admit() or 0, "KeyError: 7")
    for _ in range(5):
        assert breaker.admit() is None
    clock.now += 30
    trial = breaker.admit()
    assert trial is not None
    breaker.record(trial, None)
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        (
            "vecrecall",
            "channel 'i2i' is left out for 30 s after 2 failures in a row, the last: KeyError: 7",
        ),
        ("vecrecall", "channel 'i2i' is asked again: a trial succeeded"),
    ]


def test_a_percent_sign_in_an_error_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    breaker = ChannelBreaker("%s", vr.CircuitBreaker(1))
    breaker.record(breaker.admit() or 0, "ValueError: 100 %d")
    assert "channel '%s'" in caplog.text
    assert caplog.text.rstrip().endswith("ValueError: 100 %d")


@pytest.mark.parametrize("threads", range(1, 9))
def test_one_trial_among_threads(threads: int) -> None:
    clock = Clock()
    breaker = ChannelBreaker("c", vr.CircuitBreaker(1, 1.0, clock))
    breaker.record(breaker.admit() or 0, "it broke")
    start = threading.Barrier(threads)

    def admit() -> int | None:
        start.wait()
        return breaker.admit()

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(20):
            clock.now += 1.0
            found = [f.result() for f in [pool.submit(admit) for _ in range(threads)]]
            permits = [permit for permit in found if permit is not None]
            assert len(permits) == 1
            breaker.record(permits[0], "still broken")
    assert breaker.state() == vr.BreakerState("open", 21, 1.0)


@pytest.mark.parametrize("threads", [2, 8])
def test_no_failure_of_a_thread_is_lost(threads: int) -> None:
    each = 200
    breaker = ChannelBreaker("c", vr.CircuitBreaker(threads * each + 1))
    start = threading.Barrier(threads)

    def fail() -> None:
        start.wait()
        for _ in range(each):
            permit = breaker.admit()
            assert permit is not None
            breaker.record(permit, "it broke")

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(fail) for _ in range(threads)]:
            done.result()
    assert breaker.state() == vr.BreakerState("closed", threads * each, 0.0)


def test_settings() -> None:
    settings = vr.CircuitBreaker()
    assert (settings.failures, settings.pause, settings.clock) == (5, 30.0, time.monotonic)
    for pause in (2, 2.0, datetime.timedelta(seconds=2), np.timedelta64(2, "s"), np.float32(2)):
        given = vr.CircuitBreaker(np.int64(3), pause)  # type: ignore[arg-type]
        assert (given.failures, given.pause) == (3, 2.0)
        assert (type(given.failures), type(given.pause)) == (int, float)
    assert vr.CircuitBreaker(3, 2) == vr.CircuitBreaker(failures=3, pause=2.0)
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"failures": 0}, ValueError, "failures: expected a whole number >= 1, got 0"),
        ({"failures": True}, TypeError, "failures: expected a whole number >= 1, got True"),
        ({"failures": 2.0}, TypeError, "failures: expected a whole number >= 1, got float"),
        ({"pause": 0}, ValueError, "pause: expected a finite number > 0, got 0"),
        ({"pause": -1.0}, ValueError, "pause: expected a finite number > 0, got -1"),
        ({"pause": np.nan}, ValueError, "pause: expected a number, got NaN"),
        ({"pause": np.inf}, ValueError, "pause: expected a finite number > 0, got inf"),
        ({"pause": "30"}, TypeError, "pause: expected a number, got str"),
        ({"pause": None}, TypeError, "pause: expected a number, got NoneType"),
        ({"clock": 3.0}, TypeError, "clock: expected a function that returns seconds, got float"),
    ],
)
def test_bad_settings(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        vr.CircuitBreaker(**options)
