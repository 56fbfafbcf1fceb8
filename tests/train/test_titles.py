"""title2vec: titles of one category are near, tokens, empty titles, files, resuming, stopping."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "vecrecall[train]"')

from vecrecall.train import (  # noqa: E402
    Embedding,
    TitleEncoder,
    TrainingProgress,
    TrainingStoppedError,
    titles,
)

SMALL: dict[str, Any] = {"dim": 8, "word_dim": 8, "epochs": 3, "batch_size": 16}


def planted(n: int, seed: int, kinds: int = 5) -> tuple[list[str], list[list[str]]]:
    """Make titles of two words of their category among words of none."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(n):
        kind = i % kinds
        words = [f"own{kind}x{w}" for w in rng.integers(12, size=2)]
        words += [f"any{w}" for w in rng.integers(12, size=3)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append([f"kind{kind}", "all"])
    return texts, labels


@pytest.mark.parametrize("seed", range(3))
def test_new_titles_are_near_those_of_their_category(seed: int) -> None:
    """By chance, 20 % of the nearest titles have the category."""
    texts, labels = planted(400, seed)
    encoder = TitleEncoder(dim=16, word_dim=16, epochs=20, batch_size=32, seed=seed)
    encoder.fit(texts, labels)
    new, new_labels = planted(100, seed + 100)
    index = encoder.embedding_.to_index()
    found = index.search(encoder.encode(new), 10).ids
    hits = [labels[i] == new_labels[row] for row, near in enumerate(found.tolist()) for i in near]
    assert np.mean(hits) > 0.8


def test_the_function_gives_what_the_encoder_gives() -> None:
    texts, labels = planted(30, 0)
    names = [("item", i) for i in range(30)]
    found = titles(texts, labels, keys=names, **SMALL)
    encoder = TitleEncoder(**SMALL).fit(texts, labels, names)
    assert isinstance(found, Embedding)
    assert found.ids == names
    assert found.metric == "cosine"
    assert found.matrix.tobytes() == encoder.embedding_.matrix.tobytes()
    assert found.about["data"]["categories"] == 6
    assert len(found.about["losses"]) == 3
    # Batches of another size may round otherwise: sums of 8 products at 2**-24 each.
    np.testing.assert_allclose(found.matrix, encoder.encode(texts), atol=1e-5)


def test_the_order_of_words_counts() -> None:
    encoder = TitleEncoder(**SMALL).fit(["a b", "b a"], [["x"], ["y"]])
    one, other = encoder.encode(["a b", "b a"])
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Green TEA, 2nd cup!", ["green", "tea", "2nd", "cup"]),
        ("don't stop", ["don", "t", "stop"]),
        ("北京的天气", ["北", "京", "的", "天", "气"]),
        ("iPhone手机 5G", ["iphone", "手", "机", "5g"]),
        ("お茶コーヒー", ["お", "茶", "コ", "ー", "ヒ", "ー"]),
        ("녹차 한잔", ["녹차", "한잔"]),
        ("été", ["été"]),
        ("snake_case_", ["snake", "case"]),
        ("re\u0301ne\u0301", ["réné"]),
        ("हिन्दी में चाय", ["हिन्दी", "में", "चाय"]),
        ("ภาษาที่ดี", ["ภาษาที่ดี"]),
        ("二〇〇〇年・か\u3099", ["二", "\u3007", "年", "が"]),
        ("tea ❤️ 👩‍👩‍👧 🇫🇷 \u0301", ["tea"]),
        ("İstanbul ﬁn", ["i\u0307stanbul", "ﬁn"]),
    ],
)
def test_tokens(text: str, words: list[str]) -> None:
    encoder = TitleEncoder(**SMALL).fit([text], [["x"]])
    assert encoder.words_ == list(dict.fromkeys(words))


def test_titles_of_emoji_alone_have_no_words() -> None:
    encoder = TitleEncoder(**SMALL).fit(["tea", "❤️👍🏽"], [["x"], ["y"]])
    assert encoder.words_ == ["tea"]
    assert (encoder.encode(["👍🏽", "1️⃣", "👩‍👧"]).any(axis=1) == [False, True, False]).all()


def test_a_tokenizer_of_ones_own() -> None:
    encoder = TitleEncoder(**SMALL, tokenize=str.split).fit(["A-b c", "d"], [["x"], ["y"]])
    assert encoder.words_ == ["A-b", "c", "d"]
    with pytest.raises(TypeError, match=r"tokenize: expected words, got str .* row 0"):
        TitleEncoder(tokenize=str.lower).fit(["a"], [["x"]])
    with pytest.raises(TypeError, match=r"tokenize: expected words as str, got int .* row 0"):
        TitleEncoder(tokenize=lambda text: [7]).fit(["a"], [["x"]])
    with pytest.raises(TypeError, match="tokenize: expected a callable"):
        TitleEncoder(tokenize="split")  # type: ignore[arg-type]


def test_titles_without_words_and_items_without_categories() -> None:
    texts = ["green tea", "", "  ...", "black tea", "red wine"]
    labels = [["drink"], ["drink"], ["drink"], [], None]
    encoder = TitleEncoder(**SMALL).fit(texts, labels)
    vectors = encoder.embedding_.matrix
    assert (vectors[[1, 2]] == 0).all()
    assert (np.abs(vectors[[0, 3, 4]]).sum(axis=1) > 0).all()
    assert encoder.words_ == ["green", "tea"]  # others were not trained on
    assert encoder.categories_ == ["drink"]
    assert encoder.embedding_.about["data"]["trained_on"] == 1
    assert (encoder.encode(["", "!"]) == 0).all()


