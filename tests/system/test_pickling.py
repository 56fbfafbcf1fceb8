"""Every public object gets to another process, or says why not; its answers keep their bits."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import METRICS, Metric
from pickles import PICKLES, WAYS, behavior, plain

import vecrecall as vr
from vecrecall.storage import _array_folder

of = vr.channels
RNG = np.random.default_rng(5)
ITEMS = RNG.standard_normal((300, 8)).astype(np.float32)
IDS = RNG.permutation(300) + 7
BATCH = vr.RequestBatch(
    user_ids=[3, 4],
    history=[[9, 20], [30]],
    history_weights=[[1.0, 0.5], [2.0]],
    tags=[[0, 2], [1]],
    tag_weights=[[1.0, 3.0], [1.0]],
    tag_groups=[[0, 1], [0]],
    vectors={"v": ITEMS[:2]},
    clusters=[[0, 1], [1]],
    seen=[[8, 9], []],
)
LISTS: dict[str, Any] = {
    "a": ([[1, 2, 3]], [[3.0, 2.0, 1.0]]),
    "b": ([[1, 8, 9]], [[4.0, 1.0, 0.5]]),
}


FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    FOLDER[:] = [tmp_path / "index"]


class Doubled:
    """A channel of a user's own."""

    def __init__(self, index: vr.FlatIndex, mask: vr.Mask | None = None) -> None:
        self.index = index
        self.mask = mask

    def recall(self, batch: vr.RequestBatch, k: int) -> vr.SearchResult:
        return self.index.search(2 * batch.vectors["v"], k, allow=self.mask)


def an_index(**options: Any) -> vr.FlatIndex:
    return vr.FlatIndex(ITEMS, IDS, **options)


def a_feed() -> vr.ClusterFeed:
    feed = vr.ClusterFeed(2, half_life=10, capacity=20, history=3, max_users=4)
    n = np.arange(60)
    feed.observe(n % 2, n % 13, n * 0.75, users=n % 5, weights=1 + n % 3)
    return feed


def a_recaller() -> vr.Recaller:
    index = an_index()
    channels = {"u2i": of.UserToItem(index, vector="v"), "own": Doubled(index)}
    caps = [vr.Caps(IDS, IDS % 3, 2)]
    return vr.Recaller(
        channels,
        vr.policies.Interleave({"u2i": 2, "own": 1}),
        depth=7,
        caps=caps,
        workers=3,
        deadlines={"own": 500.0},
        breaker=vr.CircuitBreaker(failures=2),
    )


def a_reloading_index() -> vr.ReloadingIndex:
    an_index().save(FOLDER[0])
    return vr.ReloadingIndex(FOLDER[0], verify=True, allow_empty=True)


def merged(policy: vr.policies.Policy | None = None, **options: Any) -> Any:
    return vr.merge(LISTS, 4, policy or vr.policies.RRF(), **options)


def elbow() -> vr.Elbow:
    return vr.Elbow(np.arange(1, 4), np.array([9.0, 2.0, 1.5]), 2)


def assignment() -> Any:
    return vr.assign(ITEMS, ITEMS[:5], sums=True)


def refreshed() -> Any:
    return vr.UserGroups.fit(ITEMS, 4, random_state=1).refresh(ITEMS + ITEMS[::-1])


def a_wrapped_index() -> vr.WrappedIndex:
    faiss = pytest.importorskip("faiss")
    library = faiss.IndexFlatIP(8)
    library.add(ITEMS)
    return vr.wrap(library, IDS, vectors=ITEMS)


