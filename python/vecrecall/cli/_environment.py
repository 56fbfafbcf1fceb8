"""The words of the commands about the machine and the packages that they ran with."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from vecrecall._runtime import get_num_threads, isa


def version_of(package: str) -> str:
    """Return the version of a package, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def environment(versions: Mapping[str, str]) -> dict[str, object]:
    """Return versions, instruction set and threads of a run."""
    return {
        "python": platform.python_version(),
        **versions,
        "isa": isa(),
        "threads": get_num_threads(),
    }
