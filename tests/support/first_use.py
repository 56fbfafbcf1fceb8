"""Uses everything public for the first time, and prints which modules that imported.

A program of its own: what an interpreter has imported cannot be forgotten. A use of an optional
package is left out.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any
from uuid import UUID

import numpy as np

import vecrecall as vr

# These need optional packages, or an index of another library; the last is only a type.
LEFT_OUT = {
    *("AboveResult.to_arrow", "AboveResult.to_pandas"),
    *("elbow", "Elbow.plot", "Tuning.plot", "UserGroups.refresh"),
    *("Ragged.from_arrow", "Ragged.to_arrow", "Ragged.from_csr"),
    *("tune", "wrap", "WrappedIndex", "SearchableIndex"),
}

before = set(sys.modules)
used: set[CodeType] = set()


def note(frame: FrameType, event: str, argument: object) -> None:
    """Remember which functions have been called."""
    if event == "call":
        used.add(frame.f_code)


def refused(call: Any, *given: Any, **options: Any) -> None:
    """An error is a use too."""
    try:
        call(*given, **options)
    except (OSError, TypeError, ValueError, KeyError, ImportError):
        return
    raise AssertionError(call)


def use_index(folder: str) -> None:
    items = np.arange(400, dtype=np.float32).reshape(100, 4) % 7
    index = vr.FlatIndex(items, ids=range(5, 105), bias=np.ones(100))
    index.search(
        items, 3, exclude=[[7]] * 100, allow=index.mask([5, 6, 7, 8]), min_score=-9.0, stats=True
    )
    index.search(items, 3, allow=[~index.mask([5])] * 100, invalid="empty")
    mask = index.mask([5, 6])
    _ = (mask & ~mask, mask | mask, repr(mask), 5 in index, repr(index), index.dim, index.metric)
    half = vr.FlatIndex(items + np.float32(0.1), dtype="bfloat16")
    half.add(items[:1])
    _ = (half.dtype, half.rounding, repr(half), half.search(items, 3), half.vectors([5]))
    _ = (len(index), index.ids, index.nbytes)
    index.contains([5, 4])
    index.search_above(items, 3.0, limit=2, exclude=[[7]] * 100, allow=[5, 6]).to_list()
    index.score(items[:1], [[5, 1]])
    index.vectors([5])
    index.add(items[:1], [600])
    index.add(items[:1])
    index.update(items[:3], [5, 500, 501])
    index.remove([500])
    index.compact()
    index.neighbors(2)
    index.neighbors(2, path=folder + "/neighbors")
    index.neighbors(2, path=folder + "/neighbors")
    index.save(folder + "/index")
    for mmap in (True, False):
        for verify in (True, False):
            vr.FlatIndex.load(folder + "/index", mmap=mmap, verify=verify)
    with vr.ReloadingIndex(folder + "/index", poll=100.0, check=len) as served:
        index.save(folder + "/index")
        served.refresh()
        served.search(items, 3)
        served.search_above(items, 3.0)
        _ = (served.version, served.age, served.since_check, served.loaded_at, served.stale)
        _ = (served.index, repr(served), served.ids, served.dim, served.metric, served.skipped)
        _ = (served.dtype, served.nbytes)
        _ = (len(served), 5 in served, served.contains([5]), served.vectors([5]), served.vocabulary)
        served.search(items, 3, allow=served.mask([5, 6]))
        served.score(items[:1], [[5, 1]])
        served.neighbors(2)
        for change in (served.add, served.update, served.remove, served.compact, served.save):
            refused(change)
        os.unlink(folder + "/index/manifest.json")  # noqa: PTH108
        refused(served.refresh)
    use_index_of_lists(items, folder)
    refused(vr.FlatIndex.load, folder)
    refused(vr.FlatIndex, [[1], [2, 3]])
    refused(vr.FlatIndex, [["a"]])
    refused(vr.FlatIndex, np.array([[np.nan]]))
    refused(index.vectors, [10**9])
    vr.topk(items, items, 2, metric="cosine")
    table = vr.NeighborTable.build(index, 2)
    vr.NeighborTable.load(folder + "/neighbors")
    _ = (table.reweighted({"heat": np.ones(len(table))}), repr(table))
    table.save(folder + "/table")
    vr.NeighborTable.load(folder + "/table", mmap=False, verify=True)
    sent((index, table, index.mask([5]), index.search(items, 2), vr.Caps([1], [2], 3)))


def use_index_of_lists(items: Any, folder: str) -> None:
    index = vr.IVFIndex(items, n_lists=5, progress=lambda done, total: None)
    _ = (index.probes, index.n_lists, index.stats, repr(index))
    index.tuned_for(items, 0.9)
    known = {"centers": index.centers, "spreads": index.spreads}
    vr.IVFIndex(items, **known, probes=2).search(items, 3)
    index.search(items, 3, probes=2, stats=True)
    index.search(items, 3, probes="exact")
    index.neighbors(2, probes=1, path=folder + "/near")
    index.add(items[:1])
    index.compact()
    index.compact(retrain=True)
    index.save(folder + "/lists")
    vr.IVFIndex.load(folder + "/lists")
    with vr.ReloadingIndex(folder + "/lists") as served:
        served.search(items, 3)
    refused(vr.FlatIndex.load, folder + "/lists")
    refused(index.search, items, 3, probes=0)
    refused(index.search, items, 3, probes="all")
    refused(vr.IVFIndex, items, progress=3)
    refused(vr.IVFIndex, items, n_lists=3, centers=items[:2])
    refused(index.tuned_for, items, 2.0)
    refused(index.tuned_for, items[:0], 0.5)


def sent(x: Any) -> None:
    """Send something to another process, and make copies of it."""
    pickle.loads(pickle.dumps(x, 4))  # below 3 Python itself imports a codec for bytes
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    pickle.loads(data, buffers=buffers)
    copy.deepcopy(copy.copy(x))


def use_vocabularies(folder: str) -> None:
    items = np.eye(3, dtype=np.float32)
    for keys in (
        ["a", "ä", "\ud800"],
        [b"a", b"b", b"c"],
        [1, 2, 3],
        [UUID(int=i) for i in range(3)],
    ):
        vocabulary = vr.Vocabulary(keys)
        vocabulary.add(keys[::-1])
        vocabulary.ids(np.array(keys), missing="ignore")
        _ = (list(vocabulary), keys[0] in vocabulary, repr(vocabulary), len(vocabulary))
        vocabulary.keys([2, -1])
        index = vr.FlatIndex(items)
        vocabulary.decode(index.search(items, 2, exclude=vocabulary.encode([keys[:1]] * 3)))
        index.save(f"{folder}/keyed {type(keys[0]).__name__}", vocabulary=vocabulary)
        _ = vr.FlatIndex.load(f"{folder}/keyed {type(keys[0]).__name__}", verify=True).vocabulary
        vocabulary.save(folder + "/vocabulary")
        vr.Vocabulary.load(folder + "/vocabulary", verify=True)
    refused(vr.Vocabulary, ["a", 1])
    refused(vr.Vocabulary, ["a", "a"])
    refused(vocabulary.ids, ["a"])
    refused(vocabulary.keys, [9])
    vr.Vocabulary(np.array(["ab", "c"]))


def use_lists() -> None:
    items = np.eye(6, dtype=np.float32)
    found = vr.FlatIndex(items).search(items, 3)
    lists = {"a": found, "b": found}
    caps = vr.Caps([0, 1, 2], [1, 2, 1], 1)
    assert caps.limit == 1
    for policy in (
        vr.policies.RRF(), vr.policies.Interleave(), vr.policies.Maximum(),
        vr.policies.WeightedSum({"a": 1.0, "b": 2.0}, "zscore"),
        vr.policies.Priority({"a": 2, "b": 1}), vr.policies.Quota({"a": 2.0, "b": 1.0}),
    ):  # fmt: skip
        vr.merge(lists, 3, policy, exclude=[[1]] * 6, caps=caps)
        repr(policy)
    vr.merge_shards([found], 3)
    vr.merge_groups(found, [0, 2, 6], 3)
    vr.recall_at_k(found.ids, found.ids, k=2)
    vr.hit_rate_at_k(found, [[1]] * 6)
    vr.ndcg_at_k(found, [[1, 2]] * 6, k=2, gains=[[3.0, 1.0]] * 6)
    vr.pool(items, [[0, 1], [2]], [[1.0, 2.0], [3.0]], normalize=True)
    vr.concat_blocks([items, items], [1.0, 2.0])
    rows = vr.Ragged.from_lists([[1, 2], []])
    _ = (rows[0], len(rows), list(rows), repr(rows), rows.lengths)
    vr.rule_groups([[7, 3], [7, 3], []], depth=2, min_size=2)


def use_channels() -> None:
    items = np.eye(6, dtype=np.float32)
    index = vr.FlatIndex(items)
    batch = vr.RequestBatch(
        user_ids=range(6), vectors={"user": items}, history=[[1, 2]] * 6,
        history_weights=[[1.0, 0.5]] * 6, seen=[[3]] * 6, tags=[[0, 1]] * 6,
        tag_weights=[[1.0, 2.0]] * 6, tag_groups=[[0, 1]] * 6, clusters=[[0]] * 6,
    )  # fmt: skip
    users = vr.RequestBatch(vectors={"user": items})
    feed = vr.ClusterFeed(2, half_life=1, capacity=5)
    of = vr.channels
    by_vector = of.UserToItem(index, vector="user")
    channels: dict[str, Any] = {
        "vector": by_vector,
        "tags": of.UserToItem(index, tag_table=items),
        "live": of.ItemToItem(of.LiveNeighbors(index)),
        "table": of.ItemToItem(vr.NeighborTable.build(index, 2)),
        "cross": of.CrossTag(index, items),
        "candidates": of.ClusterCandidates(index, items),
        "feed": of.ClusterFeedChannel(feed, now=10),
        "group": of.GroupProfile(by_vector, of.GroupProfile.pseudo_users(users, [0] * 6, 1)),
        "precomputed": of.Precomputed([7], [[30, 10, 20]], default_ids=[1, 2]),
        "all": of.Precomputed.for_all([5, 6], [9.0, 8.0]),
    }
    recaller = vr.Recaller(channels, vr.policies.RRF())
    recaller.recall(batch, 3, stats=True)
    serving = vr.Recaller(channels, workers=2, deadlines=500.0, breaker=vr.CircuitBreaker())
    serving.recall(batch, 3, deadline=500.0)
    _ = (serving.breakers, of.time_left())
    asyncio.run(serving.arecall(batch, 3))
    sent((recaller, batch))
    refused(by_vector.recall, vr.RequestBatch(user_ids=[1]), 3)


def use_clusters(folder: str) -> None:
    points = np.random.default_rng(1).standard_normal((60, 4)).astype(np.float32)
    model = vr.KMeans(3).fit(points)
    _ = (model.predict(points), model.transform(points), model.score(points), repr(model))
    model.set_params(**model.get_params())
    copy.deepcopy(pickle.loads(pickle.dumps(model)))
    vr.KMeans(3, init="random", batch_size=20).partial_fit(points)
    vr.KMeans(3, metric="cosine").fit_predict(points)
    vr.KMeans(3).fit_transform(points)
    refused(vr.KMeans(3).predict, points)
    near, _ = vr.assign(points, points[:3], sums=True)
    labels = near.labels.ravel()
    vr.from_residuals(vr.residuals(points, points[:3], labels), points[:3], labels)
    groups = vr.UserGroups.fit(points, 3)
    _ = (groups.assign(points), groups.sizes, groups.profile(points, groups.labels))
    groups.merge_small(2)
    groups.save(folder + "/groups")
    copy.deepcopy(pickle.loads(pickle.dumps(vr.UserGroups.load(folder + "/groups"))))


def use_feed(folder: str) -> None:
    feed = vr.ClusterFeed(2, half_life=np.timedelta64(1, "D"), capacity=5)
    feed.observe([0, 1], [4, 5], [0, 0], users=[1, 1])
    feed.observe([0], [4], np.array(["2026-01-01"], "datetime64[s]"), weights=[2.0])
    feed.top([0], 3, now=np.datetime64("2026-01-02"))
    feed.related([0], [4], 3, now=0)
    _ = (feed.n_clusters, feed.half_life, feed.capacity, feed.history, feed.max_users, repr(feed))
    feed.save(folder + "/feed")
    vr.ClusterFeed.load(folder + "/feed")
    sent(feed)


def use_results() -> None:
    items = np.arange(40, dtype=np.float32).reshape(10, 4)
    found = vr.topk(items, items, 3, metric="l2")
    grouped = vr.merge_groups(found, [0, 4, 10], 3)
    merged = vr.merge({"a": found}, 3, vr.policies.RRF())
    for result in (found, grouped, merged):
        _ = (len(result), result[0], result[1:], list(result), repr(result), result == result[:2])
        _ = (result.to_list(), repr(result[0]), copy.deepcopy(result))
        _ = (result[0].to_list(), result[0][0], result[0][1:], result[0] == result[1])
        pickle.loads(pickle.dumps((result, result[0])))
    found.distances(squared=True)


def use_runtime() -> None:
    vr.set_num_threads(vr.get_num_threads())
    vr.set_isa(vr.isa())
    vr.available_isas()
    vr.unavailable_isas()


def main() -> None:
    sys.setprofile(note)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use_index(folder)
        use_vocabularies(folder)
        use_lists()
        use_channels()
        use_clusters(folder)
        use_feed(folder)
        use_results()
        use_runtime()
    sys.setprofile(None)
    print("imported", *sorted(set(sys.modules) - before))
    print("unused", *sorted(unused()))


def unused() -> Iterator[str]:
    """List the public functions and methods that were not called."""
    for space, module in (("", vr), ("channels.", vr.channels), ("policies.", vr.policies)):
        for name in module.__all__:
            what = getattr(module, name)
            if space + name in LEFT_OUT:
                continue
            if inspect.isfunction(what) and what.__code__ not in used:
                yield space + name
            elif inspect.isclass(what):
                for member, raw in vars(what).items():
                    call = raw.fget if isinstance(raw, property) else getattr(raw, "__func__", raw)
                    public = not member.startswith("_")
                    if not public or not inspect.isfunction(call) or call.__code__ in used:
                        continue
                    if f"{space}{name}.{member}" not in LEFT_OUT:
                        yield f"{space}{name}.{member}"


if __name__ == "__main__":
    main()
