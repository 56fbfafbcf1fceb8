"""The machine of a measurement: limits, processor, versions, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import vecrecall._core as _core
from vecrecall._runtime import isa

ROUNDS = 5  # the best counts: other work on the machine can only slow a round down


class Limits(NamedTuple):
    """The most that all threads together can do, in billions per second.

    Attributes
    ----------
    float32, int8 : float
        Multiply-adds, by loops that touch registers only.
    read : float
        Bytes, by a loop that only reads memory.
    int8_vectors : float, optional
        Of an instruction set with a matrix unit, whose products ``int8`` are: those of its
        vectors.
    """

    float32: float
    int8: float
    read: float
    int8_vectors: float | None = None


class Machine(NamedTuple):
    """A machine, and the part of it that is used.

    Attributes
    ----------
    model : str
        Of the processor.
    cpus : int
    isa : str
        The instruction set that this package uses.
    threads : int
        Number of threads that are measured.
    limits : Limits
    """

    model: str
    cpus: int
    isa: str
    threads: int
    limits: Limits

    def describe(self) -> str:
        """Describe the machine in two sentences.

        Returns
        -------
        str
        """
        limits = self.limits
        products = describe_products(limits.float32, limits.int8, limits.int8_vectors)
        return (
            f"{self.model}, {self.cpus} CPUs, {self.isa}, {self.threads} threads. Limits, measured "
            f"now: {products}, {limits.read:.0f} GB/s read."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON data.

        Returns
        -------
        dict
        """
        return {**self._asdict(), "limits": self.limits._asdict()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Machine:
        """Make a machine from JSON data.

        Parameters
        ----------
        data : dict
            As `as_json` returned it.

        Returns
        -------
        Machine
        """
        return cls(**{**data, "limits": Limits(**data["limits"])})


def measure(threads: int) -> Machine:
    """Measure the limits, which takes a few seconds.

    Parameters
    ----------
    threads : int

    Returns
    -------
    Machine
    """
    return Machine(_model(), os.cpu_count() or 1, isa(), threads, limits(threads))


def limits(threads: int, rounds: int = ROUNDS) -> Limits:
    """Measure only the limits.

    Parameters
    ----------
    threads : int
    rounds : int, default: 5
        Number of rounds, of which the best counts.

    Returns
    -------
    Limits
    """
    products = [_core.product_limits(threads) for _ in range(rounds)]
    float32, int8, vectors = zip(*products, strict=True)
    return Limits(
        float32=max(float32),
        int8=max(int8),
        read=max(_core.read_limit(threads) for _ in range(rounds)),
        int8_vectors=max((v for v in vectors if v is not None), default=None),
    )


def describe_products(float32: float, int8: float, int8_vectors: float | None) -> str:
    """Describe limits of multiply-adds.

    Parameters
    ----------
    float32, int8 : float
    int8_vectors : float, optional
        As in `Limits`.

    Returns
    -------
    str
    """
    of_int8 = f"{int8:.0f} int8"
    if int8_vectors is not None:
        of_int8 += f" ({int8_vectors:.0f} without the matrix unit)"
    return f"{float32:.0f} float32 and {of_int8} billion multiply-adds per second"


def _model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """Return the version of an installed package.

    Parameters
    ----------
    package : str
        Its name. An empty name stands for Python itself.

    Returns
    -------
    str, optional
        None if it is not installed.
    """
    if not package:
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that are installed.

    Parameters
    ----------
    packages : iterable of str

    Returns
    -------
    dict
    """
    found = {name: version(name) for name in dict.fromkeys(packages) if name}
    return {name: text for name, text in found.items() if text is not None}


def resident() -> int | None:
    """Return the resident memory of this process.

    Returns
    -------
    int, optional
        Bytes. None where the system does not report it.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available() -> int | None:
    """Return the memory that is available.

    Returns
    -------
    int, optional
        Bytes. None where the system does not report it.
    """
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