EXAMPLES: dict[type, Callable[[], Any]] = {
    vr.AboveResult: lambda: an_index().search_above(ITEMS[:3], 2.0),
    vr.Assignment: lambda: assignment()[0],
    vr.Caps: lambda: vr.Caps([4, 1, 2, 8], [70, -3, 70, 70], 1),
    vr.ChannelWarning: lambda: vr.ChannelWarning("a", 1),
    vr.ClusterFeed: a_feed,
    vr.ClusterSums: lambda: assignment()[1],
    vr.ConvergenceWarning: lambda: vr.ConvergenceWarning("a", 1),
    vr.Elbow: elbow,
    vr.FlatIndex: lambda: an_index(metric="l2", bias=IDS / 300),
    vr.GroupList: lambda: vr.merge_groups(an_index().search(ITEMS[:4], 3), [0, 1, 4], 3)[1],
    vr.GroupResult: lambda: vr.merge_groups(an_index().search(ITEMS[:4], 3), [0, 1, 4], 3),
    vr.IVFIndex: lambda: vr.IVFIndex(ITEMS, IDS, metric="l2", bias=IDS / 300, n_lists=9),
    vr.IVFStats: lambda: vr.IVFIndex(ITEMS, IDS, n_lists=9).stats,
    vr.KMeans: lambda: vr.KMeans(4, random_state=3, batch_size=50, max_iter=2).fit(ITEMS),
    vr.Mask: lambda: an_index().mask([8, 9, 10]),
    vr.MergeResult: merged,
    vr.MergedList: lambda: merged()[0],
    vr.NeighborTable: lambda: vr.NeighborTable.build(an_index(), 5),
    vr.Neighbors: lambda: an_index().neighbors(5),
    vr.NotFittedError: lambda: vr.NotFittedError("a", 1),
    vr.Ragged: lambda: vr.Ragged([1.5, 2.5, 3.5], [0, 2, 2, 3]),
    vr.RankedList: lambda: an_index().search(ITEMS[:3], 4)[2],
    vr.RecallStats: lambda: vr.RecallStats(
        {"a": 0.5}, {"a": IDS}, {"b": ValueError("x", 1)}, 0.25, {"b": "error"}
    ),
    vr.Recaller: a_recaller,
    vr.CircuitBreaker: lambda: vr.CircuitBreaker(failures=2, pause=4.5),
    vr.BreakerState: lambda: vr.BreakerState("open", 3, 0.5),
    vr.RefreshReport: lambda: refreshed()[1],
    vr.ReloadingIndex: a_reloading_index,
    vr.RequestBatch: lambda: BATCH,
    vr.RuleGroups: lambda: vr.rule_groups([[7, 3], [7, 3], [7], []], depth=2, min_size=1),
    vr.SearchResult: lambda: an_index().search(ITEMS[:3], 4),
    vr.SearchStats: lambda: vr.SearchStats(9, 3, "int8"),
    vr.Tuning: lambda: vr.tune(a_wrapped_index(), ITEMS[:9], 3, 0.9),
    vr.TuningPoint: lambda: vr.TuningPoint({"nprobe": 3}, 0.5, 0.25),
    vr.TuningWarning: lambda: vr.TuningWarning("a", 1),
    vr.UserGroups: lambda: refreshed()[0].merge_small(40),
    vr.Vocabulary: lambda: vr.Vocabulary(["b", "a", "ä"]),
    vr.WrappedIndex: a_wrapped_index,
    of.ClusterCandidates: lambda: of.ClusterCandidates(an_index(), ITEMS[:2]),
    of.ClusterFeedChannel: lambda: of.ClusterFeedChannel(a_feed(), now=50),
    of.CrossTag: lambda: of.CrossTag(an_index(), ITEMS[:3], tags_per_group=1),
    of.GroupProfile: lambda: of.GroupProfile(
        of.UserToItem(an_index(), vector="v"), vr.RequestBatch(vectors={"v": ITEMS[5:7]})
    ),
    of.ItemToItem: lambda: of.ItemToItem(vr.NeighborTable.build(an_index(), 5), decay=0.5),
    of.LiveNeighbors: lambda: of.LiveNeighbors(an_index(), n_neighbors=5, min_score=0.0),
    of.Precomputed: lambda: of.Precomputed([3, 9], [[5, 8, 6], [1]], default_ids=[8, 2]),
    of.UserToItem: lambda: of.UserToItem(an_index(), tag_table=ITEMS[:3]),
    vr.policies.AbsentWarning: lambda: vr.policies.AbsentWarning("a", 1),
    vr.policies.Interleave: lambda: vr.policies.Interleave({"a": 2, "b": 1}, "skip"),
    vr.policies.Maximum: lambda: vr.policies.Maximum({"a": 2, "b": 1}, "minmax", "min"),
    vr.policies.Priority: lambda: vr.policies.Priority({"a": 1, "b": 2}, "cumulative", False),
    vr.policies.Quota: lambda: vr.policies.Quota({"a": 3, "b": 1}, {"a": 1}, {"b": 2}),
    vr.policies.RRF: lambda: vr.policies.RRF({"a": 2, "b": 1}, 10),
    vr.policies.WeightedSum: lambda: vr.policies.WeightedSum({"a": 2, "b": 1}, "max", "zero"),
}
CANNOT = [vr.WrappedIndex, vr.Tuning]  # whose `index` is one


def public_classes() -> set[type]:
    named = {getattr(m, name) for m in (vr, of, vr.policies, vr.adapters) for name in m.__all__}
    for adapter in ("faiss", "hnswlib"):
        module = importlib.import_module(f"vecrecall.adapters.{adapter}")
        named |= {x for x in vars(module).values() if _is_own(x, module.__name__)}
    classes = {x for x in named if isinstance(x, type)}
    return {c for c in classes if not inspect.isabstract(c) and not getattr(c, "_is_protocol", 0)}


def _is_own(x: object, module: str) -> bool:
    return isinstance(x, type) and x.__module__ == module


def test_every_public_class_has_an_example() -> None:
    assert public_classes() == set(EXAMPLES)


def of_channel(channel: Any) -> Any:
    return plain([channel.recall(BATCH, 5), channel.recall(BATCH, 40)])


def of_groups(groups: vr.UserGroups) -> Any:
    fields = (groups.centers, groups.labels, groups.metric, groups.version, groups.sizes)
    assert not groups.centers.flags.writeable
    return plain([*fields, groups.labels_in_use, groups.assign(ITEMS, 2), *of_refresh(groups)])


