"""The timing of repeated calls in ``benchmarks.compare``."""

from __future__ import annotations

from itertools import count

from benchmarks.compare.workload import time_repeatedly


def test_one_call_at_least() -> None:
    calls = count(1)
    seconds, answer = time_repeatedly(lambda: next(calls), seconds=0)
    assert seconds >= 0
    assert answer == 1


def test_the_last_answer_of_many_calls() -> None:
    calls = count(1)
    seconds, answer = time_repeatedly(lambda: next(calls), seconds=0.01)
    assert seconds < 0.01
    assert answer > 1
    assert next(calls) == answer + 1
