"""The items and answers of an index that is updated, as a dict and the oracle have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import reference

import vecrecall as vr

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


INDEXES: list[type[vr.FlatIndex]] = [vr.FlatIndex, vr.IVFIndex]


def in_all(index: vr.FlatIndex) -> dict[str, Any]:
    """Options of a search that looks at every item, or proves that it need not."""
    return {"probes": "exact"} if isinstance(index, vr.IVFIndex) else {}


class Model:
    """The items of an index as a dict: a replaced one keeps its place, a removed one loses it."""

    def __init__(self, metric: str, dim: int) -> None:
        self.metric, self.dim = metric, dim
        self.items: dict[int, tuple[F32, np.float32]] = {}

    def put(self, vectors: F32, ids: I64, bias: F32 | None) -> None:
        extra = np.zeros(len(ids), np.float32) if bias is None else bias
        self.items.update(zip(ids.tolist(), zip(vectors, extra, strict=True), strict=True))

    def remove(self, ids: I64) -> None:
        for i in ids.tolist():
            self.items.pop(i, None)

    @property
    def ids(self) -> I64:
        return np.array(list(self.items), np.int64)

    @property
    def vectors(self) -> F32:
        return np.array([v for v, _ in self.items.values()], np.float32).reshape(-1, self.dim)

    @property
    def bias(self) -> F32:
        return np.array([b for _, b in self.items.values()], np.float32)

    def search(self, queries: F32, k: int, **filters: Any) -> reference.Lists:
        if not self.items:
            return reference.padded(len(queries), k)
        return reference.search(
            queries,
            self.vectors,
            k,
            ids=self.ids,
            metric=self.metric,
            bias=self.bias,
            **filters,
        )
