"""Fixtures that every test may use."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from comparison import ISAS, forced_isa
from hypothesis import HealthCheck, settings

# Threads of OpenMP, as FAISS and scikit-learn have them, wait by spinning and take the processor
# from other tests: those of FAISS take seven times as long. To be set before they are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# The isa fixture is set once for all examples of a test, which is what is wanted.
settings.register_profile(
    "vecrecall",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("vecrecall")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set of this machine, forced."""
    with forced_isa(request.param):
        yield request.param


@pytest.fixture(params=[1, 2, 5], ids="threads{}".format)
def threads(request: pytest.FixtureRequest) -> int:
    """No thread but the caller, as many as a small machine has, more than it has."""
    count: int = request.param
    return count


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator with a seed of the test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
