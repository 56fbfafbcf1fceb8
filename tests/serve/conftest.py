"""A service in this process, for tests that need no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from service_client import Client


@pytest.fixture
def config(tmp_path: Path) -> Path:
    from served import write_system

    return write_system(tmp_path)


@pytest.fixture
def client(config: Path) -> Iterator[Client]:
    from service_client import Client  # which skips where packages are missing

    client = Client(config)
    yield client
    client.close()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One for all tests of a file that change nothing."""
    from served import write_system
    from service_client import Client

    client = Client(write_system(tmp_path_factory.mktemp("service")))
    yield client
    client.close()
