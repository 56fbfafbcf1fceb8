"""The steps of ``benchmarks.compare build``, and the answers that it accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import vecrecall as vr
from benchmarks.compare.workloads import build, build_peers
from vecrecall.cli.bench.peers import OURS


@pytest.fixture(autouse=True)
def same_threads_after() -> Iterator[None]:
    """Restore the threads, which workers set; they usually run in processes of their own."""
    before = vr.get_num_threads()
    yield
    vr.set_num_threads(before)


class Pipe:
    """A pipe with one task."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def recv(self) -> bool:
        return len(self.sent) < 2

    def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("step", build.STEPS)
def test_every_step_answers(step: str) -> None:
    pipe: Any = Pipe()
    build.worker(OURS, step, build.ItemSet(1000, 4), 0, 1, pipe)
    ready, (seconds, ids) = pipe.sent
    assert ready is None
    assert seconds > 0
    assert ids.shape == (build.QUERIES, build_peers.K)


def test_lists_that_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(self: Any, index: Any, queries: Any) -> Any:
        return index.search(queries, build_peers.K - 1).ids

    monkeypatch.setattr(build_peers.Vecrecall, "search", short)
    pipe: Any = Pipe()
    with pytest.raises(ValueError, match=r"^expected ids of shape \(16, 10\), got \(16, 9\)$"):
        build.worker(OURS, "build", build.ItemSet(1000, 4), 0, 1, pipe)