def of_refresh(groups: vr.UserGroups) -> Any:
    new, report = groups.refresh(ITEMS[::-1])
    return new.centers, new.labels, report


def of_model(model: vr.KMeans) -> Any:
    found = [model.cluster_centers_, model.labels_, model.inertia_, model.n_iter_]
    return plain([*found, model.predict(ITEMS), copy.deepcopy(model).partial_fit(ITEMS).labels_])


def of_feed(feed: vr.ClusterFeed) -> Any:
    options = (feed.n_clusters, feed.half_life, feed.capacity, feed.history, feed.max_users)
    before = [feed.top([0, 1], 30, now) for now in (20, 50.5)]
    related = feed.related([0, 1], [2, 3], 9, 50)
    later = copy.deepcopy(feed)
    later.observe([0, 1, 1], [99, 2, 3], [46, 47, 48], users=[1, 8, 9])
    return plain([*options, *before, related, later.top([0, 1], 30, 60)])


def of_policy(policy: vr.policies.Policy) -> Any:
    return policy, hash(policy), repr(policy), plain(merged(policy))


def of_reloading(served: vr.ReloadingIndex) -> Any:
    return served.path, served.version, behavior(served.index, np.random.default_rng(1))


def of_tuning(tuning: vr.Tuning) -> Any:
    return tuning.setting, tuning.recall, plain(tuning.curve), of_wrapped(tuning.index)


def of_wrapped(index: vr.WrappedIndex) -> Any:
    return plain(index.search(ITEMS[:5], 4, exclude=[IDS[:3]] * 5))


ANSWERS: dict[type, Callable[[Any], Any]] = {
    vr.Caps: lambda caps: (caps.limit, plain(merged(caps=caps))),
    vr.ClusterFeed: of_feed,
    vr.FlatIndex: lambda index: behavior(index, np.random.default_rng(1)),
    vr.IVFIndex: lambda index: (
        behavior(index, np.random.default_rng(1)),
        index.probes,
        plain([*index.stats, index.search(ITEMS, 5, probes=2)]),
    ),
    vr.KMeans: of_model,
    vr.Mask: lambda mask: (repr(mask), plain(mask._ids)),
    vr.NeighborTable: lambda t: (plain([t.items, t.ids, t.scores]), of_channel(of.ItemToItem(t))),
    vr.Recaller: of_channel,
    vr.ReloadingIndex: of_reloading,
    vr.Tuning: of_tuning,
    vr.UserGroups: of_groups,
    vr.Vocabulary: lambda v: (list(v), v.ids(list(v)).tolist(), v.keys([2, -1, 0])),
    vr.WrappedIndex: of_wrapped,
    of.LiveNeighbors: lambda source: of_channel(of.ItemToItem(source)),
}


def answers(x: Any) -> Any:
    """Ask an object for all that it is there for."""
    if isinstance(x, vr.policies.Policy):
        return of_policy(x)
    if type(x) in ANSWERS:
        return ANSWERS[type(x)](x)
    return of_channel(x) if callable(getattr(x, "recall", None)) else plain(x)


@pytest.mark.parametrize(
    ("kind", "way"),
    [(k, way) for k in EXAMPLES for way in WAYS if k not in CANNOT or way not in PICKLES],
)
def test_answers_stay_the_same(kind: type, way: str) -> None:
    made = EXAMPLES[kind]()
    expected = answers(made)
    arrived = WAYS[way](made)
    assert isinstance(arrived, kind)
    assert answers(arrived) == expected
    assert answers(made) == expected


def test_answers_can_differ() -> None:
    assert answers(an_index()) != answers(an_index(metric="l2"))
    assert answers(vr.policies.RRF({"a": 2, "b": 1})) != answers(vr.policies.RRF())
    assert answers(of.Precomputed([3], [[5]])) != answers(of.Precomputed([3], [[6]]))
    assert answers(vr.SearchStats(1, 2, "int8")) != answers(vr.SearchStats(1, 3, "int8"))


@pytest.mark.parametrize("way", PICKLES)
@pytest.mark.parametrize("kind", CANNOT, ids=lambda kind: kind.__name__)
def test_what_cannot_be_pickled_says_what_to_do(kind: type, way: str) -> None:
    message = "pickle: expected an index of vecrecall, got one of faiss; save it as faiss does"
    with pytest.raises(TypeError, match=message):
        PICKLES[way](EXAMPLES[kind]())


# --- indexes

ORDERED = 7 * 2048 + 1  # from so many items on, rows whose lengths differ much are kept by length
KINDS = ("plain", "bias", "ids", "skipped", "borrowed", "updated", "loaded", "empty", "ordered")


