"""The oracle: what the API promises, in plain NumPy float64. It shares no code with the package.

Vectors come in as finite or non-finite float32 arrays, already converted; ragged arguments as
sequences of sequences. Nothing here checks its input: the oracle only says what is right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

LANES = 8
STEP = 16384  # items at a time: 8 lanes of 16384 float64 are 1 MB, so they stay in the cache


class Lists(NamedTuple):
    """The result of a search."""

    ids: I64
    scores: F32
    counts: I32


class Groups(NamedTuple):
    """The result of a merge of groups."""

    ids: I64
    scores: F32
    counts: I32
    n_rows: I64
    best_row: I64


def to_float32(values: F64) -> F32:
    """One rounding to nearest; overflow is an infinity, -0 is +0."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = values.astype(np.float32)
    rounded[rounded == 0] = 0.0
    return rounded


def fold(lanes: F64) -> F64:
    """The eight accumulators into one sum, in the promised order."""
    a0, a1, a2, a3, a4, a5, a6, a7 = lanes
    total: F64 = ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7))
    return total


def products(query: F64, columns: F64) -> F64:
    """The sum of `q_j * x_j` for every item; `columns` is (d, n)."""
    lanes = np.zeros((LANES, columns.shape[1]))
    for j, q in enumerate(query):
        lanes[j % LANES] += q * columns[j]
    return fold(lanes)


def squared_differences(query: F64, columns: F64) -> F64:
    """The sum of `(q_j - x_j)^2` for every item; `columns` is (d, n)."""
    lanes = np.zeros((LANES, columns.shape[1]))
    for j, q in enumerate(query):
        e = q - columns[j]
        lanes[j % LANES] += e * e
    return fold(lanes)


def squares(columns: F64) -> F64:
    """The sum of `x_j^2` for every item; `columns` is (d, n)."""
    lanes = np.zeros((LANES, columns.shape[1]))
    for j, x in enumerate(columns):
        lanes[j % LANES] += x * x
    return fold(lanes)


def usable_rows(vectors: F32, metric: str) -> Bool:
    """Rows that can be scored: finite, and not zero under cosine."""
    finite: Bool = np.asarray(np.isfinite(vectors).all(axis=1))
    if metric == "cosine":
        finite &= vectors.any(axis=1)
    return finite


def scores(queries: F32, items: F32, metric: str = "ip", bias: F32 | None = None) -> F32:
    """The (nq, n) float32 scores; what a row that is not usable gets means nothing."""
    out = np.empty((len(queries), len(items)), np.float32)
    wide = queries.astype(np.float64)
    lengths = np.sqrt(squares(wide.T))
    with np.errstate(all="ignore"):
        for start in range(0, len(items), STEP):
            part = slice(start, start + STEP)
            columns = items[part].T.astype(np.float64, order="C")
            norms = np.sqrt(squares(columns))
            for i, query in enumerate(wide):
                if metric == "l2":
                    score = 0.0 - squared_differences(query, columns)
                else:
                    score = products(query, columns)
                if metric == "cosine":
                    score = score / (lengths[i] * norms)
                if bias is not None:
                    score = score + bias[part].astype(np.float64)
                out[i, part] = to_float32(score)
    return out


def padded(nq: int, k: int) -> Lists:
    """Lists with nothing in them yet."""
    ids = np.full((nq, k), -1, np.int64)
    return Lists(ids, np.full((nq, k), -np.inf, np.float32), np.zeros(nq, np.int32))


def best(row: F32, ids: I64, keep: Bool, k: int) -> I64:
    """The kept places in order: score descending, then id ascending; at most `k`."""
    places = np.flatnonzero(keep).astype(np.int64)
    order = np.lexsort((ids[places], -row[places]))
    return places[order[:k]]


def select(matrix: F32, ids: I64, k: int, keep: Bool | None = None) -> Lists:
    """The lists of a score matrix; `keep` (nq, n) says what may be in them."""
    out = padded(len(matrix), k)
    for i, row in enumerate(matrix):
        allowed = np.ones(len(row), np.bool_) if keep is None else keep[i]
        places = best(row, ids, allowed, k)
        out.ids[i, : len(places)] = ids[places]
        out.scores[i, : len(places)] = row[places]
        out.counts[i] = len(places)
    return out


def search(
    queries: F32,
    items: F32,
    k: int,
    *,
    ids: I64 | None = None,
    metric: str = "ip",
    bias: F32 | None = None,
    exclude: Sequence[Collection[int]] | None = None,
    allow: Sequence[Collection[int]] | None = None,
    min_score: float | None = None,
) -> Lists:
    """A search as `invalid="empty"` serves it, at build and at the query.

    `exclude` and `allow` hold one collection of ids for each query.
    """
    known = np.arange(len(items), dtype=np.int64) if ids is None else ids
    matrix = scores(queries, items, metric, bias)
    keep = usable_rows(queries, metric)[:, None] & usable_rows(items, metric)[None, :]
    for i in range(len(queries)):
        if exclude is not None:
            keep[i] &= ~np.isin(known, np.array(list(exclude[i]), np.int64))
        if allow is not None:
            keep[i] &= np.isin(known, np.array(list(allow[i]), np.int64))
    if min_score is not None:
        keep &= matrix.astype(np.float64) >= min_score
    return select(matrix, known, k, keep)


