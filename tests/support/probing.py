"""The items that queries of an `IVFIndex` look at, by the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import reference

import vecrecall as vr

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def ranked(query: F32, centers: F32, spreads: F32, metric: str) -> I64:
    """The lists, best first: by the float64 score of their centers and spreads, then by number."""
    wide, columns = query.astype(np.float64), centers.T.astype(np.float64, order="C")
    if metric == "ip" and wide.any():
        wide = (wide / np.sqrt(reference.squares(wide[:, None]))).astype(np.float32).astype(float)
    with np.errstate(all="ignore"):
        if metric == "l2":
            score = 0.0 - reference.squared_differences(wide, columns)
        else:
            score = reference.products(wide, columns)
        if metric == "cosine":
            length = np.sqrt(reference.squares(wide[:, None]))
            score = score / (length * np.sqrt(reference.squares(columns)))
    score = np.where(np.isfinite(score), score, 0.0) + spreads.astype(np.float64)
    order: I64 = np.lexsort((np.arange(len(score)), -score)).astype(np.int64)
    return order


def within(index: vr.IVFIndex, queries: F32, probes: int) -> list[list[int]]:
    """The ids of the items that each query looks at: of its best lists, and of none."""
    centers, lists = index._assignment()
    ids = index.ids
    found = []
    for query in queries:
        best = ranked(query, centers, index.spreads, index.metric)[:probes]
        found.append(ids[np.isin(lists, [-1, *best.tolist()])].tolist())
    return found


def both(asked: dict[str, Any], looked_at: list[list[int]]) -> dict[str, Any]:
    """Filters as the oracle takes them, of queries that look at these items alone."""
    allow = asked.get("allow")
    if allow is None:
        return {**asked, "allow": looked_at}
    joined = [sorted(set(a) & set(b)) for a, b in zip(allow, looked_at, strict=True)]
    return {**asked, "allow": joined}
