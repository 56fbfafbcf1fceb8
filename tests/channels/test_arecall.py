"""`vr.Recaller.arecall`: the bits of `recall`, an event loop that goes on, work that stops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from channel_cases import (
    SECONDS,
    Broken,
    Echo,
    Fixed,
    Held,
    Polite,
    assert_equal_merges,
    world,
)
from datasets import normal
from test_recall_deadlines import SOON, at_rest, stats_of
from waiting import until

import vecrecall as vr
from vecrecall.channels import UserToItem

T = TypeVar("T")
BATCH = vr.RequestBatch(user_ids=[1, 2], seen=[[3], [10, 12]])


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a test, which ends although something hangs."""

    async def limited() -> T:
        return await asyncio.wait_for(main(), SECONDS)

    return asyncio.run(limited())


async def entered(channel: Held) -> None:
    while not channel.entered.acquire(blocking=False):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_the_bits_of_recall(rng: np.random.Generator, workers: Any) -> None:
    channels, batch = world(rng)
    expected = vr.Recaller(channels).recall(batch, 20)
    recaller = vr.Recaller(channels, workers=workers)

    async def main() -> list[vr.MergeResult]:
        calls = [recaller.arecall(batch, 20, deadline=d) for d in (None, 1000.0)]
        return list(await asyncio.gather(*calls, recaller.arecall(batch, 20)))

    for found in run(main):
        assert_equal_merges(found, expected)
        assert stats_of(found).missing == {}
        assert list(stats_of(found).seconds) == list(channels)
    assert run(lambda: recaller.arecall(batch, 20)).to_list() == expected.to_list()  # another loop


def test_many_requests_at_once() -> None:
    recaller = vr.Recaller({"a": Echo(), "b": Echo()}, workers=3)

    async def ask(user: int) -> None:
        found = await recaller.arecall(vr.RequestBatch(user_ids=[user]), 1)
        assert (found.ids.tolist(), found.channels.tolist()) == ([[user]], [[3]])

    async def main() -> None:
        await asyncio.gather(*map(ask, range(300)))

    run(main)
    until(lambda: at_rest(recaller))


def test_the_loop_goes_on_meanwhile() -> None:
    """The channel is let go by another task of the loop."""
    held = Held([5])
    recaller = vr.Recaller({"held": held, "a": Fixed([1])})

    async def main() -> vr.MergeResult:
        async def let_go() -> None:
            await entered(held)
            held.let_go.set()

        found, _ = await asyncio.gather(recaller.arecall(BATCH, 3), let_go())
        return found

    assert stats_of(run(main)).missing == {}


def test_deadlines() -> None:
    held = Held([5])
    recaller = vr.Recaller({"a": Fixed([1]), "held": held}, deadlines={"held": SOON}, workers=2)

    async def main() -> None:
        found = await recaller.arecall(BATCH, 3)
        assert (found.ids[0].tolist(), stats_of(found).missing) == ([1, -1, -1], {"held": "late"})
        none = await vr.Recaller({"held": held}).arecall(BATCH, 3, deadline=SOON)
        assert (none.counts.tolist(), stats_of(none).missing) == ([0, 0], {"held": "late"})

    run(main)
    held.let_go.set()
    until(lambda: at_rest(recaller))


@pytest.mark.parametrize("how", ["cancel", "wait_for", "gather"])
def test_canceling_stops_the_work(how: str) -> None:
    polite = Polite()
    recaller = vr.Recaller({"a": Fixed([1]), "polite": polite}, workers=2)

    async def fail() -> None:
        while not polite.begun.is_set():
            await asyncio.sleep(0.001)
        raise ZeroDivisionError

    async def main() -> None:
        task = asyncio.ensure_future(recaller.arecall(BATCH, 3))
        if how == "wait_for":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, SOON)
        else:
            with pytest.raises(ZeroDivisionError):
                await asyncio.gather(task, fail())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)
    assert not polite.begun.is_set() or polite.stopped.wait(SECONDS)
    until(lambda: at_rest(recaller))


def test_canceling_stops_a_search_in_the_core() -> None:
    """The search would take minutes: its call returns at all only because it is stopped."""
    index = vr.FlatIndex(normal(np.random.default_rng(1), 200_000, 64))
    users = vr.RequestBatch(vectors={"v": normal(np.random.default_rng(2), 100_000, 64)})
    begun = threading.Event()

    class Searching(UserToItem):
        def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
            begun.set()
            return super().recall(batch, k)

    recaller = vr.Recaller({"u2i": Searching(index, vector="v")}, workers=1)

    async def main() -> None:
        task = asyncio.ensure_future(recaller.arecall(users, 100))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    until(lambda: at_rest(recaller))


def test_a_canceled_request_says_nothing_about_a_channel() -> None:
    held = Held([5])
    now = [0.0]
    breaker = vr.CircuitBreaker(1, 10.0, lambda: now[0])
    recaller = vr.Recaller({"held": held}, workers=4, breaker=breaker)

    async def cancel() -> None:
        task = asyncio.ensure_future(recaller.arecall(BATCH, 3))
        await entered(held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel)
    assert recaller.breakers["held"] == vr.BreakerState("closed", 0, 0.0)
    assert stats_of(recaller.recall(BATCH, 3, deadline=SOON)).missing == {"held": "late"}
    held.wait_for(1)
    now[0] = 10.0
    run(cancel)  # the trial
    assert recaller.breakers["held"] == vr.BreakerState("half_open", 1, 0.0)
    held.let_go.set()
    assert stats_of(recaller.recall(BATCH, 3)).missing == {}
    assert recaller.breakers["held"].state == "closed"


def test_errors() -> None:
    channels = {"bad": Broken(), "a": Fixed([1])}

    async def main() -> None:
        with pytest.raises(KeyError, match="the model is not there"):
            await vr.Recaller(channels).arecall(BATCH, 3)
        with pytest.warns(vr.ChannelWarning, match="^channel 'bad' is left out: KeyError"):
            found = await vr.Recaller(channels, on_error="skip").arecall(BATCH, 3)
        assert stats_of(found).missing == {"bad": "error"}
        for batch, k, deadline in (([1], 3, None), (BATCH, 0, None), (BATCH, 3, 0)):
            with pytest.raises((TypeError, ValueError), match=r"^(batch|k|deadline): expected"):
                await vr.Recaller(channels).arecall(batch, k, deadline=deadline)  # type: ignore[arg-type]

    run(main)


def test_a_loop_that_is_closed_before_a_call_ends(capfd: pytest.CaptureFixture[str]) -> None:
    held = Held([5])
    recaller = vr.Recaller({"held": held}, workers=1)

    async def main() -> None:
        task = asyncio.ensure_future(recaller.arecall(BATCH, 3))
        await entered(held)
        task.cancel()

    begin = time.monotonic()
    run(main)
    assert time.monotonic() - begin < SECONDS / 2  # closing waits for no channel
    held.let_go.set()
    until(lambda: at_rest(recaller))
    assert capfd.readouterr().err == ""