def rough_scores(queries: F64, items: F64, metric: str, bias: F32 | None) -> tuple[F64, F64]:
    """Scores by a matrix product, and how far a query's may be from those in the promised order.

    Either order is within (d + 8) * 2^-53 of the sizes of what is added; the margin is four times
    what both may be off.
    """
    lengths = np.sqrt((items * items).sum(axis=1))
    sizes = np.sqrt((queries * queries).sum(axis=1))
    margin = sizes * lengths.max()
    products = (2 * queries if metric == "l2" else queries) @ items.T
    if metric == "l2":
        margin = (sizes + lengths.max()) ** 2
        products -= lengths**2
        products -= (sizes**2)[:, None]
    elif metric == "cosine":
        margin = np.ones(len(queries))
        products /= lengths
        products /= sizes[:, None]
    if bias is not None:
        products += bias
        margin = margin + np.abs(bias).max()
    return products, margin * (queries.shape[1] + 8) * 2.0**-50


def search_many(
    queries: F32,
    items: F32,
    k: int,
    *,
    metric: str = "ip",
    bias: F32 | None = None,
    keep: Bool | None = None,
    min_score: float = -np.inf,
) -> Lists:
    """The same as `search`, for so many queries and items that not all can be scored exactly.

    Only what may be among the k best by a matrix product is: two scores that round to the same
    float32 lie within a spacing, at most 2^-23 of the score. Rows are finite and not zero, scores
    finite; `keep` (nq, n) says what may be in the lists.
    """
    out = padded(len(queries), k)
    wide = items.astype(np.float64)
    for start in range(0, len(queries), 30):
        rough, margins = rough_scores(
            queries[start : start + 30].astype(np.float64), wide, metric, bias
        )
        for i, (row, margin) in enumerate(zip(rough, margins.tolist(), strict=True), start):
            if keep is not None:
                row[~keep[i]] = -np.inf
            sample = row[:: max(1, len(row) // (500 * k))]  # its k-th best is no better than all's
            reached = max(float(np.partition(sample, -k)[-k]), min_score)
            if reached > -np.inf:
                reached -= 2 * margin + 2.0**-22 * abs(reached) + 2.0**-149
            rows = np.flatnonzero((row >= reached) & (row > -np.inf))
            weights = None if bias is None else bias[rows]
            exact = scores(queries[i : i + 1], items[rows], metric, weights)
            found = select(exact, rows, k, exact.astype(np.float64) >= min_score)
            out.ids[i], out.scores[i], out.counts[i] = (part[0] for part in found)
    return out


def merge_shards(results: Sequence[Lists], k: int) -> Lists:
    """The lists of disjoint shards into one."""
    nq = len(results[0].ids)
    out = padded(nq, k)
    for i in range(nq):
        entries = [
            (-float(r.scores[i, p]), int(r.ids[i, p])) for r in results for p in range(r.counts[i])
        ]
        for place, (minus, item) in enumerate(sorted(entries)[:k]):
            out.ids[i, place] = item
            out.scores[i, place] = -minus
            out.counts[i] = place + 1
    return out


def merge_groups(result: Lists, offsets: Sequence[int], k: int, how: str) -> Groups:
    """The rows of one search, joined by group: max or float64 sum in row order."""
    n_groups = len(offsets) - 1
    lists = padded(n_groups, k)
    out = Groups(
        *lists,
        n_rows=np.zeros((n_groups, k), np.int64),
        best_row=np.full((n_groups, k), -1, np.int64),
    )
    for g in range(n_groups):
        held: dict[int, list[tuple[float, int]]] = {}
        for row in range(offsets[g], offsets[g + 1]):
            for p in range(result.counts[row]):
                entry = (float(result.scores[row, p]), row)
                held.setdefault(int(result.ids[row, p]), []).append(entry)
        joined: list[tuple[float, int]] = []
        for item, entries in held.items():
            total = 0.0
            for score, _ in entries:
                total += score
            top = max(score for score, _ in entries)
            merged = to_float32(np.array([total if how == "sum" else top]))[0]
            joined.append((-float(merged), item))
        for place, (minus, item) in enumerate(sorted(joined)[:k]):
            out.ids[g, place] = item
            out.scores[g, place] = -minus
            out.counts[g] = place + 1
            out.n_rows[g, place] = len(held[item])
            out.best_row[g, place] = min(held[item], key=lambda entry: (-entry[0], entry[1]))[1]
    return out


def pool(
    table: F32,
    rows: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]] | None = None,
    *,
    mode: str = "sum",
    first: int | None = None,
    normalize: bool = False,
) -> F32:
    """Each row of numbers into one vector: float64 in entry order, one rounding."""
    out = np.zeros((len(rows), table.shape[1]))
    for i, row in enumerate(rows):
        given = [1.0] * len(row) if weights is None else [float(w) for w in weights[i]]
        valid = [(r, w) for r, w in zip(row, given, strict=True) if r != -1][:first]
        if not valid:
            continue
        if mode == "max":
            out[i] = table[[r for r, _ in valid]].astype(np.float64).max(axis=0)
        else:
            total = 0.0
            for r, w in valid:
                out[i] += w * table[r].astype(np.float64)
                total += w
            if mode == "mean":
                out[i] = out[i] / total if total != 0 else 0.0
        if normalize:
            norm = np.sqrt((out[i] * out[i]).sum())
            out[i] = out[i] / norm if norm > 0 else 0.0
    return to_float32(out)
