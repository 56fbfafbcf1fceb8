"""Skip-gram over lists: what it learns, its bits, its stops, its errors."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.train import (
    Embedding,
    TrainingProgress,
    TrainingStoppedError,
    sequences,
    user_sequences,
)

pytest.importorskip("gensim", reason='needs pip install "vecrecall[train]"')

N_TOPICS = 5
PER_TOPIC = 12
FAST: dict[str, Any] = {"dim": 16, "epochs": 8, "sample": 0, "learning_rate": 0.1}


def planted(seed: int, n_lists: int = 400) -> list[list[str]]:
    """Lists with a topic each, from which four fifths of the words are drawn."""
    rng = np.random.default_rng(seed)
    n = N_TOPICS * PER_TOPIC
    found = []
    for _ in range(n_lists):
        own = rng.integers(N_TOPICS) * PER_TOPIC + rng.integers(0, PER_TOPIC, 10)
        words = np.where(rng.random(10) < 0.8, own, rng.integers(0, n, 10))
        found.append([f"w{word:02}" for word in words.tolist()])
    return found


def topic(word: Any) -> int:
    return int(word[1:]) // PER_TOPIC


def recall(words: Embedding) -> float:
    """Return the share of the nearest words that are of the same topic, of those there can be."""
    own = np.array([topic(word) for word in words])
    found = words.to_index().search(
        words.matrix, PER_TOPIC - 1, exclude=[[row] for row in range(len(words))]
    )
    return float((own[found.ids] == own[:, None]).mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("subwords", [False, True])
def test_planted_topics_are_found(seed: int, subwords: bool) -> None:
    """By chance 11 of 59 other words are of the same topic: 0.19."""
    words = sequences(planted(seed), seed=seed, subwords=subwords, **FAST)
    assert (words.metric, words.dim, len(words)) == ("cosine", 16, N_TOPICS * PER_TOPIC)
    assert recall(words) > 0.19 + 0.6
    losses = words.about["losses"]
    assert losses[-1] < losses[0]


def test_nothing_is_found_where_nothing_is_planted() -> None:
    """Shows that the test above can fail."""
    lists = planted(0)
    flat = np.random.default_rng(0).permutation([word for words in lists for word in words])
    assert recall(sequences(flat.reshape(-1, 10).tolist(), **FAST)) < 0.19 + 0.1


def test_neighbors_agree_with_counts() -> None:
    """Against no code of ours: an SVD of the pointwise mutual information finds the same topics.

    Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization", NIPS 2014.
    """
    lists = planted(4)
    words = sequences(lists, window=9, **FAST)
    row_of = {word: row for row, word in enumerate(words)}
    near = np.zeros((len(words), len(words)))
    for a_list in lists:
        rows = [row_of[word] for word in a_list]
        for a in range(10):
            for b in range(10):
                near[rows[a], rows[b]] += (a != b) * (10 - abs(a - b)) / 9
    expected = np.outer(near.sum(axis=1), near.sum(axis=1)) / near.sum()
    information = np.maximum(np.log(np.maximum(near, 1e-9) / expected), 0)
    left, values, _ = np.linalg.svd(information)
    truth = left[:, :16] * np.sqrt(values[:16])
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    own = words.matrix / np.linalg.norm(words.matrix, axis=1, keepdims=True)
    pairs = np.triu_indices(len(words), 1)
    agreement = np.corrcoef((truth @ truth.T)[pairs], (own @ own.T)[pairs])[0, 1]
    assert agreement > 0.7  # with seeds 4 to 6 it is 0.91 to 0.92


@pytest.mark.parametrize(
    "keys",
    [
        lambda word: int(word[1:]),
        lambda word: ("word", int(word[1:])),
        lambda word: word.encode(),
        lambda word: (word, None) if topic(word) else word,
    ],
)
def test_keys_of_any_kind_give_the_same_vectors(keys: Any) -> None:
    lists = planted(0, 60)
    words = sequences(lists, dim=8)
    others = sequences([[keys(word) for word in words] for words in lists], dim=8)
    assert others.ids == [keys(word) for word in words]
    assert others.matrix.tobytes() == words.matrix.tobytes()


def test_keys_stand_by_frequency() -> None:
    lists = [["c", "b", "a", "b"], ["a", "c", "d"], ["b", "d"]]
    assert sequences(lists, dim=4).ids == ["b", "c", "a", "d"]


@pytest.mark.parametrize("subwords", [False, True])
def test_a_seed_gives_the_same_bits(subwords: bool) -> None:
    lists = planted(1, 60)
    one, again, other = (
        sequences(lists, dim=8, subwords=subwords, seed=seed) for seed in (3, 3, 2**70)
    )
    assert one.matrix.tobytes() == again.matrix.tobytes()
    assert one.matrix.tobytes() != other.matrix.tobytes()
    assert one.about["losses"] == again.about["losses"]


def test_the_bits_are_those_of_another_process() -> None:
    """Where strings have other hashes."""
    code = (
        "import hashlib; from vecrecall.train import sequences\n"
        "lists = [['tea', 'milk', 'cup'], ['nail', 'saw', 'tea']] * 30\n"
        "for subwords in (False, True):\n"
        "    print(hashlib.sha256(sequences(lists, dim=8, subwords=subwords).matrix).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_the_random_state_of_numpy_stays() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    sequences(planted(1, 30), dim=4)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


@pytest.mark.parametrize("subwords", [False, True])
@pytest.mark.parametrize("where", [0, 2, 5])
def test_resuming_gives_the_same_bits(subwords: bool, where: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dim": 8, "epochs": 5, "subwords": subwords}
    lists = planted(2, 60)
    whole = sequences(lists, **options)

    def interrupt(progress: TrainingProgress) -> None:
        if progress.epoch == where:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sequences(lists, **options, progress=interrupt, checkpoint=tmp_path / "c")
    again = sequences(lists, **options, checkpoint=tmp_path / "c")
    assert again.matrix.tobytes() == whole.matrix.tobytes()
    assert again.ids == whole.ids
    assert again.about["losses"] == whole.about["losses"]
    assert again.about["epochs"] == 5


@pytest.mark.parametrize(
    "change", [{"dim": 9}, {"epochs": 3}, {"seed": 1}, {"window": 4}, {"min_count": 2}]
)
def test_a_checkpoint_of_other_settings(change: dict[str, Any], tmp_path: Path) -> None:
    lists = planted(2, 40)
    options = {"dim": 8, "epochs": 2, "checkpoint": tmp_path}
    sequences(lists, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of sequences with the same"):
        sequences(lists, **{**options, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of sequences with the same"):
        sequences([*lists[1:], lists[0][::-1]], **options)  # type: ignore[arg-type]


def test_a_stop_keeps_the_finished_epochs() -> None:
    lists = planted(2, 60)
    epochs = 0

    def note(progress: TrainingProgress) -> None:
        nonlocal epochs
        epochs = progress.epoch

    found = sequences(lists, dim=8, epochs=5, progress=note, stop=lambda: epochs == 2)
    assert (found.about["epochs"], found.about["stopped"]) == (2, True)
    assert len(found.about["losses"]) == 2


def test_a_stop_before_the_first_epoch() -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(TrainingStoppedError, match=r"^sequences: stopped before"):
        sequences(planted(2, 60), dim=8, stop=event)


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 128, "window": 8},
        {"dim": 128, "window": 8, "subwords": True},
        {"dim": 300, "window": 5_000, "negative": 20},
    ],
)
def test_stops_are_asked_for_often(options: dict[str, Any]) -> None:
    """Within one long epoch of costly settings: a stop would take effect within a second."""
    lists = [[f"word{n % 997}" for n in range(10_000)]] * 3
    times: list[float] = []

    def stop() -> bool:
        times.append(time.perf_counter())
        return len(times) == 4

    with pytest.raises(TrainingStoppedError):
        sequences(lists, sample=0, stop=stop, **options)
    # A tenth of a second on a quiet core; the limit is wide for a busy machine.
    assert np.diff(times).max() < 1


def test_progress() -> None:
    found: list[TrainingProgress] = []
    threads = set()

    def note(progress: TrainingProgress) -> None:
        found.append(progress)
        threads.add(threading.current_thread())

    sequences(planted(2, 60), dim=8, epochs=3, progress=note)
    assert threads == {threading.current_thread()}
    assert {(p.trainer, p.epochs) for p in found} == {("sequences", 3)}
    assert [p.epoch for p in found if p.share == 0] == [1, 2, 3]
    places = [p.epoch + p.share for p in found]
    assert places == sorted(places)


def test_about() -> None:
    found = sequences([["a", "b"], [], ["b", "a", "c"], None], dim=4, min_count=2, epochs=2)
    about = found.about
    assert about["trainer"] == "sequences"
    assert about["data"] == {"lists": 4, "keys": 2, "tokens": 5, "trained_tokens": 4}
    assert about["settings"]["min_count"] == 2
    assert set(about["versions"]) == {"vecrecall", "numpy", "gensim"}


def test_rare_keys_are_left_out() -> None:
    """The others become neighbors: the same vectors as without the rare ones."""
    lists = [["a", "rare", "b"], ["b", "c"], ["c", "a", "once"]] * 1
    found = sequences(lists, dim=4, min_count=2)
    assert sorted(map(str, found)) == ["a", "b", "c"]
    clean = sequences([["a", "b"], ["b", "c"], ["c", "a"]], dim=4, min_count=2)
    assert found.matrix.tobytes() == clean.matrix.tobytes()


def test_long_lists_are_read_to_their_end() -> None:
    """gensim by itself drops what stands after 10,000 keys."""
    head = [f"w{n % 10}" for n in range(10_000)]
    tail = [f"v{n % 10}" for n in range(10_000)]
    found = sequences([head + tail], dim=8, sample=0, epochs=3, learning_rate=0.1)
    units = found.matrix / np.linalg.norm(found.matrix, axis=1, keepdims=True)
    is_tail = np.array([str(key).startswith("v") for key in found])
    same = (units[is_tail] @ units[is_tail].T).mean()
    assert same > (units[is_tail] @ units[~is_tail].T).mean() + 0.3


def test_columns_of_lists() -> None:
    lists = [[3, 1, 2], [1, 2], [], [2, 3, 1]]
    expected = sequences(lists, dim=4)
    ragged = sequences(vr.Ragged.from_lists(lists), dim=4)
    assert ragged.matrix.tobytes() == expected.matrix.tobytes()
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    assert sequences(pyarrow.array(lists), dim=4).matrix.tobytes() == expected.matrix.tobytes()


@pytest.mark.parametrize("subwords", [False, True])
def test_strange_words(subwords: bool) -> None:
    words = ["", "ä", "\U0001f600", "a\0b", "x" * 10_000, "日本", "<", ">"]
    found = sequences([words, words[::-1]], dim=4, subwords=subwords)
    assert sorted(map(str, found)) == sorted(words)
    assert np.isfinite(found.matrix).all()


def test_words_of_one_stem_are_near() -> None:
    """Rare words learn from the frequent ones that they look like."""
    rng = np.random.default_rng(5)
    stems = [["climb", "jump", "walk"], ["tables", "chairs", "lamps"]]
    lists = [
        [f"{word}{rng.choice(['ing', 'er', 'ed'])}" for word in rng.choice(stems[n % 2], 6)]
        for n in range(300)
    ]
    lists.append(["walkings", "zzz"])
    found = sequences(lists, subwords=True, **FAST)
    nearest = [str(key) for key, _ in found.nearest("walkings", 5)]
    assert all(key.startswith(tuple(stems[0])) for key in nearest), nearest


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sequences(planted(2, 60), dim=8, epochs=3)
        sequences(planted(2, 60), dim=8, epochs=3, subwords=True)
    assert caplog.records == []


def test_two_trainings_at_once() -> None:
    lists = planted(3, 60)
    alone = sequences(lists, dim=8)
    found: list[Embedding] = []
    threads = [
        threading.Thread(target=lambda: found.append(sequences(lists, dim=8))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.matrix.tobytes() for one in found] == [alone.matrix.tobytes()] * 3


@pytest.mark.parametrize(
    ("lists", "options", "match"),
    [
        ([], {}, r"^lists: expected at least 2 keys that occur min_count=1 .* got 0 of 0 keys"),
        ([[], []], {}, r"^lists: expected at least 2 keys .* got 0 of 0 keys"),
        ([["a", "a"]], {}, r"^lists: expected at least 2 keys .* got 1 of 1 keys"),
        (
            [["a", "b", "a"]],
            {"min_count": 2},
            r"^lists: expected at least 2 keys that occur min_count=2 .* got 1 of 2 keys",
        ),
        ([["a"], ["b"]], {}, r"^lists: expected a list with 2 frequent keys or more, got none of"),
        ([["a", None]], {}, r"^lists: expected a key, got None in row 0, place 1"),
        ([["a"], ["b", np.nan]], {}, r"^lists: expected a key, got nan in row 1, place 1"),
    ],
)
def test_lists_that_say_nothing(lists: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sequences(lists, **options)


@pytest.mark.parametrize(
    ("lists", "options", "match"),
    [
        ("abc", {}, r"^lists: expected a column, got str"),
        (["abc"], {}, r"^lists: expected lists, got str in row 0"),
        ([["a"], 5], {}, r"^lists: expected lists, got int in row 1"),
        ([["a", ["b"]]], {}, r"^lists: expected hashable keys, got list in row 0, place 1"),
        ([["a", 5]], {"subwords": True}, r"^lists: expected words .* got int in row 0, place 1"),
        ([["a", "b"]], {"dim": 2.0}, r"^dim: expected a whole number >= 1, got float"),
        ([["a", "b"]], {"subwords": 1}, r"^subwords: expected True or False"),
        ([["a", "b"]], {"progress": 1}, r"^progress: expected a callable"),
        ([["a", "b"]], {"stop": 1}, r"^stop: expected an Event or a callable"),
        ([["a", "b"]], {"checkpoint": 1}, r"^checkpoint: expected a str or a path"),
    ],
)
def test_wrong_types(lists: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        sequences(lists, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        *[({name: 0}, f"^{name}: ") for name in ("dim", "window", "epochs", "min_count")],
        ({"negative": 0}, r"^negative: "),
        *[({name: 10**12}, f"^{name}: .* to 10000, got") for name in ("window", "negative")],
        ({"sample": -0.1}, r"^sample: expected a finite number >= 0"),
        ({"sample": 1}, r"^sample: expected a share from 0 to below 1, got 1"),
        ({"sample": float("nan")}, r"^sample: "),
        ({"learning_rate": 0}, r"^learning_rate: expected a number above 0 and at most 1"),
        ({"learning_rate": 1e30}, r"^learning_rate: expected a number above 0 and at most 1"),
        ({"learning_rate": float("nan")}, r"^learning_rate: "),
        ({"seed": -1}, r"^seed: expected a whole number >= 0"),
    ],
)
def test_wrong_values(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sequences([["a", "b"]] * 3, **options)


def test_words_that_are_no_unicode() -> None:
    lists = [["a", "b\ud800"]]
    with pytest.raises(ValueError, match=r"^lists: expected words in Unicode .* row 0, place 1"):
        sequences(lists, subwords=True)
    assert sequences(lists, dim=4).ids == ["a", "b\ud800"]


@pytest.mark.parametrize("rate", [1, 1e-6])
def test_extreme_learning_rates_stay_finite(rate: float) -> None:
    found = sequences(planted(0, 40), dim=4, learning_rate=rate, epochs=4)
    assert np.isfinite(found.matrix).all()


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    match = r"^sequences needs gensim: pip install 'vecrecall\[train\]'$"
    with pytest.raises(ImportError, match=match):
        sequences([["a", "b"]])


def test_sequences_of_users() -> None:
    users, items = ["b", "a", "b", "a", "b"], [1, 2, 3, 4, 5]
    assert user_sequences(users, items) == [[1, 3, 5], [2, 4]]
    assert user_sequences(users, items, times=[3, 9, 2, 8, 1]) == [[5, 3, 1], [4, 2]]
    assert user_sequences(users, items, times=[7] * 5) == [[1, 3, 5], [2, 4]]
    kinds = ["x", None, float("nan"), "y", "z"]
    assert user_sequences(users, kinds, items) == [["x", 1, 3, "z", 5], [2, "y", 4]]
    assert user_sequences([], []) == []


def test_sequences_of_users_by_dates() -> None:
    times = np.array(["2026-01-02", "2026-01-01"], "M8[D]")
    assert user_sequences(["a", "a"], ["x", "y"], times=times) == [["y", "x"]]


@pytest.mark.parametrize(
    ("arguments", "times", "error", "match"),
    [
        ((["a"],), None, ValueError, r"^columns: expected at least one"),
        ((["a", None], [1, 2]), None, ValueError, r"^users: expected a key .* in row 1"),
        ((["a", "b"], [1]), None, ValueError, r"^columns\[0\]: expected 2 rows, got 1"),
        ((["a"], [1], [[1]]), None, TypeError, r"^columns\[1\]: expected hashable .* in row 0"),
        ((["a", "b"], [1, 2]), [1.0, np.nan], ValueError, r"^times: .* got nan in row 1"),
        ((["a", "b"], [1, 2]), [1.0], ValueError, r"^times: expected 2 rows, got 1"),
        (
            (["a", "b"], [1, 2]),
            ["x", 1],
            TypeError,
            r"^times: expected numbers, or dates .*, got str in row 0",
        ),
    ],
)
def test_sequences_of_wrong_columns(
    arguments: Any, times: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        user_sequences(*arguments, times=times)


def test_a_checkpoint_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=r"^checkpoint: expected a saved TrainingCheckpoint, got"):
        sequences([["a", "b"]] * 3, dim=2, epochs=1, checkpoint=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
