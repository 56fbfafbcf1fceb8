"""Random damage of pickles: an error that says what is wrong, or an object that can be used.

`VECRECALL_FUZZ_ROUNDS` and `VECRECALL_FUZZ_SEED` make it longer or different.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import ISAS, METRICS, forced_isa
from fuzzing import Rng, chance, pick
from hostile_files import Array, random_values, resized, use_everything
from pickles import moved, taken_apart

import vecrecall as vr

ROUNDS = int(os.environ.get("VECRECALL_FUZZ_ROUNDS", "3000")) // 6
SEED = int(os.environ.get("VECRECALL_FUZZ_SEED", "1"))
# From this many items on, rows whose lengths differ much are kept by length.
ORDERED = 7 * 2048 + 1
NO_ARRAYS: list[Any] = [None, 3, "rows", b"1234", [1.0, 2.0], {}, np.float32(1), object()]


class Sent:
    """A state on its way to an object of a class."""

    def __init__(self, kind: type, state: Any) -> None:
        self.of = kind, state

    def __reduce__(self) -> Any:
        kind, state = self.of
        return empty, (kind,), state


def empty(kind: type) -> Any:
    return kind.__new__(kind)


def an_index(rng: Rng, d: int | None = None) -> vr.FlatIndex:
    d = int(rng.integers(1, 20)) if d is None else d
    n = int(pick(rng, (0, 1, 5, 64, 300, 300, 2049))) if chance(rng, 0.97) else ORDERED
    return vr.FlatIndex(
        rng.standard_normal((n, d)) * (rng.pareto(1.5, (n, 1)) + 0.1),
        rng.permutation(3 * n)[:n] if chance(rng, 0.6) else None,
        metric=pick(rng, METRICS),
        bias=rng.standard_normal(n) if chance(rng, 0.5) else None,
    )


def a_table(rng: Rng) -> vr.NeighborTable:
    lengths = rng.integers(0, 9, int(rng.integers(0, 60)))
    offsets = np.concatenate([[0], lengths.cumsum()])
    ids = vr.Ragged(rng.integers(0, 200, offsets[-1]), offsets)
    scores = vr.Ragged(rng.random(offsets[-1]).astype(np.float32), offsets)
    return vr.NeighborTable(rng.permutation(900)[: lengths.size], ids, scores)


def a_feed(rng: Rng) -> vr.ClusterFeed:
    feed = vr.ClusterFeed(3, half_life=5, capacity=9, history=2, max_users=4)
    n = int(rng.integers(0, 80))
    clicks = (rng.integers(0, 3, n), rng.integers(0, 20, n), rng.random(n))
    feed.observe(*clicks, users=rng.integers(-1, 9, n))
    return feed


def groups_of(rng: Rng) -> vr.UserGroups:
    users = rng.standard_normal((50, 4))
    return vr.UserGroups.fit(users, 5, metric=pick(rng, ["l2", "cosine"]), max_iter=2)


def a_recaller(rng: Rng) -> vr.Recaller:
    index, table, of = an_index(rng, 7), a_table(rng), vr.channels
    x = rng.standard_normal((9, 7)).astype(np.float32)
    by_vector = of.UserToItem(index, vector="v")
    channels: dict[str, Any] = {
        "vector": by_vector,
        "tags": of.CrossTag(index, x),
        "table": of.ItemToItem(table),
        "live": of.ItemToItem(of.LiveNeighbors(index, vectors=x, ids=rng.permutation(9))),
        "candidates": of.ClusterCandidates(index, x[:2], n_candidates=30),
        "group": of.GroupProfile(by_vector, vr.RequestBatch(vectors={"v": x[:2]})),
        "mine": of.Precomputed([3, 1], [[4, 5, 6], [7]], default_ids=[1, 2]),
        "feed": of.ClusterFeedChannel(a_feed(rng), now=1),
    }
    names = sorted(channels)[: int(rng.integers(1, 9))]
    ids = rng.permutation(300)[:40]
    caps = vr.Caps(ids, ids % 3, 4)
    return vr.Recaller({n: channels[n] for n in names}, vr.policies.RRF(), caps=caps)


def use_recaller(recaller: vr.Recaller, rng: Rng, folder: Path) -> None:
    batch = vr.RequestBatch(
        user_ids=[3, 4], history=[[1, 2], [3]], tags=[[0, 1], [2]], tag_groups=[[0, 1], [0]],
        vectors={"v": rng.standard_normal((2, 7))}, clusters=[[0, 1], [1]], seen=[[5], []],
    )  # fmt: skip
    for channel in recaller._channels.values():
        with contextlib.suppress(IndexError, TypeError, ValueError):
            channel.recall(batch, 9)
    with contextlib.suppress(IndexError, TypeError, ValueError):
        recaller.recall(batch, 9)


def use_table(table: vr.NeighborTable, rng: Rng, folder: Path) -> None:
    batch = vr.RequestBatch(history=[table.items[:5], [3]], seen=[table.items[:2], []])
    vr.channels.ItemToItem(table).recall(batch, 5)
    with contextlib.suppress(ValueError):  # of ids that are not among the items
        table.reweighted({"heat": np.ones(len(table))})


def use_feed(feed: vr.ClusterFeed, rng: Rng, folder: Path) -> None:
    feed.observe([0, 1], [5, 6], [1.0, 2.0], users=[3, 4])
    feed.top(np.arange(feed.n_clusters)[:9], 30, 3.0)
    feed.related([0, 1], [5, 6], 9, 3.0)


def use_groups(groups: vr.UserGroups, rng: Rng, folder: Path) -> None:
    users = rng.standard_normal((50, groups.centers.shape[1]))
    if groups.labels_in_use.size:
        groups.assign(users, groups.labels_in_use.size)
    groups.merge_small(3)
    groups.profile(users, np.zeros(50, int))


Use = Callable[[Any, Rng, Path], None]
MAKE: dict[type, tuple[Callable[[Rng], Any], Use]] = {
    vr.FlatIndex: (an_index, use_everything),
    vr.NeighborTable: (a_table, use_table),
    vr.Recaller: (a_recaller, use_recaller),
    vr.ClusterFeed: (a_feed, use_feed),
    vr.UserGroups: (groups_of, use_groups),
}


def laid_otherwise(rng: Rng, array: Array) -> Any:
    """The same values as another kind of array, or none."""
    match int(rng.integers(7)):
        case 0:
            return array.astype(object)
        case 1:
            return array.astype(array.dtype.newbyteorder())
        case 2:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case 3:
            return np.asfortranarray(array)
        case 4:
            return np.ma.array(array, mask=True)
        case 5:
            return array.view([("x", array.dtype)]) if array.size else array
        case _:
            return pick(rng, NO_ARRAYS)


def damaged(rng: Rng, array: Array) -> Any:
    """Other values, shapes, types, layouts."""
    if array.dtype.kind not in "fiu":
        return None  # it was damaged before
    if chance(rng, 0.4) and array.size:
        array = np.array(array)
        n = int(pick(rng, [1, 1, 3, array.size]))
        array.flat[rng.integers(0, array.size, n)] = random_values(rng, array, n)
        return array
    with np.errstate(all="ignore"):
        return resized(rng, array) if chance(rng, 0.5) else laid_otherwise(rng, array)


def damage_state(rng: Rng, x: Any) -> bytes:
    """Another state of an index or a feed: arrays damaged, left out, exchanged, added."""
    state = x.__getstate__()
    arrays: dict[Any, Any] = dict(state["arrays"])
    for _ in range(rng.integers(1, 3)):
        name = pick(rng, sorted(arrays))
        match int(rng.integers(7)):
            case 0:
                del arrays[name]
            case 1:
                other = pick(rng, sorted(arrays))
                arrays[name], arrays[other] = arrays[other], arrays[name]
            case 2:
                arrays["other"] = arrays[name]
                if chance(rng, 0.2):
                    arrays[7] = arrays.pop("other")
                    break
            case _:
                if isinstance(arrays[name], np.ndarray):
                    arrays[name] = damaged(rng, arrays[name])
        if not arrays:
            break
    state["arrays"] = arrays
    if chance(rng, 0.1):
        key = pick(rng, sorted(state))
        state[key] = pick(rng, [None, 3, "ip", "l2", [], {}, -1, 2**31, 1.5, np.arange(3)])
    if chance(rng, 0.05):
        state = pick(rng, [7, [1], "state", {1: 2}, {"arrays": {}}])
    kind = type(x)
    return pickle.dumps(Sent(kind, state), pick(rng, [2, 4, 5]))


def damage_buffers(rng: Rng, x: Any) -> Any:
    """Other bytes in place of the buffers that were sent, or other lengths of memory."""
    data, sent = taken_apart(x)
    buffers: list[Any] = list(moved(sent))
    for _ in range(rng.integers(1, 4)):
        if not buffers:
            break
        at = int(rng.integers(len(buffers)))
        one = buffers[at]
        match int(rng.integers(7)):
            case 0:
                buffers[at] = one[: int(rng.integers(0, len(one) + 1))]
            case 1:
                buffers[at] = np.concatenate([one, one, np.zeros(8, np.uint8)])
            case 2:
                buffers[at] = np.frombuffer(rng.bytes(len(one)), np.uint8)
            case 3:
                buffers[at] = moved([memoryview(one)], int(rng.integers(1, 64)))[0]
            case 4:
                buffers[at], buffers[0] = buffers[0], one
            case 5:
                changed = np.frombuffer(one, np.uint8).copy()
                if changed.size:
                    changed[rng.integers(changed.size)] ^= np.uint8(1 << rng.integers(8))
                buffers[at] = changed
            case _:
                del buffers[at]
    return data, buffers


def arrived(rng: Rng, x: Any) -> Any:
    """The result of a damaged pickle: an object, or None and an error that was right."""
    in_state = hasattr(x, "_restore") and chance(rng, 0.6)
    data, buffers = (damage_state(rng, x), []) if in_state else damage_buffers(rng, x)
    try:
        return pickle.loads(data, buffers=buffers)
    except (ValueError, TypeError, pickle.UnpicklingError) as error:
        message = f"{type(error).__name__}: {error}"
    # NumPy makes arrays of buffers, and says what it says of those that do not suit it.
    assert not in_state or "expected" in message, message
    return None


@pytest.mark.parametrize("kind", MAKE, ids=lambda kind: kind.__name__)
def test_random_damage(kind: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, use = MAKE[kind]
    used = refused = 0
    for round_ in range(ROUNDS):
        print(f"seed {SEED}, round {round_}")
        rng = np.random.default_rng([SEED, round_])
        with forced_isa(pick(rng, ISAS)):
            x = arrived(rng, make(rng))
            if x is not None:
                assert type(x) is kind
                use(x, rng, tmp_path / str(round_))
        used, refused = used + (x is not None), refused + (x is None)
        capsys.readouterr()  # keep the last round only
    assert used >= ROUNDS // 10
    assert refused >= ROUNDS // 10