def test_unknown_words_have_one_vector() -> None:
    encoder = TitleEncoder(**SMALL).fit(["green tea", "black tea"], [["x"], ["y"]])
    one, other, known = encoder.encode(["zzz tea", "yyy tea", "green tea"])
    assert one.tobytes() == other.tobytes()
    assert not np.allclose(one, known)
    assert np.abs(encoder.encode(["zzz"])).sum() > 0
    rare = TitleEncoder(**SMALL, min_count=2).fit(["green tea", "black tea"], [["x"], ["y"]])
    assert rare.words_ == ["tea"]


def test_words_after_max_words_do_not_count() -> None:
    encoder = TitleEncoder(**SMALL, max_words=2).fit(["a b c", "a b d"], [["x"], ["y"]])
    assert encoder.words_ == ["a", "b"]
    one, other = encoder.encode(["a b c", "a b"])
    assert one.tobytes() == other.tobytes()


def test_files(tmp_path: Path) -> None:
    texts, labels = planted(30, 0)
    encoder = TitleEncoder(**SMALL).fit(texts, [[("kind", 1), b"2"], *labels[1:]])
    encoder.save(tmp_path / "kept")
    loaded = TitleEncoder.load(tmp_path / "kept")
    assert loaded.encode(texts).tobytes() == encoder.encode(texts).tobytes()
    assert loaded.categories_ == encoder.categories_
    assert loaded.words_ == encoder.words_
    loaded.save(tmp_path / "again")
    with pytest.raises(ValueError, match="tokenize: expected"):
        TitleEncoder.load(tmp_path / "kept", tokenize=str.split)
    own = TitleEncoder(**SMALL, tokenize=str.split).fit(texts, labels)
    own.save(tmp_path / "own")
    with pytest.raises(ValueError, match="tokenize: expected"):
        TitleEncoder.load(tmp_path / "own")
    again = TitleEncoder.load(tmp_path / "own", tokenize=str.split)
    assert again.encode(texts).tobytes() == own.encode(texts).tobytes()
    encoder.embedding_.save(tmp_path / "embedding")
    with pytest.raises(ValueError, match="saved TitleEncoder"):
        TitleEncoder.load(tmp_path / "embedding")
    with pytest.raises(RuntimeError, match="call fit first"):
        TitleEncoder().save(tmp_path / "none")


def test_one_seed_gives_the_same_bits_and_leaves_torch_alone() -> None:
    texts, labels = planted(40, 0)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one, two = (titles(texts, labels, seed=3, **SMALL).matrix for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert not np.array_equal(one, titles(texts, labels, seed=4, **SMALL).matrix)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    texts, labels = planted(40, 0)

    def interrupt(report: TrainingProgress) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    whole = titles(texts, labels, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        titles(texts, labels, checkpoint=tmp_path / "kept", progress=interrupt, **SMALL)
    resumed = titles(texts, labels, checkpoint=tmp_path / "kept", **SMALL)
    assert resumed.matrix.tobytes() == whole.matrix.tobytes()
    with pytest.raises(ValueError, match="checkpoint: "):
        titles(texts[:-1], labels[:-1], checkpoint=tmp_path / "kept", **SMALL)


def test_a_stop_keeps_the_last_finished_epoch() -> None:
    texts, labels = planted(40, 0)
    calls = iter(range(10**6))
    steps = 3 + 1  # batches of an epoch, and its end
    stopped = titles(texts, labels, stop=lambda: next(calls) >= 2 * steps, **SMALL)
    assert stopped.about["stopped"]
    assert stopped.about["epochs"] == 2
    two = titles(texts, labels, **{**SMALL, "epochs": 2})
    assert stopped.matrix.tobytes() == two.matrix.tobytes()
    event = threading.Event()
    event.set()
    with pytest.raises(TrainingStoppedError):
        titles(texts, labels, stop=event, **SMALL)


@pytest.mark.parametrize(
    ("columns", "keys", "error", "message"),
    [
        ((["a", None], [["x"], ["y"]]), None, TypeError, "titles: .* row 1"),
        ((["a", 7], [["x"], ["y"]]), None, TypeError, "titles: .* row 1"),
        (("a", [["x"]]), None, TypeError, "titles: expected a column, got str"),
        ((["a"], [["x"], ["y"]]), None, ValueError, "categories: expected 1 row, got 2"),
        ((["a"], ["x"]), None, TypeError, "categories: expected lists, got str in row 0"),
        ((["a"], [[None]]), None, ValueError, "categories: .* row 0"),
        ((["a", "b"], [["x"], ["y"]]), [1, 1], ValueError, "keys: .*1"),
        ((["a", "b"], [["x"], ["y"]]), [1], ValueError, "keys: expected 2 rows, got 1"),
        ((["", "b"], [["x"], []]), None, ValueError, "titles: expected at least one with words"),
        (([], []), None, ValueError, "titles: expected at least one with words"),
    ],
)
def test_bad_columns(columns: Any, keys: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        titles(*columns, keys=keys, **SMALL)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dim": 0}, ValueError),
        ({"word_dim": 2.5}, TypeError),
        ({"min_count": 0}, ValueError),
        ({"max_words": 0}, ValueError),
        ({"word_dropout": 1}, ValueError),
        ({"learning_rate": float("inf")}, ValueError),
        ({"epochs": True}, TypeError),
        ({"seed": -1}, ValueError),
    ],
)
def test_bad_settings(options: dict[str, Any], error: type[Exception]) -> None:
    (name,) = options
    with pytest.raises(error, match=f"^{name}: "):
        TitleEncoder(**options)


def test_before_fit() -> None:
    with pytest.raises(RuntimeError, match="call fit first"):
        TitleEncoder().encode(["a"])
    encoder = TitleEncoder(**SMALL).fit(["a"], [["x"]])
    with pytest.raises(TypeError, match=r"titles: .* row 1"):
        encoder.encode(["a", None])
