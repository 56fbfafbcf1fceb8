"""Fixtures that every test may use, and the comparison of results by their bits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

import vecrecall as vr

# The isa fixture is set once for all examples of a test, which is what is wanted.
settings.register_profile(
    "vecrecall",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("vecrecall")

Metric = Literal["ip", "l2", "cosine"]
METRICS: tuple[Metric, ...] = ("ip", "l2", "cosine")
ISAS = tuple(vr.available_isas())


@contextmanager
def forced_isa(name: str) -> Iterator[None]:
    """Run on one instruction set, and say so if another one runs."""
    before = vr.isa()
    vr.set_isa(name)
    try:
        assert vr.isa() == name
        yield
        assert vr.isa() == name
    finally:
        vr.set_isa(before)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set of this machine, forced."""
    with forced_isa(request.param):
        yield request.param


@pytest.fixture(params=[1, 2, 5], ids="threads{}".format)
def threads(request: pytest.FixtureRequest) -> int:
    """No thread beside the caller, as many as a small machine has, more than it has."""
    count: int = request.param
    return count


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator with a seed of the test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


def assert_same_float32(found: Any, expected: npt.NDArray[np.float32]) -> None:
    """Equal float32 arrays, bit for bit."""
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def assert_same_bits(result: Any, ids: Any, scores: Any, counts: Any) -> None:
    """A result has these ids and counts, and scores that are equal bit for bit."""
    assert result.ids.dtype == np.int64
    assert result.counts.dtype == np.int32
    assert result.ids.shape == ids.shape
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_array_equal(result.ids, ids)
    assert_same_float32(result.scores, scores)
