"""Answers for users: from the bytes of requests to those of responses."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import vecrecall as vr

HISTORY = 20
"""A user's vector is made of so many latest items."""

DECAY = 0.9
"""In it an item weighs this much less than the next newer one."""

MAX_K = 1000
MAX_USERS = 1024
"""Bounds of one request; a scan is for no more users than that either."""


@dataclass(frozen=True)
class Recall:
    """A request for some users.

    Attributes
    ----------
    queries : ndarray of float32, shape (n, d)
        Zeros for a user of whom nothing is known.
    seen : Ragged of int
        What each user is not to get.
    k : int
    """

    queries: npt.NDArray[np.float32]
    seen: vr.Ragged
    k: int


def answers(index: vr.FlatIndex, bodies: list[bytes]) -> list[bytes | Exception]:
    """Answer requests by as few searches as may be.

    Parameters
    ----------
    index : FlatIndex
    bodies : list of bytes
        ``{"k", "vectors" or "history", "seen"}``, each field with a row per user: numbers, or ids
        of items, the latest first. Without ``seen`` the history is left out.

    Returns
    -------
    list of bytes or Exception
        ``{"ids", "scores"}``, a row per user; a TypeError or ValueError for a request that is
        something else.
    """
    found: list[bytes | Exception] = [ValueError()] * len(bodies)
    scan: list[tuple[int, Recall]] = []
    users = 0
    for place, body in enumerate(bodies):
        try:
            request = read(index, body)
        except (TypeError, ValueError) as error:
            found[place] = error
            continue
        if users + len(request.queries) > MAX_USERS:
            _search(index, scan, found)
            scan, users = [], 0
        scan.append((place, request))
        users += len(request.queries)
    _search(index, scan, found)
    return found


def read(index: vr.FlatIndex, body: bytes) -> Recall:
    """Read one request; a TypeError or ValueError says what is wrong with it."""
    fields = json_object(body, "k", "vectors", "history", "seen")
    if (fields.get("vectors") is None) == (fields.get("history") is None):
        raise ValueError("body: expected one of 'vectors' and 'history'")
    k = fields.get("k", 10)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MAX_K:
        raise ValueError(f"k: expected an integer from 1 to {MAX_K}, got {k!r}")
    vectors = fields.get("vectors")
    batch = vr.RequestBatch(
        vectors=None if vectors is None else {"users": numbers(vectors, "vectors", index.dim)},
        history=fields.get("history"),
        seen=fields.get("seen"),
    )
    if len(batch) > MAX_USERS:
        raise ValueError(f"body: expected at most {MAX_USERS} users, got {len(batch)}")
    if batch.history is None:
        none = vr.Ragged([], [0] * (len(batch) + 1))
        return Recall(batch.vectors["users"], none if batch.seen is None else batch.seen, k)
    seen = batch.history if batch.seen is None else batch.seen
    return Recall(user_vectors(index, batch.history), seen, k)


def user_vectors(index: vr.FlatIndex, history: vr.Ragged) -> npt.NDArray[np.float32]:
    """Sum the vectors of each user's latest items, newer ones weighing more.

    Items that the index does not have, or no longer, say nothing.
    """
    wanted = np.unique(history.values)
    while True:
        known = wanted[index.contains(wanted)]
        try:
            table = index.vectors(known)
            break
        except KeyError:  # one was removed in between
            continue
    rows = np.full(history.values.size, -1)
    is_known = np.isin(history.values, known)
    rows[is_known] = np.searchsorted(known, history.values[is_known])
    ages = np.arange(rows.size) - np.repeat(history.offsets[:-1], history.lengths)
    bags = vr.Ragged(rows, history.offsets)
    return vr.pool(table, bags, DECAY**ages, first=HISTORY, normalize=True)


def json_object(body: bytes, *names: str) -> dict[str, Any]:
    """Read a JSON object that has no other fields than those named."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"body: expected JSON, got {error}") from error
    if not isinstance(fields, dict):
        raise TypeError(f"body: expected an object, got {type(fields).__name__}")
    for name in fields:
        if name not in names:
            raise ValueError(f"body: expected fields among {', '.join(names)}, got {name!r}")
    return fields


def numbers(value: object, name: str, dim: int) -> npt.NDArray[np.float64]:
    """Make a matrix of JSON's rows of numbers; whole ones are numbers like others."""
    expected = f"rows of {dim} numbers"
    try:
        matrix = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected {expected}, got rows of others") from error
    if matrix.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected {expected}, got other values")
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise ValueError(f"{name}: expected {expected}, got shape {matrix.shape}")
    return matrix.astype(np.float64)


def _search(
    index: vr.FlatIndex, scan: list[tuple[int, Recall]], found: list[bytes | Exception]
) -> None:
    """Answer requests by one search: a shorter list is the head of a longer one."""
    if not scan:
        return
    requests = [request for _, request in scan]
    batch = vr.RequestBatch(
        vectors={"users": np.concatenate([r.queries for r in requests])},
        seen=vr.Ragged.from_lists([row for r in requests for row in r.seen]),
    )
    channel = vr.channels.UserToItem(index, vector="users")
    lists = channel.recall(batch, max(r.k for r in requests))
    row = 0
    for place, request in scan:
        end = row + len(request.queries)
        found[place] = _reply(lists, row, end, request.k)
        row = end


def _reply(lists: vr.SearchResult, row: int, end: int, k: int) -> bytes | Exception:
    counts = np.minimum(lists.counts[row:end], k).tolist()
    ids = [lists.ids[row + i, :n].tolist() for i, n in enumerate(counts)]
    scores = [lists.scores[row + i, :n].tolist() for i, n in enumerate(counts)]
    try:
        return json.dumps({"ids": ids, "scores": scores}, allow_nan=False).encode()
    except ValueError:
        return ValueError("vectors: expected scores that fit float32, got an overflow")
