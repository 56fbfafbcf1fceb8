"""`vr.Recaller`: what it asks of its channels, what it merges, and what it does when one fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from channel_cases import Broken, Fixed, Returning, assert_equal_merges, world
from comparison import arrays, assert_same_bits, replaced

import vecrecall as vr
from vecrecall.channels import Precomputed
from vecrecall.policies import RRF, Interleave, Priority

BATCH = vr.RequestBatch(user_ids=[1, 2], seen=[[3], [10, 12]])


def test_it_is_the_merge_of_the_channels(rng: np.random.Generator) -> None:
    channels, batch = world(rng)
    caps = vr.Caps(np.arange(400), np.arange(400) % 7, 3)
    for policy in (RRF(), Interleave(), Priority(dict.fromkeys(channels, 4))):
        lists = {name: channel.recall(batch, 20) for name, channel in channels.items()}
        expected = vr.merge(lists, 20, policy, exclude=batch.seen, caps=caps)
        found = vr.Recaller(channels, policy, caps=caps).recall(batch, 20)
        assert_equal_merges(found, expected)


def test_a_batch_gives_what_each_user_alone_gets(rng: np.random.Generator) -> None:
    channels, batch = world(rng)
    recaller = vr.Recaller(channels, RRF(), depth=30)
    together = recaller.recall(batch, 20)
    for user in range(3):
        one = slice(user, user + 1)
        assert batch.history is not None
        assert batch.tags is not None
        assert batch.tag_groups is not None
        assert batch.seen is not None
        alone = recaller.recall(
            vr.RequestBatch(
                history=[batch.history[user]],
                tags=[batch.tags[user]],
                tag_groups=[batch.tag_groups[user]],
                vectors={"dssm": batch.vectors["dssm"][one]},
                seen=[batch.seen[user]],
            ),
            20,
        )
        assert_same_bits(alone, together.ids[one], together.scores[one], together.counts[one])


def test_seen_goes_into_every_search(rng: np.random.Generator) -> None:
    channels, batch = world(rng)
    stats = vr.Recaller(channels, RRF(), depth=40).recall(batch, 40, stats=True).stats
    assert stats is not None
    assert stats.errors == {}
    assert {name: counts.tolist() for name, counts in stats.counts.items()} == {
        "i2i": [40, 0, 40],
        "live": [40, 0, 40],
        "dssm": [40, 40, 40],
        "user2vec": [40, 40, 0],
        "crosstag": [40, 40, 0],
        "hot": [40, 40, 40],
    }


def test_seen_items_of_a_careless_channel_do_not_come_out() -> None:
    m = vr.Recaller({"a": Fixed([3, 10, 12, 4])}, RRF()).recall(BATCH, 4)
    assert m.ids.tolist() == [[10, 12, 4, -1], [3, 4, -1, -1]]


@pytest.mark.parametrize(
    ("depth", "asked"),
    [(None, [2, 2]), (7, [7, 7]), ({"b": 9}, [2, 9]), ({"a": 1, "b": 3}, [1, 3]), ({}, [2, 2])],
)
def test_depth(depth: Any, asked: list[int]) -> None:
    a, b = Fixed([1, 2, 3]), Fixed([4, 5, 6])
    vr.Recaller({"a": a, "b": b}, RRF(), depth=depth).recall(BATCH, 2)
    assert a.asked + b.asked == asked


def test_stats() -> None:
    channels = {"a": Fixed([1, 2]), "b": Fixed([5])}
    plain = vr.Recaller(channels, RRF()).recall(BATCH, 3)
    m = vr.Recaller(channels, RRF()).recall(BATCH, 3, stats=True)
    stats = m.stats
    assert stats is not None
    assert_same_bits(m, plain.ids, plain.scores, plain.counts)
    assert list(stats.seconds) == ["a", "b"]
    assert all(0 <= seconds < 10 for seconds in [*stats.seconds.values(), stats.merge_seconds])
    assert {name: c.tolist() for name, c in stats.counts.items()} == {"a": [2, 2], "b": [1, 1]}
    assert stats.errors == {}


def test_an_error_is_raised() -> None:
    recaller = vr.Recaller({"a": Fixed([1]), "bad": Broken()}, RRF())
    with pytest.raises(KeyError, match="the model is not there") as caught:
        recaller.recall(BATCH, 3)
    assert getattr(caught.value, "__notes__", ["in channel 'bad'"]) == ["in channel 'bad'"]


def test_a_channel_that_fails_is_skipped() -> None:
    policy = Priority({"a": 1, "bad": 5, "c": 2}, backfill=False)
    recaller = vr.Recaller(
        {"a": Fixed([1, 2]), "bad": Broken(), "c": Fixed([5])}, policy, on_error="skip"
    )
    message = "^channel 'bad' is left out: KeyError: 'the model is not there'$"
    with pytest.warns(vr.ChannelWarning, match=message) as warned:
        m = recaller.recall(BATCH, 3, stats=True)
    stats = m.stats
    assert stats is not None
    assert warned[0].filename == __file__
    assert issubclass(vr.ChannelWarning, RuntimeWarning)
    assert m.ids.tolist() == [[1, 5, -1], [1, 5, -1]]
    assert m.channels.tolist() == [[1, 4, 0], [1, 4, 0]]
    assert m.ranks is not None
    assert m.ranks.shape == (2, 3, 3)
    assert {name: type(error) for name, error in stats.errors.items()} == {"bad": KeyError}
    assert stats.counts["bad"].tolist() == [0, 0]
    assert list(stats.seconds) == ["a", "bad", "c"]


def result(ids: Any, scores: Any, counts: Any) -> vr.SearchResult:
    return vr.SearchResult(np.array(ids), np.array(scores, np.float32), np.array(counts))


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (None, TypeError, "channel 'bad': expected a SearchResult, got NoneType"),
        (([[1]], [[1.0]]), TypeError, "channel 'bad': expected a SearchResult, got tuple"),
        (
            result([[1]], [[1]], [1]),
            ValueError,
            r"channel 'bad': expected .*\(2, k\).*, got \(1, 1",
        ),
        (result([1, 2], [1, 2], [1, 1]), ValueError, r"channel 'bad': .*, got \(2,\), \(2,\) and"),
        (result([[1], [2]], [[1], [2]], [1]), ValueError, r"channel 'bad': .* and \(1,\)"),
        (result([[1], [2]], [[1, 2], [2, 3]], [1, 1]), ValueError, r"channel 'bad': .*\(2, 2\)"),
        (result([[1], [2]], [[1], [np.nan]], [1, 1]), ValueError, ".*bad.*nan"),
    ],
)
def test_a_result_that_is_none(found: Any, error: type[Exception], message: str) -> None:
    channels = {"a": Fixed([1, 2]), "bad": Returning(found)}
    with pytest.raises(error, match=f"^{message}"):
        vr.Recaller(channels, RRF()).recall(BATCH, 2)
    with pytest.warns(vr.ChannelWarning, match=f"^channel 'bad' is left out: .*{error.__name__}"):
        m = vr.Recaller(channels, RRF(), on_error="skip").recall(BATCH, 2)
    assert m.ids.tolist() == [[1, 2], [1, 2]]


class OwnResult(vr.SearchResult):
    """Not what the core takes at a glance, but just as good."""


@pytest.mark.parametrize(
    "changed",
    [
        lambda r: OwnResult(*arrays(r)),
        lambda r: replaced(r, ids=r.ids.astype(np.int32)),
        lambda r: replaced(r, ids=np.asfortranarray(r.ids)),
        lambda r: replaced(r, ids=r.ids.tolist()),
        lambda r: replaced(r, scores=r.scores.astype(np.float64)),
        lambda r: replaced(r, scores=np.repeat(r.scores, 2, axis=1)[:, ::2]),
        lambda r: replaced(r, counts=r.counts.astype(np.int64)),
    ],
)
def test_results_that_need_a_conversion(rng: np.random.Generator, changed: Any) -> None:
    channels, batch = world(rng)
    hot = channels["hot"].recall(batch, 30)
    expected = vr.Recaller(channels, RRF()).recall(batch, 30)
    found = vr.Recaller({**channels, "hot": Returning(changed(hot))}, RRF()).recall(batch, 30)
    assert_equal_merges(found, expected)


def test_counts_that_do_not_fit() -> None:
    for counts in ([-1, 1], [2, 1]):
        bad = Returning(result([[1], [2]], [[1], [2]], np.array(counts, np.int32)))
        with pytest.raises(ValueError, match=r"^channels\['bad'\].counts: expected counts from 0"):
            vr.Recaller({"bad": bad}, RRF()).recall(BATCH, 2)


def test_lists_that_memory_cannot_hold() -> None:
    """With one channel they would be just within what can be asked for."""
    most = (2**63 - 1) // 16 // len(BATCH)
    asked = Fixed([1])
    with pytest.raises(ValueError, match=r"^k: \d+ is too large \(2 rows"):
        vr.Recaller({"a": asked, "b": asked}, RRF()).recall(BATCH, most)
    assert asked.asked == []


def test_rows_that_were_changed_behind_the_batch() -> None:
    seen = vr.Ragged.from_lists([[3], [10, 12]])
    recaller = vr.Recaller({"a": Fixed([3, 10])}, RRF())
    batch = vr.RequestBatch(user_ids=[1, 2], seen=seen)
    seen.offsets = np.array([0, 9, 3])
    with pytest.raises(ValueError, match=r"^exclude: .* offsets: expected values that do not"):
        recaller.recall(batch, 2)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_no_users(on_error: Any) -> None:
    recaller = vr.Recaller({"hot": Precomputed.for_all([1])}, RRF(), on_error=on_error)
    assert recaller.recall(vr.RequestBatch(), 3).ids.shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": {}}, ValueError, "channels: expected 1 to 64, got 0"),
        ({"channels": [Fixed([1])]}, TypeError, "channels: expected a mapping of names to chan"),
        ({"channels": {1: Fixed([1])}}, TypeError, "channels: expected names of type str, got 1"),
        ({"channels": {"a": 5}}, TypeError, r"channels\['a'\]: expected an object with a method"),
        (
            {"channels": {"a": Fixed}},
            TypeError,
            r"channels\['a'\]: expected an object with a method recall.*, got class Fixed",
        ),
        (
            {"channels": {str(i): Fixed([1]) for i in range(65)}},
            ValueError,
            "channels: expected 1 to 64, got 65",
        ),
        ({"depth": 0}, ValueError, "depth: expected a whole number >= 1, got 0"),
        ({"depth": {"b": 3}}, ValueError, r"depth: expected names of channels \('a'\), got 'b'"),
        ({"depth": {"a": 0}}, ValueError, r"depth\['a'\]: expected a whole number >= 1, got 0"),
        ({"on_error": "ignore"}, ValueError, "on_error: expected one of 'raise', 'skip', got"),
        ({"policy": "rrf"}, TypeError, "policy: expected one of vecrecall.policies, got str"),
        ({"policy": RRF({"b": 1.0})}, ValueError, ".*'b'"),
        ({"caps": 3}, TypeError, "caps: expected Caps or a sequence of them, got int"),
    ],
)
def test_bad_arguments(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        vr.Recaller(**{"channels": {"a": Fixed([1])}, "policy": RRF(), **options})


def test_bad_requests() -> None:
    recaller = vr.Recaller({"a": Fixed([1])}, RRF())
    with pytest.raises(TypeError, match=r"^batch: expected a RequestBatch, got list$"):
        recaller.recall([1], 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^k: expected a whole number >= 1, got 0$"):
        recaller.recall(BATCH, 0)
    with pytest.raises(TypeError, match=r"^stats: expected True or False, got 1$"):
        recaller.recall(BATCH, 3, stats=1)  # type: ignore[arg-type]


def test_caps_are_those_of_the_construction() -> None:
    hot = Precomputed.for_all([0, 1, 2])
    caps = [vr.Caps([0, 1], [1, 1], 1)]
    recaller = vr.Recaller({"hot": hot}, RRF(), caps=caps)
    caps.clear()
    assert recaller.recall(vr.RequestBatch(user_ids=[1]), 3).ids.tolist() == [[0, 2, -1]]
