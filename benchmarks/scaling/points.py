"""The points that are measured: one axis at a time, around a base point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CENTROIDS, LISTS, BAG = 500, 8, 20


class Point(NamedTuple):
    """The size of a workload.

    `n` is the number of items, points, or rows of the table; `batch` of queries, users or bags.
    """

    workload: str
    n: int = 1_000_000
    d: int = 64
    k: int = 100
    batch: int = 256
    threads: int = 2

    def data_bytes(self) -> int:
        """Return the size of the data, in float32 or int64."""
        if self.workload == "merge":
            return self.batch * LISTS * self.k * 12
        return 4 * self.n * self.d + (8 * BAG * self.batch if self.workload == "pool" else 0)

    def need_bytes(self) -> int:
        """Estimate the memory in total: the data, codes, in some workloads a copy."""
        indexed = {"search": self.n * (self.d + 32), "build": self.n * (5 * self.d + 32)}
        results = 16 * self.batch * (self.k if self.workload != "pool" else self.d)
        return self.data_bytes() + indexed.get(self.workload, 0) + results + (256 << 20)

    def limit_seconds(self, limits: Mapping[str, float]) -> float:
        """Return the least time that the measured limits allow; 0 if none applies."""
        products, reads = self._least()
        return max(products / limits["int8"], reads / limits["read"]) / 1e9

    def binds(self, limits: Mapping[str, float]) -> str:
        """Return the name of the limit that applies."""
        products, reads = self._least()
        if products / limits["int8"] >= reads / limits["read"]:
            return "int8" if products else ""
        return "read"

    def _least(self) -> tuple[int, int]:
        """Return multiply-adds in int8, and bytes read: codes, floats or rows, each once."""
        least = {
            "search": (self.n * self.d * self.batch, self.n * self.d),
            "assign": (self.n * self.d * CENTROIDS, 4 * self.n * self.d),
            "pool": (0, 4 * self.batch * BAG * self.d),
            "build": (0, 4 * self.n * self.d),
        }
        return least.get(self.workload, (0, 0))


class Axis(NamedTuple):
    """A field of a point, its values, and the largest expected exponent of time."""

    base: Point
    field: str
    values: tuple[int, ...]
    exponent: float
    sizes: bool = True  # whether a quick run divides the values

    def points(self) -> dict[int, Point]:
        base = self.base._asdict()
        return {value: Point(**{**base, self.field: value}) for value in self.values}

    def quick(self) -> Axis:
        base = self.base._replace(n=self.base.n // 50)
        values: tuple[int, ...] = (self.values[0], self.values[-1])
        if self.sizes:
            values = tuple(max(1, value // 100) for value in values)
        return self._replace(base=base, values=values)


def powers(first: int, last: int) -> tuple[int, ...]:
    """Return powers of ten, and the half powers in between."""
    return tuple(round(10 ** (half / 2)) for half in range(2 * first, 2 * last + 1))


SEARCH = Point("search")
WIDTHS = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
BATCHES = tuple(2**power for power in range(13))

AXES = {
    "n": Axis(SEARCH, "n", powers(4, 7), 1),
    "n-batch-1": Axis(SEARCH._replace(batch=1), "n", powers(4, 7), 1),
    "d": Axis(SEARCH, "d", WIDTHS, 1, sizes=False),
    "k": Axis(SEARCH, "k", powers(0, 3), 1, sizes=False),
    "batch": Axis(SEARCH, "batch", BATCHES, 1, sizes=False),
    "threads": Axis(SEARCH, "threads", (1, 2), -1, sizes=False),
    "assign": Axis(Point("assign"), "n", powers(4, 6), 1),
    "merge": Axis(Point("merge", n=0, k=200), "batch", BATCHES, 1, sizes=False),
    "pool": Axis(Point("pool"), "batch", powers(3, 6), 1),
    "build": Axis(Point("build"), "n", powers(4, 7), 1),
}