def made(kind: str, metric: Metric, rng: np.random.Generator, folder: Path) -> vr.FlatIndex:
    """Make an index of every kind of arrays."""
    n = {"empty": 0, "ordered": ORDERED}.get(kind, 300)
    x = rng.standard_normal((n, 9)).astype(np.float32)
    if kind == "ordered":
        x *= rng.pareto(1.5, (n, 1)).astype(np.float32)
    if kind == "skipped":
        x[[2, 7]] = np.nan
    ids = rng.permutation(n) * 10**12 if kind in ("ids", "updated") else None
    index = vr.FlatIndex(
        x,
        ids,
        metric=metric,
        bias=rng.standard_normal(n) if kind == "bias" else None,
        copy=kind != "borrowed",
        invalid="skip" if kind == "skipped" else "raise",
    )
    if ids is not None and kind == "updated":
        index.add(x[:70] + 1, np.arange(1, 71), bias=rng.standard_normal(70))
        index.remove(ids[::50])
        index.update(x[:2] + 2, [3, 900])
    if kind == "loaded":
        index.save(folder)
        index = vr.FlatIndex.load(folder)
    return index


@pytest.mark.parametrize("way", ["protocol2", "protocol5", "out of band", "copy", "deepcopy"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_arrives_as_it_is(
    rng: np.random.Generator, tmp_path: Path, kind: str, metric: Metric, way: str
) -> None:
    index = made(kind, metric, rng, tmp_path)
    arrived = WAYS[way](index)
    seed = int(rng.integers(2**32))
    assert behavior(arrived, np.random.default_rng(seed)) == behavior(
        index, np.random.default_rng(seed)
    )
    index.compact()  # as the other one is
    queries = rng.standard_normal((20, 9)).astype(np.float32)
    for k in (1, 50):
        found = [i.search(queries, k, stats=True, threads=1)[1] for i in (index, arrived)]
        assert found[0] == found[1]


def change(index: vr.FlatIndex, seed: int) -> vr.FlatIndex:
    rng = np.random.default_rng(seed)
    index.update(rng.standard_normal((90, 9)), rng.permutation(400)[:90], bias=rng.random(90))
    index.remove(rng.permutation(index.ids)[:40])
    index.add(rng.standard_normal((5, 9)), seed * 10**15 + rng.permutation(5))
    return index


@pytest.mark.parametrize("way", ["protocol5", "out of band", "copy", "deepcopy"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_is_updated_by_itself(tmp_path: Path, kind: str, way: str) -> None:
    def fresh() -> vr.FlatIndex:
        return made(kind, "l2", np.random.default_rng(3), tmp_path)

    index = fresh()
    twin = WAYS[way](index)
    for first, second in ((index, twin), (twin, index)):
        change(first, 1)
        expected = behavior(second, np.random.default_rng(0))
        change(first, 2)
        first.compact()
        assert behavior(second, np.random.default_rng(0)) == expected
    for one in (index, twin):
        wanted = change(change(fresh(), 1), 2)
        assert behavior(one, np.random.default_rng(0)) == behavior(wanted, np.random.default_rng(0))


def test_a_pickle_is_of_one_moment(rng: np.random.Generator) -> None:
    # In each state all items have the same row, which tells how many there are.
    rows = [np.full((3000 + n, 4), n, np.float32) for n in range(8)]
    index = vr.FlatIndex(rows[0], metric="l2")
    stop = threading.Event()

    def update() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            index.update(rows[turn % 8], np.arange(len(rows[turn % 8])))
            index.remove(np.arange(3000, 3008), missing="ignore")

    writer = threading.Thread(target=update)
    writer.start()
    seen = set()
    try:
        until = time.monotonic() + 30
        while len(seen) < 4 and time.monotonic() < until:
            for way in ("protocol5", "copy", "deepcopy"):
                arrived = WAYS[way](index)
                (value,) = np.unique(arrived.vectors(arrived.ids))
                assert len(arrived) in (3000, 3000 + value)
                seen.add(value)
    finally:
        stop.set()
        writer.join()
    assert len(seen) >= 4


def test_a_deep_copy_shares_nothing_that_changes() -> None:
    mine = ITEMS.copy()
    index = vr.FlatIndex(mine, copy=False)
    expected = behavior(index, np.random.default_rng(0))
    deep, shallow = copy.deepcopy(index), copy.copy(index)
    also_deep = copy.deepcopy(shallow)
    assert np.shares_memory(shallow._arrays()["rows"], mine)
    mine[:] = 0
    for twin in (deep, also_deep):
        assert behavior(twin, np.random.default_rng(0)) == expected


def test_copies_share_what_no_caller_can_change() -> None:
    index = an_index()
    for twin in (copy.copy(index), copy.deepcopy(index)):
        for name in ("rows", "codes", "ids"):
            assert np.shares_memory(twin._arrays()[name], index._arrays()[name])
    deep = copy.deepcopy(vr.FlatIndex(ITEMS, invalid="skip"))
    assert not np.shares_memory(deep.skipped, index.skipped)


class Named(vr.FlatIndex):
    """An index of a user's own."""

    def __init__(self, vectors: Any, names: list[str]) -> None:
        super().__init__(vectors)
        self.names = names


@pytest.mark.parametrize("way", WAYS)
def test_what_a_subclass_adds_arrives_too(way: str) -> None:
    index = Named(ITEMS, ["a"])
    arrived = WAYS[way](index)
    assert type(arrived) is Named
    assert arrived.names == ["a"]
    assert (arrived.names is index.names) == (way == "copy")
    assert len(arrived) == 300


@pytest.mark.parametrize("kind", [vr.FlatIndex, vr.IVFIndex, vr.ClusterFeed])
@pytest.mark.parametrize("form", [_array_folder.FORMAT - 1, _array_folder.FORMAT + 1, None, "3"])
def test_another_format(kind: type, form: object) -> None:
    state = EXAMPLES[kind]().__getstate__()
    with pytest.raises(ValueError, match=f"pickle: expected a {kind.__name__} of format"):
        kind.__new__(kind).__setstate__({**state, "format": form})


def with_value(name: str, value: Any, at: int = 0) -> Callable[[dict[str, Any]], None]:
    """Write another value into an array of a state."""

    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[at] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_value("ids", -3), "ids: expected ids >= 0, got -3"),
        (with_value("order", 2**31), "order: expected each place once"),
        (with_value("center", np.nan), "center: expected finite values"),
        (with_value("code_bounds", 0), "code_bounds: expected lengths"),
        (lambda arrays: arrays.pop("rows"), "rows: expected a matrix"),
        (lambda arrays: arrays.pop("row_terms"), "row_terms: expected 14337 values, got 0"),
        (
            lambda arrays: arrays.update(rows=arrays["rows"].astype(np.float64)),
            "rows: expected contiguous values of type float32",
        ),
        (
            lambda arrays: arrays.update(rows=np.asfortranarray(arrays["rows"])),
            "rows: expected contiguous values of type float32",
        ),
        (lambda arrays: arrays.update(ids=arrays["ids"].astype(">i8")), "ids: expected contiguous"),
        (lambda arrays: arrays.update(ids=arrays["ids"].tolist()), "ids: expected contiguous"),
        (lambda arrays: arrays.update(codes=arrays["codes"][:-1]), "codes: expected .* values"),
        (lambda arrays: arrays.update(bias=arrays["bias"][:9]), "bias: expected 14337 values"),
        (
            lambda arrays: arrays.update(extra=arrays["bias"]),
            "arrays of an index, got 'extra'",
        ),
        (lambda arrays: arrays.pop("skipped"), "a vector of skipped ids"),
        (lambda arrays: arrays.update(skipped=[1]), "a vector of skipped ids"),
    ],
)
def test_damaged_arrays_are_refused_as_those_of_files(
    rng: np.random.Generator, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    ordered = made("ordered", "l2", rng, Path())
    ids = rng.permutation(len(ordered))
    whole = vr.FlatIndex(ordered.vectors(ordered.ids), ids, metric="l2", bias=ids / 9)
    state = whole.__getstate__()
    change(state["arrays"])
    with pytest.raises(ValueError, match=rf"^pickle: expected.*{message}"):
        vr.FlatIndex.__new__(vr.FlatIndex).__setstate__(state)


@pytest.mark.parametrize("metric", ["dot", None, ["ip"], 3])
def test_a_metric_that_there_is_not(metric: object) -> None:
    state = {**an_index().__getstate__(), "metric": metric}
    with pytest.raises(ValueError, match=r"^pickle: expected one of \['ip', 'cosine', 'l2'\], got"):
        vr.FlatIndex.__new__(vr.FlatIndex).__setstate__(state)


def test_other_damage_is_refused_too() -> None:
    groups, feed = refreshed()[0], a_feed()
    _, (about, arrays) = groups.__reduce__()
    for changed, of_arrays in (
        ({"version": 0}, {}),
        ({"metric": "ip"}, {}),
        ({"kmeans": {"n_clusters": 3}}, {}),
        ({}, {"labels": np.full(300, 4, np.int32)}),
        ({}, {"labels": np.full(300, -2, np.int32)}),
        ({}, {"labels": np.zeros(300)}),
        ({}, {"centers": groups.centers.T}),
        ({}, {"centers": None}),
    ):
        with pytest.raises(ValueError, match=r"^pickle: expected"):
            vr.UserGroups._restored({**about, **changed}, {**arrays, **of_arrays})
    state = feed.__getstate__()
    for wrong in ({"n_clusters": 2**31}, {"n_clusters": 1}, {"arrays": {}}, {"arrays": None}):
        with pytest.raises(ValueError, match=r"^pickle: expected"):
            vr.ClusterFeed.__new__(vr.ClusterFeed).__setstate__({**state, **wrong})
    make, (items, ids, scores) = vr.NeighborTable.build(an_index(), 5).__reduce__()
    for arguments in (
        (items[:-1], ids, scores),
        (np.where(items == items[5], items[6], items), ids, scores),
        (items, ids, vr.Ragged(np.full(scores.values.size, np.nan, np.float32), scores.offsets)),
        (items, ids, vr.Ragged(scores.values[:-5], scores.offsets[:-1])),
    ):
        with pytest.raises(ValueError, match=r"expected|duplicate"):
            make(*arguments)


# --- what belongs together


def test_an_index_that_several_search_is_sent_once() -> None:
    index = an_index()
    mask = index.mask(IDS[:40])
    recaller = vr.Recaller(
        {"a": of.UserToItem(index, vector="v"), "b": Doubled(index, mask)}, vr.policies.RRF()
    )
    for way, get in WAYS.items():
        arrived = get(recaller)
        a, b = arrived._channels["a"]._index, arrived._channels["b"].index
        assert a is b
        assert (a is index) == (way == "copy")
        assert of_channel(arrived) == of_channel(recaller)


@pytest.mark.parametrize("way", [*PICKLES, "deepcopy"])
def test_a_mask_becomes_one_of_the_index_that_uses_it(way: str) -> None:
    index, other = an_index(), an_index(metric="l2")
    mask, few = ~index.mask(IDS[:200]), index.mask(IDS[190:210])
    expected = plain([index.search(ITEMS[:5], 9, allow=m) for m in (mask, few, mask & few)])
    arrived, together = WAYS[way](index), [WAYS[way](m) for m in (mask, few)]
    both = together[0] & together[1]
    combined = [together[0] & few, few & together[0], ~(~together[1] | ~mask)]
    assert plain([arrived.search(ITEMS[:5], 9, allow=m) for m in (*together, both)]) == expected
    for m in (*together, both):
        with pytest.raises(ValueError, match="allow: expected a mask of this index"):
            other.search(ITEMS[:5], 9, allow=m)
    for m in combined:  # with one that has an index: it is of that
        assert plain(index.search(ITEMS[:5], 9, allow=m)) == expected[2]
        with pytest.raises(ValueError, match="allow: expected a mask of this index"):
            arrived.search(ITEMS[:5], 9, allow=m)
    with pytest.raises(ValueError, match="mask: expected two masks of one index"):
        _ = together[0] & few
    again = WAYS[way](mask)
    assert plain(other.search(ITEMS[:5], 9, allow=again)) != expected[0]  # by the other metric


def test_a_mask_sent_with_its_index() -> None:
    index = an_index()
    for way in PICKLES:
        arrived, mask = PICKLES[way]((index, index.mask(IDS[:9])))
        assert set(arrived.search(ITEMS[:1], 20, allow=mask).ids[0]) <= {-1, *IDS[:9].tolist()}


def test_a_copied_mask_is_the_mask() -> None:
    mask = an_index().mask([8])
    assert copy.copy(mask) is mask


def test_a_wrapped_index_is_its_own_copy() -> None:
    index = a_wrapped_index()
    assert copy.copy(index) is index
    recaller = vr.Recaller({"a": of.UserToItem(index, vector="v")}, vr.policies.RRF())
    assert of_channel(copy.deepcopy(recaller)) == of_channel(recaller)
    with pytest.raises(TypeError, match="wrap it again where it is loaded"):
        pickle.dumps(recaller)


def test_a_reloading_index_opens_its_path_again() -> None:
    with a_reloading_index() as served:
        data = pickle.dumps(served)
        served.index.remove(IDS[:5])
        an_index(metric="l2").save(FOLDER[0])
        with pickle.loads(data) as arrived:
            assert (len(arrived.index), arrived.index.metric) == (300, "l2")
            assert (len(served.index), served.index.metric) == (295, "ip")
            assert arrived._options == served._options
            assert arrived._allow_empty
    for file in FOLDER[0].iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=str(FOLDER[0])):
        pickle.loads(data)


@pytest.mark.parametrize("way", ["protocol5", "copy"])
def test_a_reloading_index_that_polls(way: str) -> None:
    an_index().save(FOLDER[0])
    with (
        vr.ReloadingIndex(FOLDER[0], poll=0.01) as served,
        WAYS[way](served) as arrived,
        vr.ReloadingIndex(FOLDER[0]) as still,
    ):
        an_index(metric="l2").save(FOLDER[0])  # which is refused: another metric
        vr.FlatIndex(ITEMS[:9]).save(FOLDER[0])
        until = time.monotonic() + 30
        while len(arrived.index) != 9 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(arrived.index) == 9
        assert len(still.index) == 300
    assert WAYS[way](served)._pause is None  # it was closed


def test_a_function_without_a_name_does_not_get_there() -> None:
    channel = of.ClusterFeedChannel(a_feed(), now=lambda: 50)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(channel)
    assert of_channel(copy.deepcopy(channel)) == of_channel(channel)


class Located(vr.RequestBatch):
    """A batch of a user's own."""

    def __init__(self, places: list[float], **fields: Any) -> None:
        super().__init__(**fields)
        self.places = places


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_of_a_users_own(way: str) -> None:
    batch = Located([1.5, 2.5], vectors={"v": ITEMS[:2]})
    arrived = WAYS[way](batch)
    assert type(arrived) is Located
    assert arrived.places == [1.5, 2.5]
    assert len(arrived) == 2
    np.testing.assert_array_equal(arrived.vectors["v"], ITEMS[:2])
    with pytest.raises(TypeError):
        arrived.vectors["w"] = ITEMS[:2]


# --- attributes that no constructor has made


class Useless:
    """No attribute can be one."""


OF_ATTRIBUTES = (vr.KMeans, vr.Recaller, vr.CircuitBreaker, *vars(of).values())
CHECKED = [k for k in EXAMPLES if issubclass(k, vr.policies.Policy) or k in OF_ATTRIBUTES]


def attributes_sent(x: Any) -> list[str]:
    """List what has an attribute of its own in a pickle, but for what `fit` checks."""
    other = {vr.Recaller: {"_policy", "_caps", "_askers"}, vr.KMeans: set(vr.KMeans._defaults())}
    return [name for name in vars(x) if name not in other.get(type(x), ())]


def sent_with(x: Any, protocol: int = 5, **changed: Any) -> Any:
    """Send an object after someone has replaced some of its attributes."""
    x.__dict__.update(changed)
    return pickle.loads(pickle.dumps(x, protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", CHECKED, ids=lambda kind: kind.__name__)
def test_every_attribute_is_checked_on_arrival(kind: type, protocol: int) -> None:
    names = attributes_sent(EXAMPLES[kind]())
    assert names
    for name in names:
        with pytest.raises((TypeError, ValueError), match="expected"):
            sent_with(EXAMPLES[kind](), protocol, **{name: Useless()})


@pytest.mark.parametrize("kind", CHECKED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("state", [3, "state", [1], {3: 4}, (None, 7)])
def test_a_state_of_no_attributes(kind: type, state: Any) -> None:
    with pytest.raises(ValueError, match="pickle: expected attributes of a"):
        kind.__new__(kind).__setstate__(state)


@pytest.mark.parametrize(
    ("policy", "changed", "message"),
    [
        (vr.policies.RRF(), {"weights": {"a": -1.0}}, r"^weights\['a'\]: expected a finite number"),
        (vr.policies.RRF(), {"k": float("nan")}, "^k: expected a number, got NaN"),
        (vr.policies.Maximum(), {"normalize": "zz"}, "^normalize: expected one of"),
        (vr.policies.WeightedSum(), {"absent": "max"}, "^absent: expected one of"),
        (vr.policies.Interleave(), {"weights": {"a": 0}}, r"^weights\['a'\]: expected a whole"),
        (vr.policies.Priority({}), {"quotas": -5}, "^quotas: expected a mapping"),
        (vr.policies.Quota(None), {"shares": -5.0}, "^shares: expected a mapping"),
        (vr.policies.Quota(None), {"minimum": {"a": 2}, "maximum": {"a": 1}}, r"^maximum\['a'\]"),
    ],
)
def test_a_policy_of_wrong_values(
    policy: vr.policies.Policy, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        sent_with(policy, **changed)
    with pytest.raises((TypeError, ValueError), match=message):
        copy.copy(policy)


def with_values(x: Any, where: str, **changed: Any) -> Callable[[], Any]:
    """Replace attributes of what an object holds, along a path of attributes."""

    def make() -> Any:
        made = x()
        held = made
        for name in where.split("."):
            held = getattr(held, name) if name else held
        held.__dict__.update(changed)
        return made

    return make


LISTED = EXAMPLES[of.Precomputed]  # two keys; lists of three, one and two
LIVE = EXAMPLES[of.LiveNeighbors]
NAN = np.full((4, 8), np.nan, np.float32)


def live_with_table() -> of.LiveNeighbors:
    return of.LiveNeighbors(an_index(), vectors=ITEMS[:3], ids=[7, 5, 6])


def in_batches() -> vr.KMeans:
    return vr.KMeans(4, batch_size=50, max_iter=2).fit(ITEMS)


def scores(*values: float) -> Any:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_values(EXAMPLES[of.ItemToItem], "", _most=-3), "^history_length: expected a whole"),
        (with_values(EXAMPLES[of.ItemToItem], "", _decay=float("nan")), "^decay: .*NaN"),
        (with_values(EXAMPLES[of.ItemToItem], "", _decay=1.5), "^decay: expected a number over 0"),
        (with_values(EXAMPLES[of.ItemToItem], "", _aggregate="zz"), "^aggregate: expected one of"),
        (with_values(LIVE, "", _min_score=float("nan")), "^min_score: .*NaN"),
        (with_values(LIVE, "", _index=a_recaller()), "^index: expected an index"),
        (with_values(live_with_table, "_table", _table=NAN), "^vectors: expected finite"),
        (with_values(live_with_table, "_table", _table=ITEMS[:2]), "^ids: expected 2"),
        (with_values(live_with_table, "_table._keys", _places=np.array([0, 1, 3])), "^places: "),
        (with_values(live_with_table, "_table._keys", _sorted=np.array([7, 5, 6])), "^keys: "),
        (with_values(EXAMPLES[of.CrossTag], "", _table=NAN), "^tag_table: expected finite"),
        (with_values(EXAMPLES[of.UserToItem], "", _source=NAN), "^tag_table: expected finite"),
        (with_values(EXAMPLES[of.UserToItem], "", _source=None), "^tag_table: expected real"),
        (with_values(EXAMPLES[of.ClusterFeedChannel], "", _now=np.inf), "^now: expected a finite"),
        (
            with_values(LISTED, "_lists", _scores=scores(1, 0.5, np.nan, 1, 1, 0.5)),
            "^scores: expected float32 numbers, got NaN",
        ),
        (with_values(LISTED, "_lists", _scores=scores(1, 0.5)), "^scores: expected 6"),
        (with_values(LISTED, "_lists", _scores=np.ones(6)), "^scores: expected 6 of type float32"),
        (with_values(LISTED, "_lists", _scores=scores(1, 2, 3, 1, 1, 0.5)), "^scores: .* by score"),
        (with_values(LISTED, "_lists", _ids=vr.Ragged([5], [0, 1])), "^scores: expected 1"),
        (with_values(LISTED, "_lists", _ids=vr.Ragged([-5], [0, 1])), "^ids: expected ids >= 0"),
        (with_values(LISTED, "", _n=1), "^lists: expected 1 keys"),
        (with_values(LISTED, "", _key="tags"), "^key: expected one of"),
        (
            with_values(EXAMPLES[of.ClusterCandidates], "_lists", _lengths=np.zeros(2, np.int64)),
            "^lengths: expected those of the lists",
        ),
        (with_values(EXAMPLES[of.ClusterCandidates], "_lists", _n=3), "^lists: expected 3 keys"),
        (with_values(EXAMPLES[of.GroupProfile], "", _profiles=BATCH), "^profiles: expected no"),
        (with_values(EXAMPLES[of.GroupProfile], "", _profiles=vr.RequestBatch()), "^lists: "),
        (with_values(a_recaller, "", _depth={"own": "x"}), r"^depth\['own'\]: expected a whole"),
        (with_values(a_recaller, "", _depth={"other": 3}), "^depth: expected names of channels"),
        (with_values(a_recaller, "", _workers=0), "^workers: expected a whole number >= 1"),
        (with_values(a_recaller, "", _deadlines={"own": -1.0}), r"^deadlines\['own'\]: expected a"),
        (with_values(a_recaller, "", _deadlines={"other": 1.0}), "^deadlines: expected names"),
        (with_values(a_recaller, "", _breaker=3), "^breaker: expected a CircuitBreaker"),
        (with_values(a_recaller, "", _made_of=(vr.policies.RRF(),)), "^policy, caps: expected"),
        (with_values(in_batches, "", cluster_centers_=NAN), "^cluster_centers_: expected finite"),
        (with_values(in_batches, "", cluster_centers_=ITEMS[:4, :7]), "^cluster_centers_: "),
        (with_values(in_batches, "", labels_=np.full(300, 4, np.int32)), "^labels_: expected"),
        (with_values(in_batches, "", labels_=np.zeros(300)), "^labels_: expected a row of int32"),
        (with_values(in_batches, "", inertia_=float("nan")), "^inertia_: .*NaN"),
        (with_values(in_batches, "", n_iter_=-1), "^n_iter_: expected"),
        (with_values(in_batches, "", n_features_in_=7), "^cluster_centers_: expected shape"),
        (with_values(in_batches, "", _masses=-np.ones(4)), "^masses: expected numbers >= 0"),
        (with_values(in_batches, "", _names_in=np.array(["a"], object)), "^feature_names_in_: "),
        (with_values(in_batches, "_batches", sums=NAN.astype(np.float64)), "^sums: expected"),
        (with_values(in_batches, "_batches", counts=np.ones(3)), "^counts: expected shape"),
        (with_values(in_batches, "_batches", _since="x"), "^points: expected a whole number"),
        (with_values(in_batches, "_draws", seed=-1), "^random_state: expected a whole number"),
        (with_values(in_batches, "_draws", _generator=3), "^random_state: expected a PCG64"),
    ],
)
def test_what_an_object_holds_of_wrong_values(make: Callable[[], Any], message: str) -> None:
    for way in ("protocol2", "protocol5", "out of band", "deepcopy"):
        with pytest.raises((TypeError, ValueError), match=message):
            WAYS[way](make())


def test_a_policy_that_lacks_a_value() -> None:
    policy = vr.policies.Quota(None)
    del policy.__dict__["shares"]
    with pytest.raises(ValueError, match=r"pickle: expected all attributes of a Quota, .*'shares'"):
        sent_with(policy)


class Told(vr.policies.RRF):
    """A policy of a user's own."""

    __slots__ = ("reason",)
    reason: str


@pytest.mark.parametrize("way", [w for w in WAYS if w not in ("protocol0", "protocol1")])
def test_what_a_policy_of_a_users_own_adds(way: str) -> None:  # the others have no slots
    policy = Told({"a": 2})
    object.__setattr__(policy, "reason", "because")
    object.__setattr__(policy, "note", [7])
    arrived = WAYS[way](policy)
    assert type(arrived) is Told
    assert (arrived, arrived.reason, arrived.note) == (policy, "because", [7])
